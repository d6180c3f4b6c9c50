"""What a camera's sensor makes of light: exposure, camera colours, noise, the colour mosaic.

Light is linear, H x W x 3 float32 RGB, 1 is what saturates the sensor at the exposure 0. The order
is that of Brooks et al., Unprocessing Images for Learned Raw Denoising, CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture
from benchmark.arrays import Float32Array, Float64Array, Plane

Demosaicing = Literal["bilinear", "edge-aware"]
"""How OpenCV fills in the colours that a pixel did not measure."""

ColourMatrix = Literal["a", "b", "c", "d"]
"""The four cameras whose matrices Brooks et al. published with their code, in its order."""

COLOUR_MATRICES: tuple[ColourMatrix, ...] = get_args(ColourMatrix)

BASE_ISO = 100.0
"""The ISO at which the sensor's full well is white."""

KNEE = 0.8
"""Linear light from which `saturate_highlights` bends."""

_XYZ_TO_CAMERA: dict[ColourMatrix, list[list[float]]] = {
    "a": [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
    "b": [[0.4913, -0.0541, -0.0202], [-0.613, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
    "c": [[0.838, -0.263, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
    "d": [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.097, 0.1581, 0.5181]],
}
# IEC 61966-2-1, white D65
_SRGB_TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
_RAW_TOP = 2**16 - 1
# Noise falls below black too: as real files do, ours keep room for it.
_BLACK_LEVEL = 4096
_MOSAIC_BORDER = 4
_DEMOSAIC_CODE = {
    "bilinear": cv2.COLOR_BayerRGGB2RGB,
    "edge-aware": cv2.COLOR_BayerRGGB2RGB_EA,
}


@dataclass(frozen=True, slots=True)
class Sensor:
    """How noisy a sensor is.

    Attributes:
        full_well: electrons of a pixel that is white at `BASE_ISO`.
        read_noise: standard deviation of reading a pixel, electrons.
    """

    full_well: float
    read_noise: float

    def white_electrons(self, iso: float) -> float:
        """Return how many electrons a pixel holds that is white at this ISO."""
        return self.full_well * BASE_ISO / iso


SMALL_SENSOR = Sensor(full_well=6000, read_noise=2.5)
"""Of the order of a phone's pixels of 1 um; no measured sensor."""

LARGE_SENSOR = Sensor(full_well=60000, read_noise=4.0)
"""Of the order of a system camera's pixels of 6 um; no measured sensor."""


# Light
# --------------------------------------------------------------------------------------------------


def expose(linear: Float32Array, stops: float) -> Float32Array:
    """Return the light times 2^stops; -stops undoes it."""
    return linear * np.float32(2**stops)


def saturate_highlights(linear: Float32Array, brightest: float) -> Float32Array:
    """Return light as a soft shoulder records it: 1 - exp above `KNEE`, of slope 1 there.

    Args:
        linear: light of any shape, 1 is white.
        brightest: light above this counts as this; > 1.
    """
    excess = (np.minimum(linear, np.float32(brightest)) - np.float32(KNEE)) / np.float32(1 - KNEE)
    shoulder = np.float32(KNEE) - np.float32(1 - KNEE) * np.expm1(-np.maximum(excess, 0))
    return np.where(linear > KNEE, shoulder, linear)


def brighten_highlights(linear: Float32Array, brightest: float) -> Float32Array:
    """Return the light that `saturate_highlights` records as `linear`, at most `brightest`.

    A photograph ends at white, its scene did not. Blurred as it is, a lamp turns grey; brightened
    before, it stays a saturated disk.
    """
    excess = np.clip((linear - np.float32(KNEE)) / np.float32(1 - KNEE), 0, 1)
    with np.errstate(divide="ignore"):  # white itself may be as bright as we allow
        shoulder = np.float32(KNEE) - np.float32(1 - KNEE) * np.log1p(-excess)
    return np.where(linear > KNEE, np.minimum(shoulder, np.float32(brightest)), linear)


# Colour
# --------------------------------------------------------------------------------------------------


def srgb_to_camera(name: ColourMatrix) -> Float64Array:
    """Return the 3 x 3 matrix from linear sRGB to a camera's RGB; white stays (1, 1, 1).

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _XYZ_TO_CAMERA:
        raise ValueError(f"a colour matrix is one of {', '.join(COLOUR_MATRICES)}, got {name!r}")
    matrix = np.array(_XYZ_TO_CAMERA[name]) @ np.array(_SRGB_TO_XYZ)
    rows_of_white_one: Float64Array = matrix / matrix.sum(axis=1, keepdims=True)
    return rows_of_white_one


def to_camera_colours(linear: Picture, name: ColourMatrix) -> Picture:
    """Return linear sRGB light (H x W x 3) in the RGB of a camera."""
    return cast(Picture, cv2.transform(linear, srgb_to_camera(name)))


def from_camera_colours(linear: Picture, name: ColourMatrix) -> Picture:
    """Return light in the RGB of a camera (H x W x 3) as linear sRGB."""
    return cast(Picture, cv2.transform(linear, np.linalg.inv(srgb_to_camera(name))))


def apply_white_balance(linear: Picture, gains: tuple[float, float]) -> Picture:
    """Return the light (H x W x 3) with red and blue times their gains."""
    return linear * _gains_of_channels(gains)


def undo_white_balance(linear: Picture, gains: tuple[float, float]) -> Picture:
    """Return the light (H x W x 3) with red and blue divided by their gains, as a sensor sees it
    that is most sensitive to green.
    """
    return linear / _gains_of_channels(gains)


def _gains_of_channels(gains: tuple[float, float]) -> Float32Array:
    red, blue = gains
    return np.array([red, 1, blue], np.float32)


# Noise
# --------------------------------------------------------------------------------------------------


def add_sensor_noise(
    linear: Float32Array, sensor: Sensor, iso: float, random: np.random.Generator
) -> Float32Array:
    """Return light with photon noise (Poisson) and read noise (Gaussian).

    The variance is a x + b with a = 1 / N and b = (read noise / N)^2, N the electrons of white
    (Foi et al., Practical Poissonian-Gaussian noise modeling and fitting, IEEE TIP 17(10), 2008).

    Args:
        linear: light of any shape, 1 is white; below 0 there are no photons.
        sensor: its full well and read noise.
        iso: > 0; the light that is white falls as the ISO rises.
        random: source of the noise.
    """
    white = sensor.white_electrons(iso)
    electrons = random.poisson(np.maximum(linear, 0) * white).astype(np.float32)
    electrons += random.standard_normal(linear.shape, np.float32) * np.float32(sensor.read_noise)
    noisy: Float32Array = electrons / np.float32(white)
    return noisy


def noise_variance(linear: Float32Array, sensor: Sensor, iso: float) -> Float32Array:
    """Return the variance of what `add_sensor_noise` adds, for light >= 0 of any shape."""
    white = sensor.white_electrons(iso)
    variance: Float32Array = (linear * white + sensor.read_noise**2) / white**2
    return variance.astype(np.float32)


# Mosaic
# --------------------------------------------------------------------------------------------------


def low_pass(linear: Picture, sigma: float) -> Picture:
    """Return the light behind the filter in front of a sensor that keeps detail finer than its
    mosaic from turning into colours: a Gaussian of `sigma` pixels, > 0.
    """
    return cast(Picture, cv2.GaussianBlur(linear, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def sample_mosaic(linear: Picture) -> Plane:
    """Return what a sensor under a Bayer mosaic sees of RGB light (H x W x 3): H x W, red in the
    top left corner, then green; below it green, then blue.
    """
    plane = linear[..., 1].copy()
    plane[::2, ::2] = linear[::2, ::2, 0]
    plane[1::2, 1::2] = linear[1::2, 1::2, 2]
    return plane


def demosaic(plane: Plane, method: Demosaicing) -> Picture:
    """Return the RGB light (H x W x 3) of a Bayer mosaic (H x W, red in the top left corner) by
    OpenCV, in 16 bits.

    Light is clipped to [-0.06, 1], as a sensor does: from the black level down to 0, and where it
    saturates. The border is continued by reflection, which keeps the mosaic's order.

    Raises:
        ValueError: for a picture of fewer than 5 x 5 pixels, which cannot be continued.
    """
    if min(plane.shape) <= _MOSAIC_BORDER:
        raise ValueError(f"a mosaic has at least 5 x 5 pixels, got {plane.shape}")
    raw = np.clip(np.rint(plane * (_RAW_TOP - _BLACK_LEVEL) + _BLACK_LEVEL), 0, _RAW_TOP)
    border = _MOSAIC_BORDER
    padded = cv2.copyMakeBorder(
        raw.astype(np.uint16), border, border, border, border, cv2.BORDER_REFLECT_101
    )
    colours = cast(NDArray[np.uint16], cv2.demosaicing(padded, _DEMOSAIC_CODE[method]))
    above_black = colours[border:-border, border:-border].astype(np.float32) - np.float32(
        _BLACK_LEVEL
    )
    return above_black / np.float32(_RAW_TOP - _BLACK_LEVEL)
