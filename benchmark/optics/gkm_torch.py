"""The operator of `benchmark.optics.gkm` for torch tensors, differentiable in the picture and in
the coefficients.

    B x = sum_k beta_k * (g(sigma_k) conv x)        B^T z = sum_k g(sigma_k) conv (beta_k * z)

(Quan, Wu and Ji, NeurIPS 2021, eqs. (3) and (4)). Same kernels, same border, same result. One
kernel is worked on at a time and nothing but the arguments is kept for the gradient, which filters
again: neither pass ever holds the K filtered pictures. Tensors are N x C x H x W on any device,
float32 or float64. The gradient itself has no gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.optics.gkm import Bank

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def blur_tensor(x: Tensor, beta: Tensor, bank: Bank) -> Tensor:
    """Return B x.

    Args:
        x: N x C x H x W pictures.
        beta: N x K x H x W mixing coefficients, of the same type and on the same device.
        bank: the K kernels.

    Raises:
        ValueError: if the sizes do not fit.
    """
    _check_tensors(x, beta, bank)
    result: Tensor = _autograd_functions()[0].apply(x, beta, bank)
    return result


def blur_tensor_adjoint(z: Tensor, beta: Tensor, bank: Bank) -> Tensor:
    """Return B^T z, the exact transpose of `blur_tensor` in the picture, border included; arguments
    and errors as there.
    """
    _check_tensors(z, beta, bank)
    result: Tensor = _autograd_functions()[1].apply(z, beta, bank)
    return result


def filter_responses(x: Tensor, bank: Bank) -> Tensor:
    """Return the K filtered pictures g(sigma_k) conv x as one N x K x C x H x W tensor, K times as
    large as x.
    """
    result: Tensor = _autograd_functions()[2].apply(x, bank)
    return result


def _check_tensors(x: Tensor, beta: Tensor, bank: Bank) -> None:
    shape = (len(x), len(bank.taps), *x.shape[-2:])
    if x.ndim != 4 or tuple(beta.shape) != shape:
        raise ValueError(
            f"pictures must be N x C x H x W and coefficients N x K x H x W = {shape}, got "
            f"{tuple(x.shape)} and {tuple(beta.shape)}"
        )


@lru_cache(maxsize=1)
def _autograd_functions() -> tuple[Any, Any, Any]:
    """Return B, B^T and the responses as differentiable functions; made here, as importing us
    imports no torch.
    """
    import torch
    from torch.autograd.function import once_differentiable

    class Blur(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, beta: Tensor, bank: Bank) -> Tensor:
            ctx.save_for_backward(x, beta)
            ctx.bank = bank
            return _sum_weighted_responses(x, beta, bank)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
            x, beta = ctx.saved_tensors
            wants_x, wants_beta, _ = ctx.needs_input_grad
            x_slope = _sum_filtered_products(slope, beta, ctx.bank) if wants_x else None
            beta_slope = _coefficient_gradient(slope, x, ctx.bank) if wants_beta else None
            return x_slope, beta_slope, None

    class Adjoint(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, beta: Tensor, bank: Bank) -> Tensor:
            ctx.save_for_backward(z, beta)
            ctx.bank = bank
            return _sum_filtered_products(z, beta, bank)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
            z, beta = ctx.saved_tensors
            wants_z, wants_beta, _ = ctx.needs_input_grad
            z_slope = _sum_weighted_responses(slope, beta, ctx.bank) if wants_z else None
            beta_slope = _coefficient_gradient(z, slope, ctx.bank) if wants_beta else None
            return z_slope, beta_slope, None

    class Responses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, bank: Bank) -> Tensor:
            ctx.bank = bank
            return torch.stack(list(_iterate_responses(x, bank)), dim=1)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
            total = torch.zeros_like(slope[:, 0])
            for part, taps in zip(slope.unbind(1), _bank_taps(ctx.bank), strict=True):
                total += _filter_tensor(_reflect_border(part, len(taps) // 2), taps)
            return total, None

    return Blur, Adjoint, Responses


def _sum_weighted_responses(x: Tensor, beta: Tensor, bank: Bank) -> Tensor:
    total = x.new_zeros(x.shape)
    for weight, response in zip(beta.unbind(1), _iterate_responses(x, bank), strict=True):
        total.addcmul_(weight[:, None], response)
    return total


def _sum_filtered_products(z: Tensor, beta: Tensor, bank: Bank) -> Tensor:
    total = z.new_zeros(z.shape)
    for weight, taps in zip(beta.unbind(1), _bank_taps(bank), strict=True):
        total += _filter_tensor(_reflect_border(weight[:, None] * z, len(taps) // 2), taps)
    return total


def _coefficient_gradient(a: Tensor, b: Tensor, bank: Bank) -> Tensor:
    """Return sum over the channels of a * (g(sigma_k) conv b), N x K x H x W: the slope of <a, B b>
    in beta.
    """
    planes = a.new_empty((len(a), len(bank.taps), *a.shape[-2:]))
    for plane, response in zip(planes.unbind(1), _iterate_responses(b, bank), strict=True):
        plane.copy_((a * response).sum(1))
    return planes


def _iterate_responses(x: Tensor, bank: Bank) -> Iterator[Tensor]:
    """Yield g(sigma_k) conv x for each kernel in turn."""
    halo = max(len(taps) for taps in bank.taps) // 2
    padded = _reflect_border(x, halo)
    for taps in _bank_taps(bank):
        spare = halo - len(taps) // 2
        yield _filter_tensor(
            padded[..., spare : padded.shape[-2] - spare, spare : padded.shape[-1] - spare], taps
        )


def _filter_tensor(padded: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Return the separable convolution of pictures that are larger than the result by half a kernel
    on every side.

    Shifted and added rather than by torch's convolution, which for one channel takes twice as long
    on a CPU (measured, 420 x 280 x 3 by the 21 kernels of the paper) and rounds its factors on a
    GPU or under autocast.
    """
    for axis in (-2, -1):
        if len(taps) > 1:
            size = padded.shape[axis] - len(taps) + 1
            total = padded.narrow(axis, 0, size) * taps[0]
            for start, tap in enumerate(taps[1:], start=1):
                total.add_(padded.narrow(axis, start, size), alpha=tap)
            padded = total
    return padded


def _reflect_border(x: Tensor, halo: int) -> Tensor:
    """Return the pictures continued by half-sample reflection."""
    for axis in (-2, -1):
        x = x.index_select(axis, _reflection_index(x.shape[axis], halo, x.device))
    return x


@lru_cache(maxsize=256)
def _reflection_index(size: int, halo: int, device: torch.device) -> Tensor:
    import torch

    index = np.arange(-halo, size + halo) % (2 * size)
    return torch.as_tensor(np.where(index < size, index, 2 * size - 1 - index), device=device)


@lru_cache(maxsize=32)
def _bank_taps(bank: Bank) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(taps.tolist()) for taps in bank.taps)
