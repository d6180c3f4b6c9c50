"""The phone of `eval-phone`: its curve, its mosaic, its noise, its processing, and the ground that
it looks at.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data, metrics

from benchmark.datasets import eval_phone, eval_phone_camera
from benchmark.datasets.eval_phone_camera import (
    WHITE,
    add_burst_noise,
    apply_film_curve,
    develop_picture,
    develop_target,
    enlarge_detail,
    fill_mosaic,
    read_mosaic,
    smooth_noise,
    store_as_jpeg,
    undo_film_curve,
)
from benchmark.datasets.eval_pinholes import make_disk_lens, map_blur

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def photograph() -> Array:
    """Half of the astronaut's size, in codes."""
    picture = data.astronaut().astype(np.float32) / np.float32(255)
    return cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


# Tone
# --------------------------------------------------------------------------------------------------


def test_the_curve_is_logistic_over_log_light() -> None:
    light = np.geomspace(1e-4, WHITE, 200)
    codes = apply_film_curve(light).astype(np.float64)
    assert codes[-1] == pytest.approx(1, abs=1e-6)
    # log(y / (a - y)) is a straight line over log x, of the slope 1.1, with a a little above 1.
    top = 1 + 0.16**1.1 / WHITE**1.1
    np.testing.assert_allclose(
        np.log(codes / (top - codes)), 1.1 * (np.log(light) - np.log(0.16)), atol=2e-3
    )
    assert apply_film_curve(np.array([-1.0, 0.0, 9.0])).tolist() == [0, 0, 1]


def test_the_curve_is_undone() -> None:
    codes = np.linspace(0, 1, 256, dtype=np.float32)
    light = undo_film_curve(codes)
    assert (np.diff(light) > 0).all() and light[-1] == pytest.approx(WHITE, rel=1e-4)
    np.testing.assert_allclose(apply_film_curve(light), codes, atol=2e-6)


# Sensor
# --------------------------------------------------------------------------------------------------


def test_the_mosaic_has_green_and_red_above_blue_and_green() -> None:
    picture = np.arange(4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)
    mosaic = read_mosaic(picture)
    for (row, column), channel in {(0, 0): 1, (0, 1): 0, (1, 0): 2, (1, 1): 1}.items():
        assert (mosaic[row::2, column::2] == picture[row::2, column::2, channel]).all()


def test_ramps_pass_the_mosaic_exactly() -> None:
    rows, columns = np.mgrid[:20, :30].astype(np.float32)
    ramps = np.dstack([0.1 + 0.01 * columns, 0.9 - 0.02 * rows, 0.3 + 0.01 * (rows + columns)])
    inner = np.s_[4:-4, 4:-4]
    error = fill_mosaic(read_mosaic(ramps)) - ramps
    np.testing.assert_allclose(error[inner], 0, atol=1e-6)
    gray = np.full((9, 11, 3), 0.25, np.float32)
    np.testing.assert_allclose(fill_mosaic(read_mosaic(gray)), gray, atol=1e-6)


def test_photographs_pass_the_mosaic_better_than_with_opencv(photograph: Array) -> None:
    """Malvar, He and Cutler report 5 dB more than bilinear interpolation."""
    mosaic = read_mosaic(photograph)
    raw = np.rint(mosaic * 65535).astype(np.uint16)
    bilinear = cv2.demosaicing(raw, cv2.COLOR_BayerGRBG2RGB).astype(np.float32) / 65535
    inner = np.s_[4:-4, 4:-4]
    ours, theirs = (
        metrics.peak_signal_noise_ratio(photograph[inner], picture[inner], data_range=1)
        for picture in (fill_mosaic(mosaic), bilinear)
    )
    assert ours > theirs + 2


@pytest.mark.parametrize("light", [0.0, 0.1, 1.0])
def test_noise_has_the_variance_of_photons_and_reading(light: float) -> None:
    mosaic = np.full((400, 400), light, np.float32)
    noisy = add_burst_noise(mosaic, np.random.default_rng(0))
    electrons = eval_phone_camera._FULL_WELL / WHITE
    variance = light / electrons + (eval_phone_camera._READ_NOISE / electrons) ** 2
    assert noisy.mean() == pytest.approx(light, abs=5 * np.sqrt(variance) / 400)
    assert noisy.var() == pytest.approx(variance, rel=0.02)


def test_what_saturates_is_cut_off() -> None:
    noisy = add_burst_noise(np.full((50, 50), 2 * WHITE, np.float32), np.random.default_rng(0))
    assert (noisy == WHITE).all()


# Processing
# --------------------------------------------------------------------------------------------------


