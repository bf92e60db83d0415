"""Small made-up results, so that pages and figures are tested without fitting anything."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.evaluation.backtest import Backtest

CUTS = pd.to_datetime(["2025-09-30", "2025-12-31"])


def make_board(
    cuts=CUTS, models=("bg-nbd", "naive"), targets=("orders", "value"), scale=None
) -> pd.DataFrame:
    """A board on which each model's totals are the actual times its scale."""
    scale = scale or {"bg-nbd": 0.9, "naive": 1.3}
    rows = []
    for cut in cuts:
        for target, known, new in (
            ("customers", 50.0, 7.0),
            ("orders", 200.0, 40.0),
            ("value", 5000.0, 900.0),
        ):
            for scope, value in (
                ("known customers", known),
                ("new customers", new),
                ("all customers", known + new),
            ):
                rows.append((cut, 92, "actual", scope, target, "actual", value))
        for model in models:
            for target in targets:
                actual = {"orders": 200.0, "value": 5000.0}[target]
                forecast = actual * scale.get(model, 1.1)
                found = {"forecast": forecast, "actual": actual, "bias": forecast / actual - 1}
                found["wape"] = abs(found["bias"])
                if model != "naive":
                    lo, hi = forecast * 0.95, forecast * 1.05
                    found |= {"lo-90": lo, "hi-90": hi, "hit-90": float(lo <= actual <= hi)}
                rows += [(cut, 92, model, "portfolio", target, name, value) for name, value in found.items()]
                rows.append((cut, 92, model, "customers", target, "gini", 0.6 if model != "naive" else 0.5))
                for side, value in (("forecast", forecast), ("actual", actual)):
                    rows.append((cut, 92, model, "frequency", "0", f"{target}-{side}", value))
    names = ["cutoff", "horizon_days", "model", "scope", "group", "metric", "value"]
    return pd.DataFrame(rows, columns=names)


def make_forecasts(cuts=CUTS, models=("bg-nbd", "naive"), value=True, size=50) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frames = []
    for cut in cuts:
        for model in models:
            expected = rng.gamma(1.0, 2.0, size)
            frames.append(
                pd.DataFrame(
                    {
                        "cutoff": cut,
                        "model": model,
                        "customer_id": [f"{i:05d}" for i in range(size)],
                        "frequency": np.arange(size) % 10,
                        "expected_purchases": expected,
                        "p_purchase": 1 - np.exp(-expected) if model != "naive" else np.nan,
                        "expected_value": expected * 25.0 if value else np.nan,
                        "actual_purchases": rng.poisson(expected),
                        "actual_value": rng.poisson(expected) * 25.0 if value else np.nan,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def make_tracking(model="bg-nbd", cut=CUTS[-1]) -> pd.DataFrame:
    days = pd.date_range("2025-10-08", periods=20, freq="7D")
    frame = {"cutoff": cut, "model": model, "day": days, "expected": np.arange(20) * 10.0 + 10}
    return pd.DataFrame(frame).assign(actual=lambda f: f["expected"] * 1.1)


def make_backtest(cuts=CUTS, models=("bg-nbd", "naive"), targets=("orders", "value"), **rest) -> Backtest:
    fitted = next((m for m in models if m != "naive"), None)
    tracking = make_tracking(fitted) if fitted else make_tracking().iloc[:0]
    return Backtest(
        make_board(cuts, models, targets, rest.get("scale")),
        make_forecasts(cuts, models, value="value" in targets),
        tracking,
        rest.get("notes", []),
    )


def make_cohorts(names=("2025-01", "2025-02", "2025-03")) -> pd.DataFrame:
    """Cohorts a month apart, the youngest in its running month; a column ``value`` as the history has."""
    rows = []
    for place, name in enumerate(names):
        for age in range(len(names)):
            seen = age < len(names) - place
            running = age == len(names) - place - 1
            size = 10 * (place + 1)
            active = (size if age == 0 else size // 2) if seen else pd.NA
            worth = 20.0 + 5.0 * age if seen else np.nan
            rows.append((name, age, size, active, active, worth * size, worth, running))
    columns = ["cohort", "age", "customers", "active", "orders", "value"]
    frame = pd.DataFrame(rows, columns=[*columns, "cumulative_value_per_customer", "partial"])
    return frame.astype({"active": "Int64", "orders": "Int64", "partial": bool})
