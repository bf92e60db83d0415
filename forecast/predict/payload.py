"""The fitted pair of models as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.fitting.clock import Clock
from forecast.predict.calibration import NONE, Calibration
from forecast.predict.population import ClvModel
from forecast.predict.tiers import CutOffs


def to_payload(clv: ClvModel) -> dict[str, Any]:
    """Everything that predictions need, as plain data."""
    return {
        "purchases": clv.purchases.to_dict(),
        "spend": None if clv.spend is None else clv.spend.to_dict(),
        "paid_share": clv.paid_share,
        "clock": None if clv.clock is None else clv.clock.to_dict(),
        "calibration": clv.calibration.to_dict(),
        "cut_offs": None if clv.cut_offs is None else clv.cut_offs.to_dict(),
    }


def from_payload(payload: Mapping[str, Any]) -> ClvModel:
    """Inverse of :func:`to_payload`; models of earlier versions lack clock, calibration or cut-offs.

    Raises
    ------
    KeyError, TypeError, ValueError
        When something is missing or of another kind.
    """
    spend, clock = payload["spend"], payload.get("clock")
    taught, cut_offs = payload.get("calibration"), payload.get("cut_offs")
    return ClvModel(
        Fitted.from_dict(purchase_model(payload["purchases"]["model"]), payload["purchases"]),
        None if spend is None else Fitted.from_dict(GAMMA_GAMMA, spend),
        float(payload["paid_share"]),
        None if clock is None else Clock.from_dict(clock),
        NONE if taught is None else Calibration.from_dict(taught),
        None if cut_offs is None else CutOffs.from_dict(cut_offs),
    )
