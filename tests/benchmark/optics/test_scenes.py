"""Signed radii from measured depth and from invention."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.api import DataError
from benchmark.optics import scenes


def disparity(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


# Measured depth
# --------------------------------------------------------------------------------------------------


def test_radius_is_affine_in_disparity_and_grows_with_distance():
    values = np.random.default_rng(0).uniform(1, 9, (7, 8)).astype(np.float32)
    radius = scenes.radius_from_depth(values, 5.0, focus=0.3)
    slope, offset = np.polyfit(values.ravel(), radius.ravel(), 1)
    assert slope < 0
    np.testing.assert_allclose(radius, slope * values + offset, atol=1e-5)
    assert np.abs(radius).max() == pytest.approx(5)
    assert (radius == 0).any()
    assert np.mean(radius < 0) == pytest.approx(0.3, abs=0.02)
    assert radius.dtype == np.float32


def test_focus_runs_from_nearest_to_farthest():
    values = disparity([9, 6, 3, 1])
    np.testing.assert_allclose(scenes.radius_from_depth(values, 8, 0), [[0, 3, 6, 8]])
    np.testing.assert_allclose(scenes.radius_from_depth(values, 8, 1), [[-8, -5, -2, 0]])


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 100))
def test_some_pixel_is_always_in_focus(focus, seed):
    values = np.random.default_rng(seed).integers(1, 6, (5, 5)).astype(np.float32)
    assert (scenes.radius_from_depth(values, 4.0, focus) == 0).any()


def test_depth_is_the_inverse_of_disparity():
    depth = np.random.default_rng(0).uniform(1, 9, (7, 8)).astype(np.float32)
    expected = scenes.radius_from_depth(1 / depth, 5.0)
    np.testing.assert_allclose(
        scenes.radius_from_depth(depth, 5.0, kind="depth"), expected, atol=1e-5
    )


def test_a_flat_scene_is_in_focus():
    assert (scenes.radius_from_depth(np.full((3, 4), 7, np.float32), 5.0) == 0).all()


@pytest.mark.parametrize("unknown", [0, np.nan, np.inf, -1])
def test_unknown_pixels_take_the_farther_neighbour_of_their_row(unknown):
    """A row that knows nothing takes the values of the next row."""
    holes = disparity([8, unknown, unknown, 2, 4], [unknown, 3, 3, 3, unknown], [unknown] * 5)
    filled = disparity([8, 2, 2, 2, 4], [3, 3, 3, 3, 3], [3, 3, 3, 3, 3])
    np.testing.assert_allclose(
        scenes.radius_from_depth(holes, 6), scenes.radius_from_depth(filled, 6)
    )


def test_refuses_numbers_out_of_range():
    values = np.ones((3, 3), np.float32)
    for bad in ((values * 0, 5.0, 0.5), (values, 0.0, 0.5), (values, 5.0, 1.5)):
        with pytest.raises(ValueError, match="no known depth"):
            scenes.radius_from_depth(*bad)


# Alignment
# --------------------------------------------------------------------------------------------------


def board() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of a bright square before a dark ground, and its true radii."""
    radius = np.full((40, 40), 5.0, np.float32)
    radius[12:28, 12:28] = -3
    picture = np.where(radius[..., None] < 0, 0.8, 0.1) + np.random.default_rng(0).normal(
        0, 0.02, (40, 40, 3)
    )
    return picture.astype(np.float32), radius


def test_aligned_leaves_a_right_map_alone():
    picture, radius = board()
    assert (scenes.align_depth_edges(radius, picture) == radius).all()


@pytest.mark.parametrize("shift", [-1, 1])
def test_aligned_moves_an_edge_back_to_that_of_the_picture(shift):
    picture, radius = board()
    off = np.roll(radius, shift, axis=1)
    right = scenes.align_depth_edges(off, picture) == radius
    right[10:14, 10:14] = right[10:14, 26:30] = right[26:30, 10:14] = right[26:30, 26:30] = (
        True  # corners may round
    )
    assert right.all()


