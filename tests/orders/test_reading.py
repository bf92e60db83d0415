"""What the reader makes of good input: dates, money, ids, merging, and the account of it all."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from forecast.errors import ArgumentError, InputError, StoreError
from forecast.orders import Reconciliation, read_orders, sufficiency
from forecast.orders.reconciliation import Line
from forecast.summary import purchase_histories

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "b", "c"],
        "order_date": ["2024-01-01", "2024-01-01", "2024-01-05", "2024-02-01", "2024-02-03"],
        "value": [10.1, 20.2, 5.0, 0.0, 7.5],
        "order_id": ["1", "1", "2", "3", "4"],
        "channel": ["web", "app", "web", None, "app"],
    }
)


def days_of(dates, **options) -> list[str]:
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(len(dates))], "order_date": dates})
    orders = read_orders(frame, mapping={"value": None}, **options)
    found = orders.to_frame().set_index("customer_id")["order_day"]
    return [str(found[f"c{i}"].date()) for i in range(len(dates))]


@pytest.mark.parametrize(
    ("dates", "options", "expected"),
    [
        (["2024-01-05", "2024-1-6"], {}, ["2024-01-05", "2024-01-06"]),
        (["2024/01/05", "2024/01/06"], {}, ["2024-01-05", "2024-01-06"]),
        (["19970101", "19970118"], {}, ["1997-01-01", "1997-01-18"]),
        (["31/01/2024", "01/02/2024"], {}, ["2024-01-31", "2024-02-01"]),
        (["01/31/2024", "02/01/2024"], {}, ["2024-01-31", "2024-02-01"]),
        (["31.01.2024", "1.2.2024"], {}, ["2024-01-31", "2024-02-01"]),
        (["31-01-2024", "01-02-2024"], {}, ["2024-01-31", "2024-02-01"]),
        (["1/31/2024 3:45 PM", "2/1/2024 12:05 AM"], {"timezone": "UTC"}, ["2024-01-31", "2024-02-01"]),
        (["12/13/2010 8:26", "12/1/2010 8:26"], {"timezone": "Europe/London"}, ["2010-12-13", "2010-12-01"]),
        (["01/02/2024", "03/04/2024"], {"date_format": "%d/%m/%Y"}, ["2024-02-01", "2024-04-03"]),
        (["12 Jan 2024", "1 Feb 2024"], {"date_format": "%d %b %Y"}, ["2024-01-12", "2024-02-01"]),
        (["2024-01-05 00:00:00", "2024-01-06T00:00:00"], {}, ["2024-01-05", "2024-01-06"]),
        (["2024-01-05T23:59:59.999", "2024-01-06 10:00"], {"timezone": "UTC"}, ["2024-01-05", "2024-01-06"]),
        (
            ["1704153599", "1704153600"],
            {"date_format": "epoch_s", "timezone": "UTC"},
            ["2024-01-01", "2024-01-02"],
        ),
        (
            [1704153599000, 1704153600000],
            {"date_format": "epoch_ms", "timezone": "UTC"},
            ["2024-01-01", "2024-01-02"],
        ),
        ([45292.0, 45292.75], {"date_format": "excel"}, ["2024-01-01", "2024-01-01"]),
        (["2024-01-05T00:00:00Z", "2024-01-06T00:00:00+02:00"], {}, ["2024-01-05", "2024-01-06"]),
    ],
)
def test_forms_of_dates(dates, options, expected):
    assert days_of(dates, **options) == expected


def test_naive_stamps_keep_their_own_day_and_offsets_are_converted():
    zone = {"timezone": "Europe/Amsterdam"}
    assert days_of(["2024-01-05 23:30:00"], **zone) == ["2024-01-05"]
    # Mixed offsets, spelled in every way that exports have.
    stamps = [
        "2024-01-05T23:30:00Z",
        "2024-01-05 23:30:00+02:00",
        "2024-01-05 23:30:00 -0700",
        "2024-01-05 23:30:00 UTC",
        "2024-01-05T23:30:00.123+0100",
        "2024-01-05 23:30:00+01",
    ]
    assert days_of(stamps, **zone) == [
        "2024-01-06",
        "2024-01-05",
        "2024-01-06",
        "2024-01-06",
        "2024-01-05",
        "2024-01-05",
    ]


def test_days_around_the_change_of_clocks():
    # Amsterdam is at +01:00 until 2024-03-31 01:00 UTC, at +02:00 after it.
    stamps = ["2024-03-30T22:59:00Z", "2024-03-30T23:00:00Z", "2024-03-31T21:59:00Z", "2024-03-31T22:00:00Z"]
    expected = ["2024-03-30", "2024-03-31", "2024-03-31", "2024-04-01"]
    assert days_of(stamps, timezone="Europe/Amsterdam") == expected
    assert days_of(list(pd.to_datetime(stamps)), timezone="europe/amsterdam") == expected


def test_readers_agree(tmp_path):
    LOG.to_csv(tmp_path / "a.csv", index=False)
    LOG.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    LOG.to_csv(tmp_path / "c.csv", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")
    LOG.to_csv(tmp_path / "d.csv", index=False, encoding="utf-16")
    LOG.to_parquet(tmp_path / "e.parquet")
    LOG.to_json(tmp_path / "f.jsonl", orient="records", lines=True)
    sources = [tmp_path / name for name in ("a.csv", "b.tsv", "c.csv", "d.csv", "e.parquet", "f.jsonl")]
    sources += [LOG, pl.from_pandas(LOG), pl.from_pandas(LOG).lazy(), pa.Table.from_pandas(LOG)]
    sources += [pa.Table.from_pandas(LOG).to_reader()]
    prints = [read_orders(source).fingerprint for source in sources]
    assert set(prints) == {prints[0]}
    first = read_orders(sources[0])
    assert first.extras == ("channel",)
    assert first.to_arrow().num_rows == len(first) == first.relation().shape[0] == 4


def test_lines_orders_and_days_are_merged_and_balance():
    orders = read_orders(pd.concat([LOG, LOG.iloc[[2]].assign(order_id="9", value=1.0)]))
    account = orders.reconciliation
    assert {code: rows for code, (rows, _) in account.by_code().items()} == {
        "used": 4,
        "line_merged": 1,
        "same_day_merged": 1,
    }
    assert account.by_code()["used"][1] == Decimal("43.8")
    assert account.balances()
    first = orders.to_frame().iloc[0]
    assert first["value"] == 30.3
    assert first["channel"] == "app"
    assert account.to_frame().columns.tolist() == ["file", "code", "kind", "rows", "value", "meaning"]
    assert account.summary()["merged"] == 2
    assert account.rejected_share == 0.0


def test_one_order_number_on_two_days_is_noted():
    frame = LOG.assign(order_id="1")
    assert any("order numbers with more than one" in note for note in read_orders(frame).reconciliation.notes)


def test_a_balance_that_is_off_shows():
    lines = [Line("x", "used", 2, Decimal(1))]
    assert not Reconciliation({"x": 3}, {"x": Decimal(1)}, lines).balances()
    wrong = Reconciliation({"x": 2}, {"x": Decimal(2)}, lines)
    assert not wrong.balances()
    assert "DOES NOT BALANCE" in str(wrong)


def test_file_names_are_escaped_in_html(tmp_path):
    path = tmp_path / "<b>&.csv"
    LOG.to_csv(path, index=False)
    shown = read_orders(path, currency="eur").reconciliation._repr_html_()
    assert "&lt;b&gt;&amp;.csv" in shown
    assert "EUR" in shown


def test_several_files_and_their_own_numbers(tmp_path):
    (tmp_path / "x").mkdir()
    LOG.iloc[:3].to_csv(tmp_path / "1.csv", index=False)
    LOG.iloc[3:].drop(columns="channel").to_csv(tmp_path / "x" / "1.csv", index=False)
    orders = read_orders([tmp_path / "1.csv", tmp_path / "x" / "1.csv"])
    assert orders.fingerprint == read_orders(LOG).fingerprint
    assert len(orders.reconciliation.files) == 2
    assert orders.to_frame()["channel"].isna().sum() == 2
    both = read_orders(str(tmp_path / "**" / "*.csv"))
    assert both.fingerprint == orders.fingerprint


@pytest.mark.parametrize("name", ["a[1].csv", "a[1].parquet", "a?[x]*.jsonl", "it's.csv"])
def test_file_names_are_no_patterns(tmp_path, name):
    (tmp_path / "a1.csv").write_text("customer_id,order_date,value\nz,2020-01-01,1\n")
    path = tmp_path / name
    if name.endswith("csv"):
        LOG.to_csv(path, index=False)
    elif name.endswith("parquet"):
        LOG.to_parquet(path)
    else:
        LOG.to_json(path, orient="records", lines=True)
    assert read_orders(path).fingerprint == read_orders(LOG).fingerprint


def test_files_with_different_types_are_read_as_texts(tmp_path):
    LOG.iloc[:2].to_csv(tmp_path / "a.csv", index=False)
    LOG.iloc[2:].astype({"order_date": "datetime64[s]"}).to_parquet(tmp_path / "b.parquet")
    orders = read_orders(str(tmp_path / "*"))
    assert orders.fingerprint == read_orders(LOG).fingerprint


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        (["1.234,56", "12,5", "-0,5", "7"], [1234.56, 12.5, 7.0], "decimal commas"),
        (["1,234.56", "12.5", "1,000"], [1234.56, 12.5, 1000.0], "commas between thousands"),
        (["12,5", "12.5", "13.5"], [12.5, 13.5], "occur together"),
        ([" 12.50 ", "+3", "1e2"], [12.5, 3.0, 100.0], ""),
    ],
)
def test_forms_of_money(tmp_path, cells, expected, note):
    path = tmp_path / "orders.csv"
    lines = "".join(f"c{i};2024-01-0{i + 1};{cell}\n" for i, cell in enumerate(cells))
    path.write_text("customer_id;order_date;value\n" + lines)
    orders = read_orders(path)
    assert orders.to_frame()["value"].tolist() == expected
    assert any(note in one for one in orders.reconciliation.notes)
    assert orders.reconciliation.balances()


def test_ids_from_numbers_and_mixed_cells():
    frame = pd.DataFrame({"customer_id": [1, "01", 2.0, None], "day": ["2024-01-01"] * 4, "value": [1.0] * 4})
    orders = read_orders(frame)
    assert sorted(orders.to_frame()["customer_id"]) == ["01", "1", "2"]
    dotted = read_orders(frame.assign(customer_id=["1.0", "2.0", "3.0", "3.0"]))
    assert sorted(set(dotted.to_frame()["customer_id"])) == ["1", "2", "3"]
    some = read_orders(frame.assign(customer_id=["1.0", "2.0", "3.0", "A"]))
    assert "1.0" in set(some.to_frame()["customer_id"])
    assert any("3 of 4 ids end in .0" in note for note in some.reconciliation.notes)


def test_categories_and_index_names_survive():
    frame = LOG.astype({"channel": "category", "customer_id": "category"}).set_index("customer_id")
    assert read_orders(frame).fingerprint == read_orders(LOG).fingerprint


def test_headers_are_found_and_explained():
    frame = LOG.rename(
        columns={"customer_id": "Customer ID", "order_date": "Invoice Date", "value": "Price Total"}
    )
    orders = read_orders(frame.assign(items=2, Source_Row="x"))
    assert orders.mapping == {
        "customer_id": "Customer ID",
        "order_date": "Invoice Date",
        "value": "Price Total",
        "order_id": "order_id",
        "items": "items",
    }
    assert orders.extras == ("channel", "Source_Row_")


@pytest.mark.parametrize("name", ["code", "row", "file", "is_blank", "no_day", "shown_value", "g", "x", "v"])
def test_other_columns_may_have_any_name(name: str, tmp_path: Path) -> None:
    log = pd.DataFrame(
        {"customer_id": ["1", "2", "2"], "order_date": ["2024-01-01", "2024-01-02", "2024-02-03"],
         "revenue": [5.0, 6.0, -1.0], name: ["a", "b", "c"]}
    )  # fmt: skip
    for frame in (log, log[:2]):
        frame.to_csv(tmp_path / "log.csv", index=False)
        orders = read_orders(tmp_path / "log.csv")
        assert orders.extras == (name,)
        histories = purchase_histories(orders, "2024-03-01", by=name)
        assert histories.sizes(name) == {"a": 1, "b": 1}
        assert histories.purchase_counts(name)[4].tolist() == ["a", "b"]
        assert histories.spend_counts(name, first=True)[3].tolist() == ["a", "b"]
        assert histories.first_values(name)[0].tolist() == [5.0, 6.0]


def test_the_person_and_not_the_order_level_id():
    frame = LOG.assign(customer_unique_id=LOG["customer_id"], customer_id=["1", "2", "3", "4", "5"])
    assert read_orders(frame).mapping["customer_id"] == "customer_unique_id"


def test_cells_with_quotes_line_ends_and_another_encoding(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(
        'customer_id,order_date,value,note\nMüller,2024-01-01,1,"a ""b""\n\nc"\n'.encode("cp1252")
    )
    orders = read_orders(path)
    assert orders.to_frame()["note"].tolist() == ['a "b"\n\nc']
    assert orders.to_frame()["customer_id"].tolist() == ["Müller"]
    assert any("cp1252" in note for note in orders.reconciliation.notes)


def test_json_lines_count_their_bad_lines(tmp_path):
    path = tmp_path / "orders.jsonl"
    good = {"customer_id": "007", "order_date": "2024-01-01", "value": 10.5, "a.b/c": "x"}
    path.write_text(json.dumps(good) + "\n\nfoo\n[1]\n" + json.dumps({**good, "customer_id": None}) + "\n")
    orders = read_orders(path)
    assert orders.to_frame()[["customer_id", "value", "a.b/c"]].to_numpy().tolist() == [["007", 10.5, "x"]]
    assert orders.rejects()[["source_row", "code"]].to_numpy().tolist() == [
        [2, "blank_row"],
        [3, "malformed_row"],
        [4, "malformed_row"],
        [5, "missing_customer_id"],
    ]
    assert orders.reconciliation.balances()


def test_items_that_are_no_numbers_are_noted():
    orders = read_orders(LOG.assign(quantity=["1", "2", "x", "", "4"]))
    assert any("1 cells are no numbers" in note for note in orders.reconciliation.notes)


def test_currency_from_the_column_and_blanks():
    orders = read_orders(LOG.assign(currency=["eur", "EUR ", None, "EUR", "EUR"]))
    assert orders.currency == "EUR"
    assert any("1 rows name no currency" in note for note in orders.reconciliation.notes)


def test_until_is_inclusive_and_has_its_own_fingerprint():
    orders = read_orders(LOG)
    early = orders.until(dt.date(2024, 2, 1)).until("2024-01-05")
    assert (len(early), early.customers, early.last_day) == (2, 2, dt.date(2024, 1, 5))
    assert early.fingerprint == read_orders(LOG.iloc[:3]).fingerprint != orders.fingerprint


def test_fingerprint_sees_customers_days_and_values_only():
    orders = read_orders(LOG)
    assert orders.fingerprint == read_orders(LOG.drop(columns="channel").iloc[::-1]).fingerprint
    assert orders.fingerprint != read_orders(LOG.assign(value=LOG["value"] + 0.01)).fingerprint
    assert len(orders.fingerprint) == 64


def test_a_log_without_money():
    orders = read_orders(LOG, mapping={"value": None})
    assert orders.to_frame()["value"].isna().all()
    assert orders.reconciliation.balances()
    assert "value" not in orders.mapping
    assert "value" in orders.extras or "value_" in orders.extras


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_rejects_are_written(tmp_path, ending):
    orders = read_orders(LOG.astype({"value": str}).assign(value=["1", "-5", "=1+1", "2", "3"]))
    path = orders.write_rejects(tmp_path / f"rejects.{ending}")
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}
    frame = readers[ending](path)
    assert frame["code"].tolist() == ["negative_value", "bad_value"]
    assert frame["value"].astype(str).tolist() == ["-5", "'=1+1" if ending == "csv" else "=1+1"]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_rejects_need_a_known_ending(tmp_path):
    with pytest.raises(ArgumentError, match="is not written"):
        read_orders(LOG).write_rejects(tmp_path / "rejects.xlsx")


def test_rejects_make_their_folder_or_say_why_not(tmp_path):
    assert read_orders(LOG).write_rejects(tmp_path / "new" / "rejects.csv").is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"rejects.csv cannot be written: .+\. Check folder"):
        read_orders(LOG).write_rejects(tmp_path / "file" / "rejects.csv")


def test_threads_change_nothing():
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i % 400}" for i in range(20_000)],
            "order_date": pd.Timestamp("2023-01-01")
            + pd.to_timedelta([(i * 7) % 300 for i in range(20_000)], "D"),
            "value": [(i * 37 % 1000) / 7 for i in range(20_000)],
        }
    )
    one, four = (read_orders(frame, duckdb_config={"threads": n}) for n in (1, 4))
    assert one.fingerprint == four.fingerprint
    assert one.to_frame().equals(four.to_frame())


def test_sufficiency_in_words():
    few = sufficiency(read_orders(LOG))
    assert few.verdicts == {"history": "yes", "cohorts": "wide", "model": "no"}
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i % 600}" for i in range(2400)],
            "order_date": pd.Timestamp("2023-01-01") + pd.to_timedelta([i % 365 for i in range(2400)], "D"),
            "value": 1.0,
        }
    )
    orders = read_orders(frame)
    assert sufficiency(orders).verdicts["model"] == "yes"
    wide = sufficiency(orders, min_customers=1000)
    assert wide.verdicts["model"] == "wide"
    assert "600 customers, 1,000 are wanted" in str(wide)
    assert wide.to_dict()["facts"]["customers"] == 600
    assert sufficiency(orders, as_of="2026-01-01").warnings
    once = frame.drop_duplicates("customer_id")
    assert "exactly one order" in sufficiency(read_orders(once)).warnings[0]
    with pytest.raises(InputError, match="before the first order"):
        sufficiency(orders, as_of="2022-01-01")
