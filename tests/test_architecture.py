"""The house: floors, rooms, libraries, names and lengths, read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "forecast"
MODULES = sorted(HOUSE.rglob("*.py"))

# Imports go downstairs only; rooms on one floor do not know each other.
FLOORS = [
    {"errors", "arguments"},
    {"periods"},
    {"maths", "store"},
    {"orders", "summary"},
    {"history", "fitting", "receiving"},
    {"predict"},
    {"evaluation"},
    {"activation", "card"},
    {"model", "estimating", "cohorts", "totals", "record"},
    {"spark", "training", "issuing", "reports", "estimators", "interop", "datasets", "synthetic"},
    {"comparing", "engines"},
    {"pipeline"},
    {"demonstration", "reviewing", "keeping", "acquiring", "publishing", "shelving"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

LIBRARIES = {
    "duckdb": {"orders", "summary", "history", "store", "synthetic"},
    "sqlalchemy": {"orders"},
    "pymysql": {"orders"},
    "psycopg": {"orders"},
    "numba": {"maths", "summary", "fitting", "predict"},
    "scipy": {"maths", "fitting", "predict"},
    "pymc": {"fitting"},
    "pytensor": {"fitting"},
    "nutpie": {"fitting"},
    "arviz": {"fitting", "store", "reports"},
    "xarray": {"fitting", "store", "reports"},
    "pyspark": {"summary", "predict"},
    "sklearn": {"estimating", "estimators", "evaluation"},
    "lifetimes": {"datasets", "interop"},
    "matplotlib": {"reports"},
    "jinja2": {"reports"},
    "rich": {"cli"},
    "pandas": set(LEVEL) - {"maths", "errors", "periods"},
    "pyarrow": set(LEVEL) - {"maths", "errors", "periods"},
    "pickle": set(),
    "dill": set(),
    "joblib": set(),
    "requests": set(),
    "urllib": set(),
    "socket": set(),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base"}
MOST_LINES = 410


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Imported modules, and whether only a type checker sees the import."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            typing_only.update(ast.walk(node))
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node in typing_only
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield str(node.module), node in typing_only


def names(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_imports_go_downstairs(path: Path) -> None:
    own = room_of(path)
    if own == "__init__":
        return  # the face is lazy; the next test looks at it
    for module, typing_only in imports(path):
        if typing_only or not module.startswith("forecast"):
            continue
        parts = module.split(".")
        if len(parts) == 1:
            assert own in ("cli", "pipeline"), "only the top floors know the face"
            continue
        other = parts[1]
        if other != own:
            assert LEVEL[other] < LEVEL[own], f"{own} must not know {other}"


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(LEVEL)


def test_the_face_imports_nothing_of_the_house_at_once() -> None:
    eager = [m for m, typing_only in imports(HOUSE / "__init__.py") if not typing_only]
    assert [m for m in eager if m.split(".")[0] not in ("__future__", "importlib", "typing")] == []


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    own = room_of(path)
    for module, typing_only in imports(path):
        library = module.split(".")[0]
        if library in LIBRARIES and not typing_only:
            assert own in LIBRARIES[library], f"{library} has no business in {own}"


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_nothing_dangerous_nothing_vague_nothing_endless(path: Path) -> None:
    text = path.read_text("utf-8")
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & FORBIDDEN_CALLS
    assert path.stem not in VAGUE
    assert text.count("\n") <= MOST_LINES


def test_no_cycles_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        own = "forecast." + ".".join(path.relative_to(HOUSE).with_suffix("").parts)
        own = own.removesuffix(".__init__")
        graph[own] = {m for m, typing_only in imports(path) if m.startswith("forecast") and not typing_only}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done or module not in graph:
            return
        for other in graph[module] - {"forecast"}:
            # A package's face imports its files; a file of the room importing the face is the cycle.
            visit(other, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_public_functions_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path} says not what it is for"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name}"
