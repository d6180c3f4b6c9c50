"""Weights of DMENet that its authors published as named arrays of numpy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, GoldenPicture, ImporterCard
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, FileEntry, WeightsImporter
from benchmark.foreign_weights import StoredTensor

if TYPE_CHECKING:
    from torch import Tensor

_CONVOLUTION_LEAVES = MappingProxyType({"weight": "kernel:0", "bias": "bias:0"})
_OLD_LEAVES = MappingProxyType({"kernel:0": "W_conv2d:0", "bias:0": "b_conv2d:0"})
"""Leaf of TensorLayer 1.11 -> that of older releases."""
_NORMALISATION_LEAVES = MappingProxyType(
    {"bias": "beta:0", "running_mean": "moving_mean:0", "running_var": "moving_variance:0"}
)


def _map_scopes() -> Mapping[str, str]:
    """Return our name of each layer -> the authors' scope."""
    scopes = {"head.2": "decoder/uf/c3"}
    for stage, count in enumerate((2, 2, 4, 4, 4)):
        for number in range(count):
            scopes[f"encoder.{stage}.{2 * number}"] = f"encoder/conv{stage + 1}_{number + 1}"
    for unit, scope in _map_units().items():
        scopes[f"{unit}.0"] = "decoder/" + scope.format("c")
        scopes[f"{unit}.1"] = "decoder/" + scope.format("b")
    return MappingProxyType(scopes)


def _map_units() -> dict[str, str]:
    """Return our name of each convolution with its normalisation -> the authors' scope, with {} for
    c or b.
    """
    units = {"decoder.3.0": "u0/{}_init", "head.0": "uf/{}1", "head.1": "uf/{}2"}
    for stage, scope in enumerate(("u3", "u2", "u1")):
        for number in range(3):
            units[f"decoder.{stage}.{number}"] = f"{scope}/{{}}{number + 1}"
    for block in range(7):
        units[f"blocks.{block}.units.0"] = f"u0/{{}}{block}_1"
        units[f"blocks.{block}.units.1"] = f"u0/{{}}{block}_2"
        units[f"blocks.{block}.beside"] = f"u0/{{}}_res{block}"
    return units


_SCOPES = _map_scopes()


class DmeNetOfficial(WeightsImporter):
    """The authors' DMENet for inference: 25,349,025 parameters. Its normalisations have no gains,
    so ours are 1.
    """

    card = ImporterCard(
        title="DMENet, the authors' weights",
        method="dmenet",
        tag="official",
        source="the authors' re-training, https://github.com/codeslake/DMENet (DMENet_BDCS.npz)",
        trained_on=("SYNDOF", "CUHK-BD (pictures without maps)"),
        licence="AGPL-3.0 (program and weights)",
        expects=ExpectedInputs(order="rgb"),
        expected=(
            GoldenPicture(
                input="deconvolution/sources/input/CUHK/0027.jpg",
                output="deconvolution/sources/defocus_map/CUHK/0027.png",
                kind="map",
                map_scale=(7.5, -0.5),
                tolerance=0.1,
                source="the authors' repository, https://github.com/codeslake/DMENet; presumably "
                "made with the released weights",
            ),
        ),
        notes=f"A re-training: the weights of the paper are lost. {UNVERIFIED_LAYOUT}",
    )
    file_format = "npz"
    foreign_parts = (
        "decoder/u?_aux/*", "encoder/conv6_1/*", "encoder/c_logits*", "binary_net/*",
        "main_net/binary_net/*", "discriminator/*",
    )  # fmt: skip
    constants = MappingProxyType({"*.1.weight": 1, "*.num_batches_tracked": 0})

    def translate(self, name: str) -> str:
        layer, _, leaf = name.rpartition(".")
        leaves = _NORMALISATION_LEAVES if layer.endswith(".1") else _CONVOLUTION_LEAVES
        return f"{_SCOPES[layer]}/{leaves[leaf]}"

    def list_file_entries(
        self, ours: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
    ) -> Mapping[str, FileEntry]:
        is_old = any(name.endswith(tuple(_OLD_LEAVES.values())) for name in stored)
        entries: dict[str, FileEntry] = {}
        for name in ours:
            scope, _, leaf = self.translate(name).rpartition("/")
            if is_old:
                leaf = _OLD_LEAVES.get(leaf, leaf)
            entries[f"{scope}/{leaf}"] = FileEntry((name,), "hwio")
        return entries
