"""A phone's camera for `eval-phone`: its curve from light to codes, its sensor and its processing.

Light is linear, H x W x 3; 1 is a white wall, and `WHITE` saturates the sensor. Codes lie in
[0, 1]. The numbers stand for a phone; none is a measurement of one.
"""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import color, restoration

from benchmark.api import Picture
from benchmark.arrays import Float32Array, Plane

WHITE = 4.0
"""The light that saturates the sensor and has the code 1."""

# The curve's slope over log light where it is steepest, and the light near which that is.
_CONTRAST = 1.1
_HALF = 0.16**_CONTRAST
_SCALE = 1 + _HALF / WHITE**_CONTRAST

_DIFFRACTION = 0.5  # px, standard deviation; even in focus a phone's lens draws no finer
_GAINS = np.array([1.9, 1.0, 1.6], np.float32)
"""Of red, green and blue: how much less a sensor sees of a white wall in each colour."""
_FULL_WELL = 16000.0  # electrons, of a burst of frames that are merged
_READ_NOISE = 8.0  # electrons, of the burst

# Added to light before a cube root is taken, so that noise is no stronger in the dark.
_TOE = np.float32(0.02)

_LUMA_DENOISING = 0.01  # weight of the total variation
_CHROMA_DENOISING = 1.5  # px
_SHARPENING = 0.6
_SHARPENING_REACH = 0.9  # px
_CORING = 0.006  # smaller detail is not sharpened
_QUALITY = 92

# Weights times 8 of Malvar, He and Cutler, High-quality Linear Interpolation for Demosaicing of
# Bayer-patterned Color Images, ICASSP 2004.
_GREEN_AT_OTHERS = [
    [0, 0, -1, 0, 0],
    [0, 0, 2, 0, 0],
    [-1, 2, 4, 2, -1],
    [0, 0, 2, 0, 0],
    [0, 0, -1, 0, 0],
]
_COLOUR_BESIDE_GREEN = [
    [0, 0, 0.5, 0, 0],
    [0, -1, 0, -1, 0],
    [-1, 4, 5, 4, -1],
    [0, -1, 0, -1, 0],
    [0, 0, 0.5, 0, 0],
]
_COLOUR_AT_OPPOSITE = [
    [0, 0, -1.5, 0, 0],
    [0, 2, 0, 2, 0],
    [-1.5, 0, 6, 0, -1.5],
    [0, 2, 0, 2, 0],
    [0, 0, -1.5, 0, 0],
]


# Pictures
# --------------------------------------------------------------------------------------------------


def develop_picture(light: Picture, random: np.random.Generator) -> Picture:
    """Return the code values that the phone stores of light: with noise, as a JPEG."""
    noisy_mosaic = add_burst_noise(_expose_mosaic(light), random)
    return store_as_jpeg(_process_mosaic(noisy_mosaic), _QUALITY)


def develop_target(light: Picture) -> Picture:
    """Return what the phone makes of light without noise, before it is compressed."""
    return _process_mosaic(_expose_mosaic(light))


def _expose_mosaic(light: Picture) -> Plane:
    smooth = ndimage.gaussian_filter(light, (_DIFFRACTION, _DIFFRACTION, 0), mode="mirror")
    return read_mosaic(smooth / _GAINS)


def _process_mosaic(mosaic: Plane) -> Picture:
    balanced = mosaic * read_mosaic(np.broadcast_to(_GAINS, (*mosaic.shape, 3)))
    # Linear filters overshoot beside highlights, but little in the cube root, which is lightness.
    light = fill_mosaic(np.cbrt(balanced + _TOE)) ** 3 - _TOE
    return np.clip(enlarge_detail(smooth_noise(apply_film_curve(light))), 0, 1)


# Tone
# --------------------------------------------------------------------------------------------------


def apply_film_curve(light: Float32Array) -> Float32Array:
    """Return the code values of light of any shape, below 0 and above `WHITE` cut off.

    A film's characteristic curve: logistic over the logarithm of light (after Hurter and Driffield,
    1890), x^n / (x^n + h), scaled to 1 at `WHITE`.
    """
    power = np.clip(light, 0, WHITE) ** _CONTRAST
    return cast(Float32Array, (_SCALE * power / (power + _HALF)).astype(np.float32))


