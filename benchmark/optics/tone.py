"""Tone curves: how a camera turns linear light into code values, and back.

Every curve maps [0, 1] onto [0, 1] and rises; light and codes beyond that range are clipped first,
but by `srgb`, which is `benchmark.optics.light` as it stands. The others stand for what cameras do;
none is a measurement of a camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from benchmark.arrays import Float32Array
from benchmark.optics import light

ToneCurve = Literal["srgb", "half-smoothstep", "smoothstep", "sigmoid", "filmic", "lifted"]
"""
- `srgb`: the transfer function of sRGB alone.
- `smoothstep`: 3 v^2 - 2 v^3 of sRGB codes v (Brooks et al., Unprocessing Images for Learned Raw
  Denoising, CVPR 2019): strong contrast.
- `half-smoothstep`: the mean of that and v.
- `sigmoid`: a logistic curve of sRGB codes about 1/2, of slope 1.67 there.
- `filmic`: a toe and a shoulder on linear light: K. Narkowicz's rational fit of ACES (ACES Filmic
  Tone Mapping Curve, 2015), scaled so that 1 becomes 1; then sRGB.
- `lifted`: brighter shadows and a shoulder on linear light: Reinhard et al., Photographic Tone
  Reproduction for Digital Images, 2002, eq. (4), its white at 2; then sRGB.
"""

TONE_CURVES: tuple[ToneCurve, ...] = get_args(ToneCurve)

_SIGMOID_STEEPNESS = 5.0
_FILMIC = (2.51, 0.03, 2.43, 0.59, 0.14)
_FILMIC_WHITE = (_FILMIC[0] + _FILMIC[1]) / (_FILMIC[2] + _FILMIC[3] + _FILMIC[4])
_LIFTED_WHITE = 2.0


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve of [0, 1] and its inverse; it works on sRGB codes or on linear light."""

    values: light.Light
    forward: Callable[[Float32Array], Float32Array]
    inverse: Callable[[Float32Array], Float32Array]


def apply_tone(linear: Float32Array, tone: ToneCurve) -> Float32Array:
    """Return the code values (float32, 1 is white) of linear light, of any shape.

    Raises:
        ValueError: for an unknown curve.
    """
    if tone == "srgb":
        return light.to_srgb(linear)
    curve = _curve_of(tone)
    inside = np.clip(linear, 0, 1, dtype=np.float32)
    if curve.values == "linear":
        return light.to_srgb(curve.forward(inside))
    return curve.forward(light.to_srgb(inside))


def undo_tone(code: Float32Array, tone: ToneCurve) -> Float32Array:
    """Return the linear light (float32, 1 is white) of code values, of any shape.

    Raises:
        ValueError: for an unknown curve.
    """
    if tone == "srgb":
        return light.to_linear(code)
    curve = _curve_of(tone)
    inside = np.clip(code, 0, 1, dtype=np.float32)
    if curve.values == "linear":
        return curve.inverse(light.to_linear(inside))
    return light.to_linear(curve.inverse(inside))


def _curve_of(tone: ToneCurve) -> _Curve:
    if tone not in _CURVES:
        raise ValueError(f"a tone curve is one of {', '.join(TONE_CURVES)}, got {tone!r}")
    return _CURVES[tone]


def _smoothstep(v: Float32Array, strength: float) -> Float32Array:
    """Return (1 - strength) v + strength (3 v^2 - 2 v^3)."""
    step = v * v * (3 - 2 * v)
    curve: Float32Array = v + np.float32(strength) * (step - v)
    return curve


def _undo_smoothstep(y: Float32Array, strength: float) -> Float32Array:
    """Solve the cubic about its centre: (1 + s / 2) t - 2 s t^3 = y - 1/2 with t = v - 1/2.

    t = A sin(a) turns 3 sin(a) - 4 sin(a)^3 into sin(3 a).
    """
    amplitude = np.sqrt((1 + strength / 2) / (1.5 * strength))
    height = np.float32(2 / (strength * amplitude**3))
    angle = np.arcsin(np.clip((y - np.float32(0.5)) * height, -1, 1)) / 3
    v: Float32Array = np.float32(0.5) + np.float32(amplitude) * np.sin(angle)
    return np.clip(v, np.float32(0), np.float32(1))


def _sigmoid(v: Float32Array) -> Float32Array:
    """Return tanh(k (v - 1/2) / 2), the logistic curve of steepness k, scaled to [0, 1]."""
    edge = np.float32(np.tanh(_SIGMOID_STEEPNESS / 4))
    centred = np.tanh(np.float32(_SIGMOID_STEEPNESS / 2) * (v - np.float32(0.5)))
    curve: Float32Array = np.float32(0.5) + centred / (2 * edge)
    return curve


def _undo_sigmoid(y: Float32Array) -> Float32Array:
    edge = np.float32(np.tanh(_SIGMOID_STEEPNESS / 4))
    centred = np.arctanh((y - np.float32(0.5)) * (2 * edge))
    v: Float32Array = np.float32(0.5) + centred / np.float32(_SIGMOID_STEEPNESS / 2)
    return np.clip(v, 0, 1)


def _filmic(x: Float32Array) -> Float32Array:
    a, b, c, d, e = (np.float32(number) for number in _FILMIC)
    curve = x * (a * x + b) / (x * (c * x + d) + e) / np.float32(_FILMIC_WHITE)
    return curve.astype(np.float32, copy=False)


def _undo_filmic(y: Float32Array) -> Float32Array:
    a, b, c, d, e = (np.float32(number) for number in _FILMIC)
    y = y * np.float32(_FILMIC_WHITE)
    return _positive_root(a - c * y, b - d * y, e * y)


def _lifted(x: Float32Array) -> Float32Array:
    white = np.float32(_LIFTED_WHITE)
    curve: Float32Array = white * x * (1 + x / white) / (1 + white * x)
    return curve


def _undo_lifted(y: Float32Array) -> Float32Array:
    return _positive_root(np.ones_like(y), np.float32(_LIFTED_WHITE) * (1 - y), y)


def _positive_root(a: Float32Array, b: Float32Array, c: Float32Array) -> Float32Array:
    """Return the root >= 0 of a x^2 + b x = c for a > 0, c >= 0, without cancellation."""
    size = np.sqrt(b * b + 4 * a * c)
    # Adding numbers of one sign loses no digits.
    root: Float32Array = np.where(b > 0, 2 * c / np.maximum(b + size, 1e-30), (size - b) / (2 * a))
    return np.clip(root, 0, 1)


_CURVES: dict[ToneCurve, _Curve] = {
    "half-smoothstep": _Curve(
        "srgb", partial(_smoothstep, strength=0.5), partial(_undo_smoothstep, strength=0.5)
    ),
    "smoothstep": _Curve(
        "srgb", partial(_smoothstep, strength=1.0), partial(_undo_smoothstep, strength=1.0)
    ),
    "sigmoid": _Curve("srgb", _sigmoid, _undo_sigmoid),
    "filmic": _Curve("linear", _filmic, _undo_filmic),
    "lifted": _Curve("linear", _lifted, _undo_lifted),
}
