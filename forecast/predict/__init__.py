"""Predictive distributions of customers and portfolios, from draws, in blocks of fixed size."""

from forecast.predict.customers import predict_customers
from forecast.predict.population import ClvModel, Customers
from forecast.predict.portfolio import PortfolioTotals, portfolio_totals
from forecast.predict.scores import SCORE_COLUMNS, score_table
from forecast.predict.segments import SEGMENT_COLUMNS

__all__ = [
    "SCORE_COLUMNS",
    "SEGMENT_COLUMNS",
    "ClvModel",
    "Customers",
    "PortfolioTotals",
    "portfolio_totals",
    "predict_customers",
    "score_table",
]
