"""What first orders are worth: statistics to keep in a model, and what they say of the next customer.

A first order is a customer's first purchase, so all orders of that day. Groups' means are shrunk to the
whole, since a handful of orders says little of the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from forecast.summary.table import HistoryTable

MOST_VALUES = 100
LEAST_CUSTOMERS = 5  # behind each kept value: a model must not give a single customer's order away
LEAST_VALUES = 4  # of a group that tells how first orders vary
_MONTH = np.timedelta64(1, "M")
OWN_SHAPE = 50.0  # customers from which on a group's own distribution outweighs that of all


def first_orders(histories: HistoryTable, by: str | None = None) -> dict[str, Any]:
    """Statistics of first orders as plain data, overall and by group.

    Parameters
    ----------
    histories : HistoryTable
        Made with the ``by`` column.
    by : str, optional

    Returns
    -------
    dict
        See :func:`describe_first_orders`; and ``arrivals``, how many customers were won in each month:
        ``months``, ``customers`` (a list for each group, or for ``all``) and ``until``, the last day known.

    Examples
    --------
    >>> import forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> from forecast.summary import purchase_histories
    >>> found = first_orders(purchase_histories(orders, "1997-09-30"))
    >>> found["whole"]["customers"], round(found["whole"]["mean"], 2)
    (2357, 32.99)
    """
    values, labels = histories.first_values(by)
    return {**describe_first_orders(values, labels, by), "arrivals": _arrivals(histories, by)}


def _arrivals(histories: HistoryTable, by: str | None) -> dict[str, Any]:
    """Customers won in each month from the first order on; months without any have a 0."""
    rows = histories.arrivals(by)
    first = min((month for _, month, _ in rows), default=f"{histories.as_of:%Y-%m}")
    months = (
        np.arange(np.datetime64(first), np.datetime64(f"{histories.as_of:%Y-%m}") + _MONTH)
        .astype(str)
        .tolist()
    )
    counts = {name: dict.fromkeys(months, 0) for name in sorted({name for name, _, _ in rows})}
    for name, month, size in rows:
        counts[name][month] = int(size)
    kept = {name: list(own.values()) for name, own in counts.items()}
    return {"months": months, "customers": kept, "until": histories.as_of.isoformat()}


def describe_first_orders(
    values: np.ndarray, groups: np.ndarray | None = None, by: str | None = None
) -> dict[str, Any]:
    """Count, mean, standard deviation and distribution of first orders' values.

    Parameters
    ----------
    values : ndarray, shape (customers,)
        In currency, NaN where an order has no value. Free and negative ones count.
    groups : ndarray of str, shape (customers,), optional
    by : str, optional
        Name of the column behind the groups.

    Returns
    -------
    dict
        ``by``, ``whole`` and ``groups``: ``customers, mean, sd, values``, and ``group``. ``values`` are means
        of equally many neighbours in size, at most 100 and of at least 5 customers each; their mean is the
        mean. A group without money has no values, and None for its mean.

    Examples
    --------
    >>> found = describe_first_orders(np.arange(10.0))
    >>> found["whole"]["mean"], found["whole"]["values"]
    (4.5, [2.0, 7.0])
    """
    names = [] if groups is None else sorted(set(groups.tolist()))
    return {
        "by": by,
        "whole": _described(values),
        "groups": [{"group": name, **_described(values[groups == name])} for name in names],
    }


def _described(values: np.ndarray) -> dict[str, Any]:
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return {"customers": len(values), "mean": None, "sd": None, "values": []}
    size = max(min(len(known) // LEAST_CUSTOMERS, MOST_VALUES), 1)
    # Parts differ by one customer at most; repeated means would weigh them wrongly, so the cut is exact.
    edges = np.linspace(0.0, len(known), size + 1)
    total = np.interp(edges, np.arange(len(known) + 1), np.concatenate([[0.0], np.cumsum(known)]))
    return {
        "customers": len(values),
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if len(known) > 1 else 0.0,
        "values": (np.diff(total) / np.diff(edges)).tolist(),
    }


class Shrunk(NamedTuple):
    """Means of groups, shrunk to their common centre.

    ``mean = own_share * own + (1 - own_share) * centre``; errors are independent between groups
    (``sd``) except for that of the centre, of which each group carries ``1 - own_share``.
    """

    mean: np.ndarray
    sd: np.ndarray
    own_share: np.ndarray
    centre: float
    centre_sd: float
    between: float


def shrunk_means(count: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> Shrunk:
    """Groups' means by empirical Bayes, normal around a normal centre.

    Parameters
    ----------
    count, mean, sd : ndarray, shape (groups,)
        Customers, and their mean and standard deviation.

    Returns
    -------
    Shrunk

    Notes
    -----
    With ``s^2`` the variance within groups, pooled, ``t^2`` the variance between them by moments, at
    least 0, and ``v_g = s^2 / n_g``: ``own_share_g = t^2 / (t^2 + v_g)``, and the centre is the mean of
    groups weighted by ``1 / (t^2 + v_g)``, which keeps the sum over customers. The error given the centre
    has variance ``own_share_g v_g``.

    References
    ----------
    Efron & Morris (1975), JASA 70; DerSimonian & Laird (1986) for the variance between groups.

    Examples
    --------
    >>> found = shrunk_means(np.array([1000.0, 1000.0, 1.0]), np.array([10.0, 20.0, 90.0]), np.full(3, 10.0))
    >>> found.mean.round(1).tolist(), round(found.centre, 1)
    ([10.0, 20.0, 49.0], 26.4)
    """
    whole = float(count.sum())
    freedom = whole - len(count)
    within = float(((count - 1.0) * sd**2).sum() / freedom) if freedom > 0 else 0.0
    grand = float(count @ mean) / whole
    room = whole - float(count @ count) / whole
    excess = float(count @ (mean - grand) ** 2) - (len(count) - 1) * within
    between = max(excess / room, 0.0) if room > 0 else 0.0
    error = within / count
    if between + within <= 0.0:
        return Shrunk(mean.copy(), np.zeros_like(mean), np.ones_like(mean), grand, 0.0, 0.0)
    weight = 1.0 / (between + error)
    centre = float(weight @ mean / weight.sum())
    share = between * weight
    return Shrunk(
        share * mean + (1.0 - share) * centre, np.sqrt(share * error), share, centre,
        float(weight.sum() ** -0.5), between,
    )  # fmt: skip


@dataclass(frozen=True)
class FirstOrders:
    """The next customer's first order, by line: the whole, or each group and last a group not seen.

    Attributes
    ----------
    by : str or None
    names : tuple of str, length G
        Groups; empty where there are none.
    customers : ndarray of int, shape (L,)
    mean : ndarray, shape (L,)
        Expected value. Shrinkage keeps the sum: customers times groups' means add up to the whole.
    sd, common_sd : ndarray, shape (L,)
        Error of the mean: a part of its own, and one that lines have in common.
    values, weights : list of ndarray
        The distribution, one pair a line; the weights sum to 1.
    """

    by: str | None
    names: tuple[str, ...]
    customers: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    common_sd: np.ndarray
    values: list[np.ndarray]
    weights: list[np.ndarray]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FirstOrders:
        """What kept statistics say; without money all values are 0.

        Examples
        --------
        >>> kept = describe_first_orders(np.arange(1000.0))
        >>> first = FirstOrders.from_dict(kept)
        >>> first.mean.tolist(), first.sd.round(2).tolist()
        ([499.5], [9.13])
        """
        whole, groups = data["whole"], data["groups"]
        names = tuple(line["group"] for line in groups)
        lines = [*groups, {"customers": 0, "mean": None, "values": []}] if groups else [whole]
        customers = np.array([line["customers"] for line in lines], dtype=np.int64)
        if whole["mean"] is None:
            none = np.zeros(len(lines))
            return cls(
                data["by"],
                names,
                customers,
                none,
                none,
                none,
                [none[:1]] * len(none),
                [none[:1] + 1.0] * len(none),
            )
        shape = np.array(whole["values"])
        if not groups:
            error = np.array([whole["sd"] / np.sqrt(whole["customers"])])
            alike = np.full(len(shape), 1.0 / len(shape))
            return cls(None, (), customers, np.array([whole["mean"]]), error, 0.0 * error, [shape], [alike])
        mean, sd, common = _group_means(groups, whole)
        shared = _shape_within(groups, whole)
        pairs = [_mixed(line, shared, target) for line, target in zip(lines, mean, strict=True)]
        return cls(
            data["by"], names, customers, mean, sd, common, [p[0] for p in pairs], [p[1] for p in pairs]
        )

    @property
    def shares(self) -> np.ndarray:
        """Share of each line among the customers observed."""
        return self.customers / max(int(self.customers.sum()), 1)

    @cached_property
    def paid(self) -> tuple[np.ndarray, np.ndarray]:
        """Chance that the value is above 0, and the mean of ``max(value, 0)``, by line."""
        chance = [float(w @ (v > 0)) for v, w in zip(self.values, self.weights, strict=True)]
        value = [float(w @ np.maximum(v, 0.0)) for v, w in zip(self.values, self.weights, strict=True)]
        return np.array(chance), np.array(value)

    def factors(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draws of the true over the estimated mean, shape (size, L): log-normal, mean 1."""
        z, own = rng.standard_normal((size, 1)), rng.standard_normal((size, len(self.mean)))
        with np.errstate(divide="ignore", invalid="ignore"):
            sd, common = (
                np.where(self.mean > 0, part / self.mean, 0.0) for part in (self.sd, self.common_sd)
            )
        variance = np.log1p(sd**2 + common**2)
        total = np.sqrt(np.maximum(sd**2 + common**2, 1e-300))
        return np.exp((z * common + own * sd) / total * np.sqrt(variance) - 0.5 * variance)

    def draw(self, rng: np.random.Generator, line: np.ndarray) -> np.ndarray:
        """One value for each entry of ``line``."""
        edges, lasts, values = self._ladder
        return values[np.minimum(np.searchsorted(edges, line + rng.random(len(line))), lasts[line])]

    @cached_property
    def _ladder(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distributions end to end: where each value's chance ends, lines' last places, the values."""
        edges = np.concatenate([k + np.cumsum(w) for k, w in enumerate(self.weights)])
        return edges, np.cumsum([len(w) for w in self.weights]) - 1, np.concatenate(self.values)


def _group_means(
    groups: list[dict[str, Any]], whole: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected first order of each group and of a group not seen, with the two parts of its error."""
    known = np.array([line["mean"] is not None for line in groups])
    columns = [
        np.array([line[name] for line in groups if line["mean"] is not None], dtype=float)
        for name in ("customers", "mean", "sd")
    ]
    found = shrunk_means(*columns)
    mean, share = np.full(len(groups) + 1, found.centre), np.zeros(len(groups) + 1)
    sd = np.full(len(groups) + 1, np.sqrt(found.between))
    places = np.flatnonzero(known)
    mean[places], sd[places], share[places] = found.mean, found.sd, found.own_share
    return mean, sd, (1.0 - share) * found.centre_sd


def _shape_within(groups: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, Any]:
    """How first orders vary within groups, around 1; the whole's own shape would count the groups twice."""
    large = [g for g in groups if len(g["values"]) >= LEAST_VALUES and g["mean"] > 0]
    if not large:
        return whole
    values = np.concatenate([np.array(g["values"]) / g["mean"] for g in large])
    weights = np.concatenate([np.full(len(g["values"]), g["customers"] / len(g["values"])) for g in large])
    order = np.argsort(values, kind="stable")
    ends = np.concatenate([[0.0], np.cumsum(weights[order])])
    total = np.concatenate([[0.0], np.cumsum((weights * values)[order])])
    edges = np.linspace(0.0, ends[-1], MOST_VALUES + 1)
    shape = np.diff(np.interp(edges, ends, total)) / np.diff(edges)
    return {"mean": float(shape.mean()), "values": shape.tolist()}


def _mixed(line: dict[str, Any], shared: dict[str, Any], target: float) -> tuple[np.ndarray, np.ndarray]:
    """A group's distribution: its own where it is large, else the shared one, both with the group's mean."""
    own_share = line["customers"] / (line["customers"] + OWN_SHAPE)
    if line["mean"] is None or line["mean"] <= 0.0 or target <= 0.0:
        own_share = 0.0
    parts, weights = [], []
    for source, share in ((line, own_share), (shared, 1.0 - own_share)):
        if share > 0.0:
            values = np.array(source["values"])
            parts.append(values * (target / source["mean"] if source["mean"] > 0 else 1.0))
            weights.append(np.full(len(values), share / len(values)))
    return np.concatenate(parts), np.concatenate(weights)
