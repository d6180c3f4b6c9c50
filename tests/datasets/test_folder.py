"""Any pictures on disk."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark import left_out
from benchmark.api import DataError, UsageError
from benchmark.datasets.folder import Folder
from benchmark.metrics.tracks import Track
from benchmark.registry import DATASETS, create
from tests.benchmark import picture_corpus
from tests.benchmark.hostile_pictures import ODD_NAMES, SPECIAL_FILES, UNPRINTABLE_NAMES
from tests.datasets import makers


def test_pairs_and_views(tmp_path: Path) -> None:
    data = Folder(
        tmp_path, path=makers.folder(tmp_path, roles=("input", "target", "left", "right"))
    )
    assert data.ids() == ("p0", "p1", "p2")
    sample = data.load("p1")
    np.testing.assert_allclose(sample.target, makers.texture(1), atol=0.51 / 255)
    assert sample.views is not None
    assert data.card.has_target


@pytest.mark.parametrize("suffix", [".png", ".tif", ".JPG"])
def test_pictures_directly_in_the_folder(tmp_path: Path, suffix: str) -> None:
    data = Folder(tmp_path, path=makers.folder(tmp_path, roles=(), suffix=suffix))
    assert data.ids() == ("p0", "p1", "p2")
    assert data.load("p0").target is None
    assert not data.card.has_target


def test_the_path_is_relative_to_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers.folder(tmp_path / "my pictures")
    monkeypatch.chdir(tmp_path)
    data, resolved = create(DATASETS, "folder:path=my pictures", root=Path("nowhere"))
    assert data.ids() == ("p0", "p1", "p2")
    assert resolved.label == "folder:path=my pictures"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Folder(tmp_path, path=Path("~/my pictures")).ids() == data.ids()


def test_the_path_is_needed() -> None:
    with pytest.raises(UsageError, match="folder:path="):
        create(DATASETS, "folder", root=Path())


def test_pairing(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    for index in range(3):
        (tmp_path / f"target/p{index}.png").rename(tmp_path / f"target/sharp{2 - index}.png")
    for how in ("auto", "order"):
        assert (
            Folder(tmp_path, path=tmp_path, pair=how).entry("p0").files["target"].name
            == "sharp0.png"
        )
    with pytest.raises(DataError, match=r"p0\.png: has no partner"):
        Folder(tmp_path, path=tmp_path, pair="name")
    (tmp_path / "target/sharp1.png").unlink()
    with pytest.raises(DataError, match=r"has 3 files, .*target has 2"):
        Folder(tmp_path, path=tmp_path)


def test_order_can_be_insisted_on_where_names_agree(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    (tmp_path / "target/p0.png").rename(tmp_path / "target/p9.png")
    with pytest.raises(DataError, match=r"p0\.png: has no partner"):
        Folder(tmp_path, path=tmp_path)
    assert (
        Folder(tmp_path, path=tmp_path, pair="order").entry("p0").files["target"].name == "p1.png"
    )


def test_sizes_are_checked_before_anything_runs(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    makers.save(tmp_path / "target/p1.png", makers.texture(1, (48, 39)))
    with pytest.raises(
        DataError, match=r"target.p1\.png: is 48x39 px, but .*input.p1\.png is 48x40"
    ):
        Folder(tmp_path, path=tmp_path)


def test_pictures_of_a_set_may_have_different_sizes_and_depths(tmp_path: Path) -> None:
    makers.save(tmp_path / "a.png", makers.texture(0, (30, 20)), 16)
    makers.save(tmp_path / "b.png", makers.texture(0, (20, 30)), 8)
    data = Folder(tmp_path, path=tmp_path)
    assert [data.load(sample).bit_depth for sample in data.ids()] == [16, 8]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("role", ["input", "target"])
def test_a_pair_that_viewers_turn_differently_is_refused(
    tmp_path: Path, suffix: str, role: str
) -> None:
    paths = {name: tmp_path / name / f"p{suffix}" for name in ("input", "target")}
    for path in paths.values():
        path.parent.mkdir()
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    makers.tag_orientation(paths[role], 6)
    with pytest.raises(DataError, match=r"EXIF orientation ., but .*input.p"):
        Folder(tmp_path, path=tmp_path)
    for path in paths.values():
        makers.tag_orientation(path, 6)
    assert Folder(tmp_path, path=tmp_path).load("p").image.shape == (40, 40, 3)


@pytest.mark.parametrize("deeper_role", ["input", "target"])
def test_a_16_bit_picture_and_its_truncation_are_equal_to_an_8_bit_track(
    tmp_path: Path, deeper_role: str
) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 48, 3), dtype=np.uint16)
    for role in ("input", "target"):
        (tmp_path / role).mkdir()
        stored_levels = levels if role == deeper_role else (levels >> 8).astype(np.uint8)
        cv2.imwrite(str(tmp_path / role / "p.png"), stored_levels)
    sample = Track("u8").read(Folder(tmp_path, path=tmp_path).load("p"))
    assert sample.target is not None
    np.testing.assert_array_equal(sample.image, sample.target)
    assert (sample.bit_depth, sample.target_bit_depth) == (8, 8)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    for role in ("input", "target"):
        for name in ("1.bmp", "2.webp", "3.png", "more/4.png"):
            makers.save(tmp_path / role / name, makers.texture(0))
        (tmp_path / role / "raw.dng").write_bytes(b"II*")
        (tmp_path / role / "notes.txt").write_text("of no interest")
        shutil.copy(tmp_path / role / "3.png", tmp_path / role / "5.jfif")
    makers.save(tmp_path / "6.png", makers.texture(0))
    data = Folder(tmp_path, path=tmp_path)
    assert data.ids() == ("1", "2", "3")
    start = f"left out of {tmp_path}, "
    assert [line.removeprefix(start).partition(" (.png")[0] for line in data.remarks] == [
        "in sub-folders (nested=true reads scenes): input/more (1 picture), target/more "
        "(1 picture)",
        "beside the folders that are read: 6.png",
        "of formats that are not read: input/raw.dng, target/raw.dng",
        "pictures, but not called so",
    ]
    assert data.remarks[-1].endswith("): input/5.jfif, target/5.jfif")
    assert "Of this copy: left out" in data.card.notes


@pytest.mark.parametrize("nested_scenes", [False, True])
def test_targets_elsewhere_are_told(tmp_path: Path, nested_scenes: bool) -> None:
    place = "{}/s" if nested_scenes else "{}"
    for role in ("input", "gt", "sharp"):
        makers.save(tmp_path / place.format(role) / "1.png", makers.texture(0))
    data = Folder(tmp_path, path=tmp_path, nested=nested_scenes)
    assert not data.card.has_target
    assert data.remarks == [
        f"left out of {tmp_path}, not called input, target, left, right (input= and target= give "
        "other names): gt (1 picture), sharp (1 picture)"
    ]
    renamed = Folder(tmp_path, path=tmp_path, nested=nested_scenes, target="gt")
    assert renamed.card.has_target and "sharp (1 picture)" in renamed.remarks[0]


def test_targets_beside_the_named_folder_are_told(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    (line,) = Folder(tmp_path, path=tmp_path / "input").remarks
    assert line == (
        f"no targets, but {tmp_path / 'target'} lies beside it; path={tmp_path} reads pairs"
    )


def test_scenes_paired_by_position_are_told_beside_others_paired_by_name(tmp_path: Path) -> None:
    makers.scenes(tmp_path)
    for number in (0, 1):
        (tmp_path / f"target/b/p{number}.png").rename(tmp_path / f"target/b/q{number + 1}.png")
    (line,) = nested(tmp_path).remarks
    assert line.startswith("no names agree, so targets are paired by position: p0.png with q1.png")
    assert "the numbers in the names differ, first in p0.png with q1.png" in line


def test_links_that_lead_back_end_a_search(tmp_path: Path) -> None:
    makers.scenes(tmp_path)
    for name in ("up", "up-again"):
        (tmp_path / "input/a" / name).symlink_to(tmp_path / "input")
    with pytest.raises(DataError, match=r"up: is a link to a folder that it lies in"):
        nested(tmp_path)
    assert Folder(tmp_path, path=tmp_path / "input/a").ids() == ("p0", "p1")


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    makers.folder(tmp_path)
    for role in ("input", "target"):
        SPECIAL_FILES[kind](tmp_path / f"{role}/p9.png")
    if kind in ("folder", "link to a folder", "nothing"):
        assert len(Folder(tmp_path, path=tmp_path).ids()) == 3
        return
    with pytest.raises(DataError, match=r"p9\.png: .*expected"):
        Folder(tmp_path, path=tmp_path)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    for role in ("input", "target"):
        makers.save(tmp_path / role / "plain.png", makers.texture(0))
        (tmp_path / role / "plain.png").rename(tmp_path / role / f"{name}.png".replace("/", "_"))
    data = Folder(tmp_path, path=tmp_path)
    assert data.ids() == (name.replace("/", "_"),)
    assert data.remarks == []
    assert data.load(data.ids()[0]).target is not None


@pytest.mark.parametrize("name", UNPRINTABLE_NAMES)
@pytest.mark.parametrize("role", ["input", "target"])
def test_names_that_cannot_be_printed_are_refused(tmp_path: Path, name: bytes, role: str) -> None:
    makers.folder(tmp_path)
    source = tmp_path / role / "p0.png"
    source.rename(Path(os.fsdecode(bytes(tmp_path / role) + b"/" + name + b".png")))
    with pytest.raises(DataError, match="cannot be printed") as caught:
        Folder(tmp_path, path=tmp_path)
    assert str(caught.value).isprintable()


def swap_colours(path: Path) -> None:
    """Write a picture again with a profile of other colours."""
    with Image.open(path) as picture:
        picture.save(path, icc_profile=picture_corpus.make_profile("swapped"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_colours_that_are_not_srgb_are_told_and_must_agree(tmp_path: Path, suffix: str) -> None:
    makers.folder(tmp_path, suffix=suffix)
    before = Folder(tmp_path, path=tmp_path)
    assert before.remarks == []
    swap_colours(tmp_path / f"target/p1{suffix}")
    with pytest.raises(DataError, match=r"target.p1.*ICC profile.*sRGB.*Convert both"):
        Folder(tmp_path, path=tmp_path)
    swap_colours(tmp_path / f"input/p1{suffix}")
    data = Folder(tmp_path, path=tmp_path)
    (line,) = data.remarks
    assert line.startswith("2 of 6 pictures have the colours of ICC profile ")
    assert "used as stored" in line


def test_a_profile_of_srgb_is_as_good_as_none(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    path = tmp_path / "input/p0.png"
    with Image.open(path) as picture:
        picture.save(path, icc_profile=picture_corpus.make_profile("sRGB"))
    assert Folder(tmp_path, path=tmp_path).remarks == []


def test_pairs_by_position_are_told_unless_they_were_asked_for(tmp_path: Path) -> None:
    for name, partner in (("1_out", "1"), ("2_out", "2"), ("4_out", "3")):
        makers.save(tmp_path / f"input/{name}.png", makers.texture(0))
        makers.save(tmp_path / f"target/{partner}.png", makers.texture(0))
    (line,) = Folder(tmp_path, path=tmp_path).remarks
    assert line.startswith(
        "no names agree, so targets are paired by position: 1_out.png with 1.png"
    )
    assert "4_out.png with 3.png" in line
    assert Folder(tmp_path, path=tmp_path).card.notes.endswith(f"Of this copy: {line}.")
    assert Folder(tmp_path, path=tmp_path, pair="order").remarks == []
    with pytest.raises(DataError, match=r"4_out\.png: has no partner"):
        Folder(tmp_path, path=tmp_path, pair="number")


def test_pairs_by_name_and_views_need_no_remark(tmp_path: Path) -> None:
    makers.folder(tmp_path, roles=("input", "target", "left", "right"))
    assert Folder(tmp_path, path=tmp_path).remarks == []


def test_two_files_with_one_stem_keep_their_suffix(tmp_path: Path) -> None:
    makers.save(tmp_path / "a.png", makers.texture(0))
    makers.save(tmp_path / "a.jpg", makers.texture(0))
    assert Folder(tmp_path, path=tmp_path).ids() == ("a.jpg", "a.png")


def test_one_view_alone_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        Folder(tmp_path, path=tmp_path)
    makers.folder(tmp_path, roles=("input", "left"))
    with pytest.raises(DataError, match="only one of left/ and right/"):
        Folder(tmp_path, path=tmp_path)


def test_sub_folders_count_only_beside_input(tmp_path: Path) -> None:
    """A folder of photographs may have a folder `target` for reasons of its own."""
    makers.folder(tmp_path, roles=())
    makers.save(tmp_path / "target/other.png", makers.texture(0))
    assert Folder(tmp_path, path=tmp_path).load("p0").target is None


# Other names, views, scenes
# --------------------------------------------------------------------------------------------------


def test_sub_folders_may_have_other_names(tmp_path: Path) -> None:
    makers.folder(tmp_path, roles=("blurred", "sharp"))
    (tmp_path / "sharp/p1.png").rename(tmp_path / "sharp/other.png")
    data, resolved = create(
        DATASETS, f"folder:path={tmp_path},pair=order,input=blurred,target=sharp", root=tmp_path
    )
    assert data.entry("p0").files == {
        "image": tmp_path / "blurred/p0.png",
        "target": tmp_path / "sharp/other.png",
    }
    assert resolved.label.endswith(",pair=order,input=blurred,target=sharp")
    for names in ("input=blurr", "input=blurred,target=shar"):
        with pytest.raises(DataError, match=r"no folder (blurr|shar)\b"):
            create(DATASETS, f"folder:path={tmp_path},{names}", root=tmp_path)


def test_pairs_by_the_number_in_the_name(tmp_path: Path) -> None:
    for number in (2, 10, 30):
        makers.save(tmp_path / f"input/{number:03d}_A.png", makers.texture(number))
        makers.save(tmp_path / f"target/{number}_F.png", makers.texture(number))
    data = Folder(tmp_path, path=tmp_path, pair="number")
    assert [data.entry(name).files["target"].name for name in data.ids()] == [
        *("2_F.png", "10_F.png", "30_F.png")
    ]
    (tmp_path / "target/10_F.png").rename(tmp_path / "target/11_F.png")
    with pytest.raises(DataError, match=r"010_A\.png: has no partner"):
        Folder(tmp_path, path=tmp_path, pair="number")


def test_views_alone_are_combined_in_linear_light(tmp_path: Path) -> None:
    """By hand: code values 0 and 1 have the mean light 0.5, whose code value is 0.7354."""
    for role, value in (("left", 0.0), ("right", 1.0)):
        makers.save(tmp_path / role / "s.png", np.full((4, 5, 3), value), 16)
    sample = Folder(tmp_path, path=tmp_path, views=True).load("s")
    np.testing.assert_allclose(sample.image, 0.735357, atol=1e-5)
    assert sample.bit_depth == 16 and sample.views is not None
    np.testing.assert_array_equal(sample.views[1], 1)
    assert sample.target is None


def test_views_beside_input_leave_the_image_as_it_is(tmp_path: Path) -> None:
    makers.folder(tmp_path, roles=("input", "target", "left", "right"))
    usual = Folder(tmp_path, path=tmp_path)
    with_views = Folder(tmp_path, path=tmp_path, views=True)
    np.testing.assert_array_equal(with_views.load("p1").image, usual.load("p1").image)
    assert [with_views.fingerprint(name) for name in usual.ids()] == [
        usual.fingerprint(name) for name in usual.ids()
    ]


def test_views_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    makers.folder(tmp_path)
    with pytest.raises(DataError, match="no folders left/ and right/"):
        Folder(tmp_path, path=tmp_path, views=True)
    makers.folder(tmp_path, roles=("left",))
    with pytest.raises(DataError, match="only one of left/ and right/"):
        Folder(tmp_path, path=tmp_path, views=True)
    makers.folder(tmp_path, roles=("right",))
    (tmp_path / "right/p1.png").unlink()
    with pytest.raises(DataError, match=r"p1\.png: has no partner in .*right"):
        Folder(tmp_path, path=tmp_path, views=True)


def test_views_of_other_sizes_are_refused(tmp_path: Path) -> None:
    makers.folder(tmp_path, roles=("left", "right"))
    makers.save(tmp_path / "right/p1.png", makers.texture(1, (40, 48)))
    with pytest.raises(DataError, match=r"right.p1\.png: is 40x48 px, but .*left.p1\.png is 48x40"):
        Folder(tmp_path, path=tmp_path, views=True)


def nested(root: Path, **options: object) -> Folder:
    return Folder(root, path=root, nested=True, **options)  # type: ignore[arg-type]


def files_of(data: Folder) -> dict[str, dict[str, str]]:
    """Sample id -> role -> file, the data root left out."""
    entries = {name: data.entry(name) for name in data.ids()}
    [root] = {next(iter(entry.files.values())).parents[2] for entry in entries.values()}
    return {
        name: {role: path.relative_to(root).as_posix() for role, path in entry.files.items()}
        for name, entry in entries.items()
    }


def test_sub_folders_are_scenes(tmp_path: Path) -> None:
    data = nested(makers.scenes(tmp_path, roles=("input", "target", "left", "right")))
    assert data.ids() == ("a/p0", "a/p1", "b/p0", "b/p1")
    sample = data.load("b/p1")
    assert (sample.scene, data.load("a/p1").scene) == ("b", "a")
    np.testing.assert_allclose(sample.target, makers.texture(11), atol=0.51 / 255)
    assert sample.views is not None
    assert files_of(data)["a/p1"] == {
        role: f"{folder}/a/p1.png"
        for role, folder in (("image", "input"), *((name, name) for name in ("left", "right")))
    } | {"target": "target/a/p1.png"}


def test_scenes_may_stand_outside_and_below_each_other(tmp_path: Path) -> None:
    for name in ("9", "a/1", "a/deep/1"):
        for role in ("input", "target"):
            makers.save(tmp_path / f"{role}/{name}.png", makers.texture(len(name)))
    data = nested(tmp_path)
    assert {name: data.load(name).scene for name in data.ids()} == {
        "9": "9",
        "a/1": "a",
        "a/deep/1": "a/deep",
    }


def test_each_scene_may_hold_its_own_roles(tmp_path: Path) -> None:
    for scene in ("s2", "s10"):
        makers.folder(tmp_path / scene, count=1)
    data = nested(tmp_path)
    assert data.ids() == ("s2/p0", "s10/p0")
    assert data.load("s10/p0").scene == "s10"
    for role in ("input", "target"):
        makers.save(tmp_path / f"s2/{role}/near/p0.png", makers.texture(3))
    data = nested(tmp_path)
    assert data.ids() == ("s2/p0", "s2/near/p0", "s10/p0"), "no picture is left out"
    assert data.load("s2/near/p0").scene == "s2/near"
    makers.save(tmp_path / "s11/p0.png", makers.texture(0))
    with pytest.raises(DataError, match=r"s11: has pictures, but no folder input as .*s2 has"):
        nested(tmp_path)


def test_scenes_without_targets(tmp_path: Path) -> None:
    makers.scenes(tmp_path, roles=("",))
    data = nested(tmp_path)
    assert data.ids() == ("a/p0", "a/p1", "b/p0", "b/p1") and not data.card.has_target
    (tmp_path / "target").mkdir()
    with pytest.raises(DataError, match="has a folder target, but no folder input"):
        nested(tmp_path)


def test_one_target_stands_for_all_pictures_of_a_scene(tmp_path: Path) -> None:
    makers.scenes(tmp_path, roles=("input",))
    (tmp_path / "input/b").rename(tmp_path / "input/a_2")
    makers.save(tmp_path / "target/a_2.png", makers.texture(2))
    makers.save(tmp_path / "target/a_f22.png", makers.texture(3))
    files = files_of(nested(tmp_path))
    assert {name: roles["target"] for name, roles in files.items()} == {
        "a/p0": "target/a_f22.png",
        "a/p1": "target/a_f22.png",
        "a_2/p0": "target/a_2.png",
        "a_2/p1": "target/a_2.png",
    }
    makers.save(tmp_path / "target/a_f16.png", makers.texture(3))
    with pytest.raises(DataError, match=r"a_f22\.png: stands for the same scene as a_f16\.png"):
        nested(tmp_path)


def test_scenes_without_partner_are_refused(tmp_path: Path) -> None:
    makers.scenes(tmp_path)
    moved = tmp_path / "target/b"
    moved.rename(tmp_path / "target/c")
    with pytest.raises(DataError, match=r"c.p0\.png: belongs to no input"):
        nested(tmp_path)
    shutil.rmtree(tmp_path / "target/c")
    with pytest.raises(DataError, match=r"b.p0\.png: there is no target for scene b"):
        nested(tmp_path)
    makers.scenes(tmp_path)
    (tmp_path / "target/b/p1.png").unlink()
    with pytest.raises(DataError, match=r"b.p1\.png: has no partner in .*target.b"):
        nested(tmp_path)


def test_pictures_that_would_be_left_out_are_named(tmp_path: Path) -> None:
    makers.scenes(tmp_path)
    for name in ("input/a/3.gif", "target/a/3.heic"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"3\.gif: is of a format that is not read, the first of 2 such"
    ):
        nested(tmp_path)


def test_nothing_changes_for_who_does_not_ask(tmp_path: Path) -> None:
    """The label and the fingerprints of stored runs are those from before there were options."""
    makers.folder(tmp_path, roles=("input", "target", "left", "right"))
    text = f"folder:path={tmp_path}"
    usual, resolved = create(DATASETS, text, root=tmp_path)
    asked, explicit = create(
        DATASETS, f"{text},nested=false,views=false,input=input,target=target", root=tmp_path
    )
    assert resolved.label == explicit.label == text
    assert usual.fingerprint("p0") == asked.fingerprint("p0")
    roles = {"image": "input", "target": "target", "left": "left", "right": "right"}
    content = {
        "version": "1",
        "parameters": {},
        "meta": {},
        "files": {
            role: hashlib.sha256((tmp_path / name / "p0.png").read_bytes()).hexdigest()
            for role, name in roles.items()
        },
    }
    expected = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert usual.fingerprint("p0") == expected


# Data sets without adapter, in the layout of their authors: the commands of docs/guide/datasets.md
# --------------------------------------------------------------------------------------------------


def test_real_mff(tmp_path: Path) -> None:
    path = makers.real_mff(tmp_path)
    text = f"folder:path={path},input=imageB,target=Fusion,pair=number"
    data, _ = create(DATASETS, text, root=tmp_path)
    assert list(data.ids()) == [f"{number:03d}_B" for number in range(1, 12)]
    assert {role: path.name for role, path in data.entry("010_B").files.items()} == {
        "image": "010_B.png",
        "target": "010_F.png",
    }


def test_real_bokeh(tmp_path: Path) -> None:
    path = makers.real_bokeh(tmp_path)
    text = f"folder:path={path},input=gt,target=in,nested=true"
    data, _ = create(DATASETS, text, root=tmp_path)
    assert data.ids() == (
        *("10/10_f2.0", "1000/1000_f2.0", "1000/1000_f3.2", "1000/1000_f16"),
        *("1001/1001_f2.0", "1001/1001_f20.0"),
    )
    assert [data.load(name).scene for name in data.ids()] == ["10"] + ["1000"] * 3 + ["1001"] * 2
    assert data.entry("1000/1000_f16").files["target"].name == "1000_f22.JPG"


def test_a_link_to_very_many_files_is_not_followed_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers.folder(tmp_path)
    for number in range(5):
        makers.save(tmp_path / f"elsewhere/{number}/a.png", makers.texture(0))
    (tmp_path / "input/more").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(left_out, "_MOST_NAMES_READ", 5)
    lines = Folder(tmp_path, path=tmp_path / "input").remarks
    assert any("more (3 pictures or more)" in line for line in lines)
