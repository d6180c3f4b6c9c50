"""Restormer as two methods: one restores from the picture, one from the dual-pixel views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, MethodCard
from benchmark.methods.learned.method import UntiledMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = (
    "Zamir et al., Restormer: efficient transformer for high-resolution image restoration, CVPR "
    "2022"
)
_NOTES = (
    "Re-implementation of the authors' network from a description of it; equal to their program on "
    "stored outputs. Its attention is between channels, with statistics of the whole picture."
)


class _Restormer(UntiledMethod):
    """What both share: no tiles, as every pixel depends on statistics of the whole picture."""

    multiple = 8
    released_file = "FILE.pth"

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.restormer import Restormer

        return Restormer(channels=3 * max(1, len(self.expects.views)))


class RestormerMethod(_Restormer):
    """Restormer with the picture as its only input."""

    id = "restormer"
    expects = ExpectedInputs(whole_picture=True)
    card = MethodCard(
        title="Restormer", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES
    )


class RestormerDualMethod(_Restormer):
    """Restormer with the left and the right view as its input."""

    id = "restormer-d"
    expects = ExpectedInputs(views=("left", "right"), whole_picture=True)
    card = MethodCard(
        title="Restormer-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )
