"""What a lens sees of surfaces in space: the mean of what its pinholes see.

A lens is a set of pinholes. Through the pinhole at u, in units in which the PSF has a standard
deviation of 1 px per axis where it is 1 px out of focus, a point that is s out of focus lies s u
from its place, and whatever is nearer hides it. Each pinhole's view is made by itself, and all
views are added: the accumulation buffer (Haeberli and Akeley, The Accumulation Buffer, SIGGRAPH
1990). There are no kernels and no layers of equal blur, and nothing hidden is invented. What is
approximated is the number of pinholes, and that the edge of a surface covers a share of a pixel and
not a part of it.

Places in a picture are in pixels from its upper left corner, to the right and down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from benchmark.api import Map, Picture
from benchmark.arrays import Float32Array, Float64Array, Plane

SAMPLES_PER_PIXEL = 2
"""How finely surfaces are sampled, along either axis."""

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_SAMPLING = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
# light behind a surface times 1 - coverage, the same for all four channels
_TRANSMISSION = np.array([[0, 0, 0, -1, 1]] * 4, np.float32)


# Lenses
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PinholeLens:
    """A set of N pinholes.

    Attributes:
        positions: N x 2, to the right and down, in the unit of the module's text.
        shares: N x h x w, each pinhole's share of the light, on a grid that is stretched over the
            picture from corner to corner; 1 x 1 for the same everywhere. They add up to 1.
    """

    positions: Float64Array
    shares: Float32Array

    def spread(self, size: int) -> Plane:
        """Return the standard deviation per axis of the PSF at 1 px out of focus (size x size): the
        root mean square over both axes.
        """
        distance = np.square(self.positions).sum(axis=1) / 2
        variance = np.tensordot(distance, self.shares, axes=1).astype(np.float32)
        return np.sqrt(stretch_grid(variance, size))


def make_pinhole() -> PinholeLens:
    """Return a lens of one pinhole, through which everything is in focus."""
    return PinholeLens(np.zeros((1, 2)), np.ones((1, 1, 1), np.float32))


def make_disk_lens(count: int) -> PinholeLens:
    """Return a lens with a round opening, evenly filled by `count` pinholes (a sunflower)."""
    return _make_spiral_lens(np.sqrt(_quantiles(count)))


def make_ring_lens(count: int, inner: float) -> PinholeLens:
    """Return a mirror lens: a ring whose inner radius is a share `inner` < 1 of the outer one."""
    return _make_spiral_lens(np.sqrt(inner**2 + (1 - inner**2) * _quantiles(count)))


def make_gaussian_lens(count: int) -> PinholeLens:
    """Return a lens whose PSF is a Gaussian, each pinhole standing for an equal share of it."""
    return _make_spiral_lens(np.sqrt(-2 * np.log1p(-_quantiles(count))))


def _quantiles(count: int) -> Float64Array:
    return (np.arange(count) + 0.5) / count


def _make_spiral_lens(radii: Float64Array) -> PinholeLens:
    """Return a lens whose pinholes have these radii, in any unit, each a golden angle on."""
    angles = _GOLDEN_ANGLE * np.arange(len(radii))
    places = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    places -= places.mean(axis=0)
    positions = places / np.sqrt(np.square(places).sum(axis=1).mean() / 2)
    return PinholeLens(positions, np.full((len(radii), 1, 1), 1 / len(radii), np.float32))


# Surfaces
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Something flat that a lens looks at.

    Attributes:
        samples: h x w x 4, `SAMPLES_PER_PIXEL`: its light times its coverage, then the coverage, in
            [0, 1].
        left, top: place of its corner.
        sigma: how far out of focus it is at the picture's top, in px: the standard deviation of the
            PSF; positive behind the plane of focus, negative in front of it.
        slope: what is added to `sigma` from one row of the picture to the next.
        endless: it goes on beyond its border, by reflection.
    """

    samples: Plane
    left: float
    top: float
    sigma: float
    slope: float = 0.0
    endless: bool = False

    def sigma_of_rows(self, size: int) -> Float64Array:
        """Return how far out of focus it is in the middle of each row of the picture."""
        middles = np.arange(size, dtype=np.float64) + 0.5
        return self.sigma + self.slope * middles

    @property
    def size(self) -> tuple[float, float]:
        """Its width and height in pixels."""
        height, width = self.samples.shape[:2]
        return width / SAMPLES_PER_PIXEL, height / SAMPLES_PER_PIXEL


def cover(light: Picture) -> Plane:
    """Return light (h x w x 3) as the samples of a surface that lets nothing through."""
    return np.dstack([light, np.ones(light.shape[:2], np.float32)])


