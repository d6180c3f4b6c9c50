"""Quality against the noise level, and what every method loses by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmark.api import Unavailable
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.reports import tables
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData
from benchmark.reports.figures.labels import label_lines
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.stats import Interval, difference_interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_MEASURES: Final = 3
"""Measures side by side, at most: the first of each metric that were scored."""


class _MeasurePanel(NamedTuple):
    """One measure: its card, method -> level -> interval, and the same for the change since the
    lowest level.
    """

    card: MeasureCard
    quality: dict[str, dict[Noise, Interval]]
    change: dict[str, dict[Noise, Interval]]


def draw_robustness_figure(data: FigureData) -> CaptionedFigure:
    """Draw the means of every method at each noise level, and below them their change since the
    lowest level.

    Raises:
        Unavailable: if there is one level only, or nothing to compare.
    """
    from matplotlib.figure import Figure

    levels, kind = _levels_of_one_kind(data.levels)
    panels, samples, notes = _measure_panels(data, levels)
    noise_label = f"0-255 scale, {kind}" if kind else "0-255 scale"
    figure = Figure(figsize=(style.PAGE, 3.9), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex=True)
    for column, panel in enumerate(panels):
        above = axes[0, column]
        below = axes[1, column]
        _draw_noise_curves(above, data, levels, panel.quality)
        _draw_noise_curves(below, data, levels, panel.change)
        above.set_ylabel(tables.measure_heading(panel.card))
        below.set_ylabel(f"change in {panel.card.title}{panel.card.unit_in_brackets}")
        below.axhline(0, color=style.BLACK, linewidth=0.6)
        below.set_xlabel(f"noise sigma ({noise_label})")
    axes[0, 0].set_xticks(sorted({level.sigma for level in levels}))
    figure.align_ylabels()
    label_lines(figure, axes[:, -1])
    caption = [
        f"Quality against the noise level on {data.dataset}. Above: means; below: mean changes "
        f"since noise {levels[0].sigma:g}. Bars: 95 % intervals of "
        "these means; those above are mostly about how pictures differ, those below are paired. "
        "All means are over the same pictures. Points are set apart sideways so that bars can be "
        "seen. Labels stand at the lines of the last column; colours and markers are the same in "
        "all.",
        *_other_kinds_note(data.levels, levels),
        *notes,
        *data.describe(samples),
    ]
    return CaptionedFigure(figure, caption)


def _levels_of_one_kind(levels: Sequence[Noise]) -> tuple[list[Noise], str]:
    """Return the levels of one kind of noise, and the kind: plain noise if there are several levels
    of it.
    """
    kinds = {level.kind for level in levels}
    for kind in sorted(kinds):
        of_kind = [level for level in levels if level == Noise() or level.kind == kind]
        if len(of_kind) > 1:
            return of_kind, kind
    raise Unavailable(
        f"the runs hold one noise level ({', '.join(map(str, levels))}); run again with, say, "
        "--noise 0,1,3,5"
    )


def _other_kinds_note(levels: Sequence[Noise], figure_levels: Sequence[Noise]) -> list[str]:
    others = [level for level in levels if level not in figure_levels]
    if not others:
        return []
    return [f"Noise of other kinds is not shown: {', '.join(map(str, others))}."]


def _measure_panels(
    data: FigureData, levels: Sequence[Noise]
) -> tuple[list[_MeasurePanel], list[str], list[str]]:
    """Return the panels, the pictures that all of them cover, and notes."""
    panels = []
    samples: set[str] = set()
    reasons: list[str] = []
    notes: list[str] = []
    for measure in _choose_one_per_metric(data.measures)[:_MOST_MEASURES]:
        card = data.measures[measure]
        try:
            scores = data.comparable(measure, levels)
        except Unavailable as error:
            reasons.append(f"{card.title} is not shown. {error}")
            continue
        panels.append(_measure_panel(card, scores.scene_means, levels))
        samples.update(map(str, scores.values.index))
        notes += scores.notes
    if not panels:
        raise Unavailable(reasons[0])
    return panels, sorted(samples), list(dict.fromkeys([*reasons, *notes]))


def _choose_one_per_metric(measures: Mapping[str, MeasureCard]) -> list[str]:
    """Return the first measure of each metric."""
    first: dict[str, str] = {}
    for key, card in measures.items():
        first.setdefault(card.metric, key)
    return list(first.values())


def _measure_panel(
    card: MeasureCard, scene_means: pd.DataFrame, levels: Sequence[Noise]
) -> _MeasurePanel:
    quality: dict[str, dict[Noise, Interval]] = {}
    change: dict[str, dict[Noise, Interval]] = {}
    for method, columns in scene_means.T.groupby(level=0, sort=False):
        scores = columns.droplevel(0).T
        own_levels = [level for level in levels if level in scores]
        quality[str(method)] = {
            level: mean_interval(scores[level].tolist(), limits=card.limits) for level in own_levels
        }
        if levels[0] in own_levels:
            differences = scores.sub(scores[levels[0]], axis=0)
            change[str(method)] = {
                level: difference_interval(differences[level].tolist()) for level in own_levels
            }
    return _MeasurePanel(card, quality, change)


def _draw_noise_curves(
    axes: Axes,
    data: FigureData,
    levels: Sequence[Noise],
    curves: Mapping[str, Mapping[Noise, Interval]],
) -> None:
    apart = 0.012 * max(level.sigma for level in levels)
    for number, (method, means) in enumerate(curves.items()):
        shift = apart * (number - (len(curves) - 1) / 2)
        lengths = [style.error_bar_lengths(interval) for interval in means.values()]
        _, _, bars = axes.errorbar(
            [level.sigma + shift for level in means],
            [interval.mean for interval in means.values()],
            tuple(zip(*lengths, strict=True)),
            label=data.title(method),
            elinewidth=0.7,
            capsize=0,
            **data.looks[method].line_style(),
        )
        for bar in bars:
            bar.set_alpha(0.4)
