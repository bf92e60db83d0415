"""Rolling-origin backtests: forecast from what was known at each cut, then look.

Each origin reads orders only through a view that ends at its cut; outcomes are joined afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import FitError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.board import BOARD_COLUMNS, score_forecasts, summarise
from forecast.evaluation.candidates import (
    AUTO,
    LEARNERS,
    Candidate,
    Forecasts,
    check_candidates,
    forecast_model,
    forecast_rule,
)
from forecast.evaluation.choosing import CHOICES, Chooser
from forecast.evaluation.learner import Learner
from forecast.evaluation.metrics_pit import pit_shares
from forecast.evaluation.origins import Origin, plan_origins
from forecast.evaluation.rolling import Rolling, earlier
from forecast.evaluation.spendcheck import spend_by_frequency
from forecast.evaluation.spending import SpendChooser, with_level
from forecast.predict import ClvModel
from forecast.predict.tracking import expected_cumulative
from forecast.summary import Histories, daily_purchases, new_customers
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
    pit : pandas.DataFrame
        ``cutoff, model, bin, share``: customers in tenths of the probability integral transform, the
        lowest first; a model that knows its chances has a tenth in each.
    notes : list of str
        What could not be run, and why.
    """

    board: pd.DataFrame
    forecasts: pd.DataFrame
    tracking: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    pit: pd.DataFrame = field(default_factory=lambda: _pit_table([]))

    def __repr__(self) -> str:
        cuts = [str(cut.date()) for cut in sorted(self.board["cutoff"].unique())]
        models = [name for name in dict.fromkeys(self.board["model"]) if name != "actual"]
        return f"<Backtest of {', '.join(models)} at {', '.join(cuts)}: see .summary()>"

    def summary(self) -> pd.DataFrame:
        """One row a model and target over all origins, see :func:`forecast.evaluation.board.summarise`."""
        return summarise(self.board)

    def spend_by_frequency(self) -> pd.DataFrame:
        """Value a purchase by class, see :func:`forecast.evaluation.spendcheck.spend_by_frequency`."""
        return spend_by_frequency(self.board)


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
        Models and rules; ``auto``, plain models and all rules by default. ``hgb`` is boosted trees that
        learn at earlier origins, ``average`` the mean of it and ``auto`` (else ``bg-nbd``).
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
    names = sorted(check_candidates(candidates), key=lambda name: name in LEARNERS)  # they hear others first
    check_orders(orders)
    windows = plan_origins(orders.first_day, orders.last_day, h, n_windows, step_size, fiscal_year_start)
    others = (*BASELINES, *LEARNERS, AUTO)
    lineup = {name: Candidate.parse(name) for name in names if name not in others}
    learning = {name: own for name, own in lineup.items() if own.level}
    auto = CHOICES if AUTO in names else ()
    board: list[tuple[Any, ...]] = []
    forecasts: list[pd.DataFrame] = []
    tracking: list[pd.DataFrame] = []
    pit: list[tuple[Any, ...]] = []
    notes: list[str] = []
    fitted: dict[str, ClvModel] = {}
    rolling = Rolling(orders, seed=seed)
    sample = Rolling.sampled(orders, seed, windows[0][0]) if auto else rolling
    chooser, spender = Chooser(sample, auto), SpendChooser(sample)
    learner = Learner(rolling, seed) if set(names) & set(LEARNERS) else None
    warm_up = earlier(windows, orders.first_day) if learning or auto or learner else []
    done, total = 0, len(warm_up) + len(windows) * len(names)

    def learn(known: Histories, origin: Origin) -> None:
        """After the forecasts: an origin never learns from itself."""
        for own in learning.values():
            rolling.remember(own, known, origin)
        if learner is not None:
            learner.remember(known, origin)
        known.close()
        if auto:
            sample.teach([(origin.cutoff, origin.end)], chooser, spender)

    for cutoff, end in warm_up:
        if progress is not None:
            progress(f"{cutoff} learning", done, total)
        done += 1
        learn(*rolling.at(cutoff, end))
    for number, (cutoff, end) in enumerate(windows):
        known, origin = rolling.at(cutoff, end)
        board.extend(_population(orders, origin))
        said: dict[str, Forecasts] = {}
        for name in names:
            if progress is not None:
                progress(f"{cutoff} {name}", done, total)
            done += 1
            try:
                if name in BASELINES:
                    found = forecast_rule(name, origin)
                elif learner is not None and name in LEARNERS:
                    found = learner.forecast(name, known, origin, said)
                else:
                    if not refit and name in fitted:
                        pass
                    elif name == AUTO:
                        choice = chooser.choose(cutoff)
                        worth = spender.choose(cutoff)
                        chosen = replace(choice.candidate, spend=worth.basis)
                        notes.append(f"{AUTO} at {cutoff} is {chosen.name}: {choice.reason}")
                        own = chooser.corrected(chosen, rolling, known)
                        taught = with_level(own.calibration, worth, cutoff)
                        fitted[name] = replace(own, calibration=taught)
                    else:
                        fitted[name] = rolling.corrected(lineup[name], known)
                    found = forecast_model(fitted[name], origin, draws=draws, seed=seed)
            except FitError as error:
                notes.append(f"{name} at {cutoff}: {error}")
                continue
            if found is None:
                notes.append(f"{name} at {cutoff}: needs a year of history before the cut")
                continue
            said[name] = found
            rng = np.random.default_rng([seed, number])
            board.extend((cutoff, origin.days, name, *row) for row in score_forecasts(found, origin, rng))
            forecasts.append(_forecast_rows(name, origin, found))
            if found.counts:
                shares = pit_shares(*(np.clip(found.counts[key], 0.0, 1.0) for key in ("below", "at")))
                pit.extend((cutoff, name, bin, share) for bin, share in enumerate(shares, 1))
            if number == len(windows) - 1 and name in fitted and fitted[name].clock is None:
                tracking.append(_tracking(orders, known, fitted[name], name, origin))
        learn(known, origin)
    if not forecasts:
        raise FitError("no candidate could be fitted at any origin", advice="; ".join(notes))
    if progress is not None:
        progress("done", total, total)
    return Backtest(
        pd.DataFrame(board, columns=list(BOARD_COLUMNS)).assign(cutoff=lambda f: pd.to_datetime(f["cutoff"])),
        pd.concat(forecasts, ignore_index=True),
        pd.concat(tracking, ignore_index=True) if tracking else _empty_tracking(),
        notes,
        _pit_table(pit),
    )


def _pit_table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=["cutoff", "model", "bin", "share"])
    return found.assign(cutoff=pd.to_datetime(found["cutoff"]))


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
