"""DPD: every layout, the official list, views, settings, and the promise of 16 bits."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark.api import DataError
from benchmark.datasets.dpd import Dpd
from benchmark.files import natural_key
from tests.datasets import makers

NAMES = makers.dpd_names("test")


def read16(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1].astype(np.float64) / 65535


@pytest.mark.parametrize("layout", makers.DPD_LAYOUTS)
def test_the_test_set_in_every_layout(tmp_path: Path, layout: str) -> None:
    data = Dpd(makers.dpd(tmp_path, layout, views=True, size=(12, 8)))
    assert list(data.ids()) == [source for source, _ in NAMES]
    assert len(data.ids()) == data.card.count == 76
    sample = data.load("1P0A0917")
    files = {path.name: path for path in tmp_path.rglob("*.png")}
    assert sample.bit_depth == 16
    np.testing.assert_allclose(sample.image, read16(files["1P0A0917.png"]), atol=1e-7)
    np.testing.assert_allclose(sample.target, read16(files["1P0A0916.png"]), atol=1e-7)
    for view, mark in zip(sample.views, "LR", strict=True):
        np.testing.assert_allclose(view, read16(files[f"1P0A0917_{mark}.png"]), atol=1e-7)


@pytest.mark.parametrize(("split", "count"), [("train", 350), ("val", 74), ("test", 76)])
def test_the_splits_have_the_official_sizes(tmp_path: Path, split: str, count: int) -> None:
    data = Dpd(makers.dpd(tmp_path, split=split, size=(6, 4)), split=split)
    assert len(data.ids()) == data.card.count == count


def test_the_official_list_is_sound() -> None:
    """Source and target differ, no name serves twice, and sorted order agrees (which renamed copies
    rely on).
    """
    everything = [
        name
        for split in ("train", "val", "test")
        for names in makers.dpd_names(split)
        for name in names
    ]
    assert len(everything) == len(set(everything)) == 1000
    for split in ("train", "val", "test"):
        for column in zip(*makers.dpd_names(split), strict=True):
            assert (
                list(column)
                == sorted(column)
                == sorted(column, key=lambda name: natural_key(Path(name)))
            )


def test_no_views_without_their_folders(tmp_path: Path) -> None:
    data = Dpd(makers.dpd(tmp_path, size=(6, 4)))
    assert data.load(data.ids()[0]).views is None
    makers.save(
        tmp_path / "dd_dp_dataset_png/test_l/source/1P0A0917_L.png", makers.texture(0, (6, 4)), 16
    )
    with pytest.raises(DataError, match="without the other view"):
        Dpd(tmp_path)
    makers.save(
        tmp_path / "dd_dp_dataset_png/test_r/source/1P0A0917_R.png", makers.texture(0, (6, 4)), 16
    )
    with pytest.raises(DataError, match=r"1P0A0933\.png: has no partner"):
        Dpd(tmp_path)


def test_a_part_is_refused_unless_asked_for(tmp_path: Path) -> None:
    makers.dpd(tmp_path, names=[*NAMES[:3], *NAMES[5:]], size=(6, 4))
    with pytest.raises(
        DataError,
        match=r"has 74 pictures.*has 76 \(2 are missing, the first is 1P0A0972\).*partial=true",
    ):
        Dpd(tmp_path)
    data = Dpd(tmp_path, partial=True)
    assert len(data.ids()) == 74
    assert "74 of 76" in data.card.notes


@pytest.mark.parametrize("partial", [False, True])
def test_an_unpaired_file_is_refused_even_in_a_part(tmp_path: Path, partial: bool) -> None:
    base = makers.dpd(tmp_path, size=(6, 4)) / "dd_dp_dataset_png/test_c"
    (base / "target" / "1P0A0932.png").rename(tmp_path / "aside.png")
    with pytest.raises(DataError, match=r"1P0A0933\.png: its target 1P0A0932 is not in"):
        Dpd(tmp_path, partial=partial)
    (tmp_path / "aside.png").rename(base / "target" / "1P0A0932.png")
    (base / "source" / "1P0A0933.png").unlink()
    with pytest.raises(DataError, match=r"1P0A0932\.png: is the target of no source"):
        Dpd(tmp_path, partial=partial)


def test_a_stranger_among_the_official_files_is_refused(tmp_path: Path) -> None:
    base = makers.dpd(tmp_path, size=(6, 4)) / "dd_dp_dataset_png/test_c"
    makers.save(
        base / "source" / "1P0A0890.png", makers.texture(0, (6, 4)), 16
    )  # of the training split
    with pytest.raises(
        DataError, match=r"1P0A0890\.png: is not one of the 76 files of the official test split"
    ):
        Dpd(tmp_path)


def test_targets_may_carry_the_name_of_their_source(tmp_path: Path) -> None:
    data = Dpd(makers.dpd(tmp_path, names=[(source, source) for source, _ in NAMES], size=(6, 4)))
    assert data.entry("1P0A0917").files["target"].parts[-2:] == ("target", "1P0A0917.png")


def test_renamed_files_are_paired_by_order(tmp_path: Path) -> None:
    renamed = [(f"{i:03d}", f"sharp{i:03d}") for i in range(76)]
    makers.dpd(tmp_path, names=renamed, views=True, labels=True, size=(6, 4))
    data = Dpd(tmp_path)
    assert {role: path.stem for role, path in data.entry("007").files.items()} == {
        "image": "007",
        "target": "sharp007",
        "left": "007_L",
        "right": "007_R",
    }
    assert data.load("007").meta["setting"] == "outdoor"  # position 8, counted from 1
    (line,) = data.remarks
    assert "targets are paired by position: 000.png with sharp000.png" in line
    assert "differ" not in line


@pytest.mark.parametrize("count", [75, 77])
def test_renamed_files_must_have_the_official_count(tmp_path: Path, count: int) -> None:
    makers.dpd(
        tmp_path,
        names=[(f"{i:03d}", f"sharp{i:03d}") for i in range(count)],
        labels=True,
        size=(6, 4),
    )
    with pytest.raises(
        DataError, match=f"has {count} pictures, but the official test split has 76"
    ):
        Dpd(tmp_path)
    if count < 76:  # and then their positions mean nothing
        assert not Dpd(tmp_path, partial=True).load("007").meta


def test_an_8_bit_copy_is_refused(tmp_path: Path) -> None:
    makers.dpd(tmp_path, size=(6, 4))
    converted = tmp_path / "dd_dp_dataset_png/test_c/target/1P0A0932.png"
    makers.save(converted, makers.texture(0, (6, 4)), 8)
    message = r"1P0A0932\.png: has 8 bits per channel, but DPD has 16.*folder:path"
    with pytest.raises(DataError, match=message):
        Dpd(tmp_path)
    makers.save(converted, makers.texture(0, (6, 4)), 16)
    data = Dpd(tmp_path)
    makers.save(converted, makers.texture(0, (6, 4)), 8)
    with pytest.raises(DataError, match=message):
        data.load("1P0A0933")


@pytest.mark.parametrize("layout", ["DPDD", "test/DPDD"])
def test_settings_come_from_the_index_files(tmp_path: Path, layout: str) -> None:
    data = Dpd(makers.dpd(tmp_path, layout, labels=True, size=(6, 4)))
    settings = [data.entry(sample).meta["setting"] for sample in data.ids()]
    assert settings == ["indoor", "outdoor"] * 38
    unlabelled = Dpd(makers.dpd(tmp_path / "b", layout, size=(6, 4)))
    assert "setting" not in unlabelled.entry("1P0A0917").meta
    assert unlabelled.fingerprint("1P0A0917") != data.fingerprint("1P0A0917")


def test_settings_of_a_part_follow_the_official_positions(tmp_path: Path) -> None:
    makers.dpd(tmp_path, labels=True, size=(6, 4))
    for folder, name in zip(("source", "target"), NAMES[0], strict=True):
        (tmp_path / f"dd_dp_dataset_png/test_c/{folder}/{name}.png").unlink()
    assert Dpd(tmp_path, partial=True).entry(NAMES[1][0]).meta["setting"] == "outdoor"


@pytest.mark.parametrize(
    "indoor", [np.arange(1, 38), np.arange(0, 76, 2), np.array([{}], dtype=object)]
)
def test_index_files_that_do_not_fit_are_refused(tmp_path: Path, indoor: np.ndarray) -> None:
    base = makers.dpd(tmp_path, labels=True, size=(6, 4)) / "dd_dp_dataset_png"
    np.save(base / "indoor_labels.npy", indoor, allow_pickle=True)
    with pytest.raises(DataError, match="indoor_labels"):
        Dpd(tmp_path)


def test_missing_target_folder_and_empty_folder(tmp_path: Path) -> None:
    source = tmp_path / "DPDD/test_c/source"
    source.mkdir(parents=True)
    with pytest.raises(DataError, match="no target folder"):
        Dpd(tmp_path)
    (tmp_path / "DPDD/test_c/target").mkdir()
    with pytest.raises(DataError, match="has 0 pictures"):
        Dpd(tmp_path)
