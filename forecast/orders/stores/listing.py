"""What an order store holds, load by load."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.errors import StoreError
from forecast.orders.stores.record import read_record, verify_load


def list_orders(store: Any) -> pd.DataFrame:
    """The loads of an order store, in the order of the days on which they were loaded.

    Returns
    -------
    DataFrame
        ``load, loaded, files, rows, orders, new, changed, unchanged, used, forgotten, first_day, last_day,
        problem``. ``rows`` to ``used`` and the days of used orders are as on the day of the load: ``new``,
        ``changed`` and ``unchanged`` against the loads before it. ``forgotten`` rows were left out then or
        have left since. ``problem`` says which file is damaged.

    Raises
    ------
    StoreError
        When there is no store, or its record is damaged.

    Examples
    --------
    >>> import tempfile, forecast, pandas as pd
    >>> log = pd.DataFrame({"order_id": ["1", "2"], "customer_id": ["ada", "bo"], "value": [10.0, 20.0],
    ...                     "order_date": ["2024-01-05", "2024-02-06"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = forecast.add_orders(log, folder, loaded="2024-02-29", currency="EUR")
    ...     list_orders(folder)[["loaded", "new", "used"]].to_dict("records")
    [{'loaded': '2024-02-29', 'new': 2, 'used': 2}]
    """
    kept = read_record(store, verify=False)
    rows = []
    for load in sorted(kept.loads, key=lambda one: (one.loaded, one.number)):
        problem = None
        try:
            verify_load(kept, load)
        except StoreError as damage:
            problem = str(damage)
        forgotten = sum(line.rows for line in load.lines() if line.code == "forgotten")
        rows.append({
            "load": load.number, "loaded": load.loaded, "files": [file["name"] for file in load.files],
            "rows": load.rows, "orders": load.orders, "new": load.new, "changed": load.changed,
            "unchanged": load.unchanged, "used": load.used, "forgotten": forgotten,
            "first_day": load.first_day, "last_day": load.last_day, "problem": problem,
        })  # fmt: skip
    return pd.DataFrame(rows)
