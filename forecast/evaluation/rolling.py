"""Rolling origins as they are worked through: fits are made once, and every forecast leaves a record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from forecast.errors import FitError
from forecast.evaluation.candidates import Candidate, fit_clv
from forecast.evaluation.levels import Record, learn, record
from forecast.evaluation.origins import Origin, look_back
from forecast.fitting import Fitted
from forecast.fitting.clock import LEAST_DAYS, Clock
from forecast.predict import ClvModel
from forecast.predict.calibration import NONE, Calibration
from forecast.summary import Histories, purchase_histories

WARM_UP = 8  # origins before the first that is asked for, where the log is long enough
LEAST_AGE = 180  # days of history at an origin that may teach anything
STEP = 91  # days of the windows by which a fit chooses
MOST_ORIGINS = 8  # that a choice looks back to
SAMPLE = 20_000  # customers who are enough to choose by


class Listener(Protocol):
    """What learns from origins whose outcomes are known."""

    def look(self, known: Histories, origin: Origin) -> None:
        """Score what competes at an origin, each with what it had learned before, then learn."""


class Rolling:
    """The origins of one order log, in the order of time.

    Parameters
    ----------
    orders : Orders
    method : str
        How models are fitted.
    seed : int
    spend : bool
        Without it purchases alone are modelled.
    """

    def __init__(self, orders: Any, method: str = "laplace", seed: int = 0, spend: bool = True) -> None:
        self._orders, self._method, self._seed, self._spend = orders, method, seed, spend
        self._models: dict[tuple[dt.date, str], ClvModel | FitError] = {}
        self._clocks: dict[dt.date, Clock] = {}  # one for all models, and so is spend
        self._spends: dict[tuple[dt.date, str], Fitted] = {}
        self._records: dict[str, list[Record]] = {}

    @classmethod
    def sampled(cls, orders: Any, seed: int = 0, since: dt.date | None = None) -> Rolling:
        """Origins to choose by: purchases alone, of a sample of the customers, fitted by maximum likelihood.

        Parameters
        ----------
        orders : Orders
        seed : int
        since : datetime.date, optional
            The first day from which there will be a forecast, the last day of the orders by default: how many
            there are to draw from is counted then, since what comes later must not matter.
        """
        # Spend is left out: where it cannot be fitted it must not stand in the way of a choice by purchases.
        return cls(orders.some(SAMPLE, seed, since), method="mle", seed=seed, spend=False)

    @property
    def first_day(self) -> dt.date:
        """Day of the first order."""
        day: dt.date = self._orders.first_day
        return day

    def teach(self, windows: Iterable[tuple[dt.date, dt.date]], *listeners: Listener) -> None:
        """Show what happened in each window to all listeners, the earliest first."""
        for cutoff, end in windows:
            if cutoff > self.first_day:
                known, origin = self.at(cutoff, end)
                for own in listeners:
                    own.look(known, origin)
                known.close()

    def at(self, cutoff: dt.date, end: dt.date) -> tuple[Histories, Origin]:
        """What is known at a cut, and what happened until the end of its window."""
        known = purchase_histories(self._orders.until(cutoff), cutoff)
        return known, look_back(self._orders, known, cutoff, end)

    def model(self, candidate: Candidate, known: Histories) -> ClvModel:
        """The candidate as fitted on what is known, uncorrected; without a season before 14 months.

        Raises
        ------
        FitError
            When the data do not identify it.
        """
        base = replace(candidate, level=False)
        key = (known.as_of, base.name)
        if base.seasonal and (known.as_of - self._orders.first_day).days + 1 < LEAST_DAYS:
            return self.model(replace(base, seasonal=False), known)  # too early for a season: none
        if key not in self._models:
            worth = (known.as_of, base.spend)
            try:
                found = fit_clv(
                    known,
                    base.purchases,
                    self._method,
                    seasonal=self._clocks.get(known.as_of, True) if base.seasonal else False,
                    spend=self._spends.get(worth, base.spend) if self._spend else None,
                    seed=self._seed,
                )
                self._models[key] = found
                if found.clock is not None:
                    self._clocks[known.as_of] = found.clock
                if found.spend is not None:
                    self._spends[worth] = found.spend
            except FitError as error:
                self._models[key] = error
        kept = self._models[key]
        if isinstance(kept, FitError):
            raise kept
        return kept

    def corrected(self, candidate: Candidate, known: Histories) -> ClvModel:
        """The candidate's model with what its earlier records teach, where it wants that."""
        return replace(self.model(candidate, known), calibration=self.calibration(candidate, known.as_of))

    def calibration(self, candidate: Candidate, cutoff: dt.date) -> Calibration:
        """What the candidate's records teach for a forecast made at ``cutoff``, where it wants that."""
        return learn(self._records.get(_key(candidate), []), cutoff) if candidate.level else NONE

    def remember(self, candidate: Candidate, known: Histories, origin: Origin) -> None:
        """Keep how the candidate's uncorrected forecast fared; once is enough."""
        base = replace(candidate, level=False)
        own = self._records.setdefault(_key(candidate), [])
        if any(old.cutoff == origin.cutoff for old in own):
            return
        try:
            found = record(self.model(base, known), origin)
        except FitError:
            return
        if found is not None:
            own.append(found)


def _key(candidate: Candidate) -> str:
    """Records are of purchases; what spend is learned from does not matter to them."""
    return replace(candidate, level=False, spend="repeat").name


def earlier(
    windows: list[tuple[dt.date, dt.date]],
    first: dt.date,
    most: int = WARM_UP,
    least_age: int = LEAST_AGE,
) -> list[tuple[dt.date, dt.date]]:
    """Windows before the first one, as far apart as they are, the earliest first.

    Examples
    --------
    >>> earlier([(dt.date(2024, 1, 1), dt.date(2024, 4, 1))], dt.date(2023, 1, 1))
    [(datetime.date(2023, 7, 3), datetime.date(2023, 10, 2)),
     (datetime.date(2023, 10, 2), datetime.date(2024, 1, 1))]
    """
    cutoff, end = windows[0]
    length = end - cutoff
    step = windows[1][0] - cutoff if len(windows) > 1 else length
    found = []
    for k in range(1, most + 1):
        cut = cutoff - k * max(step, length)
        if (cut - first).days < least_age:
            break
        found.append((cut, cut + length))
    return found[::-1]


def quarters_before(
    as_of: dt.date, first: dt.date, most: int, least_age: int = LEAST_AGE
) -> list[tuple[dt.date, dt.date]]:
    """Windows of 91 days before a forecast from ``as_of``, the earliest first.

    Examples
    --------
    >>> quarters_before(dt.date(2024, 4, 1), dt.date(2023, 1, 1), 1)
    [(datetime.date(2024, 1, 1), datetime.date(2024, 4, 1))]
    """
    return earlier([(as_of, as_of + dt.timedelta(days=STEP))], first, most, least_age)
