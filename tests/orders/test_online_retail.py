"""A real log of a million lines: every invoice found, every pound accounted for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

import forecast

DATA = Path(__file__).parents[3] / "shared" / "data"
LINES, INVOICES = DATA / "uci_online_retail_ii_lines.parquet", DATA / "uci_online_retail_ii.parquet"


@pytest.mark.skipif(not (LINES.exists() and INVOICES.exists()), reason="UCI Online Retail II is not there")
def test_online_retail_ties_to_its_invoices():
    orders = forecast.read_orders(LINES, currency="GBP")
    reconciliation = orders.reconciliation
    assert orders.dialect == "online-retail"
    assert reconciliation.total_rows == 1_044_847
    assert reconciliation.balances()
    canonical = orders.canonical()
    invoices = pd.read_parquet(INVOICES)
    named = canonical[canonical["customer_id"].notna()]
    both = named.merge(invoices, on=["order_id", "customer_id"], validate="one_to_one")
    assert len(both) == len(invoices) == len(named) == 44_876
    assert (both["total"] - both["value_y"]).abs().max() < 0.0011  # the invoices are rounded to 0.001
    found = canonical.set_index("order_id")
    # Ordered at 09:15, cancelled at 09:27.
    assert found.loc["581483", "total"] == pytest.approx(168_469.60)
    assert found.loc["581483", "code"] == "fully_refunded"
    assert found.loc["C581484", "code"] == "refund_netted"
    by_code = reconciliation.by_code()
    nobody = canonical[canonical["customer_id"].isna()]
    assert by_code["no_identity"][0] == 3_108
    assert len(nobody) == 8_752
    total = sum(reconciliation.value_in.values(), Decimal(0))
    assert total == sum((value for _, value in by_code.values()), Decimal(0))
