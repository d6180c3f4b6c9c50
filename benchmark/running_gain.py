"""What a run says of its methods while it goes on: their mean gain over the input so far."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from benchmark.cells import Cell, Outcome
from benchmark.metrics.protocols import Protocol
from benchmark.noise import Noise
from benchmark.registry import create_metric
from benchmark.results.significance import INPUT
from benchmark.store import Store

_Place = tuple[str, str, str, str, Noise]
"""What a gain needs of both: the same data set, sample, content of it, track and noise."""


class RunningGain:
    """The mean gain of each method over the input, in the first measure of the first protocol.

    The input's scores come from the store and from the run itself, in any order. Without them, and
    where the measure is none that a gain means something in, nothing is said.
    """

    def __init__(self, protocols: Iterable[Protocol], store: Store) -> None:
        """Begin with the scores of the input that are stored.

        Args:
            protocols: of the command; at least one.
            store: of the run.
        """
        protocol = next(iter(protocols))
        measure = protocol.measures[0]
        self._protocol, self._measure = protocol.id, measure.key
        self._card = create_metric(measure.metric).card
        self._input_scores: dict[_Place, float] = {}
        self._scores: dict[tuple[str, Noise], dict[_Place, float]] = {}
        if self._has_meaning():
            for cell, value in store.measured_values(INPUT, self._protocol, self._measure):
                self._input_scores[_locate(cell)] = value

    def add(self, cell: Cell, outcome: Outcome) -> None:
        """Take the scores of a cell that was just finished."""
        for score in outcome.scores.get(self._protocol, ()):
            if score.key == self._measure and score.value is not None:
                self._choose_scores(cell)[_locate(cell)] = score.value

    def _choose_scores(self, cell: Cell) -> dict[_Place, float]:
        if cell.method == INPUT:
            return self._input_scores
        return self._scores.setdefault((cell.method, cell.noise), {})

    def describe(self, cell: Cell) -> str:
        """Return the method of a cell, and its gain at the cell's noise level on the pictures that
        this run has scored; without a gain where none is known.
        """
        scores = self._scores.get((cell.method, cell.noise), {})
        gains = [
            value - self._input_scores[place]
            for place, value in scores.items()
            if place in self._input_scores
        ]
        level = f" at noise {cell.noise.sigma:g}" if cell.noise.sigma else ""
        if not gains or not self._has_meaning():
            return f"{cell.method}{level}"
        unit = f" {self._card.unit}" if self._card.unit else ""
        gain = f"{fmean(gains):+.{self._card.digits}f}{unit} {self._card.title}"
        return f"{cell.method}{level} {gain} over the input ({len(gains)})"

    def _has_meaning(self) -> bool:
        card = self._card
        return card.reference == "target" and not card.gain and not card.warning


def _locate(cell: Cell) -> _Place:
    """Return the place of a cell. How noise lies on views is left out: the input has none."""
    return cell.dataset, cell.sample, cell.data, cell.track, cell.noise.of_inputs("image")
