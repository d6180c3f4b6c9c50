"""How well kernel models fit PSFs of ideal apertures and of a lens: the study of
`benchmark.reports.psf_study` as one figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmark import checkpoints
from benchmark.reports import psf_study
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import Source, drawn_by
from benchmark.reports.figures.style import CaptionedFigure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_COLOURS: Final = (
    style.ORANGE,
    style.BLACK,
    style.GREEN,
    style.SKY,
    style.BLUE,
    style.PURPLE,
    style.VERMILION,
)
_MARKERS: Final = "os^vDPX"
_ACROSS: Final = 3
_LEAST: Final = 1e-3
"""Smaller errors, exact fits among them, are drawn here: the axis is logarithmic."""


class _ModelLook(NamedTuple):
    """How a model is drawn; dashed with non-negative coefficients."""

    label: str
    colour: str
    marker: str
    line: str


def draw_psf_figure(source: Source) -> CaptionedFigure:
    """Draw the error of every model against the size of the blur, and its spread over measured PSFs
    if there are any.

    Raises:
        UsageError: if there is no study in the folder that was named.
        DataError: if it is damaged.
    """
    from matplotlib.figure import Figure

    rows = psf_study.read(source.wanted.psf).rows
    apertures, measured = (
        {str(name): some for name, some in rows[rows["kind"] == kind].groupby("group", sort=False)}
        for kind in ("aperture", "measured")
    )
    down = -(-(len(apertures) + 1) // _ACROSS)  # the legend has a place of its own
    heights = [1.7 * down, *([2.0] if measured else [])]
    figure = Figure(figsize=(style.PAGE, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_aperture_panels(parts[0], apertures, down)
    if measured:
        _draw_psf_boxes(parts[1].subplots(), measured)
    counts = [
        f"Measured PSFs, {name}: n = {some['name'].nunique()}." for name, some in measured.items()
    ]
    return CaptionedFigure(
        figure,
        [
            "How well kernel models fit defocus PSFs: relative L2 error against the sigma of "
            "ideal apertures"
            + (
                ", and over measured PSFs (box: quartiles, line: median, whiskers: range). "
                if measured
                else ". "
            )
            + "GKM: mixture of a bank of Gaussians up to M x M, with free or non-negative "
            "coefficients. Errors below "
            f"{_LEAST:g} are drawn there.",
            *counts,
            f"Fits: {psf_study.FITS}, SHA-256 "
            f"{checkpoints.sha256(source.wanted.psf / psf_study.FITS)}.",
            drawn_by(),
        ],
    )


def _model_looks() -> Iterator[_ModelLook]:
    for model, colour, marker in zip(psf_study.MODELS, _COLOURS, _MARKERS, strict=True):
        yield _ModelLook(model.label, colour, marker, "--" if model.family == "gkm >= 0" else "-")


def _draw_aperture_panels(part: SubFigure, apertures: dict[str, pd.DataFrame], down: int) -> None:
    panels = part.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True)
    for axes, (name, rows) in zip(panels.flat, apertures.items(), strict=False):
        for look in _model_looks():
            own = rows[rows["model"] == look.label].sort_values("sigma")
            axes.plot(
                own["sigma"], own["l2"].clip(lower=_LEAST), look.line,
                color=look.colour, marker=look.marker, markersize=2.5, label=look.label,
            )  # fmt: skip
        axes.set_title(name)
        axes.xaxis.set_tick_params(labelbottom=True)
    for axes in panels.flat[len(apertures) :]:
        axes.set_axis_off()
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center")
    panels.flat[0].set_yscale("log")
    panels.flat[0].yaxis.set_major_formatter("{x:g}")
    part.supxlabel("sigma of the aperture (px)", size=7.5)
    part.supylabel("relative L2 error ↓", size=7.5)


def _draw_psf_boxes(axes: Axes, measured: dict[str, pd.DataFrame]) -> None:
    looks = list(_model_looks())
    for group, rows in enumerate(measured.values()):
        for place, look in enumerate(looks):
            line = {"color": look.colour, "linestyle": look.line, "linewidth": 1.0}
            axes.boxplot(
                rows.loc[rows["model"] == look.label, "l2"],
                positions=[group + (place - (len(looks) - 1) / 2) / (len(looks) + 1)],
                widths=0.8 / (len(looks) + 1), whis=(0, 100), showfliers=False, manage_ticks=False,
                boxprops=line, medianprops=line, whiskerprops=line, capprops=line,
            )  # fmt: skip
    axes.set_xticks(range(len(measured)), [style.printable_name(name) for name in measured])
    axes.set_xlabel("measured PSFs")
    axes.set_ylabel("relative L2 error ↓")
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
