"""CDNOW, the public data set every model of this family is measured on; it ships inside ``lifetimes``."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path

import pandas as pd

from forecast.errors import ArgumentError, InputError

CDNOW_AS_OF = dt.date(1997, 9, 30)

_FILES = {"sample": "CDNOW_sample.txt", "master": "CDNOW_master.txt"}


def cdnow(which: str = "sample") -> pd.DataFrame:
    """Orders of the customers of CDNOW who bought first in January to March 1997, to June 1998.

    Parameters
    ----------
    which : {"sample", "master"}
        The 1/10 sample of Fader and Hardie, or all customers.

    Returns
    -------
    pandas.DataFrame
        ``customer_id`` (text, five digits with leading zeros), ``order_date`` (day), ``items`` (CDs),
        ``value`` (US dollars; 0 for 8 and 80 free orders), in the file's order; no missing values. The ids
        are the master's in both, so the sample is the master's orders of 2,357 customers, line by line.

    Raises
    ------
    ArgumentError
        When ``which`` is neither.
    InputError
        When ``lifetimes`` is not installed, or its file is not there.

    Notes
    -----
    The usual split is at ``CDNOW_AS_OF``, 1997-09-30: 39 weeks to fit on, then 39 weeks, 1997-10-01 to
    1998-06-30, to forecast. A customer's orders of one day are one purchase.

    ====================================  =======  ========
    ..                                     sample    master
    ====================================  =======  ========
    lines                                   6,919    69,659
    customers                               2,357    23,570
    repeat purchases to 1997-09-30          2,457    24,337
    purchases in the 39 weeks after         1,882    19,684
    their value, US dollars                70,976   776,961
    ====================================  =======  ========

    References
    ----------
    Fader, P. S. and Hardie, B. G. S. (2001), "Forecasting Repeat Sales at CDNOW: A Case Study",
    Interfaces 31(3), S94-S107.

    Examples
    --------
    >>> cdnow().head(2)
      customer_id order_date  items  value
    0       00004 1997-01-01      2  29.33
    1       00004 1997-01-18      2  29.73
    """
    if which not in _FILES:
        raise ArgumentError(f"there is no CDNOW {which!r}", advice="Ask for 'sample' or 'master'.")
    path = _folder() / _FILES[which]
    if not path.is_file():
        raise InputError(
            "CDNOW's file is not where lifetimes keeps it",
            where=str(path),
            advice="Install lifetimes 0.11.3: pip install lifetimes==0.11.3.",
        )
    # The sample's second column numbers its customers anew; only the master's number joins the two files.
    columns = ["customer_id", "sample_id", "order_date", "items", "value"]
    if which == "master":
        columns.remove("sample_id")
    orders = pd.read_csv(
        path,
        sep=r"\s+",
        header=None,
        skiprows=int(which == "master"),
        names=columns,
        dtype={"customer_id": "str", "order_date": "str", "items": "int64", "value": "float64"},
    )
    # Read as numbers, 19970101 would be nanoseconds since 1970.
    orders["order_date"] = pd.to_datetime(orders["order_date"], format="%Y%m%d")
    return orders[["customer_id", "order_date", "items", "value"]]


def _folder() -> Path:
    # Found without importing: lifetimes.datasets needs pkg_resources, which newer Pythons do not have.
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "CDNOW ships inside lifetimes, which is not installed",
            advice="Install it: pip install lifetimes==0.11.3.",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "datasets"