def test_denoising_takes_most_noise_and_leaves_edges() -> None:
    random = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 0.3, np.float32)
    clean[:, 32:] = 0.7
    noisy = clean + random.normal(0, 0.01, clean.shape).astype(np.float32)
    error = smooth_noise(noisy) - clean
    flat = np.r_[4:26, 38:60]
    assert error[:, flat].std() < 0.6 * (noisy - clean)[:, flat].std()
    assert smooth_noise(noisy)[:, 32].mean() - smooth_noise(noisy)[:, 31].mean() > 0.35


def test_sharpening_steepens_edges_alike_in_all_colours_and_leaves_faint_detail() -> None:
    step = np.full((20, 20, 3), 0.4, np.float32)
    step[:, 10:] = 0.6
    sharp = enlarge_detail(step)
    gain = sharp - step
    np.testing.assert_allclose(gain, np.repeat(gain[..., :1], 3, axis=2), atol=1e-6)
    steps = np.arange(-6, 7)
    weights = np.exp(-(steps**2) / (2 * 0.9**2))
    detail = 0.2 * weights[steps > 0].sum() / weights.sum()  # that a Gaussian brings from beyond
    overshoot = 0.6 * (detail - 0.006)
    np.testing.assert_allclose(sharp[5, [9, 10], 0], [0.4 - overshoot, 0.6 + overshoot], atol=1e-4)
    np.testing.assert_allclose(sharp[:, :4], 0.4, atol=1e-5)
    faint = 0.5 + 0.004 * np.random.default_rng(0).uniform(-1, 1, (30, 30, 1)).astype(np.float32)
    faint = np.repeat(faint, 3, axis=2)
    np.testing.assert_allclose(enlarge_detail(faint), faint, atol=1e-6)


def test_jpeg_halves_the_resolution_of_chroma(photograph: Array) -> None:
    stripes = np.full((64, 64, 3), 0.5, np.float32)
    stripes[:, ::2, 0], stripes[:, 1::2, 0] = 0.9, 0.1
    kept = store_as_jpeg(stripes, 95)
    ycc = cv2.cvtColor(kept, cv2.COLOR_RGB2YCrCb)
    assert np.abs(np.diff(ycc[..., 1], axis=1)).mean() < 0.03
    assert np.abs(np.diff(ycc[..., 0], axis=1)).mean() > 0.15
    losses = [
        np.square(store_as_jpeg(photograph, quality) - photograph).mean() for quality in (95, 50)
    ]
    assert losses[0] < losses[1] < 0.01


# The camera and the scene
# --------------------------------------------------------------------------------------------------


def test_the_target_is_nearly_the_photograph_and_the_picture_has_noise(photograph: Array) -> None:
    light = undo_film_curve(photograph)
    target = develop_target(light)
    gray = np.full((64, 64, 3), 0.18, np.float32)
    np.testing.assert_allclose(develop_target(gray), apply_film_curve(gray), atol=1e-3)
    assert metrics.peak_signal_noise_ratio(photograph, target, data_range=1) > 24
    noisy = develop_picture(gray, np.random.default_rng(0))
    assert 0.5 < 255 * noisy.std() < 4
    assert noisy.mean() == pytest.approx(float(apply_film_curve(gray).mean()), abs=0.003)
    # Registered: no shift of half a pixel to any side fits better.
    shifts = [
        np.square(np.roll(target, shift, (0, 1))[2:-2, 2:-2] - photograph[2:-2, 2:-2]).mean()
        for shift in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    assert shifts[0] == min(shifts)
    assert shifts[1] == pytest.approx(shifts[3], rel=0.2)
    assert shifts[2] == pytest.approx(shifts[4], rel=0.2)


def test_disparity_grows_evenly_below_the_horizon(photograph: Array) -> None:
    for seed in range(8):
        random = np.random.default_rng(seed)
        surfaces = eval_phone.invent_street(undo_film_curve(photograph), 128, random)
        wall, ground, *objects = surfaces
        sigma = ground.sigma_of_rows(128)
        horizon = round(ground.top)
        assert np.interp(ground.top, np.arange(128) + 0.5, sigma) == pytest.approx(
            wall.sigma, abs=0.05
        )
        inside = sigma[horizon:]
        assert inside.min() < 0 < inside.max(), "the lens is focused on the ground"
        largest = max(abs(inside[0]), abs(inside[-1]))
        assert 1.4 < largest < 3.1
        for thing in objects:
            foot = thing.top + thing.size[1]
            assert thing.sigma == pytest.approx(ground.sigma + ground.slope * foot)
        order = [thing.sigma for thing in objects]
        assert order == sorted(order, reverse=True), "the nearest comes last"
        blur_map = map_blur(surfaces[:2], make_disk_lens(32), 128)
        np.testing.assert_allclose(
            blur_map[horizon + 2 :, 64], np.abs(sigma[horizon + 2 :]), atol=1e-5
        )
        np.testing.assert_allclose(blur_map[: horizon - 2], wall.sigma, rtol=1e-5)
