"""Which tables of a shop's own database hold its orders, and which of their columns are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forecast.errors import ArgumentError, InputError


@dataclass(frozen=True)
class Beside:
    """One column that the shop keeps in a table beside, one value an order."""

    table: str
    on: str
    column: str
    name: str
    address: str | None = None

    @property
    def needs(self) -> set[str]:
        """Columns without which it cannot be read."""
        return {self.on, self.column} | ({"address_type"} if self.address else set())


@dataclass(frozen=True)
class Wanted:
    """A table by the end of its name (shops put a prefix before it), and what is read of it.

    ``tells`` are columns without which a table of that name is another one.
    """

    name: str
    key: str
    tells: tuple[str, ...]
    columns: tuple[str, ...]
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True)
class Selection:
    """A table to be read, and the SELECT that reads it."""

    table: str
    statement: str


_MAGENTO = (
    Wanted(
        "sales_order",
        "entity_id",
        ("entity_id", "increment_id", "base_grand_total"),
        (
            "entity_id", "increment_id", "store_id", "store_name", "customer_id", "customer_email",
            "customer_is_guest", "customer_group_id", "state", "status", "base_currency_code",
            "order_currency_code", "global_currency_code", "base_to_order_rate", "base_grand_total",
            "base_subtotal", "base_discount_amount", "base_discount_tax_compensation_amount",
            "base_shipping_amount", "base_shipping_discount_amount", "base_tax_amount",
            "base_customer_balance_amount", "base_gift_cards_amount", "base_total_refunded",
            "base_subtotal_refunded", "base_discount_refunded", "base_tax_refunded",
            "base_shipping_refunded", "base_total_canceled", "base_total_paid", "base_total_invoiced_cost",
            "created_at", "updated_at", "coupon_code", "discount_description", "shipping_method",
            "total_item_count", "total_qty_ordered", "original_increment_id", "relation_parent_id",
        ),
        (
            Beside("sales_order_payment", "parent_id", "method", "payment_method"),
            Beside("sales_order_address", "parent_id", "country_id", "country_id", "billing"),
        ),
    ),
    Wanted(
        "sales_creditmemo",
        "entity_id",
        ("entity_id", "order_id", "base_grand_total"),
        (
            "entity_id", "increment_id", "order_id", "store_id", "state", "base_currency_code",
            "base_grand_total", "base_subtotal", "base_discount_amount",
            "base_discount_tax_compensation_amount", "base_shipping_amount", "base_tax_amount",
            "base_customer_balance_amount", "base_gift_cards_amount", "base_adjustment", "created_at",
            "updated_at",
        ),
    ),
)  # fmt: skip

_WOOCOMMERCE = (
    Wanted(
        "wc_orders",
        "id",
        ("id", "status", "total_amount", "date_created_gmt"),
        (
            "id", "status", "currency", "type", "tax_amount", "total_amount", "customer_id", "billing_email",
            "date_created_gmt", "date_updated_gmt", "parent_order_id", "payment_method",
            "payment_method_title",
        ),
        (
            Beside("wc_order_addresses", "order_id", "phone", "billing_phone", "billing"),
            Beside("wc_order_addresses", "order_id", "country", "billing_country", "billing"),
        ),
    ),
    Wanted(
        "wc_order_stats",
        "order_id",
        ("order_id", "net_total", "shipping_total"),
        (
            "order_id", "parent_id", "date_created", "date_created_gmt", "date_paid", "date_completed",
            "num_items_sold", "total_sales", "tax_total", "shipping_total", "net_total", "status",
        ),
    ),
    Wanted(
        "wc_order_operational_data",
        "order_id",
        ("order_id", "shipping_total_amount", "discount_total_amount"),
        (
            "order_id", "created_via", "prices_include_tax", "shipping_tax_amount", "shipping_total_amount",
            "discount_tax_amount", "discount_total_amount",
        ),
    ),
)  # fmt: skip

SHOPS = {"magento": _MAGENTO, "woocommerce": _WOOCOMMERCE}
_ADVICE = 'Say which orders are meant with a query (--query "SELECT ...").'


def select_tables(
    dialect: str,
    names: Sequence[str],
    columns_of: Callable[[str], Sequence[str]],
    quoted: Callable[[str], str],
) -> list[Selection]:
    """The tables of a shop that are there, the one of orders first.

    Parameters
    ----------
    dialect : str
        ``"auto"``, ``"magento"``, ``"woocommerce"``, or either with ``-tables``.
    names : sequence of str
        Tables and views in the database.
    columns_of : callable
        Columns of one of them.
    quoted : callable
        How this database writes a name.

    Raises
    ------
    InputError
        When no such table is there, or more than one could be meant.
    ArgumentError
        When the dialect is not kept in tables.
    """
    family = dialect.removesuffix("-tables")
    if family != "auto" and family not in SHOPS:
        raise ArgumentError(
            f"no tables are known for dialect {dialect!r}",
            advice=f"A database is read as magento or woocommerce. {_ADVICE}",
        )
    found = {
        shop: _named(wanted[0], names, columns_of)
        for shop, wanted in SHOPS.items()
        if family in ("auto", shop)
    }
    found = {shop: tables for shop, tables in found.items() if tables}
    if not found:
        ends = " or ".join(SHOPS[shop][0].name for shop in SHOPS if family in ("auto", shop))
        raise InputError(
            f"no table of orders ({ends}) is there",
            where="the database",
            examples=[_some(names)],
            advice=_ADVICE,
        )
    if len(found) > 1:
        raise InputError(
            "tables of more than one kind of shop are there",
            where="the database",
            examples=[f"{shop}: {', '.join(tables)}" for shop, tables in found.items()],
            advice=f"Name the dialect, {' or '.join(found)}. {_ADVICE}",
        )
    ((shop, tables),) = found.items()
    if len(tables) > 1:
        raise InputError(
            f"{len(tables)} tables could be the one of orders",
            where="the database",
            examples=[_some(tables)],
            advice=_ADVICE,
        )
    prefix = tables[0][: len(tables[0]) - len(SHOPS[shop][0].name)]
    return _selections(SHOPS[shop], prefix, set(names), columns_of, quoted)


def _named(wanted: Wanted, names: Sequence[str], columns_of: Callable[[str], Sequence[str]]) -> list[str]:
    return [
        name
        for name in names
        if name.endswith(wanted.name) and set(wanted.tells) <= set(columns_of(name))
    ]  # fmt: skip


def _some(names: Sequence[str]) -> str:
    if not names:
        return "no table at all"
    shown = ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
    return f"{len(names)} table{'' if len(names) == 1 else 's'}: {shown}"


def _selections(
    shop: Sequence[Wanted],
    prefix: str,
    there: set[str],
    columns_of: Callable[[str], Sequence[str]],
    quoted: Callable[[str], str],
) -> list[Selection]:
    made = []
    for wanted in shop:
        table = prefix + wanted.name
        if table not in there:
            continue
        columns = set(columns_of(table))
        if not set(wanted.tells) <= columns:
            continue
        beside = [
            extra
            for extra in wanted.beside
            if prefix + extra.table in there and extra.needs <= set(columns_of(prefix + extra.table))
        ]
        made.append(Selection(table, _statement(wanted, prefix, columns, beside, quoted)))
    return made


def _statement(
    wanted: Wanted,
    prefix: str,
    columns: set[str],
    beside: Sequence[Beside],
    quoted: Callable[[str], str],
) -> str:
    picked = [f"o.{quoted(name)}" for name in wanted.columns if name in columns]
    joins = []
    for number, extra in enumerate(beside):
        picked.append(f"b{number}.v AS {quoted(extra.name)}")
        where = f" WHERE address_type = '{extra.address}'" if extra.address else ""
        # Grouped, so that an order with two such rows stays one order.
        joins.append(
            f" LEFT JOIN (SELECT {quoted(extra.on)} AS k, min({quoted(extra.column)}) AS v "
            f"FROM {quoted(prefix + extra.table)}{where} GROUP BY {quoted(extra.on)}) AS b{number} "
            f"ON b{number}.k = o.{quoted(wanted.key)}"
        )
    return (
        f"SELECT {', '.join(picked)} FROM {quoted(prefix + wanted.name)} AS o{''.join(joins)} "
        f"ORDER BY o.{quoted(wanted.key)}"
    )
