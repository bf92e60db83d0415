"""What a live customer of the (M)BG/CNBD-k family does next: expectation, tail and chances of counts.

Every ``k``-th event of a Poisson process with rate ``lambda`` is a purchase, and after each purchase the
customer may leave. Given that a customer is still one, ``z = (T - t_x) / (alpha + T)`` says how many events
``j < k`` have probably passed since the last purchase: their weights are ``w_j`` proportional to
``(shape)_j / j! z^j``, and with ``j`` events ``lambda ~ Gamma(shape + j, alpha)``. All quantities are for
such a customer in ``(0, h]``, and all are sums of positive terms.

References
----------
Platzer & Reutterer (2016), Marketing Science 35(5); Reutterer, Platzer & Schröder (2021), International
Journal of Research in Marketing 38(1). The arrangement is ours; theirs approximates the expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from forecast.maths.bgprocess import times
from forecast.maths.compiling import njit

_TAIL = 1e-13


@njit(cache=True, nogil=True)
def _weights(shape: float, z: float, k: int) -> np.ndarray:
    weight = np.ones(k)
    for j in range(1, k):
        weight[j] = weight[j - 1] * (shape + j - 1.0) / j * z
    return weight / weight.sum()


@njit(cache=True, nogil=True)
def _size(shape: float, alpha: float, k: int, h: float, limit: int) -> int:
    """Purchases beyond which the chance of more is below the least that counts."""
    last = shape + k - 1.0
    z = h / (alpha + h)
    log_z = math.log(z)
    log_p = last * math.log1p(-z)
    events = 0
    while events < limit * k:
        ratio = (last + events) / (events + 1.0) * z
        if ratio < 1.0 and log_p + math.log(ratio / (1.0 - ratio)) < math.log(_TAIL):
            break
        log_p += math.log((last + events) / (events + 1.0)) + log_z
        events += 1
    return (events + k - 1) // k + 2


@njit(cache=True, nogil=True)
def _fill(
    shape: float, alpha: float, a: float, b: float, z: float, k: int, h: float, limit: int, out: np.ndarray
) -> None:
    """Tails P(N >= n) of one customer, n = 0, 1, ... to the end of ``out``."""
    out[:] = 0.0
    weight = _weights(shape, z, k)
    share = h / (alpha + h)
    log_share = math.log(share)
    for j in range(k):
        log_p = (shape + j) * math.log1p(-share)
        for events in range(out.size * k - j):
            out[(events + j) // k] += weight[j] * math.exp(log_p)
            log_p += math.log((shape + j + events) / (events + 1.0)) + log_share
    if out.size > limit:  # cut off: what is missing lies beyond
        out[-1] += max(0.0, 1.0 - out.sum())
    for n in range(out.size - 2, -1, -1):  # tails are summed from the far end: no subtraction
        out[n] += out[n + 1]
    out[0] = 1.0
    stay = 1.0
    for n in range(2, out.size):
        stay *= (b + n - 2.0) / (a + b + n - 2.0)
        out[n] *= stay


@njit(cache=True, nogil=True)
def _sizes(shape: np.ndarray, alpha: np.ndarray, k: int, h: float, limit: int) -> np.ndarray:
    found = np.empty(shape.size, np.int64)
    for i in range(shape.size):
        found[i] = _size(shape[i], alpha[i], k, h, limit)
    return found


@njit(cache=True, nogil=True)
def _fill_all(
    shape: np.ndarray, alpha: np.ndarray, a: np.ndarray, b: np.ndarray, z: np.ndarray, k: int, h: float,
    limit: int, offsets: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    for i in range(shape.size):
        _fill(shape[i], alpha[i], a[i], b[i], z[i], k, h, limit, out[offsets[i] : offsets[i + 1]])


@njit(cache=True, nogil=True)
def _sums(
    shape: np.ndarray, alpha: np.ndarray, a: np.ndarray, b: np.ndarray, z: np.ndarray, k: int, h: float,
    limit: int,
) -> np.ndarray:  # fmt: skip
    found = np.empty(shape.size)
    for i in range(shape.size):
        tail = np.empty(_size(shape[i], alpha[i], k, h, limit))
        _fill(shape[i], alpha[i], a[i], b[i], z[i], k, h, limit, tail)
        total = 0.0
        for n in range(tail.size - 1, 0, -1):
            total += tail[n]
        found[i] = total
    return found


def _columns(*values: Any) -> tuple[list[np.ndarray], tuple[int, ...]]:
    spread = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in values))
    return [np.array(v).ravel() for v in spread], spread[0].shape


@dataclass(frozen=True)
class Process:
    """The process of customers of whose events every ``k``-th is a purchase.

    Its parameters are ``(shape, alpha, a, b, z)``, each a number or an array over customers: the rate of
    events is ``Gamma(shape, alpha)`` but for the events since the last purchase, the chance to leave is
    ``Beta(a, b)``, and ``z`` is the silence over ``alpha + T``.

    Attributes
    ----------
    k : int

    Examples
    --------
    >>> Process(1) == Process(1)
    True
    """

    k: int

    @cached_property
    def _events(self) -> np.ndarray:
        return np.arange(self.k, dtype=float)

    def expectation(
        self, shape: Any, alpha: Any, a: Any, b: Any, z: Any, h: float, limit: int = 100_000
    ) -> np.ndarray:
        """Expected purchases of live customers in ``(0, h]``: the sum of the tails P(N >= n).

        Parameters
        ----------
        shape, alpha, a, b, z : array_like, shape (n,)
        h : float
            Length of the horizon, in the unit of ``alpha``.
        limit : int
            Longest tail; the chance of more is put at its end.

        Returns
        -------
        ndarray, shape (n,)

        Examples
        --------
        >>> round(float(Process(2).expectation(1.33, 2.81, 0.42, 1.79, 0.0, 52.0)[()]), 6)
        6.341772
        """
        columns, form = _columns(shape, alpha, a, b, z)
        return _sums(*columns, self.k, float(h), limit).reshape(form)

    def tail_table(
        self, shape: Any, alpha: Any, a: Any, b: Any, z: Any, h: float, limit: int = 100_000
    ) -> tuple:
        """Tails P(N >= n), n = 0, 1, ..., of many live customers, one after another in a flat array.

        Parameters
        ----------
        shape, alpha, a, b, z : array_like, shape (m,)
        h : float
        limit : int
            Longest tail; the chance of more is put at its end.

        Returns
        -------
        offsets : ndarray of int, shape (m + 1,)
            Tail ``i`` is ``values[offsets[i]:offsets[i + 1]]``; beyond it the chance is below 1e-13.
        values : ndarray

        Examples
        --------
        >>> offsets, values = Process(2).tail_table([1.0], [1.0], 1.0, [1e9], 0.0, 1.0)
        >>> values[:4].round(4).tolist()  # two events each: 1/4, 1/16, ...
        [1.0, 0.25, 0.0625, 0.0156]
        """
        columns, _ = _columns(*np.atleast_1d(shape, alpha, a, b, z))
        sizes = _sizes(columns[0], columns[1], self.k, float(h), limit)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        values = np.empty(int(offsets[-1]))
        _fill_all(*columns, self.k, float(h), limit, offsets, values)
        return offsets, values

    def some(self, shape: Any, alpha: Any, a: Any, b: Any, z: Any, h: Any) -> np.ndarray:
        """P(at least one purchase in ``(0, h]``), elementwise: nobody leaves before the first.

        Nothing is bought while fewer than ``k`` events have passed since the last purchase.

        Examples
        --------
        >>> float(Process(2).some(1.0, 1.0, 1.0, 1e9, 0.0, 1.0))
        0.25
        """
        share = h / (np.asarray(alpha) + h)
        weight, all_weight, silent = 1.0, 0.0, 0.0
        for j in range(self.k):
            term, reached = 1.0, 0.0
            for events in range(self.k - j):
                reached = reached + term
                term = term * ((shape + (j + events)) / (events + 1.0)) * share
            silent = silent + weight * (1.0 - share) ** j * reached
            all_weight = all_weight + weight
            weight = weight * ((shape + j) / (j + 1.0)) * z
        return 1.0 - np.exp(shape * np.log1p(-share)) * silent / all_weight

    due = some  # the same for customers who do not leave in the meantime

    def pmf(self, shape: Any, alpha: Any, a: Any, b: Any, z: Any, h: Any, n: Any) -> np.ndarray:
        """P(exactly ``n`` purchases in ``(0, h]``), elementwise, by addition only.

        The customer stays through ``n`` purchases and is between two of them at ``h``, or leaves at the
        ``n``-th.

        Examples
        --------
        >>> Process(2).pmf(1.0, 1.0, 1.0, 1e9, 0.0, 1.0, np.arange(3)).round(4).tolist()
        [0.75, 0.1875, 0.0469]
        """
        k = self.k
        shape, alpha, a, b, z, h, n = np.broadcast_arrays(
            *(np.asarray(v, dtype=float) for v in (shape, alpha, a, b, z, h, n))
        )
        share = h / (alpha + h)
        m = np.maximum(n, 1.0)
        weight = np.ones(shape.shape)
        all_weight = np.zeros(shape.shape)
        between, reached = np.zeros(shape.shape), np.zeros(shape.shape)
        for j in range(k):
            own = shape + j
            for events in range(k):
                count = n * k + events - j  # below zero where more events have passed already
                log_mass = (
                    special.gammaln(own + np.maximum(count, 0.0))
                    - special.gammaln(own)
                    - special.gammaln(np.maximum(count, 0.0) + 1.0)
                    + own * np.log1p(-share)
                    + count * np.log(share)
                )
                between += np.where(count >= 0.0, weight * np.exp(np.minimum(log_mass, 0.0)), 0.0)
            reached += weight * special.betainc(m * k - j, own, share)
            all_weight += weight
            weight = weight * own / (j + 1.0) * z
        stay = np.exp(special.betaln(a, b + n) - special.betaln(a, b))
        leave = np.exp(special.betaln(a + 1.0, b + m - 1.0) - special.betaln(a, b))
        return (stay * between + np.where(n > 0.0, leave * reached, 0.0)) / all_weight

    def future(
        self, rng: np.random.Generator, shape: Any, alpha: Any, a: Any, b: Any, z: Any, h: Any
    ) -> tuple:
        """Simulate every purchase of live customers in ``(0, h]``: which customer, and when.

        Examples
        --------
        >>> rng, n = np.random.default_rng(0), np.full(4000, 3.0)
        >>> who, when = Process(2).future(rng, n, 5.0, 0.8, 2.5, 0.4, 20.0)
        >>> expected = float(Process(2).expectation(3.0, 5.0, 0.8, 2.5, 0.4, 20.0)[()])
        >>> bool(abs(len(who) / 4000 / expected - 1.0) < 0.05), bool(when.max() <= 20.0)
        (True, True)
        """
        (shape, alpha, a, b, z), _ = _columns(*np.atleast_1d(shape, alpha, a, b, z))
        weight = np.ones((len(shape), self.k))
        for j in range(1, self.k):
            weight[:, j] = weight[:, j - 1] * (shape + j - 1.0) / j * z
        share = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
        passed = (rng.random((len(shape), 1)) > share).sum(axis=1)
        rate, leave = rng.gamma(shape + passed, 1.0 / alpha), rng.beta(a, b)
        nobody = np.zeros(len(shape), np.bool_)
        until = np.ascontiguousarray(np.broadcast_to(np.asarray(h, dtype=float), shape.shape))
        return times(rng, rate, leave, nobody, until, self.k, passed)
