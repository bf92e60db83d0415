"""MBG/NBD and (M)BG/CNBD-k: customers who may leave after the first purchase, and who buy regularly.

``lambda ~ Gamma(r, alpha)`` is the rate of events, of which every ``k``-th is a purchase, so that gaps are
``Gamma(k, lambda)``; the drop-out chance is ``p ~ Beta(a, b)``. BG customers (``m = 0``) may leave after a
repeat purchase, MBG customers (``m = 1``) after the first one too. ``k = 1, m = 0`` is BG/NBD. Times
(``t_x, T, h``) and ``alpha`` share one unit; ``alpha`` is that of events.

The factor ``prod gap^(k-1) / Gamma(k)^x`` of the likelihood does not depend on the parameters and is left
out: :func:`log_gap_constant` gives it. Likelihoods of different ``k`` are comparable only with it.

References
----------
Batislam, Denizel & Filiztekin (2007), IJRM 24(3); Hoppe & Wagner (2007), Marketing JRM 29(2); Reutterer,
Platzer & Schröder (2021), IJRM 38(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from scipy import special

from forecast.maths import bgnbd, bgprocess, nbd
from forecast.maths.cnbdprocess import Process
from forecast.maths.ops import NUMPY, log_beta

MOST_REGULAR = 8


@dataclass(frozen=True)
class Family:
    """One member of the family, with the names that every formula file has.

    Attributes
    ----------
    k : int
        Events a purchase; 1 is a Poisson process, more is more regular.
    m : int
        1 when customers may leave right after the first purchase.
    """

    k: int
    m: int
    PARAMETERS: ClassVar = bgnbd.PARAMETERS
    UNCONSTRAINED: ClassVar = bgnbd.UNCONSTRAINED
    EFFECTS: ClassVar = bgnbd.EFFECTS
    natural = staticmethod(bgnbd.natural)
    unconstrained = staticmethod(bgnbd.unconstrained)

    @property
    def LIVE_BY(self) -> tuple[str, ...]:
        """Which of a customer's numbers the live process depends on."""
        return ("x", "T") if self.k == 1 else ("x", "t_x", "T")

    @property
    def PROCESS(self) -> Any:
        """What a live customer does next."""
        return bgprocess if self.k == 1 else Process(self.k)

    def _silence(self, ops: Any, shape: Any, alpha: Any, t_x: Any, T: Any) -> Any:
        """Log of the sum over events ``j < k`` since the last purchase of ``(shape)_j / j! z^j``."""
        if self.k == 1:
            return 0.0
        z = (T - t_x) / (alpha + T)
        term = total = 1.0
        for j in range(1, self.k):
            term = term * ((shape + (j - 1.0)) * (1.0 / j)) * z
            total = term + total
        return ops.log(total)

    def _odds(self, ops: Any, r: Any, alpha: Any, a: Any, b: Any, x: Any, t_x: Any, T: Any) -> tuple:
        shape = r + self.k * x
        silence = self._silence(ops, shape, alpha, t_x, T)
        left_before = ops.maximum(x + self.m, 1.0) - 1.0  # chances to leave that were not taken
        grown = shape * (ops.log(alpha + T) - ops.log(alpha + t_x))
        return ops.log(a) - ops.log(b + left_before) + grown - silence, silence

    def log_likelihood(
        self, ops: Any, r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any
    ) -> Any:
        """Log-likelihood of one customer's ``(x, t_x, T)`` but for :func:`log_gap_constant`, elementwise.

        Examples
        --------
        >>> args = dict(x=2.0, t_x=30.43, T=38.86)
        >>> round(float(family(1, 0).log_likelihood(NUMPY, 0.243, 4.414, 0.793, 2.426, **args)), 6)
        -9.458606
        >>> round(float(family(2, 1).log_likelihood(NUMPY, 1.33, 2.81, 0.42, 0.79, **args)), 6)
        -14.535398
        """
        odds, silence = self._odds(ops, r, alpha, a, b, x, t_x, T)
        stay = log_beta(ops, a, b + (x + self.m)) - log_beta(ops, a, b)
        left = ops.softplus(odds)
        if self.m == 0:
            left = ops.where(x > 0, left, 0.0)
        return nbd.log_likelihood(ops, r, alpha, x=self.k * x, t_x=t_x, T=T) + silence + stay + left

    def log_odds_left(self, r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any) -> Any:
        """Log of P(left) / P(still a customer) at ``T``; ``p_alive = 1 / (1 + exp(this))``.

        Examples
        --------
        >>> odds = family(1, 1).log_odds_left(0.5, 6.0, 1.0, 3.0, x=0.0, t_x=0.0, T=0.0)
        >>> float(1.0 / (1.0 + np.exp(odds)))  # b / (a + b)
        0.75
        """
        odds, _ = self._odds(NUMPY, r, alpha, a, b, x, t_x, T)
        return odds if self.m else np.where(np.asarray(x) > 0, odds, -np.inf)

    def if_alive(self, r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any) -> tuple[Any, ...]:
        """Parameters of :attr:`PROCESS` for a customer who is still one at ``T``.

        Examples
        --------
        >>> family(2, 1).if_alive(1.0, 3.0, 0.4, 0.8, x=2.0, t_x=3.0, T=5.0)
        (5.0, 8.0, 0.4, 3.8, 0.25)
        """
        live = (r + self.k * x, alpha + T, a, b + (x + self.m))
        return live if self.k == 1 else (*live, (T - t_x) / (alpha + T))

    def typical(self, r: Any, alpha: Any, a: Any, b: Any, scale: float) -> Any:
        """Roughly the purchases of a new customer in ``scale``: what draws disagree about."""
        found = bgnbd.typical(r, alpha * self.k, a, b, scale)
        return found * b / (a + b) if self.m else found

    def start(self, mean: float, variance: float) -> tuple[float, ...]:
        """Where to start the search, time scaled by the mean age."""
        r, alpha, a, b = bgnbd.start(mean, variance)
        return r, alpha / self.k, a, b

    def simulate(
        self, rng: np.random.Generator, T: Any, h: float, r: Any, alpha: Any, a: Any, b: Any
    ) -> tuple[np.ndarray, ...]:
        """Draw new customers of ages ``T`` and what they buy in ``(T, T + h]``.

        Returns
        -------
        x, t_x, alive, future : ndarrays, shape (n,)

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x, t_x, alive, future = family(2, 1).simulate(rng, np.full(9, 99.0), 9.0, 1.0, 3.0, 0.4, 0.8)
        >>> bool((t_x <= 99.0).all())
        True
        """
        T = np.ascontiguousarray(T, dtype=float)
        return bgprocess.walk(rng, *self._newcomers(rng, T.size, r, alpha, a, b), T, float(h), self.k)

    def times(
        self, rng: np.random.Generator, T: Any, r: Any, alpha: Any, a: Any, b: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every repeat purchase of new customers until their ages ``T``: which customer, and when."""
        T = np.ascontiguousarray(T, dtype=float)
        return bgprocess.times(rng, *self._newcomers(rng, T.size, r, alpha, a, b), T, self.k)

    def _newcomers(
        self, rng: np.random.Generator, size: int, r: Any, alpha: Any, a: Any, b: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rate, leave = rng.gamma(r, 1.0 / np.asarray(alpha), size), rng.beta(a, b, size)
        return rate, leave, rng.random(size) < leave if self.m else np.zeros(size, dtype=bool)


@cache
def family(k: int, m: int) -> Family:
    """The formulas of one member: ``family(1, 0)`` is BG/NBD, ``family(2, 1)`` MBG/CNBD-2.

    Raises
    ------
    ValueError
        When ``k`` is not from 1 to 8, or ``m`` neither 0 nor 1.

    Examples
    --------
    >>> family(2, 1).PARAMETERS
    ('r', 'alpha', 'a', 'b')
    """
    if not 1 <= k <= MOST_REGULAR or m not in (0, 1):
        raise ValueError(f"k = {k} and m = {m}: k goes from 1 to {MOST_REGULAR}, m is 0 or 1")
    return Family(k, m)


def log_gap_constant(k: int, x: Any, sum_log_gaps: Any) -> Any:
    """What the log-likelihood leaves out: ``(k - 1) sum(log gaps) - x log Gamma(k)``.

    Parameters
    ----------
    k : int
    x : array_like
        Repeat purchases.
    sum_log_gaps : array_like
        Sum of the logarithms of the times between purchases.

    Examples
    --------
    >>> round(float(log_gap_constant(3, 2.0, 1.5)), 6)
    1.613706
    """
    return (k - 1.0) * np.asarray(sum_log_gaps) - np.asarray(x) * special.gammaln(k)
