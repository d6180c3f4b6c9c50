"""How iterative methods converge: gain and residual against the number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmark.reports.figures import style
from benchmark.reports.figures.labels import label_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS: Final = 3
"""Data sets side by side, at most; more of them are spread over further lines."""
_LABEL_WIDTH: Final = 30
"""Letters of a line of a label; ids with many parameters take several."""
_LEAST_RESIDUAL: Final = 1e-4
"""Smaller residuals, 0 among them, are drawn here: the axis is logarithmic."""


class _Pair(NamedTuple):
    """The two panels of a data set at a noise level."""

    gain: Axes
    residual: Axes


def draw_convergence(means: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw the curves of `benchmark.reports.convergence.mean_curves`: for each data set and noise
    level the gain, and below it the residual.

    Args:
        means: the curves.
        methods: those that are drawn, at most `style.MOST_METHODS`.
    """
    from matplotlib.figure import Figure

    groups = list(means.groupby(["dataset", "noise"], sort=False))
    across = min(len(groups), _ACROSS)
    down = -(-len(groups) // across)
    width = style.PAGE if across > 1 else style.COLUMN + 1
    figure = Figure(figsize=(width, 3.9 * down), layout="constrained")
    axes = figure.subplots(2 * down, across, squeeze=False, sharex=True)
    looks = style.choose_method_looks(methods, methods)
    places = [divmod(number, across) for number in range(down * across)]
    pairs = [_Pair(axes[2 * line, column], axes[2 * line + 1, column]) for line, column in places]
    for pair, ((dataset, noise), curves) in zip(pairs, groups, strict=False):
        _draw_pair(pair, curves, looks)
        count = int(curves["n"].iloc[0])
        name = style.wrap_name(str(dataset), 66 // across, 4)
        pair.gain.set_title(f"{name}\nnoise {noise:g}, n = {count}", size=7)
    for pair in pairs[len(groups) :]:
        pair.gain.set_axis_off()
        pair.residual.set_axis_off()
    _share_scales([pair.gain for pair in pairs[: len(groups)]])
    _share_scales([pair.residual for pair in pairs[: len(groups)]])
    for pair in pairs[: len(groups) : across]:
        pair.gain.set_ylabel("PSNR gain over the start (dB)")
        pair.residual.set_ylabel("residual x 255")
    figure.align_ylabels()
    last_pairs = [pairs[min(end, len(groups)) - 1] for end in range(across, len(pairs) + 1, across)]
    label_lines(figure, [axes for pair in last_pairs for axes in pair], _LABEL_WIDTH)
    return figure


def _draw_pair(pair: _Pair, curves: pd.DataFrame, looks: Mapping[str, style.MethodLook]) -> None:
    for method, curve in curves.groupby("method", sort=False):
        if method in looks:
            look = {**looks[str(method)].line_style(), "markersize": 2.5, "label": method}
            residual = (255 * curve["residual"]).clip(lower=_LEAST_RESIDUAL)
            pair.gain.plot(curve["step"], curve["gain"], **look)
            pair.residual.plot(curve["step"], residual, **look)
    pair.gain.axhline(0, color=style.BLACK, linewidth=0.6)
    pair.residual.set_yscale("log")
    pair.residual.yaxis.set_major_formatter("{x:g}")
    pair.residual.set_xlabel("steps")
    pair.residual.locator_params(axis="x", integer=True, nbins=6)


def _share_scales(panels: Sequence[Axes]) -> None:
    """Give panels one vertical scale, whose numbers stand at the first of each line."""
    for axes in panels[1:]:
        axes.sharey(panels[0])
    panels[0].autoscale(axis="y")
    for number, axes in enumerate(panels):
        axes.tick_params(labelleft=number % _ACROSS == 0)
