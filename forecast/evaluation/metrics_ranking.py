"""Who will be worth most: rankings. Customers of equal score are interchangeable in every function.

A rule such as "bought lately" gives most customers one of few scores; sorted as the file happened to be, it
would look better or worse by luck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.evaluation.metric_inputs import averaged_over_ties, checked, checked_bins


def normalised_gini(actual: Any, score: Any) -> float:
    """Gini coefficient of the actuals in the order of the score, as a share of the best possible.

    1 for a perfect ranking, 0 for a constant score, -1 for the reverse of a perfect one. Ties get the mean of
    all their orders: their actuals are averaged. NaN when there is nothing to rank (equal actuals), or the
    actual total is not above 0.

    Parameters
    ----------
    actual : array_like, shape (customers,)
        Purchases or value.
    score : array_like, shape (customers,)
        Higher is better; only its order counts.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    References
    ----------
    Wang, X., Liu, T. and Miao, J. (2019), "A deep probabilistic model for customer lifetime value
    prediction", arXiv 1912.07753, section 4; ties as in Frees, Meyers and Cummings (2011), JASA 106.

    Examples
    --------
    >>> normalised_gini([0, 1, 5], [0.1, 0.2, 0.3]), normalised_gini([0, 1, 5], [7, 7, 7])
    (1.0, 0.0)
    """
    actual, score = checked(actual=actual, score=score)
    best = _gini(actual, actual)
    if not (actual.sum() > 0 and best > 1e-12):
        return float("nan")
    found = _gini(actual, score) / best
    return found if abs(found) > 1e-9 else 0.0  # a constant score ranks nothing, to the last digit


def spearman(actual: Any, score: Any) -> float:
    """Spearman's rank correlation, ties with their average rank; NaN when either is constant.

    Flattering with many zeros on both sides; the Gini is fairer.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    Examples
    --------
    >>> spearman([1, 2, 3], [10, 30, 20])
    0.5
    """
    actual, score = checked(actual=actual, score=score)
    a, b = (ranks - ranks.mean() for ranks in (_average_ranks(actual), _average_ranks(score)))
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else float("nan")


def top_share_capture(actual: Any, score: Any, share: float = 0.1) -> float:
    """Share of the actual total that the customers with the highest scores brought.

    Parameters
    ----------
    actual, score : array_like, shape (customers,)
    share : float, default 0.1
        How many of the customers: 0.1 is the top tenth. A customer at the border counts in part, and ties
        at the border with their mean.

    Raises
    ------
    ArgumentError
        When the share is outside 0 to 1.
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    Examples
    --------
    >>> top_share_capture([8, 1, 1, 0], [0.9, 0.5, 0.4, 0.1], share=0.25)
    0.8
    """
    if not 0 < share <= 1:
        raise ArgumentError(f"the share is {share!r}", advice="Write 0.1 for the top tenth.")
    actual, score = checked(actual=actual, score=score)
    total = actual.sum()
    if not total > 0:
        return float("nan")
    captured = np.append(0.0, np.cumsum(averaged_over_ties(score, actual)[1][::-1]))
    return float(np.interp(share * actual.size, np.arange(actual.size + 1), captured) / total)


def decile_table(score: Any, actual: Any, bins: int = 10) -> pd.DataFrame:
    """Predicted and actual means by bins of equal size, from the highest score down.

    Parameters
    ----------
    score : array_like, shape (customers,)
        The forecast, in the unit of the actuals.
    actual : array_like, shape (customers,)
    bins : int, default 10
        Sizes differ by one at most, however many scores are equal.

    Returns
    -------
    pandas.DataFrame
        ``decile`` (1 is highest), ``n``, ``mean_predicted``, ``mean_actual``, ``lift`` (mean actual over the
        mean of all; NaN when that is 0).

    Raises
    ------
    ArgumentError
        When ``bins`` is not a whole number from 1 up.
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    Examples
    --------
    >>> decile_table([4.0, 1.0, 2.0, 1.0], [5.0, 0.0, 3.0, 0.0], bins=2)
       decile  n  mean_predicted  mean_actual  lift
    0       1  2             3.0          4.0   2.0
    1       2  2             1.0          0.0   0.0
    """
    score, actual = checked(score=score, actual=actual)
    order, averaged = averaged_over_ties(score, actual)
    order, averaged = order[::-1], averaged[::-1]
    parts = np.array_split(np.arange(score.size), checked_bins(bins, score.size))
    actual_means = np.array([averaged[part].mean() for part in parts])
    overall = actual.mean()
    return pd.DataFrame(
        {
            "decile": np.arange(1, len(parts) + 1),
            "n": [part.size for part in parts],
            "mean_predicted": [score[order][part].mean() for part in parts],
            "mean_actual": actual_means,
            "lift": actual_means / overall if overall != 0 else np.full(len(parts), np.nan),
        }
    )


def decile_mape(score: Any, actual: Any, bins: int = 10) -> float:
    """Mean over deciles of ``|mean predicted - mean actual| / mean actual``, as a share.

    Deciles in which nobody bought are left out, since nothing is a share of 0; NaN when that is all of them.
    Look at `decile_table` beside it.

    Raises
    ------
    ArgumentError
        When ``bins`` is not a whole number from 1 up.
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    References
    ----------
    Wang, X., Liu, T. and Miao, J. (2019), arXiv 1912.07753, section 4.

    Examples
    --------
    >>> decile_mape([4.0, 1.0, 2.0, 1.0], [5.0, 0.0, 3.0, 0.0], bins=2)
    0.25
    """
    table = decile_table(score, actual, bins)
    table = table[table["mean_actual"] > 0]
    if table.empty:
        return float("nan")
    return float(((table["mean_predicted"] - table["mean_actual"]).abs() / table["mean_actual"]).mean())


def _gini(actual: np.ndarray, score: np.ndarray) -> float:
    """One minus twice the area under the concentration curve."""
    curve = np.append(0.0, np.cumsum(averaged_over_ties(score, actual)[1]))
    if curve[-1] == 0:
        return float("nan")
    heights = (curve[1:] + curve[:-1]) / 2.0 / curve[-1]
    return float(1.0 - 2.0 * heights.mean())


def _average_ranks(values: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[group]
