"""Labels at lines and points: none over another, as near to what they name as that allows."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from benchmark.reports.figures import labels, style

HEIGHTS = st.lists(
    st.tuples(st.integers(-50, 150), st.integers(1, 30)), min_size=1, max_size=7
).map(lambda pairs: tuple(np.array(column, float) for column in zip(*pairs, strict=True)))


@given(HEIGHTS)
def test_spread_labels_do_not_overlap_and_keep_their_order(
    columns: tuple[np.ndarray, np.ndarray],
) -> None:
    wanted, heights = columns
    middles = labels.spread_labels(wanted, heights, (0.0, 100.0))
    order = np.argsort(wanted, kind="stable")
    for below, above in pairwise(order):
        apart = middles[above] - middles[below]
        assert apart >= (heights[above] + heights[below]) / 2 - 1e-6
    outside = max(heights.sum() - 100, 0) / 2
    assert (middles - heights / 2).min() >= -outside - 1e-6
    assert (middles + heights / 2).max() <= 100 + outside + 1e-6


def test_labels_that_are_apart_stay_where_they_are_and_others_share_the_way() -> None:
    middles = labels.spread_labels(np.array([50.0, 10.0, 51.0]), np.full(3, 10.0), (0.0, 100.0))
    assert middles.tolist() == pytest.approx([45.5, 10.0, 55.5])


@given(HEIGHTS)
def test_no_other_places_are_nearer(columns: tuple[np.ndarray, np.ndarray]) -> None:
    """Against a general solver, without limits that bind."""
    from scipy.optimize import LinearConstraint, minimize

    wanted, heights = columns
    found = labels.spread_labels(wanted, heights, (-1e4, 1e4))
    order = np.argsort(wanted, kind="stable")
    rows = []
    apart = []
    for below, above in pairwise(order):
        row = np.zeros(len(wanted))
        row[[above, below]] = 1, -1
        rows.append(row)
        apart.append((heights[above] + heights[below]) / 2)
    constraints = [LinearConstraint(np.array(rows), apart, np.inf)] if rows else []
    start = np.empty(len(wanted))
    start[order] = np.cumsum(np.full(len(wanted), 31.0))
    best = minimize(
        lambda middles: float(np.square(middles - wanted).sum()),
        start,
        jac=lambda middles: 2 * (middles - wanted),
        constraints=constraints,
        method="SLSQP",
    )
    assert np.square(found - wanted).sum() <= best.fun + 1e-3 * (1 + best.fun)


def text_boxes(axes: Axes) -> dict[str, Bbox]:
    axes.figure.draw_without_rendering()
    return {text.get_text(): Text.get_window_extent(text) for text in axes.texts if text.get_text()}


def assert_apart(boxes: dict[str, Bbox]) -> None:
    for (one, box), (other, further_box) in combinations(boxes.items(), 2):
        assert not box.overlaps(further_box), f"{one!r} lies over {other!r}"


@pytest.mark.parametrize(
    "ends", [[1, 1, 1, 1, 1, 1], [0, 0.1, 0.2, 5, 5, 5.1], [-9, 0, 0, 0, 0, 9]]
)
def test_labels_of_lines_are_apart_and_inside_the_figure(ends: list[float]) -> None:
    names = [f"a-method-of-some-length:key={index},other=value" for index in range(6)]
    with style.use_paper_style():
        figure = Figure(figsize=(style.COLUMN, 2.2), layout="constrained")
        axes = figure.subplots()
        for name, end in zip(names, ends, strict=True):
            axes.plot([0, 1, 2], [0.5, np.nan, end], label=name)
        axes.plot([0, 2], [3, 3], color="black")
        labels.label_lines(figure, [axes], 20)
        boxes = text_boxes(axes)
    assert {text.replace("\n", "") for text in boxes} == set(names)
    assert_apart(boxes)
    right_end = axes.get_window_extent().x1
    for box in boxes.values():
        assert box.x0 > right_end and box.x1 <= figure.bbox.x1
    if len(set(ends)) > 3:
        heights = [boxes[text].y0 for text in sorted(boxes)]
        assert heights == sorted(heights), "in the order of the ends"


def test_a_line_that_stops_early_is_labelled_at_its_end() -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1, 2], [1.0, 2.0, np.nan], label="early")
    axes.plot([0, 1, 2], [np.nan] * 3, label="never")
    labels.label_lines(figure, [axes])
    [text] = axes.texts
    assert text.get_text() == "early" and text.xy == (1, 2)  # type: ignore[attr-defined]


POINTS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=14, unique=True
)


@settings(max_examples=20)
@given(POINTS)
def test_labels_of_points_are_over_no_label_and_no_point(places: list[tuple[int, int]]) -> None:
    points = [
        labels.PointLabel(x, y, f"method-{index}", style.BLUE)
        for index, (x, y) in enumerate(places)
    ]
    with style.use_paper_style():
        figure = Figure(figsize=(3, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*places, strict=True), "o", markersize=4)
        left_out = labels.label_points(figure, {axes: points})[axes]
        boxes = text_boxes(axes)
        centres = axes.transData.transform([(x, y) for x, y in places])
    assert set(boxes) == {point.text for point in points} - {point.text for point in left_out}
    assert_apart(boxes)
    limits = axes.get_window_extent()
    for text, box in boxes.items():
        assert not any(box.contains(x, y) for x, y in centres), text
        assert limits.x0 <= box.x0 and box.x1 <= limits.x1


def test_the_first_labels_have_their_places_first() -> None:
    points = [labels.PointLabel(0, 0, f"a-long-name-of-{index}", style.BLUE) for index in range(60)]
    figure = Figure(figsize=(2, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([-1, 0, 1], [-1, 0, 1], "o")
    left_out = labels.label_points(figure, {axes: points})[axes]
    assert left_out and points[0] not in left_out
