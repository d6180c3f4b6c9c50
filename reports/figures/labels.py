"""Labels at lines and points, in their colours, none of them over another.

The layout of a figure is made first, with room for the labels, and kept; then they find their
places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from benchmark.arrays import Float64Array
from benchmark.reports.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

LABEL_WIDTH: Final = 22
"""Letters of a line of a label, at most."""
_LABEL_LINES: Final = 6
_SIZE: Final = 6.5
_INDENT: Final = 1.05
"""Where labels of lines begin, in widths of the axes."""
_GAP: Final = 1.5
"""Between labels, in points."""
_DISTANCES: Final = (6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 45.0)
"""Of a label from its point, in points; the nearest that is free is taken."""
_HALF_MARKER: Final = 3.5
"""Half the width that is kept free for a point."""
_LEADER_FROM: Final = 10.0
"""From this distance on a leader says which point is meant."""
_ANGLES: Final[tuple[float, ...]] = tuple(
    np.deg2rad([0, 180, 40, -40, 140, -140, 90, -90, 65, -65, 115, -115]).tolist()
)


class PointLabel(NamedTuple):
    """A label of a point: where the point is, in data, and what is written in which colour."""

    x: float
    y: float
    text: str
    colour: str


# Lines
# --------------------------------------------------------------------------------------------------


def label_lines(figure: Figure, panels: Iterable[Axes], width: int = LABEL_WIDTH) -> None:
    """Write the label of every line of the axes right of them, as high as the line ends where that
    is free.

    Args:
        figure: whose layout is made and kept.
        panels: axes with nothing to their right; lines without a label have none.
        width: letters of a line of a label, at most.
    """
    labels = {axes: list(_annotate_ends(axes, width)) for axes in panels}
    _fix_layout(figure)
    for axes, line_labels in labels.items():
        _spread(axes, line_labels)


def _annotate_ends(axes: Axes, width: int) -> Iterator[Annotation]:
    from matplotlib.colors import to_hex

    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        line: Line2D = getattr(handle, "lines", [handle])[0]
        places = np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float)
        finite = places[np.isfinite(places).all(axis=1)]
        if len(finite):
            colour = to_hex(line.get_color())
            yield axes.annotate(
                style.wrap_name(label, width, _LABEL_LINES),
                xy=(finite[-1][0], finite[-1][1]),
                xytext=(_INDENT, 0.5),
                textcoords="axes fraction",
                verticalalignment="center",
                size=_SIZE,
                linespacing=0.95,
                color=style.darken(colour),
                annotation_clip=False,
                arrowprops=_leader(colour),
            )


def _leader(colour: str) -> dict[str, Any]:
    """Return how a thin line from a label to what it names is drawn."""
    return {
        "arrowstyle": "-",
        "color": colour,
        "linewidth": 0.5,
        "shrinkA": 1,
        "shrinkB": 2.5,
        "relpos": (0, 0.5),
    }


def _spread(axes: Axes, annotations: Sequence[Annotation]) -> None:
    """Move labels up and down until none is over another, as little as that takes."""
    if not annotations:
        return
    heights = np.array([_text_box(each).height for each in annotations])
    wanted = np.array([axes.transData.transform(each.xy)[1] for each in annotations])
    box = axes.get_window_extent()
    gap = _GAP * _points_to_pixels(axes)
    middles = spread_labels(wanted, heights + gap, (box.y0, box.y1))
    for annotation, middle in zip(annotations, middles, strict=True):
        annotation.set_position((_INDENT, (middle - box.y0) / box.height))


def spread_labels(
    wanted: Float64Array, heights: Float64Array, limits: tuple[float, float]
) -> Float64Array:
    """Return the middles of labels of these heights that are closest to the wanted ones (least
    squares) without any two overlapping.

    They stay within the limits; where those are too narrow for all, they stick out on both sides.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    # With what lies below a label taken off, "none overlaps" is "none is below the one before".
    ordered_heights = heights[order]
    below = np.cumsum(ordered_heights) - ordered_heights / 2
    total = heights.sum()
    low, high = limits
    outside = max(total - (high - low), 0.0) / 2
    offsets = isotonic_regression(wanted[order] - below).x
    offsets = np.clip(offsets, low - outside, high + outside - total)
    middles = np.empty_like(offsets)
    middles[order] = offsets + below
    return np.asarray(middles, dtype=np.float64)


