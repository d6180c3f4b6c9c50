"""Invented scenes out of focus, rendered fast enough to train a network on.

The image model is that of `benchmark.optics.depth_of_field`: layers of equal signed PSF radius,
each convolved on linear light together with its coverage, from near to far, the farther surface
continued under the nearer one. It differs where training can do with less:

* Radii are rounded to `STEP`, and a map of many radii gets fewer layers.
* Hidden light is that of the nearest pixel of a farther surface (there: a mean that grows inwards
  ring by ring).
* Apertures can be vignetted (`cats-eye`) and generalised Gaussians have any exponent.

`tests/methods/training/test_scenes.py` states how far the two renderers agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture
from benchmark.arrays import Plane
from benchmark.optics import psf
from benchmark.optics.psf import ApertureHalf

Labels = NDArray[np.uint8]
Box = tuple[slice, slice]
Family = Literal["disk", "polygon", "gaussian", "generalised", "cats-eye"]
FAMILIES: tuple[Family, ...] = get_args(Family)

STEP = 0.125
"""Radii of layers are multiples of this, in pixels."""

_PER_PIXEL = round(1 / STEP)
_FINENESS = (
    4  # layers per unit of arsinh(r / _FINE), where a map has too many radii for a layer each
)
_FINE = 2.0
_JUMP = 0.5  # px; a surface is hidden only behind one that is nearer by more than this
# Few choices each, so that the kernels of an aperture are soon all in memory.
_BLADES = (5, 6, 7, 8, 9)
_SHAPES = (3.0, 4.0, 6.0, 10.0)  # between the Gaussian (2) and the disk
_CUTS = (0.3, 0.6, 0.9)
_ANGLES = 12


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
    """

    family: Family
    blades: int = 6
    shape: float = 4.0
    cut: float = 0.0
    angle: float = 0.0

    def kernel(self, radius: float, half: ApertureHalf | None = None) -> Plane:
        """Return the PSF of a signed radius in pixels, made for `cv2.filter2D`; see
        `depth_of_field.render_depth_of_field`.
        """
        return _kernel(self, radius, half)

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
        return Aperture(
            family,
            cut=float(random.choice(_CUTS)),
            angle=math.pi * random.integers(_ANGLES) / _ANGLES,
        )
    return Aperture(family)


@lru_cache(maxsize=4096)
def _kernel(aperture: Aperture, radius: float, half: ApertureHalf | None) -> Plane:
    sigma = abs(radius) / 2
    if aperture.family == "cats-eye":
        made = cats_eye(sigma, aperture.cut, aperture.angle, half=half)
    else:
        made = psf.psf_kernel(
            aperture.family, sigma, blades=aperture.blades, shape=aperture.shape, half=half
        )
    oriented = (
        made if radius < 0 else made[::-1, ::-1]
    )  # in front of the plane of focus a PSF is upside down
    taps: Plane = oriented.astype(np.float32, order="C")
    taps.flags.writeable = False
    return taps


def cats_eye(
    sigma: float, cut: float, angle: float, *, half: ApertureHalf | None = None
) -> NDArray[np.float64]:
    """Return the PSF of a lens vignetted by its barrel: what two equal disks have in common.

    Args:
        sigma: standard deviation in pixels >= 0, the root mean square over the two axes; 0 gives
            the 1 x 1 delta.
        cut: distance of the disks' centres in radii, in [0, 2); 0 gives the disk.
        angle: direction of that distance, radians.
        half: as for `benchmark.optics.psf.psf_kernel`.

    Returns:
        An odd square kernel that sums to 1, centred, integrated over pixels by sampling.
    """
    return psf.disk_overlap_kernel(sigma * _per_sigma(cut), cut, angle, half=half)


@lru_cache(maxsize=64)
def _per_sigma(cut: float) -> float:
    """Return the disks' radius for which what they have in common has a mean squared deviation of 1
    per axis.
    """
    along = np.linspace(0, 1 - cut / 2, 4001)
    chord = np.sqrt(np.maximum(0, 1 - (along + cut / 2) ** 2))
    variance = np.average((along**2 + chord**2 / 3) / 2, weights=chord)
    return float(1 / math.sqrt(variance))


# Scenes
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """How far out of focus each pixel is, and which surface it belongs to.

    Attributes:
        radius: H x W, signed PSF radius in pixels, multiples of `STEP`; as for
            `depth_of_field.render_depth_of_field`.
        surface: H x W, the number of the surface that is seen.
    """

    radius: Plane
    surface: Labels


