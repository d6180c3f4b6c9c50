"""DPDNet as two methods: DPDNet-S restores from the picture, DPDNet-D from the dual-pixel views."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import (
    Forward,
    NetworkMethod,
    OutputForm,
    Tile,
    TiledMethod,
)

if TYPE_CHECKING:
    from torch import nn

_PAPER = "Abuolaim and Brown, Defocus deblurring using dual-pixel data, ECCV 2020"
_NOTES = (
    "Re-implementation of the authors' Keras network. Checkpoints trained here take RGB; the "
    "authors' own, which are imported, take BGR. Initial weights are drawn from a normal "
    "distribution. Nobody published output=added, which is for comparisons of networks that start "
    "alike."
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
    has_exact_tiles = True
    defaults = MappingProxyType({"output": "published"})
    later_parameters = NetworkMethod.later_parameters | {"output"}
    released_file = "FILE.hdf5"

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        output: OutputForm | None = None,
        tile: Tile = 2320,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            output: the picture, as `published`, or what is `added` to the picture, of two views to
                their mean; left out, as the checkpoint was trained.
            tile: side in pixels of the tiles that larger pictures are cut into, 0 for never. The
                result is the same.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"output": output}, tile, precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.dpdnet import DpdNet

        channels = 3 * max(1, len(self.expects.views))
        return DpdNet(channels, adds=self.structure["output"] == "added")

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
    expects = ExpectedInputs(views=("left", "right"))
    card = MethodCard(
        title="DPDNet-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )
