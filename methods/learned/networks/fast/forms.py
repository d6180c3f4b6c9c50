"""The fast form of any network: the one way into this folder for inference.

Parts of a network that see a neighbourhood only are applied in tiles, and wide convolutions by
Winograd's filtering. What needs more than that has a module of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Precision
from benchmark.methods.learned.networks.fast.gkmnet import make_fast_gkmnet
from benchmark.methods.learned.networks.fast.nafnet import SweptNafBlock
from benchmark.methods.learned.networks.fast.pointwise import use_matrix_products
from benchmark.methods.learned.networks.fast.reach import measure_reach
from benchmark.methods.learned.networks.fast.restormer import SweptTransformerBlock
from benchmark.methods.learned.networks.fast.tiles import InTiles
from benchmark.methods.learned.networks.fast.winograd import use_winograd_for_inference
from benchmark.methods.learned.networks.gkmnet import GkmNet
from benchmark.methods.learned.networks.lakdnet import LargeKernelBlock
from benchmark.methods.learned.networks.nafnet import NafBlock
from benchmark.methods.learned.networks.restormer import TransformerBlock

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def make_fast_form(
    network: nn.Module, device: str, precision: Precision = "32"
) -> Callable[[Tensor], Tensor]:
    """Return a network as a function with the same results, N x C x H x W -> N x D x H x W.

    Args:
        network: in eval mode, on the device; it is changed.
        device: where it runs. On a GPU layers are as they are.
        precision: what the function is applied in, by torch's autocast. Winograd's filtering would
            multiply the rounding errors of bfloat16.
    """
    if isinstance(network, GkmNet):
        return make_fast_gkmnet(network)
    network = network.to(memory_format=torch.channels_last)
    if torch.device(device).type != "cpu":
        return network
    _rectify_in_place(network)
    _use_tiles(network)
    if precision == "32":
        use_winograd_for_inference(network)
    use_matrix_products(network)
    return network


def _use_tiles(network: nn.Module) -> None:
    """Replace the outermost parts that can be applied in tiles or in sweeps, in place."""
    for name, child in network.named_children():
        if isinstance(child, TransformerBlock):
            setattr(network, name, SweptTransformerBlock(child))
            continue
        if isinstance(child, NafBlock):
            setattr(network, name, SweptNafBlock(child))
            continue
        if isinstance(child, LargeKernelBlock):
            setattr(network, name, _nest_tiles(child))
            continue
        reach = measure_reach(child)
        if reach is None:
            _use_tiles(child)
        elif reach.halo:
            setattr(network, name, InTiles(child, reach, _find_width(child.modules())))


def _nest_tiles(block: LargeKernelBlock) -> InTiles:
    """Return a block in large tiles, for the wide rim of its mixer, and its feed-forward layer,
    which has more channels and hardly a rim, in small ones within each.

    A large one takes four times the memory of other tiles, a small one half of it. Measured at 1680
    x 1120: LaKDNet takes a ninth less time than with tiles of their own for both layers.
    """
    reach, feed_reach = measure_reach(block), measure_reach(block.feed)
    assert reach is not None and feed_reach is not None
    width, feed_width = block.feed.project.out_channels, block.feed.expand.out_channels
    feed = InTiles(block.feed, feed_reach, 2 * feed_width, in_parallel=False)
    block.register_module("feed", feed)
    return InTiles(block, reach, width // 4)


def _rectify_in_place(network: nn.Module) -> None:
    """Let rectifiers overwrite what the convolution before them gives: nothing else reads it."""
    for chain in network.modules():
        if not isinstance(chain, nn.Sequential):
            continue
        for layer, rectifier in itertools.pairwise(chain):
            if isinstance(layer, _CONVOLUTIONS) and isinstance(rectifier, nn.ReLU | nn.LeakyReLU):
                rectifier.inplace = True


def _find_width(layers: Iterable[nn.Module]) -> int:
    """Return how many channels the widest features within layers have."""
    return max(layer.out_channels for layer in layers if isinstance(layer, _CONVOLUTIONS))
