"""A quarter's review as sections: forecast vs actual, where the miss comes from, and the track record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from forecast.evaluation.drift import advice
from forecast.reports import figures_review
from forecast.reports.blocks import Gallery, Key, Lines, Section, Table, Terms, drawn, table
from forecast.reports.wording import (
    about,
    count,
    figures,
    listed,
    minus,
    money,
    name_in_words,
    percent,
    plain,
)

_NAMES = {
    "value": "Value",
    "purchases": "Purchases",
    "active": "Customers who bought",
    "acquired": "Customers won",
}
_WHO = {"all": "all customers", "known": "known before", "new": "new"}
_SCOPES = {"cohort": "quarter of the first purchase", "repeat_purchases": "repeat purchases before"}
_RULES = {
    "naive": "the same as last quarter", "last-year": "the same as a year ago",
    "hiatus": "half a year silent is gone", "formula": "order value times frequency",
    "global-mean": "the same mean for everybody",
}  # fmt: skip
_LIGHTS = {"green": "● green", "amber": "▲ amber", "red": "■ red"}
_OWN = {"total", "bridge", "decile", "baseline", "baseline of all"}
REVIEW_TERMS: dict[str, str] = {
    "forecast": "The mean that was issued before the quarter; frozen, and not touched since.",
    "80 % interval": "Four of five quarters should fall inside. It was issued with the forecast, for each "
    "line from joint draws: intervals of parts do not add up, means do.",
    "error": "(forecast \u2212 actual) / actual: above 0 too much was forecast.",
    "known customers": "Who had bought by the last day before the forecast. New customers came after it.",
    "bridge": "Value of known customers is customers who bought (retention) \u00d7 their mix over classes of "
    "repeat purchases \u00d7 purchases of one (frequency) \u00d7 value of a purchase; that of new ones is "
    "customers (acquisition) \u00d7 value of one. The difference is split by the logarithm of each "
    "factor\u2019s ratio, weighted by the logarithmic mean, so the parts add up.",
    "as first reported": "What the first comparison of the quarter found; refunds may have changed it since.",
    "mature": "A quarter is mature 30 days after its end, when most refunds have arrived.",
}


def review_sentences(lines: pd.DataFrame, quarter: str, currency: str | None) -> list[str]:
    """The quarter in a few sentences, without more precision than the numbers have.

    Examples
    --------
    >>> one = {"scope": "total", "group": "all", "target": "purchases", "forecast": 1240.0,
    ...        "actual": 1180.0, "error": 0.0508, "lo-80": 1100.0, "hi-80": 1400.0, "hit-80": True}
    >>> for text in review_sentences(pd.DataFrame([one]), "2026Q3", "EUR"):
    ...     print(text)
    In 2026Q3 known customers made 1,180 purchases; 1,240 were forecast, 5.1 % too many, inside the 80 % \
