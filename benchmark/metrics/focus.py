"""Where a picture is in focus, as far as a data set knows it."""

from __future__ import annotations

import math

import numpy as np

from benchmark.api import MAP_CROP_RIGHT, Mask, Sample

IN_FOCUS_SIGMA = math.sqrt(2 * math.log(2)) / math.pi
"""Sigma in pixels, 0.375 (a disk of radius 0.75), at which a Gaussian leaves half the contrast of
the finest detail: exp(-2 pi^2 sigma^2 f^2) = 1/2 at f = 1/2 cycles per pixel. Below it, a pixel
counts as in focus.
"""


def find_in_focus(sample: Sample) -> Mask | None:
    """Return where a sample is in focus, H x W; None where the data set does not say.

    The true blur map decides (columns that the sample wants left out of scores of maps are not in
    focus), else the mask.
    """
    if sample.blur_map is not None:
        in_focus = sample.blur_map < np.float32(IN_FOCUS_SIGMA)
        in_focus[:, in_focus.shape[1] - int(sample.meta.get(MAP_CROP_RIGHT, 0)) :] = False
        return in_focus
    if sample.mask is not None:
        return ~sample.mask
    return None
