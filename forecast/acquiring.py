"""Decisions about money: what is a newcomer worth, what may one cost, and what if customers changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError
from forecast.model import Model, load
from forecast.periods import DAYS_PER_MONTH, check_levels, horizon_days
from forecast.pipeline import Outcome, noted
from forecast.predict import payback
from forecast.predict.payback import ValueByAge
from forecast.predict.whatif import Scenario, read_scenario, what_if_table
from forecast.reports.terminal import newcomer_lines, payback_lines, plan_lines, what_if_lines
from forecast.reports.writing import is_page, write_newcomers_page
from forecast.store.guarding import protect
from forecast.store.references import parse_reference
from forecast.store.writing import write_table
from forecast.summary import histories_of


def what_if(
    model: Model,
    *scenarios: Scenario,
    horizon: Any = 365,
    level: Any = 80,
    orders: Any = None,
    as_of: Any = None,
    margin: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """What value would be if customers stayed longer, bought more often or spent more.

    Parameters
    ----------
    model : Model
    *scenarios : Scenario
        ``forecast.Scenario(retention=1.05, orders_per_year=1, basket=1.1)``, in any combination.
    horizon : int or str
    level : float or sequence of float
        Percent.
    orders : Orders or GivenHistories, optional
        For a line of the known customers too, as of ``as_of``.
    as_of : date or ISO string, optional
        The latest order day by default; without orders the model's.
    margin : float
    seed : int

    Returns
    -------
    pandas.DataFrame
        ``scenario, group, horizon_days, expected_value, change`` and limits of the change, see
        :func:`forecast.predict.whatif.what_if_table`.

    Raises
    ------
    ArgumentError
        When the model knows no money, nobody leaves in it, or the orders have another policy.

    Examples
    --------
    >>> import forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> model = forecast.fit(orders, as_of="1997-09-30", purchases="bg-nbd", method="mle")
    >>> found = what_if(model, Scenario(retention=1.05), Scenario(basket=1.1))
    >>> found[["scenario", "expected_value", "change"]].round(2)
             scenario  expected_value  change
    0       as fitted           83.87    0.00
    1  retention +5 %           88.72    4.85
    2    basket +10 %           92.25    8.39
    """
    frame, day = None, model.as_of
    if orders is not None:
        model.check(orders)
        histories = histories_of(orders, as_of, model.columns())
        frame, day = histories.to_frame(), histories.as_of
    return what_if_table(
        model.clv, model.provenance.get("first_orders"), list(scenarios), as_of=day,
        days=horizon_days(horizon, day), histories=frame, levels=level, margin=margin, seed=seed,
    )  # fmt: skip


def value_by_age(
    model: Model, horizon: Any = 365, *, margin: float = 1.0, discount_rate: float = 0.0, seed: int = 0
) -> ValueByAge:
    """What a newcomer has brought by the end of each month of age, for ``figures.value_by_age``.

    Parameters
    ----------
    model : Model
    horizon : int or str
        Days after the first order.
    margin, discount_rate : float
        Shares; the rate is annual.
    seed : int

    Returns
    -------
    ValueByAge

    Raises
    ------
    ArgumentError
        When an option cannot be meant, the horizon holds no whole month, or the model knows no money.
    InputError
        As :meth:`forecast.Model.newcomers`.

    Examples
    --------
    >>> import forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> model = forecast.fit(orders, as_of="1997-09-30", purchases="bg-nbd", method="mle")
    >>> value_by_age(model).mean[[0, 1, 12], 0].round(2).tolist()
    [32.99, 40.41, 83.87]
    """
    days = horizon_days(horizon, model.as_of)
    months = int(days / DAYS_PER_MONTH + 0.01)
    if months < 1:
        raise ArgumentError(
            f"the horizon of {days} days holds no whole month", advice="Give a horizon of 31 days or more."
        )
    return payback.value_by_age(
        model.clv, model.provenance.get("first_orders"), as_of=model.as_of, months=months, days=days,
        margin=margin, discount_rate=discount_rate, seed=seed,
    )  # fmt: skip


def newcomers(
    model: str,
    *,
    out: Any,
    models: Any = "models",
    horizon: Any = 365,
    level: Any = (80, 95),
    what_if_texts: list[str] | None = None,
    margin: float = 1.0,
    seed: int = 0,
    **options: Any,
) -> Outcome:
    """What a customer is worth who is not one yet, with a saved model; it reads no orders."""
    parse_reference(model)
    sources = [
        Path(own) for own in (options.get("plan"), options.get("spend")) if isinstance(own, str | Path)
    ]
    protect([out], sources)
    scenarios = [read_scenario(text) for text in what_if_texts or []]
    own = load(Path(models) / model)
    table = own.newcomers(horizon, level, margin=margin, seed=seed, **options)
    changes = None
    if scenarios:
        changes = what_if(own, *scenarios, horizon=horizon, level=level, margin=margin, seed=seed)
        if not is_page(out):
            table = _with_changes(table, changes)
    days, name = int(table["horizon_days"].iloc[0]), f"{own.name}@{own.version}"
    head = (
        f"A customer won on the day after {own.as_of}, until {days} days after the first order, model {name}"
    )
    levels, currency = check_levels(level), own.provenance["currency"]
    told = newcomer_lines(table, levels, currency)
    told += payback_lines(table, currency) + plan_lines(table, levels, currency)
    if changes is not None:
        told += what_if_lines(changes, currency)
    parts = (own.purchases, own.spend)
    notes = [f"{f.spec.title} {f.verdict}." for f in parts if f is not None and not f.verdict.converged]
    if "planned_customers" in table:
        known = set(table.loc[table["planned_customers"].isna(), "group"])
        strange = sorted(set(table.loc[table["planned_customers"].notna(), "group"]) - known)
        if strange:
            notes.append(f"The plan names groups that the model has not seen: {', '.join(strange)}.")
    if is_page(out):
        facts = {
            "model": f"{name}: {own.title}", "as_of": own.as_of, "horizon": f"{days} days", "margin": margin,
            "discount rate": options.get("discount_rate", 0.0),
            **{key: own.provenance[key] for key in ("currency", "timezone", "value_policy", "fingerprint")},
        }  # fmt: skip
        values = None
        if own.spend is not None and days >= DAYS_PER_MONTH:
            values = value_by_age(
                own, days, margin=margin, discount_rate=options.get("discount_rate", 0.0), seed=seed
            )
        write_newcomers_page(table, values, changes, facts, out)
    else:
        write_table(table, out)
    data = {
        "model": name,
        "as_of": own.as_of,
        "horizon_days": days,
        "notes": notes,
        "newcomers": table.to_dict("records"),
        "what_if": None if changes is None else changes.to_dict("records"),
        "out": str(out),
    }
    return Outcome(data, [head, *told, *noted(notes), f"Wrote {out}"])


def _with_changes(table: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Scenarios as further rows; a column says which is which."""
    if "period" in table:
        raise ArgumentError(
            "a plan and a what-if do not fit into one table",
            advice="Ask for them one after the other, or for a page: --out newcomers.html.",
        )
    table = table.astype({"customers_observed": "Int64"})
    table.insert(0, "scenario", str(Scenario()))
    return pd.concat([table, changes[changes["scenario"] != str(Scenario())]], ignore_index=True)
