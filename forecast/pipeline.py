"""One function a verb: what the command line does, callable from anywhere.

Each takes plain arguments, writes whole files or none, and returns an :class:`Outcome`: data for a
machine and lines for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from forecast import activation
from forecast.errors import ArgumentError, InputError
from forecast.evaluation.backtest import backtest as run_backtest
from forecast.evaluation.choosing import ASKED
from forecast.fitting.priors import read_priors
from forecast.history import historical_clv
from forecast.model import load
from forecast.orders import Orders, read_orders
from forecast.orders.dialects import title_of
from forecast.orders.sufficiency import silence_notes, sufficiency
from forecast.periods import (
    check_fiscal_year_start,
    check_levels,
    check_seed,
    horizon_days,
    horizon_periods,
)
from forecast.predict import PortfolioTotals, score_table
from forecast.predict.spark import score_frames
from forecast.reports.terminal import (
    board_lines,
    history_lines,
    observed_payback_lines,
    parameter_lines,
    portfolio_lines,
    span_line,
)
from forecast.reports.writing import (
    BACKTEST_FILES,
    check_page_rows,
    history_files,
    is_page,
    write_backtest,
    write_history,
    write_scores,
    write_scores_page,
)
from forecast.store.artifacts import parse_reference
from forecast.store.guarding import output_folder, protect
from forecast.store.writing import write_table, write_text
from forecast.summary import GIVEN, GivenHistories, SparkHistories, histories_of
from forecast.summary.table import BATCH
from forecast.training import fit as fit_model

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What a verb did: ``data`` for ``--json``, ``lines`` for the terminal.

    A ``problem`` is for somebody to mend: it goes to stderr, and the command exits with 1.
    """

    data: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    problem: str | None = None


