"""What the conformance tables share: the data sets, fits, and predictions straight from the formulas.

Times are weeks, as in the sources.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import forecast
from forecast.datasets import cdnow
from forecast.fitting import Fitted, fit_purchases, purchase_model
from forecast.summary import holdout, purchase_histories
from forecast.summary.statistics import group_purchases

SHARED = Path(__file__).parents[3] / "shared"

# Parameters of the sources: [CT] CLVTools 0.12.1, [BT] BTYD, [BP] BTYDplus.
PARETO = (0.5532700103553, 10.577800684023, 0.6060199977532, 11.663914533565)  # [CT] CDNOW, 39 weeks
PARETO_BT = (0.5533710252302, 10.579519634436, 0.6059073817727, 11.658116182064)  # [BT] CDNOW
BG_BT = (0.2425967155358, 4.413658926754, 0.7929868691539, 2.426164276242)
PARETO_BP = (0.5533971432694, 10.580198543642, 0.6060624970357, 11.656223668152)  # [BP] CDNOW
MBG_BP = (0.524843558624, 6.183092845108, 0.8913877802325, 1.614048334386)
NBD_BP = (0.3847658752696, 12.072013732091)
APPAREL = (1.448976790321, 48.636084482486, 0.5612598090158, 46.88436347936)  # [CT] 104 weeks
GROCERY = {  # [BP]
    "nbd": (0.4203195103702, 5.245107252673),
    "pareto-nbd": (0.7864353904423, 5.678976047474, 0.3862208531287, 5.71711823866),
    "bg-nbd": (0.3485919920094, 2.580937551622, 0.5038261583159, 3.644362544236),
    "mbg-nbd": (1.256790777689, 6.038475836365, 0.3682514528475, 0.7157352201961),
    "bg-cnbd-2": (0.3590610056865, 1.129387452614, 0.5228131987171, 2.785341411094),
    "mbg-cnbd-2": (1.329197268682, 2.812600329653, 0.4247155803549, 0.7900402222071),
}
YEAR = 52.0
TO_2010 = 207.142857142857  # the holdout of apparel


def shared_file(*parts: str) -> pd.DataFrame:
    """A table of the reference data; the test is skipped where they are not."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip("the reference data are not here")
    return pd.read_csv(path, dtype={"Id": str, "cust": str})


@cache
def orders(which: str) -> forecast.Orders:
    return forecast.read_orders(cdnow(which), currency="USD")


def cdnow_weeks(which: str, as_of: str, end: str | None = None) -> pd.DataFrame:
    histories = purchase_histories(orders(which), as_of)
    frame = histories.to_frame()
    frame = frame.assign(recency=frame["recency"] / 7, T=frame["T"] / 7)
    if end is not None:
        frame["actual"] = holdout(orders(which), histories, end)["actual_purchases"].to_numpy()
    return frame


@cache
def data(name: str) -> pd.DataFrame:
    """Histories ``frequency, recency, T`` and, where there is a holdout, ``actual``."""
    if name == "cdnow":
        return cdnow_weeks("sample", "1997-09-30", "1998-06-30")
    if name == "cdnow 37 weeks":
        return cdnow_weeks("sample", "1997-09-17", "1998-06-30")
    if name == "cdnow 78 weeks":
        return cdnow_weeks("sample", "1998-06-30")
    if name == "cdnow master":
        return cdnow_weeks("master", "1997-09-30", "1998-06-30")
    if name == "cdnow master 78 weeks":
        return cdnow_weeks("master", "1998-06-30")
    names = {"x": "frequency", "t.x": "recency", "T.cal": "T", "x.star": "actual", "actual.x": "actual"}
    if name == "apparel":
        frame = shared_file("golden", "clvtools_apparel_104w_cbs.csv")
        frame = frame.merge(shared_file("data", "clvtools_apparelStaticCov.csv"), on="Id")
        later = shared_file("golden", "clvtools_apparel_104w_pnbd_predict.csv")[["Id", "actual.x"]]
        return frame.merge(later, on="Id").rename(columns=names)
    assert name == "grocery"
    return shared_file("golden", "btydplus_grocery_percustomer.csv").rename(columns=names)


@cache
def fit(model: str, name: str) -> Fitted:
    """The maximum-likelihood fit of a model to a data set."""
    frame = data(name)
    counts = group_purchases(*(frame[c].to_numpy(float) for c in ("frequency", "recency", "T")))
    return fit_purchases(purchase_model(model), counts)


def columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    names = {"x": "frequency", "t_x": "recency", "T": "T"}
    return {name: frame[column].to_numpy(float) for name, column in names.items()}


def customer(x: Any, t_x: Any, T: Any) -> pd.DataFrame:
    return pd.DataFrame({"frequency": np.atleast_1d(x), "recency": t_x, "T": T})


def p_alive(model: str, theta: Any, frame: pd.DataFrame) -> np.ndarray:
    return special.expit(-purchase_model(model).formulas.log_odds_left(*theta, **columns(frame)))


def expected(model: str, theta: Any, frame: pd.DataFrame, weeks: float) -> np.ndarray:
    """Conditional expectation of purchases: the literature's CET."""
    formulas = purchase_model(model).formulas
    live = formulas.if_alive(*theta, **columns(frame))
    return p_alive(model, theta, frame) * formulas.PROCESS.expectation(*live, weeks)


def expected_new(model: str, theta: Any, weeks: float) -> float:
    return float(expected(model, theta, customer(0.0, 0.0, 0.0), weeks)[0])


def residual(theta: Any, frame: pd.DataFrame, delta: float) -> np.ndarray:
    """Discounted expected residual transactions of Pareto/NBD: the literature's DERT."""
    formulas = purchase_model("pareto-nbd").formulas
    live = formulas.if_alive(*theta, **columns(frame))
    return p_alive("pareto-nbd", theta, frame) * formulas.PROCESS.discounted(*live, delta)


def chances(model: str, theta: Any, weeks: Any, n: Any) -> np.ndarray:
    """P(n repeat purchases of a new customer)."""
    formulas = purchase_model(model).formulas
    stays = p_alive(model, theta, customer(0.0, 0.0, 0.0))[0]
    live = formulas.if_alive(*theta, x=0.0, t_x=0.0, T=0.0)
    return stays * formulas.PROCESS.pmf(*live, weeks, n) + (1.0 - stays) * (np.asarray(n) == 0)


def estimates(model: str, name: str) -> list[float]:
    fitted = fit(model, name)
    return [fitted.parameters[parameter] for parameter in fitted.spec.parameters]


def of_each(stem: str, kind: str) -> pd.DataFrame:
    """A source's file of each customer's predictions, with their histories."""
    frame = shared_file("golden", f"{stem}_{kind}.csv")
    if kind != "percustomer":
        frame = frame.merge(shared_file("golden", f"{stem}_cbs.csv"), on="Id")
    return frame.rename(columns={"x": "frequency", "t.x": "recency", "T.cal": "T"})
