"""Newcomers: the closed form, simulation, coverage, groups, units, and what is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast import ArgumentError, FitError, InputError
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.fitting.clock import Clock
from forecast.fitting.design import OTHER
from forecast.maths import bgnbd, bgprocess
from forecast.periods import discount_steps
from forecast.predict import ClvModel, newcomers
from forecast.predict.calibration import Calibration
from forecast.predict.newcomers import newcomer_table
from forecast.summary import purchase_histories
from forecast.summary.first_orders import (
    FirstOrders,
    describe_first_orders,
    first_orders,
    shrunk_means,
)

AS_OF = dt.date(2026, 9, 30)
THETA = (0.8, 60.0, 0.9, 2.5)
BG = Fitted.from_parameters(
    purchase_model("bg-nbd"), dict(zip(("r", "alpha", "a", "b"), THETA, strict=True)), "given"
)
P, Q, GAMMA = 4.0, 5.0, 40.0  # mean spend 40
GG = Fitted.from_parameters(GAMMA_GAMMA, {"p": P, "q": Q, "gamma": GAMMA}, "given")
ALL = replace(GG, extra={"from": "all"})
FIRST = np.random.default_rng(5).gamma(3.0, 10.0, 4000)
KEPT = describe_first_orders(FIRST)


GIVEN = ClvModel(BG, GG)


def table(model: ClvModel = GIVEN, kept: Any = KEPT, **options: Any) -> pd.DataFrame:
    return newcomer_table(model, kept, **{"as_of": AS_OF, "days": 365, **options})


def row(*arguments: Any, **options: Any) -> pd.Series:
    return table(*arguments, **options).set_index("group").loc["all"]


def test_expectation_is_the_closed_form() -> None:
    """BG/NBD's E[X(h)] in the hypergeometric form of Fader, Hardie & Lee (2005), equation 9."""
    from scipy import special

    r, alpha, a, b = THETA
    h = 365.0
    repeats = (
        (a + b - 1)
        / (a - 1)
        * (1 - (alpha / (alpha + h)) ** r * special.hyp2f1(r, b, a + b - 1, h / (alpha + h)))
    )
    found = row(ClvModel(BG, GG, paid_share=0.9), margin=0.5)
    assert found["expected_repeat_purchases"] == pytest.approx(repeats, rel=1e-9)
    assert found["p_repeat"] == pytest.approx(1 - (alpha / (alpha + h)) ** r, rel=1e-9)
    assert found["first_order_value"] == pytest.approx(FIRST.mean(), rel=1e-12)
    spend = P * GAMMA / (Q - 1)
    assert found["expected_value"] == pytest.approx(0.5 * (FIRST.mean() + 0.9 * repeats * spend), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mbg-nbd", {"r": 0.8, "alpha": 60.0, "a": 0.9, "b": 2.5}),
        ("pareto-nbd", {"r": 0.8, "alpha": 60.0, "s": 0.7, "beta": 80.0}),
        ("mbg-cnbd-2", {"r": 0.8, "alpha": 30.0, "a": 0.9, "b": 2.5}),
    ],
)
def test_newcomers_are_those_that_the_model_simulates(name: str, parameters: dict[str, float]) -> None:
    spec = purchase_model(name)
    size = 40_000
    x, *_ = spec.formulas.simulate(np.random.default_rng(3), np.full(size, 200.0), 1.0, *parameters.values())
    found = row(ClvModel(Fitted.from_parameters(spec, parameters, "given"), GG), days=200)
    assert abs(found["expected_repeat_purchases"] - x.mean()) < 4.5 * x.std() / np.sqrt(size)
    assert abs(found["p_repeat"] - (x > 0).mean()) < 4.5 * 0.5 / np.sqrt(size)


