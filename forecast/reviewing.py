"""The verbs of the quarterly review: issue a forecast, compare it with what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forecast.comparing import Comparison, compare, track_record
from forecast.issuing import issue
from forecast.model import load
from forecast.orders import Orders
from forecast.periods import check_seed
from forecast.pipeline import Outcome, facts
from forecast.reports.pages import review_page
from forecast.reports.sections_review import review_sentences
from forecast.store.guarding import output_folder, protect
from forecast.store.references import parse_reference
from forecast.store.writing import write_table, write_text

COMPARE_FILES = ("comparison.parquet", "track_record.parquet", "comparison.html")


def issue_forecast(
    orders: Orders, model: str, *, models: Any = "models", ledger: Any = "ledger", **options: Any
) -> Outcome:
    """Freeze a forecast of a saved model in the ledger."""
    check_seed(options.get("seed", 0))
    parse_reference(model)
    found = issue(load(Path(models) / model), orders, ledger=ledger, **options)
    totals = found.table("totals")
    means = totals[(totals["scope"] == "total") & (totals["output_type"] == "mean")]
    data: dict[str, Any] = {}
    head = f"Issued {found.forecast_id} from {found.as_of}"
    lines = [f"{head} for {found.content['customers']:,} known customers"]
    for window in found.content["quarters"]:
        own = means[means["target_end_date"] == window["end"]]
        said = dict(zip(own["target"], own["value"], strict=True))
        label = window["quarter"] + " (rest)" * window["partial"]
        data[label] = said
        lines.append(f"  {label}: " + ", ".join(f"{name} {value:,.0f}" for name, value in said.items()))
    lines.append(f"Wrote {found.path}; it will not be changed")
    told = {"forecast_id": found.forecast_id, "as_of": found.as_of, "path": str(found.path)}
    return Outcome({**told, "checksum": found.checksum, "expected": data}, lines)


def compare_forecast(orders: Orders, *, out: Any, ledger: Any = "ledger", quarter: str = "latest") -> Outcome:
    """Compare what was issued for a quarter with what happened; the comparison is kept in the ledger."""
    target = Path(out)
    single = target.suffix.lower() in (".html", ".csv", ".parquet", ".json")
    folder = None if single else output_folder(out)
    files = [target] if folder is None else [folder / name for name in COMPARE_FILES]
    protect(files, orders.paths)
    found = compare(orders, ledger=ledger, quarter=quarter)
    record = track_record(ledger)
    for file in files:
        if file.suffix.lower() == ".html":
            write_text(review_html(found, record, orders), file)
        else:
            write_table(record if file.name == COMPARE_FILES[1] else found.lines, file)
    currency = found.issue.content["policy"]["currency"]
    lines = review_sentences(found.lines, found.quarter, currency)
    lines += [f"Note: {note}" for note in found.notes]
    lines.append(f"Wrote {', '.join(str(file) for file in files)}")
    data = {
        "quarter": found.quarter, "forecast_id": found.issue.forecast_id, "as_of": found.issue.as_of,
        "mature": found.mature, "notes": list(found.notes),
        "totals": found.lines[found.lines["scope"] == "total"].to_dict("records"),
    }  # fmt: skip
    return Outcome(data, lines)


def review_html(found: Comparison, record: Any, orders: Orders) -> str:
    """The page of a comparison."""
    own = facts(orders)
    told = {
        "forecast": found.issue.forecast_id,
        "issued from": found.issue.as_of,
        "model": found.issue.content["model"]["title"],
        "known customers": found.issue.content["customers"],
        "margin": found.issue.content["margin"],
        "actuals known until": own["last_day"],
        **{key: own[key] for key in ("currency", "timezone", "value_policy", "zero_value", "fingerprint")},
        "hash of the forecast": found.issue.checksum,
    }
    return review_page(found.lines, record, quarter=found.quarter, facts=told, notes=found.notes)
