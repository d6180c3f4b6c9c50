"""Seams of a filter that works in tiles, against their closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from benchmark.api import Picture
from benchmark.metrics.seams import measure_seams, restore_on_moved_grid

_TILE = 8


def _ramp() -> Picture:
    columns = np.arange(64, dtype=np.float32) / 64
    return np.broadcast_to(columns[None, :, None], (48, 64, 3)).copy()


def _average_tiles(picture: Picture) -> Picture:
    """Replace every tile by its mean; the last ones reach beyond the picture."""
    height, width = picture.shape[:2]
    whole = np.pad(picture, ((0, -height % _TILE), (0, -width % _TILE), (0, 0)), "edge")
    means = whole.reshape(-1, _TILE, whole.shape[1] // _TILE, _TILE, 3).mean(axis=(1, 3))
    return means.repeat(_TILE, axis=0).repeat(_TILE, axis=1)[:height, :width]


def _average_everywhere(picture: Picture) -> Picture:
    return uniform_filter(picture, (5, 5, 0))


def test_tiles_of_a_ramp_differ_by_what_it_rises_in_half_a_tile() -> None:
    output = _average_tiles(_ramp())
    moved_output = restore_on_moved_grid(_average_tiles, _ramp(), _TILE)
    assert moved_output.shape == output.shape == (48, 64, 3)
    difference = measure_seams(output[:, :-8], moved_output[:, :-8], margin=8)
    assert difference == pytest.approx(_TILE / 2 / 64, rel=1e-5)


def test_a_filter_without_tiles_has_no_seams_beyond_its_reach() -> None:
    picture = np.random.default_rng(0).random((40, 40, 3), dtype=np.float32)
    moved_output = restore_on_moved_grid(_average_everywhere, picture, _TILE)
    output = _average_everywhere(picture)
    assert measure_seams(output, moved_output, margin=2) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("tile", "message"), [(7, "even side"), (128, "half a tile is 64")])
def test_a_grid_that_cannot_be_moved_is_refused(tile: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restore_on_moved_grid(_average_everywhere, _ramp(), tile)
