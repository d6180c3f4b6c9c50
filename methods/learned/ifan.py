"""IFAN as two methods: one restores from the picture, one from the dual-pixel views as well."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from benchmark.api import ExpectedInputs, MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = (
    "Lee, Son, Rim, Cho and Lee, Iterative filter adaptive network for single image defocus "
    "deblurring, CVPR 2021"
)
_NOTES = (
    "Re-implementation of the authors' network from a description of it; equal to their program on "
    "stored outputs. Layers that only their training uses are left out."
)


class _Ifan(NetworkMethod):
    """What both share."""

    multiple = 8
    defaults = MappingProxyType({"n": "17"})
    released_file = "FILE.pytorch"

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        n: Literal["8", "17", "26", "35", "44"] | None = None,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            n: the paper's N, how many times features are filtered; by default the checkpoint's,
                else 17.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"n": n}, precision=precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.ifan import Ifan

        return Ifan(int(self.structure["n"]), channels=3 * max(1, len(self.expects.views)))


class IfanMethod(_Ifan):
    """IFAN with the picture as its only input."""

    id = "ifan"
    card = MethodCard(title="IFAN", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES)


class IfanDualMethod(_Ifan):
    """IFAN with the right view, the left view and the picture as its input."""

    id = "ifan-d"
    expects = ExpectedInputs(views=("right", "left", "combined"))
    card = MethodCard(
        title="IFAN-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )
