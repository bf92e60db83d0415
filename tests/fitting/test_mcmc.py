"""The posterior by NUTS: agreement with Laplace, conformance of both likelihoods, verdicts, ArviZ data."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import ArgumentError, FitError
from forecast.fitting import laplace
from forecast.fitting.laplace import fit_laplace
from forecast.fitting.priors import Priors, resolve_priors
from forecast.fitting.problem import Problem, purchase_problem, spend_problem
from forecast.fitting.spec import GAMMA_GAMMA, PARETO_NBD, ModelSpec, purchase_model
from forecast.maths import gammagamma
from forecast.summary import Histories
from forecast.summary.statistics import PurchaseCounts, group_purchases, group_spend

ecosystem = pytest.importorskip("forecast.fitting.ecosystem")
mcmc = pytest.importorskip("forecast.fitting.mcmc")
posterior_data = pytest.importorskip("forecast.fitting.posterior_data")

BG_NBD = purchase_model("bg-nbd")
SPECS = [*map(purchase_model, ("bg-nbd", "nbd", "mbg-nbd", "mbg-cnbd-2", "pareto-nbd")), GAMMA_GAMMA]
LEVELS = [0.05, 0.5, 0.95]


def priors_of(spec: ModelSpec) -> Priors:
    return resolve_priors(spec.unconstrained)


def counts_of(histories: Histories) -> PurchaseCounts:
    frame = histories.to_frame()
    return group_purchases(*(frame[name].to_numpy() for name in ("frequency", "recency", "T")))


def some_problem(spec: ModelSpec, size: int = 300, unit: float = 1.0) -> Problem:
    """A few hundred customers, of any plausible kind."""
    rng = np.random.default_rng(5)
    if spec is GAMMA_GAMMA:
        n = rng.integers(1, 9, size)
        nu = gammagamma.newcomer(rng, size, 6.0, 3.7, 15.0)
        return spend_problem(spec, group_spend(n, rng.gamma(6.0 * n) / nu / n * unit))
    age = rng.integers(30, 700, size).astype(float)
    x = np.minimum(rng.negative_binomial(0.5, 0.2, size), age)
    t_x = np.where(x > 0, np.ceil(age * rng.uniform(0.05, 1.0, size)), 0.0)
    return purchase_problem(spec, group_purchases(x, t_x * unit, age * unit))


@pytest.fixture(scope="module")
def cdnow(sample_histories: Histories) -> tuple[Problem, mcmc.Posterior]:
    problem = purchase_problem(BG_NBD, counts_of(sample_histories))
    return problem, mcmc.sample(problem, priors_of(BG_NBD), seed=1)


# --- the numbers --------------------------------------------------------------------------------------


def test_the_chains_on_cdnow_converge(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    fitted = cdnow[1].fitted
    assert fitted.method == "nuts"
    assert fitted.verdict.converged, fitted.verdict
    assert fitted.verdict.text.startswith("4 chains agree (R-hat 1.00")
    assert fitted.extra["r_hat"] < 1.01
    assert min(fitted.extra["ess_bulk"], fitted.extra["ess_tail"]) > 1500
    assert fitted.extra["divergences"] == 0
    assert fitted.extra["e_bfmi"] > 0.6
    assert all(values.shape == (4000,) for values in fitted.draws.values())


def test_the_posterior_of_cdnow_is_near_the_published_optimum(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    found = cdnow[1].fitted.parameters
    assert found["r"] == pytest.approx(0.243, abs=0.003)
    assert found["alpha"] / 7 == pytest.approx(4.45, abs=0.06)
    assert found["a"] / (found["a"] + found["b"]) == pytest.approx(0.241, abs=0.01)


def test_nuts_and_laplace_agree_within_monte_carlo_error(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    problem, posterior = cdnow
    other = fit_laplace(problem, priors_of(BG_NBD), draws=4000, seed=2)
    data = ecosystem.group(posterior.data, "posterior")
    for name, nuts in posterior.fitted.draws.items():
        drawn, weighted = np.log(nuts), np.log(other.draws[name])  # logs: a and b have long tails
        sd = drawn.std()
        size = 1.0 / (1.0 / ecosystem.effective_size(data[name].to_numpy(), "bulk") + 1.0 / 2000)
        assert abs(drawn.mean() - weighted.mean()) < 4.0 * sd / np.sqrt(size)
        # A tail quantile of a normal distribution is about twice as uncertain as its mean.
        assert np.quantile(drawn, LEVELS) == pytest.approx(
            np.quantile(weighted, LEVELS), abs=8.0 * sd / np.sqrt(size)
        )
        assert drawn.std() == pytest.approx(weighted.std(), rel=0.1)


@pytest.mark.parametrize("name", ["mbg-nbd", "mbg-cnbd-2", "pareto-nbd"])
def test_nuts_and_laplace_agree_on_other_models(name: str) -> None:
    spec = purchase_model(name)
    truth = (0.8, 40.0, 0.8, 200.0) if spec is PARETO_NBD else (0.8, 40.0, 0.8, 2.5)
    age = np.random.default_rng(3).integers(50, 500, 1200).astype(float)
    x, t_x, _, _ = spec.formulas.simulate(np.random.default_rng(4), age, 0.0, *truth)
    problem = purchase_problem(spec, group_purchases(x, np.ceil(t_x), age))
    # The compiled sum: what Pareto/NBD is sampled with by itself.
    how = {} if spec is PARETO_NBD else {"likelihood": "compiled"}
    nuts = mcmc.fit_nuts(problem, priors_of(spec), chains=2, draws=300, tune=200, seed=1, **how)
    assert nuts.extra["sampler"] == "pymc"
    assert nuts.extra["divergences"] == 0
    other = fit_laplace(problem, priors_of(spec), draws=2000, seed=2)
    for parameter, draws in nuts.draws.items():
        drawn, weighted = np.log(draws), np.log(other.draws[parameter])
        assert abs(drawn.mean() - weighted.mean()) < 0.35 * weighted.std()  # of some 150 independent draws
        assert drawn.std() == pytest.approx(weighted.std(), rel=0.25)


@pytest.mark.parametrize(("spec", "unit"), [(BG_NBD, 1 / 7), (GAMMA_GAMMA, 100.0)], ids=["weeks", "cents"])
def test_units_do_not_matter(spec: ModelSpec, unit: float) -> None:
    short = {"chains": 1, "draws": 30, "tune": 30, "likelihood": "compiled"}
    one = mcmc.fit_nuts(some_problem(spec, 236), priors_of(spec), **short)
    other = mcmc.fit_nuts(some_problem(spec, 236, unit), priors_of(spec), **short)
    for name in spec.parameters:
        factor = unit if name in spec.scaled else 1.0
        assert other.draws[name] == pytest.approx(one.draws[name] * factor, rel=1e-3)  # rounding grows


def test_the_same_seed_gives_the_same_draws() -> None:
    problem = some_problem(BG_NBD)
    short = {"chains": 2, "draws": 30, "tune": 30, "likelihood": "compiled"}
    a, b, c = (mcmc.sample(problem, priors_of(BG_NBD), seed=seed, **short) for seed in (3, 3, 4))
    for group in ("posterior", "prior", "sample_stats"):
        assert ecosystem.group(a.data, group).equals(ecosystem.group(b.data, group))
    assert (a.fitted.draws["r"] != c.fitted.draws["r"]).all()


def test_nutpie_is_used_where_it_can_be(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    problem, posterior = cdnow
    priors = priors_of(BG_NBD)
    with pytest.raises(ArgumentError, match="nutpie cannot sample this"):
        mcmc.sample(problem, priors, sampler="nutpie", likelihood="compiled")
    if not ecosystem.has_nutpie():
        assert posterior.fitted.extra["sampler"] == "pymc"
        with pytest.raises(ArgumentError, match="nutpie cannot sample this"):
            mcmc.sample(problem, priors, sampler="nutpie")
        return
    assert posterior.fitted.extra["sampler"] == "nutpie"
    other = mcmc.fit_nuts(problem, priors, sampler="pymc", seed=2)
    assert other.parameters == pytest.approx(posterior.fitted.parameters, rel=0.05)


# --- one text, two readings ---------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_operation_equals_the_text(spec: ModelSpec) -> None:
    problem, priors = some_problem(spec), priors_of(spec)
    centre, root = mcmc._landmark(problem, priors)
    found = {}
    with ecosystem.quiet():
        for likelihood in ("compiled", "text"):
            model = mcmc.build_model(
                problem, priors, likelihood=likelihood, whitening=mcmc.Whitened(centre, root)
            )
            # A text that integrates takes long to compile and is not sampled with; here it is only read.
            mode = ecosystem.mode_of_operations() if spec.elementary else "FAST_COMPILE"
            function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
            function.set_extra_values({})
            found[likelihood] = [
                [np.array(part) for part in function(np.full(len(centre), z))] for z in (0.0, 1.3, -2.0)
            ]
    for z, (value, gradient), (text, by_text) in zip((0.0, 1.3, -2.0), *found.values(), strict=True):
        assert value == pytest.approx(text, rel=1e-10)
        assert gradient == pytest.approx(by_text, rel=1e-10, abs=1e-10 * abs(text))
        # and both are the posterior that laplace climbs, but for the constants of the priors
        u = centre + root @ np.full(len(centre), z)
        rest = [np.log(priors[name].sd) + 0.5 * np.log(2 * np.pi) for name in spec.unconstrained]
        constant = np.log(np.diag(root)).sum() - np.sum(rest)
        climbed = problem.log_posterior(priors)(u)
        assert value == pytest.approx(climbed[0] + constant, rel=1e-10)
        assert gradient == pytest.approx(root.T @ climbed[1], rel=1e-8, abs=1e-8)


def test_both_likelihoods_give_the_same_draws() -> None:
    problem = some_problem(GAMMA_GAMMA)
    short = {"chains": 1, "draws": 40, "tune": 40, "sampler": "pymc"}
    a, b = (
        mcmc.fit_nuts(problem, priors_of(GAMMA_GAMMA), likelihood=likelihood, **short)
        for likelihood in ("compiled", "text")
    )
    assert a.draws["p"] == pytest.approx(b.draws["p"], rel=1e-5)


def test_a_step_into_nowhere_is_refused_not_an_error() -> None:
    operation = mcmc.LogLikelihood(some_problem(BG_NBD))
    for u in (np.full(4, 800.0), np.full(4, -800.0), np.full(4, np.nan), np.array([0.0, 0.0, 60.0, 0.0])):
        outputs: list = [[None], [None]]
        operation.perform(None, [u], outputs)
        assert outputs[0][0] == -np.inf
        assert (outputs[1][0] == 0.0).all()


# --- verdicts -----------------------------------------------------------------------------------------

GOOD = {"r_hat": 1.0, "ess_bulk": 900.0, "ess_tail": 900.0, "divergences": 0, "e_bfmi": 0.9, "chains": 4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "worth 900 independent draws"),
        ({"r_hat": 1.02}, "the chains do not agree"),
        ({"r_hat": np.nan}, "R-hat unknown"),
        ({"ess_tail": 399.0}, "too few independent ones"),
        ({"divergences": 2}, "2 divergent steps"),
        ({"e_bfmi": 0.2}, "explored slowly"),
    ],
    ids=lambda v: next(iter(v), "good") if isinstance(v, dict) else "",
)
def test_the_verdict_in_words(change: dict, words: str) -> None:
    verdict = mcmc._judge(GOOD | change)
    assert verdict.code == ("doubtful" if change else "converged")
    assert words in verdict.text


def test_chains_that_are_too_short_are_doubtful() -> None:
    fitted = mcmc.fit_nuts(some_problem(BG_NBD), priors_of(BG_NBD), chains=2, draws=20, tune=20)
    assert fitted.verdict.code == "doubtful"
    assert "use more draws" in fitted.verdict.text


@pytest.mark.parametrize("option", ["chains", "draws", "tune", "cores"])
def test_numbers_that_make_no_sense_are_refused(option: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{option} = 0 makes no sense"):
        mcmc.sample(some_problem(BG_NBD), priors_of(BG_NBD), **{option: 0})


def test_without_a_peak_the_prior_says_where_to_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_peak(*_: object) -> None:
        raise FitError("no peak")

    problem, priors = some_problem(BG_NBD), priors_of(BG_NBD)
    monkeypatch.setattr(mcmc, "mode", no_peak)
    centre, root = mcmc._landmark(problem, priors)
    assert centre.tolist() == [priors[name].mean for name in BG_NBD.unconstrained]
    assert np.diag(root).tolist() == [1.5] * 4
    found = mcmc.fit_nuts(problem, priors, chains=2, draws=200, tune=200, sampler="pymc")
    assert found.parameters["r"] == pytest.approx(fit_laplace(problem, priors).parameters["r"], rel=0.1)


def test_a_posterior_that_is_nowhere_finite_is_refused() -> None:
    problem = some_problem(BG_NBD)

    class Nothing:
        def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            return np.nan, np.full(4, np.nan), np.full((4, 4), np.nan)

        def value(self, theta: np.ndarray) -> float:
            return np.nan

    broken = dataclasses.replace(problem, objective=Nothing())
    centre = np.zeros(4)
    with pytest.raises(FitError, match="nowhere finite"):
        mcmc._start(broken, priors_of(BG_NBD), centre, np.eye(4), np.random.default_rng(0))
    assert laplace.K_HAT_LIMIT == 0.7


# --- ArviZ data ---------------------------------------------------------------------------------------


def test_the_data_say_everything(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    problem, posterior = cdnow
    data = posterior.data
    expected = {"posterior", "prior", "sample_stats", "log_likelihood", "constant_data"}
    assert set(ecosystem.group_names(data)) == expected
    draws = ecosystem.group(data, "posterior")
    assert set(draws) == {*BG_NBD.parameters, *BG_NBD.unconstrained}
    assert draws["r"].dims == ("chain", "draw")
    assert draws.attrs == {"model": "bg-nbd", "scale": problem.scale}
    for name in BG_NBD.parameters:
        assert (draws[name].to_numpy().ravel() == posterior.fitted.draws[name]).all()
    assert np.exp(draws["log_alpha"]).to_numpy() * problem.scale == pytest.approx(draws["alpha"].to_numpy())
    stats = ecosystem.group(data, "sample_stats")
    assert {"lp", "energy", "diverging", "acceptance_rate", "step_size", "tree_depth", "n_steps"} == set(
        stats
    )


def test_prior_draws_are_those_of_the_priors(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    prior = ecosystem.group(cdnow[1].data, "prior")
    for name, given in priors_of(BG_NBD).items():
        assert float(prior[name].mean()) == pytest.approx(given.mean, abs=4 * given.sd / np.sqrt(1000))
        assert float(prior[name].std()) == pytest.approx(given.sd, rel=0.1)


def test_pointwise_terms_add_up(cdnow: tuple[Problem, mcmc.Posterior]) -> None:
    problem, posterior = cdnow
    values = ecosystem.group(posterior.data, "log_likelihood")["log_likelihood"]
    rows = ecosystem.group(posterior.data, "constant_data")
    assert values.dims == ("chain", "draw", "row")
    u = [ecosystem.group(posterior.data, "posterior")[name][2, 7].item() for name in BG_NBD.unconstrained]
    total = float(values[2, 7] @ rows["weight"])
    assert total == pytest.approx(
        problem.objective.value(problem.natural(np.array(u))) + problem.shift, rel=1e-10
    )
    assert rows["weight"].sum().item() == posterior.fitted.customers


def test_pointwise_terms_are_thinned_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, priors = some_problem(GAMMA_GAMMA), priors_of(GAMMA_GAMMA)
    short = {"chains": 1, "draws": 20, "tune": 20, "sampler": "pymc"}
    monkeypatch.setattr(posterior_data, "_POINTWISE_VALUES", 7 * len(problem.weight))
    thinned = ecosystem.group(mcmc.sample(problem, priors, **short).data, "log_likelihood")
    assert thinned["draw"].to_numpy().tolist() == [0, 3, 6, 9, 12, 15, 18]
    monkeypatch.setattr(posterior_data, "POINTWISE_ROWS", 10)
    left = mcmc.sample(problem, priors, **short).data
    assert set(ecosystem.group_names(left)) == {"posterior", "prior", "sample_stats"}


def test_the_data_survive_being_written(cdnow: tuple[Problem, mcmc.Posterior], tmp_path: Path) -> None:
    data = cdnow[1].data
    path = tmp_path / "posterior.nc"
    ecosystem.write(data, path)
    again = ecosystem.read(path)
    assert type(again) is type(data)
    assert ecosystem.group_names(again) == ecosystem.group_names(data)
    for name in ecosystem.group_names(data):
        before, after = ecosystem.group(data, name), ecosystem.group(again, name)
        assert after.identical(before)
    path.unlink()  # nothing holds the file open


# --- what a user does not wait for --------------------------------------------------------------------


def test_nothing_imports_pymc_before_it_is_asked_for() -> None:
    code = (
        "import sys, forecast, forecast.fitting, forecast.estimators, forecast.model\n"
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'nutpie') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_sampling_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    mcmc.sample(some_problem(GAMMA_GAMMA), priors_of(GAMMA_GAMMA), chains=2, draws=20, tune=20)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert caplog.records == []
