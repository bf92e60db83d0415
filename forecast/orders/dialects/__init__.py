"""Dialects: one small declarative file a platform, told by the header or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecast.errors import ArgumentError, InputError
from forecast.orders.columns import listed, normalise
from forecast.orders.dialects.logs import ALL as LOGS
from forecast.orders.dialects.magento import ALL as MAGENTO
from forecast.orders.dialects.marketplaces import ALL as MARKETPLACES
from forecast.orders.dialects.platform import Platform, Table
from forecast.orders.dialects.shopify import ALL as SHOPIFY
from forecast.orders.dialects.woocommerce import ALL as WOOCOMMERCE

PLATFORMS: tuple[Platform, ...] = (
    *SHOPIFY, *MAGENTO, *WOOCOMMERCE, *LOGS, *MARKETPLACES
)  # fmt: skip
FAMILIES = tuple(dict.fromkeys(platform.family for platform in PLATFORMS))


@dataclass(frozen=True)
class Look:
    """What can be seen of a source before it is read."""

    label: str
    columns: tuple[str, ...]
    json: bool = False


def known_names() -> tuple[str, ...]:
    """Every name that ``dialect`` takes.

    Examples
    --------
    >>> known_names()[:4]
    ('auto', 'generic', 'shopify', 'magento')
    """
    kinds = tuple(platform.name for platform in PLATFORMS if platform.name not in FAMILIES)
    return ("auto", "generic", *FAMILIES, *kinds)


def platforms_named(dialect: str) -> tuple[Platform, ...]:
    """The dialects that a name stands for: all of them for ``auto``, none for ``generic``.

    Raises
    ------
    ArgumentError
        When no dialect has the name.
    """
    if dialect == "generic":
        return ()
    found = tuple(p for p in PLATFORMS if dialect in ("auto", p.family, p.name))
    if not found:
        raise ArgumentError(f"dialect {dialect!r} is not known", advice=f"Known: {', '.join(known_names())}.")
    return found


def choose_platform(looks: Sequence[Look], dialect: str) -> Platform | None:
    """The dialect of the sources, read together; None stands for the generic reader.

    Raises
    ------
    ArgumentError
        When no dialect has the name.
    InputError
        When the headers are not those of the dialect asked for, belong to different platforms, or to a
        report from which nothing can be read.

    Examples
    --------
    >>> shop = Look("orders.csv", ("Name", "Email", "Financial Status", "Lineitem quantity"))
    >>> choose_platform([shop], "auto").name
    'shopify-csv'
    >>> choose_platform([Look("log.csv", ("customer", "date", "value"))], "auto") is None
    True
    """
    asked = platforms_named(dialect)
    fitting = [p for p in asked if _fits(p, looks)]
    # Tables of JSON records say where nested cells stand, so they come first where there are records.
    fitting.sort(key=lambda p: p.table.json is not looks[0].json)
    if fitting:
        chosen = fitting[0]
        if chosen.refuses:
            raise InputError(chosen.refuses, where=looks[0].label, advice="See docs/woocommerce.md.")
        return chosen
    if dialect not in ("auto", "generic"):
        raise InputError(
            f"the header is not one of {' or '.join(p.title for p in asked)}",
            where=looks[0].label,
            advice=f"Columns found: {listed(looks[0].columns)}. Leave --dialect out to have it found, "
            "or read it with --dialect generic and --map.",
        )
    for platform in asked:
        memos = platform.memos and platform.memos.table
        if memos and all(_tells(memos, look) and table_of(platform, look) is memos for look in looks):
            raise InputError(
                f"this holds refunds ({platform.title}), not orders",
                where=looks[0].label,
                advice="Read it together with the orders that it belongs to.",
            )
    known = {look.label: p.title for look in looks for p in asked if any(_tells(t, look) for t in p.tables())}
    orders = [p for p in asked if any(_tells(p.table, look) for look in looks)]
    if orders and len(looks) > 1:
        seen = "; ".join(f"{look.label}: {known.get(look.label, 'not known')}" for look in looks)
        raise InputError(
            f"the files are of different kinds ({seen})",
            advice="Read the files of one platform together, each kind of export at a time.",
        )
    return None


def table_of(platform: Platform, look: Look) -> Table:
    """The kind of file that a source is; the one that more headers tell wins."""
    return max(platform.tables(), key=lambda table: _tells(table, look))


def wanted_columns(look: Look, dialect: str, mapping: Mapping[str, str | None] | None) -> set[str] | None:
    """Headers that some dialect would use of this source; None for all of them."""
    asked = {name for name in (mapping or {}).values() if name is not None}
    wanted: set[str] = set()
    for platform in platforms_named(dialect):
        for table in platform.tables():
            if not table.json and _tells(table, look):
                names = {name for names in (*table.fields.values(), *table.tells) for name in names}
                wanted |= {column for column in look.columns if normalise(column) in names}
    if not wanted:
        return None
    return wanted | {column for column in look.columns if column in asked}


def _fits(platform: Platform, looks: Sequence[Look]) -> bool:
    seen = [_tells(platform.table, look) and table_of(platform, look) is platform.table for look in looks]
    alone = [max(_tells(table, look) for table in platform.tables()) for look in looks]
    return any(seen) and all(alone)


def _tells(table: Table, look: Look) -> int:
    """How many headers tell that a source is such a table; 0 when it is not."""
    if table.json and not look.json and not _flat(table):
        return 0
    have = {normalise(column) for column in look.columns}
    return max((len(group) for group in table.tells if have.issuperset(group)), default=0)


def _flat(table: Table) -> bool:
    """Whether every needed field is a plain column, so that a file without records will do as well."""
    return all(any("/" not in name for name in table.fields[need]) for need in table.required)


def title_of(name: str) -> str:
    """A dialect in the platform's own words.

    Examples
    --------
    >>> title_of("shopify-csv"), title_of("generic")
    ('Shopify, Orders > Export (CSV)', 'any log of orders')
    """
    return next((p.title for p in PLATFORMS if p.name == name), "any log of orders")
