"""All figures. Each draws on the axes it is given (or makes some) and returns them.

The companion ``<figure>_data`` returns the frame that is drawn, for a spreadsheet or another plot. What
happened is black; colours are Okabe and Ito's, and markers and dashes tell the series apart in grey.

Examples
--------
>>> import pandas as pd
>>> cohorts = pd.DataFrame({"cohort": ["2026-01"] * 2, "age": [0, 1], "customers": [10, 10],
...     "active": [10, 3], "cumulative_value_per_customer": [20.0, 26.0], "partial": [False, False]})
>>> cohort_curves(cohorts).get_ylabel()
'value per customer'
"""

from __future__ import annotations

from forecast.reports.figures_customers import (
    calibration_by_frequency,
    calibration_by_frequency_data,
    decile_lift,
    decile_lift_data,
    pit_histogram,
    pit_histogram_data,
    reliability,
    reliability_data,
)
from forecast.reports.figures_history import (
    cohort_curves,
    cohort_curves_data,
    retention_heatmap,
    retention_heatmap_data,
    value_concentration,
    value_concentration_data,
)
from forecast.reports.figures_newcomers import value_by_age
from forecast.reports.figures_review import bridge, bridge_data, cohort_projection, track_record
from forecast.reports.figures_totals import (
    error_by_quarter,
    error_by_quarter_data,
    interval_hits,
    interval_hits_data,
    tracking,
    tracking_data,
    weekly,
    weekly_data,
)

__all__ = [
    "bridge",
    "bridge_data",
    "calibration_by_frequency",
    "calibration_by_frequency_data",
    "cohort_curves",
    "cohort_curves_data",
    "cohort_projection",
    "decile_lift",
    "decile_lift_data",
    "error_by_quarter",
    "error_by_quarter_data",
    "interval_hits",
    "interval_hits_data",
    "pit_histogram",
    "pit_histogram_data",
    "reliability",
    "reliability_data",
    "retention_heatmap",
    "retention_heatmap_data",
    "track_record",
    "tracking",
    "tracking_data",
    "value_by_age",
    "value_concentration",
    "value_concentration_data",
    "weekly",
    "weekly_data",
]
