"""The check of a fitted model for its users: numbers, words, figures and a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.evaluation.modelcheck import CheckNumbers, check_numbers
from forecast.store.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ModelCheck(CheckNumbers):
    """What a check of a fitted model found; see :func:`check_model`.

    ``counts``, ``tracking``, ``season``, ``spend``, ``loo`` and ``prior_posterior`` are frames; ``summary()``
    sets what was seen beside what was expected, ``verdict`` says it in words, ``compare(other)`` holds two
    models against each other, and ``plot()``, ``save_figures(folder)`` and ``to_html(path)`` show it.
    """

    def _drawings(self) -> dict[str, Callable[[Axes | None], Axes]]:
        from forecast.reports import figures_check as drawn

        currency = self.facts["currency"]
        found: dict[str, Callable[[Axes | None], Axes]] = {
            "counts": lambda ax: drawn.repeat_counts(self.counts, ax),
            "tracking": lambda ax: drawn.cumulative_purchases(self.tracking, ax),
            "weekly": lambda ax: drawn.weekly_purchases(self.tracking, ax),
        }
        if len(self.season):
            found["season"] = lambda ax: drawn.season(self.season, ax)
        if len(self.spend):
            found["spend"] = lambda ax: drawn.spend_density(self.spend, ax, currency=currency)
        if len(self.prior_posterior):
            table = self.prior_posterior
            found["prior_posterior"] = lambda ax: drawn.prior_posterior(table, ax, currency=currency)
        return found

    def plot(self) -> Figure:
        """All figures on one.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from forecast.reports.canvas import house_style

        drawings = self._drawings()
        rows = -(-len(drawings) // 2)
        with house_style():
            figure = Figure(figsize=(11.0, 3.6 * rows), layout="constrained")
            FigureCanvasAgg(figure)
            places = figure.subplots(rows, 2, squeeze=False).ravel()
            for draw, ax in zip(drawings.values(), places, strict=False):
                draw(ax)
            for ax in places[len(drawings) :]:
                ax.remove()
        return figure

    def save_figures(self, folder: Any) -> list[Path]:
        """Every figure as a PNG of its own.

        Parameters
        ----------
        folder : path
            Made when it is not there.

        Returns
        -------
        list of Path

        Raises
        ------
        StoreError
            When the disk refuses.
        """
        from forecast.reports.canvas import house_style

        paths = []
        for name, draw in self._drawings().items():
            figure = draw(None).get_figure(root=True)
            assert figure is not None
            image = io.BytesIO()
            with house_style():
                figure.savefig(image, format="png", dpi=160, metadata={"Software": None})
            paths.append(write_bytes(image.getvalue(), Path(folder) / f"{name}.png"))
        return paths

    def to_html(self, path: Any) -> Path:
        """The check as one page, without scripts and without the network.

        Raises
        ------
        StoreError
            When the disk refuses.
        """
        from forecast.reports.pages import model_check_page

        return write_text(model_check_page(self), path)


def check_model(
    model: Any, orders: Any, *, as_of: Any = None, priors: Mapping[str, Any] | None = None, seed: int = 0
) -> ModelCheck:
    """Could the fitted model have produced these orders? Look before you forecast with it.

    Parameters
    ----------
    model : Model
        Fitted by any method, with or without a seasonal clock. Leave-one-out and the overlay of prior and
        posterior need draws: ``laplace`` or ``nuts``.
    orders : Orders
        Those it was fitted on; others are checked too, without leave-one-out.
    as_of : date or ISO string, optional
        Last day that counts; the model's own by default.
    priors : mapping, optional
        The overrides it was fitted with, for the overlay.
    seed : int

    Returns
    -------
    ModelCheck

    Raises
    ------
    ArgumentError
        When an argument cannot be meant, the orders have another currency or value policy than the model's,
        or its parameters differ between customers (groups and covariates are not checked yet).
    InputError
        When ``as_of`` is before the first order.

    Examples
    --------
    >>> import forecast
    >>> orders = forecast.read_orders(forecast.cdnow("sample"), currency="USD")
    >>> model = forecast.fit(orders, as_of="1997-09-30", method="mle")
    >>> check = check_model(model, orders)
    >>> check.counts[["repeat_purchases", "observed", "expected"]].head(3).round(2)
      repeat_purchases  observed  expected
    0                0      1411   1407.68
    1                1       439    460.32
    2                2       214    192.46
    >>> print(check.lines[0])
    The model expects 1,408 one-time buyers (90 %: ... to ...), 1,411 seen: well described.
    """
    return ModelCheck(**check_numbers(model, orders, as_of=as_of, priors=priors, seed=seed))
