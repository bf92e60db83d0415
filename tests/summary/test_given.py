"""Histories in place of orders: the same models and scores, every breach told, nothing left out in silence."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, InputError
from forecast.summary import daily_purchases
from forecast.summary.checks import Breaches

AS_OF = "1998-06-30"
BARE = ["customer_id", "frequency", "recency", "T"]


@pytest.fixture(scope="module")
def orders() -> forecast.Orders:
    frame = forecast.cdnow("sample")
    frame["channel"] = ["web" if int(c) % 3 else "app" for c in frame["customer_id"]]
    return forecast.read_orders(frame, currency="USD")


@pytest.fixture(scope="module")
def frame(orders: forecast.Orders) -> pd.DataFrame:
    return forecast.purchase_histories(orders, AS_OF, "channel").to_frame()


@pytest.fixture(scope="module")
def daily(orders: forecast.Orders) -> pd.DataFrame:
    found = daily_purchases(orders, end=AS_OF)[["day", "repeat_purchases"]]
    return found[found["repeat_purchases"] > 0]


def written(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"histories.{kind}"
    if kind == "parquet":
        frame.to_parquet(path, index=False)
    elif kind == "jsonl":
        rows = frame.assign(**{name: frame[name].astype(str) for name in ("first_purchase", "last_purchase")})
        path.write_text("\n".join(json.dumps(row) for row in rows.replace({np.nan: None}).to_dict("records")))
    else:
        frame.to_csv(path, index=False)
    return path


def same(one: forecast.Model, other: forecast.Model) -> None:
    """Every number of two models, to the last bit."""
    for left, right in ((one.purchases, other.purchases), (one.spend, other.spend)):
        assert left.parameters == right.parameters
        assert left.log_likelihood == right.log_likelihood
        assert all((left.draws[name] == right.draws[name]).all() for name in left.draws)
    assert one.clv.cut_offs == other.clv.cut_offs
    assert one.clv.paid_share == other.clv.paid_share
    told, first = one.provenance, other.provenance
    assert told["first_orders"] == first["first_orders"]
    assert told["spend"]["check"] == first["spend"]["check"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "jsonl"])
def test_a_file_gives_the_histories_back(frame: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    path = written(frame.sample(frac=1.0, random_state=1), tmp_path, kind)
    given = forecast.read_histories(path)
    assert (given.as_of, given.by, given.paths) == (dt.date(1998, 6, 30), ("channel",), (path,))
    pd.testing.assert_frame_equal(given.to_frame(), frame, check_exact=True)
    assert given.fingerprint == forecast.read_histories(frame, AS_OF).fingerprint
    assert given.notes == ()


def test_every_statistic_is_that_of_the_orders(
    orders: forecast.Orders, frame: pd.DataFrame, daily: pd.DataFrame
) -> None:
    own = forecast.purchase_histories(orders, AS_OF, ("channel", "first_quarter"))
    given = forecast.read_histories(frame, daily=daily).asked(by=("channel", "first_quarter"))
    for by in (None, "channel", "first_quarter"):
        pairs = [
            (own.purchase_counts(by), given.purchase_counts(by)),
            (own.spend_counts(by), given.spend_counts(by)),
            (own.spend_counts(by, first=True), given.spend_counts(by, first=True)),
        ]
        assert all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(own.repeat_days(), given.repeat_days(), strict=True))
    assert (len(given), given.paid_share) == (len(own), own.paid_share)
    assert [len(part) for part in given.batches(2000)] == [2000, 357]
    pd.testing.assert_frame_equal(pd.concat(given.batches(500)), own.to_frame(), check_exact=True)
    assert given.to_arrow().schema == own.to_arrow().schema


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("method", ["mle", "laplace"])
def test_the_model_is_that_of_the_orders(
    orders: forecast.Orders, frame: pd.DataFrame, tmp_path: Path, kind: str, method: str
) -> None:
    given = forecast.read_histories(written(frame, tmp_path, kind), currency="USD")
    one = forecast.fit(orders, AS_OF, purchases="bg-nbd", method=method)
    other = forecast.fit(given, method=method)
    same(one, other)
    wanted = dict(horizon=180, by="channel")
    pd.testing.assert_frame_equal(
        one.score(orders, as_of=AS_OF, **wanted), other.score(given, **wanted), check_exact=True
    )
    pd.testing.assert_frame_equal(
        one.portfolio(orders, as_of=AS_OF, **wanted), one.portfolio(given, **wanted), check_exact=True
    )
    pd.testing.assert_frame_equal(one.newcomers(), other.newcomers(), check_exact=True)


@pytest.mark.parametrize(
    "options",
    [
        {"by": "channel"},
        {"covariates": {"rate": ["channel"]}},
        {"spend": "all"},
        {"spend": "mean"},
        {"purchases": "mbg-nbd", "seasonal": "yes"},
        {"by": "first_month"},
    ],
    ids=str,
)
def test_options_of_a_fit_do_what_they_do_with_orders(
    orders: forecast.Orders, frame: pd.DataFrame, daily: pd.DataFrame, options: dict
) -> None:
    wanted = {"purchases": "bg-nbd", "method": "laplace" if "by" in options else "mle", **options}
    one = forecast.fit(orders, AS_OF, **wanted)
    given = forecast.read_histories(frame, currency="USD", daily=daily)
    other = forecast.fit(given, **wanted)
    same(one, other)
    if one.clv.clock is not None:
        assert one.clv.clock.swing() == other.clv.clock.swing()
    pd.testing.assert_frame_equal(one.score(orders, as_of=AS_OF), other.score(given), check_exact=True)


def test_what_follows_from_the_rest_need_not_be_given(frame: pd.DataFrame) -> None:
    short = frame.drop(columns=["first_purchase", "last_purchase", "orders", "purchases"])
    found = forecast.read_histories(short, AS_OF).to_frame()
    assert found["orders"].isna().all()
    pd.testing.assert_frame_equal(
        found.drop(columns="orders"), frame.drop(columns="orders"), check_exact=True
    )
    last = forecast.read_histories(frame.drop(columns=["first_purchase", "purchases"]))
    assert (last.as_of, last.fingerprint) == (
        dt.date(1998, 6, 30),
        forecast.read_histories(frame).fingerprint,
    )


def test_histories_without_money_are_those_of_a_log_without(orders: forecast.Orders) -> None:
    log = orders.to_frame()[["customer_id", "order_day"]]
    own = forecast.read_orders(log, mapping={"order_date": "order_day", "value": None})
    whole = forecast.purchase_histories(own, AS_OF).to_frame()
    one = forecast.fit(own, AS_OF, purchases="bg-nbd", method="mle")
    for given in (forecast.read_histories(whole[BARE], AS_OF), forecast.read_histories(whole)):
        other = forecast.fit(given, method="mle")
        assert other.spend is None
        assert other.purchases.parameters == one.purchases.parameters
        pd.testing.assert_frame_equal(other.score(given), one.score(own, as_of=AS_OF), check_exact=True)
        pd.testing.assert_frame_equal(other.newcomers(), one.newcomers(), check_exact=True)


def test_frames_of_all_kinds_and_parts_are_read(frame: pd.DataFrame, tmp_path: Path) -> None:
    whole = forecast.read_histories(frame)
    parts = [frame.iloc[1000:], frame.iloc[:1000]]
    sources = [
        pl.from_pandas(frame), pa.Table.from_pandas(frame), parts, frame.rename(columns=str.upper),
        frame.rename(columns={"T": "t"}),
    ]  # fmt: skip
    for number, part in enumerate(parts):
        part.to_csv(tmp_path / f"part-{number}.csv")  # with its index, a column without a name
    for source in (*sources, str(tmp_path / "part-*.csv")):
        assert forecast.read_histories(source).fingerprint == whole.fingerprint
    frame.sample(frac=1.0, random_state=1).to_parquet(tmp_path / "whole.parquet")
    told = forecast.read_histories(tmp_path / "whole.parquet")
    assert (told.by, told.notes) == (("channel",), ("whole.parquet: 1 column without a name left out",))
    noted = forecast.read_histories(tmp_path / "part-0.csv").notes
    assert noted == ("part-0.csv: 1 column without a name left out",)


def test_the_fingerprint_knows_the_content(frame: pd.DataFrame, daily: pd.DataFrame) -> None:
    prints = [
        forecast.read_histories(frame).fingerprint,
        forecast.read_histories(frame.iloc[1:]).fingerprint,
        forecast.read_histories(frame, daily=daily).fingerprint,
        forecast.read_histories(frame.assign(historical_value=frame["historical_value"] + 0.001)).fingerprint,
        forecast.read_histories(frame[BARE], "1998-07-01").fingerprint,
        forecast.read_histories(frame[BARE], AS_OF).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert forecast.read_histories(frame.assign(channel="x")).fingerprint == prints[0]


SHOP = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"], "first_purchase": ["2024-01-01", "2024-01-21", "2024-01-11"],
        "last_purchase": ["2024-01-31", "2024-01-21", "2024-01-15"], "frequency": [2, 0, 1],
        "recency": [30, 0, 4], "T": [40, 20, 30], "monetary_value": [25.0, None, 8.0],
        "monetary_count": [2, 0, 1], "first_value": [10.0, 5.0, 0.0], "historical_value": [60.0, 5.0, 8.0],
        "orders": [4, 1, 2], "purchases": [3, 1, 2],
    }
)  # fmt: skip


def changed(**cells: object) -> pd.DataFrame:
    """The shop with the first cell of some columns changed."""
    frame = SHOP.astype(object)
    for name, value in cells.items():
        frame.loc[0, name] = value
    return frame


def test_the_small_shop_is_in_order() -> None:
    given = forecast.read_histories(SHOP, "2024-02-10")
    assert given.to_frame()["monetary_value"].tolist()[::2] == [25.0, 8.0]
    assert (
        forecast.read_histories(changed(first_value=None, historical_value=50)).to_frame()["orders"].sum()
        == 7
    )
    assert forecast.read_histories(SHOP.fillna({"monetary_value": 0})).fingerprint == given.fingerprint
    stamped = SHOP.assign(first_purchase=SHOP["first_purchase"] + "T00:00:00.000Z")
    assert forecast.read_histories(stamped).fingerprint == given.fingerprint
    assert (
        forecast.read_histories(SHOP.assign(customer_id=[1.0, 2.0, 3.0])).to_frame()["customer_id"][0] == "1"
    )
    padded = changed(frequency="\t2 ", first_purchase=" 2024-01-01\u00a0", monetary_value="25")
    assert forecast.read_histories(padded).fingerprint == given.fingerprint
    blank = SHOP.astype({"monetary_value": object}).fillna({"monetary_value": "NULL"})
    assert forecast.read_histories(blank).fingerprint == given.fingerprint


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        ({"frequency": -1}, r"frequency is negative \(1 row: row 1: -1\)"),
        ({"frequency": 1.5}, r"frequency is not a whole number \(1 row: row 1: 1.5\)"),
        ({"frequency": None}, r"frequency is missing or infinite \(1 row: row 1\)"),
        ({"frequency": 31}, r"frequency is above recency, with at most one purchase a day \(1 row: row 1: 31\)"),
        ({"frequency": "two"}, r"frequency is not a number \(1 row: row 1\), in frame"),
        ({"frequency": "1_0"}, r"frequency is not a number"),
        ({"recency": 41}, r"recency is beyond T \(1 row: row 1: 41\)"),
        ({"recency": 30.5}, r"recency is no whole number of days \(1 row: row 1: 30.5\)"),
        ({"recency": 0}, r"recency is 0 in spite of a repeat purchase"),
        ({"frequency": 0}, r"recency is above 0 without a repeat purchase"),
        ({"T": 3456000}, r"T is above 200 years of days \(1 row: row 1: 3.456e\+06\)"),
        ({"T": float("inf")}, r"T is missing or infinite"),
        ({"T": 41}, r"first_purchase is not as_of minus T \(1 row: row 1\)"),
        ({"first_purchase": "2024-01-02"}, r"first_purchase is not as_of minus T.*last_purchase is not first_p"),
        ({"first_purchase": "01/01/2024"}, r"first_purchase is no day such as 2026-09-30 \(1 row: row 1\)"),
        ({"first_purchase": "2024-01-01 10:00:00"}, r"first_purchase is no day"),
        ({"first_purchase": "2024-02-30"}, r"first_purchase is no day"),
        ({"first_purchase": ""}, r"first_purchase is missing \(1 row: row 1\)"),
        ({"last_purchase": "2024-02-01"}, r"last_purchase is not first_purchase plus recency \(1 row: row 1\)"),
        ({"customer_id": "b"}, r"customer_id repeats \(1 row: row 2\)"),
        ({"customer_id": " "}, r"customer_id is missing \(1 row: row 1\)"),
        ({"monetary_value": None}, r"monetary_value is missing in spite of a repeat purchase"),
        ({"monetary_value": 0}, r"monetary_value is not above 0"),
        ({"monetary_count": 3}, r"monetary_count exceeds frequency \(1 row: row 1: 3\)"),
        ({"monetary_count": 0}, r"monetary_value is given without a valued repeat purchase \(1 row: row 1: 25\)"),
        ({"monetary_count": None}, r"monetary_count is missing, negative or no whole number"),
        ({"first_value": float("inf")}, r"first_value is infinite"),
        ({"historical_value": None}, r"historical_value is missing or infinite \(1 row: row 1\)"),
        ({"historical_value": 61}, r"historical_value is above first_value \+ monetary_count x monetary_value"),
        ({"historical_value": 59}, r"historical_value is below first_value \+ monetary_count x monetary_value"),
        ({"orders": 2}, r"orders is below purchases \(1 row: row 1: 2\)"),
        ({"orders": 3e9}, r"orders is above 2,147,483,647 \(1 row: row 1: 3e\+09\)"),
        ({"orders": None}, r"orders is missing or no whole number"),
        ({"purchases": 2}, r"purchases is not frequency \+ 1 \(1 row: row 1: 2\)"),
    ],
)  # fmt: skip
def test_every_breach_is_told_with_its_row(cells: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        forecast.read_histories(changed(**cells))


def test_all_breaches_come_together_counted_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.summary.accepting.BLOCK", 2)
    frame = pd.concat([SHOP.assign(customer_id=[f"{k}{i}" for i in range(3)]) for k in range(4)])
    frame["recency"] = 50
    frame.loc[frame.index == 1, "T"] = -1
    match = (
        r"T is negative \(4 rows: row 2: -1, row 5: -1, row 8: -1\); recency is beyond T \(12 rows: row 1: 50, "
        r"row 2: 50, row 3: 50\).*recency is above 0 without a repeat purchase \(4 rows: row 2: 50, .*in frame"
    )
    with pytest.raises(InputError, match=match):
        forecast.read_histories(frame)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_columns_may_have_any_name(tmp_path: Path, suffix: str) -> None:
    names = ("paid", "Bought", "ordered", "source", "row", "name", "k", "g", "day", "record")
    shop = SHOP.assign(**{name: [f"{name} 1", f"{name} 2", None] for name in names})
    path = tmp_path / f"shop.{suffix}"
    shop.to_csv(path, index=False) if suffix == "csv" else shop.to_parquet(path)
    given = forecast.read_histories(path)
    for name in names:
        assert given.asked(by=name).to_frame()[name].tolist() == [f"{name} 1", f"{name} 2", "unknown"]
        assert given.asked(by=name).sizes(name) == {f"{name} 1": 1, f"{name} 2": 1, "unknown": 1}
        assert len(given.asked(by=name).purchase_counts(name)[4]) == 3


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.csv"
    SHOP.to_csv(path, index=False)
    count = Breaches.report

    def changing(own: Breaches) -> None:
        SHOP.iloc[:2].to_csv(path, index=False)
        count(own)

    monkeypatch.setattr(Breaches, "report", changing)
    with pytest.raises(InputError, match=r"the file changed while it was read, in shop.csv\. Read it again"):
        forecast.read_histories(path)


def test_rows_are_counted_as_in_the_files(tmp_path: Path) -> None:
    SHOP.to_csv(tmp_path / "a.csv", index=False)
    changed(customer_id="d", recency=-5).iloc[:1].to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=r"recency is negative \(1 row: b.csv row 2: -5\)"):
        forecast.read_histories([tmp_path / "a.csv", tmp_path / "b.csv"])
    SHOP.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(
        InputError, match=r"customer_id repeats \(3 rows: b.csv row 2, b.csv row 3, b.csv row 4\)"
    ):
        forecast.read_histories(str(tmp_path / "*.csv"))
    SHOP.assign(more=1).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=r"the columns differ from those of the first file, in b.csv"):
        forecast.read_histories(str(tmp_path / "*.csv"))
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text + "\n\ne,2024\n")
    with pytest.raises(InputError, match=r"record does not fit the header \(1 row: row 7\), in a.csv"):
        forecast.read_histories(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(text + "\n\n")
    assert forecast.read_histories(tmp_path / "a.csv").notes == ("a.csv: blank lines skipped: 2",)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: forecast.read_histories(SHOP.drop(columns="T")), "column missing: T, in frame"),
        (lambda: forecast.read_histories(SHOP.drop(columns="first_value")), "column missing: first_value"),
        (lambda: forecast.read_histories(SHOP.assign(t=1)), "column twice: T, in frame"),
        (lambda: forecast.read_histories(SHOP.assign(T=True)), "T is of type BOOLEAN"),
        (lambda: forecast.read_histories(SHOP.assign(first_purchase=1)), "first_purchase is of type BIGINT"),
        (lambda: forecast.read_histories(SHOP[BARE]), "nothing tells the day on which the histories end"),
        (lambda: forecast.read_histories(SHOP, "2024-02-11"), r"is not as_of minus T \(3 rows"),
        (lambda: forecast.read_histories(SHOP, "soon"), "as_of is not a day"),
        (lambda: forecast.read_histories(SHOP, currency="euros"), "currency is 'euros'"),
        (lambda: forecast.read_histories(5), "histories cannot be read from int"),
        (lambda: forecast.read_histories(SHOP, daily=5), "the daily repeat purchases cannot be read from int"),
        (lambda: forecast.read_histories("nothing.parquet"), "the file does not exist"),
        (lambda: forecast.read_histories(SHOP).asked("2024-02-11"), "as of 2024-02-10, not 2024-02-11"),
        (lambda: forecast.read_histories(SHOP).asked(by="channel"), "no column 'channel' to group by"),
        (lambda: forecast.read_histories(SHOP.assign(c=1)).asked(by=["c", "c"]), "'c' cannot group"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(make, match: str) -> None:
    with pytest.raises((InputError, ArgumentError), match=match):
        make()


DAYS = pd.DataFrame({"day": ["2024-01-15", "2024-01-20", "2024-01-31"], "repeat_purchases": [1, 1, 1]})


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        ({"repeat_purchases": [1, 2, 1]}, "the days hold 4 repeat purchases, the histories 3"),
        ({"repeat_purchases": [1, 1.5, 1]}, r"repeat_purchases is missing, negative or no whole number \(1 row: row 2"),
        ({"repeat_purchases": [0, 2, 1]}, r"below the number of customers whose last purchase is on that day"),
        ({"day": ["2024-01-15", "2024-01-15", "2024-01-31"]}, r"day repeats \(1 row: row 2\)"),
        ({"day": ["2024-01-15", "2024-01-01", "2024-01-31"]}, r"day is not after the first purchase of all, 2024-01-01"),
        ({"day": ["2024-01-15", "2024-02-11", "2024-01-31"]}, r"day is after as_of 2024-02-10 \(1 row: row 2\)"),
        ({"day": ["2024-01-15", "", "2024-01-31"]}, r"day is missing \(1 row: row 2\)"),
        ({"day": ["2024-01-15", "x", "2024-01-31"]}, r"day is no day such as"),
        ({"day": ["2024-01-16", "2024-01-20", "2024-01-31"]}, r"day is left out although .* \(1 row: 2024-01-15\)"),
    ],
)  # fmt: skip
def test_days_are_held_against_the_histories(cells: dict, match: str) -> None:
    assert forecast.read_histories(SHOP, daily=DAYS).repeat_days()[1].tolist() == [1, 1, 1]
    with pytest.raises(InputError, match=match):
        forecast.read_histories(SHOP, daily=DAYS.assign(**cells))


def test_what_needs_orders_says_so(orders: forecast.Orders, frame: pd.DataFrame, tmp_path: Path) -> None:
    given = forecast.read_histories(frame, currency="USD")
    for option in ({"purchases": "auto"}, {"seasonal": "auto"}, {"spend": "auto"}):
        with pytest.raises(
            ArgumentError, match=r"='auto' compares forecasts of earlier quarters, which histories"
        ):
            forecast.fit(given, **option)
    with pytest.raises(
        InputError, match=r"without the days of repeat purchases, which a season needs.*--daily"
    ):
        forecast.fit(given, seasonal="yes")
    with pytest.raises(ArgumentError, match="as of 1998-06-30, not 1997-09-30"):
        forecast.fit(given, "1997-09-30")
    model = forecast.fit(given, method="mle").save(tmp_path / "shop")
    assert model.provenance["choice"]["reason"].startswith("the default for histories")
    assert model.provenance["reconciliation"]["used"] == 2357
    card = model.card()
    assert "2,357 customers with purchases, given as histories, from 1997-01-01 to 1998-06-30" in card
    assert "- value_policy: not told by histories" in card
    assert f"- fingerprint of the histories: `{given.fingerprint}`" in card
    assert "bg-nbd: the default for histories, which hold no earlier quarters to choose by." in card
    no_orders = [
        lambda: forecast.issue(model, given), lambda: forecast.backtest(given),
        lambda: forecast.historical_clv(given), lambda: forecast.check_model(model, given),
        lambda: forecast.purchase_histories(given), lambda: forecast.compare(given),
        lambda: forecast.fit(forecast.purchase_histories(orders)),
    ]  # fmt: skip
    for call in no_orders:
        with pytest.raises(ArgumentError, match="orders are needed, not purchase histories"):
            call()
    # What a model of histories can do with orders, and the other way round.
    checked = forecast.check_model(model, orders)
    assert any("the model was fitted on histories, not on orders, so there is no" in n for n in checked.notes)
    assert forecast.issue(model, orders, 1, as_of=AS_OF, ledger=tmp_path / "ledger", draws=20, plan="none")
    found = forecast.what_if(model, forecast.Scenario(retention=1.1), orders=given)
    assert "known customers" in set(found["group"])
    with pytest.raises(ArgumentError, match="fitted with currency 'USD', these histories have None"):
        model.score(forecast.read_histories(frame))


def test_closing_gives_the_tables_back(frame: pd.DataFrame, daily: pd.DataFrame) -> None:
    given = forecast.read_histories(frame, daily=daily)
    given.asked(by="channel").close()
    assert len(given.to_frame()) == len(frame)
    given.close()
    assert given.connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_the_command_takes_histories(
    orders: forecast.Orders, frame: pd.DataFrame, daily: pd.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    frame.drop(columns=["first_purchase", "last_purchase"]).to_csv("h.csv.gz", index=False)
    frame.iloc[:1000].to_parquet("one.parquet")
    frame.iloc[1000:].to_parquet("two.parquet")
    daily.to_csv("daily.csv", index=False)
    orders.to_frame().to_csv("orders.csv", index=False)
    source = ["--histories", "h.csv.gz", "--as-of", AS_OF, "--currency", "USD"]
    fit = ["--name", "shop", "--method", "mle"]
    assert main(["fit", *source, *fit, "--seasonal", "yes", "--daily", "daily.csv"]) == 0
    assert "Choice: bg-nbd+season: the default for histories" in capsys.readouterr().out
    assert (
        main(["fit", "orders.csv", "--currency", "USD", *fit, "--purchases", "bg-nbd", "--seasonal", "yes"])
        == 0
    )
    score = ["--model", "shop", "--by", "channel", "--json"]
    parts = ["--histories", "one.parquet", "--histories", "two.parquet", "--currency", "USD"]
    capsys.readouterr()
    assert main(["score", *parts, *score, "--out", "scores.csv", "--shopify", "tags.csv"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["customers"], told["as_of"]) == (2357, AS_OF)
    assert told["notes"] == ["Histories do not tell their value policy; that of shop@2 is value."]
    assert main(["score", "orders.csv", "--currency", "USD", *score, "--out", "same.csv"]) == 0
    assert Path("scores.csv").read_bytes() == Path("same.csv").read_bytes()
    assert main(["score", *parts, "--model", "shop@1", "--out", "one.csv", "--quiet"]) == 0
    assert pd.read_csv("one.csv")["expected_value"].equals(pd.read_csv("same.csv")["expected_value"])
    few = ["--histories", "few.csv", "--currency", "USD"]
    frame.head(50).to_csv("few.csv", index=False)
    assert main(["score", *few, "--model", "shop", "--out", "page.html", "--quiet"]) == 0
    assert "histories" in Path("page.html").read_text()
    assert main(["score", *few, "--model", "shop", "--out", "few.csv"]) == 1
    assert "would overwrite an input" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ([], "ORDERS or --histories is needed"),
        (["o.csv", "--histories", "h.csv"], "ORDERS and --histories are given"),
        (["o.csv", "--daily", "d.csv"], "--daily goes with --histories"),
        (
            ["--histories", "h.csv", "--timezone", "UTC", "--map", "value=x"],
            "no orders to read: --map, --timezone",
        ),
    ],
)
@pytest.mark.parametrize("verb", [["fit", "--name", "x"], ["score", "--model", "x", "--out", "s.csv"]])
def test_sources_that_exclude_each_other_are_wrong_usage(
    verb: list[str], more: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*verb, *more])
    error = capsys.readouterr().err
    assert f"usage: forecast {verb[0]}" in error
    assert match in error
