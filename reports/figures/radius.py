"""Quality by the size of the blur, where the true blur map is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmark import imageio
from benchmark.api import MAP_CROP_RIGHT, Map, Picture, Sample, Unavailable
from benchmark.arrays import Float64Array
from benchmark.metrics.psnr import PSNR_CAP
from benchmark.metrics.tracks import Track
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import Kept, Source
from benchmark.reports.figures.style import CaptionedFigure

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
        which = np.maximum(np.digitize(blur_map.ravel(), SIGMA_EDGES, right=True), 1) - 1
        pixels = np.bincount(which, minlength=_BINS)
        self.pixels += pixels
        self.pictures += pixels > 0
        self.sigma += np.bincount(which, blur_map.ravel(), _BINS)
        for method, output in outputs.items():
            error = np.square(np.clip(output, 0, 1) - target, dtype=np.float64).mean(axis=2)
            self.errors[method] = self.errors.get(method, np.zeros(_BINS)) + np.bincount(
                which, error.ravel(), _BINS
            )

    def psnr(self, method: str) -> Float64Array:
        """Return the PSNR of the mean squared error over all pixels of each bin in dB, at most 100;
        NaN without any.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Float64Array = -10 * np.log10(self.errors[method] / self.pixels)
            return np.minimum(found, PSNR_CAP)

    def middle(self) -> Float64Array:
        """Return the mean sigma of each bin's pixels; NaN without any."""
        with np.errstate(invalid="ignore"):
            return self.sigma / self.pixels


def draw_radius_figure(source: Source) -> CaptionedFigure:
    """Draw the PSNR at the lowest noise level by true sigma, the gain over the input, and how many
    pixels there are.

    Raises:
        Unavailable: without outputs, targets or true maps.
        DataError: if the data set is not there.
    """
    level = source.levels[0]
    kept = source.kept(level)
    there = {each.cell.method for some in kept.values() for each in some}
    methods = [name for name in source.methods if name in there]
    common = {sample: some for sample, some in kept.items() if len(some) == len(methods)}
    if not common:
        raise Unavailable(f"no picture has a kept output of all of {', '.join(methods)}")
    notes = []
    if left_out := [name for name in source.methods if name not in there]:
        notes.append(f"Without kept outputs at this level: {', '.join(left_out)}.")
    if len(common) < len(source.samples):
        notes.append(f"Over the {len(common)} of {len(source.samples)} pictures that all have.")
    sums = _sum_over_pictures(source, common)
    if sums.pixels.max() < LEAST_PIXELS:
        raise Unavailable(f"no bin of sigma has {LEAST_PIXELS} pixels")
    return CaptionedFigure(
        _layout_radius(source, methods, sums),
        [
            f"Quality by blur on {source.dataset} at noise {level}: PSNR of the mean squared "
            f"error over all pixels "
            "whose true sigma lies in a bin, of all pictures together, so that pictures count by "
            "their pixels. Outputs "
            f"were clamped. Points stand at the mean sigma of their bin; bins of fewer than "
            f"{LEAST_PIXELS} pixels are left "
            f"out. Below: how many of the {sums.pixels.sum():,.0f} pixels a bin has; above the "
            f"bars, in how many "
            "pictures.",
            *notes,
            *source.about(common, methods),
        ],
    )


def _sum_over_pictures(source: Source, kept: Mapping[str, Sequence[Kept]]) -> BlurSums:
    adapter, track, sums = source.adapter(), Track.parse(source.track), BlurSums()
    for name, some in kept.items():
        sample = source.load(adapter, name)
        if sample.target is None or sample.blur_map is None:
            lacks = "target" if sample.target is None else "true blur map"
            raise Unavailable(f"{source.dataset}: {name} has no {lacks}")
        target = track.frame(sample.target)
        outputs = {each.cell.method: imageio.read_array(each.folder / each.output) for each in some}
        if {output.shape for output in outputs.values()} | {target.shape} != {sample.image.shape}:
            raise Unavailable(
                f"input track {source.track} changes the size of pictures, so true maps do not "
                f"fit them"
            )
        seen = _trusted_columns(sample)
        sums.add(
            sample.blur_map[:, seen],
            target[:, seen],
            {method: output[:, seen] for method, output in outputs.items()},
        )
    return sums


def _trusted_columns(sample: Sample) -> slice:
    """Return the columns where the true map is trusted."""
    return slice(sample.image.shape[1] - int(sample.meta.get(MAP_CROP_RIGHT, 0)))


def _layout_radius(source: Source, methods: Sequence[str], sums: BlurSums) -> Figure:
    from matplotlib.figure import Figure

    gains = "input" in methods and len(methods) > 1
    heights = [2, 2, 1] if gains else [2, 1]
    figure = Figure(figsize=(style.COLUMN, 1.1 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for method in methods:
        _draw_blur_curve(axes[0], source, method, sums, sums.psnr(method))
    axes[0].set_ylabel("PSNR (dB) ↑")
    if gains:
        for method in methods:
            _draw_blur_curve(axes[1], source, method, sums, sums.psnr(method) - sums.psnr("input"))
        axes[1].set_ylabel("change from input (dB)")
    _draw_pixel_counts(axes[-1], sums)
    handles, names = axes[0].get_legend_handles_labels()
    style.add_figure_legend(figure, dict(zip(names, handles, strict=True)))
    return figure


def _draw_blur_curve(
    axes: Axes, source: Source, method: str, sums: BlurSums, values: Float64Array
) -> None:
    there = sums.pixels >= LEAST_PIXELS
    axes.plot(
        sums.middle()[there],
        values[there],
        label=source.title(method),
        markersize=3,
        **source.looks[method].of_lines(),
    )


def _draw_pixel_counts(axes: Axes, sums: BlurSums) -> None:
    there = np.flatnonzero(sums.pixels >= LEAST_PIXELS)
    lows = np.array(SIGMA_EDGES)[there]
    highs = np.minimum(np.array(SIGMA_EDGES)[there + 1], lows + 2)  # the last bin is open
    counts = sums.pixels[there] / 1000
    axes.bar(
        lows, counts, highs - lows, align="edge", color="#bbbbbb", edgecolor="white", linewidth=0.5
    )
    for middle, count, pictures in zip(
        (lows + highs) / 2, counts, sums.pictures[there], strict=True
    ):
        axes.text(middle, count, f"{pictures:.0f}", size=5.5, ha="center", va="bottom")
    axes.margins(y=0.25)
    axes.set_ylabel("pixels (thousand)")
    axes.set_xlabel("true sigma of the blur (px)")
