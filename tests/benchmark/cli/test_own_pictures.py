"""A person's own pictures, defocused with a depth map of their own or with a made-up scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio
from benchmark.api import DataError, Map, Picture, UsageError
from benchmark.cli import own_pictures
from benchmark.optics import depth_of_field, scenes
from benchmark.optics.camera import CAMERAS, read_scene_light, take_reference
from benchmark.optics.lens import Lens

FOCUS = 0.25
MAX_RADIUS = 3.0


def simulate(folder: Path, depth: Path | None, seed: int = 0) -> tuple[Picture, Map]:
    """Return the picture and the blur map that are written."""
    paths = own_pictures.simulate_defocus(
        folder / "sharp.png", Lens(), "none", depth, MAX_RADIUS, FOCUS, seed, folder / "out"
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


def test_a_camera_takes_the_picture_and_its_target(tmp_path: Path, sharp: Picture) -> None:
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png", Lens("cats-eye"), "phone", None, 3.0, 0.5, 0, tmp_path / "out"
    )
    picture, target, blur_map = paths
    assert [path.name for path in (picture, target, blur_map)] == [
        "sharp-cats-eye-phone.png",
        "sharp-target-phone.png",
        "sharp-blur-map.npy",
    ]
    phone = CAMERAS["phone"]
    expected = take_reference(read_scene_light(sharp, phone), phone)
    np.testing.assert_allclose(imageio.read(target)[0], expected, atol=0.51 / 255)
    assert imageio.read(picture)[0].std() < imageio.read(target)[0].std()


def test_unknown_lenses_and_cameras_are_named(tmp_path: Path, sharp: Picture) -> None:
    with pytest.raises(UsageError, match=r"--psf airy: expected one of disk,.*pentax-q"):
        own_pictures.make_lens("airy", 0.0)
    with pytest.raises(UsageError, match=r"--colour-shift 1: .*one radius"):
        own_pictures.make_lens("gkm", 1.0)
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png", Lens(), "leica", None, 3.0, 0.5, 0, tmp_path / "out"
    )
    with pytest.raises(UsageError, match=r"--camera leica: expected one of none, phone, slr, raw"):
        list(paths)


def test_a_picture_too_small_for_a_mosaic_is_named(tmp_path: Path) -> None:
    imageio.write(tmp_path / "tiny.png", np.zeros((4, 4, 3), np.float32), 8)
    paths = own_pictures.simulate_defocus(
        tmp_path / "tiny.png", Lens(), "phone", None, 3.0, 0.5, 0, tmp_path / "out"
    )
    with pytest.raises(DataError, match=r"tiny\.png: a mosaic has at least 5 x 5 pixels"):
        list(paths)


def test_a_radius_of_0_leaves_the_picture_as_it_is(tmp_path: Path, sharp: Picture) -> None:
    np.save(tmp_path / "depth.npy", np.linspace(1, 2, 720, dtype=np.float32).reshape(24, 30))
    for depth in (None, tmp_path / "depth.npy"):
        paths = own_pictures.simulate_defocus(
            tmp_path / "sharp.png", Lens(), "none", depth, 0.0, FOCUS, 0, tmp_path / "out"
        )
        picture, blur_map = paths
        np.testing.assert_array_equal(imageio.read(picture)[0], sharp)
        assert not np.load(blur_map).any()
