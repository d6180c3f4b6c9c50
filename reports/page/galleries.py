"""What the comparison page shows, read from stored runs: tables, and the scores and pictures behind
each number.

Nothing here touches a file of the page; `builder` writes down what these records say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import UsageError
from benchmark.noise import Noise
from benchmark.reports import ranked
from benchmark.reports.page.gains import GainsByMethod, MethodGain, measure_gains
from benchmark.results import Results
from benchmark.results.selection import Selection, read_scenes
from benchmark.results.summaries import Row, Summary
from benchmark.run_layout import output_picture, target_picture_of

if TYPE_CHECKING:
    import pandas as pd

_GALLERY_KEYS = ["dataset", "noise", "track"]


class RunPicture(NamedTuple):
    """A picture that a run may hold: number of the run, and path relative to its folder."""

    run: int
    path: str


@dataclass(frozen=True, slots=True)
class OutputPicture:
    """What the runs hold of one picture under one method.

    Attributes:
        picture: where the 8-bit picture should be, or None if it was not kept.
        failure: what became of it where it did not end well ("failed: ..."), else "".
    """

    picture: RunPicture | None
    failure: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """The pictures of a data set through an input track at a noise level, shared by the tables of
    all protocols.

    Attributes:
        dataset, track, level: where they come from.
        methods: ids, in order.
        samples: sample id -> content fingerprint, in order.
        scenes: sample id -> the scene it shows.
        targets: sample id -> where the picture of the target should be.
        outputs: (method, sample) -> what the runs hold.
    """

    dataset: str
    track: str
    level: Noise
    methods: tuple[str, ...]
    samples: dict[str, str]
    scenes: dict[str, str]
    targets: dict[str, RunPicture]
    outputs: dict[tuple[str, str], OutputPicture]


@dataclass(frozen=True, slots=True)
class SheetLevel:
    """One table at one noise level, with what is behind it.

    Attributes:
        level: the noise.
        gallery: number of its pictures among all galleries.
        rows: the table's lines, the best by the first measure first, those without a mean last.
        gains: (method, measure) -> place and gain.
        notes: what the main table says at this level beside the notes of the summary.
        scores: (method, measure, sample) -> value, where there is one.
    """

    level: Noise
    gallery: int
    rows: tuple[Row, ...]
    gains: dict[tuple[str, str], MethodGain]
    notes: tuple[str, ...]
    scores: dict[tuple[str, str, str], float]

    @property
    def shared(self) -> set[str]:
        """The samples that the means are over."""
        samples: set[str] = set()
        for row in self.rows:
            for entry in row.entries.values():
                samples.update(entry.scores)
        return samples


@dataclass(frozen=True, slots=True)
class Sheet:
    """A summary with its noise levels.

    Attributes:
        summary: as the other formats print it.
        runs: numbers of the runs that its cells are from.
        pictures: how many there are, and of how many scenes where that is another number.
        fingerprint: of their content.
        levels: one per noise level.
    """

    summary: Summary
    runs: tuple[int, ...]
    pictures: str
    fingerprint: str
    levels: tuple[SheetLevel, ...]


@dataclass(frozen=True, slots=True)
class PageContent:
    """Everything the page shows.

    Attributes:
        galleries: pictures.
        sheets: tables.
        origins: method -> number of the run that its cells (the last of them) are from.
    """

    galleries: tuple[Gallery, ...]
    sheets: tuple[Sheet, ...]
    origins: dict[str, int]


def read_page_content(results: Results, dataset: str | None = None) -> PageContent:
    """Return what the page shows of runs.

    Args:
        results: the runs.
        dataset: limit to this id; None for all data sets of the runs.

    Raises:
        UsageError: if the runs hold nothing (of that data set) that was scored.
    """
    rows = results.rows
    summaries = results.summaries(dataset=dataset)
    if not summaries:
        available = ", ".join(sorted(rows["dataset"].unique()))
        dataset_name = dataset or "any data set"
        raise UsageError(f"no scores of {dataset_name} to show; the runs hold {available}")
    if dataset is not None:
        rows = rows[rows["dataset"] == dataset]
    groups = rows.groupby(_GALLERY_KEYS, sort=True)  # by data set, then noise
    galleries = {key: _build_gallery(part) for key, part in groups}
    numbers = {key: number for number, key in enumerate(galleries)}
    sheets = tuple(
        _build_sheet(results, summary, numbers, summaries)
        for summary in sorted(summaries, key=lambda each: each.dataset)
    )
    origins = dict(zip(rows["method"], rows["store"].tolist(), strict=True))
    return PageContent(tuple(galleries.values()), sheets, origins)


def _build_gallery(part: pd.DataFrame) -> Gallery:
    rows = part.drop_duplicates("key").sort_values(["sample", "method"]).to_dict("records")
    targets = {}
    for row in rows:
        path = target_picture_of(row["sample"], row["data"], row["track"])
        targets[row["sample"]] = RunPicture(row["store"], path)
    return Gallery(
        dataset=rows[0]["dataset"],
        track=rows[0]["track"],
        level=rows[0]["noise"],
        methods=tuple(sorted({row["method"] for row in rows})),
        samples={row["sample"]: row["data"] for row in rows},
        scenes=read_scenes(part),
        targets=targets,
        outputs={(row["method"], row["sample"]): _output_picture(row) for row in rows},
    )


def _output_picture(row: Mapping[Any, Any]) -> OutputPicture:
    if row["status"] != "ok":
        texts = [text for text in (row["status"], row["cell_reason"]) if isinstance(text, str)]
        return OutputPicture(None, ": ".join(texts))
    output = row["output"]
    if not isinstance(output, str):
        return OutputPicture(None, "")
    return OutputPicture(RunPicture(row["store"], output_picture(output)), "")


def _build_sheet(
    results: Results,
    summary: Summary,
    galleries: Mapping[Any, int],
    all_summaries: Sequence[Summary],
) -> Sheet:
    part = results.select_dataset(summary.dataset).only(track=summary.track)
    rows = part.rows
    scored_rows = rows[rows["newest"] & (rows["protocol"] == summary.protocol)]
    relevant_rows = rows[(rows["protocol"] == summary.protocol) | (rows["status"] != "ok")]
    selection = Selection(results, summary.dataset, relevant_rows)
    gains = measure_gains(summary)
    notes = _notes_by_level(summary, all_summaries)
    levels = []
    for level in summary.levels():
        sheet_level = SheetLevel(
            level=level,
            gallery=galleries[summary.dataset, level, summary.track],
            rows=_order_rows(summary, level, gains),
            gains={key[1:]: gain for key, gain in gains.items() if key[0] == str(level)},
            notes=notes.get(level, ()),
            scores=_values_by_cell(scored_rows[scored_rows["noise"] == level]),
        )
        levels.append(sheet_level)
    return Sheet(
        summary=summary,
        runs=tuple(sorted(relevant_rows["store"].unique().tolist())),
        pictures=_count_pictures(selection.scenes()),
        fingerprint=selection.fingerprint(),
        levels=tuple(levels),
    )


def _order_rows(summary: Summary, level: Noise, gains: GainsByMethod) -> tuple[Row, ...]:
    first_measure = next(iter(summary.measures))

    def order(row: Row) -> tuple[bool, int]:
        is_measured = any(entry.interval for entry in row.entries.values())
        return not is_measured, gains[str(level), row.method, first_measure].order

    return tuple(sorted((row for row in summary.table_rows if row.level == level), key=order))


def _notes_by_level(
    summary: Summary, all_summaries: Sequence[Summary]
) -> dict[Noise, tuple[str, ...]]:
    """Return what the main table says at each level that the summary does not say itself."""
    levels = dict.fromkeys(row.level for row in summary.table_rows)
    grids = ranked.summary_to_ranked_grids(summary, all_summaries=all_summaries)
    return {
        level: tuple(note for note in grid.footnotes if note not in summary.footnotes)
        for level, grid in zip(levels, grids, strict=True)
    }


def _count_pictures(scenes: Mapping[str, str]) -> str:
    count = len(set(scenes.values()))
    return str(len(scenes)) if count == len(scenes) else f"{len(scenes)} of {count} scenes"


def _values_by_cell(scored: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    rows_with_value = scored[scored["value"].notna()]
    keys = zip(
        rows_with_value["method"],
        rows_with_value["measure"],
        rows_with_value["sample"],
        strict=True,
    )
    return dict(zip(keys, rows_with_value["value"].tolist(), strict=True))
