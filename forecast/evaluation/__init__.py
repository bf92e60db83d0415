"""Simple rules, metrics and backtests: how good a forecast was, and what it had to beat."""
