"""KPAC as two methods: one restores from the picture, one from the dual-pixel views as well."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from benchmark.api import ExpectedInputs, MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod, UntiledMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = (
    "Son, Lee, Cho and Lee, Single image defocus deblurring using kernel-sharing parallel atrous "
    "convolutions, ICCV 2021"
)
_NOTES = (
    "Re-implementation of the authors' network from a description made by reading their program; "
    "not verified against the authors' program. The weights of filters are means of the whole "
    "picture. The network maps [0, 1] to [-1, 1] and back itself."
)


class KpacMethod(NetworkMethod):
    """KPAC with the picture as its only input."""

    id = "kpac"
    multiple = 8
    expects = ExpectedInputs(whole_picture=True)
    defaults = MappingProxyType({"levels": "3"})
    released_file = "FILE.npz"
    card = MethodCard(title="KPAC", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES)

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        levels: Literal["2", "3"] | None = None,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            levels: how many times the size is halved; by default the checkpoint's, else 3.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"levels": levels}, precision=precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.kpac import Kpac

        return Kpac(int(self.structure["levels"]))


class KpacDualMethod(UntiledMethod):
    """KPAC with the left view, the right view and the picture as its input."""

    id = "kpac-d"
    multiple = 8
    expects = ExpectedInputs(views=("left", "right", "combined"), whole_picture=True)
    released_file = "FILE.npz"
    card = MethodCard(
        title="KPAC-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.kpac import Kpac

        return Kpac(channels=9)
