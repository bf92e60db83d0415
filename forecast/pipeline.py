"""One function a verb: what the command line does, callable from anywhere.

Each takes plain arguments, writes whole files or none, and returns an :class:`Outcome`: data for a
machine and lines for a person.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.evaluation.backtest import Backtest
from forecast.evaluation.backtest import backtest as run_backtest
from forecast.fitting.priors import read_priors
from forecast.history import historical_clv
from forecast.model import fit as fit_model
from forecast.model import load
from forecast.orders import Orders, read_orders
from forecast.orders.sufficiency import sufficiency
from forecast.periods import check_levels, horizon_days
from forecast.predict import portfolio_totals, score_table
from forecast.reports.terminal import board_lines, money, parameter_lines, portfolio_lines
from forecast.store.artifacts import (
    list_artifacts,
    load_artifact,
    parse_reference,
    set_alias,
    verify_artifact,
)
from forecast.store.writing import TableWriter, write_json, write_table, write_text
from forecast.summary import purchase_histories

Progress = Callable[[str, int, int], None]
_BATCH = 262_144


@dataclass(frozen=True)
class Outcome:
    """What a verb did: ``data`` for ``--json``, ``lines`` for the terminal."""

    data: dict[str, Any]
    lines: list[str] = field(default_factory=list)


def read(source: Any, *, max_rejected: float | None = None, **options: Any) -> Orders:
    """Read orders; above ``max_rejected`` (a share of rows) they are refused.

    Raises
    ------
    InputError
        When more rows are rejected than allowed, or as :func:`forecast.read_orders`.
    ArgumentError
        When the share is outside 0 to 1.
    """
    if max_rejected is not None and not 0 <= max_rejected <= 1:
        raise ArgumentError(f"max_rejected is {max_rejected:g}", advice="Give a share: 0.05 for 5 %.")
    orders = read_orders(source, **options)
    share = orders.reconciliation.rejected_share
    if max_rejected is not None and share > max_rejected:
        raise InputError(
            f"{share:.2%} of the rows were rejected, more than the {max_rejected:.2%} allowed",
            advice="See forecast check --rejects for each of them.",
        )
    return orders


def _facts(orders: Orders) -> dict[str, Any]:
    return {
        "orders": len(orders),
        "customers": orders.customers,
        "first_day": orders.first_day,
        "last_day": orders.last_day,
        "currency": orders.currency,
        "timezone": orders.timezone,
        "value_policy": orders.value_policy,
        "zero_value": orders.zero_value,
        "dialect": orders.dialect,
        "mapping": orders.mapping,
        "fingerprint": orders.fingerprint,
    }


def check(orders: Orders, *, as_of: Any = None, rejects: Any = None, out: Any = None) -> Outcome:
    """Dialect, reconciliation and sufficiency verdict of an order log."""
    verdict = sufficiency(orders, as_of)
    reconciliation = orders.reconciliation
    if rejects is not None:
        orders.write_rejects(rejects)
    if out is not None:
        if str(out).lower().endswith((".html", ".htm")):
            from forecast.reports.pages import check_page

            write_text(check_page(reconciliation, verdict, _facts(orders)), out)
        else:
            write_table(reconciliation.to_frame(), out)
    used = ", ".join(f"{role} = {column}" for role, column in orders.mapping.items() if column)
    lines = [f"Dialect {orders.dialect}; columns used: {used}", "", str(reconciliation), "", str(verdict)]
    lines += [f"Wrote {path}" for path in (rejects, out) if path is not None]
    data = {**_facts(orders), "reconciliation": reconciliation.summary(), "sufficiency": verdict.to_dict()}
    return Outcome(data, lines)


def history(
    orders: Orders, *, as_of: Any = None, margin: float = 1.0, by: str | None = None, out: Any = None
) -> Outcome:
    """Historical CLV: formula, per customer, cohorts; the baseline."""
    found = historical_clv(orders, as_of, margin=margin, by=by)
    summary = found.summary
    currency = orders.currency
    lines = [
        f"Historical CLV as of {summary['as_of']}, {summary['customers']:,} customers",
        f"  revenue {money(summary['revenue'], currency)} from {summary['orders']:,} orders",
        f"  average order value {money(summary['aov'], currency)}, "
        f"{summary['purchase_frequency']:.2f} orders per customer and year, "
        f"lifespan {summary['lifespan_years']:.2f} years",
        f"  formula CLV {money(summary['formula_clv'], currency)}; repeat rate {summary['repeat_rate']:.1%}",
    ]
    if out is not None:
        from forecast.reports.pages import history_page

        folder = Path(out)
        write_json(summary, folder / "summary.json")
        write_table(found.customers, folder / "customers.parquet")
        write_table(found.cohorts, folder / "cohorts.parquet")
        if found.by is not None:
            write_table(found.by, folder / "by.parquet")
        write_text(history_page(found, _facts(orders)), folder / "history.html")
        lines.append(f"Wrote {folder}/history.html, summary.json, customers.parquet, cohorts.parquet")
    return Outcome(dict(summary), lines)


def fit(
    orders: Orders,
    name: str,
    *,
    models: Any = "models",
    as_of: Any = None,
    purchases: str = "bg-nbd",
    method: str = "laplace",
    priors: Any = None,
    seed: int = 0,
) -> Outcome:
    """Fit a model and save it as the next version of its name."""
    parse_reference(name)  # before the work: the name must stay inside the folder
    overrides = None if priors is None else read_priors(priors)
    options: dict[str, Any] = {"purchases": purchases, "method": method, "priors": overrides, "seed": seed}
    model = fit_model(orders, as_of, **options).save(Path(models) / name)
    path = Path(models) / str(model.name) / str(model.version)
    lines = [repr(model)[1:-1], "", *parameter_lines(model.summary()), "", f"Verdict: {model.verdict}."]
    lines.append(f"Saved as {model.name}@{model.version} in {path}")
    data = {
        "name": model.name,
        "version": model.version,
        "path": str(path),
        "verdict": model.verdict,
        "parameters": {f.spec.name: f.parameters for f in (model.purchases, model.spend) if f is not None},
        "customers": model.provenance["customers"],
        "as_of": model.provenance["as_of"],
    }
    return Outcome(data, lines)


def score(
    orders: Orders,
    model: str,
    *,
    out: Any,
    models: Any = "models",
    as_of: Any = None,
    horizon: Any = 365,
    level: Any = (80, 95),
    margin: float = 1.0,
    discount_rate: float = 0.0,
    by: str | None = None,
    seed: int = 0,
    fiscal_year_start: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """Forecast every customer with a saved model, block by block, and their total."""
    parse_reference(model)
    own = load(Path(models) / model)
    own.check(orders)
    histories = purchase_histories(orders, as_of, by or ())
    days = horizon_days(horizon, histories.as_of, fiscal_year_start)
    options: dict[str, Any] = {"levels": level, "margin": margin, "discount_rate": discount_rate}
    done = 0
    with TableWriter(out) as writer:
        for frame in histories.batches(_BATCH):
            table = score_table(own.clv, frame, as_of=histories.as_of, days=days, **options)
            writer.write(_with_days(table.assign(**{name: frame[name] for name in histories.by})))
            done += len(frame)
            if progress is not None:
                progress("customers scored", done, len(histories))
    lines = portfolio_totals(own.clv, histories.to_frame(), days=days, by=by, seed=seed, **options)
    told = portfolio_lines(lines, check_levels(level), orders.currency)
    name = f"{own.name}@{own.version}"
    head = f"{len(histories):,} customers as of {histories.as_of}, next {days} days, model {name}"
    data = {
        "model": name,
        "as_of": histories.as_of,
        "horizon_days": days,
        "customers": len(histories),
        "portfolio": lines.to_dict("records"),
        "out": str(out),
    }
    return Outcome(data, [head, *told, f"Wrote {out}"])


def _with_days(table: pd.DataFrame) -> Any:
    """The table for writing: days as days, not as midnights."""
    import pyarrow as pa

    found = pa.Table.from_pandas(table, preserve_index=False)
    for name in ("as_of", "first_purchase", "last_purchase"):
        place = found.schema.get_field_index(name)
        found = found.set_column(place, name, found.column(name).cast(pa.date32()))
    return found.replace_schema_metadata(None)


def backtest(
    orders: Orders,
    *,
    out: Any,
    horizon: Any = 91,
    origins: int = 4,
    step: Any = None,
    candidates: Any = None,
    fiscal_year_start: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Rolling-origin backtest: board, forecasts and a page in a folder."""
    found = run_backtest(
        orders,
        horizon,
        origins,
        step,
        candidates=candidates,
        fiscal_year_start=fiscal_year_start,
        seed=seed,
        progress=progress,
    )
    folder = Path(out)
    write_backtest(found, folder, _facts(orders))
    lines = [*board_lines(found), *(f"Note: {note}" for note in found.notes)]
    lines.append(f"Wrote {folder}/backtest.parquet, forecasts.parquet, backtest.html")
    data = {"summary": found.summary().to_dict("records"), "notes": found.notes, "out": str(folder)}
    return Outcome(data, lines)


