"""A camera between the light behind a lens and the picture in a file.

The steps, in order: exposure, low-pass filter, camera colours, photon and read noise, saturation,
mosaic, white balance, colour matrix, tone curve, median of false colours, denoising, sharpening,
grain, JPEG, resizing. The first ones are in `benchmark.optics.sensor`, the curves in
`benchmark.optics.tone`, the last ones in `benchmark.optics.processing`. The light is linear sRGB, H
x W x 3 float32; what comes out are code values, H x W x 3 float32 in [0, 1], not rounded but by
JPEG.

    scene = read_scene_light(sharp, camera)         # what the camera saw
    picture = take_photograph(blurred, camera, random)
    target = take_reference(scene, camera)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from benchmark.api import Picture, Scalar
from benchmark.optics import processing, sensor
from benchmark.optics.processing import ChromaSampling
from benchmark.optics.sensor import ColourMatrix, Demosaicing, Sensor
from benchmark.optics.tone import ToneCurve, apply_tone, undo_tone

CameraName = Literal["none", "phone", "slr", "raw"]
"""
- `none`: the sRGB curve alone.
- `phone`: a phone's small sensor, strong curve and processing.
- `slr`: a JPEG of a system camera.
- `raw`: that camera's raw file, developed plainly.

They stand for kinds of cameras; no setting is measured.
"""

CAMERA_NAMES: tuple[CameraName, ...] = get_args(CameraName)


@dataclass(frozen=True, slots=True)
class Camera:
    """All settings of a camera; a step is left out where its setting is None.

    Attributes:
        exposure: in stops.
        highlights: the brightest light that a white pixel of a sharp photograph may stand for, > 1;
            see `sensor.brighten_highlights`.
        low_pass: sigma in pixels of the filter in front of the sensor; the target is as soft.
        white_balance: gains of red and blue; green has 1.
        colour_matrix: whose colours the sensor sees.
        sensor: how noisy it is, where there is noise.
        iso: of photon and read noise.
        mosaic: how the sensor's colour mosaic is filled in.
        tone: the curve from light to code values.
        denoise: sigma of the bilateral filter, 0-255 scale.
        sharpen: amount of the unsharp mask.
        grain: sigma of correlated noise, 0-255 scale.
        jpeg: quality, 1 to 100.
        chroma: of the JPEG.
        scale: factor of the sides of the picture.
    """

    exposure: float = 0.0
    highlights: float | None = None
    low_pass: float | None = None
    white_balance: tuple[float, float] | None = None
    colour_matrix: ColourMatrix | None = None
    sensor: Sensor = sensor.SMALL_SENSOR
    iso: float | None = None
    mosaic: Demosaicing | None = None
    tone: ToneCurve = "srgb"
    denoise: float | None = None
    sharpen: float | None = None
    grain: float | None = None
    jpeg: int | None = None
    chroma: ChromaSampling = "4:2:0"
    scale: float | None = None

    def __post_init__(self) -> None:
        gains = self.white_balance or (None, None)
        numbers = {
            "low_pass": self.low_pass,
            "iso": self.iso,
            "denoise": self.denoise,
            "grain": self.grain,
            "scale": self.scale,
            "gain of red": gains[0],
            "gain of blue": gains[1],
        }
        for name, number in numbers.items():
            if number is not None and not 0 < number < math.inf:
                raise ValueError(f"camera: {name} must be a finite number > 0, got {number}")
        if self.highlights is not None and not 1 < self.highlights < math.inf:
            raise ValueError(f"camera: highlights must be finite and > 1, got {self.highlights}")


CAMERAS: dict[CameraName, Camera] = {
    "none": Camera(),
    "phone": Camera(
        highlights=4.0,
        low_pass=0.6,
        white_balance=(2.0, 1.6),
        colour_matrix="c",
        iso=100.0,
        mosaic="edge-aware",
        tone="filmic",
        denoise=10.0,
        sharpen=0.6,
        jpeg=90,
    ),
    "slr": Camera(
        highlights=4.0,
        low_pass=0.6,
        white_balance=(2.2, 1.5),
        colour_matrix="a",
        sensor=sensor.LARGE_SENSOR,
        iso=400.0,
        mosaic="edge-aware",
        tone="half-smoothstep",
        denoise=4.0,
        sharpen=0.4,
        jpeg=95,
        chroma="4:4:4",
    ),
    "raw": Camera(
        highlights=4.0,
        low_pass=0.6,
        white_balance=(2.2, 1.5),
        colour_matrix="a",
        sensor=sensor.LARGE_SENSOR,
        iso=400.0,
        mosaic="edge-aware",
    ),
}


def with_steps(camera: Camera, steps: Mapping[str, Scalar | None]) -> Camera:
    """Return the camera with the settings that are given; None leaves a setting as it is.

    Raises:
        ValueError: for a setting out of its range.
    """
    settings: dict[str, Any] = {name: value for name, value in steps.items() if value is not None}
    return replace(camera, **settings)


def list_settings(camera: Camera) -> dict[str, Scalar]:
    """Return the settings that differ from those of no camera, as text: what pixels depend on."""
    settings = {
        field.name: (getattr(camera, field.name), field.default) for field in fields(camera)
    }
    return {name: str(value) for name, (value, default) in settings.items() if value != default}


def read_scene_light(code: Picture, camera: Camera) -> Picture:
    """Return the light (linear sRGB, H x W x 3) of a sharp photograph, as though the camera had
    taken it: its tone curve undone, its highlights brightened.

    Args:
        code: the sharp photograph's code values in [0, 1].
        camera: whose `take_reference` of this light is that photograph again, but for exposure,
            mosaic, denoising, sharpening, resizing and the highlights that saturate.
    """
    linear = undo_tone(code, camera.tone)
    if camera.highlights is None:
        return linear
    return sensor.brighten_highlights(linear, camera.highlights)


def take_photograph(linear: Picture, camera: Camera, random: np.random.Generator) -> Picture:
    """Return the code values that a camera makes of the light behind its lens.

    Args:
        linear: linear sRGB light, H x W x 3, after the lens.
        camera: the settings.
        random: source of all noise.
    """
    code = _develop_light(linear, camera, random)
    if camera.grain is not None:
        code = processing.add_grain(code, camera.grain, random)
    if camera.jpeg is not None:
        code = processing.compress_jpeg(code, camera.jpeg, camera.chroma)
    return _finish_codes(code, camera)


def take_reference(linear: Picture, camera: Camera) -> Picture:
    """Return the code values that the camera would make of light without noise and without JPEG,
    whose loss is as little wanted as noise.

    Of light without blur it is the target of `take_photograph`, pixel by pixel in its place.
    """
    return _finish_codes(_develop_light(linear, camera, None), camera)


def _develop_light(linear: Picture, camera: Camera, random: np.random.Generator | None) -> Picture:
    """Return the code values up to sharpening; without `random`, without noise."""
    recorded = _record_light(sensor.expose(linear, camera.exposure), camera, random)
    code = apply_tone(_restore_colours(recorded, camera), camera.tone)
    if camera.mosaic is not None:
        code = processing.suppress_false_colours(code)
    if camera.denoise is not None:
        code = processing.denoise(code, camera.denoise)
    if camera.sharpen is not None:
        code = processing.sharpen(code, camera.sharpen)
    return code


def _record_light(linear: Picture, camera: Camera, random: np.random.Generator | None) -> Picture:
    """Return what the sensor measures, its mosaic filled in, in the camera's colours."""
    if camera.low_pass is not None:
        linear = sensor.low_pass(linear, camera.low_pass)
    if camera.colour_matrix is not None:
        linear = sensor.to_camera_colours(linear, camera.colour_matrix)
    if camera.white_balance is not None:
        linear = sensor.undo_white_balance(linear, camera.white_balance)
    linear = np.maximum(linear, 0)  # a colour beyond the camera's own is no light to it
    # The mosaic comes before the noise, which is then drawn for one colour a pixel, not for three.
    reading = linear if camera.mosaic is None else sensor.sample_mosaic(linear)
    if camera.iso is not None and random is not None:
        reading = sensor.add_sensor_noise(reading, camera.sensor, camera.iso, random)
    reading = np.minimum(reading, np.float32(1))
    if camera.mosaic is None:
        return reading
    return sensor.demosaic(reading, camera.mosaic)


def _restore_colours(recorded: Picture, camera: Camera) -> Picture:
    """Return linear sRGB light, in [0, 1], of what the sensor measured."""
    if camera.white_balance is not None:
        recorded = sensor.apply_white_balance(recorded, camera.white_balance)
        # Where green is saturated, so are the others, or highlights turn magenta.
        recorded = np.minimum(recorded, np.float32(1))
    if camera.colour_matrix is not None:
        recorded = sensor.from_camera_colours(recorded, camera.colour_matrix)
    return np.clip(recorded, 0, 1)


def _finish_codes(code: Picture, camera: Camera) -> Picture:
    code = np.clip(code, 0, 1)
    if camera.scale is None:
        return code
    return processing.resize(code, camera.scale)
