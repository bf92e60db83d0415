"""The verbs of the quarterly review: issue a forecast, compare it with what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forecast.comparing import compare
from forecast.evaluation.drift import advice
from forecast.issuing import issue
from forecast.model import load
from forecast.orders import Orders
from forecast.periods import check_seed
from forecast.pipeline import Outcome, noted
from forecast.record import drift, track_record
from forecast.reports.html import html_page
from forecast.reports.markdown import markdown_page
from forecast.reports.sections_review import review_sentences
from forecast.store.guarding import output_folder, protect
from forecast.store.references import parse_reference
from forecast.store.writing import write_table, write_text

COMPARE_FILES = ("comparison.parquet", "track_record.parquet", "comparison.html", "comparison.md")


def issue_forecast(
    orders: Orders, model: str, *, models: Any = "models", ledger: Any = "ledger", **options: Any
) -> Outcome:
    """Freeze a forecast of a saved model in the ledger."""
    check_seed(options.get("seed", 0))
    parse_reference(model)
    own = load(Path(models) / model)
    found = issue(own, orders, ledger=ledger, **options)
    totals = found.table("totals")
    means = totals[(totals["scope"] == "total") & (totals["output_type"] == "mean")]
    data: dict[str, Any] = {}
    head = f"Issued {found.forecast_id} from {found.as_of}"
    lines = [f"{head} for {found.content['customers']:,} known customers and those to be won"]
    lines.append(f"Arrivals: {found.content['arrivals']['source']}")
    for window in found.content["quarters"]:
        lines_of = means[means["target_end_date"] == window["end"]]
        label = window["quarter"] + " (rest)" * window["partial"]
        data[label] = {
            str(group): dict(zip(part["target"], part["value"], strict=True))
            for group, part in lines_of.groupby("group")
        }
        said, new = data[label]["all"], data[label]["new"]
        parts = [f"{name} {value:,.0f}" for name, value in said.items() if name != "acquired"]
        lines.append(f"  {label}: {', '.join(parts)}; of these new customers {new['acquired']:,.0f} won")
    notes = [
        f"{f.spec.title} {f.verdict}." for f in (own.purchases, own.spend) if f and not f.verdict.converged
    ]
    notes += found.content["arrivals"]["notes"]
    lines += noted(notes)
    lines.append(f"Wrote {found.path}; it will not be changed")
    told = {"forecast_id": found.forecast_id, "as_of": found.as_of, "path": str(found.path)}
    return Outcome({**told, "checksum": found.checksum, "expected": data, "notes": notes}, lines)


def compare_forecast(orders: Orders, *, out: Any, ledger: Any = "ledger", quarter: str = "latest") -> Outcome:
    """Compare what was issued for a quarter with what happened; the comparison is kept in the ledger."""
    target = Path(out)
    single = target.suffix.lower() in (".html", ".md", ".csv", ".parquet", ".json")
    folder = None if single else output_folder(out)
    files = [target] if folder is None else [folder / name for name in COMPARE_FILES]
    protect(files, orders.paths)
    found = compare(orders, ledger=ledger, quarter=quarter)
    record, told, content = track_record(ledger), drift(ledger), found.content()
    pages = {".html": html_page, ".md": markdown_page}
    for file in files:
        page = pages.get(file.suffix.lower())
        if page is not None:
            write_text(page(**content), file)
        else:
            write_table(record if file.name == COMPARE_FILES[1] else found.lines, file)
    currency = found.issue.content["policy"]["currency"]
    lines = review_sentences(found.lines, found.quarter, currency)
    lines += [f"Note: {note}" for note in found.notes]
    lines.append(advice(told))
    lines.append(f"Wrote {', '.join(str(file) for file in files)}")
    data = {
        "quarter": found.quarter, "forecast_id": found.issue.forecast_id, "as_of": found.issue.as_of,
        "mature": found.mature, "notes": list(found.notes),
        "totals": found.lines[found.lines["scope"] == "total"].to_dict("records"),
        "drift": told.to_dict("records"),
    }  # fmt: skip
    return Outcome(data, lines)
