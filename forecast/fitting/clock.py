"""A seasonal clock: customers of a shop buy at rate ``lambda s(day)``, with ``s`` shared by all.

Drop-out of the BG family happens at purchases, so on the clock ``C(day) = sum of s up to the end of day``
the model is the plain one: recency, age and horizon become differences of ``C``. The intensity is
``s = exp(features @ coefficients)``, scaled to mean 1 over the four years that end at ``as_of``; features are
harmonics of the day of the year and named windows, such as the week of Black Friday, that move or are short.

Customers and coefficients are fitted jointly by expectation-maximisation: given the coefficients the
purchase model is fitted on the clock, given the model the repeat purchases of a day are Poisson with the
expected rate of those still customers as exposure. How far coefficients may go is learned too: a shop
without seasons gets none. What one year showed is trusted in part, what two years showed wholly.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast.errors import FitError
from forecast.fitting.laplace import mode
from forecast.fitting.priors import resolve_priors
from forecast.fitting.problem import purchase_problem
from forecast.fitting.spec import ModelSpec
from forecast.periods import parse_day
from forecast.summary.statistics import DayCounts

HARMONICS = 8
LEAST_DAYS = 425  # about 14 months: with less a season cannot be told from customers' ageing
# A season that was seen once may have been a campaign, or a young shop's growth: trust in it rises from none
# at 14 months to all when every day of the year has been seen twice, two months past the second year.
_TRUSTED_DAYS = 790
_YEAR = 365.25
_DAY = np.timedelta64(1, "D")
_BLOCK = 14
_REFERENCE = 1461
_TURNS, _INNER_TURNS, _FREE_TURNS = 40, 100, 4
_WIDE = 1.0
_MANY_HISTORIES, _WEEK = 50_000, 7

Window = tuple[str, int, int, int, int]
WINDOWS: dict[str, Any] = {}


def _fourth_friday_of_november(year: int) -> dt.date:
    first = dt.date(year, 11, 1)
    return first + dt.timedelta(days=(3 - first.weekday()) % 7 + 21 + 1)  # the day after Thanksgiving


def _black_friday(year: int) -> tuple[dt.date, dt.date]:
    friday = _fourth_friday_of_november(year)
    return friday - dt.timedelta(days=4), friday + dt.timedelta(days=3)


WINDOWS.update(
    {
        "black-friday": _black_friday,
        "before-christmas": lambda year: (dt.date(year, 12, 1), dt.date(year, 12, 20)),
        "after-christmas": lambda year: (dt.date(year, 12, 24), dt.date(year, 12, 31)),
    }
)


def features(days: np.ndarray, harmonics: int, windows: tuple[str, ...]) -> np.ndarray:
    """Harmonics of the day of the year and indicators of windows, shape (days, 2 harmonics + windows).

    Parameters
    ----------
    days : ndarray of datetime64[D]
    harmonics : int
    windows : tuple of str
        Keys of :data:`WINDOWS`.

    Examples
    --------
    >>> features(np.array(["2024-11-29", "2024-07-01"], "datetime64[D]"), 1, ("black-friday",))[:, 2].tolist()
    [1.0, 0.0]
    """
    phase = 2.0 * np.pi * (days - np.datetime64("2000-01-01")).astype(float) / _YEAR
    columns = [wave(k * phase) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    if windows:
        year_of = 1970 + np.unique(days.astype("datetime64[Y]").astype(int))
        years = np.unique(np.concatenate([year_of - 1, year_of, year_of + 1])).tolist()
        for name in windows:
            inside = np.zeros(len(days))
            for year in years:
                first, last = (np.datetime64(day) for day in WINDOWS[name](year))
                inside[(days >= first) & (days <= last)] = 1.0
            columns.append(inside)
    return np.stack(columns, axis=1) if columns else np.zeros((len(days), 0))


@dataclass(frozen=True, eq=False)
class Clock:
    """The seasonal intensity of a shop, and the time that it makes.

    Attributes
    ----------
    as_of : datetime.date
        The intensity has mean 1 over the four years that end here.
    harmonics : int
    windows : tuple of str
    coefficients, standard_errors : ndarray, shape (2 harmonics + windows,)
    log_mean : float
        Logarithm of the mean before scaling.
    """

    as_of: dt.date
    harmonics: int
    windows: tuple[str, ...]
    coefficients: np.ndarray
    standard_errors: np.ndarray
    log_mean: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def intensity(self, days: np.ndarray) -> np.ndarray:
        """``s`` of each day, shape (days,)."""
        return np.exp(features(days, self.harmonics, self.windows) @ self.coefficients - self.log_mean)

    def ahead(self, as_of: dt.date, days: Any) -> np.ndarray:
        """Clock time in so many days after ``as_of``, one number or many; a part of a day pro rata.

        Examples
        --------
        >>> flat = Clock(dt.date(2024, 1, 1), 1, (), np.zeros(2), np.zeros(2))
        >>> flat.ahead(dt.date(2024, 1, 1), [30, 0.5]).tolist()
        [30.0, 0.5]
        """
        days = np.asarray(days, dtype=float)
        whole = np.arange(1, int(np.ceil(days.max(initial=0.0))) + 1)
        passed = np.concatenate([[0.0], np.cumsum(self.intensity(np.datetime64(as_of) + whole * _DAY))])
        return np.interp(days, np.arange(len(passed)), passed)

    def since(self, days: np.ndarray, as_of: dt.date) -> np.ndarray:
        """Clock time from the end of each day to the end of ``as_of``."""
        days = np.asarray(days).astype("datetime64[D]")
        ages = (np.datetime64(as_of) - days).astype(int)
        if not len(days):
            return np.zeros(0)
        # Counted backwards from as_of, so that nobody's time depends on who else is asked about.
        span = np.datetime64(as_of) - np.arange(int(ages.max()) + 1) * _DAY
        return np.concatenate([[0.0], np.cumsum(self.intensity(span))])[ages]

    def swing(self) -> dict[str, Any]:
        """The strongest and the weakest month, and by how much."""
        days = np.arange(np.datetime64(self.as_of) - 364 * _DAY, np.datetime64(self.as_of) + _DAY)
        month = days.astype("datetime64[M]").astype(int) % 12
        mean = np.bincount(month, self.intensity(days), minlength=12) / np.bincount(month, minlength=12)
        return {
            "peak_month": int(mean.argmax()) + 1,
            "peak": float(mean.max()),
            "low_month": int(mean.argmin()) + 1,
            "low": float(mean.min()),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "as_of": self.as_of.isoformat(),
            "harmonics": self.harmonics,
            "windows": list(self.windows),
            "coefficients": self.coefficients.tolist(),
            "standard_errors": self.standard_errors.tolist(),
            "log_mean": self.log_mean,
            "facts": self.facts,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Clock:
        """Inverse of :meth:`to_dict`."""
        return cls(
            parse_day(data["as_of"]),
            int(data["harmonics"]),
            tuple(data["windows"]),
            np.array(data["coefficients"], dtype=float),
            np.array(data["standard_errors"], dtype=float),
            float(data["log_mean"]),
            dict(data["facts"]),
        )


def trust_in(days: int) -> float:
    """Share of a season that is kept when it was learned from so many days of history.

    Examples
    --------
    >>> [round(trust_in(days), 2) for days in (425, 600, 730, 1000)]
    [0.0, 0.48, 0.84, 1.0]
    """
    return min(max((days - LEAST_DAYS) / (_TRUSTED_DAYS - LEAST_DAYS), 0.0), 1.0)


def fit_clock(
    spec: ModelSpec, counts: DayCounts, harmonics: int = HARMONICS, windows: tuple[str, ...] = tuple(WINDOWS)
) -> Clock:
    """The clock of a shop.

    Parameters
    ----------
    spec : ModelSpec
        A model whose customers buy by a Poisson process and leave at purchases, or never.
    counts : DayCounts
    harmonics : int
    windows : tuple of str

    Returns
    -------
    Clock

    Raises
    ------
    FitError
        With less than 14 months of history, or when the purchase model cannot be fitted.
    """
    days = counts.days
    if len(days) < LEAST_DAYS:
        raise FitError(
            f"{len(days):,} days of history cannot carry a yearly season",
            advice=f"Fit without a season until there are {LEAST_DAYS} days (14 months).",
        )
    if len(counts.x) > _MANY_HISTORIES:
        counts = counts.coarse(_WEEK)  # the model proper is fitted to the day, on the clock that comes out
    matrix = features(days, harmonics, windows)
    # Higher harmonics are expected to be smaller; a window may do as much as the first.
    order = np.concatenate([np.repeat(np.arange(1.0, harmonics + 1.0), 2), np.ones(len(windows))])
    coefficients = np.zeros(matrix.shape[1])
    # First a free fit: what remains after it is noise, promotions and drift, not season.
    for _ in range(_FREE_TURNS):
        intensity = np.exp(matrix @ coefficients)
        exposure = _exposure(spec, counts, intensity)
        coefficients, _, freedom = _poisson_step(
            matrix, counts.repeats, exposure, coefficients, (order / _WIDE) ** 2, 1.0
        )
    dispersion = _dispersion(counts.repeats, exposure * np.exp(matrix @ coefficients), days, freedom)
    spread = _WIDE
    for _ in range(_TURNS):
        exposure = _exposure(spec, counts, np.exp(matrix @ coefficients))
        moved = coefficients
        for _ in range(_INNER_TURNS):  # who was a customer when hardly depends on how far coefficients may go
            moved, covariance, _ = _poisson_step(
                matrix, counts.repeats, exposure, moved, (order / spread) ** 2, dispersion
            )
            wider = float(np.sqrt(np.mean(order**2 * (moved**2 + np.diag(covariance)))))
            last, spread = spread, min(max(wider, 1e-4), _WIDE)
            if abs(np.log(spread / last)) < 1e-3:
                break
        change = float(np.abs(moved - coefficients).max())
        coefficients = moved
        if change < 1e-3:
            break
    trust = trust_in(len(days))
    coefficients = trust * coefficients
    today = np.datetime64(counts.as_of)
    reference = np.arange(today - (_REFERENCE - 1) * _DAY, today + _DAY)
    mean = float(np.exp(features(reference, harmonics, windows) @ coefficients).mean())
    return Clock(
        counts.as_of,
        harmonics,
        windows,
        coefficients,
        np.sqrt(np.diag(covariance)),
        float(np.log(mean)),
        {"days": len(days), "spread": spread, "dispersion": dispersion, "trust": trust},
    )


def _exposure(spec: ModelSpec, counts: DayCounts, intensity: np.ndarray) -> np.ndarray:
    """Expected purchase rate of each day's customers, per unit of intensity, given all that is known."""
    on = counts.on(intensity)
    problem = purchase_problem(spec, on)
    found = mode(problem, resolve_priors(spec.unconstrained))  # weak priors keep it from a ridge
    theta = tuple((problem.natural(found.at) * problem.factor).tolist())
    r, alpha = theta[0], theta[1]
    alive = 1.0 / (1.0 + np.exp(spec.formulas.log_odds_left(*theta, x=on.x, t_x=on.t_x, T=on.T)))
    after = alive * (r + on.x) / (alpha + on.T)
    before = after + (1.0 - alive) * (r + on.x) / (alpha + on.t_x)
    size = len(counts.repeats)
    # Before the last purchase a customer was one for certain; after it with the chance to be alive.
    change = np.zeros(size + 1)
    np.add.at(change, counts.first + 1, counts.weight * before)
    np.add.at(change, counts.last + 1, counts.weight * (after - before))
    return np.cumsum(change)[:size]


