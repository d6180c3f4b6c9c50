"""The sensor's steps against closed forms, other libraries and their own inverses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.color import rgb2xyz

from benchmark.optics import sensor

GAINS = (2.1, 1.6)


def random_light(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def test_a_stop_is_a_factor_of_two():
    x = random_light(4, 5)
    np.testing.assert_array_equal(sensor.expose(x, 1), 2 * x)
    np.testing.assert_allclose(sensor.expose(sensor.expose(x, 0.7), -0.7), x, rtol=1e-6)


# Highlights
# --------------------------------------------------------------------------------------------------


def test_shoulder_is_its_formula():
    x = np.linspace(0, 3, 301)
    expected = np.where(x < 0.8, x, 0.8 + 0.2 * (1 - np.exp(-(x - 0.8) / 0.2)))
    np.testing.assert_allclose(sensor.saturate_highlights(np.float32(x), 3), expected, atol=1e-6)


def test_highlights_are_brightened_up_to_the_brightest():
    x = np.linspace(0, 1.5, 200, dtype=np.float32)
    recorded = sensor.saturate_highlights(x, 4.0)
    # A shoulder is flat: one digit of its values is many of the light.
    np.testing.assert_allclose(sensor.brighten_highlights(recorded, 4.0), x, rtol=1e-5)
    white = sensor.brighten_highlights(np.float32([0.5, 1.0, 1.2]), 4.0)
    np.testing.assert_array_equal(white, np.float32([0.5, 4, 4]))
    assert (sensor.brighten_highlights(np.linspace(0, 1, 999, dtype=np.float32), 4.0) >= 0).all()


# Colour
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sensor.COLOUR_MATRICES)
def test_camera_colours_are_those_of_the_published_matrix(name):
    x = random_light(6, 7)
    xyz = rgb2xyz(np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055))
    raw = xyz @ np.array(sensor._XYZ_TO_CAMERA[name]).T
    white = rgb2xyz(np.ones((1, 3))) @ np.array(sensor._XYZ_TO_CAMERA[name]).T
    # scikit-image rounds its matrix to six digits.
    np.testing.assert_allclose(sensor.to_camera_colours(x, name), raw / white, atol=2e-4)


@pytest.mark.parametrize("name", sensor.COLOUR_MATRICES)
def test_camera_colours_come_back_and_grey_stays_grey(name):
    x = random_light(6, 7)
    there = sensor.to_camera_colours(x, name)
    np.testing.assert_allclose(sensor.from_camera_colours(there, name), x, atol=1e-6)
    grey = np.full((2, 2, 3), 0.3, np.float32)
    np.testing.assert_allclose(sensor.to_camera_colours(grey, name), grey, atol=1e-7)


def test_white_balance_comes_back():
    x = random_light(3, 4)
    raw = sensor.undo_white_balance(x, GAINS)
    np.testing.assert_allclose(raw[..., 0] * 2.1, x[..., 0], rtol=1e-6)
    np.testing.assert_array_equal(raw[..., 1], x[..., 1])
    np.testing.assert_allclose(raw[..., 2] * 1.6, x[..., 2], rtol=1e-6)
    np.testing.assert_allclose(sensor.apply_white_balance(raw, GAINS), x, rtol=1e-6)


def test_an_unknown_matrix_is_refused():
    with pytest.raises(ValueError, match="a, b, c, d"):
        sensor.srgb_to_camera("z")


# Noise
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("iso", [100, 3200])
def test_noise_has_the_mean_and_variance_of_the_model(level, iso):
    count = 200_000
    x = np.full(count, level, np.float32)
    noisy = sensor.add_sensor_noise(x, sensor.SMALL_SENSOR, iso, np.random.default_rng(1))
    white = 6000 * 100 / iso
    variance = level / white + (2.5 / white) ** 2
    np.testing.assert_allclose(sensor.noise_variance(x[:1], sensor.SMALL_SENSOR, iso), variance)
    assert abs(noisy.mean() - level) < 4 * np.sqrt(variance / count)
    # of a variance, whose own spread is that of a normal law, or wider by the Poisson's kurtosis
    spread = np.sqrt((2 + 1 / max(level * white, 1)) / count)
    np.testing.assert_allclose(noisy.var(), variance, rtol=4 * spread)
    assert noisy.dtype == np.float32


def test_photons_follow_poissons_law():
    quiet = sensor.Sensor(full_well=400, read_noise=1e-3)
    x = np.full(50_000, 0.01, np.float32)
    electrons = np.rint(400 * sensor.add_sensor_noise(x, quiet, 100, np.random.default_rng(2)))
    counts = np.bincount(electrons.astype(int), minlength=13)[:13]
    expected = 50_000 * stats.poisson.pmf(np.arange(13), 4)
    assert ((counts - expected) ** 2 / expected).sum() < stats.chi2.ppf(0.9999, 12)


def test_noise_is_that_of_its_generator_and_takes_no_photons_from_darkness():
    x = np.full((40, 30, 3), -0.2, np.float32)
    first, second = (
        sensor.add_sensor_noise(x, sensor.LARGE_SENSOR, 100, np.random.default_rng(3))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert abs(first.mean()) < 1e-5


# Mosaic
# --------------------------------------------------------------------------------------------------


def test_low_pass_is_a_gaussian_that_keeps_the_light():
    x = random_light(30, 28)
    expected = ndimage.gaussian_filter(
        x.astype(np.float64), (0.6, 0.6, 0), mode="reflect", radius=(3, 3, 0)
    )
    np.testing.assert_allclose(sensor.low_pass(x, 0.6), expected, atol=1e-5)
    np.testing.assert_allclose(sensor.low_pass(x, 0.6).mean(), x.mean(), rtol=1e-5)


@pytest.mark.parametrize("method", ["bilinear", "edge-aware"])
@pytest.mark.parametrize("shape", [(16, 16), (9, 12), (13, 7)])
def test_one_colour_comes_back_up_to_the_border(method, shape):
    """A wrong name of the pattern would swap red and blue, or both with green."""
    colour = np.float32([0.8, 0.3, 0.1])
    x = np.broadcast_to(colour, (*shape, 3))
    np.testing.assert_allclose(
        sensor.demosaic(sensor.sample_mosaic(x), method), x, atol=0.51 / 61439
    )


def test_pixels_keep_the_colour_they_measured():
    x = random_light(12, 14)
    filled = sensor.demosaic(sensor.sample_mosaic(x), "edge-aware")
    for rows, columns, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sites = np.s_[rows::2, columns::2, channel]
        np.testing.assert_allclose(filled[sites], x[sites], atol=1e-5)


def test_bilinear_is_a_mean_of_the_nearest_measurements():
    x = random_light(20, 24)
    mosaic = sensor.sample_mosaic(x).astype(np.float64)
    rows, columns = np.mgrid[:20, :24] % 2
    sites = [(rows == 0) & (columns == 0), rows != columns, (rows == 1) & (columns == 1)]
    weights = np.outer([1, 2, 1], [1, 2, 1])
    expected = np.stack(
        [
            ndimage.convolve(mosaic * own, weights, mode="mirror")
            / ndimage.convolve(own.astype(float), weights, mode="mirror")
            for own in sites
        ],
        axis=-1,
    )
    # Green's corners have no part in its own sites, nor in a mean of four.
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    green = np.where(sites[1], mosaic, ndimage.convolve(mosaic * sites[1], cross, mode="mirror"))
    expected[..., 1] = green
    np.testing.assert_allclose(
        sensor.demosaic(sensor.sample_mosaic(x), "bilinear"), expected, atol=2 / 61439
    )


def test_saturates_at_white_and_keeps_noise_below_black():
    plane = np.full((8, 8), 1.5, np.float32)
    np.testing.assert_array_equal(sensor.demosaic(plane, "edge-aware"), np.ones((8, 8, 3)))
    below = sensor.demosaic(np.full((8, 8), -0.03, np.float32), "edge-aware")
    np.testing.assert_allclose(below, -0.03, atol=1e-5)


def test_refuses_what_is_too_small_to_continue():
    with pytest.raises(ValueError, match="5 x 5"):
        sensor.demosaic(np.zeros((4, 9), np.float32), "bilinear")
