"""What is done once in place of once a customer gives what the long way gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.maths import bgprocess
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.tables import add_beyond, plain_quantiles, purchase_quantiles
from forecast.predict.values import _cdfs, _share_below, _solve, _solve_plain

BG = Fitted.from_parameters(purchase_model("bg-nbd"), dict(r=0.5, alpha=30.0, a=0.8, b=2.5), "given")
SPEND = Fitted.from_parameters(GAMMA_GAMMA, dict(p=6.25, q=3.74, gamma=15.44), "given")
SHARES = np.array([0.1, 0.9, 0.025, 0.975])


def test_the_quantile_of_one_draw_is_the_root_that_the_search_finds() -> None:
    rng = np.random.default_rng(0)
    none, cdf = 0.3, 0.3 + 0.7 * np.sort(rng.random(60))
    cdf[-5:] = 1.0
    last = int(np.searchsorted(cdf, 1.0 - 2e-6))
    one, first = np.ones(1), -40.0
    for share in (0.05, 0.5, 0.9, 0.999, 0.9999995):
        for alive, shift in ((0.9, 2.0), (0.2, -1.0), (1.0, 0.0), (1e-9, 0.0)):
            several = (one, one * alive, one * none, one * shift, cdf[None, :], first, np.array([last]))
            found = _solve_plain(share, alive, none, shift, cdf, first, last)
            assert found == pytest.approx(_solve(share, *several), rel=1e-8)
            if 0.0 < found < np.exp(shift + (first + last) / 32.0) * (1 - 1e-9):
                assert _share_below(np.log(found), *several) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(("p", "b"), [(6.25, 3.74), (0.4, 1.05), (6.25, 628.0), (60.0, 1e8)])
def test_nothing_is_lost_where_a_cdf_is_set_to_nothing_or_to_one(p: float, b: float) -> None:
    nodes = np.arange(-700, 700) / 32.0
    exact = special.betainc(p * np.arange(1.0, 9.0)[:, None], b, special.expit(nodes))
    assert np.abs(_cdfs(p, b, 8, nodes) - exact).max() < 1e-16


def test_quantiles_of_one_draw_need_no_mixture() -> None:
    rng = np.random.default_rng(1)
    x, T = np.arange(20.0), rng.integers(1, 700, 20).astype(float)
    offsets, tails = bgprocess.tail_table(0.5 + x, 30.0 + T, 0.8, 2.5 + x, 365.0)
    index, alive = rng.integers(0, 20, 500), rng.random(500)
    starts = np.concatenate([[0], np.cumsum(np.diff(offsets)[index] - 1)])
    beyond = np.zeros(starts[-1])
    add_beyond(index, alive, offsets, tails, starts, 1.0, beyond)
    mixed = purchase_quantiles(starts, beyond, SHARES)
    assert (plain_quantiles(index, alive, offsets, tails, SHARES) == mixed).all()


@pytest.mark.parametrize("r", [0.3, 40.0, 3000.0, 20_000.0])
def test_tails_of_large_rates_do_not_run_out_of_doubles(r: float) -> None:
    offsets, tails = bgprocess.tail_table([r], [30.0], 0.8, [2.5], 60.0)
    n = np.unique(np.linspace(1, offsets[1] - 2, 40).astype(int))
    exact = bgprocess.tail(r, 30.0, 0.8, 2.5, 60.0, n)
    assert tails[n] == pytest.approx(exact, rel=1e-9, abs=2e-13)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    T = rng.integers(1, 700, 40_000).astype(float)
    x = rng.integers(0, 4, 40_000).astype(float)
    t_x = np.where(x > 0, np.ceil(T * rng.random(40_000)), 0.0)
    everyone = Customers(x, t_x, T, x, np.where(x > 0, 30.0 * rng.random(40_000) + 1.0, np.nan))
    found = []
    for threads in (1, 5):
        monkeypatch.setattr("forecast.predict.values.os.cpu_count", lambda threads=threads: threads)
        found.append(predict_customers(ClvModel(BG, SPEND), everyone, days=90, levels=(80, 95)))
    for name, values in found[0].items():
        assert (values == found[1][name]).all(), name
