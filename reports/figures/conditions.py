"""Gain and harm under every condition, drawn for a paper."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from benchmark.reports import tables
from benchmark.reports.conditions import ConditionResult
from benchmark.reports.figures import style
from benchmark.results.significance import INPUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS: Final = ("gain", "keep", "light", "lattice")
_INPUT_PANELS: Final = ("light", "lattice")
"""Where the input says something: it has no gain, and keeps all that it is."""
_LINE_HEIGHT: Final = 0.36
"""Inches of a condition."""
_SPREAD: Final = 0.7
"""Share of a line over which the methods are spread."""


def draw_conditions(
    condition_results: Sequence[ConditionResult], methods: Collection[str]
) -> Figure:
    """Draw means with 95 % intervals: a panel per measure, a line per condition, from the top.

    Args:
        condition_results: of all methods.
        methods: those that are drawn, at most `style.MOST_METHODS`.
    """
    from matplotlib.figure import Figure

    rows = [row for result in condition_results for row in result.rows if row.method in methods]
    titles = {row.method: row.title for row in rows}
    unranked = {row.method for row in rows if row.oracle or row.noise_aware}
    looks = style.choose_method_looks([*titles], methods, unranked)
    height = 1.1 + _LINE_HEIGHT * len(condition_results)
    figure = Figure(figsize=(style.PAGE, height), layout="constrained")
    panels = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, _PANELS, strict=True):
        _draw_panel(axes, measure, condition_results, {name: looks[name] for name in titles})
    names = [style.printable_name(result.condition.name) for result in condition_results]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    handles: dict[str, Any] = {}
    for axes in panels:
        lines, names_of_lines = axes.get_legend_handles_labels()
        handles |= dict(zip(names_of_lines, lines, strict=True))
    labels_of_methods = style.method_labels(titles)
    style.add_figure_legend(
        figure, {labels_of_methods[name]: handles[name] for name in titles if name in handles}
    )
    return figure


def _draw_panel(
    axes: Axes,
    measure: str,
    condition_results: Sequence[ConditionResult],
    looks: Mapping[str, style.MethodLook],
) -> None:
    for number, (method, look) in enumerate(looks.items()):
        if method != INPUT or measure in _INPUT_PANELS:
            shift = _SPREAD * ((number + 0.5) / len(looks) - 0.5)
            _draw_method(axes, measure, condition_results, method, look, shift)
    card = condition_results[0].measures[measure]
    reference = {"gain": 0.0, "light": 1.0}.get(measure)
    if reference is not None:
        axes.axvline(reference, color=style.BLACK, linewidth=0.6)
    axes.set_xlabel(tables.measure_heading(card))


def _draw_method(
    axes: Axes,
    measure: str,
    condition_results: Sequence[ConditionResult],
    method: str,
    look: style.MethodLook,
    shift: float,
) -> None:
    """Draw one method's means, `shift` lines below the middle of their conditions."""
    places, means, lengths = [], [], []
    for line, result in enumerate(condition_results):
        interval = next(
            row.entries[measure].interval for row in result.rows if row.method == method
        )
        if interval is not None:
            places.append(line + shift)
            means.append(interval.mean)
            lengths.append(style.error_bar_lengths(interval))
    if means:
        axes.errorbar(
            means,
            places,
            xerr=tuple(zip(*lengths, strict=True)),
            linestyle="none",
            markersize=3,
            elinewidth=0.8,
            label=method,
            **look.point_style(),
        )
