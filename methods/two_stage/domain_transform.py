"""The recursive edge-preserving filter of the domain transform.

Gastal and Oliveira, "Domain Transform for Edge-Aware Image and Video Processing", ACM Transactions
on Graphics 30(4) (SIGGRAPH 2011), section 5 (RF). Along a row or column, the distance from a pixel
to the one before it is

    D = 1 + sigma_space / sigma_range * sum over the guide's channels |difference|

and a first-order recursion runs over the row forwards, then backwards, with the weight a^D on the
neighbour and a = exp(-sqrt(2) / sigma_i). Rows and columns alternate; sigma_i halves with every
iteration, such that the variances of all iterations add up to sigma_space^2. The cost is linear in
the pixels, whatever the sigmas.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from benchmark.arrays import Float64Array, FloatArray


def recursive_filter(
    image: FloatArray,
    sigma_space: float,
    sigma_range: float,
    iterations: int = 3,
    guide: FloatArray | None = None,
) -> Float64Array:
    """Return `image` smoothed along, but not across, the edges of `guide`.

    Every output pixel is a weighted mean of the input pixels, channel by channel, with weights that
    depend on the guide alone: several quantities are filtered alike when they are stacked as
    channels.

    Args:
        image: H x W or H x W x C, finite.
        sigma_space: standard deviation in pixels where the guide is flat, > 0.
        sigma_range: the difference of the guide, summed over its channels, that counts as
            `sigma_space` pixels; > 0.
        iterations: passes over rows and columns, >= 1; more leave fewer streaks.
        guide: H x W or H x W x G, finite; the image itself if None.

    Returns:
        float64 array in the shape of `image`.

    Raises:
        ValueError: if the sizes differ or a parameter is out of its range.
    """
    if guide is None:
        guide = image
    if image.shape[:2] != guide.shape[:2]:
        raise ValueError(
            f"image {image.shape[:2]} and guide {guide.shape[:2]} must have the same size"
        )
    if not (sigma_space > 0 and sigma_range > 0 and iterations >= 1):
        raise ValueError(
            f"sigmas must be > 0 and iterations >= 1, got {sigma_space}, {sigma_range}, "
            f"{iterations}"
        )
    planes = np.array(np.moveaxis(np.atleast_3d(image), 2, 0), np.float64, order="C")
    channels, height, width = planes.shape
    turned_planes = np.empty_like(planes, shape=(channels, width, height))
    sigma = sigma_space * math.sqrt(3) * 2 ** (iterations - 1) / math.sqrt(4**iterations - 1)
    slope = sigma_space / sigma_range
    row_weights = _neighbour_weights(guide, 1, slope, sigma)
    column_weights = _neighbour_weights(guide, 0, slope, sigma)
    for _ in range(iterations):
        _transpose(planes, turned_planes)
        _filter_in_place(turned_planes, row_weights)
        _transpose(turned_planes, planes)
        _filter_in_place(planes, column_weights)
        for weights in (row_weights, column_weights):
            np.square(weights, out=weights)  # half the sigma: a^D becomes its square
    return np.moveaxis(planes, 0, 2).reshape(image.shape)


def _neighbour_weights(guide: FloatArray, axis: int, slope: float, sigma: float) -> Float64Array:
    """Return a^D between neighbours along an axis, which comes first: (length - 1) x lines."""
    values = np.moveaxis(np.atleast_3d(np.asarray(guide, np.float64)), axis, 0)
    distance: Float64Array = np.zeros((max(values.shape[0] - 1, 0), values.shape[1]))
    for channel in range(values.shape[2]):
        distance += np.abs(np.diff(values[..., channel], axis=0))
    distance *= slope
    distance += 1
    distance *= -math.sqrt(2) / sigma
    return np.exp(distance, out=distance)


def _transpose(planes: Float64Array, out: Float64Array) -> None:
    for plane, transpose in zip(planes, out, strict=True):
        cv2.transpose(plane, dst=transpose)


def _filter_in_place(planes: Float64Array, weights: Float64Array) -> None:
    """Run the recursion in place, forwards and backwards, over axis 1 of channels x length
    x lines.
    """
    steps = np.moveaxis(planes, 1, 0)
    change = np.empty_like(steps[0])
    last = len(steps) - 1
    forwards = [(i, i - 1, i - 1) for i in range(1, last + 1)]
    backwards = [(i, i + 1, i) for i in range(last - 1, -1, -1)]
    for here, neighbour, between in forwards + backwards:
        np.subtract(steps[neighbour], steps[here], out=change)
        change *= weights[between]
        steps[here] += change
