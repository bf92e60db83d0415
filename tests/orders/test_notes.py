"""What a reader should look at: overlapping files, points that may part thousands, silence, sep= lines."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.orders import read_orders
from forecast.orders.sufficiency import silence_notes

HEADER = "customer_id,order_date,value"


def written(folder: Path, name: str, *lines: str, header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def loud(*paths: Path, **options: object) -> list[str]:
    notes = read_orders(list(paths), **options).reconciliation.notes
    return [note for note in notes if "LOOK HERE" in note]


def test_overlapping_files_are_noted_with_counts(tmp_path: Path) -> None:
    a = written(tmp_path, "a.csv", "x,2024-01-01,5", "y,2024-01-31,6", "z,2024-01-31,6")
    b = written(tmp_path, "b.csv", "y,2024-01-31,6", "z,2024-01-31,6", "z,2024-02-01,6")
    assert loud(a, b) == [
        "LOOK HERE: 2 rows of b.csv repeat rows of a.csv (the same customer, day and value): overlapping "
        "exports count twice; give each period once"
    ]


def test_files_that_only_touch_are_not_noted(tmp_path: Path) -> None:
    a = written(tmp_path, "a.csv", "x,2024-01-01,5", "y,2024-01-31,6", "y,2024-01-31,6")
    b = written(tmp_path, "b.csv", "y,2024-01-31,7", "x,2024-01-31,5", "x,2024-02-01,5")
    assert loud(a, b) == []
    assert loud(a) == []


def test_order_numbers_tell_overlaps_even_where_values_changed(tmp_path: Path) -> None:
    header = HEADER + ",order_id"
    a = written(tmp_path, "a.csv", "x,2024-01-01,5,1", "x,2024-01-02,5,2", header=header)
    b = written(tmp_path, "b.csv", "x,2024-01-02,4,2", "x,2024-01-02,5,3", "x,2024-01-01,5,", header=header)
    (note,) = loud(a, b)
    assert "1 rows of b.csv repeat rows of a.csv (the same order number, customer and day)" in note


def test_each_pair_of_files_has_its_note(tmp_path: Path) -> None:
    paths = [written(tmp_path, f"{name}.csv", "x,2024-01-01,5", f"{name},2024-01-02,5") for name in "abc"]
    assert [note.split(" (")[0] for note in loud(*paths)] == [
        "LOOK HERE: 1 rows of b.csv repeat rows of a.csv",
        "LOOK HERE: 1 rows of c.csv repeat rows of a.csv",
    ]


@pytest.mark.parametrize(
    ("values", "delimiter", "noted"),
    [
        (["1.234", "950", "12.500"], ";", True),
        (["1.234", "9.50"], ";", False),
        (["950", "12"], ";", False),
        (["1.234", "950"], ",", False),
    ],
)
def test_points_that_may_part_thousands(
    tmp_path: Path, values: list[str], delimiter: str, noted: bool
) -> None:
    lines = [delimiter.join([f"c{i}", "2024-01-01", value]) for i, value in enumerate(values)]
    path = written(tmp_path, "a.csv", *lines, header=HEADER.replace(",", delimiter))
    notes = loud(path)
    assert bool(notes) is noted
    assert all("1.234 was read as 1.234, not as 1234" in note for note in notes)


@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize("start", ["sep=;\n", "\ufeffSEP=;\r\n", '"sep=;"\n'])
def test_a_line_that_names_the_delimiter_is_skipped(tmp_path: Path, start: str, blank: str) -> None:
    path = tmp_path / "a.csv"
    text = (
        start
        + "customer_id;order_date;value\na;2024-01-01;5\n"
        + blank
        + "b;2024-01-02;oops\nc;2024-01-03;7\n"
    )
    path.write_bytes(text.encode())
    orders = read_orders(path)
    assert len(orders) == 2
    assert orders.reconciliation.balances()
    assert any("sep=;); skipped" in note for note in orders.reconciliation.notes)
    rejects = orders.rejects()
    wrong = rejects.loc[rejects["code"] == "bad_value", "source_row"]
    assert wrong.tolist() == [4 + len(blank)]


def test_blank_rows_are_no_loss(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "a,2024-01-01,5", ",,", ",,", ",,", "b,2024-01-02,oops")
    account = read_orders(path).reconciliation
    assert account.rejected_share == 0.8
    assert account.lost_share == 0.5


def test_a_broken_json_line_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"customer_id": "a", "order_date": "2024-01-01", "value": 5}\n{"customer_id": \n')
    assert "a line that is no JSON object" in str(read_orders(path).reconciliation)


def test_silence_is_noted_from_a_month_on() -> None:
    orders = read_orders(pd.DataFrame({"customer_id": ["a"], "order_date": ["2024-01-01"], "value": [1.0]}))
    assert silence_notes(orders) == silence_notes(orders, "2024-01-31") == []
    assert "31 days before 2024-02-01" in silence_notes(orders, "2024-02-01")[0]


def test_errors_name_the_option_of_the_shell_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"date_format \(--date-format\)"):
        read_orders(written(tmp_path, "a.csv", "a,01/02/2024,5", "a,03/04/2024,5"))
    with pytest.raises(InputError, match=r"--map value= or mapping=\{'value': None\}"):
        read_orders(written(tmp_path, "b.csv", "a,2024-01-01,5", header="customer_id,order_date,x"))


def test_orders_know_their_files(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "a,2024-01-01,5")
    assert read_orders(path).paths == (path,)
