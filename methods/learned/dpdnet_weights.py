"""Weights of DPDNet that others published as files of Keras."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, FileEntry, WeightsImporter
from benchmark.foreign_weights import StoredTensor
from benchmark.methods.learned.printed_scores import expect_psnr_and_ssim

if TYPE_CHECKING:
    from torch import Tensor

_KERNEL = re.compile(r"conv2d(?:_(\d+))?/kernel:0")
_GKMNET_TABLE_1 = "GKMNet paper (NeurIPS 2021), Table 1"
_RDPD = "the authors' next paper, RDPD (ICCV 2021)"
_PORTRAITS = (
    "Pictures higher than wide are turned, as in the authors' test program, which also resizes "
    "all to 1680 x 1120 (that is the input track of the protocol dpdnet)."
)
_PROGRAM = "https://github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel"


def _list_convolutions() -> Iterator[tuple[str, ...]]:
    """Yield our layers for each convolution of the authors, in the order of their graph.

    Ours splits those of two concatenated tensors: first the encoder's half, which has the bias.
    """
    for stage in range(4):
        yield (f"down.{stage}.0",)
        yield (f"down.{stage}.2",)
    yield ("deepest.0",)
    yield ("deepest.2",)
    for stage in reversed(range(4)):
        yield (f"up.{stage}.conv",)
        yield (f"across.{stage}", f"merge.{stage}")
        yield (f"last.{stage}",)
    yield ("out.0",)
    yield ("out.2",)


class _KerasDpdNet(WeightsImporter):
    """24 convolutions that Keras has numbered on, in a file of the whole model or of its weights
    only.
    """

    file_format = "keras"

    def list_file_entries(
        self, ours: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
    ) -> Mapping[str, FileEntry]:
        numbers = [int(match[1] or 0) for match in map(_KERNEL.fullmatch, stored) if match]
        starts = range(max(0, min(numbers) - 1), max(numbers) + 1) if numbers else range(1, 2)
        layouts = [_number_entries(start) for start in starts]
        return max(layouts, key=lambda layout: _count_fitting(layout, ours, stored))


def _number_entries(start: int) -> dict[str, FileEntry]:
    """Return the entries of a file whose first convolution has this number."""
    entries: dict[str, FileEntry] = {}
    for number, layers in enumerate(_list_convolutions(), start):
        name = f"conv2d_{number}" if number else "conv2d"
        kernels = tuple(f"{layer}.weight" for layer in layers)
        entries[f"{name}/kernel:0"] = FileEntry(kernels, "hwio")
        entries[f"{name}/bias:0"] = FileEntry((f"{layers[0]}.bias",))
    return entries


def _count_fitting(
    entries: Mapping[str, FileEntry],
    ours: Mapping[str, Tensor],
    stored: Mapping[str, StoredTensor],
) -> int:
    return sum(
        name in stored and stored[name].shape == entry.join(ours).shape
        for name, entry in entries.items()
    )


class DpdNetSOfficial(_KerasDpdNet):
    """The authors' DPDNet-S: 31,033,423 parameters."""

    card = ImporterCard(
        title="DPDNet-S, the authors' weights",
        method="dpdnet-s",
        tag="official",
        source=f"the authors' model for one picture, linked in issue 3 of {_PROGRAM}",
        trained_on=("DPD train",),
        licence="MIT (program); the weights' own terms are not stated",
        expects=ExpectedInputs(order="bgr", turns_portraits=True, bits=16),
        expected=expect_psnr_and_ssim("dpd", "dpdnet", 76, 24.34, 0.747, _GKMNET_TABLE_1),
        notes=f"{_PORTRAITS} {UNVERIFIED_LAYOUT}",
    )


class DpdNetDOfficial(_KerasDpdNet):
    """The authors' DPDNet-D: 31,035,151 parameters."""

    card = ImporterCard(
        title="DPDNet-D, the authors' weights",
        method="dpdnet-d",
        tag="official",
        source=f"the authors' release, {_PROGRAM} "
        "(ModelCheckpoints/defocus_deblurring_dp_l5_s512_f0.7_d0.4.hdf5)",
        trained_on=("DPD train",),
        licence="MIT (program); the weights' own terms are not stated",
        expects=ExpectedInputs(order="bgr", views=("left", "right"), turns_portraits=True, bits=16),
        expected=expect_psnr_and_ssim("dpd", "dpdnet", 76, 25.13, 0.786, _RDPD),
        notes=f"{_PORTRAITS} {UNVERIFIED_LAYOUT}",
    )


class DpdNetSLfdof(_KerasDpdNet):
    """DPDNet-S as the authors of DRBNet trained it again: 31,033,423 parameters."""

    card = ImporterCard(
        title="DPDNet-S, trained again on LFDOF by DRBNet's authors",
        method="dpdnet-s",
        tag="lfdof",
        source="the authors' release, https://github.com/lingyanruan/DPDNet (ModelCheckpoints)",
        trained_on=("LFDOF train", "DPD train"),
        licence="MIT (program); the weights' own terms are not stated",
        expects=ExpectedInputs(order="bgr", bits=8),
        notes="Inferred: that DPD followed LFDOF, as in the training strategy of DRBNet's paper, "
        f"which the release names. {UNVERIFIED_LAYOUT}",
    )
