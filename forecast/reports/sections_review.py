"""A quarter's review as sections: forecast vs actual, where the miss comes from, and the track record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from forecast.reports import figures_review
from forecast.reports.blocks import Gallery, Key, Lines, Section, Table, Terms, drawn, table
from forecast.reports.wording import count, listed, minus, money, name_in_words, percent, plain

_NAMES = {"purchases": "Purchases", "active": "Customers who bought", "value": "Value"}
_SCOPES = {"cohort": "quarter of the first purchase", "repeat_purchases": "repeat purchases before"}
REVIEW_TERMS: dict[str, str] = {
    "forecast": "The mean that was issued for the customers known then; frozen, and not touched since.",
    "80 % interval": "Four of five quarters should fall inside. It was issued with the forecast.",
    "error": "(forecast \u2212 actual) / actual: above 0 too much was forecast.",
    "known customers": "Who had bought by the last day before the forecast. New customers came after it.",
    "bridge": "Value is customers who bought \u00d7 purchases of one \u00d7 value of a purchase. The "
    "difference is split by the logarithm of each factor's ratio, so the parts add up: retention, frequency, "
    "value per purchase.",
    "as first reported": "What the first comparison of the quarter found; refunds may have changed it since.",
}


def review_sentences(lines: pd.DataFrame, quarter: str, currency: str | None) -> list[str]:
    """The quarter in a few sentences, without more precision than the numbers have.

    Examples
    --------
    >>> one = {"scope": "total", "group": "all", "target": "purchases", "forecast": 1240.0,
    ...        "actual": 1180.0, "error": 0.0508, "lo-80": 1100.0, "hi-80": 1400.0, "hit-80": True}
    >>> for text in review_sentences(pd.DataFrame([one]), "2026Q3", "EUR"):
    ...     print(text)
    In 2026Q3 known customers made 1,180 purchases; 1,240 were forecast, 5.1 % too many.
    That is inside the 80 % interval (1,100 to 1,400).
    """
    found = []
    purchases, value = (_total(lines, target) for target in ("purchases", "value"))
    level = next(str(name)[4:] for name in lines if str(name).startswith("hit-"))
    text = (
        f"In {quarter} known customers made {count(purchases['actual'])} purchases; "
        f"{count(purchases['forecast'])} were forecast{_off(purchases['error'], 'many', 'few')}."
    )
    where = "inside" if purchases[f"hit-{level}"] else "outside"
    found.append(text)
    found.append(
        f"That is {where} the {level} % interval "
        f"({count(purchases[f'lo-{level}'])} to {count(purchases[f'hi-{level}'])})."
    )
    if value:
        where = "inside" if value[f"hit-{level}"] else "outside"
        said = f"{_amount(value['forecast'], currency)} were forecast{_off(value['error'], 'much', 'little')}"
        found.append(
            f"They spent {_amount(value['actual'], currency)}; {said}, {where} the {level} % interval."
        )
    parts = lines[lines["scope"] == "bridge"].reset_index(drop=True)
    if len(parts) and value and abs(value["error"]) >= 0.01:
        adds = [float(part) for part in parts["actual"]]
        most = max(range(len(adds)), key=lambda k: abs(adds[k]))
        text = f"Most of the difference is {parts['group'][most]}, which"
        found.append(f"{text} {'added' if adds[most] > 0 else 'took'} {_amount(abs(adds[most]), currency)}.")
    rules = lines[(lines["scope"] == "baseline") & (lines["target"] == "purchases")]
    if len(rules):
        mine = abs(purchases["forecast"] - purchases["actual"])
        nearer = rules[(rules["forecast"] - rules["actual"]).abs() < mine]
        found.append(
            f"Nearer than the model {'were' if len(nearer) > 1 else 'was'} {listed(list(nearer['group']))}."
            if len(nearer)
            else f"None of {len(rules)} simple rules came nearer."
        )
    money_or_orders = "value" if value else "purchases"
    new, both = (_total(lines, money_or_orders, scope) for scope in ("new customers", "all customers"))
    if new and both and new["actual"] > 0:
        share = percent(new["actual"] / both["actual"])
        found.append(f"New customers made {share} of the quarter's {money_or_orders}; none were forecast.")
    return [minus(text) for text in found]


def review_keys(lines: pd.DataFrame, currency: str | None) -> list[Key]:
    """The numbers at the top."""
    found = []
    for target in ("value", "purchases", "active"):
        own = _total(lines, target)
        if own:
            number = _amount(own["actual"], currency) if target == "value" else count(own["actual"])
            said = money(own["forecast"]) if target == "value" else count(own["forecast"])
            found.append(
                Key(_NAMES[target], number, f"{said} forecast, {minus(percent(own['error'], signed=True))}")
            )
    return found


def review_sections(
    lines: pd.DataFrame, record: pd.DataFrame, *, currency: str | None, notes: Sequence[str] = ()
) -> list[Section]:
    """All sections of the review of one quarter."""
    has_value = bool(_total(lines, "value"))
    total = lines[lines["scope"] == "total"].assign(target=lambda f: f["target"].map(_NAMES))
    first: list[Any] = [_table(total, "Totals of known customers", {"target": ("", plain)})]
    if notes:
        first.append(Lines([f"Note. {note}." for note in notes]))
    found = [Section("totals", "Forecast and actual", first)]
    if has_value:
        parts = lines[lines["scope"] == "bridge"].rename(columns={"actual": "adds"})
        shown = table(
            parts, "What each factor adds to value", {"group": ("Factor", plain), "adds": ("Adds", money)}
        )
        words = "Blue is the forecast, black what came; hatched steps take away. Bars do not start at 0."
        found.append(
            Section("bridge", "Where the difference comes from",
                    [Gallery([drawn(figures_review.bridge(lines), words), shown])])
        )  # fmt: skip
    known = {"total", "bridge", "decile", "baseline", "new customers", "all customers"}
    for scope in [name for name in dict.fromkeys(lines["scope"]) if name not in known]:
        own = lines[(lines["scope"] == scope) & (lines["target"] == ("value" if has_value else "purchases"))]
        words = _SCOPES.get(scope, name_in_words(scope))
        what = "Value" if has_value else "Purchases"
        found.append(Section(f"by-{len(found)}", f"By {words}", [
            _table(own, f"{what} by {words}", {"group": (words[:1].upper() + words[1:], plain)})
        ]))  # fmt: skip
    found.append(Section("model", "The model beside simple rules", [_rules(lines), _deciles(lines)]))
    if len(record):
        targets = [t for t in ("value", "purchases") if (record["target"] == t).any()]
        blocks: list[Any] = [
            Gallery(
                [drawn(figures_review.track_record(record, t), _record_words(record, t)) for t in targets]
            )
        ]
        own = record[record["target"] == targets[0]]
        own = own.assign(as_of=own["as_of"].astype(str))
        names = {"quarter": ("Quarter", plain), "as_of": ("Forecast from", plain)}
        blocks.append(_table(own, f"{_NAMES[targets[0]]} as first reported", names))
        found.append(Section("record", "Track record", blocks))
    found.append(Section("definitions", "Definitions", [Terms("In this review", REVIEW_TERMS)]))
    return found


def _total(lines: pd.DataFrame, target: str, scope: str = "total") -> dict[str, Any]:
    own = lines[(lines["scope"] == scope) & (lines["target"] == target)]
    return {} if own.empty else {str(key): value for key, value in own.iloc[0].items()}


def _off(error: float, more: str, less: str) -> str:
    if error != error or abs(error) < 0.005:
        return ""
    return f", {percent(abs(error))} too {more if error > 0 else less}"


def _amount(value: float, currency: str | None) -> str:
    return f"{currency} {money(value)}" if currency else money(value)


def _table(frame: pd.DataFrame, caption: str, names: Mapping[str, tuple[str, Any]]) -> Table:
    level = next(str(name)[3:] for name in frame if str(name).startswith("lo-"))
    shown = frame.assign(
        interval=[
            f"{count(lo)} to {count(hi)}"
            for lo, hi in zip(frame[f"lo-{level}"], frame[f"hi-{level}"], strict=True)
        ],
        inside=["yes" if hit else "no" for hit in frame[f"hit-{level}"]],
    )
    columns: dict[str, tuple[str, Any]] = {
        **names,
        "forecast": ("Forecast", count),
        "interval": (f"{level} % interval", str),
        "actual": ("Actual", count),
        "error": ("Error", lambda value: minus(percent(value, signed=True))),
        "inside": ("Inside", str),
    }
    return table(shown, caption, columns)


def _rules(lines: pd.DataFrame) -> Table:
    own = lines[(lines["scope"] == "baseline") & (lines["target"] == "purchases")]
    mine = lines[(lines["scope"] == "total") & (lines["target"] == "purchases")].assign(group="the model")
    both = pd.concat([mine, own])
    both = both.assign(far=(both["forecast"] - both["actual"]).abs()).sort_values("far", kind="stable")
    return table(
        both, "Purchases: the model and simple rules, the nearest first",
        {"group": ("Rule", plain), "forecast": ("Forecast", count), "actual": ("Actual", count),
         "error": ("Error", lambda value: minus(percent(value, signed=True)))},
    )  # fmt: skip


def _deciles(lines: pd.DataFrame) -> Table:
    own = lines[(lines["scope"] == "decile") & (lines["target"] == "purchases")]
    return table(
        own, "Purchases by tenth of customers, the least expected first",
        {"group": ("Tenth", plain), "forecast": ("Forecast", count), "actual": ("Actual", count)},
    )  # fmt: skip


def _record_words(record: pd.DataFrame, target: str) -> str:
    own = record[record["target"] == target]
    level = max((str(name)[4:] for name in own if str(name).startswith("hit-")), key=float)
    wape = (own["forecast"] - own["actual"]).abs().sum() / max(own["actual"].abs().sum(), 1e-9)
    bias = (own["forecast"] - own["actual"]).sum() / max(own["actual"].abs().sum(), 1e-9)
    hits = int(own[f"hit-{level}"].sum())
    quarters = "quarters" if len(own) > 1 else "quarter"
    return minus(
        f"{len(own)} settled {quarters}: {hits} inside the {level} % interval, mean error {percent(wape)} "
        f"(WAPE), bias {percent(bias, signed=True)}."
    )
