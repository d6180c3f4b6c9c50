"""SRN as a method."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.api import MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod, OutputForm, Tile, TiledMethod

if TYPE_CHECKING:
    from torch import nn


_GAP = (
    "no released weights fit: those of the authors are of another network, trained for motion "
    "blur, and those of the port were never published"
)


class SrnMethod(TiledMethod):
    """Scale-recurrent network of Tao et al., in the form that GKMNet's paper compares with.

    An output pixel depends, in theory, on inputs up to 1350 pixels away, so tiles are not exact: at
    weights drawn as for training, pixels beside a seam differ from those of the whole picture by
    less than 1e-4.
    """

    id = "srn"
    multiple = 16
    halo = 256
    defaults = MappingProxyType({"output": "published"})
    later_parameters = NetworkMethod.later_parameters | {"output"}
    importer_gap = _GAP
    card = MethodCard(
        title="SRN",
        family="learned",
        paper="Tao, Gao, Shen, Wang and Jia, Scale-recurrent network for deep image deblurring, "
        "CVPR 2018",
        trained_on=None,
        notes="Re-implementation of the PyTorch port iwtw/SRN-DeblurNet, the form that GKMNet's "
        "paper compares with (10.25 million parameters). The authors' own program differs: no "
        "ConvLSTM or one of 3x3, 4x4 deconvolutions, data in [0, 1], the blurred picture as the "
        "first previous result. Inferred: that the parameters and MACs which the paper prints "
        "mean this port. Unlike there, smaller scales are not rounded to 8 bits. The network "
        "maps [0, 1] to [-1, 1] and back itself. Nobody published output=added, which is for "
        f"comparisons of networks that start alike. Weights of others: {_GAP}.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        output: OutputForm | None = None,
        tile: Tile = 0,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            output: the picture, as `published`, or what is `added` to the picture at every scale;
                left out, as the checkpoint was trained.
            tile: side in pixels of the tiles that larger pictures are cut into, 0 for never. Seams
                are not exact.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"output": output}, tile, precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.srn import Srn

        return Srn(adds=self.structure["output"] == "added")
