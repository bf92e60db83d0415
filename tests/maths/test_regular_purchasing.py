"""MBG/NBD and (M)BG/CNBD-k: likelihood by brute force, derivatives, live process, simulation."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ArgumentError
from forecast.fitting.spec import DEFAULT_CANDIDATES, PURCHASE_MODELS, TextSum, purchase_model
from forecast.maths import bgcnbd, bgnbd, bgprocess, jets, kernels
from forecast.maths.bgcnbd import family
from forecast.maths.cnbdprocess import Process
from forecast.maths.jets import JETS
from forecast.maths.kernels import BGNBDSum
from forecast.maths.ops import NUMPY

RNG = np.random.default_rng(11)
X = RNG.integers(0, 12, 300).astype(float)
T = RNG.integers(30, 700, 300).astype(float)
T_X = np.where(X > 0, np.ceil(T * RNG.uniform(0.05, 1.0, 300)), 0.0)
T_X[:5] = np.where(X[:5] > 0, T[:5], 0.0)
W = RNG.integers(1, 9, 300).astype(float)
DATA = {"x": X, "t_x": T_X, "T": T}
THETA = [0.8, 12.0, 0.6, 1.9]


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda v: float(np.exp(v)))


def likelihood_by_integral(
    k: int, m: int, r: float, alpha: float, a: float, b: float, gaps: list[float], T: float
) -> tuple[float, float]:
    """Likelihood of the gaps themselves and P(alive), from the model's definition with 40 digits."""
    mp.mp.dps = 40
    x, t_x = len(gaps), sum(gaps)

    def given_rate(rate: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        density = mp.mpf(1)
        for gap in gaps:
            density *= rate**k * mp.mpf(gap) ** (k - 1) * mp.exp(-rate * gap) / mp.gamma(k)
        silent = mp.gammainc(k, rate * (T - t_x), regularized=True)  # fewer than k events since
        return density, density * silent

    def weight(v: mp.mpf) -> mp.mpf:
        return alpha**r * v ** (mp.mpf(r) - 1) * mp.exp(-alpha * v) / mp.gamma(r)

    nodes = [0, 0.01, 0.05, 0.2, 1, 5, mp.inf]
    rate_left = mp.quad(lambda v: weight(v) * given_rate(v)[0], nodes)
    rate_alive = mp.quad(lambda v: weight(v) * given_rate(v)[1], nodes)
    alive = rate_alive * mp.beta(a, b + x + m) / mp.beta(a, b)
    left = rate_left * mp.beta(a + 1, b + x + m - 1) / mp.beta(a, b) if x + m > 0 else mp.mpf(0)
    return float(mp.log(alive + left)), float(alive / (alive + left))


@pytest.mark.parametrize("m", [0, 1])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("gaps", [[], [4.0], [3.0, 9.0, 5.5]], ids=len)
@pytest.mark.parametrize("silence", [0.0, 11.0])
def test_likelihood_and_p_alive_follow_from_the_definition(
    k: int, m: int, gaps: list[float], silence: float
) -> None:
    theta = (1.3, 2.8, 0.42, 0.79)
    age = sum(gaps) + silence
    truth, p_alive = likelihood_by_integral(k, m, *theta, gaps, age)
    data = dict(x=float(len(gaps)), t_x=sum(gaps), T=age)
    found = float(family(k, m).log_likelihood(NUMPY, *theta, **data))
    found += float(bgcnbd.log_gap_constant(k, len(gaps), np.log(gaps).sum()))
    assert found == pytest.approx(truth, rel=1e-11)
    odds = float(family(k, m).log_odds_left(*theta, **data))
    assert 1.0 / (1.0 + np.exp(odds)) == pytest.approx(p_alive, rel=1e-11)


def test_the_simplest_member_is_bgnbd() -> None:
    plain, own = bgnbd.log_likelihood(NUMPY, *THETA, **DATA), family(1, 0)
    assert own.log_likelihood(NUMPY, *THETA, **DATA) == pytest.approx(plain, rel=1e-14)
    assert own.log_odds_left(*THETA, **DATA) == pytest.approx(bgnbd.log_odds_left(*THETA, **DATA), rel=1e-14)
    assert own.PROCESS is bgprocess
    live = own.if_alive(*THETA, **DATA)
    assert live[0] == pytest.approx(THETA[0] + X)
    assert live[3] == pytest.approx(THETA[3] + X)
    assert own.LIVE_BY == ("x", "T")
    assert own.start(1.0, 3.0) == bgnbd.start(1.0, 3.0)


@pytest.mark.parametrize("m", [0, 1])
@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_derivatives_agree_with_differences(k: int, m: int) -> None:
    model = family(k, m)

    def gradient_at(values: np.ndarray) -> np.ndarray:
        return jets.weighted_sum(model.log_likelihood(JETS, *jets.variables(list(values)), **DATA), W)[1]

    value, gradient, hessian = jets.weighted_sum(
        model.log_likelihood(JETS, *jets.variables(THETA), **DATA), W
    )
    total = TextSum(model.log_likelihood, W, DATA)
    at = np.array(THETA)
    assert value == pytest.approx(total.value(at), rel=1e-13)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-6 * THETA[i]
        rise = (total.value(at + step) - total.value(at - step)) / (2 * step[i])
        assert gradient[i] == pytest.approx(rise, rel=1e-5, abs=1e-3)
        bend = (gradient_at(at + step) - gradient_at(at - step)) / (2 * step[i])
        assert hessian[i] == pytest.approx(bend, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("unit", [1.0, 1 / 7], ids=["whole", "fractional"])
def test_compiled_sum_of_mbg_equals_the_text(unit: float) -> None:
    data = {name: v * unit if name != "x" else v for name, v in DATA.items()}
    compiled = BGNBDSum(**data, weight=W, m=1)
    text = jets.weighted_sum(family(1, 1).log_likelihood(JETS, *jets.variables(THETA), **data), W)
    found = compiled(np.array(THETA))
    assert found[0] == pytest.approx(text[0], rel=1e-10)
    assert found[1] == pytest.approx(text[1], rel=1e-10, abs=1e-9)
    assert found[2] == pytest.approx(text[2], rel=1e-10, abs=1e-9)
    assert compiled.value(np.array(THETA)) == pytest.approx(text[0], rel=1e-12)


def test_sums_of_a_text_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.fitting import spec

    total = TextSum(family(3, 1).log_likelihood, W, DATA)
    at = np.array(THETA)
    whole, alone = total(at), total.value(at)
    monkeypatch.setattr(spec, "_BLOCK", 7)
    for one, other in zip(whole, total(at), strict=True):
        assert other == pytest.approx(one, rel=1e-12)
    assert total.value(at) == pytest.approx(alone, rel=1e-13)
    monkeypatch.setattr(kernels, "_BLOCK", 64)
    assert BGNBDSum(**DATA, weight=W, m=1)(at)[0] == pytest.approx(
        float(np.dot(W, family(1, 1).log_likelihood(NUMPY, *THETA, **DATA))), rel=1e-12
    )


# --- the live process ---------------------------------------------------------------------------------------


@given(
    k=st.integers(2, 8), shape=log_uniform(0.05, 60.0), alpha=log_uniform(1.0, 1000.0),
    a=log_uniform(0.05, 6.0), b=log_uniform(0.2, 60.0), z=st.floats(0.0, 0.999), h=log_uniform(1.0, 800.0),
)  # fmt: skip
def test_chances_sum_to_one_and_their_mean_is_the_expectation(
    k: int, shape: float, alpha: float, a: float, b: float, z: float, h: float
) -> None:
    process = Process(k)
    offsets, tails = process.tail_table([shape], [alpha], a, b, z, h)
    n = np.arange(int(offsets[1]))
    mass = process.pmf(shape, alpha, a, b, z, h, n)
    assert mass.sum() == pytest.approx(1.0, abs=1e-11)
    assert (mass >= 0).all()
    mean = float(process.expectation(shape, alpha, a, b, z, h)[()])
    assert mean == pytest.approx(float(tails[1:].sum()), rel=1e-13)
    assert np.dot(n, mass) == pytest.approx(mean, rel=1e-8)
    assert tails == pytest.approx(mass[::-1].cumsum()[::-1], abs=1e-11)


@given(
    shape=log_uniform(0.05, 200.0), alpha=log_uniform(1.0, 1000.0), a=log_uniform(0.05, 6.0),
    b=log_uniform(0.2, 60.0), z=st.floats(0.0, 0.999), h=log_uniform(1.0, 800.0),
)  # fmt: skip
def test_one_event_a_purchase_is_the_bg_process(
    shape: float, alpha: float, a: float, b: float, z: float, h: float
) -> None:
    process = Process(1)
    n = np.arange(9)
    assert process.pmf(shape, alpha, a, b, z, h, n) == pytest.approx(
        bgprocess.pmf(shape, alpha, a, b, h, n), rel=1e-9, abs=1e-300
    )
    truth = float(bgprocess.expectation(shape, alpha, a, b, h)[()])
    assert float(process.expectation(shape, alpha, a, b, z, h)[()]) == pytest.approx(truth, rel=1e-9)
    own, theirs = process.tail_table(shape, alpha, a, b, z, h), bgprocess.tail_table([shape], alpha, a, b, h)
    assert own[1] == pytest.approx(theirs[1], abs=1e-13)


def test_arrays_of_customers_are_their_customers_one_by_one() -> None:
    process, live = Process(3), family(3, 1).if_alive(*THETA, **DATA)
    spread = [np.broadcast_to(v, X.shape) for v in live]
    mean = process.expectation(*live, 90.0)
    offsets, tails = process.tail_table(*live, 90.0)
    mass = process.pmf(*(v[:, None] for v in spread), 90.0, np.arange(4))
    for i in (0, 17, 250):
        one = [float(v[i]) for v in spread]
        assert mean[i] == pytest.approx(float(process.expectation(*one, 90.0)[()]), rel=1e-14)
        assert tails[offsets[i] : offsets[i + 1]] == pytest.approx(process.tail_table(*one, 90.0)[1])
        assert mass[i] == pytest.approx(process.pmf(*one, 90.0, np.arange(4)))


def test_a_heavy_buyers_tail_does_not_underflow() -> None:
    live = family(2, 1).if_alive(1.3, 2.8, 0.4, 0.8, x=1060.0, t_x=1094.0, T=1095.0)
    offsets, tails = Process(2).tail_table(*live, 1095.0)
    assert np.isfinite(tails).all()
    assert offsets[1] > 1000
    assert np.isfinite(family(8, 1).log_likelihood(NUMPY, *THETA, x=9000.0, t_x=10.0, T=3650.0))


def test_a_tail_that_is_cut_off_keeps_its_chances() -> None:
    live = (0.5, 1.0, 0.4, 0.8, 0.0, 365.0)
    whole, cut = Process(2).tail_table(*live)[1], Process(2).tail_table(*live, limit=50)[1]
    assert cut[:50] == pytest.approx(whole[:50], rel=1e-10)
    assert len(cut) < len(whole) / 10


@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 0), (3, 1)])
def test_simulated_customers_do_what_the_formulas_say(k: int, m: int) -> None:
    size, h = 400_000, 60.0
    theta = (0.9, 8.0 / k, 0.7, 1.6)
    model = family(k, m)
    x, t_x, alive, future = model.simulate(np.random.default_rng(3), np.full(size, 100.0), h, *theta)
    data = dict(x=x.astype(float), t_x=t_x, T=100.0)
    p_alive = 1.0 / (1.0 + np.exp(model.log_odds_left(*theta, **data)))
    seen = (t_x > 0) | (x == 0)
    assert seen.all()
    for low, high in [(0, 0), (1, 1), (2, 3), (4, 8), (9, 99)]:
        own = (x >= low) & (x <= high)
        number = int(own.sum())
        assert number > 1000
        assert alive[own].mean() == pytest.approx(p_alive[own].mean(), abs=4.5 / np.sqrt(4 * number))
        live = [np.broadcast_to(v, size)[own] for v in model.if_alive(*theta, **data)]
        mean = p_alive[own] * model.PROCESS.expectation(*live, h)
        error = future[own].std() / np.sqrt(number)
        assert future[own].mean() == pytest.approx(mean.mean(), abs=4.5 * error)
        none = 1.0 - p_alive[own] + p_alive[own] * model.PROCESS.pmf(*live, h, 0)
        assert (future[own] == 0).mean() == pytest.approx(none.mean(), abs=4.5 / np.sqrt(4 * number))
    # New customers: x = 0 at T = 0, some of whom are gone at once.
    stays = 1.0 / (1.0 + np.exp(float(model.log_odds_left(*theta, x=0.0, t_x=0.0, T=0.0))))
    new = model.if_alive(*theta, x=0.0, t_x=0.0, T=0.0)
    mean = stays * float(model.PROCESS.expectation(*new, 100.0)[()])
    assert x.mean() == pytest.approx(mean, abs=4.5 * x.std() / np.sqrt(size))


