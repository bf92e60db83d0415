"""Covariates and partially pooled groups: likelihood, conformance, encoding, shrinkage, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forecast
from forecast import NBD, BetaGeoNBD, GammaGamma
from forecast.errors import ArgumentError, FitError, InputError
from forecast.fitting.design import Design, learn_covariate, learn_groups
from forecast.fitting.effects import effect_problem, group_problem, place_effects
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.problem import purchase_problem
from forecast.fitting.spec import BG_NBD, GAMMA_GAMMA
from forecast.fitting.spec import NBD as NBD_SPEC
from forecast.maths import bgprocess
from forecast.maths.ops import NUMPY
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.portfolio import simulate_totals
from forecast.summary.statistics import PurchaseCounts, group_purchases

SHARED = Path(__file__).parents[3] / "shared"


def shop(groups: int = 50, seed: int = 3, thin: int = 10, most: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers of channels that differ; the first ``thin`` channels have 5 customers each."""
    rng = np.random.default_rng(seed)
    truth = np.array([-0.5, np.log(30.0), -1.0, 1.2]) + np.array([0.3, 0.4, 0.5, 0.3]) * rng.normal(
        size=(groups, 4)
    )
    frames = []
    for k in range(groups):
        size = 5 if k < thin else int(rng.integers(20, most))
        r, alpha, a, b = BG_NBD.natural(*truth[k])
        T = rng.integers(30, 400, size).astype(float)
        rate, leave, gone = BG_NBD.formulas.newcomer(rng, size, r, alpha, a, b)
        x, t_x, _, future = bgprocess.walk(rng, rate, leave, gone, T, 91.0)
        frames.append(
            pd.DataFrame(
                {"frequency": x, "recency": np.ceil(t_x), "T": T, "channel": f"c{k:02}", "future": future}
            )
        )
    return pd.concat(frames, ignore_index=True), truth


@pytest.fixture(scope="module")
def channels() -> tuple[pd.DataFrame, np.ndarray]:
    return shop()


@pytest.fixture(scope="module")
def pooled(channels: tuple[pd.DataFrame, np.ndarray]) -> BetaGeoNBD:
    return BetaGeoNBD(method="laplace", by="channel").fit(channels[0])


def traits(size: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(40.0, 10.0, size).round(),
            "country": rng.choice(["DE", "NL", "US"], size, p=[0.5, 0.3, 0.2]),
            "member": rng.integers(0, 2, size),
        }
    )


def moved_by_traits(size: int, seed: int = 0) -> tuple[pd.DataFrame, dict[str, float]]:
    """Customers whose rate and drop-out depend on their traits."""
    frame = traits(size, seed)
    rng = np.random.default_rng(seed + 1)
    old = ((frame["age"] - frame["age"].mean()) / frame["age"].std(ddof=0)).to_numpy()
    dutch = (frame["country"] == "NL").to_numpy(dtype=float)
    member = frame["member"].to_numpy(dtype=float)
    alpha = 30.0 * np.exp(-(0.3 * old - 0.5 * dutch))
    logit = -1.0 - 0.7 * member
    share = 1.0 / (1.0 + np.exp(-logit))
    T = rng.integers(100, 500, size).astype(float)
    rate = rng.gamma(0.6, 1.0 / alpha)
    leave = rng.beta(share * 3.0, (1.0 - share) * 3.0)
    x, t_x, _, _ = bgprocess.walk(rng, rate, leave, np.zeros(size, bool), T, 0.0)
    frame = frame.assign(frequency=x, recency=np.ceil(t_x), T=T)
    return frame, {"rate:age": 0.3, "rate:country=NL": -0.5, "rate:country=US": 0.0, "dropout:member": -0.7}


COVARIATES = {"rate": ["age", "country"], "dropout": ["member"]}


