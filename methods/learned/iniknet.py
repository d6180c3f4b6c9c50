"""INIKNet as a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.api import MethodCard
from benchmark.methods.learned.method import UntiledMethod

if TYPE_CHECKING:
    from torch import nn


class InikNetMethod(UntiledMethod):
    """INIKNet of Quan et al."""

    id = "iniknet"
    multiple = 32
    released_file = "FILE.pth"
    card = MethodCard(
        title="INIKNet",
        family="learned",
        paper="Quan, Yao and Ji, Single image defocus deblurring via implicit neural inverse "
        "kernels, ICCV 2023",
        trained_on=None,
        notes="Re-implementation of the authors' network from a description of it; equal to their "
        "program on a stored output.",
    )

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.iniknet import InikNet

        return InikNet()
