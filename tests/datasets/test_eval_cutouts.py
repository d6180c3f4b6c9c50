"""Objects cut out of photographs: their outlines are the photograph's, their light is whole."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.datasets.eval_cutouts import cut_objects

SIDE = 200


@pytest.fixture
def disks() -> NDArray[np.float32]:
    """Two bright disks on a dark ground, one of them with a pattern."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    picture = np.full((SIDE, SIDE, 3), 0.05, np.float32)
    plain = np.hypot(rows - 60, columns - 60) < 30
    pattern = np.hypot(rows - 130, columns - 130) < 35
    picture[plain] = (0.9, 0.1, 0.1)
    stripes = 0.5 + 0.45 * np.sign(np.sin(rows / 4))
    picture[pattern] = stripes[pattern, None] * np.array([0.1, 0.8, 0.2], np.float32)
    return picture


def test_an_object_is_light_times_coverage_of_one_part_of_the_picture() -> None:
    """Each pixel says where it is from."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    picture = np.dstack([rows, columns, np.full_like(rows, 0.5)])
    objects = cut_objects(picture, 3, np.random.default_rng(0))
    assert len(objects) == 3
    for samples in objects:
        light, coverage = samples[..., :3], samples[..., 3]
        assert (coverage.min(), coverage.max()) == (0, 1)
        np.testing.assert_allclose(light[..., 2], 0.5 * coverage)
        solid = np.argwhere(coverage == 1)
        origins = light[coverage == 1][:, :2] * SIDE - solid
        np.testing.assert_allclose(
            origins, np.tile(np.rint(origins[0]), (len(solid), 1)), atol=1e-3
        )


def test_outlines_follow_the_edges_of_the_picture(disks: NDArray[np.float32]) -> None:
    """Objects that are red are nearly all of the plain disk and nothing else."""
    areas = []
    for seed in range(12):
        for samples in cut_objects(disks, 2, np.random.default_rng(seed)):
            solid = samples[..., 3] == 1
            red = (samples[solid][:, 0] > 0.8).mean()
            if red > 0.95:
                areas.append(samples[..., 3].sum())
    assert areas
    assert np.isclose(areas, np.pi * 30**2, rtol=0.2).any()


def test_edges_are_as_soft_as_a_sample() -> None:
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.standard_normal((256, 256, 3)), (12, 12, 0))
    picture = (0.5 + 3 * smooth).clip(0, 1).astype(np.float32)
    for samples in cut_objects(picture, 4, rng):
        partial = (samples[..., 3] > 0) & (samples[..., 3] < 1)
        solid = samples[..., 3] == 1
        rim = ndimage.binary_dilation(solid) & ~ndimage.binary_erosion(solid)
        assert 0 < partial.sum() < 1.5 * rim.sum()


def test_the_choice_depends_on_the_generator_alone_and_prefers_detail(
    disks: NDArray[np.float32],
) -> None:
    first, again = (cut_objects(disks, 1, np.random.default_rng(5))[0] for _ in range(2))
    assert (first == again).all()
    detail = [
        cut_objects(disks, 1, np.random.default_rng(seed))[0][..., :3].std() for seed in range(40)
    ]
    assert np.median(detail) > 0.1


@pytest.mark.parametrize("value", [0.0, 0.6])
def test_a_picture_of_one_colour_has_objects_too(value: float) -> None:
    picture = np.full((SIDE, SIDE, 3), value, np.float32)
    objects = cut_objects(picture, 2, np.random.default_rng(0))
    assert objects
    for samples in objects:
        np.testing.assert_allclose(samples[..., 0], value * samples[..., 3])
