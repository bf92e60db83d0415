"""What speed.py times: each task gets a folder and returns what is timed, with a note for the table."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from workload import HORIZON, LAST_DAY, SPEND, TRUTH

Timed = Callable[[], Any]
# What the database may take where a whole run is to stay below four gigabytes.
LIMIT = "3GB"
# And where only a few blocks are to be held.
SMALL_LIMIT = "400MB"


def _arrays(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(frame[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))


def _model(spend: bool = True) -> Any:
    from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
    from forecast.predict import ClvModel

    bg = Fitted.from_parameters(purchase_model("bg-nbd"), TRUTH, "given")
    return ClvModel(bg, Fitted.from_parameters(GAMMA_GAMMA, SPEND, "given") if spend else None)


def ours_fit_arrays(folder: Path) -> Timed:
    from forecast.fitting import fit_purchases, purchase_model
    from forecast.summary.statistics import group_purchases

    x, t_x, T = _arrays(pd.read_parquet(folder / "customers.parquet"))

    def run() -> dict[str, Any]:
        begin = time.perf_counter()
        counts = group_purchases(x, t_x, T)
        grouping = time.perf_counter() - begin
        fitted = fit_purchases(purchase_model("bg-nbd"), counts)
        return {"parameters": fitted.parameters, "errors": fitted.standard_errors, "rows": len(counts.x),
                "grouping": grouping}  # fmt: skip

    return run


def ours_fit_frame(folder: Path) -> Timed:
    from forecast import BetaGeoNBD

    frame = pd.read_parquet(folder / "customers.parquet")
    return lambda: {"parameters": BetaGeoNBD().fit(frame).params_}


def _their_fit(folder: Path, unit: float, grouped: bool = False) -> Timed:
    from lifetimes import BetaGeoFitter

    x, t_x, T = _arrays(pd.read_parquet(folder / "customers.parquet"))
    weights = None
    if grouped:
        from forecast.summary.statistics import group_purchases

        counts = group_purchases(x, t_x, T)
        x, t_x, T, weights = counts.x, counts.t_x, counts.T, counts.weight

    def run() -> dict[str, Any]:
        fitter = BetaGeoFitter()
        fitter.fit(x, t_x / unit, T / unit, weights=weights)
        found = {name: float(value) for name, value in fitter.params_.items()}
        found["alpha"] *= unit
        return {"parameters": found}

    return run


def their_fit_days(folder: Path) -> Timed:
    return _their_fit(folder, 1.0)


def their_fit_weeks(folder: Path) -> Timed:
    return _their_fit(folder, 7.0)


def their_fit_grouped(folder: Path) -> Timed:
    return _their_fit(folder, 7.0, grouped=True)


def ours_spend(folder: Path) -> Timed:
    from forecast import GammaGamma

    frame = pd.read_parquet(folder / "customers.parquet")
    return lambda: {"parameters": GammaGamma().fit(frame).params_}


def their_spend(folder: Path) -> Timed:
    from lifetimes import GammaGammaFitter

    frame = pd.read_parquet(folder / "customers.parquet")
    frame = frame[frame["frequency"] > 0]
    mean = float(frame["monetary_value"].mean())

    def run(scale: float) -> dict[str, Any]:
        fitter = GammaGammaFitter()
        fitter.fit(frame["frequency"], frame["monetary_value"] / scale)
        p, q, v = (float(fitter.params_[name]) for name in ("p", "q", "v"))
        return {"parameters": {"p": p, "q": q, "gamma": v * scale}, "scale": scale}

    # Whether its search settles depends on the unit of money, so it gets one in which it does.
    for scale in (mean, 1.0, 10.0, 100.0):
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            run(scale)
            break
    return lambda: run(scale)


def _ours_score(folder: Path, levels: tuple[float, ...]) -> Timed:
    from forecast.predict import Customers, predict_customers

    model, customers = _model(), Customers.from_frame(pd.read_parquet(folder / "customers.parquet"))

    def run() -> dict[str, Any]:
        found = predict_customers(model, customers, days=HORIZON, levels=levels)
        return {"total": float(found["expected_purchases"].sum()), "columns": len(found)}

    return run


def ours_score_points(folder: Path) -> Timed:
    return _ours_score(folder, ())


def ours_score_intervals(folder: Path) -> Timed:
    return _ours_score(folder, (80.0, 95.0))


def _their_model() -> Any:
    from lifetimes import BetaGeoFitter

    fitter = BetaGeoFitter()
    fitter.params_ = pd.Series(TRUTH)
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter


def their_score(folder: Path) -> Timed:
    fitter, frame = _their_model(), pd.read_parquet(folder / "customers.parquet")

    def run() -> dict[str, Any]:
        x, t_x, T = frame["frequency"], frame["recency"], frame["T"]
        expected = fitter.conditional_expected_number_of_purchases_up_to_time(HORIZON, x, t_x, T)
        fitter.conditional_probability_alive(x, t_x, T)
        return {"total": float(np.sum(expected))}

    return run


def their_clv(folder: Path) -> Timed:
    from lifetimes import GammaGammaFitter

    fitter, frame = _their_model(), pd.read_parquet(folder / "customers.parquet")
    spend = GammaGammaFitter()
    spend.params_ = pd.Series({"p": SPEND["p"], "q": SPEND["q"], "v": SPEND["gamma"]})
    value = frame["monetary_value"].fillna(0.0)

    def run() -> dict[str, Any]:
        spend.customer_lifetime_value(
            fitter, frame["frequency"], frame["recency"], frame["T"], value,
            time=12, discount_rate=0.0, freq="D",
        )  # fmt: skip
        return {}

    return run


def _ours_histories(path: Path, **options: Any) -> Timed:
    """From the file to a table of histories, with everything that is checked on the way."""
    from forecast import purchase_histories, read_orders

    def run() -> dict[str, Any]:
        orders = read_orders(path, **options)
        found = purchase_histories(orders)
        customers, repeats, value = found.connection.execute(
            f"SELECT count(*), sum(frequency), sum(historical_value) FROM {found.table}"
        ).fetchall()[0]
        orders.connection.close()
        return {"customers": customers, "repeats": int(repeats), "value": float(value)}

    return run


def ours_numbers(folder: Path) -> Timed:
    return _ours_histories(folder / "numbers.parquet")


def ours_texts(folder: Path) -> Timed:
    return _ours_histories(folder / "texts.parquet")


def ours_limited(folder: Path) -> Timed:
    return _ours_histories(folder / "numbers.parquet", duckdb_config={"memory_limit": LIMIT})


def ours_fivefold(folder: Path) -> Timed:
    return _ours_histories(folder / "fivefold.parquet", duckdb_config={"memory_limit": LIMIT})


def ours_csv(folder: Path) -> Timed:
    return _ours_histories(folder / "numbers.csv", duckdb_config={"memory_limit": LIMIT})


def _query(path: Path) -> Timed:
    """What a user of a database would write: no check, no rejects, no exact sums."""
    import duckdb

    def run() -> dict[str, Any]:
        with duckdb.connect() as connection:
            connection.execute(
                "CREATE TABLE histories AS SELECT customer_id, min(day) AS first, max(day) AS last, "
                "count(*) - 1 AS frequency, sum(v) AS total, arg_min(v, day) AS first_value FROM ("
                "SELECT customer_id, CAST(order_date AS DATE) AS day, sum(value) AS v "
                f"FROM read_parquet('{path}') GROUP BY ALL) GROUP BY customer_id"
            )
            found = connection.execute("SELECT count(*), sum(frequency) FROM histories").fetchall()[0]
        return {"customers": found[0], "repeats": int(found[1])}

    return run


def query_numbers(folder: Path) -> Timed:
    return _query(folder / "numbers.parquet")


def _their_histories(path: Path) -> Timed:
    from lifetimes.utils import summary_data_from_transaction_data

    def run() -> dict[str, Any]:
        orders = pd.read_parquet(path)
        frame = summary_data_from_transaction_data(
            orders, "customer_id", "order_date", monetary_value_col="value",
            observation_period_end=LAST_DAY, freq="D",
        )  # fmt: skip
        return {"customers": len(frame), "repeats": int(frame["frequency"].sum())}

    return run


def their_numbers(folder: Path) -> Timed:
    return _their_histories(folder / "numbers.parquet")


def their_texts(folder: Path) -> Timed:
    return _their_histories(folder / "texts.parquet")


def ours_fit_many(folder: Path) -> Timed:
    """Ten times the customers: every history ten times would be tiled, so these are others."""
    from forecast.fitting import fit_purchases, purchase_model
    from forecast.summary.statistics import group_purchases

    x, t_x, T = _arrays(pd.read_parquet(folder / "many.parquet"))

    def run() -> dict[str, Any]:
        counts = group_purchases(x, t_x, T)
        fitted = fit_purchases(purchase_model("bg-nbd"), counts)
        return {"parameters": fitted.parameters, "rows": len(counts.x)}

    return run


def ours_command(folder: Path) -> Timed:
    """`forecast score` as a nightly run would: a saved model, orders in, a file out."""
    from forecast.pipeline import fit, read, score

    log = folder / "numbers.parquet"
    shutil.rmtree(folder / "models", ignore_errors=True)
    fit(read(log), "shop", models=folder / "models", purchases="bg-nbd", method="mle")

    def run() -> dict[str, Any]:
        found = score(read(log), "shop", models=folder / "models", out=folder / "scores.parquet")
        return {"customers": found.data["customers"]}

    return run


def _ours_score_file(source: Path) -> Timed:
    """`forecast score --histories` from file to file, whatever the number of customers in little memory."""
    from forecast import read_histories
    from forecast.pipeline import fit, score

    folder = source.parent / f"{source.stem} scored"
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / "histories.parquet"
    folder.mkdir()
    frame = pd.read_parquet(source)
    value = np.where(frame["frequency"] > 0, frame["monetary_value"].fillna(0.0) * frame["frequency"], 0.0)
    frame.assign(
        customer_id=frame.index.astype(str), first_value=25.0, historical_value=25.0 + value
    ).to_parquet(path, index=False, row_group_size=100_000)
    del frame, value
    small = {"memory_limit": SMALL_LIMIT}

    def read() -> Any:
        return read_histories(path, LAST_DAY, duckdb_config=small)

    fit(read(), "shop", models=folder / "models", method="mle")

    def run() -> dict[str, Any]:
        found = score(read(), "shop", models=folder / "models", out=folder / "scores.parquet")
        return {"customers": found.data["customers"], "MB": (folder / "scores.parquet").stat().st_size / 1e6}

    return run


def ours_score_file(folder: Path) -> Timed:
    return _ours_score_file(folder / "customers.parquet")


def ours_score_many(folder: Path) -> Timed:
    return _ours_score_file(folder / "many.parquet")


def floor(folder: Path) -> Timed:
    """One pass of ``log`` and ``exp`` over the distinct rows of the fit."""
    from forecast.summary.statistics import group_purchases

    counts = group_purchases(*_arrays(pd.read_parquet(folder / "customers.parquet")))
    age = counts.T + 30.0
    return lambda: {"sum": float(np.exp(-0.5 * np.log(age)).sum()), "rows": len(age)}


def bandwidth(folder: Path) -> Timed:
    """How fast this machine copies memory, in bytes moved a second (read and written)."""
    block = np.ones(1 << 26)
    target = np.empty_like(block)

    def run() -> dict[str, Any]:
        np.copyto(target, block)
        return {"bytes": 2 * block.nbytes}

    return run


TASKS: dict[str, Callable[[Path], Timed]] = {
    function.__name__: function
    for function in (
        ours_fit_arrays, ours_fit_frame, ours_fit_many, their_fit_days, their_fit_weeks, their_fit_grouped,
        ours_spend, their_spend, ours_score_points, ours_score_intervals, their_score, their_clv,
        ours_numbers, ours_texts, ours_limited, ours_fivefold, ours_csv, query_numbers, their_numbers,
        their_texts, ours_command, ours_score_file, ours_score_many, floor, bandwidth,
    )
}  # fmt: skip
