"""Shared data of the suite: CDNOW's 1/10 sample and master, read once a process."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from hypothesis import settings

import forecast
from forecast.datasets import cdnow
from forecast.summary import Histories, purchase_histories

settings.register_profile("suite", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("suite")

AS_OF = dt.date(1997, 9, 30)


@pytest.fixture(scope="session")
def sample_orders() -> forecast.Orders:
    return forecast.read_orders(cdnow("sample"), currency="USD")


@pytest.fixture(scope="session")
def master_orders() -> forecast.Orders:
    return forecast.read_orders(cdnow("master"), currency="USD")


@pytest.fixture(scope="session")
def sample_histories(sample_orders: forecast.Orders) -> Histories:
    return purchase_histories(sample_orders, AS_OF)


@pytest.fixture(scope="session")
def master_histories(master_orders: forecast.Orders) -> Histories:
    return purchase_histories(master_orders, AS_OF)


@pytest.fixture(scope="session")
def weekly(sample_histories: Histories) -> pd.DataFrame:
    """The sample's histories in weeks, as the papers have them."""
    frame = sample_histories.to_frame()
    return frame.assign(recency=frame["recency"] / 7, T=frame["T"] / 7)
