"""Weights that the authors of KPAC published, as a list of arrays without names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import FileEntry, WeightsImporter
from benchmark.foreign_weights import StoredTensor, name_array

if TYPE_CHECKING:
    from torch import Tensor

_SOURCE = "the authors' repository, https://github.com/HyeongseokSon1/KPAC, pretrained"
_CARD = ImporterCard(
    title="KPAC, the authors' weights",
    method="kpac",
    tag="official",
    source=f"{_SOURCE}/single_3level.npz",
    parameters=MappingProxyType({"levels": "3"}),
    trained_on=("DPD train",),
    licence="AGPL-3.0 (program); the weights' own terms are not stated",
    expects=ExpectedInputs(order="rgb", multiple=8, bits=8, whole_picture=True),
    notes="Layout not verified against a released file, and the network is not verified against "
    "the authors' program: both were written from a description made by reading it. Number and "
    "shapes of all arrays are checked. First restore a smooth picture: it must come out nearly "
    "unchanged.",
)


class _KpacImporter(WeightsImporter):
    """A list of arrays: the encoder, the blocks, their merger, then from coarse to fine each
    enlargement and what joins it with the encoder's features.
    """

    file_format = "npz-list"

    def list_file_entries(
        self, ours: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
    ) -> Mapping[str, FileEntry]:
        names = sorted(ours, key=_rank)
        return {name_array(index): FileEntry((name,), "hwio") for index, name in enumerate(names)}


class KpacOfficial(_KpacImporter):
    """The authors' KPAC for one picture: 66 arrays, 2,057,893 parameters; of two levels 58 and
    1,578,277.
    """

    card = _CARD
    other_cards = (
        dataclasses.replace(
            _CARD,
            title="KPAC of two levels, the authors' weights",
            source=f"{_SOURCE}/single_2level.npz",
            parameters=MappingProxyType({"levels": "2"}),
        ),
    )


class KpacDualOfficial(_KpacImporter):
    """The authors' KPAC for dual-pixel views: 66 arrays, 2,061,493 parameters."""

    card = dataclasses.replace(
        _CARD,
        title="KPAC, the authors' weights for dual-pixel defocus",
        method="kpac-d",
        source=f"{_SOURCE}/dual.npz",
        parameters=MappingProxyType({}),
        expects=dataclasses.replace(
            _CARD.expects or ExpectedInputs(), views=("left", "right", "combined")
        ),
    )


def _rank(name: str) -> tuple[int, int]:
    """Return by what the network's entries are sorted into the order of the list; entries of equal
    rank keep theirs.
    """
    part, level, *_ = name.split(".")
    if part != "levels":
        return 0, 0
    return 1, -int(level)
