"""What torch does in many passes over memory, in one or two: triplet attention and the GCM with its
mixing, on a CPU.

Each function has the gradient of the plain form it stands for
(`benchmark.methods.learned.networks.gkmnet`); where a maximum is reached more than once, the first
place gets it all. Loops are compiled by numba at the first call, and run without Python's lock:
those of the GCM on all of torch's threads, a strip of rows each, the others on one. Under autocast
triplet attention computes, and returns, single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import torch
from numba.extending import overload
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from benchmark.methods.learned.networks import strips

# Sums may be reordered, and maxima taken as if nothing were NaN: without that there are no vector
# instructions.
_compiled: Callable[[Any], Callable[..., None]] = numba.njit(
    nogil=True, fastmath={"reassoc", "contract", "nnan", "nsz"}, cache=True
)
_LEAST, _MAGNITUDE = np.int32(-(2**31)), np.int32(2**31 - 1)
_CHUNK = 2048
"""Pixels at a time, so that what they add up to stays in the fastest cache."""
_FLAT = 2048
"""Numbers of the rows that the GCM filters at a time, likewise."""
Made = TypeVar("Made")


def pooled(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return maximum and mean of N x C x H x W over rows, columns, and channels: N x 2 x C x W, H x
    C, and H x W.
    """
    return cast(tuple[Tensor, Tensor, Tensor], _Pooled.apply(_single(x)))


def attended(x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor) -> Tensor:
    """Return a picture times the mean of three gates, N x 1 x (C x W, H x C, H x W)."""
    return cast(Tensor, _Attended.apply(*map(_single, (x, over_rows, over_columns, over_channels))))


def mixed(gates: Tensor, responses: Tensor, weight: Tensor) -> Tensor:
    """Return the mixture of gated responses, N x 3 x H x W.

    Args:
        gates: N x K x H x W.
        responses: N x 3 x K x H x W, of three colours to K kernels.
        weight: 3 x 3 x K, of every response (second and third axis) in every colour that is made.
    """
    return cast(Tensor, _Mixed.apply(gates, responses, weight))


def rectified(
    branch: Tensor, trunk: Tensor, made: Tensor, of_columns: Tensor, of_channels: Tensor
) -> Tensor:
    """Add a rectified branch to the trunk, and pool the sum; for inference.

    Args:
        branch, trunk: 1 x C x H x W.
        made: receives the sum; stored in channels_last.
        of_columns, of_channels: receive maximum and sum over columns, 2 x H x C, and over channels,
            2 x H x W.

    Returns:
        Maximum and sum over rows, 2 x W x C.
    """
    of_rows = made.new_empty(2, made.shape[3], made.shape[1])
    pools = (of_rows.numpy(), of_columns.numpy(), of_channels.numpy())
    _rectify(_stored(branch)[0], _stored(trunk)[0], _stored(made)[0], *pools)
    return of_rows


def added(branch: Tensor, trunk: Tensor) -> Tensor:
    """Return a rectified branch plus the trunk, 1 x C x H x W, in the memory of the branch; for
    inference.
    """
    made = branch.contiguous(memory_format=torch.channels_last)
    _add_rectified(_stored(made).reshape(-1), _stored(trunk).reshape(-1))
    return made


def attend(x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor) -> Tensor:
    """Return 1 x C x H x W times the mean of the gates W x C, H x C and H x W; for inference."""
    made = torch.empty_like(x, memory_format=torch.channels_last)
    _attend(
        _stored(x)[0],
        over_rows.numpy(),
        over_columns.numpy(),
        over_channels.numpy(),
        _stored(made)[0],
    )
    return made


def filtered(gates: Tensor, picture: Tensor, weight: Tensor, filters: Filters) -> Tensor:
    """Return gated and mixed responses of pictures to Gaussian filters, N x 3 x H x W.

    Args:
        gates: N x K x H x W.
        picture: N x 3 x (H + 2 h) x (W + 2 h), continued by the half size h of the largest filter
            on all sides.
        weight: 3 x C, how much of each channel every colour receives.
        filters: the C channels.
    """
    return cast(Tensor, _Filtered.apply(gates, picture, weight, filters))


