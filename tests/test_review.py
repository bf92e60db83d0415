"""Issue, wait, compare: a replay on CDNOW, sums that hold, refusals, and a past that cannot be changed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.cli import main
from forecast.comparing import compare
from forecast.errors import ArgumentError, StoreError
from forecast.issuing import issue
from forecast.record import track_record
from forecast.reviewing import COMPARE_FILES
from forecast.store.ledger import list_issues, read_settlements
from forecast.totals import TOTALS

ENDS = ("1997-09-30", "1997-12-31", "1998-03-31")


def read(frame: pd.DataFrame, **options: str) -> forecast.Orders:
    return forecast.read_orders(frame, **{"currency": "USD", **options})


def shop() -> pd.DataFrame:
    frame = forecast.cdnow()
    return frame.assign(channel=np.where(frame["customer_id"].str[-1].isin(list("0123")), "web", "shop"))


@pytest.fixture(scope="module")
def replay(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, forecast.Orders, list[forecast.Comparison]]:
    """Three quarters: issued with what was known then, compared a quarter later."""
    folder, orders = tmp_path_factory.mktemp("replay"), read(shop())
    for end in ENDS:
        model = forecast.fit(orders, end, purchases="bg-nbd").save(folder / "models" / "shop")
        issue(model, orders, 2, as_of=end, ledger=folder / "ledger", by="channel", plan="none", draws=300)
    quarters = ("1997Q4", "1998Q1", "1998Q2")
    return folder, orders, [compare(orders, ledger=folder / "ledger", quarter=q) for q in quarters]


def test_customers_cohorts_channels_and_totals_add_up(
    replay: tuple[Path, forecast.Orders, list[forecast.Comparison]],
) -> None:
    folder, orders, found = replay
    issues, _ = list_issues(folder / "ledger")
    for own in issues:
        totals, customers = own.table("totals"), own.table("customers")
        assert tuple(totals) == TOTALS
        means = totals[totals["output_type"] == "mean"]
        for (end, target), lines in means.groupby(["target_end_date", "target"]):
            parts = lines[lines["scope"] == "total"].set_index("group")["value"]
            if target != "acquired":
                assert parts["known"] + parts["new"] == pytest.approx(parts["all"], rel=1e-9)
            lines = lines[(lines["scope"] != "total") | (lines["group"] == "all")]
            sums = lines.groupby("scope")["value"].sum()
            assert set(sums.index) == {"total", "cohort", "repeat_purchases", "channel"}
            assert sums.to_numpy() == pytest.approx(sums["total"], rel=1e-9)
            label = next(q["quarter"] for q in own.content["quarters"] if q["end"] == str(end.date()))
            if target in ("purchases", "value"):
                each = customers[customers["quarter"] == label][f"expected_{target}"]
                assert each.sum() == pytest.approx(parts["known"], rel=1e-9)
    for one in found:
        for column in ("forecast", "actual"):
            lines = one.lines[one.lines["scope"].isin(["total", "cohort", "repeat_purchases", "channel"])]
            lines = lines[(lines["scope"] != "total") | (lines["group"] == "all")]
            sums = lines.groupby(["target", "scope"])[column].sum().unstack()
            np.testing.assert_allclose(
                sums.to_numpy(), sums[["total"]].to_numpy().repeat(4, axis=1), rtol=1e-9
            )
        tenths = one.lines[one.lines["scope"] == "decile"].groupby("target")["actual"].sum()
        bridge = one.lines[one.lines["scope"] == "bridge"]["actual"].sum()
        value = one.line("value")
        assert tenths["value"] == pytest.approx(value["actual"], abs=0.005)
        assert bridge == pytest.approx(value["actual"] - value["forecast"], abs=0.005)
    daily = orders.to_frame()
    inside = daily[(daily["order_day"] > "1997-12-31") & (daily["order_day"] <= "1998-03-31")]
    whole = found[1].line("value")["actual"]
    assert whole == pytest.approx(inside["value"].sum(), abs=0.005)


def test_the_last_forecast_before_the_quarter_is_taken(
    replay: tuple[Path, forecast.Orders, list[forecast.Comparison]],
) -> None:
    folder, _, found = replay
    assert [str(one.issue.as_of) for one in found] == list(ENDS)
    assert [one.issue.forecast_id for one in found] == ["shop-1", "shop-2", "shop-3"]
    assert found[1].line("purchases")["actual"] == 656
    errors = [one.line("purchases")["error"] for one in found]
    assert np.abs(errors).mean() < 0.25
    assert found[0].mature
    assert not found[2].mature
    assert "1998Q2 is not mature" in found[2].notes[0]
    rules = found[0].lines[found[0].lines["scope"] == "baseline"]
    assert {"naive", "hiatus", "formula", "global-mean"} <= set(rules["group"])
    record = track_record(folder / "ledger")
    whole = record[(record["target"] == "value") & (record["group"] == "all")]
    assert whole["quarter"].tolist() == ["1997Q4", "1998Q1", "1998Q2"]
    assert "came" in found[0].sentence("value")
    assert "shop-1 with 1997Q4" in repr(found[0])
    channels = found[0].table("channel")
    assert channels["group"].tolist() == ["shop", "web"]
    assert channels["actual"].sum() == pytest.approx(found[0].line("value")["actual"])
    assert found[0].table("nothing").empty
    forecast.set_alias(folder / "models" / "shop@1", "champion")
    assert forecast.load(folder / "models" / "shop").version == 1


def test_what_comes_later_cannot_reach_an_issue(
    replay: tuple[Path, forecast.Orders, list[forecast.Comparison]], tmp_path: Path
) -> None:
    frame = shop()
    later = frame["order_date"] > ENDS[1]
    changed = frame.assign(value=np.where(later, 999.0, frame["value"])).drop(index=frame.index[later][::3])
    orders = read(changed)
    model = forecast.fit(orders, ENDS[1], purchases="bg-nbd").save(tmp_path / "models" / "shop")
    again = issue(
        model, orders, 2, as_of=ENDS[1], ledger=tmp_path / "ledger", by="channel", plan="none", draws=300
    )
    first = next(own for own in list_issues(replay[0] / "ledger")[0] if str(own.as_of) == ENDS[1])
    for name in ("customers", "totals"):
        pd.testing.assert_frame_equal(again.table(name), first.table(name))


@pytest.fixture
def issued(tmp_path: Path) -> tuple[Path, forecast.Model, forecast.Orders]:
    orders = read(forecast.cdnow())
    model = forecast.fit(orders, ENDS[1], purchases="bg-nbd", method="mle").save(tmp_path / "models" / "shop")
    issue(model, orders, 1, as_of=ENDS[1], ledger=tmp_path / "ledger", draws=50)
    return tmp_path / "ledger", model, orders


def test_a_late_refund_restates_and_the_first_report_stays(
    issued: tuple[Path, forecast.Model, forecast.Orders],
) -> None:
    ledger, _, orders = issued
    first = compare(orders, ledger=ledger)
    frame = forecast.cdnow()
    inside = (frame["order_date"] > ENDS[1]) & (frame["order_date"] <= ENDS[2])
    refunded = frame.assign(value=np.where(inside, frame["value"] * 0.9, frame["value"]))
    second = compare(read(refunded), ledger=ledger)
    line = second.line("value")
    assert line["actual_first"] == pytest.approx(first.line("value")["actual"])
    assert line["actual"] == pytest.approx(0.9 * line["actual_first"], rel=1e-9)
    assert [one["number"] for one in read_settlements(first.issue, "1998Q1")] == [1, 2]
    record = track_record(ledger).set_index(["target", "group"]).loc[("value", "all")]
    assert record["restated"] == pytest.approx(0.9 * record["actual"], rel=1e-9)
    compare(orders, ledger=ledger, settle=False)
    assert len(read_settlements(first.issue, "1998Q1")) == 2


def test_a_correction_names_what_it_supersedes(issued: tuple[Path, forecast.Model, forecast.Orders]) -> None:
    ledger, model, orders = issued
    with pytest.raises(ArgumentError, match=r"issued already: .*--supersedes shop-1"):
        issue(model, orders, 1, as_of=ENDS[1], ledger=ledger, draws=50)
    with pytest.raises(ArgumentError, match=r"no forecast 'shop-9' .* Those of that day are: shop-1"):
        issue(model, orders, 1, as_of=ENDS[1], ledger=ledger, supersedes="shop-9", draws=50)
    right = issue(model, orders, 1, as_of=ENDS[1], ledger=ledger, supersedes="shop-1", margin=0.4, draws=50)
    assert right.forecast_id == "shop-1-r2"
    found = compare(orders, ledger=ledger)
    assert found.issue.forecast_id == "shop-1-r2"
    all_money = orders.to_frame()
    inside = all_money[(all_money["order_day"] > ENDS[1]) & (all_money["order_day"] <= ENDS[2])]
    assert found.line("value")["actual"] == pytest.approx(0.4 * inside["value"].sum())
    assert set(track_record(ledger)["forecast_id"]) == {"shop-1-r2"}


def test_what_is_refused(issued: tuple[Path, forecast.Model, forecast.Orders], tmp_path: Path) -> None:
    ledger, model, orders = issued
    frame = forecast.cdnow()
    for options, key in (({"currency": "EUR"}, "currency"), ({"timezone": "UTC"}, "timezone"),
                         ({"zero_value": "drop"}, "zero_value")):  # fmt: skip
        with pytest.raises(ArgumentError, match=rf"issued with {key} .* not comparable"):
            compare(read(frame, **options), ledger=ledger)
    with pytest.raises(ArgumentError, match=r"1998Q1 is not over: .* reach to 1998-03-30"):
        compare(orders.until(dt.date(1998, 3, 30)), ledger=ledger, quarter="1998Q1")
    with pytest.raises(ArgumentError, match="no quarter that was forecast is over"):
        compare(orders.until(dt.date(1998, 3, 30)), ledger=ledger)
    with pytest.raises(ArgumentError, match=r"nothing was issued for 1999Q1; whole quarters issued: 1998Q1"):
        compare(orders, ledger=ledger, quarter="1999Q1")
    with pytest.raises(StoreError, match="there is no issued forecast"):
        compare(orders, ledger=tmp_path / "empty")
    with pytest.raises(ArgumentError, match="the model is not saved"):
        issue(forecast.fit(orders, ENDS[1], purchases="nbd", method="mle"), orders, ledger=ledger)
    with pytest.raises(ArgumentError, match="fitted with currency 'USD', these orders have 'EUR'"):
        issue(model, read(frame, currency="EUR"), ledger=ledger)
    (ledger / ENDS[1] / "shop-1" / "customers.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match=r"changed after it was issued.*customers\.parquet"):
        compare(orders, ledger=ledger)
    with pytest.raises(StoreError, match="changed after it was issued"):
        track_record(ledger)


def test_the_shell_issues_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, models, ledger = (str(tmp_path / name) for name in ("o.csv", "models", "ledger"))
    shop().to_csv(log, index=False)
    common = [log, "--currency", "USD"]
    fit = ["fit", *common, "--models", models, "--name", "shop", "--purchases", "bg-nbd", "--as-of", ENDS[1]]
    assert main([*fit, "--quiet"]) == 0
    freeze = ["issue", *common, "--models", models, "--model", "shop", "--as-of", ENDS[1], "--ledger", ledger]
    assert main([*freeze, "--quarters", "2", "--by", "channel"]) == 0
    said = capsys.readouterr().out
    assert "Issued shop-1 from 1997-12-31 for 2,357 known customers and those to be won" in said
    assert main([*freeze, "--quiet"]) == 1
    assert "--supersedes shop-1" in capsys.readouterr().err
    look = ["compare", *common, "--ledger", ledger, "--quarter", "1998Q1"]
    assert main([*look, "--out", str(tmp_path / "review")]) == 0
    said = capsys.readouterr().out
    assert "In 1998Q1 known customers spent" in said
    assert "They made 656 purchases" in said
    assert {p.name for p in (tmp_path / "review").iterdir()} == set(COMPARE_FILES)
    page = (tmp_path / "review" / "comparison.html").read_text()
    for text in (
        "Forecast and actual, 1998Q1",
        "656",
        "By channel",
        "Track record",
        "retention",
        "<svg",
        "the same as last quarter",
    ):
        assert text in page or (text == "<svg" and "data:image" in page), text
    assert "<script" not in page
    found = compare(forecast.read_orders(log, currency="USD"), ledger=ledger, quarter="1998Q1", settle=False)
    assert found.to_html(tmp_path / "own.html").read_text() == page
    frame = pd.read_parquet(tmp_path / "review" / "comparison.parquet")
    expected = ["quarter", "scope", "group", "target", "forecast", "lo-80", "hi-80"]
    assert list(frame)[:7] == expected
    assert {"actual", "error", "hit-80", "actual_first"} <= set(frame)
    assert main([*look, "--json", "--out", str(tmp_path / "one.csv")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["quarter"], told["forecast_id"], told["mature"]) == ("1998Q1", "shop-1", True)
    assert main([*look, "--out", log]) == 1
    assert "would overwrite an input" in capsys.readouterr().err


def test_every_result_has_a_page(
    replay: tuple[Path, forecast.Orders, list[forecast.Comparison]], tmp_path: Path
) -> None:
    _, orders, found = replay
    board = forecast.backtest(orders, 91, 1, candidates="naive,bg-nbd", draws=20)
    for name, result, words in (
        ("h", forecast.historical_clv(orders), "What customers have been worth"),
        ("b", board, "bg-nbd"),
        ("c", found[0], "Forecast and actual, 1997Q4"),
    ):
        page = forecast.to_html(result, tmp_path / f"{name}.html", orders=orders)
        assert words in page.read_text()
    with pytest.raises(ArgumentError, match=r"Give orders=orders"):
        forecast.to_html(board, tmp_path / "x.html")
    with pytest.raises(ArgumentError, match="no page of a DataFrame"):
        forecast.to_html(board.board, tmp_path / "x.html")


def test_a_day_within_a_quarter_and_a_log_without_money(tmp_path: Path) -> None:
    orders = forecast.read_orders(forecast.cdnow().drop(columns="value"), mapping={"value": None})
    model = forecast.fit(orders, "1998-02-10", purchases="bg-nbd", method="mle").save(
        tmp_path / "models" / "shop"
    )
    own = issue(model, orders, 1, as_of="1998-02-10", ledger=tmp_path / "ledger", plan="none", draws=50)
    assert [(q["quarter"], q["partial"]) for q in own.content["quarters"]] == [
        ("1998Q1", True),
        ("1998Q2", False),
    ]
    assert set(own.table("totals")["target"]) == {"purchases", "active", "acquired"}
    found = compare(orders, ledger=tmp_path / "ledger")
    assert found.quarter == "1998Q2"
    assert found.line("value") == {}
    assert "came" in repr(found)
    fiscal = issue(
        model, orders, 1, as_of="1998-02-10", ledger=tmp_path / "other", fiscal_year_start=2, draws=50
    )
    assert [q["quarter"] for q in fiscal.content["quarters"]] == ["FY1999Q1", "FY1999Q2"]
