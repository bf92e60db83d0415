"""Probabilistic customer-lifetime-value forecasting for e-commerce.

From an order log to the historical baseline, BG/NBD + Gamma-Gamma forecasts with predictive intervals,
rolling backtests and saved models. Everything is imported when it is first used.

Examples
--------
>>> import forecast
>>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
>>> model = forecast.fit(orders, as_of="1997-09-30", method="mle")
>>> round(model.purchases.parameters["r"], 4)
0.2426
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "read_orders": "forecast.orders",
    "read_histories": "forecast.receiving",
    "histories_sql": "forecast.summary.warehouse",
    "daily_sql": "forecast.summary.warehouse",
    "GivenHistories": "forecast.summary",
    "Orders": "forecast.orders",
    "add_orders": "forecast.orders.stores.adding",
    "list_orders": "forecast.orders.stores.listing",
    "forget_customer": "forecast.orders.stores.forgetting",
    "Reconciliation": "forecast.orders",
    "sufficiency": "forecast.orders.sufficiency",
    "purchase_histories": "forecast.summary",
    "Histories": "forecast.summary",
    "historical_clv": "forecast.history",
    "History": "forecast.history",
    "fit": "forecast.training",
    "load": "forecast.model",
    "Model": "forecast.model",
    "set_alias": "forecast.model",
    "issue": "forecast.issuing",
    "compare": "forecast.comparing",
    "track_record": "forecast.record",
    "drift": "forecast.record",
    "what_if": "forecast.acquiring",
    "to_html": "forecast.publishing",
    "value_by_age": "forecast.acquiring",
    "Scenario": "forecast.predict.whatif",
    "Comparison": "forecast.comparing",
    "Issue": "forecast.store.ledger",
    "backtest": "forecast.evaluation.backtest",
    "Backtest": "forecast.evaluation.backtest",
    "check_model": "forecast.reports.checking",
    "ModelCheck": "forecast.reports.checking",
    "prior_predictive": "forecast.evaluation.priorcheck",
    "BetaGeoNBD": "forecast.estimators",
    "ModifiedBetaGeoNBD": "forecast.estimators",
    "ParetoNBD": "forecast.estimators",
    "BetaGeoCNBD": "forecast.estimators",
    "GammaGamma": "forecast.estimators",
    "NBD": "forecast.estimators",
    "from_lifetimes": "forecast.interop",
    "cdnow": "forecast.datasets",
    "synthetic_shop": "forecast.synthetic",
    "SyntheticShop": "forecast.synthetic",
    "ForecastError": "forecast.errors",
    "InputError": "forecast.errors",
    "ArgumentError": "forecast.errors",
    "FitError": "forecast.errors",
    "StoreError": "forecast.errors",
}


__all__ = [
    "NBD",
    "ArgumentError",
    "Backtest",
    "BetaGeoCNBD",
    "BetaGeoNBD",
    "Comparison",
    "FitError",
    "ForecastError",
    "GammaGamma",
    "GivenHistories",
    "Histories",
    "History",
    "InputError",
    "Issue",
    "Model",
    "ModelCheck",
    "ModifiedBetaGeoNBD",
    "Orders",
    "ParetoNBD",
    "Reconciliation",
    "Scenario",
    "StoreError",
    "SyntheticShop",
    "__version__",
    "add_orders",
    "backtest",
    "cdnow",
    "check_model",
    "compare",
    "daily_sql",
    "drift",
    "fit",
    "forget_customer",
    "from_lifetimes",
    "historical_clv",
    "histories_sql",
    "issue",
    "list_orders",
    "load",
    "prior_predictive",
    "purchase_histories",
    "read_histories",
    "read_orders",
    "set_alias",
    "sufficiency",
    "synthetic_shop",
    "to_html",
    "track_record",
    "value_by_age",
    "what_if",
]

if TYPE_CHECKING:
    from forecast.acquiring import value_by_age, what_if
    from forecast.comparing import Comparison, compare
    from forecast.datasets import cdnow
    from forecast.errors import ArgumentError, FitError, ForecastError, InputError, StoreError
    from forecast.estimators import NBD, BetaGeoCNBD, BetaGeoNBD, GammaGamma, ModifiedBetaGeoNBD, ParetoNBD
    from forecast.evaluation.backtest import Backtest, backtest
    from forecast.evaluation.priorcheck import prior_predictive
    from forecast.history import History, historical_clv
    from forecast.interop import from_lifetimes
    from forecast.issuing import issue
    from forecast.model import Model, load, set_alias
    from forecast.orders import Orders, Reconciliation, read_orders
    from forecast.orders.stores.adding import add_orders
    from forecast.orders.stores.forgetting import forget_customer
    from forecast.orders.stores.listing import list_orders
    from forecast.orders.sufficiency import sufficiency
    from forecast.predict.whatif import Scenario
    from forecast.publishing import to_html
    from forecast.receiving import read_histories
    from forecast.record import drift, track_record
    from forecast.reports.checking import ModelCheck, check_model
    from forecast.store.ledger import Issue
    from forecast.summary import GivenHistories, Histories, purchase_histories
    from forecast.summary.warehouse import daily_sql, histories_sql
    from forecast.synthetic import SyntheticShop, synthetic_shop
    from forecast.training import fit


def __getattr__(name: str) -> Any:
    if name == "spark":
        return importlib.import_module("forecast.spark")
    if name not in _HOMES:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
