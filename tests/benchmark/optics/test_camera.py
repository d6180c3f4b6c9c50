"""The whole camera: what it leaves alone, what it adds, and how its picture lies on its target."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from skimage import data
from skimage.registration import phase_cross_correlation

from benchmark.optics import light, processing, sensor
from benchmark.optics.camera import (
    CAMERAS,
    Camera,
    list_settings,
    read_scene_light,
    take_photograph,
    take_reference,
    with_steps,
)
from benchmark.optics.tone import TONE_CURVES


def photograph(size=96):
    return data.astronaut()[:size, 180 : 180 + size].astype(np.float32) / 255


def generator(seed=0):
    return np.random.default_rng(seed)


def shot(camera, code, seed=0):
    return take_photograph(read_scene_light(code, camera), camera, generator(seed))


def target(camera, code):
    return take_reference(read_scene_light(code, camera), camera)


def test_no_camera_is_the_transfer_function_bit_for_bit():
    code = photograph()
    scene = read_scene_light(code, CAMERAS["none"])
    np.testing.assert_array_equal(scene, light.to_linear(code))
    np.testing.assert_array_equal(
        take_photograph(scene, CAMERAS["none"], generator()), light.to_srgb(scene)
    )


def test_no_camera_saturates_only():
    beyond = np.float32([[[-0.2, 1.7, 0.5]]])
    result = take_photograph(beyond, CAMERAS["none"], generator())
    np.testing.assert_array_equal(result, light.to_srgb(np.clip(beyond, 0, 1)))


@pytest.mark.parametrize("tone", TONE_CURVES)
def test_target_of_a_curve_is_the_photograph_itself(tone):
    code = photograph()
    np.testing.assert_allclose(target(Camera(tone=tone), code), code, atol=2e-6)


def test_target_of_camera_colours_is_the_photograph_itself():
    code = photograph()
    camera = Camera(white_balance=(2.0, 1.6), colour_matrix="c")
    # A few of its colours lie outside the camera's.
    difference = np.abs(target(camera, code) - code)
    assert np.quantile(difference, 0.99) < 1e-3


def test_exposure_is_in_stops_of_linear_light():
    scene = np.full((6, 6, 3), 0.1, np.float32)
    code = take_reference(scene, Camera(exposure=1.5))
    np.testing.assert_allclose(light.to_linear(code), 0.1 * 2**1.5, rtol=1e-5)


def test_noise_of_the_whole_camera_is_the_model_s():
    scene = np.full((300, 300, 3), 0.2, np.float32)
    camera = Camera(iso=800)
    noisy = light.to_linear(take_photograph(scene, camera, generator()))
    variance = sensor.noise_variance(scene, camera.sensor, 800)[0, 0, 0]
    np.testing.assert_allclose(noisy.var(), variance, rtol=0.02)
    np.testing.assert_allclose(noisy.mean(), 0.2, atol=3e-4)


def test_white_balance_makes_its_colours_noisier():
    scene = np.full((200, 200, 3), 0.2, np.float32)
    camera = Camera(iso=200, white_balance=(2.0, 1.5))
    spread = light.to_linear(take_photograph(scene, camera, generator())).std(axis=(0, 1))
    white = camera.sensor.white_electrons(200)
    for channel, gain in enumerate((2.0, 1.0, 1.5)):
        variance = gain**2 * (0.2 / gain / white + (camera.sensor.read_noise / white) ** 2)
        np.testing.assert_allclose(spread[channel], np.sqrt(variance), rtol=0.03)


def test_brightened_highlights_saturate_after_blur():
    """A lamp that is blurred keeps its white core only where the light was brighter than white."""
    lamp = np.full((41, 41, 3), 0.1, np.float32)
    lamp[15:26, 15:26] = 1
    areas = []
    for highlights in (None, 4.0):
        camera = Camera(highlights=highlights)
        scene = read_scene_light(lamp, camera)
        blurred = np.stack([_box_mean(scene[..., i], 15) for i in range(3)], axis=-1)
        areas.append((take_photograph(blurred, camera, generator()) > 0.999).sum())
        np.testing.assert_allclose(take_reference(scene, camera), lamp, atol=1e-6)
    assert areas[0] == 0 < areas[1]


def _box_mean(plane, size):
    rows = np.apply_along_axis(np.convolve, 0, plane, np.ones(size) / size, mode="same")
    return np.apply_along_axis(np.convolve, 1, rows, np.ones(size) / size, mode="same").astype(
        np.float32
    )


@pytest.mark.parametrize("name", ["phone", "slr", "raw"])
def test_target_lacks_noise_and_jpeg_only(name):
    code = photograph()
    quiet = dataclasses.replace(CAMERAS[name], iso=None, jpeg=None)
    np.testing.assert_array_equal(shot(quiet, code), target(CAMERAS[name], code))


@pytest.mark.parametrize("name", ["phone", "slr", "raw"])
def test_photograph_lies_on_its_target_and_both_on_the_scene(name):
    code = photograph()
    sharp = target(CAMERAS[name], code)
    for other in (shot(CAMERAS[name], code), code):
        shift = phase_cross_correlation(sharp[..., 1], other[..., 1], upsample_factor=100)[0]
        assert np.abs(shift).max() <= 0.05


@pytest.mark.parametrize("name", ["phone", "slr", "raw"])
def test_every_photograph_has_its_own_noise_and_is_made_again(name):
    code = photograph(48)
    np.testing.assert_array_equal(shot(CAMERAS[name], code), shot(CAMERAS[name], code))
    assert (shot(CAMERAS[name], code) != shot(CAMERAS[name], code, seed=1)).any()
    assert shot(CAMERAS[name], code).dtype == np.float32


def test_a_jpeg_comes_after_grain_and_before_resizing():
    code = photograph(64)
    camera = Camera(grain=3, jpeg=60, scale=0.5)
    grain = processing.add_grain(light.to_srgb(light.to_linear(code)), 3, generator())
    expected = processing.resize(processing.compress_jpeg(grain, 60, "4:2:0"), 0.5)
    np.testing.assert_array_equal(shot(camera, code), expected)
    assert target(camera, code).shape == (32, 32, 3)


def test_sharpening_may_not_leave_the_range():
    result = shot(Camera(sharpen=5.0), photograph(48))
    assert result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize(
    "setting",
    [{"iso": 0}, {"iso": float("inf")}, {"scale": -1}, {"grain": 0}, {"highlights": 1.0},
     {"white_balance": (0, 1)}, {"denoise": float("nan")}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=r"camera: .* got"):
        Camera(**setting)


def test_steps_are_set_where_they_are_given():
    camera = with_steps(CAMERAS["phone"], {"iso": 800.0, "jpeg": None, "tone": "sigmoid"})
    assert camera == dataclasses.replace(CAMERAS["phone"], iso=800.0, tone="sigmoid")
    with pytest.raises(ValueError, match="iso"):
        with_steps(CAMERAS["phone"], {"iso": -1.0})


def test_settings_of_a_camera_are_those_that_no_camera_has():
    assert list_settings(CAMERAS["none"]) == {}
    assert list_settings(Camera(iso=800.0, jpeg=90)) == {"iso": "800.0", "jpeg": "90"}
    assert len({str(list_settings(camera)) for camera in CAMERAS.values()}) == 4
