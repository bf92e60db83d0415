"""What a review rests on: the bridge without a rest, lights by their rules, the level of spend."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import forecast
from forecast.evaluation.drift import AMBER, GREEN, RED, RULES, advice, drift_table, stability_index
from forecast.evaluation.levels import Miss, level_ahead
from forecast.evaluation.settle import FACTORS, bridge, settle_lines
from forecast.predict.calibration import Calibration
from tests.seasonal_shop import calm, simulate

amounts = st.floats(0.5, 1e5)


def lines(classes: dict[str, tuple[float, ...]], new: tuple[float, ...] | None = None) -> pd.DataFrame:
    """Forecast and actual active, purchases and value of each class, and of new customers."""
    rows: list[tuple[Any, ...]] = []
    for group, (a0, p0, v0, a1, p1, v1) in classes.items():
        for target, said, came in (("active", a0, a1), ("purchases", p0, p1), ("value", v0, v1)):
            rows.append(("repeat_purchases", group, target, said, came))
    if new is not None:
        for target, said, came in (("active", new[0], new[2]), ("value", new[1], new[3])):
            rows.append(("total", "new", target, said, came))
    return pd.DataFrame(rows, columns=["scope", "group", "target", "forecast", "actual"])


# --- the bridge ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[amounts] * 6), min_size=1, max_size=4), st.tuples(*[amounts] * 4))
@settings(max_examples=100, deadline=None)
def test_the_parts_of_a_miss_add_up(classes: list[tuple[float, ...]], new: tuple[float, ...]) -> None:
    found = bridge(lines({str(k): own for k, own in enumerate(classes)}, new))
    assert tuple(found) == FACTORS
    miss = sum(own[5] - own[2] for own in classes) + new[3] - new[1]
    size = sum(own[5] + own[2] for own in classes) + new[3] + new[1]
    assert sum(found.values()) == pytest.approx(miss, abs=1e-9 * size)


def test_each_part_is_named_after_what_changed() -> None:
    base = {"0": (100.0, 110.0, 2000.0), "1": (50.0, 100.0, 3000.0)}

    def found(change: Any, new: tuple[float, ...] = (10.0, 100.0, 10.0, 100.0)) -> dict[str, float]:
        parts = bridge(lines({name: (*own, *change(name, own)) for name, own in base.items()}, new))
        return {name: part for name, part in parts.items() if abs(part) > 1e-6}

    assert found(lambda _, own: tuple(0.9 * v for v in own)) == {"retention": pytest.approx(-500.0)}
    assert found(lambda _, own: (own[0], 1.1 * own[1], 1.1 * own[2])) == {"frequency": pytest.approx(500.0)}
    assert found(lambda _, own: (own[0], own[1], 1.2 * own[2])) == {
        "value per purchase": pytest.approx(1000.0)
    }
    twice = found(lambda name, own: tuple((1.5 if name == "1" else 0.75) * v for v in own))
    assert twice == {"mix": pytest.approx(1000.0)}  # as many buyers, more of them regular ones
    same = found(lambda _, own: own, (10.0, 100.0, 15.0, 150.0))
    assert same == {"acquisition": pytest.approx(50.0)}
    worth = found(lambda _, own: own, (10.0, 100.0, 10.0, 80.0))
    assert worth == {"value per new customer": pytest.approx(-20.0)}


def test_classes_that_are_empty_are_taken_together() -> None:
    found = bridge(
        lines({"0": (100.0, 110.0, 2000.0, 90.0, 90.0, 1500.0), "1": (2.0, 2.0, 50.0, 0.0, 0.0, 0.0)})
    )
    assert found["mix"] == pytest.approx(0.0)
    assert sum(found.values()) == pytest.approx(-550.0)
    assert bridge(lines({"0": (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)})) == {}
    unforeseen = bridge(lines({"0": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)}, (0.0, 0.0, 7.0, 70.0)))
    assert (unforeseen["acquisition"], unforeseen["value per new customer"]) == (70.0, 0.0)


def test_a_group_that_nobody_forecast_has_a_line() -> None:
    issued = pd.DataFrame(
        [("purchases", s, g, t, q, v) for s, g in (("total", "all"), ("channel", "web"))
         for t, q, v in (("mean", np.nan, 4.0), ("quantile", 0.1, 2.0), ("quantile", 0.9, 6.0))],
        columns=["target", "scope", "group", "output_type", "output_type_id", "value"],
    )  # fmt: skip
    happened = pd.DataFrame(
        {
            "purchases": [3, 2],
            "value": 1.0,
            "acquired": [0, 1],
            "who": ["known", "new"],
            "channel": ["web", "tv"],
        }
    )
    found = settle_lines(issued, happened, ["channel"], [80]).set_index(["scope", "group"])
    assert found.loc[("channel", "tv"), ["forecast", "actual", "hit-80"]].tolist() == [0.0, 2.0, False]
    assert found.loc["channel", "actual"].sum() == found.loc[("total", "all"), "actual"] == 5.0


# --- lights -------------------------------------------------------------------------------------------


def record(errors: list[float], half: float = 0.1) -> pd.DataFrame:
    actual = np.full(len(errors), 100.0)
    said = actual * (1.0 + np.array(errors))
    return pd.DataFrame(
        {"quarter": [f"20{20 + k}Q1" for k in range(len(errors))], "group": "all", "target": "value",
         "forecast": said, "actual": actual, "hit-80": np.abs(errors) < half / 2, "hit-95": np.abs(errors) < half}
    )  # fmt: skip


def light(check: str, **changes: Any) -> str | None:
    same = pd.Series({"0": 70, "1": 30})
    day = dt.date(2026, 9, 30)
    given: dict[str, Any] = {"record": record([0.0, 0.0]), "classes": [same, same], "parameters": [],
                             "fitted_on": day, "issued_from": day, **changes}  # fmt: skip
    found = drift_table(**given).set_index("check")
    assert list(found.index) == list(RULES)
    value = found.loc[check, "light"]
    return None if pd.isna(value) else str(value)


def test_every_light_follows_its_rule() -> None:
    assert light("last quarters") == GREEN
    assert light("last quarters", record=record([0.3, 0.0])) == AMBER
    assert light("last quarters", record=record([0.3, -0.3])) == AMBER  # not on the same side
    assert light("last quarters", record=record([0.3, 0.3])) == RED
    assert light("last quarters", record=record([])) is None
    assert light("bias", record=record([0.1] * 3)) == AMBER
    assert light("bias", record=record([0.1] * 6)) == RED
    assert light("bias", record=record([0.1, -0.1] * 3)) == GREEN
    classes = [pd.Series({"0": 70, "1": 30}), pd.Series({"0": 30, "1": 70})]
    assert light("known customers", classes=classes) == RED
    assert light("known customers", classes=[]) is None
    before = {"a": {"estimate": 1.0, "standard_error": 0.1}}
    # Three errors are chance; many errors of a large shop's certain parameter are not much of a change.
    for moved, expected in ((1.3, GREEN), (1.6, AMBER), (0.5, AMBER)):
        after = {"a": {"estimate": moved, "standard_error": 0.1}}
        assert light("parameters", parameters=[before, after]) == expected
    sure = {"a": {"estimate": 1.0, "standard_error": 0.01}}
    assert light("parameters", parameters=[sure, {"a": {"estimate": 1.2, "standard_error": 0.01}}]) == GREEN
    assert light("parameters", parameters=[before]) is None
    old = dt.date(2026, 1, 1)
    assert light("age of the model", fitted_on=old) == AMBER
    assert light("age of the model", fitted_on=old - dt.timedelta(days=200)) == RED
    new = record([0.3]).assign(group="new", target="acquired")
    both = pd.concat([record([0.0]), new])
    assert light("new customers", record=both) == RED
    assert light("new customers") is None


def test_advice_is_the_worst_light() -> None:
    table = pd.DataFrame({"check": ["bias", "parameters"], "light": [GREEN, None]})
    assert advice(table) == "No need to refit: every check that could be made is green."
    assert "look before the next" in advice(table.assign(light=[AMBER, GREEN]))
    assert advice(table.assign(light=[RED, RED])) == (
        "Refit before the next forecast is issued (red: bias, parameters)."
    )
    assert stability_index(pd.Series({"a": 1}), pd.Series({"b": 1})) > 5.0


# --- the level of spend -------------------------------------------------------------------------------


def test_errors_that_return_are_expected_to_return() -> None:
    start = dt.date(2018, 1, 1)
    cuts = [start + dt.timedelta(days=91 * k) for k in range(25)]
    misses = [
        Miss(a, b, 0.3 if k % 4 == 1 else 0.0, 5000.0) for k, (a, b) in enumerate(itertools.pairwise(cuts))
    ]
    levels, sd = level_ahead(misses, cuts[-1])
    quarters = levels[:24].reshape(4, 6).mean(axis=1)
    assert 0.6 * 0.3 < np.log(quarters[1]) < 0.3  # drawn to what is usual
    assert quarters[[0, 2, 3]] == pytest.approx(np.ones(3), abs=0.08)
    assert sd < 0.12
    later = [*misses, Miss(cuts[-1], cuts[-1] + dt.timedelta(days=91), 3.0, 5000.0)]
    assert (level_ahead(later, cuts[-1])[0] == levels).all()  # not over yet when the forecast was made


@pytest.fixture(scope="module")
def growing() -> pd.DataFrame:
    """Baskets grow by a tenth each quarter, which no customer's mean of the past can know."""
    frame = simulate(calm(1000), size=2500)
    age = (frame["order_date"] - frame["order_date"].min()).dt.days
    return frame.assign(value=(frame["value"] * np.exp(0.1 * age / 91.0)).round(2))


