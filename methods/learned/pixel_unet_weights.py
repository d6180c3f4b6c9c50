"""Weights that the authors of Restormer and LaKDNet published, whose files name alike what the
networks share.
"""

from __future__ import annotations

from types import MappingProxyType

from benchmark.api import ExpectedInputs, ImporterCard, PrintedScore
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, VERIFIED_NETWORK, WeightsImporter
from benchmark.methods.learned.printed_scores import expect_psnr_and_ssim

_STAGES = MappingProxyType(
    {
        "encoder.0": "encoder_level1", "encoder.1": "encoder_level2", "encoder.2": "encoder_level3",
        "decoder.0": "decoder_level1", "decoder.1": "decoder_level2", "decoder.2": "decoder_level3",
        "down.0": "down1_2.body.0", "down.1": "down2_3.body.0", "down.2": "down3_4.body.0",
        "up.0": "up2_1.body.0", "up.1": "up3_2.body.0", "up.2": "up4_3.body.0",
        "reduce.1": "reduce_chan_level2", "reduce.2": "reduce_chan_level3",
        "out": "output",
    }
)  # fmt: skip
_FEED = MappingProxyType(
    {
        "feed_norm": "norm2.body", "feed.expand": "ffn.project_in", "feed.local": "ffn.dwconv",
        "feed.project": "ffn.project_out",
    }
)  # fmt: skip
_ATTENTION = MappingProxyType(
    {
        "embed": "patch_embed.proj", "skip": "skip_conv", "attention_norm": "norm1.body",
        "attention.temperature": "attn.temperature", "attention.expand": "attn.qkv",
        "attention.local": "attn.qkv_dwconv", "attention.project": "attn.project_out",
    }
)  # fmt: skip
_MIXER = MappingProxyType(
    {
        "mixer_norm": "norm1.body",
        "mixer.layers.0": "mixer.dense_depth_1", "mixer.layers.1": "mixer.dense_point_1",
        "mixer.layers.2": "mixer.dense_depth_2", "mixer.layers.3": "mixer.dense_point_2",
    }
)  # fmt: skip
_NOTES = f"{UNVERIFIED_LAYOUT} {VERIFIED_NETWORK}"
_RESTORMER_LICENCE = (
    "Academic Public License, for program and weights alike: non-commercial, share-alike"
)
_RESTORMER_SOURCE = "the authors' release, https://github.com/swz30/Restormer (v1.0)"
_RESTORMER_PAPER = "Restormer paper (CVPR 2022), Table 3"
_LAKDNET_LICENCE = "AGPL-3.0 (program); the weights' own terms are not stated"
_LAKDNET_SOURCE = "the authors' page, https://lakdnet.mpi-inf.mpg.de"
_LAKDNET_PAPER = "LaKDNet paper (arXiv 2302.01902)"


class RestormerOfficial(WeightsImporter):
    """The authors' Restormer for one picture: 494 entries, 26,126,644 parameters."""

    words = (_STAGES, _ATTENTION, _FEED)
    card = ImporterCard(
        title="Restormer, the authors' weights for single-image defocus",
        method="restormer",
        tag="official",
        source=f"{_RESTORMER_SOURCE}, single_image_defocus_deblurring.pth",
        trained_on=("DPD train",),
        licence=_RESTORMER_LICENCE,
        expects=ExpectedInputs(order="rgb", multiple=8, bits=8, whole_picture=True),
        expected=expect_psnr_and_ssim("dpd", "restormer", 76, 25.98, 0.811, _RESTORMER_PAPER),
        notes=_NOTES,
    )


class RestormerDualOfficial(WeightsImporter):
    """The authors' Restormer for dual-pixel views: 495 entries, 26,132,548 parameters."""

    words = (_STAGES, _ATTENTION, _FEED)
    card = ImporterCard(
        title="Restormer, the authors' weights for dual-pixel defocus",
        method="restormer-d",
        tag="official",
        source=f"{_RESTORMER_SOURCE}, dual_pixel_defocus_deblurring.pth",
        trained_on=("DPD train",),
        licence=_RESTORMER_LICENCE,
        expects=ExpectedInputs(
            order="rgb", views=("left", "right"), multiple=8, bits=16, whole_picture=True
        ),
        expected=expect_psnr_and_ssim("dpd", "restormer", 76, 26.66, 0.833, _RESTORMER_PAPER),
        notes=_NOTES,
    )


