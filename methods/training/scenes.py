"""Invented scenes out of focus, rendered fast enough to train a network on.

The image model is that of `benchmark.optics.depth_of_field`: layers of equal signed PSF radius,
each convolved on linear light together with its coverage, from near to far, the farther surface
continued under the nearer one. It differs where training can do with less:

* Radii are rounded to `STEP`, and a map of many radii gets fewer layers.
* Hidden light is that of the nearest pixel of a farther surface (there: a mean that grows inwards
  ring by ring).
* Apertures can be vignetted (`cats-eye`), generalised Gaussians have any exponent, and there are
  ray-traced lenses (`lens`).

`tests/methods/training/test_scenes.py` states how far the two renderers agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture
from benchmark.arrays import Plane
from benchmark.compilation import compile_function
from benchmark.optics import psf
from benchmark.optics.psf import ApertureHalf
from benchmark.optics.ray_traced import (
    IMAGE_HEIGHTS,
    TRAINING_LENSES,
    TrainingLens,
    ray_traced_kernel,
)

Labels = NDArray[np.uint8]
PixelBox = tuple[slice, slice]
Family = Literal["disk", "polygon", "gaussian", "generalised", "cats-eye", "lens"]
FAMILIES: tuple[Family, ...] = get_args(Family)

STEP = 0.125
"""Radii of layers are multiples of this, in pixels."""

_PER_PIXEL = round(1 / STEP)
# Layers per unit of arsinh(r / _FINE), where a map has too many radii for a layer each.
_FINENESS = 4
_FINE = 2.0
_JUMP = 0.5  # px; a surface is hidden only behind one that is nearer by more than this
# Few choices each, so that the kernels of an aperture are soon all in memory.
_BLADES = (5, 6, 7, 8, 9)
_SHAPES = (3.0, 4.0, 6.0, 10.0)  # between the Gaussian (2) and the disk
_CUTS = (0.3, 0.6, 0.9)
_ANGLES = 12
LENSES = TRAINING_LENSES
"""Designs of the family `lens`."""


# Apertures
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aperture:
    """The shape of the lens's opening, and so of the PSF.

    Attributes:
        family: of the PSF.
        blades: sides of the polygon.
        shape: exponent of the generalised Gaussian.
        cut: how far the two rims of a vignetted lens are apart, in radii, in [0, 2).
        angle: direction in which they are apart, radians.
        design, height, turns: of a ray-traced lens; see `benchmark.optics.ray_traced`.
    """

    family: Family
    blades: int = 6
    shape: float = 4.0
    cut: float = 0.0
    angle: float = 0.0
    design: TrainingLens = "summilux"
    height: int = 1
    turns: int = 0

    def kernel(self, radius: float, half: ApertureHalf | None = None) -> Plane:
        """Return the PSF of a signed radius in pixels, made for `cv2.filter2D`; see
        `depth_of_field.render_depth_of_field`.
        """
        return _aperture_kernel(self, radius, half)

    def reach(self, radius: float) -> int:
        """Return how many pixels the PSF of that radius extends to each side."""
        return len(self.kernel(radius)) // 2


def draw_aperture(families: tuple[Family, ...], random: np.random.Generator) -> Aperture:
    """Return an aperture of one of the families, each as likely as it is often named."""
    family = families[random.integers(len(families))]
    if family == "polygon":
        return Aperture(family, blades=int(random.choice(_BLADES)))
    if family == "generalised":
        return Aperture(family, shape=float(random.choice(_SHAPES)))
    if family == "cats-eye":
        cut = float(random.choice(_CUTS))
        angle = math.pi * random.integers(_ANGLES) / _ANGLES
        return Aperture(family, cut=cut, angle=angle)
    if family == "lens":
        design = LENSES[random.integers(len(LENSES))]
        height = int(random.choice(IMAGE_HEIGHTS))
        return Aperture(family, design=design, height=height, turns=int(random.integers(4)))
    return Aperture(family)


@lru_cache(maxsize=4096)
def _aperture_kernel(aperture: Aperture, radius: float, half: ApertureHalf | None) -> Plane:
    sigma = abs(radius) / 2
    if aperture.family == "cats-eye":
        kernel = psf.cats_eye_kernel(sigma, aperture.cut, aperture.angle, half=half)
    elif aperture.family == "lens":
        if half is not None:
            raise ValueError("a ray-traced lens has no half apertures")
        kernel = ray_traced_kernel(aperture.design, aperture.height, sigma, aperture.turns)
    else:
        kernel = psf.psf_kernel(
            aperture.family, sigma, blades=aperture.blades, shape=aperture.shape, half=half
        )
    if radius >= 0:  # in front of the plane of focus a PSF is upside down, and so is correlation
        kernel = kernel[::-1, ::-1]
    taps: Plane = kernel.astype(np.float32, order="C")
    taps.flags.writeable = False
    return taps


# Scenes
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """How far out of focus each pixel is, and which surface it belongs to.

    Attributes:
        radius: H x W, signed PSF radius in pixels, multiples of `STEP`; as for
            `depth_of_field.render_depth_of_field`.
        surface: H x W, the number of the visible surface.
    """

    radius: Plane
    surface: Labels


def invent_scene(size: int, max_radius: float, random: np.random.Generator) -> Scene:
    """Return an invented scene of size x size pixels with radii of at most `max_radius`, rounded to
    `STEP`.

    One in twenty is in focus throughout, one in ten has one radius throughout. The others are
    cut-outs of scenes of the kind `benchmark.optics.scenes.invent_radius` draws: slanted shapes
    before a smooth background, the last of them in the plane of focus. Two in three of those keep
    its ranges of radii, the others have a background at any depths and a smaller largest radius.
    """
    kind = random.random()
    if kind >= 0.15:
        return _compose_scene(size, max_radius, random)
    radius = 0.0
    if kind >= 0.05:
        radius = random.uniform(-max_radius, max_radius)
    surface = np.zeros((size, size), np.uint8)
    return Scene(_round_to_step(np.full((size, size), radius)), surface)


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """The square cut-out of an invented scene; the scene itself covers [-0.5, 0.5] on both axes.

    Attributes:
        size: side of the cut-out in pixels.
        whole: side of the scene in pixels.
        corner: x and y of the cut-out's first pixel, in the scene's coordinates.
    """

    size: int
    whole: float
    corner: NDArray[np.float64]


def _compose_scene(size: int, max_radius: float, random: np.random.Generator) -> Scene:
    low, high, scale = _draw_depth_range(random)
    whole = math.exp(random.uniform(math.log(size), math.log(max(size, 900.0))))
    corner = random.uniform(0, 1 - size / whole, 2) - 0.5
    window = _Window(size, whole, corner)
    radius = _wavy_background(window, random) * (high - low) + low
    surface = np.zeros((size, size), np.uint8)
    count = int(random.integers(2, 5))
    for number in range(1, count + 1):
        shape = _superellipse_mask(window, random)
        plane = _slanted_plane(window, random)
        visible = shape & (plane < radius)
        radius[visible] = plane[visible]
        surface[visible] = number
    in_focus = _superellipse_mask(window, random)
    radius[in_focus] = 0
    surface[in_focus] = count + 1
    pixels = np.clip(radius * np.float32(max_radius * scale), -max_radius, max_radius)
    return Scene(_round_to_step(pixels), surface)


def _draw_depth_range(random: np.random.Generator) -> tuple[float, float, float]:
    """Return the least and the greatest radius of the background, and what both are scaled by, all
    in shares of the largest radius.
    """
    if random.random() < 2 / 3:  # as in the data set `simulated`
        return -0.3, 1.0, 1.0
    low, high = np.sort(random.uniform(-1, 1, 2))
    return low, high, random.uniform(0.25, 1)


def _round_to_step(radius: NDArray[np.floating]) -> Plane:
    return cast(Plane, (np.rint(radius * _PER_PIXEL) / _PER_PIXEL).astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Wave:
    """A plane wave over a scene: cycles along x and y, phase in cycles, strength."""

    x_cycles: float
    y_cycles: float
    phase: float
    strength: float


def _draw_wave(random: np.random.Generator) -> _Wave:
    x_cycles, y_cycles = random.normal(0, 0.7, 2)
    phase = random.random()
    return _Wave(x_cycles, y_cycles, phase, strength=random.uniform(0.3, 1))


def _sum_of_waves(
    waves: list[_Wave], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the height of the waves at all pairs of a y and an x."""
    height = np.zeros((len(y), len(x)))
    for wave in waves:
        cycles = wave.x_cycles * x + wave.y_cycles * y[:, None] + wave.phase
        height += wave.strength * np.cos(2 * np.pi * cycles)
    return height


