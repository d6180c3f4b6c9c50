"""What a table must say about a protocol and about each of its measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureCard:
    """Facts about one number of a protocol.

    Attributes:
        metric: registered name of the metric, without parameters ("ssim").
        quantity: what the metric measures, for people ("SSIM"); the same for every measure of it.
        title: of a column of a table, unique in the protocol ("SSIM u7").
        unit: empty if it has none.
        higher_is_better: the direction.
        digits: decimals that a table prints.
        paper: the paper or library that defines the metric.
        version: of the metric; empty in runs of releases that did not keep it.
        ideal: the best value where neither end is best, else None.
        limits: least and largest value of the measure; None for no limit.
        warning: why the number says nothing of quality by itself; a measure that has one is neither
            ranked nor marked.
    """

    metric: str
    quantity: str
    title: str
    unit: str = ""
    higher_is_better: bool = True
    digits: int = 3
    paper: str = ""
    version: str = ""
    ideal: float | None = None
    limits: tuple[float | None, float | None] = (None, None)
    warning: str = ""

    @property
    def difference_limits(self) -> tuple[float | None, float | None]:
        """Least and largest difference of two scores; None for no limit."""
        least, largest = self.limits
        if least is None or largest is None:
            return None, None
        return least - largest, largest - least

    @property
    def arrow(self) -> str:
        """Where the better scores are: "↑", "↓", or "→" and the ideal; empty where nowhere."""
        if self.warning:
            return ""
        if self.ideal is not None:
            return f"→ {self.ideal:g}"
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        """The same in words."""
        if self.warning:
            return "ranks nothing"
        if self.ideal is not None:
            return f"closer to {self.ideal:g} is better"
        return "higher is better" if self.higher_is_better else "lower is better"

    def in_comparisons(self) -> MeasureCard:
        """Return the card of what methods are compared by: of a measure with an ideal, the distance
        to it.
        """
        if self.ideal is None:
            return self
        return dataclasses.replace(
            self,
            title=f"{self.title}, distance from {self.ideal:g}",
            higher_is_better=False,
            ideal=None,
            limits=(0, None),
        )

    @property
    def unit_in_brackets(self) -> str:
        """The unit as it follows a name: " (dB)", or nothing."""
        return f" ({self.unit})" if self.unit else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolCard:
    """Facts about a protocol.

    Attributes:
        title: for tables.
        source, version: as in `Protocol`; empty in runs that kept less.
        tracks: ids of the input tracks, the protocol's own order.
        measures: measure key -> its card, in the order of the columns.
    """

    title: str
    source: str = ""
    version: str = ""
    tracks: tuple[str, ...]
    measures: Mapping[str, MeasureCard]
