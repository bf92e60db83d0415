"""From orders or histories to a fitted model: choose, fit, and write down where it comes from."""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib import metadata
from typing import Any

from forecast.errors import ArgumentError
from forecast.evaluation.candidates import AUTO, Candidate, fit_clv
from forecast.evaluation.choosing import ASKED, Choice, check_seasonal, choose_model
from forecast.evaluation.rolling import Rolling
from forecast.evaluation.spendcheck import independence
from forecast.evaluation.spending import SpendChoice, check_spend, choose_spend, with_level
from forecast.fitting import GAMMA_GAMMA, check_method, purchase_model
from forecast.fitting.design import check_covariates, covariate_column
from forecast.model import Model
from forecast.predict import ClvModel
from forecast.predict.calibration import NONE
from forecast.predict.population import BLOCK, SPEND_BASES
from forecast.predict.segments import freeze_cut_offs
from forecast.summary import GIVEN, GivenHistories, HistoryTable, SparkHistories, histories_of
from forecast.summary.first_orders import first_orders

NO_QUARTERS = "the default for histories, which hold no earlier quarters to choose by"


def fit(
    orders: Any,
    as_of: Any = None,
    *,
    purchases: str | None = None,
    method: str = "laplace",
    seasonal: str | None = None,
    spend: str | None = None,
    priors: Any = None,
    by: str | None = None,
    covariates: Any = None,
    seed: int = 0,
    name: str | None = None,
    progress: bool = False,
) -> Model:
    """Fit a purchase model and, where there is money, Gamma-Gamma spend.

    Parameters
    ----------
    orders : Orders, GivenHistories or SparkHistories
        Of histories (:func:`forecast.read_histories`) the model is the same as of their orders, but there
        are no earlier quarters to choose it by.
    as_of : date or ISO string, optional
        Last day to learn from, inclusive; the latest order day by default. Histories have their own.
    purchases : str, optional
        ``auto``, the default with orders, compares models, seasons and levels on earlier quarters and keeps
        what its totals were off by; a name (``bg-nbd``, the default with histories, ``mbg-nbd``,
        ``pareto-nbd``, ``nbd``, ``mbg-cnbd-2`` …) is that model, plain.
    seasonal : {'auto', 'yes', 'no'}, optional
        A seasonal clock; with a model's name ``no`` unless said otherwise. Of histories it needs their daily
        repeat purchases.
    spend : {'auto', 'repeat', 'all', 'mean'}, optional
        What spend is learned from: Gamma-Gamma on repeat purchases, or on all with the first; or one mean
        purchase value for every customer. ``auto`` compares them on earlier quarters; with a purchase
        model's name ``repeat`` unless said otherwise.
    method : {'laplace', 'nuts', 'mle'}
        Draws of the posterior, quick or by PyMC's sampler, or the maximum of the likelihood with
        standard errors.
    priors : mapping, optional
        Overrides of the weak priors: ``{"log_r": {"mean": 0.0, "sd": 1.0}}``, on parameters scaled by
        the mean age and the mean value.
    by : str, optional
        A column of the orders (channel, country, first product), taken from the first order. Its groups
        get purchase and spend parameters of their own, partially pooled: thin groups shrink to the whole.
    covariates : mapping, optional
        Columns of the orders by what they act on: ``{"rate": ["channel"], "dropout": ["channel"],
        "spend": ["country"]}``. Numbers are standardised, words become one column a level.
    seed : int
    name : str, optional
        Kept in the model.
    progress : bool
        Show a bar while ``nuts`` samples.

    Returns
    -------
    Model

    Raises
    ------
    ArgumentError
        When ``as_of``, the model or the method cannot be meant, or histories are to be chosen by.
    InputError
        When ``as_of`` is before the first order, or a covariate is blank, constant or has too many levels.
    FitError
        When the data do not identify the model: no repeat purchases, no spread, a flat likelihood.

    Examples
    --------
    >>> import forecast
    >>> model = fit(forecast.read_orders(forecast.cdnow(), currency="USD"), as_of="1997-09-30")
    >>> model
    <Model BG/NBD + Gamma-Gamma, 2,357 customers as of 1997-09-30: converged>
    """
    check_method(method)
    reason = ASKED
    if isinstance(orders, GIVEN):
        _refuse_choosing(orders, purchases, seasonal, spend)
        reason = ASKED if purchases else NO_QUARTERS
    purchases = purchases or ("bg-nbd" if isinstance(orders, GIVEN) else AUTO)
    season, basis = check_seasonal(seasonal, purchases), check_spend(spend, purchases)
    known = [*purchase_model("bg-nbd" if purchases == AUTO else purchases).effects, *GAMMA_GAMMA.effects]
    checked = check_covariates(covariates, known)
    columns = [covariate_column(column) for own in checked.values() for column in own]
    histories = histories_of(orders, as_of, list(dict.fromkeys([*([by] if by else []), *columns])))
    choice = Choice(Candidate(purchases, season == "yes"), reason, [])
    calibration = NONE
    worth = SpendChoice(basis, ASKED)
    if AUTO in (purchases, season, basis):
        sample = Rolling.sampled(orders.until(histories.as_of), seed)
    if AUTO in (purchases, season):
        choice, calibration = choose_model(sample, histories.as_of, purchases, season)
    if basis == AUTO:
        # One mean for everybody knows no groups or traits: where spend is to have some it does not compete.
        traits = by is not None or bool(checked.get("spend"))
        bases = tuple(b for b in SPEND_BASES if b != "mean" or not traits)
        worth = choose_spend(sample, histories.as_of, bases)
        calibration = with_level(calibration, worth, histories.as_of)
    found = fit_clv(
        histories,
        choice.candidate.purchases,
        method,
        priors=priors,
        by=by,
        covariates=checked,
        seasonal=choice.candidate.seasonal,
        spend=worth.basis,
        seed=seed,
        progress=progress,
    )
    found = replace(found, calibration=calibration)
    found = replace(found, cut_offs=freeze_cut_offs(found, histories.batches(BLOCK)))
    told = {
        **_provenance(orders, histories),
        "seed": seed,
        "by": by,
        "covariates": checked,
        "first_orders": first_orders(histories, by),
        "choice": {"candidate": choice.candidate.name, "reason": choice.reason, "table": choice.table},
        "spend": {**worth.to_dict(), "check": _spend_check(histories, found)},
    }
    return Model(found, told, name=name)


