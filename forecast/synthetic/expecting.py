"""What a correct reader finds in each export, from the truth and from what the file can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecast.synthetic.selling import LATE

if TYPE_CHECKING:
    from forecast.synthetic.shop import SyntheticShop

_ALL = ("net_sales", "gross_sales", "total_sales")
PATIENCE = 14  # days that an unpaid order may wait before it counts as paid by other means


@dataclass(frozen=True)
class Ability:
    """What can be seen in the files of a dialect."""

    policies: tuple[str, ...] = _ALL  # the first is the dialect's own
    account: bool = True
    contact: bool = True  # the e-mail
    phone: bool = True
    status: bool = True
    payment: bool = True  # how an order is paid: cash on delivery may stay pending
    test: bool = True
    refunds: str = "amount"  # amount | whole (a status says so) | none (also: nothing says whose they are)
    marketplace: bool = True
    shown: bool = False  # amounts are as shown: the file does not tell tax apart
    tax_share: bool = False  # net sales by the share of tax, where prices are shown with tax
    order_id: str = "{}"


ABILITIES = {
    # No customer number: the e-mail, else the phone.
    "shopify-csv": Ability(account=False, tax_share=True, order_id="#{}"),
    "shopify-graphql": Ability(tax_share=True, order_id="#{}"),
    "shopify-rest": Ability(tax_share=True, order_id="#{}"),
    # Neither tax nor discount, nor a phone.
    "magento-grid": Ability(policies=("total_sales",), account=False, phone=False, order_id="{:0>9}"),
    # Method of payment and phone are in other tables: only its age excuses an unpaid order.
    "magento-tables": Ability(payment=False, phone=False, order_id="{:0>9}"),
    "magento-rest": Ability(order_id="{:0>9}"),
    # The order's total alone; who has no account is nobody, and only whole refunds show, as a status.
    "magento-lines": Ability(
        policies=("total_sales",), contact=False, test=False, refunds="whole", marketplace=False
    ),
    # Discounts and phones are in neither table; the coupon of a test is not there, its e-mail is.
    "woocommerce-tables": Ability(policies=("net_sales", "total_sales"), phone=False),
    "woocommerce-rest": Ability(),
    "woocommerce-csv": Ability(),
    "woocommerce-lines": Ability(account=False),
    # Invoices only: cancelled and failed orders are not in the file. A return names no invoice: it comes off
    # where it is of the order's own day, and stands alone otherwise.
    "online-retail": Ability(
        contact=False, status=False, payment=False, test=False, refunds="none", marketplace=False, shown=True
    ),
    # Neither tax, discounts, refunds, payments nor tests; every order has its own customer_id, and the person
    # is the customer_unique_id, also where the shop knows no name.
    "olist": Ability(
        policies=("net_sales", "total_sales"), contact=False, payment=False, test=False, refunds="none",
        marketplace=False, shown=True,
    ),
    # What an own query gives: sales net of refunds by customer; no name is a blank cell.
    "generic": Ability(policies=("net_sales",)),
}  # fmt: skip


def digits(phone: pd.Series) -> pd.Series:
    """Phone numbers without blanks and with a plus, however they were typed."""
    found = phone.str.replace(" ", "", regex=False)
    return found.mask(found.str.startswith("00", na=False), "+" + found.str.slice(2))


def identities(shop: SyntheticShop, ability: Ability) -> pd.Series:
    """Whom an order belongs to as far as the file says: an account, an e-mail, a phone, or nobody.

    A guest's order joins an account where an order of the account has the same e-mail.
    """
    orders = shop.orders
    nobody = pd.Series(pd.NA, index=orders.index, dtype="string")
    account = orders["account_id"].astype("string") if ability.account else nobody
    if not ability.contact:
        return account
    email = orders["email"].astype("string").str.strip().str.lower()
    known = pd.DataFrame({"email": email, "account": account}).dropna().drop_duplicates("email")
    joined = email.map(known.set_index("email")["account"]).astype("string")
    found = account.fillna(joined).fillna(email)
    return found.fillna(digits(orders["phone"].astype("string"))) if ability.phone else found


def persons(shop: SyntheticShop) -> pd.Series:
    """Olist's number of a person, 32 characters long; every sale without a name is a person of its own."""
    person = shop.orders["person"].astype("Int64")
    alone = pd.Series(np.arange(len(person)) + 10**9, dtype="Int64")
    number = person.fillna(alone).astype("int64")
    return ((number + 1) * 2_654_435_761 % 2**32).map("{:032x}".format).astype("string")


