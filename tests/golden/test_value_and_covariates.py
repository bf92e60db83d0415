"""Discounted value, the cohort of the JMR paper end to end, and static covariates, beside published numbers.

Sources as in ``test_models.py``: [CT] CLVTools 0.12.1, [BT] BTYD, [FH] Fader & Hardie, [JMR] Fader, Hardie &
Lee 2005.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_data import (
    APPAREL,
    PARETO,
    PARETO_BT,
    TO_2010,
    columns,
    customer,
    data,
    estimates,
    expected,
    of_each,
    p_alive,
    residual,
    shared_file,
)

from forecast.fitting import Fitted, fit_purchases, fit_spend, purchase_model
from forecast.fitting.design import Design, learn_covariate, read_traits
from forecast.fitting.effects import effect_problem, place_effects
from forecast.fitting.problem import purchase_problem
from forecast.maths.gammagamma import expected_value
from forecast.maths.ops import NUMPY
from forecast.summary.statistics import PurchaseCounts, group_purchases, group_spend


@pytest.mark.parametrize(
    ("stem", "kind", "theta", "delta", "column"),
    [  # CLVTools discounts by 10 % a week unless told otherwise
        ("clvtools_cdnow_19970930", "pnbd_predict", PARETO, np.log(1.1), "DERT"),
        ("clvtools_apparel_104w", "pnbd_predict", APPAREL, np.log(1.1), "DERT"),
        ("btyd_cdnow", "percustomer", PARETO_BT, 0.0018, "pnbd_dert_d0018"),
    ],
)
def test_each_customers_discounted_value(stem: str, kind: str, theta: Any, delta: float, column: str) -> None:
    frame = of_each(stem, kind)
    assert residual(theta, frame, delta) == pytest.approx(frame[column].to_numpy(), rel=1e-7)


def test_discounted_points() -> None:
    theta = (0.55, 10.56, 0.61, 11.64)  # [BT] delta .0018, T = 39
    four = customer([0.0, 1.0, 2.0, 3.0], [0.0, 10.0, 20.0, 30.0], 39.0)
    values = [0.5928837338996, 2.259115865912, 5.618204224057, 11.034636963883]
    assert residual(theta, four, 0.0018) == pytest.approx(values, rel=1e-9)
    # [FH] 2015, p. 93: a new customer's discounted transactions are 4.8 at 10 % a year.
    new = residual((0.553, 10.578, 0.606, 11.669), customer(0.0, 0.0, 0.0), np.log(1.1) / 52)
    assert new[0] == pytest.approx(4.814492, abs=5e-7)


@pytest.mark.parametrize(
    ("rate", "total"),  # [CT] sums over CDNOW's customers by annual rate
    [(0.05, 13024.8446218074), (0.10, 9012.30057475787), (0.15, 7207.83544320363)],
)
def test_discounted_totals(rate: float, total: float) -> None:
    found = residual(PARETO, data("cdnow"), np.log1p(rate) / 52)
    assert found.sum() == pytest.approx(total, rel=1e-9)
    found_bt = residual(PARETO_BT, data("cdnow"), 0.0018)
    assert found_bt.sum() == pytest.approx(9106.89137857435, rel=1e-9)


def test_later_parameters_fit_the_first_weeks_worse() -> None:
    # [JMR] section 4: -9,608 beside -9,595.
    theta = estimates("pareto-nbd", "cdnow 78 weeks")
    found = purchase_model("pareto-nbd").formulas.log_likelihood(NUMPY, *theta, **columns(data("cdnow")))
    assert found.sum() == pytest.approx(-9608.26, abs=6e-3)


def spend_fit(name: str) -> Fitted:
    frame = data(name)
    return fit_spend(group_spend(frame["monetary_count"].to_numpy(), frame["monetary_value"].to_numpy()))


def test_value_of_the_whole_cohort() -> None:
    """[JMR] end to end: "about $47" a customer, "just over $1.1 million", of which $53,000 by one-time buyers.

    Pareto/NBD and Gamma-Gamma from the sample's 78 weeks, applied to the master without its ten largest
    spenders; margin 30 %, 15 % a year.
    """
    spend = spend_fit("cdnow 78 weeks")
    published = [4.6853564939, 4.188153136, 24.3688740176]
    assert list(spend.parameters.values()) == pytest.approx(published, rel=1e-3)
    assert spend.log_likelihood == pytest.approx(-4884.56634, abs=3e-5)
    master = data("cdnow master 78 weeks")
    total = master["first_value"] + (master["monetary_count"] * master["monetary_value"]).fillna(0.0)
    kept = master.loc[total.sort_values(ascending=False).index[10:]]
    left = residual(estimates("pareto-nbd", "cdnow 78 weeks"), kept, np.log(1.15) / 52)
    times = kept["frequency"].to_numpy()
    once = times == 0
    assert (len(kept), int(once.sum())) == (23560, 12054)
    # The recipe counts days of value 0 (8 customers have some) in the mean; leaving them out gives $46.72.
    paid = (kept["monetary_count"] * kept["monetary_value"]).fillna(0.0).to_numpy()
    mean = paid / np.maximum(times, 1)
    for parameters, tolerance in ((published, 1e-5), (list(spend.parameters.values()), 3e-4)):
        found = 0.3 * expected_value(*parameters, n=times, m=mean) * left
        assert found.mean() == pytest.approx(46.7159967411, rel=tolerance)
        assert found.sum() == pytest.approx(1_100_628.883, rel=tolerance)
        assert found[once].sum() == pytest.approx(53_087.87038, rel=tolerance)
        assert found[once].mean() == pytest.approx(4.4041704312, rel=tolerance)
        assert found[once].sum() / found.sum() == pytest.approx(0.048234124315, rel=tolerance)


# --- covariates ---------------------------------------------------------------------------------------------

STATIC = (1.837843235989, 92.912348851035, 0.5919985110463, 49.622726665792)  # [CT] apparel, Pareto/NBD
STATIC_EFFECTS = {
    "rate:Gender": 0.2858739726744, "rate:Channel": 0.6241241001819,
    "dropout:Gender": -0.642993394211, "dropout:Channel": 0.7906789477947,
}  # fmt: skip


def test_static_covariates_are_reproduced() -> None:
    frame = data("apparel")
    covariates = {"rate": ["Gender", "Channel"], "dropout": ["Gender", "Channel"]}
    spec = purchase_model("pareto-nbd")
    cell, traits = read_traits(frame, None, covariates, list(spec.effects))
    counts = group_purchases(*(frame[c].to_numpy(float) for c in ("frequency", "recency", "T")), cell)
    fitted = fit_purchases(spec, counts, traits=traits)
    assert fitted.verdict.converged
    assert fitted.effects is not None
    found = dict(zip(fitted.effects.names, fitted.effects.draws[0].tolist(), strict=True))
    errors = dict(zip(found, fitted.extra["effect_errors"], strict=True))
    theirs = dict(zip(STATIC_EFFECTS, [0.1041478, 0.1049581, 0.295526, 0.3058591], strict=True))
    assert errors == pytest.approx(theirs, rel=2e-3)
    for name, value in STATIC_EFFECTS.items():
        assert found[name] == pytest.approx(value, abs=0.005 * theirs[name])
    wide = [0.34546688, 16.96698145, 0.26090170, 36.250939]
    assert list(fitted.standard_errors.values()) == pytest.approx(wide, rel=5e-3)
    for own, value, error in zip(fitted.parameters.values(), STATIC, wide, strict=True):
        assert own == pytest.approx(value, abs=0.005 * error)
    assert fitted.log_likelihood == pytest.approx(-5821.06271, abs=3e-5)


def shifted(effects: dict[str, float]) -> tuple[Any, np.ndarray]:
    """The problem with covariates on apparel, and the effects' place in it."""
    spec, frame = purchase_model("pareto-nbd"), data("apparel")
    design = Design(tuple(learn_covariate(name, frame, np.ones(600)) for name in ("Gender", "Channel")))
    placed = place_effects(spec, design, [tuple(name.split(":")) for name in effects])
    counts = PurchaseCounts(*(frame[c].to_numpy(float) for c in ("frequency", "recency", "T")), np.ones(600))
    matrix = design.matrix(frame)
    return effect_problem(purchase_problem(spec, counts), np.arange(600), matrix, placed), matrix


