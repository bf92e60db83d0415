"""Many candidates on one page: which of them figures show, what auto chose, and the scores of all."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from forecast.evaluation.backtest import Backtest
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import AUTO
from forecast.reports.blocks import Table, table
from forecast.reports.definitions import BOARD_METRICS
from forecast.reports.wording import day, percent, plain
from forecast.reports.wording import figures as digits

MOST_LINES = 8  # of one figure; with more nobody finds a line
PLAIN = "bg-nbd"
_CHOICE = re.compile(rf"{AUTO} at (\S+) is ([^:]+)(?:: (.+))?")
_MONEY = ("mae", "rmse", "spearman", "gini", "top10_capture")


def shortlist(summary: pd.DataFrame, target: str = "orders", most: int = MOST_LINES) -> list[str]:
    """The candidates that a figure shows: auto, plain BG/NBD, the nearest models and the nearest rules.

    Parameters
    ----------
    summary : DataFrame
        As from ``Backtest.summary``.
    target : {"orders", "value"}
    most : int
        All candidates where there are no more.

    Examples
    --------
    >>> shortlist(pd.DataFrame({"model": ["naive", "nbd", "auto"], "target": "orders"}), most=2)
    ['auto', 'nbd']
    """
    names = list(dict.fromkeys(summary.loc[summary["target"] == target, "model"]))
    if len(names) <= most:
        return names
    models, rules = ([n for n in names if (n in BASELINES) == rule] for rule in (False, True))
    first = [name for name in (AUTO, PLAIN) if name in models]
    models = [*first, *(n for n in models if n not in first)]
    kept = rules[: max(most * 3 // 8, most - len(models))]
    return [*models[: most - len(kept)], *kept]


def models_shown(summary: pd.DataFrame, most: int) -> list[str]:
    """The fitted ones of them, at most so many, the nearest first; plain BG/NBD is among them."""
    own = summary[(summary["target"] == "orders") & ~summary["model"].isin(list(BASELINES))]
    return shortlist(own, most=most)


def choices(notes: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """What auto chose at each cut-off and why, and the other notes.

    Examples
    --------
    >>> choices(["auto at 2025-09-30 is nbd: it is best", "naive at 2025-09-30: no"])[0]["candidate"].tolist()
    ['nbd']
    """
    found = [(note, _CHOICE.fullmatch(note)) for note in notes]
    rows = [match.groups(default="") for _, match in found if match is not None]
    others = [note for note, match in found if match is None]
    return pd.DataFrame(rows, columns=["cutoff", "candidate", "reason"]), others


def choices_table(notes: list[str]) -> Table | None:
    """What auto chose at each cut-off, and why."""
    found, _ = choices(notes)
    if found.empty:
        return None
    return table(
        found.assign(cutoff=pd.to_datetime(found["cutoff"])),
        f"What {AUTO} chose",
        {"cutoff": ("Cut-off", day), "candidate": ("Choice", plain), "reason": ("Why", plain)},
        note="From cut-offs whose windows had ended by then; nothing later is looked at.",
    )


def score_tables(backtest: Backtest) -> list[Table]:
    """Every customer-level metric, means over the cut-offs: one row a candidate, as there may be many."""
    own = backtest.board[backtest.board["scope"] == "customers"]
    if own.empty:
        return []
    means = own.groupby(["group", "model", "metric"], sort=False)["value"].mean().unstack("metric")
    order = backtest.summary()
    counted = [name for name in BOARD_METRICS if name.startswith(("crps", "log", "brier", "ece", "pit"))]
    parts: list[tuple[str, str, list[str]]] = [
        ("orders", "Purchases, customer by customer", [n for n in BOARD_METRICS if n not in counted]),
        ("orders", "Chances of purchases, customer by customer", counted),
        ("value", "Value, customer by customer", list(_MONEY)),
    ]
    tables = []
    for target, caption, metrics in parts:
        kept = [name for name in metrics if name in means]
        names = order.loc[order["target"] == target, "model"]
        rows = means.reindex(pd.MultiIndex.from_product([[target], names]))[kept].dropna(how="all")
        if not len(rows) or not kept:
            continue
        columns: dict[str, Any] = {"model": ("Candidate", plain)}
        for name in kept:
            share = name.startswith(("pit_coverage", "top10"))
            columns[name] = (BOARD_METRICS[name][0], percent if share else digits)
        rows = rows.droplevel(0).rename_axis("model").reset_index()
        note = "Means over the cut-offs, one customer one vote; in the order of the board."
        if metrics is counted:
            note += " Rules give no probabilities."
        tables.append(table(rows, caption, columns, note=note))
    return tables
