"""One step of a training: the loss of every scale that a network returns, and the change of the
weights.

The step is the part whose speed matters; the trainer and the speed measurement share it. Pictures
are N x 3 x H x W in [0, 1], and so are blur maps, N x 1 x H x W, which take the place of sharp ones
where a network makes them; a loss is a scalar, the mean over all pixels, colours and pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from benchmark.api import BenchmarkError
from benchmark.methods.training.recipes import ERROR_FLOOR, Criterion

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


WINDOW = 32
"""Pixels on a side of the windows over which `light_loss` averages."""


_TYPICAL_ERROR = 2e-3
"""Mean squared error in [0, 1] squared, 27 dB, of the pictures that a network restores."""


class Diverged(BenchmarkError):
    """A loss or a gradient is not a finite number; the weights are as they were before the step."""


def take_step(
    network: nn.Module,
    optimiser: Optimizer,
    blurred: Tensor,
    sharp: Tensor,
    *,
    criterion: Criterion,
    rate: float,
    coarse: float = 1.0,
    light: float = 0.0,
    clip: float | None = None,
    autocast: AbstractContextManager[Any] | None = None,
    backward: Callable[[Tensor], Any] | None = None,
) -> float:
    """Change the weights once and return the loss before that.

    Args:
        network: in training mode. Its method `scales`, where it has one, gives what is supervised.
        optimiser: of its weights.
        blurred: N x C x H x W, as the network takes it.
        sharp: N x 3 x H x W.
        criterion, coarse: the loss; see `scales_loss`.
        light: weight of `light_loss`, of the finest scale.
        rate: learning rate of this step.
        clip: largest norm of the gradient, None for any.
        autocast: the context in which the network computes in lower precision; by default none.
            Losses do not.
        backward: what computes gradients; by default torch's own.

    Raises:
        Diverged: if the loss or the gradient is not finite.
    """
    import torch

    optimiser.zero_grad(set_to_none=True)
    with autocast or nullcontext():
        outputs = restore_scales(network, blurred)
    scales = [scale.float() for scale in outputs]
    loss = scales_loss(scales, sharp, criterion, coarse)
    if light:
        loss = loss + light * light_loss(scales[-1], sharp)
    compute_gradients = backward or torch.Tensor.backward
    compute_gradients(loss)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip or math.inf)
    if not torch.isfinite(loss.detach() + norm):
        raise Diverged(f"the loss is {loss.item():g} and its gradient has the norm {norm.item():g}")
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return loss.item()


def restore_scales(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return what a network makes of x at every scale that it supervises, coarse to fine."""
    scales: Callable[[Tensor], list[Tensor]] | None = getattr(network, "scales", None)
    if scales is None:
        return [network(x)]
    return scales(x)


# Losses
# --------------------------------------------------------------------------------------------------


def squared_loss(output: Tensor, sharp: Tensor) -> Tensor:
    """Return the mean squared error; the paper's squared l2 loss up to a constant, which Adam does
    not feel.
    """
    return (output - sharp).square().mean()


def ssim_loss(output: Tensor, sharp: Tensor) -> Tensor:
    """Return 1 - SSIM (Wang et al., 2004): 11 x 11 Gaussian of 1.5 px, data range 1, no border; at
    least 11 x 11.
    """
    from pytorch_msssim import ssim

    similarity: Tensor = ssim(output, sharp, data_range=1.0, win_size=11, win_sigma=1.5)
    return 1 - similarity


def psnr_loss(output: Tensor, sharp: Tensor) -> Tensor:
    """Return the mean over pictures of ln(1 + mean squared error / `ERROR_FLOOR`), scaled so that
    it falls as fast as `squared_loss` at `_TYPICAL_ERROR`.

    A decibel counts the same in a picture that is nearly sharp as in one that is far from it: the
    negative PSNR as a loss, as in Chen et al., HINet, CVPRW 2021, but for the floor.
    """
    errors = (output - sharp).square().mean((1, 2, 3))
    return _TYPICAL_ERROR * (errors / ERROR_FLOOR).log1p().mean()


def light_loss(output: Tensor, sharp: Tensor) -> Tensor:
    """Return the mean squared error of the mean linear light of windows of `WINDOW` pixels square.

    What is beyond the last whole window is left out. A squared error in code values alone lets a
    network darken what it cannot restore: the mean of several code values has less light than their
    lights have on average.
    """
    import torch.nn.functional as F

    error = _undo_srgb_curve(output) - _undo_srgb_curve(sharp)
    window = min(WINDOW, *error.shape[-2:])
    return F.avg_pool2d(error, window).square().mean()


def _undo_srgb_curve(code: Tensor) -> Tensor:
    """Return `benchmark.optics.light.to_linear` of code values; what is below 0 gives 0."""
    import torch

    code = code.clamp(min=0)
    power = ((code.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(code <= 0.04045, code / 12.92, power)


def scales_loss(
    outputs: list[Tensor], sharp: Tensor, criterion: Criterion, coarse: float = 1.0
) -> Tensor:
    """Return the criterion summed over the scales, each against the sharp picture at that size.

    Args:
        outputs: a network's results, coarse to fine, each half of the next; the last has the size
            of `sharp`.
        sharp: N x 3 x H x W.
        criterion: which loss.
        coarse: weight of every scale but the finest.
    """
    measure = {"squared": squared_loss, "ssim": ssim_loss, "psnr": psnr_loss}[criterion]
    targets = halve_repeatedly(sharp, len(outputs))
    losses = [measure(output, target) for output, target in zip(outputs, targets, strict=True)]
    total = losses[-1]
    for loss in losses[:-1]:
        total = total + coarse * loss
    return total


def halve_repeatedly(sharp: Tensor, count: int) -> list[Tensor]:
    """Return a picture at `count` scales, coarse to fine, halved by the filter that halves the
    networks' inputs.
    """
    from benchmark.methods.learned.networks.blocks import build_pyramid, halve_size

    return build_pyramid(sharp, count, halve_size)