# --- the likelihood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [BG_NBD, NBD_SPEC], ids=lambda spec: spec.name)
@pytest.mark.parametrize("compiled", [True, False])
def test_derivatives_and_text_of_the_shifted_likelihood(spec: object, compiled: bool) -> None:
    rng = np.random.default_rng(0)
    frame = traits(40)
    x = rng.poisson(1.0, 40).astype(float)
    T = rng.integers(10, 100, 40).astype(float)
    t_x = np.where(x > 0, np.floor(T * rng.random(40)), 0.0)
    problem = purchase_problem(spec, PurchaseCounts(x, t_x, T, np.ones(40)))
    design = Design(tuple(learn_covariate(name, frame, np.ones(40)) for name in ("age", "country")))
    acting = [(effect, name) for effect in spec.effects for name in ("age", "country")]
    own = effect_problem(problem, np.arange(40), design.matrix(frame), place_effects(spec, design, acting))
    if compiled:
        parts = [problem.subset(np.array([i])) for i in range(40)]
        own.cells._parts = parts
    v = np.concatenate([problem.origin(), rng.normal(0.0, 0.3, len(own.effects.names))])
    value, gradient, hessian = own.likelihood(v)
    assert own.value(v) == pytest.approx(value, rel=1e-12)
    size = len(problem.origin())
    moved = v[:size] + own.effects.__class__(
        own.effects.design, own.effects.names, own.effects.column, own.effects.parameter, own.effects.sign,
        v[None, size:],
    ).shifts(own.matrix, 0, size)  # fmt: skip
    by_hand = spec.formulas.log_likelihood(
        NUMPY, *(np.asarray(p) * f for p, f in zip(spec.natural(*moved.T), problem.factor, strict=True)),
        x=x, t_x=t_x, T=T,
    )  # fmt: skip
    assert value + problem.shift == pytest.approx(by_hand.sum(), rel=1e-12)
    step = 1e-5
    numbers = [(own.value(v + step * e) - own.value(v - step * e)) / (2 * step) for e in np.eye(len(v))]
    assert gradient == pytest.approx(numbers, abs=2e-5)
    curves = [
        (own.likelihood(v + step * e)[1] - own.likelihood(v - step * e)[1]) / (2 * step)
        for e in np.eye(len(v))
    ]
    assert hessian == pytest.approx(np.array(curves), abs=2e-4)


def test_derivatives_of_the_pooled_likelihood() -> None:
    frame, _ = shop(groups=4, thin=1, most=60)
    columns = (frame[name].to_numpy() for name in ("frequency", "recency", "T"))
    group = pd.factorize(frame["channel"])[0]
    counts = group_purchases(*columns, group)
    problem = purchase_problem(BG_NBD, counts)
    assert counts.cell is not None
    own = group_problem(problem, counts.cell, learn_groups("channel", frame))
    v = np.random.default_rng(0).normal(0.0, 0.3, len(own.names))
    value, gradient, _ = own.likelihood(v)
    step = 1e-5
    numbers = [(own.value(v + step * e) - own.value(v - step * e)) / (2 * step) for e in np.eye(len(v))]
    assert gradient == pytest.approx(numbers, abs=2e-5)
    assert own.rows_at(v) @ problem.weight == pytest.approx(value + problem.shift, rel=1e-12)


