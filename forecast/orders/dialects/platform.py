"""What a reader has to know about one platform's files; a dialect is data, not code.

A dialect names its *fields* (where the cells stand) and writes its *columns* (what an order is worth, in
what state it is) as short expressions over those fields. Everything else is common to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What kind of cell a field is decides how it is read; a field that is not listed is a text.
IDS = ("order_id", "unique_id", "entity_id", "account_id", "parent_id", "person_key", "original_id")
STAMPS = ("ordered_at", "cancelled_at", "updated_at", "refunded_at")
MONEY = (
    "total", "subtotal", "shipping", "tax", "discount", "refunded", "credit", "cost", "price", "fee",
    "total_purchased", "shipping_tax", "shipping_discount", "compensation", "net_total", "freight", "duties",
    "refunded_subtotal", "refunded_discount", "refunded_tax", "refunded_shipping", "outstanding",
)  # fmt: skip
NUMBERS = ("quantity",)
# Fields that the user may name in a mapping beside those of the dialect: attributes of the first order.
ATTRIBUTES = ("store", "channel", "country", "coupon", "first_product", "payment_method")
FLAGS = ("is_guest", "is_subscription", "is_marketplace", "is_wholesale", "is_employee")

POLICIES = ("net_sales", "gross_sales", "total_sales", "contribution")


@dataclass(frozen=True)
class Table:
    """One kind of file or table of a platform.

    Parameters
    ----------
    tells : tuple of tuple of str
        Groups of normalised headers; a file with all headers of one group is such a table.
    fields : mapping of field to tuple of str
        Normalised headers by rank; with ``json``, pointers into the record such as ``customer/id``.
    required : tuple of str
        Fields without which nothing can be read.
    """

    tells: tuple[tuple[str, ...], ...]
    fields: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...] = ("order_id", "ordered_at")
    json: bool = False


@dataclass(frozen=True)
class Join:
    """A second table whose rows belong to orders: ``take`` are aggregates over its fields."""

    table: Table
    on: str
    take: Mapping[str, str]
    needed: bool = False


@dataclass(frozen=True)
class Memos:
    """A second table of dated refunds, one row each, that name their order by ``on``."""

    table: Table
    on: str
    amount: str
    net: str | None = None
    tax: str | None = None
    shipping: str | None = None


@dataclass(frozen=True)
class RefundList:
    """Refunds nested in the record of an order: expressions over one element ``r``.

    ``items`` makes a list of the elements out of ``record``: the JSON object, or with ``field`` that cell.
    """

    items: str
    amount: str
    at: str | None = None
    net: str | None = None
    tax: str | None = None
    field: str | None = None


def json_list(path: str) -> str:
    """The elements of a list in a JSON record."""
    return f"CAST(json_extract(record, '{path}') AS JSON[])"


@dataclass(frozen=True)
class Platform:
    """One dialect.

    Parameters
    ----------
    name, title : str
        As the user types it, and in the platform's own words.
    table : Table
        Where the orders stand.
    clock : {"wall", "utc"}
        What a stamp without offset means; stamps with one keep the day that is written under "wall".
    key : str
        Field that all rows of an order share.
    lines : bool
        Whether an order may span several rows.
    line_rows, refund_rows, order_rows : str
        Conditions over the raw fields: rows that only describe a line, rows that are refunds, and rows
        that count at all (others, say of another type, are left out as ``not_an_order``).
    line_sums : mapping of field to expression
        Fields that are sums over the lines of an order, over ``quantity`` and ``price``.
    columns : mapping of column to expression
        ``total, gross, discount, net, shipping, tax, refunded, refunded_net, cost`` and attributes over the
        typed fields. A column that is not written is unknown, which decides the policies.
    inclusive : bool
        Whether ``net, shipping, discount`` may hold tax; it is then found order by order.
    statuses : mapping of str to str
        Lower-case status to ``completed, pending, cancelled, refunded`` or ``test``.
    no_account : tuple of str
        Account ids that mean a guest.
    policies : tuple of str
        What the money can mean, as far as its columns are there; the first that is possible is the default.
    refuses : str, optional
        Why nothing can be read from such a file.
    aggregate : str, optional
        Why no customer can be told from another: only totals are given.
    hints : mapping of field to str
        What to do where a required field is missing.
    """

    name: str
    title: str
    table: Table
    clock: str = "wall"
    key: str = "order_id"
    lines: bool = False
    line_rows: str | None = None
    refund_rows: str | None = None
    order_rows: str | None = None
    line_sums: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    inclusive: bool = False
    statuses: Mapping[str, str] = field(default_factory=dict)
    no_account: tuple[str, ...] = ("0",)
    policies: tuple[str, ...] = POLICIES
    joins: tuple[Join, ...] = ()
    memos: Memos | None = None
    refund_list: RefundList | None = None
    month_first: bool = False
    refuses: str | None = None
    aggregate: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The platform, which may have several kinds of files."""
        return self.name if self.name == "online-retail" else self.name.split("-")[0]

    def tables(self) -> tuple[Table, ...]:
        """All kinds of files that belong to the dialect; the orders come first."""
        more = tuple(join.table for join in self.joins)
        return (self.table, *more, *((self.memos.table,) if self.memos else ()))
