"""The GCM with its gates and its mixing, in one or two passes over memory, where torch makes many;
on a CPU.

Each function has the gradient of the plain form it stands for
(`benchmark.methods.learned.networks.gkmnet`). Fixed Gaussian filters run on all of torch's threads,
a strip of rows each; the mixing of responses that torch has computed runs on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from benchmark.methods.learned.networks.fast import strips
from benchmark.methods.learned.networks.fast.loops import LoopArray, compile_loop
from benchmark.methods.learned.networks.fast.strips import Result

_CHUNK = 2048
"""Pixels at a time, so that what they add up to stays in the fastest cache."""
_FLAT = 2048
"""Numbers of the rows that the GCM filters at a time, likewise."""


class FilterArrays(NamedTuple):
    """The arrays of `Filters`."""

    taps: LoopArray
    halves: LoopArray
    colours: LoopArray
    gates: LoopArray


class Filters(NamedTuple):
    """C channels, each a colour filtered by a symmetric separable kernel and gated.

    Attributes:
        taps: C x (h + 1), of one axis from the centre outwards.
        halves: C half sizes of the kernels, beyond which their taps are zero.
        colours, gates: C indices.
    """

    taps: Tensor
    halves: Tensor
    colours: Tensor
    gates: Tensor

    def arrays(self) -> FilterArrays:
        """Return them as the loops take them."""
        return FilterArrays(*(tensor.numpy() for tensor in self))


class FilterGradients(NamedTuple):
    """Where the gradients of `filter_and_mix` go.

    Attributes:
        gates: H x W x K.
        picture: 3 x (H + 2 h) x (W + 2 h), or 3 x 0 x 0 if there is none.
        weight: 3 x C.
    """

    gates: LoopArray
    picture: LoopArray
    weight: LoopArray


class MixGradients(NamedTuple):
    """Where the gradients of `mix_gated_responses` go.

    Attributes:
        gates: K x P.
        responses: 3 x K x P, or 3 x K x 0 if there is none.
        weight: 3 x 3 x K.
    """

    gates: LoopArray
    responses: LoopArray
    weight: LoopArray


def mix_gated_responses(gates: Tensor, responses: Tensor, weight: Tensor) -> Tensor:
    """Return the mixture of gated responses, N x 3 x H x W.

    Args:
        gates: N x K x H x W.
        responses: N x 3 x K x H x W, of three colours to K kernels.
        weight: 3 x 3 x K, of every response (second and third axis) in every colour of the mixture.
    """
    return cast(Tensor, _MixGatedResponses.apply(gates, responses, weight))


def filter_and_mix(gates: Tensor, picture: Tensor, weight: Tensor, filters: Filters) -> Tensor:
    """Return gated and mixed responses of pictures to Gaussian filters, N x 3 x H x W.

    Args:
        gates: N x K x H x W.
        picture: N x 3 x (H + 2 h) x (W + 2 h), continued by the half size h of the largest filter
            on all sides.
        weight: 3 x C, how much of each channel every colour receives.
        filters: the C channels.
    """
    return cast(Tensor, _FilterAndMix.apply(gates, picture, weight, filters))


def add_filtered_mixture(
    output: Tensor, picture: Tensor, gates: Tensor, weight: Tensor, filters: Filters
) -> None:
    """Add gated and mixed responses of a picture to Gaussian filters; for inference.

    Args:
        output: 3 x H x W, added to.
        picture: 3 x (H + 2 h) x (W + 2 h).
        gates: H x W x K.
        weight, filters: as for `filter_and_mix`.
    """
    _add_filtered_mixture(
        output.numpy(), picture.numpy(), gates.numpy(), weight.numpy(), filters.arrays()
    )


class _FilterAndMix(Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, picture: Tensor, weight: Tensor, filters: Filters
    ) -> Tensor:
        n, _, height, width = gates.shape
        rim = filters.taps.shape[1] - 1
        output = picture.new_empty(n, 3, height, width)
        for index in range(n):

            def fill_strip(first: int, end: int, index: int = index) -> None:
                mixture = output.new_zeros(3, end - first, width)
                rows = picture[index, :, first : end + 2 * rim].contiguous()
                strip_gates = gates[index, :, first:end].permute(1, 2, 0)
                add_filtered_mixture(mixture, rows, strip_gates, weight, filters)
                output[index, :, first:end] = mixture

            _map_strips_per_thread(fill_strip, height)
        ctx.save_for_backward(gates, picture, weight)
        ctx.filters = filters
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        gates, picture, weight = ctx.saved_tensors
        n, k, height, width = gates.shape
        rim = ctx.filters.taps.shape[1] - 1
        gates_gradient = gates.new_empty(n, height, width, k)
        picture_gradient = torch.zeros_like(picture) if ctx.needs_input_grad[1] else None
        weight_gradient = torch.zeros_like(weight)
        for index in range(n):

            def differentiate_strip(
                first: int, end: int, index: int = index
            ) -> tuple[slice, Tensor, Tensor]:
                rows = slice(first, end + 2 * rim)
                strip = picture[index, :, rows].contiguous()
                strip_gradient = strip.new_zeros(3, 0, 0)
                if picture_gradient is not None:
                    strip_gradient = torch.zeros_like(strip)
                strip_weight_gradient = torch.zeros_like(weight)
                _filter_gradient(
                    gradient[index, :, first:end].contiguous().numpy(),
                    strip.numpy(),
                    gates[index, :, first:end].permute(1, 2, 0).numpy(),
                    weight.numpy(),
                    ctx.filters.arrays(),
                    FilterGradients(
                        gates_gradient[index, first:end].numpy(),
                        strip_gradient.numpy(),
                        strip_weight_gradient.numpy(),
                    ),
                )
                return rows, strip_gradient, strip_weight_gradient

            for rows, strip_gradient, strip_weight_gradient in _map_strips_per_thread(
                differentiate_strip, height
            ):
                weight_gradient += strip_weight_gradient
                if picture_gradient is not None:  # strips have their rims in common
                    picture_gradient[index, :, rows] += strip_gradient
        return gates_gradient.permute(0, 3, 1, 2), picture_gradient, weight_gradient, None


class _MixGatedResponses(Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, responses: Tensor, weight: Tensor) -> Tensor:
        n, _, _, h, w = responses.shape
        gates = gates.flatten(2).contiguous()
        responses = responses.flatten(3).contiguous()
        weight = weight.contiguous()
        mixture = gates.new_zeros(n, 3, h * w)
        for index in range(n):
            _mix_gated_responses(
                gates[index].numpy(),
                responses[index].numpy(),
                weight.numpy(),
                mixture[index].numpy(),
            )
        ctx.save_for_backward(gates, responses, weight)
        return mixture.view(n, 3, h, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        gates, responses, weight = ctx.saved_tensors
        n, _, h, w = gradient.shape
        gradient = gradient.contiguous().view(n, 3, h * w)
        gates_gradient = torch.empty_like(gates)
        weight_gradient = torch.zeros_like(weight)
        needs_responses = ctx.needs_input_grad[1]
        if needs_responses:
            responses_gradient = torch.empty_like(responses)
        else:
            responses_gradient = responses.new_empty(n, 3, weight.shape[2], 0)
        for index in range(n):
            _mix_gradient(
                gradient[index].numpy(),
                gates[index].numpy(),
                responses[index].numpy(),
                weight.numpy(),
                MixGradients(
                    gates_gradient[index].numpy(),
                    responses_gradient[index].numpy(),
                    weight_gradient.numpy(),
                ),
            )
        gates_gradient = gates_gradient.view(n, -1, h, w)
        if not needs_responses:
            return gates_gradient, None, weight_gradient
        return gates_gradient, responses_gradient.view(n, 3, -1, h, w), weight_gradient


def _map_strips_per_thread(function: Callable[[int, int], Result], height: int) -> list[Result]:
    """Return `function(first, end)` of strips of a picture, one on each of torch's threads."""
    rows = -(-height // torch.get_num_threads())
    return list(strips.map_strips(function, height, rows))


@compile_loop
def _mix_gated_responses(
    gates: LoopArray, responses: LoopArray, weight: LoopArray, mixture: LoopArray
) -> None:
    """Add to 3 x P from gates K x P, responses 3 x K x P and weights 3 x 3 x K."""
    kernels, pixels = gates.shape
    for first in range(0, pixels, _CHUNK):
        end = min(first + _CHUNK, pixels)
        for k in range(kernels):
            for c in range(3):
                red = weight[c, 0, k]
                green = weight[c, 1, k]
                blue = weight[c, 2, k]
                for p in range(first, end):
                    response = (
                        red * responses[0, k, p]
                        + green * responses[1, k, p]
                        + blue * responses[2, k, p]
                    )
                    mixture[c, p] += gates[k, p] * response


@compile_loop
def _mix_gradient(
    gradient: LoopArray,
    gates: LoopArray,
    responses: LoopArray,
    weight: LoopArray,
    gradients: MixGradients,
) -> None:
    """Fill the gradients of gates and (unless they have no pixels) responses, and add to that of
    the weights.
    """
    kernels, pixels = gates.shape
    gates_gradient, responses_gradient, weight_gradient = gradients
    needs_responses = responses_gradient.shape[2] > 0
    for first in range(0, pixels, _CHUNK):
        end = min(first + _CHUNK, pixels)
        for k in range(kernels):
            for p in range(first, end):
                gates_gradient[k, p] = 0
            for c in range(3):
                red = weight[0, c, k]
                green = weight[1, c, k]
                blue = weight[2, c, k]
                red_total = np.float32(0)
                green_total = np.float32(0)
                blue_total = np.float32(0)
                for p in range(first, end):
                    weight_slope = (
                        red * gradient[0, p] + green * gradient[1, p] + blue * gradient[2, p]
                    )
                    gates_gradient[k, p] += weight_slope * responses[c, k, p]
                    product = gates[k, p] * responses[c, k, p]
                    red_total += gradient[0, p] * product
                    green_total += gradient[1, p] * product
                    blue_total += gradient[2, p] * product
                weight_gradient[0, c, k] += red_total
                weight_gradient[1, c, k] += green_total
                weight_gradient[2, c, k] += blue_total
                if needs_responses:
                    for p in range(first, end):
                        weight_slope = (
                            red * gradient[0, p] + green * gradient[1, p] + blue * gradient[2, p]
                        )
                        responses_gradient[c, k, p] = gates[k, p] * weight_slope


@compile_loop
def _add_filtered_mixture(
    output: LoopArray,
    picture: LoopArray,
    gates: LoopArray,
    weight: LoopArray,
    filters: FilterArrays,
) -> None:
    """Add to 3 x H x W, a few rows after the others, so that all that they need stays in the fast
    caches.

    Rows lie one after the other with their rims, so that a filter along either axis is one loop
    over all of them. What that makes of the rims is not used: gates are zero there.
    """
    taps, halves, colours, gate_indices = filters
    height, width = output.shape[1:]
    reach = taps.shape[1] - 1
    side = width + 2 * reach
    most = max(1, min(height, _FLAT // side))
    column = np.zeros(most * side + 2 * reach, picture.dtype)
    response = np.empty(most * side, picture.dtype)
    planes = np.zeros((gates.shape[2], most * side), picture.dtype)
    mixture = np.empty((3, most * side), picture.dtype)
    for first in range(0, height, most):
        rows = min(most, height - first)
        size = rows * side
        _spread_gates(planes, gates[first : first + rows], side, reach)
        mixture[:] = 0
        for c in range(taps.shape[0]):
            _filter_flat_rows(
                response[:size],
                column[: size + 2 * reach],
                picture[colours[c]].reshape(-1),
                first + reach,
                side,
                taps[c],
                halves[c],
            )
            gate = planes[gate_indices[c], :size]
            _add_gated(mixture[0], mixture[1], mixture[2], weight[:, c], gate, response)
        for row in range(rows):
            start = row * side + reach
            for colour in range(3):
                output[colour, first + row] += mixture[colour, start : start + width]


@compile_loop
def _filter_gradient(
    gradient: LoopArray,
    picture: LoopArray,
    gates: LoopArray,
    weight: LoopArray,
    filters: FilterArrays,
    gradients: FilterGradients,
) -> None:
    """Fill the gradient of the gates, and add to those of the weights and (unless it has no pixels)
    the picture.

    Rows lie as in `_add_filtered_mixture`.
    """
    taps, halves, colours, gate_indices = filters
    height, width = gradient.shape[1:]
    reach = taps.shape[1] - 1
    side = width + 2 * reach
    most = max(1, min(height, _FLAT // side))
    column = np.zeros(most * side + 2 * reach, picture.dtype)
    field = np.zeros(most * side + 2 * reach, picture.dtype)
    response = np.empty(most * side, picture.dtype)
    planes = np.zeros((gates.shape[2], most * side), picture.dtype)
    planes_gradient = np.empty_like(planes)
    flat_gradient = np.zeros((3, most * side), picture.dtype)
    for first in range(0, height, most):
        rows = min(most, height - first)
        size = rows * side
        middle = first + reach
        _spread_gates(planes, gates[first : first + rows], side, reach)
        for row in range(rows):
            start = row * side + reach
            flat_gradient[:, start : start + width] = gradient[:, first + row]
        planes_gradient[:] = 0
        field[:] = 0
        for c in range(taps.shape[0]):
            plane = picture[colours[c]].reshape(-1)
            padded_column = column[: size + 2 * reach]
            _filter_flat_rows(
                response[:size], padded_column, plane, middle, side, taps[c], halves[c]
            )
            k = gate_indices[c]
            _gate_gradient(
                (flat_gradient[0, :size], flat_gradient[1, :size], flat_gradient[2, :size]),
                weight[:, c],
                planes[k, :size],
                response[:size],
                planes_gradient[k, :size],
                field[reach : reach + size],
                gradients.weight[:, c],
            )
            if gradients.picture.size > 0:
                padded_field = field[: size + 2 * reach]
                _filter_along_rows(response[:size], taps[c], halves[c], padded_field)
                plane_gradient = gradients.picture[colours[c]].reshape(-1)
                _add_along_columns(
                    plane_gradient, response[:size], middle, side, taps[c], halves[c]
                )
        _gather_gates(gradients.gates[first : first + rows], planes_gradient, side, reach)


@compile_loop
def _gate_gradient(
    gradient: tuple[LoopArray, LoopArray, LoopArray],
    weight: LoopArray,
    gate: LoopArray,
    response: LoopArray,
    gate_gradient: LoopArray,
    response_gradient: LoopArray,
    weight_gradient: LoopArray,
) -> None:
    """Add to the gradients of a gate and its weights, and fill that of the response.

    Several loops, as one over so many arrays gets no vector instructions; nor does one over the
    rows of a matrix that is part of another, so the gradient comes as three rows.
    """
    red, green, blue = gradient
    a = weight[0]
    b = weight[1]
    d = weight[2]
    for i in range(response.size):
        response_gradient[i] = a * red[i] + b * green[i] + d * blue[i]
    for i in range(response.size):
        gate_gradient[i] += response_gradient[i] * response[i]
    for i in range(response.size):
        response_gradient[i] *= gate[i]
    red_total = 0 * a
    green_total = 0 * a
    blue_total = 0 * a
    for i in range(response.size):
        product = gate[i] * response[i]
        red_total += red[i] * product
        green_total += green[i] * product
        blue_total += blue[i] * product
    weight_gradient[0] += red_total
    weight_gradient[1] += green_total
    weight_gradient[2] += blue_total


@compile_loop
def _filter_flat_rows(
    response: LoopArray,
    column: LoopArray,
    picture: LoopArray,
    middle: int,
    side: int,
    taps: LoopArray,
    half: int,
) -> None:
    """Fill rows, from `middle` on, of the response of a picture whose rows have `side` numbers; all
    lie flat.

    `column` is for the sums down columns; it is `taps.size - 1` longer at both ends.
    """
    rim = taps.size - 1
    start = middle * side
    size = response.size
    down = column[rim : rim + size]
    _scale(down, taps[0], picture[start : start + size])
    for i in range(1, half + 1):
        above = start - i * side
        below = start + i * side
        _add_pair(down, taps[i], picture[above : above + size], picture[below : below + size])
    _filter_along_rows(response, taps, half, column)


@compile_loop
def _filter_along_rows(output: LoopArray, taps: LoopArray, half: int, row: LoopArray) -> None:
    """Fill a row filtered along itself; the row it is made from is `taps.size - 1` longer at both
    ends.
    """
    rim = taps.size - 1
    size = output.size
    _scale(output, taps[0], row[rim : rim + size])
    for i in range(1, half + 1):
        left = rim - i
        right = rim + i
        _add_pair(output, taps[i], row[left : left + size], row[right : right + size])


@compile_loop
def _add_along_columns(
    output: LoopArray, rows: LoopArray, middle: int, side: int, taps: LoopArray, half: int
) -> None:
    """Add to a flat picture what flat rows, from `middle` on, give to those above and below."""
    for i in range(-half, half + 1):
        start = (middle + i) * side
        _add_scaled(output[start : start + rows.size], taps[abs(i)], rows)


@compile_loop
def _spread_gates(planes: LoopArray, gates: LoopArray, side: int, rim: int) -> None:
    """Bring rows x W x K into K planes of flat rows of `side` numbers, between their rims."""
    for row in range(gates.shape[0]):
        start = row * side + rim
        for w in range(gates.shape[1]):
            for k in range(gates.shape[2]):
                planes[k, start + w] = gates[row, w, k]


@compile_loop
def _gather_gates(gates: LoopArray, planes: LoopArray, side: int, rim: int) -> None:
    """Fill rows x W x K from planes as `_spread_gates` fills them."""
    for row in range(gates.shape[0]):
        start = row * side + rim
        for w in range(gates.shape[1]):
            for k in range(gates.shape[2]):
                gates[row, w, k] = planes[k, start + w]


@compile_loop
def _add_scaled(output: LoopArray, factor: float, row: LoopArray) -> None:
    for i in range(output.size):
        output[i] += factor * row[i]


@compile_loop
def _scale(output: LoopArray, factor: float, row: LoopArray) -> None:
    for i in range(output.size):
        output[i] = factor * row[i]


@compile_loop
def _add_pair(output: LoopArray, factor: float, first: LoopArray, second: LoopArray) -> None:
    for i in range(output.size):
        output[i] += factor * (first[i] + second[i])


@compile_loop
def _add_gated(
    red: LoopArray,
    green: LoopArray,
    blue: LoopArray,
    weight: LoopArray,
    gate: LoopArray,
    response: LoopArray,
) -> None:
    for i in range(gate.size):
        product = gate[i] * response[i]
        red[i] += weight[0] * product
        green[i] += weight[1] * product
        blue[i] += weight[2] * product
