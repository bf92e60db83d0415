"""The ledger under torture: whole or nothing, once and never again, and every damage told with its path."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import ArgumentError, StoreError
from forecast.store import ledger
from forecast.store.ledger import (
    Issue,
    append_settlement,
    list_issues,
    read_issue,
    read_settlements,
    write_issue,
)

DAY = dt.date(2026, 9, 30)
KILLS = int(os.environ.get("CLV_TORTURE", "10"))
FRAME = pd.DataFrame({"customer_id": ["007", "008"], "expected_value": [12.5, 0.0]})
ISSUER = """
import datetime as dt, sys
import pandas as pd
from forecast.store.ledger import write_issue
frame = pd.DataFrame({"customer_id": [f"{i:06d}" for i in range(20_000)], "expected_value": 1.5})
print("ready", flush=True)
for k in range(int(sys.argv[3])):
    try:
        write_issue(sys.argv[1], dt.date(2026, 9, 30), f"{sys.argv[2]}-{k}", {"k": k}, {"customers": frame})
        print("issued", flush=True)
    except ValueError:
        print("refused", flush=True)
"""


def issued(root: Path, name: str = "shop-1") -> Issue:
    return write_issue(root, DAY, name, {"currency": "EUR", "quarters": ["2026Q4"]}, {"customers": FRAME})


def start(root: Path, name: str, times: int) -> subprocess.Popen:
    command = [sys.executable, "-c", ISSUER, str(root), name, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_is_read_is_what_was_issued(tmp_path: Path) -> None:
    issue = issued(tmp_path)
    again = read_issue(tmp_path / "2026-09-30" / "shop-1")
    assert again == issue
    assert again.content == {"currency": "EUR", "quarters": ["2026Q4"]}
    pd.testing.assert_frame_equal(again.table("customers"), FRAME)
    assert list_issues(tmp_path) == ([issue], [])


def test_a_forecast_is_issued_once(tmp_path: Path) -> None:
    before = issued(tmp_path)
    with pytest.raises(ArgumentError, match=r"has been issued already: .*shop-1.*--supersedes shop-1"):
        issued(tmp_path)
    assert read_issue(before.path) == before
    with pytest.raises(ArgumentError, match="cannot be called"):
        issued(tmp_path, "../shop")


def test_a_kill_at_any_moment_leaves_the_whole_or_nothing(tmp_path: Path) -> None:
    rng = random.Random(20260930)
    for k in range(KILLS):
        with start(tmp_path, f"run{k}", 1000) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().count("issued")
        found, problems = list_issues(tmp_path)
        assert problems == []
        own = [issue for issue in found if issue.forecast_id.startswith(f"run{k}-")]
        assert said <= len(own) <= said + 1  # what was told is there; one may have come about untold
        assert all(len(issue.table("customers")) == 20_000 for issue in own)
    assert found


def test_of_two_issuers_at_once_one_wins_each_time(tmp_path: Path) -> None:
    both = [start(tmp_path, "same", 15) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].split() for process in both]
    assert sum(words.count("issued") for words in said) == 15
    assert sum(words.count("refused") for words in said) == 15
    found, problems = list_issues(tmp_path)
    assert (len(found), problems) == (15, [])
    assert not [path for path in (tmp_path / "2026-09-30").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("file", ["issue.json", "customers.parquet"])
def test_a_flipped_byte_is_found_and_its_path_told(tmp_path: Path, file: str) -> None:
    issue = issued(tmp_path)
    whole = (issue.path / file).read_bytes()
    rng = random.Random(1)
    for place in rng.sample(range(len(whole)), 25):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        (issue.path / file).write_bytes(bytes(changed))
        found, problems = list_issues(tmp_path)
        assert len(found) + len(problems) == 1
        assert all(str(issue.path) in str(problem) for problem in problems)
        for same in found:  # white space between the words of a JSON file
            assert same == issue
            assert json.loads(bytes(changed)) == json.loads(whole)
    (issue.path / file).write_bytes(whole[:-10])
    with pytest.raises(StoreError, match=rf"the ledger is damaged: .*{file}"):
        read_issue(issue.path)


@pytest.mark.parametrize("file", ["issue.json", "customers.parquet"])
def test_a_deleted_file_is_found_and_hides_no_other_issue(tmp_path: Path, file: str) -> None:
    lost, kept = issued(tmp_path, "lost"), issued(tmp_path, "kept")
    (lost.path / file).unlink()
    found, problems = list_issues(tmp_path)
    assert found == [kept]
    assert len(problems) == 1
    with pytest.raises(StoreError, match=rf"a file is missing.*lost/{file}"):
        raise problems[0]


def test_an_issue_under_another_name_is_found(tmp_path: Path) -> None:
    issue = issued(tmp_path)
    shutil.copytree(issue.path, tmp_path / "2026-09-30" / "copy")
    with pytest.raises(StoreError, match="issued under another name"):
        read_issue(tmp_path / "2026-09-30" / "copy")


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StoreError, match="No space left on device"):
            issued(tmp_path)
    assert list_issues(tmp_path) == ([], [])
    assert not list(tmp_path.glob("*/*"))
    issued(tmp_path)


def test_a_small_disk_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False,
                          capture_output=True)  # fmt: skip
    if done.returncode:
        pytest.skip("this system lets nobody mount a small disk")
    try:
        large = pd.DataFrame({"customer_id": [os.urandom(16).hex() for _ in range(20_000)]})
        with pytest.raises(StoreError, match="No space left on device"):
            write_issue(tmp_path, DAY, "large", {}, {"customers": large})
        assert list_issues(tmp_path) == ([], [])
        assert len(list_issues(tmp_path)[0] + [issued(tmp_path)]) == 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_settlements_are_appended_and_a_clock_set_back_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue = issued(tmp_path)
    append_settlement(issue, "2026Q4", {"actual": 100.0})
    monkeypatch.setattr(ledger, "_now", lambda: "1999-01-01T00:00:00+00:00")
    second = append_settlement(issue, "2026Q4", {"actual": 98.0})
    append_settlement(issue, "2027Q1", {"actual": 1.0})
    assert read_issue(issue.path) == issue
    found = read_settlements(issue, "2026Q4")
    assert [(one["number"], one["actual"]) for one in found] == [(1, 100.0), (2, 98.0)]
    text = second.read_text()
    second.write_text(text.replace("98.0", "99.0"))
    with pytest.raises(StoreError, match=r"changed after it was written.*2026Q4-0002\.json"):
        read_settlements(issue, "2026Q4")
    second.write_text(text)
    second.with_name("2026Q4-0001.json").unlink()
    with pytest.raises(StoreError, match=r"a settlement is missing.*2026Q4-0001\.json"):
        read_settlements(issue, "2026Q4")
    other = issued(tmp_path, "other")
    shutil.copytree(issue.path / "settlements", other.path / "settlements")
    with pytest.raises(StoreError, match="belongs to another forecast"):
        read_settlements(other, "2027Q1")


def test_a_ledger_of_tomorrow_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "SCHEMA_VERSION", 2)
        path = issued(tmp_path).path
    with pytest.raises(StoreError, match="version 2 of the ledger is not known"):
        read_issue(path)
