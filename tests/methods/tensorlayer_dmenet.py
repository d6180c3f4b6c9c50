"""The authors' DMENet as TensorLayer names it: the arrays of its file, and what they compute.

Written from the description of the program, with TensorFlow's operations and in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

PREFIX = "main_net/defocus_net/"
ENCODER = (64, 128, 256, 512, 512)
DECODER = (256, 128, 64, 64)
_COUNTS = (2, 2, 4, 4, 4)
Layer = tuple[str, str, int, int, int]
"""Scopes of a convolution and of its normalisation (or none), size, inputs, outputs."""


def list_layers(
    encoder: tuple[int, ...] = ENCODER, decoder: tuple[int, ...] = DECODER
) -> Iterator[Layer]:
    """Yield the layers in the order in which they are applied."""
    inputs = 3
    for stage, (width, count) in enumerate(zip(encoder, _COUNTS, strict=True), 1):
        for number in range(1, count + 1):
            yield f"encoder/conv{stage}_{number}", "", 3, inputs, width
            inputs = width
    for stage, width in zip((3, 2, 1), decoder[:3], strict=True):
        inputs += encoder[stage]
        for number in (1, 2, 3):
            yield f"decoder/u{stage}/c{number}", f"decoder/u{stage}/b{number}", 3, inputs, width
            inputs = width
    width = decoder[3]
    yield "decoder/u0/c_init", "decoder/u0/b_init", 3, inputs + encoder[0], width
    for block in range(7):
        for number in (1, 2):
            name = f"{block}_{number}"
            yield f"decoder/u0/c{name}", f"decoder/u0/b{name}", 3, width, width
        yield f"decoder/u0/c_res{block}", f"decoder/u0/b_res{block}", 1, width, width
    yield "decoder/uf/c1", "decoder/uf/b1", 3, width, 64
    yield "decoder/uf/c2", "decoder/uf/b2", 3, 64, 32
    yield "decoder/uf/c3", "", 3, 32, 1


def list_shapes(
    encoder: tuple[int, ...] = ENCODER, decoder: tuple[int, ...] = DECODER, prefix: str = PREFIX
) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every array."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv, norm, size, inputs, outputs in list_layers(encoder, decoder):
        shapes[f"{prefix}{conv}/kernel:0"] = (size, size, inputs, outputs)
        shapes[f"{prefix}{conv}/bias:0"] = (outputs,)
        for leaf in ("beta:0", "moving_mean:0", "moving_variance:0") if norm else ():
            shapes[f"{prefix}{norm}/{leaf}"] = (outputs,)
    return shapes


def draw_arrays(
    encoder: tuple[int, ...] = ENCODER, decoder: tuple[int, ...] = DECODER
) -> dict[str, NDArray[np.float32]]:
    """Return random weights of which every layer does something."""
    generator = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, shape in list_shapes(encoder, decoder).items():
        value = generator.standard_normal(shape)
        if name.endswith("kernel:0"):
            value *= (2 / np.prod(shape[:-1])) ** 0.5
        elif name.endswith("variance:0"):
            value = 1 + 0.5 * np.abs(value)
        else:
            value *= 0.1
        arrays[name] = value.astype(np.float32)
    return arrays


class Program:
    """The network of the given arrays."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self._arrays = {name.removeprefix(PREFIX): value for name, value in arrays.items()}

    def __call__(self, picture: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the defocus map, H x W, of H x W x 3 RGB in [0, 1]; H and W multiples of 16."""
        pixels = 255 * np.array(picture, np.float64)[..., ::-1]
        pixels = pixels - np.array([103.939, 116.779, 123.68])
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        skips = []
        for stage, count in enumerate(_COUNTS, 1):
            x = F.max_pool2d(x, 2) if stage > 1 else x
            for number in range(1, count + 1):
                x = self._convolve(x, f"encoder/conv{stage}_{number}").relu()
            skips.append(x)
        skips.pop()
        for stage in (3, 2, 1):
            x = self._double_and_join(x, skips.pop())
            for number in (1, 2, 3):
                x = self._unit(x, f"decoder/u{stage}/", str(number))
        x = self._unit(self._double_and_join(x, skips.pop()), "decoder/u0/", "_init")
        for block in range(7):
            branch = self._unit(x, "decoder/u0/", f"{block}_1")
            branch = self._unit(branch, "decoder/u0/", f"{block}_2")
            x = branch + self._unit(x, "decoder/u0/", f"_res{block}")
        x = self._unit(self._unit(x, "decoder/uf/", "1"), "decoder/uf/", "2")
        return self._convolve(x, "decoder/uf/c3").sigmoid()[0, 0].numpy()

    def _double_and_join(self, x: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([x.repeat_interleave(2, 2).repeat_interleave(2, 3), skip], 1)

    def _unit(self, x: Tensor, scope: str, number: str) -> Tensor:
        x = self._convolve(x, f"{scope}c{number}")
        mean, variance, beta = (
            self._array(f"{scope}b{number}/{leaf}").view(1, -1, 1, 1)
            for leaf in ("moving_mean:0", "moving_variance:0", "beta:0")
        )
        x = (x - mean) / (variance + 1e-5).sqrt() + beta
        return torch.where(x > 0, x, 0.2 * x)

    def _convolve(self, x: Tensor, scope: str) -> Tensor:
        kernel = self._array(f"{scope}/kernel:0").permute(3, 2, 0, 1)
        x = F.pad(x, [kernel.shape[2] // 2] * 4, mode="replicate") if kernel.shape[2] > 1 else x
        return F.conv2d(x, kernel, self._array(f"{scope}/bias:0"))

    def _array(self, name: str) -> Tensor:
        return torch.from_numpy(self._arrays[name].astype(np.float64))
