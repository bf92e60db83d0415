"""Figures and pages for people who decide; nothing is estimated here."""
