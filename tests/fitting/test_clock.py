"""The seasonal clock: what time it makes, what it learns from, and what it must not see."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seasonal_shop import FIRST, TRUTH, calm, christmas, days, read, simulate

from forecast.errors import FitError, InputError
from forecast.fitting.clock import LEAST_DAYS, WINDOWS, Clock, features, fit_clock
from forecast.fitting.fitted import Fitted
from forecast.fitting.spec import BG_NBD
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.summary import purchase_histories
from forecast.summary.statistics import DayCounts, PurchaseCounts, group_purchases

DAY = dt.timedelta(days=1)
LENGTH = 1200
AS_OF = FIRST + (LENGTH - 1) * DAY
FLAT = Clock(AS_OF, 2, (), np.zeros(4), np.zeros(4))
BG = Fitted.from_parameters(
    BG_NBD, dict(zip(BG_NBD.parameters, TRUTH["bg-nbd"], strict=True)), "given, not fitted"
)


def histories(frame: pd.DataFrame) -> tuple[pd.DataFrame, DayCounts]:
    """Histories on the last day, with their days."""
    found = purchase_histories(read(frame), AS_OF)
    table = found.to_frame()
    counts = DayCounts.of(PurchaseCounts(*found.purchase_counts()), found.as_of, found.repeat_days())
    found.close()
    return table, counts


@pytest.fixture(scope="module")
def seasonal() -> tuple[pd.DataFrame, DayCounts]:
    return histories(simulate(christmas(LENGTH), size=2500))


@pytest.fixture(scope="module")
def fitted(seasonal: tuple[pd.DataFrame, DayCounts]) -> Clock:
    return fit_clock(BG_NBD, seasonal[1])


# --- time on the clock --------------------------------------------------------------------------------


def test_a_day_of_a_window_counts_as_that_day_and_no_other() -> None:
    """Twice the intensity from 1 to 20 December: time passes at the end of each day."""
    clock = Clock(dt.date(2023, 6, 1), 0, ("before-christmas",), np.log([2.0]), np.zeros(1))
    for day, time in (("11-29", 1.0), ("11-30", 2.0), ("12-19", 2.0), ("12-20", 1.0)):
        after = dt.date.fromisoformat(f"2023-{day}")
        assert clock.ahead(after, 1.0) == pytest.approx(time)
        assert clock.ahead(after, 1) == pytest.approx(time)
        assert clock.ahead(after, 0.25) == pytest.approx(0.25 * time)
        assert clock.since(np.array([after]), after + DAY) == pytest.approx([time])
    assert clock.ahead(dt.date(2022, 11, 30), 365) == pytest.approx(365 + 20)


def test_the_week_of_black_friday_moves_with_the_year() -> None:
    year = np.arange(np.datetime64("2022-01-01"), np.datetime64("2025-01-01"))
    inside = year[features(year, 0, ("black-friday",))[:, 0] == 1.0]
    thanksgiving = {2022: "2022-11-24", 2023: "2023-11-23", 2024: "2024-11-28"}
    expected = [
        np.datetime64(day) + np.timedelta64(k, "D") for day in thanksgiving.values() for k in range(-3, 5)
    ]
    assert inside.tolist() == np.array(expected).tolist()
    assert features(year, 3, ("black-friday", "after-christmas")).shape == (len(year), 8)
    assert features(year[:0], 1, ("black-friday",)).shape[0] == 0


@given(cuts=st.lists(st.integers(0, 400), min_size=1, max_size=5), seed=st.integers(0, 5))
def test_time_adds_up(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    clock = Clock(AS_OF, 4, ("black-friday",), rng.normal(0.0, 0.4, 9), np.zeros(9))
    ends = sorted({0, *cuts, 400})
    parts = [clock.ahead(AS_OF + a * DAY, b - a) for a, b in pairwise(ends)]
    assert sum(parts) == pytest.approx(clock.ahead(AS_OF, 400))
    assert clock.ahead(AS_OF, ends) == pytest.approx([clock.ahead(AS_OF, end) for end in ends])
    ages = np.array([np.datetime64(AS_OF) - np.timedelta64(int(k), "D") for k in ends])
    assert clock.since(ages, AS_OF) == pytest.approx(
        [clock.ahead(AS_OF - k * DAY, k) for k in ends], abs=1e-9
    )


def test_nobodys_time_depends_on_who_else_is_asked_about(fitted: Clock) -> None:
    born = days(LENGTH)[::7]
    every = fitted.since(born, AS_OF)
    assert (fitted.since(born[::-1], AS_OF)[::-1] == every).all()
    assert [float(fitted.since(born[[k]], AS_OF)[0]) for k in (0, 50, 170)] == every[[0, 50, 170]].tolist()
    assert fitted.since(born[:0], AS_OF).shape == (0,)


def test_without_coefficients_the_clock_is_the_calendar_exactly(
    seasonal: tuple[pd.DataFrame, DayCounts],
) -> None:
    frame, counts = seasonal
    plain, clocked = ClvModel(BG), ClvModel(BG, clock=FLAT)
    one, other = Customers.from_frame(frame, plain), Customers.from_frame(frame, clocked)
    assert (one.t_x == other.t_x).all()
    assert (one.T == other.T).all()
    a, b = (predict_customers(m, c, days=91, levels=(80,)) for m, c in ((plain, one), (clocked, other)))
    for name in a:
        assert np.array_equal(a[name], b[name], equal_nan=True), name
    assert FLAT.ahead(AS_OF, 91) == 91.0
    on = counts.on(np.ones(LENGTH))
    assert np.bincount((on.T).astype(int), on.weight).tolist() == np.bincount(frame["T"]).tolist()


def test_fit_and_forecast_read_the_same_time(seasonal: tuple[pd.DataFrame, DayCounts], fitted: Clock) -> None:
    frame, counts = seasonal
    customers = Customers.from_frame(frame, ClvModel(BG, clock=fitted))
    on = counts.on(fitted.intensity(counts.days))
    for name in ("t_x", "T"):
        own, grouped = getattr(customers, name), np.repeat(getattr(on, name), on.weight.astype(int))
        assert np.sort(own) == pytest.approx(np.sort(grouped), abs=1e-8)
    assert customers.t_x[0] == pytest.approx(
        fitted.ahead(
            frame["first_purchase"][0].date(),
            (frame["last_purchase"][0] - frame["first_purchase"][0]).days,
        )
    )


def test_customers_without_days_or_of_several_days_are_refused(
    seasonal: tuple[pd.DataFrame, DayCounts],
) -> None:
    frame, model = seasonal[0].head(5), ClvModel(BG, clock=FLAT)
    with pytest.raises(InputError, match="needs the columns first_purchase, last_purchase"):
        Customers.from_frame(frame.drop(columns=["first_purchase", "last_purchase"]), model)
    with pytest.raises(InputError, match="do not end on one day"):
        Customers.from_frame(frame.assign(T=frame["T"] + np.arange(5)), model)
    bare = Customers(np.zeros(1), np.zeros(1), np.ones(1))
    with pytest.raises(InputError, match="the histories come without days"):
        predict_customers(model, bare, days=91)


def test_plain_data_keep_the_clock_as_it_is(fitted: Clock) -> None:
    again = Clock.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.to_dict() == fitted.to_dict()
    assert (again.intensity(days(LENGTH)) == fitted.intensity(days(LENGTH))).all()


# --- what is learned ----------------------------------------------------------------------------------


def test_a_season_is_found(fitted: Clock) -> None:
    truth, found = christmas(LENGTH)[-365:], fitted.intensity(days(LENGTH)[-365:])
    assert np.corrcoef(truth, found)[0, 1] > 0.97
    assert abs(int(truth.argmax()) - int(found.argmax())) <= 5
    assert found.max() == pytest.approx(truth.max(), rel=0.15)
    swing = fitted.swing()
    assert swing["peak_month"] == 12
    assert 1.7 < swing["peak"] < 2.8
    errors = fitted.standard_errors
    assert (errors > 0.0).all()
    assert (np.abs(fitted.coefficients[:2]) > 3.0 * errors[:2]).any()


def test_the_mean_is_one_over_the_four_years_before(fitted: Clock) -> None:
    reference = np.datetime64(AS_OF) - np.arange(1461) * np.timedelta64(1, "D")
    assert fitted.intensity(reference).mean() == pytest.approx(1.0, rel=1e-12)
    assert fitted.as_of == AS_OF


def test_a_named_window_takes_up_what_waves_cannot() -> None:
    intensity = calm(LENGTH)
    inside = features(days(LENGTH), 0, ("black-friday",))[:, 0] == 1.0
    intensity[inside] = 4.0
    _, counts = histories(simulate(intensity, size=2500))
    clock = fit_clock(BG_NBD, counts, 2, ("black-friday",))
    assert np.exp(clock.coefficients[-1]) == pytest.approx(4.0, rel=0.2)
    assert np.exp(2.0 * np.abs(clock.coefficients[:-1]).max()) < 1.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shop_without_seasons_gets_none(seed: int) -> None:
    clock = fit_clock(BG_NBD, histories(simulate(calm(LENGTH), size=2500, seed=seed))[1])
    assert np.abs(clock.intensity(days(LENGTH)) - 1.0).max() < 0.08
    assert clock.facts["spread"] < 0.05
    assert clock.facts["dispersion"] < 1.3


def test_promotions_of_one_year_are_noise_not_season() -> None:
    intensity = calm(LENGTH)
    for start in (100, 580, 730, 990):  # never the same weeks
        intensity[start : start + 14] = 3.0
    _, counts = histories(simulate(intensity, size=2500))
    clock = fit_clock(BG_NBD, counts)
    assert clock.facts["dispersion"] > 2.0
    assert np.abs(clock.intensity(days(LENGTH)) - 1.0).max() < 0.5


def test_first_purchases_are_no_season(seasonal: tuple[pd.DataFrame, DayCounts]) -> None:
    frame, counts = seasonal
    assert counts.repeats.sum() == frame["frequency"].sum()
    orders = simulate(calm(LENGTH), size=2500)
    before = fit_clock(BG_NBD, histories(orders)[1])
    crowd = pd.DataFrame(
        {
            "customer_id": [f"x{k:04d}" for k in range(400)],
            "order_date": days(LENGTH)[700].astype("datetime64[s]"),
            "value": 20.0,
        }
    )
    _, more = histories(pd.concat([orders, crowd], ignore_index=True))
    after = fit_clock(BG_NBD, more)
    assert more.weight.sum() == 2900
    assert more.repeats.sum() == histories(orders)[1].repeats.sum()
    near = days(LENGTH)[690:710]
    assert np.abs(after.intensity(near) - before.intensity(near)).max() < 0.05


def test_neither_the_order_of_rows_nor_their_grouping_matters(
    seasonal: tuple[pd.DataFrame, DayCounts], fitted: Clock
) -> None:
    frame, counts = seasonal
    mixed = frame.sample(frac=1.0, random_state=3)
    repeats = (counts.days[::-1], counts.repeats[::-1])
    straight, again = (
        fit_clock(
            BG_NBD,
            DayCounts.of(
                group_purchases(*(f[name].to_numpy() for name in ("frequency", "recency", "T"))),
                AS_OF,
                repeats,
            ),
        ).coefficients
        for f in (frame, mixed)
    )
    assert (straight == again).all()
    assert again == pytest.approx(fitted.coefficients, abs=1e-9)
    times = counts.weight.astype(int)
    every = replace(
        counts,
        x=np.repeat(counts.x, times),
        first=np.repeat(counts.first, times),
        last=np.repeat(counts.last, times),
        weight=np.ones(times.sum()),
    )
    assert fit_clock(BG_NBD, every).coefficients == pytest.approx(fitted.coefficients, abs=1e-4)


def test_less_than_fourteen_months_are_refused() -> None:
    def counts(size: int) -> DayCounts:
        frame = simulate(calm(size), size=300)
        found = purchase_histories(read(frame), FIRST + (size - 1) * DAY)
        return DayCounts.of(PurchaseCounts(*found.purchase_counts()), found.as_of, found.repeat_days())

    with pytest.raises(FitError, match=r"424 days of history cannot carry .* until there are 425 days"):
        fit_clock(BG_NBD, counts(LEAST_DAYS - 1))
    assert fit_clock(BG_NBD, counts(LEAST_DAYS)).coefficients.shape == (16 + len(WINDOWS),)
