"""From sufficient statistics to fitted models: parameters, their covariance and a verdict in words."""

from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.mle import fit_purchases, fit_spend
from forecast.fitting.spec import GAMMA_GAMMA, PURCHASE_MODELS, ModelSpec, purchase_model

__all__ = [
    "GAMMA_GAMMA",
    "PURCHASE_MODELS",
    "Fitted",
    "ModelSpec",
    "Verdict",
    "fit_purchases",
    "fit_spend",
    "purchase_model",
]