def invent(size: int, max_radius: float, random: np.random.Generator) -> Scene:
    """Return an invented scene of size x size pixels with radii of at most `max_radius`, rounded to
    `STEP`.

    One in twenty is in focus throughout, one in ten has one radius throughout. The others are
    cut-outs of scenes of the kind `benchmark.optics.scenes.invented_radius` draws: slanted shapes
    before a smooth background, the last of them in the plane of focus. Two in three of those keep
    its ranges of radii, the others have a background at any depths and a smaller largest radius.
    """
    kind = random.random()
    if kind < 0.15:
        radius = 0.0 if kind < 0.05 else random.uniform(-max_radius, max_radius)
        return Scene(_stepped(np.full((size, size), radius)), np.zeros((size, size), np.uint8))
    return _composed(size, max_radius, random)


def _composed(size: int, max_radius: float, random: np.random.Generator) -> Scene:
    usual = random.random() < 2 / 3
    low, high = (-0.3, 1.0) if usual else np.sort(random.uniform(-1, 1, 2))
    scale = max_radius * (1.0 if usual else random.uniform(0.25, 1))
    whole = math.exp(
        random.uniform(math.log(size), math.log(max(size, 900.0)))
    )  # side of the scene, px
    corner = random.uniform(0, 1 - size / whole, 2) - 0.5
    radius = _background(size, whole, corner, random) * (high - low) + low
    surface = np.zeros((size, size), np.uint8)
    count = int(random.integers(2, 5))
    for number in range(1, count + 2):
        mask = _shape(size, whole, corner, random)
        plane = np.zeros_like(radius) if number > count else _slanted(size, whole, corner, random)
        mask &= (plane < radius) | (number > count)
        radius[mask], surface[mask] = plane[mask], number
    return Scene(_stepped(np.clip(radius * np.float32(scale), -max_radius, max_radius)), surface)


def _stepped(radius: NDArray[np.floating]) -> Plane:
    return cast(Plane, (np.rint(radius * _PER_PIXEL) / _PER_PIXEL).astype(np.float32))


