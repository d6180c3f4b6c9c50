"""The adapters' common tools: order, search, pairing."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.api import DataError
from benchmark.datasets import layout
from benchmark.datasets.folder import Folder
from benchmark.files import natural_key
from benchmark.registry import DATASETS, create
from tests.datasets import makers


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_in_names_are_ordered_as_numbers(numbers: list[int]) -> None:
    paths = [Path(f"image{number}.png") for number in numbers]
    ordered = sorted(paths, key=natural_key)
    assert [int(path.stem[5:]) for path in ordered] == sorted(numbers)


@given(st.lists(st.text("ab01_٣.", min_size=1), unique=True))
def test_the_order_is_total_whatever_the_names(names: list[str]) -> None:
    paths = [Path(name) for name in names if Path(name).name == name]
    backward = paths[::-1]
    assert sorted(paths, key=natural_key) == sorted(backward, key=natural_key)


def test_only_pictures_are_listed(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b10.PNG",
        "b9.tiff",
        "a.jpeg",
        "c.TIF",
        "d.jpg",
        "notes.txt",
        "Thumbs.db",
        ".e.png",
        "f.npy",
    )
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in layout.list_files(tmp_path)] == [
        "a.jpeg",
        "b9.tiff",
        "b10.PNG",
        "c.TIF",
        "d.jpg",
    ]
    assert [path.name for path in layout.list_files(tmp_path, [".npy"])] == ["f.npy"]


def test_folders_are_found_in_order_and_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "RTF" / "gt").mkdir(parents=True)
    (tmp_path / "rtfdataset").mkdir()
    (tmp_path / "file").write_bytes(b"")
    assert layout.find_folder(tmp_path, "none", "RTF/GT", "RTF") == tmp_path / "RTF" / "gt"
    assert layout.find_folder(tmp_path, "RTFDataset") == tmp_path / "rtfdataset"
    assert layout.find_folder(tmp_path, "file", "file/deeper", "RTF/none") is None
    (tmp_path / "rtf").mkdir(exist_ok=True)
    assert layout.find_folder(tmp_path, "rtf") == tmp_path / "rtf"  # an exact name goes first


def test_pairing_by_name(tmp_path: Path) -> None:
    images, targets = (
        touch(tmp_path / "a", "1.png", "2.png"),
        touch(tmp_path / "b", "2.jpg", "1.jpg"),
    )
    assert layout.pair_files(images, targets) == [targets[1], targets[0]]
    assert layout.pair_files(images, targets, "order") == targets


def test_pairing_by_order_where_no_name_agrees(tmp_path: Path) -> None:
    images, targets = (
        touch(tmp_path / "a", "1.png", "2.png"),
        touch(tmp_path / "b", "x.png", "y.png"),
    )
    assert layout.pair_files(images, targets) == targets
    with pytest.raises(DataError, match=r"1\.png: has no partner in .*b"):
        layout.pair_files(images, targets, "name")


def test_one_agreeing_name_forbids_guessing_by_order(tmp_path: Path) -> None:
    images, targets = (
        touch(tmp_path / "a", "1.png", "2.png"),
        touch(tmp_path / "b", "1.png", "3.png"),
    )
    with pytest.raises(DataError, match=r"2\.png: has no partner"):
        layout.pair_files(images, targets)


@pytest.mark.parametrize(
    ("left", "right"), [(["1.png"], []), (["1.png"], ["x.png", "y.png"]), ([], ["x.png"])]
)
def test_unequal_counts_are_refused(tmp_path: Path, left: list[str], right: list[str]) -> None:
    with pytest.raises(DataError, match=r"has \d files"):
        layout.pair_files(touch(tmp_path / "a", *left), touch(tmp_path / "b", *right))


def test_a_left_over_partner_is_named(tmp_path: Path) -> None:
    images, targets = touch(tmp_path / "a", "1.png"), touch(tmp_path / "b", "1.png", "2.png")
    with pytest.raises(DataError, match=r"b.2\.png: has no partner in .*a"):
        layout.pair_files(images, targets)


def test_two_files_for_one_sample_are_refused(tmp_path: Path) -> None:
    images, targets = touch(tmp_path / "a", "1.png"), touch(tmp_path / "b", "1.jpg", "1.png")
    with pytest.raises(DataError, match=r"1\.png: stands for the same sample as 1\.jpg"):
        layout.pair_files(images, targets)


def test_a_number_in_the_name(tmp_path: Path) -> None:
    assert layout.number_in_name(Path("set2_image_07.png")) == 7
    with pytest.raises(DataError, match=r"image\.png: expected a number"):
        layout.number_in_name(Path("image.png"))


def test_a_change_within_the_time_stamps_grain_is_noticed(tmp_path: Path) -> None:
    makers.save(tmp_path / "a.png", makers.texture(0))
    data, path = Folder(tmp_path, path=tmp_path), tmp_path / "a.png"
    before, status = data.fingerprint("a"), path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert data.fingerprint("a") != before


def test_a_settled_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = makers.save(tmp_path / "a.png", makers.texture(0))
    os.utime(path, (0, 0))
    data = Folder(tmp_path, path=tmp_path)
    before = data.fingerprint("a")
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert data.fingerprint("a") == before


def test_ids_are_stems_unless_they_clash() -> None:
    assert layout.sample_ids([Path("a.png"), Path("b.jpg"), Path("b.png")]) == [
        "a",
        "b.jpg",
        "b.png",
    ]


def test_the_size_of_a_picture_is_that_of_what_is_loaded(tmp_path: Path) -> None:
    """From the header where the file is the picture, else by loading it."""
    for name in ("dpd", "rtf"):
        getattr(makers, name)(tmp_path / name)
    for dataset in (
        create(DATASETS, "dpd", root=tmp_path / "dpd")[0],
        create(DATASETS, "rtf", root=tmp_path / "rtf")[0],
        create(DATASETS, "simulated:size=48,scale=0.5", root=tmp_path)[0],
    ):
        sample = dataset.ids()[0]
        assert dataset.picture_size(sample) == dataset.load(sample).image.shape[:2]