def undo_film_curve(codes: Float32Array) -> Float32Array:
    """Return the light of code values of any shape, the inverse of `apply_film_curve`."""
    inside = np.clip(codes, 0, 1)
    power = _HALF * inside / (_SCALE - inside)
    return cast(Float32Array, (power ** (1 / _CONTRAST)).astype(np.float32))


# Sensor
# --------------------------------------------------------------------------------------------------


def read_mosaic(light: Picture) -> Plane:
    """Return what a sensor sees of light under a Bayer mosaic (H x W): green and red in the first
    row, blue and green in the second.
    """
    mosaic = light[..., 1].copy()
    mosaic[::2, 1::2] = light[::2, 1::2, 0]
    mosaic[1::2, ::2] = light[1::2, ::2, 2]
    return mosaic


def add_burst_noise(mosaic: Plane, random: np.random.Generator) -> Plane:
    """Return the mosaic with the noise of photons and of reading, clipped where it saturates."""
    electrons = random.poisson(mosaic * (_FULL_WELL / WHITE))
    noisy = electrons + random.normal(0, _READ_NOISE, mosaic.shape)
    return (np.minimum(noisy, _FULL_WELL) * (WHITE / _FULL_WELL)).astype(np.float32)


def fill_mosaic(mosaic: Plane) -> Picture:
    """Return all colours (H x W x 3) of a mosaic as `read_mosaic` makes it, by the linear
    filters of Malvar, He and Cutler. Linear ramps come back exactly.
    """
    beside = np.array(_COLOUR_BESIDE_GREEN)
    in_row = _filter_mosaic(mosaic, beside)
    in_column = _filter_mosaic(mosaic, beside.T)
    opposite = _filter_mosaic(mosaic, np.array(_COLOUR_AT_OPPOSITE))
    light = np.dstack([mosaic, _filter_mosaic(mosaic, np.array(_GREEN_AT_OTHERS)), mosaic])
    first_greens, second_greens = np.s_[::2, ::2], np.s_[1::2, 1::2]
    reds, blues = np.s_[::2, 1::2], np.s_[1::2, ::2]
    for greens in (first_greens, second_greens):
        light[greens][..., 1] = mosaic[greens]
    light[first_greens][..., 0] = in_row[first_greens]
    light[first_greens][..., 2] = in_column[first_greens]
    light[second_greens][..., 0] = in_column[second_greens]
    light[second_greens][..., 2] = in_row[second_greens]
    light[blues][..., 0] = opposite[blues]
    light[reds][..., 2] = opposite[reds]
    return light


def _filter_mosaic(mosaic: Plane, weights: NDArray[np.float64]) -> Plane:
    # Mirrored about the pixels at the border, the mosaic keeps its order.
    return cast(Plane, ndimage.convolve(mosaic, weights / 8, mode="mirror"))


# Processing
# --------------------------------------------------------------------------------------------------


def smooth_noise(codes: Picture) -> Picture:
    """Return the picture with the total variation of its luma lowered (Chambolle, 2004) and its
    chroma smoothed.
    """
    yuv = color.rgb2yuv(codes).astype(np.float32)
    luma = yuv[..., 0]
    yuv[..., 0] = restoration.denoise_tv_chambolle(luma, weight=_LUMA_DENOISING)  # type: ignore[no-untyped-call]
    for channel in (1, 2):
        yuv[..., channel] = ndimage.gaussian_filter(yuv[..., channel], _CHROMA_DENOISING)
    return cast(Picture, color.yuv2rgb(yuv).astype(np.float32))


def enlarge_detail(codes: Picture) -> Picture:
    """Return the picture with the detail of its luma enlarged, but for the faintest, which may be
    noise.
    """
    luma = color.rgb2gray(codes)
    detail = luma - ndimage.gaussian_filter(luma, _SHARPENING_REACH)
    strong_detail = np.copysign(np.maximum(np.abs(detail) - _CORING, 0), detail)
    gain = (_SHARPENING * strong_detail).astype(np.float32)
    return cast(Picture, codes + gain[..., None])


def store_as_jpeg(codes: Picture, quality: int) -> Picture:
    """Return what a JPEG file makes of a picture, its chroma at half the resolution, by Pillow."""
    pixels = np.rint(np.clip(codes, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file), np.float32) / np.float32(255)
