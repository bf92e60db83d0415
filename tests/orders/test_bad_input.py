"""Every kind of bad input: a clear error, or rows that are counted. Nothing passes in silence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast.errors import ArgumentError, InputError
from forecast.orders import read_orders

HEADER = "customer_id,order_date,value\n"


def csv(tmp_path: Path, text: str, name: str = "orders.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(*lines: str) -> str:
    return HEADER + "".join(line + "\n" for line in lines)


GOOD = ("a,2024-01-01,10", "b,2024-01-02,20", "a,2024-01-03,30")


def codes(orders) -> dict[str, int]:
    assert orders.reconciliation.balances()
    return {code: count for code, (count, _) in orders.reconciliation.by_code().items()}


# Texts that are refused, with the words that say why.
REFUSED_TEXTS = {
    "empty file": ("", {}, "is empty"),
    "only white space": ("\n\n  \n", {}, "is empty"),
    "header only": (HEADER, {}, "header and no readable orders"),
    "one column": ("customer\na\nb\n", {}, "no delimiter found"),
    "no date column": ("customer_id,foo,value\na,2024-01-01,1\n", {}, r"no column looks like the order_date"),
    "no customer column": ("who,order_date,value\na,2024-01-01,1\n", {}, r"customer_id=COLUMN"),
    "no value column": ("customer_id,order_date,x\na,2024-01-01,1\n", {}, r"mapping=\{'value': None\}"),
    "two value columns": (
        "customer_id,date,amount,total\na,2024-01-01,1,2\n",
        {},
        "2 columns could be the value",
    ),
    "mapped column missing": (rows(*GOOD), {"mapping": {"value": "Total"}}, "Columns found: 'customer_id'"),
    "duplicate column names": (
        "customer_id,order_date,value,value\na,2024-01-01,1,2\n",
        {},
        "more than once",
    ),
    "ambiguous dates": (rows("a,01/02/2024,1", "b,03/04/2024,2"), {}, "ambiguous day and month"),
    "ambiguous dots": (rows("a,01.02.2024,1", "b,03.04.2024,2"), {}, "ambiguous day and month"),
    "day first and month first": (rows("a,31/01/2024,1", "b,01/31/2024,2"), {}, "1 dates have the day first"),
    "two-digit years": (rows("a,31/01/24,1", "b,01/02/24,2"), {}, "years of two digits"),
    "epoch seconds": (rows("a,1704067200,1", "b,1704153600,2"), {}, "date_format='epoch_s'"),
    "epoch milliseconds": (rows("a,1704067200000,1"), {}, "date_format='epoch_ms'"),
    "epoch nanoseconds": (rows("a,1704067200000000000,1"), {}, "nanoseconds since 1970"),
    "spreadsheet serials": (rows("a,45292,1", "b,45293.5,2"), {}, "date_format='excel'"),
    "garbage dates": (rows("a,soon,1", "b,later,2", "c,2024-01-01,3"), {}, "no dates that are known"),
    "month names": (rows("a,12 Jan 2024,1"), {}, r"like '99 aaa 9999'"),
    "time of day without zone": (rows("a,2024-01-01 10:30:00,1"), {}, "--timezone Europe/Amsterdam"),
    "offset without zone": (rows("a,2024-01-01T10:30:00Z,1"), {}, "say their offset from UTC"),
    "mixed naive and aware": (
        rows("a,2024-01-01 10:30:00,1", "b,2024-01-01 10:30:00+02:00,1"),
        {"timezone": "Europe/Amsterdam"},
        "1 stamps say their offset from UTC and 1 do not",
    ),
    "text as money": (rows("a,2024-01-01,ten", "b,2024-01-02,two"), {}, "no finite plain numbers"),
    "currency signs": (rows("a,2024-01-01,€10", "b,2024-01-02,€20"), {}, "without currency signs"),
    "all negative": (rows("a,2024-01-01,-1", "b,2024-01-02,-2"), {}, "negative_value: 2"),
    "all ids blank": (rows(",2024-01-01,1", "nan,2024-01-02,2"), {}, "missing_customer_id: 2"),
    "dates of another century": (rows("a,1899-01-01,1"), {}, "implausible_date: 1"),
    "currency mix": (
        "customer_id,order_date,value,currency\na,2024-01-01,1,EUR\nb,2024-01-01,1,USD\n",
        {},
        "2 currencies: EUR 1 rows, USD 1 rows",
    ),
    "currency contradicts": (
        "customer_id,order_date,value,currency\na,2024-01-01,1,USD\n",
        {"currency": "EUR"},
        "the currency is USD, not EUR",
    ),
    "unclosed quote": (rows("a,2024-01-01,1", 'b,2024-01-02,"2', "c,2024-01-03,3"), {}, "never closed"),
}


@pytest.mark.parametrize("case", REFUSED_TEXTS)
def test_refused_text(tmp_path, case):
    text, options, match = REFUSED_TEXTS[case]
    with pytest.raises(InputError, match=match):
        read_orders(csv(tmp_path, text), **options)


# Rows that are left out, each with its code and count; the rest is read.
COUNTED = {
    "blank id": (("  ,2024-01-04,5", "NULL,2024-01-04,5"), {"missing_customer_id": 2}),
    "null words as id": (("None,2024-01-04,5", "\\N,2024-01-04,5"), {"missing_customer_id": 2}),
    "blank date": (("c,,5",), {"missing_date": 1}),
    "impossible date": (("c,2024-02-30,5", "c,2024-13-01,5"), {"bad_date": 2}),
    "garbage date": (("c,soon,5",), {"bad_date": 1}),
    "date before 1990": (("c,1970-01-01,5",), {"implausible_date": 1}),
    "date in the far future": (("c,2999-01-01,5",), {"implausible_date": 1}),
    "blank value": (("c,2024-01-04,",), {"missing_value": 1}),
    "nan and inf": (("c,2024-01-04,nan", "c,2024-01-04,inf"), {"bad_value": 2}),
    "text value": (("c,2024-01-04,free", "c,2024-01-05,1_000"), {"bad_value": 2}),
    "value beyond reason": (("c,2024-01-04,1e300",), {"bad_value": 1}),
    "negative value": (("c,2024-01-04,-5",), {"negative_value": 1}),
    "too few cells": (("c,2024-01-04",), {"malformed_row": 1}),
    "too many cells": (("c,2024-01-04,5,6",), {"malformed_row": 1}),
    "blank lines": (("", "   ", ",,"), {"blank_row": 3}),
    "several ills, one code": ((",soon,-5",), {"missing_customer_id": 1}),
}


@pytest.mark.parametrize("case", COUNTED)
def test_counted_rows(tmp_path, case):
    bad, expected = COUNTED[case]
    orders = read_orders(csv(tmp_path, rows(*GOOD, *bad)))
    found = codes(orders)
    assert found.pop("used") == 3
    assert found == expected
    assert orders.reconciliation.total_rows == 3 + len(bad)
    assert orders.rejects()["source_row"].tolist() == list(range(5, 5 + len(bad)))
    assert orders.rejects().columns.tolist() == ["source_file", "source_row", "code", "value"]


def test_row_numbers_count_bad_records_in_between(tmp_path):
    orders = read_orders(
        csv(tmp_path, rows("a,2024-01-01,1", "", "b,2024-01-01", "c,2024-01-01,-4", "d,2024-01-05,5"))
    )
    assert orders.rejects()[["source_row", "code"]].to_numpy().tolist() == [
        [3, "blank_row"],
        [4, "malformed_row"],
        [5, "negative_value"],
    ]
    assert orders.to_frame()["source_row"].tolist() == [2, 6]


def test_zero_value_is_kept_or_dropped(tmp_path):
    path = csv(tmp_path, rows(*GOOD, "c,2024-01-04,0"))
    assert codes(read_orders(path)) == {"used": 4}
    assert codes(read_orders(path, zero_value="drop")) == {"used": 3, "zero_value": 1}


def test_leading_zeros_stay_and_are_noted(tmp_path):
    orders = read_orders(csv(tmp_path, rows("007,2024-01-01,1", "7,2024-01-02,2")))
    assert set(orders.to_frame()["customer_id"]) == {"007", "7"}
    assert any("leading zeros: 2" in note for note in orders.reconciliation.notes)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("orders.csv", b"\x00\x01\x02binary", "no text"),
        ("orders.csv", b"PK\x03\x04zip", "a workbook or zip"),
        ("orders.csv", b"PAR1", "it is Parquet"),
        ("orders.csv.gz", b"not packed", "cannot be read"),
        ("orders.parquet", b"no parquet", "not readable as Parquet"),
        ("orders.xlsx", b"PK", "Save the sheet as CSV"),
        ("orders.docx", b"x", "is not known"),
        ("orders", b"x", "is not known"),
        ("orders.json", b"[1]", "no record is a JSON object"),
        ("orders.jsonl", b"foo\nbar\n", "no record is a JSON object"),
    ],
)
def test_wrong_kind_of_file(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_orders(path)


def test_places_without_a_file(tmp_path):
    with pytest.raises(InputError, match="a folder is not read"):
        read_orders(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_orders(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no file matches"):
        read_orders(str(tmp_path / "*.csv"))
    with pytest.raises(InputError, match="addresses are not read"):
        read_orders("https://example.org/orders.csv")
    with pytest.raises(InputError, match="no file is given"):
        read_orders([])
    path = csv(tmp_path, rows(*GOOD))
    with pytest.raises(InputError, match="listed twice"):
        read_orders([path, str(path)])
    with pytest.raises(ArgumentError, match="cannot be read from a int"):
        read_orders(42)


def test_unreadable_file(tmp_path, monkeypatch):
    path = csv(tmp_path, rows(*GOOD))

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("forecast.orders.files.open_binary", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        read_orders(path)


def test_files_must_share_their_columns(tmp_path):
    one = csv(tmp_path, rows(*GOOD), "a.csv")
    two = csv(tmp_path, "customer_id,day,value\na,2024-01-01,1\n", "b.csv")
    with pytest.raises(InputError, match=r"columns of a.csv are missing here: 'order_date', in b.csv"):
        read_orders([one, two])


FRAME = {"customer_id": ["a", "b"], "order_date": ["2024-01-01", "2024-01-02"], "value": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"customer_id": [1.5, 2.0]}, "ids are numbers with decimals"),
        ({"customer_id": [1e17, 2.0]}, "too long for a number"),
        ({"order_date": [1704067200, 1704153600]}, "date_format='epoch_s'"),
        ({"order_date": [45292.0, 45293.0]}, "date_format='excel'"),
        (
            {"order_date": pd.to_datetime(["2024-01-01 10:00", "2024-01-02 00:00"])},
            "no time zone of the shop",
        ),
        (
            {"order_date": pd.to_datetime(["2024-01-01 10:00", "2024-01-02 11:00"], utc=True)},
            "say their offset from UTC",
        ),
        ({"value": pd.to_datetime(["2024-01-01", "2024-01-02"])}, "the amounts are of type"),
        ({"order_date": [True, False]}, "the dates are of type BOOLEAN"),
        ({"value": [float("inf"), float("-inf")]}, "no finite plain numbers"),
        ({"customer_id": [["a"], ["b"]]}, r"holds VARCHAR\[\]"),
    ],
)
def test_refused_frames(change, match):
    with pytest.raises(InputError, match=match):
        read_orders(pd.DataFrame({**FRAME, **change}))


def test_frames_without_rows_or_with_odd_headers():
    with pytest.raises(InputError, match="no rows"):
        read_orders(pd.DataFrame(FRAME).iloc[:0])
    double = pd.DataFrame(
        [["a", "2024-01-01", 1.0, 2.0]], columns=["customer_id", "order_date", "value", "value"]
    )
    with pytest.raises(InputError, match="more than once: value"):
        read_orders(double)
    levels = pd.DataFrame(FRAME)
    levels.columns = pd.MultiIndex.from_product([["x"], levels.columns])
    with pytest.raises(InputError, match="several header levels"):
        read_orders(levels)


def test_nan_in_frames_and_arrow():
    frame = pd.DataFrame({**FRAME, "value": [1.0, float("nan")]})
    assert codes(read_orders(frame)) == {"used": 1, "missing_value": 1}
    assert codes(read_orders(pa.table({**FRAME, "value": [1.0, float("nan")]}))) == {
        "used": 1,
        "bad_value": 1,
    }
    frame = pd.DataFrame({**FRAME, "order_date": pd.to_datetime(["2024-01-01", None])})
    assert codes(read_orders(frame)) == {"used": 1, "missing_date": 1}
    frame = pd.DataFrame({**FRAME, "customer_id": [17850.0, float("nan")]})
    orders = read_orders(frame)
    assert codes(orders) == {"used": 1, "missing_customer_id": 1}
    assert orders.to_frame()["customer_id"].tolist() == ["17850"]


def test_integer_days_are_days_and_not_nanoseconds():
    orders = read_orders(pd.DataFrame({**FRAME, "order_date": [19970101, 19970118]}))
    assert (orders.first_day.isoformat(), orders.last_day.isoformat()) == ("1997-01-01", "1997-01-18")


def test_empty_parquet(tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table(FRAME).slice(0, 0), path)
    with pytest.raises(InputError, match="no rows"):
        read_orders(path)


def test_packed_text_is_read(tmp_path):
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress(rows(*GOOD).encode()))
    assert codes(read_orders(path)) == {"used": 3}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"timezone": "Europe/Atlantis"}, "is not known"),
        ({"dialect": "shoppy"}, "dialect 'shoppy' is not known"),
        ({"value_policy": "net_sales"}, "cannot be read from the generic dialect"),
        ({"zero_value": "maybe"}, "zero_value is 'maybe'"),
        ({"currency": "euro"}, "three-letter code"),
        ({"date_format": "%Q"}, "date_format is not understood"),
        ({"date_format": "dd/mm/yyyy"}, "date_format is not understood"),
        ({"mapping": {"customer": "customer_id"}}, "no role 'customer'"),
        ({"mapping": {"customer_id": None}}, "cannot do without"),
        ({"mapping": {"value": "value", "items": "value"}}, "mapped to two roles"),
        ({"mapping": "value=Total"}, "mapping is a str"),
        ({"mapping": {"value": 3}}, "is not a column name"),
        ({"duckdb_config": {"no_such_setting": 1}}, "duckdb_config is refused"),
    ],
)
def test_refused_options(tmp_path, options, match):
    with pytest.raises(ArgumentError, match=match):
        read_orders(csv(tmp_path, rows(*GOOD)), **options)


def test_date_format_on_dates():
    frame = pd.DataFrame({**FRAME, "order_date": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    with pytest.raises(ArgumentError, match="holds dates already"):
        read_orders(frame, date_format="%Y")


def test_as_of_before_the_data(tmp_path):
    orders = read_orders(csv(tmp_path, rows(*GOOD)))
    with pytest.raises(InputError, match="before the first order"):
        orders.until("2023-12-31")
    with pytest.raises(ArgumentError, match="not a day"):
        orders.until("yesterday")


def test_messages_carry_no_personal_data(tmp_path):
    path = csv(tmp_path, rows("jane@example.org,jane@example.org,1", "joe@example.org,joe@example.org,2"))
    with pytest.raises(InputError, match="no dates that are known") as caught:
        read_orders(path)
    assert "jane" not in str(caught.value)
    assert "joe" not in str(caught.value)
