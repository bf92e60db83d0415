"""The order store: loads that overlap, what was known when, damage, and people who are forgotten."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, InputError, StoreError
from forecast.orders.stores import adding, forgetting
from forecast.orders.stores.record import read_record
from forecast.store import redacting
from forecast.store.ledger import list_issues
from forecast.store.locking import locked

ZONE = "Europe/Amsterdam"
MESSY = {
    "refund_rate": 0.15, "cancelled_share": 0.06, "guest_checkout_share": 0.15, "phone_only_share": 0.05,
    "anonymous_share": 0.03, "marketplace_share": 0.05,
}  # fmt: skip


def line(name: str, email: str, total: float, day: str, **more: Any) -> dict[str, Any]:
    """An order as Shopify exports it."""
    return {
        "Name": name, "Email": email, "Financial Status": "paid", "Currency": "EUR", "Subtotal": total,
        "Shipping": 0.0, "Taxes": 0.0, "Total": total, "Refunded Amount": 0.0, "Discount Amount": 0.0,
        "Created at": f"{day} 10:00:00 +0100", "Lineitem quantity": 1, "Lineitem name": "Mug",
        "Lineitem price": total, **more,
    }  # fmt: skip


def export(path: Path, *lines: dict[str, Any]) -> str:
    pd.DataFrame(lines).to_csv(path, index=False)
    return str(path)


def known(orders: forecast.Orders) -> dict[str, float]:
    return dict(orders.to_frame()[["order_id", "value"]].itertuples(index=False))


def everything(root: Path) -> bytes:
    """All bytes of a folder, Parquet unpacked, with the names of the files."""
    parts = []
    for path in sorted(root.rglob("*")):
        parts.append(path.name.encode())
        if path.is_file():
            parts.append(path.read_bytes())
            if path.suffix == ".parquet":
                parts.append(pd.read_parquet(path).to_csv().encode())
    return b"\n".join(parts)


@pytest.fixture(scope="module")
def shop() -> forecast.SyntheticShop:
    return forecast.synthetic_shop(150, 300, seed=3, pending_share=0.0, cash_on_delivery_share=0.0, **MESSY)


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A refund without a date, a cancellation, an order that stays as it was, and one that is new."""
    tmp_path = tmp_path_factory.mktemp("months")
    january = export(
        tmp_path / "january.csv", line("#1", "ada@example.com", 100.0, "2024-01-10"),
        line("#2", "bo@example.com", 50.0, "2024-01-11"), line("#3", "cy@example.com", 20.0, "2024-01-12"),
    )  # fmt: skip
    march = export(
        tmp_path / "march.csv", line("#1", "ada@example.com", 100.0, "2024-01-10", **{"Refunded Amount": 30.0}),
        line("#2", "bo@example.com", 50.0, "2024-01-11", **{"Financial Status": "voided"}),
        line("#3", "cy@example.com", 20.0, "2024-01-12"), line("#4", "ada@example.com", 70.0, "2024-02-20"),
    )  # fmt: skip
    return january, march


