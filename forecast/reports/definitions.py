"""What every number on a page means."""

from __future__ import annotations

from forecast.evaluation.baselines import BASELINES

METRICS: dict[str, str] = {
    "error": "(forecast − actual) / actual of a total; +10 % is a forecast that was 10 % too high.",
    "bias": "Errors of all cut-offs added up, over the actuals added up. Errors of opposite sign cancel.",
    "mean absolute error": "Mean over the cut-offs of the error of the total without its sign.",
    "WAPE": "Sum over the cut-offs of |forecast − actual|, over the sum of the actuals. The board is sorted "
    "by it.",
    "90 % interval held": "At how many cut-offs the actual total lay inside the 90 % interval. Nine of ten "
    "should. Intervals of plain models hold the chance in what customers do and how uncertain the parameters "
    "are; those of auto and of candidates with a level also how far earlier totals were off.",
    "width": "Width of the 90 % interval of the total, over the actual.",
    "CRPS": "Continuous ranked probability score of each customer's predicted number of purchases, mean over "
    "customers, in purchases: the mean absolute error of a whole distribution. Smaller is better.",
    "log score": "Mean of −log of the probability given to what happened. Smaller is better.",
    "Gini": "How well customers are ranked, against the best ranking possible: 1 is perfect, 0 is no better "
    "than "
    "chance or a rule that gives everybody the same.",
    "first tenth's share": "Share of the actual total that the tenth of the customers with the highest "
    "forecasts "
    "brought.",
    "Spearman": "Rank correlation of forecast and actual over customers.",
    "MAE": "Mean absolute error a customer. It describes; a forecast of 0 for nearly everybody can win it.",
    "RMSE": "Root of the mean squared error a customer. A few large customers decide it.",
    "Poisson deviance": "How far the means are from the counts a customer; the true mean minimises it.",
    "Brier": "Mean squared difference between the chance of at least one purchase and whether there was one.",
    "ECE": "Expected calibration error: mean gap between promised chance and observed share, in tenths.",
    "coverage": "Share of customers whose count lay inside the central interval of that level, counts' ties "
    "spread "
    "out at random. It should equal the level.",
    "PIT distance": "Largest gap between the distribution of the probability integral transform and the "
    "even one "
    "it should have (Kolmogorov–Smirnov). Smaller is better.",
}

# Names on the board, as they are shown, and the definition they stand under.
BOARD_METRICS: dict[str, tuple[str, str]] = {
    "mae": ("MAE", "MAE"),
    "rmse": ("RMSE", "RMSE"),
    "poisson_deviance": ("Poisson deviance", "Poisson deviance"),
    "spearman": ("Spearman", "Spearman"),
    "gini": ("Gini", "Gini"),
    "top10_capture": ("First tenth's share", "first tenth's share"),
    "crps": ("CRPS", "CRPS"),
    "log_score": ("Log score", "log score"),
    "brier": ("Brier", "Brier"),
    "ece": ("ECE", "ECE"),
    "pit_coverage-50": ("Coverage of 50 %", "coverage"),
    "pit_coverage-80": ("Coverage of 80 %", "coverage"),
    "pit_coverage-90": ("Coverage of 90 %", "coverage"),
    "pit_ks": ("PIT distance", "PIT distance"),
}

TERMS: dict[str, str] = {
    "purchase": "All orders of one customer on one day of the shop, values added up.",
    "repeat purchase": "Every purchase of a customer after the first.",
    "cut-off": "The last day a forecast knew, inclusive. Outcomes are of the days after it, up to the "
    "horizon.",
    "known customers": "Customers whose first purchase was on or before the cut-off. Forecasts are for them.",
    "new customers": "Customers won after the cut-off, with all their purchases in the horizon. No candidate "
    "forecasts them; they are shown so that the sum is the shop's total.",
    "value": "Order value as the value policy above says.",
}

MODEL_TERMS: dict[str, str] = {
    "chance to buy": "Probability of at least one purchase in the horizon: the number to decide with.",
    "expected": "A mean. It may be a fraction of a purchase.",
    "interval": "Predictive: it covers what will happen, not where the mean is. Totals have intervals from "
    "joint simulation; they hold the chance in what customers do and, unless the fit was maximum likelihood, "
    "how uncertain the parameters are. A season or a level that drifts is not in them yet.",
    "historical value": "Value of all purchases up to the last day known, times the margin.",
    "residual CLV": "Expected value in the horizon, after the last day known.",
    "total CLV": "Historical value plus residual CLV.",
}


SCORE_TERMS: dict[str, str] = {
    "repeat purchases": "Purchases after the first, up to the last day known (frequency).",
    "recency": "Days from the first to the last purchase.",
    "T": "Days from the first purchase to the last day known.",
    "mean repeat value": "Mean value of the repeat purchases above 0; empty where there is none.",
    "alive": "Probability that the customer is still one. For display; decide with the chance to buy.",
    "expected purchase value": "Mean value of a coming purchase; spend basis says what it rests on: the "
    "customer's own purchases, or the population's where there is no repeat purchase.",
    "expected value": "Expected purchases times their value, times the margin, discounted as asked.",
    "total value": "Margin times historical value, plus expected value.",
    "tier": "By the expected value of the next 365 days, at margin 1 and without discount. Where tiers begin "
    "was fixed when the model was fitted, at the best 1, 5, 10, 25 and 50 % of its customers; its card says "
    "where.",
    "next purchase by": "First day by which a purchase is as likely as not; empty where the horizon ends "
    "before.",
    "overdue": "How likely a customer who is still active would have bought again by now, given all up to "
    "the last purchase. Who has bought once has shown no rhythm: there it is the share of all customers "
    "whose second purchase would have come.",
    "RFM": "Recency, frequency and money, 5 the best; the model's card has the cut-offs and the rule of the "
    "groups.",
}


_MODELS = {
    "bg-nbd": "Customers buy at their own steady rate until, after some repeat purchase, they leave.",
    "mbg-nbd": "As bg-nbd, and a customer may leave after the first purchase.",
    "pareto-nbd": "Customers buy at their own steady rate and leave at any moment.",
    "nbd": "Customers buy at their own steady rate and never leave.",
    "mbg-cnbd-2": "As mbg-nbd, with steadier gaps between purchases.",
    "auto": "The candidate chosen at each cut-off from earlier ones, with what its totals were off by.",
    "hgb": "Boosted trees that learn from earlier cut-offs.",
    "average": "The mean of boosted trees and a purchase model.",
}
_DONE = {
    "season": "On a seasonal clock, once there are 14 months of orders.",
    "level": "Level, intervals of totals and shape are corrected by what its earlier forecasts were off by.",
}


def candidates(names: list[str]) -> dict[str, str]:
    """What each competitor is.

    Examples
    --------
    >>> list(candidates(["bg-nbd", "naive"]))
    ['bg-nbd', 'naive']
    """
    found = {}
    for name in names:
        model, *done = name.split("+")
        if name in BASELINES:
            found[name] = f"Rule. {BASELINES[name].description}"
        else:
            found[name] = " ".join(["Fitted.", *filter(None, [_MODELS.get(model), *map(_DONE.get, done)])])
    return found