@given(
    k=st.integers(1, 8),
    m=st.integers(0, 1),
    x=st.integers(0, 60),
    early=st.floats(0.01, 1.0),
    age=st.floats(1.0, 900.0),
)
def test_p_alive_and_likelihood_are_sane_everywhere(k: int, m: int, x: int, early: float, age: float) -> None:
    t_x = early * age if x else 0.0
    data = dict(x=float(x), t_x=t_x, T=age)
    odds = float(family(k, m).log_odds_left(*THETA, **data))
    assert not np.isnan(odds)
    assert odds < np.inf
    assert np.isfinite(family(k, m).log_likelihood(NUMPY, *THETA, **data))


# --- the table of models ------------------------------------------------------------------------------------


def test_every_member_has_a_name() -> None:
    for k in range(1, 9):
        for m, prefix in enumerate(["", "m"]):
            spec = purchase_model(f"{prefix}bg-cnbd-{k}")
            assert (spec.formulas.k, spec.formulas.m) == (k, m)
            assert spec is purchase_model(spec.name)
    assert set(DEFAULT_CANDIDATES) <= set(PURCHASE_MODELS)
    for name in ("bg-cnbd-9", "mbg-cnbd-0", "cnbd-2", "bg-cnbd-22"):
        with pytest.raises(ArgumentError, match=r"no purchase model .*any K from 1 to 8"):
            purchase_model(name)
    with pytest.raises(ValueError, match="k goes from 1 to 8"):
        family(9, 0)
