"""Pareto/NBD: likelihood beside the hypergeometric form, derivatives, compiled sum, live process."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from forecast.fitting.problem import purchase_problem
from forecast.fitting.search import maximise
from forecast.fitting.spec import PARETO_NBD, TextSum
from forecast.maths import jets, paretokernel, paretonbd, paretoprocess
from forecast.maths.jets import JETS
from forecast.maths.ops import NUMPY
from forecast.maths.paretokernel import ParetoNBDSum
from forecast.summary.statistics import group_purchases

CDNOW = (0.5532699, 10.577801, 0.60602, 11.663915)
HEAVY = (0.5143, 2.8845, 0.2856, 14.1087)

RNG = np.random.default_rng(5)
T = RNG.integers(30, 700, 300).astype(float)
X, T_X, _, _ = paretonbd.simulate(RNG, T, 90.0, 0.8, 30.0, 0.6, 60.0)
X, T_X = X.astype(float), np.ceil(T_X)
T_X[:20] = np.where(X[:20] > 0, T[:20], 0.0)  # bought on the last day
W = RNG.integers(1, 9, 300).astype(float)
DATA = {"x": X, "t_x": T_X, "T": T}
POINTS = [
    [0.55, 75.0, 0.6, 80.0],
    [0.1, 3.0, 0.3, 0.01],
    [5.0, 50.0, 10.0, 1e5],
    [0.3, 10.0, 0.9, 10.0],
    [2.0, 20.0, 40.0, 900.0],
]


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda v: float(np.exp(v)))


def by_hypergeometric(
    r: float, alpha: float, s: float, beta: float, x: float, t_x: float, T: float
) -> tuple[float, float]:
    """Log-likelihood and P(alive) as Fader & Hardie's note prints them, with 50 digits."""
    with mp.workdps(50):
        r_, al, s_, be, x_, tx, t = (mp.mpf(v) for v in (r, alpha, s, beta, x, t_x, T))
        top, gap = max(al, be), abs(al - be)
        second = s_ + 1 if al >= be else r_ + x_

        def part(y: mp.mpf) -> mp.mpf:
            total = r_ + s_ + x_
            return mp.hyp2f1(total, second, total + 1, gap / (top + y)) / (top + y) ** total

        dead = s_ / (r_ + s_ + x_) * (part(tx) - part(t))
        alive = 1 / ((al + t) ** (r_ + x_) * (be + t) ** s_)
        front = mp.loggamma(r_ + x_) - mp.loggamma(r_) + r_ * mp.log(al) + s_ * mp.log(be)
        return float(front + mp.log(alive + dead)), float(alive / (alive + dead))


# --- the likelihood -----------------------------------------------------------------------------------------


@given(
    r=log_uniform(0.05, 20.0), alpha=log_uniform(0.5, 2000.0), s=log_uniform(0.02, 20.0),
    beta=log_uniform(0.5, 2000.0), x=st.integers(0, 40), early=st.floats(0.01, 1.0), age=st.floats(1.0, 1500.0),
)  # fmt: skip
def test_likelihood_and_p_alive_are_the_hypergeometric_ones(
    r: float, alpha: float, s: float, beta: float, x: int, early: float, age: float
) -> None:
    data = dict(x=float(x), t_x=early * age if x else 0.0, T=age)
    truth, p_alive = by_hypergeometric(r, alpha, s, beta, **data)
    found = float(paretonbd.log_likelihood(NUMPY, r, alpha, s, beta, **data))
    assert found == pytest.approx(truth, rel=1e-11, abs=1e-11)
    odds = float(paretonbd.log_odds_left(r, alpha, s, beta, **data))
    assert special.expit(-odds) == pytest.approx(p_alive, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("theta", "x", "t_x", "T"),
    [
        ((0.5, 70.0, 0.6, 80.0), 107, 700.0, 700.0),  # other programs give NaN from here on
        ((0.5, 70.0, 0.6, 80.0), 254, 699.0, 700.0),
        ((0.5, 70.0, 0.6, 80.0), 254, 600.0, 700.0),
        (HEAVY, 221, 103.42857, 103.57143),
        (HEAVY, 254, 97.14286, 97.28571),
        (HEAVY, 161, 94.71429, 98.0),
        (HEAVY, 204, 98.57143, 99.42857),
        ((0.5, 70.0, 0.6, 1e-6), 0, 0.0, 700.0),
        ((0.5, 70.0, 0.6, 1e-6), 3, 200.0, 700.0),
        ((0.5, 70.0, 0.6, 1e9), 3, 200.0, 700.0),
        ((0.5, 70.0, 0.6, 70.0), 3, 200.0, 700.0),
        ((0.5, 70.0, 0.6, 70.0 + 1e-9), 3, 200.0, 700.0),
        ((0.5, 70.0, 1e-4, 80.0), 3, 200.0, 700.0),
        ((150.0, 9000.0, 90.0, 30000.0), 3, 200.0, 700.0),
    ],
)
def test_likelihood_at_the_ends_of_its_range(theta: tuple[float, ...], x: int, t_x: float, T: float) -> None:
    truth, p_alive = by_hypergeometric(*theta, float(x), t_x, T)
    found = float(paretonbd.log_likelihood(NUMPY, *theta, x=float(x), t_x=t_x, T=T))
    assert found == pytest.approx(truth, rel=1e-12, abs=1e-11)
    odds = float(paretonbd.log_odds_left(*theta, x=float(x), t_x=t_x, T=T))
    assert special.expit(-odds) == pytest.approx(p_alive, rel=1e-10)


