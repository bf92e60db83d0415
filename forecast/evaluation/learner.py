"""A learner beside the models: boosted trees on purchase histories and on what BG/NBD says of them.

It learns at earlier origins only, and only from windows that had ended at the cut: features are what was
known at an origin, the outcome is what happened in its window. It competes on the board, gives means
without intervals, and is never chosen, saved or scored with.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from forecast.errors import FitError
from forecast.evaluation.candidates import AUTO, AVERAGE, HGB, Candidate, Forecasts
from forecast.evaluation.origins import Origin
from forecast.evaluation.rolling import Rolling
from forecast.predict import Customers, predict_customers
from forecast.summary import Histories

FEATURES = (
    "frequency", "recency", "T", "days_since_last", "previous_purchases", "last_year_purchases",
    "season_sine", "season_cosine", "model_expected_purchases", "model_p_alive", "model_p_purchase",
)  # fmt: skip
MONEY_FEATURES = ("monetary_value", "monetary_count", "historical_value", "first_value")
MOST_ROWS = 50_000  # customers of an origin who are enough to learn from
_TREES = {
    "loss": "poisson",
    "learning_rate": 0.05,
    "max_iter": 120,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "early_stopping": False,  # it would split customers at random; time is what must be split
}
_PLAIN = Candidate("bg-nbd")
_YEAR = 365.25


@dataclass(frozen=True)
class Lesson:
    """What one origin taught.

    Attributes
    ----------
    cutoff, end : datetime.date
    features : pandas.DataFrame
        What was known at ``cutoff``, money in currency.
    purchases, value : ndarray, shape (customers,)
        What happened until ``end``; ``value`` is NaN in a log without money.
    """

    cutoff: dt.date
    end: dt.date
    features: pd.DataFrame
    purchases: np.ndarray
    value: np.ndarray

    @property
    def days(self) -> int:
        return (self.end - self.cutoff).days


def season(cutoff: dt.date, days: int) -> tuple[float, float]:
    """Sine and cosine of the middle of the window ``(cutoff, cutoff + days]`` in the year.

    Examples
    --------
    >>> [round(v, 3) for v in season(dt.date(2023, 12, 31), 91)]
    [0.699, 0.715]
    """
    middle = cutoff + dt.timedelta(days=days / 2)
    angle = 2.0 * np.pi * middle.timetuple().tm_yday / _YEAR
    return float(np.sin(angle)), float(np.cos(angle))


class Learner:
    """Boosted trees over the origins of one order log, in the order of time.

    Parameters
    ----------
    rolling : Rolling
        Where BG/NBD's fits come from.
    seed : int

    Examples
    --------
    >>> from forecast.datasets import cdnow
    >>> from forecast.orders import read_orders
    >>> rolling = Rolling(read_orders(cdnow()), method="mle")
    >>> learner = Learner(rolling)
    >>> for cut, end in ((dt.date(1997, 9, 30), dt.date(1997, 12, 30)),
    ...                  (dt.date(1997, 12, 31), dt.date(1998, 3, 31))):
    ...     known, origin = rolling.at(cut, end)
    ...     print(len(learner.lessons(cut)))
    ...     learner.remember(known, origin)
    0
    1
    """

    def __init__(self, rolling: Rolling, seed: int = 0) -> None:
        self._rolling, self._seed = rolling, seed
        self._lessons: list[Lesson] = []

    def lessons(self, cutoff: dt.date) -> list[Lesson]:
        """Origins whose windows had ended at ``cutoff``, the earliest first."""
        ended = (own for own in self._lessons if own.end <= cutoff)
        return sorted(ended, key=lambda own: own.cutoff)

    def remember(self, known: Histories, origin: Origin) -> None:
        """Keep an origin with its outcome, on a sample of many customers; nothing where BG/NBD fails."""
        try:
            features = self.features(known, origin)
        except FitError:
            return
        rows = np.arange(len(features))
        if len(rows) > MOST_ROWS:
            rng = np.random.default_rng([self._seed, len(rows)])
            rows = np.sort(rng.choice(len(rows), MOST_ROWS, replace=False))
        self._lessons.append(
            Lesson(
                origin.cutoff,
                origin.end,
                features.iloc[rows].reset_index(drop=True),
                origin.actual["actual_purchases"].to_numpy(dtype=float)[rows],
                origin.actual["actual_value"].to_numpy(dtype=float)[rows],
            )
        )

    def features(self, known: Histories, origin: Origin) -> pd.DataFrame:
        """What is known of each customer at the cut, BG/NBD's view included.

        Returns
        -------
        pandas.DataFrame
            :data:`FEATURES`, and :data:`MONEY_FEATURES` where orders carry money. Purchases of a year ago
            are NaN while there is no such year.

        Raises
        ------
        FitError
            When BG/NBD is not identified.
        """
        histories = origin.histories
        model = self._rolling.model(_PLAIN, known)
        said = predict_customers(model, Customers.from_frame(histories, model), days=origin.days)
        sine, cosine = season(origin.cutoff, origin.days)
        age = histories["T"].to_numpy(dtype=float)
        a_year_ago = histories["last_year_purchases"].to_numpy(dtype=float)
        found = {
            "frequency": histories["frequency"].to_numpy(dtype=float),
            "recency": histories["recency"].to_numpy(dtype=float),
            "T": age,
            "days_since_last": age - histories["recency"].to_numpy(dtype=float),
            "previous_purchases": histories["previous_purchases"].to_numpy(dtype=float),
            "last_year_purchases": a_year_ago if age.max() >= 365 else np.full(len(age), np.nan),
            "season_sine": np.full(len(age), sine),
            "season_cosine": np.full(len(age), cosine),
            "model_expected_purchases": said["expected_purchases"],
            "model_p_alive": said["p_alive"],
            "model_p_purchase": said["p_purchase"],
        }
        if origin.has_value:
            found |= {name: histories[name].to_numpy(dtype=float) for name in MONEY_FEATURES}
        return pd.DataFrame(found)

    def forecast(
        self, name: str, known: Histories, origin: Origin, said: Mapping[str, Forecasts]
    ) -> Forecasts:
        """What the learner expects, or the plain average of it and a model.

        Parameters
        ----------
        name : {'hgb', 'average'}
        known : Histories
        origin : Origin
            Its outcome is not looked at.
        said : mapping of str to Forecasts
            What others said at this origin: the average takes ``auto``, else ``bg-nbd``, else fits BG/NBD.

        Raises
        ------
        FitError
            When no earlier origin had ended, or nobody bought in any.
        """
        mine = said[HGB] if HGB in said else self._learned(known, origin)
        if name == HGB:
            return mine
        model = said.get(AUTO) or said.get(_PLAIN.name) or self._modelled(known, origin)
        return Forecasts(
            {
                column: 0.5 * (values + model.customers[column])
                for column, values in mine.customers.items()
                if column in model.customers
            }
        )

    def _modelled(self, known: Histories, origin: Origin) -> Forecasts:
        model = self._rolling.model(_PLAIN, known)
        return Forecasts(
            predict_customers(model, Customers.from_frame(origin.histories, model), days=origin.days)
        )

    def _learned(self, known: Histories, origin: Origin) -> Forecasts:
        lessons = self.lessons(origin.cutoff)
        if not sum(float(own.purchases.sum()) for own in lessons):
            raise FitError(
                "needs an earlier origin whose window had ended, with purchases in it",
                advice="Ask for a later origin or a shorter horizon.",
            )
        with threadpool_limits(1, user_api="openmp"):  # threads that wait for each other cost minutes
            return self._grown(lessons, self.features(known, origin), origin)

    def _grown(self, lessons: list[Lesson], here: pd.DataFrame, origin: Origin) -> Forecasts:
        from sklearn.ensemble import HistGradientBoostingRegressor  # scikit-learn takes a second to import

        features = pd.concat([own.features for own in lessons], ignore_index=True)
        days = np.concatenate([np.full(len(own.purchases), float(own.days)) for own in lessons])
        purchases = np.concatenate([own.purchases for own in lessons])
        # Money in multiples of the mean purchase, so that its unit cannot change a tree.
        scale = _scale(features)
        known_once = features.columns[features.notna().any()]  # no year ago anywhere: nothing to split
        train, ahead = _in_units(features[known_once], scale), _in_units(here[known_once], scale)
        trees = HistGradientBoostingRegressor(**_TREES, random_state=self._seed)
        expected = trees.fit(train, purchases / days).predict(ahead) * origin.days
        if not origin.has_value:
            return Forecasts({"expected_purchases": expected})
        value = np.concatenate([own.value for own in lessons])
        bought = purchases > 0
        each = np.maximum(value[bought], 0.0) / purchases[bought] / scale
        if not each.sum() > 0.0:
            return Forecasts({"expected_purchases": expected, "expected_value": np.zeros(len(here))})
        seen = np.isfinite(train[bought]).any(axis=0)
        trees.fit(train[bought][:, seen], each, sample_weight=purchases[bought])
        worth = trees.predict(ahead[:, seen]) * scale
        return Forecasts({"expected_purchases": expected, "expected_value": expected * worth})


def _scale(features: pd.DataFrame) -> float:
    if "historical_value" not in features:
        return 1.0
    mean = float(features["historical_value"].mean())
    return mean if mean > 0.0 else 1.0


def _in_units(features: pd.DataFrame, scale: float) -> np.ndarray:
    """As an array, money divided by the scale and rounded, so that its last digit cannot matter."""
    money = {
        name: (features[name] / scale).round(9)
        for name in ("monetary_value", "historical_value", "first_value")
        if name in features
    }
    return features.assign(**money).to_numpy(dtype=float)


__all__ = ["AVERAGE", "FEATURES", "HGB", "MONEY_FEATURES", "Learner", "Lesson", "season"]
