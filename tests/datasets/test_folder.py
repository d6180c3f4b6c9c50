"""Any pictures on disk."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.api import DataError, UsageError
from benchmark.datasets.folder import Folder
from benchmark.registry import DATASETS, create
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
