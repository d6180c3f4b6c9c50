"""DRBNet as two methods: one restores from the picture, one from the dual-pixel views as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, MethodCard
from benchmark.methods.learned.method import UntiledMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = (
    "Ruan, Chen, Li and Lam, Learning to deblur using light field generated and real defocus "
    "images, CVPR 2022"
)
_NOTES = (
    "Re-implementation of the authors' network from a description of it; equal to their program on "
    "stored outputs. The network maps [0, 1] to [-1, 1] and back itself."
)


class _DrbNet(UntiledMethod):
    """What both share."""

    multiple = 8
    released_file = "FILE.pth"

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.drbnet import DrbNet

        return DrbNet(channels=3 * max(1, len(self.expects.views)))


class DrbNetMethod(_DrbNet):
    """DRBNet with the picture as its only input."""

    id = "drbnet"
    card = MethodCard(title="DRBNet", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES)


class DrbNetDualMethod(_DrbNet):
    """DRBNet with the right view, the left view and the picture as its input."""

    id = "drbnet-d"
    expects = ExpectedInputs(views=("right", "left", "combined"))
    card = MethodCard(
        title="DRBNet-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )
