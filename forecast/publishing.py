"""One way from a result to its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError
from forecast.evaluation.backtest import Backtest
from forecast.history import History
from forecast.orders import Orders
from forecast.pipeline import facts
from forecast.reports.pages import backtest_page, history_page
from forecast.store.guarding import protect
from forecast.store.writing import write_text


def to_html(found: Any, path: Any, *, orders: Orders | None = None) -> Path:
    """Write the page of a history, a backtest, a comparison or a check: one file, no scripts, no network.

    Parameters
    ----------
    found : History, Backtest, Comparison or ModelCheck
    path : path
    orders : Orders, optional
        For what the numbers rest on; a history or backtest needs them.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ArgumentError
        When there is no such page, the orders are missing, or the page would overwrite them.
    StoreError
        When the disk refuses.

    Examples
    --------
    >>> import tempfile, forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = to_html(forecast.historical_clv(orders), f"{folder}/history.html", orders=orders)
    ...     page.name, page.read_text()[:15]
    ('history.html', '<!DOCTYPE html>')
    """
    if isinstance(found, History | Backtest):
        if orders is None:
            raise ArgumentError("the page says what its numbers rest on", advice="Give orders=orders.")
        protect([path], orders.paths)
        if isinstance(found, History):
            return write_text(history_page(found, facts(orders)), path)
        return write_text(backtest_page(found, title="Backtest", facts=facts(orders)), path)
    if not hasattr(found, "to_html") or hasattr(found, "columns"):
        raise ArgumentError(
            f"there is no page of a {type(found).__name__}",
            advice="Give a History, Backtest, Comparison or ModelCheck.",
        )
    page: Path = found.to_html(path)
    return page
