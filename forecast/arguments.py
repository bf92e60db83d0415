"""The grammar of the command line; only the standard library is imported, so ``--help`` answers at once."""

from __future__ import annotations

import argparse
from typing import Any


def _add_orders(parser: argparse.ArgumentParser, histories: bool = False) -> None:
    orders = parser.add_argument(
        "orders", nargs="+", metavar="ORDERS", default=[],
        help="CSV, TSV, Parquet, JSON or JSONL files, globs, an order store, or a database URL",
    )  # fmt: skip
    if histories:
        orders.required = False  # as "*" it would not be found behind an option
        _add_histories(parser)
    group = parser.add_argument_group("reading orders")
    _add_reading(group)
    _add_judging(group)
    _add_as_of(group)


def _add_histories(parser: argparse.ArgumentParser) -> None:
    """What can be given in place of orders."""
    group = parser.add_argument_group("histories in place of ORDERS")
    group.add_argument(
        "--histories", action="append", default=[], metavar="FILE",
        help="customer_id, frequency, recency, T and the like, one row a customer; takes --as-of and "
        "--currency of the options below; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--daily", action="append", default=[], metavar="FILE",
        help="with --histories: their repeat purchases by day (day, repeat_purchases), for a season",
    )  # fmt: skip
    parser.set_defaults(usage=parser)
    engine = parser.add_argument_group("where histories are made")
    engine.add_argument(
        "--engine", choices=["duckdb", "spark"], default="duckdb",
        help="spark: of Parquet or CSV, one row an order; needs clv-forecast[spark] and Java "
        "(default: duckdb)",
    )  # fmt: skip
    engine.add_argument(
        "--master", metavar="URL", help="with --engine spark: such as spark://host:7077, yarn or local[4]"
    )


_OF_ORDERS: dict[str, Any] = {
    "dialect": "auto", "query": None, "map": [], "timezone": None, "date_format": None, "rates": None,
    "status": [], "hash_ids": None, "value_policy": None, "zero_value": None, "exclude": "marketplace",
    "max_rejected": None,
}  # fmt: skip


_FILES_ALONE = ("query", "date_format", "rates", "status", "hash_ids", "exclude", "memory_limit")


def wrong_sources(options: argparse.Namespace) -> str | None:
    """What is wrong with the sources of a command that takes orders or histories; None if nothing is.

    Examples
    --------
    >>> wrong_sources(build_parser().parse_args(["fit", "--name", "shop"]))
    'ORDERS or --histories is needed'
    """
    if not hasattr(options, "histories"):
        return None
    if not options.orders and not options.histories:
        return "ORDERS or --histories is needed"
    if options.orders and options.histories:
        return "ORDERS and --histories are given: one of them is enough"
    if options.daily and not options.histories:
        return "--daily goes with --histories"
    if options.engine == "spark":
        if options.histories:
            return "--histories are made already: leave --engine out"
        given = [name for name in _FILES_ALONE if getattr(options, name) != _OF_ORDERS.get(name)]
        if options.dialect not in ("auto", "generic"):
            given.append("dialect")
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        return f"--engine spark reads plain tables of orders, without {flags}" if given else None
    if options.master is not None:
        return "--master goes with --engine spark"
    if not options.histories:
        return None
    given = [name for name, usual in _OF_ORDERS.items() if getattr(options, name) != usual]
    flags = ", ".join("--" + name.replace("_", "-") for name in given)
    return f"with --histories there are no orders to read: {flags}" if given else None


def _add_reading(group: Any) -> None:
    """How cells are read: all that an order store has to know."""
    group.add_argument(
        "--dialect", default="auto",
        help="auto, generic, shopify, magento, woocommerce, online-retail, olist, amazon, bol, "
        "zalando, or one "
        "kind of their exports such as shopify-csv (default: auto, told by the header)",
    )  # fmt: skip
    group.add_argument("--query", metavar="SELECT", help="with a database URL: one SELECT to read")
    group.add_argument(
        "--map", action="append", default=[], metavar="ROLE=COLUMN",
        help="customer_id, order_date, value, order_id, currency or items = COLUMN (empty: none); for a "
        "platform's export also total, email, cost, channel and the like; repeatable",
    )  # fmt: skip
    group.add_argument("--timezone", help="the shop's zone, such as Europe/Amsterdam")
    group.add_argument("--date-format", help="such as %%d/%%m/%%Y, epoch_s, epoch_ms or excel")
    group.add_argument("--currency", help="such as EUR")
    group.add_argument("--rates", metavar="FILE", help="rates of exchange: a CSV with currency,rate")
    group.add_argument(
        "--status", action="append", default=[], metavar="LABEL=MEANING",
        help="what a status of your own means: completed, pending, cancelled, refunded or test; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--hash-ids", metavar="SALT_FILE", help="replace e-mails and phones by pseudonyms while reading"
    )
    group.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="of the database that reads, such as 2GB; more waits in files",
    )


