"""What every adapter of files on disk owes: the contract, and an error that names the file for
every kind of damage.
"""

import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark.api import BenchmarkError, DataError, Dataset, UsageError
from benchmark.conformance import check_dataset
from benchmark.registry import DATASETS, create
from tests.benchmark.picture_corpus import png_chunk
from tests.datasets import makers

Make = Callable[[Path], object]

FEW = makers.dpd_names("test")[:2]
SETS: dict[str, tuple[str, Make]] = {
    "dpd": ("dpd:partial=true", lambda root: makers.dpd(root, names=FEW, views=True)),
    "rtf": ("rtf", lambda root: makers.rtf(root, count=2, maps=True)),
    "rtf flat": ("rtf", lambda root: makers.rtf(root, "flat", count=2)),
    "rtf files": ("rtf:noise=files", lambda root: makers.rtf(root, count=2)),
    "cuhk_bd": ("cuhk_bd", lambda root: makers.cuhk_bd(root, count=2)),
    "realdof": ("realdof", lambda root: makers.realdof(root, count=2)),
    "lfdof": (
        "lfdof:partial=true",
        lambda root: makers.lfdof(root, names=makers.lfdof_names()[14:16]),
    ),
    "pixel4": ("pixel4", lambda root: makers.pixel4(root, scenes=2)),
    "folder": (
        "folder:path={root}",
        lambda root: makers.folder(root, roles=("input", "target", "left", "right")),
    ),
    "folder of views": (
        "folder:path={root},views=true",
        lambda root: makers.folder(root, roles=("target", "left", "right")),
    ),
    "folder of scenes": ("folder:path={root},nested=true", lambda root: makers.scenes(root)),
}


def build(name: str, root: Path) -> Dataset:
    return create(DATASETS, SETS[name][0].format(root=root), root=root)[0]


def made(name: str, root: Path) -> Dataset:
    SETS[name][1](root)
    return build(name, root)


def sample_files(dataset: Dataset, sample_id: str) -> dict[str, Path]:
    return dict(dataset.entry(sample_id).files)


