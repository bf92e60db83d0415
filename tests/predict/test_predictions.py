"""Predictive distributions: exactness, calibration in simulation, sums, and what must not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from forecast import ArgumentError
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.maths import bgnbd, bgprocess, gammagamma
from forecast.predict import ClvModel, Customers, PortfolioTotals, population, predict_customers
from forecast.predict.customers import score_counts
from forecast.predict.portfolio import simulate_totals
from forecast.predict.tables import thin
from forecast.predict.tracking import expected_cumulative

BG = Fitted.from_parameters(purchase_model("bg-nbd"), {"r": 0.5, "alpha": 30.0, "a": 0.8, "b": 2.5}, "given")
GG = Fitted.from_parameters(GAMMA_GAMMA, {"p": 6.25, "q": 3.74, "gamma": 15.44}, "given")
MODEL = ClvModel(BG, GG)
SIZE = 20_000


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """Customers with a past, a future and spend, simulated from the model itself."""
    rng = np.random.default_rng(11)
    (draw,) = BG.each_draw()
    T = rng.integers(30, 720, SIZE).astype(float)
    rate, leave, gone = bgnbd.newcomer(rng, SIZE, *draw)
    x, t_x, alive, future = bgprocess.walk(rng, rate, leave, gone, T, 180.0)
    nu = gammagamma.newcomer(rng, SIZE, 6.25, 3.74, 15.44)
    seen = np.maximum(x, 1)
    m = np.where(x > 0, rng.gamma(6.25 * seen) / nu / seen, np.nan)
    value = np.where(future > 0, rng.gamma(6.25 * np.maximum(future, 1)) / nu, 0.0)
    return {
        "x": x.astype(float),
        "t_x": t_x,
        "T": T,
        "m": m,
        "alive": alive,
        "future": future,
        "value": value,
    }


def customers(world: dict[str, np.ndarray], rows: slice = slice(None)) -> Customers:
    x = world["x"][rows]
    return Customers(x, world["t_x"][rows], world["T"][rows], x, world["m"][rows])


@pytest.fixture(scope="module")
def found(world: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return predict_customers(MODEL, customers(world), days=180, levels=(50, 80, 95))


def test_closed_forms_agree_with_simulation(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> None:
    for name, truth in (
        ("p_alive", world["alive"]),
        ("expected_purchases", world["future"]),
        ("p_purchase", world["future"] > 0),
        ("expected_value", world["value"]),
    ):
        truth = truth.astype(float)
        error = (found[name] - truth).mean() / (truth.std() / np.sqrt(SIZE))
        assert abs(error) < 3.5, name
        # The same within classes of what was predicted, so that it is not right on average only.
        order = np.argsort(found[name], kind="stable")
        for part in np.array_split(order, 5):
            spread = max(truth[part].std(), 1e-9) / np.sqrt(len(part))
            assert abs(found[name][part].mean() - truth[part].mean()) < 4.5 * spread + 1e-9, name


@pytest.mark.parametrize("level", [50, 80, 95])
def test_intervals_cover_what_happens(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray], level: int
) -> None:
    for target, truth in (("purchases", world["future"]), ("value", world["value"])):
        lo, hi = found[f"{target}-lo-{level}"], found[f"{target}-hi-{level}"]
        # Upper limits are exact where the distribution is continuous; atoms can only add cover.
        assert (truth <= hi).mean() >= 0.5 + level / 200 - 0.006
        assert ((truth >= lo) & (truth <= hi)).mean() >= level / 100 - 0.006
    above = world["value"] > found[f"value-hi-{level}"]
    positive = found[f"value-hi-{level}"] > 0
    share = (0.5 - level / 200) * positive.sum()
    assert abs(above[positive].sum() - share) < 4 * np.sqrt(share) + 1


def exact_value_cdf(x: float, t_x: float, T: float, m: float, y: float, days: float) -> float:
    (draw,) = BG.each_draw()
    p, q, gamma = GG.each_draw()[0]
    alive = 1 / (1 + np.exp(bgnbd.log_odds_left(*draw, x=x, t_x=t_x, T=T)))
    n = np.arange(400)
    mass = bgprocess.pmf(*bgnbd.if_alive(*draw, x=x, t_x=t_x, T=T), days, n)
    v = y / (gamma + x * (m if x else 0.0))
    parts = special.betainc(p * np.maximum(n, 1), q + p * x, v / (1 + v))
    parts[0] = 1.0
    return float(1 - alive + alive * np.dot(mass, parts))


def test_value_quantiles_are_exact_to_the_stated_error(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> None:
    worst = 0.0
    for i in range(0, SIZE, 97):
        for name, share in (("hi-95", 0.975), ("hi-80", 0.9), ("hi-50", 0.75)):
            y = found[f"value-{name}"][i]
            at = [world[k][i] for k in ("x", "t_x", "T", "m")]
            if y == 0.0:
                assert exact_value_cdf(*at, 0.0, 180.0) >= share - 1e-9
            else:
                worst = max(worst, abs(exact_value_cdf(*at, y, 180.0) - share))
    assert worst < 0.0005


def test_purchase_quantiles_are_the_smallest_counts(
    found: dict[str, np.ndarray], world: dict[str, np.ndarray]
) -> None:
    (draw,) = BG.each_draw()
    for i in range(0, SIZE, 397):
        hi = found["purchases-hi-95"][i]
        r, alpha, a, b = bgnbd.if_alive(*draw, x=world["x"][i], t_x=0.0, T=world["T"][i])
        beyond = found["p_alive"][i] * bgprocess.tail(r, alpha, a, b, 180.0, np.array([hi, hi + 1]))
        assert beyond[1] <= 0.025 + 1e-9
        assert hi == 0 or beyond[0] > 0.025


def test_no_number_depends_on_the_block(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "BLOCK", 777)
    small = predict_customers(MODEL, customers(world), days=180, levels=(50, 80, 95))
    for name, values in found.items():
        assert (small[name] == values).all(), name


@given(order=st.permutations(range(60)))
def test_customers_may_come_in_any_order(order: list[int]) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 9, 60).astype(float)
    T = rng.integers(20, 300, 60).astype(float)
    known = Customers(
        x, np.where(x > 0, np.ceil(T / 2), 0.0), T, x, np.where(x > 0, rng.gamma(3.0, 9.0, 60), np.nan)
    )
    straight = predict_customers(MODEL, known, days=90, levels=80)
    shuffled = Customers(*(getattr(known, name)[order] for name in ("x", "t_x", "T", "n", "m")))
    for name, values in predict_customers(MODEL, shuffled, days=90, levels=80).items():
        assert (values == straight[name][order]).all(), name


def test_margin_and_discount_scale_value_and_its_intervals(world: dict[str, np.ndarray]) -> None:
    some = customers(world, slice(0, 500))
    plain = predict_customers(MODEL, some, days=365, levels=80)
    half = predict_customers(MODEL, some, days=365, levels=80, margin=0.5)
    later = predict_customers(MODEL, some, days=365, levels=80, discount_rate=0.2)
    assert half["expected_value"] == pytest.approx(plain["expected_value"] * 0.5)
    assert half["value-hi-80"] == pytest.approx(plain["value-hi-80"] * 0.5)
    ratio = later["expected_value"] / plain["expected_value"]
    assert ((ratio > 1.2**-1) & (ratio < 1.0)).all()
    assert later["value-hi-80"] == pytest.approx(plain["value-hi-80"] * ratio)
    assert (later["expected_purchases"] == plain["expected_purchases"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0.8}, r"level 0.8 looks like a share.*write 80 for 80 %"),
        ({"levels": (80, 101)}, "level 101 is outside 0 to 100"),
        ({"levels": "eighty"}, "level is not a number"),
        ({"discount_rate": 12}, r"discount_rate 12 would be 1200 % a year.*write 0.12 for 12 %"),
        ({"discount_rate": -0.1}, "discount_rate -0.1 is negative"),
        ({"discount_rate": float("nan")}, "discount_rate is not finite"),
        ({"margin": 30}, r"margin 30 is outside 0 to 1.*write 0.3 for 30 %"),
        ({"margin": -1}, "margin -1 is outside"),
        ({"margin": None}, "margin is not a number"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], message: str) -> None:
    one = Customers(np.zeros(1), np.zeros(1), np.ones(1))
    with pytest.raises(ArgumentError, match=message):
        predict_customers(ClvModel(BG), one, days=30, **options)


def test_thinning_is_a_binomial_mixture() -> None:
    offsets, tails = bgprocess.tail_table([2.0], [30.0], 0.8, [2.5], 90.0)
    thinned = thin(offsets, tails, 0.8)
    mass = -np.diff(tails, append=0.0)
    k = np.arange(len(tails))
    from scipy import stats

    by_hand = [np.dot(mass, stats.binom.pmf(j, k, 0.8)) for j in range(6)]
    assert -np.diff(thinned)[:6] == pytest.approx(by_hand, abs=1e-12)
    assert thinned[1:].sum() == pytest.approx(0.8 * tails[1:].sum(), rel=1e-9)
    assert thin(offsets, tails, 1.0) is tails


def test_free_purchases_do_not_inflate_value(world: dict[str, np.ndarray]) -> None:
    some = customers(world, slice(0, 300))
    paid = predict_customers(ClvModel(BG, GG, 0.8), some, days=180, levels=95)
    plain = predict_customers(MODEL, some, days=180, levels=95)
    assert paid["expected_value"] == pytest.approx(0.8 * plain["expected_value"])
    assert (paid["value-hi-95"] <= plain["value-hi-95"] * (1 + 1e-6)).all()
    draws = simulate_totals(ClvModel(BG, GG, 0.8), some, days=180, draws=4000)
    assert draws["value"].mean() == pytest.approx(paid["expected_value"].sum(), rel=0.02)


def test_portfolio_draws_have_the_exact_means(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> None:
    draws = simulate_totals(MODEL, customers(world), days=180, draws=400, seed=1)
    for target, exact in (
        ("purchases", found["expected_purchases"]),
        ("active", found["p_purchase"]),
        ("value", found["expected_value"]),
    ):
        total = draws[target][0]
        assert abs(total.mean() - exact.sum()) < 4 * total.std() / np.sqrt(400), target
    variance = found["p_purchase"] * (1 - found["p_purchase"])
    assert draws["active"][0].std() == pytest.approx(np.sqrt(variance.sum()), rel=0.15)


def test_portfolio_draws_do_not_depend_on_threads(
    world: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.predict import portfolio

    monkeypatch.setattr(portfolio, "_BLOCK", 512)
    some = customers(world, slice(0, 3000))
    many = simulate_totals(MODEL, some, days=90, draws=50, seed=3)
    monkeypatch.setattr(portfolio.os, "cpu_count", lambda: 1)
    single = simulate_totals(MODEL, some, days=90, draws=50, seed=3)
    other = simulate_totals(MODEL, some, days=90, draws=50, seed=4)
    assert (many["value"] == single["value"]).all()
    assert (many["value"] != other["value"]).any()


def test_an_interval_of_a_sum_is_narrower_than_the_sum_of_intervals(
    world: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> None:
    draws = simulate_totals(MODEL, customers(world), days=180, draws=400)["purchases"][0]
    lo, hi = np.quantile(draws, [0.025, 0.975])
    naive = found["purchases-hi-95"].sum() - found["purchases-lo-95"].sum()
    assert 0 < hi - lo < 0.1 * naive


def totals_of(frame: pd.DataFrame, each: dict[str, np.ndarray], block: int, draws: int = 100) -> pd.DataFrame:
    sizes = frame["channel"].value_counts().sort_index().to_dict()
    totals = PortfolioTotals(MODEL, sizes, days=180, draws=draws)
    for begin in range(0, len(frame), block):
        rows = slice(begin, begin + block)
        found = {name: values[rows] for name, values in each.items()}
        totals.add(frame[rows], found, frame["channel"][rows])
    return totals.lines((80.0, 95.0), "channel")


@pytest.mark.parametrize("whale", [None, 0, 2])
def test_some_customers_stand_for_all_in_the_draws(
    whale: int | None, world: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.predict import portfolio

    n = 12_000
    x = world["x"][:n]
    frame = pd.DataFrame(
        {
            "frequency": x, "recency": world["t_x"][:n], "T": world["T"][:n], "monetary_count": x,
            "monetary_value": world["m"][:n], "channel": np.where(np.arange(n) % 5, "web", "app"),
        }
    )  # fmt: skip
    if whale is not None:  # among those who are simulated or not, it speaks for itself alone
        frame.loc[whale, ["frequency", "recency", "T", "monetary_count", "monetary_value"]] = [
            90,
            300,
            300,
            90,
            4e3,
        ]
    each = predict_customers(MODEL, Customers.from_frame(frame), days=180)
    if whale is not None:
        assert each["expected_value"][whale] > 0.2 * each["expected_value"].sum()
    all_of_them = totals_of(frame, each, n, draws=2000)
    monkeypatch.setattr(portfolio, "MOST_SIMULATED", 6_000)
    monkeypatch.setattr(portfolio, "MOST_OF_A_GROUP", 1_000)
    monkeypatch.setattr(portfolio, "LARGEST_SIMULATED", 300)
    simulated: list[int] = []
    simulate = portfolio.simulate_totals

    def counted(model: Any, some: Customers, **options: Any) -> dict[str, np.ndarray]:
        simulated.append(len(some))
        return simulate(model, some, **options)

    monkeypatch.setattr(portfolio, "simulate_totals", counted)
    fewer = totals_of(frame, each, n, draws=2000)
    pd.testing.assert_frame_equal(fewer, totals_of(frame, each, 700, draws=2000), rtol=1e-12)
    # 2,400 of each channel, and those of the largest who are not among them.
    assert simulated[0] == simulated[1]
    assert 4_800 + 100 < simulated[0] < 4_800 + 600
    assert fewer["expected"].tolist() == all_of_them["expected"].tolist()
    for name in ("lo-80", "hi-80", "lo-95", "hi-95"):
        width = all_of_them["hi-95"] - all_of_them["lo-95"]
        assert ((fewer[name] - all_of_them[name]).abs() < 0.12 * width).all(), name
    both = fewer[fewer["scope"] == "total"].set_index("target")["expected"]
    assert fewer[fewer["scope"] == "channel"].groupby("target")["expected"].sum().to_dict() == pytest.approx(
        both.to_dict(), rel=1e-12
    )


@pytest.mark.parametrize("q", [1.05, 1.3])
def test_stand_ins_know_heavy_tails(q: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.predict import portfolio

    n = 16_000
    frame = pd.DataFrame(
        {"frequency": 0.0, "recency": 0.0, "T": np.arange(n) % 300 + 20.0, "monetary_count": 0.0,
         "monetary_value": np.nan}
    )  # fmt: skip
    heavy = ClvModel(BG, Fitted.from_parameters(GAMMA_GAMMA, {"p": 6.25, "q": q, "gamma": 15.44}, "given"))
    each = predict_customers(heavy, Customers.from_frame(frame), days=180)

    def ends(levels: tuple[float, ...] = (80.0,)) -> np.ndarray:
        totals = PortfolioTotals(heavy, {"all": n}, days=180, draws=2000)
        totals.add(frame, each)
        line = totals.lines(levels).set_index("target").loc["value"]
        return line[["lo-80", "hi-80"]].to_numpy(float)

    everyone = ends()
    monkeypatch.setattr(portfolio, "MOST_SIMULATED", n // 8)
    monkeypatch.setattr(portfolio, "LARGEST_SIMULATED", 30)
    width = everyone[1] - everyone[0]
    assert np.abs(ends() - everyone).max() < 0.15 * width


def test_a_draw_without_a_mean_has_totals(
    world: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.predict import portfolio

    n = 3_000
    rows = slice(0, n)
    frame = pd.DataFrame(
        {"frequency": world["x"][rows], "recency": world["t_x"][rows], "T": world["T"][rows],
         "monetary_count": world["x"][rows], "monetary_value": world["m"][rows]}
    )  # fmt: skip
    frame["channel"] = np.repeat(["a", "b", "c"], n // 3)
    frame.loc[: n // 2, ["monetary_count", "monetary_value"]] = [0.0, np.nan]
    bg, spend = (
        replace(one, draws={name: np.repeat(value, 10) for name, value in one.draws.items()})
        for one in (BG, GG)
    )
    spend.draws["q"][-1] = 1.0
    model = ClvModel(bg, spend)
    each = predict_customers(MODEL, Customers.from_frame(frame), days=180)

    def lines() -> pd.DataFrame:
        totals = PortfolioTotals(model, dict.fromkeys("abc", n // 3), days=180, draws=500)
        totals.add(frame, each, frame["channel"])
        return totals.lines((80.0,), "channel").set_index(["target", "group"])

    everyone = lines().loc["value"]
    monkeypatch.setattr(portfolio, "MOST_SIMULATED", 1_500)
    monkeypatch.setattr(portfolio, "MOST_OF_A_GROUP", 100)
    monkeypatch.setattr(portfolio, "LARGEST_SIMULATED", 5)
    fewer = lines().loc["value"]
    for name in ("lo-80", "hi-80"):
        assert fewer[name].to_numpy() == pytest.approx(everyone[name].to_numpy(), rel=0.15)


def test_totals_do_not_depend_on_groups_until_customers_are_too_many(
    world: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.predict import portfolio

    n = 600
    monkeypatch.setattr(portfolio, "MOST_SIMULATED", n)
    monkeypatch.setattr(portfolio, "MOST_OF_A_GROUP", 10)
    frame = pd.DataFrame(
        {
            "frequency": world["x"][:n],
            "recency": world["t_x"][:n],
            "T": world["T"][:n],
            "monetary_count": world["x"][:n],
            "monetary_value": world["m"][:n],
        }
    ).assign(group=np.where(np.arange(n) < 550, "large", (np.arange(n) % 40).astype(str)))
    each = predict_customers(MODEL, Customers.from_frame(frame, MODEL), days=180)
    found = []
    for sizes, by in (({"all": n}, None), (frame["group"].value_counts().sort_index().to_dict(), "group")):
        totals = PortfolioTotals(MODEL, sizes, days=180, draws=100)
        totals.add(frame, each, frame[by] if by else None)
        found.append(totals.lines((80.0, 95.0), by))
    whole = found[1][found[1]["scope"] == "total"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[0], whole, rtol=1e-14)
    assert found[0]["expected"].tolist() == whole["expected"].tolist()


def test_groups_add_up_to_the_total_and_customers_to_both(world: dict[str, np.ndarray]) -> None:
    x = world["x"][:2000]
    frame = pd.DataFrame(
        {
            "frequency": x, "recency": world["t_x"][:2000], "T": world["T"][:2000], "monetary_count": x,
            "monetary_value": world["m"][:2000],
            "channel": np.array(["web", "app", "shop"])[np.arange(2000) % 3],
        }
    )  # fmt: skip
    each = predict_customers(MODEL, Customers.from_frame(frame), days=180)
    lines = totals_of(frame, each, block=2000)
    in_blocks = totals_of(frame, each, block=300)
    pd.testing.assert_frame_equal(lines, in_blocks, rtol=1e-12)
    for target, column in (
        ("purchases", "expected_purchases"),
        ("value", "expected_value"),
        ("active", "p_purchase"),
    ):
        own = lines[lines["target"] == target]
        total = own[own["scope"] == "total"]["expected"].iloc[0]
        assert own[own["scope"] == "channel"]["expected"].sum() == pytest.approx(total, rel=1e-12)
        assert each[column].sum() == pytest.approx(total, rel=1e-12)
    assert lines["group"].unique().tolist() == ["all", "app", "shop", "web"]


def test_exact_scores_of_counts(world: dict[str, np.ndarray]) -> None:
    from forecast.evaluation.metrics import crps_from_cdf

    rows = slice(0, 400)
    future = world["future"][rows]
    scores = score_counts(MODEL, customers(world, rows), future, days=180)
    (draw,) = BG.each_draw()
    n = np.arange(600)[None, :]
    known = customers(world, rows)
    alive = np.exp(population.log_p_alive(BG, draw, known))[:, None]
    r, alpha, a, b = bgnbd.if_alive(*draw, x=known.x[:, None], t_x=0.0, T=known.T[:, None])
    cdf = 1.0 - alive * bgprocess.tail(r, alpha, a, b, 180.0, n + 1)
    assert scores["crps"] == pytest.approx(crps_from_cdf(cdf, future), abs=1e-9)
    assert scores["at"] == pytest.approx(cdf[np.arange(400), future], abs=1e-12)
    assert scores["at"] - scores["below"] == pytest.approx(scores["probability"], abs=1e-11)


def test_tracking_counts_only_the_time_since_each_birth() -> None:
    nbd = Fitted.from_parameters(purchase_model("nbd"), {"r": 2.0, "alpha": 10.0}, "given")
    found = expected_cumulative(nbd, np.array([1.0, 4.0]), np.array([0.0, 5.0]), np.array([5.0, 10.0]))
    assert found.tolist() == pytest.approx([1.0, 2.0 + 4.0])
