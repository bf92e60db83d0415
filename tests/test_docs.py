"""The pages of docs/ are executed: every command, every line of Python, every output and message they show.

Blocks of ``sh`` have to succeed. Blocks of ``console`` show a command and lines of its output; blocks of
``text`` show lines of what the commands of their page print, up to their numbers, which are a made-up shop's.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import forecast
from forecast.cli import build_parser, main
from forecast.orders.codes import COMPONENTS, MEANINGS, MERGED, REJECTED, USED
from forecast.orders.reconciliation import BRIDGE

DOCS = Path(__file__).parent.parent / "docs"
FIXTURES = Path(__file__).parent / "orders" / "fixtures"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
# The guide of the synthetic shop is executed beside the tests of that shop, Spark's where there is a Spark.
READING = [name for name in PAGES if name not in ("synthetic-shop.md", "spark.md")]
EXPORTS = ("shopify-csv", "magento-grid", "magento-tables", "woocommerce-tables", "woocommerce-csv")
SMALL_LOGS = {
    "log.csv": "customer_id,order_date,value\na,2024-01-31,10\nb,2024-02-01,20\na,2024-03-01,30\n",
    "ambiguous.csv": "customer,date,amount\na,03/04/2024,10\nb,05/06/2024,20\n",
    "stamps.csv": "customer,date,amount\na,2024-03-31 23:30:00,10\nb,2024-04-01 10:00:00,20\n",
    "signs.csv": "customer,date,amount\na,2024-03-31,€1.50\nb,2024-04-01,€2.50\n",
    "wrong.csv": "customer_id,frequency,recency,T\na,2,30,40\na,1,50,40\n",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    for path in FIXTURES.iterdir():
        shutil.copy(path, folder)
    shutil.copy(FIXTURES / "generic_semicolon_decimal_comma_cp1252.csv", folder / "kunden.csv")
    for name, text in SMALL_LOGS.items():
        (folder / name).write_text(text, "utf-8")
    shop = forecast.synthetic_shop(1000, seed=7)
    for dialect in EXPORTS:
        shop.export(dialect, folder)
    summarise_as_shown(folder)
    with sqlite3.connect(folder / "shop.db") as database:
        for table in ("sales_order", "sales_creditmemo"):
            frame = pd.read_csv(
                FIXTURES / f"magento_{table}.csv", dtype=str, na_values=["\\N"], keep_default_na=False
            )
            frame.to_sql(table, database, index=False)
    database.close()
    return folder


def summarise_as_shown(folder: Path) -> None:
    """What the statements of the page about warehouses make of a shop's orders."""
    orders = forecast.read_orders(folder / "order_export.csv", timezone="Europe/Amsterdam")
    with duckdb.connect() as warehouse:
        warehouse.register("frame", orders.to_frame())
        warehouse.execute(
            "CREATE TABLE orders AS SELECT * REPLACE (CAST(order_day AS DATE) AS order_day) FROM frame"
        )
        for name, statement in zip(
            ("histories.parquet", "daily.csv"), blocks("warehouse.md", "sql"), strict=True
        ):
            warehouse.execute(f"COPY ({statement}) TO '{folder / name}'")


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def plain(line: str) -> str:
    return " ".join(line.split())


def numberless(line: str) -> str:
    return re.sub(r"-?[0-9][0-9,.]*", "9", plain(line))


def assert_shown(block: str, output: str, form) -> None:
    """Every line of a block is one of the output, in its order; ``...`` stands for what is left out."""
    lines = iter([form(line) for line in output.splitlines()])
    for shown in block.splitlines():
        begin = form(shown.removesuffix("..."))
        if begin:
            whole = not shown.endswith("...")
            assert any(line == begin if whole else line.startswith(begin) for line in lines), shown


def run(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    program, *arguments = shlex.split(command)
    assert program == "forecast"
    code = main(arguments)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


@pytest.mark.parametrize("page", READING)
def test_every_command_runs(
    page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    outputs = []
    for command in "".join(blocks(page, "sh")).splitlines():
        code, output = run(command, capsys)
        assert code == 0, (command, output)
        outputs.append(output)
    for block in blocks(page, "text"):
        head = block.splitlines()[0]
        named = next(o for o in outputs if numberless(o).startswith(numberless(head.removesuffix("..."))))
        assert_shown(block, named, numberless)
    for block in blocks(page, "console"):
        command, _, shown = block.removeprefix("$ ").partition("\n")
        code, output = run(command, capsys)
        assert code == shown.startswith("forecast:"), command
        assert_shown(shown, output, plain)


@pytest.mark.parametrize("page", [page for page in READING if blocks(page, "python")])
def test_every_line_of_python_runs(page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    scope: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), scope)  # noqa: S102 - our own text
    assert len(scope["histories" if page == "warehouse.md" else "orders"])


def test_the_statements_shown_are_those_that_are_given() -> None:
    given = [
        forecast.histories_sql("orders", "2024-12-31", by="country"),
        forecast.daily_sql("orders", "2024-12-31"),
    ]
    assert blocks("warehouse.md", "sql") == given


def test_the_commands_of_the_readme_run(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    section = (DOCS.parent / "README.md").read_text("utf-8").split("## From your shop's export")[1]
    commands = re.findall(r"^    (forecast check [^#]*)", section.split("\n## ")[0], re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        assert run(command, capsys)[0] == 0, command


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text("utf-8")):
        assert (DOCS / target).exists(), target


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    assert all(f"({page})" in index for page in PAGES if page != "README.md")


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every option of the command and, for `orders add` as well, of the commands inside it."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _options(inner)


def test_pages_promise_only_options_that_exist() -> None:
    known = set(_options(build_parser()))
    for page in (*READING, "spark.md"):
        text = (DOCS / page).read_text("utf-8")
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known, page


def test_codes_are_all_explained_in_their_own_words() -> None:
    text = (DOCS / "codes.md").read_text("utf-8")
    found = {}
    for section in ("Used and merged", "Left out of the value", "Rejected", "The bridge"):
        part = text.split(f"## {section}")[1].split("\n## ")[0]
        found[section] = re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", part, re.MULTILINE)
    assert dict(found["Used and merged"]) == {USED: MEANINGS[USED], **MERGED}
    assert found["Left out of the value"] == list(COMPONENTS.items())
    assert found["Rejected"] == list(REJECTED.items())
    assert found["The bridge"] == list(BRIDGE.items())
