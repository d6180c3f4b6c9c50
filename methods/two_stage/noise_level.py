"""How noisy a picture is, measured from the picture alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NORMAL_MAD = 0.6744897501960817
"""Median of |z| for a standard normal z."""


def noise_level(planes: NDArray[np.floating]) -> float:
    """Return the standard deviation of white noise, in the units of `planes`.

    The robust estimate of Donoho and Johnstone (Biometrika 1994): the median absolute value of the
    finest diagonal wavelet band, here of the Haar wavelet on disjoint 2 x 2 blocks. Fine texture
    counts as noise, and so does a little of any sharp picture; noise that is smooth across pixels
    (demosaicked, JPEG) is underestimated.

    Args:
        planes: H x W or H x W x C.

    Returns:
        0 for pictures narrower than 2 pixels, which hold no such block.
    """
    height, width = planes.shape[:2]
    rows = height - height % 2
    columns = width - width % 2
    if rows == 0 or columns == 0:
        return 0.0
    blocks = np.asarray(planes[:rows, :columns], dtype=np.float64)
    across = blocks[:, ::2] - blocks[:, 1::2]
    diagonal = (across[::2] - across[1::2]) / 2
    return float(np.median(np.abs(diagonal))) / _NORMAL_MAD
