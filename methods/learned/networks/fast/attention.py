"""Triplet attention in one or two passes over memory, where torch makes many; on a CPU.

Each function has the gradient of the plain form it stands for
(`benchmark.methods.learned.networks.gkmnet`); where a maximum is reached more than once, the first
place gets it all. Every loop runs on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numba
import numpy as np
import torch
from numba.extending import overload
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from benchmark.methods.learned.networks.blocks import to_single_precision
from benchmark.methods.learned.networks.fast.loops import (
    LoopArray,
    compile_loop,
    to_channels_last_array,
)

_LEAST_INT32 = np.int32(-(2**31))
_MAGNITUDE = np.int32(2**31 - 1)


class AxisArrays(NamedTuple):
    """What belongs to a picture H x W x C with one axis left out: a pool, a gate, or places.

    Attributes:
        over_rows: W x C.
        over_columns: H x C.
        over_channels: H x W.
    """

    over_rows: LoopArray
    over_columns: LoopArray
    over_channels: LoopArray


def pool_over_axes(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return maximum and mean of N x C x H x W over rows, columns, and channels: N x 2 x C x W, H x
    C, and H x W.
    """
    return cast(tuple[Tensor, Tensor, Tensor], _PoolOverAxes.apply(to_single_precision(x)))


def apply_gates(
    x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor
) -> Tensor:
    """Return a picture times the mean of three gates, N x 1 x (C x W, H x C, H x W)."""
    tensors = map(to_single_precision, (x, over_rows, over_columns, over_channels))
    return cast(Tensor, _ApplyGates.apply(*tensors))


def add_rectified_and_pool(
    branch: Tensor, trunk: Tensor, output: Tensor, over_columns: Tensor, over_channels: Tensor
) -> Tensor:
    """Add a rectified branch to the trunk, and pool the sum; for inference.

    Args:
        branch, trunk: 1 x C x H x W.
        output: receives the sum; stored in channels_last.
        over_columns, over_channels: receive maximum and sum over columns, 2 x H x C, and over
            channels, 2 x H x W.

    Returns:
        Maximum and sum over rows, 2 x W x C.
    """
    over_rows = output.new_empty(2, output.shape[3], output.shape[1])
    _add_rectified_and_pool(
        to_channels_last_array(branch)[0],
        to_channels_last_array(trunk)[0],
        to_channels_last_array(output)[0],
        AxisArrays(over_rows.numpy(), over_columns.numpy(), over_channels.numpy()),
    )
    return over_rows


def add_rectified(branch: Tensor, trunk: Tensor) -> Tensor:
    """Return a rectified branch plus the trunk, 1 x C x H x W, in the memory of the branch; for
    inference.
    """
    output = branch.contiguous(memory_format=torch.channels_last)
    _add_rectified(
        to_channels_last_array(output).reshape(-1), to_channels_last_array(trunk).reshape(-1)
    )
    return output


def apply_gates_for_inference(
    x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor
) -> Tensor:
    """Return 1 x C x H x W times the mean of the gates W x C, H x C and H x W."""
    output = torch.empty_like(x, memory_format=torch.channels_last)
    gates = AxisArrays(over_rows.numpy(), over_columns.numpy(), over_channels.numpy())
    _apply_gates(to_channels_last_array(x)[0], gates, to_channels_last_array(output)[0])
    return output


class _PoolOverAxes(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, c, h, w = x.shape
        shapes = ((w, c), (h, c), (h, w))
        pools = [x.new_empty(n, 2, *shape) for shape in shapes]
        peaks = [x.new_empty(n, *shape, dtype=torch.int32) for shape in shapes]
        for index in range(n):
            _pool_over_axes(
                to_channels_last_array(x)[index],
                _get_arrays(pools, index),
                _get_arrays(peaks, index),
            )
        ctx.shape = x.shape
        ctx.save_for_backward(*peaks)
        over_rows, over_columns, over_channels = pools
        return over_rows.mT, over_columns, over_channels

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor
    ) -> Tensor:
        parts = (over_rows.mT, over_columns, over_channels)
        pool_gradients = [part.contiguous() for part in parts]
        gradient = torch.empty(ctx.shape, memory_format=torch.channels_last)
        for index in range(ctx.shape[0]):
            _pool_gradient(
                to_channels_last_array(gradient)[index],
                _get_arrays(pool_gradients, index),
                _get_arrays(ctx.saved_tensors, index),
            )
        return gradient


