"""What the comparison page shows, read from stored runs: tables, and the scores and pictures behind
each number.

Nothing here touches a file of the page; `builder` writes down what these records say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import UsageError
from benchmark.cells import Cell, combine_fingerprints
from benchmark.reports import footnotes, summaries
from benchmark.reports.summaries import Row, Summary
from benchmark.run_layout import output_picture, target_picture
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = ["sigma", "clip", "round8", "seed"]
_GALLERY = ["dataset", "track", "level"]


class Source(NamedTuple):
    """A picture that a run may hold: number of the run, and path relative to its folder."""

    run: int
    path: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the runs hold of one picture under one method.

    Attributes:
        picture: where the 8-bit picture should be, or None if it was not kept.
        why: what became of it where it did not end well ("failed: ..."), else "".
    """

    picture: Source | None
    why: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """The pictures of a data set through an input track at a noise level, shared by the tables of
    all protocols.

    Attributes:
        dataset, track, level: where they come from; the level as the tables print it.
        methods: ids, in order.
        samples: sample id -> content fingerprint, in order.
        targets: sample id -> where the picture of the target should be.
        kept: (method, sample) -> what the runs hold.
    """

    dataset: str
    track: str
    level: str
    methods: tuple[str, ...]
    samples: dict[str, str]
    targets: dict[str, Source]
    kept: dict[tuple[str, str], Kept]


@dataclass(frozen=True, slots=True)
class View:
    """One table at one noise level, with what is behind it.

    Attributes:
        level: the noise, as text.
        gallery: number of its pictures among all galleries.
        rows: the table's lines.
        scores: (method, measure, sample) -> value, where there is one.
    """

    level: str
    gallery: int
    rows: tuple[Row, ...]
    scores: dict[tuple[str, str, str], float]

    @property
    def shared(self) -> set[str]:
        """The samples that the means are over."""
        return {
            sample for row in self.rows for entry in row.entries.values() for sample in entry.scores
        }


@dataclass(frozen=True, slots=True)
class Sheet:
    """A summary with its views.

    Attributes:
        summary: as the other formats print it.
        runs: numbers of the runs that its cells are from.
        pictures: how many there are.
        fingerprint: of their content.
        views: one per noise level.
    """

    summary: Summary
    runs: tuple[int, ...]
    pictures: int
    fingerprint: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything the page shows.

    Attributes:
        galleries: pictures.
        sheets: tables.
        origins: method -> number of the run that its cells (the last of them) are from.
    """

    galleries: tuple[Gallery, ...]
    sheets: tuple[Sheet, ...]
    origins: dict[str, int]


def read(stores: Sequence[Store], dataset: str | None = None) -> Shown:
    """Return what the page shows of runs, which are read as one as by `summaries.summaries`.

    Args:
        stores: the runs, the most decisive last.
        dataset: limit to this id; None for all data sets of the runs.

    Raises:
        UsageError: if the runs hold nothing (of that data set) that was scored.
    """
    frame = summaries.current(summaries.scores(stores))
    found = summaries.summaries(stores, dataset=dataset)
    if not found:
        held = ", ".join(sorted(frame["dataset"].unique()))
        raise UsageError(f"no scores of {dataset or 'any data set'} to show; the runs hold {held}")
    frame = frame[frame["dataset"] == dataset] if dataset is not None else frame
    frame = frame.assign(
        level=[footnotes.level(*level) for level in frame[_LEVEL].itertuples(index=False)]
    )
    cells = {cell.key: cell for store in stores for cell, _ in store.cells()}
    galleries = {
        place: _gallery(part, cells) for place, part in frame.groupby(_GALLERY, sort=False)
    }
    numbers = {place: number for number, place in enumerate(galleries)}
    sheets = tuple(_sheet(frame, summary, numbers) for summary in found)
    origins = dict(zip(frame["method"], frame["store"].tolist(), strict=True))
    return Shown(tuple(galleries.values()), sheets, origins)


def _gallery(part: pd.DataFrame, cells: Mapping[str, Cell]) -> Gallery:
    rows = part.drop_duplicates("key").sort_values(["sample", "method"]).to_dict("records")
    return Gallery(
        dataset=rows[0]["dataset"],
        track=rows[0]["track"],
        level=rows[0]["level"],
        methods=tuple(sorted({row["method"] for row in rows})),
        samples={row["sample"]: row["data"] for row in rows},
        targets={
            row["sample"]: Source(row["store"], target_picture(cells[row["key"]])) for row in rows
        },
        kept={(row["method"], row["sample"]): _kept(row) for row in rows},
    )


def _kept(row: Mapping[Any, Any]) -> Kept:
    if row["status"] != "ok":
        return Kept(
            None,
            ": ".join(
                text for text in (row["status"], row["cell_reason"]) if isinstance(text, str)
            ),
        )
    output = row["output"]
    return Kept(
        Source(row["store"], output_picture(output)) if isinstance(output, str) else None, ""
    )


def _sheet(frame: pd.DataFrame, summary: Summary, galleries: Mapping[Any, int]) -> Sheet:
    part = frame[(frame["dataset"] == summary.dataset) & (frame["track"] == summary.track)]
    scored = _newest(part[part["protocol"] == summary.protocol])
    part = part[(part["protocol"] == summary.protocol) | (part["status"] != "ok")]
    pictures = part.drop_duplicates("sample")
    views = tuple(
        View(
            level=level,
            gallery=galleries[summary.dataset, summary.track, level],
            rows=tuple(row for row in summary.rows if row.level == level),
            scores=_values(scored[scored["level"] == level]),
        )
        for level in dict.fromkeys(row.level for row in summary.rows)
    )
    return Sheet(
        summary=summary,
        runs=tuple(sorted(part["store"].unique().tolist())),
        pictures=len(pictures),
        fingerprint=combine_fingerprints(pictures["sample"], pictures["data"]),
        views=views,
    )


def _newest(scored: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the ruler that each measure was last scored with; a column of a table has
    only one.
    """
    ordered = scored.sort_values("scored_by", kind="stable")
    return ordered[ordered["ruler"] == ordered.groupby("measure")["ruler"].transform("last")]


def _values(scored: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    valued = scored[scored["value"].notna()]
    keys = zip(valued["method"], valued["measure"], valued["sample"], strict=True)
    return dict(zip(keys, valued["value"].tolist(), strict=True))