# --- conformance --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "golden").exists(), reason="the reference numbers are not here")
def test_static_covariates_of_clvtools_on_apparel() -> None:
    # CLVTools 0.12.1: BG/NBD, 600 customers, 104 weeks, Gender and Channel on both processes; a and b are
    # multiplied by one factor, so its coefficients for the lifetime are effects on the certainty.
    cbs = pd.read_csv(SHARED / "golden" / "clvtools_apparel_104w_cbs.csv")
    covariates = pd.read_csv(SHARED / "data" / "clvtools_apparelStaticCov.csv")
    theirs = pd.read_csv(SHARED / "golden" / "clvtools_apparel_104w_static_bgnbd_predict.csv")
    frame = cbs.merge(covariates, on="Id").rename(columns={"x": "frequency", "t.x": "recency", "T.cal": "T"})
    base = dict(r=0.665929816809, alpha=38.189898133382, a=1222.81635047723, b=9043.78224691797)
    effects = {
        "rate:Gender": 0.4617932594413, "rate:Channel": 0.5680298519147,
        "certainty:Gender": -1.403206245287, "certainty:Channel": -6.438776376221,
    }  # fmt: skip
    design = Design(tuple(learn_covariate(name, frame, np.ones(600)) for name in ("Gender", "Channel")))
    assert [term.kind for term in design.terms] == ["flag", "flag"]
    acting = [tuple(name.split(":")) for name in effects]
    placed = place_effects(BG_NBD, design, acting)
    problem = purchase_problem(
        BG_NBD,
        PurchaseCounts(*(frame[c].to_numpy(float) for c in ("frequency", "recency", "T")), np.ones(600)),
    )
    own = effect_problem(problem, np.arange(600), design.matrix(frame), placed)
    scaled = [value / factor for value, factor in zip(base.values(), problem.factor, strict=True)]
    v = np.concatenate([np.array(BG_NBD.formulas.unconstrained(*scaled)), list(effects.values())])
    assert own.value(v) + problem.shift == pytest.approx(-5839.86348466905, abs=1e-5)

    fitted = Fitted(
        BG_NBD, {name: np.array([value]) for name, value in base.items()}, "given", np.full((4, 4), np.nan),
        np.nan, 0, Verdict("converged", "given"), effects=placed.__class__(
            placed.design, placed.names, placed.column, placed.parameter, placed.sign, np.array([list(effects.values())])
        ),
    )  # fmt: skip
    model = ClvModel(fitted)
    columns = (frame[c].to_numpy(float) for c in ("frequency", "recency", "T"))
    found = predict_customers(model, Customers(*columns).with_traits(frame, model), days=207.142857142857)
    ours = pd.DataFrame(found).assign(Id=frame["Id"]).merge(theirs, on="Id")
    assert ours["p_alive"].to_numpy() == pytest.approx(ours["PAlive"].to_numpy(), abs=1e-8)
    assert ours["expected_purchases"].to_numpy() == pytest.approx(ours["CET"].to_numpy(), rel=1e-6)
    assert ours["expected_purchases"].sum() == pytest.approx(1389.45808564303, rel=1e-6)
    # Their search stopped on a ridge (the Hessian is not negative definite there). Effects on the odds to
    # leave are identified, and fit better than no effects at all.
    better = BetaGeoNBD(covariates={"rate": ["Gender", "Channel"], "dropout": ["Gender", "Channel"]}).fit(
        frame
    )
    plain = BetaGeoNBD().fit(frame)
    assert plain.log_likelihood_ == pytest.approx(-5857.01975, abs=1e-4)
    assert better.log_likelihood_ > plain.log_likelihood_ + 10.0


def test_effects_are_recovered_and_methods_agree() -> None:
    frame, truth = moved_by_traits(6000)
    mle = BetaGeoNBD(covariates=COVARIATES).fit(frame)
    assert mle.fitted_.effects is not None
    found = dict(zip(mle.fitted_.effects.names, mle.fitted_.effects.draws[0], strict=True))
    errors = dict(zip(found, mle.fitted_.extra["effect_errors"], strict=True))
    assert set(found) == set(truth)
    for name, value in truth.items():
        assert abs(found[name] - value) < 3.5 * errors[name], name
    assert mle.params_["alpha"] == pytest.approx(30.0, rel=0.15)
    laplace = BetaGeoNBD(method="laplace", covariates=COVARIATES).fit(frame)
    assert laplace.verdict_.code == "converged"
    draws = laplace.fitted_.effects.draws
    assert draws.mean(axis=0) == pytest.approx(list(found.values()), abs=0.05)
    assert draws.std(axis=0) == pytest.approx(list(errors.values()), rel=0.15)
    plain = BetaGeoNBD().fit(frame)
    assert mle.log_likelihood_ > plain.log_likelihood_ + 50.0


