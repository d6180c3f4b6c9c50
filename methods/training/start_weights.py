"""What the recipe `fast` does to initial weights, so that a network begins where learning
is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_VARIATION = 0.1
"""Of what the last rectifier of DPDNet sees."""
_GAIN = 4.0
"""Of what the last layer makes of it: the slope of the sigmoid behind it is a quarter."""
_SIDE = 3
"""Of the patches, in pixels."""
_FLOOR = 1e-5
"""Variance in [0, 1] squared below which a direction of patches counts as noise: a standard
deviation of 0.8 of 255.
"""


def begin_as_identity(network: nn.Module) -> bool:
    """Let a network that adds to the picture add nothing at first; return whether this is such a
    network.

    Its last layers are set to zero: the 1 x 1 mixing of GKMNet as in the paper (its released forms
    do not add to the picture, nor does SRAM alone), the last convolution of AttNet, and those of
    the networks whose `output` is `added`.
    """
    from torch.nn.init import zeros_

    last_layers = _find_layers_that_add(network)
    for layer in last_layers:
        for parameter in layer.parameters():
            zeros_(parameter)
    return bool(last_layers)


def _find_layers_that_add(network: nn.Module) -> list[nn.Module]:
    """Return the layers whose outputs a network adds to the picture, none if it does not add."""
    from benchmark.methods.learned.networks.attnet import AttNet
    from benchmark.methods.learned.networks.dpdnet import DpdNet
    from benchmark.methods.learned.networks.gkmnet import GkmNet
    from benchmark.methods.learned.networks.srn import Srn

    if isinstance(network, AttNet):
        return [network.leave_fine[-1]]
    if isinstance(network, GkmNet) and network.form.adds:
        return list(network.mixes)
    if isinstance(network, Srn) and network.adds:
        return [network.leave_fine[-1]]
    if isinstance(network, DpdNet) and network.adds:
        return [network.out[-1]]
    return []


def open_last_rectifier(network: nn.Module) -> bool:
    """Let a network that ends in a narrow rectifier begin with it open; return whether this is such
    a network.

    DPDNet's last rectifier has three channels. Of three drawn at random one or two are often shut
    nearly everywhere; then they and the colours behind them never learn (17 dB after 26
    megapixels). So each starts as small variations about 1, which the layers after it take to small
    variations about middle grey; where they are added to the picture, those keep their weights.
    """
    import torch

    from benchmark.methods.learned.networks.dpdnet import DpdNet

    if not isinstance(network, DpdNet):
        return False
    narrow, _, last = network.out
    with torch.no_grad():
        narrow.get_parameter("weight").mul_(_VARIATION)
        narrow.get_parameter("bias").fill_(1)
        if network.adds:
            return True
        last.get_parameter("weight").copy_(_GAIN * torch.eye(3)[:, :, None, None])
        last.get_parameter("bias").fill_(-_GAIN)
    return True


def whiten_first_filters(network: nn.Module, pictures: Tensor) -> int:
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

    channels = pictures.shape[1]
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d) and _sees_picture(layer, channels)
    ]
    for layer in layers:
        layer_input = _record_input(network, layer, pictures)
        filters, means = _whitening_filters(layer_input[:, :channels])
        _set_first_filters(layer, torch.cat([filters, -filters]), means)
    return len(layers)


def _sees_picture(layer: nn.Conv2d, channels: int) -> bool:
    height, width = layer.kernel_size
    if height != width or height < _SIDE or layer.bias is None:
        return False
    return layer.in_channels in (channels, 2 * channels) and layer.out_channels >= 3 * channels


def _record_input(network: nn.Module, layer: nn.Module, pictures: Tensor) -> Tensor:
    """Return what a layer is given of the pictures, the last time: at their full size."""
    import torch

    inputs: list[Tensor] = []

    def record(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0])

    with torch.no_grad(), layer.register_forward_pre_hook(record):
        network(pictures)
    return inputs[-1]


def _set_first_filters(layer: nn.Conv2d, filters: Tensor, means: Tensor) -> None:
    """Put filters into the middle of the kernels that see the picture, as many as there are
    channels, and let the bias take away what they make of the means.
    """
    import torch

    weight = layer.get_parameter("weight")
    bias = layer.get_parameter("bias")
    filters = filters[: len(weight)].to(weight)
    count, channels = filters.shape[:2]
    rim = (layer.kernel_size[0] - _SIDE) // 2
    with torch.no_grad():
        weight[:count, :channels] = 0
        weight[:count, :channels, rim : rim + _SIDE, rim : rim + _SIDE] = filters
        bias[:count] = -filters.sum((2, 3)) @ means.to(weight)


def _whitening_filters(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal components of patches at unit variance, strongest first, and the mean of
    each channel.
    """
    import torch
    import torch.nn.functional as F

    channels = pictures.shape[1]
    means = pictures.double().mean((0, 2, 3))
    patches = F.unfold(pictures.double() - means[:, None, None], _SIDE).transpose(0, 1).flatten(1)
    variances, components = torch.linalg.eigh(patches @ patches.T / patches.shape[1])
    filters = components / (variances.clamp_min(0) + _FLOOR).sqrt()
    return filters.T.flip(0).reshape(-1, channels, _SIDE, _SIDE), means
