"""What can happen to a row, in words."""

from __future__ import annotations

USED = "used"

# Every code, in the order in which a row is judged: the first that applies is its fate.
REJECTED = {
    "malformed_row": "too few or too many cells, or a line that is no JSON object; its money counts as 0",
    "blank_row": "nothing in the row",
    "not_an_order": "a row of another kind, such as a draft or a subscription's own record",
    "duplicate_order": "a further copy of an order, from an overlapping file; the newest copy counts",
    "forgotten": "an order of a person who asked to be forgotten",
    "cancelled": "cancelled, voided, failed, expired or in the bin",
    "fully_refunded": "all of it was given back",
    "test_order": "a test of the shop's own",
    "pending": "not paid, and neither cash on delivery, transfer or invoice nor older than 14 days",
    "missing_customer_id": "no customer id, so nobody to count it for",
    "missing_date": "no date",
    "bad_date": "the date is not one that can be read",
    "implausible_date": "the date is before 1990 or after tomorrow",
    "missing_value": "no amount",
    "bad_value": "the amount is no finite number, or 1e15 and above; counts as 0",
    "refund_unmatched": "a refund for which no order was found",
    "negative_value": "a negative amount: a return or credit, not a purchase",
    "zero_value": "an order of value 0, left out as asked",
    "no_identity": "neither account, e-mail nor phone, so nobody to count it for",
    "masked_email": "the e-mail was blacked out, so nobody to count it for",
    "shared_identity": "an address or till behind which many stand",
    "marketplace": "came through a marketplace; counts in totals, not for customers",
    "wholesale": "a wholesale customer, left out as asked",
    "employee": "staff or an internal account, left out as asked",
    "subscription": "a renewal of a subscription, left out as asked",
}
MERGED = {
    "line_merged": "a further line of an order; its value is in the order's",
    "joined": "a row of a second table; what it says is in the order's",
    "refund_netted": "a refund; it was taken off its order",
    "same_day_merged": "a further order of the customer on that day; its value is in the purchase's",
}
# Money of used orders that the value policy leaves out; no rows.
COMPONENTS = {
    "discount": "discounts, which gross sales are before",
    "refund": "given back, without tax and shipping",
    "shipping": "shipping, which the value policy leaves out",
    "tax": "tax, which the value policy leaves out",
    "cost": "cost of goods, which a contribution is after",
    "other": "duties, tips, fees, edits and rounding",
}
# Kinds of left-out orders that are sales all the same; and those that the totals of a period count.
SALES = (
    "fully_refunded", "zero_value", "no_identity", "masked_email", "shared_identity", "marketplace",
    "wholesale",
    "employee", "subscription", "implausible_date", "missing_date", "bad_date", "negative_value", "forgotten",
)  # fmt: skip
SOLD = tuple(code for code in SALES if "date" not in code and code != "fully_refunded")
MEANINGS = {USED: "purchases: one customer on one day", **MERGED, **COMPONENTS, **REJECTED}


def kind_of_code(code: str) -> str:
    """``"used"``, ``"merged"``, ``"left_out"`` (money only) or ``"rejected"``.

    Examples
    --------
    >>> kind_of_code("bad_date")
    'rejected'
    """
    if code == USED:
        return "used"
    if code in COMPONENTS:
        return "left_out"
    return "merged" if code in MERGED else "rejected"
