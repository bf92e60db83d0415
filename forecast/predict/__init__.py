"""Predictive distributions of customers and portfolios, from draws, in blocks of fixed size."""

from forecast.predict.customers import SCORE_COLUMNS, ClvModel, Customers, predict_customers, score_table
from forecast.predict.portfolio import portfolio_totals

__all__ = ["SCORE_COLUMNS", "ClvModel", "Customers", "portfolio_totals", "predict_customers", "score_table"]
