"""PSNR after alignment: displacements of closed form are found and undone, and what is found is as
good as a search over all displacements.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, optimize
from skimage.metrics import peak_signal_noise_ratio

from benchmark.metrics.aligned import BORDER, AlignedPsnr, Misalignment, align_tiles
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.published_protocols import ALIGNED
from benchmark.registry import create_metric

Array = NDArray[np.float64]


def draw_waves(
    down: float = 0.0, right: float = 0.0, height: int = 160, width: int = 200, seed: int = 0
) -> Array:
    """Return a sum of 60 plane waves, at most 0.2 cycles per pixel, displaced exactly."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    picture = np.zeros((height, width, 3))
    for _ in range(60):
        frequency = rng.uniform(-0.2, 0.2, 2)
        phase = rng.uniform(0, 2 * np.pi, 3)
        angle = 2 * np.pi * (frequency[0] * (rows - down) + frequency[1] * (columns - right))
        picture += np.cos(angle[..., None] + phase)
    return 0.5 + 0.03 * picture


def crop(picture: Array) -> Array:
    return picture[BORDER:-BORDER, BORDER:-BORDER]


@pytest.mark.parametrize("shift", [(0.3, 0.0), (-1.25, 0.85), (1.9, -1.95), (1.0, 1.0)])
def test_a_pure_displacement_is_found_and_undone(shift: tuple[float, float]) -> None:
    target, output = draw_waves(), draw_waves(*shift)
    assert Psnr()(output, target) < 31
    assert AlignedPsnr()(output, target) > 50
    assert Misalignment()(output, target) == pytest.approx(math.hypot(*shift), abs=0.03)
    [tile] = align_tiles(output, target)
    assert tile.shift == pytest.approx((-shift[0], -shift[1]), abs=0.03)


def test_nothing_is_moved_where_nothing_is_displaced() -> None:
    target = draw_waves()
    assert AlignedPsnr()(target, target) == 100 and Misalignment()(target, target) == 0
    noisy = target + np.random.default_rng(0).normal(0, 0.02, target.shape)
    expected = peak_signal_noise_ratio(crop(target), crop(noisy), data_range=1.0)
    assert AlignedPsnr()(noisy, target) == pytest.approx(expected)


def test_each_tile_has_its_own_displacement() -> None:
    """A picture of 1018 columns has two tiles, which meet in column 509."""
    target = draw_waves(width=1018, height=120)
    output = draw_waves(0, 1.5, width=1018, height=120)
    output[:, 509:] = draw_waves(-0.5, 0, width=1018, height=120)[:, 509:]
    tiles = align_tiles(output, target)
    assert [tile.shift for tile in tiles] == [
        pytest.approx((0, -1.5), abs=0.06), pytest.approx((0.5, 0), abs=0.06),
    ]  # fmt: skip
    assert Misalignment()(output, target) == pytest.approx(1.0, abs=0.06)
    assert sum(tile.size for tile in tiles) == crop(target).size


def test_beyond_two_pixels_a_tile_stays_where_it_is() -> None:
    target, output = draw_waves(), draw_waves(2.6, 0)
    expected = peak_signal_noise_ratio(crop(target), crop(output), data_range=1.0)
    assert AlignedPsnr()(output, target) == pytest.approx(expected)
    assert Misalignment()(output, target) == 0


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_no_displacement_is_better_than_the_one_that_was_chosen(sigma: float) -> None:
    """A blurred and noisy output, against a search for the least squared error."""
    target = draw_waves(seed=3)
    output = ndimage.gaussian_filter(draw_waves(0.7, -1.1, seed=3), (sigma, sigma, 0))
    output += np.random.default_rng(1).normal(0, 0.01, output.shape)

    def mse(shift: Array) -> float:
        planes = np.moveaxis(output, 2, 0)
        moved = np.dstack(
            [ndimage.shift(plane, shift, order=5, mode="nearest") for plane in planes]
        )
        return float(np.mean(np.square(crop(moved) - crop(target))))

    best = optimize.minimize(mse, (-0.5, 1.0), method="Nelder-Mead")
    assert AlignedPsnr()(output, target) == pytest.approx(-10 * math.log10(best.fun), abs=0.05)
    assert -best.x == pytest.approx((0.7, -1.1), abs=0.05)


def test_a_flat_picture_has_nothing_to_be_aligned_by() -> None:
    flat = np.full((40, 40, 3), 0.5)
    assert AlignedPsnr()(flat + 0.1, flat) == pytest.approx(20)
    assert Misalignment()(flat + 0.1, flat) == 0


def test_a_small_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 32x32 pixels, the picture is 31x40"):
        align_tiles(np.zeros((40, 31, 3)), np.zeros((40, 31, 3)))


def test_the_protocol_prints_both_and_ranks_by_the_first() -> None:
    target, output = draw_waves().astype(np.float32), draw_waves(0.5, 0.5).astype(np.float32)
    scores = ALIGNED.score(output, target, "folder", create_metric)
    values = {score.key: score.value for score in scores}
    assert values["shift"] == pytest.approx(math.hypot(0.5, 0.5), abs=0.03)
    assert values["psnr_aligned"] is not None and values["psnr"] is not None
    assert values["psnr_aligned"] > values["psnr"] + 10
    assert not AlignedPsnr.card.warning and Misalignment.card.warning
