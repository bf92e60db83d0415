"""The backtest as sections: who won, how far off, for whom, and whether intervals held."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.evaluation.backtest import Backtest
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import AUTO
from forecast.reports import captions, figures
from forecast.reports.blocks import Gallery, Key, Lines, Picture, Section, Table, Terms, drawn, table
from forecast.reports.definitions import METRICS, TERMS, candidates
from forecast.reports.figures_totals import WHAT_IT_COUNTS
from forecast.reports.sections_candidates import (
    choices,
    choices_table,
    models_shown,
    score_tables,
    shortlist,
)
from forecast.reports.terminal import NOTHING_TO_COMPARE
from forecast.reports.wording import NONE, count, day, listed, money, percent, plain, signed_percent
from forecast.reports.wording import figures as digits

TARGETS = ("orders", "value")
MOST_TRACKED = 5


def standing(summary: pd.DataFrame, target: str) -> pd.DataFrame:
    """The board of one target with what each candidate is and how it did against the rules.

    Only candidates that ran at every cut-off can win or be lost to: fewer cut-offs are another contest.
    """
    own = summary[summary["target"] == target] if len(summary) else summary
    if own.empty:
        return own.assign(kind="", standing="", held="")
    rule = own["model"].isin(list(BASELINES))
    full = own["origins"] == own["origins"].max()
    best_rule = own[rule & full].head(1)
    best_model = own[~rule & full].head(1)
    words, held = [], []
    for row in own.to_dict("records"):
        is_rule = row["model"] in BASELINES
        rivals = best_model if is_rule else best_rule
        if row["origins"] < own["origins"].max():
            words.append(f"{row['origins']} of {own['origins'].max()} cut-offs")
        elif len(rivals) == 0:
            words.append(NONE)
        elif is_rule:
            words.append("beats every model" if row["wape"] < rivals["wape"].iloc[0] else NONE)
        else:
            lost = rivals["wape"].iloc[0] < row["wape"]
            words.append(f"loses to {rivals['model'].iloc[0]}" if lost else "beats every rule")
        hit = row["hit_rate"]
        held.append(NONE if hit != hit else f"{round(hit * row['origins'])} of {row['origins']}")
    kinds = ["rule" if name in BASELINES else "fitted" for name in own["model"]]
    return own.assign(kind=kinds, standing=words, held=held).reset_index(drop=True)


def leader(summary: pd.DataFrame, target: str = "orders") -> str | None:
    """The model a page is about: auto where it ran, as it was chosen beforehand; else the fitted model with
    the smallest error, or None when there are only rules.
    """
    own = standing(summary, target)
    own = own[own["kind"] == "fitted"].sort_values("origins", ascending=False, kind="stable")
    if own.empty:
        return None
    full = own[own["origins"] == own["origins"].iloc[0]]
    return AUTO if AUTO in set(full["model"]) else str(own["model"].iloc[0])


def rival(summary: pd.DataFrame, target: str = "orders") -> str | None:
    """The rule that ranks customers best; a rule that gives everybody the same ranks nobody."""
    own = summary[(summary["target"] == target) & summary["model"].isin(list(BASELINES))]
    own = own[(own["gini"] > 0.01) & (own["origins"] == summary["origins"].max())]
    return None if own.empty else str(own.sort_values("gini", ascending=False)["model"].iloc[0])


def verdict(summary: pd.DataFrame) -> list[str]:
    """Who won, in sentences."""
    text = []
    for target in TARGETS:
        own = standing(summary, target)
        full = own[own["origins"] == own["origins"].max()] if len(own) else own
        if full.empty:
            continue
        best = full.iloc[0]
        if best["wape"] != best["wape"]:
            text.append(f"{WHAT_IT_COUNTS[target].capitalize()}: {NOTHING_TO_COMPARE}.")
            continue
        many = f"over {best['origins']} cut-offs" if best["origins"] > 1 else "at one cut-off"
        line = (
            f"{WHAT_IT_COUNTS[target].capitalize()}: {best['model']} came nearest, with totals off by "
            f"{percent(best['wape'])} on average {many} (bias {signed_percent(best['bias'])})."
        )
        if best["kind"] == "rule" and (full["kind"] == "fitted").any():
            line += " A simple rule beat every fitted model: use the rule, or find out why."
        elif best["kind"] == "fitted" and (full["kind"] == "rule").any():
            next_rule = full[full["kind"] == "rule"].iloc[0]
            line += f" The best simple rule, {next_rule['model']}, was off by {percent(next_rule['wape'])}."
        model = leader(summary, target)
        row = own[own["model"] == model].head(1)
        if model == AUTO and best["model"] != AUTO:
            line += f" {AUTO}, which chose beforehand, was off by {percent(row['wape'].iloc[0])}."
        text.append(line)
        if len(row) and row["held"].iloc[0] != NONE:
            text.append(
                f"The 90 % intervals of {model} held {row['held'].iloc[0]} totals of "
                f"{WHAT_IT_COUNTS[target]}."
            )
    return text


def keys(backtest: Backtest) -> list[Key]:
    """The numbers at the top."""
    summary = backtest.summary()
    model = leader(summary)
    found = []
    for target in TARGETS:
        own = standing(summary, target)
        row = own[own["model"] == model]
        if len(row):
            off = row.iloc[0]
            remark = f"{model}, {off['origins']} cut-offs; bias {signed_percent(off['bias'])}"
            found.append(
                Key(f"Typical error of total {WHAT_IT_COUNTS[target]}", percent(off["wape"]), remark)
            )
    own = standing(summary, "orders")
    row = own[own["model"] == model]
    if len(row):
        found.append(
            Key("90 % intervals that held", str(row["held"].iloc[0]), f"totals of purchases, {model}")
        )
    rules = own[(own["kind"] == "rule") & (own["origins"] == own["origins"].max())] if len(own) else own
    if len(rules):
        found.append(
            Key("Best simple rule", percent(rules["wape"].iloc[0]), f"{rules['model'].iloc[0]}, purchases")
        )
    return found


def board_tables(backtest: Backtest) -> list[Table]:
    """The board, purchases and value, the smallest error first."""
    summary = backtest.summary()
    tables = []
    for target in TARGETS:
        own = standing(summary, target)
        if own.empty:
            continue
        columns: dict[str, Any] = {
            "model": ("Candidate", plain),
            "kind": ("Kind", plain),
            "wape": ("WAPE of totals", percent),
            "bias": ("Bias", signed_percent),
            "mean_abs_error": ("Mean absolute error", percent),
            "held": ("90 % interval held", str),
            "gini": ("Gini", lambda value: digits(value, 2)),
        }
        if target == "orders":
            columns["crps"] = ("CRPS", digits)
        columns["standing"] = ("Standing", plain)
        note = "Totals of the customers known at each cut-off, the smallest WAPE first."
        if own["origins"].nunique() > 1:
            note += " Candidates that ran at fewer cut-offs met other quarters, and do not compete."
        full = own.index[own["origins"] == own["origins"].max()]
        caption = f"{WHAT_IT_COUNTS[target].capitalize()}: models and simple rules"
        tables.append(table(own, caption, columns, note=note, strong=frozenset([int(full[0])])))
    return tables


def cutoff_tables(backtest: Backtest, model: str, currency: str | None) -> list[Table]:
    """Forecast and actual of one model at each cut-off."""
    tables = []
    for target in TARGETS:
        data = figures.interval_hits_data(backtest.board, target)
        data = data[data["model"] == model]
        if data.empty:
            continue
        write = money if target == "value" else count
        shown = data.assign(
            error=(data["forecast"] - data["actual"]) / data["actual"].where(data["actual"] != 0),
            interval=[f"{write(lo)} to {write(hi)}" for lo, hi in zip(data["lo"], data["hi"], strict=True)],
            inside=["inside" if hit else "outside" for hit in data["hit"]],
        )
        unit = f" ({currency})" if currency and target == "value" else ""
        tables.append(
            table(
                shown,
                f"Total {WHAT_IT_COUNTS[target]}{unit} by cut-off, {model}",
                {
                    "cutoff": ("Cut-off", day),
                    "horizon_days": ("Days ahead", count),
                    "forecast": ("Forecast", write),
                    "interval": ("90 % interval", str),
                    "actual": ("Actual", write),
                    "error": ("Error", signed_percent),
                    "inside": ("Actual is", plain),
                },
                note="Purchases of customers known at the cut-off, in the days after it.",
            )
        )
    return tables


def population_table(backtest: Backtest, currency: str | None) -> Table | None:
    """Known and newly won customers, so that the sum is the shop's total."""
    board = backtest.board
    actual = board[board["metric"] == "actual"]
    scopes = ["known customers", "new customers", "all customers"]
    actual = actual[actual["scope"].isin(scopes)]
    if actual.empty:
        return None
    wide = actual.pivot(index=["cutoff", "group"], columns="scope", values="value")[scopes].reset_index()
    order = {"customers": 0, "orders": 1, "value": 2}
    wide = wide.assign(place=wide["group"].map(order)).sort_values(["cutoff", "place"], ignore_index=True)
    wide = wide[wide["all customers"].notna()]
    unit = f"value ({currency})" if currency else "value"
    wide = wide.assign(
        group=wide["group"].map({"customers": "customers", "orders": "purchases", "value": unit}),
        share=wide["new customers"] / wide["all customers"].where(wide["all customers"] != 0),
    )
    return table(
        wide,
        "What happened after each cut-off: known and newly won customers",
        {
            "cutoff": ("Cut-off", day),
            "group": ("What", plain),
            "known customers": ("Known at the cut-off", count),
            "new customers": ("Won after it", count),
            "all customers": ("All", count),
            "share": ("Share won after it", percent),
        },
        note="Every forecast on this page is for the customers known at the cut-off. What new customers "
        "bring comes "
        "on top, and no candidate forecasts it.",
    )


