"""Lists: the day of the next purchase, overdue customers, tiers and groups by cut-offs that stay."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import seasonal_shop
from hypothesis import given
from hypothesis import strategies as st

import forecast
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.fitting.clock import Clock
from forecast.predict import ClvModel, Customers, predict_customers, score_table
from forecast.predict.calibration import YEAR, Calibration
from forecast.predict.customers import expected_value
from forecast.predict.tables import gathered
from forecast.predict.tiers import TIERS, TierCutOffs
from forecast.predict.timing import next_purchase_days, overdue

AS_OF = dt.date(2025, 8, 17)
DAYS = 200
PARAMETERS = {
    "nbd": {"r": 0.6, "alpha": 40.0},
    "bg-nbd": {"r": 0.5, "alpha": 30.0, "a": 0.8, "b": 2.5},
    "mbg-nbd": {"r": 0.6, "alpha": 25.0, "a": 0.5, "b": 2.0},
    "pareto-nbd": {"r": 0.6, "alpha": 25.0, "s": 0.5, "beta": 60.0},
    "mbg-cnbd-2": {"r": 0.9, "alpha": 12.0, "a": 0.5, "b": 4.0},
    "bg-cnbd-3": {"r": 0.9, "alpha": 8.0, "a": 0.5, "b": 4.0},
}
SPEND = Fitted.from_parameters(GAMMA_GAMMA, {"p": 6.25, "q": 3.74, "gamma": 15.44}, "given")
CLOCK = Clock(AS_OF, 1, ("black-friday",), np.array([0.3, -0.4, 1.2]), np.zeros(3), 0.05)
TAUGHT = Calibration(
    levels=np.linspace(0.7, 1.2, 2 * YEAR),
    knots=np.array([0.0, 0.3, 0.6, 1.0]),
    warped=np.array([0.0, 0.4, 0.65, 1.0]),
)


def shop(size: int = 300, seed: int = 4) -> pd.DataFrame:
    """Histories of a shop of no model in particular."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 700, size)
    x = np.where(age > 5, rng.poisson(age / 60.0 * rng.gamma(1.0, 1.0, size)).clip(0, age), 0)
    recency = np.where(x > 0, (age * rng.beta(3.0, 1.0, size)).round().astype(int).clip(1), 0)
    first = pd.Timestamp(AS_OF) - pd.to_timedelta(age, unit="D")
    spent = np.where(x > 0, rng.gamma(4.0, 10.0, size).round(2), np.nan)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:04}" for i in range(size)],
            "first_purchase": first.astype("datetime64[s]"),
            "last_purchase": (first + pd.to_timedelta(recency, unit="D")).astype("datetime64[s]"),
            "frequency": x, "recency": recency, "T": age,
            "monetary_value": spent, "monetary_count": x, "first_value": 20.0,
            "historical_value": np.nan_to_num(spent) * x + 20.0,
        }
    )  # fmt: skip


def model(
    name: str, draws: int = 3, clock: Clock | None = None, taught: Calibration | None = None
) -> ClvModel:
    """A model with draws that differ."""
    one = Fitted.from_parameters(purchase_model(name), PARAMETERS[name], "given")
    rng = np.random.default_rng(7)
    several = {key: value * np.exp(0.15 * rng.standard_normal(draws)) for key, value in one.draws.items()}
    found = ClvModel(replace(one, draws=several), SPEND, clock=clock)
    return found if taught is None else replace(found, calibration=taught)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("corrected", [False, True], ids=["plain", "season and calibration"])
def test_the_next_purchase_is_the_first_day_that_is_as_likely_as_not(name: str, corrected: bool) -> None:
    own = model(name, clock=CLOCK, taught=TAUGHT) if corrected else model(name)
    customers = Customers.from_frame(shop(), own)
    chance = np.array(
        [predict_customers(own, customers, days=day)["p_purchase"] for day in range(1, DAYS + 1)]
    )
    likely = chance >= 0.5
    brute = np.where(likely.any(axis=0), likely.argmax(axis=0) + 1, 0)
    found = next_purchase_days(own, customers, chance[-1], days=DAYS)
    assert 20 < np.count_nonzero(found) < len(found)
    assert ((found > 0) == (chance[-1] >= 0.5)).all()
    assert found.tolist() == brute.tolist()


