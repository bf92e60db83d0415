"""What spend is learned from, chosen by earlier origins.

Three ways: one mean for every customer (``mean``), Gamma-Gamma on repeat purchases (``repeat``), or on all
purchases, the first included (``all``). At each earlier origin each way forecasts the mean purchase value of
those who bought in the window, and its score is the mean logarithm of three errors: MAE and RMSE of these
means, and 1 - Gini of all customers' value (BG/NBD's expected purchases times expected purchase value).
Scores are averaged over origins. A way whose MAE or RMSE is more than 1 % above the mean's is out. Of the
others within one standard error of the best, the simplest wins, in the order above. The standard error is the
larger of that between customers (a jackknife by twenty groups of them) and that between origins.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, FitError
from forecast.evaluation.board import frequency_class
from forecast.evaluation.candidates import AUTO, Candidate
from forecast.evaluation.levels import Miss, level_ahead
from forecast.evaluation.metrics_ranking import normalised_gini
from forecast.evaluation.origins import Origin
from forecast.evaluation.rolling import MOST_ORIGINS, WARM_UP, Rolling, quarters_before
from forecast.fitting import fit_spend
from forecast.fitting.mean_spend import fit_mean_spend
from forecast.maths import gammagamma
from forecast.predict import Customers, predict_customers
from forecast.predict.calibration import Calibration
from forecast.predict.population import SPEND_BASES, spend_history
from forecast.summary import Histories
from forecast.summary.statistics import group_spend

LEAST_AGE = 90  # a mean value is known sooner than a purchase process
LEAST_BUYERS = 30
TOLERATED = 0.01  # how far above the mean's MAE and RMSE a way may be
_GROUPS = 20
_PLAIN = tuple(Candidate(name) for name in ("bg-nbd", "nbd"))  # the second where the first is not identified
_NAMES = {"mean": "means of all customers", "repeat": "repeat purchases", "all": "all purchases"}
_CLASS_NAMES = {"0": "no", "1": "one", "2": "two", "3+": "three or more"}


@dataclass(frozen=True)
class SpendChoice:
    """What was chosen, and why.

    Attributes
    ----------
    basis : {'mean', 'repeat', 'all'}
    reason : str
    table : list of dict
        ``spend, score, difference, standard_error, mae, rmse, gini, origins``, the best first; errors are
        relative to those of ``mean`` (1 = the same), geometric means over origins.
    classes : list of dict
        ``repeat_purchases, buyers, ratio``: forecast over actual mean purchase value of the chosen way, by
        repeat purchases before the origin.
    misses : tuple of Miss
        How far the chosen way's total value was off at each origin, given how often each customer bought.
    """

    basis: str
    reason: str
    table: list[dict[str, Any]] = field(default_factory=list)
    classes: list[dict[str, Any]] = field(default_factory=list)
    misses: tuple[Miss, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the provenance."""
        return {"basis": self.basis, "reason": self.reason, "table": self.table, "classes": self.classes}


@dataclass(frozen=True)
class _Look:
    """One origin: ``errors[way]`` has shape (1 + groups, 3), the whole first, then without each group."""

    end: dt.date
    errors: dict[str, np.ndarray]
    forecast: dict[str, dict[str, float]]
    actual: dict[str, float]
    buyers: dict[str, int]
    misses: dict[str, Miss]  # of the total value, given how often each bought


