"""Names for kinds of arrays; what a picture, a blur map and a mask are stands in `api`."""

from __future__ import annotations

from typing import Any

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
