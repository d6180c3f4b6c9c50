"""RTF: every layout, the shipped noise, and radius maps turned into sigma."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from benchmark.api import DataError, UsageError
from benchmark.datasets.rtf import SIGMA_OF_RADIUS, Rtf, sigma_of_radius
from benchmark.registry import DATASETS, create
from tests.datasets import makers

IDS = [f"{number:02d}" for number in range(1, 23)]


def stored(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1].astype(np.float64) / 255


@pytest.mark.parametrize("place", ["RTF", "RTFDataset", "test/RTF", "rtf"])
@pytest.mark.parametrize("layout", makers.RTF_LAYOUTS)
def test_22_pairs_in_every_layout(tmp_path: Path, layout: str, place: str) -> None:
    makers.rtf(tmp_path / "made", layout)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / "made" / "RTF").rename(tmp_path / place)
    data = Rtf(tmp_path)
    assert list(data.ids()) == IDS
    assert "22 of 22 samples found" in data.card.notes
    sample = data.load("05")
    files = data.entry("05").files
    assert (files["image"].name, sample.bit_depth, sample.scene) == ("image_05.png", 8, "05")
    np.testing.assert_allclose(sample.image, stored(files["image"]), atol=1e-7)
    assert data.card.has_target == (layout != "flat")
    if layout == "flat":
        assert sample.target is None
    else:
        assert files["image"].parent.name == "0"
        assert files["target"].name == "sharp_05.png"
        np.testing.assert_allclose(sample.target, stored(files["target"]), atol=1e-7)


@pytest.mark.parametrize("layout", makers.RTF_LAYOUTS)
def test_radius_maps_become_sigma(tmp_path: Path, layout: str) -> None:
    data = Rtf(makers.rtf(tmp_path, layout, maps=True, count=22))
    for sample_id in data.ids():
        radius = 0.25 * (2 + int(sample_id) % 23)
        np.testing.assert_allclose(
            data.load(sample_id).blur_map, dict(SIGMA_OF_RADIUS)[radius], rtol=1e-6
        )


def test_no_blur_map_without_maps(tmp_path: Path) -> None:
    assert Rtf(makers.rtf(tmp_path, count=2)).load("01").blur_map is None


@given(st.lists(st.floats(0, 20), min_size=1))
def test_the_nearest_radius_of_the_table_is_looked_up(values: list[float]) -> None:
    """Against the plain arg min of the published evaluation script, first minimum included."""
    radii, sigmas = np.array(SIGMA_OF_RADIUS).T
    expected = [sigmas[np.argmin(np.abs(radii - value))] for value in values]
    found = sigma_of_radius(np.array(values))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_table_is_not_half_the_radius() -> None:
    radii, sigmas = np.array(SIGMA_OF_RADIUS).T
    assert (np.diff(radii) == 0.25).all()
    assert (np.diff(sigmas) > 0).all()
    assert 0.5 < (sigmas / radii).min() < (sigmas / radii).max() < 0.7
    assert sigma_of_radius(np.array([2.0])) == np.float32(1.125)


def test_shipped_noise(tmp_path: Path) -> None:
    makers.rtf(tmp_path, count=3)
    both = Rtf(tmp_path, noise="files")
    assert list(both.ids()) == ["01@1", "02@1", "03@1", "01@1.6", "02@1.6", "03@1.6"]
    one = Rtf(tmp_path, noise="1.6")
    assert list(one.ids()) == ["01@1.6", "02@1.6", "03@1.6"]
    for data in (both, one):
        sample = data.load("02@1.6")
        assert (sample.scene, sample.meta["noise_folder"]) == ("02", "1.6")
        np.testing.assert_allclose(
            sample.image, stored(tmp_path / "RTF/image/1.6/image_02.png"), atol=1e-7
        )
        np.testing.assert_array_equal(sample.target, Rtf(tmp_path).load("02").target)
    assert create(DATASETS, "rtf:noise=files", root=tmp_path)[0].ids() == both.ids()
    with pytest.raises(UsageError, match="noise"):
        create(DATASETS, "rtf:noise=2", root=tmp_path)


@pytest.mark.parametrize("noise", ["files", "1"])
def test_noise_that_was_not_shipped_is_refused(tmp_path: Path, noise: str) -> None:
    makers.rtf(tmp_path, "flat", count=2)
    with pytest.raises(DataError, match=rf"no pictures for noise={noise}; its versions: 0"):
        Rtf(tmp_path, noise=noise)


def test_pictures_directly_in_the_image_folder(tmp_path: Path) -> None:
    makers.rtf(tmp_path, count=2)
    for path in (tmp_path / "RTF/image/0").iterdir():
        path.rename(tmp_path / "RTF/image" / path.name)
    (tmp_path / "RTF/image/0").rmdir()
    for version in ("1", "1.6"):
        for path in (tmp_path / "RTF/image" / version).iterdir():
            path.unlink()
    assert Rtf(tmp_path).ids() == ("01", "02")


def test_pictures_without_any_truth_are_refused(tmp_path: Path) -> None:
    makers.rtf(tmp_path, "flat", count=2)
    for path in (tmp_path / "RTF").glob("*.mat"):
        path.unlink()
    with pytest.raises(DataError, match="neither all-in-focus pictures nor maps"):
        Rtf(tmp_path)


def test_an_unpaired_map_is_named(tmp_path: Path) -> None:
    makers.rtf(tmp_path, "flat", count=3)
    (tmp_path / "RTF/image_02.png").unlink()
    with pytest.raises(DataError, match=r"map_02\.mat: has no partner"):
        Rtf(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": np.ones((40, 48))}, "cannot be read"),
        ({"blurMap": np.full((40, 48), np.nan)}, "not all radii"),
        ({"blurMap": np.full((40, 48), -1.0)}, "not all radii"),
        ({"blurMap": np.ones((40, 48, 2))}, "not all radii"),
        ({"blurMap": np.ones((48, 40))}, "is 40x48 px, but .*image_01.png is 48x40"),
    ],
)
def test_maps_that_are_no_radius_maps_are_refused(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    makers.rtf(tmp_path, "flat", count=1)
    savemat(tmp_path / "RTF/map_01.mat", content)
    with pytest.raises(DataError, match=rf"map_01\.mat.*{message}"):
        Rtf(tmp_path).load("01")


@pytest.mark.data
def test_the_two_published_pictures(data_root: Path) -> None:
    data = Rtf(data_root)
    assert set(data.ids()) >= {"01", "05"}
    sample = data.load("05")
    assert sample.image.shape == (360, 360, 3)
    assert sample.blur_map.min() == np.float32(0.3)
    assert sample.blur_map.max() == np.float32(1.525)  # radius 2.75
