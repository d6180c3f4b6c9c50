"""IFAN as a network: features at an eighth of the size are filtered many times by small separable
filters that the network predicts for every pixel and channel.

Lee et al., Iterative filter adaptive network for single image defocus deblurring, CVPR 2021.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.leaky_unet import (
    SLOPE,
    Encoder,
    ResidualStack,
    StepUp,
    make_leaky_conv,
)

WIDTHS = (32, 64, 128, 128)
TAPS = 3
_DEEP = WIDTHS[-1]
_FILTER_MAPS = _DEEP * TAPS
"""One filter of a pixel's every channel."""
_MAPS_PER_ROUND = 2 * _FILTER_MAPS + _DEEP
"""Two filters and a bias for every channel; the second filter is never used, as in the released
program, whose weights were learned so.
"""


class Ifan(nn.Module):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W; H and W multiples of 8.

    `channels` is 3 for one picture; 9 for the right view, the left view and the combined picture in
    this order. The result is a correction of the last three channels, clipped to [0, 1], but not in
    training, where clipped pixels would teach nothing.

    Attributes:
        encoder: features of the picture.
        filter_encoder: features of the views (of the picture if there are none) at an eighth of the
            size, from which the filters are predicted.
        disparity, disparity_features: the defocus disparity of each pixel, and features of it.
        merge: of the features from which filters are predicted.
        filter_features: of what was merged.
        filters: the filters of all rounds, from those features.
        rebuild: of the filtered features.
        up: to full size, a half and a quarter from the next smaller one.
        out: the correction.
    """

    def __init__(self, rounds: int = 17, channels: int = 3) -> None:
        """Make the layers; `rounds` is the paper's N, how many times features are filtered."""
        super().__init__()
        self.rounds = rounds
        self.encoder = Encoder(3, WIDTHS)
        self.filter_encoder = Encoder(6 if channels == 9 else 3, WIDTHS)
        self.disparity = _make_trunk(_DEEP, nn.Conv2d(_DEEP, 1, 3, padding=1))
        self.disparity_features = make_leaky_conv(1, _DEEP)
        self.merge = _make_trunk(2 * _DEEP, make_leaky_conv(_DEEP, _DEEP))
        self.filter_features = _make_trunk(_DEEP)
        self.filters = nn.Conv2d(_DEEP, rounds * _MAPS_PER_ROUND, 1)
        self.rebuild = nn.Sequential(
            make_leaky_conv(_DEEP, _DEEP), ResidualStack(_DEEP, 3), make_leaky_conv(_DEEP, _DEEP)
        )
        self.up = nn.ModuleList(
            StepUp(below, width, rectifies=True) for width, below in itertools.pairwise(WIDTHS)
        )
        self.out = make_leaky_conv(WIDTHS[0], 3)

    def forward(self, x: Tensor) -> Tensor:
        picture = x[:, -3:]
        skips = self.encoder(picture)
        views = picture if x.shape[1] == 3 else x[:, :6]
        hidden = self._predict_filters(self.filter_encoder(views)[-1])
        features = self.rebuild(self._filter(skips.pop(), hidden))
        for up in reversed(self.up):
            features = up(features, skips.pop())
        result: Tensor = self.out(features) + picture
        return result if self.training else result.clamp(0, 1)

    def _predict_filters(self, features: Tensor) -> Tensor:
        """Return the features that `filters` takes."""
        disparity = self.disparity_features(self.disparity(features))
        merger = self.merge(torch.cat([features, disparity], 1))
        hidden: Tensor = self.filter_features(merger)
        return hidden

    def _filter(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return features, N x C x H x W, after all rounds.

        The filters of a round are computed when it needs them, as those of all rounds together take
        a hundred times the memory of the features.
        """
        for index in range(self.rounds):
            start = 2 * _FILTER_MAPS * index
            maps = self._read_maps(hidden, start, _FILTER_MAPS)
            taps = maps.reshape(len(maps), _DEEP, TAPS, *maps.shape[-2:])
            start = 2 * _FILTER_MAPS * self.rounds + _DEEP * index
            bias = self._read_maps(hidden, start, _DEEP)
            x = filter_separably(x, taps) + bias
            x = F.leaky_relu(x, SLOPE)
        return x

    def _read_maps(self, hidden: Tensor, start: int, count: int) -> Tensor:
        """Return so many of the maps that `filters` ends with."""
        assert self.filters.bias is not None
        rows = slice(start, start + count)
        return F.conv2d(hidden, self.filters.weight[rows], self.filters.bias[rows])


def filter_separably(x: Tensor, taps: Tensor) -> Tensor:
    """Return pictures filtered down and then across by the same three taps at every pixel.

    Edges are repeated. The second pass uses results that neighbours' filters made, so the two are
    not one filter of 3 x 3.

    Args:
        x: N x C x H x W.
        taps: N x C x 3 x H x W, of the pixel for which the result is.
    """
    height, width = x.shape[-2:]
    rows = F.pad(x, (0, 0, 1, 1), mode="replicate")
    x = _sum_products([rows[..., tap : tap + height, :] for tap in range(TAPS)], taps)
    columns = F.pad(x, (1, 1, 0, 0), mode="replicate")
    return _sum_products([columns[..., tap : tap + width] for tap in range(TAPS)], taps)


def _sum_products(shifts: list[Tensor], taps: Tensor) -> Tensor:
    total = shifts[0] * taps[:, :, 0]
    for tap in range(1, TAPS):
        total = total + shifts[tap] * taps[:, :, tap]
    return total


def _make_trunk(inputs: int, *last: nn.Module) -> nn.Sequential:
    """Return a convolution, two stacks of residual blocks and last layers."""
    return nn.Sequential(
        make_leaky_conv(inputs, _DEEP), ResidualStack(_DEEP, 2), ResidualStack(_DEEP, 2), *last
    )
