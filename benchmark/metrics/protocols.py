"""Protocols: how a paper, or this benchmark, turns pictures into numbers.

A protocol has input tracks (`tracks`) and a ruler: for every number which metric, on the output
clamped or not, rounded to 8 bits or not, on which part of the picture. SSIM on 0-255 values with
range 255 equals SSIM on [0, 1] with range 1 (see `Ssim`), and so does PSNR, so everything here
lives on [0, 1]; metrics run in float64 also where the released scripts ran in float32.

The protocols themselves are data, in `published_protocols`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.api import (
    BlurPart,
    Mask,
    Metric,
    MetricPart,
    MetricReference,
    Picture,
    Unavailable,
)
from benchmark.cells import Score
from benchmark.metrics.blur_order import BlurOrder, select_part, select_tiles
from benchmark.metrics.tracks import Track

LEAST_IN_FOCUS = 0.01
"""Share of a picture below which a score of its part in focus says nothing."""

ScoringPair = tuple[NDArray[np.floating], NDArray[np.floating]]
EarlierScores = dict[tuple[str, bool, bool, int | None, int | None], Score]
"""Metric, whether clamped, whether rounded, and the part that counts -> score."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a ruler.

    Attributes:
        key: column key, unique in its protocol.
        metric: id of the metric.
        clamp: the output is clamped to [0, 1] first, and so is the input where that is what it is
            compared with.
        round8: output and target are rounded to 255ths first (half to even; an unclamped output
            stays so).
    """

    key: str
    metric: str
    clamp: bool
    round8: bool


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a paper, or this benchmark, measures.

    Attributes:
        id: as registered.
        title: for tables.
        source: repository or paper, what was verified how, and every point that is unknown or our
            decision.
        version: changes whenever its scores may change.
        tracks: the input tracks it is defined on, each of another depth; the first is the default.
        measures: the ruler.
        slices: data set name -> (start, stop), on both axes: the only part that is scored.
    """

    id: str
    title: str
    source: str
    version: str
    tracks: tuple[Track, ...]
    measures: tuple[Measure, ...]
    slices: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for kind, names in (
            ("tracks", [track.depth for track in self.tracks]),
            ("measures", [measure.key for measure in self.measures]),
        ):
            if not names or len(set(names)) < len(names):
                raise ValueError(
                    f"protocol {self.id!r}: {kind} must be there and differ, got {names}"
                )

    def uses_input(self, metrics: Callable[[str], Metric]) -> bool:
        """Return whether some measure looks at more than output and target."""
        cards = (metrics(measure.metric).card for measure in self.measures)
        return any(
            card.reference not in ("target", "nothing") or card.part != "all" or card.gain
            for card in cards
        )

    def score(
        self,
        output: Picture,
        target: Picture | None,
        dataset: str,
        metrics: Callable[[str], Metric],
        *,
        image: Picture | None = None,
        in_focus: Mask | None = None,
        find_blur: Callable[[], BlurOrder] | None = None,
        earlier_scores: EarlierScores | None = None,
    ) -> list[Score]:
        """Return one score per measure.

        Args:
            output: what a method returned, unclamped, in scoring geometry (`Track.finish`).
            target: the all-in-focus picture in scoring geometry (`Track.frame`), or None.
            dataset: registered name of the data set.
            metrics: returns the metric of an id.
            image: what the method was shown, in scoring geometry and RGB; only for measures that
                compare with it.
            in_focus: H x W, True where it is in focus (`benchmark.metrics.focus`); None where that
                is not known.
            find_blur: returns which pixels are more blurred than which (`order_by_blur`), in
                scoring geometry; asked only for measures of parts by blur.
            earlier_scores: of these very pictures, by other protocols; what they measured too is
                taken from there, and what is new is added.

        Raises:
            ValueError: if they differ in height, width or channels; a picture that does not fit a
                metric is a reason instead.
        """
        part = slice(*self.slices.get(dataset, (None, None)))
        pictures = _ScoredPictures(output, target, image, in_focus, find_blur, part)
        pictures.check_geometry()
        make_pairs = functools.cache(pictures.make_pairs)
        known_scores: EarlierScores = {} if earlier_scores is None else earlier_scores
        scores = []
        for measure in self.measures:
            key = (measure.metric, measure.clamp, measure.round8, part.start, part.stop)
            if key not in known_scores:
                metric = metrics(measure.metric)
                known_scores[key] = _score_measure(measure, metric, make_pairs)
            scores.append(dataclasses.replace(known_scores[key], key=measure.key))
        return scores


