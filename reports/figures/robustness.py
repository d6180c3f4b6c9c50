"""Quality against the noise level, and what every method loses by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmark.api import Unavailable
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import tables
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import Source
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.stats import Interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST: Final = 3
"""Measures side by side, at most: the first of each metric that were scored."""


class _MeasurePanel(NamedTuple):
    """One measure: its card, method -> level -> interval, and the same for the change since the
    lowest level.
    """

    card: MeasureCard
    quality: dict[str, dict[str, Interval]]
    change: dict[str, dict[str, Interval]]


def draw_robustness_figure(source: Source) -> CaptionedFigure:
    """Draw the means of every method at each noise level, and below them their change since the
    lowest level.

    Raises:
        Unavailable: if there is one level only, or nothing to compare.
    """
    from matplotlib.figure import Figure

    levels, kind = _levels_of_one_kind(source.levels)
    panels, samples, notes = _measure_panels(source, levels)
    lowest_sigma = levels[0].split()[0]
    noise_label = f"0-255 scale, {kind}" if kind else "0-255 scale"
    figure = Figure(figsize=(style.PAGE, 4.4), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex=True)
    for column, panel in enumerate(panels):
        above = axes[0, column]
        below = axes[1, column]
        _draw_noise_curves(above, source, levels, panel.quality)
        _draw_noise_curves(below, source, levels, panel.change)
        above.set_ylabel(tables.heading(panel.card))
        below.set_ylabel(f"change since noise {lowest_sigma}{panel.card.unit_in_brackets}")
        below.axhline(0, color=style.BLACK, linewidth=0.6)
        below.set_xlabel(f"noise sigma ({noise_label})")
    handles, names = axes[0, 0].get_legend_handles_labels()
    style.add_figure_legend(figure, dict(zip(names, handles, strict=True)))
    caption = [
        f"Quality against the noise level on {source.dataset}. Above: mean over pictures; below: "
        "mean of how much each picture changed since the lowest level. Bars: 95 % intervals of "
        "these means; those above are mostly about how pictures differ, those below are paired. "
        "All means are over the same pictures. Points are set apart sideways so that bars can be "
        "seen.",
        *_other_kinds_note(source.levels, levels),
        *notes,
        *source.about(samples),
    ]
    return CaptionedFigure(figure, caption)


def _levels_of_one_kind(levels: Sequence[str]) -> tuple[list[str], str]:
    """Return the levels of one kind of noise, and the kind: plain noise if there are several levels
    of it.
    """
    kinds = {level.partition(" ")[2] for level in levels}
    for kind in sorted(kinds):
        of_kind = [level for level in levels if level == "0" or level.partition(" ")[2] == kind]
        if len(of_kind) > 1:
            return of_kind, kind
    raise Unavailable(
        f"the runs hold one noise level ({', '.join(levels)}); run again with, say, --noise 0,1,3,5"
    )


def _other_kinds_note(levels: Sequence[str], figure_levels: Sequence[str]) -> list[str]:
    others = [level for level in levels if level not in figure_levels]
    if not others:
        return []
    return [f"Noise of other kinds is not shown: {', '.join(others)}."]


def _measure_panels(
    source: Source, levels: Sequence[str]
) -> tuple[list[_MeasurePanel], list[str], list[str]]:
    """Return the panels, the pictures that all of them cover, and notes."""
    panels = []
    samples: set[str] = set()
    reasons = []
    notes = []
    for measure in _one_of_each_metric(source.measures)[:_MOST]:
        card = source.measures[measure]
        try:
            scores = source.comparable(measure, levels)
        except Unavailable as error:
            reasons.append(f"{card.title} is not shown. {error}")
            continue
        panels.append(_measure_panel(card, scores.values, levels))
        samples.update(map(str, scores.values.index))
        notes += scores.notes
    if not panels:
        raise Unavailable(reasons[0])
    return panels, sorted(samples), list(dict.fromkeys([*reasons, *notes]))


def _one_of_each_metric(measures: Mapping[str, MeasureCard]) -> list[str]:
    """Return the first measure of each metric."""
    first: dict[str, str] = {}
    for key, card in measures.items():
        first.setdefault(card.metric, key)
    return list(first.values())


def _measure_panel(card: MeasureCard, values: pd.DataFrame, levels: Sequence[str]) -> _MeasurePanel:
    quality: dict[str, dict[str, Interval]] = {}
    change: dict[str, dict[str, Interval]] = {}
    for method, columns in values.T.groupby(level=0, sort=False):
        scores = columns.droplevel(0).T
        own_levels = [level for level in levels if level in scores]
        quality[str(method)] = _level_means(scores, own_levels)
        if levels[0] in own_levels:
            differences = scores.sub(scores[levels[0]], axis=0)
            change[str(method)] = _level_means(differences, own_levels)
    return _MeasurePanel(card, quality, change)


def _level_means(scores: pd.DataFrame, levels: Sequence[str]) -> dict[str, Interval]:
    return {level: mean_interval(scores[level].tolist()) for level in levels}


def _draw_noise_curves(
    axes: Axes, source: Source, levels: Sequence[str], curves: Mapping[str, Mapping[str, Interval]]
) -> None:
    sigmas = {level: float(level.split()[0]) for level in levels}
    apart = 0.012 * max(sigmas.values())
    for number, (method, means) in enumerate(curves.items()):
        shift = apart * (number - (len(curves) - 1) / 2)
        lengths = [style.error_bar_lengths(interval) for interval in means.values()]
        _, _, bars = axes.errorbar(
            [sigmas[level] + shift for level in means],
            [interval.mean for interval in means.values()],
            tuple(zip(*lengths, strict=True)),
            label=source.title(method),
            elinewidth=0.7,
            capsize=0,
            **source.looks[method].of_lines(),
        )
        for bar in bars:
            bar.set_alpha(0.5)
