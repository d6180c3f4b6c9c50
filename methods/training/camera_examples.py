"""Examples as cameras take them, for the recipe `photo`.

Between the light of a scene out of focus and the picture that is learned from stands a camera of
`benchmark.optics.camera`, drawn anew for every example: its noise, mosaic, colours, tone curve,
processing and JPEG. The sharp picture that should come of it is what the same camera takes without
blur, noise, mosaic and JPEG. Some examples have nothing to restore: in focus throughout, or
enlarged. Some are blurred in code values, as many public pictures are, and some have white noise on
top, as the benchmark adds it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TypeVar

import numpy as np

from benchmark.api import Picture, Scalar
from benchmark.methods.training import scenes
from benchmark.methods.training.examples import (
    Example,
    FolderExamples,
    cut_out,
    to_unit,
)
from benchmark.methods.training.scenes import Aperture, Family, Scene
from benchmark.noise import keyed_generator
from benchmark.optics import light, processing, sensor
from benchmark.optics.camera import Camera, read_scene_light, take_photograph, take_reference
from benchmark.optics.processing import ChromaSampling
from benchmark.optics.scenes import GENERATOR
from benchmark.optics.sensor import Demosaicing
from benchmark.optics.tone import TONE_CURVES, ToneCurve

LARGEST_RADIUS = 15.0
"""Of PSFs in pixels."""
SMALLEST_RADIUS = 2.0
"""The largest radius of an example lies between the two."""

_SHARP_SHARE = 0.1
"""Of the examples, in focus throughout, besides those that `scenes.invent_scene` draws."""
_ENLARGED_SHARE = 0.12
"""Of the examples, enlarged by their camera; half of these are in focus throughout."""
_ENLARGEMENTS = (1.25, 2.5)
_CODE_BLUR_SHARE = 0.16
"""Of the examples, whose code values are blurred as though they were light."""
_COLOUR_SHIFT_SHARE = 0.15
"""Of the examples, whose red and blue are focused elsewhere than green."""
_COLOUR_SHIFTS = (-8, 8)  # in steps of `scenes.STEP`
_WHITE_NOISE_SHARE = 0.2
_WHITE_NOISE = (0.3, 5.0)  # sigma, 0-255 scale
_GRID = 8  # px, of JPEG and of mosaics: a crop may begin anywhere on it
# What is named twice is drawn twice as often.
_MOSAICS: tuple[Demosaicing | None, ...] = (None, None, "bilinear", "edge-aware")
_TONES: tuple[ToneCurve, ...] = ("srgb", *TONE_CURVES)
_CHROMAS: tuple[ChromaSampling, ...] = ("4:2:0", "4:4:4")
_ISO = (25.0, 800.0)

Option = TypeVar("Option")

PSFS: tuple[Family, ...] = (
    "disk",
    "disk",
    "polygon",
    "generalised",
    "gaussian",
    "cats-eye",
    "lens",
)
"""The families of PSFs; one that is named more often is drawn more often."""


class CameraExamples(FolderExamples):
    """Crops of sharp pictures, put out of focus before a camera.

    `version` goes onto the card: it changes whenever an example may have other pixels.
    """

    version = "2"

    def example(self, index: int) -> Example:
        """Return example `index`: a picture, a camera, a cut-out, a lens, a scene, and what camera
        and lens make of it.
        """
        random = keyed_generator(self._seed, index)
        camera = draw_camera(random)
        scale = camera.scale or 1.0
        # A little more than the crop, which then lies anywhere on the grid of JPEG and mosaic.
        inner_size = math.ceil((self._crop + _GRID) / scale)
        aperture = scenes.draw_aperture(PSFS, random)
        max_radius = random.uniform(SMALLEST_RADIUS, LARGEST_RADIUS) / scale
        colour_shift = _draw_colour_shift(random)
        margin = aperture.reach(max_radius + abs(colour_shift))
        size = inner_size + 2 * margin
        sharp = read_scene_light(to_unit(cut_out(self._picture(index), size, random)), camera)
        scene = _draw_scene(size, max_radius, scale > 1, random)
        inner = np.s_[margin : margin + inner_size, margin : margin + inner_size]
        crop = self._draw_crop(random)
        if random.random() < _CODE_BLUR_SHARE:
            blurred = _blur_codes(sharp, scene, aperture)
        else:
            blurred = _blur_light(sharp, scene, aperture, colour_shift)
        picture = take_photograph(blurred[inner], camera, random)
        # The false colours of a mosaic are as little wanted as noise.
        target = take_reference(sharp[inner], dataclasses.replace(camera, mosaic=None))
        picture = _add_white_noise(_round(picture[crop]), random)
        return Example(picture, _round(target[crop]))

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the folder and all settings."""
        return {
            **super().card(),
            "generator": f"{GENERATOR}, version {self.version} with cameras",
            "seed": self._seed,
            "crop": self._crop,
            "largest radius": LARGEST_RADIUS,
            "PSFs": ", ".join(PSFS),
            "noise": f"photon and read noise of ISO {_ISO[0]:g} to {_ISO[1]:g}; white noise of "
            f"sigma {_WHITE_NOISE[0]:g} to {_WHITE_NOISE[1]:g} in {_WHITE_NOISE_SHARE:.0%}",
            "in focus": f"{_SHARP_SHARE:.0%} of the examples, and half of the enlarged ones",
            "longitudinal colour": f"{_COLOUR_SHIFT_SHARE:.0%} of the examples",
            "enlarged": f"{_ENLARGED_SHARE:.0%} of the examples",
            "blurred in code values": f"{_CODE_BLUR_SHARE:.0%} of the examples",
        }

    def _draw_crop(self, random: np.random.Generator) -> tuple[slice, slice]:
        """Return where in the photograph the crop lies."""
        top, left = random.integers(_GRID, size=2)
        return slice(top, top + self._crop), slice(left, left + self._crop)


