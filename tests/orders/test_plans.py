"""The small tables beside the orders: plans of customers, and what was spent to win them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.orders.plans import read_plan, read_spend


def written(folder: Path, text: str, name: str = "plan.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("period,channel,customers\n2026Q4,web,1200\n", 1200.0),
        ("\ufeffPeriod;Channel;Customers\r\n2026Q4;web;1200,00\r\n\r\n", 1200.0),
        ('period\tgroup\tcustomers\n2026-Q4\tweb\t"1,200"\n', 1200.0),
    ],
    ids=["plain", "excel", "tabs"],
)
def test_a_file_as_people_keep_it(text: str, amount: float, tmp_path: Path) -> None:
    found = read_plan(written(tmp_path, text), "channel")
    assert found.to_dict("records") == [
        {"start": dt.date(2026, 10, 1), "end": dt.date(2026, 12, 31), "group": "web", "customers": amount,
         "period": found["period"][0]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("period", "start", "end", "year_start"),
    [
        ("2026Q4", "2026-10-01", "2026-12-31", 1),
        ("2026-02", "2026-02-01", "2026-02-28", 1),
        ("2028-2", "2028-02-01", "2028-02-29", 1),
        ("2026-02-14", "2026-02-14", "2026-02-14", 1),
        ("FY2027Q1", "2026-07-01", "2026-09-30", 7),
        ("fy2027q4", "2027-04-01", "2027-06-30", 7),
        ("FY2026Q4", "2025-11-01", "2026-01-31", 2),
    ],
)
def test_a_period_is_its_days(period: str, start: str, end: str, year_start: int) -> None:
    frame = pd.DataFrame({"period": [period], "spend": [10]})
    found = read_spend(frame, fiscal_year_start=year_start).iloc[0]
    assert (found["start"].isoformat(), found["end"].isoformat()) == (start, end)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("month,customers\n2026-10,5\n", r"no column 'period', in plan\.csv \(found: month, customers\)"),
        ("period,customers,note\n2026Q4,5,x\n", r"column 'note' is neither .*Groups are in a column called 'channel'"),
        ("period,customers\n", r"there are no rows, in plan\.csv"),
        ("period,customers\n2026Q4,5\nautumn,5\n", r"'autumn' is no period, in plan\.csv, row 3"),
        ("period,customers\n2026Q5,5\n", r"'2026Q5' is no period"),
        ("period,customers\n2026-13,5\n", r"'2026-13' is no period"),
        ("period,customers\nFY2027Q1,5\n", r"'FY2027Q1' is no quarter of a year that starts in January.*2027Q2"),
        ("period,customers\n2026Q4,-5\n", r"customers is '-5', in plan\.csv, row 2"),
        ("period,customers\n2026Q4,€ 5\n", r"customers is '€ 5'.*without a currency sign"),
        ("period,customers\n2026Q4,\n", r"customers is ''"),
        ("period;customers\n2026Q4;330,5\n", r"customers is '330,5', .*Give whole customers"),
        ("period,channel,customers\n2026Q4,,5\n", r"the group is blank, in plan\.csv, row 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_row(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read_plan(written(tmp_path, text), "channel")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist, in .*nowhere\.csv"):
        read_spend(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="the table cannot be read"):
        read_spend(written(tmp_path, "period,spend\n2026Q4,5,6,7\n2026Q3,1,2,3,4,5\n"))
    with pytest.raises(
        InputError, match=r"column 'channel' is neither .*If it is a group, name it: --by channel"
    ):
        read_spend(written(tmp_path, "period,channel,spend\n2026Q4,web,5\n"))
