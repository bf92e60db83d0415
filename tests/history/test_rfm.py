"""RFM groups: the rule that is written down is the rule that runs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from forecast.history import rfm
from forecast.history.rfm import GROUPS, PURCHASES, RULE, RfmCutOffs, group_of


def allowed(text: str) -> set[int]:
    """The whole numbers that a cell of the rule means."""
    numbers = [int(word) for word in text.replace(",", "").split() if word.isdigit()]
    if "or more" in text:
        return set(range(numbers[0], 11))
    if "or less" in text:
        return set(range(numbers[0] + 1))
    return set(range(numbers[0], numbers[-1] + 1))


def by_the_rule(recency: int, frequency: int, money: int) -> str:
    for wanted, rest, group in RULE:
        if recency not in allowed(wanted):
            continue
        if rest == "one purchase":
            fits = frequency == 1
        else:
            total, _, more = rest.partition(", ")
            fits = frequency + money in allowed(total) and (not more or frequency > 1)
        if fits:
            return group
    raise AssertionError((recency, frequency, money))


def test_the_rule_says_what_is_done() -> None:
    cells = list(itertools.product(range(1, 6), repeat=3))
    assert [group_of(*cell) for cell in cells] == [by_the_rule(*cell) for cell in cells]
    assert {group_of(*cell) for cell in cells} == set(GROUPS)
    assert {group_of(r, f) for r, f in itertools.product(range(1, 6), repeat=2)} == set(GROUPS)
    for recency, rest, group in RULE:
        assert f"| {recency} | {rest} | {group} |" in str(rfm.__doc__)


def test_classes_are_fifths_and_ties_stay_together() -> None:
    days = np.repeat(np.arange(10.0), 7)
    found = RfmCutOffs.of(days, np.full(70, 12.0))
    shop = pd.DataFrame(
        {"frequency": 0, "recency": 0, "T": days.astype(int), "historical_value": 12.0}, index=range(100, 170)
    )
    classes = found.classes(shop)
    assert np.bincount(classes["recency"])[1:].tolist() == [14] * 5
    assert set(classes["money"]) == {3}  # all alike: in the middle
    assert set(classes["frequency"]) == {1}
    groups = found.groups(shop)
    assert groups.index.tolist() == shop.index.tolist()
    assert groups["rfm"].iloc[0] == "513"


def test_frequency_is_of_purchases() -> None:
    shop = pd.DataFrame(
        {"frequency": range(8), "recency": 0, "T": 0, "historical_value": 1.0},
    )
    found = RfmCutOffs((1.0, 2.0, 3.0, 4.0), None).classes(shop)
    assert PURCHASES == (6, 4, 3, 2)
    assert found["frequency"].tolist() == [1, 2, 3, 4, 4, 5, 5, 5]
    assert "money" not in found


@pytest.mark.parametrize("value", [None, (4.0, 3.0, 2.0, float("inf"))])
def test_cut_offs_survive_as_plain_data(value: tuple[float, ...] | None) -> None:
    own = RfmCutOffs((1.5, 2.0, 3.0, 4.0), value)
    assert RfmCutOffs.from_dict(own.to_dict()) == own
