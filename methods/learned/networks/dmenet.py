"""The network of DMENet (Lee, Lee, Cho and Lee, CVPR 2019), which makes the defocus map of a
picture.

The encoder is VGG19 up to conv5_4; the decoder brings its features back to full size, and seven
residual blocks refine them there. Layers, widths and constants are those of the authors' program,
also where TensorFlow is unlike torch: every convolution is preceded by symmetric padding, which by
one pixel repeats the edge. Its other peculiarity, nearest neighbours with `align_corners`, is none:
pixel i of 2n is taken from round(i (n - 1) / (2n - 1)), and that is i // 2 for every n. Tensors are
N x C x H x W.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

VGG_MEAN = (103.939, 116.779, 123.68)
"""Mean of blue, green and red over ImageNet, on the 0-255 scale."""

ENCODER = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Width and number of convolutions of each stage; features are halved between them."""

DECODER = ((256, 3), (128, 3), (64, 3), (64, 1))
"""The same of the stages u3 to u0; features are doubled before each."""

AUXILIARY = (256, 128, 64, 32, 32)
"""Widths of the auxiliary heads on u4 (the last stage of the encoder) to u0."""

BLOCKS = 7


class Unit(nn.Sequential):
    """Convolution, batch normalisation, leaky rectifier of slope 0.2."""

    def __init__(self, inputs: int, width: int, size: int = 3) -> None:
        super().__init__(
            _make_same_conv(inputs, width, size),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2, inplace=True),
        )


class Refinement(nn.Module):
    """Two units of 3 x 3 plus one of 1 x 1 beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.units = nn.Sequential(Unit(width, width), Unit(width, width))
        self.beside = Unit(width, width, size=1)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.units(x) + self.beside(x)
        return features


class DmeNet(nn.Module):
    """A picture to its defocus map: N x 3 x H x W, RGB in [0, 1], to N x 1 x H x W in [0, 1]; H and
    W multiples of 16.

    The map is the diameter 1 + 2 sigma of the blur in units of 15 pixels, and at most 1/15 where
    the picture is sharp.
    """

    def __init__(self) -> None:
        """Make the network at He's initialisation; the authors start their training from the
        encoder of VGG19.
        """
        super().__init__()
        self.register_buffer("mean", torch.tensor(VGG_MEAN).reshape(3, 1, 1), persistent=False)
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        inputs = 3
        for width, count in ENCODER:
            self.encoder.append(_make_encoder_stage(inputs, width, count))
            inputs = width
        for (width, count), (skip_width, _) in zip(DECODER, reversed(ENCODER[:-1]), strict=True):
            first = Unit(inputs + skip_width, width)
            further_units = [Unit(width, width) for _ in range(count - 1)]
            self.decoder.append(nn.Sequential(first, *further_units))
            inputs = width
        self.blocks = nn.Sequential(*(Refinement(inputs) for _ in range(BLOCKS)))
        self.head = nn.Sequential(
            Unit(inputs, 64), Unit(64, 32), _make_same_conv(32, 1), nn.Sigmoid()
        )
        _draw_he_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(self.features(x)[-1])

    def features(self, x: Tensor) -> list[Tensor]:
        """Return u4, u3, u2, u1 and u0: features at 1/16, 1/8, 1/4, 1/2 and the full size of the
        picture.
        """
        features = 255 * x.flip(1) - self.get_buffer("mean")
        skips: list[Tensor] = []
        for stage in self.encoder:
            if skips:
                features = F.max_pool2d(features, 2)
            features = stage(features)
            skips.append(features)
        levels = [skips.pop()]
        for stage in self.decoder:
            large = F.interpolate(levels[-1], scale_factor=2, mode="nearest")
            levels.append(stage(torch.cat([large, skips.pop()], 1)))
        return levels

    def map(self, u0: Tensor) -> Tensor:
        """Return the map that the features u0 are refined to, N x 1 x H x W."""
        blur_map: Tensor = self.head(self.blocks(u0))
        return blur_map


class Supervised(nn.Module):
    """The network as it is trained, with a further map from the features of every size.

    A checkpoint holds `network` alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = DmeNet()
        encoder_width = ENCODER[-1][0]
        decoder_widths = [width for width, _ in DECODER]
        inputs = [encoder_width, *decoder_widths]
        self.heads = nn.ModuleList(
            _make_auxiliary_head(*widths) for widths in zip(inputs, AUXILIARY, strict=True)
        )
        _draw_he_weights(self.heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the map, N x 1 x H x W, and the auxiliary ones, from 1/16 to the full size."""
        features = self.network.features(x)
        auxiliary = [head(u) for head, u in zip(self.heads, features, strict=True)]
        return [self.network.map(features[-1]), *auxiliary]


def fold_normalisation(network: DmeNet) -> None:
    """Work every batch normalisation, as it is in eval mode, into the convolution before it."""
    for unit in network.modules():
        if isinstance(unit, Unit):
            conv = unit[0]
            normalisation = unit[1]
            assert isinstance(conv, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
            unit[0] = fuse_conv_bn_eval(conv, normalisation)
            del unit[1]


def _make_same_conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    """Return a convolution that keeps the size; its padding repeats the edge."""
    if size == 1:
        return nn.Conv2d(inputs, outputs, size)
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate")


def _make_encoder_stage(inputs: int, width: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers.append(_make_same_conv(inputs, width))
        layers.append(nn.ReLU(inplace=True))
        inputs = width
    return nn.Sequential(*layers)


def _make_auxiliary_head(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        Unit(inputs, width), _make_same_conv(width, 1), nn.BatchNorm2d(1), nn.Sigmoid()
    )


def _draw_he_weights(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
