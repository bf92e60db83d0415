"""Synthetic shops: known truth, and the exports of the platforms, to test a pipeline on."""

from forecast.synthetic.settings import Channel
from forecast.synthetic.shop import SyntheticShop, synthetic_shop

__all__ = ["Channel", "SyntheticShop", "synthetic_shop"]
