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
    figure = Figure(figsize=(style.PAGE, 4.4), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex=True)
    for column, panel in enumerate(panels):
        for row, curves in enumerate((panel.quality, panel.change)):
            _draw_noise_curves(axes[row, column], source, levels, curves)
        axes[0, column].set_ylabel(tables.heading(panel.card))
        unit = panel.card.unit_in_brackets
        axes[1, column].set_ylabel(f"change since noise {levels[0].split()[0]}{unit}")
        axes[1, column].axhline(0, color=style.BLACK, linewidth=0.6)
        axes[1, column].set_xlabel(f"noise sigma (0-255 scale{kind and ', '}{kind})")
    handles, names = axes[0, 0].get_legend_handles_labels()
    style.add_figure_legend(figure, dict(zip(names, handles, strict=True)))
    return CaptionedFigure(
        figure,
        [
            f"Quality against the noise level on {source.dataset}. Above: mean over pictures; "
            f"below: mean of how much "
            "each picture changed since the lowest level. Bars: 95 % intervals of these means; "
            "those above are mostly "
            "about how pictures differ, those below are paired. All means are over the same "
            "pictures. Points are set "
            "apart sideways so that bars can be seen.",
            *_other_kinds_note(source.levels, levels),
            *notes,
            *source.about(samples),
        ],
    )


def _levels_of_one_kind(known: Sequence[str]) -> tuple[list[str], str]:
    """Return the levels of one kind of noise, and the kind: plain noise if there are several levels
    of it.
    """
    for kind in sorted({level.partition(" ")[2] for level in known}):
        levels = [level for level in known if level == "0" or level.partition(" ")[2] == kind]
        if len(levels) > 1:
            return levels, kind
    raise Unavailable(
        f"the runs hold one noise level ({', '.join(known)}); run again with, say, --noise 0,1,3,5"
    )


def _other_kinds_note(known: Sequence[str], shown: Sequence[str]) -> list[str]:
    left_out = [level for level in known if level not in shown]
    return [f"Noise of other kinds is not shown: {', '.join(left_out)}."] if left_out else []


def _measure_panels(
    source: Source, levels: Sequence[str]
) -> tuple[list[_MeasurePanel], list[str], list[str]]:
    """Return the panels, the pictures that all of them cover, and notes."""
    found, notes = {}, []
    for measure in _one_of_each_metric(source.measures)[:_MOST]:
        try:
            found[measure] = source.comparable(measure, levels)
        except Unavailable as error:
            notes.append(f"{source.measures[measure].title} is not shown. {error}")
    if not found:
        raise Unavailable(notes[0])
    panels = [
        _measure_panel(source.measures[measure], made.values, levels)
        for measure, made in found.items()
    ]
    samples = {str(sample) for made in found.values() for sample in made.values.index}
    notes += [note for made in found.values() for note in made.notes]
    return panels, sorted(samples), list(dict.fromkeys(notes))


def _one_of_each_metric(measures: Mapping[str, MeasureCard]) -> list[str]:
    """Return the first measure of each metric."""
    first: dict[str, str] = {}
    for key, card in measures.items():
        first.setdefault(card.metric, key)
    return list(first.values())


def _measure_panel(card: MeasureCard, values: pd.DataFrame, levels: Sequence[str]) -> _MeasurePanel:
    quality: dict[str, dict[str, Interval]] = {}
    change: dict[str, dict[str, Interval]] = {}
    for method, own in values.T.groupby(level=0, sort=False):
        scores = own.droplevel(0).T
        there = [level for level in levels if level in scores]
        quality[str(method)] = {level: mean_interval(scores[level].tolist()) for level in there}
        if levels[0] in there:
            lost = scores.sub(scores[levels[0]], axis=0)
            change[str(method)] = {level: mean_interval(lost[level].tolist()) for level in there}
    return _MeasurePanel(card, quality, change)


def _draw_noise_curves(
    axes: Axes, source: Source, levels: Sequence[str], curves: Mapping[str, Mapping[str, Interval]]
) -> None:
    sigmas = {level: float(level.split()[0]) for level in levels}
    apart = 0.012 * max(sigmas.values())
    for number, (method, means) in enumerate(curves.items()):
        shift = apart * (number - (len(curves) - 1) / 2)
        below, above = zip(
            *(style.error_bar_lengths(interval) for interval in means.values()), strict=True
        )
        _, _, bars = axes.errorbar(
            [sigmas[level] + shift for level in means],
            [interval.mean for interval in means.values()],
            (below, above),
            label=source.title(method),
            elinewidth=0.7,
            capsize=0,
            **source.looks[method].of_lines(),
        )
        for bar in bars:
            bar.set_alpha(0.5)
