"""Pictures that are evaluated on are found among those to train on, in every guise, and others are
not.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data

from benchmark import imageio
from benchmark.api import DataError
from benchmark.datasets.bundled import bundled_photographs
from benchmark.methods.training import duplicates
from benchmark.methods.training.duplicates import (
    bundled_pictures,
    evaluated_pictures,
    refuse_duplicates,
)
from tests.datasets.makers import save, texture

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def photograph(name: str) -> np.ndarray:
    return getattr(skimage.data, name)().astype(np.float64) / 255


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("evaluated")
    return [save(folder / f"{name}.png", photograph(name)) for name in PHOTOGRAPHS]


def resized(picture: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def cropped(
    picture: np.ndarray, top: float, bottom: float, left: float, right: float
) -> np.ndarray:
    height, width = picture.shape[:2]
    return picture[
        round(top * height) : round((1 - bottom) * height),
        round(left * width) : round((1 - right) * width),
    ]


GUISES = {
    "as it is": lambda picture: picture,
    "half the size": lambda picture: resized(picture, 0.5),
    "another size": lambda picture: resized(picture, 0.37),
    "mirrored": lambda picture: picture[:, ::-1],
    "upside down": lambda picture: picture[::-1],
    "turned": lambda picture: np.rot90(picture),
    "turned, mirrored, small": lambda picture: resized(
        np.ascontiguousarray(np.rot90(picture[:, ::-1], 3)), 0.6
    ),
    "border lost": lambda picture: cropped(picture, 0.05, 0.05, 0.05, 0.05),
    "corner lost": lambda picture: cropped(picture, 0.04, 0, 0.05, 0),
    "brighter": lambda picture: picture**0.8,
    "paler": lambda picture: 0.1 + 0.8 * picture,
    "noisy": lambda picture: picture + np.random.default_rng(0).normal(0, 8 / 255, picture.shape),
}


@pytest.mark.parametrize("guise", GUISES)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_copy_is_refused_and_both_are_named(tmp_path, evaluated, name, guise):
    copy = save(tmp_path / "copy.png", np.clip(GUISES[guise](photograph(name)), 0, 1))
    with pytest.raises(
        DataError, match=rf"copy\.png: is nearly the same picture as .*{name}\.png.*take it out"
    ):
        refuse_duplicates([copy], evaluated)


@pytest.mark.parametrize("quality", [30, 70])
def test_a_recompressed_copy_is_refused(tmp_path, evaluated, quality):
    levels = (resized(photograph("coffee"), 0.8) * 255).astype(np.uint8)
    path = tmp_path / "copy.jpg"
    assert cv2.imwrite(str(path), levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    with pytest.raises(DataError, match="coffee"):
        refuse_duplicates([path], evaluated)


def test_the_copy_is_found_among_others(tmp_path, evaluated):
    others = [
        save(tmp_path / f"{seed}.png", cv2.resize(texture(seed, (9, 7)), (90, 70)))
        for seed in range(4)
    ]
    copy = save(tmp_path / "copy.png", photograph("chelsea")[:, ::-1])
    with pytest.raises(DataError, match=r"copy\.png.*chelsea\.png"):
        refuse_duplicates([*others[:2], copy, *others[2:]], evaluated)


def test_different_pictures_pass(tmp_path, evaluated):
    others = [
        save(tmp_path / f"{seed}.png", cv2.resize(texture(seed, (9, 7)), (90, 70)))
        for seed in range(8)
    ]
    halves = [
        cropped(photograph(name), 0.5, 0, 0.5, 0) for name in PHOTOGRAPHS
    ]  # another picture of the same scene
    quarters = [save(tmp_path / f"quarter{number}.png", half) for number, half in enumerate(halves)]
    for number, path in enumerate(evaluated):
        refuse_duplicates([path, *others, *quarters], evaluated[:number] + evaluated[number + 1 :])


def test_flat_pictures_resemble_nothing(tmp_path):
    flat = [
        save(tmp_path / f"{level}.png", np.full((30, 40, 3), level / 255)) for level in (0, 90, 255)
    ]
    refuse_duplicates(flat, flat[::-1])


def test_an_alignment_that_goes_far_does_not_count():
    """It would make any edge the edge of anything: here a half plane and the blown-up border of a
    disk.
    """
    y, x = np.mgrid[:192, :192]
    plane, disk = (
        (255 / (1 + np.exp(-distance / 8))).astype(np.uint8)
        for distance in (x - 96.0, 80 - np.hypot(x - 150, y - 96))
    )
    assert duplicates.correlate_aligned(plane, disk) == -1
    assert duplicates.correlate_aligned(disk, np.roll(disk, 10, axis=0)) > 0.99


def test_an_unreadable_picture_is_named(tmp_path, evaluated):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    for training, others in (([bad], []), ([], [*evaluated, bad])):
        with pytest.raises(DataError, match=r"bad\.png"):
            refuse_duplicates(training, others)


# Kodak24
# --------------------------------------------------------------------------------------------------


def test_the_table_of_kodak24_is_complete():
    with duplicates.KODAK24.open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["picture"] for row in rows] == [
        f"kodim{number:02d}" for number in range(1, 25) for _ in range(3)
    ]
    assert len({row["hash"] for row in rows}) == 72
    assert all(re.fullmatch(r"[0-9a-f]{36}", row["hash"]) for row in rows)


def test_a_picture_in_the_table_is_refused_without_its_original(tmp_path, monkeypatch, evaluated):
    table = duplicates.make_hash_table(evaluated[0].parent)
    (tmp_path / "table.csv").write_text(table.replace("coffee", "kodim25"))
    monkeypatch.setattr(duplicates, "KODAK24", tmp_path / "table.csv")
    duplicates._read_hash_tables.cache_clear()
    try:
        for guise in ("half the size", "mirrored", "border lost", "paler"):
            copy = save(tmp_path / "copy.png", np.clip(GUISES[guise](photograph("coffee")), 0, 1))
            with pytest.raises(DataError, match="the picture kodim25 of Kodak24"):
                refuse_duplicates([copy], [])
        refuse_duplicates(
            [save(tmp_path / "other.png", photograph("camera")[..., None].repeat(3, 2))], []
        )
    finally:
        duplicates._read_hash_tables.cache_clear()


def test_the_table_of_photographs_has_those_of_the_bundled_crops():
    with duplicates.PHOTOGRAPHS.open(newline="") as table:
        names = [row["picture"] for row in csv.DictReader(table)]
    crops = bundled_photographs("all").keys() - bundled_photographs("five").keys()
    assert sorted(names) == sorted(3 * list({crop.split("-")[0] for crop in crops}))


def test_a_photograph_whose_crops_are_bundled_is_refused_whole(tmp_path):
    whole = imageio.read(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[0]
    copy = save(tmp_path / "copy.png", resized(whole, 0.5)[:, ::-1])
    with pytest.raises(DataError, match="the photograph hopper, crops of which come with the"):
        refuse_duplicates([copy], [])


def test_photographs_that_are_not_kodaks_pass_its_table(evaluated):
    refuse_duplicates(evaluated, [])


@pytest.mark.data
@pytest.mark.slow
def test_kodak24_itself_is_refused_and_bsds500_is_not(data_root, tmp_path):
    kodak = sorted((data_root / "kodak24").glob("*.png"))
    train = sorted((data_root / "BSDS500" / "train").glob("*.jpg"))
    if len(kodak) != 24 or not train:
        pytest.skip("kodak24 or BSDS500/train is not there")
    assert duplicates.make_hash_table(data_root / "kodak24") == duplicates.KODAK24.read_text()
    for path in kodak:
        with pytest.raises(DataError, match=r"of Kodak24"):
            refuse_duplicates([path], [])
        small = tmp_path / f"{path.stem}.jpg"
        assert cv2.imwrite(
            str(small), resized(cv2.imread(str(path)), 0.5)[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60]
        )
        with pytest.raises(DataError, match=r"of Kodak24"):
            refuse_duplicates([small], [])
    refuse_duplicates(train, kodak)


# What is evaluated on
# -------------------------------------------------------------------------------------------------


def test_evaluated_pictures_are_those_under_the_root_but_training_parts(tmp_path):
    names = (
        "kodak24/01.png",
        "set/test_c/target/a.png",
        "valley/b.jpg",
        "set/train_c/target/c.png",
        "set/val_c/target/d.png",
        "BSDS500/train/e.png",
        "Validation/f.png",
        ".cache/g.png",
    )
    for name in names:
        save(tmp_path / name, texture(0))
    (tmp_path / "kodak24" / "broken.png").write_bytes(b"nothing")
    (tmp_path / "kodak24" / "notes.txt").write_bytes(b"nothing")
    found = evaluated_pictures(tmp_path, tmp_path / "BSDS500" / "train")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "kodak24/01.png",
        "set/test_c/target/a.png",
        "valley/b.jpg",
    ]


def test_what_is_evaluated_on_is_not_trained_on(tmp_path):
    save(tmp_path / "data" / "CUHK-BD" / "image" / "a.png", texture(0))
    with pytest.raises(DataError, match=r"image: lies under the data root .*data, .*called train"):
        evaluated_pictures(tmp_path / "data", tmp_path / "data" / "CUHK-BD" / "image")
    with pytest.raises(DataError, match="lies under the data root"):
        evaluated_pictures(tmp_path / "data", tmp_path / "data")


@pytest.mark.parametrize("parts", ["set/train", "train/image", "set/training-part/image"])
def test_a_training_part_may_lie_anywhere_under_the_root(tmp_path, parts):
    root = tmp_path / "data"
    save(root / "tested" / "a.png", texture(0))
    save(root / parts / "b.png", texture(1))
    assert evaluated_pictures(root, root / parts) == [root / "tested" / "a.png"]


@pytest.mark.parametrize("place", [0, 1])
def test_every_picture_is_compared_with_every_other(tmp_path, evaluated, place):
    copy = save(tmp_path / "copy.png", photograph(PHOTOGRAPHS[0]))
    other = save(tmp_path / "other.png", photograph("rocket"))
    training = [other, other]
    training[place] = copy
    for pair in (evaluated[:2], evaluated[1::-1]):
        with pytest.raises(DataError, match=rf"copy\.png: .*{PHOTOGRAPHS[0]}\.png"):
            refuse_duplicates(training, pair)


def test_links_to_folders_and_pictures_are_followed_once(tmp_path):
    root = tmp_path / "data"
    save(tmp_path / "disk" / "set" / "a.png", texture(0))
    save(tmp_path / "disk" / "b.png", texture(1))
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "disk" / "set")
    (root / "again").symlink_to(tmp_path / "disk" / "set")
    (root / "linked" / "loop").symlink_to(root)
    (root / "b.png").symlink_to(tmp_path / "disk" / "b.png")
    found = evaluated_pictures(root, tmp_path / "elsewhere")
    assert sorted(path.name for path in found) == ["a.png", "b.png"]


def test_the_pictures_of_the_default_data_set_are_refused(tmp_path):
    bundled = bundled_pictures()
    assert {picture.path for picture in bundled_photographs("all").values()} <= set(bundled)
    for name in ("coffee.png", "china-2.jpg", "sundial.jpg"):
        [path] = [path for path in bundled if path.name == name]
        copy = save(tmp_path / "copy.png", imageio.read(path)[0][:, ::-1])
        with pytest.raises(DataError, match=rf"copy.png: is nearly the same picture as .*{name}"):
            refuse_duplicates([copy], bundled)


def test_a_root_in_a_training_folder_is_searched_all_the_same(tmp_path):
    root = tmp_path / "train" / "data"
    save(root / "a.png", texture(0))
    assert evaluated_pictures(root, tmp_path / "elsewhere") == [root / "a.png"]


def test_a_root_that_does_not_exist_has_no_pictures(tmp_path):
    assert evaluated_pictures(tmp_path / "none", tmp_path) == []