def nobody_won(backtest: Backtest) -> bool:
    """Whether no customer at all was won after a cut-off."""
    board = backtest.board
    won = board[(board["scope"] == "new customers") & (board["metric"] == "actual")]
    return bool(len(won)) and not won["value"].fillna(0).any()


def class_table(backtest: Backtest, model: str, scope: str, caption: str, first: str) -> Table | None:
    """Forecast and actual by class, all cut-offs together."""
    own = backtest.board[(backtest.board["model"] == model) & (backtest.board["scope"] == scope)]
    if own.empty:
        return None
    wide = own.pivot_table(index="group", columns="metric", values="value", aggfunc="sum").reset_index()
    columns: dict[str, Any] = {"group": (first, plain)}
    for target, write in zip(TARGETS, (count, money), strict=True):
        if f"{target}-actual" not in wide:
            continue
        happened = wide[f"{target}-actual"]
        wide[f"{target}-error"] = (wide[f"{target}-forecast"] - happened) / happened.where(happened != 0)
        word = WHAT_IT_COUNTS[target].capitalize()
        columns[f"{target}-forecast"] = (f"{word}, forecast", write)
        columns[f"{target}-actual"] = (f"{word}, actual", write)
        columns[f"{target}-error"] = ("Error", signed_percent)
    return table(wide, caption, columns, note="All cut-offs added up.")


