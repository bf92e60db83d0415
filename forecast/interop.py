"""Parameters of models fitted with ``lifetimes``, in this project's units and names."""

from __future__ import annotations

import math
from typing import Any

from forecast.errors import ArgumentError, FitError, InputError

DAYS = {"h": 1 / 24, "D": 1.0, "W": 7.0}

_FITTERS: dict[str, tuple[str, dict[str, str]]] = {
    "BetaGeoFitter": ("bg-nbd", {"r": "r", "alpha": "alpha", "a": "a", "b": "b"}),
    "ModifiedBetaGeoFitter": ("mbg-nbd", {"r": "r", "alpha": "alpha", "a": "a", "b": "b"}),
    "ParetoNBDFitter": ("pareto-nbd", {"r": "r", "alpha": "alpha", "s": "s", "beta": "beta"}),
    "GammaGammaFitter": ("gamma-gamma", {"p": "p", "q": "q", "v": "gamma"}),
}
_TIMES = ("alpha", "beta")
_NOT_YET = ("BetaGeoBetaBinomFitter",)


def from_lifetimes(fitter: Any, time_unit: str | None = None) -> dict[str, Any]:
    """Model name and parameters of a fitted ``lifetimes`` model; time in days, money as it was.

    Parameters
    ----------
    fitter : object
        Fitted: ``BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter`` or ``GammaGammaFitter``. It is
        recognised by its class's name and ``params_``; ``lifetimes`` is not imported.
    time_unit : {"D", "W", "h"}, optional
        The unit recency and T were fitted in (``freq`` of ``summary_data_from_transaction_data``). Needed for
        purchase models, since fitters do not know it; without meaning for Gamma-Gamma.

    Returns
    -------
    dict
        ``model`` (``"bg-nbd"``, ``"gamma-gamma"`` ...), ``parameters`` (``r, alpha, a, b`` or ``r, alpha, s,
        beta``, alpha and beta in days, or ``p, q, gamma``), ``notes`` (sentences a user should read, maybe
        none).

    Raises
    ------
    ArgumentError
        When the unit is missing or has no fixed length, or the fitter is not one that can be read.
    FitError
        When the fitter is not fitted, or its parameters give no mean spend (q <= 1).
    InputError
        When a parameter is missing, not finite, or not positive.

    Notes
    -----
    In λ ~ Gamma(r, α), the rate of purchases, α counts time, as does β in µ ~ Gamma(s, β); both are
    multiplied by the days of a unit; r, s, a and b have none. ``lifetimes`` calls Gamma-Gamma's scale v, this
    project γ.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005), "Counting Your Customers the Easy Way", Marketing
    Science 24(2), 275-284.

    Examples
    --------
    >>> class BetaGeoFitter:
    ...     penalizer_coef = 0.0
    ...     params_ = {"r": 0.243, "alpha": 4.5, "a": 0.793, "b": 2.426}
    >>> from_lifetimes(BetaGeoFitter(), time_unit="W")["parameters"]
    {'r': 0.243, 'alpha': 31.5, 'a': 0.793, 'b': 2.426}
    """
    kind = _kind(fitter)
    model, names = _FITTERS[kind]
    spend = model == "gamma-gamma"
    days = _days(time_unit, needed=not spend)
    fitted = getattr(fitter, "params_", None)
    if fitted is None:
        raise FitError(f"the {kind} is not fitted", advice="Call its fit() first.")
    parameters: dict[str, float] = {}
    for theirs, ours in names.items():
        try:
            number = float(fitted[theirs])
        except (KeyError, IndexError, TypeError, ValueError):
            raise InputError(
                f"the {kind} has no parameter {theirs!r}",
                where="params_",
                advice="Fit it with lifetimes 0.11.",
            ) from None
        if not (math.isfinite(number) and number > 0):
            raise InputError(
                f"parameter {theirs!r} of the {kind} is {number:g}",
                where="params_",
                advice="It must be finite and above 0; fit the model again.",
            )
        parameters[ours] = number * (days if ours in _TIMES else 1.0)
    notes = []
    if spend and parameters["q"] <= 1:
        raise FitError(
            f"the {kind} has q = {parameters['q']:g}: its mean spend is infinite",
            where="params_",
            advice="Fit again with q_constraint=True, or on more purchases.",
        )
    penalty = float(getattr(fitter, "penalizer_coef", 0.0) or 0.0)
    if penalty > 0:
        notes.append(
            f"Fitted with penalizer_coef={penalty:g}: the parameters are pulled towards 0 and are not the "
            "maximum likelihood estimates; their standard errors and a comparison by likelihood mean little."
        )
    return {"model": model, "parameters": parameters, "notes": notes}


def _kind(fitter: Any) -> str:
    # The nearest known class decides: lifetimes' modified model is a subclass of the plain one.
    for parent in type(fitter).__mro__:
        if parent.__name__ in _FITTERS:
            return parent.__name__
        if parent.__name__ in _NOT_YET:
            raise ArgumentError(
                f"a {parent.__name__} cannot be read yet", advice=f"These can: {', '.join(_FITTERS)}."
            )
    raise ArgumentError(
        f"a {type(fitter).__name__} is no model of lifetimes",
        advice=f"These can be read: {', '.join(_FITTERS)}.",
    )


def _days(time_unit: str | None, *, needed: bool) -> float:
    if time_unit is None and not needed:
        return 1.0
    if time_unit is None:
        raise ArgumentError(
            "time_unit is missing",
            advice="Say what recency and T were counted in: 'D' (days) or 'W' (weeks).",
        )
    if time_unit not in DAYS:
        reason = (
            " has no fixed length in days"
            if time_unit in ("M", "ME", "MS", "Q", "Y", "YE")
            else " is unknown"
        )
        raise ArgumentError(
            f"time_unit {time_unit!r}{reason}", advice="Use 'D', 'W' or 'h'; otherwise fit again on days."
        )
    return DAYS[time_unit]
