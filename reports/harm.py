"""Lines under the main table: what methods spoil while they gain.

They stand wherever the same pictures were also scored under protocols that measure harm (`harm`,
`by-blur`), and say nothing that those protocols' own tables do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.results.significance import INPUT
from benchmark.results.summaries import Row, Summary, select_compared_scores

KEEP = "keep"
LIGHT = "light"
LATTICE = "lattice"
GAIN = "psnr-gain"
"""Registered names of the metrics that the lines are about."""

LIGHT_TOLERANCE = 0.01
"""A method whose light is off by more is named; less cannot be seen (Weber's law)."""
LATTICE_TOLERANCE = 3.0
"""dB, a peak of twice the power, over the input's: a method that is above is named. The largest of
noisy peaks is above 0 for every picture.
"""


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure of one metric at one noise level.

    Attributes:
        summary: that holds it.
        key, card: of the measure.
        rows: method -> its row, of those that have it.
    """

    summary: Summary
    key: str
    card: MeasureCard
    rows: Mapping[str, Row]

    def mean(self, method: str) -> float:
        """Return the mean of what a method is compared by."""
        return fmean(
            select_compared_scores(self.rows[method].entries[self.key], self.card).values()
        )

    def list_methods(self, methods: Sequence[str]) -> list[str]:
        """Return those of some methods that have the measure, without the input."""
        return [name for name in methods if name in self.rows and name != INPUT]

    def list_bases(self) -> list[str]:
        """Return what told sharp pixels from blurred ones, for measures that need it."""
        return [note.text for note in self.summary.notes if note.kind == "parts"]


def describe_harm(
    summary: Summary, all_summaries: Sequence[Summary], level: Noise, methods: Sequence[str]
) -> Iterator[str]:
    """Yield the lines that belong under a main table; none about what the table has itself.

    Args:
        summary: of the table.
        all_summaries: where measures of harm are looked up: of the same data set and track.
        level: noise of the table.
        methods: those that the table shows, in its order.
    """
    in_table = {card.metric for card in summary.measures.values()}
    others = [
        other
        for other in all_summaries
        if (other.dataset, other.track) == (summary.dataset, summary.track)
    ]
    writers: Mapping[str, Callable[[Sequence[_Measure], Sequence[str]], str]] = {
        GAIN: _describe_gains,
        KEEP: _describe_keep,
        LIGHT: _describe_light,
        LATTICE: _describe_lattice,
    }
    bases: list[str] = []
    for metric, write in writers.items():
        measures = _find_measures(others, metric, level, methods)
        if metric not in in_table and measures:
            yield write(measures, methods)
            bases += [text for measure in measures for text in measure.list_bases()]
    yield from dict.fromkeys(bases)


def _find_measures(
    summaries: Sequence[Summary], metric: str, level: Noise, methods: Sequence[str]
) -> list[_Measure]:
    """Return the measures of a metric that some of the methods beside the input have: all of one
    protocol for gains by blur, else one, which is that with the metric's own name if it is there.
    """
    measures: list[_Measure] = []
    for summary in summaries:
        for key, card in summary.measures.items():
            rows = {
                row.method: row
                for row in summary.rows
                if card.metric == metric
                and row.level == level
                and row.entries[key].interval is not None
            }
            measure = _Measure(summary, key, card, rows)
            if measure.list_methods(methods):
                measures.append(measure)
    if metric == GAIN:
        return [measure for measure in measures if measure.summary is measures[0].summary]
    return sorted(measures, key=lambda measure: measure.key != metric)[:1]


def _describe_gains(measures: Sequence[_Measure], methods: Sequence[str]) -> str:
    """Return the gain of each method from the sharp quarter to the blurred one."""
    heads = ", ".join(measure.card.title.removeprefix("gain ") for measure in measures)
    texts = []
    for name in methods:
        gains = [
            f"{measure.mean(name):+.2f}" if name in measure.rows else "-" for measure in measures
        ]
        if name != INPUT and any(gain != "-" for gain in gains):
            texts.append(f"{name} {' '.join(gains)}")
    return f"Gain by blur in dB ({heads}): {', '.join(texts)}."


def _describe_keep(measures: Sequence[_Measure], methods: Sequence[str]) -> str:
    """Return how near methods stay to what was sharp: to what the data set says is in focus, else
    to the sharp quarter.
    """
    [measure] = measures
    place = "where the picture is in focus" if measure.key == KEEP else "in the sharp quarter"
    texts = (f"{name} {measure.mean(name):.1f}" for name in measure.list_methods(methods))
    return f"Harm {place} ({measure.key} in dB, 100 is none): {', '.join(texts)}."


def _describe_light(measures: Sequence[_Measure], methods: Sequence[str]) -> str:
    """Return how far the light is off in the mean over scenes, and by name who is visibly off."""
    [measure] = measures
    errors = {name: measure.mean(name) for name in measure.list_methods(methods)}
    outliers = {name: error for name, error in errors.items() if error > LIGHT_TOLERANCE}
    rest = [error for name, error in errors.items() if name not in outliers]
    text = ", ".join(f"{name} {_format_share(error)}" for name, error in outliers.items())
    if not outliers:
        text = f"{_format_share(max(rest))} or less"
    elif rest:
        text = f"{_format_share(max(rest))} or less but {text}"
    return f"Light off by {text}{_set_beside_input(measure, _format_share)}."


def _describe_lattice(measures: Sequence[_Measure], methods: Sequence[str]) -> str:
    """Return who weaves a pattern of 2, 4 or 8 pixels: whose peak stands out of the input's."""
    [measure] = measures
    base = measure.mean(INPUT) if INPUT in measure.rows else 0.0
    peaks = {name: measure.mean(name) for name in measure.list_methods(methods)}
    outliers = {name: peak for name, peak in peaks.items() if peak > base + LATTICE_TOLERANCE}
    text = ", ".join(f"{name} {peak:.1f}" for name, peak in outliers.items())
    if not outliers:
        text = f"none above {max(peaks.values()):.1f}"
    elif len(outliers) < len(peaks):
        text += ", others less"
    return f"Lattice in dB: {text}{_set_beside_input(measure, '{:.1f}'.format)}."


def _set_beside_input(measure: _Measure, form: Callable[[float], str]) -> str:
    if INPUT not in measure.rows:
        return ""
    return f" (input {form(measure.mean(INPUT))})"


def _format_share(share: float) -> str:
    return f"{100 * share:.1f} %"
