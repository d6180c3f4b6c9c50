"""Weights that the authors of NRKNet published."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, VERIFIED_NETWORK, WeightsImporter
from benchmark.methods.learned.printed_scores import expect_psnr

_STAGES = MappingProxyType(
    {
        **{f"unet.encoder.{level}.down": f"feat_extract.{level}.main.0" for level in range(3)},
        **{f"unet.encoder.{level}.block": f"Encoder.{level}.layers.0" for level in range(3)},
        **{f"unet.decoder.{level}.up": f"feat_extract.{4 - level}.main.0" for level in range(2)},
        **{f"unet.decoder.{level}.block": f"Decoder.{2 - level}.layers.0" for level in range(2)},
        "unet.deepest": "Decoder.0.layers.0",
        "unet.bottleneck.0": "bottleneck.0.main.0", "unet.bottleneck.2": "bottleneck.1.layers.0",
        "predictor.conv": "APU.conv.main.0", "predictor.norm": "APU.conv.main.1",
        "predictor.gates": "APU.conv_atten.conv",
        "step.bank": "GCM", "step.mix": "SummationLayer.conv",
    }
)  # fmt: skip
_INSIDE_RESIDUAL = MappingProxyType({"conv1": "main.0.main.0", "conv2": "main.1.main.0"})
_CARD = ImporterCard(
    title="NRKNet, the authors' weights",
    method="nrknet",
    tag="official",
    source="the authors' release, https://github.com/csZcWu/NRKNet (NRKNet_epoch3846.pth)",
    trained_on=("DPD train",),
    licence="MIT (program); the weights' own terms are not stated",
    expects=ExpectedInputs(order="bgr", multiple=16, bits=8, whole_picture=True),
    expected=(
        expect_psnr("dpd", "nrknet", 76, 26.109, "ViTDeblur README"),
        expect_psnr("realdof", "nrknet", 50, 25.148, "ViTDeblur README"),
    ),
    notes="The authors' test program never leaves training mode, so every picture is normalised by "
    "its own statistics (bn=batch, the default for these weights). "
    f"{UNVERIFIED_LAYOUT} {VERIFIED_NETWORK}",
)


class _NrkNetImporter(WeightsImporter):
    """A state dict of NRKNet: 31 entries, 6,094,107 parameters."""

    words = (_STAGES, _INSIDE_RESIDUAL)


class NrkNetOfficial(_NrkNetImporter):
    """The authors' NRKNet trained on DPD."""

    card = _CARD


class NrkNetLfdof(_NrkNetImporter):
    """The authors' NRKNet trained on LFDOF."""

    card = dataclasses.replace(
        _CARD,
        title="NRKNet, the authors' weights, trained on LFDOF",
        tag="lfdof",
        source="the authors' release, https://github.com/csZcWu/NRKNet (NRKNet_epoch257.pth)",
        trained_on=("LFDOF train",),
        expected=(expect_psnr("lfdof", "nrknet", 725, 30.481, "ViTDeblur README"),),
    )