def test_static_covariates_at_the_references_parameters() -> None:
    frame = data("apparel")
    problem, matrix = shifted(STATIC_EFFECTS)
    scaled = np.array(STATIC) / problem.factor
    v = np.concatenate([np.log(scaled), list(STATIC_EFFECTS.values())])
    assert problem.value(v) + problem.shift == pytest.approx(-5821.06270909339, abs=1e-7)
    # One effect of Gender on both processes.
    equal = np.log(
        np.array([1.793922782191, 94.722281643109, 0.4287264336732, 59.074295999055]) / problem.factor
    )
    gender = 0.3282534369762
    v = np.concatenate([equal, [gender, 0.6384303757967, gender, 1.022789397827]])
    assert problem.value(v) + problem.shift == pytest.approx(-5826.53419404143, abs=1e-7)
    moved = matrix @ np.array(list(STATIC_EFFECTS.values())).reshape(2, 2).T
    r, alpha, s, beta = STATIC
    theta = (r, alpha * np.exp(-moved[:, 0]), s, beta * np.exp(-moved[:, 1]))
    theirs = shared_file("golden", "clvtools_apparel_104w_static_pnbd_predict.csv")
    theirs = frame[["Id"]].merge(theirs, on="Id")
    assert p_alive("pareto-nbd", theta, frame) == pytest.approx(theirs["PAlive"].to_numpy(), rel=1e-7)
    found = expected("pareto-nbd", theta, frame, TO_2010)
    assert found == pytest.approx(theirs["CET"].to_numpy(), rel=1e-7)
    assert found.sum() == pytest.approx(1453.54660939658, rel=1e-9)
    assert np.abs(found - frame["actual"]).mean() == pytest.approx(2.006878767841, rel=1e-8)
    assert residual(theta, frame, np.log(1.1)) == pytest.approx(theirs["DERT"].to_numpy(), rel=1e-7)
