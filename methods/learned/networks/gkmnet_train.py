"""GKMNet for training: the plain form's results, gradients and entries, in less time on a CPU.

The 5 x 5 convolution of the memory is Winograd's; triplet attention, and the GCM with its mixing,
are single passes (`fused`). On a GPU those are the plain form's, and the filters of the GCM banded
matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.methods.learned.networks import fused, winograd
from benchmark.methods.learned.networks.gkmnet import COLOURS, Form, GkmNet, TripletAttention


class TrainableGkmNet(GkmNet):
    """The network; see the module."""

    def __init__(self, form: Form) -> None:
        """Make the network at the weights that the plain form would draw."""
        super().__init__(form, "banded" if form.kernels == "fixed" else "dense")
        winograd.trainable(self)
        for block in list(self.modules()):
            for name, child in block.named_children():
                if isinstance(child, TripletAttention):
                    setattr(block, name, FusedAttention(child))

    def mixed(self, mix: nn.Module, gates: Tensor, y: Tensor, x: Tensor) -> Tensor:
        with torch.autocast(y.device.type, enabled=False):  # it is pictures that would be rounded
            return self._mixed(mix, gates.to(y.dtype), y, x)

    def _mixed(self, mix: nn.Module, gates: Tensor, y: Tensor, x: Tensor) -> Tensor:
        fixed = self.form.kernels == "fixed"
        if y.is_cuda or (self.form.variant == "v2" and not fixed):
            return super().mixed(mix, gates, y, x)
        make = self._filtered if fixed else self._responded
        weights = mix.get_parameter("weight").view(COLOURS, 2, -1).unbind(1)
        of_y, of_x = (
            make(*parts) for parts in zip(gates.chunk(2, 1), (y, x), weights, strict=True)
        )
        return of_y + of_x + mix.get_parameter("bias")[:, None, None]

    def _filtered(self, gates: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
        return fused.filtered(
            gates, self.gcm.continued(seen), weight, fused.Filters(*self.gcm.channels())
        )

    def _responded(self, gates: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
        responses = self.gcm(seen).view(len(seen), COLOURS, -1, *seen.shape[-2:])
        return fused.mixed(gates, responses, weight.view(COLOURS, COLOURS, -1))


class FusedAttention(TripletAttention):
    """Triplet attention in two passes forward and two back."""

    def __init__(self, plain: TripletAttention) -> None:
        """Take over the gates of the plain form."""
        nn.Module.__init__(self)
        self.cw, self.hc, self.hw = plain.cw, plain.hc, plain.hw

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return super().forward(x)
        gates = (
            gate.of(seen)
            for gate, seen in zip((self.cw, self.hc, self.hw), fused.pooled(x), strict=True)
        )
        return fused.attended(x, *gates)
