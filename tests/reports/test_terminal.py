"""What the command says where there is little to say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_inputs import CUTS, make_backtest, make_board
from test_pages import FACTS, check_structure

import forecast
from forecast import pipeline
from forecast.errors import ArgumentError
from forecast.evaluation.backtest import Backtest, backtest
from forecast.periods import check_levels, horizon_days, horizon_periods
from forecast.reports.pages import backtest_page, scores_page
from forecast.reports.sections_backtest import verdict
from forecast.reports.terminal import board_lines, span_line


def orders_of(*rows: tuple[str, str, float | None], **options: object) -> forecast.Orders:
    frame = pd.DataFrame(rows, columns=["customer_id", "order_date", "value"])
    return forecast.read_orders(frame, **options)


ONCE = (("a", "2024-01-01", 5.0), ("b", "2024-02-01", 7.0))
TWICE = (*ONCE, ("a", "2024-03-01", 9.0))


def test_a_shop_where_nobody_came_back_has_dashes_with_the_reason(tmp_path: Path) -> None:
    found = pipeline.history(orders_of(*ONCE), out=tmp_path / "h", by=None)
    text = "\n".join(found.lines)
    assert "lifespan – (nobody bought on two days)" in text
    assert "formula CLV – (nobody bought on two days)" in text
    assert "revenue 12.00 from 2 orders" in text
    check_structure((tmp_path / "h" / "history.html").read_text())


def test_a_log_without_money_has_dashes_with_the_reason(tmp_path: Path) -> None:
    found = pipeline.history(orders_of(*TWICE, mapping={"value": None}), out=tmp_path / "h")
    text = "\n".join(found.lines)
    assert "revenue – (the log has no amounts) from 3 orders" in text
    assert "formula CLV – (the log has no amounts); repeat rate 50.0%" in text
    check_structure((tmp_path / "h" / "history.html").read_text())


def test_formula_clv_says_why_it_can_be_small() -> None:
    definitions = forecast.historical_clv(orders_of(*TWICE)).summary["definitions"]
    assert "it can be below the value already seen" in definitions["formula_clv"]["definition"]


def test_history_tells_of_every_file_it_wrote(tmp_path: Path) -> None:
    found = pipeline.history(orders_of(*TWICE), out=tmp_path / "h", by="source_file")
    assert found.lines[-1].endswith("cohorts.parquet, by.parquet")
    names = found.lines[-1].partition("/h/")[2].split(", ")
    assert sorted(names) == sorted(path.name for path in (tmp_path / "h").iterdir())


def test_silence_is_told_and_in_the_data() -> None:
    found = pipeline.history(orders_of(*TWICE), as_of="2024-06-01")
    assert found.data["notes"] == [
        "The last order is 92 days before 2024-06-01: is as_of right, or is the export incomplete?"
    ]
    assert f"Note: {found.data['notes'][0]}" in found.lines
    assert pipeline.history(orders_of(*TWICE), as_of="2024-03-20").data["notes"] == []


@pytest.mark.parametrize(
    ("horizon", "day", "start", "labels"),
    [
        ("2Q", "2026-08-15", 1, ["2026Q3*", "2026Q4", "2027Q1"]),
        ("1Q", "2026-09-30", 1, ["2026Q4"]),
        ("1Q", "2026-09-29", 1, ["2026Q3*", "2026Q4"]),
        ("2Q", "2026-08-15", 2, ["FY2027Q3", "FY2027Q4"]),
        ("91", "2026-08-15", 1, ["91 days"]),
    ],
)
def test_periods_cover_the_horizon_without_gap(horizon: str, day: str, start: int, labels: list[str]) -> None:
    as_of = dt.date.fromisoformat(day)
    periods = horizon_periods(horizon, as_of, start)
    shown = [period.label + "*" * period.partial for period in periods]
    assert shown == labels or start == 2
    assert sum(period.days for period in periods) == horizon_days(horizon, as_of, start)
    ends = [as_of, *(period.end for period in periods)]
    for period, before in zip(periods, ends, strict=False):
        assert period.start == before + dt.timedelta(days=1)
        assert period.days == (period.end - before).days


def test_the_span_of_quarters_in_words() -> None:
    told = span_line(horizon_periods("1Q", dt.date(2026, 9, 29)))
    assert told == "1 quarter 2026Q4 and, before it, 1 day of the running quarter 2026Q3 (partial)"
    assert span_line(horizon_periods("1Q", dt.date(2026, 9, 30))) == "1 quarter 2026Q4"


def test_a_century_of_quarters_is_refused() -> None:
    with pytest.raises(ArgumentError, match="longer than a century"):
        horizon_days("99999Q", dt.date(2026, 9, 30))


def test_the_fiscal_year_is_checked_for_days_too() -> None:
    with pytest.raises(ArgumentError, match="fiscal_year_start is not a month: 13"):
        horizon_days(91, dt.date(2026, 9, 30), 13)
    with pytest.raises(ArgumentError, match="fiscal_year_start is not a month: 0"):
        pipeline.backtest(orders_of(*TWICE), out="bt", fiscal_year_start=0)


def test_a_level_of_one_is_not_taken_for_all() -> None:
    with pytest.raises(ArgumentError, match=r"levels are percent between 0 and 100, e\.g\. 80"):
        check_levels(1)


@pytest.fixture(scope="module")
def silent() -> Backtest:
    """Everybody leaves; the last order is a newcomer's."""
    rows = [(f"c{i}", f"2024-0{1 + month}-{1 + i % 27:02d}", 10.0) for i in range(40) for month in range(3)]
    rows.append(("late", "2024-12-31", 5.0))
    return backtest(orders_of(*rows), h=60, n_windows=1, candidates="global-mean,naive")