class _ApplyGates(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor
    ) -> Tensor:
        parts = (over_rows.mT, over_columns, over_channels)
        gates = [part[:, 0].contiguous() for part in parts]
        output = torch.empty_like(x, memory_format=torch.channels_last)
        for index in range(len(x)):
            _apply_gates(
                to_channels_last_array(x)[index],
                _get_arrays(gates, index),
                to_channels_last_array(output)[index],
            )
        ctx.save_for_backward(x, *gates)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, *gates = ctx.saved_tensors
        x_gradient = torch.empty_like(x, memory_format=torch.channels_last)
        gate_gradients = [torch.zeros_like(gate) for gate in gates]
        for index in range(len(x)):
            _gate_gradients(
                to_channels_last_array(gradient)[index],
                to_channels_last_array(x)[index],
                _get_arrays(gates, index),
                to_channels_last_array(x_gradient)[index],
                _get_arrays(gate_gradients, index),
            )
        over_rows, over_columns, over_channels = gate_gradients
        return (
            x_gradient,
            over_rows.mT[:, None],
            over_columns[:, None],
            over_channels[:, None],
        )


def _get_arrays(tensors: Sequence[Tensor], index: int) -> AxisArrays:
    """Return what belongs to one picture of a batch."""
    over_rows, over_columns, over_channels = (tensor[index].numpy() for tensor in tensors)
    return AxisArrays(over_rows, over_columns, over_channels)


@compile_loop
def _add_rectified(branch: LoopArray, trunk: LoopArray) -> None:
    """Rectify and add in place."""
    for i in range(branch.size):
        branch[i] = max(branch[i], np.float32(0)) + trunk[i]


def _find_largest(x: LoopArray) -> np.floating:
    """Return the largest of some numbers."""
    largest: np.floating = x.max()
    return largest


def _find_largest_single(x: LoopArray) -> np.floating:
    """Return the largest of some float32, found among integers in the same order: for those it
    takes vectors.
    """
    peak = _LEAST_INT32
    for i in range(x.size):
        bits = np.float32(x[i]).view(np.int32)
        peak = max(peak, np.int32(bits ^ ((bits >> 31) & _MAGNITUDE)))
    return np.int32(peak ^ ((peak >> 31) & _MAGNITUDE)).view(np.float32)


@overload(_find_largest)
def _choose_find_largest(x: LoopArray) -> Callable[[LoopArray], np.floating]:
    """Return which of the two numba compiles; it asks with the type of x, annotated alike."""
    if x.dtype == numba.float32:
        return _find_largest_single
    return _find_largest


@compile_loop
def _add_rectified_and_pool(
    branch: LoopArray, trunk: LoopArray, output: LoopArray, pools: AxisArrays
) -> None:
    """Fill the sum H x W x C, and maxima and sums of it, 2 x (W x C, H x C, H x W)."""
    height, width, channels = output.shape
    over_rows, over_columns, over_channels = pools
    over_rows[0] = -np.inf
    over_columns[0] = -np.inf
    over_rows[1] = 0
    over_columns[1] = 0
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                output[h, w, c] = max(branch[h, w, c], np.float32(0)) + trunk[h, w, c]
            total = np.float32(0)
            for c in range(channels):
                total += output[h, w, c]
            over_channels[0, h, w] = _find_largest(output[h, w])
            over_channels[1, h, w] = total
            for c in range(channels):
                over_columns[0, h, c] = max(over_columns[0, h, c], output[h, w, c])
                over_columns[1, h, c] += output[h, w, c]
            for c in range(channels):
                over_rows[0, w, c] = max(over_rows[0, w, c], output[h, w, c])
                over_rows[1, w, c] += output[h, w, c]


