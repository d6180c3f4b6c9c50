"""The mixing coefficients of Gaussian kernel mixtures: how strong each kernel is, maps of the
strongest, and the blur they amount to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Map, Mixture, Sample, Unavailable
from benchmark.optics import gkm
from benchmark.reports import live
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData, name_drawing_suite
from benchmark.reports.figures.style import CaptionedFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

_MAPS: Final = 6
"""Maps of a mixture, at most: of its strongest kernels."""
_LEAST_COLUMNS: Final = 4
"""Columns of maps, at least, so that few maps are not larger than the picture above them."""
_LEAST_SHARE: Final = 0.1
"""Of the strongest kernel's mean magnitude; weaker ones would be blank maps."""
_BAR_TICKS: Final = 4
"""Steps of the scale below a map, at most; the numbers of two neighbours then stand apart."""
_BARS_WIDTH: Final = 1.5
"""Of the bars of all kernels, in maps."""


class _NamedMixture(NamedTuple):
    """A mixture with its name, and what it was computed with."""

    title: str
    mixture: Mixture
    note: str


def draw_coefficients_figure(data: FigureData) -> CaptionedFigure:
    """Draw the coefficient maps of every method that has a mixture, for one picture without added
    noise.

    Raises:
        Unavailable: if no method of the runs has one, with the reasons of those that might have; if
            the data set is not there.
    """
    name = data.samples[0]
    sample = data.read_sample(data.open_dataset(), name)
    reasons: list[str] = []
    method_mixtures = list(_method_mixtures(data, sample, reasons))
    if not method_mixtures:
        raise Unavailable(
            "; ".join(reasons) or "no method of the runs mixes Gaussian kernels (GKMNet does)"
        )
    mixtures = [*_true_mixture(sample), *method_mixtures]
    titles = {mixture.title for mixture in method_mixtures}
    methods = [method for method in data.methods if data.title(method) in titles]
    caption = [
        f"Mixing coefficients for {name} of {data.dataset}, no noise added. Above: the picture, "
        "its true blur where it is known, and the effective sigma, the mean of the kernels' "
        "nominal sigmas weighted by |beta|. Below: gamma of eq. (7) of GKMNet's paper: gamma = 1 - "
        "beta for the delta (0 px), -beta for the others, so that a pixel left as it is stays "
        f"white. Bars: its mean magnitude for every kernel. Maps: of the {_MAPS} strongest kernels "
        f"at most (dark bars), by their sigma; those below {100 * _LEAST_SHARE:g} % of the "
        "strongest would be blank. Each set of maps has one colour scale, symmetric about 0; the "
        "maps above have their own."
    ]
    caption += [f"{mixture.title}: {mixture.note}." for mixture in mixtures]
    caption += [f"Not shown: {reason}." for reason in reasons]
    caption += [*data.describe([name], methods), name_drawing_suite()]
    return CaptionedFigure(_layout_coefficients(sample, mixtures), caption)


def effective_sigma(mixture: Mixture) -> Map:
    """Return the mean of the kernels' sigmas weighted by |beta|, H x W in px; 0 where all
    coefficients are 0.
    """
    weights = np.abs(mixture.beta, dtype=np.float64)
    total = weights.sum(axis=0)
    mean = np.tensordot(np.asarray(mixture.sigmas), weights, axes=1) / np.where(total > 0, total, 1)
    return np.asarray(mean, dtype=np.float32)


def paper_gammas(mixture: Mixture) -> NDArray[np.float32]:
    """Return gamma of eq. (7), K x H x W: 1 - beta for the delta, -beta for the other kernels."""
    gammas = -mixture.beta
    gammas[[sigma == 0 for sigma in mixture.sigmas]] += 1
    return gammas


def strongest_kernels(gammas: NDArray[np.float32]) -> list[int]:
    """Return which of the K kernels of K x H x W coefficients have maps worth a look, ascending: at
    most six, of the greatest mean magnitude.
    """
    strengths = _mean_magnitudes(gammas)
    order = np.argsort(-strengths, kind="stable")[:_MAPS]
    least = _LEAST_SHARE * float(strengths.max())
    return sorted(int(kernel) for kernel in order if strengths[kernel] >= least)


def _mean_magnitudes(gammas: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.abs(gammas).mean(axis=(1, 2), dtype=np.float64))


def _true_mixture(sample: Sample) -> Iterator[_NamedMixture]:
    """Yield the mixture that a simulated picture was blurred with, if it was."""
    if sample.meta.get("psf") == "gkm" and sample.blur_map is not None:
        bank = gkm.paper_bank()
        mixture = Mixture(bank.sigmas, gkm.mixing_coefficients(sample.blur_map, bank))
        yield _NamedMixture(
            "true model",
            mixture,
            f"what the picture was blurred with, in linear light (bank: {bank.label})",
        )


