"""Grouping in ranges gives what one query gives, to the last digit, however rows are shared out."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import StoreError
from forecast.summary import grouping, spilling
from forecast.summary.grouping import grouped_histories
from forecast.summary.histories import query_histories
from forecast.summary.kernels import number_ids
from forecast.summary.packing import pack_ids, pack_numbers, unpack_ids, unpack_numbers
from forecast.summary.table import COLUMNS

AS_OF = dt.date(2024, 12, 31)


def log(rows: int, customers: int, seed: int, name: Any = "C{:07d}".format) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    who = np.minimum(rng.geometric(5.0 / customers, rows), customers)
    return pd.DataFrame(
        {
            "customer_id": [name(k) for k in who],
            "order_day": np.datetime64("2022-01-01", "s")
            + rng.integers(0, 1_200, rows).astype("timedelta64[D]"),
            "value": np.where(rng.random(rows) < 0.1, 0.0, rng.gamma(1.0, 40.0, rows).round(2)),
        }
    )


def both(
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    as_of: dt.date = AS_OF,
    **config: Any,
) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """Histories by ranges, small enough that there are many, and by the query."""
    monkeypatch.setattr(grouping, "FEWEST_ROWS", 1)
    monkeypatch.setattr(grouping, "RANGE_ROWS", 50)
    monkeypatch.setattr(grouping, "SAMPLED", 2)
    monkeypatch.setattr(grouping, "WRITTEN", 40)
    monkeypatch.setattr(spilling, "PIECE", 3)
    with duckdb.connect(config={"temp_directory": str(tmp_path / "spill"), **config}) as connection:
        connection.register("frame", frame)
        connection.execute(
            "CREATE TABLE log AS SELECT CAST(customer_id AS VARCHAR) AS customer_id, "
            "CAST(order_day AS DATE) AS order_day, CAST(value AS DOUBLE) AS value FROM frame"
        )
        query_histories(connection, "log", as_of, "asked")
        asked = connection.execute("SELECT * FROM asked ORDER BY rowid").df()
        if not grouped_histories(
            connection, "log", as_of, "grouped", spread_of_numbers(connection, frame, as_of)
        ):
            assert not connection.execute(
                "SELECT 1 FROM duckdb_tables() WHERE table_name = 'grouped'"
            ).fetchall()
            return None, asked
        query = f"SELECT {', '.join(COLUMNS)} FROM grouped"
        assert (
            connection.execute(f"DESCRIBE {query}").fetchall()
            == connection.execute("DESCRIBE asked").fetchall()
        )
        return connection.execute(f"{query} ORDER BY rowid").df(), asked


def spread_of_numbers(connection: Any, frame: pd.DataFrame, as_of: dt.date) -> tuple[Any, ...] | None:
    """What is known of a log whose ids are whole numbers; None of any other, which is looked through."""
    if not pd.api.types.is_integer_dtype(frame["customer_id"]):
        return None
    connection.execute(
        "CREATE VIEW numbers AS SELECT CAST(customer_id AS BIGINT) AS customer_id, order_day, value FROM log"
    )
    ids = frame["customer_id"].tolist()
    return (len(ids), int(frame["value"].notna().sum()), min(ids), max(ids), None, frame["value"].max(),
            ids[::3], "numbers")  # fmt: skip


NAMES = {
    "numbered": "C{:07d}".format,
    "of any length": str,
    "long": "customer-{:030d}@example.com".format,
    "with accents": lambda k: f"ü{k}ß" * (1 + k % 3),
    "beginnings of each other": lambda k: "ab"[: 1 + k % 2] * (1 + k % 19),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_the_same_as_the_query(name: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    grouped, asked = both(log(5_000, 400, 1, name), monkeypatch, tmp_path)
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [17, 2048, 5_000])
def test_neither_blocks_nor_threads_nor_files_matter(
    threads: int, block: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(grouping, "BLOCK_ROWS", block)
    monkeypatch.setattr(grouping, "_allowed", lambda connection: 12_000.0)
    written: list[int] = []
    write = spilling.Spill.write

    def told(own: Any, array: np.ndarray) -> int:
        written.append(array.nbytes)
        return write(own, array)

    monkeypatch.setattr(spilling.Spill, "write", told)
    grouped, asked = both(log(5_000, 400, 2), monkeypatch, tmp_path, threads=threads)
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)
    assert 30_000 < sum(written) <= 50_000


@pytest.mark.parametrize("block", [1_024, 3_000])
@pytest.mark.parametrize("allowed", [0.0, 9_000.0])
def test_a_log_without_money_in_files(
    allowed: float, block: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(grouping, "BLOCK_ROWS", block)
    monkeypatch.setattr(grouping, "_allowed", lambda connection: allowed)
    frame = log(6_000, 300, 8).astype({"value": object}).assign(value=None)
    grouped, asked = both(frame, monkeypatch, tmp_path)
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


def test_a_folder_that_takes_no_files_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(grouping, "_allowed", lambda connection: 0.0)
    monkeypatch.setattr(grouping, "_scratch", lambda connection: tmp_path / "gone")
    with pytest.raises(
        StoreError, match=r"temporary files cannot be written: No such .*gone.* raise memory_"
    ):
        both(log(600, 50, 5), monkeypatch, tmp_path)


def test_temporary_files_lie_where_the_database_has_its_own(tmp_path: Path) -> None:
    with duckdb.connect(config={"temp_directory": str(tmp_path / "one" / "two")}) as connection:
        assert grouping._scratch(connection) == tmp_path
        (tmp_path / "one" / "two").mkdir(parents=True)
        assert grouping._scratch(connection) == tmp_path / "one" / "two"
        for limit, allowed in (("100000TB", 1e17 / 3), ("900MB", 3e8), ("1.5GiB", 2**29)):
            connection.execute(f"SET memory_limit = '{limit}'")
            assert grouping._allowed(connection) == pytest.approx(allowed, rel=0.05)
            told = grouping._setting(connection, "memory_limit")
            for _ in range(20):
                with grouping._sharing_memory(connection) as own:
                    assert 0.6 < grouping._allowed(connection) / own < 0.72
            assert grouping._setting(connection, "memory_limit") == told
        connection.execute("SET lock_configuration = true")
        with grouping._sharing_memory(connection) as own:
            assert grouping._allowed(connection) == own


@pytest.mark.parametrize("most", [10, 10**7, 10**8, 10**15, 2**63 - 1])
def test_whole_numbers_are_in_the_order_of_their_texts(
    most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = np.random.default_rng(most)
    ids = np.where(rng.random(300) < 0.5, rng.integers(-most // 2, most, 300), rng.integers(0, 10, 300))
    frame = log(2_000, 300, 6, lambda k: int(ids[k - 1]))
    assert frame["customer_id"].dtype == np.int64
    grouped, asked = both(frame, monkeypatch, tmp_path)
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


def test_blocks_may_differ_in_what_their_money_and_days_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(grouping, "BLOCK_ROWS", 2_048)
    frame = log(9_000, 400, 7)
    frame.loc[:2, "value"] = [0.000001, 12.3456785, 3e7]
    frame.loc[4_000:4_002, "order_day"] = pd.to_datetime(["1969-12-31", "1901-01-01", "1969-12-30"])
    grouped, asked = both(frame, monkeypatch, tmp_path)
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


def test_an_earlier_day_and_one_busy_customer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frame = log(4_000, 300, 3)
    frame.loc[:3_000, "customer_id"] = "C0000007"
    grouped, asked = both(frame, monkeypatch, tmp_path, dt.date(2023, 5, 5))
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


def test_a_log_without_money(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    grouped, asked = both(log(900, 80, 4).assign(value=np.nan).astype({"value": object}).assign(value=None),
                          monkeypatch, tmp_path)  # fmt: skip
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "x" * 90},
        {"customer_id": "a\0b"},
        {"value": 9.9e12},
        {"value": None},
    ],
    ids=["long id", "zero byte", "huge value", "missing value"],
)
def test_what_it_cannot_do_is_left_to_the_query(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = log(600, 50, 5).astype({"value": object})
    for column, cell in change.items():
        frame.loc[17, column] = cell
    grouped, asked = both(frame, monkeypatch, tmp_path)
    assert grouped is None
    assert len(asked) > 30


def test_sums_too_large_to_be_exact_are_left_to_the_query(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = log(600, 50, 5)
    frame.loc[:5, ["customer_id", "value"]] = ["C0000001", 8e9]
    assert both(frame, monkeypatch, tmp_path)[0] is None


def test_few_rows_are_left_to_the_query(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE log AS SELECT 'a' AS customer_id, DATE '2024-01-01' AS order_day, 1e0 AS value"
        )
        assert not grouped_histories(connection, "log", AS_OF, "grouped")


orders = st.lists(
    st.tuples(
        st.text(st.characters(min_codepoint=1, exclude_categories=("Cs",)), min_size=1, max_size=12),
        st.integers(0, 40),
        st.one_of(
            st.integers(0, 10**9).map(lambda cents: cents / 100),
            st.integers(0, 10**7).map(lambda halves: (halves + 0.5) / 1e6),
            st.floats(0, 1e8),
        ),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(orders)
def test_any_ids_days_and_values(rows: list[tuple[str, int, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "value"])
    frame["order_day"] = np.datetime64("2024-01-01", "s") + frame.pop("day").to_numpy().astype(
        "timedelta64[D]"
    )
    with pytest.MonkeyPatch.context() as patch:
        grouped, asked = both(frame, patch, Path("/nonexistent"))
    assert grouped is not None
    pd.testing.assert_frame_equal(grouped, asked, check_exact=True)


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=0, max_size=20).filter(lambda b: 0 not in b), min_size=1),
    st.binary(max_size=3),
)
def test_words_compare_as_the_ids_and_give_them_back(tails: list[bytes], prefix: bytes) -> None:
    ids = [prefix + tail for tail in tails]
    offsets = np.cumsum([0, *map(len, ids)])
    words = np.empty((len(ids), 3), np.uint64)
    assert pack_ids(offsets, np.frombuffer(b"".join(ids), np.uint8), len(prefix), words)
    assert sorted(range(len(ids)), key=lambda i: tuple(words[i].tolist())) == sorted(
        range(len(ids)), key=lambda i: ids[i]
    )
    begins, data = unpack_ids(words, np.frombuffer(prefix, np.uint8))
    assert [data[a:b].tobytes() for a, b in itertools.pairwise(begins)] == ids
    codes, distinct = number_ids(words)
    assert distinct[codes].tolist() == words.tolist()
    assert len(distinct) == len(set(ids))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([np.uint32, np.uint64]))
def test_numbers_compare_as_their_texts_and_come_back(numbers: list[int], kind: Any) -> None:
    words = np.empty((len(numbers), 3), kind)
    pack_numbers(np.array(numbers, np.int64), words)
    offsets, data = unpack_numbers(words)
    assert [data[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)] == list(map(str, numbers))
    assert sorted(range(len(numbers)), key=lambda i: tuple(words[i].tolist())) == sorted(
        range(len(numbers)), key=lambda i: str(numbers[i])
    )
