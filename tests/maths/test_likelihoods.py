"""One text of each likelihood: its derivatives, its compiled sums, and what it means."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize

from forecast.maths import bgnbd, gammagamma, jets, nbd
from forecast.maths.jets import JETS
from forecast.maths.kernels import BGNBDSum, GammaGammaSum, NBDSum
from forecast.maths.ops import NAMES, NUMPY

RNG = np.random.default_rng(7)
X = RNG.integers(0, 12, 400).astype(float)
T = RNG.integers(30, 700, 400).astype(float)
T_X = np.where(X > 0, np.ceil(T * RNG.uniform(0.05, 1.0, 400)), 0.0)
W = RNG.integers(1, 9, 400).astype(float)
N = RNG.integers(1, 15, 400).astype(float)
M = RNG.gamma(3.0, 12.0, 400)

PURCHASES = {"x": X, "t_x": T_X, "T": T}
SPEND = {"n": N, "m": M}
CASES: list[tuple[ModuleType, list[float], dict[str, Any]]] = [
    (nbd, [0.4, 30.0], PURCHASES),
    (bgnbd, [0.24, 31.0, 0.8, 2.4], PURCHASES),
    (gammagamma, [6.2, 3.7, 15.4], SPEND),
]


@pytest.mark.parametrize(("model", "theta", "data"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_derivatives_agree_with_differences(
    model: ModuleType, theta: list[float], data: dict[str, Any]
) -> None:
    def total(values: np.ndarray) -> float:
        return float(np.dot(W, model.log_likelihood(NUMPY, *values, **data)))

    def gradient_at(values: np.ndarray) -> np.ndarray:
        return jets.weighted_sum(model.log_likelihood(JETS, *jets.variables(list(values)), **data), W)[1]

    value, gradient, hessian = jets.weighted_sum(
        model.log_likelihood(JETS, *jets.variables(theta), **data), W
    )
    at = np.array(theta)
    assert value == pytest.approx(total(at), rel=1e-13)
    assert gradient == pytest.approx(optimize.approx_fprime(at, total, 1e-7), rel=2e-4, abs=1e-2)
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = 1e-6 * theta[i]
        difference = (gradient_at(at + step) - gradient_at(at - step)) / (2 * step[i])
        assert hessian[i] == pytest.approx(difference, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(
    ("compiled", "model", "theta", "data"),
    [(NBDSum, *CASES[0]), (BGNBDSum, *CASES[1]), (GammaGammaSum, *CASES[2])],
    ids=["nbd", "bgnbd", "gammagamma"],
)
@pytest.mark.parametrize("unit", [1.0, 1 / 7], ids=["whole", "fractional"])
def test_compiled_sums_equal_the_text(
    compiled: Any, model: ModuleType, theta: list[float], data: dict[str, Any], unit: float
) -> None:
    scaled = {k: v * unit if k in ("t_x", "T", "m") else v for k, v in data.items()}
    found = compiled(**scaled, weight=W)(np.array(theta))
    text = jets.weighted_sum(model.log_likelihood(JETS, *jets.variables(theta), **scaled), W)
    assert found[0] == pytest.approx(text[0], rel=1e-10)
    assert found[1] == pytest.approx(text[1], rel=1e-10, abs=1e-9)
    assert found[2] == pytest.approx(text[2], rel=1e-10, abs=1e-9)
    assert compiled(**scaled, weight=W).value(np.array(theta)) == pytest.approx(text[0], rel=1e-10)
    ones = np.ones_like(W)  # the commonest weight has a way of its own
    plain = jets.weighted_sum(model.log_likelihood(JETS, *jets.variables(theta), **scaled), ones)
    assert compiled(**scaled, weight=ones)(np.array(theta))[0] == pytest.approx(plain[0], rel=1e-12)


def test_compiled_sums_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.maths import kernels

    monkeypatch.setattr(kernels, "_BLOCK", 64)
    many = BGNBDSum(**PURCHASES, weight=W)(np.array(CASES[1][1]))
    monkeypatch.setattr(kernels.os, "cpu_count", lambda: 1)
    single = BGNBDSum(**PURCHASES, weight=W)(np.array(CASES[1][1]))
    assert many[0] == single[0]
    assert (many[2] == single[2]).all()


def test_compiled_sum_without_repeat_purchases() -> None:
    zeros = np.zeros(3)
    found = BGNBDSum(zeros, zeros, np.array([5.0, 9.0, 9.0]), np.ones(3))(np.array([0.5, 10.0, 0.8, 2.0]))
    by_hand = -0.5 * (np.log(15 / 10) + 2 * np.log(19 / 10))
    assert found[0] == pytest.approx(by_hand, rel=1e-12)


def test_bgnbd_text_is_the_papers_likelihood() -> None:
    mp.mp.dps = 40
    r, alpha, a, b, x, t_x, age = (
        mp.mpf(v) for v in ("0.243", "4.414", "0.793", "2.426", "2", "30.43", "38.86")
    )
    alive = (
        mp.beta(a, b + x)
        / mp.beta(a, b)
        * mp.gamma(r + x)
        * alpha**r
        / mp.gamma(r)
        / (alpha + age) ** (r + x)
    )
    left = mp.beta(a + 1, b + x - 1) / mp.beta(a, b) * mp.gamma(r + x) * alpha**r / mp.gamma(r)
    truth = float(mp.log(alive + left / (alpha + t_x) ** (r + x)))
    found = bgnbd.log_likelihood(NUMPY, 0.243, 4.414, 0.793, 2.426, x=2.0, t_x=30.43, T=38.86)
    assert float(found) == pytest.approx(truth, rel=1e-14)


def test_likelihood_of_a_very_heavy_buyer_is_finite() -> None:
    found = bgnbd.log_likelihood(NUMPY, 0.24, 31.0, 0.8, 2.4, x=9000.0, t_x=10.0, T=3650.0)
    assert np.isfinite(found)


def test_gammagamma_text_is_a_density() -> None:
    def density(m: float) -> float:
        return float(np.exp(gammagamma.log_likelihood(NUMPY, 6.25, 3.74, 15.44, n=3.0, m=m)))

    assert integrate.quad(density, 0, np.inf, limit=200)[0] == pytest.approx(1.0, abs=1e-6)


@given(
    x=st.integers(0, 50), first=st.floats(0.01, 1.0), age=st.floats(1.0, 900.0), later=st.floats(1.0, 900.0)
)
def test_p_alive_is_a_probability_that_never_rises_with_silence(
    x: int, first: float, age: float, later: float
) -> None:
    t_x = first * age if x else 0.0
    now, then = (
        float(1 / (1 + np.exp(bgnbd.log_odds_left(0.24, 31.0, 0.8, 2.4, x=float(x), t_x=t_x, T=t))))
        for t in (age, age + later)
    )
    assert 0.0 <= then <= now <= 1.0


def test_every_namespace_offers_every_operation() -> None:
    for namespace in (NUMPY, JETS):
        assert all(callable(getattr(namespace, name)) for name in NAMES)


def test_jets_know_division_powers_and_constants() -> None:
    a, b = jets.variables([2.0, 5.0])
    quotient = (3.0 - a) / b + 1.0 / a - (-b)
    value, gradient, hessian = jets.weighted_sum(quotient, np.ones(1))
    assert value == pytest.approx(1 / 5 + 1 / 2 + 5)
    assert gradient == pytest.approx([-1 / 5 - 1 / 4, -1 / 25 + 1])
    assert hessian == pytest.approx(np.array([[2 / 8, 1 / 25], [1 / 25, 2 / 125]]))
    grown = JETS.exp(a * b) * JETS.log(b)
    assert grown.first[0] == pytest.approx(5 * np.exp(10.0) * np.log(5.0))
    picked = JETS.where(np.array([True, False]), a, 7.0)
    assert picked.value.tolist() == [2.0, 7.0]
    assert JETS.where(np.array([True]), 1.0, 2.0).tolist() == [1.0]
