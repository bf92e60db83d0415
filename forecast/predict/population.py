"""Who is forecast and with what: customers as arrays, and the pair of fitted models they meet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.fitting import Fitted
from forecast.fitting.clock import Clock
from forecast.predict.calibration import NONE, Calibration
from forecast.predict.tables import Pairs, gathered
from forecast.predict.tiers import CutOffs
from forecast.summary.statistics import distinct_traits

BLOCK = 131_072
MANY_CELLS = 4_096
_NUMBERS = ("frequency", "recency", "T")
SPEND_BASES = ("mean", "repeat", "all")  # the simplest first


@dataclass(frozen=True)
class ClvModel:
    """A purchase model and, where orders carry money, a spend model.

    Attributes
    ----------
    purchases : Fitted
    spend : Fitted or None
    paid_share : float
        Share of repeat purchases with a value above 0. Free ones count as purchases but bring no
        value, so the number of purchases is thinned before it meets spend.
    clock : Clock, optional
        The seasonal clock on which the purchase model was fitted.
    calibration : Calibration
        What earlier forecasts taught: the level of the future, how unsure it is, the shape of
        customers' distributions.
    cut_offs : CutOffs, optional
        Of tiers and RFM groups, from the customers fitted on; models of earlier versions have none.
    """

    purchases: Fitted
    spend: Fitted | None = None
    paid_share: float = 1.0
    clock: Clock | None = None
    calibration: Calibration = NONE
    cut_offs: CutOffs | None = None

    def ahead(self, as_of: dt.date | None) -> Callable[[float], float]:
        """From days after ``as_of`` to the purchase model's own time, the level included.

        Raises
        ------
        InputError
            When the model has a clock and the customers come without days.
        """
        return self.calibration.over(self._clock(as_of))

    def days_ahead(self, as_of: dt.date | None, days: int) -> np.ndarray:
        """The purchase model's own time by the end of each day after ``as_of``, from 0 to ``days``.

        Raises
        ------
        InputError
            When the model has a clock and the customers come without days.

        Examples
        --------
        >>> from forecast.fitting import purchase_model
        >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=1.0), "given")
        >>> ClvModel(nbd).days_ahead(None, 3).tolist()
        [0.0, 1.0, 2.0, 3.0]
        """
        return self.calibration.each_day(self._clock(as_of), days)

    def _clock(self, as_of: dt.date | None) -> Callable[[np.ndarray], np.ndarray]:
        if self.clock is None:
            return lambda days: days
        if as_of is None:
            raise InputError(
                "the model has a seasonal clock, and the histories come without days",
                advice="Give first_purchase and last_purchase, as purchase_histories does.",
            )
        clock, begin = self.clock, as_of
        return lambda days: clock.ahead(begin, days)

    @property
    def frozen(self) -> CutOffs:
        """The cut-offs, which an older model lacks.

        Raises
        ------
        ArgumentError
            When an older version fitted the model.
        """
        if self.cut_offs is None:
            raise ArgumentError(
                "the model has no cut-offs: an older version fitted it", advice="Fit it again."
            )
        return self.cut_offs

    @property
    def spend_from(self) -> str:
        """Which purchases tell of a customer's spend: ``repeat``, ``all`` or, with ``mean``, none."""
        return "repeat" if self.spend is None else str(self.spend.extra.get("from", "repeat"))

    @property
    def traits(self) -> tuple[str, ...]:
        """Columns that customers need beside their histories."""
        own = () if self.spend is None else self.spend.traits
        return tuple(dict.fromkeys((*self.purchases.traits, *own)))


def spend_history(histories: pd.DataFrame, basis: str = "repeat") -> tuple[np.ndarray, np.ndarray]:
    """Number and mean of the valued purchases that tell of each customer's spend.

    Parameters
    ----------
    histories : pandas.DataFrame
        ``monetary_count, monetary_value``, and ``first_value`` for ``all``.
    basis : {'repeat', 'all', 'mean'}
        Repeat purchases; these and the first; none.

    Raises
    ------
    InputError
        When ``first_value`` is needed and missing.

    Examples
    --------
    >>> shop = pd.DataFrame({"monetary_count": [2, 0], "monetary_value": [25.0, np.nan],
    ...                      "first_value": [10.0, 5.0]})
    >>> [v.tolist() for v in spend_history(shop, "all")]
    [[3.0, 1.0], [20.0, 5.0]]
    """
    n, m = (histories[name].to_numpy(dtype=float) for name in ("monetary_count", "monetary_value"))
    if basis == "repeat":
        return n, m
    if basis == "mean":
        return np.zeros_like(n), np.full_like(m, np.nan)
    if "first_value" not in histories:
        raise InputError(
            "the model learned spend from first purchases too and needs the column first_value",
            advice="Give histories as purchase_histories makes them.",
        )
    first = np.maximum(np.nan_to_num(histories["first_value"].to_numpy(dtype=float)), 0.0)
    total = np.where(n > 0, n * np.nan_to_num(m), 0.0) + first
    count = n + (first > 0)
    return count, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@dataclass(frozen=True)