def add_filtered(
    made: Tensor, picture: Tensor, gates: Tensor, weight: Tensor, filters: Filters
) -> None:
    """Add gated and mixed responses of a picture to Gaussian filters; for inference.

    Args:
        made: 3 x H x W, added to.
        picture: 3 x (H + 2 h) x (W + 2 h).
        gates: H x W x K.
        weight, filters: as for `filtered`.
    """
    _add_filtered(made.numpy(), picture.numpy(), gates.numpy(), weight.numpy(), *_numpy(filters))


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


class _Pooled(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, c, h, w = x.shape
        made = [x.new_empty(n, 2, *sides) for sides in ((w, c), (h, c), (h, w))]
        places = [x.new_empty(n, *sides, dtype=torch.int32) for sides in ((w, c), (h, c), (h, w))]
        for one in range(n):
            _pool(_stored(x)[one], *(part[one].numpy() for part in (*made, *places)))
        ctx.shape = x.shape
        ctx.save_for_backward(*places)
        return made[0].mT, made[1], made[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor, of_channels: Tensor) -> Tensor:
        gradients = [part.contiguous() for part in (of_rows.mT, of_columns, of_channels)]
        made = torch.empty(ctx.shape, memory_format=torch.channels_last)
        for one in range(ctx.shape[0]):
            _pool_gradient(
                _stored(made)[one],
                *(part[one].numpy() for part in (*gradients, *ctx.saved_tensors)),
            )
        return made


class _Attended(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, over_rows: Tensor, over_columns: Tensor, over_channels: Tensor
    ) -> Tensor:
        gates = [part[:, 0].contiguous() for part in (over_rows.mT, over_columns, over_channels)]
        made = torch.empty_like(x, memory_format=torch.channels_last)
        for one in range(len(x)):
            _attend(_stored(x)[one], *(gate[one].numpy() for gate in gates), _stored(made)[one])
        ctx.save_for_backward(x, *gates)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, *gates = ctx.saved_tensors
        made = torch.empty_like(x, memory_format=torch.channels_last)
        of_gates = [torch.zeros_like(gate) for gate in gates]
        for one in range(len(x)):
            parts = (part[one].numpy() for part in (*gates, *of_gates))
            _attend_gradient(_stored(gradient)[one], _stored(x)[one], *parts, _stored(made)[one])
        return made, of_gates[0].mT[:, None], of_gates[1][:, None], of_gates[2][:, None]


class _Filtered(Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, picture: Tensor, weight: Tensor, filters: Filters
    ) -> Tensor:
        n, _, height, width = gates.shape
        rim = filters.taps.shape[1] - 1
        made = picture.new_empty(n, 3, height, width)
        for one in range(n):

            def strip(first: int, end: int, one: int = one) -> None:
                part = made.new_zeros(3, end - first, width)
                seen = picture[one, :, first : end + 2 * rim].contiguous()
                add_filtered(part, seen, gates[one, :, first:end].permute(1, 2, 0), weight, filters)
                made[one, :, first:end] = part

            _in_strips(strip, height)
        ctx.save_for_backward(gates, picture, weight)
        ctx.filters = filters
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        gates, picture, weight = ctx.saved_tensors
        n, k, height, width = gates.shape
        rim = ctx.filters.taps.shape[1] - 1
        wanted = ctx.needs_input_grad[1]
        of_gates = gates.new_empty(n, height, width, k)
        of_picture, of_weight = (
            torch.zeros_like(picture) if wanted else None,
            torch.zeros_like(weight),
        )
        for one in range(n):

            def strip(first: int, end: int, one: int = one) -> tuple[slice, Tensor, Tensor]:
                rows = slice(first, end + 2 * rim)
                seen = picture[one, :, rows].contiguous()
                back, weights = (
                    torch.zeros_like(seen) if wanted else seen.new_zeros(3, 0, 0),
                    torch.zeros_like(weight),
                )
                arrays = (
                    gradient[one, :, first:end].contiguous(),
                    seen,
                    gates[one, :, first:end].permute(1, 2, 0),
                )
                made = (of_gates[one, first:end], back, weights)
                _filter_gradient(*(part.numpy() for part in (*arrays, weight, *ctx.filters, *made)))
                return rows, back, weights

            for rows, back, weights in _in_strips(strip, height):
                of_weight += weights
                if of_picture is not None:  # strips have their rims in common
                    of_picture[one, :, rows] += back
        return of_gates.permute(0, 3, 1, 2), of_picture, of_weight, None


class _Mixed(Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, responses: Tensor, weight: Tensor) -> Tensor:
        n, _, _, h, w = responses.shape
        gates, responses, weight = (
            gates.flatten(2).contiguous(),
            responses.flatten(3).contiguous(),
            weight.contiguous(),
        )
        made = gates.new_zeros(n, 3, h * w)
        for one in range(n):
            _mix(gates[one].numpy(), responses[one].numpy(), weight.numpy(), made[one].numpy())
        ctx.save_for_backward(gates, responses, weight)
        return made.view(n, 3, h, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        gates, responses, weight = ctx.saved_tensors
        n, _, h, w = gradient.shape
        gradient = gradient.contiguous().view(n, 3, h * w)
        wanted = ctx.needs_input_grad[1]
        of_gates, of_weight = torch.empty_like(gates), torch.zeros_like(weight)
        of_responses = (
            torch.empty_like(responses)
            if wanted
            else responses.new_empty(n, 3, len(weight[0, 0]), 0)
        )
        for one in range(n):
            parts = (
                part[one].numpy() for part in (gradient, gates, responses, of_gates, of_responses)
            )
            _mix_gradient(*parts, weight.numpy(), of_weight.numpy())
        shaped = of_responses.view(n, 3, -1, h, w) if wanted else None
        return of_gates.view(n, -1, h, w), shaped, of_weight


def _in_strips(make: Callable[[int, int], Made], height: int) -> list[Made]:
    """Return what `make` makes of strips (first, end) of a picture, one on each of torch's
    threads.
    """
    return list(strips.parallel(make, height, -(-height // torch.get_num_threads())))


def _single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _numpy(tensors: tuple[Tensor, ...]) -> Iterator[NDArray[np.generic]]:
    return (tensor.numpy() for tensor in tensors)


def _stored(x: Tensor) -> NDArray[np.float32]:
    """Return N x C x H x W in the order of channels_last, N x H x W x C."""
    return x.detach().permute(0, 2, 3, 1).contiguous().numpy()


@_compiled
def _add_rectified(branch, trunk):  # type: ignore[no-untyped-def]
    """Rectify and add in place."""
    for i in range(branch.size):
        branch[i] = max(branch[i], np.float32(0)) + trunk[i]


def _largest(x):  # type: ignore[no-untyped-def]
    """Return the largest of some numbers."""
    return x.max()


def _largest_single(x):  # type: ignore[no-untyped-def]
    """Return the largest of some float32, found among integers in the same order: for those it
    takes vectors.
    """
    peak = _LEAST
    for i in range(x.size):
        bits = np.float32(x[i]).view(np.int32)
        peak = max(peak, np.int32(bits ^ ((bits >> 31) & _MAGNITUDE)))
    return np.int32(peak ^ ((peak >> 31) & _MAGNITUDE)).view(np.float32)


@overload(_largest)
def _compiled_largest(x):  # type: ignore[no-untyped-def]
    return _largest_single if x.dtype == numba.float32 else _largest


@_compiled
def _rectify(branch, trunk, made, of_rows, of_columns, of_channels):  # type: ignore[no-untyped-def]
    """Fill the sum H x W x C, and maxima and sums of it, 2 x (W x C, H x C, H x W)."""
    height, width, channels = made.shape
    of_rows[0], of_columns[0] = -np.inf, -np.inf
    of_rows[1], of_columns[1] = 0, 0
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                made[h, w, c] = max(branch[h, w, c], np.float32(0)) + trunk[h, w, c]
            total = np.float32(0)
            for c in range(channels):
                total += made[h, w, c]
            of_channels[0, h, w], of_channels[1, h, w] = _largest(made[h, w]), total  # type: ignore[no-untyped-call]
            for c in range(channels):
                of_columns[0, h, c] = max(of_columns[0, h, c], made[h, w, c])
                of_columns[1, h, c] += made[h, w, c]
            for c in range(channels):
                of_rows[0, w, c] = max(of_rows[0, w, c], made[h, w, c])
                of_rows[1, w, c] += made[h, w, c]


@_compiled
def _pool(x, of_rows, of_columns, of_channels, row, column, channel):  # type: ignore[no-untyped-def]
    """Fill maxima and means (2 x W x C, H x C, H x W) and the places of the maxima from H
    x W x C.
    """
    height, width, channels = x.shape
    of_rows[0], of_columns[0] = -np.inf, -np.inf
    of_rows[1], of_columns[1] = 0, 0
    for h in range(height):
        for w in range(width):
            total = np.float32(0)
            for c in range(channels):
                total += x[h, w, c]
            peak = _largest(x[h, w])  # type: ignore[no-untyped-call]
            of_channels[0, h, w], of_channels[1, h, w] = peak, total / channels
            for c in range(channels):
                if x[h, w, c] == peak:
                    channel[h, w] = c
                    break
            for c in range(channels):
                higher = x[h, w, c] > of_columns[0, h, c]
                of_columns[0, h, c] = x[h, w, c] if higher else of_columns[0, h, c]
                column[h, c] = w if higher else column[h, c]
            for c in range(channels):
                of_columns[1, h, c] += x[h, w, c]
            for c in range(channels):
                higher = x[h, w, c] > of_rows[0, w, c]
                of_rows[0, w, c] = x[h, w, c] if higher else of_rows[0, w, c]
                row[w, c] = h if higher else row[w, c]
            for c in range(channels):
                of_rows[1, w, c] += x[h, w, c]
    of_rows[1] /= height
    of_columns[1] /= width


@_compiled
def _pool_gradient(made, of_rows, of_columns, of_channels, row, column, channel):  # type: ignore[no-untyped-def]
    """Fill H x W x C from the gradients of maxima and means."""
    height, width, channels = made.shape
    low, wide = np.float32(1 / height), np.float32(1 / width)
    for h in range(height):
        for w in range(width):
            same = of_channels[1, h, w] / channels
            for c in range(channels):
                made[h, w, c] = low * of_rows[1, w, c] + wide * of_columns[1, h, c] + same
            made[h, w, channel[h, w]] += of_channels[0, h, w]
        for c in range(channels):
            made[h, column[h, c], c] += of_columns[0, h, c]
    for w in range(width):
        for c in range(channels):
            made[row[w, c], w, c] += of_rows[0, w, c]


@_compiled
def _attend(x, over_rows, over_columns, over_channels, made):  # type: ignore[no-untyped-def]
    """Fill H x W x C with x times the mean of the gates W x C, H x C, H x W."""
    height, width, channels = x.shape
    for h in range(height):
        for w in range(width):
            same = over_channels[h, w]
            for c in range(channels):
                made[h, w, c] = (
                    x[h, w, c] * (over_rows[w, c] + over_columns[h, c] + same) * np.float32(1 / 3)
                )


@_compiled
def _attend_gradient(  # type: ignore[no-untyped-def]
    gradient, x, over_rows, over_columns, over_channels, of_rows, of_columns, of_channels, made
):
    """Fill the gradient of x, and add those of the gates to theirs."""
    height, width, channels = x.shape
    third = np.float32(1 / 3)
    for h in range(height):
        for w in range(width):
            same, total = over_channels[h, w], np.float32(0)
            for c in range(channels):
                scaled = gradient[h, w, c] * third
                made[h, w, c] = scaled * (over_rows[w, c] + over_columns[h, c] + same)
            for c in range(channels):
                total += gradient[h, w, c] * third * x[h, w, c]
            of_channels[h, w] = total
            for c in range(channels):
                of_rows[w, c] += gradient[h, w, c] * third * x[h, w, c]
            for c in range(channels):
                of_columns[h, c] += gradient[h, w, c] * third * x[h, w, c]


@_compiled
def _mix(gates, responses, weight, made):  # type: ignore[no-untyped-def]
    """Add to 3 x P from gates K x P, responses 3 x K x P and weights 3 x 3 x K."""
    kernels, pixels = gates.shape
    for first in range(0, pixels, _CHUNK):
        end = min(first + _CHUNK, pixels)
        for k in range(kernels):
            for c in range(3):
                a, b, d = weight[c, 0, k], weight[c, 1, k], weight[c, 2, k]
                for p in range(first, end):
                    mixture = (
                        a * responses[0, k, p] + b * responses[1, k, p] + d * responses[2, k, p]
                    )
                    made[c, p] += gates[k, p] * mixture


@_compiled
def _mix_gradient(gradient, gates, responses, of_gates, of_responses, weight, of_weight):  # type: ignore[no-untyped-def]
    """Fill the gradients of gates and (unless they have no pixels) responses, and add to that of
    the weights.
    """
    kernels, pixels = gates.shape
    wanted = of_responses.shape[2] > 0
    for first in range(0, pixels, _CHUNK):
        end = min(first + _CHUNK, pixels)
        for k in range(kernels):
            for p in range(first, end):
                of_gates[k, p] = 0
            for c in range(3):
                a, b, d = weight[0, c, k], weight[1, c, k], weight[2, c, k]
                red, green, blue = np.float32(0), np.float32(0), np.float32(0)
                for p in range(first, end):
                    back = a * gradient[0, p] + b * gradient[1, p] + d * gradient[2, p]
                    of_gates[k, p] += back * responses[c, k, p]
                    seen = gates[k, p] * responses[c, k, p]
                    red += gradient[0, p] * seen
                    green += gradient[1, p] * seen
                    blue += gradient[2, p] * seen
                of_weight[0, c, k] += red
                of_weight[1, c, k] += green
                of_weight[2, c, k] += blue
                if wanted:
                    for p in range(first, end):
                        back = a * gradient[0, p] + b * gradient[1, p] + d * gradient[2, p]
                        of_responses[c, k, p] = gates[k, p] * back


@_compiled
def _add_filtered(made, picture, gates, weight, taps, halves, colours, gate):  # type: ignore[no-untyped-def]
    """Add to 3 x H x W, a few rows after the others, so that all that they need stays in the fast
    caches.

    Rows lie one after the other with their rims, so that a filter along either axis is one loop
    over all of them. What that makes of the rims is not used: gates are zero there.
    """
    height, width = made.shape[1:]
    channels, reach = taps.shape[0], taps.shape[1] - 1
    side = width + 2 * reach
    most = max(1, min(height, _FLAT // side))
    column, response = (
        np.zeros(most * side + 2 * reach, picture.dtype),
        np.empty(most * side, picture.dtype),
    )
    planes = np.zeros((gates.shape[2], most * side), picture.dtype)
    mixture = np.empty((3, most * side), picture.dtype)
    for first in range(0, height, most):
        rows = min(most, height - first)
        size = rows * side
        _spread(planes, gates[first : first + rows], side, reach)
        mixture[:] = 0
        for c in range(channels):
            seen = picture[colours[c]].reshape(-1)
            _respond(
                response[:size],
                column[: size + 2 * reach],
                seen,
                first + reach,
                side,
                taps[c],
                halves[c],
            )
            own = planes[gate[c], :size]
            _add_gated(mixture[0], mixture[1], mixture[2], weight[:, c], own, response)
        for row in range(rows):
            start = row * side + reach
            for o in range(3):
                made[o, first + row] += mixture[o, start : start + width]


@_compiled
def _filter_gradient(  # type: ignore[no-untyped-def]
    gradient, picture, gates, weight, taps, halves, colours, gate, of_gates, of_picture, of_weight
):
    """Fill the gradient of the gates, and add to those of the weights and (unless it has no pixels)
    the picture.

    Rows lie as in `_add_filtered`.
    """
    height, width = gradient.shape[1:]
    channels, reach = taps.shape[0], taps.shape[1] - 1
    side = width + 2 * reach
    most = max(1, min(height, _FLAT // side))
    column, field = (
        np.zeros(most * side + 2 * reach, picture.dtype),
        np.zeros(most * side + 2 * reach, picture.dtype),
    )
    response = np.empty(most * side, picture.dtype)
    planes = np.zeros((gates.shape[2], most * side), picture.dtype)
    of_planes = np.empty_like(planes)
    given = np.zeros((3, most * side), picture.dtype)
    for first in range(0, height, most):
        rows = min(most, height - first)
        size = rows * side
        _spread(planes, gates[first : first + rows], side, reach)
        for row in range(rows):
            start = row * side + reach
            given[:, start : start + width] = gradient[:, first + row]
        of_planes[:] = 0
        field[:] = 0
        for c in range(channels):
            kernel, half, colour, middle, k = taps[c], halves[c], colours[c], first + reach, gate[c]
            _respond(
                response[:size],
                column[: size + 2 * reach],
                picture[colour].reshape(-1),
                middle,
                side,
                kernel,
                half,
            )
            back = field[reach : reach + size]
            one, two, three = given[0, :size], given[1, :size], given[2, :size]
            parts = planes[k, :size], response[:size], of_planes[k, :size], back, of_weight[:, c]
            _gate_gradient(one, two, three, weight[:, c], *parts)
            if of_picture.size > 0:
                _along(response[:size], kernel, half, field[: size + 2 * reach])
                of_seen = of_picture[colour].reshape(-1)
                for i in range(-half, half + 1):
                    start = (middle + i) * side
                    _add_scaled(of_seen[start : start + size], kernel[abs(i)], response[:size])
        _gather(of_gates[first : first + rows], of_planes, side, reach)


@_compiled
def _gate_gradient(red, green, blue, weight, gate, response, of_gate, of_response, of_weight):  # type: ignore[no-untyped-def]
    """Add to the gradients of a gate and its weights, and fill that of the response, which is lost.

    Several loops, as one over so many arrays gets no vector instructions.
    """
    a, b, d = weight[0], weight[1], weight[2]
    for i in range(response.size):
        of_response[i] = a * red[i] + b * green[i] + d * blue[i]
    for i in range(response.size):
        of_gate[i] += of_response[i] * response[i]
    for i in range(response.size):
        of_response[i] *= gate[i]
    to_red, to_green, to_blue = 0 * a, 0 * a, 0 * a
    for i in range(response.size):
        gated = gate[i] * response[i]
        to_red += red[i] * gated
        to_green += green[i] * gated
        to_blue += blue[i] * gated
    of_weight[0] += to_red
    of_weight[1] += to_green
    of_weight[2] += to_blue


@_compiled
def _respond(response, column, picture, middle, side, taps, half):  # type: ignore[no-untyped-def]
    """Fill rows, from `middle` on, of the response of a picture whose rows have `side` numbers; all
    lie flat.

    `column` is for the sums down columns; it is `taps.size - 1` longer at both ends.
    """
    rim, start, size = taps.size - 1, middle * side, response.size
    down = column[rim : rim + size]
    _scale(down, taps[0], picture[start : start + size])
    for i in range(1, half + 1):
        above, below = start - i * side, start + i * side
        _add_pair(down, taps[i], picture[above : above + size], picture[below : below + size])
    _along(response, taps, half, column)


@_compiled
def _along(made, taps, half, row):  # type: ignore[no-untyped-def]
    """Fill a row filtered along itself; the row it is made from is `taps.size - 1` longer at both
    ends.
    """
    rim = taps.size - 1
    _scale(made, taps[0], row[rim : rim + made.size])
    for i in range(1, half + 1):
        left, right = rim - i, rim + i
        _add_pair(made, taps[i], row[left : left + made.size], row[right : right + made.size])


@_compiled
def _spread(planes, part, side, rim):  # type: ignore[no-untyped-def]
    """Bring rows x W x K into K planes of flat rows of `side` numbers, between their rims."""
    for row in range(part.shape[0]):
        start = row * side + rim
        for w in range(part.shape[1]):
            for k in range(part.shape[2]):
                planes[k, start + w] = part[row, w, k]


@_compiled
def _gather(part, planes, side, rim):  # type: ignore[no-untyped-def]
    """Fill rows x W x K from planes as `_spread` fills them."""
    for row in range(part.shape[0]):
        start = row * side + rim
        for w in range(part.shape[1]):
            for k in range(part.shape[2]):
                part[row, w, k] = planes[k, start + w]


@_compiled
def _add_scaled(made, factor, row):  # type: ignore[no-untyped-def]
    for i in range(made.size):
        made[i] += factor * row[i]


@_compiled
def _scale(made, factor, row):  # type: ignore[no-untyped-def]
    for i in range(made.size):
        made[i] = factor * row[i]


@_compiled
def _add_pair(made, factor, first, second):  # type: ignore[no-untyped-def]
    for i in range(made.size):
        made[i] += factor * (first[i] + second[i])


@_compiled
def _add_gated(red, green, blue, weight, gate, response):  # type: ignore[no-untyped-def]
    for i in range(gate.size):
        gated = gate[i] * response[i]
        red[i] += weight[0] * gated
        green[i] += weight[1] * gated
        blue[i] += weight[2] * gated
