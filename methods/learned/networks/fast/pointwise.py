"""Convolutions of 1 x 1 as matrix products.

On one thread torch computes them in another way, which copies what they take and give.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PointwiseConv2d(nn.Conv2d):
    """The same function as a convolution of 1 x 1, and the same entries."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Take over the parameters of a convolution, not copies of them."""
        super().__init__(conv.in_channels, conv.out_channels, 1, device="meta")
        self.weight = conv.weight
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return multiply_pixels(x, self.weight, self.bias)


def multiply_pixels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return N x C x H x W with the channels of each pixel multiplied by O x C x 1 x 1, and a bias
    added: N x O x H x W.
    """
    products = F.linear(x.permute(0, 2, 3, 1), weight[..., 0, 0], bias)
    return products.permute(0, 3, 1, 2)


def use_matrix_products(network: nn.Module) -> None:
    """Replace the convolutions of 1 x 1 of a network in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and _is_pointwise(child):
                setattr(module, name, PointwiseConv2d(child))


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1
