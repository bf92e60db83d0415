"""Where every row and every euro went."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.orders.codes import MEANINGS, REJECTED, USED, kind_of_code

BRIDGE = {
    "gross_sales": "all sales before discounts, without tax and shipping",
    "discounts": "given away",
    "returns": "given back, without tax and shipping",
    "net_sales": "gross sales, discounts and returns",
    "before_returns": "all sales as charged",
    "shipping": "charged for shipping, net of what was given back",
    "tax": "tax, net of what was given back",
    "other": "duties, tips, fees, edits and rounding",
    "total_sales": "what customers paid in all, net of returns",
}


@dataclass(frozen=True)
class Line:
    """Rows of one file that met one fate, and their money."""

    file: str
    code: str
    rows: int
    value: Decimal

    @property
    def kind(self) -> str:
        return kind_of_code(self.code)


@dataclass(frozen=True, repr=False)
class Reconciliation:
    """Rows in = used + merged + rejected, and value in = used + left out + rejected, file by file.

    What a value policy leaves out of used orders (tax, shipping, refunds, discounts, other) has no rows.

    Parameters
    ----------
    rows_in : dict of str to int
        Records of each file, counted before anything is judged.
    value_in : dict of str to Decimal
        Sum of all amounts that can be read, negative ones included.
    lines : sequence of Line
        One for each file and code. The value of merged rows is inside that of the used ones, so it is 0 here.
    notes : sequence of str
        What else was noticed while reading.
    currency : str, optional
        Currency of the values.
    has_value : bool
        False for a log without money.
    bridge : dict of str to Decimal
        From gross to net to total sales over all orders that are sales, used or not; empty for the generic
        reader, which knows one amount.
    value_policy : str
        What the values of used orders mean.

    Examples
    --------
    >>> one = Reconciliation({"a.csv": 3}, {"a.csv": Decimal(7)},
    ...                      [Line("a.csv", "used", 2, Decimal(9)),
    ...                       Line("a.csv", "negative_value", 1, Decimal(-2))])
    >>> one.balances(), round(one.rejected_share, 3)
    (True, 0.333)
    """

    rows_in: dict[str, int]
    value_in: dict[str, Decimal]
    lines: Sequence[Line]
    notes: Sequence[str] = field(default_factory=tuple)
    currency: str | None = None
    has_value: bool = True
    bridge: Mapping[str, Decimal] = field(default_factory=dict)
    value_policy: str = "value"

    @property
    def files(self) -> tuple[str, ...]:
        """The files and frames that were read."""
        return tuple(self.rows_in)

    @property
    def total_rows(self) -> int:
        """Records of all files."""
        return sum(self.rows_in.values())

    @property
    def rejected_share(self) -> float:
        """Rejected rows as a share of all rows, 0 to 1."""
        return self._rows("rejected") / self.total_rows if self.total_rows else 0.0

    @property
    def lost_share(self) -> float:
        """Rejected rows as a share of the rows that hold anything: blank rows lose nothing."""
        blank = sum(line.rows for line in self.lines if line.code == "blank_row")
        filled = self.total_rows - blank
        return (self._rows("rejected") - blank) / filled if filled else 0.0

    def _rows(self, kind: str) -> int:
        return sum(line.rows for line in self.lines if line.kind == kind)

    def by_code(self) -> dict[str, tuple[int, Decimal]]:
        """Rows and value of each code over all files, in the order in which codes are judged."""
        found: dict[str, tuple[int, Decimal]] = {}
        for code in MEANINGS:
            of_code = [line for line in self.lines if line.code == code]
            if of_code:
                found[code] = (
                    sum(line.rows for line in of_code),
                    sum((line.value for line in of_code), Decimal(0)),
                )
        return found

    def balances(self) -> bool:
        """Whether rows (exactly) and values (to half a cent) add up in every file."""
        for file, rows in self.rows_in.items():
            mine = [line for line in self.lines if line.file == file]
            if sum(line.rows for line in mine) != rows:
                return False
        # A purchase whose orders lie in several files counts with one of them, its money with each.
        gap = sum((line.value for line in self.lines), Decimal(0)) - sum(self.value_in.values(), Decimal(0))
        return abs(gap) < Decimal("0.005")

    def to_frame(self) -> pd.DataFrame:
        """Long table ``file, code, kind, rows, value, meaning``."""
        rows = [
            (line.file, line.code, line.kind, line.rows, float(line.value), MEANINGS[line.code])
            for line in self.lines
        ]
        frame = pd.DataFrame(rows, columns=["file", "code", "kind", "rows", "value", "meaning"])
        return frame.astype({"rows": "int64", "value": "float64"})

    def summary(self) -> dict[str, Any]:
        """Plain numbers for a machine: totals, codes and notes."""
        return {
            "files": list(self.files),
            "rows_in": self.total_rows,
            "value_in": float(sum(self.value_in.values(), Decimal(0))),
            "used": self._rows("used"),
            "merged": self._rows("merged"),
            "rejected": self._rows("rejected"),
            "rejected_share": self.rejected_share,
            "codes": {
                code: {"rows": rows, "value": float(value)} for code, (rows, value) in self.by_code().items()
            },
            "value_policy": self.value_policy,
            "bridge": {line: float(value) for line, value in self.bridge.items()},
            "currency": self.currency,
            "balances": self.balances(),
            "notes": list(self.notes),
        }

    def _table(self) -> list[tuple[str, str, str, str]]:
        total = sum(self.value_in.values(), Decimal(0))
        table = [
            ("rows in", f"{self.total_rows:,}", self._money(total), ", ".join(self.files[:3]) + self._more())
        ]
        for code, (rows, value) in self.by_code().items():
            kind = kind_of_code(code)
            shown = "" if kind == "merged" else self._money(value)
            table.append((code, "" if kind == "left_out" else f"{rows:,}", shown, MEANINGS[code]))
        if self.bridge:
            table.append(("bridge:", "", "", "of all orders that are sales, used or not"))
        for line, value in self.bridge.items():
            table.append((line, "", self._money(value), BRIDGE[line]))
        return table

    def _more(self) -> str:
        return f" and {len(self.files) - 3} more files" if len(self.files) > 3 else ""

    def _money(self, value: Decimal) -> str:
        if not self.has_value:
            return ""
        return f"{value:,.2f}" + (f" {self.currency}" if self.currency else "")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        table = self._table()
        widths = [max(len(line[i]) for line in table) for i in range(3)]
        lines = [
            f"{code:<{widths[0]}}  {rows:>{widths[1]}}  {value:>{widths[2]}}  {meaning}"
            for code, rows, value, meaning in table
        ]
        lines += [f"note: {note}" for note in self.notes]
        if not self.balances():
            lines.append("THIS DOES NOT BALANCE: please report it.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def cells(line: Sequence[str]) -> str:
            return "".join(
                f'<td style="text-align:{"right" if i in (1, 2) else "left"}">{html.escape(cell)}</td>'
                for i, cell in enumerate(line)
            )

        rows = "".join(f"<tr>{cells(line)}</tr>" for line in self._table())
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        head = "<tr><th>code</th><th>rows</th><th>value</th><th>meaning</th></tr>"
        return f"<table>{head}{rows}</table>" + (f"<ul>{notes}</ul>" if notes else "")


def together(lines: Sequence[Line], files: Sequence[str]) -> tuple[Line, ...]:
    """One line for each file and code, in the order in which rows are judged."""
    order = {code: i for i, code in enumerate(MEANINGS)}
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        key = (line.file, line.code)
        old = found.get(key, Line(line.file, line.code, 0, Decimal(0)))
        found[key] = Line(line.file, line.code, old.rows + line.rows, old.value + line.value)
    kept = [line for line in found.values() if line.rows or line.value or line.code == USED]
    return tuple(sorted(kept, key=lambda line: (files.index(line.file), order[line.code])))


def nothing_left(lines: Sequence[Line], hint: str | None = None) -> InputError:
    """The error when no usable order is left; ``hint`` is added where nobody, or no amount, was found."""
    counts: dict[str, int] = {}
    for line in lines:
        if kind_of_code(line.code) == "rejected" and line.rows:
            counts[line.code] = counts.get(line.code, 0) + line.rows
    advice = "; ".join(f"{code} means {REJECTED[code]}" for code in sorted(counts))
    if hint and counts.keys() & {"no_identity", "missing_value"}:
        advice += f". {hint}"
    return InputError(
        "no usable orders are left",
        count=sum(counts.values()),
        examples=[f"{code}: {rows:,}" for code, rows in sorted(counts.items())],
        advice=f"Check the mapping of the columns: {advice}",
    )
