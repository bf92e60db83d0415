"""Historical CLV: what customers have been worth, the baseline of every forecast."""

from forecast.history.clv import History, historical_clv

__all__ = ["History", "historical_clv"]
