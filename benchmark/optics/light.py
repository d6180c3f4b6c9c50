"""The sRGB transfer function (IEC 61966-2-1) and its inverse.

A lens adds light, not code values, so blur is computed on linear values. Both functions continue
beyond [0, 1]: above 1 by the same formula, below 0 by odd symmetry (as extended sRGB, IEC
61966-2-2, does), so no value is lost on the way.
"""

from __future__ import annotations

from typing import Literal, cast

import cv2
import numpy as np

from benchmark.api import Picture
from benchmark.arrays import Float32Array

Light = Literal["srgb", "linear"]
"""What the values of a picture are: sRGB codes, or linear light."""

_DARK = np.float32(1e-3)  # of light, added to both means: in the dark no ratio is known

ONE_LEVEL = 1 / 255
"""Distance of two neighbouring 8-bit codes."""


def to_linear(code: Float32Array) -> Float32Array:
    """Return the linear light (float32, 1 is white) of sRGB code values on the [0, 1] scale, of any
    shape.
    """
    size = np.abs(code)
    power = ((size + 0.055) / 1.055) ** 2.4
    light = np.where(size <= 0.04045, size / 12.92, power)
    return np.copysign(light, code).astype(np.float32, copy=False)


def to_srgb(linear: Float32Array) -> Float32Array:
    """Return the sRGB code values (float32, 1 is white) of linear light, of any shape."""
    size = np.abs(linear)
    power = 1.055 * size ** (1 / 2.4) - 0.055
    code = np.where(size <= 0.0031308, size * 12.92, power)
    return np.copysign(code, linear).astype(np.float32, copy=False)


def srgb_to(light: Light, code: Float32Array) -> Float32Array:
    """Return sRGB code values in the given light; sRGB codes are not copied."""
    if light == "linear":
        return to_linear(code)
    return code


def srgb_from(light: Light, values: Float32Array) -> Float32Array:
    """Return the sRGB code values of values in the given light; sRGB codes are not copied."""
    if light == "linear":
        return to_srgb(values)
    return values


def take_local_light(picture: Picture, reference: Picture, reach: float) -> Picture:
    """Return a picture with the light that a reference has around each pixel.

    Defocus moves light and takes none away, so what restores a picture keeps the mean light of
    every neighbourhood that is large against the blur. The linear light of each colour is
    multiplied by the ratio of its Gaussian means in the two pictures.

    Args:
        picture: H x W x 3 sRGB code values; clipped to [0, 1].
        reference: H x W x 3 sRGB code values of the same size, not clipped, so that noise about
            black cancels.
        reach: standard deviation of the mean in pixels.

    Returns:
        H x W x 3 float32 sRGB code values, not clipped.
    """
    own_light = to_linear(np.clip(picture, 0, 1))
    wanted_mean = _average_light(to_linear(reference), reach)
    ratio = (wanted_mean + _DARK) / (_average_light(own_light, reach) + _DARK)
    return to_srgb(own_light * ratio)


def _average_light(linear: Picture, reach: float) -> Picture:
    """Return the Gaussian mean of light around each pixel."""
    mean = cv2.GaussianBlur(linear, (0, 0), reach, borderType=cv2.BORDER_REFLECT)
    return cast(Picture, mean)


def linear_slope(code: Float32Array) -> Float32Array:
    """Return the slope of `to_linear` at code values of any shape, over one 8-bit level around
    them.

    A small error of a code value, times this, is the error of its linear light.
    """
    half = np.float32(ONE_LEVEL / 2)
    return (to_linear(code + half) - to_linear(code - half)) / (2 * half)
