"""From forecasts and outcomes to the tidy board: one row a metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation import metrics as point
from forecast.evaluation import metrics_pit as pits
from forecast.evaluation import metrics_probability as probability
from forecast.evaluation import metrics_ranking as ranking
from forecast.evaluation.candidates import LEVEL, Forecasts, Origin
from forecast.periods import level_label

BOARD_COLUMNS = ("cutoff", "horizon_days", "model", "scope", "group", "metric", "value")

Metric = tuple[str, str, str, float]
_TARGETS = {"orders": ("purchases", "expected_purchases", "actual_purchases"),
            "value": ("value", "expected_value", "actual_value")}  # fmt: skip


def frequency_class(frequency: np.ndarray) -> np.ndarray:
    """Repeat purchases so far as a class: 0, 1, 2, 3+."""
    return np.array(["0", "1", "2", "3+"])[np.minimum(frequency.astype(int), 3)]


def score_forecasts(forecasts: Forecasts, origin: Origin, rng: np.random.Generator) -> Iterator[Metric]:
    """All metrics of one candidate at one origin as ``(scope, group, metric, value)``.

    ``portfolio`` rows are totals of known customers, ``customers`` rows are averages over customers,
    ``frequency`` and ``cohort`` rows are totals by class and by quarter of the first purchase.
    """
    actual = origin.actual
    for target, (draw_name, expected_name, actual_name) in _TARGETS.items():
        if expected_name not in forecasts.customers:
            continue
        expected = forecasts.customers[expected_name]
        outcome = actual[actual_name].to_numpy(dtype=float)
        yield from _totals(target, expected, outcome, forecasts.totals.get(draw_name))
        yield from _ranks(target, expected, outcome)
        yield from _classes(target, expected, outcome, origin.histories)
    if "p_purchase" in forecasts.customers:
        yield from _probabilities(forecasts, actual["actual_purchases"].to_numpy(dtype=float), rng)


def _totals(
    target: str, expected: np.ndarray, outcome: np.ndarray, draws: np.ndarray | None
) -> Iterator[Metric]:
    forecast, happened = float(expected.sum()), float(outcome.sum())
    yield "portfolio", target, "forecast", forecast
    yield "portfolio", target, "actual", happened
    if happened != 0.0:
        yield "portfolio", target, "bias", point.bias(forecast, happened)
        yield "portfolio", target, "wape", abs(forecast - happened) / abs(happened)
    if draws is not None:
        label = level_label(LEVEL)
        lo, hi = np.quantile(draws, [0.5 - LEVEL / 200, 0.5 + LEVEL / 200])
        yield "portfolio", target, f"lo-{label}", float(lo)
        yield "portfolio", target, f"hi-{label}", float(hi)
        yield "portfolio", target, f"hit-{label}", float(lo <= happened <= hi)
        if happened != 0.0:
            yield "portfolio", target, f"width-{label}", float(hi - lo) / abs(happened)


def _ranks(target: str, expected: np.ndarray, outcome: np.ndarray) -> Iterator[Metric]:
    yield "customers", target, "mae", point.mae(outcome, expected)
    yield "customers", target, "rmse", point.rmse(outcome, expected)
    if outcome.sum() > 0 and len(outcome) > 10:
        yield "customers", target, "gini", ranking.normalised_gini(outcome, expected)
        yield "customers", target, "top10_capture", ranking.top_share_capture(outcome, expected, 0.1)
        if np.ptp(expected) > 0 and np.ptp(outcome) > 0:
            yield "customers", target, "spearman", ranking.spearman(outcome, expected)
    if target == "orders" and (expected > 0).all():
        yield "customers", target, "poisson_deviance", point.poisson_deviance(outcome, expected)


def _classes(
    target: str, expected: np.ndarray, outcome: np.ndarray, histories: pd.DataFrame
) -> Iterator[Metric]:
    quarters = pd.PeriodIndex(pd.to_datetime(histories["first_purchase"]), freq="Q").astype(str)
    for scope, classes in (
        ("frequency", frequency_class(histories["frequency"].to_numpy())),
        ("cohort", np.asarray(quarters)),
    ):
        table = pd.DataFrame({"forecast": expected, "actual": outcome}).groupby(classes).sum()
        for group, row in table.iterrows():
            for side in ("forecast", "actual"):
                yield scope, str(group), f"{target}-{side}", float(row[side])


def _probabilities(forecasts: Forecasts, outcome: np.ndarray, rng: np.random.Generator) -> Iterator[Metric]:
    counts = forecasts.counts
    bought = (outcome > 0).astype(float)
    chance = np.clip(forecasts.customers["p_purchase"], 0.0, 1.0)
    below, at = np.clip(counts["below"], 0.0, 1.0), np.clip(counts["at"], 0.0, 1.0)
    pit = pits.randomised_pit(below, at, rng)
    yield "customers", "orders", "crps", float(counts["crps"].mean())
    yield "customers", "orders", "log_score", float(probability.log_score(counts["probability"]).mean())
    yield "customers", "orders", "pit_ks", pits.pit_ks(pit)
    for level in (50, 80, 90):
        yield "customers", "orders", f"pit_coverage-{level}", pits.pit_coverage(below, at, level)
    yield "customers", "orders", "brier", probability.brier(chance, bought)
    if len(chance) >= 10:
        yield "customers", "orders", "ece", probability.expected_calibration_error(chance, bought)


def summarise(board: pd.DataFrame) -> pd.DataFrame:
    """One row a model and target over all origins, the best first.

    Returns
    -------
    pandas.DataFrame
        Candidates that ran at fewer origins come last.
        ``model, target, origins, bias`` (pooled), ``mean_abs_error`` (mean of absolute relative errors),
        ``wape`` (pooled), ``hit_rate`` (share of origins inside the 90 % interval, NaN for rules),
        ``crps, gini`` (means over origins).
    """
    label = level_label(LEVEL)
    rows: list[dict[str, Any]] = []
    totals = board[board["scope"] == "portfolio"]
    each = board[board["scope"] == "customers"]
    for (model, target), lines in totals.groupby(["model", "group"], sort=False):
        wide = lines.pivot(index="cutoff", columns="metric", values="value")
        own = each[(each["model"] == model) & (each["group"] == target)]
        means = own.groupby("metric")["value"].mean()
        actual = wide["actual"].abs().sum()
        error = wide["forecast"] - wide["actual"]
        rows.append(
            {
                "model": model,
                "target": target,
                "origins": len(wide),
                "bias": error.sum() / actual if actual else np.nan,
                "mean_abs_error": wide["wape"].mean() if "wape" in wide else np.nan,
                "wape": error.abs().sum() / actual if actual else np.nan,
                "hit_rate": wide[f"hit-{label}"].mean() if f"hit-{label}" in wide else np.nan,
                "crps": means.get("crps", np.nan),
                "gini": means.get("gini", np.nan),
            }
        )
    found = pd.DataFrame(rows)
    if not len(found):
        return found
    # Who ran at fewer origins met other quarters, and does not compete.
    short = found["origins"] < found.groupby("target")["origins"].transform("max")
    order = found.assign(short=short).sort_values(["target", "short", "wape", "model"])
    return order.drop(columns="short").reset_index(drop=True)
