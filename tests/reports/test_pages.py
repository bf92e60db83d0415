"""Pages: their structure, their key numbers, their safety. No pixels."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_inputs import CUTS, make_backtest

import forecast
from forecast.evaluation.backtest import Backtest, backtest
from forecast.reports.pages import backtest_page, check_page, demo_page, history_page
from forecast.reports.sections_backtest import leader
from forecast.reports.sections_candidates import models_shown, shortlist


@pytest.fixture
def small() -> Backtest:
    return make_backtest()


FIXTURES = Path(__file__).parent.parent / "orders" / "fixtures"
VOID = {"meta", "img", "br", "hr", "link", "input"}
FACTS = {"currency": "USD", "value_policy": "value", "timezone": None}


class Reader(HTMLParser):
    """Checks balance while it reads, and keeps what the tests ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def check_structure(page: str) -> Reader:
    """What every page must be."""
    read = Reader(page)
    assert page.startswith("<!DOCTYPE html>\n<html lang=")
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page.lower()
    assert len(page) < 2_000_000
    levels = [int(name[1]) for name, _ in read.tags if re.fullmatch(r"h[1-6]", name)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in read.all("a"):
        assert link["href"] in {f"#{name}" for name in ids}
    for image in read.all("img"):
        assert image["src"].startswith("data:image/")
        assert len(image["alt"]) > 20
    assert len(read.all("figcaption")) == len(read.all("figure")) == len(read.all("img"))
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(cell["scope"] in ("col", "row") for cell in read.all("th"))
    assert "nan" not in read.words().lower().split()
    assert "None" not in read.words().split()
    return read


def test_backtest_page_has_the_board_with_its_losers(small):
    words = check_structure(backtest_page(small, title="Backtest", facts=FACTS)).words()
    assert "Purchases: bg-nbd came nearest, with totals off by 10 % on average over 2 cut-offs" in words
    assert "bg-nbd fitted 10 % −10 % 10 % 0 of 2 0.60" in words
    assert "naive rule 30 % +30 % 30 %" in words
    assert "too narrow to plan with" in words
    assert "2025-09-30 92 180 171 to 189 200 −10 % outside" in words


def test_backtest_page_shows_new_customers_apart(small):
    words = check_structure(backtest_page(small, title="Backtest", facts=FACTS)).words()
    assert "2025-12-31 purchases 200 40 240 17 %" in words
    assert "2025-12-31 value (USD) 5,000 900 5,900 15 %" in words


def test_facts_and_definitions_are_printed(small):
    words = check_structure(backtest_page(small, title="Backtest", facts=FACTS)).words()
    for part in ("currency USD", "value policy value", "not given: days as written in the log"):
        assert part in words
    for word in ("WAPE", "CRPS", "Gini", "known customers", "cut-off"):
        assert word in words
    assert "2025-09-30 and 2025-12-31; each looks 92 days ahead" in words


def test_a_rule_that_wins_is_said_to_win():
    lost = make_backtest(scale={"bg-nbd": 0.5, "naive": 1.1})
    words = check_structure(backtest_page(lost, title="Backtest", facts=FACTS)).words()
    assert "A simple rule beat every fitted model" in words
    assert "loses to naive" in words
    assert "beats every model" in words


def test_text_from_data_is_escaped():
    evil = "<script>alert(1)</script>"
    found = make_backtest(models=(evil, "$x$ & y"), notes=[f"{evil} failed: a < b & c"])
    page = backtest_page(found, title=f"T {evil}", facts={"currency": "<b>$</b>", "identity": evil})
    read = check_structure(page)
    assert "&lt;script&gt;" in page
    assert "$x$ & y" in read.words()
    assert "<b>" not in page


@pytest.mark.parametrize(
    "found",
    [
        make_backtest(cuts=CUTS[:1]),
        make_backtest(targets=("orders",)),
        make_backtest(models=("naive",)),
        make_backtest(models=("bg-nbd",)),
    ],
    ids=["one cut-off", "no value", "only a rule", "only a model"],
)
def test_small_backtests_make_pages(found):
    check_structure(backtest_page(found, title="Small", facts={}))


def test_notes_have_a_section_only_when_there_are_some(small):
    assert "What could not be run" not in backtest_page(small, title="B", facts=FACTS)
    assert "What could not be run" in backtest_page(
        make_backtest(notes=["x at y: no"]), title="B", facts=FACTS
    )


def test_many_candidates_are_all_in_tables_and_few_in_figures():
    models = ("auto", "bg-nbd", *(f"mbg-cnbd-2+{i}" for i in range(9)), "naive")
    notes = ["auto at 2025-09-30 is bg-nbd: there are 2 earlier origins", "x at y: no"]
    found = make_backtest(models=models, notes=notes, scale={"bg-nbd": 1.01, "naive": 1.3})
    words = check_structure(backtest_page(found, title="B", facts=FACTS)).words()
    assert all(words.count(name) >= 2 for name in models)
    assert "Not drawn: 4 more" in words
    assert "What auto chose" in words
    assert "there are 2 earlier origins" in words
    assert "Not run: x at y: no" in words
    assert "auto, which chose beforehand, was off by 10 %" in words


def test_a_page_is_about_auto_where_it_ran_and_else_about_the_nearest_model():
    def led(models):
        scale = {"bg-nbd": 1.0, "auto": 1.1, "naive": 1.3}
        return leader(make_backtest(models=models, scale=scale).summary())

    assert led(("bg-nbd", "auto", "naive")) == "auto"
    assert led(("bg-nbd", "naive")) == "bg-nbd"
    assert led(("naive",)) is None


def test_figures_show_auto_plain_and_the_nearest_of_both_kinds():
    models = [f"m{i}" for i in range(9)] + ["bg-nbd", "auto", "naive", "hiatus", "formula", "global-mean"]
    summary = pd.DataFrame({"model": models, "target": "orders"})
    assert shortlist(summary) == ["auto", "bg-nbd", "m0", "m1", "m2", "naive", "hiatus", "formula"]
    assert models_shown(summary, 3) == ["auto", "bg-nbd", "m0"]
    assert shortlist(summary.head(4)) == models[:4]


@pytest.fixture(scope="module")
def job(sample_orders):
    """The demo's inputs on the sample, with two quarters."""
    model = forecast.fit(sample_orders)
    return {
        "history": forecast.historical_clv(sample_orders),
        "model": model,
        "scores": model.score(sample_orders),
        "portfolio": model.portfolio(sample_orders),
        "backtest": backtest(sample_orders, "1Q", 2, candidates="bg-nbd,nbd,naive,formula"),
        "reconciliation": sample_orders.reconciliation,
        "facts": {**FACTS, "mapping": {"customer_id": "id", "items": None}},
    }


def test_demo_page_tells_the_whole_way(job):
    words = check_structure(demo_page(**job)).words()
    summary = job["history"].summary
    assert f"{summary['customers']:,} customers placed {summary['orders']:,} orders" in words
    assert f"{summary['formula_clv']:.2f}" in words
    assert "Rows and money balance" in words
    assert "k-hat" in words
    expected = job["portfolio"].set_index("target").loc["purchases", "expected"]
    assert f"Purchases {expected:,.0f}" in words
    assert "A season or a level that drifts is not in them yet" in words
    assert re.search(r"In the backtest below, the 90 % intervals of bg-nbd held \d of 2 totals", words)
    assert "pseudonymous" in words
    best = job["scores"].sort_values("expected_value")["customer_id"].iloc[-1]
    assert f" {best} " in words


def test_the_same_input_gives_the_same_page(job):
    assert demo_page(**job) == demo_page(**job)


def test_history_and_check_pages(sample_orders, job):
    words = check_structure(history_page(job["history"], FACTS)).words()
    assert "formula CLV" in words
    verdict = forecast.sufficiency(sample_orders)
    words = check_structure(check_page(sample_orders.reconciliation, verdict, FACTS)).words()
    assert verdict.lines[0] in words


def test_the_check_of_an_export_shows_the_bridge_and_no_rows_for_money_alone():
    orders = forecast.read_orders(FIXTURES / "woo_csv.csv")
    page = check_page(orders.reconciliation, forecast.sufficiency(orders), {"currency": "EUR"})
    words = check_structure(page).words()
    assert "Bridge of all sales" in words
    assert "net sales 118" in words
    assert "refund 8.00 given back" in words
    assert "fully refunded 1 20" in words
    # Without a table of discounts gross sales are not known, and the bridge does not make them 0.
    names = ("woo_hpos_refund_rows.csv", "woo_hpos_order_stats.csv")
    orders = forecast.read_orders([FIXTURES / name for name in names], timezone="Europe/Amsterdam")
    words = check_structure(check_page(orders.reconciliation, forecast.sufficiency(orders), {})).words()
    assert "before returns 200" in words
    assert "gross sales" not in words


def test_a_log_without_money_makes_pages():
    log = pd.DataFrame(
        {
            "customer_id": [f"c{i % 30}" for i in range(120)],
            "order_date": [pd.Timestamp("2025-01-01") + pd.Timedelta(days=i * 3 % 200) for i in range(120)],
        }
    )
    orders = forecast.read_orders(log, mapping={"value": None})
    words = check_structure(history_page(forecast.historical_clv(orders), {})).words()
    assert "There is nothing to draw yet." in words
    words = check_structure(check_page(orders.reconciliation, forecast.sufficiency(orders), {})).words()
    assert "rows in 120" in words
