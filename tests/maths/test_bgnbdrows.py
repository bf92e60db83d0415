"""The exponential inside the compiled rows, beside exact arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from forecast.maths.bgnbdrows import _PIECE, _exp_of_minus, bgnbd_row_values, bgnbd_rows


@given(st.floats(-800.0, 800.0))
@example(0.0)
@example(5e-324)
@example(-707.9999)
@example(708.0)
@example(1e300)
@example(0.34657359027997264)
def test_exponential(u: float) -> None:
    found = np.full(_PIECE, np.nan)
    _exp_of_minus(np.full(_PIECE, u), found, 3)
    exact = mpmath.exp(-abs(mpmath.mpf(u)))
    if abs(u) >= 708.0:
        assert found[0] == 0.0
    else:
        assert abs(found[0] / exact - 1) < 5e-16
    assert found[0] == found[2]
    assert np.isnan(found[3:]).all()


def test_what_is_no_number_stays_none() -> None:
    one, times = np.array([1]), np.log(np.array([10.0, 12.0, 14.0]))
    rows = (0, 1, one, one, one + 1, np.ones(1))
    sums = bgnbd_rows(*rows, np.nan, 0.0, times, 1 / np.exp(times), np.zeros(2), np.ones(2))
    assert np.isnan(sums).all()
    assert np.isnan(bgnbd_row_values(*rows, np.nan, 0.0, times, np.zeros(2)))
