"""Weights that the authors of IFAN and DRBNet published, whose files name alike what the networks
share.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, VERIFIED_NETWORK, WeightsImporter
from benchmark.methods.learned.printed_scores import expect_psnr_and_ssim

_LEVELS = range(4)
_ENCODER = MappingProxyType(
    {
        f"encoder.{level}.{layer}": f"conv{level + 1}_{layer + 1}"
        for level in _LEVELS
        for layer in range(3)
    }
)
_STEPS_UP = MappingProxyType(
    {
        f"up.{level}.{part}": f"upconv{level + 1}_{their_part}"
        for level in _LEVELS[:-1]
        for part, their_part in (("enlarge", "u"), ("refine.0", "1"), ("refine.1", "2"))
    }
)
_IFAN_STAGES = MappingProxyType(
    {
        **_ENCODER, **{f"filter_{ours}": f"k{theirs}" for ours, theirs in _ENCODER.items()},
        **_STEPS_UP, "disparity": "DME", "disparity_features": "conv_DME", "merge": "conv4_4",
        "filters": "F.3", "filter_features": "F", "rebuild": "conv_res", "out": "out_res",
    }
)  # fmt: skip
_DRBNET_STAGES = MappingProxyType(
    {
        **_ENCODER, **_STEPS_UP, "middle": "conv4_4",
        **{f"corrections.{level}.picture_features": f"img_d{1 << level}_feature"
           for level in _LEVELS},
        **{f"corrections.{level}.kernels": f"upconv{level}_kernel" for level in _LEVELS},
        **{f"corrections.{level}.residual": f"upconv{level}_res" for level in _LEVELS},
    }
)  # fmt: skip
_INSIDE_STACK = MappingProxyType({"blocks": "stem"})
_NOTES = f"{UNVERIFIED_LAYOUT} {VERIFIED_NETWORK}"
_DUAL = ExpectedInputs(order="rgb", views=("right", "left", "combined"), multiple=8, bits=8)
_IFAN_SOURCE = "the authors' checkpoints.zip, https://github.com/codeslake/IFAN"
_IFAN_CARD = ImporterCard(
    title="IFAN, the authors' weights",
    method="ifan",
    tag="official",
    source=f"{_IFAN_SOURCE}, IFAN.pytorch",
    parameters=MappingProxyType({"n": "17"}),
    trained_on=("DPD train",),
    licence="AGPL-3.0 (program and weights)",
    expects=ExpectedInputs(order="rgb", multiple=8, bits=8),
    expected=(
        *expect_psnr_and_ssim("dpd", "ifan", 76, 25.366, 0.789, "ViTDeblur README"),
        *expect_psnr_and_ssim("realdof", "ifan", 50, 24.712, 0.748, "ViTDeblur README"),
    ),
    notes=_NOTES,
)
_DRBNET_SOURCE = "the authors' ckpts.zip, https://github.com/lingyanruan/DRBNet"
_DRBNET_LICENCE = "AGPL-3.0 (program); the weights' own terms are not stated"


class _IfanImporter(WeightsImporter):
    """A state dict of IFAN, beside that of a network which only training uses."""

    words = (_IFAN_STAGES, _INSIDE_STACK)
    foreign_parts = ("reblurNet.*",)


class IfanOfficial(_IfanImporter):
    """The authors' IFAN for one picture: 158 entries, 10,476,996 parameters with N = 17."""

    card = _IFAN_CARD
    other_cards = tuple(
        dataclasses.replace(
            _IFAN_CARD,
            title=f"IFAN with N = {rounds}, the authors' weights",
            source=f"{_IFAN_SOURCE}, IFAN_{rounds}.pytorch",
            parameters=MappingProxyType({"n": rounds}),
            expected=(),
        )
        for rounds in ("8", "26", "35", "44")
    )


class Ifan16Bit(_IfanImporter):
    """The authors' IFAN for pictures of 16 bits: other weights of the same network."""

    card = dataclasses.replace(
        _IFAN_CARD,
        title="IFAN, the authors' weights for 16 bits",
        tag="16bit",
        source=f"{_IFAN_SOURCE}, IFAN_16bit.pytorch",
        expects=ExpectedInputs(order="rgb", multiple=8, bits=16),
        expected=(),
    )


class IfanDualOfficial(_IfanImporter):
    """The authors' IFAN for dual-pixel views: 158 entries, 10,477,860 parameters."""

    card = dataclasses.replace(
        _IFAN_CARD,
        title="IFAN, the authors' weights for dual-pixel defocus",
        method="ifan-d",
        source=f"{_IFAN_SOURCE}, IFAN_dual.pytorch",
        expects=_DUAL,
        expected=expect_psnr_and_ssim("dpd", "ifan", 76, 25.99, 0.804, "GRL README"),
    )


class DrbNetOfficial(WeightsImporter):
    """The authors' DRBNet for one picture: 138 entries, 11,689,616 parameters."""

    words = (_DRBNET_STAGES, _INSIDE_STACK)
    card = ImporterCard(
        title="DRBNet, the authors' weights",
        method="drbnet",
        tag="official",
        source=f"{_DRBNET_SOURCE}, single/single_image_defocus_deblurring.pth",
        trained_on=("LFDOF train", "DPD train"),
        licence=_DRBNET_LICENCE,
        expects=ExpectedInputs(order="rgb", multiple=16, bits=8),
        expected=(
            *expect_psnr_and_ssim("dpd", "drbnet", 76, 25.725, 0.791, "ViTDeblur README"),
            *expect_psnr_and_ssim("realdof", "drbnet", 50, 24.463, 0.751, "ViTDeblur README"),
        ),
        notes=_NOTES,
    )


class DrbNetDualOfficial(WeightsImporter):
    """The authors' DRBNet for dual-pixel views: 138 entries, 11,690,480 parameters."""

    words = (_DRBNET_STAGES, _INSIDE_STACK)
    card = ImporterCard(
        title="DRBNet, the authors' weights for dual-pixel defocus",
        method="drbnet-d",
        tag="official",
        source=f"{_DRBNET_SOURCE}, dual/dual_images_defocus_deblurring.pth",
        licence=_DRBNET_LICENCE,
        expects=dataclasses.replace(_DUAL, multiple=16),
        notes=_NOTES,
    )