def _method_mixtures(
    data: FigureData, sample: Sample, reasons: list[str]
) -> Iterator[_NamedMixture]:
    """Yield the mixture of each method; why one that might have some has none goes to `reasons`."""
    for estimate in live.estimate_mixtures(data.registered_names(), sample, data.track, reasons):
        note = f"weights SHA-256 {estimate.weights}" if estimate.weights else "without weights"
        yield _NamedMixture(data.title(estimate.method), estimate.mixture, note)


def _layout_coefficients(sample: Sample, mixtures: Sequence[_NamedMixture]) -> Figure:
    from matplotlib.figure import Figure

    height, width = sample.image.shape[:2]
    aspect = height / width
    overview: dict[str, Map] = {}
    if sample.blur_map is not None:
        overview["true blur"] = sample.blur_map
    for each in mixtures:
        overview[f"effective sigma: {each.title}"] = effective_sigma(each.mixture)
    across = max(3, len(overview) + 1)
    map_columns = _count_map_columns(mixtures)
    line_height = style.PAGE / (map_columns + _BARS_WIDTH) * 0.9 * aspect + 0.5
    heights = [style.PAGE / across * 0.95 * aspect + 0.7, *[line_height] * len(mixtures)]
    figure = Figure(figsize=(style.PAGE, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_overview_panels(parts[0], across, sample, overview)
    for part, each in zip(parts[1:], mixtures, strict=True):
        title = style.printable_name(each.title, 100)
        part.suptitle(title, x=0.01, horizontalalignment="left", size=8)
        widths = [_BARS_WIDTH, *[1] * map_columns]
        panels = part.subplots(1, 1 + map_columns, width_ratios=widths)
        _draw_strengths(panels[0], each.mixture)
        _draw_gamma_panels(part, panels[1:], each.mixture)
    return figure


def _count_map_columns(mixtures: Sequence[_NamedMixture]) -> int:
    """Return how many columns hold the maps of the mixture that has most of them."""
    counts = [len(strongest_kernels(paper_gammas(each.mixture))) for each in mixtures]
    return max(_LEAST_COLUMNS, *counts)


def _draw_overview_panels(
    part: SubFigure, across: int, sample: Sample, maps: Mapping[str, Map]
) -> None:
    from matplotlib.ticker import MaxNLocator

    panels, bars = part.subplots(2, across, height_ratios=[1, 0.04])
    _show_plane(panels[0], np.clip(sample.image, 0, 1), "input")
    bars[0].set_axis_off()
    for axes, bar, (title, values) in zip(panels[1:], bars[1:], maps.items(), strict=False):
        image = _show_plane(axes, values, title, cmap=style.SEQUENTIAL, vmin=0)
        steps = MaxNLocator(_BAR_TICKS)
        part.colorbar(image, cax=bar, label="px", orientation="horizontal", ticks=steps)
    for axes in (*panels[1 + len(maps) :], *bars[1 + len(maps) :]):
        axes.set_visible(False)


def _draw_strengths(axes: Axes, mixture: Mixture) -> None:
    """Draw how strong each kernel is; dark are those that have a map."""
    gammas = paper_gammas(mixture)
    with_map = strongest_kernels(gammas)
    colours = [style.BLUE if kernel in with_map else "#bbbbbb" for kernel in range(len(gammas))]
    step = float(np.diff(sorted(mixture.sigmas)).min()) if len(mixture.sigmas) > 1 else 1.0
    axes.bar(mixture.sigmas, _mean_magnitudes(gammas), 0.8 * step, color=colours)
    axes.set_xlabel("kernel's sigma (px)", size=6.5)
    axes.set_ylabel("mean |gamma|", size=6.5)
    axes.locator_params(axis="y", nbins=4)


def _draw_gamma_panels(part: SubFigure, panels: NDArray[Any], mixture: Mixture) -> None:
    gammas = paper_gammas(mixture)
    with_map = strongest_kernels(gammas)
    top = float(np.quantile(np.abs(gammas[with_map]), 0.999)) or 1.0
    scale = {"cmap": f"{style.DIVERGING}_r", "vmin": -top, "vmax": top}
    for axes, kernel in zip(panels, with_map, strict=False):
        title = f"sigma {mixture.sigmas[kernel]:g}"
        image = _show_plane(axes, gammas[kernel], title, **scale)
    for axes in panels[len(with_map) :]:
        axes.set_visible(False)
    part.colorbar(image, ax=panels.tolist(), label="gamma", shrink=0.8)


def _show_plane(axes: Axes, values: NDArray[np.float32], title: str, **looks: Any) -> AxesImage:
    image = axes.imshow(values, **looks)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.set_title(style.wrap_name(title, 22, 3), pad=2, size=6.5)
    return image
