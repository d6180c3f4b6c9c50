"""What `control` found about imported weights, kept beside their file: METHOD.TAG.control.json.

It belongs to the weights by their SHA-256 and to the method with its parameters: of others it says
nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark import checkpoints
from benchmark.api import DataError
from benchmark.files import write_bytes

NOT_CHECKED = "not checked"
Answer = Literal["reproduces", "differs", "cannot be told"]


class Verdict(BaseModel):
    """What became of one number or picture that weights should give.

    Attributes:
        answer: see `Answer`.
        text: for people; it begins with the answer.
        subject: what was measured: measure, data set and protocol, or the files.
        source: where the expected number or picture comes from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: Answer
    text: str
    subject: str
    source: str


class ControlRecord(BaseModel):
    """The verdicts on one file of weights.

    Attributes:
        weights: SHA-256 of the file.
        method: canonical id of the method that was controlled.
        verdicts: all that were reached, in the order of the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str
    method: str
    verdicts: tuple[Verdict, ...]

    def describe(self) -> str:
        """Return the worst answer that could be told with its numbers, or that none could be."""
        for answer in ("differs", "reproduces"):
            verdicts = [verdict for verdict in self.verdicts if verdict.answer == answer]
            if verdicts:
                return "; ".join(f"{verdict.text} ({verdict.subject})" for verdict in verdicts)
        return "; ".join([NOT_CHECKED, *(verdict.text for verdict in self.verdicts)])


def locate_record(weights: Path) -> Path:
    """Return where the record of a checkpoint's file is kept."""
    return weights.with_suffix(".control.json")


def write_record(weights: Path, method: str, verdicts: tuple[Verdict, ...]) -> Path:
    """Keep the verdicts on a checkpoint's file beside it, in place of earlier ones; return where.

    Raises:
        DataError: if it cannot be written.
    """
    digest = checkpoints.hash_checkpoint(weights)
    record = ControlRecord(weights=digest, method=method, verdicts=verdicts)
    path = locate_record(weights)
    write_bytes(path, record.model_dump_json(indent=1).encode())
    return path


def describe_control(weights: Path, method: str) -> str:
    """Return what is known of imported weights in the method of this canonical id, beginning
    with `reproduces`, `differs` or `not checked`.

    Raises:
        DataError: a record that cannot be read.
    """
    path = locate_record(weights)
    if not path.is_file():
        return NOT_CHECKED
    try:
        record = ControlRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path}: not a readable record; delete it, or run `control` again"
        ) from error
    if record.method != method or record.weights != checkpoints.hash_checkpoint(weights):
        return NOT_CHECKED
    return record.describe()