def _wavy_background(window: _Window, random: np.random.Generator) -> Plane:
    """Return the cut-out of a sum of slow waves that covers [0, 1] in the whole scene."""
    waves = [_draw_wave(random) for _ in range(4)]
    everywhere = np.linspace(-0.5, 0.5, 25)
    values = _sum_of_waves(waves, everywhere, everywhere)
    lowest = values.min()
    extent = values.max() - lowest
    if extent == 0:
        extent = 1
    # The waves are slow, so a coarse grid of them is enough; its nodes lie as those `cv2.resize`
    # assumes.
    size = window.size
    nodes = size // 8 + 1
    position = (np.arange(nodes) + 0.5) / nodes * size / window.whole
    left, top = window.corner
    coarse = (_sum_of_waves(waves, left + position, top + position) - lowest) / extent
    fine = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return cast(Plane, fine)


def _slanted_plane(window: _Window, random: np.random.Generator) -> Plane:
    nearest = random.uniform(-1, -0.3)
    x_slope, y_slope = random.uniform(-0.4, 0.4, 2)
    left, top = window.corner
    position = np.arange(window.size) / window.whole
    across = (left + position) * x_slope
    down = (top + position) * y_slope
    return cast(Plane, (nearest + across + down[:, None]).astype(np.float32))


