"""What every metric checks first: numbers, of one length, none missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.errors import ArgumentError, InputError


def checked(*, ndim: int = 1, finite: bool = True, **arrays: Any) -> list[np.ndarray]:
    """Arrays of float of one shape, not empty, without NaN.

    Parameters
    ----------
    ndim : int, default 1
        Number of dimensions.
    finite : bool, default True
        Whether infinities are refused as well.
    **arrays : array_like
        Values by the name an error gives them.

    Raises
    ------
    InputError
        When an array is empty, holds NaN, infinities or text, or the shapes differ.

    Examples
    --------
    >>> checked(actual=[1, 2], forecast=[1.5, 2.5])
    [array([1., 2.]), array([1.5, 2.5])]
    """
    out: list[np.ndarray] = []
    for name, values in arrays.items():
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(
                "values are not numbers", where=name, advice="Give an array of numbers."
            ) from None
        if array.ndim != ndim:
            raise InputError(
                f"{array.ndim} dimensions instead of {ndim}", where=name, advice="Reshape the array."
            )
        if array.size == 0:
            raise InputError("no values", where=name, advice="A metric needs at least one customer.")
        missing = np.isnan(array)
        if missing.any():
            row = int(np.argwhere(missing)[0][0])
            raise InputError(
                "values are missing",
                where=name,
                count=int(missing.sum()),
                examples=[f"row {row}"],
                advice="A metric never drops rows; mend the forecast.",
            )
        if finite and not np.isfinite(array).all():
            raise InputError(
                "values are infinite",
                where=name,
                count=int(np.isinf(array).sum()),
                examples=[f"row {int(np.argwhere(np.isinf(array))[0][0])}"],
                advice="Mend the forecast.",
            )
        if out and array.shape != out[0].shape:
            first = next(iter(arrays))
            raise InputError(
                f"{array.shape} values beside {out[0].shape} of {first}",
                where=name,
                advice="Give one row per customer, in one order.",
            )
        out.append(array)
    return out


def checked_probabilities(**arrays: Any) -> list[np.ndarray]:
    """`checked`, and within 0 to 1 (rounding of 1e-9 is taken off).

    Raises
    ------
    InputError
        As `checked`, and when a value is outside 0 to 1.

    Examples
    --------
    >>> checked_probabilities(p=[0.0, 1.0 + 1e-12])
    [array([0., 1.])]
    """
    return [within_unit(array, name) for name, array in zip(arrays, checked(**arrays), strict=True)]


def within_unit(array: np.ndarray, name: str) -> np.ndarray:
    """Probabilities without rounding beyond 0 and 1.

    Raises
    ------
    InputError
        When a value is outside 0 to 1 by more than 1e-9.

    Examples
    --------
    >>> within_unit(np.array([0.5, 1.0 + 1e-12]), "p")
    array([0.5, 1. ])
    """
    outside = (array < -1e-9) | (array > 1 + 1e-9)
    if outside.any():
        raise InputError(
            "probabilities are outside 0 to 1",
            where=name,
            count=int(outside.sum()),
            examples=[f"{array[outside].flat[0]:g}"],
            advice="Give shares, not percent.",
        )
    return np.clip(array, 0.0, 1.0)


def checked_bins(bins: int, rows: int) -> int:
    """A number of bins, at most one per row.

    Raises
    ------
    ArgumentError
        When it is not a whole number from 1 up.

    Examples
    --------
    >>> checked_bins(10, 4)
    4
    """
    if isinstance(bins, bool) or int(bins) != bins or bins < 1:
        raise ArgumentError(f"the number of bins is {bins!r}", advice="Give 1 or more; 10 makes deciles.")
    return min(int(bins), rows)


def averaged_over_ties(key: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order by a key, and the values in that order with each group of ties replaced by its mean.

    The result does not depend on the order of the rows: customers with equal scores are interchangeable.

    Returns
    -------
    order : ndarray of int, shape (n,)
        Positions by ascending key.
    averaged : ndarray of float, shape (n,)
        ``values[order]``, averaged within ties.

    Examples
    --------
    >>> averaged_over_ties(np.array([2.0, 1.0, 2.0]), np.array([0.0, 5.0, 4.0]))[1]
    array([5., 2., 2.])
    """
    order = np.argsort(key, kind="stable")
    _, group = np.unique(key, return_inverse=True)
    # Sorted first: a sum must not depend on the order of the rows, not even in its last bits.
    by_value = np.argsort(values, kind="stable")
    sums = np.bincount(group[by_value], weights=values[by_value])
    return order, (sums / np.bincount(group))[group[order]]
