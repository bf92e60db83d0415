"""Whole quarters: known and new customers issued and settled together, by plan or by what is usual."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, InputError
from forecast.evaluation.settle import FACTORS
from tests.seasonal_shop import calm, simulate

ENDS = ("2021-12-31", "2022-03-31", "2022-06-30")
SCOPES = {"total", "cohort", "repeat_purchases", "channel"}
RUN = tuple[Path, forecast.Orders, list[forecast.Comparison]]


def shop() -> pd.DataFrame:
    """Three years in which customers are won all the time, two channels."""
    frame = simulate(calm(1216), size=3000)
    channel = np.where(frame["customer_id"].str[-1].isin(list("012")), "mail", "web")
    return frame.assign(channel=channel)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> RUN:
    folder = tmp_path_factory.mktemp("whole")
    orders = forecast.read_orders(shop(), currency="EUR")
    found = []
    for end in ENDS:
        model = forecast.fit(orders, end, purchases="bg-nbd", method="mle").save(folder / "models" / "shop")
        issued = forecast.issue(
            model, orders, 2, as_of=end, ledger=folder / "ledger", by="channel", draws=300
        )
        quarter = issued.content["quarters"][0]["quarter"]
        found.append(forecast.compare(orders, ledger=folder / "ledger", quarter=quarter))
    return folder, orders, found


def test_known_and_new_add_up_in_every_scope(replay: RUN) -> None:
    _, orders, found = replay
    for one in found:
        totals, customers = one.issue.table("totals"), one.issue.table("customers")
        means = totals[totals["output_type"] == "mean"]
        for (_, target), lines in means.groupby(["target_end_date", "target"]):
            parts = lines[lines["scope"] == "total"].set_index("group")["value"]
            assert parts["new"] + parts.get("known", 0.0) == pytest.approx(parts["all"], rel=1e-9)
            kept = lines[(lines["scope"] != "total") | (lines["group"] == "all")]
            sums = kept.groupby("scope")["value"].sum()
            assert set(sums.index) == SCOPES
            assert sums.to_numpy() == pytest.approx(parts["all"], rel=1e-9), target
        first = customers[customers["quarter"] == one.quarter]
        assert first["expected_value"].sum() == pytest.approx(one.line("value", group="known")["forecast"])
        kept = one.lines[one.lines["scope"].isin(SCOPES)]
        kept = kept[(kept["scope"] != "total") | (kept["group"] == "all")]
        for column in ("forecast", "actual"):
            sums = kept.groupby(["target", "scope"])[column].sum().unstack()
            np.testing.assert_allclose(sums.to_numpy(), sums[["total"]].to_numpy().repeat(4, 1), rtol=1e-9)
        bridge = one.lines[one.lines["scope"] == "bridge"].set_index("group")["actual"]
        assert tuple(bridge.index) == FACTORS
        value = one.line("value")
        assert bridge.sum() == pytest.approx(value["actual"] - value["forecast"], abs=0.005)
    daily = orders.to_frame()
    inside = daily[(daily["order_day"] > ENDS[0]) & (daily["order_day"] <= ENDS[1])]
    assert found[0].line("value")["actual"] == pytest.approx(inside["value"].sum(), abs=0.005)
    first_days = daily.groupby("customer_id")["order_day"].min()
    won = first_days.between("2022-01-01", "2022-03-31").sum()
    assert found[0].line("acquired", group="new")["actual"] == won


def test_the_quarter_is_near_and_inside(replay: RUN) -> None:
    """Customers were simulated as the model has them, won at one rate."""
    record = forecast.track_record(replay[0] / "ledger")
    whole = record[(record["group"] == "all") & (record["target"] == "purchases")]
    assert whole["quarter"].tolist() == ["2022Q1", "2022Q2", "2022Q3"]
    assert (whole["error"].abs() < 0.12).all()
    assert whole["hit-95"].all()
    new = record[(record["group"] == "new") & (record["target"] == "acquired")]
    assert (new["error"].abs() < 0.25).all()
    assert new["hit-95"].all()
    wide, narrow = (
        (own["hi-80"] - own["lo-80"]).mean()
        for own in (whole, record[(record["group"] == "known") & (record["target"] == "purchases")])
    )
    assert wide > narrow


def test_cohorts_are_projected_and_met(replay: RUN) -> None:
    _, orders, found = replay
    curves = found[0].cohorts
    own = curves[curves["cohort"] == "2021Q2"]
    assert own["age"].tolist() == list(range(5))
    assert own["projected"].tolist() == [False] * 3 + [True] * 2
    assert own["cumulative_value_per_customer"].is_monotonic_increasing
    assert (own["lo-80"].dropna() <= own["hi-80"].dropna()).all()
    assert own["actual"].notna().tolist() == [False, False, False, True, False]
    history = forecast.historical_clv(orders, ENDS[1], cohort="Q").cohorts
    came = history[(history["cohort"] == "2021Q2") & (history["age"] == 3)]
    assert own["actual"].iloc[3] == pytest.approx(came["cumulative_value_per_customer"].iloc[0])
    assert int(own["customers"].iloc[0]) == int(came["customers"].iloc[0])


def test_a_fiscal_year_has_cohorts_of_its_own(replay: RUN, tmp_path: Path) -> None:
    folder, orders, _ = replay
    model = forecast.load(folder / "models" / "shop@1")
    own = forecast.issue(model, orders, 1, as_of="2022-01-31", ledger=tmp_path, fiscal_year_start=2, draws=20)
    assert own.content["quarters"][0]["quarter"] == "FY2023Q1"
    curves = own.table("cohorts")
    assert curves["cohort"].str.startswith("FY").all()
    assert curves[~curves["projected"]].groupby("cohort")["age"].max()["FY2022Q4"] == 0
    found = forecast.compare(orders, ledger=tmp_path)
    assert found.quarter == "FY2023Q1"
    labels = found.lines[(found.lines["scope"] == "cohort") & (found.lines["target"] == "value")]["group"]
    assert labels.iloc[-1] == "FY2023Q1"


def test_plans_of_the_whole_and_of_groups(replay: RUN, tmp_path: Path) -> None:
    folder, orders, _ = replay
    model = forecast.load(folder / "models" / "shop@1")
    options = {"as_of": ENDS[0], "draws": 50}

    def new(name: str, plan: object, **more: object) -> pd.DataFrame:
        own = forecast.issue(model, orders, 1, ledger=tmp_path / name, plan=plan, **{**options, **more})
        totals = own.table("totals")
        return totals[(totals["output_type"] == "mean") & (totals["target"] == "acquired")]

    whole = pd.DataFrame({"period": ["2022-01", "2022-02", "2022-03"], "customers": [100, 200, 300]})
    found = new("whole", whole, by="channel")
    assert found[found["scope"] == "total"]["value"].tolist() == [600.0, 600.0]
    shares = found[found["scope"] == "channel"].set_index("group")["value"] / 600.0
    assert shares["mail"] == pytest.approx(0.3, abs=0.06)
    groups = pd.DataFrame({"period": "2022Q1", "channel": ["mail", "tv"], "customers": [100, 50]})
    found = new("groups", groups, by="channel")
    by = found[found["scope"] == "channel"].set_index("group")["value"]
    assert by[["mail", "tv", "web"]].tolist() == pytest.approx([100.0, 50.0, 0.0])
    found = new("none", "none")
    assert found["value"].tolist() == [0.0] * len(found)
    with pytest.raises(ArgumentError, match=r"plan has groups \(mail, tv\), and no column is named"):
        new("x", groups.rename(columns={"channel": "group"}))
    with pytest.raises(ArgumentError, match=r"says nothing of 31 of 90 days, the first of them 2022-03-01"):
        new("x", whole.head(2))
    with pytest.raises(InputError, match=r"the file does not exist, in .*plan\.csv"):
        new("x", tmp_path / "plan.csv")
    with pytest.raises(ArgumentError, match="first_quarter has lines already: those of scope cohort"):
        new("x", None, by="first_quarter")
    assert not (tmp_path / "x").exists()


def test_without_new_orders_later_rows_change_nothing(replay: RUN, tmp_path: Path) -> None:
    _, _, found = replay
    frame = shop()
    later = frame["order_date"] > ENDS[0]
    changed = frame.assign(value=np.where(later, 1.0, frame["value"])).drop(index=frame.index[later][::2])
    orders = forecast.read_orders(changed, currency="EUR")
    model = forecast.fit(orders, ENDS[0], purchases="bg-nbd", method="mle").save(tmp_path / "models" / "shop")
    again = forecast.issue(model, orders, 2, as_of=ENDS[0], ledger=tmp_path / "l", by="channel", draws=300)
    for name in ("customers", "totals", "cohorts"):
        pd.testing.assert_frame_equal(again.table(name), found[0].issue.table(name))


def test_drift_says_when_to_fit_again(replay: RUN) -> None:
    found = forecast.drift(replay[0] / "ledger").set_index("check")
    assert found["light"].notna().all()
    assert found.loc["age of the model", "value"] == 0.0
    assert found.loc["known customers", "value"] > 0.0  # against the forecast before


def test_orders_of_other_customers_are_refused(replay: RUN, tmp_path: Path) -> None:
    folder, _, found = replay
    frame = shop()
    strange = forecast.read_orders(frame.assign(customer_id="n" + frame["customer_id"]), currency="EUR")
    before = sorted((found[0].issue.path / "settlements").iterdir())
    with pytest.raises(ArgumentError, match=r"1,959 of the 1,959 customers of the forecast are not in these"):
        forecast.compare(strange, ledger=folder / "ledger", quarter="2022Q1")
    assert sorted((found[0].issue.path / "settlements").iterdir()) == before
    gone = frame[~frame["customer_id"].isin(frame["customer_id"].unique()[:5])]
    again = forecast.compare(
        forecast.read_orders(gone, currency="EUR"), ledger=folder / "ledger", quarter="2022Q1", settle=False
    )
    assert "5 customers of the forecast have no order until then any more" in again.notes


def test_a_closed_cohort_is_judged_by_its_own(replay: RUN, tmp_path: Path) -> None:
    folder, orders, _ = replay
    model = forecast.load(folder / "models" / "shop@1")
    forecast.issue(model, orders, 1, as_of=ENDS[0], ledger=tmp_path, plan="none", draws=50)
    found = forecast.compare(orders, ledger=tmp_path, quarter="2022Q1")
    lights = forecast.drift(tmp_path).set_index("check")["light"]
    assert lights["new customers"] is None or pd.isna(lights["new customers"])
    assert lights["last quarters"] == "green"
    page = found.content()["lead"][0].lines
    assert page[0].startswith("In 2022Q1 known customers spent EUR")
    assert any("customers were won beside them; none were to be forecast" in line for line in page)


def test_a_late_refund_is_said_on_the_page(replay: RUN, tmp_path: Path) -> None:
    folder, orders, _ = replay
    model = forecast.load(folder / "models" / "shop@1")
    forecast.issue(model, orders, 1, as_of=ENDS[0], ledger=tmp_path, draws=50)
    forecast.compare(orders, ledger=tmp_path, quarter="2022Q1")
    frame = shop()
    inside = frame["order_date"].between("2022-01-01", "2022-03-31")
    refunded = frame.assign(value=np.where(inside, 0.9 * frame["value"], frame["value"]))
    again = forecast.compare(
        forecast.read_orders(refunded, currency="EUR"), ledger=tmp_path, quarter="2022Q1"
    )
    text = again.content()
    assert any(
        line.startswith("First reported were EUR") and "\u221210 %" in line for line in text["lead"][0].lines
    )
    record = next(section for section in text["sections"] if section.anchor == "record")
    assert "Restated" in [heading for heading, _ in record.blocks[-1].columns]


def test_the_shell_does_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, plan, spend = (tmp_path / name for name in ("orders.csv", "plan.csv", "spend.csv"))
    shop().to_csv(log, index=False)
    plan.write_text("period,channel,customers\n2022Q1,mail,90\n2022Q1,web,160\n")
    spend.write_text("period,channel,spend\n2021Q4,mail,4000\n2021Q4,web,900\n")
    common, models = [str(log), "--currency", "EUR"], ["--models", str(tmp_path / "models")]
    fit = ["fit", *common, *models, "--name", "shop", "--purchases", "bg-nbd"]
    assert main([*fit, "--by", "channel", "--as-of", ENDS[0], "--quiet"]) == 0
    ledger = ["--ledger", str(tmp_path / "ledger")]
    freeze = ["issue", *common, *models, "--model", "shop", "--as-of", ENDS[0], "--quarters", "1", *ledger]
    assert main([*freeze, "--by", "channel", "--plan", str(plan)]) == 0
    said = capsys.readouterr().out
    assert "Arrivals: as planned" in said
    assert "of these new customers 250 won" in said
    review = ["compare", *common, *ledger, "--quarter", "2022Q1"]
    assert main([*review, "--out", str(tmp_path / "review")]) == 0
    said = capsys.readouterr().out
    assert "customers were won, 250 were forecast" in said
    assert "No need to refit" in said or "Refit before" in said
    page, twin = ((tmp_path / "review" / f"comparison.{end}").read_text() for end in ("html", "md"))
    for text in ("Where the difference comes from", "value per new customer", "Fit again?", "Cohorts"):
        assert text in page, text
        assert text in twin, text
    assert "<script" not in page
    assert "| Value | all customers |" in twin
    assert main([*review, "--out", str(tmp_path / "one.md")]) == 0
    assert (tmp_path / "one.md").read_text() == twin

    common = ["newcomers", *models, "--model", "shop"]
    more = ["--spend", str(spend), "--plan", str(plan), "--margin", "0.4"]
    capsys.readouterr()
    assert main([*common, *more, "--out", str(tmp_path / "n.csv")]) == 0
    said = capsys.readouterr().out
    assert "  mail: CAC EUR" in said
    assert "  2022Q1 web: 160 customers, EUR" in said
    table = pd.read_csv(tmp_path / "n.csv")
    assert table["period"].notna().sum() == 2
    assert table.set_index("group")["cac"].dropna().gt(0).sum() == 3
    page = tmp_path / "n.html"
    assert (
        main([*common, *more, "--what-if", "retention=5%", "--what-if", "basket=10%", "--out", str(page)])
        == 0
    )
    text = page.read_text()
    for words in (
        "Cost and payback",
        "What if",
        "retention +5",
        "What the planned newcomers are worth",
        "data:image",
    ):
        assert words in text, words
    capsys.readouterr()
    assert main([*common, "--what-if", "orders=1", "--json", "--out", str(tmp_path / "w.parquet")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["what_if"][0]["scenario"] == "as fitted"
    assert set(pd.read_parquet(tmp_path / "w.parquet")["scenario"]) == {"as fitted", "orders +1 a year"}
    assert main([*common, *more, "--what-if", "orders=1", "--out", str(tmp_path / "x.csv")]) == 1
    assert "do not fit into one table" in capsys.readouterr().err
    assert main([*common, "--what-if", "loyalty=1", "--out", str(tmp_path / "x.csv")]) == 1
    assert "'loyalty=1' cannot be read as a change" in capsys.readouterr().err
    assert main([*common, *more, "--out", str(spend)]) == 1
    assert "would overwrite an input" in capsys.readouterr().err


def test_payback_as_observed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = forecast.read_orders(shop(), currency="EUR")
    history = forecast.historical_clv(orders, "2022-12-31", by="channel", margin=0.5)
    spend = pd.DataFrame(
        {"period": ["2020Q1", "2020Q1", "2022Q1", "2022-08"], "channel": ["mail", "web", "web", "mail"],
         "spend": [100.0, 1e6, 1e5, 1.0]}
    )  # fmt: skip
    found = history.payback(spend, months=24)
    assert found["payback"].tolist() == ["paid back", "not reached", "not known yet", "paid back"]
    assert found["payback_month"].fillna(-1).tolist() == [0.0, -1.0, -1.0, 0.0]
    daily = orders.to_frame()
    first = daily.groupby("customer_id")["order_day"].transform("min")
    own = daily[first.between("2022-01-01", "2022-03-31") & (daily["channel"] == "web")]
    assert found["customers"].iloc[2] == own["customer_id"].nunique()
    seen = found["months_observed"].iloc[2]
    age = (own["order_day"] - first[own.index]).dt.days
    expected = (
        0.5 * own.loc[np.ceil(age / (365.25 / 12)) <= seen, "value"].sum() / own["customer_id"].nunique()
    )
    assert found["value_per_customer"].iloc[2] == pytest.approx(expected)
    with pytest.raises(ArgumentError, match=r"spend of 2023Q1 is of days after 2022-12-31"):
        history.payback(spend.assign(period="2023Q1"))
    with pytest.raises(ArgumentError, match=r"spend has groups \(mail, web\), and no column is named"):
        forecast.historical_clv(orders).payback(spend.rename(columns={"channel": "group"}))
    log, file = tmp_path / "orders.csv", tmp_path / "spend.csv"
    shop().to_csv(log, index=False)
    spend.to_csv(file, index=False)
    run = ["history", str(log), "--currency", "EUR", "--as-of", "2022-12-31", "--by", "channel"]
    assert main([*run, "--margin", "0.5", "--spend", str(file), "--out", str(tmp_path / "h")]) == 0
    assert "not known yet" in capsys.readouterr().out
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "h" / "payback.parquet"), found, check_dtype=False
    )
    assert "Paid back?" in (tmp_path / "h" / "history.html").read_text()
