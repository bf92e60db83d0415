"""Value tiers: cut-offs of the value of the next 365 days, frozen when a model is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.history.cutoffs import cut_points
from forecast.history.rfm import RfmCutOffs, words

TIERS = ("platinum", "gold", "silver", "bronze", "medium", "low")
SHARES = (0.01, 0.05, 0.10, 0.25, 0.50)  # of the customers fitted on, from the top; low is the rest
DAYS = 365


@dataclass(frozen=True)
class TierCutOffs:
    """From which value of the next 365 days on a customer is in each tier.

    Attributes
    ----------
    from_value : tuple of float
        Of each tier but the last: expected value at margin 1 without discount, or expected purchases for
        orders without money. Infinite where the shop was too small for anybody to be in the tier.
    share_at_fit : tuple of float
        Share of the customers fitted on that was in each of :data:`TIERS`.
    """

    from_value: tuple[float, ...]
    share_at_fit: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> TierCutOffs:
        """Cut-offs at the best 1, 5, 10, 25 and 50 % of the customers; equal values stay together.

        Examples
        --------
        >>> found = TierCutOffs.of(np.arange(1000.0))
        >>> found.from_value, found.share_at_fit
        ((989.5, 949.5, 899.5, 749.5, 499.5), (0.01, 0.04, 0.05, 0.15, 0.25, 0.5))
        """
        plain = cls(tuple(cut_points(values, SHARES)), ())
        counts = np.bincount(plain.places(values), minlength=len(TIERS))
        return cls(plain.from_value, tuple((counts / len(values)).tolist()))

    def places(self, values: np.ndarray) -> np.ndarray:
        """Which of :data:`TIERS` each value is in, 0 the best.

        Examples
        --------
        >>> TierCutOffs((90.0, 70.0, 50.0, 30.0, 10.0), ()).places(np.array([5.0, 70.0, 1000.0])).tolist()
        [5, 1, 0]
        """
        above = np.sum([values >= cut for cut in self.from_value], axis=0)
        return np.asarray(len(TIERS) - 1 - above)

    def tiers(self, values: np.ndarray) -> Any:
        """The tier of each value, as text."""
        return words(TIERS, self.places(values))

    def table(self) -> pd.DataFrame:
        """The cut-offs to read.

        Returns
        -------
        pandas.DataFrame
            ``tier, from_value, share_at_fit``, the best first.

        Examples
        --------
        >>> TierCutOffs.of(np.arange(1000.0)).table().head(2)
               tier  from_value  share_at_fit
        0  platinum       989.5          0.01
        1      gold       949.5          0.04
        """
        return pd.DataFrame(
            {"tier": TIERS, "from_value": [*self.from_value, 0.0], "share_at_fit": self.share_at_fit}
        )


@dataclass(frozen=True)
class CutOffs:
    """What a model keeps of the customers it was fitted on, so that lists mean the same next quarter.

    Attributes
    ----------
    tiers : TierCutOffs
    rfm : RfmCutOffs
    """

    tiers: TierCutOffs
    rfm: RfmCutOffs

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "tiers": {
                "from_value": list(self.tiers.from_value),
                "share_at_fit": list(self.tiers.share_at_fit),
            },
            "rfm": self.rfm.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CutOffs:
        """Inverse of :meth:`to_dict`."""
        from_value, shares = (tuple(map(float, data["tiers"][k])) for k in ("from_value", "share_at_fit"))
        return cls(TierCutOffs(from_value, shares), RfmCutOffs.from_dict(data["rfm"]))
