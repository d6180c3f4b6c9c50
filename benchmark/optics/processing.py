"""What cameras and their users do to code values: denoise, sharpen, compress, resize.

Pictures are H x W x 3 float32 RGB code values in [0, 1]; noise levels are on the 0-255 scale.
"""

from __future__ import annotations

from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Map, Picture
from benchmark.arrays import Float32Array

ChromaSampling = Literal["4:2:0", "4:4:4"]
"""Chroma of a JPEG at half the resolution in both directions, or at the whole one."""

_SAMPLING_FACTORS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}
_MEDIAN_SIDE = 3
_DENOISE_DIAMETER = 5
_DENOISE_REACH = 1.5  # px, standard deviation
_SHARPEN_REACH = 1.0  # px, standard deviation


def suppress_false_colours(code: Picture) -> Picture:
    """Return the picture with R - G and B - G replaced by their medians over 3 x 3 pixels: what
    filling in a mosaic invents at edges (W. T. Freeman, US patent 4,724,395, 1988).
    """
    green = np.ascontiguousarray(code[..., 1])
    red_difference = cv2.medianBlur(code[..., 0] - green, _MEDIAN_SIDE)
    blue_difference = cv2.medianBlur(code[..., 2] - green, _MEDIAN_SIDE)
    return np.stack([green + red_difference, green, green + blue_difference], axis=-1)


def denoise(code: Picture, sigma: float) -> Picture:
    """Return the picture with a bilateral filter on luma and a Gaussian on chroma (OpenCV's
    YCrCb).

    Args:
        code: code values.
        sigma: differences of luma well below this stay noise, those well above stay edges; > 0.
    """
    ycc = cv2.cvtColor(code, cv2.COLOR_RGB2YCrCb)
    smooth = cv2.GaussianBlur(ycc, (0, 0), _DENOISE_REACH, borderType=cv2.BORDER_REFLECT)
    smooth[..., 0] = cv2.bilateralFilter(
        np.ascontiguousarray(ycc[..., 0]),
        _DENOISE_DIAMETER,
        sigma / 255,
        _DENOISE_REACH,
        borderType=cv2.BORDER_REFLECT,
    )
    return cast(Picture, cv2.cvtColor(smooth, cv2.COLOR_YCrCb2RGB))


def sharpen(code: Picture, amount: float) -> Picture:
    """Return the picture plus `amount` times what a Gaussian of 1 px takes from it: an unsharp
    mask. It is neither clipped nor rounded.
    """
    smooth = cv2.GaussianBlur(code, (0, 0), _SHARPEN_REACH, borderType=cv2.BORDER_REFLECT)
    return code + np.float32(amount) * (code - cast(Picture, smooth))


def add_grain(code: Picture, sigma: float, random: np.random.Generator) -> Picture:
    """Return the picture plus noise whose neighbours are alike: white Gaussian noise, independent
    by channel, summed over 2 x 2 pixels and scaled to `sigma`.

    The correlation is 1/2 at a distance of one pixel along an axis, 1/4 along both, 0 beyond.
    """
    height, width = code.shape[:2]
    white = random.standard_normal((height + 1, width + 1, 3), np.float32)
    rows = white[:-1] + white[1:]
    field: Picture = (rows[:, :-1] + rows[:, 1:]).astype(np.float32, copy=False)
    return code + field * np.float32(sigma / 255 / 2)


def round_to_bytes(code: Picture) -> NDArray[np.uint8]:
    """Return the nearest 8-bit code values; values outside [0, 1] are clipped."""
    levels: Picture = np.rint(np.clip(code, 0, 1) * np.float32(255))
    return levels.astype(np.uint8)


def compress_jpeg(code: Picture, quality: int, chroma: ChromaSampling) -> Picture:
    """Return what a JPEG file makes of a picture, by OpenCV's codec.

    Args:
        code: code values; they are rounded to 8 bits first.
        quality: 1 to 100 (libjpeg's scale).
        chroma: its resolution.
    """
    file = encode_camera_jpeg(round_to_bytes(code), quality, chroma)
    bgr = cast(NDArray[np.uint8], cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR))
    return bgr[..., ::-1].astype(np.float32) / np.float32(255)


def encode_camera_jpeg(pixels: NDArray[np.uint8], quality: int, chroma: ChromaSampling) -> bytes:
    """Return a JPEG file of 8-bit RGB pixels (H x W x 3).

    Raises:
        ValueError: for a quality outside 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"the quality of a JPEG is 1 to 100, got {quality}")
    flags = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        _SAMPLING_FACTORS[chroma],
    ]
    _, file = cv2.imencode(".jpg", pixels[..., ::-1], flags)
    return file.tobytes()


def resize(code: Picture, factor: float) -> Picture:
    """Return the picture with its sides times `factor`, rounded to whole pixels: by area to smaller
    sizes, by OpenCV's cubic (clipped to [0, 1]) to larger ones.

    Raises:
        ValueError: for a factor that leaves no pixel.
    """
    if factor < 1:
        return _resize_by_area(code, factor)
    larger = cv2.resize(code, _scale_size(code, factor), interpolation=cv2.INTER_CUBIC)
    return np.clip(cast(Picture, larger), 0, 1)


def resize_map(blur_map: Map, factor: float) -> Map:
    """Return the blur map (H x W, sigma in pixels) of a picture that went through `resize`: as
    large as it, and its sigmas times `factor`.
    """
    if factor < 1:
        resized = _resize_by_area(blur_map, factor)
    else:
        size = _scale_size(blur_map, factor)
        resized = cast(Map, cv2.resize(blur_map, size, interpolation=cv2.INTER_LINEAR))
    return resized * np.float32(factor)


def _resize_by_area(array: Float32Array, factor: float) -> Float32Array:
    size = _scale_size(array, factor)
    return cast(Float32Array, cv2.resize(array, size, interpolation=cv2.INTER_AREA))


def _scale_size(array: Float32Array, factor: float) -> tuple[int, int]:
    """Return width and height times `factor`."""
    height, width = (round(side * factor) for side in array.shape[:2])
    if min(height, width) < 1:
        raise ValueError(f"times {factor}, a picture of {array.shape[:2]} has no pixel left")
    return width, height
