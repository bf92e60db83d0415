"""Figures: how many lines, which labels, and that what is drawn is the companion's frame. No pixels."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_inputs import CUTS, make_board, make_cohorts, make_forecasts, make_tracking

from forecast.reports import figures
from forecast.reports.canvas import looks, picture, safe


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def points(ax: Axes) -> set[tuple[float, float]]:
    return {
        (float(x), float(y))
        for line in ax.lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def test_cohort_curves_draw_every_observed_cell_and_the_mean():
    data = figures.cohort_curves_data(make_cohorts())
    ax = figures.cohort_curves(make_cohorts(), currency="USD")
    assert isinstance(ax, Axes)
    assert legend(ax) == ["2025-01", "2025-02", "2025-03", "all cohorts"]
    assert points(ax) == {(float(a), v) for a, v in zip(data["age"], data["value"], strict=True)}
    assert ax.get_ylabel() == "value per customer (USD)"


def test_running_period_is_dashed_and_hollow():
    dashed = [line for line in figures.cohort_curves(make_cohorts()).lines if line.get_linestyle() == ":"]
    assert len(dashed) >= 2
    assert {line.get_markerfacecolor() for line in dashed} == {"white"}


def test_running_periods_are_not_in_the_mean():
    data = figures.cohort_curves_data(make_cohorts())
    mean = data[data["cohort"] == "all cohorts"]
    assert mean[["age", "value"]].to_numpy().tolist() == [[0, 20.0]]


def test_many_cohorts_name_only_the_ends_and_the_mean():
    names = [f"20{y}-{m:02d}" for y in (23, 24) for m in range(1, 13)]
    ax = figures.cohort_curves(make_cohorts(names))
    assert legend(ax) == ["2023-01", "2024-12", "all cohorts"]


def test_one_cohort_has_no_mean():
    ax = figures.cohort_curves(make_cohorts(["2025-01"]))
    assert legend(ax) == ["2025-01"]


def test_retention_leaves_out_what_has_not_happened():
    data = figures.retention_heatmap_data(make_cohorts())
    assert data[["cohort", "age"]].to_numpy().tolist() == [["2025-01", 1], ["2025-01", 2], ["2025-02", 1]]
    assert data["share"].tolist() == [0.5, 0.5, 0.5]
    ax = figures.retention_heatmap(make_cohorts())
    assert [text.get_text() for text in ax.texts] == ["50", "50", "50"]
    assert np.ma.count(ax.collections[0].get_array()) == 3
    assert len(ax.patches) == 2


def test_concentration_marks_tenth_and_fifth():
    ax = figures.value_concentration([10.0] + [1.0] * 9)
    assert [text.get_text() for text in ax.texts] == [
        "best 10 %: 53 % of the value",
        "best 20 %: 58 % of the value",
    ]


def test_tracking_draws_the_frame_and_the_cut():
    frame = make_tracking()
    ax = figures.tracking(frame)
    assert legend(ax) == ["actual", "bg-nbd"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), figures.tracking_data(frame)["actual"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), figures.tracking_data(frame)["expected"])
    assert len(ax.lines) == 3
    assert ax.texts[0].get_text() == "cut 2025-12-31"


def test_weekly_steps_add_up_and_leave_out_a_broken_week():
    frame = make_tracking()
    frame.loc[len(frame) - 1, "day"] -= pd.Timedelta(days=3)
    data = figures.weekly_data(frame)
    assert len(data) == len(frame) - 1
    assert data["expected"].sum() == frame["expected"].iloc[-2]
    np.testing.assert_array_equal(figures.weekly(frame).lines[1].get_ydata(), data["expected"])


def test_errors_are_signed_and_clipped_with_their_number():
    board = make_board(
        models=("bg-nbd", "naive", "formula"), scale={"bg-nbd": 0.9, "naive": 1.3, "formula": 2.8}
    )
    data = figures.error_by_quarter_data(board)
    assert data.groupby("model")["error_percent"].first().round(6).to_dict() == {
        "bg-nbd": -10.0,
        "formula": 180.0,
        "naive": 30.0,
    }
    ax = figures.error_by_quarter(board)
    assert legend(ax) == ["bg-nbd", "naive", "formula"]
    assert [text.get_text() for text in ax.texts] == ["+180 %", "+180 %"]
    assert max(float(np.max(line.get_ydata())) for line in ax.lines) == 100.0


def test_interval_hits_count_hits_and_leave_out_rules():
    board = make_board(scale={"bg-nbd": 1.02, "naive": 1.3})
    data = figures.interval_hits_data(board)
    assert data["model"].unique().tolist() == ["bg-nbd"]
    assert data["hit"].tolist() == [True, True]
    ax = figures.interval_hits(board)
    assert legend(ax) == ["bg-nbd: 2 of 2 inside", "actual"]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata(), dtype=float), data["forecast"])


def test_calibration_is_of_one_cutoff_by_class():
    frame = make_forecasts()
    data = figures.calibration_by_frequency_data(frame, "bg-nbd")
    assert data["frequency"].tolist() == ["0", "1", "2", "3", "4", "5", "6", "7+"]
    assert data["customers"].sum() == 50
    earlier = figures.calibration_by_frequency_data(frame, "bg-nbd", CUTS[0])
    assert earlier["expected"].tolist() != data["expected"].tolist()
    ax = figures.calibration_by_frequency(frame, "bg-nbd")
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], data["actual"])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), data["expected"])
    assert ax.get_xticklabels()[0].get_text() == "0\n5"


def test_decile_lift_draws_actual_and_forecast_of_each_model():
    data = figures.decile_lift_data(make_forecasts(), target="value")
    ax = figures.decile_lift(make_forecasts(), target="value", currency="EUR")
    assert len(ax.lines) == 4
    assert legend(ax)[0].startswith("bg-nbd: first tenth holds ")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), data.loc[data["model"] == "bg-nbd", "mean_actual"])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), data.loc[data["model"] == "bg-nbd", "mean_predicted"])


def test_reliability_is_drawn_from_its_table():
    data = figures.reliability_data(make_forecasts(), "bg-nbd")
    ax = figures.reliability(make_forecasts(), "bg-nbd")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), data["observed_share"])
    assert figures.reliability_data(make_forecasts(), "naive").empty


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: figures.cohort_curves(make_cohorts().assign(cumulative_value_per_customer=np.nan), ax),
        lambda ax: figures.retention_heatmap(make_cohorts(["2025-01"]), ax),
        lambda ax: figures.value_concentration([np.nan], ax),
        lambda ax: figures.tracking(make_tracking().iloc[:0], ax=ax),
        lambda ax: figures.weekly(make_tracking().iloc[:0], ax=ax),
        lambda ax: figures.error_by_quarter(make_board().iloc[:0], ax=ax),
        lambda ax: figures.interval_hits(make_board(models=("naive",)), ax=ax),
        lambda ax: figures.calibration_by_frequency(make_forecasts(), "nobody", ax=ax),
        lambda ax: figures.decile_lift(make_forecasts(value=False), target="value", ax=ax),
        lambda ax: figures.reliability(make_forecasts(), "naive", ax=ax),
    ],
)
def test_nothing_to_draw_says_so_on_the_axes_given(draw):
    ax = Figure().add_subplot()
    assert draw(ax) is ax
    assert len(ax.texts) == 1


def test_text_from_data_is_never_mathematics():
    frame = make_tracking(model="$x$ & <b> _ 顧客")
    ax = figures.tracking(frame)
    assert picture(ax).startswith("data:image/")
    assert legend(ax)[1] == safe("$x$ & <b> _ 顧客") == r"\$x\$ & <b> _ □□"


def test_the_callers_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    picture(figures.tracking(make_tracking()))
    assert dict(matplotlib.rcParams) == before


def test_a_picture_does_not_depend_on_the_callers_settings():
    plain = picture(figures.reliability(make_forecasts(), "bg-nbd"))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert picture(figures.reliability(make_forecasts(), "bg-nbd")) == plain


def test_a_heavy_drawing_becomes_a_png():
    ax = Figure().add_subplot()
    ax.plot(np.random.default_rng(0).normal(size=(400, 60)), marker="o")
    assert picture(ax).startswith("data:image/png;base64,")


def test_looks_differ_without_colour():
    found = looks(["bg-nbd", "nbd", "naive", "hiatus", "global-mean", "formula", "last-year", "mine"])
    assert len({look.marker for look in found.values()}) == 8


def make_pit(models=("bg-nbd", "auto")) -> pd.DataFrame:
    rows = [
        (cut, m, b, 0.1 + 0.01 * (b == 1) - 0.01 * (b == 2))
        for cut in CUTS
        for m in models
        for b in range(1, 11)
    ]
    return pd.DataFrame(rows, columns=["cutoff", "model", "bin", "share"])


def test_pit_histogram_has_bars_for_the_first_and_lines_for_the_others():
    ax = figures.pit_histogram(make_pit(), ["auto", "bg-nbd"])
    assert legend(ax) == ["auto", "bg-nbd", "right"]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.11, 0.09, *[0.1] * 8])
    assert figures.pit_histogram(make_pit().iloc[:0]).get_title(loc="left")


def test_only_the_models_asked_for_are_drawn():
    board = make_board(models=("bg-nbd", "auto", "naive"))
    assert legend(figures.error_by_quarter(board, models=["auto", "naive"])) == ["auto", "naive"]
    assert len(legend(figures.interval_hits(board, models="auto"))) == 2


def test_long_names_get_fewer_columns():
    names = [f"mbg-cnbd-2+season+level{i}" for i in range(4)]
    ax = figures.error_by_quarter(make_board(models=names))
    assert ax.get_legend()._ncols == 2


def test_a_model_has_one_colour_whatever_is_done_with_it():
    found = looks(["mbg-nbd", "mbg-nbd+level", "mbg-nbd+season", "mbg-nbd+season+level"])
    assert len({look.colour for look in found.values()}) == 1
    assert len({(look.marker, str(look.dashes)) for look in found.values()}) == 4


def test_every_figure_is_had_from_one_place():
    drawn = {"bridge", "cohort_projection", "track_record", "value_by_age"}
    assert drawn <= set(figures.__all__)
    lines = pd.DataFrame(
        [("total", "all", "value", 100.0, 90.0), ("bridge", "retention", "value", np.nan, -10.0)],
        columns=["scope", "group", "target", "forecast", "actual"],
    )
    steps = figures.bridge_data(lines)["step"].tolist()
    ax = figures.bridge(lines, "USD")
    assert [label.get_text() for label in ax.get_yticklabels()] == steps
    assert ax.get_xlabel() == "value, USD"
