"""Losses, and what supervises a network: every scale it returns, against the sharp picture at that
size.

Pictures are N x 3 x H x W in [0, 1]; a loss is a scalar, the mean over all pixels, colours and
pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.methods.training.recipes import Criterion

if TYPE_CHECKING:
    from torch import Tensor


def squared(made: Tensor, sharp: Tensor) -> Tensor:
    """Return the mean squared error; the paper's squared l2 loss up to a constant, which Adam does
    not feel.
    """
    return (made - sharp).square().mean()


def ssim(made: Tensor, sharp: Tensor) -> Tensor:
    """Return 1 - SSIM (Wang et al., 2004): 11 x 11 Gaussian of 1.5 px, data range 1, no border; at
    least 11 x 11.
    """
    from pytorch_msssim import ssim as similarity

    found: Tensor = similarity(made, sharp, data_range=1.0, win_size=11, win_sigma=1.5)
    return 1 - found


def loss(made: list[Tensor], sharp: Tensor, criterion: Criterion, coarse: float = 1.0) -> Tensor:
    """Return the criterion summed over the scales.

    Args:
        made: a network's results, coarse to fine, each half of the next; the last has the size of
            `sharp`.
        sharp: N x 3 x H x W.
        criterion: which loss.
        coarse: weight of every scale but the finest.
    """
    measure = {"squared": squared, "ssim": ssim}[criterion]
    targets = halvings(sharp, len(made))
    values = [measure(ours, target) for ours, target in zip(made, targets, strict=True)]
    total = values[-1]
    for value in values[:-1]:
        total = total + coarse * value
    return total


def halvings(sharp: Tensor, count: int) -> list[Tensor]:
    """Return a picture at `count` scales, coarse to fine, halved by the filter that halves the
    networks' inputs.
    """
    from benchmark.methods.learned.networks.blocks import build_pyramid, halve_size

    return build_pyramid(sharp, count, halve_size)