@pytest.mark.parametrize(
    "how", [{"covariates": {"rate": ["member"]}}, {"by": "country"}], ids=["covariate", "by"]
)
def test_nuts_agrees_with_laplace_on_effects_and_groups(how: dict[str, object]) -> None:
    frame, _ = moved_by_traits(250, seed=5)
    quick = NBD(method="laplace", **how).fit(frame)
    slow = NBD(method="nuts", **how).fit(frame)
    assert slow.fitted_.posterior is not None
    assert slow.fitted_.extra["r_hat"] < 1.02
    ours, theirs = quick.fitted_.effects.draws, slow.fitted_.effects.draws
    assert ours.shape[1] == theirs.shape[1]
    known = [i for i, name in enumerate(quick.fitted_.effects.names) if "any other" not in name]
    assert ours.mean(axis=0)[known] == pytest.approx(
        theirs.mean(axis=0)[known], abs=0.25 * theirs.std(axis=0).max()
    )
    assert ours.std(axis=0)[known] == pytest.approx(theirs.std(axis=0)[known], rel=0.25)


# --- order, units, encoding ---------------------------------------------------------------------------------


def test_order_of_rows_and_units_do_not_matter() -> None:
    frame, _ = moved_by_traits(800)
    mle = BetaGeoNBD(covariates=COVARIATES).fit(frame)
    shuffled = BetaGeoNBD(covariates=COVARIATES).fit(frame.sample(frac=1.0, random_state=1))
    assert mle.params_ == pytest.approx(shuffled.params_, rel=1e-9)
    weeks = frame.assign(recency=frame["recency"] / 7.0, T=frame["T"] / 7.0, age=frame["age"] * 12.0)
    laplace = BetaGeoNBD(method="laplace", covariates=COVARIATES)
    days = laplace.fit(frame).predict(frame, horizon=91)
    assert laplace.fit(weeks).predict(weeks, horizon=13).to_numpy() == pytest.approx(
        days.to_numpy(), rel=1e-7
    )


def test_a_continuous_covariate_gives_each_customer_parameters_of_its_own() -> None:
    frame, _ = moved_by_traits(5000)
    frame["noise"] = np.random.default_rng(0).normal(size=5000)
    bg = BetaGeoNBD(covariates={"rate": ["age", "noise"]}).fit(frame)
    whole = bg.predict(frame, horizon=91)
    one = bg.predict(frame.iloc[[4321]], horizon=91)
    assert one.iloc[0] == pytest.approx(whole.iloc[4321], rel=1e-12)
    assert bg.pmf(frame.iloc[:3], 91, 200).sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-6)
    mean = (bg.pmf(frame.iloc[:3], 91, 400) * np.arange(401)).sum(axis=1)
    assert mean.to_numpy() == pytest.approx(whole.iloc[:3].to_numpy(), rel=1e-5)


