"""What can happen to a row, in words."""

from __future__ import annotations

USED = "used"

# Every code, in the order in which a row is judged: the first that applies is its fate.
REJECTED = {
    "malformed_row": "too few or too many cells, or a line that is no JSON object; its money counts as 0",
    "blank_row": "nothing in the row",
    "missing_customer_id": "no customer id, so nobody to count it for",
    "missing_date": "no date",
    "bad_date": "the date is not one that can be read",
    "implausible_date": "the date is before 1990 or after tomorrow",
    "missing_value": "no amount",
    "bad_value": "the amount is no finite number, or 1e15 and above; counts as 0",
    "negative_value": "a negative amount: a return or credit, not a purchase",
    "zero_value": "an order of value 0, left out as asked",
}
MERGED = {
    "line_merged": "a further line of an order; its value is in the order's",
    "same_day_merged": "a further order of the customer on that day; its value is in the purchase's",
}
MEANINGS = {USED: "purchases: one customer on one day", **MERGED, **REJECTED}


def kind_of_code(code: str) -> str:
    """``"used"``, ``"merged"`` or ``"rejected"``.

    Examples
    --------
    >>> kind_of_code("bad_date")
    'rejected'
    """
    if code == USED:
        return "used"
    return "merged" if code in MERGED else "rejected"