def test_aligned_puts_stray_pixels_back_on_a_surface():
    picture, radius = board()
    stray = radius.copy()
    stray[12:28:3, 12] = 0.5
    stray[11, 12:28:4] = 2.0
    assert (scenes.align_depth_edges(stray, picture) == radius).all()


def test_aligned_takes_stray_pixels_of_any_colour_off_the_map():
    picture, radius = board()
    stray = radius.copy()
    stray[16, 12] = stray[22, 27] = 0.5
    picture[16, 12], picture[22, 27] = (0.9, 0.1, 0.5), (0.2, 0.6, 0.9)  # like nothing around
    assert not (scenes.align_depth_edges(stray, picture) == 0.5).any()


def test_aligned_prefers_the_nearest_where_colour_tells_nothing():
    _, radius = board()
    assert (scenes.align_depth_edges(radius, np.full((40, 40, 3), 0.3, np.float32)) == radius).all()


def test_aligned_only_picks_radii_that_are_there():
    random = np.random.default_rng(0)
    picture, radius = (
        random.random((20, 21, 3), np.float32),
        random.integers(-4, 4, (20, 21)).astype(np.float32),
    )
    assert set(np.unique(scenes.align_depth_edges(radius, picture))) <= set(np.unique(radius))


def test_aligned_keeps_slopes():
    picture = np.random.default_rng(0).random((20, 30, 3), np.float32)
    slope = np.broadcast_to(np.linspace(-4, 4, 30, dtype=np.float32), (20, 30))
    assert (scenes.align_depth_edges(slope, picture) == slope).all()


# Files
# --------------------------------------------------------------------------------------------------

GREY = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reads_grey_pictures_as_stored(tmp_path, dtype):
    path = tmp_path / "d.png"
    cv2.imwrite(str(path), (GREY * 21).astype(dtype))
    read = scenes.read_depth(path)
    assert read.dtype == np.float32
    assert (read == GREY * 21).all()


def test_reads_float_pictures_and_arrays(tmp_path):
    values = GREY.astype(np.float32) / 7
    values[0, 1] = np.inf
    cv2.imwrite(str(tmp_path / "d.tiff"), values)
    np.save(tmp_path / "d.npy", values)
    np.savez(tmp_path / "d.npz", values)
    for path in tmp_path.iterdir():
        assert (scenes.read_depth(path) == values).all()


def test_a_picture_in_colour_is_read_where_it_is_grey(tmp_path):
    path = tmp_path / "d.png"
    cv2.imwrite(str(path), np.dstack([GREY, GREY, GREY]).astype(np.uint8))
    assert (scenes.read_depth(path) == GREY).all()
    cv2.imwrite(str(path), np.dstack([GREY, GREY, GREY + 1]).astype(np.uint8))
    with pytest.raises(DataError, match=r"d\.png: cannot be read as a depth map: it is in colour"):
        scenes.read_depth(path)


@pytest.mark.parametrize("suffix", [".tif", ".pfm"])
def test_float_maps_keep_what_is_unknown(tmp_path, suffix):
    values = GREY.astype(np.float32) / 3
    values[0, :2] = np.nan, np.inf
    cv2.imwrite(str(tmp_path / f"d{suffix}"), values)
    np.testing.assert_array_equal(scenes.read_depth(tmp_path / f"d{suffix}"), values)


def test_depth_is_read_as_exactly_as_pictures_are(tmp_path):
    """By planes, as libraries read it wrong; half a file, a pipe."""
    levels = np.random.default_rng(0).integers(1, 65536, (3, 9, 8), dtype=np.uint16)
    levels[:] = levels[0]
    tifffile.imwrite(
        tmp_path / "d.tif", levels, photometric="rgb", planarconfig="separate", compression="lzw"
    )
    np.testing.assert_array_equal(scenes.read_depth(tmp_path / "d.tif"), levels[0])
    (tmp_path / "half.tif").write_bytes((tmp_path / "d.tif").read_bytes()[:250])
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("half.tif", "pipe.png"):
        with pytest.raises(DataError, match=f"{name}: cannot be read as a depth map"):
            scenes.read_depth(tmp_path / name)