def test_the_encoding_is_kept_for_new_data() -> None:
    frame, _ = moved_by_traits(800)
    bg = BetaGeoNBD(covariates=COVARIATES).fit(frame)
    few = frame[frame["country"] == "NL"].head(5)  # neither the mean age nor the levels are those of the fit
    assert bg.predict(few, 91).to_numpy() == pytest.approx(bg.predict(frame, 91).loc[few.index].to_numpy())
    design = bg.fitted_.effects.design
    assert Design.from_dict(design.to_dict()) == design
    again = Fitted.from_dict(BG_NBD, bg.fitted_.to_dict())
    assert again.effects is not None
    assert again.effects.draws.tolist() == bg.fitted_.effects.draws.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"country": "FR"}, r"country has levels that the model has not seen \(FR\).*5 rows"),
        ({"age": np.nan}, r"age is blank or no number, in column 'age' \(5 rows\)"),
        ({"country": None}, r"country is blank, in column 'country' \(5 rows\)"),
    ],
)
def test_data_that_cannot_be_encoded(change: dict[str, object], message: str) -> None:
    frame, _ = moved_by_traits(300)
    bg = BetaGeoNBD(method="laplace", covariates=COVARIATES).fit(frame)
    with pytest.raises(InputError, match=message):
        bg.predict(frame.head(5).assign(**change), 91)
    with pytest.raises(InputError, match=r"needs the columns? .*age"):
        bg.predict(frame.drop(columns=["age"]), 91)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("age", [1.0, np.nan] * 50, "is blank"),
        ("age", ["1", "2", "3", "x"] * 25, "number for most customers but not for all"),
        ("age", [4.0] * 100, "same for all customers"),
        ("city", [f"city {i}" for i in range(100)], "100 levels, more than 50"),
        ("city", ["here"] * 100, "same for all customers"),
    ],
)
def test_covariates_that_cannot_be_learned(column: str, values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        learn_covariate(column, pd.DataFrame({column: values}), np.ones(100))


def test_numbers_can_be_categories() -> None:
    cells = pd.DataFrame({"zip": [10, 20, 20, 30]})
    assert learn_covariate("zip", cells, np.ones(4)).kind == "number"
    assert learn_covariate("C(zip)", cells, np.ones(4)).names == ("zip=10", "zip=30")


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=4, max_size=20).filter(lambda v: len(set(v)) > 1))
def test_one_hot_columns_name_each_level_but_the_most_frequent(values: list[str]) -> None:
    frame = pd.DataFrame({"v": values})
    term = learn_covariate("v", frame, np.ones(len(values)))
    matrix = Design((term,)).matrix(frame)
    assert values.count(term.reference) == max(values.count(v) for v in values)
    assert matrix.sum(axis=1).tolist() == [float(v != term.reference) for v in values]


def test_options_that_cannot_be_meant() -> None:
    frame, _ = moved_by_traits(300)
    with pytest.raises(ArgumentError, match=r"cannot act on 'speed'\. They act on rate, dropout, certainty"):
        BetaGeoNBD(covariates={"speed": ["age"]}).fit(frame)
    with pytest.raises(InputError, match=r"no column shoe\. Columns: age"):
        BetaGeoNBD(covariates={"rate": ["shoe"]}).fit(frame)
    with pytest.raises(ArgumentError, match="pooled by draws of a posterior"):
        BetaGeoNBD(by="country").fit(frame)
    with pytest.raises(ArgumentError, match="without covariates beside them"):
        BetaGeoNBD(method="laplace", by="country", covariates={"rate": ["age"]}).fit(frame)
    with pytest.raises(FitError, match="300 groups of 300 customers cannot be pooled"):
        BetaGeoNBD(method="laplace", by="id").fit(frame.assign(id=range(300)))
    twins = frame.assign(twin=frame["member"])
    with pytest.raises(FitError, match="very different effects fit equally well"):
        BetaGeoNBD(covariates={"rate": ["member", "twin"]}).fit(twins)


# --- groups -------------------------------------------------------------------------------------------------


def test_fifty_channels_some_with_five_customers(
    channels: tuple[pd.DataFrame, np.ndarray], pooled: BetaGeoNBD
) -> None:
    _, truth = channels
    assert pooled.verdict_.code == "converged"
    effects = pooled.fitted_.effects
    base = np.array(BG_NBD.formulas.unconstrained(*(pooled.fitted_.draws[n] for n in BG_NBD.parameters))).T
    u = base[:, None] + effects.draws.reshape(len(base), 51, 4)
    wide = u.std(axis=0)
    # Thin channels know little more than the population; fat ones much more; none explodes.
    assert (wide[:10].mean(axis=0) < 1.1 * wide[50]).all()
    assert (wide[:10].mean(axis=0)[:3] > 1.5 * wide[10:50].mean(axis=0)[:3]).all()
    centre = u.mean(axis=0)
    assert np.abs(centre[:50] - centre[50]).max() < 2.0
    spread = np.abs(centre[:, :3] - base.mean(axis=0)[:3])
    assert spread[:10].mean() < spread[10:50].mean()
    # The truth lies inside the intervals as often as they say, over 200 parameters.
    z = (truth - centre[:50]) / wide[:50]
    assert 0.82 <= (np.abs(z) < 1.645).mean() <= 0.96
    between = pooled.fitted_.extra["between"]
    for name, sd in zip(BG_NBD.unconstrained, (0.3, 0.4, 0.5, 0.3), strict=True):
        assert abs(between[name]["estimate"] - sd) < 3.5 * between[name]["standard_error"]


