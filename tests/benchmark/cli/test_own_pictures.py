"""A person's own pictures, defocused with a depth map of their own or with a made-up scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio
from benchmark.api import Map, Picture
from benchmark.cli import own_pictures
from benchmark.optics import depth_of_field, scenes

FOCUS = 0.25
MAX_RADIUS = 3.0


def simulate(folder: Path, depth: Path | None, seed: int = 0) -> tuple[Picture, Map]:
    """Return the picture and the blur map that are written."""
    paths = own_pictures.simulate_defocus(
        folder / "sharp.png", "disk", depth, MAX_RADIUS, FOCUS, seed, folder / "out"
    )
    picture, blur_map = paths
    return imageio.read(picture)[0], np.load(blur_map)


@pytest.fixture
def sharp(tmp_path: Path) -> Picture:
    picture = np.random.default_rng(0).random((24, 30, 3)).astype(np.float32)
    imageio.write(tmp_path / "sharp.png", picture, 8)
    return imageio.read(tmp_path / "sharp.png")[0]


def test_a_depth_map_decides_the_blur(tmp_path: Path, sharp: Picture) -> None:
    disparity = np.full((24, 30), 1.0, np.float32)
    disparity[:, 10:20] = 2.0
    disparity[:, 20:] = 5.0
    np.save(tmp_path / "depth.npy", disparity)
    blurred, blur_map = simulate(tmp_path, tmp_path / "depth.npy")
    radius = scenes.radius_from_depth(disparity, MAX_RADIUS, FOCUS)
    radius = scenes.align_depth_edges(radius, sharp)
    expected = depth_of_field.render_depth_of_field(sharp, radius)
    np.testing.assert_allclose(blur_map, np.abs(radius) / 2)
    np.testing.assert_allclose(blurred, expected, atol=1 / 255)
    middle = blur_map[12, [4, 14, 25]]
    assert middle[0] == MAX_RADIUS / 2 and 0 < middle[1] < middle[0] and middle[2] == 0


def test_without_a_depth_map_the_seed_makes_the_scene(tmp_path: Path, sharp: Picture) -> None:
    maps = []
    for seed in (0, 1):
        blurred, blur_map = simulate(tmp_path, None, seed)
        generator = np.random.Generator(np.random.Philox(seed))
        radius = scenes.invent_radius(24, 30, MAX_RADIUS, generator)
        expected = depth_of_field.render_depth_of_field(sharp, radius)
        np.testing.assert_allclose(blur_map, np.abs(radius) / 2)
        np.testing.assert_allclose(blurred, expected, atol=1 / 255)
        maps.append(blur_map)
    assert not np.array_equal(maps[0], maps[1])
