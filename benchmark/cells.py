"""What plan, worker, store and reports hand to each other: cells, tasks, outcomes and scores.

The identity of a cell is computed here and nowhere else, from the same fields whether they come
from a plan or from a stored row, so planned and finished work always match.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.noise import SAME, Noise
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
_read_identity = operator.attrgetter(*_IDENTITY)
_encode_json = json.JSONEncoder().encode
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
        noise: canonical noise, as `Noise.of_inputs` has it for the method.
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
    _key: str = dataclasses.field(default="", init=False, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Hex digest of the identity; it is asked for again and again, and computed once."""
        if not self._key:
            noise = self.noise
            facts: list[object] = [noise.sigma, noise.clip, noise.round8, noise.seed]
            if noise.on_views == SAME:  # the other is what cells had before there was a choice
                facts.append(SAME)
            text = _encode_json([IDENTITY_VERSION, *_read_identity(self), *facts])
            digest = hashlib.blake2b(text.encode(), digest_size=16)
            object.__setattr__(self, "_key", digest.hexdigest())
        return self._key


def name_cell(cell: Cell) -> str:
    """Return what a cell is called in messages."""
    return f"{cell.method} on {cell.sample}, noise {cell.noise.sigma:g}"


def combine_fingerprints(samples: Iterable[str], fingerprints: Iterable[str]) -> str:
    """Return the hex digest over samples and their fingerprints; two tables with the same value saw
    the same pictures.
    """
    text = json.dumps(dict(zip(samples, fingerprints, strict=True)), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def digest_place(dataset: ResolvedId) -> str | None:
    """Return what a data set of some place on this machine has in common under every path to it,
    None for an id that names no place.

    It is a digest, because results are shared, and where folders lie is nobody's business.
    """
    values = {name: dataset.arguments.get(name) for name in dataset.parameters}
    places = {
        name: os.path.realpath(os.path.expanduser(value))  # noqa: PTH111 (raises nothing)
        for name, value in values.items()
        if isinstance(value, Path)
    }
    if not places:
        return None
    facts = [platform.node(), dataset.name, {**dataset.parameters, **places}]
    text = json.dumps(facts, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


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
        output_digest: what the stored output must be; None where that was not kept.
    """

    cell: Cell
    method: ResolvedId | None = None
    dataset: ResolvedId | None = None
    protocols: tuple[str, ...] = ()
    output: str | None = None
    output_digest: str | None = None

    @property
    def kind(self) -> str:
        """The method, which may be to blame when the process dies."""
        return self.cell.method

    @property
    def picture(self) -> str:
        """Fingerprint of the picture."""
        return self.cell.data

    @property
    def title(self) -> str:
        """What messages call it."""
        return name_cell(self.cell)


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """A measured value, or what became of it and why ("no target", "not available: ...").

    Attributes:
        key: of the measure.
        value: None unless the status is "ok".
        reason: why there is no value.
        status: what became of it.
        basis: what told sharp pixels from blurred ones, of a measure by blur ("the true blur map").

    Raises:
        ValueError: unless there is a reason exactly where it is not ok.
    """

    key: str
    value: float | None
    reason: str | None = None
    status: ScoreStatus = "ok"
    basis: str | None = None

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
        output_digest: of what the method made, whether it was kept or not (`imageio.digest_array`).
        scores: protocol id -> scores.
        rescored: a stored output was scored, and no method ran.
        remarks: what the method says of the picture, for the user; never stored.
        origin: where it was computed, if that differs from where the command runs: a JSON object
            as `provenance.describe_environment` gives it.
    """

    status: Status
    reason: str | None = None
    traceback: str | None = None
    seconds: float | None = None
    scene: str | None = None
    output: str | None = None
    output_digest: str | None = None
    scores: Mapping[str, Sequence[Score]] = dataclasses.field(default_factory=dict)
    rescored: bool = False
    remarks: Sequence[str] = ()
    origin: str | None = None


class StoredCell(NamedTuple):
    """What a store holds of a finished cell.

    Attributes:
        status: ok, failed, skipped or timeout.
        output: path of the stored output, or None.
        output_digest: of what the method made; None where an earlier release made it.
        scores: (protocol, measure) -> (ruler it was scored with, what became of it).
    """

    status: Status
    output: str | None
    output_digest: str | None
    scores: Mapping[tuple[str, str], tuple[str, ScoreStatus]]


@dataclasses.dataclass(frozen=True, slots=True)
class StudyResult:
    """What a study measured on one of its items.

    Attributes:
        key: hex digest of what the item is, and of the study and its version.
        facts: what the item is, for people: column -> value.
        status: ok, failed, skipped or timeout.
        reason: one line for people; None when ok.
        traceback: full text for failures.
        values: what was measured, as JSON holds it; empty unless ok.
    """

    key: str
    facts: Mapping[str, Any]
    status: Status
    reason: str | None = None
    traceback: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredScore:
    """What a store holds of one score.

    Attributes:
        value: None unless the status is "ok".
        ruler: what it was scored with.
        scored_by: number of the command that scored it.
    """

    protocol: str
    measure: str
    value: float | None
    status: ScoreStatus
    ruler: str
    scored_by: int
