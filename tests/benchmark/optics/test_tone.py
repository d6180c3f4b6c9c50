"""Tone curves against their formulas in double precision and against their own inverses."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.optics import light, tone

codes = np.linspace(0, 1, 10001, dtype=np.float32)


def srgb(x):
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def smoothstep(v):
    return 3 * v**2 - 2 * v**3


def logistic(v):
    return 1 / (1 + np.exp(-5 * (v - 0.5)))


def aces(x):
    return (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)


def reinhard(x, white=2):
    luminance = white * x
    return luminance * (1 + luminance / white**2) / (1 + luminance)


FORMULAS = {
    "srgb": srgb,
    "smoothstep": lambda x: smoothstep(srgb(x)),
    "half-smoothstep": lambda x: (smoothstep(srgb(x)) + srgb(x)) / 2,
    "sigmoid": lambda x: (logistic(srgb(x)) - logistic(0)) / (logistic(1) - logistic(0)),
    "filmic": lambda x: srgb(aces(x) / aces(1.0)),
    "lifted": lambda x: srgb(reinhard(x)),
}


@pytest.mark.parametrize("curve", tone.TONE_CURVES)
def test_is_its_formula(curve):
    linear = np.linspace(0, 1, 10001)
    values = tone.apply_tone(linear.astype(np.float32), curve)
    np.testing.assert_allclose(values, FORMULAS[curve](linear), atol=1e-6)
    assert values.dtype == np.float32


@pytest.mark.parametrize("curve", tone.TONE_CURVES)
def test_is_undone(curve):
    np.testing.assert_allclose(
        tone.apply_tone(tone.undo_tone(codes, curve), curve), codes, atol=1e-6
    )


@pytest.mark.parametrize("curve", tone.TONE_CURVES)
def test_rises_from_black_to_white(curve):
    linear = tone.undo_tone(codes, curve)
    assert (np.diff(linear) > 0).all()
    np.testing.assert_allclose(linear[[0, -1]], [0, 1], atol=1e-6)


def test_srgb_is_the_transfer_function_also_beyond_white():
    values = np.float32([-0.5, 0.2, 3])
    np.testing.assert_array_equal(tone.apply_tone(values, "srgb"), light.to_srgb(values))
    np.testing.assert_array_equal(tone.undo_tone(values, "srgb"), light.to_linear(values))


@pytest.mark.parametrize("curve", sorted({*tone.TONE_CURVES} - {"srgb"}))
def test_others_end_at_black_and_white(curve):
    np.testing.assert_allclose(tone.apply_tone(np.float32([-1, 2]), curve), [0, 1], atol=1e-6)
    np.testing.assert_allclose(tone.undo_tone(np.float32([-1, 2]), curve), [0, 1], atol=1e-6)


def test_refuses_an_unknown_curve():
    for function in (tone.apply_tone, tone.undo_tone):
        with pytest.raises(ValueError, match="smoothstep"):
            function(codes, "kodachrome")
