"""Special functions and the process formulas beside mpmath at 50 digits and beside brute force."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.maths import bgprocess

mp.mp.dps = 50


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda v: float(np.exp(v)))


def expectation_by_hypergeometric(r: float, alpha: float, a: float, b: float, h: float) -> float:
    """Fader, Hardie & Lee (2005), eq. 9, as printed but with 50 digits."""
    r_, al, a_, b_, t = (mp.mpf(v) for v in (r, alpha, a, b, h))
    inner = (al / (al + t)) ** r_ * mp.hyp2f1(r_, b_, a_ + b_ - 1, t / (al + t))
    return float((a_ + b_ - 1) / (a_ - 1) * (1 - inner))


def expectation_by_integral(r: float, alpha: float, a: float, b: float, h: float) -> float:
    """The always finite integral, by mpmath's own quadrature."""

    def inner(p: mp.mpf) -> mp.mpf:
        return (1 - (1 + p * h / alpha) ** (-r)) / p * p ** (a - 1) * (1 - p) ** (b - 1) / mp.beta(a, b)

    return float(mp.quad(inner, [0, mp.mpf("0.001"), mp.mpf("0.1"), 0.5, 1]))


@given(
    r=log_uniform(0.02, 300.0), alpha=log_uniform(0.5, 3000.0), a=log_uniform(0.02, 40.0),
    b=log_uniform(0.05, 900.0), h=log_uniform(1.0, 3000.0),
)  # fmt: skip
def test_expectation_is_exact_over_a_wide_range(r: float, alpha: float, a: float, b: float, h: float) -> None:
    if abs(a - 1) < 1e-3 or abs(a + b - 1) < 1e-3:
        return  # the printed form is singular there; the next tests look at these points
    found = float(bgprocess.expectation(r, alpha, a, b, h)[()])
    assert found == pytest.approx(expectation_by_hypergeometric(r, alpha, a, b, h), rel=2e-10)


@pytest.mark.parametrize("a", [1.0, 1.0 + 1e-10, 1.0 - 1e-7])
@pytest.mark.parametrize("b", [0.7, 2.5, 40.0])
def test_expectation_around_a_equal_one(a: float, b: float) -> None:
    found = float(bgprocess.expectation(2.3, 50.0, a, b, 365.0)[()])
    assert found == pytest.approx(expectation_by_integral(2.3, 50.0, a, b, 365.0), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1e-11, -1e-6])
def test_expectation_around_a_plus_b_equal_one(shift: float) -> None:
    found = float(bgprocess.expectation(0.8, 50.0, 0.4, 0.6 + shift, 365.0)[()])
    assert found == pytest.approx(expectation_by_integral(0.8, 50.0, 0.4, 0.6 + shift, 365.0), rel=1e-9)


def test_expectation_where_customers_hardly_differ_in_dropping_out() -> None:
    # A fit on apparel with covariates went there; the series overflows and the integral takes over.
    found = float(bgprocess.expectation(6.67, 770.0, 1222.8, 9049.8, 1450.0)[()])
    assert found == pytest.approx(expectation_by_integral(6.67, 770.0, 1222.8, 9049.8, 1450.0), rel=1e-9)


def test_quadrature_agrees_with_series() -> None:
    for r, alpha, a, b, h in [(0.2, 30.0, 0.8, 2.5, 365.0), (40.0, 200.0, 3.0, 60.0, 90.0)]:
        series, error = bgprocess._series(np.array([r]), np.array([alpha]), np.array([a]), np.array([b]), h)
        assert error[0] < 1e-10
        assert bgprocess._quadrature(r, alpha, a, b, h) == pytest.approx(series[0], rel=1e-10)


def test_expectation_without_an_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.errors import ForecastError

    monkeypatch.setattr(bgprocess, "_quadrature", lambda *_: float("nan"))
    monkeypatch.setattr(bgprocess, "_series", lambda r, *_: (np.full(len(r), 1.0), np.full(len(r), np.inf)))
    with pytest.raises(ForecastError, match=r"could not be computed, in r=1 alpha=2"):
        bgprocess.expectation(1.0, 2.0, 0.5, 2.0, 10.0)


@given(
    r=log_uniform(0.05, 60.0), alpha=log_uniform(1.0, 1000.0), a=st.sampled_from([0.0, 0.05, 0.8, 1.0, 6.0]),
    b=log_uniform(0.2, 60.0), h=log_uniform(1.0, 800.0),
)  # fmt: skip
def test_probabilities_sum_to_one_and_their_mean_is_the_expectation(
    r: float, alpha: float, a: float, b: float, h: float
) -> None:
    offsets, tails = bgprocess.tail_table([r], [alpha], a, [b], h)
    n = np.arange(int(offsets[1]))
    mass = bgprocess.pmf(r, alpha, a, b, h, n)
    assert mass.sum() == pytest.approx(1.0, abs=1e-11)
    assert (mass >= 0).all()
    mean = float(bgprocess.expectation(r, alpha, a, b, h)[()])
    assert np.dot(n, mass) == pytest.approx(mean, rel=1e-8)
    assert tails[1:].sum() == pytest.approx(mean, rel=1e-8)
    # The table, the closed form of the tail and the sums of probabilities are three ways to one thing.
    assert tails == pytest.approx(bgprocess.tail(r, alpha, a, b, h, n), abs=1e-12)
    assert tails == pytest.approx(mass[::-1].cumsum()[::-1], abs=1e-11)


def test_a_heavy_buyers_tail_does_not_underflow() -> None:
    offsets, tails = bgprocess.tail_table([1060.2], [1125.0], 0.8, [1062.4], 1095.0)
    assert np.isfinite(tails).all()
    assert offsets[1] > 1000
    assert tails[1:].sum() == pytest.approx(
        float(bgprocess.expectation(1060.2, 1125.0, 0.8, 1062.4, 1095.0)[()])
    )
