"""Every metric against another implementation of it, its definition written out, and its invariances."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as oracle

from forecast.errors import ArgumentError, InputError
from forecast.evaluation import metrics as m

RNG = np.random.default_rng(20260930)
COUNTS = RNG.negative_binomial(0.8, 0.3, 400).astype(float)
MEANS = RNG.gamma(0.8, 2.0, 400) + 1e-3
PROBABILITIES = RNG.random(400)
OUTCOMES = (RNG.random(400) < PROBABILITIES).astype(float)

few_counts = hnp.arrays(np.int64, st.integers(1, 25), elements=st.integers(0, 6)).map(
    lambda a: a.astype(float)
)


def with_scores(counts: np.ndarray) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    scores = hnp.arrays(np.float64, counts.size, elements=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5]))
    return st.tuples(st.just(counts), scores)


pairs = few_counts.flatmap(with_scores)


def test_totals() -> None:
    assert m.bias(110, 100) == pytest.approx(0.1)
    assert np.isnan(m.bias(5, 0))
    assert np.isnan(m.wape([0, 0], [1, 2]))
    # CDNOW sample, 39 weeks ahead: BG/NBD forecast 1,653.4 of 1,882.
    assert m.bias(1653.4, 1882) == pytest.approx(-0.121, abs=5e-4)


def test_point_metrics_against_scikit_learn() -> None:
    assert m.mae(COUNTS, MEANS) == pytest.approx(oracle.mean_absolute_error(COUNTS, MEANS))
    assert m.rmse(COUNTS, MEANS) == pytest.approx(oracle.root_mean_squared_error(COUNTS, MEANS))
    assert m.wape(COUNTS, MEANS) == pytest.approx(np.abs(COUNTS - MEANS).sum() / COUNTS.sum())
    assert m.poisson_deviance(COUNTS, MEANS) == pytest.approx(oracle.mean_poisson_deviance(COUNTS, MEANS))
    assert m.spearman(COUNTS, MEANS) == pytest.approx(stats.spearmanr(COUNTS, MEANS).statistic)
    assert m.brier(PROBABILITIES, OUTCOMES) == pytest.approx(oracle.brier_score_loss(OUTCOMES, PROBABILITIES))


def test_poisson_deviance_at_zero_means() -> None:
    assert m.poisson_deviance([0.0, 0.0], [0.0, 0.0]) == 0.0
    assert m.poisson_deviance([1.0], [0.0]) == np.inf
    with pytest.raises(InputError, match=r"values are negative, in mean \(1 row\)"):
        m.poisson_deviance([1.0], [-0.1])


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.0, 20.0])
def test_crps_of_poisson(mean: float) -> None:
    actual = np.array([0, 1, 2, 5, 30, 80])
    cdf = np.tile(stats.poisson.cdf(np.arange(120), mean), (actual.size, 1))
    np.testing.assert_allclose(
        m.crps_from_cdf(cdf, actual), scoringrules.crps_poisson(actual, mean), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("r", "p"), [(0.25, 0.4), (2.0, 0.2), (7.0, 0.9)])
def test_crps_of_negative_binomial(r: float, p: float) -> None:
    actual = np.array([0, 1, 4, 40])
    cdf = np.tile(stats.nbinom.cdf(np.arange(300), r, p), (actual.size, 1))
    np.testing.assert_allclose(
        m.crps_from_cdf(cdf, actual), scoringrules.crps_negbinom(actual, r, p), rtol=1e-8, atol=1e-12
    )


def test_crps_beyond_the_last_column_equals_the_wider_table() -> None:
    cdf = stats.poisson.cdf(np.arange(60), 2.0)[None, :]
    for actual in (3, 20, 55):
        narrow = m.crps_from_cdf(cdf[:, :15], [actual])
        np.testing.assert_allclose(narrow, m.crps_from_cdf(cdf, [actual]), atol=1e-6)


@given(st.integers(0, 6), hnp.arrays(np.float64, 5, elements=st.floats(0.01, 1.0)))
def test_crps_is_the_definition_by_energy(actual: int, weights: np.ndarray) -> None:
    pmf = weights / weights.sum()
    n = np.arange(5)
    energy = (pmf * np.abs(n - actual)).sum() - 0.5 * (pmf[:, None] * pmf * np.abs(n[:, None] - n)).sum()
    assert m.crps_from_cdf(pmf.cumsum()[None, :], [actual])[0] == pytest.approx(energy, abs=1e-12)


@pytest.mark.parametrize(
    ("cdf", "actual", "match"),
    [
        ([[0.5, 0.9]], [0], r"mass above 0\.001 lies beyond the last column \(1\)"),
        ([[0.6, 0.5, 1.0]], [0], "a distribution function falls"),
        ([[0.5, 1.0]], [0.5], "values are not counts"),
        ([[0.5, 1.0]], [-1], "values are not counts"),
        ([[0.5, 1.0]], [1, 1], "2 values beside 1 rows"),
        ([0.5, 1.0], [1], "1 dimensions instead of 2"),
        ([[0.5, 1.2]], [1], "outside 0 to 1"),
    ],
)
def test_crps_refusals(cdf: Any, actual: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        m.crps_from_cdf(cdf, actual)


def test_log_score_and_its_floor() -> None:
    pmf = stats.poisson.pmf(COUNTS, 2.5)
    np.testing.assert_allclose(m.log_score(pmf), scoringrules.logs_poisson(COUNTS, 2.5), rtol=1e-9)
    assert m.log_score([0.0], floor=1e-3)[0] == pytest.approx(np.log(1000))
    with pytest.raises(ArgumentError, match="the floor is 0"):
        m.log_score([0.5], floor=0)


def _jumps(n: int, seed: int, mean: float = 1.3) -> tuple[np.ndarray, np.ndarray]:
    actual = np.random.default_rng(seed).poisson(mean, n)
    return stats.poisson.cdf(actual - 1, mean), stats.poisson.cdf(actual, mean)


def test_pit_of_the_true_model_is_uniform() -> None:
    below, at = _jumps(20_000, 1)
    pit = m.randomised_pit(below, at, np.random.default_rng(2))
    assert ((below <= pit) & (pit <= at)).all()
    assert m.pit_ks(pit) == pytest.approx(stats.kstest(pit, "uniform").statistic)
    lo, hi = m.pit_ks_null(pit.size)
    assert lo < m.pit_ks(pit) < hi
    for level in (50, 80, 90):
        assert m.pit_coverage(below, at, level) == pytest.approx(level / 100, abs=0.01)


def test_pit_coverage_is_the_mean_over_randomisations() -> None:
    below, at = _jumps(50, 3)
    rng = np.random.default_rng(4)
    shares = [
        ((pit >= 0.1) & (pit <= 0.9)).mean()
        for pit in (m.randomised_pit(below, at, rng) for _ in range(4000))
    ]
    assert m.pit_coverage(below, at, 80) == pytest.approx(np.mean(shares), abs=0.005)
    assert m.pit_coverage([0.5, 0.99], [0.5, 0.99], 80) == 0.5


@pytest.mark.parametrize("n", [1, 20, 600, 23_570, 1_000_000])
def test_the_null_range_is_kolmogorovs(n: int) -> None:
    lo, hi = m.pit_ks_null(n)
    exact = (
        stats.kstwo.ppf([0.025, 0.975], n) if n <= 23_570 else stats.kstwobign.ppf([0.025, 0.975]) / n**0.5
    )
    np.testing.assert_allclose([lo, hi], exact, rtol=0.06)
    assert m.pit_ks_null(n) == (lo, hi)
    assert m.pit_ks_null(n, level=80)[1] < hi


def test_intervals() -> None:
    lo, hi = MEANS - 1.0, MEANS + 1.5
    np.testing.assert_allclose(
        m.interval_score(COUNTS, lo, hi, level=80), scoringrules.interval_score(COUNTS, lo, hi, 0.2)
    )
    assert m.winkler is m.interval_score
    assert m.interval_hit([1, 2, 3, 4], [1, 1, 1, 1], [3, 3, 3, np.inf]).tolist() == [True] * 4
    with pytest.raises(InputError, match=r"intervals end before they begin.*\(1 row; row 1\)"):
        m.interval_hit([1, 2], [0, 3], [1, 1])
    with pytest.raises(ArgumentError, match="looks like a share"):
        m.interval_score([1], [0], [2], level=0.8)


def test_calibration_error_without_ties_is_the_definition() -> None:
    order = np.argsort(PROBABILITIES)
    parts = np.array_split(order, 10)
    expected = sum(
        part.size / 400 * abs(PROBABILITIES[part].mean() - OUTCOMES[part].mean()) for part in parts
    )
    assert m.expected_calibration_error(PROBABILITIES, OUTCOMES) == pytest.approx(expected)
    table = m.reliability_table(PROBABILITIES, OUTCOMES)
    assert table["n"].sum() == 400
    assert table["mean_probability"].is_monotonic_increasing
    assert m.expected_calibration_error(np.full(400, OUTCOMES.mean()), OUTCOMES) == pytest.approx(
        0, abs=1e-12
    )


def _gini_by_pairs(actual: np.ndarray, score: np.ndarray) -> float:
    """Half the mean of actual differences in the direction of the score, over all pairs."""
    direction = np.sign(score[:, None] - score)
    return float((direction * (actual[:, None] - actual)).sum() / (2 * actual.size**2 * actual.mean()))


def _capture_by_orders(actual: np.ndarray, score: np.ndarray, top: int) -> float:
    allowed = (
        list(order)
        for order in itertools.permutations(range(actual.size))
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order))
    )
    captures = [actual[order[:top]].sum() / actual.sum() for order in allowed]
    return float(np.mean(captures))


@given(pairs)
def test_gini_is_the_sum_over_pairs(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    gini = m.normalised_gini(actual, score)
    if actual.sum() == 0 or np.ptp(actual) == 0:
        assert np.isnan(gini)
        return
    assert gini == pytest.approx(_gini_by_pairs(actual, score) / _gini_by_pairs(actual, actual), abs=1e-9)
    assert m.normalised_gini(actual, -score) == pytest.approx(-gini, abs=1e-9)
    assert m.normalised_gini(actual, actual) == pytest.approx(1.0)
    assert m.normalised_gini(actual, np.full(actual.size, 3.3)) == pytest.approx(0.0, abs=1e-12)


def test_capture_is_the_mean_over_orders_of_ties() -> None:
    actual = np.array([5.0, 0, 1, 2, 0, 3])
    score = np.array([2.0, 2, 1, 2, 1, 1])
    for top in range(1, 6):
        assert m.top_share_capture(actual, score, top / 6) == pytest.approx(
            _capture_by_orders(actual, score, top)
        )
    assert m.top_share_capture(actual, score, 0.25) == pytest.approx(1.5 * (7 / 3) / 11)
    assert m.top_share_capture(actual, np.ones(6), 0.1) == pytest.approx(0.1)
    assert m.top_share_capture(actual, score, 1) == pytest.approx(1.0)
    assert np.isnan(m.top_share_capture(np.zeros(3), [1, 2, 3]))
    with pytest.raises(ArgumentError, match="the share is 10"):
        m.top_share_capture(actual, score, 10)


BY_ROW: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "gini": m.normalised_gini,
    "capture": m.top_share_capture,
    "spearman": m.spearman,
    "decile mape": lambda actual, score: m.decile_mape(score, actual),
    "deciles": lambda actual, score: m.decile_table(score, actual, 4).to_numpy(),
    "calibration": lambda actual, score: m.expected_calibration_error(score / 2.5, actual > 1),
    "reliability": lambda actual, score: m.reliability_table(score / 2.5, actual > 1, 3).to_numpy(),
    "deviance": lambda actual, score: m.poisson_deviance(actual, score + 0.1),
    "bootstrap": lambda actual, score: m.paired_bootstrap(actual, score, n=20),
}


@pytest.mark.parametrize("name", BY_ROW)
@settings(max_examples=40)
@given(pair=pairs, seed=st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(
    name: str, pair: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    actual, score = pair
    order = np.random.default_rng(seed).permutation(actual.size)
    np.testing.assert_allclose(
        BY_ROW[name](actual[order], score[order]), BY_ROW[name](actual, score), rtol=1e-9, atol=1e-12
    )


@given(pairs)
def test_ranks_ignore_the_scale_of_the_score(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    for metric in (m.normalised_gini, m.spearman, m.top_share_capture):
        np.testing.assert_allclose(metric(actual, 100 * score + 7), metric(actual, score), atol=1e-12)


@given(pairs)
def test_spearman_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    ours = m.spearman(actual, score)
    if np.ptp(actual) == 0 or np.ptp(score) == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(actual, score).statistic, abs=1e-12)


def test_deciles() -> None:
    table = m.decile_table(MEANS, COUNTS)
    assert list(table.columns) == ["decile", "n", "mean_predicted", "mean_actual", "lift"]
    assert table["n"].tolist() == [40] * 10
    assert table["mean_predicted"].is_monotonic_decreasing
    assert (table["n"] * table["mean_actual"]).sum() == pytest.approx(COUNTS.sum())
    parts = np.array_split(np.argsort(-MEANS), 10)
    shares = [abs(MEANS[part].mean() / COUNTS[part].mean() - 1) for part in parts]
    assert m.decile_mape(MEANS, COUNTS) == pytest.approx(np.mean(shares))
    assert m.decile_table([1.0, 2.0], [0.0, 0.0])["lift"].isna().all()
    assert np.isnan(m.decile_mape([1.0, 2.0], [0.0, 0.0]))
    assert len(m.decile_table([1.0, 1.0, 1.0], [1, 2, 3])) == 3
    with pytest.raises(ArgumentError, match="the number of bins is 0"):
        m.decile_table(MEANS, COUNTS, bins=0)


def test_bootstrap_covers_the_known_difference() -> None:
    noise = RNG.normal(size=(2, 800))
    result = m.paired_bootstrap(noise[0] + 0.3, noise[1], seed=5)
    assert result.difference == pytest.approx((noise[0] + 0.3 - noise[1]).mean())
    error = (noise[0] - noise[1]).std() / np.sqrt(800)
    assert result.hi - result.lo == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert result == m.paired_bootstrap(noise[0] + 0.3, noise[1], seed=5)
    with pytest.raises(ArgumentError, match="the number of resamples is 0"):
        m.paired_bootstrap([1.0], [1.0], n=0)


PAIRED: dict[str, Callable[[Any, Any], Any]] = {
    "wape": m.wape,
    "mae": m.mae,
    "rmse": m.rmse,
    "poisson_deviance": m.poisson_deviance,
    "brier": m.brier,
    "ece": m.expected_calibration_error,
    "reliability": m.reliability_table,
    "gini": m.normalised_gini,
    "spearman": m.spearman,
    "capture": m.top_share_capture,
    "deciles": m.decile_table,
    "decile_mape": m.decile_mape,
    "bootstrap": m.paired_bootstrap,
    "pit_coverage": lambda a, b: m.pit_coverage(a, b, 80),
    "randomised_pit": lambda a, b: m.randomised_pit(a, b, np.random.default_rng(0)),
    "interval_hit": lambda a, b: m.interval_hit(a, b, b),
    "interval_score": lambda a, b: m.interval_score(a, b, b, 80),
    "log_score": lambda a, b: (m.log_score(a), m.log_score(b)),
    "pit_ks": lambda a, b: (m.pit_ks(a), m.pit_ks(b)),
    "bias": lambda a, b: (m.bias(np.asarray(a)[0], 1.0), m.bias(1.0, np.asarray(b)[0])),
}


@pytest.mark.parametrize("name", PAIRED)
def test_missing_and_empty_are_refused(name: str) -> None:
    metric = PAIRED[name]
    with pytest.raises(InputError, match=r"values are missing.*1 row; row 0"):
        metric([np.nan, 0.0], [0.5, 1.0])
    with pytest.raises(InputError, match=r"values are missing.*1 row; row 0"):
        metric([0.0, 0.0], [np.nan, 1.0])
    if name != "bias":
        with pytest.raises(InputError, match="no values"):
            metric([], [])
    if name not in ("bias", "log_score", "pit_ks"):
        with pytest.raises(InputError, match=r"\(1,\) values beside \(2,\)"):
            metric([0.5, 1.0], [1.0])


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="values are not numbers, in actual"):
        m.mae(["a"], [1.0])
    with pytest.raises(InputError, match=r"values are infinite, in forecast \(1 row; row 1\)"):
        m.mae([1.0, 2.0], [1.0, np.inf])
    with pytest.raises(InputError, match="outcomes are not 0 or 1"):
        m.brier([0.5], [0.5])
    with pytest.raises(InputError, match="Give shares, not percent"):
        m.brier([50.0], [1])
    with pytest.raises(InputError, match="a distribution function falls"):
        m.pit_coverage([0.5], [0.4], 80)
    with pytest.raises(ArgumentError, match="the number of customers is 0"):
        m.pit_ks_null(0)