def read(source: Any, *, max_rejected: float | None = None, **options: Any) -> Orders:
    """Read orders; above ``max_rejected`` (a share of the rows that are not blank) they are refused.

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
    share = 0.0 if max_rejected is None else orders.reconciliation.lost_share
    if max_rejected is not None and share > max_rejected:
        raise InputError(
            f"{share:.2%} of the rows were rejected, more than the {max_rejected:.2%} allowed",
            advice="See forecast check --rejects for each of them.",
        )
    return orders


def facts(orders: Orders | GivenHistories | SparkHistories) -> dict[str, Any]:
    """What every output says of the orders or histories behind it."""
    if isinstance(orders, GIVEN):
        return {
            "customers": len(orders),
            "first_day": orders.first_day,
            "last_day": orders.last_day,
            "currency": orders.currency,
            "dialect": orders.dialect,
            "fingerprint": orders.fingerprint,
        }
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


def _notes(orders: Orders | GivenHistories | SparkHistories, as_of: Any) -> list[str]:
    """What was noticed: of orders a silence before ``as_of``, of histories also how they were read."""
    return list(orders.notes) if isinstance(orders, GIVEN) else silence_notes(orders, as_of)


def noted(notes: list[str]) -> list[str]:
    """Notes as lines for a person."""
    return [f"Note: {note}" for note in notes]


def check(orders: Orders, *, as_of: Any = None, rejects: Any = None, out: Any = None) -> Outcome:
    """Dialect, reconciliation and sufficiency verdict of an order log."""
    protect([rejects, out], orders.paths)
    verdict = sufficiency(orders, as_of)
    reconciliation = orders.reconciliation
    if rejects is not None:
        orders.write_rejects(rejects)
    if out is not None:
        if is_page(out):
            from forecast.reports.pages import check_page

            write_text(check_page(reconciliation, verdict, facts(orders)), out)
        else:
            write_table(reconciliation.to_frame(), out)
    used = ", ".join(f"{role} = {column}" for role, column in orders.mapping.items() if column)
    title = title_of(orders.dialect)
    lines = [f"Dialect {orders.dialect} ({title}); values are {orders.value_policy}; columns used: {used}"]
    lines += ["", str(reconciliation), "", str(verdict)]
    if orders.refusal is not None:
        lines += ["", *_months(orders)]
    lines += [f"Wrote {path}" for path in (rejects, out) if path is not None]
    data = {**facts(orders), "reconciliation": reconciliation.summary(), "sufficiency": verdict.to_dict()}
    data["sales"] = orders.sales().assign(month=lambda f: f["month"].dt.strftime("%Y-%m")).to_dict("records")
    return Outcome(data, lines)


def _months(orders: Orders) -> list[str]:
    """Sales by month as a small table."""
    return [
        f"{month:%Y-%m}  {n:>8,} orders  {value:>16,.2f} {orders.currency or ''}  {aov:>10,.2f} an order"
        for month, n, value, aov in orders.sales().itertuples(index=False)
    ]


def history(
    orders: Orders,
    *,
    as_of: Any = None,
    margin: float = 1.0,
    by: str | None = None,
    spend: Any = None,
    fiscal_year_start: int = 1,
    out: Any = None,
) -> Outcome:
    """Historical CLV: formula, per customer, cohorts, payback; the baseline."""
    names = history_files(by, spend is not None)
    folder = None if out is None else output_folder(out)
    if folder is not None:
        protect([folder / name for name in names], [*orders.paths, *([Path(spend)] if spend else [])])
    found = historical_clv(orders, as_of, margin=margin, by=by)
    notes = silence_notes(orders, as_of)
    summary = {**found.summary, "notes": notes}
    lines = history_lines(summary, orders.currency)
    payback = None
    if spend is not None:
        payback = found.payback(spend, fiscal_year_start=fiscal_year_start)
        lines += observed_payback_lines(payback, orders.currency)
        summary["payback"] = payback.to_dict("records")
    lines += noted(notes)
    if folder is not None:
        write_history(found, summary, folder, facts(orders), payback)
        lines.append(f"Wrote {folder}/{', '.join(names)}")
    return Outcome(summary, lines)


def fit(
    orders: Orders | GivenHistories | SparkHistories,
    name: str,
    *,
    models: Any = "models",
    as_of: Any = None,
    purchases: str | None = None,
    seasonal: str | None = None,
    spend: str | None = None,
    method: str = "laplace",
    priors: Any = None,
    by: str | None = None,
    covariates: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> Outcome:
    """Fit a model and save it as the next version of its name."""
    check_seed(seed)
    parse_reference(name)  # before the work: the name must stay inside the folder
    overrides = None if priors is None else read_priors(priors)
    options: dict[str, Any] = {
        "purchases": purchases,
        "seasonal": seasonal,
        "spend": spend,
        "method": method,
        "priors": overrides,
        "by": by,
        "covariates": covariates,
        "seed": seed,
        "progress": progress,
    }
    model = fit_model(orders, as_of, **options).save(Path(models) / name)
    path = Path(models) / str(model.name) / str(model.version)
    choice = model.provenance["choice"]
    told = [] if choice["reason"] == ASKED else ["", f"Choice: {choice['candidate']}: {choice['reason']}."]
    lines = [
        repr(model)[1:-1],
        "",
        *parameter_lines(model.summary()),
        *told,
        "",
        f"Verdict: {model.verdict}.",
    ]
    notes = _notes(orders, as_of)
    lines += noted(notes)
    lines.append(f"Saved as {model.name}@{model.version} in {path}")
    data = {
        "name": model.name,
        "version": model.version,
        "path": str(path),
        "verdict": model.verdict,
        "choice": choice,
        "parameters": {f.spec.name: f.parameters for f in (model.purchases, model.spend) if f is not None},
        "customers": model.provenance["customers"],
        "as_of": model.provenance["as_of"],
        "notes": notes,
    }
    return Outcome(data, lines)


def score(
    orders: Orders | GivenHistories | SparkHistories,
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
    klaviyo: Any = None,
    shopify: Any = None,
    progress: Progress | None = None,
) -> Outcome:
    """Forecast every customer with a saved model, block by block, and their total."""
    check_seed(seed)
    parse_reference(model)
    protect([out, klaviyo, shopify], orders.paths)
    makers = {klaviyo: activation.klaviyo, shopify: activation.shopify}
    makers.pop(None, None)
    for path in makers:
        activation.check_list(path)
    own = load(Path(models) / model)
    own.check(orders)
    kept = (by,) if by else ()
    histories = histories_of(orders, as_of, own.columns(kept))
    days = horizon_days(horizon, histories.as_of, fiscal_year_start)
    options: dict[str, Any] = {"levels": level, "margin": margin, "discount_rate": discount_rate}
    periods = horizon_periods(horizon, histories.as_of, fiscal_year_start)
    name = f"{own.name}@{own.version}"

    unseen = 0
    totals = PortfolioTotals(
        own.clv, histories.sizes(by), days=days, margin=margin, discount_rate=discount_rate, seed=seed
    )

    def tables() -> Iterator[pd.DataFrame]:
        nonlocal unseen
        done = 0
        there = None
        if isinstance(histories, SparkHistories):
            there = score_frames(histories, own.clv, BATCH, as_of=histories.as_of, days=days, **options)
        for frame in histories.batches(BATCH):
            unseen += own.unseen(frame)
            if there is None:
                table = score_table(own.clv, frame, as_of=histories.as_of, days=days, **options)
            else:
                table = next(there).set_index(frame.index)
            totals.add(frame, table, frame[by] if by else None)
            yield table.assign(**{name: frame[name] for name in kept})
            done += len(frame)
            if progress is not None:
                progress("customers scored", done, len(histories))

    check_page_rows(out, len(histories))
    lists: dict[Any, Any] = {}
    if makers:  # one file has one kind of id, whatever a block of it holds
        identity = activation.identity_of(frame["customer_id"] for frame in histories.batches(BATCH))
        lists = {path: partial(make, identity=identity) for path, make in makers.items()}
    whole = write_scores(tables(), out, lists)
    lines = totals.lines(check_levels(level), by)
    told = portfolio_lines(lines, check_levels(level), orders.currency)
    if whole is not None:
        write_scores_page(whole, lines, {**facts(orders), "model": name}, out)
    notes = _notes(orders, as_of)
    policy = own.provenance["value_policy"]
    if isinstance(orders, GivenHistories) and policy is not None:
        notes.append(f"Histories do not tell their value policy; that of {name} is {policy}.")
    if unseen:
        notes.append(
            f"{unseen:,} customers are of groups that {name} has not seen: forecast as a draw from all."
        )
    if own.clv.cut_offs is None:
        notes.append(f"{name} has no cut-offs, so tier, rfm and rfm_group are blank. Fit it again.")
    head = f"{len(histories):,} customers as of {histories.as_of}, next {days} days, model {name}"
    data = {
        "model": name,
        "as_of": histories.as_of,
        "horizon_days": days,
        "periods": [asdict(period) for period in periods],
        "customers": len(histories),
        "notes": notes,
        "portfolio": lines.to_dict("records"),
        "out": str(out),
        "lists": [str(path) for path in lists],
    }
    span = span_line(periods)
    spans = [] if span is None else [f"  horizon: {span}"]
    wrote = f"Wrote {', '.join(map(str, [out, *lists]))}"
    return Outcome(data, [head, *spans, *told, *noted(notes), wrote])


def backtest(
    orders: Orders,
    *,
    out: Any,
    as_of: Any = None,
    horizon: Any = 91,
    origins: int = 4,
    step: Any = None,
    candidates: Any = None,
    fiscal_year_start: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Rolling-origin backtest: board, forecasts and a page in a folder."""
    check_seed(seed)
    check_fiscal_year_start(fiscal_year_start)
    folder = output_folder(out)
    protect([folder / name for name in BACKTEST_FILES], orders.paths)
    silent = silence_notes(orders, as_of)
    found = run_backtest(
        orders if as_of is None else orders.until(as_of),
        horizon,
        origins,
        step,
        candidates=candidates,
        fiscal_year_start=fiscal_year_start,
        seed=seed,
        progress=progress,
    )
    write_backtest(found, folder, facts(orders))
    notes = [*(f"{note} The last window ends on {orders.last_day}." for note in silent), *found.notes]
    lines = [*board_lines(found), *noted(notes)]
    lines.append(f"Wrote {folder}/{', '.join(BACKTEST_FILES)}")
    data = {"summary": found.summary().to_dict("records"), "notes": notes, "out": str(folder)}
    return Outcome(data, lines)