class Customers:
    """Checked purchase histories as arrays of shape (customers,), in the model's unit of time.

    Attributes
    ----------
    x, t_x, T : ndarray
        Repeat purchases, recency, age.
    n, m : ndarray, optional
        Number and mean of the purchases that tell of spend; ``m`` is ignored where ``n`` is 0.
    cell : ndarray of int, optional
        Which traits each has, for a model with effects.
    purchase_matrix, spend_matrix : ndarray, shape (cells, K), optional
        The traits as each of the two models encodes them.
    as_of : datetime.date, optional
        Needed by a model with a clock.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    n: np.ndarray | None = None
    m: np.ndarray | None = None
    cell: np.ndarray | None = None
    purchase_matrix: np.ndarray | None = None
    spend_matrix: np.ndarray | None = None
    as_of: dt.date | None = None

    @classmethod
    def from_frame(cls, histories: pd.DataFrame, model: ClvModel | None = None) -> Customers:
        """From a frame with ``frequency, recency, T, monetary_count, monetary_value`` and traits.

        Raises
        ------
        InputError
            When ``first_value`` or a trait that the model needs is missing or cannot be encoded.
        """
        x, t_x, T = (histories[name].to_numpy(dtype=float) for name in _NUMBERS)
        n, m = spend_history(histories, "repeat" if model is None else model.spend_from)
        found = cls(x, t_x, T, n, m)
        if model is None:
            return found
        return found.on_clock(histories, model).with_traits(histories, model)

    def on_clock(self, frame: pd.DataFrame, model: ClvModel) -> Customers:
        """The same with recency and age on the model's clock; themselves where it has none.

        Raises
        ------
        InputError
            When days are missing, or differ in what they say of ``as_of``.
        """
        if model.clock is None or not len(frame):
            return self
        missing = [name for name in ("first_purchase", "last_purchase") if name not in frame]
        if missing:
            raise InputError(
                f"the model has a seasonal clock and needs the column{'s' if len(missing) > 1 else ''} "
                f"{', '.join(missing)}",
                advice="Give histories with their days, as purchase_histories makes them.",
            )
        first, last = (
            frame[name].to_numpy().astype("datetime64[D]") for name in ("first_purchase", "last_purchase")
        )
        ends = first + self.T.astype("timedelta64[D]")
        if (ends != ends[0]).any():
            raise InputError(
                "the histories do not end on one day",
                advice="Make all of them with the same as_of.",
            )
        as_of = ends[0].astype(object)
        age = model.clock.since(first, as_of)
        return replace(self, t_x=age - model.clock.since(last, as_of), T=age, as_of=as_of)

    def with_traits(self, frame: pd.DataFrame, model: ClvModel) -> Customers:
        """The same with the traits that the model needs; themselves where it needs none."""
        if not model.traits:
            return self
        missing = [name for name in model.traits if name not in frame]
        if missing:
            raise InputError(
                f"the model needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                advice="Give the traits that the model was fitted with.",
            )
        cell, cells = distinct_traits(frame, model.traits)
        sizes = np.bincount(cell, minlength=len(cells))
        matrices = [
            None if part is None or part.effects is None else part.effects.design.matrix(cells, sizes)
            for part in (model.purchases, model.spend)
        ]
        return replace(self, cell=cell, purchase_matrix=matrices[0], spend_matrix=matrices[1])

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, rows: slice | np.ndarray) -> Customers:
        """Some of them."""
        found = replace(
            self,
            x=self.x[rows],
            t_x=self.t_x[rows],
            T=self.T[rows],
            n=_taken(self.n, rows),
            m=_taken(self.m, rows),
        )
        if self.cell is None:
            return found
        used, cell = np.unique(self.cell[rows], return_inverse=True)
        return replace(
            found,
            cell=cell,
            purchase_matrix=_taken(self.purchase_matrix, used),
            spend_matrix=_taken(self.spend_matrix, used),
        )

    @property
    def block(self) -> int:
        """How many to take at once: fewer where each may have parameters of its own."""
        return BLOCK if self.cell is None or int(self.cell.max(initial=0)) < MANY_CELLS else BLOCK // 8

    def pairs(self, fitted: Fitted) -> Pairs:
        """Their distinct histories, as far as live customers of the model differ by them."""
        return Pairs.of(fitted, self.x, self.t_x, self.T, self.cell)

    def spend(self) -> tuple[np.ndarray, np.ndarray] | None:
        """``(n, n m)``, or None where orders carry no money."""
        if self.n is None or self.m is None:
            return None
        return self.n, np.where(self.n > 0, self.n * np.nan_to_num(self.m), 0.0)


def _taken(values: np.ndarray | None, rows: slice | np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def log_p_alive(fitted: Fitted, draw: tuple[Any, ...], customers: Customers) -> np.ndarray:
    """Log of the chance to be a customer still, shape (customers,)."""
    own = gathered(draw, customers.cell)
    odds = fitted.spec.formulas.log_odds_left(*own, x=customers.x, t_x=customers.t_x, T=customers.T)
    return -np.logaddexp(0.0, odds)