def _add_judging(group: Any) -> None:
    """What counts, and for how much."""
    group.add_argument(
        "--value-policy", choices=["net_sales", "gross_sales", "total_sales", "contribution", "value"],
        help="what an order is worth (default: net_sales for platforms, value for generic)",
    )  # fmt: skip
    group.add_argument(
        "--zero-value", choices=["keep", "drop"],
        help="orders of value 0 (default: drop for platforms, keep for generic)",
    )  # fmt: skip
    group.add_argument(
        "--exclude", default="marketplace", metavar="A,B,…",
        help="leave out marketplace, wholesale, employee, subscription orders; or none (default: "
        "marketplace)",
    )  # fmt: skip
    group.add_argument(
        "--max-rejected",
        type=float,
        metavar="SHARE",
        help="exit 1 above this share of rejected rows (blank rows aside)",
    )


def _add_as_of(group: Any) -> None:
    group.add_argument(
        "--as-of", metavar="DAY", help="last day that is known, inclusive (default: latest order day)"
    )


def _add_models(parser: argparse.ArgumentParser, default: str = "models") -> None:
    parser.add_argument(
        "--models", default=default, metavar="DIR", help="where models are kept (default: models)"
    )


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ledger", default="ledger", metavar="DIR", help="issued forecasts (default: ledger)"
    )


def _add_money(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margin", type=float, default=1.0, help="contribution margin as a share (default: 1.0)"
    )


