"""`eval-codes`: code values, and nothing else, are blurred as much as the map says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data

from benchmark.datasets import eval_codes
from benchmark.datasets.eval_codes import EvalCodes, invent_blur_map
from benchmark.datasets.eval_set import Shot

SIZE = 128


@pytest.fixture(scope="module")
def codes() -> NDArray[np.float32]:
    """A photograph with two samples to a pixel."""
    return data.astronaut()[: 2 * SIZE, 100 : 100 + 2 * SIZE].astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def shots(codes: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> list[Shot]:
    """One shot with either family of PSFs."""
    folder = tmp_path_factory.mktemp("photograph")
    cv2.imwrite(str(folder / "a.png"), np.zeros((SIZE, SIZE, 3), np.uint8))
    dataset = EvalCodes(folder, source=folder, size=SIZE)
    shots: dict[str, Shot] = {}
    for seed in range(20):
        shot = dataset.take_shot(codes, SIZE, np.random.default_rng(seed))
        shots.setdefault(str(shot.facts["psf"]), shot)
    assert sorted(shots) == ["gaussian", "ring"]
    return [shots["gaussian"], shots["ring"]]


def test_the_target_is_the_mean_of_the_code_values_in_a_pixel(
    codes: NDArray[np.float32], shots: list[Shot]
) -> None:
    means = cv2.resize(codes, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    for shot in shots:
        error = np.sqrt(np.square(shot.target - means).mean())
        assert error < 0.005


def test_gaussians_agree_with_filters_of_the_size_on_the_map(
    codes: NDArray[np.float32], shots: list[Shot]
) -> None:
    """Where the map has a size, the picture is what scipy's filter of that size makes of the
    codes.
    """
    gaussian, _ = shots
    for sigma in (0.5, 0.8, 1.1):
        pixels = np.abs(gaussian.blur_map - sigma) < 0.03
        assert pixels.sum() > 50
        blurred = ndimage.gaussian_filter(codes, (2 * sigma, 2 * sigma, 0), mode="reflect")
        expected = cv2.resize(blurred, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        error = (gaussian.image - expected)[pixels]
        change = (gaussian.target - expected)[pixels]
        assert np.square(error).mean() < 0.02 * np.square(change).mean()


def test_rings_blur_more_than_gaussians_expect(
    codes: NDArray[np.float32], shots: list[Shot]
) -> None:
    """Of two PSFs of one second moment the ring passes other detail than the Gaussian."""
    _, ring = shots
    pixels = np.abs(ring.blur_map - 1) < 0.1
    blurred = ndimage.gaussian_filter(codes, (2.0, 2.0, 0), mode="reflect")
    gaussian = cv2.resize(blurred, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    error = np.square((ring.image - gaussian)[pixels]).mean()
    change = np.square((ring.image - ring.target)[pixels]).mean()
    assert 0.001 * change < error < 0.2 * change


def test_pixels_without_blur_are_the_target(shots: list[Shot]) -> None:
    for shot in shots:
        sharp = shot.blur_map == 0
        assert sharp.any()
        np.testing.assert_allclose(shot.image[sharp], shot.target[sharp], atol=1e-5)


def test_maps_are_smooth_and_sharp_somewhere() -> None:
    low, high = eval_codes._LARGEST_SIGMA
    for seed in range(10):
        blur_map = invent_blur_map(96, np.random.default_rng(seed))
        assert blur_map.dtype == np.float32
        assert blur_map.min() == 0 and low <= blur_map.max() <= high
        assert max(np.abs(np.diff(blur_map, axis=axis)).max() for axis in (0, 1)) < 0.25
        assert (blur_map == 0).mean() > 0.005