def test_likelihood_of_a_very_heavy_buyer_is_finite() -> None:
    found = paretonbd.log_likelihood(NUMPY, *CDNOW, x=9000.0, t_x=10.0, T=3650.0)
    assert np.isfinite(found)
    value, gradient, hessian = jets.weighted_sum(
        paretonbd.log_likelihood(
            JETS, *jets.variables(list(CDNOW)), x=9000.0, t_x=10.0, T=np.array([3650.0])
        ),
        np.ones(1),
    )
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
    assert value == pytest.approx(float(found))


@pytest.mark.parametrize("theta", POINTS, ids=str)
def test_derivatives_agree_with_differences(theta: list[float]) -> None:
    total, at = TextSum(paretonbd.log_likelihood, W, DATA), np.array(theta)
    value, gradient, hessian = total(at)
    assert value == pytest.approx(total.value(at), rel=1e-13)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-5 * theta[i]
        rise = (total.value(at + step) - total.value(at - step)) / (2 * step[i])
        assert gradient[i] == pytest.approx(rise, rel=1e-5, abs=2e-8 * abs(value) / theta[i] * 1e-2)
        bend = (total(at + step)[1] - total(at - step)[1]) / (2 * step[i])
        assert hessian[i] * theta[i] * at == pytest.approx(bend * theta[i] * at, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("unit", [1.0, 1 / 7], ids=["whole", "fractional"])
@pytest.mark.parametrize("theta", POINTS, ids=str)
def test_compiled_sum_equals_the_text(theta: list[float], unit: float) -> None:
    data = {name: v * unit if name != "x" else v for name, v in DATA.items()}
    compiled, at = ParetoNBDSum(**data, weight=W), np.array(theta)
    text, found = TextSum(paretonbd.log_likelihood, W, data)(at), compiled(at)
    assert found[0] == pytest.approx(text[0], rel=1e-12)
    assert found[1] * at == pytest.approx(text[1] * at, rel=1e-10, abs=1e-9)
    assert found[2] * np.outer(at, at) == pytest.approx(text[2] * np.outer(at, at), rel=1e-10, abs=1e-9)
    assert compiled.value(at) == pytest.approx(text[0], rel=1e-12)


def test_compiled_sum_does_not_depend_on_threads_nor_much_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    at = np.array(POINTS[0])
    whole = ParetoNBDSum(**DATA, weight=W)(at)
    monkeypatch.setattr(paretokernel, "_BLOCK", 64)
    many = ParetoNBDSum(**DATA, weight=W)(at)
    monkeypatch.setattr(paretokernel.os, "cpu_count", lambda: 1)
    single = ParetoNBDSum(**DATA, weight=W)(at)
    assert many[0] == single[0]
    assert (many[2] == single[2]).all()
    assert many[2] == pytest.approx(whole[2], rel=1e-11)


def test_compiled_sum_when_all_bought_on_the_last_day() -> None:
    data = {"x": np.array([1.0, 2.0]), "t_x": np.array([9.0, 9.0]), "T": np.array([9.0, 9.0])}
    found = ParetoNBDSum(**data, weight=np.ones(2))(np.array(CDNOW))
    text = TextSum(paretonbd.log_likelihood, np.ones(2), data)(np.array(CDNOW))
    for one, other in zip(found, text, strict=True):
        assert one == pytest.approx(other, rel=1e-11)


def test_the_unit_of_time_does_not_matter() -> None:
    fits = []
    for unit in (1.0, 7.0, 1 / 24):
        problem = purchase_problem(PARETO_NBD, group_purchases(X, T_X * unit, T * unit))
        found = maximise(problem.in_logs(), np.log(problem.start), "Pareto/NBD")
        fits.append(np.append(found.at, found.value))
    assert fits[1] == pytest.approx(fits[0], rel=1e-8, abs=1e-8)
    assert fits[2] == pytest.approx(fits[0], rel=1e-8, abs=1e-8)


@given(
    x=st.integers(0, 300), early=st.floats(0.01, 1.0), age=st.floats(1.0, 900.0), later=st.floats(1.0, 900.0)
)
def test_p_alive_is_a_probability_that_never_rises_with_silence(
    x: int, early: float, age: float, later: float
) -> None:
    t_x = early * age if x else 0.0
    now, then = (
        float(special.expit(-paretonbd.log_odds_left(*CDNOW, x=float(x), t_x=t_x, T=t)))
        for t in (age, age + later)
    )
    assert 0.0 <= then <= now <= 1.0


# --- the live process ---------------------------------------------------------------------------------------

processes = dict(
    r=log_uniform(0.05, 300.0), alpha=log_uniform(0.5, 1000.0), s=log_uniform(0.02, 300.0),
    beta=log_uniform(0.01, 30000.0), h=log_uniform(1.0, 800.0),
)  # fmt: skip


@given(**processes)
def test_chances_sum_to_one_and_their_mean_is_the_expectation(
    r: float, alpha: float, s: float, beta: float, h: float
) -> None:
    offsets, tails = paretoprocess.tail_table([r], [alpha], s, beta, h)
    size = int(offsets[1])
    few = np.arange(min(size, 3000))
    mass = paretoprocess.pmf(r, alpha, s, beta, h, few)
    assert (mass >= 0).all()
    assert mass.sum() + (tails[3000] if size > 3000 else 0.0) == pytest.approx(1.0, abs=1e-11)
    mean = float(paretoprocess.expectation(r, alpha, s, beta, h)[()])
    assert tails[1:].sum() == pytest.approx(mean, rel=1e-8)
    assert (tails[few[:-1]] - tails[few[1:]]) == pytest.approx(mass[:-1], abs=1e-12)


@pytest.mark.parametrize(
    ("theta", "h"),
    [
        (CDNOW, 52.0),
        ((26.6, 41.6, 0.6, 42.7), 52.0),
        ((1000.0, 700.0, 0.6, 760.0), 365.0),
        ((3000.0, 700.0, 2.0, 90.0), 365.0),
        ((0.5, 70.0, 0.6, 1e-3), 365.0),
        ((20.0, 70.0, 300.0, 9000.0), 365.0),
        ((0.5, 1e-2, 0.6, 100.0), 365.0),
    ],
)
def test_tails_are_the_integral_over_arrivals(theta: tuple[float, ...], h: float) -> None:
    r, alpha, s, beta = theta
    _, tails = paretoprocess.tail_table(r, alpha, s, beta, h)
    mean = float(paretoprocess.expectation(*theta, h)[()])
    for n in {1, 2, 7, max(1, int(mean)), max(1, int(1.5 * mean))}:

        def arrival(w: mp.mpf, n: int = n) -> mp.mpf:  # density of the log time of the n-th purchase
            t = mp.exp(w)
            log_ways = mp.loggamma(r + n) - mp.loggamma(n) - mp.loggamma(r)
            return mp.exp(
                log_ways - s * mp.log1p(t / beta) - n * mp.log1p(alpha / t) - r * mp.log1p(t / alpha)
            )

        end, centre = mp.log(h), mp.log(alpha * n / mp.mpf(r))
        width = mp.sqrt(mp.mpf(1) / n + 1 / mp.mpf(r))
        cuts = {end, *(c for i in range(-40, 41) if (c := centre + i * width) < end)}
        truth = float(mp.quad(arrival, sorted(cuts)))
        assert tails[n] == pytest.approx(truth, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("s", [1.0, 1.0 + 1e-12, 1.0 - 1e-9, 0.5, 3.0])
def test_expectation_is_the_integral_of_who_is_still_there(s: float) -> None:
    truth = 2.0 / 30.0 * mp.quad(lambda t: (50 / (50 + t)) ** mp.mpf(s), [0, 90, 365])
    assert float(paretoprocess.expectation(2.0, 30.0, s, 50.0, 365.0)[()]) == pytest.approx(
        float(truth), rel=1e-12
    )


@given(s=log_uniform(0.02, 200.0), beta=log_uniform(0.01, 1e5), delta=log_uniform(1e-6, 1.0))
def test_discounted_value_is_the_confluent_hypergeometric_one(s: float, beta: float, delta: float) -> None:
    with mp.workdps(30):
        truth = 2 / mp.mpf(30) * beta * mp.hyperu(1, 2 - mp.mpf(s), mp.mpf(beta) * mp.mpf(delta))
    found = float(paretoprocess.discounted(2.0, 30.0, s, beta, delta)[()])
    assert found == pytest.approx(float(truth), rel=1e-11)


def test_arrays_of_customers_are_their_customers_one_by_one() -> None:
    live = paretonbd.if_alive(*CDNOW, **DATA)
    spread = [np.broadcast_to(v, X.shape) for v in live]
    mean = paretoprocess.expectation(*live, 90.0)
    offsets, tails = paretoprocess.tail_table(*live, 90.0)
    mass = paretoprocess.pmf(*(v[:, None] for v in spread), 90.0, np.arange(4))
    value = paretoprocess.discounted(*live, 0.01)
    for i in (0, 17, 250):
        one = [float(v[i]) for v in spread]
        assert mean[i] == pytest.approx(float(paretoprocess.expectation(*one, 90.0)[()]), rel=1e-14)
        assert tails[offsets[i] : offsets[i + 1]] == pytest.approx(paretoprocess.tail_table(*one, 90.0)[1])
        assert mass[i] == pytest.approx(paretoprocess.pmf(*one, 90.0, np.arange(4)))
        assert value[i] == pytest.approx(float(paretoprocess.discounted(*one, 0.01)[()]))
    assert paretoprocess.pmf(*CDNOW, 0.0, [0, 1]).tolist() == [1.0, 0.0]


def test_simulated_customers_do_what_the_formulas_say() -> None:
    size, h, theta = 400_000, 60.0, (0.9, 8.0, 0.7, 40.0)
    x, t_x, alive, future = paretonbd.simulate(np.random.default_rng(3), np.full(size, 100.0), h, *theta)
    data = dict(x=x.astype(float), t_x=t_x, T=np.full(size, 100.0))
    p_alive = special.expit(-paretonbd.log_odds_left(*theta, **data))
    for low, high in [(0, 0), (1, 1), (2, 3), (4, 8), (9, 999)]:
        own = (x >= low) & (x <= high)
        number = int(own.sum())
        assert number > 1000
        assert alive[own].mean() == pytest.approx(p_alive[own].mean(), abs=4.5 / np.sqrt(4 * number))
        live = [np.broadcast_to(v, size)[own] for v in paretonbd.if_alive(*theta, **data)]
        mean = p_alive[own] * paretoprocess.expectation(*live, h)
        error = future[own].std() / np.sqrt(number)
        assert future[own].mean() == pytest.approx(mean.mean(), abs=4.5 * error)
    new = paretonbd.if_alive(*theta, x=0.0, t_x=0.0, T=0.0)
    n = np.arange(6)
    assert np.bincount(x, minlength=6)[:6] / size == pytest.approx(
        paretoprocess.pmf(*new, 100.0, n), abs=4.5 / np.sqrt(4 * size)
    )