def test_growing_baskets_are_learned_and_cents_teach_the_same(growing: pd.DataFrame) -> None:
    as_of = growing["order_date"].max() - pd.Timedelta(days=91)
    euros, cents = (
        forecast.fit(forecast.read_orders(growing.assign(value=growing["value"] * f), currency="EUR"), as_of,
                     method="mle") for f in (1.0, 100.0)
    )  # fmt: skip
    taught = euros.clv.calibration
    assert 1.1 < taught.spend_level(0.0, 91.0) < 2.0
    assert taught.spend_sd > 0.0
    assert cents.clv.calibration.spend_levels == pytest.approx(taught.spend_levels, rel=1e-6)
    orders = forecast.read_orders(growing, currency="EUR")
    scores = euros.score(orders, 91, (), as_of=as_of)
    bare = forecast.Model(
        euros.clv.__class__(**{**euros.clv.__dict__, "calibration": Calibration(levels=taught.levels)}),
        euros.provenance,
    ).score(orders, 91, (), as_of=as_of)
    daily = orders.to_frame()
    inside = daily[(daily["order_day"] > as_of) & daily["customer_id"].isin(scores["customer_id"])]
    came, said, without = inside["value"].sum(), scores["expected_value"].sum(), bare["expected_value"].sum()
    assert abs(np.log(said / came)) < 0.65 * abs(np.log(without / came))
    assert "Values of repeat purchases are multiplied by" in euros.card()


def test_a_model_asked_for_by_name_learns_no_level(growing: pd.DataFrame) -> None:
    model = forecast.fit(forecast.read_orders(growing, currency="EUR"), purchases="bg-nbd", method="mle")
    assert model.clv.calibration.to_dict() == Calibration().to_dict()
