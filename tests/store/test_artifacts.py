"""A saved model is all there and as it was saved, or an error says which file is not."""

from __future__ import annotations

import datetime as dt
import json
import math
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArgumentError, StoreError
from forecast.store import artifacts
from forecast.store.artifacts import (
    list_artifacts,
    load_artifact,
    parse_reference,
    save_artifact,
    set_alias,
    split_path,
    verify_artifact,
)
from forecast.store.plaindata import decode, encode, fingerprint

PAYLOAD = {
    "model": "bg-nbd",
    "parameters": {"r": 0.24259457, "alpha": 4.41359091 * 7, "tiny": 5e-324},
    "bounds": [math.nan, math.inf, -math.inf, None, -0.0],
    "summary": {"as_of": "1997-09-30", "customers": 2357},
}


def _save(root: Path, name: str = "shop", **more: Any) -> Path:
    return save_artifact(root, name, PAYLOAD, "# Card\n", files={"posterior.nc": b"\x00\x01"}, **more).path


def test_round_trip(tmp_path: Path) -> None:
    saved = save_artifact(tmp_path, "shop", PAYLOAD, "# Card é\n", files={"posterior.nc": b"\x00\x01"})
    assert (saved.name, saved.version, saved.path) == ("shop", 1, tmp_path / "shop" / "1")
    back = load_artifact(tmp_path, "shop")
    assert repr(back.payload) == repr(PAYLOAD)
    assert (back.name, back.version, back.aliases, back.card) == ("shop", 1, (), "# Card é\n")
    assert back.files == ("CARD.md", "posterior.nc")
    assert dt.datetime.fromisoformat(back.created_at).utcoffset() == dt.timedelta(0)
    record = json.loads((saved.path / "model.json").read_text())
    assert record["schema"] == "clv-forecast/model"
    assert record["schema_version"] == 1
    assert record["checksum"] == fingerprint({k: v for k, v in record.items() if k != "checksum"})


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(plain_values)
def test_every_plain_value_comes_back_exactly(value: Any) -> None:
    text = json.dumps(encode(value), allow_nan=False)
    assert repr(decode(json.loads(text))) == repr(value)


