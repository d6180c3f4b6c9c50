"""Quality by the size of the blur, where the true blur map is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmark import imageio
from benchmark.api import MAP_CROP_RIGHT, Map, Picture, Sample, Unavailable
from benchmark.arrays import Float64Array
from benchmark.metrics.psnr import PSNR_CAP
from benchmark.metrics.tracks import Track
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData, StoredOutput
from benchmark.reports.figures.labels import label_lines
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.run_layout import path_in_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SIGMA_EDGES: Final = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, np.inf)
"""Edges of the bins of true sigma in px; a bin holds its upper edge, the first one its lower edge
too.
"""
LEAST_PIXELS: Final = 500
"""Pixels that a bin must have to be drawn; the PSNR of a handful says nothing."""
_BINS: Final = len(SIGMA_EDGES) - 1


@dataclass(slots=True, eq=False)
class BlurSums:
    """What is summed over pictures, one number for each bin of `SIGMA_EDGES`.

    Attributes:
        pixels, pictures: how many.
        sigma: sum of the true sigma over the pixels, px.
        errors: method -> sum over pixels of the squared error (mean of the channels, [0, 1] scale,
            clamped output).
    """

    pixels: Float64Array = field(default_factory=lambda: np.zeros(_BINS))
    pictures: Float64Array = field(default_factory=lambda: np.zeros(_BINS))
    sigma: Float64Array = field(default_factory=lambda: np.zeros(_BINS))
    errors: dict[str, Float64Array] = field(default_factory=dict)

    def add(self, blur_map: Map, target: Picture, outputs: Mapping[str, Picture]) -> None:
        """Add a picture: H x W sigma, H x W x 3 target and what each method made of it."""
        sigma = blur_map.ravel()
        bins = np.maximum(np.digitize(sigma, SIGMA_EDGES, right=True), 1) - 1
        pixels = np.bincount(bins, minlength=_BINS)
        self.pixels += pixels
        self.pictures += pixels > 0
        self.sigma += np.bincount(bins, sigma, _BINS)
        for method, output in outputs.items():
            error = np.square(np.clip(output, 0, 1) - target, dtype=np.float64).mean(axis=2)
            errors = self.errors.setdefault(method, np.zeros(_BINS))
            errors += np.bincount(bins, error.ravel(), _BINS)

    def psnr(self, method: str) -> Float64Array:
        """Return the PSNR of the mean squared error over all pixels of each bin in dB, at most 100;
        NaN without any.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            psnr: Float64Array = -10 * np.log10(self.errors[method] / self.pixels)
            return np.minimum(psnr, PSNR_CAP)

    def middle(self) -> Float64Array:
        """Return the mean sigma of each bin's pixels; NaN without any."""
        with np.errstate(invalid="ignore"):
            return self.sigma / self.pixels


def draw_radius_figure(data: FigureData) -> CaptionedFigure:
    """Draw the PSNR at the lowest noise level by true sigma, the gain over the input, and how many
    pixels there are.

    Raises:
        Unavailable: without outputs, targets or true maps.
        DataError: if the data set is not there.
    """
    level = data.levels[0]
    outputs = data.outputs(level)
    methods_with_outputs: set[str] = set()
    for sample_outputs in outputs.values():
        methods_with_outputs.update(each.cell.method for each in sample_outputs)
    methods = [name for name in data.methods if name in methods_with_outputs]
    common = {
        sample: sample_outputs
        for sample, sample_outputs in outputs.items()
        if len(sample_outputs) == len(methods)
    }
    if not common:
        raise Unavailable(f"no picture has a kept output of all of {', '.join(methods)}")
    sums = _sum_over_pictures(data, common)
    if sums.pixels.max() < LEAST_PIXELS:
        raise Unavailable(f"no bin of sigma has {LEAST_PIXELS} pixels")
    caption = [
        f"Quality by blur on {data.dataset} at noise {level}: PSNR of the mean squared error over "
        "all pixels whose true sigma lies in a bin, of all pictures together, so that pictures "
        "count by their pixels. Outputs were clamped. Points stand at the mean sigma of their "
        f"bin; bins of fewer than {LEAST_PIXELS} pixels are left out. Below: how many of the "
        f"{sums.pixels.sum():,.0f} pixels a bin has; above the bars, in how many pictures."
    ]
    missing = [name for name in data.methods if name not in methods_with_outputs]
    if missing:
        caption.append(f"Without kept outputs at this level: {', '.join(missing)}.")
    if len(common) < len(data.samples):
        caption.append(f"Over the {len(common)} of {len(data.samples)} pictures that all have.")
    caption += data.describe(common, methods)
    return CaptionedFigure(_layout_radius(data, methods, sums), caption)


