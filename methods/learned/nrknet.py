"""NRKNet as a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.api import MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod

if TYPE_CHECKING:
    from torch import nn


class NrkNetMethod(NetworkMethod):
    """NRKNet of Quan et al., normalised by running statistics or by those of the picture itself."""

    id = "nrknet"
    multiple = 16
    smallest = 32
    released_file = "FILE.pth"
    card = MethodCard(
        title="NRKNet",
        family="learned",
        paper="Quan, Wu and Ji, Neumann network with recursive kernels for single image defocus "
        "deblurring, CVPR 2023",
        trained_on=None,
        notes="Re-implementation of the authors' network from a description of it; equal to their "
        "program on stored outputs with either kind of statistics.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        bn: Literal["running", "batch"] | None = None,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            bn: normalise by running statistics, or by those of the picture itself, as the released
                test program does (the default for weights that expect statistics of the whole
                picture). Results then depend on the whole picture.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, precision=precision)
        if bn is None:
            bn = "batch" if self.expects.whole_picture else "running"
        self._batch_statistics = bn == "batch"

    def build(self) -> nn.Module:
        return self._build_network(self._batch_statistics)

    def build_trainable(self) -> nn.Module:
        return self._build_network(batch_statistics=False)

    def _build_network(self, batch_statistics: bool) -> nn.Module:
        from benchmark.methods.learned.networks.nrknet import NrkNet

        return NrkNet(batch_statistics)
