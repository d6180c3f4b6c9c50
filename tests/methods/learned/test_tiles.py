"""What methods that are cut into tiles say of their seams, against a network whose tiles are known
in closed form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark import checkpoints
from benchmark.api import MethodCard, Observation
from benchmark.checkpoints import Checkpoint, CheckpointCard
from benchmark.methods.learned.method import TiledMethod
from benchmark.metrics.psnr import Psnr

HALO = 8
TILE = 32


class RowCounter(nn.Module):
    """Adds to every pixel a thousandth of its row, counted from where the tile begins."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight * torch.arange(x.shape[2])[:, None] / 1000


class RowCountMethod(TiledMethod):
    id = "row-count"
    multiple = 4
    halo = HALO
    card = MethodCard(title="Rows", family="learned", trained_on=None)

    def build(self) -> nn.Module:
        return RowCounter()


class ExactMethod(RowCountMethod):
    has_exact_tiles = True


def make_method(kind: type[RowCountMethod], tile: int, folder: Path) -> RowCountMethod:
    path = folder / "row-count.drawn.safetensors"
    card = CheckpointCard(method="row-count")
    checkpoints.save_checkpoint(path, {"weight": torch.ones(1)}, card)
    method = kind(checkpoint=Checkpoint("row-count", "drawn", path), tile=tile)
    method.prepare("cpu")
    return method


def draw_observation(height: int = 80, width: int = 40) -> Observation:
    image = np.random.default_rng(0).random((height, width, 3), np.float32) / 2  # metrics clamp
    return Observation(image)


def list_remarks(method: RowCountMethod, observation: Observation) -> list[str]:
    return list(method.list_remarks(observation, method.restore(observation)))


def count_rows(places: np.ndarray, tile: int) -> np.ndarray:
    """Return the row of each place, counted from the halo above its tile; tiles begin at 0."""
    starts = places // tile * tile
    return places - np.maximum(starts - HALO, 0)


def test_seams_are_measured_on_a_moved_grid(tmp_path: Path) -> None:
    """Tiles are about equally large: 96 rows are three of 32, 96 + 16 rows are four of 28."""
    places = np.arange(HALO, 96)
    rows, moved_rows = count_rows(places, TILE), count_rows(places + 16, 28)
    values = [np.tile(part[:, None, None] / 1000, (1, 1, 3)) for part in (rows, moved_rows)]
    [remark] = list_remarks(make_method(RowCountMethod, TILE, tmp_path), draw_observation(96))
    assert remark == (
        "tiles of 32 pixels are not exact: on another grid of tiles, about half a tile away, the "
        f"picture has a PSNR of {Psnr()(*values):.1f} dB to this one (measured on the first that a "
        "process cuts)"
    )


def test_they_are_measured_once_and_where_a_picture_is_cut_alone(tmp_path: Path) -> None:
    method = make_method(RowCountMethod, TILE, tmp_path)
    assert list_remarks(method, draw_observation(32, 24)) == []
    assert len(list_remarks(method, draw_observation())) == 1
    assert list_remarks(method, draw_observation()) == []


@pytest.mark.parametrize(("kind", "tile"), [(ExactMethod, TILE), (RowCountMethod, 0)])
def test_nothing_is_said_of_exact_tiles_and_of_none(
    kind: type[RowCountMethod], tile: int, tmp_path: Path
) -> None:
    assert list_remarks(make_method(kind, tile, tmp_path), draw_observation()) == []


@pytest.mark.parametrize("size", [(80, 16), (16, 80)])
def test_a_picture_too_small_for_it_is_said(size: tuple[int, int], tmp_path: Path) -> None:
    [remark] = list_remarks(make_method(RowCountMethod, TILE, tmp_path), draw_observation(*size))
    assert remark.endswith("was not measured, as the picture is too small to move them")