# Points
# --------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A place for a label beside its point, in pixels of the figure.

    Attributes:
        box: left, bottom, right and top of the label.
        leader: places along the line from the label to near its point, N x 2; none where the label
            is so near that it needs no line.
    """

    box: Float64Array
    leader: Float64Array


def label_points(
    figure: Figure, labels: Mapping[Axes, Sequence[PointLabel]]
) -> dict[Axes, list[PointLabel]]:
    """Write labels beside their points, the first ones first, over no other label or point; return
    those for which there was no room.

    Lines and error bars are kept free where that is possible.
    """
    _fix_layout(figure)
    return {axes: _label_axes(axes, points) for axes, points in labels.items()}


def _label_axes(axes: Axes, points: Sequence[PointLabel]) -> list[PointLabel]:
    dot = _points_to_pixels(axes)
    half_marker = _HALF_MARKER * dot
    places = axes.transData.transform([(point.x, point.y) for point in points])
    taken = [_square_boxes(places, half_marker)]
    thin = _line_boxes(axes)
    left_out = []
    for point, pixel in zip(points, places, strict=True):
        annotation = _write_beside(axes, point)
        size = np.array(_text_box(annotation).size)
        place = _find_place(axes, pixel, size, np.concatenate(taken), thin)
        if place is None:
            annotation.remove()
            left_out.append(point)
        else:
            _move_to(axes, annotation, point, place)
            taken += [place.box[None], _square_boxes(place.leader, dot)]
    return left_out


def _write_beside(axes: Axes, point: PointLabel) -> Annotation:
    """Write the label of a point, its left lower corner at the left lower corner of the axes."""
    return axes.annotate(
        point.text,
        xy=(point.x, point.y),
        xytext=(0, 0),
        textcoords="axes fraction",
        verticalalignment="bottom",
        size=_SIZE,
        linespacing=0.95,
        color=style.darken(point.colour),
        annotation_clip=False,
    )


def _find_place(
    axes: Axes, pixel: Float64Array, size: Float64Array, taken: Float64Array, thin: Float64Array
) -> _Place | None:
    """Return the nearest place that is free; first of everything, then at least of labels and
    points.
    """
    limits = np.array(axes.get_window_extent().extents)
    for obstacles in (np.concatenate([taken, thin]), taken):
        for distance, angle in product(_DISTANCES, _ANGLES):
            place = _place_beside(pixel, size, distance, angle, _points_to_pixels(axes))
            inside = (place.box[:2] >= limits[:2]).all() and (place.box[2:] <= limits[2:]).all()
            if inside and not _overlaps(place.box, obstacles):
                dots = _square_boxes(place.leader, 0.5)
                if not any(_overlaps(box, taken) for box in dots):
                    return place
    return None


def _place_beside(
    pixel: Float64Array, size: Float64Array, distance: float, angle: float, dot: float
) -> _Place:
    """Return the place of a label of that size at a distance (points of `dot` pixels) and an angle
    (radians) from its point.
    """
    direction = np.array([np.cos(angle), np.sin(angle)])
    # the side of the label that is turned to the point, or the middle of it
    corner = pixel + distance * dot * direction + (np.rint(direction) - 1) / 2 * size
    box = np.concatenate([corner, corner + size])
    if distance < _LEADER_FROM:
        return _Place(box, np.empty((0, 2)))
    start = np.clip(pixel, box[:2], box[2:])
    length = max(float(np.hypot(*(pixel - start))), 1.0)
    way = max(1 - (_HALF_MARKER + 1.5) * dot / length, 0.0)
    shares = np.linspace(0.05, 1, 20)[:, None]
    return _Place(box, start + way * shares * (pixel - start))


def _move_to(axes: Axes, annotation: Annotation, point: PointLabel, place: _Place) -> None:
    """Move a label to its place, and draw a thin line to its point if it is far from it."""
    to_axes = axes.transAxes.inverted()
    annotation.set_position(tuple(to_axes.transform(place.box[:2])))
    if len(place.leader):
        left, bottom = to_axes.transform(place.leader[0])
        leader = {**_leader(point.colour), "shrinkA": 0}
        start = (left, bottom)
        axes.annotate("", (point.x, point.y), start, textcoords="axes fraction", arrowprops=leader)


def _square_boxes(places: Float64Array, half: float) -> Float64Array:
    """Return boxes around places, N x 4."""
    return np.hstack([places - half, places + half])


def _overlaps(box: Float64Array, boxes: Float64Array) -> bool:
    below = (boxes[:, :2] < box[2:]).all(axis=1)
    above = (boxes[:, 2:] > box[:2]).all(axis=1)
    return bool((below & above).any())


def _line_boxes(axes: Axes) -> Float64Array:
    """Return thin boxes around the lines and error bars of axes, which run straight up or across,
    N x 4.
    """
    from matplotlib.collections import LineCollection

    paths = [line.get_transform().transform(line.get_xydata()) for line in axes.get_lines()]
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            paths += [axes.transData.transform(part) for part in collection.get_segments()]
    lows = [np.minimum(path[:-1], path[1:]) for path in paths]
    highs = [np.maximum(path[:-1], path[1:]) for path in paths]
    return np.hstack([np.concatenate(lows) - 1, np.concatenate(highs) + 1])


# Both
# --------------------------------------------------------------------------------------------------


def _fix_layout(figure: Figure) -> None:
    """Lay a figure out with what it holds now, and keep that."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _points_to_pixels(axes: Axes) -> float:
    return float(axes.figure.dpi) / 72


def _text_box(annotation: Annotation) -> Bbox:
    """Return where the letters of a label are, without its leader."""
    from matplotlib.text import Text

    annotation.get_window_extent()  # brings its place up to date
    return Text.get_window_extent(annotation)
