"""Lists for other systems: their headers, their cells, and what a spreadsheet must not run."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

import forecast
from forecast import activation
from forecast.cli import main

IDS = ["007", "=1+1", "+31612345678", "-x", "@home", "ann@example.com"]


@pytest.fixture
def scores() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["ann@example.com", "bob@example.com"],
            "expected_value": [1234.5678, 0.004],
            "expected_purchases": [3.14159, 0.001],
            "p_purchase": [0.8049, 0.01],
            "next_purchase_median": pd.to_datetime(["2026-05-01", None]),
            "tier": ["gold", None],
            "overdue": [0.91, 0.4],
            "rfm_group": ["needs attention", None],
        }
    )


def test_klaviyo(scores: pd.DataFrame) -> None:
    found = activation.klaviyo(scores)
    assert list(found.columns) == [
        "Email", "Predicted CLV", "Expected Orders", "Churn Risk", "Expected Next Order", "CLV Tier",
        "RFM Group", "Overdue",
    ]  # fmt: skip
    assert found.iloc[0].tolist() == [
        "ann@example.com", 1234.57, 3.14, 0.2, pd.Timestamp("2026-05-01"), "gold", "needs attention", 0.91,
    ]  # fmt: skip
    assert found.iloc[1].isna().tolist() == [False, False, False, False, True, True, True, False]
    assert "Predicted CLV" not in activation.klaviyo(scores.drop(columns="expected_value"))


def test_shopify(scores: pd.DataFrame) -> None:
    found = activation.shopify(scores)
    assert list(found.columns[:4]) == ["Email", "Command", "Tags", "Tags Command"]
    assert found["Tags"].tolist() == ["clv-tier-gold, rfm-needs-attention, overdue", ""]
    assert "Metafield: custom.predicted_clv [number_decimal]" in found
    assert "Metafield: custom.expected_next_order [date]" in found
    assert set(found["Command"]) == {"UPDATE"}


@pytest.mark.parametrize(
    ("ids", "klaviyo", "shopify"),
    [
        (["ann@example.com"], "Email", "Email"),
        (["44920047631"], "External ID", "ID"),
        (["0449", "12"], "External ID", "Customer ID"),
        (["ann@example.com", "12"], "External ID", "Customer ID"),
        (["@", "a b@c.d"], "External ID", "Customer ID"),
    ],
)
def test_the_header_follows_the_ids(ids: list[str], klaviyo: str, shopify: str, scores: pd.DataFrame) -> None:
    own = pd.concat([scores.iloc[:1]] * len(ids), ignore_index=True).assign(customer_id=ids)
    assert activation.klaviyo(own).columns[0] == klaviyo
    assert activation.shopify(own).columns[0] == shopify


def test_what_is_not_scores_is_refused(scores: pd.DataFrame) -> None:
    with pytest.raises(forecast.InputError, match=r"lack tier, overdue\. Give the table that model\.score"):
        activation.klaviyo(scores.drop(columns=["tier", "overdue"]))
    with pytest.raises(forecast.ArgumentError, match=r"is CSV, not list\.xlsx"):
        activation.check_list("list.xlsx")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    frame = forecast.cdnow("sample")
    names = dict(zip(sorted(frame["customer_id"].unique()), IDS, strict=False))
    frame["customer_id"] = frame["customer_id"].replace(names)
    frame.to_csv(folder / "orders.csv", index=False)
    arguments = ["--name", "shop", "--models", str(folder / "models"), "--as-of", "1997-09-30", "--quiet"]
    options = ["--purchases", "bg-nbd", "--method", "mle"]
    assert main(["fit", str(folder / "orders.csv"), *arguments, *options]) == 0
    return folder


def score(folder: Path, *more: str) -> int:
    models = ["--model", "shop", "--models", str(folder / "models")]
    return main(["score", str(folder / "orders.csv"), *models, "--as-of", "1997-12-31", *more])


@pytest.mark.parametrize("out", ["scores.parquet", "scores.html"])
def test_lists_from_the_command(
    out: str,
    workplace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from forecast import pipeline

    monkeypatch.setattr(pipeline, "BATCH", 500)  # the first block has no e-mail alone
    k, s = tmp_path / "k.csv", tmp_path / "s.csv"
    assert score(workplace, "--out", str(tmp_path / out), "--klaviyo", str(k), "--shopify", str(s)) == 0
    assert f"Wrote {tmp_path / out}, {k}, {s}" in capsys.readouterr().out
    with k.open(newline="") as file:
        rows = {row["External ID"]: row for row in csv.DictReader(file)}
    with s.open(newline="") as file:
        customers = {row["Customer ID"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(customers) == 2357
    for written in ("007", "'=1+1", "'+31612345678", "'-x", "'@home", "ann@example.com"):
        assert written in rows
        assert written in customers
    assert not [cell for row in (*rows.values(), *customers.values()) for cell in row.values()
                if cell[:1] in ("=", "+", "-", "@")]  # fmt: skip
    orders = forecast.read_orders(workplace / "orders.csv")
    own = (
        forecast.load(workplace / "models" / "shop")
        .score(orders, as_of="1997-12-31")
        .set_index("customer_id")
    )
    wanted = own.loc["007"]
    assert float(rows["007"]["Predicted CLV"]) == pytest.approx(wanted["expected_value"], abs=0.0051)
    assert rows["007"]["CLV Tier"] == wanted["tier"]
    days = own["next_purchase_median"].dropna()
    assert rows[days.index[-1]]["Expected Next Order"] == days.iloc[-1].date().isoformat()
    assert customers["007"]["Tags"].startswith(f"clv-tier-{wanted['tier']}, rfm-")


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--klaviyo", "orders.csv", "would overwrite an input"),
        ("--shopify", "orders.csv", "would overwrite an input"),
        ("--shopify", "scores.csv", "two outputs are the same file"),
        ("--klaviyo", "models/shop/1/k.csv", "lies inside a saved model"),
        ("--klaviyo", "k.parquet", "a list for an import is CSV"),
    ],
)
def test_lists_overwrite_nothing(
    option: str, name: str, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (workplace / "orders.csv").read_bytes()
    assert score(workplace, "--out", str(workplace / "scores.csv"), option, str(workplace / name)) == 1
    assert message in capsys.readouterr().err
    assert (workplace / "orders.csv").read_bytes() == before
    assert not (workplace / "scores.csv").exists()


def test_a_failure_leaves_no_list(
    workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, k = str(tmp_path / "scores.txt"), str(tmp_path / "k.csv")
    assert score(workplace, "--out", out, "--klaviyo", k) == 1
    assert "txt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_cut_offs_are_published(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "shop", "--models", str(workplace / "models")]) == 0
    shown = capsys.readouterr().out
    model = forecast.load(workplace / "models" / "shop")
    assert f"| platinum | {model.tiers['from_value'][0]:.6g} |" in shown
    assert "| 1 | 6 or less | dormant |" in shown
    assert "the rule is ours" in shown


def test_an_older_model_is_scored_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forecast.cdnow("sample").to_csv(tmp_path / "orders.csv", index=False)
    models = str(Path(__file__).parent.parent / "models")
    arguments = ["--model", "cdnow", "--models", models, "--currency", "USD", "--as-of", "1997-09-30"]
    lists = ["--klaviyo", str(tmp_path / "k.csv"), "--out", str(tmp_path / "s.html")]
    assert main(["score", str(tmp_path / "orders.csv"), *arguments, *lists]) == 0
    told = capsys.readouterr().out
    assert "Note: cdnow@1 has no cut-offs, so tier, rfm and rfm_group are blank. Fit it again." in told
    assert "Tiers and groups" not in (tmp_path / "s.html").read_text("utf-8")
    assert set(pd.read_csv(tmp_path / "k.csv")["CLV Tier"].isna()) == {True}