def _sum_over_pictures(data: FigureData, outputs: Mapping[str, Sequence[StoredOutput]]) -> BlurSums:
    adapter = data.open_dataset()
    track = Track.parse(data.track)
    sums = BlurSums()
    for name, sample_outputs in outputs.items():
        sample = data.read_sample(adapter, name)
        if sample.target is None:
            raise Unavailable(f"{data.dataset}: {name} has no target")
        if sample.blur_map is None:
            raise Unavailable(f"{data.dataset}: {name} has no true blur map")
        target = track.frame(sample.target)
        pictures = {
            each.cell.method: imageio.read_output(
                path_in_run(each.folder, each.output), each.digest
            )
            for each in sample_outputs
        }
        shapes = {target.shape, *(picture.shape for picture in pictures.values())}
        if shapes != {sample.image.shape}:
            raise Unavailable(
                f"input track {data.track} changes the size of pictures, so true maps do not fit "
                "them"
            )
        columns = _trusted_columns(sample)
        sums.add(
            sample.blur_map[:, columns],
            target[:, columns],
            {method: picture[:, columns] for method, picture in pictures.items()},
        )
    return sums


def _trusted_columns(sample: Sample) -> slice:
    """Return the columns where the true map is trusted."""
    return slice(sample.image.shape[1] - int(sample.meta.get(MAP_CROP_RIGHT, 0)))


def _layout_radius(data: FigureData, methods: Sequence[str], sums: BlurSums) -> Figure:
    from matplotlib.figure import Figure

    gains = "input" in methods and len(methods) > 1
    heights = [1.5, 2, 0.9] if gains else [2, 0.9]
    figure = Figure(figsize=(style.COLUMN, 1.0 * sum(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for method in methods:
        _draw_blur_curve(axes[0], data, method, sums, sums.psnr(method))
    axes[0].set_ylabel("PSNR (dB) ↑")
    if gains:
        for method in methods:
            _draw_blur_curve(axes[1], data, method, sums, sums.psnr(method) - sums.psnr("input"))
        axes[1].set_ylabel("gain over the\ninput (dB)")
    _draw_pixel_counts(axes[-1], sums)
    figure.align_ylabels()
    label_lines(figure, axes[:-1])
    return figure


def _draw_blur_curve(
    axes: Axes, data: FigureData, method: str, sums: BlurSums, values: Float64Array
) -> None:
    full_bins = sums.pixels >= LEAST_PIXELS
    axes.plot(
        sums.middle()[full_bins],
        values[full_bins],
        label=data.title(method),
        markersize=3,
        **data.looks[method].line_style(),
    )


def _draw_pixel_counts(axes: Axes, sums: BlurSums) -> None:
    full_bins = np.flatnonzero(sums.pixels >= LEAST_PIXELS)
    edges = np.array(SIGMA_EDGES)
    lows = edges[full_bins]
    highs = np.minimum(edges[full_bins + 1], lows + 2)  # the last bin is open
    middles = (lows + highs) / 2
    counts = sums.pixels[full_bins] / 1000
    pictures = sums.pictures[full_bins]
    bar_look: dict[str, Any] = {"color": "#bbbbbb", "edgecolor": "white", "linewidth": 0.5}
    axes.bar(lows, counts, highs - lows, align="edge", **bar_look)
    for middle, count, picture_count in zip(middles, counts, pictures, strict=True):
        axes.text(middle, count, f"{picture_count:.0f}", size=5.5, ha="center", va="bottom")
    axes.margins(y=0.25)
    axes.set_ylabel("pixels\n(thousand)")
    axes.set_xlabel("true sigma of the blur (px)")
