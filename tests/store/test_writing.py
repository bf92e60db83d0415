"""Outputs are whole or absent, safe to open in a spreadsheet, and the same on every run."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArgumentError, InputError, StoreError
from forecast.store import atomic
from forecast.store.writing import TableWriter, write_bytes, write_json, write_table, write_text

FRAME = pd.DataFrame(
    {
        "customer_id": ["0007", "=SUM(A1)", "+1", "-1", "@x", "\tx", "\rx", 'a "b", c', "", None],
        "value": [-1.5, 0.1, 1 / 3, np.nan, 1e20, 25.0, 3.0, 4.0, 5.0, 6.0],
        "frequency": np.arange(10) - 1,
        "as_of": pd.to_datetime(["1997-09-30"] * 9 + [None]),
        "flag": [True, False] * 5,
    }
)
WRITERS = {
    "text": lambda path: write_text("new", path.with_suffix(".txt")),
    "bytes": lambda path: write_bytes(b"new", path.with_suffix(".txt")),
    "json": lambda path: write_json({"a": 1}, path.with_suffix(".json")),
    "csv": lambda path: write_table(FRAME, path.with_suffix(".csv")),
    "parquet": lambda path: write_table(FRAME, path.with_suffix(".parquet")),
    "jsonl": lambda path: write_table(FRAME, path.with_suffix(".jsonl")),
}


def _refuse(*args: object, **kwargs: object) -> None:
    raise OSError("the disk is full")


@pytest.mark.parametrize("broken", ["replace", "fsync"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, broken: str
) -> None:
    written = WRITERS[writer](tmp_path / "out")
    written.write_bytes(b"old")
    monkeypatch.setattr(os, broken, _refuse)
    with pytest.raises(StoreError, match=r"cannot be written: the disk is full\. Check folder"):
        WRITERS[writer](tmp_path / "out")
    assert written.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [written.name]


@pytest.mark.parametrize("writer", WRITERS)
def test_writes_are_repeatable_and_make_folders(tmp_path: Path, writer: str) -> None:
    first = WRITERS[writer](tmp_path / "new" / "deep" / "out").read_bytes()
    assert WRITERS[writer](tmp_path / "new" / "deep" / "out").read_bytes() == first
    assert len(list((tmp_path / "new" / "deep").iterdir())) == 1


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "jsonl"])
def test_an_error_between_blocks_leaves_nothing(tmp_path: Path, ending: str) -> None:
    def write() -> None:
        with TableWriter(tmp_path / f"out.{ending}") as writer:
            writer.write(FRAME)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        assert write_text("x", tmp_path / "a").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


def test_a_link_stays_a_link_and_a_folder_is_refused(tmp_path: Path) -> None:
    write_text("old", tmp_path / "real.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text("new", tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    with pytest.raises(ArgumentError, match="the output is not a file"):
        write_text("x", tmp_path)


def test_csv_is_injection_safe_and_leaves_numbers_alone(tmp_path: Path) -> None:
    lines = write_table(FRAME, tmp_path / "out.csv").read_bytes().decode().split("\n")
    assert lines[0] == "customer_id,value,frequency,as_of,flag"
    assert lines[1] == "0007,-1.5,-1,1997-09-30,true"
    assert lines[2:7] == [
        "'=SUM(A1),0.1,0,1997-09-30,false",
        "'+1,0.3333333333333333,1,1997-09-30,true",
        "'-1,,2,1997-09-30,false",
        "'@x,1e+20,3,1997-09-30,true",
        "'\tx,25,4,1997-09-30,false",
    ]
    assert lines[7].startswith('"\'\rx",3')
    assert lines[8].startswith('"a ""b"", c",4')
    assert lines[9].startswith('"",5')
    assert lines[10:] == [",6,8,,false", ""]


def test_header_and_categories_are_guarded_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=cmd": pd.Categorical(["-x", "01"])})
    assert write_table(frame, tmp_path / "out.csv").read_text() == "'=cmd\n'-x\n01\n"


def test_a_single_empty_column_keeps_its_rows(tmp_path: Path) -> None:
    path = write_table(pd.DataFrame({"a": [1.0, None, 3.0]}), tmp_path / "out.csv")
    assert path.read_text() == 'a\n1\n""\n3\n'
    assert len(pd.read_csv(path)) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_csv_round_trips_text_and_floats(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.mktemp("csv") / "out.csv"
    frame = pd.DataFrame(rows, columns=["text", "number"])
    write_table(frame, path)
    with path.open(newline="", encoding="utf-8") as stream:
        back = list(csv.reader(stream))[1:]
    for (text, number), (text_back, number_back) in zip(rows, back, strict=True):
        expected = f"'{text}" if text[:1] in tuple("=+-@\t\r") and text else text
        assert text_back == expected
        assert float(number_back) == number


def test_times_of_day_are_kept_and_zones_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2026-01-01 12:30", "2026-01-02 00:00"]), "n": [1, 2]})
    frame["z"] = frame["t"].dt.tz_localize("UTC")
    lines = write_table(frame, tmp_path / "out.csv").read_text().splitlines()
    assert lines[1:] == [
        "2026-01-01T12:30:00,1,2026-01-01T12:30:00+0000",
        "2026-01-02T00:00:00,2,2026-01-02T00:00:00+0000",
    ]


def test_json_forms(tmp_path: Path) -> None:
    frame = FRAME[["customer_id", "value", "as_of"]].iloc[[0, 1, 3]]
    expected = [
        {"customer_id": "0007", "value": -1.5, "as_of": "1997-09-30"},
        {"customer_id": "=SUM(A1)", "value": 0.1, "as_of": "1997-09-30"},
        {"customer_id": "-1", "value": None, "as_of": "1997-09-30"},
    ]
    assert json.loads(write_table(frame, tmp_path / "out.json").read_text()) == expected
    lines = write_table(frame, tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert write_table(frame.iloc[:0], tmp_path / "none.json").read_text() == "[]\n"


def test_parquet_round_trip_and_row_groups(tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(pd.read_parquet(write_table(FRAME, tmp_path / "a.parquet")), FRAME)
    with TableWriter(tmp_path / "b.parquet") as writer:
        writer.write(FRAME.iloc[:4])
        writer.write(pa.Table.from_pandas(FRAME.iloc[4:], preserve_index=False))
    assert writer.rows == 10
    assert pq.ParquetFile(tmp_path / "b.parquet").num_row_groups == 2
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "b.parquet"), FRAME)


def test_blocks_and_whole_tables_give_the_same_file(tmp_path: Path) -> None:
    frame = FRAME.drop(columns="as_of")
    for ending in ("csv", "json", "jsonl"):
        whole = write_table(frame, tmp_path / f"whole.{ending}").read_bytes()
        with TableWriter(tmp_path / f"blocks.{ending}") as writer:
            for start in range(0, 10, 3):
                writer.write(frame.iloc[start : start + 3])
        assert (tmp_path / f"blocks.{ending}").read_bytes() == whole


def test_streams_and_columns_in_another_order(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    path = write_table(
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()), tmp_path / "s.csv"
    )
    assert path.read_text() == "a,b\n1,x\n2,y\n"
    with TableWriter(path, table.schema) as writer:
        writer.write(table.to_batches()[0].select(["b", "a"]))
    assert path.read_text() == "a,b\n1,x\n2,y\n"


def test_polars_frames_with_categories(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["x", "=1", None], "n": [1.5, None, float("nan")]})
    frame = frame.with_columns(c=pl.Series(["u", "v", "u"], dtype=pl.Categorical))
    assert write_table(frame, tmp_path / "a.csv").read_text() == "a,n,c\nx,1.5,u\n'=1,,v\n,,u\n"
    records = json.loads(write_table(frame, tmp_path / "a.json").read_text())
    assert records[1:] == [{"a": "=1", "n": None, "c": "v"}, {"a": None, "n": None, "c": "u"}]
    assert pd.read_parquet(write_table(frame, tmp_path / "a.parquet"))["c"].tolist() == ["u", "v", "u"]


def test_nested_and_decimal_values_in_json(tmp_path: Path) -> None:
    table = pa.table(
        {"l": [[1, 2], []], "d": pa.array([Decimal("1.50"), None]), "t": [dt.date(2026, 1, 2), None]}
    )
    lines = write_table(table, tmp_path / "a.jsonl").read_text().splitlines()
    assert lines == ['{"l": [1, 2], "d": 1.5, "t": "2026-01-02"}', '{"l": [], "d": null, "t": null}']


def test_an_empty_table_has_its_header(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    with TableWriter(tmp_path / "out.csv", schema):
        pass
    assert (tmp_path / "out.csv").read_text() == "a,b\n"
    with pytest.raises(ArgumentError, match="no block was written"), TableWriter(tmp_path / "b.csv"):
        pass
    assert not (tmp_path / "b.csv").exists()


def test_days_by_schema_refuse_a_time_of_day(tmp_path: Path) -> None:
    schema = pa.schema([("t", pa.date32())])
    frame = pd.DataFrame({"t": pd.to_datetime(["2026-01-01"])})
    with TableWriter(tmp_path / "out.csv", schema) as writer:
        writer.write(frame)
    assert (tmp_path / "out.csv").read_text() == "t\n2026-01-01\n"
    with (
        pytest.raises(InputError, match="do not fit"),
        TableWriter(tmp_path / "out.csv", schema) as writer,
    ):
        writer.write(frame + pd.Timedelta(hours=3))


REFUSED = [
    (pd.DataFrame({"a": [1]}), "out.xlsx", ArgumentError, r"ending '\.xlsx'"),
    (pd.DataFrame({"a": [1]}), "out", ArgumentError, "no table format is known"),
    (pd.DataFrame({"a": [1]}).set_index("a"), "out.csv", ArgumentError, "index a would not be written"),
    (pd.DataFrame({"a": [1, "x"]}), "out.csv", InputError, "column 'a'"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "out.csv", InputError, "columns occur twice: a"),
    (pd.DataFrame({1: [1]}), "out.csv", InputError, "a column name is not text: 1"),
    (pd.DataFrame({"a": [[1, 2]]}), "out.csv", ArgumentError, "no place in a CSV cell"),
    ({"a": [1]}, "out.csv", ArgumentError, "a dict is not a table"),
]


@pytest.mark.parametrize(("table", "name", "error", "match"), REFUSED)
def test_refusals(tmp_path: Path, table: object, name: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        write_table(table, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_differ_are_refused(tmp_path: Path) -> None:
    def write(second: pd.DataFrame) -> None:
        with TableWriter(tmp_path / "out.csv") as writer:
            writer.write(pd.DataFrame({"a": [1]}))
            writer.write(second)

    with pytest.raises(InputError, match=r"other columns .* row 1 \(missing: \['a'\]; not known: \['b'\]\)"):
        write(pd.DataFrame({"b": [1]}))
    with pytest.raises(InputError, match="do not fit the table's types"):
        write(pd.DataFrame({"a": [1.5]}))
    assert list(tmp_path.iterdir()) == []


def test_json_values(tmp_path: Path) -> None:
    obj = {
        "z": np.int64(3),
        "a": [float("inf"), np.float64("nan"), True, None],
        "when": dt.datetime(2026, 1, 2, 3),
        "nat": pd.NaT,
        "day": np.datetime64("2026-01-02"),
        "money": Decimal("1.5"),
        "path": Path("x"),
        "names": {"b", "a"},
    }
    back = json.loads(write_json(obj, tmp_path / "a.json").read_text())
    assert list(back) == list(obj)
    assert back == {
        "z": 3,
        "a": [None, None, True, None],
        "when": "2026-01-02T03:00:00",
        "nat": None,
        "day": "2026-01-02",
        "money": 1.5,
        "path": "x",
        "names": ["a", "b"],
    }
    with pytest.raises(ArgumentError, match=r"a complex cannot be written as JSON, in the value\['a'\]"):
        write_json({"a": 1j}, tmp_path / "a.json")
    with pytest.raises(ArgumentError, match="a key is not text: 1"):
        write_json({1: 2}, tmp_path / "a.json")


def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(atomic, "sync_folder", seen.append)
    write_text("x", tmp_path / "a.txt")
    assert seen == [tmp_path]
