"""Where saved models lie and how they are named: ``shop``, ``shop@3``, ``shop@champion``, ``models/shop``."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from forecast.errors import ArgumentError, StoreError
from forecast.store.plaindata import parse_strict

MODEL = "model.json"
ALIASES = "aliases.json"
CHAMPION = "champion"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_name(text: str) -> bool:
    """Whether a text can name a model or a file of it: no path can be smuggled in.

    Examples
    --------
    >>> is_name("shop-2"), is_name("../shop"), is_name(".hidden")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def check_alias(alias: str) -> str:
    """An alias as given, when it cannot be taken for a version.

    Raises
    ------
    ArgumentError
        When it begins with anything but a letter, or has other characters than names have.

    Examples
    --------
    >>> check_alias("champion")
    'champion'
    """
    if not is_name(alias) or alias[0].isdigit():
        raise ArgumentError(
            f"an alias is not understood: {alias!r}",
            advice="Begin with a letter; use letters, digits, '.', '_' and '-'.",
        )
    return alias


def parse_reference(reference: str) -> tuple[str, int | str | None]:
    """Name and selector of ``shop``, ``shop@3`` or ``shop@champion``.

    Returns
    -------
    name : str
    selector : int, str or None
        A version, an alias, or ``None`` for the champion, else the newest.

    Raises
    ------
    ArgumentError
        When the name or the selector has characters that a folder or an alias may not have.

    Examples
    --------
    >>> parse_reference("shop"), parse_reference("shop@3"), parse_reference("shop@champion")
    (('shop', None), ('shop', 3), ('shop', 'champion'))
    """
    name, at, selector = str(reference).partition("@")
    advice = "Write NAME, NAME@VERSION or NAME@ALIAS in letters, digits, '.', '_' and '-'."
    if not is_name(name):
        raise ArgumentError(f"a model's name is not understood: {reference!r}", advice=advice)
    if not at:
        return name, None
    if _VERSION.fullmatch(selector):
        return name, int(selector)
    if not is_name(selector) or selector[0].isdigit():
        raise ArgumentError(f"a model's version or alias is not understood: {reference!r}", advice=advice)
    return name, selector


def split_path(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Root folder and reference of a path such as ``models/shop`` or ``models/shop@2``.

    A version's own folder (``models/shop/2``) is understood too, when it is one.

    Raises
    ------
    ArgumentError
        When the last part is no model's name.

    Examples
    --------
    >>> root, reference = split_path("models/shop@2")
    >>> root.as_posix(), reference
    ('models', 'shop@2')
    """
    whole = Path(path)
    if _VERSION.fullmatch(whole.name) and (whole / MODEL).is_file():
        whole = whole.parent.with_name(f"{whole.parent.name}@{whole.name}")
    parse_reference(whole.name)
    return whole.parent, whole.name


def select_version(root: Path, name: str, selector: int | str | None) -> int:
    """The version a selector means: ``None`` is the champion, else the newest.

    Raises
    ------
    StoreError
        When there is no such model, version or alias; the message lists what there is.

    Examples
    --------
    >>> select_version(Path("no-such-folder"), "shop", None)
    Traceback (most recent call last):
    forecast.errors.StoreError: there is no model 'shop', in no-such-folder. Nothing is saved there yet.
    """
    home = root / name
    versions = saved_versions(home)
    if not versions:
        names = [other for other in saved_names(root) if saved_versions(root / other)]
        advice = f"Saved there: {', '.join(names)}." if names else "Nothing is saved there yet."
        raise StoreError(f"there is no model {name!r}", where=str(root), advice=advice)
    aliases = read_aliases(home)
    known = ", ".join([str(version) for version in versions] + sorted(aliases))
    if selector is None:
        selector = CHAMPION if CHAMPION in aliases else versions[-1]
    if isinstance(selector, str):
        if selector not in aliases:
            raise StoreError(
                f"model {name!r} has no alias {selector!r}", where=str(root), advice=f"It has: {known}."
            )
        label, version = f"version {aliases[selector]}, which {selector!r} names", aliases[selector]
    else:
        label, version = f"version {selector}", selector
    if version not in versions:
        raise StoreError(f"model {name!r} has no {label}", where=str(root), advice=f"It has: {known}.")
    return version


def saved_names(root: Path) -> list[str]:
    """Names of the folders that can hold models, sorted; a missing root has none.

    Examples
    --------
    >>> saved_names(Path("no-such-folder"))
    []
    """
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))


def saved_versions(home: Path) -> list[int]:
    """Versions in a model's folder, ascending; unfinished saves are not among them.

    Examples
    --------
    >>> saved_versions(Path("no-such-folder"))
    []
    """
    if not home.is_dir():
        return []
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(e.name) for e in home.iterdir() if e.is_dir() and _VERSION.fullmatch(e.name))
    return []


def read_aliases(home: Path) -> dict[str, int]:
    """Aliases of a model and the versions they name.

    Raises
    ------
    StoreError
        When ``aliases.json`` is damaged.

    Examples
    --------
    >>> read_aliases(Path("no-such-folder"))
    {}
    """
    path = home / ALIASES
    try:
        aliases = parse_strict(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise damaged(path, str(problem)) from None
    if not isinstance(aliases, dict) or any(type(v) is not int or v < 1 for v in aliases.values()):
        raise damaged(path, "it is not a table of aliases and versions")
    return aliases


def damaged(file: Path, what: str) -> StoreError:
    """The error for a file that is not as it was saved.

    Examples
    --------
    >>> print(damaged(Path("CARD.md"), "a file is missing").what)
    a saved model is damaged: a file is missing
    """
    return StoreError(
        f"a saved model is damaged: {what}",
        where=str(file),
        advice="Restore the folder from a backup, or fit and save again.",
    )
