"""Places and gains of a sheet, as the main table computes them, and where gains lie as bars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.reports import ranked
from benchmark.results.summaries import Summary


class GainBar(NamedTuple):
    """Where things lie between the ends of a column, in percent.

    Attributes:
        zero: no gain.
        mean: the mean gain.
        low, high: bounds of its interval; the mean where it has none.
    """

    zero: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MethodGain:
    """How a method does under one measure.

    Attributes:
        order: 0 for the best mean, counting all methods of the level.
        place: among those that compete, from 1; None if it does not.
        mean: gain over the input, positive where the method is better; None for the input, and
            where nothing can be gained.
        low, high: bounds of its interval, where it has one.
        wins, scenes: on how many scenes of how many the method is better.
    """

    order: int
    place: int | None
    mean: float | None
    low: float | None
    high: float | None
    wins: int
    scenes: int

    @property
    def ends(self) -> tuple[float, ...]:
        """The least and the greatest that a bar shows; nothing without a gain."""
        numbers = [end for end in (self.mean, self.low, self.high) if end is not None]
        return (min(numbers), max(numbers)) if numbers else ()

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


GainsByMethod = dict[tuple[str, str, str], MethodGain]
"""(level as tables print it, method, measure) -> gain."""


def measure_gains(summary: Summary) -> GainsByMethod:
    """Return the gains of all methods of a summary under each of its measures."""
    gains: GainsByMethod = {}
    for measure in summary.measures:
        options = ranked.TableOptions(measure=measure)
        frame = ranked.ranked_summaries_to_frame([summary], options)
        for level, lines in frame.groupby("noise", sort=False):
            for order, line in enumerate(lines.to_dict("records")):
                gains[str(level), line["method"], measure] = MethodGain(
                    order=order,
                    place=_whole(line["rank"]),
                    mean=_number(line["gain"]),
                    low=_number(line["low"]),
                    high=_number(line["high"]),
                    wins=_whole(line["wins"]) or 0,
                    scenes=_whole(line["n"]) or 0,
                )
    return gains


def _number(value: object) -> float | None:
    import pandas as pd

    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else round(number)


def place_gain_bar(gain: MethodGain, column: Iterable[MethodGain]) -> GainBar | None:
    """Return the bar of a gain on the scale that all gains of a column share, 0 on it; None without
    a gain, or where nobody gains or loses anything.
    """
    ends = [0.0]
    for each in column:
        ends += each.ends
    first, span = min(ends), max(ends) - min(ends)
    if gain.mean is None or span <= 0:
        return None
    low = gain.mean if gain.low is None else gain.low
    high = gain.mean if gain.high is None else gain.high
    return GainBar(*(round(100 * (end - first) / span, 1) for end in (0.0, gain.mean, low, high)))