def write_backtest(found: Backtest, folder: Path, facts: Mapping[str, Any]) -> None:
    """The board, the forecasts and the page."""
    from forecast.reports.pages import backtest_page

    write_table(found.board, folder / "backtest.parquet")
    write_table(found.forecasts, folder / "forecasts.parquet")
    write_text(backtest_page(found, title="Backtest", facts=dict(facts)), folder / "backtest.html")


def models_list(models: Any = "models") -> Outcome:
    """All saved models and versions."""
    rows = list_artifacts(models)
    lines = [
        f"{row['name']}@{row['version']}"
        + (f" ({', '.join(row['aliases'])})" if row.get("aliases") else "")
        + f"  {row.get('model', '')} as of {row.get('as_of', '?')}, {row.get('customers', '?')} customers"
        + (f"  PROBLEM: {row['problem']}" if row.get("problem") else "")
        for row in rows
    ]
    return Outcome({"models": rows}, lines or [f"No models in {models}"])


def models_show(reference: str, models: Any = "models") -> Outcome:
    """A model's card."""
    artifact = load_artifact(models, reference)
    return Outcome(
        {"name": artifact.name, "version": artifact.version, **artifact.payload}, artifact.card.splitlines()
    )


def models_verify(reference: str, models: Any = "models") -> Outcome:
    """Check every byte of a saved model against its checksums."""
    artifact = verify_artifact(models, reference)
    return Outcome(
        {"name": artifact.name, "version": artifact.version, "verified": True},
        [f"{artifact.name}@{artifact.version} is whole"],
    )


