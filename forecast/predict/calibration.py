"""What earlier forecasts teach the next: a level, how unsure it is, and the shape of distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Calibration:
    """Corrections learned at earlier origins and applied to the future only.

    Attributes
    ----------
    level : float
        Multiplies the time ahead, so that chances, sums and intervals stay one mechanism.
    level_sd : float
        Standard deviation of the logarithm of what remains unknown of the level; totals carry it.
    degrees : float
        Of freedom of its Student distribution.
    knots, warped : ndarray, shape (k,)
        The map from a customer's predicted to the calibrated cumulative probability, from 0 to 1. It
        changes the shape of distributions and never a mean.
    facts : dict
        From how many origins, and which.
    """

    level: float = 1.0
    level_sd: float = 0.0
    degrees: float = 30.0
    knots: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0]))
    warped: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0]))
    facts: dict[str, Any] = field(default_factory=dict)

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

    def draw_levels(self, size: int, seed: int) -> np.ndarray:
        """Factors with mean 1 for joint draws of totals; all 1 where the level is sure."""
        if self.level_sd <= 0.0:
            return np.ones(size)
        rng = np.random.default_rng([seed, 20_051])
        # Evenly spread over the distribution, in random order: few draws must not miss its tails.
        uniform = (rng.permutation(size) + rng.random(size)) / size
        found = np.exp(self.level_sd * np.clip(special.stdtrit(self.degrees, uniform), -6.0, 6.0))
        return found / found.mean()  # totals stay the sums of customers' expectations

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "level": self.level,
            "level_sd": self.level_sd,
            "degrees": self.degrees,
            "knots": self.knots.tolist(),
            "warped": self.warped.tolist(),
            "facts": self.facts,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """Inverse of :meth:`to_dict`."""
        return cls(
            float(data["level"]),
            float(data["level_sd"]),
            float(data["degrees"]),
            np.array(data["knots"], dtype=float),
            np.array(data["warped"], dtype=float),
            dict(data["facts"]),
        )


NONE = Calibration()