def test_pooling_forecasts_better_than_no_groups_and_than_each_alone(
    channels: tuple[pd.DataFrame, np.ndarray], pooled: BetaGeoNBD
) -> None:
    frame, _ = channels
    actual = frame.groupby("channel")["future"].sum()

    def error(expected: pd.Series) -> float:
        return float((expected.groupby(frame["channel"]).sum() - actual).abs().sum())

    together = BetaGeoNBD(method="laplace").fit(frame).predict(frame, 91)
    assert error(pooled.predict(frame, 91)) < error(together)


def test_newcomers_of_a_thin_and_of_an_unknown_channel_are_less_certain(pooled: BetaGeoNBD) -> None:
    sizes = pooled.fitted_.extra["group_customers"]
    fat = f"c{int(np.argmax(sizes)):02}"
    new = pd.DataFrame({"frequency": [0], "recency": [0.0], "T": [0.0]})

    def interval(channel: str) -> float:
        model = ClvModel(pooled.fitted_)
        many = pd.concat([new.assign(channel=channel)] * 1000, ignore_index=True)
        columns = (many[c].to_numpy(float) for c in ("frequency", "recency", "T"))
        known = Customers(*columns).with_traits(many, model)
        total = simulate_totals(model, known, days=365, draws=1000, seed=1)["purchases"][0]
        return float(np.ptp(np.quantile(total, [0.1, 0.9])) / total.mean())

    assert interval(fat) < interval("c00")
    assert interval(fat) < interval("never seen before")


def test_a_customers_forecast_is_that_of_its_own_group_alone(
    channels: tuple[pd.DataFrame, np.ndarray], pooled: BetaGeoNBD
) -> None:
    rows = channels[0].query("channel == 'c33'").head(20)
    fitted = pooled.fitted_
    by_hand = np.zeros(20)
    matrix = fitted.effects.design.matrix(rows[["channel"]].head(1))
    for i, weight in zip(*fitted.predictive_draws(), strict=True):
        values = (float(v[0]) for v in fitted.draw(i, matrix))
        own = BetaGeoNBD.from_parameters(**dict(zip(BG_NBD.parameters, values, strict=True)))
        by_hand += weight * own.predict(rows, 91).to_numpy()
    found = pooled.predict(channels[0], 91).loc[rows.index]
    assert found.to_numpy() == pytest.approx(by_hand, rel=1e-10)


def test_units_do_not_matter_to_groups() -> None:
    frame, _ = shop(groups=6, thin=2, most=60)
    hours = frame.assign(recency=frame["recency"] * 24.0, T=frame["T"] * 24.0)
    pooled = BetaGeoNBD(method="laplace", by="channel")
    days = pooled.fit(frame).predict(frame, 91)
    assert pooled.fit(hours).predict(hours, 91 * 24).to_numpy() == pytest.approx(days.to_numpy(), rel=1e-6)


# --- spend, and the whole way -------------------------------------------------------------------------------