class _LaKDNetImporter(WeightsImporter):
    """A state dict of LaKDNet; its embedding tells S from L."""

    words = (_STAGES, _MIXER, _FEED)


def _make_lakdnet_card(
    size: str, tag: str, file: str, trained_on: tuple[str, ...], expected: tuple[PrintedScore, ...]
) -> ImporterCard:
    """Return the card of weights for one picture."""
    return ImporterCard(
        title=f"LaKDNet {size.upper()}, the authors' weights, trained on {', '.join(trained_on)}",
        method="lakdnet",
        tag=tag,
        source=f"{_LAKDNET_SOURCE}, {file}",
        parameters=MappingProxyType({"size": size}),
        trained_on=trained_on,
        licence=_LAKDNET_LICENCE,
        expects=ExpectedInputs(order="rgb", multiple=8, bits=8),
        expected=expected,
        notes=_NOTES,
    )


def _make_lakdnet_dual_card(size: str, psnr: float, ssim: float) -> ImporterCard:
    """Return the card of weights for dual-pixel views."""
    return ImporterCard(
        title=f"LaKDNet {size.upper()}, the authors' weights for dual-pixel defocus",
        method="lakdnet-d",
        tag="official",
        source=f"{_LAKDNET_SOURCE}, train_on_dpdd_dual_{size}.pth",
        parameters=MappingProxyType({"size": size}),
        trained_on=("DPD train",),
        licence=_LAKDNET_LICENCE,
        expects=ExpectedInputs(
            order="rgb", views=("left", "right", "combined"), multiple=8, bits=16
        ),
        expected=expect_psnr_and_ssim("dpd", "lakdnet", 76, psnr, ssim, _LAKDNET_PAPER),
        notes=_NOTES,
    )


class LaKDNetOfficial(_LaKDNetImporter):
    """The authors' LaKDNet for one picture, trained on DPD: S 17,727,632, L 38,412,576
    parameters.
    """

    card = _make_lakdnet_card(
        "s",
        "official",
        "train_on_dpdd_s.pth",
        ("DPD train",),
        expect_psnr_and_ssim("dpd", "lakdnet", 76, 26.15, 0.810, _LAKDNET_PAPER)
        + expect_psnr_and_ssim("realdof", "lakdnet", 50, 25.08, 0.762, _LAKDNET_PAPER),
    )
    other_cards = (
        _make_lakdnet_card(
            "l",
            "official",
            "train_on_dpdd_l.pth",
            ("DPD train",),
            expect_psnr_and_ssim("dpd", "lakdnet", 76, 26.25, 0.813, _LAKDNET_PAPER)
            + expect_psnr_and_ssim("realdof", "lakdnet", 50, 25.13, 0.765, _LAKDNET_PAPER),
        ),
    )


class LaKDNetLfdof(_LaKDNetImporter):
    """The authors' LaKDNet S trained on LFDOF."""

    card = _make_lakdnet_card(
        "s",
        "lfdof",
        "train_on_lfdof_s.pth",
        ("LFDOF train",),
        expect_psnr_and_ssim("lfdof", "lakdnet", 725, 31.87, 0.912, _LAKDNET_PAPER),
    )


class LaKDNetLfdofDpd(_LaKDNetImporter):
    """The authors' LaKDNet S trained on LFDOF and DPD."""

    card = _make_lakdnet_card(
        "s",
        "lfdof-dpd",
        "train_on_lfdpdd_s.pth",
        ("LFDOF train", "DPD train"),
        expect_psnr_and_ssim("dpd", "lakdnet", 76, 25.89, 0.792, _LAKDNET_PAPER)
        + expect_psnr_and_ssim("realdof", "lakdnet", 50, 25.83, 0.769, _LAKDNET_PAPER),
    )


class LaKDNetDualOfficial(_LaKDNetImporter):
    """The authors' LaKDNet for dual-pixel views: S 17,729,360, L 38,415,168 parameters."""

    card = _make_lakdnet_dual_card("s", 26.72, 0.826)
    other_cards = (_make_lakdnet_dual_card("l", 26.89, 0.832),)
