"""NAFNet as a method."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from benchmark.api import ExpectedInputs, MethodCard, Precision
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import NetworkMethod

if TYPE_CHECKING:
    from torch import nn


class NafNetMethod(NetworkMethod):
    """NAFNet of Chen et al., with or without the local form of its statistics."""

    id = "nafnet"
    multiple = 16
    expects = ExpectedInputs(padding="zero")
    defaults = MappingProxyType({"width": "64"})
    released_file = "FILE.pth"
    card = MethodCard(
        title="NAFNet",
        family="learned",
        paper="Chen, Chu, Zhang and Sun, Simple baselines for image restoration, ECCV 2022; local "
        "statistics: Chu et al., Improving image restoration by revisiting global information "
        "aggregation, ECCV 2022",
        trained_on=None,
        notes="Re-implementation of the authors' network from a description of it; equal to their "
        "program on stored outputs without local statistics (tlc=false). Local means are summed in "
        "float64 here, in float32 there.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        width: Literal["32", "64"] | None = None,
        tlc: bool = True,
        precision: Precision = "32",
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            width: features at full size; by default the checkpoint's, else 64.
            tlc: whether channels are weighted by means of 384 x 384 pixels around each pixel rather
                than of the whole picture (test-time local converter). Training is without.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, {"width": width}, precision=precision)
        self._local_statistics = tlc

    def build(self) -> nn.Module:
        return self._build_network(self._local_statistics)

    def build_trainable(self) -> nn.Module:
        return self._build_network(local_statistics=False)

    def _build_network(self, local_statistics: bool) -> nn.Module:
        from benchmark.methods.learned.networks.nafnet import NafNet

        return NafNet(int(self.structure["width"]), local_statistics)
