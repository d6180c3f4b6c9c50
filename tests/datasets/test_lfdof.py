"""LFDOF: the official test list, the split's counts, scenes, and what must be refused."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark.api import DataError
from benchmark.datasets.lfdof import Lfdof
from tests.datasets import makers

NAMES = makers.lfdof_names()
FEW = NAMES[13:17]
"""The last two pictures of the first scene, and the first two of the second."""
TEST = "LFDOF/test_data"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    makers.lfdof(tmp_path, names=FEW)
    return tmp_path


def test_the_official_list_is_sound() -> None:
    """Its facts are those of the list that it restates: 725 pictures of 50 scenes."""
    assert len(NAMES) == len(set(NAMES)) == 725
    scenes = [name.rpartition("_ap")[0] for name in NAMES]
    assert len(set(scenes)) == 50 and scenes == sorted(scenes)
    assert (NAMES[0], NAMES[-1]) == ("IMG_1567_ap1_00", "IMG_6480_ap3_04")
    assert [name for name in NAMES if name.startswith("IMG_3074")] == [
        *("IMG_3074_ap1_00", "IMG_3074_ap1_01", "IMG_3074_ap2_00", "IMG_3074_ap2_01"),
        *("IMG_3074_ap3_00", "IMG_3074_ap3_01", "IMG_3074_ap3_02"),
    ]


@pytest.mark.parametrize("base", [TEST, "test_data", "lfdof/Test_Data"])
def test_the_test_set_in_every_layout(tmp_path: Path, base: str) -> None:
    data = Lfdof(makers.lfdof(tmp_path, base))
    assert list(data.ids()) == NAMES
    assert "725 of 725 samples found" in data.card.notes
    sample = data.load("IMG_1567_ap1_02")
    files = {path.name: path for path in (tmp_path / base).rglob("*.png")}
    for picture, name in ((sample.image, "IMG_1567_ap1_02"), (sample.target, "IMG_1567")):
        stored = cv2.imread(str(files[f"{name}.png"]))[..., ::-1] / 255
        np.testing.assert_allclose(picture, stored, atol=1e-7)
    assert sample.image.shape == (688, 1008, 3)


def test_pictures_of_a_light_field_are_one_scene(few: Path) -> None:
    data = Lfdof(few, partial=True)
    samples = [data.load(name) for name in data.ids()]
    assert [sample.scene for sample in samples] == ["IMG_1567"] * 2 + ["IMG_2026"] * 2
    assert [dict(sample.meta) for sample in samples] == [
        {"aperture": 3, "focus": 3},
        {"aperture": 3, "focus": 4},
        {"aperture": 1, "focus": 0},
        {"aperture": 1, "focus": 1},
    ]
    np.testing.assert_array_equal(samples[0].target, samples[1].target)


def test_the_training_split_has_the_official_size(tmp_path: Path) -> None:
    names = [f"IMG_{1275 + number // 15}_ap{number % 15 // 5 + 1}_{number % 5:02d}"
             for number in range(11261)]  # fmt: skip
    makers.lfdof(tmp_path, "LFDOF/train_data", names=names)
    data = Lfdof(tmp_path, split="train")
    assert len(data.ids()) == data.card.count == 11261
    (tmp_path / "LFDOF/train_data/input/IMG_1275/IMG_1275_ap1_00.png").unlink()
    with pytest.raises(DataError, match=r"has 11260 pictures, .* train split has 11261\. "):
        Lfdof(tmp_path, split="train")


def test_a_part_is_refused_unless_asked_for(few: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"has 4 pictures.*has 725 \(721 are missing, the first is IMG_1567_ap1_00\)"
        r".*lfdof:partial=true",
    ):
        Lfdof(few)
    assert "4 of 725" in Lfdof(few, partial=True).card.notes


def test_a_picture_of_no_test_scene_is_refused(few: Path) -> None:
    makers.lfdof(few, names=["IMG_1275_ap1_00"])
    with pytest.raises(DataError, match="IMG_1275_ap1_00 is not one of the 725 pictures"):
        Lfdof(few, partial=True)


def test_missing_folders_show_the_tree(few: Path) -> None:
    with pytest.raises(DataError, match=r"no train pictures(.|\n)*\{train,test\}_data"):
        Lfdof(few, split="train")
    (few / TEST / "ground_truth").rename(few / "elsewhere")
    with pytest.raises(DataError, match=r"has no folder ground_truth(.|\n)*\{train,test\}_data"):
        Lfdof(few, partial=True)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    for name in ("input", "ground_truth"):
        (tmp_path / TEST / name).mkdir(parents=True)
    with pytest.raises(DataError, match="has 0 pictures"):
        Lfdof(tmp_path)
    with pytest.raises(DataError, match="no pictures found"):
        Lfdof(tmp_path, partial=True)


def test_unpaired_files_are_refused(few: Path) -> None:
    target = few / TEST / "ground_truth/IMG_2026.png"
    target.rename(few / "aside.png")
    with pytest.raises(DataError, match=r"IMG_2026_ap1_00\.png: its target IMG_2026 is not in"):
        Lfdof(few, partial=True)
    (few / "aside.png").rename(target)
    for path in (few / TEST / "input/IMG_2026").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"IMG_2026\.png: is the target of no picture"):
        Lfdof(few, partial=True)


def test_a_picture_in_the_wrong_place_is_refused(few: Path) -> None:
    picture = few / TEST / "input/IMG_1567/IMG_1567_ap3_03.png"
    beside = few / TEST / "input" / picture.name
    picture.rename(beside)
    with pytest.raises(DataError, match=r"IMG_1567_ap3_03\.png: belongs into the folder"):
        Lfdof(few, partial=True)
    beside.rename(few / TEST / "input/IMG_2026" / picture.name)
    with pytest.raises(DataError, match=r"IMG_1567_ap3_03\.png: is not a picture of scene"):
        Lfdof(few, partial=True)


@pytest.mark.parametrize("place", ["input/IMG_1567/IMG_1567_ap3_03", "ground_truth/IMG_1567"])
def test_two_files_of_one_picture_are_refused(few: Path, place: str) -> None:
    path = few / TEST / f"{place}.png"
    path.with_suffix(".tif").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=rf"{path.stem}\.tif: stands for the same sample as"):
        Lfdof(few, partial=True)


@pytest.mark.parametrize("size", [(688, 1008), (512, 352), (1008, 672)])
def test_turned_reduced_and_cropped_copies_are_refused(tmp_path: Path, size: makers.Size) -> None:
    makers.lfdof(tmp_path, names=FEW[:1], size=size)
    with pytest.raises(DataError, match=rf"is {size[0]}x{size[1]} px, but LFDOF has 1008x688 px"):
        Lfdof(tmp_path, partial=True)


def test_pixels_are_not_turned_by_a_tag(few: Path) -> None:
    """Pictures stored upright with the tag "turn by 180 degrees" are read as stored."""
    before = Lfdof(few, partial=True).load(FEW[0]).image
    for path in few.rglob("*.png"):
        makers.tag_orientation(path, 3)
    np.testing.assert_array_equal(Lfdof(few, partial=True).load(FEW[0]).image, before)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_the_file_decides_the_bit_depth(tmp_path: Path, bit_depth: int) -> None:
    data = Lfdof(makers.lfdof(tmp_path, names=FEW[:1], bit_depth=bit_depth), partial=True)
    sample = data.load(FEW[0])
    assert sample.bit_depth == bit_depth
    expected = makers.coarse_texture(0, (1008, 688))
    np.testing.assert_allclose(sample.image, expected, atol=0.51 / (2**bit_depth - 1))


def test_a_broken_file_is_named(few: Path) -> None:
    path = few / TEST / f"input/IMG_1567/{FEW[0]}.png"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=rf"{FEW[0]}\.png"):
        Lfdof(few, partial=True).load(FEW[0])
