"""A blur kernel of a user's own: read from a file, and applied to a whole picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmark import imageio
from benchmark.api import DataError, Picture
from benchmark.arrays import Float64Array
from benchmark.optics import gkm
from benchmark.optics.psf import embed_kernel

_LARGEST_KERNEL = 1001
"""Rows and columns."""
_EXPECTED = "expected a grey picture, a .npy file, or a .mat file, that holds one kernel"


def read_kernel(path: Path) -> Float64Array:
    """Return a kernel: odd and square, sum 1, its middle where the point was.

    A side of even length gets a line of zeros behind it, a short side zeros on both ends.

    Args:
        path: a picture that `benchmark.imageio` reads, whose channels are averaged; a .npy file; or
            a .mat file up to version 7 with one matrix of more than one number.

    Raises:
        DataError: if the file is missing, damaged, too large, not one matrix, or holds a negative
            number, one that is not finite, or nothing but zeros.
    """
    try:
        values = np.asarray(_read_values(path))
    except Exception as error:  # decoders raise anything on damaged bytes
        reason = str(error).removeprefix(f"{path}: ").partition("; expected")[0]
        raise DataError(f"{path}: cannot be read as a kernel: {reason}; {_EXPECTED}") from error
    problem = _explain_problem(values)
    if problem is not None:
        raise DataError(f"{path}: {problem}; {_EXPECTED}")
    odd = np.pad(values.astype(np.float64), [(0, 1 - length % 2) for length in values.shape])
    return embed_kernel(odd / odd.sum(), max(odd.shape))


def measure_kernel_sigma(kernel: Float64Array) -> float:
    """Return the Gaussian-equivalent sigma of a kernel in pixels: the root of the mean of its
    variances along both axes, each about the kernel's own centre of mass.
    """
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    variances = []
    for axis in (0, 1):
        weights = kernel.sum(axis=axis)
        centre = weights @ offsets
        variances.append(weights @ (offsets - centre) ** 2)
    return math.sqrt(float(np.mean(variances)))


def convolve_light(linear: Picture, kernel: Float64Array) -> Picture:
    """Return light convolved with one kernel everywhere; the picture goes on as its mirror image.

    Args:
        linear: H x W x 3 float32, whatever adds up.
        kernel: odd and square.
    """
    margin = len(kernel) // 2
    padded = cv2.copyMakeBorder(linear, margin, margin, margin, margin, gkm.BORDER)
    turned = kernel[::-1, ::-1]  # `cv2.filter2D` correlates
    blurred = cv2.filter2D(padded, -1, turned, borderType=cv2.BORDER_CONSTANT)
    height, width = linear.shape[:2]
    return np.ascontiguousarray(blurred[margin : margin + height, margin : margin + width])


def _read_values(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if suffix == ".mat":
        return _read_matrix(path)
    return imageio.read(path, allow_float=True)[0].mean(axis=2)


def _read_matrix(path: Path) -> Any:
    """Return the only matrix of numbers in a MATLAB file; raises ValueError if there are more."""
    from scipy.io import loadmat, whosmat

    shapes = {name: shape for name, shape, _ in whosmat(path) if math.prod(shape) > 1}
    if len(shapes) != 1:
        raise ValueError(f"holds {len(shapes)} matrices, not one")
    ((name, shape),) = shapes.items()
    if max(shape) > _LARGEST_KERNEL:
        raise ValueError(f"its matrix is {shape}, larger than {_LARGEST_KERNEL} pixels")
    return loadmat(path, variable_names=[name])[name]


def _explain_problem(values: np.ndarray[Any, Any]) -> str | None:
    if values.ndim != 2 or values.dtype.kind not in "uif":
        return f"holds {values.shape} {values.dtype}, not one matrix of numbers"
    if max(values.shape) > _LARGEST_KERNEL:
        return f"is {values.shape[1]}x{values.shape[0]}, larger than {_LARGEST_KERNEL} pixels"
    if not np.isfinite(values).all():
        return "holds numbers that are not finite"
    if values.min(initial=0) < 0:
        return "holds negative numbers"
    if not values.any():
        return "holds nothing but zeros"
    return None
