"""Runs narrowed to what one figure may show: one data set through one input track under one
protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.api import DataError, Dataset, Sample, Unavailable
from benchmark.cells import Cell, combine_fingerprints
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.metrics.tracks import Track
from benchmark.registry import DATASETS, create
from benchmark.reports import footnotes, runs, summaries
from benchmark.reports.figures import style
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for.

    Attributes:
        dataset: id or registered name; None for the only one that the runs hold.
        protocol: id; None for `canonical`, or the only one that the runs were scored under.
        methods: ids to show; empty for all.
        samples: pictures to show, where a figure shows pictures; empty for the first ones.
        root: the data root, for figures that need true maps or pictures of the data set itself.
        cost: folder of a cost pass, as the command `cost` writes it; None for one that is found.
        psf: folder of a PSF study, as the command `psf` writes it.
    """

    dataset: str | None = None
    protocol: str | None = None
    methods: Sequence[str] = ()
    samples: Sequence[str] = ()
    root: Path = Path("data")
    cost: Path | None = None
    psf: Path = Path("results/psf")


class Kept(NamedTuple):
    """An output that a run kept: the folder of the run, the cell, the path of the output inside the
    folder.
    """

    folder: Path
    cell: Cell
    output: str


class Comparable(NamedTuple):
    """Scores of one measure that may be compared.

    Attributes:
        values: one row per picture that all methods have at all levels, a column for each (method,
            level); no gaps.
        notes: who is missing and why, and how many pictures were left out.
    """

    values: pd.DataFrame
    notes: tuple[str, ...]


