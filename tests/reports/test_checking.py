"""Figures and the page of a model's check: what is drawn is the frame, and the page is whole. No pixels."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from test_pages import check_structure

import forecast
from forecast.reports import figures_check as figures


@pytest.fixture(scope="module", params=["laplace", "mle"])
def check(request: pytest.FixtureRequest, sample_orders: forecast.Orders) -> forecast.ModelCheck:
    model = forecast.fit(sample_orders, as_of="1997-09-30", method=request.param)
    return forecast.check_model(model, sample_orders)


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_counts_are_drawn_as_they_are(check: forecast.ModelCheck) -> None:
    ax = figures.repeat_counts(check.counts)
    assert [bar.get_height() for bar in ax.patches] == check.counts["observed"].tolist()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == check.counts["repeat_purchases"].tolist()
    assert legend(ax) == ["seen", "expected, 90 % interval"]
    assert ax.get_ylabel() == "customers (square-root scale)"
    assert len(ax.get_yticks()) >= 4


@pytest.mark.parametrize("top", [0.5, 3.0, 40.0, 1466.0, 2.5e6])
def test_ticks_are_round_and_few(top: float) -> None:
    ticks = figures._ticks(top)
    assert 1 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert max(ticks) <= top * 1.05


def test_bands_are_drawn_as_they_are(check: forecast.ModelCheck) -> None:
    for draw, name in ((figures.cumulative_purchases, "cumulative"), (figures.weekly_purchases, "weekly")):
        ax = draw(check.tracking)
        frame = check.tracking if name == "cumulative" else check.tracking[check.tracking["days"] == 7]
        expected, seen = ax.lines
        assert expected.get_ydata() == pytest.approx(frame[f"{name}_expected"].to_numpy())
        assert seen.get_ydata() == pytest.approx(frame[f"{name}_observed"].to_numpy())
        assert len(ax.collections) == 1
        assert legend(ax) == ["seen", "expected", "90 % interval"]


def test_densities_integrate_to_the_customers_in_sight(check: forecast.ModelCheck) -> None:
    data = figures.spend_density_data(check.spend)
    width = np.log(data["to"] / data["from"])
    assert float((data["observed"] * width).sum()) == pytest.approx(1.0)
    assert float((data["expected"] * width).sum()) == pytest.approx(1.0, abs=0.05)
    assert "USD, log scale" in figures.spend_density(check.spend, currency="USD").get_xlabel()


def test_prior_and_posterior_stand_side_by_side(check: forecast.ModelCheck) -> None:
    ax = figures.prior_posterior(check.prior_posterior, currency="$x$")
    if check.method == "mle":
        assert "neither prior nor posterior" in ax.texts[0].get_text()
        return
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "r", "alpha (days)", "a", "b", "p", "q", r"gamma (\$x\$)",
    ]  # fmt: skip
    assert legend(ax) == ["prior", "posterior"]


def test_empty_frames_say_so() -> None:
    nothing = pd.DataFrame(columns=["from", "to", "observed", "expected", "lo-90", "hi-90"])
    assert "no spend" in figures.spend_density(nothing).texts[0].get_text()
    young = pd.DataFrame({"day": [pd.Timestamp("2026-01-03")], "days": [3]})
    assert "no whole week" in figures.weekly_purchases(young).texts[0].get_text()


def test_plot_holds_every_figure_and_leaves_the_callers_style(check: forecast.ModelCheck) -> None:
    before = dict(matplotlib.rcParams)
    figure = check.plot()
    assert isinstance(figure, Figure)
    assert len(figure.axes) == (5 if check.method == "laplace" else 4)
    assert dict(matplotlib.rcParams) == before


def test_figures_are_files(check: forecast.ModelCheck, tmp_path: Path) -> None:
    paths = check.save_figures(tmp_path / "figures")
    names = ["counts", "tracking", "weekly", "spend"] + (["prior_posterior"] if check.method != "mle" else [])
    assert [path.stem for path in paths] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    first = paths[0].read_bytes()
    assert check.save_figures(tmp_path / "figures")[0].read_bytes() == first


def test_the_page_is_whole(check: forecast.ModelCheck, tmp_path: Path) -> None:
    path = check.to_html(tmp_path / "check.html")
    read = check_structure(path.read_text("utf-8"))
    words = read.words().replace("\u00a0", " ")
    assert "one-time buyers" in words
    assert len(read.all("img")) == (5 if check.method == "laplace" else 4)
    assert ("elpd" in words) or check.method == "mle"
    assert ("maximum likelihood has no posterior" in words) == (check.method == "mle")


def test_what_came_from_data_is_escaped(check: forecast.ModelCheck, tmp_path: Path) -> None:
    evil = forecast.ModelCheck(**{**vars(check), "facts": {**check.facts, "currency": "<script>$"}})
    page = evil.to_html(tmp_path / "evil.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
