"""How well kernel models fit PSFs of ideal apertures and of a lens: the study of
`benchmark.psf_study` as one figure for a paper, and as the two figures of its own folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.arrays import Float64Array
from benchmark.optics import psf_fit
from benchmark.psf_study import (
    BANK_SIZES,
    DISK,
    FITS_FILE,
    FREE,
    GAUSSIAN,
    GENERALISED,
    LARGE,
    LARGE_NONNEGATIVE,
    NONNEGATIVE,
    PsfModel,
    read_psf_fits,
)
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData, name_drawing_suite
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.reports.psf_study import groups_of_kind, rows_of_group

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_ACROSS: Final = 3
_LEAST_ERROR: Final = 1e-3
"""Smaller errors, exact fits among them, are drawn here: the axis is logarithmic."""


class _ModelLook(NamedTuple):
    """How a model is drawn; dashed with non-negative coefficients."""

    label: str
    colour: str
    line: str
    marker: str = ""


_MODEL_LOOKS: Final = (
    _ModelLook(GAUSSIAN.label, style.ORANGE, "-", "o"),
    _ModelLook(DISK.label, style.BLACK, "-", "s"),
    _ModelLook(GENERALISED.label, style.GREEN, "-", "^"),
    _ModelLook(NONNEGATIVE.label, style.SKY, "--", "v"),
    _ModelLook(FREE.label, style.BLUE, "-", "D"),
    _ModelLook(LARGE_NONNEGATIVE.label, style.PURPLE, "--", "P"),
    _ModelLook(LARGE.label, style.VERMILION, "-", "X"),
)
_BANK_COLOURS: Final = (
    style.ORANGE,
    style.BLUE,
    style.GREEN,
    style.PURPLE,
    style.VERMILION,
)


def draw_psf_figure(data: FigureData) -> CaptionedFigure:
    """Draw the error of every model against the size of the blur, and its spread over measured PSFs
    if there are any.

    Raises:
        UsageError: if there is no study in the folder that was named.
        DataError: if it is damaged.
    """
    from matplotlib.figure import Figure

    folder = data.options.psf
    rows = read_psf_fits(folder)
    apertures = _rows_by_group(rows, "aperture")
    lenses = _rows_by_group(rows, "measured")
    down = -(-(len(apertures) + 1) // _ACROSS)  # the legend has a place of its own
    heights = [1.7 * down]
    if lenses:
        heights.append(2.0)
    figure = Figure(figsize=(style.PAGE, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_aperture_panels(parts[0], apertures, down)
    if lenses:
        _draw_psf_boxes(parts[1].subplots(), lenses)
    about_boxes = ". "
    if lenses:
        about_boxes = ", and over measured PSFs (box: quartiles, line: median, whiskers: range). "
    caption = [
        "How well kernel models fit defocus PSFs: relative L2 error against the sigma of ideal "
        f"apertures{about_boxes}GKM: mixture of a bank of Gaussians up to M x M, with free or "
        f"non-negative coefficients. Errors below {_LEAST_ERROR:g} are drawn there."
    ]
    for name, lens_rows in lenses.items():
        caption.append(f"Measured PSFs, {name}: n = {lens_rows['name'].nunique()}.")
    caption.append(f"Fits: {FITS_FILE}, SHA-256 {checkpoints.hash_checkpoint(folder / FITS_FILE)}.")
    caption.append(name_drawing_suite())
    return CaptionedFigure(figure, caption)


def _rows_by_group(rows: pd.DataFrame, kind: str) -> dict[str, pd.DataFrame]:
    return {str(name): rows_of_group(rows, kind, name) for name in groups_of_kind(rows, kind)}


def _draw_aperture_panels(part: SubFigure, apertures: dict[str, pd.DataFrame], down: int) -> None:
    panels = part.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True)
    for axes, (name, rows) in zip(panels.flat, apertures.items(), strict=False):
        for look in _MODEL_LOOKS:
            _plot_errors(axes, rows, look, marker=look.marker, markersize=2.5)
        axes.set_title(name)
        axes.xaxis.set_tick_params(labelbottom=True)
    for axes in panels.flat[len(apertures) :]:
        axes.set_axis_off()
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center")
    panels.flat[0].set_yscale("log")
    panels.flat[0].yaxis.set_major_formatter("{x:g}")
    part.supxlabel("sigma of the aperture (px)", size=7.5)
    part.supylabel("relative L2 error ↓", size=7.5)


def _plot_errors(axes: Axes, rows: pd.DataFrame, look: _ModelLook, **line: Any) -> None:
    """Plot the error of one model by the size of an aperture."""
    model_rows = rows[rows["model"] == look.label].sort_values("sigma")
    errors = model_rows["l2"].clip(lower=_LEAST_ERROR)
    axes.plot(model_rows["sigma"], errors, look.line, color=look.colour, label=look.label, **line)


def _draw_psf_boxes(axes: Axes, lenses: dict[str, pd.DataFrame]) -> None:
    """Draw a box over the PSFs of each lens for each model."""
    count = len(_MODEL_LOOKS)
    for group, rows in enumerate(lenses.values()):
        for place, look in enumerate(_MODEL_LOOKS):
            line = {"color": look.colour, "linestyle": look.line, "linewidth": 1.0}
            axes.boxplot(
                rows.loc[rows["model"] == look.label, "l2"],
                positions=[group + (place - (count - 1) / 2) / (count + 1)],
                widths=0.8 / (count + 1),
                whis=(0, 100),
                showfliers=False,
                manage_ticks=False,
                boxprops=line,
                medianprops=line,
                whiskerprops=line,
                capprops=line,
            )
    axes.set_xticks(range(len(lenses)), [style.printable_name(name) for name in lenses])
    axes.set_xlabel("measured PSFs")
    axes.set_ylabel("relative L2 error ↓")
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")


# The study's own figures
# --------------------------------------------------------------------------------------------------


def draw_psf_errors(rows: pd.DataFrame) -> Figure:
    """Draw the error against the blur size: a panel per aperture, and one for the disk with banks
    of several sizes.
    """
    from matplotlib.figure import Figure

    names = groups_of_kind(rows, "aperture")
    figure = Figure(figsize=(12, 7), layout="constrained")
    figure.suptitle(
        f"Fits to ideal apertures (errors below {_LEAST_ERROR:g} are drawn there)", fontsize=10
    )
    panels = figure.subplots(2, math.ceil((len(names) + 1) / 2), sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        _draw_error_panel(axes, rows_of_group(rows, "aperture", name), _MODEL_LOOKS)
        axes.set_title(name)
    bank_axes = panels[len(names)]
    _draw_error_panel(bank_axes, rows_of_group(rows, "aperture", names[0]), _bank_looks())
    bank_axes.set_title(f"{names[0]}, mixtures of several banks")
    bank_axes.legend(fontsize=7, ncols=2, loc="lower right")
    panels[len(names) - 1].legend(fontsize=7, loc="lower right")
    for axes in panels[len(names) + 1 :]:
        axes.set_visible(False)
    return figure


def _bank_looks() -> list[_ModelLook]:
    looks = []
    for size, colour in zip(BANK_SIZES, _BANK_COLOURS, strict=True):
        looks.append(_ModelLook(PsfModel("gkm", size).label, colour, "-"))
        looks.append(_ModelLook(PsfModel("gkm >= 0", size).label, colour, "--"))
    return looks


def _draw_error_panel(axes: Axes, rows: pd.DataFrame, looks: Sequence[_ModelLook]) -> None:
    for look in looks:
        _plot_errors(axes, rows, look, linewidth=1.4)
    axes.set_yscale("log")
    axes.set_xlabel("sigma of the aperture (px)")
    axes.set_ylabel("relative L2 error")
    axes.grid(alpha=0.3)


def draw_psf_examples(examples: Mapping[str, Mapping[str, psf_fit.FamilyFit]]) -> Figure:
    """Draw, for each example, the PSF, its fits, their residuals beneath them, and the radial
    profiles.

    Args:
        examples: title -> label of the model -> its fit; the same models for each.
    """
    from matplotlib.figure import Figure

    columns = max(len(fits) for fits in examples.values()) + 2
    figure = Figure(figsize=(2 * columns, 4.2 * len(examples)), layout="constrained")
    panels = figure.subplots(2 * len(examples), columns, squeeze=False)
    for index, (title, fits) in enumerate(examples.items()):
        _draw_example(panels[2 * index : 2 * index + 2], title, fits)
    return figure


def _draw_example(panels: NDArray[Any], title: str, fits: Mapping[str, psf_fit.FamilyFit]) -> None:
    """Draw one example in two lines of panels."""
    target = next(iter(fits.values())).target
    size = max(target.shape)
    peak = float(target.max())
    kernel_scale = {"cmap": "cividis", "vmin": 0, "vmax": peak}
    residual_scale = {"cmap": style.DIVERGING, "vmin": -peak / 2, "vmax": peak / 2}
    _show_kernel(panels[0, 0], _resize_about_centre(target, size), title, kernel_scale)
    panels[1, 0].set_axis_off()
    panels[1, 0].text(0.5, 0.5, "fit - PSF\n(registered)", ha="center", va="center")
    for column, (label, fit) in enumerate(fits.items(), start=1):
        kernel = _resize_about_centre(fit.kernel, size)
        residual = kernel - _resize_about_centre(fit.target, size)
        _show_kernel(panels[0, column], kernel, label.replace(", ", "\n"), kernel_scale)
        _show_kernel(panels[1, column], residual, f"L2 {fit.errors.l2:.3f}", residual_scale)
    panels[1, -1].set_axis_off()
    profiles_axes = panels[0, -1]
    _draw_profiles(profiles_axes, target, fits)
    handles, labels = profiles_axes.get_legend_handles_labels()
    panels[1, -1].legend(handles, labels, loc="upper center", fontsize=6)


def _draw_profiles(axes: Axes, target: Float64Array, fits: Mapping[str, psf_fit.FamilyFit]) -> None:
    """Draw the radial means of a PSF and of its fits."""
    size = max(target.shape)
    radius = np.arange(0, size // 2 + 1)
    looks = {look.label: look for look in _MODEL_LOOKS}
    profile = _radial_mean(target, radius)
    axes.plot(radius, profile, "-", color="#888888", label="PSF", linewidth=3)
    for label, fit in fits.items():
        profile = _radial_mean(_resize_about_centre(fit.kernel, size), radius)
        look = looks[label]
        axes.plot(radius, profile, look.line, color=look.colour, label=label, linewidth=1)
    axes.set_xlabel("radius (px)", fontsize=7)
    axes.set_title("radial mean", fontsize=8)
    axes.tick_params(labelsize=6)


def _show_kernel(axes: Axes, kernel: Float64Array, title: str, scale: Mapping[str, Any]) -> None:
    axes.imshow(kernel, interpolation="nearest", **scale)
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _resize_about_centre(array: Float64Array, size: int) -> Float64Array:
    """Return an odd-sized array cut or padded with zeros to `size` x `size` about its centre."""
    for axis in (0, 1):
        extra = (size - array.shape[axis]) // 2
        if extra >= 0:
            margins = [(0, 0), (0, 0)]
            margins[axis] = (extra, extra)
            array = np.pad(array, margins)
        else:
            array = array.take(range(-extra, array.shape[axis] + extra), axis=axis)
    return array


def _radial_mean(array: Float64Array, radius: NDArray[np.int_]) -> Float64Array:
    """Return the mean over all pixels whose distance from the centre rounds to each radius."""
    rows, columns = (np.arange(size) - size // 2 for size in array.shape)
    distance = np.rint(np.hypot(rows[:, None], columns)).astype(int)
    return np.array([array[distance == each].mean() for each in radius])