@dataclass(frozen=True, slots=True)
class _PairSettings:
    """What a metric compares, and how."""

    clamp: bool
    round8: bool
    reference: MetricReference
    part: MetricPart
    tile: int
    is_of_input: bool = False


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What a metric is called with: once, or once for each tile; and what chose the part."""

    pairs: Sequence[ScoringPair]
    basis: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _ScoredPictures:
    """An output and what it is compared with, as `Protocol.score` gets them; `crop` is what counts
    of them on both axes.
    """

    output: Picture
    target: Picture | None
    image: Picture | None
    in_focus: Mask | None
    find_blur: Callable[[], BlurOrder] | None
    crop: slice

    def check_geometry(self) -> None:
        for name, reference in (("target", self.target), ("input", self.image)):
            if reference is not None and self.output.shape != reference.shape:
                raise ValueError(
                    f"output {self.output.shape} and {name} {reference.shape} are not in one "
                    "scoring geometry"
                )

    def make_pairs(self, settings: _PairSettings) -> _Pairs:
        """Return what a metric compares; raises ValueError where there is nothing to compare."""
        pair = self._make_pair(settings)
        part = settings.part
        if part == "all":
            return _Pairs([pair])
        if part == "in focus":
            return _Pairs([self._gather_in_focus(pair)])
        return self._cut_by_blur(pair, part, settings.tile)

    def _make_pair(self, settings: _PairSettings) -> ScoringPair:
        picture = self._require_input() if settings.is_of_input else self.output
        reference_picture = self._choose_reference(settings.reference)
        # Targets lie in [0, 1]; a noisy input leaves it, where a clamped output cannot follow.
        clamp_reference = settings.clamp and reference_picture is not self.target
        return (
            self._prepare_picture(picture, settings.clamp, settings.round8),
            self._prepare_picture(reference_picture, clamp_reference, settings.round8),
        )

    def _prepare_picture(self, picture: Picture, clamp: bool, round8: bool) -> NDArray[np.floating]:
        part = picture[self.crop, self.crop]
        if clamp:
            part = np.clip(part, 0, 1)
        if not round8:
            return part
        # The product stays in float32, as in the released scripts: their ties are ours.
        rounded: NDArray[np.float64] = np.rint(part * np.float32(255)).astype(np.float64) / 255
        return rounded

    def _choose_reference(self, reference: MetricReference) -> Picture:
        if reference == "nothing":
            return self.output
        if self.target is not None and reference != "input":
            return self.target
        if reference == "target":
            raise ValueError("no target")
        return self._require_input()

    def _require_input(self) -> Picture:
        if self.image is None:
            raise ValueError("no input to compare with")
        return self.image

    def _gather_in_focus(self, pair: ScoringPair) -> ScoringPair:
        if self.in_focus is None:
            raise ValueError("no blur map and no mask say what is in focus")
        mask = self.in_focus[self.crop, self.crop]
        if mask.mean() < LEAST_IN_FOCUS:
            raise ValueError(f"less than {LEAST_IN_FOCUS:.0%} of the picture is in focus")
        return _gather_pixels(pair, mask)

    def _cut_by_blur(self, pair: ScoringPair, part: BlurPart, tile: int) -> _Pairs:
        if self.find_blur is None:
            raise ValueError("nothing says which pixels are more blurred than others")
        order = self.find_blur()
        values = order.values[self.crop, self.crop]
        if not tile:
            return _Pairs([_gather_pixels(pair, select_part(values, part))], order.basis)
        tiles = select_tiles(values, part, tile)
        return _Pairs([(pair[0][place], pair[1][place]) for place in tiles], order.basis)


def _gather_pixels(pair: ScoringPair, mask: Mask) -> ScoringPair:
    """Return the pixels of the mask as pictures one pixel wide."""
    output, reference = pair
    return output[mask][:, None], reference[mask][:, None]


def _score_measure(
    measure: Measure, metric: Metric, make_pairs: Callable[[_PairSettings], _Pairs]
) -> Score:
    try:
        return _compute_score(measure, metric, make_pairs)
    except Unavailable as error:
        return Score(measure.key, None, f"not available: {error}", "unavailable")
    except ValueError as error:
        return Score(measure.key, None, str(error), "skipped")
    except Exception as error:
        # A metric that breaks must not take the method's other scores with it.
        return Score(measure.key, None, f"failed: {type(error).__name__}: {error}", "failed")


def _compute_score(
    measure: Measure, metric: Metric, make_pairs: Callable[[_PairSettings], _Pairs]
) -> Score:
    card = metric.card
    settings = _PairSettings(measure.clamp, measure.round8, card.reference, card.part, card.tile)
    output_pairs = make_pairs(settings)
    input_pairs = None
    if card.gain:
        input_pairs = make_pairs(dataclasses.replace(settings, is_of_input=True)).pairs
    reason = metric.unavailable()
    if reason is not None:
        raise Unavailable(reason)
    value = _average(metric, output_pairs.pairs)
    if input_pairs is not None:
        value -= _average(metric, input_pairs)
    if not math.isfinite(value):
        return Score(measure.key, None, f"{measure.metric} returned {value}", "failed")
    return Score(measure.key, value, basis=output_pairs.basis)


def _average(metric: Metric, pairs: Sequence[ScoringPair]) -> float:
    return math.fsum(float(metric(*pair)) for pair in pairs) / len(pairs)
