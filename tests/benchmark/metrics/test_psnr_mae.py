import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio

from benchmark.metrics.mae import Mae
from benchmark.metrics.psnr import PSNR_CAP, Psnr
from benchmark.metrics.ssim import Ssim
from tests.benchmark.metrics.metric_oracles import psnr_direct

pictures = arrays(np.float32, (4, 5, 3), elements=st.floats(-0.5, 1.5, width=32))


@given(pictures, pictures)
def test_psnr_is_that_of_scikit_image_and_of_the_definition(output, target):
    if np.array_equal(output, target):
        return
    a, b = output.astype(np.float64), target.astype(np.float64)
    value = Psnr()(output, target)
    assert value == pytest.approx(
        min(PSNR_CAP, peak_signal_noise_ratio(b, a, data_range=1.0)), abs=1e-9
    )
    assert value == pytest.approx(min(PSNR_CAP, psnr_direct(a, b)), abs=1e-9)


@given(pictures, pictures)
def test_mae_is_the_mean_of_the_absolute_differences(output, target):
    expected = (
        sum(abs(float(a) - float(b)) for a, b in zip(output.ravel(), target.ravel(), strict=True))
        / output.size
    )
    assert Mae()(output, target) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.5, 0.1, 0.001])
def test_a_constant_shift_has_a_closed_form(shift):
    target = np.full((6, 7, 3), 0.25)
    assert Psnr()(target + shift, target) == pytest.approx(-20 * np.log10(shift))
    assert Mae()(target + shift, target) == pytest.approx(shift)


def test_all_channels_count_alike():
    target = np.zeros((4, 4, 3))
    for channel in range(3):
        output = target.copy()
        output[..., channel] = 0.3
        assert Psnr()(output, target) == pytest.approx(-10 * np.log10(0.09 / 3))


def test_identical_pictures_have_the_cap_and_nothing_is_above_it():
    target = np.random.default_rng(0).random((8, 8, 3))
    nearly = target.copy()
    nearly[0, 0, 0] += 1e-9
    assert Psnr()(target, target) == Psnr()(nearly, target) == PSNR_CAP == 100.0
    assert Mae()(target, target) == 0.0


def test_neither_clamps():
    target = np.ones((4, 4, 3))
    assert Psnr()(target + 1, target) == pytest.approx(0.0)
    assert Mae()(target + 1, target) == pytest.approx(1.0)


def test_float32_pictures_are_scored_in_float64():
    """float32 sums would miss the tolerance."""
    target = np.full((64, 64, 3), 0.9, np.float32)
    output = target + np.float32(1e-4)
    exact = float(output[0, 0, 0]) - float(target[0, 0, 0])
    assert Psnr()(output, target) == pytest.approx(-20 * np.log10(exact), abs=1e-10)


@pytest.mark.parametrize("metric", [Psnr(), Mae(), Ssim()], ids=["psnr", "mae", "ssim"])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.zeros((16, 17, 3)), "output is 17x16, but target is 16x16"),
        (np.zeros((16, 16)), "expected H x W x 3"),
        (np.zeros((16, 16, 1)), "expected H x W x 3"),
        (np.zeros((16, 16, 3), np.uint8), "floating point"),
        (np.full((16, 16, 3), np.nan), "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(metric, output, message):
    with pytest.raises(ValueError, match=message):
        metric(output, np.zeros((16, 16, 3)))


def test_an_empty_picture_is_refused():
    with pytest.raises(ValueError, match="at least 1x1"):
        Psnr()(np.zeros((0, 4, 3)), np.zeros((0, 4, 3)))


def test_cards_say_which_way_is_better():
    assert Psnr.card.higher_is_better and not Mae.card.higher_is_better
    assert (Psnr.card.unit, Psnr.card.digits, Mae.card.digits) == ("dB", 2, 4)


@pytest.mark.parametrize("module", ["psnr", "mae", "ssim", "tracks"])
def test_the_examples_of_the_docstrings_hold(module):
    failed, tried = doctest.testmod(importlib.import_module(f"benchmark.metrics.{module}"))
    assert tried > 0 and failed == 0
