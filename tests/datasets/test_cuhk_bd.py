"""CUHK-BD: masks and their polarity, RGBA masks, the motion half left out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

import benchmark
from benchmark.api import DataError
from benchmark.datasets.cuhk_bd import CuhkBd
from tests.datasets import makers


def test_the_original_layout_without_its_motion_half(tmp_path: Path) -> None:
    data = CuhkBd(makers.cuhk_bd(tmp_path, count=3))
    assert data.ids() == ("out_of_focus0001", "out_of_focus0002", "out_of_focus0003")
    assert "3 of 704" in data.card.notes
    assert [line for line in data.remarks if "motion" not in line] == []
    assert any("no part of the data set: " in line for line in data.remarks)
    sample = data.load("out_of_focus0002")
    assert (sample.bit_depth, sample.target, data.card.has_target) == (8, None, False)
    np.testing.assert_array_equal(sample.mask, np.arange(48) < np.full((40, 1), 6))
    picture = cv2.imread(str(tmp_path / "CUHK-BD/image/out_of_focus0002.jpg"))[..., ::-1]
    np.testing.assert_allclose(sample.image, picture / 255, atol=1e-7)


def test_the_other_polarity(tmp_path: Path) -> None:
    makers.cuhk_bd(tmp_path)
    white, black = CuhkBd(tmp_path), CuhkBd(tmp_path, white="sharp")
    first = white.ids()[0]
    np.testing.assert_array_equal(white.load(first).mask, ~black.load(first).mask)
    assert white.fingerprint(first) != black.fingerprint(first)


@pytest.mark.parametrize("alpha", [0, 255])
def test_masks_with_alpha_are_read_by_their_colour(tmp_path: Path, alpha: int) -> None:
    data = CuhkBd(makers.cuhk_bd(tmp_path))
    path = data.entry("out_of_focus0001").files["mask"]
    before, grey = data.load("out_of_focus0001").mask, cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(path), np.dstack([grey, grey, grey, np.full_like(grey, alpha)]))
    np.testing.assert_array_equal(CuhkBd(tmp_path).load("out_of_focus0001").mask, before)


def test_grey_mask_levels_are_cut_at_one_half(tmp_path: Path) -> None:
    data = CuhkBd(makers.cuhk_bd(tmp_path, count=1))
    ramp = np.tile(np.arange(48) / 47, (40, 1))
    makers.save(data.entry("out_of_focus0001").files["mask"], ramp)
    np.testing.assert_array_equal(data.load("out_of_focus0001").mask, ramp > 0.5)


@pytest.mark.parametrize("place", ["CUHK", "BlurDetection", "test/CUHK", "cuhk-bd"])
def test_other_folder_names(tmp_path: Path, place: str) -> None:
    made = makers.cuhk_bd(tmp_path / "made") / "CUHK-BD"
    (tmp_path / place).parent.mkdir(exist_ok=True)
    made.rename(tmp_path / place)
    assert len(CuhkBd(tmp_path).ids()) == 3


@pytest.mark.parametrize("layout", ["flat", "original"])
def test_without_masks(tmp_path: Path, layout: str) -> None:
    data = CuhkBd(makers.cuhk_bd(tmp_path, layout, masks=False))
    assert len(data.ids()) == 3
    assert data.load(data.ids()[0]).mask is None


def test_renamed_pictures_are_all_taken(tmp_path: Path) -> None:
    makers.save(tmp_path / "CUHK/0027.jpg", makers.texture(0))
    assert CuhkBd(tmp_path).ids() == ("0027",)


def test_an_unpaired_mask_or_picture_is_named(tmp_path: Path) -> None:
    base = makers.cuhk_bd(tmp_path) / "CUHK-BD"
    (base / "gt/out_of_focus0002.png").rename(base / "gt/out_of_focus0009.png")
    with pytest.raises(DataError, match=r"out_of_focus0002\.jpg: has no partner in .*gt"):
        CuhkBd(tmp_path)


@pytest.mark.data
def test_the_published_masks_mark_the_blurred_part_in_white(data_root: Path) -> None:
    """The black part has the stronger Laplacian, up to a few pictures whose sharp part is
    smooth.
    """
    data = CuhkBd(data_root)
    sharper = []
    for sample_id in data.ids():
        sample = data.load(sample_id)
        laplacian = np.abs(
            cv2.Laplacian(cv2.GaussianBlur(sample.image.mean(axis=2), (0, 0), 1), cv2.CV_32F)
        )
        sharper.append(laplacian[~sample.mask].mean() > laplacian[sample.mask].mean())
    assert np.mean(sharper) > 0.9


def test_a_run_measures_what_is_kept_where_the_mask_is_in_focus(tmp_path: Path) -> None:
    data = CuhkBd(makers.cuhk_bd(tmp_path, size=(80, 72)))
    results = benchmark.run(
        "unsharp", "cuhk_bd", protocol="harm", root=tmp_path, out=tmp_path / "run", jobs=1
    )
    scores = results.scores().set_index(["measure", "sample"])["value"]
    method = benchmark.load_method("unsharp")
    for sample in map(data.load, data.ids()):
        in_focus = ~sample.mask
        output = method.restore(sample.image).clip(0, 1).astype(np.float64)
        expected = peak_signal_noise_ratio(
            sample.image[in_focus].astype(np.float64), output[in_focus], data_range=1.0
        )
        assert scores["keep", sample.id] == pytest.approx(expected, abs=1e-4)
        assert scores["light", sample.id] == pytest.approx(1, abs=0.05)
    assert scores.notna().all()
