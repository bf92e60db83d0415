"""The command line: a thin shell around :mod:`forecast.pipeline`.

Only the standard library is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from forecast.arguments import build_parser, wrong_sources
from forecast.errors import ForecastError


def _mapping(pairs: list[str]) -> dict[str, str | None] | None:
    """Roles and their columns; an empty column says that there is none."""
    from forecast.errors import ArgumentError

    mapping: dict[str, str | None] = {}
    for pair in pairs:
        role, equals, column = pair.partition("=")
        if not equals or not role.strip():
            raise ArgumentError(
                f"--map {pair!r} is not understood",
                advice="Write --map value=COLUMN, or --map value= when there is no such column.",
            )
        mapping[role.strip()] = column.strip() or None
    return mapping or None


def _statuses(pairs: list[str]) -> dict[str, str] | None:
    """Labels and what they mean."""
    from forecast.errors import ArgumentError

    statuses = {}
    for pair in pairs:
        label, equals, meaning = pair.rpartition("=")
        if not equals or not label.strip():
            raise ArgumentError(
                f"--status {pair!r} is not understood", advice="Write --status LABEL=completed."
            )
        statuses[label.strip()] = meaning.strip()
    return statuses or None


def _read(options: argparse.Namespace, progress: Callable[[str, int, int], None] | None = None) -> Any:
    from forecast import pipeline

    if getattr(options, "engine", "duckdb") == "spark":
        return _summarise(options)
    if getattr(options, "histories", []):
        from forecast.receiving import read_histories

        return read_histories(
            options.histories, options.as_of, currency=options.currency, daily=options.daily or None,
            duckdb_config=_config(options),
        )  # fmt: skip
    return pipeline.read(
        _source(options),
        max_rejected=options.max_rejected,
        value_policy=options.value_policy,
        zero_value=options.zero_value,
        exclude=() if options.exclude == "none" else [e.strip() for e in options.exclude.split(",")],
        **_reading(options, progress),
    )


def _summarise(options: argparse.Namespace) -> Any:
    """Histories made by Spark, with the columns that the command needs."""
    from forecast.engines import read_with_spark

    o = options
    model = getattr(o, "model", None)
    asked = [columns for own in _covariates(getattr(o, "covariate", [])).values() for columns in own]
    return read_with_spark(
        o.orders, master=o.master, model=model, models=o.models, columns=[*([o.by] if o.by else []), *asked],
        mapping=_mapping(o.map), as_of=o.as_of, timezone=o.timezone, currency=o.currency,
        zero_value=o.zero_value, max_rejected=o.max_rejected,
    )  # fmt: skip


def _source(options: argparse.Namespace) -> Any:
    return options.orders[0] if len(options.orders) == 1 else options.orders


def _config(options: argparse.Namespace) -> dict[str, str] | None:
    return {"memory_limit": options.memory_limit} if options.memory_limit else None


def _reading(options: argparse.Namespace, progress: Callable[[str, int, int], None] | None) -> dict[str, Any]:
    """How cells are read, also those of a load of an order store."""
    return {
        "mapping": _mapping(options.map),
        "dialect": options.dialect,
        "timezone": options.timezone,
        "currency": options.currency,
        "date_format": options.date_format,
        "query": options.query,
        "rates": options.rates,
        "statuses": _statuses(options.status),
        "hash_ids": options.hash_ids,
        "duckdb_config": _config(options),
        "progress": progress,
    }


def _run(options: argparse.Namespace, progress: Callable[[str, int, int], None] | None) -> Any:
    from forecast import pipeline

    o = options
    if o.command == "demo":
        from forecast.demonstration import demo

        return demo(out=o.out, seed=o.seed, progress=progress)
    if o.command == "models":
        from forecast import shelving

        if o.action == "show":
            return shelving.models_show(o.reference, o.models)
        if o.action == "verify":
            return shelving.models_verify(o.reference, o.models)
        if o.action == "alias":
            return shelving.models_alias(o.reference, o.alias, o.models)
        return shelving.models_list(o.models)
    if o.command == "orders":
        from forecast import keeping

        if o.action == "add":
            return keeping.orders_add(_source(o), o.store, loaded=o.loaded, **_reading(o, progress))
        if o.action == "forget":
            return keeping.orders_forget(o.customer_id, o.store, ledger=o.ledger, hash_ids=o.hash_ids)
        return keeping.orders_list(o.store)
    if o.command == "newcomers":
        from forecast import acquiring

        return acquiring.newcomers(
            o.model, out=o.out, models=o.models, horizon=o.horizon, level=o.level, margin=o.margin,
            discount_rate=o.discount_rate, seed=o.seed, plan=o.plan, spend=o.spend,
            what_if_texts=o.what_if, fiscal_year_start=o.fiscal_year_start,
        )  # fmt: skip
    if progress is not None:
        progress("reading histories" if getattr(o, "histories", []) else "reading orders", 0, 0)
    orders = _read(o, progress)
    if o.command == "check":
        return pipeline.check(orders, as_of=o.as_of, rejects=o.rejects, out=o.out)
    if o.command == "history":
        return pipeline.history(
            orders, as_of=o.as_of, margin=o.margin, by=o.by, spend=o.spend,
            fiscal_year_start=o.fiscal_year_start, out=o.out,
        )  # fmt: skip
    if o.command == "fit":
        if progress is not None:
            progress("" if o.method == "nuts" else "fitting", 0, 0)  # the sampler has a bar of its own,
        with contextlib.redirect_stdout(sys.stderr):  # which PyMC 6 draws on stdout, where --json belongs
            return pipeline.fit(
                orders,
                o.name,
                models=o.models,
                as_of=o.as_of,
                purchases=o.purchases,
                seasonal=o.seasonal,
                spend=o.spend,
                method=o.method,
                priors=o.priors,
                by=o.by,
                covariates=_covariates(o.covariate),
                seed=o.seed,
                progress=progress is not None,
            )
    if o.command == "issue":
        from forecast import reviewing

        return reviewing.issue_forecast(
            orders, o.model, models=o.models, ledger=o.ledger, quarters=o.quarters, as_of=o.as_of,
            plan=o.plan, by=o.by, level=o.level, margin=o.margin, fiscal_year_start=o.fiscal_year_start,
            supersedes=o.supersedes, seed=o.seed, progress=progress,
        )  # fmt: skip
    if o.command == "compare":
        from forecast import reviewing

        known = orders if o.as_of is None else orders.until(o.as_of)
        return reviewing.compare_forecast(known, out=o.out, ledger=o.ledger, quarter=o.quarter)
    if o.command == "score":
        return pipeline.score(
            orders, o.model, out=o.out, models=o.models, as_of=o.as_of, horizon=o.horizon, level=o.level,
            margin=o.margin, discount_rate=o.discount_rate, by=o.by, seed=o.seed,
            fiscal_year_start=o.fiscal_year_start, klaviyo=o.klaviyo, shopify=o.shopify, progress=progress,
        )  # fmt: skip
    return pipeline.backtest(
        orders, out=o.out, as_of=o.as_of, horizon=o.horizon, origins=o.origins, step=o.step,
        candidates=o.candidates, fiscal_year_start=o.fiscal_year_start, seed=o.seed, progress=progress,
    )  # fmt: skip


def _covariates(given: list[str]) -> dict[str, list[str]]:
    """``rate=channel`` as ``{"rate": ["channel"]}``."""
    from forecast.errors import ArgumentError

    found: dict[str, list[str]] = {}
    for text in given:
        effect, sign, column = text.partition("=")
        if not sign or not effect or not column:
            raise ArgumentError(
                f"--covariate {text!r} is not understood", advice="Give EFFECT=COLUMN: rate=channel."
            )
        found.setdefault(effect, []).append(column)
    return found


@contextlib.contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on a terminal, which goes when there is no text; nothing when piped."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(text: str, done: int, total: int) -> None:
            if not text:
                bar.stop()
            bar.update(task, description=text, completed=done, total=total or None)

        yield show


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 1 a ForecastError, 2 usage, 130 interrupted.

    Examples
    --------
    >>> main(["--version"])
    clv-forecast 0.1.0
    0
    """
    parser = build_parser()
    options = parser.parse_args(argv)
    if (wrong := wrong_sources(options)) is not None:
        options.usage.error(wrong)
    if options.version:
        from forecast import __version__

        print(f"clv-forecast {__version__}")
        return 0
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with _progress(not options.quiet) as progress:
            outcome = _run(options, progress)
        if options.json:
            import json

            from forecast.store.atomic import plain

            print(json.dumps(plain(outcome.data), ensure_ascii=False, allow_nan=False))
        elif not options.quiet:
            print("\n".join(outcome.lines))
        if outcome.problem is not None:
            print(f"forecast: {outcome.problem}", file=sys.stderr)
            return 1
    except ForecastError as error:
        print(f"forecast: {error}", file=sys.stderr)
        return 1
    except BaseException as error:
        if type(error).__name__ == "OutOfMemoryException":  # of the database, which may not be loaded here
            print(
                "forecast: the database has no memory or room for temporary files left. "
                "Raise --memory-limit, or make room in the folder of temporary files (TMPDIR)",
                file=sys.stderr,
            )
            return 1
        if not _interrupted(error):
            raise
        print("forecast: interrupted", file=sys.stderr)
        return 130
    return 0


def _interrupted(error: BaseException) -> bool:
    """Whether somebody pressed Ctrl-C; the database says so in its own words."""
    return (
        isinstance(error, KeyboardInterrupt)
        or type(error).__name__ == "InterruptException"
        or (isinstance(error, RuntimeError) and str(error) == "Query interrupted")
    )