@pytest.fixture(scope="module")
def two_loads(tmp_path_factory: pytest.TempPathFactory, months: tuple[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("loads") / "store"
    for file, day in zip(months, ("2024-01-31", "2024-03-05"), strict=True):
        forecast.add_orders(file, folder, loaded=day)
    return folder


@pytest.fixture
def store(tmp_path: Path, two_loads: Path) -> Path:
    return Path(shutil.copytree(two_loads, tmp_path / "store"))


@pytest.mark.parametrize("dialect", ["shopify-csv", "magento-tables"])
def test_overlapping_loads_are_one_export_and_earlier_days_are_as_exported_then(
    shop: forecast.SyntheticShop, dialect: str, tmp_path: Path
) -> None:
    days = [shop.intensity.index[150].date(), shop.intensity.index[225].date(), shop.last_day]
    told: dict[str, Any] = {"timezone": shop.timezone, "currency": shop.currency}
    exports = [[str(path) for path in shop.until(day).export(dialect, tmp_path / str(day))] for day in days]
    # The order in which loads are added does not matter, their days do.
    for k in (1, 2, 0):
        added = forecast.add_orders(exports[k], tmp_path / "store", loaded=days[k], **told)
        assert added.reconciliation is not None
        assert added.reconciliation.balances()
    orders = forecast.read_orders(tmp_path / "store")
    alone = [forecast.read_orders(files, **told) for files in exports]
    assert orders.fingerprint == alone[2].fingerprint
    assert orders.reconciliation.balances()
    for day, then in zip(days, alone, strict=True):
        assert orders.until(day).fingerprint == then.fingerprint
    assert (orders.dialect, orders.timezone, orders.currency) == (dialect, shop.timezone, shop.currency)
    assert len(orders.reconciliation.rows_in) == sum(map(len, exports))
    assert list(forecast.list_orders(tmp_path / "store")["load"]) == [3, 1, 2]


def test_what_was_known_when(store: Path) -> None:
    orders = forecast.read_orders(store)
    assert known(orders) == {"#1": 70.0, "#3": 20.0, "#4": 70.0}
    before = {"#1": 100.0, "#2": 50.0, "#3": 20.0}
    assert known(orders.until("2024-01-31")) == before
    # Ordered in February, told in March: an order is known from its own day.
    assert known(orders.until("2024-02-29")) == {**before, "#4": 70.0}
    assert known(orders.until("2024-03-04")) == {**before, "#4": 70.0}
    assert known(orders.until("2024-03-05")) == known(orders)
    assert orders.reconciliation.balances()
    codes = {code: rows for code, (rows, _) in orders.reconciliation.by_code().items()}
    assert codes["duplicate_order"] == 3
    assert codes["cancelled"] == 1
    assert known(forecast.read_orders(store, value_policy="gross_sales"))["#1"] == 100.0


def test_two_loads_of_one_day_and_a_copy_that_goes_back(store: Path, tmp_path: Path) -> None:
    back = export(tmp_path / "back.csv", line("#1", "ada@example.com", 100.0, "2024-01-10"))
    forecast.add_orders(back, store, loaded="2024-03-05")
    orders = forecast.read_orders(store)
    assert known(orders)["#1"] == 100.0
    again = export(
        tmp_path / "b.csv", line("#1", "ada@example.com", 100.0, "2024-01-10", **{"Refunded Amount": 30.0})
    )
    forecast.add_orders(again, store, loaded="2024-04-01")
    orders = forecast.read_orders(store)
    days = ("2024-02-28", "2024-03-06", "2024-04-01")
    assert [known(orders.until(day))["#1"] for day in days] == [100.0, 100.0, 70.0]


def test_a_copy_that_is_older_than_what_is_known_counts_for_nothing(tmp_path: Path) -> None:
    def order(total: float, status: str, updated: str) -> pd.DataFrame:
        return pd.DataFrame({
            "entity_id": [1], "increment_id": ["100"], "status": [status], "state": [status],
            "base_grand_total": [total], "base_subtotal": [total], "base_tax_amount": [0.0],
            "base_shipping_amount": [0.0], "base_discount_amount": [0.0], "base_total_refunded": [0.0],
            "customer_id": ["7"], "customer_email": ["ada@example.com"], "base_currency_code": ["EUR"],
            "created_at": ["2024-01-05 10:00:00"], "updated_at": [updated],
        })  # fmt: skip

    for day, frame in (
        ("2024-02-01", order(10.0, "complete", "2024-01-20 10:00:00")),
        ("2024-03-01", order(12.0, "complete", "2024-02-20 10:00:00")),
        ("2024-04-01", order(10.0, "complete", "2024-01-20 10:00:00")),
    ):
        forecast.add_orders(frame, tmp_path / "store", loaded=day, timezone=ZONE)
    orders = forecast.read_orders(tmp_path / "store")
    assert known(orders) == {"100": 12.0}
    assert known(orders.until("2024-02-15")) == {"100": 10.0}


def test_list_and_add_say_what_is_new(
    store: Path, months: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    table = forecast.list_orders(store).set_index("load")
    assert table.loc[1, ["rows", "orders", "new", "changed", "unchanged", "used"]].tolist() == [
        3,
        3,
        3,
        0,
        0,
        3,
    ]
    assert table.loc[2, ["rows", "orders", "new", "changed", "unchanged", "used"]].tolist() == [
        4,
        4,
        1,
        2,
        1,
        3,
    ]
    assert table["first_day"].tolist() == ["2024-01-10", "2024-01-10"]
    assert main(["orders", "list", "--store", str(store), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dialect"], said["hashed"], len(said["loads"])) == ("shopify-csv", False, 2)
    assert said["loads"][1]["changed"] == 2
    assert main(["orders", "list", "--store", str(store)]) == 0
    assert "1 new, 2 changed, 1 unchanged, 3 used; 2024-01-10 to 2024-02-20" in capsys.readouterr().out
    whole = everything(store)
    assert main(["orders", "add", *months, "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == ["january.csv", "march.csv"]
    assert everything(store) == whole
    assert main(["orders", "add", months[0], "--store", str(store)]) == 0
    assert "january.csv is in the store already, and was left out\nNothing to add" in capsys.readouterr().out


def test_every_command_takes_a_store(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["orders"] == 3
    assert main(["history", str(store), "--out", str(tmp_path / "history"), "--quiet"]) == 0
    assert main(["check", str(store), "--rejects", str(store / "store.json")]) == 1
    assert "would overwrite an input" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["add", "list", "forget"])
def test_help_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["orders", action, "--help"])
    assert f"example: forecast orders {action} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mapping": {"total": "Total"}}, "mapping cannot be chosen for an order store"),
        ({"rates": {"USD": 1.0}}, "rates cannot be chosen"),
        ({"hash_ids": "salt.txt"}, "hash_ids cannot be chosen"),
        ({"dialect": "magento"}, "made with dialect 'shopify-csv', not 'magento'"),
        ({"currency": "USD"}, "made with currency 'EUR', not 'USD'"),
        ({"timezone": ZONE}, "made with timezone None"),
    ],
)
def test_what_cannot_be_chosen_on_reading(store: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        forecast.read_orders(store, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dialect": "magento"}, "has dialect shopify-csv, this load has magento"),
        ({"currency": "USD"}, "has currency EUR, this load has USD"),
        ({"timezone": ZONE}, "has timezone none, this load has Europe/Amsterdam"),
        ({"salt": True}, "has plain e-mails and phones, and a salt is given"),
        ({"loaded": "2999-01-01"}, "still to come"),
        ({"loaded": "2024-03-01"}, "said to be of 2024-03-01, and it has orders until 2024-04-02"),
    ],
)
def test_later_loads_have_to_agree(store: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    if options.pop("salt", False):
        (tmp_path / "salt.txt").write_text("0123456789abcdef")
        options["hash_ids"] = tmp_path / "salt.txt"
    whole = everything(store)
    file = export(tmp_path / "april.csv", line("#5", "di@example.com", 10.0, "2024-04-02"))
    with pytest.raises(ArgumentError, match=said):
        forecast.add_orders(file, store, **options)
    assert everything(store) == whole


def test_a_folder_of_other_things_is_refused(tmp_path: Path, months: tuple[str, str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"holds other things: notes\.txt"):
        forecast.add_orders(months[0], tmp_path)
    with pytest.raises(StoreError, match="there is no order store"):
        forecast.list_orders(tmp_path)
    with pytest.raises(InputError, match="a folder is not read"):
        forecast.read_orders(tmp_path)


def test_a_log_with_order_numbers(tmp_path: Path) -> None:
    log = pd.DataFrame({
        "order_id": ["1", "2", "2", "3", "3", "4"], "customer_id": ["ada", "bo", "bo", "cy", "di", None],
        "value": [10.0, 5.0, 6.0, 7.0, 8.0, 9.0], "channel": list("wwawaw"),
        "order_date": ["2024-01-05", "2024-01-06", "2024-01-06", "2024-02-07", "2024-02-07", "2024-02-08"],
    })  # fmt: skip
    folder = tmp_path / "store"
    first = forecast.add_orders(log[:3].assign(value=[10.0, 5.0, 7.0]), folder, loaded="2024-01-31")
    assert first.load is not None
    assert first.load.orders == 2
    second = forecast.add_orders(log, folder, loaded="2024-02-29").load
    assert second is not None
    assert (second.new, second.changed, second.unchanged) == (2, 1, 1)
    orders, whole = forecast.read_orders(folder), forecast.read_orders(log)
    assert orders.fingerprint == whole.fingerprint
    assert (orders.dialect, orders.value_policy, orders.zero_value) == ("generic", "value", "keep")
    assert (orders.extras, orders.mapping) == (whole.extras, whole.mapping)
    assert orders.reconciliation.balances()
    codes = {code: rows for code, (rows, _) in orders.reconciliation.by_code().items()}
    assert codes == {"used": 4, "line_merged": 2, "duplicate_order": 2, "missing_customer_id": 1}
    assert orders.to_frame()["value"].tolist() == [10.0, 11.0, 7.0, 8.0]
    assert orders.until("2024-02-28").to_frame()["value"].tolist() == [10.0, 12.0, 7.0, 8.0]
    with pytest.raises(InputError, match="has no order numbers"):
        forecast.add_orders(log.drop(columns="order_id"), tmp_path / "bare")
    with pytest.raises(InputError, match="without money"):
        forecast.add_orders(log.drop(columns="value"), tmp_path / "bare", mapping={"value": None})
    with pytest.raises(StoreError, match="there is no order store"):
        forecast.list_orders(tmp_path / "bare")


def same(changed: bytes, whole: bytes) -> bool:
    """Whether only white space between the words of a JSON file changed."""
    try:
        return bool(json.loads(changed) == json.loads(whole))
    except ValueError:
        return False


@pytest.mark.parametrize("file", ["store.json", "entries.parquet", "given.parquet"])
def test_damage_is_found_and_its_path_told(
    store: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store / file if file == "store.json" else store / "loads" / "2" / file
    whole, rng = path.read_bytes(), random.Random(1)
    for place in rng.sample(range(len(whole)), 6):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(changed))
        if file == "store.json" and same(bytes(changed), whole):
            assert len(forecast.read_orders(store)) == 3
            continue
        with pytest.raises(StoreError, match=re.escape(str(path))):
            forecast.read_orders(store)
    path.write_bytes(whole[:-10])
    with pytest.raises(StoreError, match=rf"the order store is damaged: .*{file}"):
        forecast.read_orders(store)
    assert main(["orders", "list", "--store", str(store), "--quiet"]) == 1
    assert file in capsys.readouterr().err
    path.unlink()
    with pytest.raises((StoreError, InputError), match=r"a file is missing|a folder is not read"):
        forecast.read_orders(store)


@pytest.mark.parametrize(
    ("call", "after"), [("fsync", 0), ("fsync", 5), ("replace", 2), ("replace", 3), ("rename", 0)]
)
def test_a_killed_add_leaves_the_store_as_it_was(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    file = export(tmp_path / "april.csv", line("#5", "di@example.com", 10.0, "2024-04-02"))
    real, left = getattr(os, call), iter(range(after))

    def kill(*arguments: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        # Nothing is cleared away by somebody who was killed.
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(os, call, kill)
        with contextlib.suppress(KeyboardInterrupt):
            forecast.add_orders(file, store, loaded="2024-04-05")
    assert len(forecast.read_orders(store)) in (3, 4)
    forecast.add_orders(file, store, loaded="2024-04-05")
    assert len(forecast.read_orders(store)) == 4
    assert sorted(path.name for path in (store / "loads").iterdir()) == ["1", "2", "3"]


def test_a_small_disk_and_a_second_writer(store: Path, months: tuple[str, str], tmp_path: Path) -> None:
    with locked(store), pytest.raises(StoreError, match="somebody else is writing"):
        forecast.forget_customer("ada@example.com", store)
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)], check=False,
                          capture_output=True)  # fmt: skip
    if done.returncode:
        pytest.skip("this system lets nobody mount a small disk")
    try:
        large = [line(f"#{k}", f"{os.urandom(8).hex()}@example.com", 1.0, "2024-01-10") for k in range(2000)]
        with pytest.raises(StoreError, match="No space left on device"):
            forecast.add_orders(pd.DataFrame(large), disk / "store", loaded="2024-02-01")
        assert not (disk / "store" / "store.json").exists()
        assert list((disk / "store" / "loads").iterdir()) == []
        forecast.add_orders(months[0], disk / "store", loaded="2024-02-01")
        assert len(forecast.read_orders(disk / "store")) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_person_is_forgotten_under_every_name(tmp_path: Path) -> None:
    def orders_of(*rows: tuple[str, str | None, str | None, float]) -> pd.DataFrame:
        return pd.DataFrame([{
            "entity_id": int(name), "increment_id": name, "state": "complete", "status": "complete",
            "base_grand_total": total, "base_subtotal": total, "base_tax_amount": 0.0,
            "base_shipping_amount": 0.0, "base_discount_amount": 0.0, "base_total_refunded": 0.0,
            "customer_id": account, "customer_email": email, "base_currency_code": "EUR",
            "created_at": "2024-01-05 10:00:00",
        } for name, account, email, total in rows])  # fmt: skip

    first = orders_of(
        ("1", "7", "ada@example.com", 10.0), ("2", None, "ada@example.com", 20.0),
        ("3", "7", "ada@home.example", 30.0), ("4", "8", "bo@example.com", 40.0),
    )  # fmt: skip
    second = orders_of(
        ("3", "7", "ada@home.example", 30.0), ("5", None, "Ada@Home.example", 50.0),
        ("6", None, "cy@example.com", 60.0),
    )  # fmt: skip
    folder = tmp_path / "store"
    for frame, day in ((first, "2024-01-31"), (second, "2024-02-29")):
        forecast.add_orders(frame, folder, loaded=day, timezone=ZONE)
    assert forecast.read_orders(folder).customers == 3
    done = forecast.forget_customer("7", folder, ledger=tmp_path / "ledger")
    assert (done.orders, done.loads, done.issues, done.before) == (4, 2, 0, None)
    orders = forecast.read_orders(folder)
    assert set(orders.to_frame()["customer_id"]) == {"8", "cy@example.com"}
    assert orders.reconciliation.balances()
    assert orders.reconciliation.by_code()["forgotten"][0] == 5
    assert b"ada@" not in everything(folder).lower()
    record = read_record(folder)
    assert record.removals == [{"number": 1, "day": dt.date.today().isoformat(), "orders": 4, "issues": 0}]
    # The next export has them again, and a new order of a day to come.
    later = (dt.date.today() + dt.timedelta(days=1)).isoformat()
    again = pd.concat(
        [first, orders_of(("9", "7", "ada@example.com", 90.0)).assign(created_at=f"{later} 10:00:00")]
    )
    forecast.add_orders(again, folder, loaded=later)
    orders = forecast.read_orders(folder)
    assert known(orders) == {"4": 40.0, "6": 60.0, "9": 90.0}
    assert orders.reconciliation.balances()
    assert b"home.example" not in everything(folder).lower()
    rejected = orders.rejects()
    assert (rejected["code"] == "forgotten").sum() == 8
    # Whoever came back can be forgotten again.
    assert forecast.forget_customer("ada@example.com", folder, ledger=tmp_path / "ledger").before is not None


def test_a_till_is_not_a_person(tmp_path: Path) -> None:
    names = [f"person{k}@example.com" for k in range(8)]
    frame = pd.DataFrame([line(f"#{k}", own, 10.0, "2024-01-10") for k, own in enumerate(names)])
    folder = tmp_path / "store"
    forecast.add_orders(frame.assign(till="1"), folder, loaded="2024-02-01", mapping={"account_id": "till"})
    assert forecast.forget_customer(names[0], folder, ledger=tmp_path / "none").orders == 1
    assert len(forecast.read_orders(folder)) == 7


def test_pseudonyms_are_found_by_the_plain_address_and_the_salt(
    tmp_path: Path, months: tuple[str, str]
) -> None:
    salt, other, folder = tmp_path / "salt.txt", tmp_path / "other.txt", tmp_path / "store"
    salt.write_text("0123456789abcdef")
    other.write_text("fedcba9876543210")
    forecast.add_orders(months[0], folder, loaded="2024-01-31", hash_ids=salt)
    assert b"example.com" not in everything(folder)
    assert salt.read_bytes() not in everything(folder)
    with pytest.raises(ArgumentError, match="has pseudonyms, and no salt is given"):
        forecast.add_orders(months[1], folder)
    with pytest.raises(ArgumentError, match="the salt is not the one of the order store"):
        forecast.add_orders(months[1], folder, hash_ids=other)
    with pytest.raises(ArgumentError, match="the salt is not the one of the order store"):
        forecast.forget_customer("bo@example.com", folder, hash_ids=other)
    with pytest.raises(ArgumentError, match=r"the customer bo@… is not known.*--hash-ids SALT_FILE"):
        forecast.forget_customer("bo@example.com", folder)
    assert (
        forecast.forget_customer("bo@example.com", folder, hash_ids=salt, ledger=tmp_path / "no").orders == 1
    )
    forecast.add_orders(months[1], folder, loaded="2024-03-05", hash_ids=salt)
    orders = forecast.read_orders(folder)
    assert sorted(known(orders)) == ["#1", "#3", "#4"]
    assert "cancelled" not in orders.reconciliation.by_code()


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of e-mails, a model, a ledger with two forecasts, and a settlement."""
    home = tmp_path_factory.mktemp("reviewed")
    log = forecast.cdnow("sample")
    log = log.assign(
        customer_id=log["customer_id"] + "@example.com", order_id=[f"o{k}" for k in range(len(log))]
    )
    store, ledger = home / "store", home / "ledger"
    cut = log["order_date"] <= "1997-10-15"
    forecast.add_orders(log[cut], store, loaded="1997-10-20", currency="USD")
    forecast.add_orders(log, store, loaded="1998-07-01")
    orders = forecast.read_orders(store)
    for day in ("1997-09-30", "1997-12-31"):
        model = forecast.fit(orders, day, purchases="bg-nbd", method="mle").save(home / "models" / "shop")
        forecast.issue(model, orders, 1, as_of=day, ledger=ledger, plan="none", draws=20)
    forecast.compare(orders, ledger=ledger, quarter="1997Q4")
    return home


def test_forgotten_from_end_to_end(
    reviewed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(reviewed, tmp_path / "home")
    monkeypatch.chdir(home)
    orders = forecast.read_orders("store")
    frame = orders.to_frame()
    own = frame.loc[frame["order_day"] > "1997-10-01", "customer_id"].iloc[0]
    count = int((frame["customer_id"] == own).sum())
    assert own.encode() in everything(home)
    assert b"@example.com" not in everything(home / "models")
    before, _ = list_issues("ledger")
    record = forecast.track_record("ledger")
    settled = everything(home / "ledger" / "1997-09-30" / "shop-1" / "settlements")

    assert main(["orders", "forget", "nobody@example.com", "--store", "store"]) == 1
    said = capsys.readouterr()
    assert "the customer nob… is not known" in said.err
    assert "nobody" not in said.err
    assert main(["orders", "forget", own, "--store", "store", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["orders"], told["loads"], told["issues"]) == (count, 2, 2)
    assert own not in str(told)
    assert own.encode() not in everything(home)

    after, problems = list_issues("ledger")
    assert problems == []
    for was, now in zip(before, after, strict=True):
        assert now.checksum == was.checksum
        old, new = was.content["customers"], now.table("customers")
        assert len(new) == old
        assert (new["customer_id"] == "forgotten-1").sum() == 1
        totals = new["expected_purchases"].sum()
        means = now.table("totals").query("scope == 'total' and group == 'known' and target == 'purchases'")
        assert totals == pytest.approx(means.loc[means["output_type"] == "mean", "value"].sum())
    pd.testing.assert_frame_equal(forecast.track_record("ledger"), record)
    assert everything(home / "ledger" / "1997-09-30" / "shop-1" / "settlements") == settled

    left = forecast.read_orders("store")
    assert len(left) == len(orders) - count
    assert left.reconciliation.balances()
    assert main(["compare", "store", "--quarter", "1997Q4", "--out", "review"]) == 0
    assert "1 customers were forgotten since the forecast" in capsys.readouterr().out
    found = forecast.compare(left, quarter="1997Q4", settle=False)
    lines = found.lines.set_index(["scope", "group", "target"])
    first = lines.loc[("total", "all", "purchases")]
    assert first["actual"] < first["actual_first"]
    assert not any("no order until then" in note for note in found.notes)

    assert main(["orders", "forget", own, "--store", "store"]) == 0
    assert f"The customer was forgotten on {dt.date.today()} already" in capsys.readouterr().out
    assert len(read_record("store").removals) == 1
    assert own not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "name"),
    [(redacting, "_redact"), (forgetting, "_without"), (forgetting, "write_record"), (forgetting, "sweep")],
)
def test_forgetting_that_was_stopped_is_completed_when_run_again(
    reviewed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    home = shutil.copytree(reviewed, tmp_path / "home")
    own = forecast.read_orders(home / "store").to_frame()["customer_id"].iloc[0]
    real, calls = getattr(place, name), iter(range(1 if name in ("_redact", "_without") else 0))

    def stop(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, stop)
        with pytest.raises(KeyboardInterrupt):
            forecast.forget_customer(own, home / "store", ledger=home / "ledger")
    assert list_issues(home / "ledger")[1] == []
    assert forecast.read_orders(home / "store").reconciliation.balances()
    forecast.forget_customer(own, home / "store", ledger=home / "ledger")
    assert own.encode() not in everything(home)
    tables = [issue.table("customers") for issue in list_issues(home / "ledger")[0]]
    assert all((table["customer_id"] == "forgotten-1").sum() == 1 for table in tables)
    assert len(read_record(home / "store").removals) == 1


def test_a_writer_in_the_meantime_is_noticed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no locks, the record says that it is another one by now."""
    file = export(tmp_path / "april.csv", line("#5", "di@example.com", 10.0, "2024-04-02"))
    real = adding.write_record

    def late(new: Any, expected: str) -> Any:
        return real(new, expected[::-1])

    monkeypatch.setattr(adding, "write_record", late)
    with pytest.raises(StoreError, match="somebody else has written in the meantime"):
        forecast.add_orders(file, store, loaded="2024-04-05")
    assert len(forecast.read_orders(store)) == 3
    assert sorted(path.name for path in (store / "loads").iterdir()) == ["1", "2"]
