"""Loops over arrays that numba compiles at their first call; they run without Python's lock.

Under autocast the functions that are made of them compute, and return, single precision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmark import compilation

LoopArray = NDArray[Any]
"""An array inside a loop: floating-point numbers, all of one precision, or indices."""

# Sums may be reordered, and maxima taken as if nothing were NaN: without that there are no vector
# instructions.
compile_loop: Callable[[Any], Callable[..., None]] = functools.partial(
    compilation.compile_function, fastmath={"reassoc", "contract", "nnan", "nsz"}
)


def to_channels_last_array(x: Tensor) -> NDArray[np.float32]:
    """Return N x C x H x W in the order of channels_last, N x H x W x C."""
    return x.detach().permute(0, 2, 3, 1).contiguous().numpy()