def damaged(folder: Path) -> dict[str, str]:
    """Write depth maps that cannot be used; return file name -> what the error must say."""
    for name in ("junk.png", "junk.npy", "junk.npz"):
        (folder / name).write_bytes(b"no depth at all")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "empty.png").write_bytes(b"")
    np.save(folder / "whole.npy", np.ones((9, 9)))
    (folder / "cut.npy").write_bytes((folder / "whole.npy").read_bytes()[:200])
    np.savez(folder / "none.npz")
    np.save(folder / "three.npy", np.ones((2, 3, 4)))
    np.save(folder / "complex.npy", np.ones((3, 4), complex))
    cv2.imwrite(str(folder / "black.png"), np.zeros((3, 4), np.uint8))
    unreadable = (
        "junk.png",
        "junk.npy",
        "junk.npz",
        "empty.npy",
        "empty.png",
        "cut.npy",
        "none.npz",
        "missing.png",
    )
    return dict.fromkeys(unreadable, "cannot be read") | {
        "three.npy": "one number per pixel",
        "complex.npy": "one number per pixel",
        "black.png": "every pixel is unknown",
    }


def test_damaged_files_are_named(tmp_path):
    for name, why in damaged(tmp_path).items():
        with pytest.raises(DataError, match=f"{name}: .*{why}"):
            scenes.read_depth(tmp_path / name)


def test_a_map_of_another_size_is_refused(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((3, 4)))
    assert scenes.read_depth(tmp_path / "d.npy", size_of=np.zeros((3, 4, 3), np.float32)).shape == (
        3,
        4,
    )
    with pytest.raises(DataError, match=r"is 4x3 px, but its picture is 3x4"):
        scenes.read_depth(tmp_path / "d.npy", size_of=np.zeros((4, 3, 3), np.float32))


# Invention
# --------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([(120, 120), (96, 180), (300, 200)]))
def test_every_invented_scene_reaches_its_radius_on_slopes(seed, size):
    radius = scenes.invent_radius(*size, 8.0, np.random.default_rng(seed))
    assert radius.shape == size
    assert radius.dtype == np.float32
    assert np.abs(radius).max() == pytest.approx(8)
    steps = np.abs(np.diff(radius, axis=1))
    assert ((steps > 0.001) & (steps < 0.3)).mean() > 0.4


def test_almost_every_invented_scene_has_edges_both_signs_and_focus():
    drawn = [scenes.invent_radius(96, 180, 8.0, np.random.default_rng(seed)) for seed in range(200)]
    for holds in (
        lambda radius: (np.abs(np.diff(radius, axis=1)) > 1).any(),
        lambda radius: (radius < -0.5).mean() > 0.001,
        lambda radius: (radius > 0.5).mean() > 0.1,
        lambda radius: (np.abs(radius) < 0.5).mean() > 0.01,
    ):
        assert np.mean([holds(radius) for radius in drawn]) > 0.97


def test_max_radius_only_scales():
    small, large = (scenes.invent_radius(60, 80, r, np.random.default_rng(3)) for r in (2.0, 8.0))
    np.testing.assert_allclose(4 * small, large, rtol=1e-6)


def test_same_generator_state_same_scene():
    first, again, other = (
        scenes.invent_radius(60, 80, 8.0, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert np.abs(first - other).mean() > 0.5


def test_even_one_pixel_is_a_scene():
    assert np.isfinite(scenes.invent_radius(1, 1, 8.0, np.random.default_rng(0))).all()
