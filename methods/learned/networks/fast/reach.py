"""How far the layers of networks reach, so that they can be applied in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from torch import nn

from benchmark.methods.learned.networks import (
    blocks,
    drbnet,
    iniknet,
    kpac,
    lakdnet,
    leaky_unet,
    nrknet,
    pixel_unet,
)
from benchmark.methods.learned.networks.fast.tiles import Reach

_HALF = Fraction(1, 2)
_LARGEST_HALO = 12
"""Pixels up to which layers in a row share a tile; beyond, too much is computed twice."""


def measure_reach(layers: nn.Module) -> Reach | None:
    """Return how far layers reach, None where they see the whole picture or are not known.

    A reach may be larger than what the layers really see, never smaller.
    """
    measure = _MEASURES.get(type(layers))
    return None if measure is None else measure(layers)


def _measure_chain(layers: Iterable[nn.Module]) -> Reach | None:
    """Return the reach of layers with one input each, one after another."""
    halo = Fraction(0)
    scale = Fraction(1)
    multiple = 1
    for layer in layers:
        reach = measure_reach(layer)
        if reach is None or len(reach.scales) > 1:
            return None
        step = Fraction(reach.scales[0])
        halo = halo / step + reach.halo
        scale *= step
        multiple = max(multiple, int(multiple / step), reach.multiple)
    return Reach(-(-halo // 1), (scale,), multiple)


def _measure_row(layers: nn.Sequential) -> Reach | None:
    """Return the reach of layers in a row, None where it is better to apply each in tiles."""
    reach = _measure_chain(layers)
    if reach is None or reach.halo > _LARGEST_HALO:
        return None
    return reach


def _measure_convolution(layer: nn.Conv2d) -> Reach | None:
    """Return the reach of a convolution, None if it makes the picture smaller by its rim."""
    rim = layer.dilation[0] * (layer.kernel_size[0] // 2)
    stride = layer.stride[0]
    if layer.padding == (0, 0) and rim and stride == 1:
        return None
    return Reach(-(-rim // stride), (stride,))


def _measure_enlargement(layer: nn.ConvTranspose2d) -> Reach | None:
    if layer.stride != (2, 2):
        return None
    return Reach(layer.kernel_size[0] // 2, (_HALF,), 2)


def _measure_residuals(layer: leaky_unet.ResidualStack) -> Reach:
    return Reach(2 * len(layer.blocks))


def _measure_level(level: blocks.EncoderLevel) -> Reach | None:
    return _measure_chain([level.down, level.block])


def _join_levels(halo: int) -> Reach:
    """Return the reach of layers that enlarge features, take those of the encoder, and reach so far
    after that.
    """
    return Reach(halo + 2, (_HALF, 1), 2)


# By the type of the layers, or of the function that applies them.
_MEASURES: Mapping[type, Callable[[Any], Reach | None]] = MappingProxyType(
    {
        nn.Conv2d: _measure_convolution,
        nn.ConvTranspose2d: _measure_enlargement,
        nn.Identity: lambda _: Reach(0),
        nn.LeakyReLU: lambda _: Reach(0),
        nn.ReLU: lambda _: Reach(0),
        nn.ZeroPad2d: lambda _: Reach(0),
        nn.Sequential: _measure_row,
        blocks.ChannelNorm: lambda _: Reach(0),
        blocks.EncoderLevel: _measure_level,
        blocks.MirroredResidual: lambda _: Reach(2),
        drbnet.Correction: lambda _: Reach(5, (1, 1)),
        iniknet.ImplicitFilters: lambda _: Reach(max(iniknet.KERNEL_SIZES) // 2, (1, 1, 1)),
        iniknet.JoiningLevel: lambda _: _join_levels(5),
        iniknet.ResidualLstmCell: lambda _: Reach(4, (1, 1, 1)),
        kpac.SkipLevel: lambda _: _join_levels(2),
        lakdnet.LargeKernelBlock: lambda _: Reach(9),
        leaky_unet.ResidualStack: _measure_residuals,
        leaky_unet.StepUp: lambda _: _join_levels(4),
        nrknet.AddingLevel: lambda _: _join_levels(2),
        nrknet.NeumannStep: lambda _: Reach(nrknet.FILTERS, (1, 1)),
        pixel_unet.GatedFeed: lambda _: Reach(1),
    }
)
