"""What plan, worker, store and reports hand to each other: cells, tasks, outcomes and scores.

The identity of a cell is computed here and nowhere else, from the same fields whether they come
from a plan or from a stored row, so planned and finished work always match.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from benchmark.noise import Noise
from benchmark.spec import ResolvedId

IDENTITY_VERSION = 1
"""Raised when the meaning of an identity field changes, so that old cells are not mistaken for new
ones.
"""
PRECISION = "float32"
_IDENTITY = (
    "method_name",
    "checkpoint",
    "parameters",
    "method_version",
    "weights",
    "dataset_name",
    "sample",
    "data",
    "track",
    "precision",
)
Status = Literal["ok", "failed", "skipped", "timeout"]
ScoreStatus = Literal["ok", "skipped", "unavailable", "failed"]
"""What became of a score: `skipped`: there is nothing to measure (no target, a picture that does
not fit the metric); `unavailable`: the metric cannot be computed here, and is tried again where it
can; `failed`: the metric broke, or gave no finite number.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One unit of work: a method on a sample at a noise level through an input track.

    Attributes:
        method: canonical id, or the method's own name, for people; not part of the identity.
        method_name, checkpoint, parameters, method_version, weights: what the method is.
        dataset: canonical id of the data set; not part of the identity (it may hold a path).
        dataset_name, sample, data: what the picture is; `data` is the sample's content fingerprint.
        track: id of the input track.
        noise: canonical noise.
        precision: arithmetic of the method.
    """

    method: str
    method_name: str
    checkpoint: str | None
    parameters: str
    method_version: str
    weights: str | None
    dataset: str
    dataset_name: str
    sample: str
    data: str
    track: str
    noise: Noise
    precision: str = PRECISION

    @property
    def key(self) -> str:
        """Hex digest of the identity."""
        noise = [self.noise.sigma, self.noise.clip, self.noise.round8, self.noise.seed]
        text = json.dumps([IDENTITY_VERSION, *(getattr(self, name) for name in _IDENTITY), *noise])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def combine_fingerprints(samples: Iterable[str], fingerprints: Iterable[str]) -> str:
    """Return the hex digest over samples and their fingerprints; two tables with the same value saw
    the same pictures.
    """
    text = json.dumps(dict(zip(samples, fingerprints, strict=True)), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A cell to do, with what its ids were resolved to.

    Attributes:
        cell: what to do.
        method, dataset: how to build them; None where the cell comes from a store. A stored output
            can be scored without its method.
        protocols: ids of the protocols to score it under.
        output: path of the stored output, relative to the run's folder: only score it; None to run
            the method.
    """

    cell: Cell
    method: ResolvedId | None = None
    dataset: ResolvedId | None = None
    protocols: tuple[str, ...] = ()
    output: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """A measured value, or what became of it and why ("no target", "not available: ...").

    Raises:
        ValueError: unless there is a reason exactly where it is not ok.
    """

    key: str
    value: float | None
    reason: str | None = None
    status: ScoreStatus = "ok"

    def __post_init__(self) -> None:
        if (self.reason is None) != (self.status == "ok"):
            raise ValueError(f"score {self.key!r} is {self.status}, reason {self.reason}")


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell.

    Attributes:
        status: ok, failed, skipped or timeout.
        reason: one line for people; None when ok.
        traceback: full text for failures.
        seconds: wall time of `restore` inside the run; None where pictures made elsewhere were
            looked up. Runs share the machine, so it never enters a table of costs.
        scene: the sample's scene, for clustered statistics.
        output: path of the stored output relative to the run's folder, or None if it was not kept.
        scores: protocol id -> scores.
        remarks: what the method says of the picture, for the user; never stored.
    """

    status: Status
    reason: str | None = None
    traceback: str | None = None
    seconds: float | None = None
    scene: str | None = None
    output: str | None = None
    scores: Mapping[str, Sequence[Score]] = dataclasses.field(default_factory=dict)
    remarks: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCell:
    """What a store holds of a finished cell.

    Attributes:
        status: ok, failed, skipped or timeout.
        output: path of the stored output, or None.
        scores: (protocol, measure) -> (ruler it was scored with, what became of it).
    """

    status: Status
    output: str | None
    scores: Mapping[tuple[str, str], tuple[str, ScoreStatus]]
