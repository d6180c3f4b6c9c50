"""`eval-phone`: people and things on the ground before a wall, as a phone takes them.

The ground's disparity grows from the horizon down, row by row; objects stand upright on it; the
lens is focused somewhere on the ground. All is exact (`eval_pinholes`): what an object hides is
known, as objects are cut out of the photograph's mirror image and put before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from benchmark.api import DatasetCard, Picture
from benchmark.arrays import Plane
from benchmark.datasets import eval_phone_camera as camera
from benchmark.datasets.eval_cutouts import cut_objects
from benchmark.datasets.eval_pinholes import (
    SAMPLES_PER_PIXEL,
    Surface,
    cover,
    make_disk_lens,
    make_pinhole,
    map_blur,
    take_picture,
)
from benchmark.datasets.eval_set import LAYOUT, EvaluationSet, Shot, sample_photograph

_PINHOLES = 160
_LENS = make_disk_lens(_PINHOLES)
_LARGEST_SIGMA = (1.5, 3.0)  # px
_HORIZON = (0.25, 0.45)  # share of the height
_FOCUS = (0.1, 0.9)  # share of the largest disparity
_OBJECTS = (2, 4)
_MARGIN = 64  # samples by which the ground goes on to the left, the right and the bottom


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground and the wall behind it.

    Attributes:
        horizon: row of the picture where they meet, px.
        wall: how far out of focus the wall is, and the ground at the horizon: sigma, px.
        slope: change of the ground's sigma from one row to the next, px; negative.
    """

    horizon: float
    wall: float
    slope: float

    @property
    def top(self) -> float:
        """The sigma that the ground would have in the picture's first row."""
        return self.wall - self.slope * self.horizon

    def sigma_at(self, row: float) -> float:
        """Return the sigma of what stands on the ground at a row."""
        return self.top + self.slope * row


class EvalPhone(EvaluationSet):
    """A phone's pictures of objects that stand on the ground."""

    card = DatasetCard(
        title="Phone (evaluation)",
        paper="this suite; photographs as in `simulated`",
        licence="that of the pictures",
        source="comes with the suite; source=DIR takes any folder of sharp pictures",
        layout=LAYOUT,
        generator="eval-phone",
        notes=(
            "Disks in linear light, occlusion exact; a film-like tone curve, photon noise, a "
            "mosaic, denoising, sharpening and JPEG. The target is what the same phone takes "
            "without blur and noise, not compressed. No code is shared with training, but "
            "gkmnet.photo learned through cameras with the same steps."
        ),
    )

    def take_shot(self, codes: Picture, size: int, random: np.random.Generator) -> Shot:
        light = sample_photograph(codes, size, camera.undo_film_curve)
        surfaces = invent_street(light, size, random)
        image = take_picture(surfaces, _LENS, size)
        target = take_picture(surfaces, make_pinhole(), size)
        return Shot(
            camera.develop_picture(image, random),
            camera.develop_target(target),
            map_blur(surfaces, _LENS, size),
        )


def invent_street(light: Picture, size: int, random: np.random.Generator) -> list[Surface]:
    """Return a wall, the ground before it and objects on the ground, from far to near.

    Args:
        light: samples of the photograph.
        size: side of the picture in pixels.
        random: source of all choices.
    """
    ground = _invent_ground(size, random)
    wall = Surface(cover(light), 0, 0, ground.wall, endless=True)
    surfaces = [wall, _lay_ground(light, ground)]
    objects = cut_objects(light[:, ::-1], int(random.integers(*_OBJECTS, endpoint=True)), random)
    feet = np.sort(random.uniform(ground.horizon + 0.1 * size, size, len(objects)))
    for samples, foot in zip(objects, feet, strict=True):
        middle = random.uniform(0.1, 0.9) * size
        surfaces.append(_put_upright(samples, middle, foot, ground))
    return surfaces


def _invent_ground(size: int, random: np.random.Generator) -> Ground:
    horizon = random.uniform(*_HORIZON) * size
    focus = random.uniform(*_FOCUS)
    largest = random.uniform(*_LARGEST_SIGMA)
    # Disparity is 0 at the horizon and 1 at the bottom; sigma is proportional to its distance from
    # that of the plane of focus.
    factor = largest / max(focus, 1 - focus)
    return Ground(horizon, factor * focus, -factor / (size - horizon))


def _lay_ground(light: Picture, ground: Ground) -> Surface:
    """Return the photograph below the horizon as a slanted plane."""
    row = round(ground.horizon * SAMPLES_PER_PIXEL)
    below = cover(light)[row:]
    wide = cv2.copyMakeBorder(below, 0, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REFLECT)
    left, top = -_MARGIN / SAMPLES_PER_PIXEL, row / SAMPLES_PER_PIXEL
    return Surface(cast(Plane, wide), left, top, ground.top, ground.slope)


def _put_upright(samples: Plane, middle: float, foot: float, ground: Ground) -> Surface:
    height, width = (length / SAMPLES_PER_PIXEL for length in samples.shape[:2])
    return Surface(samples, middle - width / 2, foot - height, ground.sigma_at(foot))
