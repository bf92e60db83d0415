"""Large logs are read where they lie: the same orders, rejects and account as from a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.errors import InputError
from forecast.orders import generic
from forecast.summary import grouping


def messy(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": pd.Series(rng.integers(1, 60, rows)).map("C{:03d}".format),
            "order_date": np.datetime64("2024-01-01", "s")
            + rng.integers(0, 300, rows).astype("timedelta64[D]"),
            "value": rng.gamma(2.0, 20.0, rows).round(2),
            "channel": rng.choice(["web", "app"], rows),
        }
    )
    frame.loc[[3, 30], "customer_id"] = [None, " "]
    frame.loc[5, "customer_id"] = " C001 "
    frame.loc[6, "customer_id"] = "c001"
    frame.loc[7, "order_date"] = None
    frame.loc[8, "order_date"] = np.datetime64("1970-01-01")
    frame.loc[[9, 10, 11], "value"] = [np.nan, -4.0, np.inf]
    frame.loc[12] = None
    return frame


def read(paths: Any, monkeypatch: pytest.MonkeyPatch, most: int, **options: Any) -> forecast.Orders:
    monkeypatch.setattr(generic, "MOST_COPIED", most)
    monkeypatch.setattr(generic, "MOST_TEXTS_COPIED", most)
    return forecast.read_orders(paths, **options)


def write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)


def kind(orders: forecast.Orders) -> str:
    found = orders.connection.execute(
        "SELECT table_type FROM information_schema.tables WHERE table_name = ?", [orders.orders_table]
    )
    return str(found.fetchall()[0][0])


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("options", [{}, {"zero_value": "drop"}, {"mapping": {"value": None}}])
def test_the_same_orders_rejects_and_account(
    options: dict[str, Any], suffix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = messy()
    paths = [tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"]
    write(frame.iloc[:250], paths[0])
    # The second file begins with days of the first.
    write(frame.iloc[200:], paths[1])
    copied, lying = (read(paths, monkeypatch, most, **options) for most in (10**9, 1))
    assert (kind(copied), kind(lying)) == ("BASE TABLE", "VIEW")
    pd.testing.assert_frame_equal(copied.to_frame(), lying.to_frame())
    pd.testing.assert_frame_equal(copied.rejects(), lying.rejects())
    assert str(copied.reconciliation) == str(lying.reconciliation)
    assert copied.reconciliation.notes == lying.reconciliation.notes
    assert copied.reconciliation.summary() == lying.reconciliation.summary()
    assert copied.fingerprint == lying.fingerprint
    assert copied.customers == lying.customers
    early, late = (one.until("2024-06-30").to_frame() for one in (copied, lying))
    pd.testing.assert_frame_equal(early, late)
    histories = [forecast.purchase_histories(one, by="channel").to_frame() for one in (copied, lying)]
    pd.testing.assert_frame_equal(*histories)


def test_ids_that_are_whole_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frame = messy().dropna().query("value > 0 and value < 1e9")
    frame["customer_id"] = (
        frame["customer_id"].str.extract(r"(\d+)", expand=False).fillna("1").astype("int64")
    )
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    copied, lying = (read(tmp_path / "a.parquet", monkeypatch, most) for most in (10**9, 1))
    pd.testing.assert_frame_equal(copied.to_frame(), lying.to_frame())
    assert kind(lying) == "VIEW"


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("ids", ["whole numbers", "texts"])
def test_histories_of_a_log_without_faults(
    ids: str, suffix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = messy(3_000).dropna().query("value > 0 and value < 1e9 and order_date > '2000'")
    frame["customer_id"] = np.random.default_rng(1).integers(-50, 200, len(frame)) ** 3
    if ids == "texts":
        frame["customer_id"] = frame["customer_id"].map("id {}".format)
    for number, part in enumerate((frame.iloc[:1000], frame.iloc[1000:])):
        write(part, tmp_path / f"{number}.{suffix}")
    files = [tmp_path / f"0.{suffix}", tmp_path / f"1.{suffix}"]
    copied = read(files, monkeypatch, 10**9)
    # Some ranges begin with customers who come later than as_of, and stay empty.
    monkeypatch.setattr(generic, "SAMPLED", 1)
    lying = read(files, monkeypatch, 1)
    assert lying.spread is not None
    assert (lying.spread.numbers is None) == (ids == "texts" or suffix == "csv")
    assert (len(lying), lying.first_day, lying.last_day) == (len(copied), copied.first_day, copied.last_day)
    for as_of in (None, "2024-07-01", "2024-01-03"):
        asked = forecast.purchase_histories(copied, as_of).to_frame()
        monkeypatch.setattr(grouping, "FEWEST_ROWS", 1)
        monkeypatch.setattr(grouping, "RANGE_ROWS", 100)
        for orders in (lying, lying.until("2024-09-01")):
            if as_of is not None or orders is lying:
                found = forecast.purchase_histories(orders, as_of).to_frame()
                pd.testing.assert_frame_equal(found, asked, check_exact=True)
        monkeypatch.undo()


@pytest.mark.parametrize("change", ["gone", "rewritten"])
def test_a_file_that_changes_is_told(change: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    messy().to_parquet(path, index=False)
    orders = read(path, monkeypatch, 1)
    assert len(forecast.purchase_histories(orders)) > 50
    if change == "gone":
        path.unlink()
    else:
        messy(500).to_parquet(path, index=False)
    with pytest.raises(InputError, match=r"gone or has changed.*a\.parquet.*Read the orders again"):
        forecast.purchase_histories(orders)


def test_texts_are_kept_whatever_becomes_of_their_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    messy().to_csv(tmp_path / "a.csv", index=False)
    orders = read(tmp_path / "a.csv", monkeypatch, 1)
    (tmp_path / "a.csv").unlink()
    assert kind(orders) == "VIEW"
    assert len(forecast.purchase_histories(orders)) > 50
    assert orders.reconciliation.summary()


def test_what_has_to_be_put_together_is_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    messy().assign(order_id=range(400)).to_parquet(tmp_path / "a.parquet", index=False)
    messy().to_json(tmp_path / "b.jsonl", orient="records", lines=True, date_format="iso")
    (tmp_path / "b.csv").write_text(messy().to_csv(index=False) + "one cell\n")
    salt = tmp_path / "salt"
    salt.write_text("0123456789abcdef" * 2)
    assert kind(read(tmp_path / "a.parquet", monkeypatch, 1)) == "BASE TABLE"
    assert kind(read(tmp_path / "b.jsonl", monkeypatch, 1)) == "BASE TABLE"
    assert kind(read(tmp_path / "b.csv", monkeypatch, 1)) == "BASE TABLE"
    messy().to_parquet(tmp_path / "c.parquet", index=False)
    assert kind(read(tmp_path / "c.parquet", monkeypatch, 1, hash_ids=salt)) == "BASE TABLE"
