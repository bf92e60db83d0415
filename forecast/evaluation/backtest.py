"""Rolling-origin backtests: forecast from what was known at each cut, then look.

Each origin reads orders only through a view that ends at its cut; outcomes are joined afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, FitError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.board import BOARD_COLUMNS, score_forecasts, summarise
from forecast.evaluation.candidates import (
    Forecasts,
    Origin,
    check_candidates,
    fit_clv,
    forecast_model,
    forecast_rule,
)
from forecast.periods import horizon_days, quarter_of
from forecast.predict import ClvModel
from forecast.predict.tracking import expected_cumulative
from forecast.summary import Histories, daily_purchases, new_customers, purchase_histories, purchases_between
from forecast.summary.histories import check_orders

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, repr=False)
class Backtest:
    """What a backtest found.

    Attributes
    ----------
    board : pandas.DataFrame
        Tidy: ``cutoff, horizon_days, model, scope, group, metric, value``.
    forecasts : pandas.DataFrame
        Per cutoff, model and customer: expectation beside outcome.
    tracking : pandas.DataFrame
        ``cutoff, model, day, expected, actual``: cumulative repeat purchases of the customers known at
        the last cut, week by week.
    notes : list of str
        What could not be run, and why.
    """

    board: pd.DataFrame
    forecasts: pd.DataFrame
    tracking: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        cuts = [str(cut.date()) for cut in sorted(self.board["cutoff"].unique())]
        models = [name for name in dict.fromkeys(self.board["model"]) if name != "actual"]
        return f"<Backtest of {', '.join(models)} at {', '.join(cuts)}: see .summary()>"

    def summary(self) -> pd.DataFrame:
        """One row a model and target over all origins, see :func:`forecast.evaluation.board.summarise`."""
        return summarise(self.board)


def plan_origins(
    first: dt.date, last: dt.date, h: Any, n_windows: int, step_size: Any = None, fiscal_year_start: int = 1
) -> list[tuple[dt.date, dt.date]]:
    """Cuts and ends of the windows, the earliest first; the last window ends on the last day.

    Parameters
    ----------
    first, last : datetime.date
        Days of the first and last order.
    h : int or str
        Days (``91``), or quarters (``"1Q"``): then cuts are ends of calendar or fiscal quarters and
        only whole quarters are used.
    n_windows : int
    step_size : int or str, optional
        Days or quarters between cuts; the horizon by default.

    Raises
    ------
    ArgumentError
        When there is not enough history for so many windows.

    Examples
    --------
    >>> plan_origins(dt.date(2020, 1, 1), dt.date(2020, 12, 31), "1Q", 2)[0]
    (datetime.date(2020, 6, 30), datetime.date(2020, 9, 30))
    """
    if isinstance(n_windows, bool) or n_windows != int(n_windows) or n_windows < 1:
        raise ArgumentError(f"the number of origins is {n_windows!r}", advice="Ask for 1 or more.")
    quarters = _quarters(h)
    if quarters is None:
        days = horizon_days(h)
        if step_size is not None and _quarters(step_size) is not None:
            raise ArgumentError(
                f"horizon {h!r} and step {step_size!r} do not go together", advice="Give both in days."
            )
        step = horizon_days(step_size if step_size is not None else days)
        windows = [
            (last - dt.timedelta(days=days + k * step), last - dt.timedelta(days=k * step))
            for k in range(n_windows)
        ]
    else:
        stride = _quarters(step_size) if step_size is not None else quarters
        if stride is None or stride < 1 or quarters < 1:
            raise ArgumentError(
                f"horizon {h!r} and step {step_size!r} do not go together", advice="Give both in quarters."
            )
        running = quarter_of(last, fiscal_year_start)
        end = last if running.end == last else running.start - dt.timedelta(days=1)
        windows = []
        for k in range(n_windows):
            ends = _back(end, k * stride, fiscal_year_start)
            windows.append((_back(ends, quarters, fiscal_year_start), ends))
    windows.reverse()
    if windows[0][0] <= first:
        raise ArgumentError(
            f"the history is too short for {n_windows} origins of {h}",
            where=f"orders from {first} to {last}",
            advice="Ask for fewer origins or a shorter horizon.",
        )
    return windows


def _quarters(text: Any) -> int | None:
    if isinstance(text, str) and text.strip()[-1:] in ("Q", "q"):
        number = text.strip()[:-1]
        if not number.isdigit():
            raise ArgumentError(f"horizon is not understood: {text!r}", advice="Write 1Q for one quarter.")
        return int(number)
    return None


def _back(end: dt.date, quarters: int, fiscal_year_start: int) -> dt.date:
    for _ in range(quarters):
        end = quarter_of(end, fiscal_year_start).start - dt.timedelta(days=1)
    return end


def backtest(
    orders: Any,
    h: Any = 91,
    n_windows: int = 4,
    step_size: Any = None,
    refit: bool = True,
    *,
    candidates: Sequence[str] | str | None = None,
    fiscal_year_start: int = 1,
    draws: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Backtest:
    """Compare models and simple rules on rolling origins.

    Parameters
    ----------
    orders : Orders
    h : int or str
        Horizon: days, or quarters such as ``"1Q"``.
    n_windows : int
        Number of origins.
    step_size : int or str, optional
        Between origins; the horizon by default.
    refit : bool
        Fit at every origin, or only at the first.
    candidates : sequence of str, optional
        Models and rules; all by default.
    draws : int
        Joint draws of totals.
    seed : int
    progress : callable, optional
        Called with a text, the steps done and the steps in all.

    Returns
    -------
    Backtest

    Raises
    ------
    ArgumentError
        When the history is too short or a candidate is unknown.
    FitError
        When no candidate could be fitted at any origin.

    Examples
    --------
    >>> from forecast.datasets import cdnow
    >>> from forecast.orders import read_orders
    >>> found = backtest(read_orders(cdnow()), h=91, n_windows=1, candidates="bg-nbd,global-mean")
    >>> found.summary().query("target == 'orders'")["model"].tolist()
    ['bg-nbd', 'global-mean']
    """
    names = check_candidates(candidates)
    check_orders(orders)
    windows = plan_origins(orders.first_day, orders.last_day, h, n_windows, step_size, fiscal_year_start)
    board: list[tuple[Any, ...]] = []
    forecasts: list[pd.DataFrame] = []
    tracking: list[pd.DataFrame] = []
    notes: list[str] = []
    fitted: dict[str, ClvModel] = {}
    done, total = 0, len(windows) * len(names)
    for number, (cutoff, end) in enumerate(windows):
        known = purchase_histories(orders.until(cutoff), cutoff)
        origin = _origin(orders, known, cutoff, end)
        board.extend(_population(orders, origin))
        for name in names:
            if progress is not None:
                progress(f"{cutoff} {name}", done, total)
            done += 1
            try:
                if name in BASELINES:
                    found = forecast_rule(name, origin)
                else:
                    if refit or name not in fitted:
                        fitted[name] = fit_clv(known, name)
                    found = forecast_model(fitted[name], origin, draws=draws, seed=seed)
            except FitError as error:
                notes.append(f"{name} at {cutoff}: {error}")
                continue
            if found is None:
                notes.append(f"{name} at {cutoff}: needs a year of history before the cut")
                continue
            rng = np.random.default_rng([seed, number])
            board.extend((cutoff, origin.days, name, *row) for row in score_forecasts(found, origin, rng))
            forecasts.append(_forecast_rows(name, origin, found))
            if number == len(windows) - 1 and name in fitted:
                tracking.append(_tracking(orders, known, fitted[name], name, origin))
        known.close()
    if not forecasts:
        raise FitError("no candidate could be fitted at any origin", advice="; ".join(notes))
    if progress is not None:
        progress("done", total, total)
    return Backtest(
        pd.DataFrame(board, columns=list(BOARD_COLUMNS)).assign(cutoff=lambda f: pd.to_datetime(f["cutoff"])),
        pd.concat(forecasts, ignore_index=True),
        pd.concat(tracking, ignore_index=True) if tracking else _empty_tracking(),
        notes,
    )


def _origin(orders: Any, known: Histories, cutoff: dt.date, end: dt.date) -> Origin:
    frame = known.to_frame()
    days = end - cutoff
    past = orders.until(cutoff)
    previous = purchases_between(past, known, cutoff - days, cutoff)
    year = dt.timedelta(days=365)
    last_year = purchases_between(past, known, cutoff - year, cutoff - year + days)
    frame = frame.assign(
        previous_purchases=previous["purchases"].to_numpy(),
        previous_value=previous["value"].to_numpy(),
        last_year_purchases=last_year["purchases"].to_numpy(),
        last_year_value=last_year["value"].to_numpy(),
    )
    after = purchases_between(orders, known, cutoff, end)
    actual = after.rename(columns={"purchases": "actual_purchases", "value": "actual_value"})
    return Origin(cutoff, end, frame, actual)


def _population(orders: Any, origin: Origin) -> list[tuple[Any, ...]]:
    """What nobody forecasts yet, beside what is: customers won after the cut, and the sum."""
    new = new_customers(orders, origin.cutoff, origin.end)
    known = {
        "customers": float(len(origin.histories)),
        "orders": float(origin.actual["actual_purchases"].sum()),
        "value": float(origin.actual["actual_value"].sum()),
    }
    rows: list[tuple[Any, ...]] = []
    for target, acquired in (
        ("customers", new.customers),
        ("orders", new.purchases),
        ("value", new.value),
    ):
        for scope, value in (
            ("known customers", known[target]),
            ("new customers", float(acquired)),
            ("all customers", known[target] + float(acquired)),
        ):
            rows.append((origin.cutoff, origin.days, "actual", scope, target, "actual", value))
    return rows


def _forecast_rows(name: str, origin: Origin, found: Forecasts) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "cutoff": pd.Timestamp(origin.cutoff),
            "model": name,
            "customer_id": origin.histories["customer_id"].to_numpy(),
            "frequency": origin.histories["frequency"].to_numpy(),
        }
    )
    for column in ("expected_purchases", "p_purchase", "expected_value"):
        frame[column] = found.customers.get(column, np.nan)
    return frame.assign(
        actual_purchases=origin.actual["actual_purchases"].to_numpy(),
        actual_value=origin.actual["actual_value"].to_numpy(),
    )


def _tracking(orders: Any, known: Histories, model: ClvModel, name: str, origin: Origin) -> pd.DataFrame:
    """Cumulative repeat purchases of the customers known at the cut, expected and actual."""
    first_day = orders.first_day
    born = pd.to_datetime(origin.histories["first_purchase"])
    age = (born - pd.Timestamp(first_day)).dt.days.to_numpy()
    births = np.bincount(age).astype(float)
    weeks = np.arange(7, (origin.end - first_day).days + 7, 7)
    days = np.minimum(weeks, (origin.end - first_day).days)
    expected = expected_cumulative(model.purchases, births, np.arange(len(births), dtype=float), days)
    daily = daily_purchases(orders, known, end=origin.end)
    offsets = (pd.to_datetime(daily["day"]) - pd.Timestamp(first_day)).dt.days.to_numpy()
    running = np.bincount(offsets, weights=daily["repeat_purchases"].to_numpy(), minlength=int(days[-1]) + 1)
    return pd.DataFrame(
        {
            "cutoff": pd.Timestamp(origin.cutoff),
            "model": name,
            "day": pd.Timestamp(first_day) + pd.to_timedelta(days, unit="D"),
            "expected": expected,
            "actual": np.cumsum(running)[days],
        }
    )


def _empty_tracking() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in ("cutoff", "model", "day", "expected", "actual")})