@compile_loop
def _pool_over_axes(x: LoopArray, pools: AxisArrays, peaks: AxisArrays) -> None:
    """Fill maxima and means (2 x W x C, H x C, H x W) and the places of the maxima from H
    x W x C.
    """
    height, width, channels = x.shape
    over_rows, over_columns, over_channels = pools
    peak_row, peak_column, peak_channel = peaks
    over_rows[0] = -np.inf
    over_columns[0] = -np.inf
    over_rows[1] = 0
    over_columns[1] = 0
    for h in range(height):
        for w in range(width):
            total = np.float32(0)
            for c in range(channels):
                total += x[h, w, c]
            peak = _find_largest(x[h, w])
            over_channels[0, h, w] = peak
            over_channels[1, h, w] = total / channels
            for c in range(channels):
                if x[h, w, c] == peak:
                    peak_channel[h, w] = c
                    break
            for c in range(channels):
                higher = x[h, w, c] > over_columns[0, h, c]
                over_columns[0, h, c] = x[h, w, c] if higher else over_columns[0, h, c]
                peak_column[h, c] = w if higher else peak_column[h, c]
            for c in range(channels):
                over_columns[1, h, c] += x[h, w, c]
            for c in range(channels):
                higher = x[h, w, c] > over_rows[0, w, c]
                over_rows[0, w, c] = x[h, w, c] if higher else over_rows[0, w, c]
                peak_row[w, c] = h if higher else peak_row[w, c]
            for c in range(channels):
                over_rows[1, w, c] += x[h, w, c]
    over_rows[1] /= height
    over_columns[1] /= width


@compile_loop
def _pool_gradient(gradient: LoopArray, pool_gradients: AxisArrays, peaks: AxisArrays) -> None:
    """Fill H x W x C from the gradients of maxima and means."""
    height, width, channels = gradient.shape
    over_rows, over_columns, over_channels = pool_gradients
    peak_row, peak_column, peak_channel = peaks
    row_share = np.float32(1 / height)
    column_share = np.float32(1 / width)
    for h in range(height):
        for w in range(width):
            same = over_channels[1, h, w] / channels
            for c in range(channels):
                gradient[h, w, c] = (
                    row_share * over_rows[1, w, c] + column_share * over_columns[1, h, c] + same
                )
            gradient[h, w, peak_channel[h, w]] += over_channels[0, h, w]
        for c in range(channels):
            gradient[h, peak_column[h, c], c] += over_columns[0, h, c]
    for w in range(width):
        for c in range(channels):
            gradient[peak_row[w, c], w, c] += over_rows[0, w, c]


@compile_loop
def _apply_gates(x: LoopArray, gates: AxisArrays, output: LoopArray) -> None:
    """Fill H x W x C with x times the mean of the gates W x C, H x C, H x W."""
    height, width, channels = x.shape
    over_rows, over_columns, over_channels = gates
    for h in range(height):
        for w in range(width):
            same = over_channels[h, w]
            for c in range(channels):
                output[h, w, c] = (
                    x[h, w, c] * (over_rows[w, c] + over_columns[h, c] + same) * np.float32(1 / 3)
                )


@compile_loop
def _gate_gradients(
    gradient: LoopArray,
    x: LoopArray,
    gates: AxisArrays,
    x_gradient: LoopArray,
    gate_gradients: AxisArrays,
) -> None:
    """Fill the gradient of x, and add those of the gates to theirs."""
    height, width, channels = x.shape
    over_rows, over_columns, over_channels = gates
    rows_gradient, columns_gradient, channels_gradient = gate_gradients
    third = np.float32(1 / 3)
    for h in range(height):
        for w in range(width):
            same = over_channels[h, w]
            for c in range(channels):
                share_gradient = gradient[h, w, c] * third
                x_gradient[h, w, c] = share_gradient * (over_rows[w, c] + over_columns[h, c] + same)
            total = np.float32(0)
            for c in range(channels):
                total += gradient[h, w, c] * third * x[h, w, c]
            channels_gradient[h, w] = total
            for c in range(channels):
                rows_gradient[w, c] += gradient[h, w, c] * third * x[h, w, c]
            for c in range(channels):
                columns_gradient[h, c] += gradient[h, w, c] * third * x[h, w, c]