def _superellipse_mask(window: _Window, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return the mask of a superellipse with a more or less wavy outline."""
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    power = 2 / random.choice([1.0, 2.0, 6.0])
    angle = random.uniform(0, np.pi)
    ripple = random.choice([0, 0, 0.15])
    wave = 1 + ripple * np.cos(random.integers(2, 8) * turn + random.uniform(0, 2 * np.pi))
    length, width = random.uniform(0.06, 0.2, 2)
    along = length * wave * _signed_power(np.cos(turn), power)
    across = width * wave * _signed_power(np.sin(turn), power)
    x = along * math.cos(angle) - across * math.sin(angle)
    y = along * math.sin(angle) + across * math.cos(angle)
    centre = random.uniform(-0.35, 0.35, 2)
    outline = (np.stack([x, y], axis=1) + centre - window.corner) * window.whole
    mask = np.zeros((window.size, window.size), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 1, shift=4)
    return mask.view(np.bool_)


def _signed_power(values: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    return np.copysign(np.abs(values) ** power, values)


# Rendering
# --------------------------------------------------------------------------------------------------


def expose_scene(
    linear: Picture, scene: Scene, aperture: Aperture, half: ApertureHalf | None = None
) -> Picture:
    """Return the linear light of the picture that a lens takes of a scene.

    Args:
        linear: light of the all-in-focus picture, H x W x 3, as large as the scene. What lies
            beyond its border is not known and counts as covered by nothing, so results are exact
            only `aperture.reach` pixels inside.
        scene: radii and surfaces.
        aperture: shape of the PSF.
        half: the left or right dual-pixel view.
    """
    levels, position = _divide_into_layers(scene.radius)
    light = np.ones((*position.shape, 4), np.float32)
    light[..., :3] = linear
    largest_reach = max(aperture.reach(levels[0]), aperture.reach(levels[-1]))
    continuation = _continue_surfaces(scene, 2 * largest_reach)
    total = np.zeros_like(light)
    for number, level in enumerate(levels):
        box, layer = _cut_layer(light, position, continuation, number, aperture.reach(level))
        # In darkness beyond the border: light and coverage are missing there alike.
        blurred = cv2.filter2D(
            layer, cv2.CV_32F, aperture.kernel(level, half), borderType=cv2.BORDER_CONSTANT
        )
        _put_behind(total[box], blurred)
    return cast(Picture, total[..., :3] / total[..., 3:])


@compile_function
def _put_behind(total, layer):  # type: ignore[no-untyped-def]
    """Add light and coverage, H x W x 4, of a layer as far as those before it leave room."""
    one = np.float32(1)
    zero = np.float32(0)
    least = np.float32(1e-6)
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            room = max(zero, one - total[row, column, 3])
            share = min(one, room / max(layer[row, column, 3], least))
            for part in range(4):
                total[row, column, part] += layer[row, column, part] * share


def _divide_into_layers(radius: Plane) -> tuple[list[float], Plane]:
    """Return the radii of the layers, ascending, and where each pixel's radius lies between them,
    counted in layers.

    No layer is empty.
    """
    steps = np.rint(radius * _PER_PIXEL).astype(np.int32)
    lowest = int(steps.min())
    steps -= lowest
    levels = _thin_out(np.flatnonzero(np.bincount(steps.ravel())) + lowest)
    every_step = np.arange(lowest, levels[-1] + 1)
    position_of_step = np.interp(every_step, levels, np.arange(len(levels))).astype(np.float32)
    return (levels / _PER_PIXEL).tolist(), position_of_step[steps]


def _thin_out(radii: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the layers for these radii, all in steps: the radii themselves if they are few, else
    as many as `_FINENESS` says.
    """
    near, far = np.arcsinh(radii[[0, -1]] / (_FINE * _PER_PIXEL))
    most = math.ceil((far - near) * _FINENESS) + 1
    if len(radii) <= most:
        return radii
    ladder = np.rint(np.sinh(np.linspace(near, far, most)) * _FINE * _PER_PIXEL).astype(np.int64)
    if radii[0] < 0 < radii[-1]:  # what is in focus stays untouched
        ladder = np.append(ladder, 0)
    ladder = np.unique(ladder)
    between = np.interp(radii, ladder, np.arange(len(ladder)))
    rungs = np.union1d(np.floor(between), np.ceil(between)).astype(np.intp)
    return ladder[rungs]


@dataclass(frozen=True, slots=True, eq=False)
class _Continuation:
    """Pixels behind which a farther surface goes on, and for each the nearest visible pixel of one
    (flat indices).
    """

    pixels: NDArray[np.intp]
    sources: NDArray[np.intp]


def _continue_surfaces(scene: Scene, reach: int) -> _Continuation:
    """Return what goes on behind others within `reach` pixels of the edges of the surfaces."""
    radius = scene.radius
    pixels = [np.zeros(0, np.intp)]
    sources = [np.zeros(0, np.intp)]
    for number in np.flatnonzero(np.bincount(scene.surface.ravel())):
        surface_mask = scene.surface == number
        farther = ~surface_mask & (radius > radius[surface_mask].min() + _JUMP)
        if not farther.any():
            continue
        distance, label = cv2.distanceTransformWithLabels(
            (~farther).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        edge_pixels = np.flatnonzero(surface_mask & (distance <= reach))
        pixel_of_label = np.zeros(int(label.max()) + 1, np.intp)
        pixel_of_label[label[farther]] = np.flatnonzero(farther)
        nearest = pixel_of_label[label.ravel()[edge_pixels]]
        is_behind = radius.ravel()[nearest] > radius.ravel()[edge_pixels] + _JUMP
        pixels.append(edge_pixels[is_behind])
        sources.append(nearest[is_behind])
    return _Continuation(np.concatenate(pixels), np.concatenate(sources))


def _cut_layer(
    light: Plane, position: Plane, continuation: _Continuation, number: int, reach: int
) -> tuple[PixelBox, Plane]:
    """Return the box that a layer's PSF can reach, and the layer's light and coverage (H x W x 4)
    there.
    """
    share = _layer_share(position, number)
    hidden_share = _layer_share(position.ravel()[continuation.sources], number)
    members = np.flatnonzero(hidden_share)
    pixels = continuation.pixels[members]
    sources = continuation.sources[members]
    coverage = share > 0
    coverage.ravel()[pixels] = True
    x, y, width, height = cv2.boundingRect(coverage.view(np.uint8))
    top = max(0, y - reach)
    left = max(0, x - reach)
    box = (slice(top, y + height + reach), slice(left, x + width + reach))
    layer = _multiply_light(light[box], share[box])
    row, column = np.divmod(pixels, position.shape[1])
    layer[row - top, column - left] += light.reshape(-1, 4)[sources] * hidden_share[members, None]
    return box, layer


@compile_function
def _multiply_light(light, share):  # type: ignore[no-untyped-def]
    """Return H x W x 4 numbers times H x W."""
    product = np.empty(light.shape, np.float32)
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            for part in range(4):
                product[row, column, part] = light[row, column, part] * share[row, column]
    return product


def _layer_share(position: Plane, number: int) -> Plane:
    """Return each pixel's share in a layer; the shares of a pixel in its two layers add up to 1."""
    return cast(Plane, np.maximum(np.float32(0), 1 - np.abs(position - np.float32(number))))
