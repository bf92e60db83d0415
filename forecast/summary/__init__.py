"""Orders to purchase histories and sufficient statistics."""

from forecast.summary.given import GIVEN, GivenHistories, histories_of
from forecast.summary.histories import Histories, purchase_histories
from forecast.summary.outcomes import daily_purchases, holdout, new_customers, purchases_between, purchases_in
from forecast.summary.spark import SparkHistories
from forecast.summary.table import HistoryTable

__all__ = [
    "GIVEN",
    "GivenHistories",
    "Histories",
    "HistoryTable",
    "SparkHistories",
    "daily_purchases",
    "histories_of",
    "holdout",
    "new_customers",
    "purchase_histories",
    "purchases_between",
    "purchases_in",
]
