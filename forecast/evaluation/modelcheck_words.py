"""The check of a model in words: what was expected, what was seen, and what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from forecast.evaluation.leave_one_out import K_HAT_LIMIT
from forecast.evaluation.priorcheck import amount
from forecast.fitting.clock import Clock

WELL = "well described"
_NEAR, _MUCH_PRIOR = 0.05, 0.5


class Found(Protocol):
    """The frames of a check."""

    @property
    def facts(self) -> dict[str, Any]: ...
    @property
    def counts(self) -> pd.DataFrame: ...
    @property
    def tracking(self) -> pd.DataFrame: ...
    @property
    def spend(self) -> pd.DataFrame: ...
    @property
    def loo(self) -> pd.DataFrame: ...
    @property
    def prior_posterior(self) -> pd.DataFrame: ...
    @property
    def clock(self) -> Clock | None: ...


def judged(observed: float, expected: float, lo: float, hi: float) -> str:
    """One number in words.

    Examples
    --------
    >>> judged(1411, 1407.7, 1367, 1447), judged(100, 103.0, 102, 104), judged(50, 100.0, 90, 110)
    ('well described', 'more than chance, but only 3 % too many expected', '100 % too many expected')
    """
    if lo <= observed <= hi:
        return WELL
    if observed == 0:
        return "expected, but never seen"
    off = expected / observed - 1.0
    shown = f"{abs(off):.1%}" if abs(off) < 0.0995 else f"{abs(off):.0%}"
    words = f"{shown.replace('.0%', '%').replace('%', ' %')} too {'many' if off > 0 else 'few'} expected"
    return f"more than chance, but only {words}" if abs(off) <= _NEAR else words


def inside(frame: pd.DataFrame, prefix: str = "") -> np.ndarray:
    """Which rows were seen within their interval.

    Examples
    --------
    >>> inside(pd.DataFrame({"observed": [5, 1], "lo-90": [2, 2], "hi-90": [8, 8]})).tolist()
    [True, False]
    """
    seen = frame[f"{prefix}observed"].to_numpy(dtype=float)
    return (frame[f"{prefix}lo-90"].to_numpy(dtype=float) <= seen) & (
        seen <= frame[f"{prefix}hi-90"].to_numpy(dtype=float)
    )


def whole_weeks(tracking: pd.DataFrame) -> pd.DataFrame:
    """Weeks of seven days: a part of a week means something else."""
    return tracking[tracking["days"] == 7].reset_index(drop=True)


def swings(clock: Clock | None) -> str:
    """What moves weeks beyond chance, given what the model knows of the season.

    Examples
    --------
    >>> swings(None)
    'there are seasons, campaigns or a drift that the model does not know'
    """
    if clock is None:
        return "there are seasons, campaigns or a drift that the model does not know"
    if clock.facts.get("trust", 1.0) < 1.0:
        return "there is more season than the model trusts yet, or campaigns or a drift that it does not know"
    return "there are campaigns, a changing season or a drift that the model does not know"


def summary_rows(check: Found) -> list[dict[str, Any]]:
    """Rows of the summary: observed and expected, with a verdict."""
    rows = []
    for line in check.counts.to_dict("records"):
        what = f"customers with {line['repeat_purchases']} repeat purchases"
        rows.append(_row("counts", what.replace("with 1 repeat purchases", "with 1 repeat purchase"), line))
    last = check.tracking.iloc[-1]
    total = {name: last[f"cumulative_{name}"] for name in ("observed", "expected", "lo-90", "hi-90")}
    rows.append(_row("tracking", "repeat purchases in all", total))
    weeks = whole_weeks(check.tracking)
    if len(weeks):
        rows.append(_share("tracking", "weeks within their interval", inside(weeks, "weekly_")))
    if len(check.spend):
        rows.append(_share("spend", "classes of mean spend within their interval", inside(check.spend)))
    return rows


def _row(check: str, quantity: str, line: Mapping) -> dict[str, Any]:
    numbers = {name: float(line[name]) for name in ("observed", "expected", "lo-90", "hi-90")}
    return {"check": check, "quantity": quantity, **numbers, "verdict": judged(*numbers.values())}


def _share(check: str, quantity: str, held: np.ndarray) -> dict[str, Any]:
    """How many intervals held, of which nine in ten should."""
    size, many = len(held), int(held.sum())
    expected = 0.9 * size
    lo = math.floor(expected - 2.0 * math.sqrt(0.09 * size))
    words = WELL if many >= lo else "fewer than nine in ten"
    return {
        "check": check, "quantity": quantity, "observed": float(many), "expected": expected,
        "lo-90": float(max(lo, 0)), "hi-90": float(size), "verdict": words,
    }  # fmt: skip


def verdict_lines(check: Found) -> list[str]:
    """One sentence or two a question."""
    rows = {row["quantity"]: row for row in summary_rows(check)}
    one_time = rows["customers with 0 repeat purchases"]
    lines = [
        f"The model expects {one_time['expected']:,.0f} one-time buyers (90 %: {one_time['lo-90']:,.0f} to "
        f"{one_time['hi-90']:,.0f}), {one_time['observed']:,.0f} seen: {one_time['verdict']}.",
        _classes_line(check.counts, rows),
    ]
    total = rows["repeat purchases in all"]
    lines.append(
        f"Until {check.facts['as_of']} it expects {total['expected']:,.0f} repeat purchases (90 %: "
        f"{total['lo-90']:,.0f} to {total['hi-90']:,.0f}), {total['observed']:,.0f} seen: {total['verdict']}."
    )
    weeks = rows.get("weeks within their interval")
    if weeks is not None:
        words = "as it should be" if weeks["verdict"] == WELL else (
            f"the weeks swing more than chance, so {swings(check.clock)}"
        )  # fmt: skip
        size = round(weeks["hi-90"])
        lines.append(
            f"{weeks['observed']:,.0f} of {size:,} weeks lie within their 90 % interval, "
            f"{weeks['expected']:,.0f} should: {words}."
        )
    if len(check.spend):
        lines.append(_spend_line(check.spend, rows["classes of mean spend within their interval"]))
    return [*lines, *_loo_lines(check.loo), *_prior_lines(check.prior_posterior)]


def _classes_line(counts: pd.DataFrame, rows: Mapping[str, Mapping]) -> str:
    held = inside(counts)
    text = f"{int(held.sum())} of {len(held)} classes by number of repeat purchases lie within their interval"
    if held.all():
        return text + "."
    worst = counts.iloc[_furthest(counts)]
    name = str(worst["repeat_purchases"])
    return (
        f"{text}; furthest off are customers with {name} repeat purchase{'' if name == '1' else 's'}: "
        f"{worst['observed']:,.0f} seen, {worst['lo-90']:,.0f} to {worst['hi-90']:,.0f} expected."
    )


def _spend_line(spend: pd.DataFrame, row: Mapping) -> str:
    text = f"{row['observed']:,.0f} of {len(spend)} classes of mean spend lie within their interval"
    if row["verdict"] == WELL:
        return f"{text}: {WELL}."
    worst = spend.iloc[_furthest(spend)]
    return (
        f"{text}, {row['expected']:,.0f} should: the shape of spend is another; furthest off are customers "
        f"with a mean of {amount(worst['from'])} to {amount(worst['to'])}, {worst['observed']:,.0f} seen, "
        f"{worst['lo-90']:,.0f} to {worst['hi-90']:,.0f} expected."
    )


def _furthest(frame: pd.DataFrame) -> int:
    half = np.maximum((frame["hi-90"] - frame["lo-90"]).to_numpy(dtype=float) / 2.0, 0.5)
    gap = np.abs((frame["observed"] - frame["expected"]).to_numpy(dtype=float)) / half
    return int(np.argmax(np.where(inside(frame), -1.0, gap)))


def _loo_lines(loo: pd.DataFrame) -> list[str]:
    lines = []
    for row in loo.to_dict("records"):
        if math.isfinite(row["elpd"]):
            trust = "every customer's term can be trusted"
            if row["k_hat_high"] > 0:
                trust = (
                    f"k-hat is above {K_HAT_LIMIT} for {row['k_hat_high']:.2%} of the customers, so the "
                    "number is doubtful"
                ).replace("%", " %")
            lines.append(
                f"Leave-one-out, {row['part']}: elpd {row['elpd']:,.1f} (se {row['se']:,.1f}), worth "
                f"{row['p_loo']:.1f} parameters; {trust}."
            )
        elif math.isfinite(row["aic"]):
            lines.append(f"{row['part'].capitalize()}: AIC {row['aic']:,.1f}, BIC {row['bic']:,.1f}.")
    return lines


def _prior_lines(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return []
    worst = table.iloc[int(table["overlap"].to_numpy(dtype=float).argmax())]
    largest = f"{worst['parameter']} {worst['overlap']:.2f}"
    if worst["overlap"] <= _MUCH_PRIOR:
        return [f"The data decide every parameter (largest overlap of prior and posterior: {largest})."]
    names = table.loc[table["overlap"] > _MUCH_PRIOR, "parameter"].tolist()
    return [
        f"The data say little about {', '.join(names)} (largest overlap of prior and posterior: {largest}): "
        "look whether the prior is one you believe."
    ]


def compared(own: Mapping, rival: Mapping, found: float, error: float) -> str:
    """A comparison in words."""
    names = [str(own["model"]), str(rival["model"])]
    if names[0] == names[1]:
        names = [f"this {names[0]}", f"the other {names[1]}"]
    # Less than 4 is no difference in practice (Sivula, Magnusson & Vehtari 2020); se covers chance.
    unclear = abs(found) < 4.0 or (math.isfinite(error) and abs(found) < 2.0 * error)
    if unclear:
        return f"no clear difference between {names[0]} and {names[1]}"
    better, worse = names if found > 0 else names[::-1]
    return f"{better} describes {own['part']} better than {worse}"
