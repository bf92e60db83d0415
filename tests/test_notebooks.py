"""The notebooks run from top to bottom, and what is committed is whole, explained and free of local paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LOCAL_PATH = re.compile(
    r"(?<![\w.:/<])/(?:home|root|Users|tmp|var|opt|mnt|work|usr|private)/|\b[A-Z]:\\{1,2}\w"
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _shows_something(source: str) -> bool:
    """Whether the last line is an expression or prints, so that the cell must have an output."""
    last = source.strip().splitlines()[-1]
    if last.startswith((" ", ")", "assert ", "import ", "from ", "%", "#")):
        return "display(" in last
    return "print(" in last or (not re.match(r"[\w.\[\]\", ]+ = ", last) and "assert_" not in last)


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@each_notebook
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_SMOKE", "1")
    notebook = _read(path)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert all(cell.execution_count for cell in _code(notebook))
    assert not list(tmp_path.iterdir())


@each_notebook
def test_committed_with_outputs(path: Path) -> None:
    for cell in _code(_read(path)):
        assert cell.execution_count, cell.source
        assert cell.outputs or not _shows_something(cell.source), cell.source
        assert all(output.output_type != "error" for output in cell.outputs), cell.source
        # Nothing on stderr either: a warning is something to mend.
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source


@each_notebook
def test_committed_run_was_in_order_and_full(path: Path) -> None:
    notebook = _read(path)
    cells = _code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "23,570 customers" in path.read_text(encoding="utf-8")  # the master, not the smoke sample
    assert "parameters" in cells[0].metadata.tags
    assert notebook.metadata.kernelspec.name == "python3"
    assert all("execution" not in cell.metadata for cell in cells)


@each_notebook
def test_holds_no_local_paths_and_is_small(path: Path) -> None:
    notebook = _read(path)
    texts = [cell.source for cell in notebook.cells]
    for cell in _code(notebook):
        for output in cell.outputs:
            data = {"text": output.get("text", ""), **output.get("data", {})}
            texts += [str(text) for kind, text in data.items() if not kind.startswith("image/")]
    for text in texts:
        assert not LOCAL_PATH.search(text), text[:200]
    assert path.stat().st_size < 600_000


@each_notebook
def test_a_sentence_follows_every_picture(path: Path) -> None:
    cells = _read(path).cells
    pictures = 0
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "code" and any(
            kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})
        ):
            pictures += 1
            assert after is not None, cell.source
            assert after.cell_type == "markdown", cell.source
            assert len(after.source.split()) > 12, after.source
    assert pictures >= 3


@each_notebook
def test_cells_only_call_the_package(path: Path) -> None:
    for cell in _code(_read(path)):
        assert not re.search(r"^\s*(def|class|lambda)\b", cell.source, re.MULTILINE), cell.source
        assert len(cell.source.splitlines()) <= 16, cell.source