def test_nothing_bought_after_the_cuts_is_said(silent: Backtest) -> None:
    assert board_lines(silent) == [
        "orders: no purchases after the cuts; nothing to compare",
        "value: no purchases after the cuts; nothing to compare",
    ]
    assert verdict(silent.summary())[0] == "Purchases: no purchases after the cuts; nothing to compare."
    words = check_structure(backtest_page(silent, title="Backtest", facts=FACTS)).words()
    assert "no purchases after the cuts; nothing to compare" in words
    assert "with totals off by" not in words


def test_a_candidate_of_fewer_origins_is_marked() -> None:
    found = make_backtest()
    board = found.board[(found.board["model"] != "naive") | (found.board["cutoff"] == CUTS[0])]
    lines = board_lines(Backtest(board, found.forecasts, found.tracking))
    assert next(line for line in lines if "naive" in line).endswith("1 of 2 origins")
    assert not any("of 2 origins" in line for line in board_lines(found))


def test_nobody_won_is_one_line() -> None:
    board = make_board()
    won = board["scope"] == "new customers"
    found = make_backtest()
    quiet = Backtest(board.assign(value=board["value"].mask(won, 0.0)), found.forecasts, found.tracking)
    words = check_structure(backtest_page(quiet, title="Backtest", facts=FACTS)).words()
    assert "All customers came before the first cut." in words
    assert "Won after it" not in words
    assert "Won after it" in check_structure(backtest_page(found, title="Backtest", facts=FACTS)).words()


def test_a_page_of_scores_is_whole_and_escaped() -> None:
    day = pd.Timestamp("2026-09-30")
    scores = pd.DataFrame(
        {
            "customer_id": ["007", "<script>alert(1)</script>"], "as_of": day, "horizon_days": 92,
            "first_purchase": day, "last_purchase": day, "frequency": [2, 0], "recency": [30, 0], "T": [60, 0],
            "monetary_value": [20.5, np.nan], "historical_value": [61.5, 0.0], "p_alive": [0.9, 1.0],
            "p_purchase": [0.5, 0.1], "expected_purchases": [0.75, 0.1],
            "expected_purchase_value": [20.0, 18.0], "spend_basis": ["own purchases", "population"],
            "expected_value": [15.0, 1.8], "total_value": [76.5, 1.8],
            "purchases-lo-80": [0.0, 0.0], "purchases-hi-80": [2.0, 1.0],
            "value-lo-80": [0.0, 0.0], "value-hi-80": [40.0, 20.0],
        }
    )  # fmt: skip
    portfolio = pd.DataFrame(
        {
            "scope": "total", "group": "all", "target": ["purchases", "active", "value"],
            "expected": [0.85, 0.6, 16.8], "lo-80": [0.0, 0.0, 0.0], "hi-80": [3.0, 2.0, 60.0],
        }
    )  # fmt: skip
    page = scores_page(scores, portfolio, FACTS)
    words = check_structure(page).words()
    assert "&lt;script&gt;" in page
    for said in ("007", "Chance to buy", "Value to, 80 %", "Amounts in USD", "own purchases", "76.50"):
        assert said in words.replace("\u00a0", " ")
    assert "Definitions" in words
