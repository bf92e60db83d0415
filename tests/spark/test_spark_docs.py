"""The page on Spark is executed, as those on other sources are."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import forecast
from forecast.cli import main
from forecast.errors import ForecastError

PAGE = Path(__file__).parent.parent.parent / "docs" / "spark.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_every_command_and_line_of_python_runs(
    spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log = forecast.cdnow("sample").assign(
        channel=lambda f: f["customer_id"].str[-1].map(lambda d: "web" if d in "123" else "app")
    )
    log["order_date"] = pd.to_datetime(log["order_date"]) + pd.Timedelta(days=9497)
    pq.write_table(pa.Table.from_pandas(log, preserve_index=False), "orders.parquet")
    for command in "".join(blocks("sh")).splitlines():
        assert main(shlex.split(command)[1:]) == 0, command
    assert (tmp_path / "scores.parquet").is_file()
    (tmp_path / "scores.parquet").unlink()
    scope: dict[str, object] = {"spark": spark.newSession()}
    for block in blocks("python"):
        block = block.replace('"orders.parquet"', repr(str(tmp_path / "orders.parquet")))
        block = re.sub(
            r'parquet\("(histories|scores)"\)', lambda m: f"parquet({str(tmp_path / m[1])!r})", block
        )
        exec(compile(block, PAGE.name, "exec"), scope)  # noqa: S102 - our own text
    capsys.readouterr()
    assert len(pq.read_table(tmp_path / "scores")) == len(scope["histories"])


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(
        ForecastError, match=r'needs PySpark 4. Install it: pip install "clv-forecast\[spark\]"'
    ):
        forecast.spark.session()
    monkeypatch.setitem(sys.modules, "pyspark", forecast)
    with pytest.raises(ForecastError, match="Spark needs Java 17 or newer"):
        forecast.spark.session("local[1]")
    for path in ("orders.json", "sqlite:///shop.db", "orders.xlsx"):
        with pytest.raises(ForecastError, match="reads Parquet, or CSV with commas"):
            forecast.spark.read(path)


def test_wrong_options_are_a_matter_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        "fit o.parquet --name x --master local": "--master goes with --engine spark",
        "fit o.parquet --name x --engine spark --dialect shopify": "plain tables of orders, without --dialect",
        "fit o.parquet --name x --engine spark --date-format excel": "without --date-format",
        "fit --histories h.csv --name x --engine spark": "leave --engine out",
    }
    for command, message in cases.items():
        with pytest.raises(SystemExit, match="2"):
            main(shlex.split(command))
        assert message in capsys.readouterr().err
