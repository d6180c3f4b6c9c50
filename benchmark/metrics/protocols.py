"""Protocols: how a paper, or this benchmark, turns pictures into numbers.

A protocol has input tracks (`tracks`) and a ruler: for every number which metric, on the output
clamped or not, rounded to 8 bits or not, on which part of the picture. SSIM on 0-255 values with
range 255 equals SSIM on [0, 1] with range 1 (see `Ssim`), and so does PSNR, so everything here
lives on [0, 1]; metrics run in float64 also where the released scripts ran in float32.

The protocols themselves are data, in `published_protocols`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, Picture, Unavailable
from benchmark.cells import Score
from benchmark.metrics.tracks import Track

ScoringPair = tuple[NDArray[np.floating], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a ruler.

    Attributes:
        key: column key, unique in its protocol.
        metric: id of the metric.
        clamp: the output is clamped to [0, 1] first.
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

    def score(
        self,
        output: Picture,
        target: Picture | None,
        dataset: str,
        metrics: Callable[[str], Metric],
    ) -> list[Score]:
        """Return one score per measure.

        Args:
            output: what a method returned, unclamped, in scoring geometry (`Track.finish`).
            target: the all-in-focus picture in scoring geometry (`Track.frame`), or None.
            dataset: registered name of the data set.
            metrics: returns the metric of an id.

        Raises:
            ValueError: if the two differ in shape; a picture that does not fit a metric is a reason
                instead.
        """
        if target is None:
            return [Score(measure.key, None, "no target", "skipped") for measure in self.measures]
        if output.shape != target.shape:
            raise ValueError(
                f"output {output.shape} and target {target.shape} are not in one scoring geometry"
            )
        part = slice(*self.slices.get(dataset, (None, None)))
        output_part = output[part, part]
        target_part = target[part, part]
        pairs: dict[tuple[bool, bool], ScoringPair] = {}
        for clamp, round8 in {(measure.clamp, measure.round8) for measure in self.measures}:
            pairs[clamp, round8] = (
                _prepare_picture(output_part, clamp, round8),
                _prepare_picture(target_part, False, round8),
            )
        return [
            _score_measure(m, pairs[m.clamp, m.round8], metrics(m.metric)) for m in self.measures
        ]


def _prepare_picture(picture: Picture, clamp: bool, round8: bool) -> NDArray[np.floating]:
    if clamp:
        picture = np.clip(picture, 0, 1)
    if not round8:
        return picture
    # The product stays in float32, as in the released scripts: their ties are ours.
    rounded: NDArray[np.float64] = np.rint(picture * np.float32(255)).astype(np.float64) / 255
    return rounded


def _score_measure(measure: Measure, pair: ScoringPair, metric: Metric) -> Score:
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
