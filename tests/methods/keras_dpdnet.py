"""The authors' DPDNet as Keras lays it out: its 24 convolutions in a file, and what they compute.

Written from the description of the program, with TensorFlow's operations and in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

WIDTHS = (64, 128, 256, 512, 1024)


def list_kernels(channels: int, widths: Sequence[int] = WIDTHS) -> Iterator[tuple[int, ...]]:
    """Yield height, width, inputs and outputs of the kernels, in the order of the graph."""
    inputs = channels
    for width in widths:
        yield 3, 3, inputs, width
        yield 3, 3, width, width
        inputs = width
    for width in reversed(widths[:-1]):
        yield 2, 2, 2 * width, width
        yield 3, 3, 2 * width, width
        yield 3, 3, width, width
    yield 3, 3, widths[0], 3
    yield 1, 1, 3, 3


def list_shapes(
    channels: int, widths: Sequence[int] = WIDTHS, first: int = 1
) -> dict[str, tuple[int, ...]]:
    """Return LAYER/WEIGHT -> shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, kernel in enumerate(list_kernels(channels, widths), first):
        shapes[f"conv2d_{number}/kernel:0"] = kernel
        shapes[f"conv2d_{number}/bias:0"] = kernel[-1:]
    return shapes


def draw_arrays(
    channels: int, widths: Sequence[int] = WIDTHS, first: int = 1
) -> dict[str, NDArray[np.float32]]:
    """Return random weights of which every layer does something."""
    generator = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, shape in list_shapes(channels, widths, first).items():
        spread = (2 / np.prod(shape[:-1])) ** 0.5 if len(shape) == 4 else 0.1
        arrays[name] = (spread * generator.standard_normal(shape)).astype(np.float32)
    return arrays


def run(
    arrays: dict[str, NDArray[np.float32]], picture: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return what the program makes of H x W x C in [0, 1], BGR; H and W multiples of 16."""
    layers = iter(zip(list(arrays.values())[::2], list(arrays.values())[1::2], strict=True))
    x = torch.from_numpy(np.array(picture, np.float64)).permute(2, 0, 1)[None]
    skips: list[Tensor] = []
    for stage in range(5):
        x = F.max_pool2d(x, 2) if stage else x
        x = _convolve(_convolve(x, layers).relu(), layers).relu()
        skips.append(x)
    skips.pop()
    while skips:
        up = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = _convolve(up, layers).relu()
        x = _convolve(torch.cat([skips.pop(), x], 1), layers).relu()
        x = _convolve(x, layers).relu()
    x = _convolve(_convolve(x, layers).relu(), layers).sigmoid()
    return x[0].permute(1, 2, 0).numpy()


def _convolve(x: Tensor, layers: Iterator[tuple[NDArray[np.float32], ...]]) -> Tensor:
    """Apply the next convolution; `same` pads an even kernel at the bottom and the right."""
    kernel, bias = (torch.from_numpy(value.astype(np.float64)) for value in next(layers))
    size = kernel.shape[0]
    before, after = (size - 1) // 2, size // 2
    padded = F.pad(x, (before, after, before, after))
    return F.conv2d(padded, kernel.permute(3, 2, 0, 1), bias)
