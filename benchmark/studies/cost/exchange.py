"""Costs that go with results to others: which cost pass, and what of it may leave the machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.results.publication import publish_id, publish_provenance, shorten_paths
from benchmark.studies.cost.measurement import (
    RECORD_ADAPTER,
    RECORD_FILE,
    SAMPLES_FILE,
    CostRecord,
    MethodCounts,
    read_cost_pass,
)
from benchmark.studies.cost.timing import TimingSubject, Trial


def find_cost_passes(parts: Sequence[Path]) -> list[Path]:
    """Return the parts that hold a cost pass, of equal ones one, by its content."""
    folders: dict[bytes, Path] = {}
    for part in parts:
        record = part / RECORD_FILE
        if record.is_file():
            samples = part / SAMPLES_FILE
            content = record.read_bytes() + (samples.read_bytes() if samples.is_file() else b"")
            folders.setdefault(content, part)
    return [folders[content] for content in sorted(folders)]


def publish_cost_pass(folder: Path, method_ids: Mapping[str, str]) -> dict[str, bytes]:
    """Return name -> content of the files of a cost pass, without what is private.

    Args:
        folder: that `cost` wrote.
        method_ids: id of a method -> what it is called in published results.

    Raises:
        UsageError, DataError: as `read_cost_pass`.
    """
    record, trials = read_public_pass(folder, method_ids)
    lines = [json.dumps(asdict(trial)) for trial in trials]
    return {
        RECORD_FILE: RECORD_ADAPTER.dump_json(record, indent=1),
        SAMPLES_FILE: "".join(f"{line}\n" for line in lines).encode(),
    }


def read_public_pass(folder: Path, method_ids: Mapping[str, str]) -> tuple[CostRecord, list[Trial]]:
    """Return a cost pass without what is private; arguments and errors of `publish_cost_pass`."""
    record, trials = read_cost_pass(folder)
    public_trials = [_publish_trial(trial, method_ids) for trial in trials]
    return _publish_record(record, method_ids), public_trials


def _publish_record(record: CostRecord, method_ids: Mapping[str, str]) -> CostRecord:
    return dataclasses.replace(
        record,
        subjects=[_publish_subject(subject, method_ids) for subject in record.subjects],
        counts=_publish_counts(record.counts, method_ids),
        references=_publish_counts(record.references, method_ids),
        provenance=publish_provenance(record.provenance, method_ids),
    )


def _publish_subject(subject: TimingSubject, method_ids: Mapping[str, str]) -> TimingSubject:
    return dataclasses.replace(subject, method=_publish_name(subject.method, method_ids))


def _publish_counts(
    counts: Mapping[str, MethodCounts], method_ids: Mapping[str, str]
) -> dict[str, MethodCounts]:
    return {
        _publish_name(name, method_ids): dataclasses.replace(
            count, problem=shorten_paths(count.problem)
        )
        for name, count in counts.items()
    }


def _publish_trial(trial: Trial, method_ids: Mapping[str, str]) -> Trial:
    reason = trial.reason
    return dataclasses.replace(
        trial,
        subject=_publish_subject(trial.subject, method_ids),
        reason=None if reason is None else shorten_paths(reason),
    )


def _publish_name(name: str, method_ids: Mapping[str, str]) -> str:
    return method_ids.get(name) or publish_id(name)
