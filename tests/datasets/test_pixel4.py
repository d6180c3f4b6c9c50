"""Pixel 4: black level, scale, tone, registration and gain, against scenes whose displacement is
known.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from benchmark.api import DataError
from benchmark.datasets.pixel4 import Pixel4
from tests.datasets import makers


def srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, written out again."""
    return np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    )


def stored(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64) / 65535


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.mark.parametrize("displacement", [(0.0, 0.0), (0.7, -1.6), (-2.3, 3.4)])
def test_a_known_displacement_and_gain_are_undone(
    tmp_path: Path, displacement: tuple[float, float]
) -> None:
    """In linear light, the result is the target blurred as it was made, wherever it lay in the
    file.
    """
    data = Pixel4(makers.pixel4(tmp_path, displacement=displacement, gain=1.12), tone="linear")
    sample = data.load("001")
    meta = sample.meta
    dy, dx = displacement
    centre = dx + 0.05  # of the mean of two views 1 px apart, one of them the brighter by 0.2 / 2
    assert (meta["shift_y_px"], meta["shift_x_px"]) == pytest.approx((-dy, -centre), abs=0.1)
    assert meta["gain"] == pytest.approx(1.12, rel=0.01)
    assert meta["shift_spread_px"] < 0.1
    expected = ndimage.gaussian_filter(sample.target[..., 0].astype(np.float64), 2, mode="reflect")
    inside = np.s_[10:-10, 10:-10]
    assert psnr(sample.image[..., 0][inside], expected[inside]) > 45
    unmoved = stored(tmp_path / "pixel4/001_left.png")[54:-54, 72:-72]
    if displacement != (0.0, 0.0):
        assert psnr((unmoved - 1024 / 65535) * 4 * 1.12, expected) < 40


def test_the_target_is_the_file_bit_for_bit(tmp_path: Path) -> None:
    makers.pixel4(tmp_path, displacement=(0.5, 0.5), gain=1.1)
    published = stored(tmp_path / "pixel4/gt_all_in_focus_im/001_gt.png")
    linear, encoded = (Pixel4(tmp_path, tone=tone).load("001") for tone in ("linear", "srgb"))
    np.testing.assert_array_equal(
        np.rint(linear.target[..., 0].astype(np.float64) * 65535), published * 65535
    )
    np.testing.assert_allclose(encoded.target[..., 0], srgb(published), atol=1e-6)


def test_green_is_repeated_and_the_picture_is_the_mean_of_its_views(tmp_path: Path) -> None:
    data = Pixel4(makers.pixel4(tmp_path), tone="linear")
    sample = data.load("001")
    left, right = sample.views
    np.testing.assert_allclose(sample.image, (left + right) / 2, atol=1e-6)
    assert left.mean() / right.mean() == pytest.approx(
        1.1 / 0.9, rel=0.01
    )  # vignetting is left alone
    for picture in (sample.image, left, right, sample.target):
        assert (picture == picture[..., :1]).all()
    assert (sample.bit_depth, sample.image.shape) == (16, (216, 288, 3))


def test_the_views_keep_their_disparity(tmp_path: Path) -> None:
    """They are moved together; the makers put them one pixel apart."""
    sample = Pixel4(makers.pixel4(tmp_path, displacement=(0.0, 1.0)), tone="linear").load("001")
    inside = np.s_[8:-8, 8:-8, 0]
    left, right = sample.views
    apart = {
        step: psnr(np.roll(right, step, axis=1)[inside] * 1.1 / 0.9, left[inside])
        for step in (-1, 0, 1, 2)
    }
    assert max(apart, key=apart.__getitem__) == 1


