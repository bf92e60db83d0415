"""CDNOW is read whole, with the counts its papers print."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from forecast.datasets import CDNOW_AS_OF, cdnow
from forecast.errors import ArgumentError, InputError

FACTS = {
    # lines, customers, free orders, repeat purchases, holdout purchases, holdout value
    "sample": (6919, 2357, 8, 2457, 1882, 70976.39),
    "master": (69659, 23570, 80, 24337, 19684, 776961.13),
}


@pytest.mark.parametrize("which", FACTS)
def test_counts_of_the_papers(which: str) -> None:
    orders = cdnow(which)
    lines, customers, free, repeats, holdout, value = FACTS[which]
    assert list(orders.columns) == ["customer_id", "order_date", "items", "value"]
    assert len(orders) == lines
    assert orders["customer_id"].nunique() == customers
    assert (orders["value"] == 0).sum() == free
    assert not orders.isna().any().any()
    purchases = orders.groupby(["customer_id", "order_date"], as_index=False)["value"].sum()
    known = purchases["order_date"] <= pd.Timestamp(CDNOW_AS_OF)
    assert known.sum() - customers == repeats
    assert (~known).sum() == holdout
    assert purchases.loc[~known, "value"].sum() == pytest.approx(value)


def test_types_and_ends() -> None:
    orders = cdnow()
    assert orders["customer_id"].str.fullmatch(r"\d{5}").all()
    assert orders["items"].dtype.kind == "i"
    assert orders["value"].dtype.kind == "f"
    assert orders["order_date"].dtype.kind == "M"
    assert orders["order_date"].agg(["min", "max"]).dt.strftime("%F").tolist() == ["1997-01-01", "1998-06-30"]


def test_the_sample_is_part_of_the_master() -> None:
    sample, master = cdnow("sample"), cdnow("master")
    part = master[master["customer_id"].isin(sample["customer_id"])]
    keys = list(sample.columns)
    pd.testing.assert_frame_equal(
        sample.sort_values(keys, ignore_index=True), part.sort_values(keys, ignore_index=True)
    )


def test_lifetimes_is_not_imported() -> None:
    code = "import sys, forecast.datasets as d; d.cdnow(); assert 'lifetimes' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="there is no CDNOW 'full'"):
        cdnow("full")
    elsewhere = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: elsewhere)
    with pytest.raises(InputError, match="not where lifetimes keeps it"):
        cdnow()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="lifetimes, which is not installed"):
        cdnow()
