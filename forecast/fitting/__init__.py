"""From sufficient statistics to fitted models: parameters, their covariance and a verdict in words."""

from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.methods import METHODS, check_method, fit_purchases, fit_spend
from forecast.fitting.spec import GAMMA_GAMMA, PURCHASE_MODELS, ModelSpec, purchase_model

__all__ = [
    "GAMMA_GAMMA",
    "METHODS",
    "PURCHASE_MODELS",
    "Fitted",
    "ModelSpec",
    "Verdict",
    "check_method",
    "fit_purchases",
    "fit_spend",
    "purchase_model",
]