def test_tone_is_applied_to_everything_and_fingerprinted(tmp_path: Path) -> None:
    makers.pixel4(tmp_path, displacement=(0.3, -0.4))
    linear, encoded = (Pixel4(tmp_path, tone=tone) for tone in ("linear", "srgb"))
    a, b = linear.load("001"), encoded.load("001")
    np.testing.assert_allclose(b.image, srgb(a.image.astype(np.float64)), atol=1e-5)
    np.testing.assert_allclose(b.views[0], srgb(a.views[0].astype(np.float64)), atol=1e-5)
    assert a.meta == b.meta
    assert linear.fingerprint("001") != encoded.fingerprint("001")


def paint(path: Path, value: int) -> None:
    """Give a square one sensor value; inside the target it lies at rows and columns 46-86 and
    28-68.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    picture[100:140, 100:140] = value
    assert cv2.imwrite(str(path), picture)


def test_values_below_black_are_black_in_each_view(tmp_path: Path) -> None:
    paint(makers.pixel4(tmp_path) / "pixel4/001_left.png", 0)
    sample = Pixel4(tmp_path, tone="linear").load("001")
    square = np.s_[58:74, 40:56]
    assert sample.views[0][square].max() < 1e-3
    np.testing.assert_allclose(sample.image[square], sample.views[1][square] / 2, atol=1e-3)


def test_light_beyond_the_scale_is_white(tmp_path: Path) -> None:
    base = makers.pixel4(tmp_path) / "pixel4"
    for side in ("left", "right"):
        paint(base / f"001_{side}.png", 65535)
    picture = Pixel4(tmp_path, tone="linear").load("001").views[0]
    assert picture[58:74, 40:56].min() == picture.max() == 1


def test_loading_twice_gives_the_same_bits(tmp_path: Path) -> None:
    data = Pixel4(makers.pixel4(tmp_path, displacement=(0.3, -0.4)))
    np.testing.assert_array_equal(data.load("001").image, data.load("001").image)


def test_another_scene_as_target_is_noticed(tmp_path: Path) -> None:
    base = makers.pixel4(tmp_path) / "pixel4"
    flat = np.full((216, 288), 0.4)
    makers.save(base / "gt_all_in_focus_im/001_gt.png", flat, 16)
    with pytest.raises(
        DataError, match=r"001_left\.png.*without texture.*001_gt\.png the same scene"
    ):
        Pixel4(tmp_path).load("001")
    makers.save(base / "gt_all_in_focus_im/001_gt.png", np.zeros((216, 288)), 16)
    with pytest.raises(DataError, match="001_gt"):
        Pixel4(tmp_path).load("001")


def test_a_displacement_beyond_reason_is_refused(tmp_path: Path) -> None:
    data = Pixel4(makers.pixel4(tmp_path, displacement=(0.0, 11.0)))
    with pytest.raises(DataError, match=r"seems displaced by \(-1\d\.\d, .*more than 8"):
        data.load("001")


@pytest.mark.parametrize("target", [(286, 216), (288, 214), (432, 324)])
def test_a_target_that_is_not_the_centre_is_refused(
    tmp_path: Path, target: tuple[int, int]
) -> None:
    base = makers.pixel4(tmp_path) / "pixel4"
    makers.save(base / "gt_all_in_focus_im/001_gt.png", makers.texture(0, target)[..., 0], 16)
    with pytest.raises(
        DataError,
        match=rf"001_gt\.png: is {target[0]}x{target[1]} px, which is not the central two",
    ):
        Pixel4(tmp_path)


@pytest.mark.parametrize(
    "place", ["DP_data_pixel_4", "dual_pixel_defocus_estimation_deblurring/DP_data_pixel_4"]
)
def test_the_authors_folder_names(tmp_path: Path, place: str) -> None:
    made = makers.pixel4(tmp_path / "made", scenes=2) / "pixel4"
    (tmp_path / place).parent.mkdir(exist_ok=True, parents=True)
    made.rename(tmp_path / place)
    assert Pixel4(tmp_path).ids() == ("001", "002")


def test_a_missing_view_is_named(tmp_path: Path) -> None:
    base = makers.pixel4(tmp_path, scenes=2) / "pixel4"
    (base / "002_right.png").unlink()
    with pytest.raises(DataError, match=r"002_left\.png: has no partner"):
        Pixel4(tmp_path)


def kernels(root: Path, side: str, stored: object) -> Path:
    path = root / "pixel4/calibration" / f"blur_kernels_{side}.npy"
    path.parent.mkdir(exist_ok=True)
    np.save(path, stored)
    return path


def test_measured_psfs_have_sum_one_and_combine(tmp_path: Path) -> None:
    makers.pixel4(tmp_path)
    left, right = np.random.default_rng(0).uniform(0, 1, (2, 4, 7, 5)).astype(np.float32)
    kernels(tmp_path, "left", left)
    kernels(tmp_path, "right", right * 3)
    found = Pixel4(tmp_path).psfs()
    assert list(found) == ["left", "right", "combined"]
    for name, kernel in (("left", left[2]), ("right", right[2])):
        exact = kernel.astype(np.float64)
        np.testing.assert_allclose(found[name][2], exact / exact.sum(), rtol=1e-6)
    np.testing.assert_allclose(found["combined"] * 2, found["left"] + found["right"])
    np.testing.assert_allclose(found["combined"].sum(axis=(1, 2)), 1)


def test_a_copy_without_calibration_has_no_psfs(tmp_path: Path) -> None:
    assert Pixel4(makers.pixel4(tmp_path)).psfs() == {}
    (tmp_path / "pixel4/calibration").mkdir()
    assert Pixel4(tmp_path).psfs() == {}


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (np.ones((2, 6, 5)), "odd height and width"),
        (np.ones((5, 5)), "N x h x w"),
        (np.ones((0, 5, 5)), "N x h x w"),
        (np.ones((2, 5, 5), int), "floating point"),
        (np.zeros((2, 5, 5)), "no light"),
        (np.full((2, 5, 5), np.nan), "not finite"),
        (np.array([{}]), "cannot be read"),
        (np.ones((3, 5, 5)), "of shape"),
    ],
)
def test_damaged_psfs_are_named(tmp_path: Path, stored: np.ndarray, what: str) -> None:
    makers.pixel4(tmp_path)
    kernels(tmp_path, "left", np.ones((2, 5, 5)))
    kernels(tmp_path, "right", stored)
    with pytest.raises(DataError, match=rf"blur_kernels_right\.npy.*{what}"):
        Pixel4(tmp_path).psfs()


def test_half_of_the_calibration_is_not_enough(tmp_path: Path) -> None:
    makers.pixel4(tmp_path)
    kernels(tmp_path, "left", np.ones((2, 5, 5)))
    with pytest.raises(DataError, match=r"blur_kernels_right\.npy: cannot be read"):
        Pixel4(tmp_path).psfs()


@pytest.mark.data
def test_the_published_psfs(data_root: Path) -> None:
    """48 places each; the left half of the lens sends its light to the other side of the centre
    than the right one.
    """
    found = Pixel4(data_root).psfs()
    centroid = {
        name: float((psfs.sum(axis=1) @ np.arange(-30, 31)).mean()) for name, psfs in found.items()
    }
    assert {psfs.shape for psfs in found.values()} == {(48, 61, 61)}
    assert centroid["left"] < -2
    assert centroid["right"] > 0


@pytest.mark.slow
@pytest.mark.data
def test_the_published_scenes_register(data_root: Path) -> None:
    """Displacements lie where an independent measurement found them: 1 to 2 px across, up to 1.3 px
    down or up.
    """
    data = Pixel4(data_root)
    for sample_id in data.ids()[4:6]:
        sample = data.load(sample_id)
        assert sample.image.shape == (1008, 1344, 3)
        assert 1 <= abs(sample.meta["shift_x_px"]) <= 2.2
        assert abs(sample.meta["shift_y_px"]) <= 1.3
        assert 1 < sample.meta["gain"] < 1.2
        assert 23 < psnr(sample.image, sample.target) < 30
