"""Our numbers beside published ones and those of independent programs.

Sources: [FHL] Fader, Hardie & Lee 2005; [FH] Fader & Hardie 2013; [CLVTools] version 0.12.1 run on the same
histories; [BTYD] the package's walkthrough; [lifetimes] its test suite, from Hardie's spreadsheet.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import NBD, BetaGeoNBD, GammaGamma
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.summary import Histories

PUBLISHED = dict(r=0.243, alpha=4.414, a=0.793, b=2.426)  # [FHL] table 2, weeks
CLVTOOLS = dict(r=0.2425945415109, alpha=4.413601883945, a=0.7929199146049, b=2.4258880623)


def one(frequency: float, recency: float, T: float) -> pd.DataFrame:
    return pd.DataFrame({"frequency": [frequency], "recency": [recency], "T": [T]})


@pytest.fixture(scope="module")
def bg(weekly: pd.DataFrame) -> BetaGeoNBD:
    return BetaGeoNBD().fit(weekly)


@pytest.fixture(scope="module")
def gg(weekly: pd.DataFrame) -> GammaGamma:
    return GammaGamma().fit(weekly)


def test_sample_histories_are_those_of_the_papers(weekly: pd.DataFrame) -> None:
    # [FHL], [CLVTools]: 2,357 customers, sums of x, t_x and T.
    assert len(weekly) == 2357
    assert weekly["frequency"].sum() == 2457
    assert weekly["recency"].sum() == pytest.approx(16135.5714285714, abs=1e-6)
    assert weekly["T"].sum() == pytest.approx(77111.2857142857, abs=1e-6)
    assert (weekly["frequency"] == 0).sum() == 1411


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [  # [CLVTools]; to three digits [FHL]
        ("r", 0.242595, 0.01256),
        ("alpha", 4.413602, 0.37822),
        ("a", 0.792920, 0.18573),
        ("b", 2.425888, 0.70541),
    ],
)
def test_bgnbd_sample(bg: BetaGeoNBD, name: str, value: float, error: float) -> None:
    assert bg.params_[name] == pytest.approx(value, rel=2e-5)
    assert bg.standard_errors_[name] == pytest.approx(error, abs=1.1e-5)
    assert bg.log_likelihood_ == pytest.approx(-9582.4292, abs=5e-5)
    assert bg.verdict_.converged


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("p", 6.24935, 1.18997), ("q", 3.74426, 0.29014), ("gamma", 15.44431, 4.15953)],  # [CLVTools], [FH]
)
def test_gammagamma_sample(gg: GammaGamma, name: str, value: float, error: float) -> None:
    # The reference's optimiser stopped 2e-4 standard errors short of the optimum.
    assert gg.params_[name] == pytest.approx(value, rel=1e-4)
    assert gg.standard_errors_[name] == pytest.approx(error, rel=2e-4)
    assert gg.log_likelihood_ == pytest.approx(-4055.9177, abs=5e-5)
    assert gg.population_mean_ == pytest.approx(35.17049923788, abs=1e-3)


def test_gammagamma_with_first_purchases(sample_orders, weekly: pd.DataFrame) -> None:
    # [CLVTools], first purchase kept: the mean over all valued purchase days.
    from forecast.summary import purchase_histories

    frame = purchase_histories(sample_orders, "1997-09-30").to_frame()
    n = frame["monetary_count"] + (frame["first_value"] > 0)
    total = frame["monetary_value"].fillna(0.0) * frame["monetary_count"] + frame["first_value"]
    valued = pd.DataFrame({"frequency": n, "monetary_value": total / n.where(n > 0)})
    gg = GammaGamma().fit(valued)
    assert gg.params_ == pytest.approx(dict(p=9.88124, q=3.39875, gamma=7.92859), rel=1e-4)
    assert gg.log_likelihood_ == pytest.approx(-9898.45094, abs=1e-3)


def test_nbd_sample(weekly: pd.DataFrame) -> None:
    nbd = NBD().fit(weekly)  # [CLVTools], [BTYDplus]
    assert nbd.params_ == pytest.approx(dict(r=0.3847659, alpha=12.0720137), rel=1e-5)
    assert nbd.log_likelihood_ == pytest.approx(-9763.65761, abs=5e-5)


def test_master(master_histories: Histories) -> None:
    # [CLVTools] on all 23,570 customers.
    frame = master_histories.to_frame()
    weeks = frame.assign(recency=frame["recency"] / 7, T=frame["T"] / 7)
    bg = BetaGeoNBD().fit(weeks)
    expected = dict(r=0.2516238, alpha=4.7889412, a=0.7234296, b=2.1610771)
    assert bg.params_ == pytest.approx(expected, rel=2e-5)
    assert bg.log_likelihood_ == pytest.approx(-95368.4439, abs=5e-4)
    assert bg.predict(weeks, 39).sum() == pytest.approx(16873.8, abs=0.1)
    gg = GammaGamma().fit(frame)
    assert gg.params_ == pytest.approx(dict(p=6.275343, q=3.624443, gamma=14.983711), rel=1e-4)
    assert gg.log_likelihood_ == pytest.approx(-40763.4763, abs=5e-3)


@pytest.mark.parametrize(
    ("weeks", "total"),  # [CLVTools]
    [(13, 628.022), (26, 1171.143), (39, 1653.408), (52, 2089.398), (104, 3525.938)],
)
def test_expected_totals(bg: BetaGeoNBD, weekly: pd.DataFrame, weeks: float, total: float) -> None:
    assert bg.predict(weekly, weeks).sum() == pytest.approx(total, abs=6e-3)


def test_holdout_errors(
    bg: BetaGeoNBD, gg: GammaGamma, weekly: pd.DataFrame, sample_orders, sample_histories
) -> None:
    from forecast.summary import holdout

    actual = holdout(sample_orders, sample_histories, "1998-06-30")
    expected = bg.predict(weekly, 39).to_numpy()
    assert actual["actual_purchases"].sum() == 1882
    assert np.abs(actual["actual_purchases"] - expected).mean() == pytest.approx(0.78545, abs=1e-5)
    assert math.sqrt(np.square(actual["actual_purchases"] - expected).mean()) == pytest.approx(
        1.60798, abs=1e-5
    )
    spend = gg.predict(weekly).to_numpy()
    assert spend.sum() == pytest.approx(83089.82, abs=0.3)
    assert (expected * spend).sum() == pytest.approx(59931.66, abs=0.5)
    assert bg.p_alive(weekly).sum() == pytest.approx(1917.277, abs=2e-3)
    # [BTYD] walkthrough 3.4: mean expectation by calibration frequency 0, 1, ... 6, 7+.
    means = pd.Series(expected).groupby(weekly["frequency"].clip(upper=7).to_numpy()).mean()
    published = [0.2251, 0.5231, 1.0441, 1.5203, 2.1639, 2.6538, 3.5040, 6.1572]
    assert means.to_numpy() == pytest.approx(published, abs=2e-4)


def test_expected_calibration_frequencies(bg: BetaGeoNBD, weekly: pd.DataFrame) -> None:
    # [CLVTools]: sum over customers of P(X(T) = x).
    from forecast.maths import bgprocess

    r, alpha, a, b = (bg.params_[name] for name in ("r", "alpha", "a", "b"))
    T = weekly["T"].to_numpy()
    found = [bgprocess.pmf(r, alpha, a, b, T, n).sum() for n in range(7)]
    assert found == pytest.approx([1407.68, 460.32, 192.46, 101.16, 59.85, 38.12, 25.55], abs=6e-3)


def test_each_customer_at_the_references_parameters() -> None:
    reference = pd.read_csv(Path(__file__).with_name("cdnow_bgnbd_customers.csv"))
    frame = pd.DataFrame(
        {
            "frequency": reference["frequency"],
            "recency": reference["recency_days"] / 7,
            "T": reference["T_days"] / 7,
        }
    )
    bg = BetaGeoNBD.from_parameters(**CLVTOOLS)
    assert bg.predict(frame, 39).to_numpy() == pytest.approx(reference["cet_39_weeks"].to_numpy(), rel=1e-6)
    assert bg.p_alive(frame).to_numpy() == pytest.approx(reference["p_alive"].to_numpy(), rel=1e-6)


@pytest.mark.parametrize(
    ("weeks", "value"),  # [CLVTools] 1 + E[X(t)]
    [
        (1, 1.0531843), (4, 1.1957649), (13, 1.5336369), (26, 1.9013181),
        (39, 2.1950088), (52, 2.4440108), (104, 3.1998254),
    ],
)  # fmt: skip
def test_new_customer(weeks: float, value: float) -> None:
    bg = BetaGeoNBD.from_parameters(**CLVTOOLS)
    assert 1.0 + bg.expected_purchases_new(weeks)[0] == pytest.approx(value, abs=2e-7)


@pytest.mark.parametrize(
    ("t", "value"),  # [lifetimes] / Hardie's spreadsheet
    [(0.1429, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437), (78, 1.8576)],
)
def test_spreadsheet_expectations(t: float, value: float) -> None:
    bg = BetaGeoNBD.from_parameters(**CLVTOOLS)
    # The spreadsheet's own optimum differs in the fourth digit, which shows at 78 weeks.
    assert bg.expected_purchases_new(t)[0] == pytest.approx(value, rel=2e-4, abs=5e-5)


def test_spreadsheet_customer() -> None:
    bg = BetaGeoNBD.from_parameters(**PUBLISHED)
    assert bg.predict(one(2, 30.43, 38.86), 39).iloc[0] == pytest.approx(1.226, abs=5e-4)


def test_walkthrough_customer() -> None:
    # [BTYD] at its own optimum: x = 26, t_x = 30.86, T = 31, 52 weeks; the walkthrough prints 25.76.
    bg = BetaGeoNBD.from_parameters(
        r=0.2425967155358, alpha=4.413658926754, a=0.7929868691539, b=2.426164276242
    )
    customer = one(26, 30.86, 31)
    assert bg.predict(customer, 52).iloc[0] == pytest.approx(25.758290070618, rel=1e-9)
    assert bg.p_alive(customer).iloc[0] == pytest.approx(0.9689163467236, rel=1e-9)


@pytest.mark.parametrize(("x", "value"), [(10, 0.3474606), (20, 0.0041590), (25, 0.0003584)])
def test_increasing_frequency_paradox(x: int, value: float) -> None:
    bg = BetaGeoNBD.from_parameters(**CLVTOOLS)  # [BTYD]: t_x = 20, T = 39, 52 weeks
    assert bg.predict(one(x, 20, 39), 52).iloc[0] == pytest.approx(value, rel=2e-3)


@pytest.mark.parametrize(
    ("t", "n", "value"),  # [lifetimes]
    [
        (39, 0, 0.5737864), (2, 10, 1.07869e-07), (30, 11, 0.0019995), (30, 12, 0.0015170),
        (30, 13, 0.0011633), (30, 14, 0.0009003), (30, 15, 0.0007024), (30, 16, 0.0005518),
        (30, 17, 0.0004362), (30, 18, 0.0003467), (30, 19, 0.0002770), (30, 20, 0.0002222),
    ],
)  # fmt: skip
def test_probability_of_a_count(t: float, n: int, value: float) -> None:
    mass = BetaGeoNBD.from_parameters(**PUBLISHED).pmf(one(0, 0, 0), t, max_purchases=n)
    assert mass[n].iloc[0] == pytest.approx(value, rel=1e-3, abs=6e-8 if n < 10 else 0)


@pytest.mark.parametrize(("n", "m", "value"), [(2, 40.0, 39.13052), (3, 35.0, 35.02177)])
def test_spend_points(gg: GammaGamma, n: int, m: float, value: float) -> None:
    frame = pd.DataFrame({"frequency": [n], "monetary_value": [m]})
    assert gg.predict(frame).iloc[0] == pytest.approx(value, abs=2e-5)


def test_ten_customers_spend() -> None:
    # [FH], parameters rounded to 6.25, 3.74, 15.44: (x, m) of ten customers and their expected spend.
    frame = pd.DataFrame(
        {
            "frequency": [2, 1, 0, 0, 0, 7, 1, 0, 2, 0],
            "monetary_value": [22.345, 11.77, 0, 0, 0, 73.74, 11.77, 0, 25.55, 0],
        }
    )
    found = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44).predict(frame)
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert found.to_numpy() == pytest.approx(published, abs=0.06)


# Points where other programs overflow or divide by zero; truth from mpmath at 50 digits.
CDNOW_DAYS = dict(r=0.242595, alpha=30.895214, a=0.79292, b=2.425888)


def test_heavy_buyer_over_three_years() -> None:
    heavy = one(1060, 1094, 1095)
    bg = BetaGeoNBD.from_parameters(**CDNOW_DAYS)
    assert bg.predict(heavy, 1095).iloc[0] == pytest.approx(772.2190836, abs=1e-6)
    other = BetaGeoNBD.from_parameters(r=0.2313, alpha=27.788, a=0.7170, b=2.0732)
    assert other.predict(heavy, 1095).iloc[0] == pytest.approx(794.8, abs=0.1)


def test_daily_buyer_over_ten_years() -> None:
    import mpmath as mp

    bg = BetaGeoNBD.from_parameters(**CDNOW_DAYS)
    found = bg.predict(one(350, 365, 365), 3650).iloc[0]
    mp.mp.dps = 50
    r, alpha, a, b = (mp.mpf(v) for v in CDNOW_DAYS.values())
    r, alpha, b = r + 350, alpha + 365, b + 350
    h = mp.mpf(3650)
    growth = ((alpha + h) / alpha) ** (1 - a)
    series = mp.hyp2f1(a + b - 1 - r, a - 1, a + b - 1, h / (alpha + h))
    truth = (a + b - 1) / (a - 1) * (1 - growth * series) * bg.p_alive(one(350, 365, 365)).iloc[0]
    assert found == pytest.approx(float(truth), rel=1e-10)


@pytest.mark.parametrize("shift", [0.0, 1e-12, -1e-12, 1e-9, 1e-7, 1e-4])
def test_a_at_one_is_no_singularity(shift: float) -> None:
    near = BetaGeoNBD.from_parameters(r=0.25, alpha=30.0, a=1.0 + shift, b=2.5)
    exact = BetaGeoNBD.from_parameters(r=0.25, alpha=30.0, a=1.0, b=2.5)
    customer = one(3, 100, 200)
    assert near.predict(customer, 365).iloc[0] == pytest.approx(
        exact.predict(customer, 365).iloc[0], rel=2e-4 * max(abs(shift), 1e-9) / 1e-4
    )


def test_a_plus_b_at_one_is_no_singularity() -> None:
    at = BetaGeoNBD.from_parameters(r=0.25, alpha=30.0, a=0.4, b=0.6).expected_purchases_new(365)[0]
    beside = BetaGeoNBD.from_parameters(r=0.25, alpha=30.0, a=0.4, b=0.6 + 1e-9).expected_purchases_new(365)[
        0
    ]
    assert at == pytest.approx(beside, rel=1e-8)


def test_discounted_values_follow_the_mid_step_rule() -> None:
    fitted = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=100.0), "given")
    spend = Fitted.from_parameters(
        GAMMA_GAMMA,
        dict(p=4.0, q=3.0, gamma=10.0),
        "given",
    )
    customer = Customers(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), np.full(1, np.nan))
    found = predict_customers(ClvModel(fitted, spend), customer, days=60, discount_rate=0.10)
    by_hand = 0.01 * 20.0 * 30 * (1.1 ** (-15 / 365.25) + 1.1 ** (-45 / 365.25))
    assert found["expected_value"][0] == pytest.approx(by_hand, rel=1e-12)
