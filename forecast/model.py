"""A fitted model with its provenance: look at it, score with it, save it, load it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.card import effect_table, model_card, parameter_table
from forecast.errors import ArgumentError, StoreError
from forecast.fitting import Fitted
from forecast.orders.plans import read_plan, read_spend
from forecast.periods import horizon_days
from forecast.predict import ClvModel, portfolio_totals, score_table
from forecast.predict.payload import from_payload, to_payload
from forecast.predict.planning import priced_newcomers
from forecast.store import artifacts
from forecast.store.artifacts import load_artifact, save_artifact, split_path
from forecast.summary import histories_of
from forecast.summary.given import HISTORIES, GivenHistories, check_source

_MUST_MATCH = ("currency", "value_policy", "zero_value")


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted pair of models with everything that a later reader must know.

    Attributes
    ----------
    clv : ClvModel
        The fitted purchase and spend models.
    provenance : dict
        Data fingerprint, ``as_of``, currency, time zone, value policy, counts of rejected rows, versions.
    name, version : str, int or None
        Once saved.
    """

    clv: ClvModel
    provenance: dict[str, Any]
    name: str | None = None
    version: int | None = field(default=None)

    @property
    def purchases(self) -> Fitted:
        """The fitted purchase model."""
        return self.clv.purchases

    @property
    def spend(self) -> Fitted | None:
        """The fitted spend model, or None for a log without money."""
        return self.clv.spend

    @property
    def title(self) -> str:
        return " + ".join(part.spec.title for part in (self.purchases, self.spend) if part is not None)

    @property
    def as_of(self) -> dt.date:
        return dt.date.fromisoformat(self.provenance["as_of"])

    @property
    def verdict(self) -> str:
        """The verdicts in words."""
        parts = [f"{self.purchases.spec.title} {self.purchases.verdict}"]
        if self.spend is not None:
            parts.append(f"{self.spend.spec.title} {self.spend.verdict}")
        return "; ".join(parts)

    def __repr__(self) -> str:
        state = "/".join(dict.fromkeys(f.verdict.code for f in (self.purchases, self.spend) if f is not None))
        return (
            f"<Model {self.title}, {self.provenance['customers']:,} customers as of "
            f"{self.provenance['as_of']}: {state}>"
        )

    def summary(self) -> pd.DataFrame:
        """Parameters with standard errors, 95 % limits and the verdict in words.

        Returns
        -------
        pandas.DataFrame
            ``model, parameter, unit, estimate, standard_error, lower_95, upper_95, verdict``.
        """
        return parameter_table([self.purchases, self.spend], self.provenance["currency"])

    @property
    def spend_check(self) -> dict[str, Any] | None:
        """Whether spend depends on frequency among the customers fitted on, and what follows.

        ``correlation, lower_95, upper_95, doubled, customers, text``; None for a log without money.
        """
        found: dict[str, Any] | None = (self.provenance.get("spend") or {}).get("check")
        return found

    @property
    def tiers(self) -> pd.DataFrame:
        """Value tiers, frozen at the fit: ``tier, from_value, share_at_fit``.

        Raises
        ------
        ArgumentError
            When an older version fitted the model.
        """
        return self.clv.frozen.tiers.table()

    @property
    def rfm(self) -> pd.DataFrame:
        """Classes of RFM groups, frozen at the fit: ``score, days_up_to, purchases_from, value_from``.

        Raises
        ------
        ArgumentError
            When an older version fitted the model.
        """
        return self.clv.frozen.rfm.table()

    def columns(self, by: Sequence[str] = ()) -> list[str]:
        """Columns of the orders that scoring reads: those asked for, and the traits that the model knows."""
        return list(dict.fromkeys((*by, *self.clv.traits)))

    def unseen(self, frame: pd.DataFrame) -> int:
        """How many customers belong to a group that the model has not seen."""
        terms = () if self.purchases.effects is None else self.purchases.effects.design.terms
        return sum(int((~frame[t.column].isin(t.levels)).sum()) for t in terms if t.kind == "group")

    def effects(self) -> pd.DataFrame:
        """How groups or covariates move the parameters.

        Returns
        -------
        pandas.DataFrame
            ``model, effect, trait, estimate, standard_error, lower_95, upper_95, factor``. An effect is
            on the log of the rate or spend, or the log odds to leave, so ``factor = exp(estimate)``; that of
            a group is its distance from the typical one.
        """
        return effect_table([self.purchases, self.spend])

    def check(self, orders: Any) -> None:
        """Refuse orders of another currency or value policy; of histories the currency alone is told.

        Raises
        ------
        ArgumentError
        """
        check_source(orders)
        what = "histories" if isinstance(orders, GivenHistories) else "orders"
        told = HISTORIES not in (self.provenance["dialect"], orders.dialect)
        for name in _MUST_MATCH if told else ("currency",):
            own, other = self.provenance[name], getattr(orders, name)
            if own != other:
                raise ArgumentError(
                    f"the model was fitted with {name} {own!r}, these {what} have {other!r}",
                    advice=f"Read the {what} with {name}={own!r}, or fit a model on them.",
                )

    def score(
        self,
        orders: Any,
        horizon: Any = 365,
        level: Any = (80, 95),
        *,
        as_of: Any = None,
        margin: float = 1.0,
        discount_rate: float = 0.0,
        by: Any = (),
    ) -> pd.DataFrame:
        """Forecast every customer of an order log, or of given histories.

        Parameters
        ----------
        orders : Orders or GivenHistories
            Of the customers to score; they need not be those the model was fitted on.
        horizon : int or str
            Days, or quarters such as ``"4Q"``.
        level : float or sequence of float
            Percent.
        as_of : date or ISO string, optional
            The latest order day by default; histories have their own.
        margin, discount_rate : float
            Shares; the rate is annual.
        by : str or sequence of str
            Columns of the orders to keep, from the first order.

        Returns
        -------
        pandas.DataFrame
            One row a customer, sorted by ``customer_id``; see the README for the columns.

        Raises
        ------
        ArgumentError
            When an option cannot be meant, or the orders have another currency or value policy.
        InputError
            When ``as_of`` is before the first order.

        Examples
        --------
        >>> import forecast
        >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
        >>> model = forecast.fit(orders, as_of="1997-09-30", purchases="bg-nbd", method="mle")
        >>> scores = model.score(orders, horizon=273, as_of="1997-09-30")
        >>> round(float(scores["expected_purchases"].sum()), 2)
        1653.41
        """
        self.check(orders)
        kept = (by,) if isinstance(by, str) else tuple(by or ())
        histories = histories_of(orders, as_of, self.columns(kept))
        days = horizon_days(horizon, histories.as_of)
        frame = histories.to_frame()
        options: dict[str, Any] = {"levels": level, "margin": margin, "discount_rate": discount_rate}
        table = score_table(self.clv, frame, as_of=histories.as_of, days=days, **options)
        return table.assign(**{name: frame[name] for name in kept})

    def portfolio(
        self,
        orders: Any,
        horizon: Any = 365,
        level: Any = (80, 95),
        *,
        as_of: Any = None,
        margin: float = 1.0,
        discount_rate: float = 0.0,
        by: str | None = None,
        draws: int = 1000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Totals of all customers with intervals from summed draws.

        Returns
        -------
        pandas.DataFrame
            Long: ``scope, group, target, expected, lo-80, hi-80, …`` for purchases, active customers
            and value; groups add up to the total.

        Raises
        ------
        ArgumentError, InputError
            As in :meth:`score`.
        """
        self.check(orders)
        histories = histories_of(orders, as_of, self.columns((by,) if by else ()))
        return portfolio_totals(
            self.clv,
            histories,
            days=horizon_days(horizon, histories.as_of),
            levels=level,
            by=by,
            margin=margin,
            discount_rate=discount_rate,
            draws=draws,
            seed=seed,
        )

    def newcomers(
        self,
        horizon: Any = 365,
        level: Any = (80, 95),
        *,
        plan: Any = None,
        spend: Any = None,
        margin: float = 1.0,
        discount_rate: float = 0.0,
        fiscal_year_start: int = 1,
        seed: int = 0,
    ) -> pd.DataFrame:
        """What a customer is worth who is won on the day after ``as_of``, until an age of ``horizon``.

        Parameters
        ----------
        plan, spend : path or DataFrame, optional
            Customers planned, and money spent to win them, see :mod:`forecast.orders.plans`.

        Returns
        -------
        pandas.DataFrame
            ``group, horizon_days, customers_observed, first_order_value, p_repeat,
            expected_repeat_purchases, expected_value`` and intervals, for ``all``, each group of a model
            with ``by=`` and a group not seen; ``expected_value`` includes the first order. With ``spend``
            ``cac, ltv_cac, payback_month, p_payback, max_cac`` …, with ``plan`` one more row a period. See
            :func:`forecast.predict.planning.priced_newcomers`.

        Raises
        ------
        ArgumentError
            When an option cannot be meant, or spend is of a group or month that the model does not know.
        InputError
            When an older version fitted the model, it has covariates, or a table cannot be read.
        FitError
            When a group's posterior has no finite mean.

        Examples
        --------
        >>> import forecast
        >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
        >>> model = forecast.fit(orders, as_of="1997-09-30", purchases="bg-nbd", method="mle")
        >>> found = model.newcomers(horizon=365)
        >>> found[["group", "first_order_value", "expected_repeat_purchases", "expected_value"]].round(2)
          group  first_order_value  expected_repeat_purchases  expected_value
        0   all              32.99                       1.45           83.87
        """
        by = self.provenance.get("by")
        return priced_newcomers(
            self.clv,
            self.provenance.get("first_orders"),
            as_of=self.as_of,
            days=horizon_days(horizon, self.as_of),
            levels=level,
            plan=None if plan is None else read_plan(plan, by, fiscal_year_start),
            spend=None if spend is None else read_spend(spend, by, fiscal_year_start),
            margin=margin,
            discount_rate=discount_rate,
            seed=seed,
        )

    def save(self, path: Any) -> Model:
        """Save as the next version of ``path``, for example ``models/shop``.

        Returns
        -------
        Model
            The same with its name and version.

        Raises
        ------
        ArgumentError
            When the name is not allowed.

        Examples
        --------
        >>> import tempfile, forecast
        >>> model = forecast.fit(forecast.read_orders(forecast.cdnow(), currency="USD"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = model.save(f"{folder}/shop")
        ...     load(f"{folder}/shop").purchases.parameters == saved.purchases.parameters
        True
        """
        root, reference = split_path(path)
        saved = save_artifact(root, reference, self._payload(), self.card(reference), self._posteriors())
        return replace(self, name=saved.name, version=saved.version)

    def _posteriors(self) -> dict[str, bytes]:
        """ArviZ data as netCDF, where a sampler left it."""
        files = {"posterior.nc": self.purchases, "posterior-spend.nc": self.spend}
        found = {name: f.posterior for name, f in files.items() if f is not None and f.posterior is not None}
        if not found:
            return {}
        from forecast.fitting.ecosystem import to_bytes

        return {name: to_bytes(data) for name, data in found.items()}

    def _payload(self) -> dict[str, Any]:
        return {
            **to_payload(self.clv),
            "provenance": self.provenance,
            "summary": {
                "model": self.title,
                "as_of": self.provenance["as_of"],
                "customers": self.provenance["customers"],
                "verdict": self.verdict,
            },
        }

    def card(self, name: str | None = None) -> str:
        """The model's card: what it is, from which data, how sure, and what it must not be used for."""
        return model_card(self, name or self.name or "model")


def load(path: Any) -> Model:
    """Load a saved model: its champion, else its newest; ``models/shop@2`` for a version or alias.

    Raises
    ------
    StoreError
        When it does not exist, is damaged, or was written by a newer version of the package.
    ArgumentError
        When the reference is not understood.
    """
    root, reference = split_path(Path(path))
    artifact = load_artifact(root, reference)
    payload = artifact.payload
    try:
        return Model(from_payload(payload), payload["provenance"], artifact.name, artifact.version)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the model lacks what this version needs: {error}", where=str(artifact.path),
            advice="Fit it again.",
        ) from error  # fmt: skip


def set_alias(path: Any, alias: str) -> None:
    """Give a saved version a name: ``set_alias("models/shop@2", "champion")``.

    Raises
    ------
    StoreError, ArgumentError
        When the version does not exist or is damaged, or a name is not understood.
    """
    root, reference = split_path(Path(path))
    artifacts.set_alias(root, reference, alias)