@pytest.mark.parametrize("spend", [GG, ALL], ids=["repeat", "all"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_drawn_newcomers_have_the_expected_value(spend: Fitted, rate: float) -> None:
    """Single newcomers, drawn one by one, and the mean that is computed come from different formulas."""
    model = ClvModel(BG, spend, paid_share=0.8)
    lines = newcomers.Lines.of(model, KEPT, AS_OF, 365, rate)
    drawn = newcomers.draw_newcomers(lines, seed=1).mixed.ravel()
    error = drawn.std() / np.sqrt(len(drawn))
    assert abs(row(model, discount_rate=rate)["expected_value"] - drawn.mean()) < 4.5 * error


def world(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """First orders and values of the first year of customers of one shop, told by the processes alone."""
    x, *_ = bgprocess.walk(rng, *bgnbd.newcomer(rng, size, *THETA), np.full(size, 365.0), 1.0)
    nu = rng.gamma(Q, 1.0 / GAMMA, size)
    first = rng.gamma(P, 1.0 / nu)
    return first, first + np.where(x > 0, rng.gamma(P * np.maximum(x, 1)) / nu, 0.0)


def test_intervals_cover_customers_won_later() -> None:
    rng = np.random.default_rng(8)
    first, _ = world(5000, rng)
    _, value = world(20_000, rng)
    found = row(ClvModel(BG, ALL), describe_first_orders(first), levels=(50, 80, 95))
    for level in (50, 80, 95):
        inside = (found[f"value-lo-{level}"] <= value) & (value <= found[f"value-hi-{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.012)
    below = (value < found["value-lo-80"]).mean()
    assert below == pytest.approx(0.1, abs=0.012)
    # One who takes the first order for independent of the next ones is too sure of himself.
    narrow = row(ClvModel(BG, GG), describe_first_orders(first), levels=(95,))
    assert narrow["value-hi-95"] < found["value-hi-95"]


def test_customers_of_a_real_shop_who_were_left_out() -> None:
    """CDNOW: half the customers teach, the other half are newcomers; a year after each one's first order."""
    frame = forecast.cdnow("master").assign(order_date=lambda f: pd.to_datetime(f["order_date"]))
    taught = frame["customer_id"].astype(int) % 2 == 0
    found = forecast.fit(forecast.read_orders(frame[taught], currency="USD"), purchases="bg-nbd").newcomers(
        365
    )
    rest = frame[~taught]
    age = rest["order_date"] - rest.groupby("customer_id")["order_date"].transform("min")
    value = rest[age <= pd.Timedelta(days=365)].groupby("customer_id")["value"].sum()
    line = found.iloc[0]
    assert line["expected_value"] == pytest.approx(value.mean(), rel=0.1)
    for level, slack in ((80, 0.04), (95, 0.02)):
        inside = (line[f"value-lo-{level}"] <= value) & (value <= line[f"value-hi-{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=slack)


def test_a_fitted_shop_covers_customers_won_later() -> None:
    """Everything estimated: parameters, spend, first orders; days and orders as a shop writes them."""
    rng = np.random.default_rng(4)
    size, h = 3000, 180
    start = rng.integers(0, 500, size)
    nu = rng.gamma(Q, 1.0 / GAMMA, size)
    who, when = bgnbd.times(rng, np.full(size, 700.0) - start, *THETA)
    customer = np.concatenate([np.arange(size), who])
    day = np.concatenate([start, start[who] + np.maximum(np.ceil(when), 1)]).astype(int)
    value = rng.gamma(P, 1.0 / nu[customer])
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{c}" for c in customer],
            "order_date": np.datetime64("2023-01-01") + day,
            "value": value,
        }
    )
    taught = customer < 1500
    orders = forecast.read_orders(frame[taught])
    line = forecast.fit(orders, purchases="bg-nbd", spend="all").newcomers(h).iloc[0]
    won = ~taught & (day - start[customer] <= h)
    truth = np.bincount(customer[won] - 1500, value[won], minlength=1500)
    for level in (80, 95):
        inside = (line[f"value-lo-{level}"] <= truth) & (truth <= line[f"value-hi-{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.04)
    error = 3.0 * truth.std() / np.sqrt(len(truth))
    assert line["expected_value-lo-95"] - error < truth.mean() < line["expected_value-hi-95"] + error


def test_the_means_limits_cover_the_true_mean() -> None:
    """Only the first order's mean is unsure here: 60 shops of 150 customers, and 80 % of them hit."""
    rng = np.random.default_rng(2)
    truth = P * GAMMA / (Q - 1)
    model = ClvModel(BG, GG)
    repeats = row(model)["expected_repeat_purchases"] * truth
    hits = 0
    for k in range(60):
        found = row(model, describe_first_orders(world(150, rng)[0]), levels=(80,), seed=k)
        hits += found["expected_value-lo-80"] <= truth + repeats <= found["expected_value-hi-80"]
        assert found["value-lo-80"] < found["expected_value-lo-80"]
        assert found["value-hi-80"] > found["expected_value-hi-80"]
    assert 38 <= hits <= 56


def test_more_customers_make_the_mean_surer() -> None:
    few, many = (row(kept=describe_first_orders(FIRST[:size]), levels=80) for size in (40, 4000))
    width = [found["expected_value-hi-80"] - found["expected_value-lo-80"] for found in (few, many)]
    assert width[1] < 0.2 * width[0]


def test_an_unsure_level_is_in_the_limits_of_the_mean() -> None:
    plain, unsure = (
        row(ClvModel(BG, GG, calibration=Calibration(level_sd=sd)), levels=80) for sd in (0.0, 0.2)
    )
    width = [found["expected_value-hi-80"] - found["expected_value-lo-80"] for found in (plain, unsure)]
    assert width[1] > 3 * width[0]
    assert plain["expected_value"] == unsure["expected_value"]


def test_time_runs_on_the_models_clock_from_the_day_after() -> None:
    """A season and a level: the first repeat purchase can come on the second day after ``as_of``."""
    clock = Clock(AS_OF, 1, (), np.array([0.6, 0.3]), np.zeros(2))
    calibration = Calibration(levels=np.array([0.7]))
    time = 0.7 * float(clock.ahead(AS_OF + dt.timedelta(days=1), [90.0])[0])
    assert abs(time - 0.7 * float(clock.ahead(AS_OF, [90.0])[0])) > 0.1  # else the day could not be told
    expected = float(bgprocess.expectation(*THETA, time))
    found = row(ClvModel(BG, GG, clock=clock, calibration=calibration), days=90)
    assert found["expected_repeat_purchases"] == pytest.approx(expected, rel=1e-9)


def test_the_learned_shape_is_in_chances_and_draws() -> None:
    warp = Calibration(knots=np.array([0.0, 0.3, 1.0]), warped=np.array([0.0, 0.5, 1.0]))
    model = ClvModel(BG, GG, calibration=warp)
    found = row(model)
    plain = row()
    assert found["p_repeat"] == pytest.approx(float(warp.above(np.array([plain["p_repeat"]]))[0]))
    assert found["expected_repeat_purchases"] == plain["expected_repeat_purchases"]
    lines = newcomers.Lines.of(model, KEPT, AS_OF, 365, 0.0)
    _, _, (starts, beyond) = lines.purchases(0)
    line = np.zeros(40_000, np.int64)
    counts = newcomers._counts(model, np.random.default_rng(0), line, starts, beyond)
    assert (counts > 0).mean() == pytest.approx(found["p_repeat"], abs=0.012)


def test_discounting() -> None:
    plain = table()
    pd.testing.assert_frame_equal(table(discount_rate=0.0), plain)
    found = row(discount_rate=0.25)
    ends, factors = discount_steps(365, 0.25)
    until = np.array([float(bgprocess.expectation(*THETA, float(end))) for end in ends])
    repeats = float(factors @ np.diff(until, prepend=0.0))
    assert found["expected_value"] == pytest.approx(
        found["first_order_value"] + repeats * P * GAMMA / (Q - 1), rel=1e-9
    )
    assert found["first_order_value"] == row()["first_order_value"]


def test_margin_scales_money_and_nothing_else() -> None:
    whole, half = row(), row(margin=0.5)
    for name in whole.index:
        scaled = "value" in name and name != "first_order_value"
        assert half[name] == pytest.approx(whole[name] * (0.5 if scaled else 1.0), rel=1e-12), name


def test_the_seed_decides() -> None:
    pd.testing.assert_frame_equal(table(seed=4), table(seed=4))
    a, b = row(seed=4), row(seed=5)
    assert a["value-hi-80"] != b["value-hi-80"]
    assert a["expected_value"] == b["expected_value"]
    assert a["value-hi-80"] == pytest.approx(b["value-hi-80"], rel=0.05)


def shop(seed: int = 1, sizes: tuple[int, ...] = (400, 300, 5)) -> pd.DataFrame:
    """Three channels; the last is thin and its few orders are far too large."""
    rng = np.random.default_rng(seed)
    rows = []
    for channel, size, spend in zip(("ads", "mail", "fair"), sizes, (20.0, 40.0, 120.0), strict=True):
        for i in range(size):
            first = int(rng.integers(0, 300))
            days = first + np.cumsum(1 + rng.integers(1, 90, rng.poisson(1.0)))
            level = spend * rng.gamma(6.0, 1 / 6.0)
            rows += [
                (f"{channel}-{i}", np.datetime64("2023-01-01") + np.timedelta64(int(day), "D"), round(level * rng.gamma(5.0, 0.2) + 0.01, 2), channel)
                for day in (first, *days) if day < 500
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=["customer_id", "order_date", "value", "channel"])


@pytest.fixture(scope="module")
def model() -> forecast.Model:
    orders = forecast.read_orders(shop(), currency="EUR")
    return forecast.fit(orders, by="channel", purchases="bg-nbd")


def test_groups_add_up_and_are_ordered(model: forecast.Model) -> None:
    found = model.newcomers(365).set_index("group")
    assert list(found.index) == ["all", "ads", "fair", "mail", OTHER]
    assert found["customers_observed"].tolist() == [705, 400, 5, 300, 0]
    share = found["customers_observed"].iloc[1:] / 705
    for name in ("first_order_value", "p_repeat", "expected_repeat_purchases", "expected_value"):
        assert found[name].iloc[1:] @ share == pytest.approx(found.loc["all", name], rel=1e-12), name
    orders = shop().sort_values("order_date").groupby("customer_id").first()
    assert found.loc["all", "first_order_value"] == pytest.approx(orders["value"].mean(), rel=1e-9)
    assert found.loc["ads", "expected_value"] < found.loc["mail", "expected_value"]
    width = found["expected_value-hi-80"] - found["expected_value-lo-80"]
    assert width["all"] < width["mail"] < width["fair"] < width[OTHER]
    assert found.loc["all", "value-lo-80"] > found.loc["ads", "value-lo-80"]
    assert (
        found.loc["ads", "value-hi-80"] < found.loc["all", "value-hi-80"] < found.loc["fair", "value-hi-80"]
    )


def test_each_group_has_its_own_parameters(model: forecast.Model) -> None:
    """Against scores of customers of each group who bought once, on the last day: newcomers of a day ago."""
    found = model.newcomers(180).set_index("group")
    late = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "order_date": [str(model.as_of)] * 3,
            "value": [10.0] * 3,
            "channel": ["ads", "fair", "mail"],
        }
    )
    scores = model.score(forecast.read_orders(late, currency="EUR"), 180)
    expected = found.loc[["ads", "fair", "mail"], "expected_repeat_purchases"]
    assert scores["expected_purchases"].tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    assert scores["p_purchase"].tolist() == pytest.approx(
        found.loc[["ads", "fair", "mail"], "p_repeat"].tolist(), rel=1e-9
    )


def test_a_thin_groups_mean_is_shrunk(model: forecast.Model) -> None:
    firsts = shop().sort_values("order_date").groupby("customer_id").first()
    own = firsts.groupby("channel")["value"].mean()
    found = model.newcomers(365).set_index("group")["first_order_value"]
    assert found["mail"] < found["fair"] < 0.97 * own["fair"]
    assert found["ads"] == pytest.approx(own["ads"], rel=0.02)


def test_shrinkage_follows_its_formula() -> None:
    n, m, s = np.array([50.0, 50.0, 2.0]), np.array([10.0, 30.0, 60.0]), np.array([8.0, 12.0, 10.0])
    found = shrunk_means(n, m, s)
    within = (49 * 64 + 49 * 144 + 1 * 100) / 99
    grand = n @ m / 102
    between = (n @ (m - grand) ** 2 - 2 * within) / (102 - n @ n / 102)
    share = between / (between + within / n)
    weight = 1 / (between + within / n)
    assert found.mean == pytest.approx(share * m + (1 - share) * (weight @ m) / weight.sum())
    assert found.sd == pytest.approx(np.sqrt(1 / (1 / between + n / within)))
    alike = shrunk_means(n, np.full(3, 10.0), s)
    assert alike.between == 0.0
    assert alike.mean == pytest.approx(np.full(3, 10.0))
    noisy = shrunk_means(np.full(2, 5.0), np.array([10.0, 11.0]), np.full(2, 20.0))
    assert noisy.mean == pytest.approx(np.full(2, 10.5))  # no more apart than chance: one mean


def test_shrinkage_keeps_the_sum() -> None:
    n, m, s = (
        np.array([80.0, 9.0, 2.0, 31.0]),
        np.array([10.0, 30.0, 60.0, 5.0]),
        np.array([8.0, 12.0, 10.0, 3.0]),
    )
    found = shrunk_means(n, m, s)
    assert abs(found.mean - m).max() > 1.0
    assert n @ found.mean == pytest.approx(n @ m, rel=1e-12)


def test_groups_that_share_one_mean_share_its_error() -> None:
    """Independent errors would cancel in the whole, which would then look surer than its customers make it."""
    values = np.tile(FIRST[:400], 2)
    first = FirstOrders.from_dict(describe_first_orders(values, np.repeat(["a", "b"], 400), "channel"))
    factors = first.factors(np.random.default_rng(0), 20_000)
    assert np.ptp(factors, axis=1).max() < 1e-9
    assert (factors @ first.shares).std() == pytest.approx(
        values.std() / values.mean() / np.sqrt(800), rel=0.05
    )


def test_one_newcomer_of_an_unknown_group_is_less_sure_than_any() -> None:
    groups = np.arange(4000) % 8
    values = FIRST / FIRST.mean() * 10.0 * 1.5**groups
    found = table(GIVEN, describe_first_orders(values, groups.astype(str), "channel"), days=1, levels=80)
    ratio = (found["value-hi-80"] / found["value-lo-80"]).set_axis(found["group"])
    assert ratio[OTHER] > 1.3 * ratio[[str(g) for g in range(8)]].max()
    # The spread between groups enters once: a group not seen is about as wide as the mix of all.
    assert ratio[OTHER] == pytest.approx(ratio["all"], rel=0.4)


def test_a_thin_group_varies_as_groups_do_within() -> None:
    groups = np.repeat(["dear", "poor", "thin"], [2000, 1990, 10])
    values = FIRST * np.where(groups == "dear", 20.0, 1.0)
    first = FirstOrders.from_dict(describe_first_orders(values, groups, "channel"))
    drawn = first.draw(np.random.default_rng(0), np.full(20_000, 2))
    assert np.quantile(drawn, 0.9) / np.quantile(drawn, 0.1) == pytest.approx(
        np.quantile(FIRST, 0.9) / np.quantile(FIRST, 0.1), rel=0.25
    )


def test_shrunk_means_are_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(9)
    n = rng.integers(2, 60, 200).astype(float)
    truth = rng.normal(40.0, 5.0, 200)
    drawn = [rng.normal(t, 30.0, int(k)) for t, k in zip(truth, n, strict=True)]
    own = np.array([d.mean() for d in drawn])
    found = shrunk_means(n, own, np.array([d.std(ddof=1) for d in drawn]))
    assert np.square(found.mean - truth).mean() < 0.5 * np.square(own - truth).mean()
    error = np.hypot(found.sd, (1 - found.own_share) * found.centre_sd)
    assert (np.abs(found.mean - truth) < 1.2816 * error).mean() == pytest.approx(0.8, abs=0.08)


def test_drawn_first_orders_have_the_mean_and_the_shape() -> None:
    groups = np.repeat(["few", "many"], [6, 3994])
    values = np.where(groups == "few", 3.0 * FIRST, FIRST)
    first = FirstOrders.from_dict(describe_first_orders(values, groups, "channel"))
    assert first.shares @ first.mean == pytest.approx(values.mean(), rel=1e-12)
    for line in range(3):
        assert first.values[line] @ first.weights[line] == pytest.approx(first.mean[line], rel=1e-9)
    rng = np.random.default_rng(0)
    drawn = first.draw(rng, np.ones(40_000, np.int64))
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(FIRST, [0.1, 0.5, 0.9]), rel=0.05)
    factors = first.factors(rng, 40_000)
    assert factors.mean(axis=0) == pytest.approx(np.ones(3), abs=0.02)
    assert factors[:, 1].std() == pytest.approx(FIRST.std() / FIRST.mean() / np.sqrt(3994), rel=0.1)


def test_no_customer_is_kept_in_a_model() -> None:
    rng = np.random.default_rng(1)
    values = rng.gamma(2.0, 20.0, 103)
    kept = describe_first_orders(values, np.repeat(["a", "b"], [100, 3]), "channel")
    assert not set(values) & set(kept["whole"]["values"])
    assert len(kept["whole"]["values"]) == 20
    assert np.mean(kept["whole"]["values"]) == pytest.approx(values.mean(), rel=1e-12)
    assert len(kept["groups"][1]["values"]) == 1


def test_the_database_and_the_frame_agree() -> None:
    histories = purchase_histories(forecast.read_orders(shop()), by=["channel"])
    frame = histories.to_frame()
    kept = first_orders(histories, "channel")
    assert [line["group"] for line in kept["groups"]] == ["ads", "fair", "mail"]
    for line in kept["groups"]:
        own = frame.loc[frame["channel"] == line["group"], "first_value"]
        assert (line["customers"], line["mean"], line["sd"]) == pytest.approx(
            (len(own), own.mean(), own.std())
        )


def test_cents_are_euros_times_a_hundred() -> None:
    frame = shop(2, (300, 200, 20))
    euros, cents = (
        forecast.fit(
            forecast.read_orders(frame.assign(value=frame["value"] * unit)), by="channel", purchases="bg-nbd"
        ).newcomers(365, discount_rate=0.1, seed=3)
        for unit in (1, 100)
    )
    money = [c for c in euros if "value" in c]
    np.testing.assert_allclose(
        cents[money], 100 * euros[money], rtol=0.01
    )  # the fit's own draws differ a little
    np.testing.assert_allclose(cents["p_repeat"], euros["p_repeat"], rtol=1e-6)
    given = ClvModel(BG, Fitted.from_parameters(GAMMA_GAMMA, {"p": P, "q": Q, "gamma": 100 * GAMMA}, "given"))
    exact = table(given, describe_first_orders(100 * FIRST))
    np.testing.assert_allclose(exact[money], 100 * table()[money], rtol=1e-9)


def test_a_saved_model_gives_the_same_numbers(model: forecast.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "shop")
    again = forecast.load(tmp_path / "shop")
    pd.testing.assert_frame_equal(again.newcomers("180D"), model.newcomers(180))


def test_free_first_orders_count() -> None:
    kept = describe_first_orders(np.where(np.arange(4000) < 1000, 0.0, FIRST))
    model = ClvModel(BG, ALL)
    found = row(model, kept)
    lines = newcomers.Lines.of(model, kept, AS_OF, 365, 0.0)
    drawn = newcomers.draw_newcomers(lines, seed=0).mixed.ravel()
    assert found["first_order_value"] == pytest.approx(FIRST[1000:].sum() / 4000)
    assert abs(found["expected_value"] - drawn.mean()) < 4.5 * drawn.std() / np.sqrt(len(drawn))
    nothing = row(kept=describe_first_orders(np.zeros(50)))
    assert nothing["first_order_value"] == nothing["value-lo-80"] == 0.0


def test_orders_without_money() -> None:
    frame = shop().drop(columns="value")
    model = forecast.fit(
        forecast.read_orders(frame, mapping={"value": None}), purchases="bg-nbd", by="channel"
    )
    found = model.newcomers(365)
    assert list(found) == [
        "group", "horizon_days", "customers_observed", "p_repeat", "expected_repeat_purchases",
    ]  # fmt: skip
    assert found.loc[0, "customers_observed"] == 705


def test_columns_in_order() -> None:
    assert list(table(levels=(80, 95))) == [
        "group", "horizon_days", "customers_observed", "first_order_value", "p_repeat",
        "expected_repeat_purchases", "expected_value", "expected_value-lo-80", "expected_value-hi-80",
        "expected_value-lo-95", "expected_value-hi-95", "value-lo-80", "value-hi-80", "value-lo-95",
        "value-hi-95",
    ]  # fmt: skip
    assert not [c for c in table(levels=()) if "-lo-" in c]


def test_an_older_model_must_be_fitted_again(model: forecast.Model) -> None:
    old = replace(model, provenance={k: v for k, v in model.provenance.items() if k != "first_orders"})
    with pytest.raises(InputError, match=r"no statistics of first orders.*Fit it again"):
        old.newcomers(365)


def test_a_group_without_a_finite_mean_is_refused(model: forecast.Model) -> None:
    assert model.spend is not None
    assert model.spend.effects is not None
    effects = model.spend.effects
    endless = replace(effects, draws=np.where(effects.column == 3, -60.0, effects.draws))  # q is 1 there
    own = replace(model, clv=replace(model.clv, spend=replace(model.spend, effects=endless)))
    with pytest.raises(FitError, match=r"no finite mean for \(any other\)\. Merge"):
        own.newcomers(365)


def test_covariates_are_refused() -> None:
    orders = forecast.read_orders(shop(), currency="EUR")
    model = forecast.fit(orders, purchases="bg-nbd", covariates={"rate": ["channel"]})
    with pytest.raises(InputError, match=r"covariates \(channel\).*by="):
        model.newcomers(365)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"level": 0.8}, "looks like a share"),
        ({"margin": 30}, "margin 30 is outside"),
        ({"discount_rate": 12}, "annual"),
        ({"seed": -1}, "seed is -1"),
        ({"horizon": 0}, "not positive"),
    ],
)
def test_options_that_cannot_be_meant(model: forecast.Model, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        model.newcomers(**options)
