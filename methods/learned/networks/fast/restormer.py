"""A block of Restormer in two sweeps over the picture.

Its attention needs three sums over all pixels for each head: the products of queries and keys, and
the squares of either. The first sweep takes them; the second computes the values again, whose
weighting and projection are one matrix then, and the feed-forward layer at once. Nothing larger
than the block's input and output is ever in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.fast.pointwise import multiply_pixels
from benchmark.methods.learned.networks.fast.tiles import (
    Reach,
    apply_in_tiles,
    apply_one_by_one,
    choose_tile,
    map_tiles,
)
from benchmark.methods.learned.networks.pixel_unet import GatedFeed
from benchmark.methods.learned.networks.restormer import (
    SMALLEST_LENGTH,
    ChannelAttention,
    TransformerBlock,
)

_FILTER = Reach(1)
_TWO_FILTERS = Reach(2)


class SweptTransformerBlock(nn.Module):
    """The same function as a block, N x C x H x W -> N x C x H x W."""

    def __init__(self, block: TransformerBlock) -> None:
        """Take over the layers of a block."""
        super().__init__()
        self.block = block
        self._width = block.attention.project.weight.shape[0]
        self._heads = len(block.attention.temperature)

    def forward(self, x: Tensor) -> Tensor:
        return apply_one_by_one(self._sweep, x)

    def _sweep(self, x: Tensor) -> Tensor:
        projection = self._weigh_values(x)

        def finish_block(part: Tensor) -> Tensor:
            block = self.block
            value = self._expand(part, slice(2 * self._width, 3 * self._width))
            part = part + multiply_pixels(value, projection)
            return apply_gated_feed(block.feed, block.feed_norm(part)).add_(part)

        tile = max(choose_tile(self.block.feed.project.in_channels), 48)
        return cast(Tensor, apply_in_tiles(finish_block, [x], tile, _TWO_FILTERS, in_parallel=True))

    def _weigh_values(self, x: Tensor) -> Tensor:
        """Return the matrix from the values to the attention's result, C x C x 1 x 1."""

        def expand(part: Tensor) -> Tensor:
            return self._expand(part, slice(0, 2 * self._width))

        width = self._width // self._heads
        products = torch.zeros(self._heads, width, width, dtype=torch.float64)
        squares = torch.zeros(2, self._heads, width, dtype=torch.float64)
        tile = max(choose_tile(2 * self._width), 48)
        for _, _, sums in map_tiles(expand, [x], tile, _FILTER, self._sum_products):
            products += sums[0]
            squares += sums[1]
        lengths = squares.sqrt().clamp_min(SMALLEST_LENGTH)
        cosines = products / (lengths[0, :, :, None] * lengths[1, :, None, :])
        attention = self.block.attention
        weights = torch.softmax(cosines * attention.temperature, dim=-1).to(x.dtype)
        columns = attention.project.weight[..., 0, 0].chunk(self._heads, 1)
        parts = [part @ head for part, head in zip(columns, weights, strict=True)]
        return torch.cat(parts, 1)[..., None, None]

    def _sum_products(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the products of queries and keys, and the squares of both, summed over pixels:
        heads x c x c and 2 x heads x c.
        """
        pixels = outputs[0].float().permute(0, 2, 3, 1)
        rows = pixels.reshape(-1, 2, self._heads, self._width // self._heads)
        # A product for each head takes the rows where they lie; one for all would copy them.
        heads = zip(rows[:, 0].unbind(1), rows[:, 1].unbind(1), strict=True)
        products = torch.stack([query.T @ key for query, key in heads])
        return products, rows.square().sum(0)

    def _expand(self, x: Tensor, channels: slice) -> Tensor:
        """Return some of the queries, keys and values of the attention."""
        return _expand_channels(self.block.attention, self.block.attention_norm(x), channels)


def apply_gated_feed(feed: GatedFeed, x: Tensor) -> Tensor:
    """Return what the layer does, each half in memory of its own: halves of one piece would be
    copied.
    """
    hidden = feed.project.in_channels
    gate = F.gelu(_expand_channels(feed, x, slice(0, hidden)))
    gate *= _expand_channels(feed, x, slice(hidden, 2 * hidden))
    return multiply_pixels(gate, feed.project.weight)


def _expand_channels(layers: ChannelAttention | GatedFeed, x: Tensor, channels: slice) -> Tensor:
    """Return some channels of what `expand` and `local` make of a picture's features."""
    weight = layers.local.weight[channels]
    x = multiply_pixels(x, layers.expand.weight[channels])
    return F.conv2d(x, weight, padding=1, groups=len(weight))
