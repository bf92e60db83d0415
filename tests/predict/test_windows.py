"""Totals of windows that follow one another: what each expects, that they add up, and what must not matter."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.predict import Customers, predict_customers
from forecast.predict.calibration import Calibration
from forecast.predict.portfolio import simulate_totals
from forecast.predict.windows import simulate_windows
from forecast.summary import purchase_histories

AS_OF = dt.date(1997, 9, 30)
ENDS = [30.0, 92.0, 182.0]


@pytest.fixture(scope="module")
def frame(sample_orders: forecast.Orders) -> pd.DataFrame:
    return purchase_histories(sample_orders, AS_OF).to_frame()


@pytest.mark.parametrize("name", ["bg-nbd", "mbg-nbd", "pareto-nbd", "nbd", "mbg-cnbd-2"])
def test_each_window_has_its_expectation(
    name: str, sample_orders: forecast.Orders, frame: pd.DataFrame
) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases=name, method="mle").clv
    customers = Customers.from_frame(frame, model)
    found = simulate_windows(model, customers, ENDS, draws=400, seed=1)
    for target in ("purchases", "value"):
        so_far = [predict_customers(model, customers, days=end)[f"expected_{target}"].sum() for end in ENDS]
        exact = np.diff(so_far, prepend=0.0)
        draws = found[target][:, 0]
        error = draws.std(axis=1) / np.sqrt(draws.shape[1])
        assert (np.abs(draws.mean(axis=1) - exact) < 4.5 * error).all(), target
    whole = simulate_totals(model, customers, days=ENDS[0], draws=400, seed=2)
    active = found["active"][0, 0]
    assert active.mean() == pytest.approx(whole["active"].mean(), abs=6.0 * active.std() / 20.0)
    total = found["purchases"].sum(axis=(0, 1))
    other = simulate_totals(model, customers, days=ENDS[-1], draws=400, seed=3)["purchases"].sum(axis=0)
    assert total.std() == pytest.approx(other.std(), rel=0.2)


def test_groups_add_up_in_every_draw_and_seeds_decide(
    sample_orders: forecast.Orders, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd").clv
    customers = Customers.from_frame(frame, model)
    groups = np.arange(len(customers)) % 3
    apart = simulate_windows(model, customers, ENDS, groups=groups, draws=50, seed=4)
    whole = simulate_windows(model, customers, ENDS, draws=50, seed=4)
    for name in ("purchases", "active", "value"):
        np.testing.assert_allclose(apart[name].sum(axis=1), whole[name][:, 0], rtol=1e-12)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    again = simulate_windows(model, customers, ENDS, groups=groups, draws=50, seed=4)
    assert all((again[name] == apart[name]).all() for name in again)
    other = simulate_windows(model, customers, ENDS, groups=groups, draws=50, seed=5)
    assert (other["purchases"] != apart["purchases"]).any()


def test_an_unsure_level_is_one_for_all_windows(sample_orders: forecast.Orders, frame: pd.DataFrame) -> None:
    from dataclasses import replace

    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd", method="mle").clv
    unsure = replace(model, calibration=Calibration(level_sd=0.2))
    draws = simulate_windows(unsure, Customers.from_frame(frame, unsure), ENDS, draws=300)["purchases"][:, 0]
    assert np.corrcoef(draws)[0, 1] > 0.5
    assert draws.sum(axis=0).std() / draws.sum(axis=0).mean() == pytest.approx(0.2, rel=0.25)


def test_nobody_expects_nothing(sample_orders: forecast.Orders, frame: pd.DataFrame) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd", method="mle").clv
    found = simulate_windows(model, Customers.from_frame(frame[:0], model), ENDS, draws=10)
    assert {name: v.sum() for name, v in found.items()} == {"purchases": 0.0, "active": 0.0, "value": 0.0}