def orders_of_channels(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for k, (channel, size, spend) in enumerate([("ads", 150, 20.0), ("mail", 150, 60.0), ("fair", 6, 30.0)]):
        for i in range(size):
            first = int(rng.integers(0, 200))
            gaps = np.cumsum(1 + rng.integers(1, 80, rng.poisson(2.0)))
            level = spend * rng.gamma(6.0, 1 / 6.0)
            rows += [
                (f"{k}-{i}", str(np.datetime64("2023-01-01") + np.timedelta64(int(day), "D")), round(level * rng.gamma(5.0, 0.2), 2) + 0.01, channel)
                for day in (first, *(first + gaps))
                if day < 400
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=["customer_id", "order_date", "value", "channel"])


def test_groups_from_orders_to_a_saved_model_and_scores(tmp_path: Path) -> None:
    orders = forecast.read_orders(orders_of_channels(), currency="EUR")
    model = forecast.fit(orders, by="channel")
    assert model.purchases.traits == model.spend.traits == ("channel",)
    assert "Small groups are drawn towards it" in model.card()
    again = forecast.load(tmp_path / "shop" if model.save(tmp_path / "shop") else tmp_path)
    scores = model.score(orders, 91)
    pd.testing.assert_frame_equal(again.score(orders, 91), scores)
    assert "channel" not in scores
    kept = model.score(orders, 91, by="channel")
    means = kept.groupby("channel")["expected_purchase_value"].mean()
    assert means["ads"] < means["fair"] < means["mail"]
    totals = model.portfolio(orders, 91, by="channel", draws=400).set_index(["scope", "group", "target"])
    for target, column in (("purchases", "expected_purchases"), ("value", "expected_value")):
        parts = totals.loc["channel"].xs(target, level="target")["expected"]
        assert parts.sum() == pytest.approx(totals.loc[("total", "all", target), "expected"], rel=1e-12)
        assert parts.sum() == pytest.approx(scores[column].sum(), rel=1e-12)
    for target in ("purchases", "value"):
        line = totals.loc[("total", "all", target)]
        assert line["lo-95"] < line["expected"] < line["hi-95"]
    assert (scores["value-lo-80"] <= scores["value-hi-80"]).all()


def test_covariates_from_orders_to_scores(tmp_path: Path) -> None:
    orders = forecast.read_orders(orders_of_channels(), currency="EUR")
    model = forecast.fit(orders, covariates={"rate": ["channel"], "spend": ["channel"]})
    effects = model.effects().set_index(["effect", "trait"])
    assert effects.loc[("spend", "channel=mail"), "factor"] == pytest.approx(3.0, rel=0.2)
    assert list(effects.index) == [
        ("rate", "channel=fair"), ("rate", "channel=mail"), ("spend", "channel=fair"), ("spend", "channel=mail"),
    ]  # fmt: skip
    assert "| Gamma-Gamma | spend | channel=mail |" in model.card()
    model.save(tmp_path / "shop")
    scores = model.score(orders, 91)
    pd.testing.assert_frame_equal(forecast.load(tmp_path / "shop").score(orders, 91), scores)
    plain = forecast.fit(orders)
    assert plain.effects().empty
    with pytest.raises(ArgumentError, match="no column 'shoe'"):
        forecast.fit(orders, covariates={"rate": ["shoe"]})


def test_spend_of_groups_shrinks() -> None:
    rng = np.random.default_rng(2)
    frames = []
    for k in range(12):
        size = 5 if k < 3 else 200
        n = 1 + rng.poisson(2.0, size)
        nu = rng.gamma(4.0, 1.0 / (15.0 * (1.0 + 0.1 * k)), size)
        mean = rng.gamma(6.0 * n, 1.0 / nu) / n
        frames.append(
            pd.DataFrame({"monetary_count": n, "frequency": n, "monetary_value": mean, "g": f"g{k:02}"})
        )
    frame = pd.concat(frames, ignore_index=True)
    pooled = GammaGamma(method="laplace", by="g").fit(frame)
    assert pooled.verdict_.code == "converged"
    blank = pd.DataFrame({"frequency": 0, "monetary_value": np.nan, "g": [f"g{k:02}" for k in range(12)]})
    spend = pooled.predict(blank).to_numpy()
    truth = 6.0 * 15.0 * (1.0 + 0.1 * np.arange(12)) / 3.0
    assert np.corrcoef(spend[3:], truth[3:])[0, 1] > 0.9
    own = frame.groupby("g")["monetary_value"].mean().to_numpy()
    middle = spend[3:].mean()
    assert (np.abs(spend[:3] - middle) < np.abs(own[:3] - middle) + 5.0).all()
    assert GAMMA_GAMMA.effects == {"spend": ("log_gamma", 1.0)}
