"""The sRGB transfer functions against scikit-image and against each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import rgb2xyz, xyz2rgb

from benchmark.optics import light

codes = np.linspace(0, 1, 10001, dtype=np.float32)


def test_agrees_with_scikit_image():
    grey = np.repeat(codes.astype(np.float64)[:, None], 3, axis=1)
    white = rgb2xyz(np.ones((1, 3)))
    luminance = rgb2xyz(grey)[:, 1] / white[0, 1]
    np.testing.assert_allclose(light.to_linear(codes), luminance, atol=1e-6)
    np.testing.assert_allclose(
        light.to_srgb(codes), xyz2rgb(white * codes[:, None])[:, 1], atol=2e-6
    )


def test_known_values():
    np.testing.assert_allclose(
        light.to_linear(np.float32([0, 0.04045, 0.5, 1])), [0, 0.0031308, 0.2140411, 1], atol=1e-7
    )


@settings(deadline=None)
@given(st.floats(-4, 4, width=32))
def test_each_undoes_the_other_also_out_of_range(value):
    array = np.float32([value])
    np.testing.assert_allclose(light.to_srgb(light.to_linear(array)), array, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(light.to_linear(light.to_srgb(array)), array, rtol=2e-6, atol=1e-6)


@settings(deadline=None)
@given(st.floats(0, 4, width=32))
def test_is_odd(value):
    array = np.float32([value])
    assert light.to_linear(-array) == -light.to_linear(array)
    assert light.to_srgb(-array) == -light.to_srgb(array)


def test_rises_and_keeps_shape_and_type():
    for function in (light.to_linear, light.to_srgb):
        assert (np.diff(function(codes)) > 0).all()
        assert function(codes.reshape(73, 137)).shape == (73, 137)
        assert function(codes).dtype == np.float32


def test_eight_bit_codes_survive_the_way_there_and_back():
    levels = np.arange(256)
    there = light.to_srgb(light.to_linear((levels / 255).astype(np.float32)))
    assert (np.rint(there * 255) == levels).all()


def test_slope_is_that_of_the_curve():
    inside = np.float32([0.02, 0.1, 0.5, 0.9])  # the curve has a corner at 0.04
    power = 2.4 / 1.055 * ((inside + 0.055) / 1.055) ** 1.4
    slope = np.where(inside < 0.04, 1 / 12.92, power)
    np.testing.assert_allclose(light.linear_slope(inside), slope, rtol=1e-4)


def test_a_light_is_reached_and_left_again():
    np.testing.assert_array_equal(light.srgb_to("linear", codes), light.to_linear(codes))
    np.testing.assert_array_equal(light.srgb_from("linear", codes), light.to_srgb(codes))
    assert light.srgb_to("srgb", codes) is codes
    assert light.srgb_from("srgb", codes) is codes


def test_local_light_of_the_reference_is_taken() -> None:
    random = np.random.default_rng(0)
    reference = random.uniform(0.2, 0.9, (60, 70, 3)).astype(np.float32)
    darker = light.to_srgb(light.to_linear(reference) * np.float32([0.9, 0.95, 1.05]))
    assert np.allclose(light.take_local_light(darker, reference, 16.0), reference, atol=2e-3)


def test_local_light_is_the_ratio_of_gaussian_means() -> None:
    """Against SciPy, which continues a picture in the same way."""
    random = np.random.default_rng(1)
    picture, reference = random.uniform(0, 1, (2, 50, 40, 3)).astype(np.float32)
    means = [
        ndimage.gaussian_filter(light.to_linear(codes).astype(float), (5, 5, 0), truncate=4.5)
        for codes in (picture, reference)
    ]
    expected = light.to_linear(picture) * (means[1] + 1e-3) / (means[0] + 1e-3)
    result = light.to_linear(light.take_local_light(picture, reference, 5.0))
    assert np.abs(result - expected).max() < 2e-3


def test_a_picture_has_its_own_local_light() -> None:
    picture = np.random.default_rng(2).random((40, 40, 3), np.float32)
    assert np.allclose(light.take_local_light(picture, picture, 16.0), picture, atol=1e-5)


def test_black_stays_black() -> None:
    black = np.zeros((20, 20, 3), np.float32)
    assert not light.take_local_light(black, black + np.float32(0.5), 4.0).any()
