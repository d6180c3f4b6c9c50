"""A method in the place of AttNet; its network is largely guessed, and says so wherever it
appears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.api import MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import Tile, TiledMethod

if TYPE_CHECKING:
    from torch import nn


class AttNetMethod(TiledMethod):
    """A multi-scale network with attention, of the size that is known of AttNet.

    Tiles are not exact: at weights drawn as for training, pixels beside a seam differ from those of
    the whole picture by less than 1e-4.
    """

    id = "attnet"
    multiple = 16
    halo = 256
    card = MethodCard(
        title="AttNet (re-implementation from incomplete information)",
        family="learned",
        paper="after Xu, Zhu, Quan and Ji, Attentive deep network for blind motion deblurring on "
        "dynamic scenes, Computer Vision and Image Understanding, 2021",
        trained_on=None,
        notes="Not the authors' system, of which no code is public and whose paper was not at "
        "hand. Known, from GKMNet's paper: 6.91 million parameters, 3450.4 G operations at "
        "1680x1120, several scales; from the title: attention. Guessed: everything else - SRN's "
        "5x5 encoder-decoder at three scales without its memory, a gate per pixel and channel in "
        "each residual block and on each skip, numbers of blocks that meet both figures (6.91 "
        "million parameters; 3517 G operations as the tool thop counts them), a correction added "
        "to the picture, data in [0, 1]. Its scores say nothing about AttNet's.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        tile: Tile = 0,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            tile: side in pixels of the tiles that larger pictures are cut into, 0 for never. Seams
                are not exact.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, tile=tile, precision=precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.attnet import AttNet

        return AttNet()
