"""Orders to purchase histories and sufficient statistics."""

from forecast.summary.histories import Histories, purchase_histories
from forecast.summary.outcomes import daily_purchases, holdout, new_customers, purchases_between, purchases_in

__all__ = [
    "Histories",
    "daily_purchases",
    "holdout",
    "new_customers",
    "purchase_histories",
    "purchases_between",
    "purchases_in",
]