def _background(
    size: int, whole: float, corner: NDArray[np.float64], random: np.random.Generator
) -> Plane:
    """Return the cut-out of a sum of slow waves that covers [0, 1] in the whole scene."""
    waves = [(*random.normal(0, 0.7, 2), random.random(), random.uniform(0.3, 1)) for _ in range(4)]

    def height(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        terms = (
            strength * np.cos(2 * np.pi * (u * x + v * y[:, None] + phase))
            for u, v, phase, strength in waves
        )
        return cast("NDArray[np.float64]", sum(terms))

    everywhere = np.linspace(-0.5, 0.5, 25)
    values = height(everywhere, everywhere)
    low, high = values.min(), values.max()
    # The waves are slow, so a coarse grid of them is enough; its nodes are placed as those
    # `cv2.resize` assumes.
    nodes = size // 8 + 1
    place = (np.arange(nodes) + 0.5) / nodes * size / whole
    coarse = (height(corner[0] + place, corner[1] + place) - low) / (high - low or 1)
    return cast(
        Plane, cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    )


def _slanted(
    size: int, whole: float, corner: NDArray[np.float64], random: np.random.Generator
) -> Plane:
    nearest, slope = random.uniform(-1, -0.3), random.uniform(-0.4, 0.4, 2)
    across, down = (
        (start + np.arange(size) / whole) * rise for start, rise in zip(corner, slope, strict=True)
    )
    return cast(Plane, (nearest + across + down[:, None]).astype(np.float32))


def _shape(
    size: int, whole: float, corner: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the mask of a superellipse with a more or less wavy outline."""
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    power, angle = 2 / random.choice([1.0, 2.0, 6.0]), random.uniform(0, np.pi)
    wave = 1 + random.choice([0, 0, 0.15]) * np.cos(
        random.integers(2, 8) * turn + random.uniform(0, 2 * np.pi)
    )
    sides = random.uniform(0.06, 0.2, 2)
    along, across = (
        side * wave * np.copysign(np.abs(part) ** power, part)
        for side, part in zip(sides, (np.cos(turn), np.sin(turn)), strict=True)
    )
    outline = np.stack(
        [
            along * math.cos(angle) - across * math.sin(angle),
            along * math.sin(angle) + across * math.cos(angle),
        ],
        axis=1,
    )
    placed = (outline + random.uniform(-0.35, 0.35, 2) - corner) * whole
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(placed * 16).astype(np.int32)], 1, shift=4)
    return mask.view(np.bool_)


# Rendering
# --------------------------------------------------------------------------------------------------


def expose(
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
    levels, place = _places(scene.radius)
    lit = np.ones((*place.shape, 4), np.float32)
    lit[..., :3] = linear
    hidden = _hidden(scene, 2 * max(aperture.reach(level) for level in (levels[0], levels[-1])))
    total = np.zeros_like(lit)
    for number, level in enumerate(levels):
        box, layer = _layer(lit, place, hidden, number, aperture.reach(level))
        # In darkness beyond the border: light and coverage are missing there alike.
        seen = cv2.filter2D(
            layer, cv2.CV_32F, aperture.kernel(level, half), borderType=cv2.BORDER_CONSTANT
        )
        _put_behind(total[box], seen)
    return cast(Picture, total[..., :3] / total[..., 3:])


@numba.njit(nogil=True, cache=True)
def _put_behind(total, seen):  # type: ignore[no-untyped-def]
    """Add light and coverage, H x W x 4, of a layer as far as those before it leave room."""
    one, nothing, least = np.float32(1), np.float32(0), np.float32(1e-6)
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            left = max(nothing, one - total[row, column, 3])
            share = min(one, left / max(seen[row, column, 3], least))
            for part in range(4):
                total[row, column, part] += seen[row, column, part] * share


def _places(radius: Plane) -> tuple[list[float], Plane]:
    """Return the radii of the layers, ascending, and where each pixel's radius lies between them,
    counted in layers.

    No layer is empty.
    """
    stepped = np.rint(radius * _PER_PIXEL).astype(np.int32)
    lowest = int(stepped.min())
    stepped -= lowest
    found = np.flatnonzero(np.bincount(stepped.ravel())) + lowest
    near, far = np.arcsinh(found[[0, -1]] / (_FINE * _PER_PIXEL))
    most = math.ceil((far - near) * _FINENESS) + 1
    if len(found) > most:
        spaced = np.rint(np.sinh(np.linspace(near, far, most)) * _FINE * _PER_PIXEL).astype(
            np.int64
        )
        in_focus = [0] if found[0] < 0 < found[-1] else []  # what is in focus stays untouched
        ladder = np.unique([*spaced, *in_focus])
        between = np.interp(found, ladder, np.arange(len(ladder)))
        found = ladder[np.union1d(np.floor(between), np.ceil(between)).astype(np.intp)]
    table = np.interp(np.arange(lowest, found[-1] + 1), found, np.arange(len(found))).astype(
        np.float32
    )
    return (found / _PER_PIXEL).tolist(), table[stepped]


@dataclass(frozen=True, slots=True, eq=False)
class _Hidden:
    """Pixels behind which a farther surface goes on, and for each the nearest visible pixel of one
    (flat indices).
    """

    pixels: NDArray[np.intp]
    sources: NDArray[np.intp]


def _hidden(scene: Scene, reach: int) -> _Hidden:
    """Return what is hidden within `reach` pixels of the edges of the surfaces."""
    radius, surface = scene.radius, scene.surface
    pixels, sources = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for number in np.flatnonzero(np.bincount(surface.ravel())):
        own = surface == number
        farther = ~own & (radius > radius[own].min() + _JUMP)
        if not farther.any():
            continue
        distance, label = cv2.distanceTransformWithLabels(
            (~farther).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        near = np.flatnonzero(own & (distance <= reach))
        at = np.zeros(int(label.max()) + 1, np.intp)
        at[label[farther]] = np.flatnonzero(farther)
        there = at[label.ravel()[near]]
        behind = radius.ravel()[there] > radius.ravel()[near] + _JUMP
        pixels.append(near[behind])
        sources.append(there[behind])
    return _Hidden(np.concatenate(pixels), np.concatenate(sources))


def _layer(lit: Plane, place: Plane, hidden: _Hidden, number: int, reach: int) -> tuple[Box, Plane]:
    """Return the box that a layer's PSF can reach, and the layer's light and coverage (H x W x 4)
    there.
    """
    share = _tent(place, number)
    behind = _tent(place.ravel()[hidden.sources], number)
    some = np.flatnonzero(behind)
    pixels, sources = hidden.pixels[some], hidden.sources[some]
    covered = share > 0
    covered.ravel()[pixels] = True
    x, y, width, height = cv2.boundingRect(covered.view(np.uint8))
    top, left = max(0, y - reach), max(0, x - reach)
    box = slice(top, y + height + reach), slice(left, x + width + reach)
    layer = _shared(lit[box], share[box])
    row, column = np.divmod(pixels, place.shape[1])
    layer[row - top, column - left] += lit.reshape(-1, 4)[sources] * behind[some, None]
    return box, layer


@numba.njit(nogil=True, cache=True)
def _shared(lit, share):  # type: ignore[no-untyped-def]
    """Return H x W x 4 numbers times H x W."""
    made = np.empty(lit.shape, np.float32)
    for row in range(lit.shape[0]):
        for column in range(lit.shape[1]):
            for part in range(4):
                made[row, column, part] = lit[row, column, part] * share[row, column]
    return made


def _tent(place: Plane, number: int) -> Plane:
    """Return each pixel's share in a layer; the shares of a pixel in its two layers add up to 1."""
    return cast(Plane, np.maximum(np.float32(0), 1 - np.abs(place - np.float32(number))))
