"""The lens of `eval-lens` against the ray-traced PSFs it is made from; its curve and its noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data

from benchmark.datasets import eval_lens
from benchmark.datasets.eval_lens import PSF_FILE, apply_bt709, load_lens, undo_bt709
from benchmark.datasets.eval_pinholes import PinholeLens

NODES = 9
MIDDLE = NODES // 2
DIAGONAL = np.sqrt(2) / 2


def psf(field: int) -> NDArray[np.float64]:
    with np.load(PSF_FILE) as file:
        values = file[f"pentax-q-{field + 1}"].astype(np.float64)
    return values / values.sum()


def moments(
    places: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of weighted places (N x 2)."""
    mean = weights @ places / weights.sum()
    off = places - mean
    return mean, (off * weights[:, None]).T @ off / weights.sum()


def node_moments(row: int, column: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lens = load_lens()
    return moments(lens.positions, lens.shares[:, row, column].astype(np.float64))


def psf_moments(field: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return moments of a PSF, columns and rows, within the reach of the pinholes."""
    values = psf(field)
    rows, columns = np.mgrid[:128, :128].astype(np.float64)
    centre = ndimage.center_of_mass(values)
    inside = np.hypot(rows - centre[0], columns - centre[1]) <= 28
    places = np.stack([columns[inside], rows[inside]], axis=1)
    return moments(places, values[inside])


def test_the_psfs_are_those_of_the_evaluation_lens() -> None:
    assert len(eval_lens._ARRAYS) == len(eval_lens._IMAGE_HEIGHTS) == 3
    notice = PSF_FILE.with_name("LICENSE.md").read_text()
    line = next(line for line in notice.splitlines() if "pentax-q-1" in line)
    assert "US 2015/0241657" in line and "0, 3.29 and 4.70 mm" in line
    for field in range(3):
        mirrored = psf(field)[:, :0:-1]  # about column 64
        np.testing.assert_allclose(mirrored, psf(field)[:, 1:], atol=1e-6)


def test_shares_add_up_to_one_everywhere_and_the_middle_spreads_by_one_pixel() -> None:
    lens = load_lens()
    np.testing.assert_allclose(lens.shares.sum(axis=0), 1, atol=1e-5)
    assert lens.shares.min() >= 0
    assert lens.spread(101)[50, 50] == pytest.approx(1, abs=1e-4)


def test_the_middle_and_the_corners_have_the_moments_of_their_psfs() -> None:
    unit = np.sqrt(np.trace(psf_moments(0)[1]) / 2)
    for row, column, field in ((MIDDLE, MIDDLE, 0), (NODES - 1, NODES - 1, 2), (0, 0, 2)):
        mean, covariance = node_moments(row, column)
        np.testing.assert_allclose(mean, 0, atol=0.03)
        sizes = np.sort(np.linalg.eigvalsh(covariance))
        expected = np.sort(np.diag(psf_moments(field)[1])) / unit**2
        # A pinhole stands for 3 x 3 samples, whose own variance is 8 / 12 per axis.
        np.testing.assert_allclose(sizes, expected, rtol=0.05, atol=1 / unit**2)


def test_the_psf_leads_outwards_in_every_direction() -> None:
    """Off the middle a PSF is wide across and narrow along the way outwards, and skew along it."""
    for row, column in ((0, 0), (0, NODES - 1), (NODES - 1, 0), (NODES - 1, MIDDLE), (MIDDLE, 0)):
        outwards = np.array([column - MIDDLE, row - MIDDLE]) / np.hypot(
            column - MIDDLE, row - MIDDLE
        )
        sideways = np.array([-outwards[1], outwards[0]])
        lens = load_lens()
        shares = lens.shares[:, row, column].astype(np.float64)
        along, across = lens.positions @ outwards, lens.positions @ sideways
        assert shares @ across**2 > 1.3 * (shares @ along**2)
        assert abs(shares @ across**3) < 0.02
        skewness = psf_third_moment(2 if row != MIDDLE and column != MIDDLE else 1)
        assert np.sign(shares @ along**3) == np.sign(skewness)


def psf_third_moment(field: int) -> float:
    values = psf(field)
    outwards = ndimage.center_of_mass(values)[0] - np.arange(128)  # up
    inside = np.abs(outwards) <= 28
    return float((values.sum(axis=1) * outwards**3)[inside].sum())


def test_a_point_in_a_corner_has_the_shape_of_the_outermost_psf() -> None:
    """The pinholes drawn as an image, turned back, against the PSF itself."""
    lens: PinholeLens = load_lens()
    shares = lens.shares[:, NODES - 1, NODES - 1].astype(np.float64)
    outwards = np.array([DIAGONAL, DIAGONAL])
    unit = 3 / np.diff(np.unique(np.round(lens.positions[:, 0], 6)))[0]  # samples
    rows = -(lens.positions @ outwards) * unit
    columns = lens.positions @ np.array([-outwards[1], outwards[0]]) * unit
    centre = ndimage.center_of_mass(psf(2))
    smooth = ndimage.uniform_filter(psf(2), 3)
    read = ndimage.map_coordinates(smooth, [rows + centre[0], columns + centre[1]], order=1)
    assert np.corrcoef(read, shares)[0, 1] > 0.999
    total = psf(2).sum()
    assert 9 * read.sum() / total == pytest.approx(1, abs=0.03), "the pinholes catch its light"


def test_the_curve_is_that_of_bt_709() -> None:
    """Values of the recommendation's table of equations, and continuity where its parts meet."""
    light = np.array([0, 0.01, 0.018, 0.18, 0.5, 1], np.float32)
    expected = [0, 0.045, 0.081, 1.099 * 0.18**0.45 - 0.099, 1.099 * 0.5**0.45 - 0.099, 1]
    np.testing.assert_allclose(apply_bt709(light), expected, atol=3e-4)
    codes = np.linspace(0, 1, 256, dtype=np.float32)
    np.testing.assert_allclose(apply_bt709(undo_bt709(codes)), codes, atol=3e-4)
    assert apply_bt709(np.array([-1.0, 2.0], np.float32)).tolist() == [0, 1]


@pytest.mark.parametrize("light", [0.0, 0.2, 0.9])
def test_noise_has_the_variance_of_photons_and_reading(light: float) -> None:
    noisy = eval_lens.add_channel_noise(
        np.full((300, 300, 3), light, np.float32), np.random.default_rng(0)
    )
    well = eval_lens._FULL_WELL
    variance = light / well + (eval_lens._READ_NOISE / well) ** 2
    assert noisy.var() == pytest.approx(variance, rel=0.02)
    assert noisy.mean() == pytest.approx(light, abs=5 * np.sqrt(variance / 270000))
    between_channels = np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]
    assert abs(between_channels) < 0.02


def test_one_object_is_in_focus_and_the_nearest_comes_last() -> None:
    light = undo_bt709(data.astronaut()[:256, 100:356].astype(np.float32) / np.float32(255))
    for seed in range(8):
        random = np.random.default_rng(seed)
        background, *objects = eval_lens.invent_still_life(light, 128, random)
        sigmas = [thing.sigma for thing in objects]
        assert 0 in sigmas and sigmas == sorted(sigmas, reverse=True)
        assert max(sigmas) <= background.sigma <= 2.6 and min(sigmas) >= -2.6
        assert background.endless
