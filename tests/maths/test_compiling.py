"""Compiled code is kept where it can be, and done without where it cannot."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from numba.core.caching import CompileResultCacheImpl

import forecast
from forecast.maths.compiling import njit


def half(x: float) -> float:
    return x / 2.0


def test_a_read_only_file_system_costs_the_cache_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    assert njit(cache=True, nogil=True)(half)(5.0) == 2.5


def test_every_compiled_function_is_kept() -> None:
    for path in Path(forecast.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and path.parent.name in (
                "maths",
                "summary",
                "fitting",
                "predict",
            ):
                assert node.module != "numba", f"{path.name}: njit comes from maths.compiling"
            for given in getattr(node, "decorator_list", []):
                if ast.unparse(given).startswith("njit"):
                    assert "cache=True" in ast.unparse(given), f"{path.name}: {ast.unparse(given)}"
