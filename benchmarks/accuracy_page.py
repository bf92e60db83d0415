"""The table of `accuracy.py`: goals, sets and candidates, in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import pandas as pd
from accuracy_runs import (
    CANDIDATES,
    LEAST_AGE,
    LEAST_ORDERS,
    LONG,
    MOST_WINDOWS,
    REFERENCE,
    SEASONAL,
    SKIPPED,
    Found,
)

from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import AUTO

PACKAGES = ("clv-forecast", "numpy", "scipy", "numba", "pandas", "duckdb")


# --- reckoning ----------------------------------------------------------------------------------------


def later(found: Found) -> pd.DataFrame:
    """Quarters without the first two origins of the log; all of them where no other is left."""
    own = found.quarters
    kept = own[own["place"] > SKIPPED]
    return kept if len(kept) else own


def counts(found: Found) -> bool:
    """Whether anything is left without the first two origins: else the set is shown and judged by no goal."""
    return bool((found.quarters["place"] > SKIPPED).any())


def judged(found: Found) -> pd.DataFrame:
    """Quarters that goals on totals are about: later, and with 400 orders or more."""
    own = found.quarters
    return own[(own["place"] > SKIPPED) & (own["actual"] >= LEAST_ORDERS)]


def errors(rows: pd.DataFrame) -> pd.Series:
    return (rows["forecast"] - rows["actual"]) / rows["actual"]


def of(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows[rows["model"] == name].set_index("cutoff").sort_index()


def wape(rows: pd.DataFrame) -> float:
    return float((rows["forecast"] - rows["actual"]).abs().sum() / max(rows["actual"].sum(), 1e-9))


def ratio(rows: pd.DataFrame, name: str) -> float:
    """Pooled WAPE over that of plain BG/NBD at the same origins."""
    own, plain = of(rows, name), of(rows, REFERENCE)
    both = own.index.intersection(plain.index)
    return wape(own.loc[both]) / wape(plain.loc[both]) if len(both) else float("nan")


def skill(rows: pd.DataFrame, name: str) -> float:
    own, plain = of(rows, name)["crps"], of(rows, REFERENCE)["crps"]
    both = own.index.intersection(plain.index)
    return float(1.0 - own[both].mean() / plain[both].mean()) if len(both) else float("nan")


def calibrated(rows: pd.DataFrame, name: str) -> list[bool]:
    """PIT distance, calibration error and coverage: within the goal, or what a perfect model would show."""
    own = of(rows, name)
    mean = own.mean(numeric_only=True)
    return [
        bool(mean["pit_ks"] <= max(0.03, mean["pit_ks_null"])),
        bool(mean["ece"] <= max(0.02, mean["ece_null"])),
        bool(abs(mean["pit_coverage-90"] - 0.9) <= max(0.02, mean["coverage_null"])),
    ]


# --- words --------------------------------------------------------------------------------------------


def pc(value: float, digits: int = 1, sign: bool = False) -> str:
    return "" if value != value else f"{value * 100:{'+' if sign else ''}.{digits}f} %"


def num(value: float, digits: int = 3) -> str:
    return "" if value != value else f"{value:.{digits}f}"


HEAD = (
    "candidate", "origins", "bias", "WAPE", "over bg-nbd", "median", "within 10 %", "worst", "90 % held",
    "half-width", "CRPS skill", "PIT-KS", "ECE", "coverage 90",
)  # fmt: skip


def candidate_rows(found: Found) -> list[list[str]]:
    rows, strict = later(found), judged(found)
    lines = []
    for name in dict.fromkeys(rows["model"]):
        own, tight = of(rows, name), of(strict, name)
        off, mean = errors(tight).abs(), own.mean(numeric_only=True)
        scored = own["hit-90"].notna().any()
        lines.append((len(own), wape(own), [
            f"**{name}**" if name == AUTO else name, str(len(own)),
            pc((own["forecast"] - own["actual"]).sum() / own["actual"].sum(), sign=True), pc(wape(own)),
            num(ratio(rows, name), 2), pc(off.median()), pc((off <= 0.10).mean(), 0) if len(off) else "",
            pc(off.max()), f"{own['hit-90'].sum():.0f} of {len(own)}" if scored else "",
            pc(mean["width-90"] / 2), pc(skill(rows, name), sign=True) if scored else "",
            num(mean["pit_ks"]), num(mean["ece"]), num(mean["pit_coverage-90"]),
        ]))  # fmt: skip
    most = max(n for n, _, _ in lines)
    return [cells for n, _, cells in sorted(lines, key=lambda line: (line[0] < most, line[1]))]


def set_section(found: Found) -> list[str]:
    facts, rows = found.facts, later(found)
    judges = judged(found)["cutoff"].nunique()
    text = [
        f"## {facts['name']}",
        "",
        f"{facts['about']}: {facts['customers']:,} customers, {facts['orders']:,} orders, {facts['first']} "
        f"to {facts['last']}; purchases `{facts['fingerprint']}`. {facts['windows']} of the "
        f"{facts['allowed']} origins the log allows were run, in {facts['seconds']} s; {judges} of those "
        f"after its second had {LEAST_ORDERS} orders or more.",
        "",
    ]
    if not counts(found):
        text += [
            "No origin is left without the first two: what follows is of all, and counts for no goal.",
            "",
        ]
    text += table(HEAD, candidate_rows(found))
    plain = of(rows, REFERENCE).mean(numeric_only=True)
    text += [
        f"A perfect model of so many customers ({plain['customers']:,.0f} on average) shows in 95 % of "
        f"quarters a PIT-KS up to {num(plain['pit_ks_null'])}, an ECE up to {num(plain['ece_null'])}, and a "
        f"coverage within {num(0.9 - plain['coverage_null'])} to {num(0.9 + plain['coverage_null'])}.",
        "",
    ]
    chosen = pd.Series([note.split(" is ", 1)[1].split(":")[0].split(",")[0] for note in facts["chosen"]])
    if len(chosen):
        times = chosen.value_counts(sort=False).sort_values(ascending=False, kind="stable")
        text += ["auto was " + ", ".join(f"{name} {n} times" for name, n in times.items()) + ".", ""]
    if len(found.long):
        lines = [
            [f"{row.cutoff:%Y-%m-%d}", row.model + (f" ({row.chosen})" if row.model == AUTO else ""),
             f"{row.forecast:,.0f}", f"{row.actual:,.0f}", pc(row.forecast / row.actual - 1, sign=True),
             num(getattr(row, "gini", np.nan)), num(getattr(row, "top10", np.nan))]
            for row in found.long.itertuples()
        ]  # fmt: skip
        head = (
            "cut",
            f"{facts['long_days'] // 7} weeks ahead",
            "forecast",
            "actual",
            "error",
            "value: Gini",
            "value: first tenth holds",
        )
        text += table(head, lines, left=2)
    if len(found.spend):
        spend = found.spend.groupby("model").mean(numeric_only=True)
        parts = [
            f"{what} by {row['model_mae']:.2f} (root mean square {row['model_rmse']:.2f})"
            for name, what in ((REFERENCE, "Gamma-Gamma on repeat purchases is off"), (AUTO, "auto's choice"))
            for row in spend.loc[spend.index == name].to_dict("records")
        ]
        mean = spend.iloc[0]
        text += [
            f"Value per purchase of the {mean['buyers']:,.0f} customers a quarter who bought: "
            f"{', '.join(parts)}, the mean of all by {mean['mean_mae']:.2f} ({mean['mean_rmse']:.2f}).",
            "",
        ]
    return (
        text
        + [f"Not run: {note.split('. ')[0].rstrip('.')}." for note in facts["notes"][:4]]
        + [""] * bool(facts["notes"])
    )


def table(head: tuple[str, ...], lines: list[list[str]], left: int = 1) -> list[str]:
    rule = ["---" if i < left else "--:" for i in range(len(head))]
    return [*("| " + " | ".join(line) + " |" for line in (head, rule, *lines)), ""]


# --- goals --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """A goal: a figure of a candidate over all sets, and where it should lie."""

    id: str
    what: str
    low: float
    high: float
    figure: Callable[[str], float]
    names: tuple[str, ...]
    write: Callable[[float], str] = pc

    def gap(self, value: float) -> float:
        return float("inf") if value != value else max(self.low - value, value - self.high, 0.0)

    def speaks(self) -> bool:
        """Whether there is a figure at all."""
        return any(np.isfinite(self.figure(name)) for name in self.names)

    def row(self) -> list[str]:
        values = {name: self.figure(name) for name in self.names}

        # Among those that meet the goal, or miss it by as much, the one farther on the good side.
        def order(name: str) -> tuple[float, float]:
            value = values[name]
            good = (
                value
                if np.isinf(self.low)
                else -value
                if np.isinf(self.high)
                else abs(value - (self.low + self.high) / 2)
            )
            return self.gap(value), good if value == value else float("inf")

        best = min(self.names, key=order)
        own = values.get(AUTO, float("nan"))
        wanted = (
            f"at most {self.write(self.high)}" if np.isinf(self.low)
            else f"at least {self.write(self.low)}" if np.isinf(self.high)
            else f"{self.write(self.low)} to {self.write(self.high)}"
        )  # fmt: skip
        verdict = (
            "" if own != own else "met" if not self.gap(own) else f"missed by {self.write(self.gap(own))}"
        )
        found = f"{self.write(values[best])} ({best})"
        return [self.id, self.what, wanted, self.write(values[REFERENCE]), found, self.write(own), verdict]


def goals(found: dict[str, Found], names: tuple[str, ...]) -> list[Goal]:
    """The goals that this run can speak of; a candidate has to have run on every set to be the best."""
    sets = [own for own in found.values() if counts(own)]
    every = pd.concat([judged(own).assign(set=own.facts["name"]) for own in sets])
    every = every[every["model"].isin(names)]
    long = pd.concat([own.long for own in found.values() if len(own.long)])
    fitted = tuple(n for n in names if n not in BASELINES)
    seasonal = [found[name] for name in SEASONAL if name in found]
    inf = float("inf")

    def absolute(name: str) -> pd.Series:
        own = every[every["model"] == name]
        return errors(own).abs()

    def skills(name: str) -> list[float]:
        return [skill(later(own), name) for own in sets]

    def passed(name: str) -> float:
        return float(np.mean([all(calibrated(later(own), name)) for own in sets]))

    def hits(name: str, column: str) -> float:
        return float(every.loc[every["model"] == name, column].mean())

    def ahead(name: str, summary: str) -> float:
        own = long[long["model"] == name]
        return float(getattr(errors(own).abs(), summary)()) if len(own) else float("nan")

    def money(name: str, column: str) -> float:
        if "cdnow-master" not in found:
            return float("nan")
        own = found["cdnow-master"].long
        return float(own.loc[own["model"] == name, column].mean()) if column in own else float("nan")

    def by_set(name: str) -> float:
        return float(
            every[every["model"] == name].assign(off=absolute(name)).groupby("set")["off"].median().mean()
        )

    def worst_spend(name: str) -> float:
        each = [own.spend[own.spend["model"] == name] for own in found.values() if len(own.spend)]
        means = [rows.mean(numeric_only=True) for rows in each if len(rows)]
        return max((s["model_rmse"] / s["mean_rmse"] - 1 for s in means), default=float("nan"))

    n, m = every["cutoff"].groupby(every["set"]).nunique().sum(), every["set"].nunique()
    goals = [
        Goal("A2", f"quarterly totals, median error ({n} origins of {m} sets)", -inf, 0.05,
             lambda x: float(absolute(x).median()), names),
        Goal("A2", "the same, mean of the sets' medians", -inf, 0.05, by_set, names),
        Goal("A2", "within 10 %", 0.75, inf, lambda x: float((absolute(x) <= 0.10).mean()), names),
        Goal("A2", "worst quarter", -inf, 0.25, lambda x: float(absolute(x).max()), names),
    ]  # fmt: skip
    for own in seasonal:
        what = f"WAPE over plain BG/NBD's, {own.facts['name']}"
        goals.append(
            Goal("A2b", what, -inf, 0.4, lambda x, own=own: ratio(later(own), x), names, lambda v: num(v, 2))
        )
    cuts = len(long[long["model"] == REFERENCE])
    goals += [
        Goal(
            "A3", f"39/52-week totals, mean error ({cuts} cuts)", -inf, 0.06, lambda x: ahead(x, "mean"), LONG
        ),
        Goal("A3", "worst", -inf, 0.12, lambda x: ahead(x, "max"), LONG),
        Goal("A4", "90 % interval of quarterly totals held", 0.85, 0.95, lambda x: hits(x, "hit-90"), fitted),
        Goal("A4", "its mean half-width", -inf, 0.25, lambda x: hits(x, "width-90") / 2, fitted),
        Goal("A5", "CRPS skill, mean of sets", 0.03, inf, lambda x: float(np.mean(skills(x))), fitted),
    ]
    for name in ("btydplus_grocery", "dunnhumby"):
        if name in found and counts(found[name]):
            rows = later(found[name])
            goals.append(
                Goal("A5", f"CRPS skill, {name}", 0.08, inf, lambda x, rows=rows: skill(rows, x), fitted)
            )
    goals += [
        Goal("A5", "CRPS skill, worst set", -0.01, inf, lambda x: min(skills(x)), fitted),
        Goal("A6", "sets with PIT-KS, ECE, coverage in order", 1.0, inf, passed, fitted, lambda v: pc(v, 0)),
        Goal("A7", "Gini of value, CDNOW master 39/39", 0.73, inf, lambda x: money(x, "gini"), LONG, num),
        Goal("A7", "share of value the first tenth holds", 0.53, inf, lambda x: money(x, "top10"), LONG, num),
        Goal("A8", "value per purchase, RMSE over the mean's, worst set", -inf, 0.01,
             worst_spend, (REFERENCE, AUTO), lambda v: pc(v, sign=True)),
    ]  # fmt: skip
    return goals


def report(found: dict[str, Found], missing: list[str], seed: int, date: str) -> str:
    frames = [set(own.quarters["model"]) for own in found.values()]
    ran = set.intersection(*frames)
    names = tuple(n for n in CANDIDATES if n in ran and n != "last-year")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    spent = sum(own.facts["seconds"] for own in found.values())
    head = ("goal", "what", "target", REFERENCE, "best candidate", AUTO, f"{AUTO} has")
    text = [
        "# Accuracy",
        "",
        f"{date}; {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"{versions}; seed {seed}; {spent // 60} min {spent % 60} s in all. Written by `make accuracy`.",
        "",
        "Every candidate forecasts the quarter after each cut from what was known at the cut, for the "
        "customers known at it; model, season, level and calibration all come from before. The first cut is "
        f"{LEAST_AGE} days or more after the first order, and at most {MOST_WINDOWS} cuts are run. Tables "
        f"and goals leave out a log's first {SKIPPED} origins; median, share within 10 % and worst, and the "
        f"goals on totals and their intervals, are of quarters with {LEAST_ORDERS} orders or more: with "
        "fewer, chance alone is near the goals. Forecasts 39 or 52 weeks ahead are fitted as users fit them, "
        "with `forecast.fit`. Candidates are sorted by WAPE; those that cannot run everywhere come last.",
        "",
        "## Goals",
        "",
        "The best candidate is chosen with hindsight, one for all sets; auto chooses beforehand, set by set "
        "and cut by cut.",
        "",
        *table(head, [goal.row() for goal in goals(found, names) if goal.speaks()], left=2),
    ]
    order = [
        [name, *("yes" if ok else "no" for ok in calibrated(later(own), AUTO))]
        for name, own in found.items()
        if AUTO in set(own.quarters["model"])
    ]
    text += ["A6 in detail, auto:", "", *table(("set", "PIT-KS", "ECE", "coverage 90"), order)]
    for own in found.values():
        text += set_section(own)
    if missing:
        text += ["## Not run", "", *(f"- {line}" for line in missing), ""]
    return "\n".join(text)
