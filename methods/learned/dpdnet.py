"""DPDNet as two methods: DPDNet-S restores from the picture, DPDNet-D from the dual-pixel views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.api import MethodCard, Observation
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import Forward, Tile, TiledMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = "Abuolaim and Brown, Defocus deblurring using dual-pixel data, ECCV 2020"
_NOTES = (
    "Re-implementation of the authors' Keras network. Its checkpoints take RGB; the authors' own "
    "weights take BGR and are of another framework, so they cannot be imported. Initial weights "
    "are drawn from a normal distribution."
)


class _DpdNet(TiledMethod):
    """What both share.

    An output pixel depends on inputs up to 108 pixels above and left of it and up to 123 below and
    right, the most for any place on the grid of 16. At work the network takes some 0.85 kB for each
    pixel of a tile with its halo: 3 GB for 2320 x 1536, 5 to 6 GB for a 24-megapixel picture in
    tiles.
    """

    multiple = 16
    halo = 128

    def __init__(self, *, checkpoint: Checkpoint | None = None, tile: Tile = 2320) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            tile: side in pixels of the tiles that larger pictures are cut into, 0 for never. The
                result is the same.
        """
        super().__init__(checkpoint=checkpoint, tile=tile)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.dpdnet import DpdNet

        return DpdNet(channels=3 if self.card.inputs == "image" else 6)

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        from benchmark.methods.learned.networks.dpdnet import DpdNet, replace_up_convs

        assert isinstance(network, DpdNet)
        replace_up_convs(network)
        return super().compile_network(network, device)


class DpdNetS(_DpdNet):
    """DPDNet with the picture as its only input."""

    id = "dpdnet-s"
    card = MethodCard(
        title="DPDNet-S", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES
    )


class DpdNetD(_DpdNet):
    """DPDNet with the left and the right view as its input."""

    id = "dpdnet-d"
    card = MethodCard(
        title="DPDNet-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )

    def select_inputs(self, observation: Observation) -> NDArray[np.float32]:
        assert observation.views is not None
        return np.concatenate(observation.views, axis=2)