def values(shop: SyntheticShop, ability: Ability, policy: str) -> pd.Series:
    """The value of every order under a policy, refunds taken off in proportion where the file shows them."""
    orders = shop.orders
    total, refunded = orders["total"], orders["refunded"]
    if ability.refunds != "amount":
        refunded = refunded * 0.0
    left = 1.0 - np.where(total > 0.0, refunded / total.where(total > 0.0, 1.0), 0.0)
    gross, net = orders["gross"], orders["net"]
    if ability.shown:
        net = orders["shown_subtotal"]
        gross, total = net + orders["shown_discount"], net + orders["shown_shipping"]
    elif ability.tax_share and shop.settings.tax_inclusive:
        untaxed = 1.0 - np.where(total > 0.0, orders["tax"] / total.where(total > 0.0, 1.0), 0.0)
        net = orders["shown_subtotal"] * untaxed
        gross = (orders["shown_subtotal"] + orders["shown_discount"]) * untaxed
    return {"gross_sales": gross, "net_sales": net * left, "total_sales": total - refunded}[policy]


def expected_orders(shop: SyntheticShop, dialect: str, policy: str) -> pd.DataFrame:
    """The canonical orders of a dialect; see :meth:`SyntheticShop.expected`."""
    orders, ability = shop.orders, ABILITIES[dialect]
    customer = persons(shop) if dialect == "olist" else identities(shop, ability)
    status, total = orders["status"], orders["total"]
    cancelled = status.isin(["cancelled", "failed"])
    whole = (status == "refunded").to_numpy()
    if dialect == "online-retail":
        whole = whole & sent_back_at_once(shop)
        total = orders["shown_subtotal"] + orders["shown_shipping"]
    elif ability.refunds == "none":
        whole = np.zeros(len(orders), dtype=bool)
    pending = (status == "pending") & ability.status
    # As far as the file goes: what is not in it does not make an order older.
    age = (orders["order_day"].max() - orders["order_day"]).dt.days
    pending &= age <= PATIENCE
    if ability.payment:
        pending &= ~orders["payment_method"].isin(LATE)
    relayed = orders["is_marketplace"] & ability.marketplace
    conditions = [
        ("cancelled", cancelled),
        ("fully_refunded", whole),
        ("test_order", orders["is_test"] & ability.test),
        ("pending", pending),
        ("zero_value", total == 0.0),
        ("no_identity", customer.isna()),
        ("marketplace", relayed),
    ]
    code = np.select([np.asarray(c, dtype=bool) for _, c in conditions], [n for n, _ in conditions], "")
    value = values(shop, ability, policy)
    in_file = pd.Series(True, index=orders.index)
    if dialect == "online-retail":
        in_file = ~cancelled
    if dialect == "generic":
        in_file = pd.Series(in_query(shop))
        # A file of sales has no status, and a sale of nothing is one.
        code = np.where(customer.isna(), "missing_customer_id", "")
        value = value.round(2)
    used = pd.Series(code == "")
    number = orders["order_id"]
    if dialect == "online-retail":
        number = (number.astype("int64") + INVOICES).astype(str)
    elif dialect == "olist":
        number = number.astype("int64").map("{:032x}".format)
    found = pd.DataFrame(
        {
            "order_id": number.map(ability.order_id.format),
            "customer_id": customer.where(used).astype(object).where(used, None),
            "order_day": orders["order_day"].where(used),
            "value": value.where(used),
            "code": pd.Series(code, dtype=object).where(~used, None),
        }
    )
    return found[in_file].reset_index(drop=True)


INVOICES = 534_364  # the first order is invoice 535365, six digits as in the public file


def sent_back_at_once(shop: SyntheticShop) -> np.ndarray:
    """Orders that came back whole on their own day, by somebody with an account."""
    orders = shop.orders
    first = shop.refunds.drop_duplicates("order_id").set_index("order_id")["refund_day"]
    back = first.reindex(orders["order_id"]).to_numpy().astype("datetime64[s]")
    same = back == orders["order_day"].to_numpy().astype("datetime64[s]")
    return same & orders["account_id"].notna().to_numpy()


def in_query(shop: SyntheticShop) -> np.ndarray:
    """Orders that a query for sales gives: paid or paid at the door, not sent back, no test."""
    orders = shop.orders
    paid = orders["status"].isin(["completed", "partially_refunded"])
    paid |= (orders["status"] == "pending") & orders["payment_method"].isin(LATE)
    return (paid & ~orders["is_test"] & ~orders["is_marketplace"]).to_numpy()
