"""Orders: reads and cleans order exports; every rejected row keeps its reason."""

from forecast.orders.handle import Orders
from forecast.orders.reading import read_orders
from forecast.orders.reconciliation import Reconciliation
from forecast.orders.sufficiency import Sufficiency, sufficiency

__all__ = ["Orders", "Reconciliation", "Sufficiency", "read_orders", "sufficiency"]