def draw_camera(random: np.random.Generator) -> Camera:
    """Return a camera; each of its steps is there or not, independently of the others."""

    def draw(share: float, low: float, high: float) -> float | None:
        """Return a number between two with a probability, else None."""
        return random.uniform(low, high) if random.random() < share else None

    def choose(options: tuple[Option, ...]) -> Option:
        return options[random.integers(len(options))]

    white_balance = None
    if random.random() < 0.7:
        white_balance = (random.uniform(1.5, 2.6), random.uniform(1.3, 2.2))
    mosaic = choose(_MOSAICS)
    jpeg = draw(0.7, 70, 100)
    return Camera(
        exposure=draw(0.3, -0.5, 0.5) or 0.0,
        highlights=draw(0.5, 1.5, 6.0),
        low_pass=None if mosaic is None else draw(0.7, 0.4, 0.7),
        white_balance=white_balance,
        colour_matrix=choose((None, *sensor.COLOUR_MATRICES)),
        sensor=choose((sensor.SMALL_SENSOR, sensor.LARGE_SENSOR)),
        iso=_draw_iso(random),
        mosaic=mosaic,
        tone=choose(_TONES),
        denoise=draw(0.5, 2.0, 12.0),
        sharpen=draw(0.5, 0.2, 1.2),
        grain=draw(0.15, 0.3, 3.0),
        jpeg=None if jpeg is None else round(jpeg),
        chroma=choose(_CHROMAS),
        scale=draw(_ENLARGED_SHARE, *_ENLARGEMENTS),
    )


def _draw_iso(random: np.random.Generator) -> float | None:
    if random.random() < 0.2:
        return None
    low, high = np.log(_ISO)
    return math.exp(random.uniform(low, high))


def _draw_scene(size: int, max_radius: float, enlarged: bool, random: np.random.Generator) -> Scene:
    """Return an invented scene, or one that is in focus throughout."""
    share = 0.5 if enlarged else _SHARP_SHARE
    if random.random() < share:
        return Scene(np.zeros((size, size), np.float32), np.zeros((size, size), np.uint8))
    return scenes.invent_scene(size, max_radius, random)


def _draw_colour_shift(random: np.random.Generator) -> float:
    """Return how much larger the signed PSF radius of blue is than that of green, in pixels."""
    if random.random() >= _COLOUR_SHIFT_SHARE:
        return 0.0
    return float(random.integers(*_COLOUR_SHIFTS, endpoint=True) * scenes.STEP)


def _blur_light(sharp: Picture, scene: Scene, aperture: Aperture, colour_shift: float) -> Picture:
    """Return the light behind the lens. Longitudinal colour: red has a smaller signed radius than
    green by `colour_shift` pixels, blue a larger one.
    """
    if not scene.radius.any():
        return sharp
    blurred = scenes.expose_scene(sharp, scene, aperture)
    if colour_shift:
        for channel, shift in ((0, -colour_shift), (2, colour_shift)):
            shifted = Scene(scene.radius + np.float32(shift), scene.surface)
            blurred[..., channel] = scenes.expose_scene(sharp, shifted, aperture)[..., channel]
    return blurred


def _blur_codes(sharp: Picture, scene: Scene, aperture: Aperture) -> Picture:
    """Return the light whose sRGB code values are those of `sharp` blurred as though they were
    light.
    """
    if not scene.radius.any():
        return sharp
    return light.to_linear(scenes.expose_scene(light.to_srgb(sharp), scene, aperture))


def _add_white_noise(picture: Picture, random: np.random.Generator) -> Picture:
    """Return the picture with white noise in some of the examples."""
    if random.random() >= _WHITE_NOISE_SHARE:
        return picture
    low, high = np.log(_WHITE_NOISE)
    sigma = math.exp(random.uniform(low, high))
    return picture + random.standard_normal(picture.shape, np.float32) * np.float32(sigma / 255)


def _round(code: Picture) -> Picture:
    """Return code values as they come back from a file of 8 bits."""
    return to_unit(processing.round_to_bytes(code))
