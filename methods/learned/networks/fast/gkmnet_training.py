"""GKMNet for training: the plain form's results, gradients and entries, in less time on a CPU.

The 5 x 5 convolution of the memory is Winograd's; triplet attention, and the GCM with its mixing,
are single passes (`attention`, `mixing`). On a GPU those are the plain form's, and the
filters of the GCM banded matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.methods.learned.networks.fast import (
    attention,
    mixing,
    winograd,
)
from benchmark.methods.learned.networks.gkmnet import COLOURS, Form, GkmNet, TripletAttention


class TrainableGkmNet(GkmNet):
    """The network; see the module."""

    def __init__(self, form: Form) -> None:
        """Make the network at the weights that the plain form would draw."""
        super().__init__(form, "banded" if form.kernels == "fixed" else "dense")
        winograd.use_winograd_for_training(self)
        for block in list(self.modules()):
            for name, child in block.named_children():
                if isinstance(child, TripletAttention):
                    setattr(block, name, FusedAttention(child))

    def mix_responses(self, mix: nn.Module, gates: Tensor, y: Tensor, x: Tensor) -> Tensor:
        gates = gates.to(y.dtype)
        is_fixed = self.form.kernels == "fixed"
        with torch.autocast(y.device.type, enabled=False):  # it is pictures that would be rounded
            if y.is_cuda or (self.form.variant == "v2" and not is_fixed):
                return super().mix_responses(mix, gates, y, x)
            mix_picture = self._filter_and_mix if is_fixed else self._mix_learned_responses
            gates_of_y, gates_of_x = gates.chunk(2, 1)
            weight = mix.get_parameter("weight").view(COLOURS, 2, -1)
            weight_of_y, weight_of_x = weight.unbind(1)
            mixture_of_y = mix_picture(gates_of_y, y, weight_of_y)
            mixture_of_x = mix_picture(gates_of_x, x, weight_of_x)
            return mixture_of_y + mixture_of_x + mix.get_parameter("bias")[:, None, None]

    def _filter_and_mix(self, gates: Tensor, picture: Tensor, weight: Tensor) -> Tensor:
        filters = mixing.Filters(*self.gcm.channels())
        return mixing.filter_and_mix(gates, self.gcm.extend(picture), weight, filters)

    def _mix_learned_responses(self, gates: Tensor, picture: Tensor, weight: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        responses = self.gcm(picture).view(len(picture), COLOURS, -1, height, width)
        weight = weight.view(COLOURS, COLOURS, -1)
        return mixing.mix_gated_responses(gates, responses, weight)


class FusedAttention(TripletAttention):
    """Triplet attention in two passes forward and two back."""

    def __init__(self, plain: TripletAttention) -> None:
        """Take over the gates of the plain form."""
        nn.Module.__init__(self)
        self.cw = plain.cw
        self.hc = plain.hc
        self.hw = plain.hw

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return super().forward(x)
        over_rows, over_columns, over_channels = attention.pool_over_axes(x)
        return attention.apply_gates(
            x,
            self.cw.gate_from_pools(over_rows),
            self.hc.gate_from_pools(over_columns),
            self.hw.gate_from_pools(over_channels),
        )
