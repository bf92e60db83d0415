"""Redactions: a person leaves the tables of issued forecasts, and any other change is still damage."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import StoreError
from forecast.store import redacting
from forecast.store.ledger import Issue, append_settlement, list_issues, read_issue, write_issue
from forecast.store.locking import locked
from forecast.store.redacting import issued_to, redact

DAY = dt.date(2026, 9, 30)
ADA, BO = "ada@example.com", "bo@example.com"
FRAME = pd.DataFrame(
    {
        "customer_id": [ADA, BO, "cy@example.com"] * 2,
        "quarter": ["2026Q4"] * 3 + ["2027Q1"] * 3,
        "expected_value": [12.5, 0.0, 3.0, 10.0, 1.0, 2.0],
    }
)


def issued(root: Path, name: str = "shop-1", frame: pd.DataFrame = FRAME) -> Issue:
    totals = pd.DataFrame({"target": ["value"], "value": [28.5]})
    return write_issue(root, DAY, name, {"currency": "EUR"}, {"customers": frame, "totals": totals})


def everything(root: Path) -> bytes:
    """All bytes of a folder, Parquet unpacked."""
    parts = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            parts += [path.name.encode(), path.read_bytes()]
            if path.suffix == ".parquet":
                parts.append(pd.read_parquet(path).to_csv().encode())
    return b"\n".join(parts)


def test_a_person_leaves_every_forecast_and_sums_stay(tmp_path: Path) -> None:
    before, other = issued(tmp_path), issued(tmp_path, "shop-2", FRAME[FRAME["customer_id"] != ADA])
    append_settlement(before, "2026Q4", {"actual": 9.0})
    assert issued_to(tmp_path, {ADA})
    assert redact(tmp_path, {ADA, "1001"}, 3, "2026-11-22") == (1, [])
    assert not issued_to(tmp_path, {ADA})
    found, problems = list_issues(tmp_path)
    assert problems == []
    after = found[0]
    assert (after.checksum, after.content, after.redacted) == (
        before.checksum,
        before.content,
        ("customers",),
    )
    assert found[1] == other
    table = after.table("customers")
    # The forgotten stand last in their quarter, all others where they stood.
    assert table["customer_id"].tolist() == [BO, "cy@example.com", "forgotten-3"] * 2
    assert table.groupby("quarter")["expected_value"].sum().tolist() == [15.5, 13.0]
    record = json.loads((after.path / "redactions" / "0001.json").read_text())
    assert (record["rows"], record["redacted_on"], record["file"]) == (2, "2026-11-22", "customers.parquet")
    assert b"ada@" not in everything(tmp_path)


def test_a_second_person_follows_and_nothing_to_do_changes_nothing(tmp_path: Path) -> None:
    issue = issued(tmp_path)
    redact(tmp_path, {ADA}, 1, "2026-11-22")
    redact(tmp_path, {BO, "cy@example.com"}, 2, "2026-11-23")
    whole = everything(tmp_path)
    assert redact(tmp_path, {ADA, BO}, 3, "2026-11-24") == (0, [])
    assert redact(tmp_path / "no-ledger", {ADA}, 3, "2026-11-24") == (0, [])
    assert everything(tmp_path) == whole
    ids = read_issue(issue.path).table("customers")["customer_id"]
    # Two ids in one forecast stay two rows.
    assert set(ids) == {"forgotten-1", "forgotten-2", "forgotten-2-2"}
    assert redacting.forgotten(ids).all()


def test_any_other_change_is_damage(tmp_path: Path) -> None:
    issue = issued(tmp_path)
    original = (issue.path / "customers.parquet").read_bytes()
    redact(tmp_path, {ADA}, 1, "2026-11-22")
    redacted = (issue.path / "customers.parquet").read_bytes()
    record = issue.path / "redactions" / "0001.json"
    text = record.read_text()
    for damage in (original, redacted[:-1], redacted.replace(b"PAR1", b"PAR2")):
        (issue.path / "customers.parquet").write_bytes(damage)
        with pytest.raises(StoreError, match=r"changed after it was issued.*customers\.parquet"):
            read_issue(issue.path)
    (issue.path / "customers.parquet").write_bytes(redacted)
    for old, new, said in (
        ('"rows": 2', '"rows": 3', "changed after"),
        ("redaction", "reduction", "no such file"),
    ):
        record.write_text(text.replace(old, new))
        with pytest.raises(StoreError, match=rf"{said}.*0001\.json"):
            read_issue(issue.path)
    record.rename(record.with_name("0002.json"))
    with pytest.raises(StoreError, match=r"changed after|no such file|another forecast|missing"):
        read_issue(issue.path)
    record.with_name("0002.json").unlink()
    with pytest.raises(StoreError, match="changed after it was issued"):
        read_issue(issue.path)
    record.write_text(text)
    assert read_issue(issue.path).redacted == ("customers",)
    other = issued(tmp_path, "other")
    redact(tmp_path, {BO}, 2, "2026-11-22")
    (other.path / "redactions" / "0001.json").write_text(text)
    with pytest.raises(StoreError, match="belongs to another forecast"):
        read_issue(other.path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("after", range(4))
def test_a_stop_at_any_write_leaves_a_whole_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    issue = issued(tmp_path)
    real, left = getattr(os, call), iter(range(after))

    def stop(*arguments: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, stop)
        with contextlib.suppress(KeyboardInterrupt):
            redact(tmp_path, {ADA}, 1, "2026-11-22")
    own = read_issue(issue.path)
    assert own.table("customers")["expected_value"].sum() == 28.5
    assert (ADA in set(own.table("customers")["customer_id"])) == (own.redacted == ())
    redact(tmp_path, {ADA}, 1, "2026-11-22")
    assert read_issue(issue.path).redacted == ("customers",)
    assert b"ada@" not in everything(tmp_path)
    assert not list((issue.path / "redactions").glob(".*"))


def test_damaged_forecasts_are_told_and_two_writers_wait(tmp_path: Path) -> None:
    lost, kept = issued(tmp_path, "lost"), issued(tmp_path, "kept")
    (lost.path / "totals.parquet").unlink()
    touched, problems = redact(tmp_path, {ADA}, 1, "2026-11-22")
    assert (touched, len(problems)) == (1, 1)
    assert read_issue(kept.path).redacted == ("customers",)
    with locked(tmp_path), pytest.raises(StoreError, match="somebody else is writing"):
        redact(tmp_path, {BO}, 2, "2026-11-22")
