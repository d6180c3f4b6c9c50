"""OpenCV as a decoder of bytes."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from benchmark.imageio.levels import PixelLevels, UnsuitableFile


def decode_with_opencv(data: bytes) -> PixelLevels:
    """Return the levels that OpenCV decodes, in the order RGB(A), or grey.

    IMREAD_UNCHANGED is the flag that keeps 16 bits and alpha and ignores orientation.
    """
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None:
        raise UnsuitableFile("cannot be decoded")
    if levels.ndim == 3:
        levels = levels[..., [2, 1, 0, 3][: levels.shape[2]]]
    return cast("PixelLevels", levels)
