"""Customers who will be won: how many, what they do, and that they add up with those who are known."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import forecast
from forecast.errors import ArgumentError
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.predict import ClvModel
from forecast.predict.acquisition import Kinds, recent_newcomers, simulate_newcomers
from forecast.predict.arrivals import Arrivals, Window, planned_arrivals, usual_arrivals
from forecast.predict.calibration import Calibration
from forecast.predict.newcomers import newcomer_table
from forecast.predict.windows import parameter_sets, simulate_windows
from forecast.summary.first_orders import FirstOrders, describe_first_orders

DAY = dt.timedelta(days=1)
AS_OF = dt.date(2025, 12, 31)
WINDOWS = (
    Window(dt.date(2026, 1, 1), dt.date(2026, 3, 31)),
    Window(dt.date(2026, 4, 1), dt.date(2026, 6, 30)),
)
PARAMETERS = {
    "bg-nbd": dict(r=0.8, alpha=60.0, a=0.5, b=4.0),
    "mbg-nbd": dict(r=0.8, alpha=60.0, a=0.5, b=4.0),
    "pareto-nbd": dict(r=0.8, alpha=60.0, s=0.6, beta=90.0),
    "nbd": dict(r=0.8, alpha=60.0),
    "mbg-cnbd-2": dict(r=0.8, alpha=30.0, a=0.5, b=4.0),
}
GG = Fitted.from_parameters(GAMMA_GAMMA, dict(p=4.0, q=4.0, gamma=60.0), "given")
FIRST = describe_first_orders(np.random.default_rng(0).gamma(3.0, 10.0, 400))


def pair(name: str = "bg-nbd", calibration: Calibration | None = None) -> ClvModel:
    fitted = Fitted.from_parameters(purchase_model(name), PARAMETERS[name], "given")
    return ClvModel(fitted, GG, 0.9, calibration=calibration or Calibration())


def planned(customers: float = 300.0, windows: tuple[Window, ...] = WINDOWS) -> Arrivals:
    plan = {"start": windows[0].start, "end": windows[-1].end, "group": "all", "customers": customers}
    return planned_arrivals(pd.DataFrame([plan]), windows)


def kinds(model: ClvModel, arrivals: Arrivals) -> Kinds:
    return Kinds.of(model, arrivals, FirstOrders.from_dict(FIRST), pd.DataFrame(), None, AS_OF)


def days(first: str, last: str) -> np.ndarray:
    return np.arange(np.datetime64(first), np.datetime64(last) + np.timedelta64(1, "D"))


# --- how many -----------------------------------------------------------------------------------------


def test_a_season_of_arrivals_returns() -> None:
    when = days("2023-01-01", "2025-12-31")
    rate = np.where((when - when.astype("datetime64[Y]")).astype(int) >= 304, 12, 3)
    found = usual_arrivals(np.repeat(when, rate), when[0].item(), AS_OF, WINDOWS)
    assert found.expected[:, 0] == pytest.approx([3 * 90, 3 * 91], rel=0.02)
    december = (
        Window(dt.date(2026, 1, 1), dt.date(2026, 9, 30)),
        Window(dt.date(2026, 10, 1), dt.date(2026, 12, 31)),
    )
    found = usual_arrivals(np.repeat(when, rate), when[0].item(), AS_OF, december)
    assert found.expected[1, 0] == pytest.approx(31 * 3 + 61 * 12, rel=0.05)
    early, late = found.days[1][:20].mean(), found.days[1][-20:].mean()
    assert late == pytest.approx(4 * early, rel=0.1)
    assert all(own.sum() == pytest.approx(1.0) for own in found.days)


def test_half_of_the_last_quarters_surprise_is_expected_to_last() -> None:
    when = days("2023-01-01", "2025-12-31")
    rate = np.where(when > np.datetime64("2025-10-01"), 8, 4)
    found = usual_arrivals(np.repeat(when, rate), when[0].item(), AS_OF, WINDOWS)
    assert found.expected[0, 0] == pytest.approx(4 * 90 * np.sqrt(2.0), rel=0.02)
    assert "moved half-way to the last 91 days (+41 %)" in found.source


def test_with_less_than_a_year_the_last_quarter_is_repeated() -> None:
    when = days("2025-05-01", "2025-12-31")
    found = usual_arrivals(np.repeat(when, 5), when[0].item(), AS_OF, WINDOWS)
    assert found.expected[:, 0] == pytest.approx([450.0, 455.0])
    assert "no earlier year is known" in found.source
    assert found.spread == pytest.approx(0.35, abs=0.1)


def test_nobody_joins_a_cohort_that_nobody_joined_of_late() -> None:
    when = days("2024-01-01", "2024-03-31")
    found = usual_arrivals(np.repeat(when, 50), when[0].item(), AS_OF, WINDOWS)
    assert (found.expected == 0.0).all()
    assert (found.draw(50, 0) == 0).all()
    assert found.source == "none: nobody was won in the last 91 days"


def test_noisy_arrivals_have_wider_intervals() -> None:
    when = days("2019-01-01", "2025-12-31")
    rng = np.random.default_rng(1)
    quarter = (when - when[0]).astype(int) // 91
    wild = rng.poisson(5.0 * np.exp(0.8 * rng.standard_normal(quarter[-1] + 1))[quarter])
    calm, noisy = (
        usual_arrivals(np.repeat(when, rate), when[0].item(), AS_OF, WINDOWS)
        for rate in (rng.poisson(5.0, len(when)), wild)
    )
    assert calm.spread < 0.2
    assert noisy.spread > 2 * calm.spread
    drawn = noisy.draw(4000, 0)[0, 0]
    assert drawn.mean() == pytest.approx(noisy.expected[0, 0], rel=0.1)
    assert drawn.var() > 10 * drawn.mean()


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_arrivals_are_of_those_who_were_seen_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    when = np.sort(days("2024-01-01", "2025-12-31")[rng.integers(0, 730, 500)])
    group = rng.choice(["a", "b", "c"], 500, p=[0.6, 0.3, 0.1])
    mixed = rng.permutation(500)
    first, second = (
        usual_arrivals(when[rows], dt.date(2024, 1, 1), AS_OF, WINDOWS, group[rows].tolist())
        for rows in (np.arange(500), mixed)
    )
    assert (first.expected == second.expected).all()
    assert (first.draw(20, seed) == second.draw(20, seed)).all()
    whole = usual_arrivals(when, dt.date(2024, 1, 1), AS_OF, WINDOWS)
    assert first.expected.sum(axis=1) == pytest.approx(whole.expected[:, 0])


def test_a_plan_says_every_day_once() -> None:
    def plan(*lines: tuple[str, str, float]) -> pd.DataFrame:
        rows = [(dt.date.fromisoformat(a), dt.date.fromisoformat(b), "all", n) for a, b, n in lines]
        return pd.DataFrame(rows, columns=["start", "end", "group", "customers"])

    whole = plan(("2026-01-01", "2026-03-31", 90.0), ("2026-04-01", "2026-06-30", 182.0))
    assert planned_arrivals(whole, WINDOWS).expected[:, 0] == pytest.approx([90.0, 182.0])
    late = [Window(dt.date(2026, 3, 22), dt.date(2026, 3, 31))]
    assert planned_arrivals(whole, late).expected[0, 0] == pytest.approx(10.0)
    with pytest.raises(ArgumentError, match=r"says nothing of 91 of 91 days, the first of them 2026-04-01"):
        planned_arrivals(whole.head(1), WINDOWS)
    with pytest.raises(ArgumentError, match=r"overlapping periods, the first on 2026-03-01"):
        planned_arrivals(plan(("2026-01-01", "2026-06-30", 1.0), ("2026-03-01", "2026-03-31", 1.0)), WINDOWS)


# --- what they do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_draws_have_the_exact_means(name: str) -> None:
    model = pair(name)
    arrivals = planned()
    found = simulate_newcomers(model, arrivals, kinds(model, arrivals), margin=0.5, draws=1500, seed=3)
    for target in ("purchases", "value", "acquired"):
        draws, mean = found.draws[target][..., 0, :], found.mean[target][..., 0]
        error = draws.std(axis=-1) / np.sqrt(draws.shape[-1]) + 1e-9
        assert (np.abs(draws.mean(axis=-1) - mean) < 4.5 * error).all(), target
    assert found.mean["purchases"][0, 1] == 0.0  # nobody buys before being won


def test_a_newcomer_of_the_first_day_is_worth_what_the_table_says() -> None:
    """Ninety customers won on one day are ninety times the table's row, at the age of the window's end."""
    model = pair()
    window = (
        Window(dt.date(2026, 1, 1), dt.date(2026, 1, 1)),
        Window(dt.date(2026, 1, 2), dt.date(2026, 12, 31)),
    )
    plan = [
        {"start": w.start, "end": w.end, "group": "all", "customers": n}
        for w, n in zip(window, (90.0, 0.0), strict=True)
    ]
    arrivals = planned_arrivals(pd.DataFrame(plan), window)
    found = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=2)
    row = newcomer_table(model, FIRST, as_of=AS_OF, days=364, levels=()).iloc[0]
    assert found.mean["value"].sum() == pytest.approx(90.0 * row["expected_value"], rel=1e-4)
    assert found.mean["purchases"].sum() == pytest.approx(
        90.0 * (1.0 + row["expected_repeat_purchases"]), rel=1e-4
    )


def test_many_newcomers_are_walked_by_proxy() -> None:
    model = pair()
    arrivals = planned(200_000.0)
    found = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=40, seed=1)
    for target in ("purchases", "value"):
        total = found.draws[target].sum(axis=(0, 1, 2))
        assert total.mean() == pytest.approx(found.mean[target].sum(), rel=0.01)
        assert total.std() / total.mean() < 0.02


def test_threads_cannot_change_a_number_and_seeds_can(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pair(calibration=Calibration(level_sd=0.1, spend_sd=0.1))
    arrivals = planned()
    first = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=60, seed=2)
    other = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=60, seed=3)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    again = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=60, seed=2)
    assert all((first.draws[name] == again.draws[name]).all() for name in first.draws)
    assert (first.draws["value"] != other.draws["value"]).any()


def test_known_and_new_share_the_level_of_a_draw() -> None:
    """Both are high where the level is, so that the interval of their sum is wide enough."""
    model = pair(calibration=Calibration(level_sd=0.4))
    arrivals = planned(4000.0)
    new = simulate_newcomers(model, arrivals, kinds(model, arrivals), draws=400, seed=5)
    from forecast.predict import Customers

    known = Customers(
        np.full(4000, 3.0), np.full(4000, 80.0), np.full(4000, 100.0), np.full(4000, 3.0), np.full(4000, 20.0)
    )
    old = simulate_windows(model, known, [90.0, 181.0], draws=400, seed=5)
    levels = np.concatenate([np.full(len(own.columns), own.level) for own in parameter_sets(model, 400, 5)])
    repeats = new.draws["purchases"][1, 0, 0] / new.draws["acquired"][0, 0, 0]
    assert np.corrcoef(repeats, levels)[0, 1] > 0.8
    assert np.corrcoef(old["purchases"][0, 0], levels)[0, 1] > 0.9


def test_groups_have_their_own_first_orders_and_traits() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "first_purchase": days("2025-01-01", "2025-12-31")[rng.integers(0, 365, 2000)],
            "channel": rng.choice(["mail", "web"], 2000, p=[0.25, 0.75]),
        }
    )
    value = np.where(frame["channel"] == "mail", 100.0, 20.0) * rng.gamma(10.0, 0.1, 2000)
    first = FirstOrders.from_dict(describe_first_orders(value, frame["channel"].to_numpy(), "channel"))
    model = pair()
    arrivals = usual_arrivals(
        frame["first_purchase"].to_numpy(), dt.date(2025, 1, 1), AS_OF, WINDOWS, frame["channel"].tolist()
    )
    own = Kinds.of(model, arrivals, first, recent_newcomers(frame, AS_OF), "channel", AS_OF)
    found = simulate_newcomers(model, arrivals, own, draws=300)
    per_head = found.draws["value"][0, 0].mean(axis=-1) / found.draws["acquired"][0, 0].mean(axis=-1)
    assert arrivals.groups == ("mail", "web")
    assert per_head[0] > 2.0 * per_head[1]
    share = found.mean["acquired"][0, 0] / found.mean["acquired"][0, 0].sum()
    assert share == pytest.approx([0.25, 0.75], abs=0.03)


def test_a_model_with_covariates_takes_the_traits_of_recent_newcomers() -> None:
    rng = np.random.default_rng(5)
    log = forecast.cdnow().assign(channel=lambda f: np.where(f["customer_id"].str[-1] < "5", "web", "shop"))
    orders = forecast.read_orders(log, currency="USD")
    model = forecast.fit(
        orders, "1997-12-31", purchases="bg-nbd", method="mle", covariates={"rate": ["channel"]}
    )
    frame = forecast.purchase_histories(orders, "1997-12-31", ("channel",)).to_frame()
    arrivals = planned()
    first = FirstOrders.from_dict(describe_first_orders(frame["first_value"].to_numpy(dtype=float)))
    own = Kinds.of(
        model.clv, arrivals, first, frame.sample(500, random_state=int(rng.integers(9))), None, AS_OF
    )
    assert len(own.share) == 2
    assert own.share.sum() == pytest.approx(1.0)
    found = simulate_newcomers(model.clv, arrivals, own, draws=20)
    assert np.isfinite(found.mean["value"]).all()


# --- the level of spend -------------------------------------------------------------------------------


def test_the_level_of_spend_moves_values_and_never_counts() -> None:
    from forecast.predict import Customers, predict_customers
    from forecast.predict.portfolio import simulate_totals

    half = np.repeat([1.0, 2.0], 6)  # a quarter at 1, the next at 2
    plain, taught = pair(), pair(calibration=Calibration(spend_levels=half, spend_sd=0.2))
    known = Customers(
        np.full(3000, 3.0), np.full(3000, 80.0), np.full(3000, 100.0), np.full(3000, 3.0), np.full(3000, 20.0)
    )
    quarter = 6 * 365.25 / 24
    first, second = (predict_customers(m, known, days=quarter, levels=[80]) for m in (plain, taught))
    assert second["expected_value"] == pytest.approx(first["expected_value"])
    assert (second["expected_purchases"] == first["expected_purchases"]).all()
    year = [predict_customers(m, known, days=2 * quarter, levels=[80]) for m in (plain, taught)]
    for name in ("expected_value", "value-hi-80", "expected_purchase_value"):
        assert year[1][name] == pytest.approx(1.5 * year[0][name])
    drawn = [
        simulate_windows(m, known, [quarter, 2 * quarter], draws=400, seed=1)["value"]
        for m in (plain, taught)
    ]
    ratio = drawn[1].mean(axis=-1)[:, 0] / drawn[0].mean(axis=-1)[:, 0]
    assert ratio == pytest.approx([1.0, 2.0], rel=0.05)
    totals = [simulate_totals(m, known, days=quarter, draws=400, seed=1)["value"][0] for m in (plain, taught)]
    assert totals[1].std() / totals[1].mean() == pytest.approx(0.2, rel=0.3)
    assert totals[0].std() / totals[0].mean() < 0.08
