"""The quality that papers and their re-evaluations print: `results/published/quality.csv`, one
number a line.

Printed numbers are texts, so that they stay as printed. They are never measured here, and never
called so. Which of our methods stands for a row of the paper is in `rows.csv`, and which for a
model that others print, in `models.csv`; what is known of a source as a whole is in `sources.csv`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, MinLen
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from benchmark.api import DataError
from benchmark.checkpoints import NOISE_TRAINED
from benchmark.files import PACKAGE_FOLDER
from benchmark.spec import parse_id

PUBLISHED_FOLDER = PACKAGE_FOLDER / "published"
GKMNET_PAPER = "GKMNet paper (NeurIPS 2021)"
"""The source whose tables are made again."""
TableNumber = Literal["1", "2", "3", "4", "5"]
Training = Literal["", "clean", "noise"]
_RANGES = {"psnr": (5, 60), "ssim": (0, 1), "lpips": (0, 1), "mae": (0, 1)}
_ANY_TAG = "*"

NonemptyText = Annotated[str, MinLen(1)]
PublishedRecord = TypeVar("PublishedRecord", bound="_PublishedRecord")


class _PublishedRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PrintedNumber(_PublishedRecord):
    """One printed number.

    Attributes:
        source: a key of `read_published_sources`.
        table: number of the table of the GKMNet paper; empty for other sources.
        model: the row's name, as printed.
        training: what the row says of its training pictures (`noise` for the paper's "+"); empty if
            nothing.
        dataset: what it was measured on: the test part of it.
        part: the part of that, where it is not all.
        noise: sigma of the noise added to the pictures, on the 0-255 scale.
        measure: psnr (dB), ssim, lpips or mae.
        value: as printed; empty if it is printed but cannot be read, and then the note says so.
        protocol: what is known of how it was measured beside the source's own note; empty if
            nothing.
        note: what a reader must know about this number.
    """

    source: NonemptyText
    table: TableNumber | Literal[""]
    model: NonemptyText
    training: Training
    dataset: NonemptyText
    part: Literal["", "indoor", "outdoor"]
    noise: Annotated[float, Ge(0)]
    measure: Literal["psnr", "ssim", "lpips", "mae"]
    value: str
    protocol: str
    note: str

    @model_validator(mode="after")
    def _check_range(self) -> PrintedNumber:
        if not self.value:
            if not self.note:
                raise ValueError("a number that cannot be read needs a note")
            return self
        low, high = _RANGES[self.measure]
        if not low <= float(self.value) <= high:
            raise ValueError(f"{self.measure} lies in [{low}, {high}], got {self.value}")
        return self

    @property
    def footnote(self) -> str:
        """What stands beside the number: how it was measured, and the note."""
        return "; ".join(filter(None, (self.protocol, self.note)))

    @property
    def key(self) -> tuple[object, ...]:
        """What no two numbers share."""
        return tuple(
            getattr(self, name)
            for name in PrintedNumber.model_fields
            if name not in ("value", "note")
        )


class PublishedSource(_PublishedRecord):
    """Where numbers are printed.

    Attributes:
        source: name for tables.
        reference: paper, or page.
        note: what is known of all its numbers.
    """

    source: NonemptyText
    reference: NonemptyText
    note: str


class _MethodPatterns(_PublishedRecord):
    """Something printed, and our methods that stand for it.

    Attributes:
        methods: canonical ids with a space between them. The tag `*` stands for any, or none, but
            not for weights that were trained on noise; `*-noise` for those.
    """

    methods: NonemptyText

    def means(self, method: str) -> bool:
        """Return whether a method stands for it."""
        return any(_pattern_covers(pattern, method) for pattern in self.methods.split())


class PaperRow(_MethodPatterns):
    """One row of a table of the paper, and our methods that stand for it.

    Attributes:
        table: number of the table.
        model: the row's name, as printed; empty for a method that the paper does not have.
        training: as in `PrintedNumber`.
    """

    table: TableNumber
    model: str
    training: Training

    def counts_as(self, method: str) -> bool:
        """Return whether a method has the network of the row, whatever its weights."""
        return any(_network_of(pattern) == _network_of(method) for pattern in self.methods.split())


class PrintedModel(_MethodPatterns):
    """A model that others print, and our methods that stand for it.

    Attributes:
        model: as printed; see `PrintedNumber`.
    """

    model: NonemptyText


def _network_of(method: str) -> tuple[str, dict[str, str]]:
    """Return what decides the network of a method: its name and parameters."""
    spec = parse_id(method)
    return spec.name, spec.parameters


def _pattern_covers(pattern: str, method: str) -> bool:
    if _network_of(pattern) != _network_of(method):
        return False
    pattern_tag = parse_id(pattern).checkpoint or ""
    tag = parse_id(method).checkpoint or ""
    if pattern_tag in (_ANY_TAG, _ANY_TAG + NOISE_TRAINED):
        return tag.endswith(NOISE_TRAINED) == (pattern_tag != _ANY_TAG)
    return tag == pattern_tag


def read_printed_numbers(folder: Path = PUBLISHED_FOLDER) -> list[PrintedNumber]:
    """Return the printed numbers in the order of the file.

    Raises:
        DataError: no such file; or a line that is not as described above, comes twice, or names an
            unknown source.
    """
    path = folder / "quality.csv"
    source_names = {source.source for source in read_published_sources(folder)}
    numbers = list(_read_records(path, PrintedNumber))
    for number in numbers:
        if number.source not in source_names:
            raise DataError(
                f"{path}: unknown source {number.source!r}; add it to {folder / 'sources.csv'}"
            )
    _refuse_duplicates(path, (number.key for number in numbers))
    return numbers


def read_published_sources(folder: Path = PUBLISHED_FOLDER) -> list[PublishedSource]:
    """Return the sources in the order of the file.

    Raises:
        DataError: as `read_printed_numbers`.
    """
    path = folder / "sources.csv"
    sources = list(_read_records(path, PublishedSource))
    _refuse_duplicates(path, (source.source for source in sources))
    return sources


def read_paper_rows(folder: Path = PUBLISHED_FOLDER) -> list[PaperRow]:
    """Return the rows of the paper's tables in the order of the file.

    Raises:
        DataError: as `read_printed_numbers`.
    """
    path = folder / "rows.csv"
    rows = list(_read_records(path, PaperRow))
    _refuse_duplicates(path, ((row.table, row.model, row.training, row.methods) for row in rows))
    return rows


def read_printed_models(folder: Path = PUBLISHED_FOLDER) -> list[PrintedModel]:
    """Return the models of others that methods of ours stand for, in the order of the file.

    Raises:
        DataError: as `read_printed_numbers`.
    """
    path = folder / "models.csv"
    models = list(_read_records(path, PrintedModel))
    _refuse_duplicates(path, (model.model for model in models))
    return models


def find_printed_model(
    method: str, title: str, models: Iterable[PrintedModel], printed_names: Iterable[str]
) -> str | None:
    """Return the name of the model that a method stands for; None for none.

    That is the first model that names the method. Other methods, such as pictures of others and
    plug-ins, stand for the model that is printed under their id or title.

    Args:
        method: canonical id.
        title: from its card.
        models: as `read_printed_models` returns them.
        printed_names: names of all models of which numbers are printed.
    """
    known_names = {parse_id(pattern).name for model in models for pattern in model.methods.split()}
    for model in models:
        if model.means(method):
            return model.model
    if parse_id(method).name in known_names:
        return None
    own_names = {method.casefold(), title.casefold()}
    return next((name for name in printed_names if name.casefold() in own_names), None)


def _read_records(path: Path, kind: type[PublishedRecord]) -> Iterator[PublishedRecord]:
    columns = ", ".join(kind.model_fields)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, line in enumerate(
                csv.DictReader(file, restkey="more cells than columns", strict=True), start=2
            ):
                yield _parse_record(path, number, line, kind)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); it is part of the checkout"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: not a CSV file in UTF-8 ({error}); expected the columns {columns}"
        ) from error


def _parse_record(
    path: Path, number: int, line: dict[str, str], kind: type[PublishedRecord]
) -> PublishedRecord:
    try:
        return kind.model_validate(line)
    except ValidationError as error:
        first = error.errors()[0]
        column_prefix = f"{first['loc'][0]}: " if first["loc"] else ""
        columns = ", ".join(kind.model_fields)
        raise DataError(
            f"{path}, line {number}: {column_prefix}{first['msg']}; expected the columns {columns}"
        ) from error


def _refuse_duplicates(path: Path, keys: Iterable[object]) -> None:
    doubles = [key for key, count in Counter(keys).items() if count > 1]
    if doubles:
        raise DataError(f"{path}: {doubles[0]} is there twice; keep one line")