class Source:
    """One or more runs as one. What more than one of them holds is taken from the one named last.

    Attributes:
        wanted: what was asked for.
        folders: of the runs.
        dataset, protocol, track: ids of what is shown.
        methods: ids, `input` first, then families, oracles last.
        levels: noise levels as texts, ascending.
        samples: ids of the pictures, in order.
        measures: measure key -> card (title, unit, direction, digits) of the protocol.
        looks: method -> how it is drawn; the same in all figures of these runs, whichever methods
            are shown.
    """

    def __init__(self, stores: Sequence[Store], wanted: Wanted) -> None:
        """Read the runs.

        Raises:
            UsageError: runs without cells; a data set, protocol, method or picture that they do not
                hold; several data sets and none chosen.
        """
        self.wanted, self._stores = wanted, stores
        self.folders = [store.folder for store in stores]
        frame = summaries.current(summaries.scores(stores))
        held = sorted(frame["dataset"].unique())
        asked = runs.dataset(stores, wanted.dataset) if wanted.dataset else None
        self.dataset = runs.chosen("data set", asked, held, "--dataset")
        frame = frame[frame["dataset"] == self.dataset]
        known = sorted(frame["protocol"].dropna().unique())
        usual = runs.PREFERRED if runs.PREFERRED in known else None
        self.protocol = runs.chosen("protocol", wanted.protocol or usual, known, "--protocol")
        whole = self._summary()
        ordered = sorted(
            dict.fromkeys(row.method for row in whole.rows), key=lambda name: name != "input"
        )
        aside = {row.method for row in whole.rows if row.oracle or row.noise_aware}
        self.methods = _some("method", wanted.methods, ordered)
        scored = {
            row.method for row in whole.rows if any(entry.scores for entry in row.entries.values())
        }
        self.looks = style.choose_method_looks(
            sorted(ordered, key=lambda name: name not in scored), aside
        )
        self._labels = style.method_labels({row.method: row.title for row in whole.rows})
        self._shown = self._summary(self.methods) if wanted.methods else whole
        self.track, self.measures = whole.track, whole.measures
        self.levels = list(dict.fromkeys(row.level for row in self._shown.rows))
        self._frame = frame[(frame["track"] == self.track) & frame["method"].isin(self.methods)]
        self.samples = _some("picture", wanted.samples, sorted(self._frame["sample"].unique()))

    def title(self, method: str) -> str:
        """Return a method's name for labels, with the marks that the caption explains."""
        return self._labels[method]

    def comparable(self, measure: str, levels: Collection[str]) -> Comparable:
        """Return the scores of a measure over the pictures that all methods have at all of these
        levels.

        A method that failed or was skipped on a picture takes no part at that level.

        Raises:
            Unavailable: if nothing is left to compare.
        """
        import pandas as pd

        rows = [row for row in self._shown.rows if row.level in levels]
        lacking = [row for row in rows if not row.entries[measure].scores]
        notes = self._left_out(lacking, measure)
        table = pd.DataFrame(
            {(r.method, r.level): r.entries[measure].scores for r in rows if r not in lacking}
        )
        values = table.sort_index().dropna()
        if values.empty:
            raise Unavailable(
                " ".join(notes) or f"there is no picture that all methods have a {measure} of"
            )
        everything = self._frame["sample"].nunique()
        if len(values) < everything:
            notes.append(f"Over the {len(values)} of {everything} pictures that all have.")
        return Comparable(values, tuple(notes))

    def _left_out(self, rows: Sequence[summaries.Row], measure: str) -> list[str]:
        """Return who has no scores at which level, by reason, with what the tables say of
        failures.
        """
        levels: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            levels.setdefault((row.method, row.entries[measure].note), []).append(row.level)
        names: dict[tuple[str, str], list[str]] = {}
        for (method, why), some in levels.items():
            names.setdefault((", ".join(some), why), []).append(method)
        failures = tuple(f"{row.method}, noise " for row in rows)
        return [
            *(
                f"Without scores at noise {at} ({why}): {', '.join(some)}."
                for (at, why), some in names.items()
            ),
            *(f"{note}." for note in self._shown.footnotes if note.startswith(failures)),
        ]

    def kept(self, level: str) -> dict[str, list[Kept]]:
        """Return sample -> the outputs that the runs kept at a noise level, in the order of
        `methods`.

        Raises:
            Unavailable: if none was kept.
        """
        current = set(zip(self._frame["store"], self._frame["key"], strict=True))
        found: dict[str, dict[str, Kept]] = {sample: {} for sample in self.samples}
        for number, store in enumerate(self._stores):
            for cell, known in store.cells():
                noise = cell.noise
                here = footnotes.level(noise.sigma, noise.clip, noise.round8, noise.seed) == level
                if here and (number, cell.key) in current and cell.sample in found and known.output:
                    found[cell.sample][cell.method] = Kept(store.folder, cell, known.output)
        if not any(found.values()):
            raise Unavailable(
                "the runs kept no outputs (--no-save-images); run again without that option"
            )
        return {
            sample: [mine[name] for name in self.methods if name in mine]
            for sample, mine in found.items()
            if mine
        }

    def adapter(self) -> Dataset:
        """Return the data set itself, for what runs do not keep.

        Raises:
            Unavailable: if it is not found under the data root.
            UsageError: if its adapter is a plug-in that is not loaded.
        """
        try:
            return create(DATASETS, self.dataset, root=self.wanted.root)[0]
        except DataError as error:
            where = f"not found under {self.wanted.root}; name the root by --data"
            raise Unavailable(f"it needs {self.dataset} itself, {where}") from error

    def load(self, adapter: Dataset, sample: str) -> Sample:
        """Return a sample as the runs met it: read through their track, before any noise.

        Raises:
            Unavailable: if it is no longer what it was.
        """
        [data] = self._frame.loc[self._frame["sample"] == sample, "data"].unique()
        if adapter.fingerprint(sample) != data:
            raise Unavailable(
                f"{self.dataset}: {sample} is not what it was when it was run; run again"
            )
        return Track.parse(self.track).read(adapter.load(sample))

    def about(self, samples: Collection[str], methods: Collection[str] | None = None) -> list[str]:
        """Return what every caption must say: data, n, fingerprint, track, protocol, training data,
        commits, marks.

        Args:
            samples: the pictures that the figure covers.
            methods: those that it shows; None for all.
        """
        pictures = self._frame[self._frame["sample"].isin(list(samples))].drop_duplicates("sample")
        digest = combine_fingerprints(pictures["sample"], pictures["data"])
        shown = [row for row in self._shown.rows if methods is None or row.method in methods]
        sources = {row.method: self._shown.learned_from.get(row.method, "") for row in shown}
        return [
            f"Data: {self.dataset}, n = {len(pictures)}, fingerprint {digest}; input track "
            f"{self.track}.",
            *footnotes.training(sources),
            *self._shown.origin,
            *(f"{text}." for text in footnotes.explained(row.title for row in shown)),
        ]

    def _summary(self, methods: Sequence[str] | None = None) -> summaries.Summary:
        """Return the table that the figures stand beside: of the protocol's first input track that
        was used.
        """
        tracks = next(
            cards[self.protocol].tracks
            for store in self._stores
            if self.protocol in (cards := store.cards(ProtocolCard))
        )
        found = summaries.summaries(self._stores, [self.protocol], self.dataset, methods)
        return min(found, key=lambda summary: tracks.index(summary.track))


def drawn_by() -> str:
    """Return which suite drew a figure, for figures that show more than stored results."""
    return f"Drawn by {footnotes.this_suite()}."


def _some(kind: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return what was asked for, in the order of `known`; everything if nothing was.

    Raises:
        UsageError: for a name that the runs do not hold.
    """
    for name in asked:
        runs.chosen(kind, name, known)
    return [name for name in known if name in asked] if asked else list(known)
