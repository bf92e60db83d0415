"""The command as a person, a script and a cron job meet it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import forecast
from forecast import pipeline
from forecast.cli import build_parser, main
from forecast.reports import writing

COMMANDS = ["demo", "check", "history", "fit", "score", "newcomers", "backtest", "models"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "orders.csv"
    frame = forecast.cdnow("sample")
    frame["channel"] = ["web" if int(c) % 3 else "app" for c in frame["customer_id"]]
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def models(log: Path) -> str:
    folder = str(log.parent / "models")
    assert (
        main(
            [
                "fit",
                str(log),
                "--name",
                "shop",
                "--as-of",
                "1997-09-30",
                "--models",
                folder,
                "--method",
                "mle",
                "--purchases",
                "bg-nbd",
                "--quiet",
            ]
        )
        == 0
    )
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "example: forecast " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["fit", "x.csv"], ["score"], ["models", "alias", "a"]])
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: forecast" in capsys.readouterr().err


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 2
    assert out.startswith("usage: forecast")


def test_starting_loads_no_heavy_library() -> None:
    code = (
        "import sys, forecast, forecast.cli; forecast.cli.build_parser().format_help();"
        "print([m for m in ('numpy','pandas','duckdb','matplotlib','pymc','sklearn','rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_fit_and_score_do_not_load_pymc(log: Path, models: str, tmp_path: Path) -> None:
    code = (
        "import sys; from forecast.cli import main;"
        f"main(['score', {str(log)!r}, '--model', 'shop', '--models', {models!r}, '--out',"
        f" {str(tmp_path / 's.csv')!r}, '--quiet']);"
        "print([m for m in ('pymc','pytensor','arviz','matplotlib','lifetimes') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("terminal", [True, False])
def test_sampling_shows_its_bar_on_a_terminal_only(
    log: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sample(*_: object, progress: bool, **__: object) -> pipeline.Outcome:
        if progress:
            sys.stdout.write("bar\n")  # as PyMC 6 does
        return pipeline.Outcome({"fitted": type(sys.stderr).__name__})

    monkeypatch.setattr(pipeline, "fit", sample)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    kind = type(sys.stderr).__name__
    code, out, err = run(capsys, "fit", str(log), "--name", "shop", "--method", "nuts", "--json")
    assert code == 0
    assert json.loads(out) == {"fitted": kind}  # nothing else, and our own bar was gone by then
    assert ("bar" in err) is terminal


def test_the_module_is_the_command() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "forecast", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"clv-forecast {forecast.__version__}\n"


def test_check(log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rejects, out = tmp_path / "r.csv", tmp_path / "reconciliation.html"
    code, text, _ = run(capsys, "check", str(log), "--rejects", str(rejects), "--out", str(out))
    assert code == 0
    assert re.search(r"rows in +6,919 +244,091\.94", text)
    assert re.search(r"same_day_merged +223", text)
    assert rejects.read_text().startswith("source_file,source_row,code")
    assert "<table" in out.read_text()


def test_check_as_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "check", str(log), "--json")
    data = json.loads(text)
    assert code == 0
    assert data["reconciliation"]["rows_in"] == 6919
    assert data["customers"] == 2357


def test_max_rejected_is_for_cron(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "o.csv"
    path.write_text("customer_id,order_date,value\na,2024-01-01,5\na,2024-02-01,oops\n")
    code, out, err = run(capsys, "check", str(path), "--max-rejected", "0.1")
    assert (code, out) == (1, "")
    assert "50.00% of the rows were rejected, more than the 10.00% allowed" in err
    assert run(capsys, "check", str(path), "--max-rejected", "0.6")[0] == 0
    path.write_text("customer_id,order_date,value\na,2024-01-01,5\n,,\n,,\n")
    assert run(capsys, "check", str(path), "--max-rejected", "0")[0] == 0


def test_history(log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text, _ = run(capsys, "history", str(log), "--out", str(tmp_path / "h"), "--by", "channel")
    assert code == 0
    assert "formula CLV" in text
    customers = pd.read_parquet(tmp_path / "h" / "customers.parquet")
    summary = json.loads((tmp_path / "h" / "summary.json").read_text())
    assert customers["value"].sum() == pytest.approx(summary["revenue"])
    assert list(customers.columns) == [
        "customer_id", "orders", "purchases", "value", "aov", "first_purchase", "last_purchase",
        "days_between_mean", "days_between_median", "cohort",
    ]  # fmt: skip
    cohorts = pd.read_parquet(tmp_path / "h" / "cohorts.parquet")
    expected = ["cohort", "age", "customers", "active", "orders", "value", "cumulative_value_per_customer"]
    assert list(cohorts.columns)[:7] == expected


def test_fit_says_what_it_found(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, "models", "show", "shop", "--models", models)
    assert "# shop: BG/NBD + Gamma-Gamma" in text
    assert "0.242595" in text
    assert "p_alive = 1" in text


SCORE_COLUMNS = [
    "customer_id", "as_of", "horizon_days", "first_purchase", "last_purchase", "frequency", "recency", "T",
    "monetary_value", "historical_value", "p_alive", "p_purchase", "expected_purchases",
    "expected_purchase_value", "spend_basis", "expected_value", "total_value", "purchases-lo-80",
    "purchases-hi-80", "purchases-lo-95", "purchases-hi-95", "value-lo-80", "value-hi-80", "value-lo-95",
    "value-hi-95", "tier", "next_purchase_median", "overdue", "rfm", "rfm_group",
]  # fmt: skip


def score(log: Path, models: str, out: Path, *more: str) -> list[str]:
    return [
        "score", str(log), "--model", "shop", "--models", models, "--as-of", "1997-09-30", "--horizon", "273",
        "--out", str(out), *more,
    ]  # fmt: skip


def test_score_columns_order_and_sums(
    log: Path, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    code, text, _ = run(capsys, *score(log, models, out, "--json"))
    data = json.loads(text)
    table = pd.read_csv(out, dtype={"customer_id": str})
    assert code == 0
    assert list(table.columns) == SCORE_COLUMNS
    assert table["customer_id"].is_monotonic_increasing
    assert table["customer_id"].iloc[0] == "00004"
    assert table["as_of"].unique().tolist() == ["1997-09-30"]
    totals = {line["target"]: line for line in data["portfolio"]}
    assert table["expected_purchases"].sum() == pytest.approx(1653.41, abs=0.01)
    assert totals["purchases"]["expected"] == pytest.approx(table["expected_purchases"].sum(), rel=1e-12)
    assert totals["value"]["expected"] == pytest.approx(table["expected_value"].sum(), rel=1e-12)
    assert (table["total_value"] - table["historical_value"] - table["expected_value"]).abs().max() < 1e-9
    assert not table.drop(columns=["monetary_value", "next_purchase_median"]).isna().any(axis=None)
    assert (table["next_purchase_median"].notna() == (table["p_purchase"] >= 0.5)).all()
    assert set(table["spend_basis"]) == {"own purchases", "population"}
    zero = table[table["frequency"] == 0]
    assert zero["expected_purchase_value"].nunique() == 1
    assert (table["value-lo-95"] <= table["value-lo-80"]).all()
    assert (table["value-hi-80"] <= table["value-hi-95"]).all()


def test_score_formats_agree_and_python_agrees(log: Path, models: str, tmp_path: Path) -> None:
    assert main([*score(log, models, tmp_path / "s.parquet"), "--quiet", "--by", "channel"]) == 0
    assert main([*score(log, models, tmp_path / "s.json"), "--quiet"]) == 0
    parquet = pd.read_parquet(tmp_path / "s.parquet")
    orders = forecast.read_orders(str(log))
    own = forecast.load(f"{models}/shop").score(orders, 273, as_of="1997-09-30")
    assert parquet["channel"].isin(["web", "app"]).all()
    assert parquet["expected_value"].tolist() == own["expected_value"].tolist()
    found = pd.read_json(tmp_path / "s.json", dtype={"customer_id": str})
    assert found["expected_value"].to_numpy() == pytest.approx(own["expected_value"].to_numpy(), rel=1e-9)


def test_score_does_not_depend_on_the_batch(
    log: Path, models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*score(log, models, tmp_path / "a.csv"), "--quiet"]) == 0
    monkeypatch.setattr(pipeline, "BATCH", 500)
    assert main([*score(log, models, tmp_path / "b.csv"), "--quiet"]) == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_failing_score_leaves_nothing(
    log: Path, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *score(log, models, tmp_path / "s.csv", "--level", "0.8"))
    assert code == 1
    assert "Levels are in percent: write 80 for 80 %" in err
    assert list(tmp_path.iterdir()) == []


def test_backtest(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bt"
    code, text, _ = run(
        capsys, "backtest", str(log), "--horizon", "1Q", "--origins", "2", "--out", str(out),
        "--candidates", "bg-nbd,naive",
    )  # fmt: skip
    assert code == 0
    assert "bg-nbd" in text
    board = pd.read_parquet(out / "backtest.parquet")
    assert list(board.columns) == ["cutoff", "horizon_days", "model", "scope", "group", "metric", "value"]
    portfolio = board[(board["scope"] == "portfolio") & (board["model"] == "bg-nbd")]
    for target in ("orders", "value"):
        wanted = {"forecast", "actual", "bias", "wape", "lo-90", "hi-90", "hit-90"}
        assert wanted <= set(portfolio[portfolio["group"] == target]["metric"])
    forecasts = pd.read_parquet(out / "forecasts.parquet")
    assert forecasts.groupby(["cutoff", "model"]).size().nunique() <= 2
    assert (out / "backtest.html").read_text().lower().startswith("<!doctype html>")


def test_models(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "models", "alias", "shop@1", "champion", "--models", models)
    assert (code, text) == (0, "shop@champion is now version 1\n")
    assert "shop@1 (champion)" in run(capsys, "models", "list", "--models", models)[1]
    assert "shop@1" in run(capsys, "models", "--models", models)[1]
    assert run(capsys, "models", "verify", "shop@champion", "--models", models)[1] == "shop@1 is whole\n"
    assert run(capsys, "models", "--models", models + "-none")[1].startswith("No models in")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "missing.csv"], "missing.csv"),
        (["fit", "{log}", "--name", "../evil"], "name"),
        (["fit", "{log}", "--name", "x", "--as-of", "1990-01-01"], "before the first order"),
        (["fit", "{log}", "--name", "x", "--as-of", "yesterday"], "as_of is not a day"),
        (["fit", "{log}", "--name", "x", "--map", "value"], "is not understood"),
        (["fit", "{log}", "--name", "x", "--map", "value=total"], "total"),
        (["score", "{log}", "--model", "nobody", "--out", "{tmp}/s.csv"], "nobody"),
        (["score", "{log}", "--model", "shop@9", "--models", "{models}", "--out", "{tmp}/s.csv"], "9"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.txt"], "txt"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--horizon", "0"], "horizon is not positive"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--horizon", "1.5"], "horizon is not understood"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--discount-rate", "12"], "1200 % a year"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--margin", "30"], "outside 0 to 1"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--by", "colour"], "colour"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--currency", "EUR"], r"currency None, these orders have 'EUR'"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--zero-value", "drop"], "zero_value"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--origins", "40"], "history is too short for 40 origins"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--origins", "0"], "number of origins is 0"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--candidates", "prophet"], "unknown candidates: prophet"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--horizon", "1Q", "--step", "30"], "do not go together"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--horizon", "xQ"], "horizon is not understood"),
        (["check", "{log}", "--max-rejected", "5"], "max_rejected is 5"),
        (["fit", "{log}", "--name", "x", "--seed", "-1"], r"seed is -1\. Give a whole number, 0 or above"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--seed", "-1"], "seed is -1"),
        (["backtest", "{log}", "--out", "{tmp}/b", "--seed", "-1"], "seed is -1"),
        (["demo", "--out", "{tmp}/d", "--seed", "-1"], "seed is -1"),
        (["demo", "--out", "{tmp}/d.html"], "the output is a folder"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{tmp}/s.csv", "--fiscal-year-start", "13"], "fiscal_year_start is not a month: 13"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{log}"], "would overwrite an input"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{models}/shop/1/s.csv"], "lies inside a saved model"),
        (["score", "{log}", "--model", "shop", "--models", "{models}", "--out", "{log}/s.csv"], r"s\.csv cannot be written"),
        (["fit", "{log}", "--name", "x", "--models", "{log}"], r"x cannot be written"),
        (["fit", "{log}", "--name", "x", "--map", "=total"], "is not understood"),
        (["fit", "{log}", "--name", "x", "--map", "customer_id="], "there is no customer_id"),
        (["check", "{log}", "--timezone", "Mars/Olympus"], "Mars"),
        (["models", "verify", "nobody", "--models", "{models}"], "nobody"),
        (["models", "alias", "shop@9", "champion", "--models", "{models}"], "9"),
    ],
)  # fmt: skip
def test_errors_are_one_advising_line_and_exit_1(
    arguments: list[str],
    message: str,
    log: Path,
    models: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [a.format(log=log, models=models, tmp=tmp_path) for a in arguments]
    code, out, err = run(capsys, *filled)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("forecast: ")
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(pipeline, "check", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["check", str(log)])


def test_quiet_prints_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "history", str(log), "--quiet") == (0, "", "")


def test_every_public_option_is_told_in_help() -> None:
    text = build_parser().format_help()
    assert all(command in text for command in COMMANDS)


def test_a_log_without_money_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "o.csv"
    path.write_text("customer_id,order_date\na,2024-01-01\na,2024-02-01\nb,2024-02-01\n")
    code, out, _ = run(capsys, "history", str(path), "--map", "value=")
    assert code == 0
    assert "the log has no amounts" in out


@pytest.mark.parametrize("action", ["list", "show", "verify", "alias"])
def test_every_action_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models", action, "--help"])
    assert f"example: forecast models {action}" in capsys.readouterr().out


def test_options_before_the_action_count(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "shop@1" in run(capsys, "models", "--models", models, "list")[1]
    code, out, _ = run(capsys, "models", "--json", "list", "--models", models)
    assert (code, json.loads(out)["models"][0]["name"]) == (0, "shop")
    assert run(capsys, "models", "--quiet", "--models", models, "verify", "shop")[:2] == (0, "")
    assert (
        "No models in models-none"
        in run(capsys, "models", "--models", models, "list", "--models", "models-none")[1]
    )


def test_a_damaged_model_is_listed_and_exits_1(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(models, tmp_path / "m")
    (tmp_path / "m" / "shop" / "1" / "model.json").write_text("{}")
    code, out, err = run(capsys, "models", "list", "--models", str(tmp_path / "m"))
    assert code == 1
    assert "PROBLEM" in out
    assert err.startswith("forecast: damaged models: shop@1, in ")
    code, out, err = run(capsys, "models", "--quiet", "--models", str(tmp_path / "m"))
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_horizon_in_quarters_says_what_it_spans(
    log: Path, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["score", str(log), "--model", "shop", "--models", models, "--as-of", "1997-08-16"]
    ask = [*common, "--horizon", "2Q", "--out", str(tmp_path / "s.csv")]
    said = "2 quarters 1997Q4 and 1998Q1 and, before them, 45 days of the running quarter 1997Q3 (partial)"
    assert said in run(capsys, *ask)[1]
    data = json.loads(run(capsys, *ask, "--json")[1])
    assert data["periods"][0] == {
        "label": "1997Q3", "start": "1997-08-17", "end": "1997-09-30", "days": 45, "partial": True,
    }  # fmt: skip
    assert [period["label"] for period in data["periods"][1:]] == ["1997Q4", "1998Q1"]
    assert sum(period["days"] for period in data["periods"]) == data["horizon_days"]


def test_silence_before_as_of_is_noted_everywhere(
    log: Path, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb, more in {
        "history": [],
        "score": ["--model", "shop", "--models", models, "--out", str(tmp_path / "s.csv")],
        "fit": ["--name", "late", "--models", str(tmp_path / "m"), "--method", "mle"],
        "backtest": ["--origins", "1", "--candidates", "naive", "--out", str(tmp_path / "b")],
    }.items():
        arguments = [verb, str(log), "--as-of", "1998-09-01", *more]
        code, out, err = run(capsys, *arguments)
        assert code == 0, err
        assert "Note: The last order is 63 days before 1998-09-01" in out, verb
        assert "63 days" in json.loads(run(capsys, *arguments, "--json")[1])["notes"][0]


def test_scores_as_a_page(
    log: Path,
    models: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "new" / "scores.html"
    code, _, err = run(capsys, *score(log, models, out))
    assert code == 0, err
    page = out.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<tr") > 2357
    out.unlink()
    monkeypatch.setattr(writing, "MOST_ROWS", 2000)
    code, _, err = run(capsys, *score(log, models, out))
    assert code == 1
    assert "a page of 2,357 customers is too long; at most 2,000 are written. Write .parquet or .csv." in err
    assert not out.exists()


def test_a_database_without_room_says_so(
    log: Path,
    models: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*arguments: object, **options: object) -> object:
        raise duckdb.OutOfMemoryException("failed to allocate")

    monkeypatch.setattr(pipeline, "score_table", full)
    status, told, problem = run(capsys, *score(log, models, tmp_path / "s.csv"))
    assert (status, told) == (1, "")
    assert problem.startswith("forecast: the database has no memory or room for temporary files left. Raise")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_an_interruption_is_one_line_and_leaves_nothing(
    error: BaseException, log: Path, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = pipeline.score_table

    def interrupted(*arguments: object, **options: object) -> object:
        if any(tmp_path.iterdir()):
            raise error
        return made(*arguments, **options)

    monkeypatch.setattr(pipeline, "BATCH", 500)
    monkeypatch.setattr(pipeline, "score_table", interrupted)
    assert run(capsys, *score(log, models, tmp_path / "s.csv")) == (130, "", "forecast: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_groups_and_covariates_from_the_command_line(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "models")
    common = ["--models", folder, "--as-of", "1997-09-30", "--quiet"]
    assert main(["fit", str(log), "--name", "groups", "--by", "channel", *common]) == 0
    assert main(["fit", str(log), "--name", "traits", "--covariate", "rate=channel", *common]) == 0
    elsewhere = tmp_path / "elsewhere.csv"
    frame = pd.read_csv(log, dtype=str)
    frame.loc[frame["customer_id"] == frame["customer_id"].iloc[0], "channel"] = "fair"
    frame.to_csv(elsewhere, index=False)
    out = tmp_path / "scores.parquet"
    arguments = ["score", str(elsewhere), "--models", folder, "--as-of", "1997-09-30", "--out", str(out)]
    code, told, _ = run(capsys, *arguments, "--model", "groups")
    assert code == 0
    assert "1 customers are of groups that groups@1 has not seen: forecast as a draw from all." in told
    assert len(pd.read_parquet(out)) == 2357
    code, _, error = run(capsys, *arguments, "--model", "traits")
    assert code == 1
    assert "channel has levels that the model has not seen (fair), in column 'channel' (1 row)" in error
    code, _, error = run(capsys, "fit", str(log), "--name", "x", "--covariate", "channel", "--models", folder)
    assert code == 1
    assert "Give EFFECT=COLUMN: rate=channel." in error
