"""Weights that the authors of INIKNet published."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import (
    UNVERIFIED_LAYOUT,
    VERIFIED_NETWORK,
    FileEntry,
    WeightsImporter,
)
from benchmark.foreign_weights import StoredTensor

if TYPE_CHECKING:
    from torch import Tensor

_STAGES = MappingProxyType(
    {
        **{f"unet.encoder.{level}.down": f"unet.feat_extract.{level}.main.0" for level in range(3)},
        **{f"unet.encoder.{level}.block": f"unet.Encoder.{level}.layers" for level in range(3)},
        **{f"unet.decoder.{level}.reduce": f"unet.feat_extract.{4 - level}.main.0"
           for level in range(2)},
        **{f"unet.decoder.{level}.up": f"unet.up{2 - level}.main.0" for level in range(2)},
        **{f"unet.decoder.{level}.block": f"unet.Decoder.{1 - level}.layers" for level in range(2)},
        "basis_memory": "lstms_basis_select", "scale_memory": "lstms_scale_select",
        "basis_head": "basis_select", "scale_head": "scale_select", "filters.mix": "sum",
        **{f"filters.bases.{basis}.layers.{layer}":
           f"inr_conv.kernelINR_list.{basis}.layers.{2 * layer}"
           for basis in range(10) for layer in range(3)},
    }
)  # fmt: skip
_INSIDE_MEMORY = MappingProxyType(
    {
        "norm": "norm.norm",
        "to_coarse.cell.residuals": "right2left.cell.layers.layers",
        "to_coarse.cell.gates": "right2left.cell.conv",
        "to_fine.cell.residuals": "left2right.cell.layers.layers",
        "to_fine.cell.gates": "left2right.cell.conv",
    }
)
_INSIDE_RESIDUAL = MappingProxyType({"conv1": "main.0.main.0", "conv2": "main.1.main.0"})


class InikNetOfficial(WeightsImporter):
    """The authors' INIKNet: 131 entries, 1,976,847 parameters. The file holds the frequency of each
    basis twice.
    """

    words = (_STAGES, _INSIDE_MEMORY, _INSIDE_RESIDUAL)
    card = ImporterCard(
        title="INIKNet, the authors' weights",
        method="iniknet",
        tag="official",
        source="the authors' release, https://github.com/xinyao240/INIKNet "
        "(checkpoints/INIKNet.pth)",
        trained_on=("DPD train",),
        licence="MIT (program); the weights' own terms are not stated",
        expects=ExpectedInputs(order="bgr", multiple=32, bits=8),
        notes="Trained on LPIPS with the backbone alex, which is therefore no independent measure "
        f"of it. {UNVERIFIED_LAYOUT} {VERIFIED_NETWORK}",
    )

    def list_file_entries(
        self, ours: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
    ) -> Mapping[str, FileEntry]:
        entries: dict[str, FileEntry] = {}
        for name in ours:
            owner, _, leaf = name.rpartition(".")
            names = [self.translate(name)]
            if leaf == "frequency":
                basis = owner.replace("filters.bases", "inr_conv.kernelINR_list")
                names = [f"{basis}.layers.{layer}.w0" for layer in (1, 3)]
            entries |= {file_name: FileEntry((name,)) for file_name in names}
        return entries
