"""What a reader has to know about one kind of export; a dialect is data, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forecast.errors import ArgumentError

ROLES = ("customer_id", "order_date", "value", "order_id", "currency", "items")
REQUIRED = ("customer_id", "order_date", "value")


@dataclass(frozen=True)
class Dialect:
    """One kind of export.

    Parameters
    ----------
    name : str
        As the user types it.
    headers : mapping of str to tuple of tuples
        For each role the known header names in tiers, strongest tier first, normalised (lower case, only
        letters and digits). Two headers of one tier are an ambiguity.
    value_policies : tuple of str
        What the money may mean; the first one is the default.
    zero_value : str
        ``"keep"`` or ``"drop"``: what happens to orders of value 0 unless the user says otherwise.
    """

    name: str
    headers: Mapping[str, tuple[tuple[str, ...], ...]]
    value_policies: tuple[str, ...]
    zero_value: str


GENERIC = Dialect(
    name="generic",
    headers={
        "customer_id": (
            # An export that has both gives every order its own customer_id; this one is the person.
            ("customeruniqueid",),
            ("customerid",),
            ("customer", "custid", "clientid", "userid", "buyerid", "memberid", "shopperid", "customerkey",
             "customernumber", "customerno", "cust", "client", "contactid", "cid"),
            ("customeremail", "email", "emailaddress", "buyeremail", "useremail"),
        ),
        "order_date": (
            ("orderdate", "orderday"),
            ("orderts", "ordertimestamp", "ordertime", "orderdatetime", "orderedat", "purchasedate",
             "purchasedat", "purchasetimestamp", "orderpurchasetimestamp", "invoicedate", "transactiondate",
             "saledate", "salesdate", "ordercreatedat", "purchaseday"),
            ("date", "createdat", "datetime", "timestamp", "day", "ts"),
        ),
        "value": (
            ("value", "ordervalue"),
            ("revenue", "amount", "sales", "total", "pricetotal", "totalprice", "ordertotal", "totalamount",
             "orderamount", "dollarvalue", "spend", "orderrevenue", "salesamount", "netsales", "netvalue",
             "netamount", "netrevenue", "paymentvalue", "dollars", "purchasevalue", "transactionvalue",
             "turnover", "monetaryvalue", "monetary"),
        ),
        "order_id": (
            ("orderid",),
            ("order", "ordernumber", "orderno", "invoice", "invoiceno", "invoiceid", "invoicenumber",
             "transactionid", "ordernr", "receiptid", "purchaseid"),
        ),
        "currency": (("currency", "ordercurrency", "currencycode"),),
        "items": (
            ("items", "itemcount", "numberofitems"),
            ("quantity", "qty", "numberofcds", "units", "cds", "itemquantity"),
        ),
    },
    value_policies=("value",),
    zero_value="keep",
)  # fmt: skip


def choose_value_policy(dialect: Dialect, value_policy: str | None) -> str:
    """What the money means; the dialect's default when nothing is asked.

    Raises
    ------
    ArgumentError
        When the dialect cannot carry the policy.
    """
    if value_policy is None:
        return dialect.value_policies[0]
    if value_policy not in dialect.value_policies:
        raise ArgumentError(
            f"value_policy {value_policy!r} cannot be read from the {dialect.name} dialect",
            advice=f"It has one column of money and gives {', '.join(dialect.value_policies)!r}; "
            "map the column that holds the amount you mean to value.",
        )
    return value_policy


def choose_zero(zero_value: str | None, default: str) -> str:
    """``"keep"`` or ``"drop"`` for orders of value 0.

    Raises
    ------
    ArgumentError
        When it is neither.

    Examples
    --------
    >>> choose_zero(None, "drop")
    'drop'
    """
    if zero_value is None:
        return default
    if zero_value not in ("keep", "drop"):
        raise ArgumentError(f"zero_value is {zero_value!r}", advice="Give 'keep' or 'drop'.")
    return zero_value