@dataclass(frozen=True, slots=True)
class _Box:
    """A part of a picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def holds_pixels(self) -> bool:
        return self.right > self.left and self.bottom > self.top

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


# Views
# --------------------------------------------------------------------------------------------------


def take_picture(surfaces: Sequence[Surface], lens: PinholeLens, size: int) -> Picture:
    """Return the light that a lens lets onto a sensor of size x size pixels (size x size x 3).

    Args:
        surfaces: from the farthest to the nearest; the first one must be endless.
        lens: its pinholes.
        size: side of the picture in pixels.
    """
    means = [_average_over_pixels(surface) for surface in surfaces]
    boxes = [(surface, _reachable_box(surface, lens, size)) for surface in means]
    visible = [(surface, box) for surface, box in boxes if box.holds_pixels]
    total = np.zeros((size, size, 4), np.float32)
    for position, share in zip(lens.positions, lens.shares, strict=True):
        view = np.zeros_like(total)
        for surface, box in visible:
            _put_before(view[box.slices], _project(surface, box, position))
        total += view * _stretch_over_channels(share, size)
    return np.ascontiguousarray(total[..., :3])


def _put_before(view: Plane, layer: Plane) -> None:
    """Put a layer, both light and coverage (h x w x 4), before what a view shows so far."""
    np.multiply(view, cv2.transform(layer, _TRANSMISSION), out=view)
    np.add(view, layer, out=view)


def _stretch_over_channels(share: Plane, size: int) -> Plane:
    """Return a share of the light for every pixel and all four channels, or one number for all."""
    if share.size == 1:
        return cast(Plane, share[0])
    return cast(Plane, cv2.merge([stretch_grid(share, size)] * 4))


def map_blur(surfaces: Sequence[Surface], lens: PinholeLens, size: int) -> Map:
    """Return the blur map of what `take_picture` returns (size x size): of the surface that is
    nearest in the middle of each pixel, through the middle of the lens.
    """
    middle = np.zeros(2)
    whole = _Box(0, 0, size, size)
    sigma = np.zeros((size, size))
    for surface in surfaces:
        coverage = _project(surface, whole, middle)[..., 3]
        sigma = np.where(coverage >= 0.5, surface.sigma_of_rows(size)[:, None], sigma)
    return (np.abs(sigma) * lens.spread(size)).astype(np.float32)


def blur_by_map(samples: Picture, sigma: Map, lens: PinholeLens) -> Picture:
    """Return a picture in which every pixel gathers over a PSF of its own size (H x W x 3).

    Nothing hides anything: this is blur as it is often simulated, not what a lens does.

    Args:
        samples: of the sharp picture, `SAMPLES_PER_PIXEL`; continued by reflection.
        sigma: H x W, signed size of the PSF in pixels, in the unit of the module's text.
        lens: its pinholes.
    """
    height, width = sigma.shape
    # x and y of the middles of all pixels
    middles = np.mgrid[:height, :width][::-1].astype(np.float32) + np.float32(0.5)
    means = _sum_neighbours(samples, cv2.BORDER_REFLECT) / np.float32(4)
    total = np.zeros((height, width, 3), np.float32)
    for position, share in zip(lens.positions, lens.shares, strict=True):
        places = middles + position.astype(np.float32)[:, None, None] * sigma
        x, y = np.float32(SAMPLES_PER_PIXEL) * places
        view = cv2.remap(means, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        total += view * share
    return total


def stretch_grid(grid: Plane, size: int) -> Plane:
    """Return a grid, whose outer nodes are the corners of a picture, at every pixel of it (size x
    size), linear in between.
    """
    if grid.size == 1:
        return np.full((size, size), grid[0, 0])
    nodes = len(grid) - 1
    step = nodes / size
    places = np.array([[step, 0, step / 2], [0, step, step / 2]])
    return cast(
        Plane,
        cv2.warpAffine(
            grid, places, (size, size), flags=_SAMPLING, borderMode=cv2.BORDER_REPLICATE
        ),
    )


def _average_over_pixels(surface: Surface) -> Surface:
    """Return a surface whose samples are each the mean over a whole pixel around it."""
    border = cv2.BORDER_REFLECT if surface.endless else cv2.BORDER_CONSTANT
    means = _sum_neighbours(surface.samples, border) / np.float32(4)
    quarter = 1 / (2 * SAMPLES_PER_PIXEL)
    return replace(surface, samples=means, left=surface.left - quarter, top=surface.top - quarter)


def _sum_neighbours(samples: Plane, border: int) -> Plane:
    """Return the sums over 2 x 2 samples, at every corner of one: (h + 1) x (w + 1) x C."""
    padded = cast(Plane, cv2.copyMakeBorder(samples, 1, 1, 1, 1, border))
    rows = padded[:-1] + padded[1:]
    return rows[:, :-1] + rows[:, 1:]


def _reachable_box(surface: Surface, lens: PinholeLens, size: int) -> _Box:
    """Return the part of a picture in which a surface can be seen through some pinhole."""
    if surface.endless:
        return _Box(0, 0, size, size)
    largest_sigma = np.abs(surface.sigma_of_rows(size)[[0, -1]]).max()
    reach = largest_sigma * np.abs(lens.positions).max() + 1
    width, height = surface.size
    sides = (surface.left, surface.top, surface.left + width, surface.top + height)
    margins = (-reach, -reach, reach, reach)
    left, top, right, bottom = (
        min(max(round(side + margin), 0), size) for side, margin in zip(sides, margins, strict=True)
    )
    return _Box(left, top, right, bottom)


def _project(surface: Surface, box: _Box, position: Float64Array) -> Plane:
    """Return a surface as a part of the picture sees it through a pinhole: light and coverage."""
    # What is at (x, y) on the surface appears at (x, y) + s u with s = sigma + slope y. Solved for
    # (x, y), that is affine too.
    right, down = position
    shrink = 1 / (1 + surface.slope * down)
    slant = np.array([[1, -surface.slope * right * shrink], [0, shrink]])
    shift = -surface.sigma * shrink * position
    corner = np.array([box.left, box.top]) + 0.5
    origin = np.array([surface.left, surface.top])
    start = SAMPLES_PER_PIXEL * (slant @ corner + shift - origin) - 0.5
    places = np.column_stack([SAMPLES_PER_PIXEL * slant, start])
    border = cv2.BORDER_REFLECT_101 if surface.endless else cv2.BORDER_CONSTANT
    return cast(
        Plane,
        cv2.warpAffine(surface.samples, places, box.size, flags=_SAMPLING, borderMode=border),
    )