def models_alias(reference: str, alias: str, models: Any = "models") -> Outcome:
    """Give a version a name, such as champion."""
    saved = set_alias(models, reference, alias)
    return Outcome(
        {"name": saved.name, "version": saved.version, "alias": alias},
        [f"{saved.name}@{alias} is now version {saved.version}"],
    )


def demo(*, out: Any = "demo", seed: int = 0, progress: Progress | None = None) -> Outcome:
    """The whole job on CDNOW's master log: baseline, forecast, backtest, saved model and one page."""
    from forecast.datasets import cdnow
    from forecast.reports.pages import demo_page

    folder = Path(out)
    done = itertools.count()

    def step(text: str) -> None:
        if progress is not None:
            progress(text, next(done), 6)

    step("reading CDNOW's 69,659 order lines")
    write_table(cdnow("master"), folder / "orders.csv")
    orders = read_orders(folder / "orders.csv", currency="USD")
    step("historical CLV")
    past = historical_clv(orders)
    baseline = history(orders, out=folder / "history")
    step("fitting BG/NBD and Gamma-Gamma")
    fitted = fit(orders, "cdnow", models=folder / "models")
    model = load(folder / "models" / "cdnow")
    step("scoring 23,570 customers")
    scored = score(orders, "cdnow", models=folder / "models", out=folder / "scores.parquet", seed=seed)
    scores = pd.read_parquet(folder / "scores.parquet")
    portfolio = pd.DataFrame(scored.data["portfolio"])
    step("backtesting four quarters against simple rules")
    found = run_backtest(orders, "1Q", 4, seed=seed)
    facts = _facts(orders)
    write_backtest(found, folder / "backtest", facts)
    step("drawing the page")
    page = demo_page(
        history=past,
        model=model,
        scores=scores,
        portfolio=portfolio,
        backtest=found,
        reconciliation=orders.reconciliation,
        facts=facts,
    )
    write_text(page, folder / "index.html")
    step("done")
    best = found.summary().query("target == 'orders'").iloc[0]
    lines = [
        "CDNOW, 23,570 customers: from an order log to a forecast",
        "",
        *baseline.lines,
        "",
        *fitted.lines[2:-1],
        "",
        *scored.lines[:-1],
        "",
        *board_lines(found),
        f"Smallest error of quarterly orders: {best['model']} ({best['wape']:.1%}).",
        "Intervals of totals hold chance only; the hits show how often that was enough.",
        "",
        f"Scores      {folder}/scores.parquet",
        f"Model       {folder}/models/cdnow",
        f"Backtest    {folder}/backtest/backtest.html",
        f"Open this:  {folder}/index.html",
    ]
    data = {
        "history": baseline.data,
        "fit": fitted.data,
        "score": scored.data,
        "page": str(folder / "index.html"),
    }
    return Outcome({**data, "backtest": found.summary().to_dict("records")}, lines)