Pictures = dict[str, list[Picture]]


def pictures(backtest: Backtest, currency: str | None) -> Pictures:
    """All figures of the backtest, by section."""
    summary, board, forecasts = backtest.summary(), backtest.board, backtest.forecasts
    model = leader(summary)
    targets = [target for target in TARGETS if len(figures.error_by_quarter_data(board, target))]
    few = models_shown(summary, 3 if board["cutoff"].nunique() <= 8 else 2)
    found: Pictures = {
        "errors": [
            drawn(
                figures.error_by_quarter(board, target, models=shortlist(summary, target)),
                captions.errors(board, target, model, shortlist(summary, target)),
            )
            for target in targets
        ],
        "intervals": [
            drawn(
                figures.interval_hits(board, target, models=few, currency=currency),
                captions.hits(board, target, few),
            )
            for target in targets
            if len(figures.interval_hits_data(board, target))
        ],
        "time": [],
        "customers": [],
    }
    if model is None:
        return found
    tracked = [n for n in models_shown(summary, MOST_TRACKED) if n in set(backtest.tracking["model"])]
    if tracked:
        first = model if model in tracked else tracked[0]
        found["time"] = [
            drawn(
                figures.tracking(backtest.tracking, tracked), captions.followed(backtest.tracking, tracked)
            ),
            drawn(figures.weekly(backtest.tracking, first), captions.by_week(backtest.tracking, first)),
        ]
    found["customers"] = [
        drawn(figures.calibration_by_frequency(forecasts, model), captions.calibration(forecasts, model))
    ]
    for target in targets:
        names = [name for name in (leader(summary, target), rival(summary, target)) if name is not None]
        found["customers"].append(
            drawn(
                figures.decile_lift(forecasts, names, target, currency=currency),
                captions.lift(forecasts, names, target),
            )
        )
    if len(figures.reliability_data(forecasts, model)):
        found["customers"].append(
            drawn(figures.reliability(forecasts, model), captions.promises(forecasts, model))
        )
    if model in set(backtest.pit["model"]):
        names = [model, *(name for name in few if name != model)]
        found["customers"].append(
            drawn(figures.pit_histogram(backtest.pit, names), captions.outcomes(backtest.pit, model))
        )
    return found