def _add_output(parser: argparse.ArgumentParser, default: Any = False) -> None:
    parser.add_argument(
        "--json", action="store_true", default=default, help="machine-readable summary on stdout"
    )
    parser.add_argument("--quiet", action="store_true", default=default, help="print nothing but errors")


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of the command."""
    parser = argparse.ArgumentParser(
        prog="forecast",
        description="Customer-lifetime-value forecasts from an order log: baseline, model, scores, backtest.",
        epilog="example: forecast demo\nSee forecast COMMAND --help for each command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=text, epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    demo = command("demo", "The whole job on CDNOW's public order log.", "forecast demo --out demo")
    demo.add_argument("--out", default="demo", metavar="DIR", help="where to write (default: demo)")
    demo.add_argument("--seed", type=int, default=0, help="(default: 0)")
    _add_output(demo)

    check = command(
        "check", "Where every row and every unit of money went, and what the orders suffice for.",
        "forecast check orders.csv --currency EUR --rejects rejects.csv",
    )  # fmt: skip
    _add_orders(check)
    check.add_argument("--rejects", metavar="FILE", help="write rejected rows with file and row number")
    check.add_argument(
        "--out", metavar="FILE", help="write the reconciliation (.csv, .parquet, .json, .html)"
    )
    _add_output(check)

    history = command(
        "history",
        "Historical CLV: formula, per customer, cohorts.",
        "forecast history orders.csv --out history",
    )
    _add_orders(history)
    history.add_argument("--out", metavar="DIR", help="write a page, summary.json and tables")
    history.add_argument("--by", metavar="COLUMN", help="also by this column of the first order")
    history.add_argument("--spend", metavar="FILE", help="spent to win customers: period,[group],spend")
    history.add_argument("--fiscal-year-start", type=int, default=1, metavar="MONTH", help="(default: 1)")
    _add_money(history)
    _add_output(history)

    fit = command("fit", "Fit a model and save it.", "forecast fit orders.csv --name shop --as-of 2026-09-30")
    _add_orders(fit, histories=True)
    fit.add_argument("--name", required=True, help="name of the model")
    fit.add_argument(
        "--purchases",
        metavar="MODEL",
        help="auto, nbd, bg-nbd, mbg-nbd, pareto-nbd, bg-cnbd-K or mbg-cnbd-K (default: auto; with "
        "--histories bg-nbd)",
    )
    fit.add_argument(
        "--seasonal", choices=["auto", "yes", "no"], help="a seasonal clock (default: auto; no with a MODEL)"
    )
    fit.add_argument(
        "--method", default="laplace", choices=["laplace", "nuts", "mle"], help="(default: laplace)"
    )
    fit.add_argument("--priors", metavar="FILE", help="TOML file that overrides the weak priors")
    fit.add_argument(
        "--spend",
        choices=["auto", "repeat", "all", "mean"],
        help="what spend is learned from (default: auto; repeat with a MODEL)",
    )
    fit.add_argument("--by", metavar="COLUMN", help="partially pooled parameters for each of its groups")
    fit.add_argument(
        "--covariate",
        action="append",
        default=[],
        metavar="EFFECT=COLUMN",
        help="let a column of the first order act on rate, dropout or spend; may be given more than once",
    )
    fit.add_argument("--seed", type=int, default=0, help="(default: 0)")
    _add_models(fit)
    _add_output(fit)

    score = command(
        "score", "Forecast every customer with a saved model.",
        "forecast score orders.csv --model shop --horizon 365 --out scores.parquet",
    )  # fmt: skip
    _add_orders(score, histories=True)
    score.add_argument("--model", required=True, metavar="NAME[@VERSION]", help="a saved model")
    score.add_argument("--horizon", default="365", help="days (365) or quarters (4Q) (default: 365)")
    score.add_argument("--level", default="80,95", help="interval levels in percent (default: 80,95)")
    score.add_argument("--discount-rate", type=float, default=0.0, help="annual, as a share (default: 0.0)")
    score.add_argument("--by", metavar="COLUMN", help="keep this column of the first order; totals by it")
    score.add_argument("--seed", type=int, default=0, help="(default: 0)")
    score.add_argument("--fiscal-year-start", type=int, default=1, metavar="MONTH", help="(default: 1)")
    score.add_argument(
        "--out", required=True, metavar="FILE", help="write scores (.csv, .parquet, .json, .html)"
    )
    score.add_argument("--klaviyo", metavar="FILE", help="also write properties for Klaviyo (.csv)")
    score.add_argument("--shopify", metavar="FILE", help="also write tags and metafields for Shopify (.csv)")
    _add_money(score)
    _add_models(score)
    _add_output(score)

    newcomers = command(
        "newcomers", "What a customer is worth who is not one yet, from the first order on; by group.",
        "forecast newcomers --model shop --horizon 365 --out newcomers.csv",
    )  # fmt: skip
    newcomers.add_argument("--model", required=True, metavar="NAME[@VERSION]", help="a saved model")
    newcomers.add_argument("--horizon", default="365", help="days after the first order (default: 365)")
    newcomers.add_argument("--level", default="80,95", help="interval levels in percent (default: 80,95)")
    newcomers.add_argument("--discount-rate", type=float, default=0.0, help="annual, a share (default: 0.0)")
    newcomers.add_argument("--plan", metavar="FILE", help="customers planned: period,[group],customers")
    newcomers.add_argument("--spend", metavar="FILE", help="spent to win them: period,[group],spend")
    newcomers.add_argument(
        "--what-if", action="append", default=[], metavar="CHANGE",
        help="retention=5%%, orders=+1 (a year) or basket=10%%; may be repeated",
    )  # fmt: skip
    newcomers.add_argument("--fiscal-year-start", type=int, default=1, metavar="MONTH", help="(default: 1)")
    newcomers.add_argument("--seed", type=int, default=0, help="(default: 0)")
    newcomers.add_argument(
        "--out", required=True, metavar="FILE", help="write .csv, .parquet, .json or .html"
    )
    _add_money(newcomers)
    _add_models(newcomers)
    _add_output(newcomers)

    backtest = command(
        "backtest", "Compare models and simple rules on rolling origins.",
        "forecast backtest orders.csv --horizon 1Q --origins 4 --out backtest",
    )  # fmt: skip
    _add_orders(backtest)
    backtest.add_argument("--horizon", default="91", help="days (91) or quarters (1Q) (default: 91)")
    backtest.add_argument("--origins", type=int, default=4, help="number of cuts (default: 4)")
    backtest.add_argument("--step", help="days or quarters between cuts (default: the horizon)")
    backtest.add_argument("--candidates", metavar="A,B,…", help="models and rules (default: all)")
    backtest.add_argument("--seed", type=int, default=0, help="(default: 0)")
    backtest.add_argument("--fiscal-year-start", type=int, default=1, metavar="MONTH", help="(default: 1)")
    backtest.add_argument("--out", required=True, metavar="DIR", help="write board, forecasts and a page")
    _add_output(backtest)

    issue = command(
        "issue", "Freeze a forecast of the quarters ahead in the ledger.",
        "forecast issue orders.csv --model shop --quarters 4 --ledger ledger",
    )  # fmt: skip
    _add_orders(issue)
    issue.add_argument("--model", required=True, metavar="NAME[@VERSION]", help="a saved model")
    issue.add_argument("--quarters", type=int, default=4, help="whole quarters ahead (default: 4)")
    issue.add_argument(
        "--plan", metavar="FILE|none",
        help="customers to be won: period,[group],customers; none for a cohort that nobody joins "
        "(default: as in the same days of earlier years)",
    )  # fmt: skip
    issue.add_argument("--by", metavar="COLUMN", help="also lines by this column of the first order")
    issue.add_argument("--level", default="80,95", help="interval levels in percent (default: 80,95)")
    issue.add_argument("--supersedes", metavar="ID", help="the forecast of that day that this corrects")
    issue.add_argument("--seed", type=int, default=0, help="(default: 0)")
    issue.add_argument("--fiscal-year-start", type=int, default=1, metavar="MONTH", help="(default: 1)")
    _add_ledger(issue)
    _add_money(issue)
    _add_models(issue)
    _add_output(issue)

    compare = command(
        "compare", "Forecast vs actual: what was issued for a quarter beside what happened.",
        "forecast compare orders.csv --ledger ledger --quarter 2026Q3 --out review.html",
    )  # fmt: skip
    _add_orders(compare)
    compare.add_argument("--quarter", default="latest", help="such as 2026Q3 (default: latest that is over)")
    _add_ledger(compare)
    compare.add_argument(
        "--out", required=True, metavar="DIR|FILE", help="a folder for page and tables, or one file"
    )
    _add_output(compare)

    models = command(
        "models", "Saved models: list, show, verify, alias.", "forecast models alias shop@2 champion"
    )
    actions = models.add_subparsers(dest="action", metavar="ACTION")
    for name, text, example in (
        ("list", "All models and versions; exits with 1 when one is damaged.", "list --models models"),
        ("show", "A model's card.", "show shop"),
        ("verify", "Check a model against its checksums.", "verify shop@champion"),
        ("alias", "Give a version a name.", "alias shop@2 champion"),
    ):
        action = actions.add_parser(
            name, help=text, description=text, epilog=f"example: forecast models {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if name != "list":
            action.add_argument("reference", metavar="NAME[@VERSION]")
        if name == "alias":
            action.add_argument("alias", metavar="ALIAS")
        # A default here would undo what was said before the action.
        _add_models(action, argparse.SUPPRESS)
        _add_output(action, argparse.SUPPRESS)
    _add_models(models)
    _add_output(models)
    _add_store(command("orders", "The order store: add exports, list the loads, forget a customer.",
                       "forecast orders add orders_export.csv --store orders"))  # fmt: skip
    return parser


def _add_store(orders: argparse.ArgumentParser) -> None:
    """The order store's own verbs."""
    actions = orders.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text, example in (
        ("add", "Add an export as one more load; overlaps are welcome, a file that is there is left out.",
         "add exports/*.csv --store orders --timezone Europe/Amsterdam"),
        ("list", "The loads: files, rows, new and changed orders; exits with 1 when one is damaged.",
         "list --store orders"),
        ("forget", "Remove a person from all loads and from every issued forecast of the ledger.",
         "forget 1001 --store orders --ledger ledger"),
    ):  # fmt: skip
        action = actions.add_parser(
            name, help=text, description=text, epilog=f"example: forecast orders {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if name == "add":
            action.add_argument("orders", nargs="+", metavar="FILES", help="as ORDERS of the other commands")
            group = action.add_argument_group("reading orders")
            _add_reading(group)
            group.add_argument("--loaded", metavar="DAY", help="day of the export (default: today)")
        if name == "forget":
            action.add_argument("customer_id", metavar="CUSTOMER_ID", help="as in the scores, or the e-mail")
            action.add_argument(
                "--hash-ids", metavar="SALT_FILE", help="of a store with pseudonyms: its salt"
            )
            _add_ledger(action)
        action.add_argument("--store", required=True, metavar="DIR", help="the store's folder")
        _add_output(action)