@pytest.fixture(params=SETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_meets_the_contract(tmp_path: Path, name: str) -> None:
    results = list(check_dataset(made(name, tmp_path)))
    assert results
    assert [f"{result.name}: {result.detail}" for result in results if not result.passes] == []


def test_ids_and_fingerprints_do_not_depend_on_the_place(tmp_path: Path, name: str) -> None:
    first = made(name, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = build(name, tmp_path / "b")
    assert first.ids() == second.ids()
    prints = [first.fingerprint(sample) for sample in first.ids()]
    assert prints == [second.fingerprint(sample) for sample in second.ids()]
    assert len(set(prints)) == len(prints)


def test_every_file_of_a_sample_counts_in_its_fingerprint_and_in_no_other(
    tmp_path: Path, name: str
) -> None:
    dataset = made(name, tmp_path)
    changed, other = dataset.ids()[:2]
    for path in sample_files(dataset, changed).values():
        before = build(name, tmp_path)
        old = before.fingerprint(changed), before.fingerprint(other)
        path.write_bytes(path.read_bytes() + b"\0")
        after = build(name, tmp_path)
        assert after.fingerprint(changed) != old[0], path
        assert (
            path in sample_files(dataset, other).values() or after.fingerprint(other) == old[1]
        ), path


def test_the_fingerprint_follows_the_adapter_version(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made(name, tmp_path)
    before = dataset.fingerprint(dataset.ids()[0])
    monkeypatch.setattr(type(dataset), "version", "another")
    assert dataset.fingerprint(dataset.ids()[0]) != before


def test_the_card_of_this_copy_says_how_many_were_found(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    assert re.search(rf"\b{len(dataset.ids())} (of \d+ )?samples found", dataset.card.notes)
    assert "found" not in type(dataset).card.notes
    assert dataset.card.has_target == (dataset.load(dataset.ids()[0]).target is not None)


COUNTS = {"cuhk_bd": 704, "dpd": 76, "lfdof": 725, "pixel4": 17, "realdof": 50, "rtf": 22}
"""How many samples the complete set has; the others have as many as their folder."""


@pytest.mark.parametrize("dataset", ["folder", "simulated", *COUNTS])
def test_a_card_states_everything_that_a_reader_must_know(dataset: str) -> None:
    card = DATASETS.get(dataset).card
    texts = {"licence": card.licence, "source": card.source, "layout": card.layout}
    texts |= {"title": card.title, "notes": card.notes}
    if dataset != "folder":
        texts["paper"] = card.paper
    assert [field for field, text in texts.items() if not text.strip()] == []
    assert card.count == COUNTS.get(dataset)
    assert card.has_target == (dataset != "cuhk_bd")


def test_nothing_there_shows_the_expected_tree(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DataError) as caught:
        build(name, tmp_path / "elsewhere")
    kind = DATASETS.get(name.split()[0])
    assert kind.card.layout in str(caught.value)
    assert "elsewhere" in str(caught.value)
    with pytest.raises(DataError, match="missing root"):
        build(name, tmp_path / "missing root")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "text": lambda path: path.write_text("<html>error 404</html>"),
    "smaller": lambda path: rewrite(path, lambda picture: picture[:-2]),
}


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    if path.suffix == ".mat":
        from scipy.io import loadmat, savemat

        savemat(path, {"blurMap": change(loadmat(path)["blurMap"])})
    else:
        assert cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_any_file_is_an_error_that_names_a_file(
    tmp_path: Path, name: str, damage: str
) -> None:
    dataset = made(name, tmp_path / "whole")
    for role, path in sample_files(dataset, dataset.ids()[1]).items():
        shutil.copytree(tmp_path / "whole", tmp_path / role)
        DAMAGE[damage](tmp_path / role / path.relative_to(tmp_path / "whole"))
        with pytest.raises(DataError) as caught:
            for sample in (hurt := build(name, tmp_path / role)).ids():
                hurt.load(sample)
        assert re.search(r"\.(png|jpg|mat)\b", str(caught.value)), (role, str(caught.value))


def test_a_file_that_goes_away_later_is_an_error(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    sample = dataset.ids()[0]
    for path in sample_files(dataset, sample).values():
        path.unlink()
    with pytest.raises(DataError, match=r"(no such file|cannot be read)"):
        dataset.load(sample)
    with pytest.raises(DataError, match="has gone"):
        dataset.fingerprint(sample)


def test_a_file_that_is_exchanged_later_is_an_error(tmp_path: Path, name: str) -> None:
    """The constructor's look at the headers is not relied on."""
    dataset = made(name, tmp_path)
    sample = dataset.ids()[0]
    for role, path in sample_files(dataset, sample).items():
        whole = path.read_bytes()
        DAMAGE["smaller"](path)
        if role != "image" or len(sample_files(dataset, sample)) > 1:
            with pytest.raises(DataError, match=r"\.(png|jpg|mat): is \d+x\d+ px"):
                dataset.load(sample)
        path.write_bytes(whole)


def add_png_chunk(path: Path, kind: bytes, payload: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:33] + png_chunk(kind, payload) + content[33:])


def turn_for_viewers(path: Path) -> None:
    """Give a picture an orientation, whatever its depth; its pixels stay."""
    if path.suffix == ".png":
        exif = Image.Exif()
        exif[274] = 3
        add_png_chunk(path, b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    else:
        makers.tag_orientation(path, 3)


def test_pictures_of_a_sample_that_viewers_turn_differently_are_refused(
    tmp_path: Path, name: str
) -> None:
    dataset = made(name, tmp_path)
    pictures = list(dataset.entry(dataset.ids()[0]).pictures.values())
    for path in pictures[1:]:
        content = path.read_bytes()
        turn_for_viewers(path)
        with pytest.raises(DataError, match=f"{path.name}.*EXIF orientation 3"):
            build(name, tmp_path)
        path.write_bytes(content)
    entries = [dataset.entry(sample) for sample in dataset.ids()]
    for path in {path for entry in entries for path in entry.pictures.values()}:
        turn_for_viewers(path)
    assert build(name, tmp_path).ids() == dataset.ids()


def test_pictures_of_a_sample_whose_colours_differ_are_refused(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    entry = dataset.entry(dataset.ids()[0])
    for role, path in entry.pictures.items():
        if role == "image" or path.suffix != ".png":
            continue
        content = path.read_bytes()
        add_png_chunk(path, b"gAMA", struct.pack(">I", 100_000))
        if role == "mask" or path == entry.files.get("image"):
            assert build(name, tmp_path).ids() == dataset.ids()
        else:
            with pytest.raises(DataError, match=r"has the colours of .*gamma 1"):
                build(name, tmp_path)
        path.write_bytes(content)


def test_what_lies_beside_the_pictures_is_told_or_refused(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    if "scenes" in name:
        return  # those with nested=true refuse
    path = dataset.entry(dataset.ids()[0]).files.get("target")
    path = path or next(iter(dataset.entry(dataset.ids()[0]).files.values()))
    (path.parent / "raw.heic").write_bytes(b"x")
    lines = [line for line in build(name, tmp_path).remarks if "raw.heic" in line]
    assert len(lines) == 1 and "of formats that are not read" in lines[0]
    os.mkfifo(path.with_name(f"p{path.suffix}"))
    try:
        remarks = build(name, tmp_path).remarks  # where it belongs to no sample
    except DataError as error:
        assert path.with_name(f"p{path.suffix}").name in str(error)
    else:
        assert any(path.with_name(f"p{path.suffix}").name in line for line in remarks)


def test_an_unknown_id_is_an_error_with_a_hint(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    sample = dataset.ids()[0]
    for call in (dataset.load, dataset.fingerprint):
        with pytest.raises(UsageError, match=re.escape(repr(sample))):
            call(sample + "x")


def test_strangers_in_the_folders_do_not_count(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    for folder in {path.parent for path in sample_files(dataset, dataset.ids()[0]).values()}:
        (folder / "Thumbs.db").write_bytes(b"x")
        (folder / ".hidden.png").write_bytes(b"x")
        (folder / "._resource fork.mat").write_bytes(b"x")
        (folder / "some.png").mkdir()
    assert build(name, tmp_path).ids() == dataset.ids()


def test_upper_case_suffixes_are_accepted(tmp_path: Path, name: str) -> None:
    dataset = made(name, tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.suffix in {".png", ".jpg"}]:
        path.rename(path.with_suffix(path.suffix.upper()))
    again = build(name, tmp_path)
    assert again.ids() == dataset.ids()
    assert again.load(again.ids()[0]).image.shape[2] == 3


def test_unknown_parameters_and_values_are_refused(tmp_path: Path, name: str) -> None:
    SETS[name][1](tmp_path)
    text = SETS[name][0].format(root=tmp_path)
    with pytest.raises(BenchmarkError):
        create(DATASETS, f"{text}{',' if ':' in text else ':'}nonsense=1", root=tmp_path)
