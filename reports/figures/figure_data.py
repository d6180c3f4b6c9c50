"""Results narrowed to what one figure may show: one data set through one input track under one
protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.api import Dataset, Sample, Unavailable
from benchmark.cells import Cell
from benchmark.noise import Noise
from benchmark.reports import live, ranked
from benchmark.reports.crops import CropWindow
from benchmark.reports.figures import style
from benchmark.reports.figures.choice import MethodChoice, choose_methods
from benchmark.results import Results, choices, notes
from benchmark.results.missing_weights import explain_missing_weights
from benchmark.results.notes import note_texts
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import cell_of_row, note_scenes
from benchmark.results.summaries import Row, Summary

if TYPE_CHECKING:
    import pandas as pd


class NoPictures(Unavailable):
    """The figure shows pictures, and bundles and exported scores hold none."""


@dataclass(frozen=True, slots=True)
class FigureOptions:
    """What a person wants to see.

    Attributes:
        dataset: id or registered name; None for the only one that the runs hold.
        protocol: id; None for `canonical`, or the only one that the runs were scored under.
        methods: ids to show; empty for all. Figures with a colour for each method draw the best of
            them where they are too many to be told apart.
        samples: pictures to show, where a figure shows pictures; empty for the first ones.
        root: the data root, for figures that need true maps or pictures of the data set itself.
        cost: folder of a cost pass, as the command `cost` writes it; None for one that is found.
        psf: folder of a PSF study, as the command `psf` writes it.
        boxes: what crops show; empty for the place where defocus shows most.
        crops: folder for the single crops as files; None for none.
    """

    dataset: str | None = None
    protocol: str | None = None
    methods: Sequence[str] = ()
    samples: Sequence[str] = ()
    root: Path = Path("data")
    cost: Path | None = None
    psf: Path = Path("results/psf")
    boxes: Sequence[CropWindow] = ()
    crops: Path | None = None


class StoredOutput(NamedTuple):
    """An output that a run stored: the folder of the run, the cell, the path of the output inside
    the folder, and its digest (None where it was not kept).
    """

    folder: Path
    cell: Cell
    output: str
    digest: str | None


class ComparableScores(NamedTuple):
    """Scores of one measure that may be compared.

    Attributes:
        values: one row per picture that all methods have at all levels, a column for each (method,
            level); no gaps.
        scene_means: one row per scene, the mean of its pictures; the same columns.
        notes: who is missing and why, and how many pictures were left out.
    """

    values: pd.DataFrame
    scene_means: pd.DataFrame
    notes: tuple[str, ...]


class FigureData:
    """What the figures of some results show.

    Attributes:
        options: what is wanted.
        results: the runs.
        dataset, protocol, track: ids of what is shown.
        methods: ids of those that are drawn, `input` first, then families, oracles last.
        choice_notes: in one line, which methods are drawn where that is not all, and how to choose.
        levels: noise levels, ascending.
        samples: ids of the pictures, in order.
        measures: measure key -> card of what methods are compared by.
        looks: method -> how it is drawn; the same in all figures of these runs, whichever methods
            are shown.
    """

    def __init__(
        self, results: Results, options: FigureOptions, *, all_methods: bool = False
    ) -> None:
        """Narrow results down, and to few enough methods to be told apart unless all are wanted.

        Raises:
            UsageError: runs without cells; a data set, protocol, method or picture that they do not
                hold; several data sets and none chosen.
        """
        self.options = options
        self.results = results
        selection = results.select_dataset(options.dataset)
        self.dataset = selection.dataset
        scored_protocols = sorted(selection.rows["protocol"].dropna().unique())
        preferred_protocol = choices.PREFERRED_PROTOCOL
        default_protocol = preferred_protocol if preferred_protocol in scored_protocols else None
        self.protocol = choices.choose_one(
            "protocol", options.protocol or default_protocol, scored_protocols, "--protocol"
        )
        full_summary = self._summarise()
        self.track = full_summary.track
        self.measures = {key: card.in_comparisons() for key, card in full_summary.measures.items()}
        ordered_methods = sorted(
            dict.fromkeys(row.method for row in full_summary.rows), key=lambda name: name != "input"
        )
        candidates = choices.choose_some("method", options.methods, ordered_methods)
        ranking = ranked.rank_methods(full_summary)
        choice = choose_methods(candidates, ranking, self._name_ranking())
        self.looks = _choose_looks(full_summary, ranking, choice.methods)
        if all_methods:
            choice = MethodChoice(candidates)
        self.methods = choice.methods
        self.choice_notes = choice.notes
        self._labels = style.method_labels({row.method: row.title for row in full_summary.rows})
        is_part = len(self.methods) < len(ordered_methods)
        self._summary = self._summarise(self.methods) if is_part else full_summary
        self.levels = self._summary.levels()
        self._selection = selection.only(track=self.track, methods=self.methods)
        self.samples = choices.choose_some("picture", options.samples, self._selection.pictures())

    def with_all_methods(self) -> FigureData:
        """Return the same with every method that is wanted, for figures that need no colours."""
        return FigureData(self.results, self.options, all_methods=True)

    def registered_names(self) -> dict[str, str]:
        """Return method -> the name that it is registered under."""
        rows = self._selection.rows
        names = dict(zip(rows["method"], rows["method_name"], strict=True))
        return {method: str(names[method]) for method in self.methods}

    def title(self, method: str) -> str:
        """Return a method's name for labels, with the symbols that the caption explains."""
        return self._labels[method]

    def comparable(self, measure: str, levels: Collection[Noise]) -> ComparableScores:
        """Return the scores of a measure (of one with an ideal, the distance to it) over the
        pictures that all methods have at all of these levels.

        A method that failed or was skipped on a picture takes no part at that level.

        Raises:
            Unavailable: if nothing is left to compare.
        """
        import pandas as pd

        rows = [row for row in self._summary.rows if row.level in levels]
        rows_without_scores = [row for row in rows if not row.entries[measure].scores]
        notes = self._explain_lacking(rows_without_scores, measure)
        scores = {
            (row.method, row.level): row.entries[measure].scores
            for row in rows
            if row not in rows_without_scores
        }
        values = pd.DataFrame(scores).sort_index().dropna()
        ideal = self._summary.measures[measure].ideal
        if ideal is not None:
            values = (values - ideal).abs()
        if values.empty:
            reason = " ".join(notes)
            raise Unavailable(reason or f"there is no picture that all methods have a {measure} of")
        picture_count = len(self._selection.pictures())
        if len(values) < picture_count:
            notes.append(f"Over the {len(values)} of {picture_count} pictures that all have.")
        scene_means = average_scenes(values, self._selection.scenes())
        return ComparableScores(values, scene_means, tuple(notes))

    def _explain_lacking(self, rows: Sequence[Row], measure: str) -> list[str]:
        """Return who has no scores at which level, by reason, with what the tables say of
        failures.
        """
        levels: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            method_and_reason = (row.method, row.entries[measure].note)
            levels.setdefault(method_and_reason, []).append(str(row.level))
        methods: dict[tuple[str, str], list[str]] = {}
        for (method, reason), texts in levels.items():
            methods.setdefault((", ".join(texts), reason), []).append(method)
        notes = []
        for (levels_text, reason), names in methods.items():
            notes.append(f"Without scores at noise {levels_text} ({reason}): {', '.join(names)}.")
        methods_without_scores = {row.method for row in rows}
        failures = [note for note in self._summary.notes if note.kind == "failure"]
        notes += [f"{note.text}." for note in failures if note.method in methods_without_scores]
        without_weights = sorted(methods_without_scores & set(self._summary.without_weights))
        return notes + ([explain_missing_weights(without_weights)] if without_weights else [])

    def outputs(self, level: Noise) -> dict[str, list[StoredOutput]]:
        """Return sample -> the outputs that the runs stored at a noise level, in the order of
        `methods`.

        Raises:
            Unavailable: if none was stored.
            NoPictures: if none of the results is a run folder.
        """
        if all(run.folder is None for run in self.results.runs):
            raise NoPictures(
                "bundles and exported scores hold no pictures; name the run folder instead"
            )
        selection = self._selection.only(noise=level, pictures=self.samples)
        cells = selection.rows.drop_duplicates(["store", "key"]).sort_values("store", kind="stable")
        outputs: dict[str, dict[str, StoredOutput]] = {sample: {} for sample in self.samples}
        for row in cells.to_dict("records"):
            folder = self.results.runs[row["store"]].folder
            if folder is not None and isinstance(row["output"], str):
                digest = row["output_digest"]
                known_digest = digest if isinstance(digest, str) else None
                stored = StoredOutput(folder, cell_of_row(row), row["output"], known_digest)
                outputs[row["sample"]][row["method"]] = stored
        if not any(outputs.values()):
            raise Unavailable(
                "the runs kept no outputs (--no-save-images); run again without that option"
            )
        ordered = {}
        for sample, by_method in outputs.items():
            if by_method:
                ordered[sample] = [by_method[name] for name in self.methods if name in by_method]
        return ordered

    def open_dataset(self) -> Dataset:
        """Return the data set itself, for what runs do not keep; raises as
        `live.require_dataset`.
        """
        return live.require_dataset(self.dataset, self.options.root)

    def read_sample(self, adapter: Dataset, sample: str) -> Sample:
        """Return a sample as the runs met it; raises as `live.read_sample`."""
        fingerprint = self._selection.pictures()[sample]
        return live.read_sample(adapter, self.dataset, sample, fingerprint, self.track)

    def describe(
        self, samples: Collection[str], methods: Collection[str] | None = None
    ) -> list[str]:
        """Return what every caption must say: data, pictures, fingerprint, track, protocol,
        training data, commits, symbols.

        Args:
            samples: the pictures that the figure covers.
            methods: those that it shows; None for all.
        """
        part = self._selection.only(pictures=samples)
        rows = [row for row in self._summary.rows if methods is None or row.method in methods]
        learned_from = self._summary.learned_from
        sources = {row.method: learned_from.get(row.method, "") for row in rows}
        origin = [note for note in self._summary.notes if note.kind == "origin"]
        return [
            f"Data: {self.dataset}, {part.describe_pictures()}, fingerprint {part.fingerprint()}; "
            f"input track {self.track}.",
            *note_texts(note_scenes(part.scenes())),
            *note_texts(part.view_noise_notes(row.method for row in rows)),
            *notes.training_lines(sources),
            *note_texts(part.generator_notes(row.method for row in rows)),
            *note_texts(part.weights_notes(row.method for row in rows)),
            *note_texts(origin),
            *(f"{text}." for text in notes.explain_symbols(row.title for row in rows)),
            *self.choice_notes,
        ]

    def _summarise(self, methods: Sequence[str] | None = None) -> Summary:
        """Return the table that the figures stand beside: of the protocol's first input track that
        was used.
        """
        tracks = self.results.protocols[self.protocol].tracks
        summaries = self.results.summaries([self.protocol], self.dataset, methods)
        return min(summaries, key=lambda summary: tracks.index(summary.track))

    def _name_ranking(self) -> str:
        """Return what methods are ranked by, in words."""
        return f"gain in {next(iter(self.measures.values())).title}"


def _choose_looks(
    summary: Summary, ranking: Sequence[str], methods: Sequence[str]
) -> dict[str, style.MethodLook]:
    unranked = {row.method for row in summary.rows if row.oracle or row.noise_aware}
    return style.choose_method_looks(ranking, methods, unranked)


def name_drawing_suite() -> str:
    """Return which suite drew a figure, for figures that show more than stored results."""
    return f"Drawn by {notes.this_suite()}."
