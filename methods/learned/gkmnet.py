"""GKMNet as a method: the paper's network, the released one, its correction, the ablations of
Tables 4 and 5.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from benchmark.api import (
    MethodCard,
    Mixture,
    Network,
    Observation,
    Picture,
    Precision,
    UsageError,
)
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import Forward, NetworkMethod, OutputForm, Padding
from benchmark.optics.light import take_local_light

if TYPE_CHECKING:
    from torch import nn

    from benchmark.methods.learned.networks.gkmnet import Filtering, GkmNet

LIGHT_REACH = 16.0
"""Standard deviation in pixels of the neighbourhood whose light results can keep."""

OneToThree = Annotated[int, Ge(1), Le(3)]


class GkmNetMethod(NetworkMethod):
    """Gaussian kernel mixture network of Quan, Wu and Ji."""

    id = "gkmnet"
    multiple = 16
    defaults = MappingProxyType(
        {
            "variant": "paper", "scales": 3, "rounds": 1, "shared": True,
            "memory": "conv-lstm", "kernels": "fixed", "head": "gkm", "decoder": "transposed",
            "output": "published",
        }
    )  # fmt: skip
    later_parameters = NetworkMethod.later_parameters | {"decoder", "light", "output"}
    variants = MappingProxyType(
        {
            "ablations": (
                # Table 4
                "head=sram", "scales=1", "memory=convolution", "kernels=xavier", "kernels=gaussian",
                # Table 5
                "scales=1,rounds=3", "scales=2,rounds=3,shared=false", "rounds=2,shared=false",
            )
        }
    )  # fmt: skip
    released_file = "FILE.pth"
    card = MethodCard(
        title="GKMNet",
        family="learned",
        paper="Quan, Wu and Ji, Gaussian kernel mixture network for single image defocus "
        "deblurring, NeurIPS 2021",
        trained_on=None,
        notes="Re-implementation of the paper (variant=paper), of the released program, which is "
        "another network (official), and of its authors' correction (v2). Where the paper is "
        "silent - BatchNorm, the bottleneck block, gates for y as well as x - the released "
        "program is followed; the border of the GCM is half-sample reflection.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        variant: Literal["paper", "official", "v2"] | None = None,
        scales: OneToThree | None = None,
        rounds: OneToThree | None = None,
        shared: bool | None = None,
        memory: Literal["conv-lstm", "convolution"] | None = None,
        kernels: Literal["fixed", "gaussian", "xavier"] | None = None,
        head: Literal["gkm", "sram"] | None = None,
        decoder: Literal["transposed", "resized"] | None = None,
        output: OutputForm | None = None,
        bn: Literal["running", "batch"] | None = None,
        pad: Literal["reflect", "black"] = "reflect",
        light: Literal["network", "input"] | None = None,
        precision: Precision = "32",
    ) -> None:
        """Make the method. What is left out is as the checkpoint was trained, else as in the paper.

        Args:
            checkpoint: the weights, None for none.
            variant: `paper`, `official` (the released program) or `v2` (its authors' later
                correction).
            scales: S, how many scales (the paper's T; 1 is its ablation "GKMNet(1)").
            rounds: R, steps at each scale (Table 5).
            shared: whether the rounds of a scale share their weights.
            memory: a ConvLSTM in the attention prediction unit, or a plain convolution ("w/o
                Conv-LSTM").
            kernels: fixed Gaussians, or learned from Gaussians or from random ones ("Learned GCM").
            head: `gkm`, or `sram` for the attention module alone ("SRAM*").
            decoder: how features are enlarged: by transposed convolutions, or resized, which weaves
                no lattice into smooth regions.
            output: as `published`, or what the last layer gives `added` to the picture, for
                comparing `sram` with `gkm`, whose paper has it so.
            bn: normalise by running statistics, or by those of the picture itself, as the released
                test program does (the default for `official`). Results then depend on the whole
                picture.
            light: whether results have the light that the network gives them, or around each pixel
                that of the input (the default for `resized`). Trained on code values, a network
                darkens what it cannot restore.
            pad: how a picture is continued to multiples of 16: reflected, or black and centred as
                released.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.

        Raises:
            UsageError: for `output=added` where the published network adds already.
        """
        structure = {
            "variant": variant, "scales": scales, "rounds": rounds, "shared": shared,
            "memory": memory, "kernels": kernels, "head": head, "decoder": decoder,
            "output": output,
        }  # fmt: skip
        super().__init__(checkpoint, structure, precision=precision)
        self._require_output_that_differs()
        if bn is None:
            bn = "batch" if self.structure["variant"] == "official" else "running"
        self._batch_statistics = bn == "batch"
        self._black_padding = pad == "black"
        if light is None:
            light = "input" if self.structure["decoder"] == "resized" else "network"
        self._keeps_light = light == "input"
        self._plain: GkmNet | None = None

    def restore(self, observation: Observation) -> Picture:
        restored = super().restore(observation)
        if not self._keeps_light:
            return restored
        return take_local_light(restored, observation.image, LIGHT_REACH)

    def build(self) -> nn.Module:
        return self._build_network("dense")

    def build_trainable(self) -> nn.Module:
        from benchmark.methods.learned.networks.fast.gkmnet_training import TrainableGkmNet
        from benchmark.methods.learned.networks.gkmnet import Form

        return TrainableGkmNet(Form(**self.structure))  # type: ignore[arg-type]

    def network(self) -> Network:
        dense = super().network()
        forms: dict[str, Callable[[], nn.Module]] = {"dense GCM": self.build}
        if self.structure["head"] == "gkm" and self.structure["kernels"] == "fixed":
            forms["separable GCM"] = functools.partial(self._build_network, "separable")
        return dataclasses.replace(dense, forms=forms)

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        from benchmark.methods.learned.networks import gkmnet

        assert isinstance(network, gkmnet.GkmNet)
        self._plain = network
        if self._batch_statistics:
            gkmnet.use_batch_statistics(network)
        return super().compile_network(network, device)

    def choose_padding(self, height: int, width: int) -> Padding:
        padding = super().choose_padding(height, width)
        if not self._black_padding:
            return padding
        rows = _split_evenly(sum(padding.rows))
        columns = _split_evenly(sum(padding.columns))
        return Padding(rows, columns, "constant")

    def mixture(self, observation: Observation) -> Mixture | None:
        """Return sigma and beta of the last step (see the network's `coefficients`), computed by
        the plain form.

        None for head=sram, which has no kernels, and kernels=xavier, whose kernels are no
        Gaussians. Learned Gaussians go by the sigma that they were learned from.

        Raises:
            UsageError: without weights, or before `prepare`.
        """
        if self.structure["head"] == "sram" or self.structure["kernels"] == "xavier":
            return None
        network = self._plain
        forward = None if network is None else network.coefficients
        beta = self.apply_padded(forward, self.encode_inputs(observation))
        assert network is not None
        return Mixture(network.form.bank.sigmas, np.ascontiguousarray(np.moveaxis(beta, 2, 0)))

    def skip(self, observation: Observation) -> str | None:
        reason = super().skip(observation)
        if reason is not None:
            return reason
        is_small = max(observation.image.shape[:2]) <= self.multiple
        if self._batch_statistics and is_small:
            return (
                "too small for statistics of its own (bn=batch): its coarsest features are one "
                "pixel; try bn=running"
            )
        return None

    def _require_output_that_differs(self) -> None:
        structure = self.structure
        if structure["output"] == "published":
            return
        if structure["variant"] == "paper" and structure["head"] == "gkm":
            raise UsageError(
                f"{self.id}:output=added: the paper's network adds to the picture already; leave "
                "it out, or take it with head=sram or another variant"
            )

    def _build_network(self, filtering: Filtering) -> GkmNet:
        from benchmark.methods.learned.networks.gkmnet import Form, GkmNet

        # The constructor has validated the structure.
        return GkmNet(Form(**self.structure), filtering)  # type: ignore[arg-type]


def _split_evenly(count: int) -> tuple[int, int]:
    """Return two numbers that add up to one, the first the smaller if they differ."""
    half = count // 2
    return half, count - half
