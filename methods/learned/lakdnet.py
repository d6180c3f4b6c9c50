"""LaKDNet as two methods: one restores from the picture, one from the dual-pixel views as well."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from benchmark.api import ExpectedInputs, MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod

if TYPE_CHECKING:
    from torch import nn

_PAPER = (
    "Ruan, Bemana, Seidel, Myszkowski and Chen, Revisiting image deblurring with an efficient "
    "ConvNet, arXiv 2302.01902, 2023"
)
_NOTES = (
    "Re-implementation of the authors' network from a description of it; equal to their program on "
    "stored outputs."
)


class _LaKDNet(NetworkMethod):
    """What both share."""

    multiple = 8
    defaults = MappingProxyType({"size": "s"})
    released_file = "FILE.pth"

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        size: Literal["s", "l"] | None = None,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            size: the paper's S (32 features at full size) or L (48); by default the checkpoint's,
                else S.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"size": size}, precision=precision)

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.lakdnet import LaKDNet

        # The constructor has validated the structure.
        size: Literal["s", "l"] = self.structure["size"]  # type: ignore[assignment]
        return LaKDNet(size, channels=3 * max(1, len(self.expects.views)))


class LaKDNetMethod(_LaKDNet):
    """LaKDNet with the picture as its only input."""

    id = "lakdnet"
    card = MethodCard(
        title="LaKDNet", family="learned", paper=_PAPER, trained_on=None, notes=_NOTES
    )


class LaKDNetDualMethod(_LaKDNet):
    """LaKDNet with the left view, the right view and the picture as its input."""

    id = "lakdnet-d"
    expects = ExpectedInputs(views=("left", "right", "combined"))
    card = MethodCard(
        title="LaKDNet-D",
        family="learned",
        paper=_PAPER,
        inputs="views",
        trained_on=None,
        notes=_NOTES,
    )
