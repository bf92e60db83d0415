"""RFM groups: recency, frequency and money in five classes each, with cut-offs that are frozen at a fit.

The groups have the names that Shopify uses. The rule is ours:

| recency | frequency + money | group |
|---|---|---|
| 4 or 5 | 9 or 10 | champions |
| 3 to 5 | 7 or more | loyal |
| 4 or 5 | 6 or less, two or more purchases | active |
| 5 | one purchase | new |
| 4 | one purchase | promising |
| 3 | 6 or less | needs attention |
| 2 | 5 or more | at risk |
| 2 | 4 or less | almost lost |
| 1 | 7 or more | previously loyal |
| 1 | 6 or less | dormant |

The first line that fits counts. Prospects, who have no order, are in no order log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from forecast.history.cutoffs import cut_points

RULE: tuple[tuple[str, str, str], ...] = (
    ("4 or 5", "9 or 10", "champions"),
    ("3 to 5", "7 or more", "loyal"),
    ("4 or 5", "6 or less, two or more purchases", "active"),
    ("5", "one purchase", "new"),
    ("4", "one purchase", "promising"),
    ("3", "6 or less", "needs attention"),
    ("2", "5 or more", "at risk"),
    ("2", "4 or less", "almost lost"),
    ("1", "7 or more", "previously loyal"),
    ("1", "6 or less", "dormant"),
)
GROUPS = tuple(name for _, _, name in RULE)
PURCHASES = (6, 4, 3, 2)  # from so many purchases on a customer has frequency 5, 4, 3, 2
_SHARES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class RfmCutOffs:
    """Where classes begin: published, frozen, reusable on next quarter's customers.

    Attributes
    ----------
    days : tuple of float
        At most so many days since the last purchase give recency 5, 4, 3, 2: fifths of the customers.
    value : tuple of float, optional
        At least so much historical value gives money 5, 4, 3, 2: fifths of the customers. None for orders
        without money: frequency then counts twice.
    purchases : tuple of int
        At least so many purchases give frequency 5, 4, 3, 2. These are fixed: where most customers have
        bought once, fifths would part nothing.
    """

    days: tuple[float, ...]
    value: tuple[float, ...] | None = None
    purchases: tuple[int, ...] = PURCHASES

    @classmethod
    def of(cls, days: np.ndarray, value: np.ndarray | None = None) -> RfmCutOffs:
        """Fifths of customers by days since the last purchase and by historical value.

        Examples
        --------
        >>> RfmCutOffs.of(np.arange(10.0), np.arange(10.0) * 10.0)
        RfmCutOffs(days=(1.5, 3.5, 5.5, 7.5), value=(75.0, 55.0, 35.0, 15.0), purchases=(6, 4, 3, 2))
        """
        recent = tuple(-cut for cut in cut_points(-np.asarray(days, dtype=float), _SHARES))
        return cls(recent, None if value is None else tuple(cut_points(value, _SHARES)))

    def classes(self, histories: pd.DataFrame) -> dict[str, np.ndarray]:
        """Class 1 to 5 of each customer in ``recency, frequency`` and, with money, ``money``.

        Parameters
        ----------
        histories : pandas.DataFrame
            ``frequency, recency, T`` and ``historical_value``, as :func:`forecast.purchase_histories` gives.
        """
        silent = (histories["T"] - histories["recency"]).to_numpy(dtype=float)
        found = {
            "recency": _class(-silent, [-cut for cut in self.days]),
            "frequency": _class(histories["frequency"].to_numpy() + 1.0, self.purchases),
        }
        if self.value is not None:
            found["money"] = _class(histories["historical_value"].to_numpy(dtype=float), self.value)
        return found

    def groups(self, histories: pd.DataFrame) -> pd.DataFrame:
        """The group of each customer.

        Parameters
        ----------
        histories : pandas.DataFrame
            As for :meth:`classes`.

        Returns
        -------
        pandas.DataFrame
            On the index of ``histories``: ``rfm``, the classes as text (``545``; ``54`` without money), and
            ``rfm_group``, by the rule at the head of this file.

        Examples
        --------
        >>> cut_offs = RfmCutOffs(days=(30.0, 60.0, 90.0, 180.0), value=(500.0, 200.0, 100.0, 50.0))
        >>> shop = pd.DataFrame({"frequency": [8, 0, 3], "recency": [400, 0, 200], "T": [410, 20, 500],
        ...                      "historical_value": [900.0, 40.0, 300.0]})
        >>> cut_offs.groups(shop)
           rfm         rfm_group
        0  555         champions
        1  511               new
        2  144  previously loyal
        """
        found = list(self.classes(histories).values())
        cells = list(product(range(1, 6), repeat=len(found)))  # few: each has one text and one group
        place = np.zeros(len(histories), np.int64)
        for column in found:
            place = 5 * place + column - 1
        texts = ["".join(map(str, cell)) for cell in cells]
        groups = [group_of(*cell) for cell in cells]
        return pd.DataFrame(
            {"rfm": words(texts, place), "rfm_group": words(groups, place)}, index=histories.index
        )

    def table(self) -> pd.DataFrame:
        """The cut-offs to read.

        Returns
        -------
        pandas.DataFrame
            ``score, days_up_to, purchases_from`` and, with money, ``value_from``, from 5 down; 1 is the rest.

        Examples
        --------
        >>> RfmCutOffs(days=(30.0, 60.0, 90.0, 180.0)).table()
           score  days_up_to  purchases_from
        0      5        30.0               6
        1      4        60.0               4
        2      3        90.0               3
        3      2       180.0               2
        """
        columns: dict[str, Any] = {"score": [5, 4, 3, 2], "days_up_to": self.days}
        columns["purchases_from"] = self.purchases
        if self.value is not None:
            columns["value_from"] = self.value
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "days": list(self.days),
            "value": None if self.value is None else list(self.value),
            "purchases": list(self.purchases),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RfmCutOffs:
        """Inverse of :meth:`to_dict`."""
        value = data["value"]
        return cls(
            tuple(float(v) for v in data["days"]),
            None if value is None else tuple(float(v) for v in value),
            tuple(int(v) for v in data["purchases"]),
        )


def group_of(recency: int, frequency: int, money: int | None = None) -> str:
    """The group of a customer by class, 1 to 5: the rule at the head of this file.

    Examples
    --------
    >>> group_of(5, 1, 5), group_of(2, 4, 4), group_of(1, 1)
    ('new', 'at risk', 'dormant')
    """
    rest = frequency + (frequency if money is None else money)
    if recency >= 3 and rest >= 7:
        return "champions" if recency >= 4 and rest >= 9 else "loyal"
    if recency >= 4:
        return "active" if frequency >= 2 else "new" if recency == 5 else "promising"
    if recency == 3:
        return "needs attention"
    if recency == 2:
        return "at risk" if rest >= 5 else "almost lost"
    return "previously loyal" if rest >= 7 else "dormant"


def words(names: Sequence[str], code: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """One of few texts a row, by place; blank where the place is -1.

    Examples
    --------
    >>> list(words(["a", "b"], np.array([1, 0, -1])))
    ['b', 'a', nan]
    """
    return pd.array(list(names), dtype="str").take(code, allow_fill=True)


def _class(values: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """5 from the first cut on, 4 from the second, ... 1 for the rest."""
    return 1 + np.sum([values >= cut for cut in cuts], axis=0)
