"""Names for kinds of arrays, and the product of two.

What a picture, a blur map and a mask are stands in `api`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

Float64Array = NDArray[np.float64]

FloatArray = NDArray[np.floating[Any]]
"""Of any floating type."""

Complex64Array = NDArray[np.complex64]

Complex128Array = NDArray[np.complex128]

Plane = NDArray[np.float32]
"""H x W: one number per pixel, of any meaning (a blur map is a `Map`)."""

Box = tuple[slice, slice]
"""Rows and columns of a part of a picture."""


def weigh_channels(picture: Float32Array, weight: Float32Array) -> Float32Array:
    """Return an H x W x 3 picture times an H x W weight."""
    return cv2.multiply(picture, repeat_channels(weight))  # type: ignore[return-value]


def repeat_channels(weight: Float32Array) -> Float32Array:
    """Return an H x W weight for each of three channels; NumPy's broadcast is 5 times slower."""
    return cv2.merge([weight, weight, weight])  # type: ignore[return-value]
