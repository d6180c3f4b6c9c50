"""Where the signed radii of a rendered scene come from: a measured depth or disparity map, or
invention.

The signed PSF radius is that of `benchmark.optics.depth_of_field`: pixels, 0 in focus, positive
behind the plane of focus, and smaller for the nearer of two surfaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import DataError, Picture
from benchmark.arrays import Plane
from benchmark.optics.depth_of_field import JUMP

GENERATOR = "simulated defocus"
"""What cards call the generator of these scenes: of the data set `simulated`, of the examples that
networks are trained on, and of the pictures that constants were tuned on.
"""

DepthKind = Literal["disparity", "depth"]

_NEIGHBOURHOOD = np.ones((3, 3), np.uint8)
_DISTANCE_WEIGHT = (
    0.02**2
)  # what a distance of one pixel weighs against a squared colour difference
_EDGE_WEIGHT = 0.1**2  # what lying next to a depth edge weighs


def read_depth(path: Path, *, size_of: Picture | None = None) -> Plane:
    """Return a depth or disparity map as stored, H x W float32; 0 or a value that is not finite
    means unknown.

    Args:
        path: a grey picture that `benchmark.imageio` reads, in 8 or 16 bits or in floating point
            (TIFF, PFM); a `.npy`; or an `.npz`, whose first array counts.
        size_of: the picture that the map must fit.

    Raises:
        DataError: if the file is missing, damaged, not two-dimensional, of another size, or knows
            no pixel.
    """
    try:
        values = (
            _read_depth_array(path)
            if path.suffix.lower() in {".npy", ".npz"}
            else _read_depth_picture(path)
        )
    except Exception as error:  # decoders raise anything on damaged bytes
        reason = str(error).removeprefix(f"{path}: ").partition("; expected")[0]
        raise DataError(
            f"{path}: cannot be read as a depth map: {reason}; expected a grey picture or .npy"
        ) from error
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise DataError(
            f"{path}: expected one number per pixel (H x W), found {values.shape} {values.dtype}"
        )
    if size_of is not None and values.shape != size_of.shape[:2]:
        raise DataError(
            f"{path}: is {values.shape[1]}x{values.shape[0]} px, but its picture is "
            f"{size_of.shape[1]}x{size_of.shape[0]}; give a map of the picture's size"
        )
    if not _is_known_depth(values).any():
        raise DataError(
            f"{path}: every pixel is unknown (0 or not finite); give a map with depth in it"
        )
    return values.astype(np.float32)


def _read_depth_array(path: Path) -> NDArray[Any]:
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return content
    with content:
        return np.asarray(content[content.files[0]])


def _read_depth_picture(path: Path) -> NDArray[Any]:
    picture, bit_depth = imageio.read(path, allow_float=True, allow_transparent=True)
    if not all(np.array_equal(picture[..., 0], picture[..., k], equal_nan=True) for k in (1, 2)):
        raise ValueError("it is in colour")
    values = picture[..., 0]
    if bit_depth == 32:
        return values
    levels: NDArray[np.float64] = np.rint(values.astype(np.float64) * (2**bit_depth - 1))
    return levels


def radius_from_depth(
    values: Plane, max_radius: float, focus: float = 0.5, kind: DepthKind = "disparity"
) -> Plane:
    """Return the signed PSF radii (H x W float32, px) with which a thin lens renders a scene of
    measured depth.

    The radius of a thin lens's PSF is affine in inverse depth (Potmesil and Chakravarty, 1982), and
    stereo disparity is proportional to inverse depth, so only the aperture and the plane of focus
    are left to choose. Unknown pixels take the farther of the surfaces to their left and right: a
    stereo pair does not know what one of its cameras cannot see.

    Args:
        values: disparity, or depth along the optical axis, in any unit; 0 or a value that is not
            finite is unknown.
        max_radius: the largest radius in the picture, > 0; it sets the aperture.
        focus: the share of the picture that is nearer than the plane of focus, in [0, 1]. 0 focuses
            on the nearest pixel, 1 on the farthest; some pixel is always exactly in focus.
        kind: what the values are.

    Raises:
        ValueError: if no pixel is known, or a number is out of range.
    """
    if not (_is_known_depth(values).any() and max_radius > 0 and 0 <= focus <= 1):
        raise ValueError(
            f"no known depth, or max_radius {max_radius} <= 0, or focus {focus} outside [0, 1]"
        )
    depth = np.where(_is_known_depth(values), values, np.nan).astype(np.float64)
    inverse = _fill_unknown(depth if kind == "disparity" else 1 / depth)
    offset = np.quantile(inverse, 1 - focus, method="inverted_cdf") - inverse
    largest = np.abs(offset).max()
    aperture = max_radius / largest if largest else 0
    radius: Plane = (offset * aperture).astype(np.float32)
    return radius


def _is_known_depth(values: NDArray[Any]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.isfinite(values) & (values > 0)
    return mask


def _fill_unknown(inverse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill NaN along the rows with the farther neighbour; rows without any value are filled along
    the columns.
    """
    for _ in ("rows", "columns"):
        inverse = np.fmin(_carry_right(inverse), _carry_right(inverse[:, ::-1])[:, ::-1]).T
    return inverse


