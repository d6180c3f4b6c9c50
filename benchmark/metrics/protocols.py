"""Protocols: how a paper, or this benchmark, turns pictures into numbers.

A protocol has input tracks (`tracks`) and a ruler: for every number which metric, on the output
clamped or not, rounded to 8 bits or not, on which part of the picture. SSIM on 0-255 values with
range 255 equals SSIM on [0, 1] with range 1 (see `Ssim`), and so does PSNR, so everything here
lives on [0, 1]; metrics run in float64 also where the released scripts ran in float32.

The protocols themselves are data, in `published_protocols`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Mask, Metric, MetricPart, MetricReference, Picture, Unavailable
from benchmark.cells import Score
from benchmark.metrics.tracks import Track

LEAST_IN_FOCUS = 0.01
"""Share of a picture below which a score of its part in focus says nothing."""

ScoringPair = tuple[NDArray[np.floating], NDArray[np.floating]]


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
        return any(card.reference != "target" or card.part != "all" for card in cards)

    def score(
        self,
        output: Picture,
        target: Picture | None,
        dataset: str,
        metrics: Callable[[str], Metric],
        *,
        image: Picture | None = None,
        in_focus: Mask | None = None,
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

        Raises:
            ValueError: if they differ in height, width or channels; a picture that does not fit a
                metric is a reason instead.
        """
        pictures = _ScoredPictures(output, target, image, in_focus)
        pictures.check_geometry()
        pictures = pictures.crop(slice(*self.slices.get(dataset, (None, None))))
        make_pair = functools.cache(pictures.make_pair)
        return [
            _score_measure(measure, metrics(measure.metric), make_pair) for measure in self.measures
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _ScoredPictures:
    """An output and what it is compared with, as `Protocol.score` gets them."""

    output: Picture
    target: Picture | None
    image: Picture | None
    in_focus: Mask | None

    def check_geometry(self) -> None:
        for name, reference in (("target", self.target), ("input", self.image)):
            if reference is not None and self.output.shape != reference.shape:
                raise ValueError(
                    f"output {self.output.shape} and {name} {reference.shape} are not in one "
                    "scoring geometry"
                )

    def crop(self, part: slice) -> _ScoredPictures:
        return _ScoredPictures(
            self.output[part, part],
            None if self.target is None else self.target[part, part],
            None if self.image is None else self.image[part, part],
            None if self.in_focus is None else self.in_focus[part, part],
        )

    def make_pair(
        self, clamp: bool, round8: bool, reference: MetricReference, part: MetricPart
    ) -> ScoringPair:
        """Return what a metric compares; raises ValueError where there is nothing to compare."""
        reference_picture = self._choose_reference(reference)
        # Targets lie in [0, 1]; a noisy input leaves it, where a clamped output cannot follow.
        clamp_reference = clamp and reference_picture is self.image
        pair = (
            _prepare_picture(self.output, clamp, round8),
            _prepare_picture(reference_picture, clamp_reference, round8),
        )
        if part == "all":
            return pair
        return _gather_pixels(pair, self.in_focus)

    def _choose_reference(self, reference: MetricReference) -> Picture:
        if self.target is not None and reference != "input":
            return self.target
        if reference == "target":
            raise ValueError("no target")
        if self.image is None:
            raise ValueError("no input to compare with")
        return self.image


def _gather_pixels(pair: ScoringPair, mask: Mask | None) -> ScoringPair:
    """Return the pixels of the mask as pictures one pixel wide."""
    if mask is None:
        raise ValueError("no blur map and no mask say what is in focus")
    if mask.mean() < LEAST_IN_FOCUS:
        raise ValueError(f"less than {LEAST_IN_FOCUS:.0%} of the picture is in focus")
    output, reference = pair
    return output[mask][:, None], reference[mask][:, None]


def _prepare_picture(picture: Picture, clamp: bool, round8: bool) -> NDArray[np.floating]:
    if clamp:
        picture = np.clip(picture, 0, 1)
    if not round8:
        return picture
    # The product stays in float32, as in the released scripts: their ties are ours.
    rounded: NDArray[np.float64] = np.rint(picture * np.float32(255)).astype(np.float64) / 255
    return rounded


def _score_measure(
    measure: Measure, metric: Metric, make_pair: Callable[..., ScoringPair]
) -> Score:
    card = metric.card
    try:
        pair = make_pair(measure.clamp, measure.round8, card.reference, card.part)
    except ValueError as error:
        return Score(measure.key, None, str(error), "skipped")
    reason = metric.unavailable()
    if reason is not None:
        return Score(measure.key, None, f"not available: {reason}", "unavailable")
    try:
        value = float(metric(*pair))
    except Unavailable as error:
        return Score(measure.key, None, f"not available: {error}", "unavailable")
    except ValueError as error:
        return Score(measure.key, None, str(error), "skipped")
    except Exception as error:
        # A metric that breaks must not take the method's other scores with it.
        return Score(measure.key, None, f"failed: {type(error).__name__}: {error}", "failed")
    if not math.isfinite(value):
        return Score(measure.key, None, f"{measure.metric} returned {value}", "failed")
    return Score(measure.key, value)
