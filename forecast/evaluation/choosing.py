"""Which model for this shop: candidates compared on rolling origins by a stated rule.

At each origin a candidate's score is the logarithm of its CRPS relative to plain BG/NBD's, plus half of how
far its total is off (the absolute logarithm of forecast over actual). Scores are averaged over origins. Of
all candidates whose mean is within one standard error of the best (of the paired differences), the simplest
model wins. It has a season where one of these has: a clock shrinks to nothing where there is none, so doubt
speaks for it. With fewer than three origins there is nothing to choose by: BG/NBD.

All that compete learn a level from their earlier forecasts: rolling origins of seven shops showed that it
costs little where levels stand still and gains much where they drift (benchmarks/ACCURACY.md).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.errors import ArgumentError, FitError
from forecast.evaluation.candidates import AUTO, Candidate
from forecast.evaluation.origins import Origin
from forecast.evaluation.rolling import LEAST_AGE, MOST_ORIGINS, WARM_UP, Rolling, quarters_before
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.calibration import Calibration
from forecast.predict.customers import score_counts
from forecast.summary import Histories

_MODELS = ("bg-nbd", "mbg-nbd", "pareto-nbd", "mbg-cnbd-2")  # the simplest first
CHOICES = tuple(Candidate(model, seasonal, level=True) for seasonal in (False, True) for model in _MODELS)
LEAST_ORIGINS = 3
ASKED = "asked for by name"
_TOTAL_WEIGHT, _FARTHEST, _LEAST_ERROR = 0.5, 1.5, 0.01


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes
    ----------
    candidate : Candidate
    reason : str
    table : list of dict
        ``candidate, score, difference, standard_error, origins`` of each that ran at all origins, the best
        first; ``difference`` is to the best.
    """

    candidate: Candidate
    reason: str
    table: list[dict[str, Any]]


class Chooser:
    """Compares candidates at origin after origin.

    Parameters
    ----------
    rolling : Rolling
        Where their fits come from, see :meth:`Rolling.sampled`.
    candidates : sequence of Candidate
    """

    def __init__(self, rolling: Rolling, candidates: tuple[Candidate, ...] = CHOICES) -> None:
        self.rolling, self._candidates = rolling, candidates
        self._scores: dict[str, dict[dt.date, float]] = {own.name: {} for own in candidates}
        self._ends: dict[dt.date, dt.date] = {}

    def look(self, known: Histories, origin: Origin) -> None:
        """Score all candidates at an origin, each with what it had learned before, then let them learn."""
        young = (origin.cutoff - self.rolling.first_day).days < LEAST_AGE
        if young or origin.actual["actual_purchases"].sum() <= 0:
            return
        self._ends[origin.cutoff] = origin.end
        for own in self._candidates:
            try:
                self._scores[own.name][origin.cutoff] = _score(self.rolling.corrected(own, known), origin)
            except FitError:
                continue
        for own in self._candidates:
            self.rolling.remember(own, known, origin)

    def corrected(self, candidate: Candidate, rolling: Rolling, known: Histories) -> ClvModel:
        """The model fitted on all that is known, with what the sample taught."""
        return replace(
            rolling.model(candidate, known), calibration=self.rolling.calibration(candidate, known.as_of)
        )

    def choose(self, cutoff: dt.date) -> Choice:
        """The choice for a forecast made at ``cutoff``, by origins whose windows had ended."""
        cuts = sorted(cut for cut, end in self._ends.items() if end <= cutoff)[-MOST_ORIGINS:]
        if len(cuts) < LEAST_ORIGINS:
            return Choice(
                self._candidates[0],
                f"there are {len(cuts)} earlier origins, fewer than the {LEAST_ORIGINS} needed to compare",
                [],
            )
        scores = {
            own: np.array([self._scores[own.name].get(cut, np.nan) for cut in cuts])
            for own in self._candidates
        }
        filled = {own: v for own, v in scores.items() if np.isfinite(v).all()}
        if not filled:
            return Choice(self._candidates[0], "no candidate ran at all origins", [])
        best = min(filled, key=lambda own: (filled[own].mean(), self._candidates.index(own)))
        rows, within = [], []
        for own in sorted(filled, key=self._candidates.index):
            difference = filled[own] - filled[best]
            error = max(float(difference.std(ddof=1)) / np.sqrt(len(cuts)), _LEAST_ERROR)
            if difference.mean() <= error:
                within.append(own)
            rows.append(
                {
                    "candidate": own.name,
                    "score": float(filled[own].mean()),
                    "difference": float(difference.mean()),
                    "standard_error": error,
                    "origins": len(cuts),
                }
            )
        rows.sort(key=lambda row: row["score"])
        seasonal = any(own.seasonal for own in within)
        winner = next(own for own in within if own.seasonal == seasonal)
        if winner == best:
            reason = f"{best.name} has the best score over {len(cuts)} origins; no simpler model is as good"
        else:
            reason = (
                f"{winner.name} is the simplest model{' with a season' * seasonal} within one standard error "
                f"of the best, {best.name}, over {len(cuts)} origins"
            )
        return Choice(winner, reason, rows)


def _score(model: ClvModel, origin: Origin) -> float:
    """Logarithm of the CRPS, plus half the absolute logarithm of forecast over actual."""
    customers = Customers.from_frame(origin.histories, model)
    outcome = origin.actual["actual_purchases"].to_numpy()
    expected = float(predict_customers(model, customers, days=origin.days)["expected_purchases"].sum())
    crps = float(score_counts(model, customers, outcome, days=origin.days)["crps"].mean())
    off = min(abs(float(np.log(max(expected, 1e-9) / outcome.sum()))), _FARTHEST)
    return float(np.log(max(crps, 1e-12))) + _TOTAL_WEIGHT * off


def check_seasonal(seasonal: str | None, purchases: str) -> str:
    """Whether there is to be a season: ``auto`` unless a model is named and nothing is said.

    Raises
    ------
    ArgumentError
        When it is none of ``auto``, ``yes``, ``no``.
    """
    if seasonal is None:
        return "auto" if purchases == AUTO else "no"
    if seasonal not in ("auto", "yes", "no"):
        raise ArgumentError(f"seasonal is {seasonal!r}", advice="Choose auto, yes or no.")
    return seasonal


def choose_model(
    sample: Rolling, as_of: dt.date, purchases: str = "auto", seasonal: str = "auto"
) -> tuple[Choice, Calibration]:
    """The choice for a forecast from ``as_of``, by quarters of 91 days that had ended by then.

    Parameters
    ----------
    sample : Rolling
        Of orders until ``as_of``, see :meth:`Rolling.sampled`.
    as_of : datetime.date
    purchases : str
        A model's name, or ``auto``.
    seasonal : {'auto', 'yes', 'no'}

    Returns
    -------
    Choice
    Calibration
        What the chosen candidate's earlier forecasts teach.
    """
    wanted = tuple(
        own
        for own in (CHOICES if purchases == AUTO else _variants(purchases))
        if seasonal == "auto" or own.seasonal == (seasonal == "yes")
    )
    chooser = Chooser(sample, wanted)
    # More than are chosen by: the first must have had something to learn from.
    sample.teach(quarters_before(as_of, sample.first_day, MOST_ORIGINS + WARM_UP // 2), chooser)
    choice = chooser.choose(as_of)
    return choice, sample.calibration(choice.candidate, as_of)


def _variants(purchases: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(purchases, seasonal, level=True) for seasonal in (False, True))
