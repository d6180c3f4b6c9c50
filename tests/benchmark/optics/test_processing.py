"""Steps on code values against scipy, Pillow and closed forms."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from scipy import ndimage
from skimage import data

from benchmark.optics import processing


def random_codes(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def photograph(size=64):
    return data.astronaut()[:size, 200 : 200 + size].astype(np.float32) / 255


# Denoising and sharpening
# --------------------------------------------------------------------------------------------------


def test_false_colours_are_replaced_by_medians_of_colour_differences():
    x = random_codes(20, 21)
    expected = x.astype(np.float64)
    for channel in (0, 2):
        difference = expected[..., channel] - expected[..., 1]
        median = ndimage.median_filter(difference, 3, mode="nearest")
        expected[..., channel] = expected[..., 1] + median
    np.testing.assert_allclose(processing.suppress_false_colours(x), expected, atol=1e-6)


def test_denoising_filters_luma_bilaterally():
    """Of a grey picture, which has no chroma, by Tomasi and Manduchi's formula on a disk of radius
    2.
    """
    grey = np.random.default_rng(0).normal(0.5, 0.03, (40, 40)).astype(np.float32)
    rows, columns = np.mgrid[-2:3, -2:3]
    disk = rows**2 + columns**2 <= 2**2
    closeness = np.exp(-(rows**2 + columns**2)[disk] / (2 * 1.5**2))

    def mean_of_the_like(values):
        weight = closeness * np.exp(-((values - values[6]) ** 2) / (2 * (10 / 255) ** 2))
        return (weight * values).sum() / weight.sum()

    expected = ndimage.generic_filter(
        grey.astype(np.float64), mean_of_the_like, footprint=disk, mode="reflect"
    )
    picture = np.repeat(grey[..., None], 3, axis=2)
    result = processing.denoise(picture, 10)
    # OpenCV reads the likeness from a table.
    np.testing.assert_allclose(result, np.repeat(expected[..., None], 3, axis=2), atol=1e-4)
    assert result.std() < 0.6 * grey.std()


def test_denoising_smooths_chroma_by_a_gaussian():
    noise = np.random.default_rng(1).normal(0, 0.02, (50, 50)).astype(np.float32)
    # Red and green weigh 0.299 and 0.587 in luma, so these differences leave it alone.
    picture = 0.5 + np.stack([noise, -0.299 / 0.587 * noise, 0 * noise], axis=-1)
    result = processing.denoise(picture.astype(np.float32), 5)
    smooth = ndimage.gaussian_filter(noise.astype(np.float64), 1.5, mode="reflect", radius=6)
    np.testing.assert_allclose(result[..., 0] - 0.5, smooth, atol=1e-3)


def test_sharpening_is_an_unsharp_mask():
    x = random_codes(30, 31)
    smooth = ndimage.gaussian_filter(
        x.astype(np.float64), (1, 1, 0), mode="reflect", radius=(4, 4, 0)
    )
    np.testing.assert_allclose(processing.sharpen(x, 0.6), x + 0.6 * (x - smooth), atol=1e-5)


def test_a_constant_picture_stays():
    x = np.full((12, 13, 3), (0.2, 0.5, 0.7), np.float32)
    np.testing.assert_allclose(processing.denoise(x, 10), x, atol=1e-4)  # OpenCV's matrices
    np.testing.assert_allclose(processing.sharpen(x, 1.0), x, atol=1e-6)


# Grain
# --------------------------------------------------------------------------------------------------


def test_grain_has_its_sigma_and_its_correlation():
    zero = np.zeros((500, 400, 3), np.float32)
    field = 255 / 2 * processing.add_grain(zero, 2.0, np.random.default_rng(0)).astype(np.float64)
    assert abs(field.std() - 1) < 0.01
    for down, across, expected in ((0, 1, 0.5), (1, 0, 0.5), (1, 1, 0.25), (0, 2, 0), (2, 1, 0)):
        product = field[down:, across:] * field[: 500 - down, : 400 - across]
        assert abs(product.mean() - expected) < 0.01
    assert abs((field[..., 0] * field[..., 1]).mean()) < 0.01


# Files
# --------------------------------------------------------------------------------------------------


def test_bytes_are_rounded_and_clipped():
    x = np.float32([[[-0.1, 0.49 / 255, 0.51 / 255], [1.2, 1, 100.4 / 255]]])
    np.testing.assert_array_equal(processing.round_to_bytes(x), [[[0, 0, 1], [255, 255, 100]]])


@pytest.mark.parametrize(("chroma", "sampling"), [("4:4:4", 0), ("4:2:0", 2)])
def test_a_jpeg_has_the_chroma_in_its_header(chroma, sampling):
    file = processing.encode_camera_jpeg(processing.round_to_bytes(photograph()), 80, chroma)
    with Image.open(io.BytesIO(file)) as picture:
        assert JpegImagePlugin.get_sampling(picture) == sampling
        assert picture.format == "JPEG" and picture.size == (64, 64)


@pytest.mark.parametrize("quality", [30, 80, 95])
@pytest.mark.parametrize(("chroma", "subsampling"), [("4:4:4", 0), ("4:2:0", 2)])
def test_a_jpeg_is_that_of_pillow(quality, chroma, subsampling):
    pixels = processing.round_to_bytes(photograph())
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    expected = np.asarray(Image.open(file)).astype(np.int16)
    result = np.rint(255 * processing.compress_jpeg(photograph(), quality, chroma))
    assert np.abs(result - expected).mean() < 0.5
    assert np.abs(result - pixels).mean() > 0.5  # it does lose something


def test_half_the_chroma_loses_more_colour():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2, 0] = 1
    losses = [
        np.abs(processing.compress_jpeg(stripes, 95, chroma) - stripes).mean()
        for chroma in ("4:4:4", "4:2:0")
    ]
    assert losses[1] > 3 * losses[0]


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(ValueError, match="1 to 100"):
        processing.compress_jpeg(photograph(), 0, "4:4:4")


def test_the_blur_map_of_a_resized_picture_is_as_large_and_as_blurred():
    slope = np.broadcast_to(np.arange(20, dtype=np.float32), (12, 20))
    np.testing.assert_allclose(
        processing.resize_map(slope, 0.5), slope.reshape(6, 2, 10, 2).mean(axis=(1, 3)) / 2
    )
    larger = processing.resize_map(slope, 2.0)
    position = (np.arange(40) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(larger[5], 2 * np.clip(position, 0, 19), atol=1e-5)


# Size
# --------------------------------------------------------------------------------------------------


def test_half_the_size_is_the_mean_of_four():
    x = random_codes(12, 18)
    expected = x.reshape(6, 2, 9, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(processing.resize(x, 0.5), expected, atol=1e-6)


def test_twice_the_size_is_keys_cubic():
    """Keys, 1981, with a = -0.75, which is OpenCV's; in one dimension at a quarter of a pixel."""
    row = np.random.default_rng(0).uniform(0.3, 0.7, 20)
    x = np.broadcast_to(row[:, None], (20, 20, 3)).astype(np.float32)
    distance, a = np.array([1.25, 0.25, 0.75, 1.75]), -0.75
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
    taps = np.where(distance < 1, near, far)
    result = processing.resize(x, 2.0)[20, :, 0]
    assert result.shape == (40,)
    for i in range(4, 16):
        expected = taps @ row[i - 1 : i + 3]
        np.testing.assert_allclose(result[2 * i + 1], expected, atol=1e-5)


def test_larger_pictures_stay_in_range_and_none_vanishes():
    edge = np.zeros((8, 8, 3), np.float32)
    edge[:, 4:] = 1
    larger = processing.resize(edge, 3.0)
    assert larger.shape == (24, 24, 3) and larger.min() == 0 and larger.max() == 1
    with pytest.raises(ValueError, match="no pixel"):
        processing.resize(edge, 0.01)
