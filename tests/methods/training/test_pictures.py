"""Folders of sharp pictures: finding, reading upright, holding out, remembering."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmark import imageio
from benchmark.api import DataError
from benchmark.methods.training import pictures
from tests.datasets.makers import save, texture


def folder_of(path: Path, count: int, first: int = 0) -> Path:
    for seed in range(first, first + count):
        save(path / f"p{seed}.png", texture(seed, (20, 18)))
    return path


def test_pictures_of_every_kind_are_found_and_nothing_else(tmp_path):
    for name in ("b.JPG", "a.png", "c.tiff"):
        save(tmp_path / name, texture(0))
    for name in ("notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in pictures.list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]


@pytest.mark.parametrize("what", ["missing", "empty", "a file"])
def test_a_folder_without_pictures_is_named_with_a_remedy(tmp_path, what):
    folder = tmp_path / "sharp"
    if what == "empty":
        folder.mkdir()
    elif what == "a file":
        folder.write_bytes(b"x")
    with pytest.raises(DataError, match=r"sharp: .*give a folder with sharp pictures"):
        pictures.list_pictures(folder)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_as_pillow_does(tmp_path, orientation):
    stored = Image.fromarray((texture(3, (12, 9)) * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(pictures.read_upright(tmp_path / "a.png"), expected)


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    picture = texture(1)
    levels = pictures.read_upright(save(tmp_path / "a.png", picture, 16))
    assert levels.dtype == np.uint8
    np.testing.assert_allclose(levels, picture * 255, atol=0.51)


def test_large_pictures_are_reduced(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", np.full((20, 60, 3), 0.4))
    monkeypatch.setattr(pictures, "LARGEST_SIDE", 30)
    levels = pictures.read_upright(path)
    assert levels.shape == (10, 30, 3)
    assert pictures.smaller_side(path) == 10
    np.testing.assert_array_equal(levels, 102)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    for read in (pictures.read_upright, pictures.smaller_side):
        with pytest.raises(DataError, match=r"a\.png"):
            read(tmp_path / "a.png")


# Held out
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "held"), [(2, 1), (10, 1), (11, 2), (25, 3)])
def test_a_tenth_is_held_out_and_nothing_is_on_both_sides(tmp_path, count, held):
    found = pictures.list_pictures(folder_of(tmp_path, count))
    train, kept_out = pictures.split_held_out(found)
    assert len(kept_out) == held
    assert sorted(train + kept_out) == found
    assert not set(train) & set(kept_out)


def test_the_side_depends_on_the_contents_not_on_names_or_copies(tmp_path):
    found = pictures.list_pictures(folder_of(tmp_path / "a", 12))
    (tmp_path / "b").mkdir()
    for number, path in enumerate(reversed(found)):
        shutil.copy(path, tmp_path / "b" / f"{number:02d}.png")
        shutil.copy(path, tmp_path / "b" / f"{number:02d}-copy.png")
    digests = [
        {pictures.picture_digest(path) for path in side}
        for folder in (found, pictures.list_pictures(tmp_path / "b"))
        for side in pictures.split_held_out(folder)
    ]
    assert digests[:2] == digests[2:]


@pytest.mark.parametrize("copies", [1, 3])
def test_one_picture_is_not_enough(tmp_path, copies):
    for number in range(copies):
        save(tmp_path / f"{number}.png", texture(0))
    with pytest.raises(DataError, match=r"holds 1 picture.*Add some"):
        pictures.split_held_out(pictures.list_pictures(tmp_path))


def test_the_fingerprint_covers_contents_and_no_names(tmp_path):
    found = pictures.list_pictures(folder_of(tmp_path / "a", 4))
    (tmp_path / "b").mkdir()
    moved = [Path(shutil.copy(path, tmp_path / "b" / f"x{path.name}")) for path in found]
    assert pictures.fingerprint_pictures(found) == pictures.fingerprint_pictures(moved[::-1])
    assert pictures.fingerprint_pictures(found) != pictures.fingerprint_pictures(found[1:])
    save(moved[0], texture(99, (20, 18)))
    assert pictures.fingerprint_pictures(found) != pictures.fingerprint_pictures(moved)


def test_a_file_that_has_gone_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: .*restore it"):
        pictures.picture_digest(tmp_path / "gone.png")


# Remembered
# --------------------------------------------------------------------------------------------------


def test_arrays_are_kept_up_to_a_number_of_bytes():
    made = []

    def make(size: int) -> tuple[np.ndarray, ...]:
        made.append(size)
        return np.zeros(size, np.uint8), np.zeros(size, np.uint8)

    kept = pictures.ArrayCache(100)
    for _ in range(2):
        for size in (
            30,
            25,
            20,
        ):  # together 150 bytes: the second does not fit any more, the third does
            kept.get(size, lambda size=size: make(size))
    assert made == [30, 25, 20, 25]


def test_a_remembered_picture_is_decoded_once_until_its_file_changes(tmp_path, monkeypatch):
    reads = []
    read = imageio.read
    monkeypatch.setattr(
        imageio, "read", lambda path, **options: (reads.append(path), read(path, **options))[1]
    )
    path = save(tmp_path / "a.png", texture(0))
    first = pictures.cached_picture(path)
    np.testing.assert_array_equal(pictures.cached_picture(path), first)
    assert len(reads) == 1
    assert not first.flags.writeable
    save(path, texture(1, (30, 20)))
    assert pictures.cached_picture(path).shape == (20, 30, 3)
