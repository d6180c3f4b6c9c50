"""The sRGB transfer function (IEC 61966-2-1) and its inverse.

A lens adds light, not code values, so blur is computed on linear values. Both functions continue
beyond [0, 1]: above 1 by the same formula, below 0 by odd symmetry (as extended sRGB, IEC
61966-2-2, does), so no value is lost on the way.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.arrays import Float32Array

Light = Literal["srgb", "linear"]
"""What the values of a picture are: sRGB codes, or linear light."""

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


def linear_slope(code: Float32Array) -> Float32Array:
    """Return the slope of `to_linear` at code values of any shape, over one 8-bit level around
    them.

    A small error of a code value, times this, is the error of its linear light.
    """
    half = np.float32(ONE_LEVEL / 2)
    return (to_linear(code + half) - to_linear(code - half)) / (2 * half)
