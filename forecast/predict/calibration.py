"""What earlier forecasts teach the next: a level, how unsure it is, and the shape of distributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from scipy import special

YEAR = 24  # levels a year
STEP = 365.25 / YEAR  # days that share one level
_QUARTER = 6


def _of(levels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Levels of steps ahead: beyond the last the last year repeats."""
    last = len(levels)
    found: np.ndarray = levels[np.where(steps < last, steps, last - YEAR + (steps - last) % YEAR)]
    return found


@dataclass(frozen=True, eq=False)
class Calibration:
    """Corrections learned at earlier origins and applied to the future only.

    Attributes
    ----------
    levels : ndarray, shape (k,)
        What multiplies the time ahead, in steps of a 24th of a year from the origin on; beyond the last step
        the last year repeats. One level alone holds for all time. Time is what is multiplied, so that
        chances, sums and intervals stay one mechanism.
    level_sd : float
        Standard deviation of the logarithm of what remains unknown of the level; totals carry it.
    degrees : float
        Of freedom of its Student distribution.
    spend_levels : ndarray, shape (k,)
        What multiplies the value of coming repeat purchases, in the same steps as ``levels``.
    spend_sd : float
        Standard deviation of the logarithm of what remains unknown of it; totals of value carry it.
    knots, warped : ndarray, shape (k,)
        The map from a customer's predicted to the calibrated cumulative probability, from 0 to 1. It
        changes the shape of distributions and never a mean.
    facts : dict
        From how many origins, and which.
    """

    levels: np.ndarray = field(default_factory=lambda: np.ones(1))
    level_sd: float = 0.0
    degrees: float = 30.0
    spend_levels: np.ndarray = field(default_factory=lambda: np.ones(1))
    spend_sd: float = 0.0
    knots: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0]))
    warped: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0]))
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> float:
        """Mean level of the next quarter."""
        return float(self.levels[:_QUARTER].mean())

    def over(self, clock: Callable[[np.ndarray], np.ndarray]) -> Callable[[float], float]:
        """From days ahead to time ahead, where ``clock`` says what time each number of days makes.

        Examples
        --------
        >>> half = Calibration(levels=np.array([0.5])).over(lambda days: days)
        >>> half(100.0)
        50.0
        >>> first = np.repeat([0.5, 1.0], YEAR).astype(float)
        >>> float(round(Calibration(levels=first).over(lambda days: days)(3 * 365.25) / 365.25, 6))
        2.5
        """

        @cache
        def time(days: float) -> float:
            if len(self.levels) == 1:
                return float(clock(np.array([days]))[0] * self.levels[0])
            steps = np.arange(max(int(np.ceil(days / STEP)), 1))
            ends = np.minimum(STEP * (steps + 1.0), days)
            return float(_of(self.levels, steps) @ np.diff(clock(ends), prepend=0.0))

        return time

    def each_day(self, clock: Callable[[np.ndarray], np.ndarray], days: int) -> np.ndarray:
        """Time ahead by the end of each day, 0 to ``days``: what :meth:`over` says of one of them.

        Examples
        --------
        >>> Calibration(levels=np.array([0.5])).each_day(lambda days: days, 3).tolist()
        [0.0, 0.5, 1.0, 1.5]
        """
        ends = np.arange(days + 1.0)
        if len(self.levels) == 1:
            return clock(ends) * self.levels[0]
        # A level changes within a day: the time of the parts of days is what adds up.
        edges = STEP * np.arange(1.0, int(days / STEP) + 1.0)
        knots = np.union1d(ends, edges)
        steps = np.searchsorted(edges, knots[1:], side="left")
        passed = np.cumsum(_of(self.levels, steps) * np.diff(clock(knots)))
        return np.concatenate([[0.0], passed])[np.searchsorted(knots, ends)]

    @property
    def warps(self) -> bool:
        return len(self.knots) > 2

    def above(self, beyond: np.ndarray) -> np.ndarray:
        """Calibrated chances of exceeding from predicted ones.

        Examples
        --------
        >>> warp = Calibration(knots=np.array([0.0, 0.5, 1.0]), warped=np.array([0.0, 0.6, 1.0]))
        >>> warp.above(np.array([0.0, 0.5, 1.0])).tolist()
        [0.0, 0.4, 1.0]
        """
        if not self.warps:
            return beyond
        return np.interp(beyond, 1.0 - self.knots[::-1], 1.0 - self.warped[::-1])

    def shares(self, shares: np.ndarray) -> np.ndarray:
        """Which predicted share gives each calibrated one: quantiles are asked for at these."""
        return np.interp(shares, self.warped, self.knots) if self.warps else shares

    def spend_level(self, after: float, until: float) -> float:
        """Mean level of spend from so many days after the origin until so many.

        Examples
        --------
        >>> half = Calibration(spend_levels=np.repeat([0.5, 1.0], YEAR // 2))
        >>> half.spend_level(0.0, 90.0), round(half.spend_level(0.0, 365.25), 6)
        (0.5, 0.75)
        """
        if len(self.spend_levels) == 1 or until <= after:
            return float(self.spend_levels[0])
        steps = np.arange(max(int(np.ceil(until / STEP)), 1))
        begins, ends = np.maximum(STEP * steps, after), np.minimum(STEP * (steps + 1.0), until)
        return float(_of(self.spend_levels, steps) @ np.maximum(ends - begins, 0.0) / (until - after))

    def draw_levels(self, size: int, seed: int) -> np.ndarray:
        """Factors with mean 1 for joint draws of totals; all 1 where the level is sure."""
        return self._factors(self.level_sd, size, [seed, 20_051])

    def draw_spend_levels(self, size: int, seed: int) -> np.ndarray:
        """The same for the level of spend, independent of the other."""
        return self._factors(self.spend_sd, size, [seed, 20_063])

    def _factors(self, sd: float, size: int, seed: list[int]) -> np.ndarray:
        if sd <= 0.0:
            return np.ones(size)
        rng = np.random.default_rng(seed)
        # Evenly spread over the distribution, in random order: few draws must not miss its tails.
        uniform = (rng.permutation(size) + rng.random(size)) / size
        found = np.exp(sd * np.clip(special.stdtrit(self.degrees, uniform), -6.0, 6.0))
        return found / found.mean()  # totals stay the sums of customers' expectations

    @property
    def unsure(self) -> bool:
        """Whether totals carry a level's uncertainty."""
        return self.level_sd > 0.0 or self.spend_sd > 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "levels": self.levels.tolist(),
            "level_sd": self.level_sd,
            "degrees": self.degrees,
            "spend_levels": self.spend_levels.tolist(),
            "spend_sd": self.spend_sd,
            "knots": self.knots.tolist(),
            "warped": self.warped.tolist(),
            "facts": self.facts,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """Inverse of :meth:`to_dict`."""
        return cls(
            # The first version had one level for all time.
            np.array(data["levels"] if "levels" in data else [data["level"]], dtype=float),
            float(data["level_sd"]),
            float(data["degrees"]),
            np.array(data.get("spend_levels", [1.0]), dtype=float),
            float(data.get("spend_sd", 0.0)),
            np.array(data["knots"], dtype=float),
            np.array(data["warped"], dtype=float),
            dict(data["facts"]),
        )


NONE = Calibration()