def _dispersion(seen: np.ndarray, expected: np.ndarray, days: np.ndarray, freedom: float) -> float:
    """How much more than Poisson two-weekly totals vary around a free fit."""
    block = (days - days[0]).astype(int) // _BLOCK
    kept = block < (len(days) // _BLOCK)
    total, mean = (np.bincount(block[kept], v[kept]) for v in (seen, expected))
    fine = mean > 1.0
    left = fine.sum() - freedom
    if left < 3:
        return 1.0
    return max(1.0, float(np.sum((total[fine] - mean[fine]) ** 2 / mean[fine]) / left))


def _poisson_step(
    matrix: np.ndarray,
    seen: np.ndarray,
    exposure: np.ndarray,
    start: np.ndarray,
    penalty: np.ndarray,
    dispersion: float,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of a penalised Poisson regression with a free level, covariance, degrees of freedom."""
    full = np.concatenate([np.ones((len(seen), 1)), matrix], axis=1)
    ridge = np.concatenate([[0.0], penalty])
    at = np.concatenate(
        [[np.log(max(seen.sum(), 1e-9) / max((exposure * np.exp(matrix @ start)).sum(), 1e-9))], start]
    )
    hessian = np.eye(len(at))
    for _ in range(50):
        mean = exposure * np.exp(np.clip(full @ at, -30.0, 30.0))
        slope = full.T @ (seen - mean) / dispersion - ridge * at
        hessian = (full.T * mean) @ full / dispersion + np.diag(ridge)
        step = np.linalg.solve(hessian, slope)
        at = at + step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    covariance = np.linalg.inv(hessian)
    return at[1:], covariance[1:, 1:], float(len(at) - np.sum(np.diag(covariance) * ridge))
