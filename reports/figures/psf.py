"""How well kernel models fit PSFs of ideal apertures and of a lens: the study of
`benchmark.studies.psf` as one figure for a paper, and as the two figures of its own folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.arrays import Float64Array
from benchmark.optics import psf_fit
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData, name_drawing_suite
from benchmark.reports.figures.labels import label_lines
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.reports.psf_study import (
    FITS_FILE,
    groups_of_kind,
    read_psf_fits,
    rows_of_group,
)
from benchmark.studies.psf import (
    BANK_SIZES,
    DISK,
    FREE,
    GAUSSIAN,
    GENERALISED,
    LARGE,
    LARGE_NONNEGATIVE,
    NONNEGATIVE,
    PsfModel,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    _ModelLook(NONNEGATIVE.label, style.PURPLE, "--", "v"),
    _ModelLook(FREE.label, style.BLUE, "-", "D"),
    _ModelLook(LARGE.label, style.VERMILION, "-", "P"),
)
_NOT_DRAWN: Final = (
    f"{LARGE_NONNEGATIVE.label} is not drawn, so that the others can be told apart; {FITS_FILE} "
    "has it."
)
_BANK_COLOURS: Final = (
    style.ORANGE,
    style.BLUE,
    style.GREEN,
    style.PURPLE,
    style.VERMILION,
)
_BANK_LABELS: Final = tuple(PsfModel("gkm", size).label for size in BANK_SIZES)
_BANK_MARKERS: Final = "oD^vP"
_BANK_LOOKS: Final = tuple(
    _ModelLook(label, colour, "-", marker)
    for label, colour, marker in zip(_BANK_LABELS, _BANK_COLOURS, _BANK_MARKERS, strict=True)
)


def draw_psf_figure(data: FigureData) -> CaptionedFigure:
    """Draw the error of every model against the size of the blur, and its spread over measured PSFs
    if there are any.

    Raises:
        UsageError: if there is no study in the folder that was named.
        DataError: if it is damaged.
    """
    folder = data.options.psf
    rows = read_psf_fits(folder)
    lenses = _rows_by_group(rows, "measured")
    about_boxes = ". "
    if lenses:
        about_boxes = ", and over measured PSFs (box: quartiles, line: median, whiskers: range). "
    caption = [
        "How well kernel models fit defocus PSFs: relative L2 error against the sigma of ideal "
        f"apertures{about_boxes}GKM: mixture of a bank of Gaussians up to M x M, with free or "
        f"non-negative coefficients. Errors below {_LEAST_ERROR:g} are drawn there. {_NOT_DRAWN}"
    ]
    for name, lens_rows in lenses.items():
        caption.append(f"Measured PSFs, {name}: n = {lens_rows['name'].nunique()}.")
    caption.append(f"Fits: {FITS_FILE}, SHA-256 {checkpoints.hash_checkpoint(folder / FITS_FILE)}.")
    caption.append(name_drawing_suite())
    return CaptionedFigure(draw_psf_errors(rows, lenses), caption)


def draw_psf_errors(
    rows: pd.DataFrame, lenses: Mapping[str, pd.DataFrame] = MappingProxyType({})
) -> Figure:
    """Draw the error against the blur size: a panel per aperture, one for the first of them with
    banks of several sizes, and boxes over the PSFs of each lens.
    """
    from matplotlib.figure import Figure

    apertures = _rows_by_group(rows, "aperture")
    has_banks = set(_BANK_LABELS) <= set(rows["model"])
    across = min(len(apertures), _ACROSS)
    down = -(-(len(apertures) + has_banks) // across)
    heights = [1.9 * down]
    if lenses:
        heights.append(2.0)
    figure = Figure(figsize=(style.PAGE, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    panels = parts[0].subplots(down, across, squeeze=False, sharex=True, sharey=True)
    labelled = _draw_aperture_panels(panels, apertures, has_banks)
    parts[0].supxlabel("sigma of the aperture (px)", size=7.5)
    parts[0].supylabel("relative L2 error ↓", size=7.5)
    if lenses:
        box_axes = parts[1].subplots()
        _draw_psf_boxes(box_axes, lenses)
        labelled.append(box_axes)
    label_lines(figure, labelled)
    return figure


def _rows_by_group(rows: pd.DataFrame, kind: str) -> dict[str, pd.DataFrame]:
    return {str(name): rows_of_group(rows, kind, name) for name in groups_of_kind(rows, kind)}


def _draw_aperture_panels(
    panels: NDArray[Any], apertures: Mapping[str, pd.DataFrame], has_banks: bool
) -> list[Axes]:
    """Draw the panels and return the last one of each line."""
    free = iter(panels.flat)
    for name, rows in apertures.items():
        _draw_error_panel(next(free), name, rows, _MODEL_LOOKS)
    if has_banks:
        name, rows = next(iter(apertures.items()))
        _draw_error_panel(next(free), f"{name}, free GKM of several banks", rows, _BANK_LOOKS)
    for axes in free:
        axes.set_axis_off()
    panels.flat[0].set_yscale("log")
    panels.flat[0].yaxis.set_major_formatter("{x:g}")
    drawn = [axes for axes in panels.flat if axes.lines]
    across = panels.shape[1]
    return [drawn[min(end, len(drawn)) - 1] for end in range(across, panels.size + 1, across)]


def _draw_error_panel(
    axes: Axes, title: str, rows: pd.DataFrame, looks: Sequence[_ModelLook]
) -> None:
    """Draw the error of each model by the size of an aperture."""
    for look in looks:
        model_rows = rows[rows["model"] == look.label].sort_values("sigma")
        errors = model_rows["l2"].clip(lower=_LEAST_ERROR)
        line: dict[str, Any] = {"marker": look.marker, "markersize": 2.5, "label": look.label}
        axes.plot(model_rows["sigma"], errors, look.line, color=look.colour, **line)
    axes.set_title(title)
    axes.xaxis.set_tick_params(labelbottom=True)


def _draw_psf_boxes(axes: Axes, lenses: Mapping[str, pd.DataFrame]) -> None:
    """Draw a box over the PSFs of each lens for each model; the last ones have labels."""
    count = len(_MODEL_LOOKS)
    for group, rows in enumerate(lenses.values()):
        for place, look in enumerate(_MODEL_LOOKS):
            line = {"color": look.colour, "linestyle": look.line, "linewidth": 1.0}
            boxes = axes.boxplot(
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
            if group == len(lenses) - 1:
                boxes["medians"][0].set_label(look.label)
    axes.set_xticks(range(len(lenses)), [style.printable_name(name) for name in lenses])
    axes.set_xlabel("measured PSFs")
    axes.set_ylabel("relative L2 error ↓")
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")


# Examples
# --------------------------------------------------------------------------------------------------


def draw_psf_examples(examples: Mapping[str, Mapping[str, psf_fit.FamilyFit]]) -> Figure:
    """Draw, for each example, the PSF, its fits, their residuals beneath them, and the radial
    profiles.

    Args:
        examples: title -> label of the model -> its fit; the same models for each.
    """
    from matplotlib.figure import Figure

    columns = max(len(fits) for fits in examples.values()) + 2
    figure = Figure(
        figsize=(style.PAGE, 2.5 * style.PAGE / columns * len(examples) + 0.4), layout="constrained"
    )
    panels = figure.subplots(2 * len(examples), columns, squeeze=False)
    for index, (title, fits) in enumerate(examples.items()):
        _draw_example(panels[2 * index : 2 * index + 2], title, fits)
    handles, labels = panels[0, -1].get_legend_handles_labels()
    style.add_figure_legend(figure, dict(zip(labels, handles, strict=True)))
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
    panels[1, 0].text(0.5, 0.5, "fit - PSF\n(registered)", ha="center", va="center", size=5.5)
    for column, (label, fit) in enumerate(fits.items(), start=1):
        kernel = _resize_about_centre(fit.kernel, size)
        residual = kernel - _resize_about_centre(fit.target, size)
        _show_kernel(panels[0, column], kernel, style.wrap_name(label, 12, 3), kernel_scale)
        _show_kernel(panels[1, column], residual, f"L2 {fit.errors.l2:.3f}", residual_scale)
    panels[1, -1].set_axis_off()
    _draw_profiles(panels[0, -1], target, fits)


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
    axes.set_xlabel("radius (px)", fontsize=5.5)
    axes.set_title("radial mean", fontsize=5.5)
    axes.tick_params(labelsize=5)


def _show_kernel(axes: Axes, kernel: Float64Array, title: str, scale: Mapping[str, Any]) -> None:
    axes.imshow(kernel, interpolation="nearest", **scale)
    axes.set_title(title, fontsize=5.5)
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