def test_arrays_and_days_are_saved_plainly() -> None:
    assert encode({"a": np.arange(4.0).reshape(2, 2), "n": np.int64(3), "d": dt.date(2026, 9, 30)}) == {
        "a": [[0.0, 1.0], [2.0, 3.0]],
        "n": 3,
        "d": "2026-09-30",
    }


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"a": [1, {"b": object()}]}, r"a object cannot be saved, in payload\['a'\]\[1\]\['b'\]"),
        ({"a": np.array([object()])}, "an array of object cannot be saved"),
        ({"a": {1: 2}}, "a key cannot be saved: 1"),
        ({"a": {"__float__": "nan"}}, "a key cannot be saved"),
        ({"a": "\ud800"}, "not valid Unicode"),
        ({"version": 3}, "keys of the file's own: version"),
    ],
)
def test_payloads_that_cannot_be_saved(tmp_path: Path, value: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        save_artifact(tmp_path, "shop", value, "")
    assert list_artifacts(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_versions_champion_and_aliases(tmp_path: Path) -> None:
    for _ in range(3):
        _save(tmp_path)
    assert load_artifact(tmp_path, "shop").version == 3
    set_alias(tmp_path, "shop@2", "champion")
    set_alias(tmp_path, "shop@3", "challenger")
    assert load_artifact(tmp_path, "shop").version == 2
    assert load_artifact(tmp_path, "shop@challenger").version == 3
    assert load_artifact(tmp_path, "shop@1").version == 1
    set_alias(tmp_path, "shop@challenger", "champion")
    assert load_artifact(tmp_path, "shop@champion").aliases == ("challenger", "champion")
    assert json.loads((tmp_path / "shop" / "aliases.json").read_text()) == {"challenger": 3, "champion": 3}


def test_the_list(tmp_path: Path) -> None:
    assert list_artifacts(tmp_path / "missing") == []
    _save(tmp_path)
    _save(tmp_path)
    _save(tmp_path, "autumn")
    set_alias(tmp_path, "shop@1", "champion")
    (tmp_path / "shop" / "2" / "model.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not a model")
    rows = list_artifacts(tmp_path)
    assert [(row["name"], row["version"], row["aliases"]) for row in rows] == [
        ("autumn", 1, []),
        ("shop", 1, ["champion"]),
        ("shop", 2, []),
    ]
    assert rows[1]["customers"] == 2357
    assert rows[1]["problem"] is None
    assert "model.json" in rows[2]["problem"]


def test_a_removed_champion_is_said_and_its_number_not_reused(tmp_path: Path) -> None:
    _save(tmp_path)
    second = _save(tmp_path)
    set_alias(tmp_path, "shop@2", "champion")
    second.rename(tmp_path / "gone")
    with pytest.raises(StoreError, match=r"no version 2, which 'champion' names.* It has: 1, champion"):
        load_artifact(tmp_path, "shop")
    assert _save(tmp_path).name == "3"


def _edit(change: Callable[[dict[str, Any]], None], seal: bool = False) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        record = json.loads((path / "model.json").read_text())
        change(record)
        if seal:
            record["checksum"] = fingerprint({k: v for k, v in record.items() if k != "checksum"})
        (path / "model.json").write_text(json.dumps(record))

    return apply


def _replace(file: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = (path / file).read_bytes()
        assert old in data
        (path / file).write_bytes(data.replace(old, new, 1))

    return apply


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "byte changed": (_replace("model.json", b"0.24259457", b"0.24259458"), r"changed .*model\.json"),
    "name changed": (_replace("model.json", b'"shop"', b'"shap"'), r"changed .*model\.json"),
    "truncated": (lambda path: os.truncate(path / "model.json", 200), r"damaged.*model\.json"),
    "emptied": (lambda path: os.truncate(path / "model.json", 0), r"damaged.*model\.json"),
    "not text": (_replace("model.json", b"bg-nbd", b"bg\xff\xfe"), r"damaged.*model\.json"),
    "repeated key": (
        _replace("model.json", b'"model"', b'"model": 1, "model"'),
        "the key 'model' is repeated",
    ),
    "bare NaN": (_replace("model.json", b"0.24259457", b"NaN"), "a bare NaN"),
    "no checksum": (_edit(lambda r: r.pop("checksum")), "changed after it was saved"),
    "no model.json": (lambda path: (path / "model.json").unlink(), r"missing, in .*model\.json"),
    "no card": (lambda path: (path / "CARD.md").unlink(), r"missing, in .*CARD\.md"),
    "card changed": (_replace("CARD.md", b"Card", b"Cord"), r"changed .*CARD\.md"),
    "posterior changed": (_replace("posterior.nc", b"\x01", b"\x02"), r"changed .*posterior\.nc"),
    "newer": (_edit(lambda r: r.update(schema_version=2)), "written by a newer version.* upgrade"),
    "another kind": (_edit(lambda r: r.update(schema="other/thing"), seal=True), "not a saved model"),
    "a list": (lambda path: (path / "model.json").write_text("[]") and None, "not a saved model"),
    "no list of files": (_edit(lambda r: r.pop("checksums"), seal=True), "checksums is missing"),
    "file elsewhere": (
        _edit(lambda r: r["checksums"].update({"../../x": "0"}), seal=True),
        "list of files is not understood",
    ),
    "strange float": (
        _edit(lambda r: r.update(bounds={"__float__": "one"}), seal=True),
        "a float is written as",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    apply, match = DAMAGE[damage]
    apply(_save(tmp_path))
    for read in (load_artifact, verify_artifact):
        with pytest.raises(StoreError, match=match):
            read(tmp_path, "shop")
    with pytest.raises(StoreError, match=match):
        set_alias(tmp_path, "shop", "champion")


def test_a_folder_moved_to_another_number_is_refused(tmp_path: Path) -> None:
    _save(tmp_path).rename(tmp_path / "shop" / "7")
    with pytest.raises(StoreError, match="it was saved as shop@1"):
        load_artifact(tmp_path, "shop@7")


@pytest.mark.parametrize("text", ["{", "[]", '{"champion": "2"}', '{"champion": true}', "\x00"])
def test_damaged_aliases(tmp_path: Path, text: str) -> None:
    _save(tmp_path)
    (tmp_path / "shop" / "aliases.json").write_text(text)
    with pytest.raises(StoreError, match=r"damaged.*aliases\.json"):
        load_artifact(tmp_path, "shop")


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no model 'shop'.* Nothing is saved there yet"):
        load_artifact(tmp_path / "none", "shop")
    _save(tmp_path)
    _save(tmp_path)
    with pytest.raises(StoreError, match=r"no model 'shoe'.* Saved there: shop"):
        load_artifact(tmp_path, "shoe")
    with pytest.raises(StoreError, match=r"no alias 'best'.* It has: 1, 2"):
        load_artifact(tmp_path, "shop@best")
    with pytest.raises(StoreError, match=r"no version 9.* It has: 1, 2"):
        load_artifact(tmp_path, "shop@9")


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "..",
        "../shop",
        "a/b",
        ".hidden",
        "-x",
        "shop\n",
        "shop@",
        "shop@0",
        "shop@03",
        "shop@1@2",
        "shop@../x",
        "é",
    ],
)
def test_references_that_could_leave_the_folder_are_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ArgumentError, match="is not understood"):
        parse_reference(reference)
    with pytest.raises(ArgumentError, match="is not understood"):
        save_artifact(tmp_path, reference, {}, "")


def test_bad_file_names_and_aliases(tmp_path: Path) -> None:
    for file in ("model.json", "CARD.md", "../x", ".x", "a/b"):
        with pytest.raises(ArgumentError, match="a model's file cannot be called"):
            save_artifact(tmp_path, "shop", {}, "", files={file: b""})
    with pytest.raises(ArgumentError, match="a version cannot be chosen"):
        save_artifact(tmp_path, "shop@3", {}, "")
    _save(tmp_path)
    for alias in ("3", "a b", "", "@", "../x"):
        with pytest.raises(ArgumentError, match="an alias is not understood"):
            set_alias(tmp_path, "shop", alias)


def test_paths_name_models_too(tmp_path: Path) -> None:
    path = _save(tmp_path / "models")
    assert split_path(tmp_path / "models" / "shop") == (tmp_path / "models", "shop")
    assert split_path(f"{tmp_path}/models/shop@champion") == (tmp_path / "models", "shop@champion")
    assert split_path(path) == (tmp_path / "models", "shop@1")
    assert split_path("shop") == (Path("."), "shop")
    with pytest.raises(ArgumentError, match="is not understood"):
        split_path("models/..")


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(
        *{"write": (Path, "write_bytes"), "fsync": (os, "fsync"), "rename": (os, "rename")}[step], refuse
    )
    with pytest.raises(StoreError, match=r"shop cannot be written: the disk is full\. Check folder"):
        _save(tmp_path)
    assert list_artifacts(tmp_path) == []
    assert list((tmp_path / "shop").glob("*")) == list((tmp_path / "shop").glob(".*")) == []


def test_a_process_killed_while_saving_leaves_nothing_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(artifacts.shutil, "rmtree", lambda *a, **k: None)  # a killed process cleans nothing
        patch.setattr(os, "rename", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt("killed")))
        with pytest.raises(KeyboardInterrupt, match="killed"):
            _save(tmp_path)
    assert len(list((tmp_path / "shop").glob(".saving-*"))) == 1
    assert list_artifacts(tmp_path) == []
    with pytest.raises(StoreError, match="there is no model 'shop'"):
        load_artifact(tmp_path, "shop")
    assert _save(tmp_path).name == "1"
    assert load_artifact(tmp_path, "shop").version == 1


def _save_some(root: str) -> list[int]:
    return [save_artifact(root, "shop", {"pid": os.getpid(), "n": n}, "# Card").version for n in range(5)]


def test_savers_at_the_same_time_get_their_own_versions(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = [v for part in pool.map(_save_some, [str(tmp_path / "threads")] * 4) for v in part]
    assert sorted(versions) == list(range(1, 21))
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        parts = processes.map(_save_some, [str(tmp_path / "processes")] * 2, chunksize=1)
    assert sorted(parts[0] + parts[1]) == list(range(1, 11))
    for version in range(1, 11):
        verify_artifact(tmp_path / "processes", f"shop@{version}")


def test_a_file_in_the_place_of_the_models_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StoreError, match=r"models/shop cannot be written: .+\. Check folder"):
        _save(tmp_path / "models")


def test_a_model_that_the_system_refuses_to_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match=r"shop cannot be read: Permission denied"):
        load_artifact(tmp_path, "shop")
