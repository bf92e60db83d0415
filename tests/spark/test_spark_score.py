"""Scores and fits by Spark are those of one machine, whatever the partitions; and so are the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mess import written

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, InputError
from forecast.predict.spark import score_fields

AS_OF = "1997-09-30"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """CDNOW's sample with a channel."""
    frame = forecast.cdnow().assign(
        channel=lambda f: np.where(f["customer_id"].astype(int) % 3 == 0, "web", "app")
    )
    return written(
        pa.Table.from_pandas(frame, preserve_index=False), tmp_path_factory.mktemp("log") / "orders.parquet"
    )


@pytest.fixture(scope="module")
def orders(log: str) -> forecast.Orders:
    return forecast.read_orders(log, currency="USD")


@pytest.fixture(scope="module")
def histories(spark, log: str):
    return forecast.spark.summarise(
        spark.read.parquet(log).repartition(3), currency="USD", as_of=AS_OF, by="channel"
    )


def local(found) -> pd.DataFrame:
    """Scores of Spark as those of one machine are: by customer, days as stamps."""
    frame = found.toArrow().sort_by("customer_id").to_pandas(date_as_object=False)
    days = ["as_of", "first_purchase", "last_purchase", "next_purchase_median"]
    return frame.astype(dict.fromkeys(days, "datetime64[s]"))


def same_models(one: forecast.Model, two: forecast.Model) -> None:
    left, right = one._payload(), two._payload()
    for name in ("purchases", "spend", "paid_share", "clock", "calibration", "cut_offs"):
        np.testing.assert_equal(left[name], right[name])
    np.testing.assert_equal(one.provenance["first_orders"], two.provenance["first_orders"])


def test_fits_and_scores_are_those_of_one_machine(histories, orders) -> None:
    model = forecast.fit(histories, method="mle")
    assert model.provenance["choice"]["reason"].startswith("the default for histories")
    own = forecast.fit(orders, AS_OF, purchases="bg-nbd", method="mle")
    same_models(model, own)
    assert model.provenance["customers"] == own.provenance["customers"]
    assert model.provenance["orders_after_as_of"] == own.provenance["orders_after_as_of"]
    reread = {
        n: model.provenance["reconciliation"][n]
        for n in ("rows_in", "used", "merged", "rejected", "value_in")
    }
    assert reread == {n: own.provenance["reconciliation"][n] for n in reread}
    expected = own.score(orders, 91, [80, 95], as_of=AS_OF, by="channel", margin=0.4, discount_rate=0.1)
    options = {"by": "channel", "margin": 0.4, "discount_rate": 0.1}
    for layout in (lambda df: df.repartition(1), lambda df: df.repartition(40, "T"), lambda df: df):
        table = layout(histories.histories)
        found = forecast.spark.score(table, model, 91, [80, 95], as_of=AS_OF, **options)
        pd.testing.assert_frame_equal(local(found), expected, check_exact=True)
    found = forecast.spark.score(histories, model, "2Q", 80)
    pd.testing.assert_frame_equal(local(found), own.score(orders, "2Q", 80, as_of=AS_OF), check_exact=True)


def test_groups_seasons_and_draws_are_those_of_one_machine(spark, log, orders) -> None:
    options = {"purchases": "mbg-nbd", "by": "channel", "seasonal": "yes", "spend": "all"}
    histories = forecast.spark.summarise(spark.read.parquet(log), currency="USD", by="channel")
    model = forecast.fit(histories, **options)
    same_models(model, forecast.fit(orders, **options))
    table = histories.histories.repartition(3, "frequency")
    found = local(forecast.spark.score(table, model, 30, 80, as_of=histories.as_of))
    pd.testing.assert_frame_equal(found, model.score(orders, 30, 80), check_exact=True)
    histories.close()


def test_without_money(spark, log) -> None:
    mapping = {"value": None}
    orders = forecast.read_orders(log, mapping=mapping)
    histories = forecast.spark.summarise(spark.read.parquet(log), mapping=mapping)
    model = forecast.fit(histories, purchases="pareto-nbd", method="mle")
    same_models(model, forecast.fit(orders, purchases="pareto-nbd", method="mle"))
    found = local(forecast.spark.score(histories, model, 30))
    pd.testing.assert_frame_equal(found, model.score(orders, 30), check_exact=True)
    assert list(score_fields(model.clv, [80.0, 95.0])) == list(found.columns)


def test_what_cannot_be_scored_or_chosen_is_refused(histories) -> None:
    model = forecast.fit(histories, method="mle")
    table = histories.histories
    with pytest.raises(ArgumentError, match="as_of is needed with a table of histories"):
        forecast.spark.score(table, model)
    with pytest.raises(InputError, match="column missing: T, in the histories"):
        forecast.spark.score(table.drop("T"), model, as_of=AS_OF)
    with pytest.raises(ArgumentError, match="the histories have no column 'first_month'"):
        forecast.spark.score(histories, model, by="first_month")
    with pytest.raises(ArgumentError, match="compares forecasts of earlier quarters"):
        forecast.fit(histories, purchases="auto")


def test_the_commands_take_spark(
    spark, log, orders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [log, "--currency", "USD", "--as-of", AS_OF, "--models", str(tmp_path / "models"), "--json"]
    there = [*own, "--engine", "spark"]
    assert main(["fit", *there, "--name", "far", "--covariate", "rate=channel", "--method", "mle"]) == 0
    assert json.loads(capsys.readouterr().out)["choice"]["candidate"] == "bg-nbd"
    assert (
        main(
            [
                "fit",
                *own,
                "--name",
                "near",
                "--covariate",
                "rate=channel",
                "--method",
                "mle",
                "--purchases",
                "bg-nbd",
            ]
        )
        == 0
    )
    capsys.readouterr()
    outs = []
    for name, arguments in (("far", there), ("near", own)):
        out = tmp_path / f"{name}.parquet"
        assert main(["score", *arguments, "--model", name, "--out", str(out), "--horizon", "91"]) == 0
        outs.append((pq.read_table(out), json.loads(capsys.readouterr().out)["portfolio"]))
    assert outs[0][0].equals(outs[1][0])
    assert outs[0][1] == outs[1][1]
    assert (
        main(["score", *there, "--model", "far", "--out", str(tmp_path / "x.csv"), "--max-rejected", "-1"])
        == 1
    )
    assert "Give a share" in capsys.readouterr().err
    csv = tmp_path / "orders.csv"
    pd.read_parquet(log).to_csv(csv, index=False)
    assert (
        main(
            ["fit", str(csv), *there[1:], "--name", "text", "--covariate", "rate=channel", "--method", "mle"]
        )
        == 0
    )
    capsys.readouterr()
    same_models(forecast.load(tmp_path / "models" / "text"), forecast.load(tmp_path / "models" / "far"))
    assert main(["fit", str(tmp_path / "none.parquet"), *there[1:], "--name", "x"]) == 1
    assert "Spark cannot read the files" in capsys.readouterr().err