class SpendChooser:
    """Compares ways to learn spend at origin after origin.

    Parameters
    ----------
    rolling : Rolling
        Where purchases are fitted, see :meth:`Rolling.sampled`.
    bases : sequence of str
        The ways that compete.
    """

    def __init__(self, rolling: Rolling, bases: tuple[str, ...] = SPEND_BASES) -> None:
        self._rolling, self._bases = rolling, bases
        self._looks: dict[dt.date, _Look] = {}

    def look(self, known: Histories, origin: Origin) -> None:
        """Score all ways at an origin; nothing where few bought or purchases cannot be fitted."""
        if (origin.cutoff - self._rolling.first_day).days < LEAST_AGE:
            return
        try:
            found = _look(self._rolling, known, origin) if origin.has_value else None
        except FitError:
            return
        if found is not None:
            self._looks[origin.cutoff] = found

    def choose(self, cutoff: dt.date) -> SpendChoice:
        """The choice for a forecast made at ``cutoff``, by origins whose windows had ended."""
        cuts = sorted(cut for cut, own in self._looks.items() if own.end <= cutoff)[-MOST_ORIGINS:]
        looks = [self._looks[cut] for cut in cuts]
        ran = [b for b in SPEND_BASES if b in self._bases and all(b in own.errors for own in looks)]
        if not looks or not ran:
            return SpendChoice("repeat", "no earlier origin has enough buyers to compare by")
        errors = {b: np.array([own.errors[b] for own in looks]) for b in ran}
        against = np.array([own.errors["mean"] for own in looks])
        scores = {b: v.mean(axis=2) for b, v in errors.items()}  # origins x (1 + groups)
        excess = {b: (errors[b] - against)[:, 0, :2].mean(axis=0).max() for b in ran}
        allowed = [b for b in ran if excess[b] <= np.log1p(TOLERATED)] or ran
        best = min(allowed, key=lambda b: scores[b][:, 0].mean())
        rows: list[dict[str, Any]] = []
        winner = best
        for b in reversed(ran):
            difference, error = _paired(scores[b] - scores[best])
            if b in allowed and difference <= error:
                winner = b
            relative = (errors[b] - against)[:, 0].mean(axis=0)
            rows.append(
                {
                    "spend": b,
                    "score": float(scores[b][:, 0].mean() - against.mean(axis=2)[:, 0].mean()),
                    "difference": difference,
                    "standard_error": error,
                    "mae": float(np.exp(relative[0])),
                    "rmse": float(np.exp(relative[1])),
                    "gini": float(1.0 - np.exp(errors[b][:, 0, 2]).mean()),
                    "origins": len(cuts),
                }
            )
        rows.sort(key=lambda row: row["score"])
        earlier = [own for own in self._looks.values() if own.end <= cutoff and winner in own.misses]
        misses = tuple(own.misses[winner] for own in sorted(earlier, key=lambda own: own.end))
        return SpendChoice(
            winner, _reason(winner, best, excess, allowed, len(cuts)), rows, _classes(looks, winner), misses
        )


def with_level(calibration: Calibration, choice: SpendChoice, cutoff: dt.date) -> Calibration:
    """A calibration with the level of spend: how far values of purchases were off, and how unsure that is.

    Parameters
    ----------
    calibration : Calibration
        Of purchases.
    choice : SpendChoice
    cutoff : datetime.date
        When the forecast is made.

    Examples
    --------
    >>> from forecast.predict.calibration import NONE
    >>> miss = Miss(dt.date(2023, 1, 1), dt.date(2023, 4, 2), 0.2, 400.0)
    >>> found = with_level(NONE, SpendChoice("repeat", "", misses=(miss,)), dt.date(2023, 4, 2))
    >>> bool(1.0 < found.spend_levels[0] < 1.22), found.levels.tolist()
    (True, [1.0])
    """
    if not choice.misses:
        return calibration
    levels, sd = level_ahead(choice.misses, cutoff)
    return replace(calibration, spend_levels=levels, spend_sd=sd)


def _look(rolling: Rolling, known: Histories, origin: Origin) -> _Look | None:
    """All ways at one origin."""
    histories = origin.histories
    value = origin.actual["actual_value"].to_numpy(dtype=float)
    purchases = origin.actual["actual_purchases"].to_numpy(dtype=float)
    bought = (purchases > 0) & (value > 0)
    if bought.sum() < LEAST_BUYERS:
        return None
    try:
        model = rolling.model(_PLAIN[0], known)
    except FitError:
        model = rolling.model(_PLAIN[1], known)
    expected = predict_customers(model, Customers.from_frame(histories, model), days=origin.days)
    group = np.random.default_rng(len(value)).permutation(len(value)) % _GROUPS
    actual = np.divide(value, purchases, out=np.zeros_like(value), where=bought)
    classes = frequency_class(histories["frequency"].to_numpy())
    errors, forecast, misses = {}, {}, {}
    total = float(value[bought].sum())
    for basis in SPEND_BASES:
        try:
            each = expected_spend(histories, basis)
        except FitError:
            continue
        worth = expected["expected_purchases"] * each
        kept = [group != g for g in (-1, *range(_GROUPS))]
        errors[basis] = np.array([_errors(each, actual, worth, value, bought & k, k) for k in kept])
        said = float((known.paid_share * purchases * each).sum())
        worth_of = total**2 / float((value[bought] ** 2).sum())  # equal orders with the same chance
        misses[basis] = Miss(origin.cutoff, origin.end, float(np.log(total / said)), worth_of)
        forecast[basis] = {c: float(each[bought & (classes == c)].sum()) for c in _CLASS_NAMES}
    if "mean" not in errors or not all(np.isfinite(v).all() for v in errors.values()):
        return None
    return _Look(
        origin.end,
        errors,
        forecast,
        {c: float(actual[bought & (classes == c)].sum()) for c in _CLASS_NAMES},
        {c: int((bought & (classes == c)).sum()) for c in _CLASS_NAMES},
        misses,
    )


