"""The command that says what the next customer is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import forecast
from forecast.cli import main
from forecast.fitting.fitted import Verdict

RUN = list[str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    frame = forecast.cdnow("sample")
    frame["channel"] = ["web" if int(c) % 3 else "app" for c in frame["customer_id"]]
    folder = tmp_path_factory.mktemp("shop") / "models"
    orders = forecast.read_orders(frame, currency="USD")
    forecast.fit(orders, "1997-09-30", purchases="bg-nbd", by="channel").save(folder / "shop")
    return str(folder)


def command(models: str, out: Path, *more: str) -> RUN:
    return ["newcomers", "--model", "shop", "--models", models, "--out", str(out), *more]


def test_the_file_is_what_python_gives(models: str, tmp_path: Path) -> None:
    options = [
        "--horizon",
        "180",
        "--level",
        "50,90",
        "--margin",
        "0.4",
        "--discount-rate",
        "0.1",
        "--seed",
        "7",
    ]
    own = forecast.load(f"{models}/shop").newcomers(180, (50, 90), margin=0.4, discount_rate=0.1, seed=7)
    for name, read in (("n.csv", pd.read_csv), ("n.parquet", pd.read_parquet)):
        assert main([*command(models, tmp_path / name), *options, "--quiet"]) == 0
        pd.testing.assert_frame_equal(
            read(tmp_path / name), own, check_dtype=False, check_exact=False, rtol=1e-12
        )


def test_it_tells_a_person(models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(models, tmp_path / "n.csv")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "A customer won on the day after 1997-09-30, until 365 days after the first order, model shop@1"
    )
    assert [line.split(":")[0].strip() for line in lines[1:5]] == ["all", "app", "web", "(any other)"]
    table = forecast.load(f"{models}/shop").newcomers()
    assert f"value USD {table.loc[0, 'expected_value']:,.2f} (80 % of newcomers USD " in lines[1]
    assert f"first order USD {table.loc[0, 'first_order_value']:.2f}" in lines[1]
    assert lines[1].endswith("2,357 customers observed")
    assert lines[-1].startswith("Wrote ")


def test_it_tells_a_machine(models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(models, tmp_path / "n.json", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["as_of"], found["horizon_days"]) == ("shop@1", "1997-09-30", 365)
    assert [row["group"] for row in found["newcomers"]] == ["all", "app", "web", "(any other)"]


def test_a_doubtful_model_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = forecast.fit(forecast.read_orders(forecast.cdnow("sample"), currency="USD"), purchases="bg-nbd")
    doubt = replace(model.purchases, verdict=Verdict("doubtful", "few customers came back"))
    replace(model, clv=replace(model.clv, purchases=doubt)).save(tmp_path / "models" / "shop")
    assert main(command(str(tmp_path / "models"), tmp_path / "n.csv")) == 0
    assert "Note: BG/NBD doubtful: few customers came back." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--level", "0.8"], "looks like a share"),
        (["--margin", "2"], "margin 2 is outside"),
        (["--horizon", "soon"], "horizon is not understood"),
        (["--seed", "-1"], "seed is -1"),
        (["--model", "nobody"], "nobody"),
    ],
)
def test_one_line_of_advice_and_nothing_written(
    models: str, tmp_path: Path, more: RUN, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(models, tmp_path / "n.csv", *more)) == 1
    error = capsys.readouterr().err
    assert error.startswith("forecast: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "n.csv").exists()


def test_a_saved_model_is_not_overwritten(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(models, Path(models) / "shop" / "1" / "model.json")) == 1
    assert "inside a saved model" in capsys.readouterr().err


def test_value_by_age_ends_where_the_table_does(models: str) -> None:
    model = forecast.load(f"{models}/shop")
    values = forecast.value_by_age(model, margin=0.5)
    table = model.newcomers(margin=0.5).set_index("group")["expected_value"]
    assert values.months[-1] == 12
    for place, group in enumerate(values.groups):
        assert values.mean[-1, place] == pytest.approx(table[group], rel=1e-6), group
    with pytest.raises(forecast.ArgumentError, match="holds no whole month"):
        forecast.value_by_age(model, 20)
