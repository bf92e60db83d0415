"""The example in models/ loads for ever, with the numbers it was saved with."""

from __future__ import annotations

from pathlib import Path

import pytest

import forecast

MODELS = Path(__file__).parent.parent.parent / "models"


def test_the_committed_model_loads_and_scores(master_orders: forecast.Orders) -> None:
    model = forecast.load(MODELS / "cdnow@1")
    assert model.purchases.parameters == pytest.approx(
        {"r": 0.2516238, "alpha": 7 * 4.7889412, "a": 0.7234296, "b": 2.1610771}, rel=1e-5
    )
    assert model.provenance["fingerprint"] == master_orders.until("1997-09-30").fingerprint
    scores = model.score(master_orders, horizon=273, as_of="1997-09-30")
    assert scores["expected_purchases"].sum() == pytest.approx(16873.8, abs=0.1)
    assert len(scores) == 23570


def test_it_holds_no_customer() -> None:
    text = (MODELS / "cdnow" / "1" / "model.json").read_text("utf-8")
    assert len(text) < 10_000
    assert "00004" not in text
