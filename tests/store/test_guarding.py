"""No output overwrites what was read, another output, or a saved model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forecast.cli import main
from forecast.errors import ArgumentError
from forecast.store.artifacts import save_artifact
from forecast.store.guarding import output_folder, protect

LOG = "customer_id,order_date,value\na,2024-01-01,5\na,2024-02-01,6\nb,2024-02-03,7\nb,2024-02-04,oops\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(LOG)
    return path


def links(log: Path) -> list[Path]:
    soft, hard = log.with_name("soft.csv"), log.with_name("hard.csv")
    soft.symlink_to(log)
    os.link(log, hard)
    return [log, soft, hard, log.parent / "x" / ".." / "orders.csv"]


def test_an_input_is_not_overwritten_under_any_name(log: Path) -> None:
    (log.parent / "x").mkdir()
    for path in links(log):
        with pytest.raises(ArgumentError, match="would overwrite an input"):
            protect([None, path], [log])
    protect([log.with_name("other.csv")], [log])


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="two outputs are the same file"):
        protect([tmp_path / "a.csv", tmp_path / "." / "a.csv"])


@pytest.mark.parametrize(
    "inside", ["shop", "shop/1", "shop/1/model.json", "shop/aliases.json", "shop/2/new.csv"]
)
def test_a_saved_model_is_not_written_into(tmp_path: Path, inside: str) -> None:
    save_artifact(tmp_path / "models", "shop", {}, "# Shop")
    with pytest.raises(ArgumentError, match="lies inside a saved model"):
        protect([tmp_path / "models" / inside])
    protect([tmp_path / "models" / "scores.csv", tmp_path / "scores.csv"])


@pytest.mark.parametrize("option", ["--out", "--rejects"])
def test_the_command_keeps_its_input(log: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(log.parent / "*.csv"), option, str(log)]) == 1
    assert "would overwrite an input" in capsys.readouterr().err
    assert log.read_text() == LOG


def test_files_of_a_folder_are_outputs_too(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = log.rename(log.with_name("summary.json"))
    log.write_text('{"customer_id": "a", "order_date": "2024-01-01", "value": 5}\n')
    assert main(["history", str(log), "--out", str(log.parent)]) == 1
    assert "would overwrite an input" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["history", "backtest"])
def test_a_folder_with_a_name_of_a_file_is_a_slip(
    log: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(log), "--out", str(log.with_name("h.html"))]) == 1
    assert "Give a folder, such as" in capsys.readouterr().err
    assert [path.name for path in log.parent.iterdir()] == ["orders.csv"]


def test_a_folder_may_be_called_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "v1.json").mkdir()
    assert output_folder(tmp_path / "v1.json") == tmp_path / "v1.json"


def test_an_output_that_cannot_be_is_one_line(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in (log / "r.csv", Path("/proc/none/r.csv")):
        for option in ("--out", "--rejects"):
            assert main(["check", str(log), option, str(out)]) == 1
            err = capsys.readouterr().err
            assert err.startswith(f"forecast: {out} cannot be written: ")
            assert err.count("\n") == 1