def test_each_day_is_what_one_day_is() -> None:
    own = model("bg-nbd", clock=CLOCK, taught=TAUGHT)
    ahead = own.ahead(AS_OF)
    wanted = [0.0, *(ahead(float(day)) for day in range(1, 901))]
    assert own.days_ahead(AS_OF, 900) == pytest.approx(wanted, rel=1e-12)
    # Customers are scored for the day of as_of itself: a horizon of one day is the shortest.
    assert own.days_ahead(AS_OF, 1) == pytest.approx(wanted[:2], rel=1e-12)


@given(
    st.floats(0.05, 3.0), st.floats(1.0, 200.0), st.integers(0, 30), st.integers(0, 500), st.integers(0, 500)
)
def test_overdue_is_the_closed_form(r: float, alpha: float, x: int, t_x: int, silent: int) -> None:
    bg = Fitted.from_parameters(
        purchase_model("bg-nbd"), {"r": r, "alpha": alpha, "a": 0.8, "b": 2.5}, "given"
    )
    last = float(t_x if x else 0)
    T = last + silent
    (found,) = overdue(ClvModel(bg), Customers(np.array([float(x)]), np.array([last]), np.array([T])))
    assert found == pytest.approx(1.0 - ((alpha + last) / (alpha + T)) ** (r + x), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", PARAMETERS)
def test_overdue_is_no_purchase_of_an_active_customer(name: str) -> None:
    own = model(name, draws=1)
    customers = Customers.from_frame(shop(), own)
    found = overdue(own, customers)
    formulas = own.purchases.spec.formulas
    draw = gathered(own.purchases.draw(0), None)
    then = formulas.if_alive(*draw, x=customers.x, t_x=customers.t_x, T=customers.t_x)
    silent = customers.T - customers.t_x
    if name == "pareto-nbd":  # who leaves late: the chance to leave in the meantime is put at nothing
        then = (*then[:3], 1e15)
    some = silent > 0
    nothing = formulas.PROCESS.pmf(*(v[some] if np.ndim(v) else v for v in then), silent[some], 0)
    assert found[some] == pytest.approx(1.0 - nothing, abs=1e-9)
    assert (found[~some] == 0.0).all()


def test_overdue_of_one_time_buyers_is_the_populations() -> None:
    found = score_table(model("bg-nbd"), shop(3000), as_of=AS_OF, days=90)
    once = found[found["frequency"] == 0]
    assert once.groupby("T")["overdue"].nunique().max() == 1
    assert once.sort_values("T")["overdue"].is_monotonic_increasing


def frozen(own: ClvModel, frame: pd.DataFrame) -> ClvModel:
    from forecast.predict.segments import freeze_cut_offs

    return replace(own, cut_offs=freeze_cut_offs(own, [frame[:100], frame[100:]]))


@pytest.mark.parametrize(
    "options", [{"days": 365}, {"days": 91}, {"days": 365, "margin": 0.3, "discount_rate": 0.1}]
)
def test_tiers_are_by_the_value_of_a_year_whatever_is_asked(options: dict[str, float]) -> None:
    frame = shop(2000)
    own = frozen(model("bg-nbd", clock=CLOCK, taught=TAUGHT), frame)
    found = score_table(own, frame, as_of=AS_OF, levels=(), **options)
    year = predict_customers(own, Customers.from_frame(frame, own), days=365)["expected_value"]
    assert found["tier"].tolist() == own.frozen.tiers.tiers(year).tolist()
    assert found["tier"].value_counts().reindex(TIERS).tolist() == [20, 80, 100, 300, 500, 1000]
    again = expected_value(own, Customers.from_frame(frame, own), days=365)
    assert again == pytest.approx(year, rel=1e-14)


def test_tiers_go_by_purchases_where_there_is_no_money() -> None:
    frame = shop(2000)
    own = frozen(replace(model("bg-nbd"), spend=None), frame)
    found = score_table(own, frame, as_of=AS_OF, days=365)
    by = found.groupby("tier")["expected_purchases"]
    assert by.min()["platinum"] > by.max()["gold"] > by.max()["low"]
    assert set(found["rfm"].str.len()) == {2}
    assert list(own.frozen.rfm.table().columns) == ["score", "days_up_to", "purchases_from"]


@given(st.permutations(range(60)), st.integers(1, 60))
def test_lists_do_not_depend_on_order_or_company(order: list[int], size: int) -> None:
    frame = shop(60)
    own = frozen(model("bg-nbd"), frame)
    columns = ["customer_id", "tier", "next_purchase_median", "overdue", "rfm", "rfm_group"]
    whole = score_table(own, frame, as_of=AS_OF, days=180, levels=())[columns]
    part = frame.iloc[order[:size]].reset_index(drop=True)
    found = score_table(own, part, as_of=AS_OF, days=180, levels=())[columns]
    pd.testing.assert_frame_equal(found, whole.iloc[order[:size]].reset_index(drop=True))


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, 7.0, 7.0, 40.0]), min_size=1, max_size=80))
def test_equal_values_are_in_one_tier(values: list[float]) -> None:
    values_ = np.array(values)
    found = TierCutOffs.of(values_)
    places = found.places(values_)
    for value in set(values):
        assert len(set(places[values_ == value].tolist())) == 1
    assert (np.diff(places[np.argsort(-values_, kind="stable")]) >= 0).all()
    assert sum(found.share_at_fit) == pytest.approx(1.0)
    noisy = found.places(values_ * (1.0 + 1e-12))  # rounding moves nobody
    assert noisy.tolist() == places.tolist()


