"""No person leaves a trace that was not asked for, and no cell of an export becomes code."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pandas as pd
import pytest

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, ForecastError, InputError

FIXTURES = Path(__file__).parent / "fixtures"
SALT = "a salt of more than sixteen bytes"
PERSON = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]+|\+\d{7,}")


@pytest.fixture
def salt(tmp_path):
    path = tmp_path / "salt.txt"
    path.write_text(SALT + "\n")
    return path


def test_pseudonyms_keep_customers_together(salt):
    plain = forecast.read_orders(FIXTURES / "shopify_multiline.csv")
    hidden = forecast.read_orders(FIXTURES / "shopify_multiline.csv", hash_ids=salt)
    one, other = plain.to_frame(), hidden.to_frame()
    names = dict(zip(one["customer_id"], one.merge(other, on="order_id")["customer_id_y"], strict=True))
    assert len(set(names.values())) == len(names) == plain.customers == hidden.customers
    assert all(name.startswith("p-") for name in names.values())
    for table in [line[0] for line in hidden.connection.execute("SHOW TABLES").fetchall()]:
        assert not PERSON.search(hidden.connection.sql(f"SELECT * FROM {table}").df().to_csv())


def test_the_same_salt_gives_the_same_pseudonyms_in_every_reader(salt, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("customer_id,order_date,value,customer_name\nada@example.com,2024-01-01,1,Ada\n")
    generic = forecast.read_orders(log, hash_ids=salt)
    shop = forecast.read_orders(FIXTURES / "shopify_multiline.csv", hash_ids=salt).to_frame()
    assert set(generic.to_frame()["customer_id"]) <= set(shop["customer_id"])
    assert "customer_name" not in generic.extras
    assert any("customer_name" in note for note in generic.reconciliation.notes)


def test_salts_that_protect_nothing_are_refused(tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("abc")
    with pytest.raises(ArgumentError, match="the salt has 3 bytes"):
        forecast.read_orders(FIXTURES / "shopify_multiline.csv", hash_ids=short)
    with pytest.raises(InputError, match="the salt cannot be read"):
        forecast.read_orders(FIXTURES / "shopify_multiline.csv", hash_ids=tmp_path / "none.txt")


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.csv")), ids=lambda path: path.stem)
def test_notes_rejects_and_errors_name_nobody(path):
    shown = []
    with contextlib.suppress(ForecastError):
        try:
            orders = forecast.read_orders(path, timezone="Europe/Berlin")
        except ForecastError as error:
            shown.append(str(error))
            raise
        shown += [str(orders.reconciliation), orders.rejects().to_csv(), repr(orders)]
    assert shown
    assert not PERSON.search("".join(shown))


def _hostile(tmp_path: Path) -> Path:
    """A Shopify export whose cells try to be formulas and markup."""
    frame = pd.read_csv(FIXTURES / "shopify_multiline.csv", dtype=str, keep_default_na=False)
    frame["Name"] = ["#" + str(1000 + i) for i in range(len(frame))]
    frame["Financial Status"] = "<script>alert(1)</script>"
    frame["Email"] = ["=cmd|' /C calc'!A0@example.com", "007@example.com"] * (len(frame) // 2)
    frame["Total"], frame["Subtotal"], frame["Taxes"], frame["Shipping"] = "10", "10", "0", "0"
    frame["Created at"] = "2024-01-0" + (frame.index % 9 + 1).astype(str) + " 10:00:00 +0100"
    frame["Cancelled at"], frame["Refunded Amount"], frame["Currency"] = "", "0", "USD"
    path = tmp_path / "<b>orders.csv"
    frame.to_csv(path, index=False)
    return path


def test_pages_escape_what_came_from_data(tmp_path, capsys):
    path = _hostile(tmp_path)
    page = tmp_path / "check.html"
    assert main(["check", str(path), "--out", str(page)]) == 0
    html = page.read_text("utf-8")
    assert "<script>alert" not in html
    assert "<b>orders" not in html
    assert "&lt;script&gt;" in html
    assert "<b>orders" not in forecast.read_orders(path).reconciliation._repr_html_()


def test_csv_output_runs_no_formula_and_keeps_zeros(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "customer_id,order_date,value\n"
        + "".join(
            f"{customer},2024-0{month}-0{day},10\n"
            for customer in ("=1+1", "+49", "-x", "@sum", "007")
            for month, day in ((1, 1), (2, 3), (4, 5))
        )
    )
    assert main(["history", str(log), "--out", str(tmp_path / "out")]) == 0
    orders = forecast.read_orders(log)
    frame = orders.to_frame()
    assert set(frame["customer_id"]) == {"=1+1", "+49", "-x", "@sum", "007"}
    from forecast.store.writing import write_table

    path = tmp_path / "customers.csv"
    write_table(frame, path)
    written = path.read_text("utf-8")
    assert "\n'=1+1," in written
    assert "\n'-x," in written
    assert "\n'@sum," in written
    assert "\n007," in written
