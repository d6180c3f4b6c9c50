"""Lattices: regular patterns of a few pixels that a network weaves into smooth regions.

Layers that up-sample by two leave patterns of period 2, 4 and 8 (Odena, Dumoulin and Olah,
Deconvolution and Checkerboard Artifacts, Distill 2016). In the power spectrum each is a peak at
1/2, 1/4 or 1/8 cycles per pixel that its neighbours do not share, whatever the texture beneath.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BeforeValidator

from benchmark.api import Metric, MetricCard
from benchmark.arrays import Float64Array
from benchmark.metrics.inputs import as_pair

PERIODS = (2, 4, 8)
"""Pixels."""

WINDOW = 64
"""Side in pixels of the windows; a multiple of every period, so that each peak falls on a bin."""

_STEP = WINDOW // 2
_SMOOTH_SHARE = 0.25
"""The windows with the least gradients, as a share of all."""

_LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, on code values."""

_TAPER = np.outer(np.hanning(WINDOW + 1)[:-1], np.hanning(WINDOW + 1)[:-1])
"""Periodic Hann; a peak spreads over its own bin and the next one on either side."""

_NEAREST, _FARTHEST = 2, 4
"""Distances in bins, on the larger axis, of the neighbours that a peak is compared with."""

_ROUNDING_POWER = (1 / 255) ** 2 / 12 * float(np.sum(_TAPER**2))
"""Power per bin of rounding to 8 bits; what is far below it cannot be seen in a file."""


class Lattice(Metric):
    """How far the peaks of `measure_lattices` stand out, in dB: of one period, or the largest of
    all.

    The reference is the target, or the input where there is no target. 0 dB is no lattice, 10 dB a
    peak of ten times the power. (A mean of ratios would be the mean of its largest.)
    """

    card = MetricCard(
        title="lattice",
        unit="dB",
        higher_is_better=False,
        paper="spectral peak at periods 2, 4, 8 px over its neighbours, relative to the reference",
        digits=1,
        reference="target or input",
    )

    def __init__(
        self, *, period: Annotated[Literal[2, 4, 8], BeforeValidator(int)] | None = None
    ) -> None:
        """Choose the period in pixels, None for the largest of all; the card of the instance names
        it.
        """
        self._period = period
        if period is not None:
            self.card = dataclasses.replace(Lattice.card, title=f"lattice {period} px")

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return 10 log10 of the ratio; raises ValueError as `measure_lattices` does."""
        ratios = measure_lattices(output, target)
        ratio = max(ratios.values()) if self._period is None else ratios[self._period]
        return 10 * math.log10(ratio)


def measure_lattices(
    output: NDArray[np.floating], reference: NDArray[np.floating]
) -> dict[int, float]:
    """Return for each period in pixels how much its spectral peak stands out of its neighbours, as
    a ratio of the output's to the reference's; 1 where the output weaves no lattice.

    The smoothest quarter of the reference's windows (64 x 64 pixels, overlapping by half) is
    looked at in both pictures. Welch's power spectrum of their luma, plus the power that rounding
    to 8 bits has, is read at 1/period cycles per pixel along one axis and 0, 1/period, -1/period
    or 1/2 along the other: stripes, diagonals and chequers. The height of a peak is its power over
    the median of the bins at distance 2 to 4, and 1 where it is less, which is no peak. The largest
    ratio of these frequencies is returned. As the largest of several noisy ratios it tends to lie
    above 1: for pictures that are only blurred it is about 1.3 at period 2, 2.2 at period 8.

    Args:
        output: H x W x 3, sRGB codes on the [0, 1] scale, not necessarily clamped.
        reference: H x W x 3, the target, or the input where there is none.

    Raises:
        ValueError: if the shapes differ, or a side is shorter than 64 pixels.
    """
    output_pixels, reference_pixels = as_pair(output, reference, WINDOW, "lattice")
    output_luma, reference_luma = output_pixels @ _LUMA, reference_pixels @ _LUMA
    smoothest = _choose_smoothest(reference_luma)
    output_power = _average_power(_view_windows(output_luma)[smoothest])
    reference_power = _average_power(_view_windows(reference_luma)[smoothest])
    return {
        period: max(
            _peak_height(output_power, rows, columns) / _peak_height(reference_power, rows, columns)
            for rows, columns in _lattice_bins(period)
        )
        for period in PERIODS
    }


def _view_windows(plane: Float64Array, height: int = WINDOW, width: int = WINDOW) -> Float64Array:
    """Return the windows, rows x columns x height x width, without a copy."""
    return sliding_window_view(plane, (height, width))[::_STEP, ::_STEP]


def _choose_smoothest(luma: Float64Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns, among the windows, of those with the least gradients."""
    down = _view_windows(np.square(np.diff(luma, axis=0)), height=WINDOW - 1)
    across = _view_windows(np.square(np.diff(luma, axis=1)), width=WINDOW - 1)
    gradients = down.mean(axis=(2, 3)) + across.mean(axis=(2, 3))
    count = max(1, round(gradients.size * _SMOOTH_SHARE))
    order = np.argsort(gradients, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, gradients.shape)
    return rows, columns


def _average_power(windows: Float64Array) -> Float64Array:
    """Return the 64 x 64 power spectrum, averaged over the windows."""
    deviations = windows - windows.mean(axis=(1, 2), keepdims=True)
    spectra = np.fft.fft2(deviations * _TAPER)
    power: Float64Array = np.mean(np.abs(spectra) ** 2, axis=0) + _ROUNDING_POWER
    return power


def _lattice_bins(period: int) -> list[tuple[int, int]]:
    """Return the bins (rows, columns) of a period; a real picture's others are their mirrors."""
    step, half = WINDOW // period, WINDOW // 2
    one_axis = {(step, other % WINDOW) for other in (0, step, -step, half)}
    return sorted(one_axis | {(column, row) for row, column in one_axis})


def _peak_height(power: Float64Array, row: int, column: int) -> float:
    """Return the power of a bin over the median of its neighbours, at least 1."""
    offsets = np.arange(-_FARTHEST, _FARTHEST + 1)
    patch = power[np.ix_((row + offsets) % WINDOW, (column + offsets) % WINDOW)]
    distance = np.maximum(np.abs(offsets)[:, None], np.abs(offsets)[None, :])
    return max(1.0, float(power[row, column] / np.median(patch[distance >= _NEAREST])))