@pytest.fixture(scope="module")
def sample_model(sample_orders: forecast.Orders) -> forecast.Model:
    return forecast.fit(sample_orders, "1997-09-30", purchases="bg-nbd", method="mle")


def test_cut_offs_stay_next_quarter(
    sample_model: forecast.Model, sample_orders: forecast.Orders, tmp_path: Path
) -> None:
    saved = sample_model.save(tmp_path / "shop")
    again = forecast.load(tmp_path / "shop")
    pd.testing.assert_frame_equal(again.tiers, sample_model.tiers)
    pd.testing.assert_frame_equal(again.rfm, sample_model.rfm)
    now = saved.score(sample_orders, as_of="1997-09-30")
    later = again.score(sample_orders, as_of="1998-06-30")
    cuts = sample_model.tiers.set_index("tier")["from_value"]
    for scores in (now, later):
        for tier, own in scores.groupby("tier"):
            assert (own["expected_value"] >= cuts[tier]).all()
            worse = cuts[cuts > cuts[tier]]
            assert worse.empty or (own["expected_value"] < worse.min()).all()
    shares = now["tier"].value_counts(normalize=True).reindex(TIERS)
    assert shares.to_numpy() == pytest.approx(sample_model.tiers["share_at_fit"].to_numpy())
    assert (later["tier"] == "platinum").mean() != (now["tier"] == "platinum").mean()


def test_cents_and_euros_make_the_same_lists(sample_model: forecast.Model) -> None:
    frame = forecast.cdnow("sample")
    frame["value"] = (frame["value"] * 100.0).round()
    cents = forecast.read_orders(frame, currency="USD")
    other = forecast.fit(cents, "1997-09-30", purchases="bg-nbd", method="mle")
    euros = forecast.read_orders(forecast.cdnow("sample"), currency="USD")
    columns = ["tier", "rfm", "rfm_group", "next_purchase_median"]
    pd.testing.assert_frame_equal(
        other.score(cents, as_of="1997-12-31")[columns],
        sample_model.score(euros, as_of="1997-12-31")[columns],
    )
    assert other.tiers["from_value"].to_numpy() == pytest.approx(
        100.0 * sample_model.tiers["from_value"].to_numpy(), rel=1e-5
    )


def test_a_season_and_groups_make_lists() -> None:
    orders = seasonal_shop.read(seasonal_shop.simulate(seasonal_shop.christmas(900), 1500))
    own = forecast.fit(orders, purchases="mbg-cnbd-2", seasonal="yes", method="mle")
    scores = own.score(orders, 120)
    assert (scores["next_purchase_median"].notna() == (scores["p_purchase"] >= 0.5)).all()
    assert scores["overdue"].between(0.0, 1.0).all()
    assert set(scores["tier"]) <= set(TIERS)


def test_an_older_model_says_nothing_of_tiers(master_orders: forecast.Orders) -> None:
    old = forecast.load(Path(__file__).parent.parent.parent / "models" / "cdnow@1")
    assert old.clv.cut_offs is None
    scores = old.score(master_orders, as_of="1997-09-30", level=[])
    assert scores[["tier", "rfm", "rfm_group"]].isna().all(axis=None)
    assert scores["tier"].dtype == scores["customer_id"].dtype
    assert (scores["next_purchase_median"].notna() == (scores["p_purchase"] >= 0.5)).all()
    with pytest.raises(
        forecast.ArgumentError, match=r"no cut-offs: an older version fitted it\. Fit it again"
    ):
        _ = old.tiers
    with pytest.raises(forecast.ArgumentError, match="no cut-offs"):
        _ = old.rfm
    assert "## Tiers" not in old.card()
