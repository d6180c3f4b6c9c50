"""What the recipe `fast` does to initial weights, so that a network begins where learning
is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_VARIATION, _GAIN = 0.1, 4.0
"""Of what the last rectifier of DPDNet sees, and of what the sigmoid makes of it, whose slope is a
quarter.
"""
_SIDE = 3
_FLOOR = 1e-5
"""Variance in [0, 1] squared below which a direction of patches counts as noise: a standard
deviation of 0.8 of 255.
"""


def identity(network: nn.Module) -> bool:
    """Let a network that adds to the picture add nothing at first; return whether this is such a
    network.

    Its last layers are set to zero: the 1 x 1 mixing of GKMNet as in the paper (its released forms
    do not add to the picture, nor does SRAM alone) and the last convolution of AttNet.
    """
    from torch.nn.init import zeros_

    from benchmark.methods.learned.networks.attnet import AttNet
    from benchmark.methods.learned.networks.gkmnet import GkmNet

    last: list[nn.Module] = []
    if (
        isinstance(network, GkmNet)
        and network.form.variant == "paper"
        and network.form.head == "gkm"
    ):
        last = list(network.mixes)
    elif isinstance(network, AttNet):
        last = [network.leave_fine[-1]]
    for layer in last:
        for parameter in layer.parameters():
            zeros_(parameter)
    return bool(last)


def opened(network: nn.Module) -> bool:
    """Let a network that ends in a narrow rectifier begin with it open; return whether this is such
    a network.

    DPDNet's last rectifier has three channels. Of three drawn at random one or two are often shut
    nearly everywhere; then they and the colours behind them never learn (17 dB after 26
    megapixels). So each starts as small variations about 1, which the layers after it take to small
    variations about middle grey.
    """
    import torch

    from benchmark.methods.learned.networks.dpdnet import DpdNet

    if not isinstance(network, DpdNet):
        return False
    narrow, _, last = network.out
    with torch.no_grad():
        narrow.get_parameter("weight").mul_(_VARIATION)
        narrow.get_parameter("bias").fill_(1)
        last.get_parameter("weight").copy_(_GAIN * torch.eye(3)[:, :, None, None])
        last.get_parameter("bias").fill_(-_GAIN)
    return True


def whiten(network: nn.Module, pictures: Tensor) -> int:
    """Let the convolutions that see the picture itself whiten it at first; return how many there
    are.

    How blurred a picture is shows in its finest details, which are a hundred times weaker than its
    brightness. Filters drawn at random pass on little else than brightness. So these are set to the
    principal components of 3 x 3 patches, each scaled to unit variance (Coates, Lee and Ng, AISTATS
    2011), then the strongest again with the other sign; as many as there are channels, the rest as
    drawn. In a larger kernel they are its middle. What a layer sees beside the picture, such as the
    result so far, keeps its weights.

    Args:
        network: any, in eval mode. What is meant are its convolutions from C channels, or from 2 C
            of which the picture is the first half, to at least 3 C.
        pictures: N x C x H x W, as the network is fed.
    """
    import torch

    fed = pictures.shape[1]
    found = [
        layer
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d) and _sees(layer, fed)
    ]
    for layer in found:
        filters, means = _whitening(_seen(network, layer, pictures)[:, :fed])
        rim = (layer.kernel_size[0] - _SIDE) // 2
        with torch.no_grad():
            weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
            chosen = torch.cat([filters, -filters])[: len(weight)].to(weight)
            weight[: len(chosen), :fed] = 0
            weight[: len(chosen), :fed, rim : rim + _SIDE, rim : rim + _SIDE] = chosen
            bias[: len(chosen)] = -chosen.sum((2, 3)) @ means.to(weight)
    return len(found)


def _sees(layer: nn.Conv2d, fed: int) -> bool:
    square = layer.kernel_size[0] == layer.kernel_size[1] >= _SIDE and layer.bias is not None
    return square and layer.in_channels in (fed, 2 * fed) and layer.out_channels >= 3 * fed


def _seen(network: nn.Module, layer: nn.Module, pictures: Tensor) -> Tensor:
    """Return what a layer is given of the pictures, the last time: at their full size."""
    import torch

    seen: list[Tensor] = []
    with torch.no_grad(), layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])):
        network(pictures)
    return seen[-1]


def _whitening(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal components of patches at unit variance, strongest first, and the mean of
    each channel.
    """
    import torch
    import torch.nn.functional as F

    count = pictures.shape[1]
    means = pictures.double().mean((0, 2, 3))
    patches = F.unfold(pictures.double() - means[:, None, None], _SIDE).transpose(0, 1).flatten(1)
    variances, components = torch.linalg.eigh(patches @ patches.T / patches.shape[1])
    scaled = components / (variances.clamp_min(0) + _FLOOR).sqrt()
    return scaled.T.flip(0).reshape(-1, count, _SIDE, _SIDE), means
