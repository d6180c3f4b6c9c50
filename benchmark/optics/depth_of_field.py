"""Rendering of a shallow depth of field from a sharp picture and a map of signed PSF radii.

A thin lens is a set of pinholes. Seen through the pinhole at u (in units of the aperture's radius),
a point whose PSF has the signed radius r moves by r u; the nearer surface hides the farther; the
photograph is the mean over all u. Here that mean is taken surface by surface, on linear light:

1. The sharp picture shows no surface behind another. At every depth edge the farther surface is
   continued under the nearer one, as far as the lens can look round it.
2. The scene is cut into layers of equal r. A pixel between two layers is shared between them,
   linearly in r.
3. Each layer's light and coverage are convolved with the PSF of its r. The coverage is the share of
   the lens that sees the layer at a pixel if nothing is in the way.
4. From near to far, each layer takes its share of the lens, but at most what the nearer ones have
   left. Shares add up, so the layers of one slanted surface tile the lens without seams, and the
   blurred background never covers a sharp foreground. Where they do not add up to 1, the light is
   divided by their sum.

The result is exact for one plane, and for two if the farther one is in focus and known, or has one
colour. In general it keeps each layer's share of the lens but not which part of the lens it is, and
it must invent what is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture
from benchmark.arrays import Box, Float32Array, Float64Array, Plane
from benchmark.optics import gkm, light
from benchmark.optics._tiles import grow_box
from benchmark.optics.lens import MIDDLE, FieldPosition, Lens, LensPsf
from benchmark.optics.psf import ApertureHalf

JUMP = 0.5
"""Neighbouring pixels whose radii differ by more than this (px) lie on different surfaces."""

_FINE = 2.0  # px; layers are spaced evenly in arsinh(r / _FINE): small PSFs need the finer steps
_NEIGHBOURHOOD = np.ones((3, 3), np.uint8)
_FIELD_NODES = 5  # along each side of the picture


def render_depth_of_field(
    sharp: Picture,
    radius: Plane,
    *,
    psf: LensPsf = "disk",
    half: ApertureHalf | None = None,
    blades: int = 6,
    fineness: int = 32,
) -> Picture:
    """Return the picture that a lens of shallow depth of field takes of a scene.

    Args:
        sharp: the all-in-focus picture, H x W x 3, sRGB code values in [0, 1].
        radius, half, fineness: as for `render_light`.
        psf, blades: as for `benchmark.optics.lens.Lens`.

    Returns:
        H x W x 3 float32, sRGB code values, neither clamped nor rounded.

    Raises:
        ValueError: if shapes or values do not fit together.
    """
    lens = Lens(psf=psf, blades=blades)
    linear = render_light(light.to_linear(sharp), radius, lens, half=half, fineness=fineness)
    return light.to_srgb(linear)


def render_light(
    linear: Picture,
    radius: Plane,
    lens: Lens,
    *,
    half: ApertureHalf | None = None,
    fineness: int = 32,
) -> Picture:
    """Return the light behind a lens of shallow depth of field.

    Args:
        linear: the light of the all-in-focus scene, H x W x 3, 1 is white; whatever adds up.
        radius: H x W float32, signed radius in pixels of the disk whose second moment the PSF has
            (2 sigma): 0 in focus, positive behind the plane of focus, negative in front of it; the
            nearer of two surfaces has the smaller value.
        lens: its kernels, or `gkm` for the model of Quan et al., eq. (4): each pixel gathers with a
            Gaussian mixture of sigma |r| / 2, and nothing hides anything.
        half: the left or right dual-pixel view, through that half of the aperture only. Its PSF is
            the same half of the full PSF behind the plane of focus and the other half in front of
            it, so that in the left view the background moves left and the foreground right. Not for
            `gkm`, whose kernels have no halves.
        fineness: layers per unit of arsinh(r / 2 px). 32 puts them 1/16 px apart in focus and 1/4
            px apart at r = 8 px. A map with no more distinct radii than that is rendered without
            interpolation.

    Returns:
        H x W x 3 float32.

    Raises:
        ValueError: if shapes or values do not fit together.
    """
    if radius.shape != linear.shape[:2] or not np.isfinite(radius).all():
        raise ValueError(
            f"radius must be finite and {linear.shape[:2]} like the picture, got {radius.shape}"
        )
    if lens.psf != "gkm":
        return _render_layers(linear, radius, lens, half, fineness)
    if half is not None:
        raise ValueError("the Gaussian kernel mixture has no half apertures")
    return _blur_by_mixture(linear, radius)


def _blur_by_mixture(linear: Picture, radius: Plane) -> Picture:
    sigma = (np.abs(radius) / 2).astype(np.float32)
    bank = _bank_reaching(float(sigma.max()))
    return gkm.blur_picture(linear, gkm.mixing_coefficients(sigma, bank), bank)


def _bank_reaching(sigma: float) -> gkm.Bank:
    """Return the paper's bank, with its ladder continued if its largest kernel is too small for
    `sigma`.
    """
    size = 21
    while gkm.paper_bank(size).variances[-1] < sigma**2:
        size += 2
    return gkm.paper_bank(size)


def _render_layers(
    linear: Picture, radius: Plane, lens: Lens, half: ApertureHalf | None, fineness: int
) -> Picture:
    depths = _layer_depths(radius, fineness)
    field = _FieldGrid(radius.shape, lens)
    colours = _divide_colours(lens.colour_shift)
    margin = max(
        _farthest_reach(depths, _LayerKernels(lens, half, position, shift))
        for position in field.positions()
        for _, shift in colours
    )
    scene = _uncover_scene(
        _pad_by_reflection(linear, margin),
        _pad_by_reflection(radius, margin),
        reach=_uncovered_reach(depths, lens, margin),
    )
    picture = np.zeros_like(linear)
    for channels, shift in colours:
        colour = scene.of_channels(channels)
        for node in field.nodes():
            kernels = _LayerKernels(lens, half, node.position, shift)
            part = _composite_layers(colour.within(node.box, margin), depths, kernels)
            inner = part[margin : part.shape[0] - margin, margin : part.shape[1] - margin]
            picture[(*node.box, channels)] += inner * node.weight
    return picture


def _uncovered_reach(depths: list[float], lens: Lens, margin: int) -> int:
    """Return how far a farther surface is continued under a nearer one, in pixels."""
    if not lens.varies_over_field:
        return 2 * margin
    # The tails of such a PSF are long but hold little light. Surfaces continued as far would bring
    # colours from far away to every edge.
    largest = max(abs(depths[0]), abs(depths[-1])) + abs(lens.colour_shift)
    return 2 * (math.ceil(largest) + 1)


def _divide_colours(shift: float) -> list[tuple[slice, float]]:
    """Return the channels that can be rendered together, and what is added to their radii."""
    if shift == 0:
        return [(slice(0, 3), 0.0)]
    return [(slice(0, 1), -shift), (slice(1, 2), 0.0), (slice(2, 3), shift)]


@dataclass(frozen=True, slots=True)
class _LayerKernels:
    """The kernels of all layers at one place in the picture, in one colour.

    Attributes:
        shift: pixels, added to the signed radius of a layer.
    """

    lens: Lens
    half: ApertureHalf | None
    position: FieldPosition
    shift: float

    def __call__(self, depth: float) -> Float64Array:
        radius = depth + self.shift
        return _orient_kernel(self.lens.kernel(abs(radius), self.half, self.position), radius)


def _farthest_reach(depths: list[float], kernels: _LayerKernels) -> int:
    """Return how far any of the kernels can look, in pixels, and one more; the layers farthest from
    the plane of focus have the largest.
    """
    return max(len(kernels(depth)) for depth in (depths[0], depths[-1])) // 2 + 1


# Places in the picture
# --------------------------------------------------------------------------------------------------


class _FieldNode(NamedTuple):
    """A place whose PSFs stand for those around it.

    Attributes:
        box: the pixels that they are used for.
        weight: how much each of these counts, H x W x 1 or one number for all.
    """

    position: FieldPosition
    box: Box
    weight: Float32Array


class _FieldGrid:
    """A grid of nodes, between whose pictures every pixel is interpolated bilinearly; one node
    where the PSF is the same everywhere.
    """

    def __init__(self, shape: tuple[int, ...], lens: Lens) -> None:
        self._shape = shape
        self._varies = lens.varies_over_field

    def positions(self) -> list[FieldPosition]:
        return [node.position for node in self.nodes()]

    def nodes(self) -> list[_FieldNode]:
        height, width = self._shape
        if not self._varies:
            whole = slice(0, height), slice(0, width)
            return [_FieldNode(MIDDLE, whole, np.ones((1, 1, 1), np.float32))]
        half_diagonal = math.hypot(height, width) / 2
        nodes = []
        for middle_y, rows, row_weight in _divide_axis(height):
            for middle_x, columns, column_weight in _divide_axis(width):
                position = FieldPosition(
                    (middle_x - (width - 1) / 2) / half_diagonal,
                    (middle_y - (height - 1) / 2) / half_diagonal,
                )
                weight = np.outer(row_weight, column_weight)[..., None]
                nodes.append(_FieldNode(position, (rows, columns), weight))
        return nodes


def _divide_axis(length: int) -> list[tuple[float, slice, Float32Array]]:
    """Return for each node along an axis its place, the pixels between its neighbours, and their
    weights, which of all nodes sum to 1.
    """
    count = min(_FIELD_NODES, length)
    places = np.linspace(0, length - 1, count)
    pixels = np.arange(length)
    axis = []
    for number, place in enumerate(places):
        peak = np.zeros(count)
        peak[number] = 1
        weight = np.interp(pixels, places, peak).astype(np.float32)
        inside = np.flatnonzero(weight)
        span = slice(int(inside[0]), int(inside[-1]) + 1)
        axis.append((float(place), span, weight[span]))
    return axis


# Layers
# --------------------------------------------------------------------------------------------------


def _layer_depths(radius: Plane, fineness: int) -> list[float]:
    """Return the radii of the layers, near to far: every radius of the map if they are few, else
    evenly spaced ones.
    """
    values = np.unique(radius)
    near, far = np.arcsinh(np.float64(values[[0, -1]]) / _FINE)
    count = int(np.ceil((far - near) * fineness)) + 1
    if len(values) <= count:
        return [float(value) for value in values]
    inner = _FINE * np.sinh(np.linspace(near, far, count)[1:-1])
    return [float(values[0]), *inner.tolist(), float(values[-1])]


def _orient_kernel(psf: Float64Array, radius: float) -> Float64Array:
    """Return the kernel for `cv2.filter2D`, which correlates. In front of the plane of focus a PSF
    is upside down.
    """
    if radius < 0:
        return psf
    return psf[::-1, ::-1]


def _pad_by_reflection(array: Plane, margin: int) -> Plane:
    return cast(Plane, cv2.copyMakeBorder(array, margin, margin, margin, margin, gkm.BORDER))


@dataclass(frozen=True, slots=True, eq=False)
class _UncoveredScene:
    """What is seen, and what is hidden behind it; `hidden` is where the two differ. Light is
    linear, H x W x 3.
    """

    light: Picture
    radius: Plane
    hidden_light: Picture
    hidden_radius: Plane
    hidden: NDArray[np.bool_]

    def of_channels(self, channels: slice) -> _UncoveredScene:
        """Return the same scene in some colours."""
        return replace(
            self, light=self.light[..., channels], hidden_light=self.hidden_light[..., channels]
        )

    def within(self, box: Box, margin: int) -> _UncoveredScene:
        """Return the part in a box and `margin` pixels around it; the scene itself has so many
        around the picture that the box is of.
        """
        rows, columns = grow_box(box, margin)
        return _UncoveredScene(
            light=self.light[rows, columns],
            radius=self.radius[rows, columns],
            hidden_light=self.hidden_light[rows, columns],
            hidden_radius=self.hidden_radius[rows, columns],
            hidden=self.hidden[rows, columns],
        )


def _uncover_scene(linear: Picture, radius: Plane, reach: int) -> _UncoveredScene:
    """Continue the farther surface under the nearer one, ring by ring, up to `reach` pixels from
    every depth edge.
    """
    hidden_light = linear.reshape(-1, 3).copy()
    depth = radius.ravel().copy()
    inside = np.pad(np.ones((radius.shape[0] - 2, radius.shape[1] - 2), np.bool_), 1)
    ring = inside & (cv2.dilate(radius, _NEIGHBOURHOOD) > radius + JUMP)
    for _ in range(reach):
        grown_pixels = _grow_farther_surface(
            hidden_light, depth, np.flatnonzero(ring), radius.shape[1]
        )
        grown_mask = np.zeros(radius.size, np.uint8)
        grown_mask[grown_pixels] = 1
        ring = inside & (cv2.dilate(grown_mask.reshape(radius.shape), _NEIGHBOURHOOD) > 0)
    hidden_radius = depth.reshape(radius.shape)
    return _UncoveredScene(
        linear, radius, hidden_light.reshape(linear.shape), hidden_radius, hidden_radius > radius
    )


def _grow_farther_surface(
    light: Plane, depth: Plane, pixels: NDArray[np.intp], width: int
) -> NDArray[np.intp]:
    """Give each of these pixels that has a farther neighbour the mean of its farthest ones; return
    which changed.
    """
    row_steps = np.array([-width, 0, width])
    neighbour_offsets = (row_steps[:, None] + np.array([-1, 0, 1])).reshape(-1, 1)
    pixels = pixels[depth[pixels + neighbour_offsets].max(axis=0) > depth[pixels] + JUMP]
    neighbour_depth = depth[pixels + neighbour_offsets]
    weight = (neighbour_depth > neighbour_depth.max(axis=0) - JUMP).astype(np.float32)
    weight /= weight.sum(axis=0)
    mean_light = np.einsum("kn,knc->nc", weight, light[pixels + neighbour_offsets])
    light[pixels] = mean_light
    depth[pixels] = (weight * neighbour_depth).sum(axis=0)
    return pixels


def _composite_layers(
    scene: _UncoveredScene, depths: list[float], kernels: _LayerKernels
) -> Picture:
    """Return steps 2 to 4; near the outer border, within reach of the PSFs, the light is
    incomplete.
    """
    channels = scene.light.shape[2]
    total = np.zeros((*scene.radius.shape, channels + 1), np.float32)
    for box, layer, psf in _iterate_layers(scene, depths, kernels):
        blurred = cv2.filter2D(layer, cv2.CV_32F, psf, borderType=cv2.BORDER_CONSTANT)
        free_share = np.maximum(0, 1 - total[box][..., channels])
        share = np.minimum(1, free_share / np.maximum(blurred[..., channels], 1e-6))
        total[box] += blurred * share[..., None]
    # A PSF may be dark in its middle, so in a corner beyond the picture nothing is covered.
    return cast(Picture, total[..., :channels] / np.maximum(total[..., channels:], 1e-6))


def _iterate_layers(
    scene: _UncoveredScene, depths: list[float], kernels: _LayerKernels
) -> Iterator[tuple[Box, Plane, Float64Array]]:
    """Yield each layer, near to far: the box its PSF can reach, its light and coverage there (H x W
    x colours + 1), and its PSF.
    """
    steps = range(len(depths))
    position = np.interp(scene.radius, depths, steps).astype(np.float32)
    hidden_position = np.interp(scene.hidden_radius, depths, steps).astype(np.float32)
    hidden_position[~scene.hidden] = -np.inf
    for step, depth in enumerate(depths):
        front_share = _depth_layer_share(position, step)
        hidden_share = _depth_layer_share(hidden_position, step)
        coverage = front_share + hidden_share
        if coverage.any():
            psf = kernels(depth)
            box = _coverage_box(coverage, len(psf) // 2)
            front_light = scene.light[box] * front_share[box][..., None]
            hidden_light = scene.hidden_light[box] * hidden_share[box][..., None]
            yield box, np.dstack([front_light + hidden_light, coverage[box]]), psf


def _depth_layer_share(position: Plane, step: int) -> Plane:
    """Return each pixel's share in a layer; the shares of a pixel in its two layers add up to 1."""
    share: Plane = np.maximum(np.float32(0), 1 - np.abs(position - np.float32(step)))
    return share


def _coverage_box(coverage: Plane, margin: int) -> Box:
    """Return the smallest box that holds every covered pixel and `margin` pixels around it."""
    rows = np.flatnonzero(coverage.any(axis=1))
    columns = np.flatnonzero(coverage.any(axis=0))
    return (
        slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
        slice(max(0, columns[0] - margin), columns[-1] + margin + 1),
    )