def expected_spend(histories: pd.DataFrame, basis: str) -> np.ndarray:
    """Expected purchase value of each customer by one way, at the maximum of the likelihood.

    Parameters
    ----------
    histories : pandas.DataFrame
        ``monetary_count, monetary_value, first_value``.
    basis : {'mean', 'repeat', 'all'}

    Raises
    ------
    FitError
        When the way cannot be fitted.

    Examples
    --------
    >>> shop = pd.DataFrame({"monetary_count": [1, 3], "monetary_value": [10.0, 30.0]})
    >>> expected_spend(shop, "mean").round(6).tolist()
    [25.0, 25.0]
    """
    counts = group_spend(*spend_history(histories, "all" if basis == "all" else "repeat"))
    fitted = fit_mean_spend(counts) if basis == "mean" else fit_spend(counts)
    n, m = spend_history(histories, basis)
    return np.asarray(gammagamma.expected_value(*fitted.draw(0), n=n, m=m))


def _errors(
    each: np.ndarray,
    actual: np.ndarray,
    worth: np.ndarray,
    value: np.ndarray,
    bought: np.ndarray,
    kept: np.ndarray,
) -> tuple[float, float, float]:
    """Logarithms of MAE, RMSE and 1 - Gini."""
    off = each[bought] - actual[bought]
    gini = normalised_gini(np.maximum(value[kept], 0.0), worth[kept])
    errors = (np.abs(off).mean(), np.sqrt((off**2).mean()), 1.0 - gini)
    mae, rmse, unranked = (float(np.log(max(v, 1e-12))) for v in errors)
    return mae, rmse, unranked


def _paired(differences: np.ndarray) -> tuple[float, float]:
    """Mean over origins of a paired difference, and its standard error."""
    whole, without = differences[:, 0], differences[:, 1:]
    origins, groups = without.shape
    within = (groups - 1) / groups * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    variance = within.sum() / origins**2
    if origins > 1:
        variance = max(variance, whole.var(ddof=1) / origins)
    return float(whole.mean()), float(np.sqrt(variance))


def _reason(winner: str, best: str, excess: dict[str, float], allowed: list[str], origins: int) -> str:
    over = f"{origins} earlier origin{'s' if origins > 1 else ''}"
    if winner == best:
        text = (
            f"{_NAMES[winner]} tell spend with the least error over {over}, and nothing simpler does as well"
        )
    else:
        text = (
            f"{_NAMES[winner]} tell spend within one standard error of the best, {_NAMES[best]}, over "
            f"{over}, and are simpler"
        )
    out = [f"{_NAMES[b]} (by {np.expm1(excess[b]):.1%})" for b in excess if b not in allowed]
    return text + (f"; worse than the mean purchase value are {', '.join(out)}" if out else "")


def _classes(looks: list[_Look], basis: str) -> list[dict[str, Any]]:
    rows = []
    for c, name in _CLASS_NAMES.items():
        actual = sum(own.actual[c] for own in looks)
        if actual > 0.0:
            ratio = sum(own.forecast[basis][c] for own in looks) / actual
            buyers = sum(own.buyers[c] for own in looks)
            rows.append({"repeat_purchases": name, "buyers": buyers, "ratio": float(ratio)})
    return rows


def check_spend(spend: str | None, purchases: str) -> str:
    """What spend is learned from: ``auto`` unless a purchase model is named and nothing is said.

    Raises
    ------
    ArgumentError
        When it is none of ``auto``, ``repeat``, ``all``, ``mean``.

    Examples
    --------
    >>> check_spend(None, "auto"), check_spend(None, "bg-nbd")
    ('auto', 'repeat')
    """
    if spend is None:
        return "auto" if purchases == AUTO else "repeat"
    if spend not in (AUTO, *SPEND_BASES):
        raise ArgumentError(f"spend is {spend!r}", advice="Choose auto, repeat, all or mean.")
    return spend


def choose_spend(sample: Rolling, as_of: dt.date, bases: tuple[str, ...] = SPEND_BASES) -> SpendChoice:
    """The choice for a forecast from ``as_of``, by quarters of 91 days that had ended by then.

    Examples
    --------
    >>> from forecast.datasets import cdnow
    >>> from forecast.orders import read_orders
    >>> choose_spend(Rolling.sampled(read_orders(cdnow())), dt.date(1998, 6, 30)).basis
    'all'
    """
    chooser = SpendChooser(sample, bases)
    sample.teach(quarters_before(as_of, sample.first_day, MOST_ORIGINS + WARM_UP // 2, LEAST_AGE), chooser)
    return chooser.choose(as_of)
