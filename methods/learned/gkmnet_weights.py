"""Weights that the authors of networks published, under the names of our networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmark.api import ExpectedInputs, ImporterCard, PrintedScore
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, WeightsImporter

_BLOCKS = MappingProxyType(
    {
        "entrance": "in_block", "encoder1": "conv_block1_1", "encoder2": "conv_block2_1",
        "bottleneck": "bottle_neck_1", "decoder1": "conv_block3_1", "decoder2": "conv_block4_1",
    }
)  # fmt: skip
_LAYERS_INSIDE_BLOCK = MappingProxyType(
    {
        "conv": "conv.0", "bn": "conv.1",
        "residual.conv1": "res_block.conv.0", "residual.bn1": "res_block.conv.1",
        "residual.conv2": "res_block.conv1.0", "residual.bn2": "res_block.conv1.1",
        **{f"attention.{gate}.conv": f"ta.{gate}.conv.conv" for gate in ("cw", "hc", "hw")},
        **{f"attention.{gate}.bn": f"ta.{gate}.conv.bn" for gate in ("cw", "hc", "hw")},
    }
)  # fmt: skip
_OUTSIDE_BLOCKS = MappingProxyType(
    {
        "srams.0.memory.conv": "APU.conv_atten.conv",
        "srams.0.detail.0": "APU.conv.conv.0",
        "srams.0.detail.1": "APU.conv.conv.1",
        "mixes.0": "SumLayer.conv",
    }
)


def _map_layer_names() -> Mapping[str, str]:
    """Return our name of each layer of the released GKMNet -> its authors' name."""
    names = dict(_OUTSIDE_BLOCKS)
    for our_block, their_block in _BLOCKS.items():
        for our_layer, their_layer in _LAYERS_INSIDE_BLOCK.items():
            names[f"srams.0.{our_block}.{our_layer}"] = f"{their_block}.{their_layer}"
    return MappingProxyType(names)


_LAYERS = _map_layer_names()


def _expect_of_table_1(measure: str, value: float, tolerance: float) -> PrintedScore:
    return PrintedScore(
        dataset="dpd", protocol="gkmnet", measure=measure, value=value, tolerance=tolerance,
        pictures=76, source="GKMNet paper (NeurIPS 2021), Table 1",
    )  # fmt: skip


class GkmNetOfficial(WeightsImporter):
    """The released GKMNet: 240 entries, 1,409,131 parameters."""

    card = ImporterCard(
        title="GKMNet, the authors' weights",
        method="gkmnet",
        tag="official",
        source="the authors' release, https://github.com/csZcWu/GKMNet "
        "(checkpoints/GKMNet_epoch2819.pth)",
        parameters=MappingProxyType({"variant": "official"}),
        trained_on=("DPD train", "DPD test (choice of the checkpoint)"),
        expects=ExpectedInputs(order="rgb", bits=8, whole_picture=True),
        expected=(
            _expect_of_table_1("psnr", 25.47, 0.02),
            _expect_of_table_1("ssim_g11", 0.789, 0.002),
        ),
        notes="Selected on DPD test: the authors' training program validates on the DPD test set "
        "and keeps the best checkpoint. Neither it nor their test program ever leaves training "
        "mode, so every picture is normalised by its own statistics (bn=batch, the default for "
        "these weights); the stored running statistics (bn=running) mix training crops with "
        f"whole test pictures. {UNVERIFIED_LAYOUT}",
    )

    def translate(self, name: str) -> str:
        layer, _, leaf = name.rpartition(".")
        return f"{_LAYERS[layer]}.{leaf}"