def _carry_right(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each NaN by the last number to its left, where there is one."""
    columns = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, columns), axis=1)
    return np.take_along_axis(values, last, axis=1)


def align_depth_edges(radius: Plane, picture: Picture) -> Plane:
    """Return a measured radius map with its depth edges moved to those of the picture, by up to two
    pixels.

    At depth edges a measured map is a pixel or two off, and has pixels between the two surfaces, on
    neither. Rendered as they are, they stay behind as a sharp outline of a blurred object. So every
    pixel next to a depth edge takes the radius of the pixel most like it in colour among its 5 x 5
    neighbours that belong to a surface; likeness counts less at a distance, and less next to a
    depth edge, where the map is not to be trusted.

    Args:
        radius: H x W, signed radii in pixels.
        picture: the sharp picture, H x W x 3.
    """
    above = cv2.dilate(radius, _NEIGHBOURHOOD) - radius
    below = radius - cv2.erode(radius, _NEIGHBOURHOOD)
    edge = np.maximum(above, below) > JUMP
    rows, columns = np.nonzero(edge)
    surface_mask = _surface_pixels(radius)
    lowest_cost = np.full(len(rows), np.inf)
    result = radius.copy()
    for down, right in np.ndindex(5, 5):
        neighbours = (
            np.clip(rows + down - 2, 0, len(radius) - 1),
            np.clip(columns + right - 2, 0, len(radius[0]) - 1),
        )
        colour_difference = np.square(picture[neighbours] - picture[rows, columns]).sum(axis=1)
        cost = colour_difference + _EDGE_WEIGHT * edge[neighbours]
        cost += _DISTANCE_WEIGHT * ((down - 2) ** 2 + (right - 2) ** 2)
        improves = surface_mask[neighbours] & (cost < lowest_cost)
        lowest_cost[improves] = cost[improves]
        result[rows[improves], columns[improves]] = radius[neighbours][improves]
    return result


def _surface_pixels(radius: Plane) -> NDArray[np.bool_]:
    """Return where at least three of the eight neighbours lie on the same surface."""
    padded = np.pad(radius, 1, mode="edge")
    height, width = radius.shape
    neighbours = (
        padded[down : down + height, right : right + width] for down, right in np.ndindex(3, 3)
    )
    alike_count = sum((np.abs(other - radius) <= JUMP).astype(np.int8) for other in neighbours)
    return np.asarray(alike_count) > 3  # the pixel itself is one of them


def invent_radius(height: int, width: int, max_radius: float, random: np.random.Generator) -> Plane:
    """Return the signed PSF radii (H x W float32, px) of an invented scene.

    A smooth background reaches from somewhat in front of the plane of focus to far behind it;
    nearer, slanted shapes stand before it; the last shape lies in the plane of focus. So every map
    has slopes and `max_radius` as its largest absolute value, and almost every one has both signs,
    pixels in focus and edges: in 4 of 1000 small scenes the last shape hides all the others.

    Args:
        height, width: in pixels.
        max_radius: > 0, in pixels.
        random: source of all choices; they do not depend on `max_radius`.
    """
    y, x = np.mgrid[:height, :width] / max(height, width) - 0.5
    radius = _invent_background(x, y, random)
    for nearest in random.uniform(-1, -0.3, size=random.integers(2, 5)):
        shape = _invent_shape(x, y, random)
        slope = random.uniform(-0.4, 0.4, size=2)
        slanted = nearest + slope[0] * x + slope[1] * y
        radius = np.where(shape, np.minimum(radius, slanted), radius)
    radius = np.where(_invent_shape(x, y, random), 0, radius)
    largest = np.abs(radius).max() or 1
    radius_px: Plane = (radius * (max_radius / largest)).astype(np.float32)
    return radius_px


def _invent_background(
    x: NDArray[np.float64], y: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return a sum of four slow waves, scaled to [-0.3, 1]."""
    waves = np.zeros_like(x)
    for _ in range(4):
        u = random.normal(0, 0.7)
        v = random.normal(0, 0.7)
        phase = random.uniform(0, 1)
        waves += random.uniform(0.3, 1) * np.cos(2 * np.pi * (u * x + v * y + phase))
    return np.interp(waves, (waves.min(), waves.max()), (-0.3, 1.0))


def _invent_shape(
    x: NDArray[np.float64], y: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the mask of a random diamond, ellipse or rounded rectangle (a superellipse)."""
    angle = random.uniform(0, np.pi)
    centre = random.uniform(-0.35, 0.35, size=2)
    half_width, half_height = random.uniform(0.06, 0.2, size=2)
    power = random.choice([1.0, 2.0, 6.0])
    dx = x - centre[0]
    dy = y - centre[1]
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    mask: NDArray[np.bool_] = (
        np.abs(along / half_width) ** power + np.abs(across / half_height) ** power <= 1
    )
    return mask