interval (1,100 to 1,400).
    """
    new = _total(lines, "purchases", "new")
    open_shop = bool(new) and new["forecast"] > 0
    who, group = ("customers", "all") if open_shop else ("known customers", "known")
    purchases, value = (
        _total(lines, target, group) or _total(lines, target) for target in ("purchases", "value")
    )
    found = []
    if value:
        where = _inside(value, lambda number: _amount(about(number), currency))
        said = f"{_amount(about(value['forecast']), currency)} were forecast"
        found.append(
            f"In {quarter} {who} spent {_amount(about(value['actual']), currency)}; "
            f"{said}{_off(value['error'], 'much', 'little')}, {where}."
        )
    start = "They" if value else f"In {quarter} {who}"
    where = "" if value else f", {_inside(purchases, count)}"
    found.append(
        f"{start} made {count(purchases['actual'])} purchases; "
        f"{count(purchases['forecast'])} were forecast{_off(purchases['error'], 'many', 'few')}{where}."
    )
    target = "value" if value else "purchases"
    if open_shop:
        known, new = (_total(lines, target, group) for group in ("known", "new"))
        won = _total(lines, "acquired", "new")
        share = percent(new["actual"] / max(new["actual"] + known["actual"], 1e-12))
        found.append(
            f"For customers known before {_much(known['error'])} was forecast, for new ones "
            f"{_much(new['error'])}; new ones brought {share} of the {target}. "
            f"{count(won['actual'])} customers were won, {count(won['forecast'])} were forecast."
        )
    elif new and new["actual"] > 0:
        won = _total(lines, "acquired", "new")
        found.append(
            f"{count(won['actual'])} customers were won beside them; none were to be forecast, and they are "
            "not counted here."
        )
    moved = _restated(lines, target, group, currency)
    if moved:
        found.append(moved)
    parts = lines[lines["scope"] == "bridge"].reset_index(drop=True)
    if len(parts) and value and abs(value["error"]) >= 0.01:
        adds = [float(part) for part in parts["actual"]]
        most = max(range(len(adds)), key=lambda k: abs(adds[k]))
        text = f"The largest part of the difference is {parts['group'][most]}, which"
        found.append(
            f"{text} {'added' if adds[most] > 0 else 'took'} {_amount(about(abs(adds[most])), currency)}."
        )
    found += _rules_in_words(lines, target)
    return found


def _quoted(rule: str) -> str:
    return f"\u201c{_RULES.get(rule, rule)}\u201d"


def _much(error: float) -> str:
    """``5.0 % too much``."""
    if error != error:
        return "something"
    return (
        "what came"
        if abs(error) < 0.005
        else f"{percent(abs(error))} too {'much' if error > 0 else 'little'}"
    )


def _restated(lines: pd.DataFrame, target: str, group: str, currency: str | None) -> str:
    """What was reported first, where it is no longer so."""
    own = _total(lines, target, group) or _total(lines, target)
    first = own.get("actual_first", own["actual"])
    if first != first or abs(first - own["actual"]) <= 0.005:
        return ""
    was = _amount(about(first), currency) if target == "value" else count(first)
    change = _signed(own["actual"] / first - 1.0) if first else ""
    return f"First reported were {was}; late refunds and orders have moved that by {change}."


def _rules_in_words(lines: pd.DataFrame, target: str) -> list[str]:
    found = []
    year = lines[(lines["scope"] == "baseline of all") & (lines["target"] == target)]
    if len(year):
        own = year.iloc[0]
        found.append(
            f"The same quarter a year ago, taken as the forecast, is off by {_signed(own['error'])}."
        )
    rules = lines[(lines["scope"] == "baseline") & (lines["target"] == "purchases")]
    if len(rules):
        known = _total(lines, "purchases", "known") or _total(lines, "purchases")
        mine = abs(known["forecast"] - known["actual"])
        nearer = rules[(rules["forecast"] - rules["actual"]).abs() < mine]
        found.append(
            f"For known customers\u2019 purchases {listed([_quoted(n) for n in nearer['group']])} came "
            "nearer than the model."
            if len(nearer)
            else f"For known customers\u2019 purchases none of {len(rules)} simple rules came nearer."
        )
    return found


def review_keys(lines: pd.DataFrame, currency: str | None) -> list[Key]:
    """The numbers at the top."""
    found = []
    new = _total(lines, "purchases", "new")
    every = "all" if not new or new["forecast"] > 0 else "known"
    for target, group in (("value", every), ("purchases", every), ("active", every), ("acquired", "new")):
        own = _total(lines, target, group)
        if own and max(own["forecast"], own["actual"]) > 0:
            write = money if target == "value" else count
            number = _amount(write(own["actual"]), currency) if target == "value" else write(own["actual"])
            remark = f"{write(own['forecast'])} forecast, {_signed(own['error'])}"
            found.append(Key(_NAMES[target], number, remark))
    return found


def review_sections(
    lines: pd.DataFrame,
    record: pd.DataFrame,
    *,
    currency: str | None,
    cohorts: pd.DataFrame | None = None,
    drift: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> list[Section]:
    """All sections of the review of one quarter."""
    has_value = bool(_total(lines, "value"))
    order = {name: k for k, name in enumerate(_NAMES)}
    total = lines[(lines["scope"] == "total") & (lines[["forecast", "actual"]].abs().max(axis=1) > 0)]
    total = total[(total["target"] != "acquired") | (total["group"] == "new")]
    # In the first quarter new customers who bought are those won: one line is enough.
    same = (_total(lines, "active", "new"), _total(lines, "acquired", "new"))
    if all(same) and same[0]["actual"] == same[1]["actual"]:
        total = total[(total["target"] != "active") | (total["group"] != "new")]
    total = total.sort_values("target", key=lambda own: own.map(order), kind="stable")
    total = total.assign(target=total["target"].map(_NAMES), group=total["group"].map(_WHO))
    heads = {"target": ("", plain), "group": ("Customers", plain)}
    first: list[Any] = [_table(total, "The quarter, and the two parts it is made of", heads)]
    if notes:
        first.append(Lines([f"Note. {note}." for note in notes]))
    found = [Section("totals", "Forecast and actual", first)]
    parts = lines[lines["scope"] == "bridge"].rename(columns={"actual": "adds"})
    if has_value and len(parts):
        shown = table(
            parts, "What each factor adds to value", {"group": ("Factor", plain), "adds": ("Adds", money)}
        )
        words = "Blue is the forecast, black what came; hatched steps take away. Bars do not start at 0."
        found.append(
            Section("bridge", "Where the difference comes from",
                    [Gallery([drawn(figures_review.bridge(lines, currency), words), shown])])
        )  # fmt: skip
    for scope in [name for name in dict.fromkeys(lines["scope"]) if name not in _OWN]:
        found.append(_by(lines, scope, "value" if has_value else "purchases", len(found)))
    if cohorts is not None and len(cohorts):
        found.append(_curves(cohorts, currency))
    found.append(
        Section("model", "The model beside simple rules", [Gallery([_rules(lines), _deciles(lines)])])
    )
    if len(record):
        found.append(_record(record))
    if drift is not None:
        found.append(_drift(drift))
    found.append(Section("definitions", "Definitions", [Terms("In this review", REVIEW_TERMS)]))
    return found


def _by(lines: pd.DataFrame, scope: str, target: str, number: int) -> Section:
    own = lines[(lines["scope"] == scope) & (lines["target"] == target)]
    words = _SCOPES.get(scope, name_in_words(scope))
    what = _NAMES[target]
    heads = {"group": (words[:1].upper() + words[1:], plain)}
    return Section(f"by-{number}", f"By {words}", [_table(own, f"{what} by {words}", heads)])


def _curves(cohorts: pd.DataFrame, currency: str | None) -> Section:
    level = next(str(name)[3:] for name in cohorts if str(name).startswith("lo-"))
    words = (
        f"Lines: observed before the forecast. Dashes: projected then, with {level} % intervals. Compare "
        "cohorts at the same age; blank is what nobody can know yet."
    )
    ahead = cohorts[cohorts["projected"]].groupby("cohort", sort=False).tail(1)
    ends = [
        f"{money(lo)} to {money(hi)}"
        for lo, hi in zip(ahead[f"lo-{level}"], ahead[f"hi-{level}"], strict=True)
    ]
    observed = cohorts[~cohorts["projected"]].groupby("cohort")["cumulative_value_per_customer"].last()
    shown = table(
        ahead.assign(interval=ends, so_far=ahead["cohort"].map(observed)),
        f"Value per customer then, and projected until {ahead['quarter'].iloc[-1]}",
        {"cohort": ("First purchase", plain), "so_far": ("Then", money),
         "cumulative_value_per_customer": ("Projected", money), "interval": (f"{level} % interval", str)},
    )  # fmt: skip
    figure = drawn(figures_review.cohort_projection(cohorts, currency), words)
    return Section("cohorts", "Cohorts", [Gallery([figure, shown])])


def _record(record: pd.DataFrame) -> Section:
    targets = [t for t in ("value", "purchases") if (record["target"] == t).any()]
    whole = record[record["group"] == "all"]
    blocks: list[Any] = [
        Gallery([drawn(figures_review.track_record(whole, t), _record_words(whole, t)) for t in targets])
    ]
    own = whole[whole["target"] == targets[0]]
    own = own.assign(as_of=own["as_of"].astype(str))
    names = {"quarter": ("Quarter", plain), "as_of": ("Forecast from", plain)}
    if ((own["restated"] - own["actual"]).abs() > 0.005).any():
        names["restated"] = ("Restated", count)
    blocks.append(_table(own, f"{_NAMES[targets[0]]} of all customers as first reported", names))
    return Section("record", "Track record", blocks)


def _drift(drift: pd.DataFrame) -> Section:
    shown = drift.assign(
        light=[_LIGHTS.get(light, "not known yet") for light in drift["light"]],
        rule=drift["rule"].str[:1].str.upper() + drift["rule"].str[1:],
    )
    columns = {
        "check": ("Check", plain), "light": ("Light", plain),
        "value": ("Found", lambda value: figures(value, 2)), "rule": ("Rule", plain),
    }  # fmt: skip
    return Section("drift", "Fit again?", [
        Lines([advice(drift)]), table(shown, "What has changed, and the rule of each light", columns),
    ])  # fmt: skip


def _total(lines: pd.DataFrame, target: str, group: str = "all") -> dict[str, Any]:
    own = lines[(lines["scope"] == "total") & (lines["target"] == target) & (lines["group"] == group)]
    return {} if own.empty else {str(key): value for key, value in own.iloc[0].items()}


def _inside(own: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """Where the actual lies: the narrowest interval that holds it, or the widest that does not."""
    levels = sorted((name[4:] for name in own if name.startswith("hit-")), key=float)
    level = next((level for level in levels if own[f"hit-{level}"]), levels[-1])
    ends = f"{write(own[f'lo-{level}'])} to {write(own[f'hi-{level}'])}"
    return f"{'inside' if own[f'hit-{level}'] else 'outside'} the {level} % interval ({ends})"


def _signed(error: float) -> str:
    return percent(error, signed=True)


def _off(error: float, more: str, less: str) -> str:
    if error != error or abs(error) < 0.005:
        return ""
    return f", {percent(abs(error))} too {more if error > 0 else less}"


def _amount(text: str, currency: str | None) -> str:
    return f"{currency} {text}" if currency else text


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
    mine = lines[(lines["scope"] == "total") & (lines["target"] == "purchases") & (lines["group"] == "known")]
    both = pd.concat([mine.assign(group="the model"), own])
    both = both.assign(group=both["group"].map(lambda name: _RULES.get(name, name)))
    both = both.assign(far=(both["forecast"] - both["actual"]).abs()).sort_values("far", kind="stable")
    return table(
        both, "Purchases of known customers: the model and simple rules, the nearest first",
        {"group": ("Rule", plain), "forecast": ("Forecast", count), "actual": ("Actual", count),
         "error": ("Error", lambda value: minus(percent(value, signed=True)))},
    )  # fmt: skip


def _deciles(lines: pd.DataFrame) -> Table:
    own = lines[(lines["scope"] == "decile") & (lines["target"] == "purchases")]
    return table(
        own, "Purchases by tenth of known customers, the least expected first",
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
