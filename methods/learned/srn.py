"""SRN as a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.api import MethodCard
from benchmark.methods.learned.method import TiledMethod

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
        f"maps [0, 1] to [-1, 1] and back itself. Weights of others: {_GAP}.",
    )

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.srn import Srn

        return Srn()