def backtest_sections(
    backtest: Backtest,
    currency: str | None,
    detail: bool = True,
    shown: Pictures | None = None,
) -> list[Section]:
    """The backtest, from the board to the definitions; without detail only what decides.

    Pictures that are drawn already can be given as ``shown``: drawing takes most of the time.
    """
    summary = backtest.summary()
    model = leader(summary)
    shown = pictures(backtest, currency) if shown is None else shown
    sections = [
        Section("board", "Who came nearest", [Lines(verdict(summary), True), *board_tables(backtest)])
    ]
    blocks: list[Any] = [Gallery(shown["errors"])]
    if model is not None and detail:
        blocks += cutoff_tables(backtest, model, currency)
    if shown["intervals"]:
        blocks.append(Gallery(shown["intervals"]))
    sections.append(Section("cutoffs", "Cut-off by cut-off", blocks))
    if shown["time"]:
        sections.append(Section("weeks", "Week by week", [Gallery(shown["time"])]))
    blocks = [Gallery(shown["customers"])] if shown["customers"] else []
    if model is not None and detail:
        classes = [
            class_table(
                backtest,
                model,
                "frequency",
                f"By repeat purchases before the cut-off, {model}",
                "Repeat purchases",
            ),
            class_table(
                backtest, model, "cohort", f"By quarter of the first purchase, {model}", "First purchase in"
            ),
        ]
        blocks += [block for block in classes if block is not None]
    if detail:
        blocks += score_tables(backtest)
    if blocks:
        sections.append(Section("customers", "Customer by customer", blocks))
    people: Any = population_table(backtest, currency)
    if people is not None:
        if nobody_won(backtest):
            people = Lines(["All customers came before the first cut."])
        sections.append(Section("population", "Known and newly won customers", [people]))
    chose, others = choices_table(backtest.notes), choices(backtest.notes)[1]
    if chose is not None:
        sections.insert(1, Section("choices", "What was chosen, and why", [chose]))
    if others:
        lines = [f"{count(len(others))} not run:" if len(others) > 1 else "Not run:"]
        sections.append(Section("notes", "What could not be run", [Lines(lines), Lines(others, True)]))
    return sections


def backtest_terms(backtest: Backtest) -> list[Terms]:
    """Definitions of candidates, metrics and words."""
    names = list(dict.fromkeys(backtest.summary()["model"])) if len(backtest.board) else []
    return [
        Terms("Candidates", candidates(names)),
        Terms("Metrics", METRICS),
        Terms("Words", TERMS),
    ]


def horizons(backtest: Backtest) -> str:
    """Cut-offs and horizons in words."""
    cuts = backtest.board.drop_duplicates("cutoff").sort_values("cutoff")
    days = sorted({int(n) for n in cuts["horizon_days"]})
    span = f"{days[0]} days" if len(days) == 1 else f"{days[0]} to {days[-1]} days"
    names = [day(cut) for cut in cuts["cutoff"]]
    which = listed(names) if len(names) <= 6 else f"{len(names)} from {names[0]} to {names[-1]}"
    return f"{which}; each looks {span} ahead"
