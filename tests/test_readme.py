"""The README is executed: every command, every line of Python, every number it claims of the demo."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import forecast
from forecast.cli import build_parser, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo").mkdir()
    forecast.cdnow().to_csv(folder / "demo" / "orders.csv", index=False)  # the tenth of the demo: sooner done
    return folder


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_command_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line]
    assert len(commands) == 11
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "forecast"
        assert main([*arguments, "--quiet"]) == 0, command


def test_every_line_of_python_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    scope: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102 - our own text
    assert set(scope["board"]["model"]) == {"bg-nbd", "naive"}


def test_the_numbers_of_the_demo(master_orders: forecast.Orders) -> None:
    found = forecast.backtest(master_orders, "1Q", 4, draws=300, candidates="bg-nbd,naive,formula").summary()
    orders = found[found["target"] == "orders"].set_index("model")
    said = re.search(
        r"BG/NBD's error of quarterly orders is ([\d.]+) %, the naive rule's ([\d.]+) %, the formula's (\d+) %",
        " ".join(README.split()),
    )
    assert said is not None
    assert [f"{orders.loc['bg-nbd', 'wape']:.1%}", f"{orders.loc['naive', 'wape']:.1%}"] == [
        f"{v}%" for v in said.groups()[:2]
    ]
    assert f"{orders.loc['formula', 'wape']:.0%}" == f"{said.group(3)}%"
    assert orders.loc["bg-nbd", "hit_rate"] == 0.0
    assert "hit in 0 of 4 quarters" in " ".join(README.split())


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_score_table_names_real_columns() -> None:
    from forecast.predict import SCORE_COLUMNS, SEGMENT_COLUMNS

    section = README.split("## What a score row says")[1].split("\n## ")[0]
    named = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
    for cell in named:
        for column in cell.split(", "):
            assert (
                column in (*SCORE_COLUMNS, *SEGMENT_COLUMNS)
                or "-lo-" in column
                or "-hi-" in column
                or column == "..."
            ), column


def test_the_newcomers_table_names_real_columns() -> None:
    section = README.split("## What a customer is worth whom you have not won yet")[1].split("\n## ")[0]
    orders = forecast.read_orders(forecast.cdnow("sample"), currency="USD")
    columns = set(forecast.fit(orders, "1997-09-30", purchases="bg-nbd", method="mle").newcomers())
    named = {
        column for cell in re.findall(r"^\| `([^`]+)`", section, re.MULTILINE) for column in cell.split(", ")
    }
    assert named - {"..."} <= columns
    assert {name for name in columns if "-lo-" not in name and "-hi-" not in name} - {"group"} <= named


def test_the_readme_promises_only_options_that_exist() -> None:
    known = {
        option for parser in _parsers() for action in parser._actions for option in action.option_strings
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def _parsers() -> list:
    top = build_parser()
    return [top, *top._subparsers._group_actions[0].choices.values()]


def test_the_changelog_has_its_heading() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "### Numbers that changed" in text
    assert f"## {forecast.__version__}" in text