def _refuse_choosing(
    histories: GivenHistories | SparkHistories, purchases: str | None, seasonal: str | None, spend: str | None
) -> None:
    """What is compared on earlier quarters needs orders, and a season the days of repeat purchases."""
    for name, own in (("purchases", purchases), ("seasonal", seasonal), ("spend", spend)):
        if own == AUTO:
            raise ArgumentError(
                f"{name}='auto' compares forecasts of earlier quarters, which histories do not hold",
                advice="Name what you want, or fit on the orders.",
            )
    if seasonal == "yes":
        histories.repeat_days()


def _spend_check(histories: HistoryTable, model: ClvModel) -> dict[str, Any] | None:
    """Whether spend depends on frequency; None for a log without money."""
    if model.spend is None:
        return None
    n, mean, weight = histories.spend_counts()
    return independence(n, mean, weight, model.spend.parameters["p"])


def _provenance(orders: Any, histories: HistoryTable) -> dict[str, Any]:
    """Where the data come from; None where histories do not tell."""
    given = isinstance(orders, GIVEN)
    return {
        "as_of": histories.as_of.isoformat(),
        "first_day": orders.first_day.isoformat(),
        "customers": len(histories),
        "orders_after_as_of": getattr(histories, "after_as_of", None),
        "currency": orders.currency,
        "timezone": orders.timezone,
        "value_policy": orders.value_policy,
        "zero_value": orders.zero_value,
        "dialect": orders.dialect,
        "identity": "customer_id as given",
        "fingerprint": (orders if given else orders.until(histories.as_of)).fingerprint,
        "reconciliation": orders.received() if given else orders.reconciliation.summary(),
        "time_unit": "days",
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("clv-forecast", "numpy", "scipy", "duckdb")},
        },
    }
