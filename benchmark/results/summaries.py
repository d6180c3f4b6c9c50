"""Summaries: what a table prints before it is written down, one data set under one protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.results import notes, significance
from benchmark.results.missing_weights import (
    explain_missing_weights,
    find_methods_without_weights,
)
from benchmark.results.notes import Note
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import LEVEL_COLUMNS, Selection, note_scenes
from benchmark.results.significance import Mark, Ranking
from benchmark.stats import (
    NO_LIMITS,
    Interval,
    IntervalKind,
    Limits,
    difference_interval,
    mean_interval,
)

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = ("baseline", "classical", "learned")
"""The order of lines."""
INTERVAL_KINDS: Mapping[IntervalKind, str] = {
    "bootstrap": "studentised bootstrap",
    "sign flips": "sign flips",
    "t": "Student's",
}
"""What intervals are called beside tables."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a table: a mean with its interval, or a note why there is none.

    Attributes:
        interval: the mean.
        note: why there is none.
        mark: whether it is among the best or the second best; see `significance`.
        scores: picture -> the score that entered the mean.
        scene_scores: scene -> the mean of its pictures; the mean, interval and mark are of these.
    """

    interval: Interval | None
    note: str = ""
    mark: Mark | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    scene_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def best(self) -> bool:
        """Whether it is marked as best."""
        return self.mark is Mark.best

    @property
    def second(self) -> bool:
        """Whether it is marked as second best."""
        return self.mark is Mark.second

    def as_record(self) -> dict[str, Any]:
        """Return it as columns of a table of numbers."""
        interval = self.interval
        numbers: dict[str, Any] = {"mean": None, "low": None, "high": None, "interval": "", "n": 0}
        if interval is not None:
            numbers = {
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "interval": interval.kind,
                "n": interval.n,
            }
        return {**numbers, "best": self.best, "second": self.second, "note": self.note}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a method at a noise level.

    Attributes:
        level: the noise.
        method: canonical id.
        title: title from the card, with symbols that the notes explain.
        oracle: it saw the true blur map and takes no part in "best".
        entries: measure key -> entry.
        noise_aware: it was told the noise level and takes no part in "best".
    """

    level: Noise
    method: str
    title: str
    oracle: bool
    entries: dict[str, Entry]
    noise_aware: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """A table before it is written down: one data set under one protocol.

    Attributes:
        dataset, protocol, track: ids of what was measured.
        measures: measure key -> its card (title, unit, direction, digits).
        rows: methods within noise levels.
        notes: what a reader must know beside the table.
        learned_from: method -> what its weights or constants were learned from, empty for nothing;
            of those that restored anything, for a network that was skipped has no weights to speak
            of.
        without_weights: learned methods that were skipped everywhere and have no weights. Tables
            have one line for them all, in the notes, instead of a row each.
        amounts: method -> how much its weights were trained on, empty for none; of those in
            `learned_from`.
    """

    dataset: str
    protocol: str
    track: str
    measures: Mapping[str, MeasureCard]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
    learned_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_weights: tuple[str, ...] = ()
    amounts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def has_unequal_budgets(self) -> bool:
        """Whether weights that were trained for different times stand beside each other."""
        return len(set(filter(None, self.amounts.values()))) > 1

    @property
    def table_rows(self) -> tuple[Row, ...]:
        """The rows that a table shows."""
        return tuple(row for row in self.rows if row.method not in self.without_weights)

    @property
    def footnotes(self) -> tuple[str, ...]:
        """The notes as texts, each once."""
        return tuple(dict.fromkeys(note.text for note in self.notes))

    def levels(self) -> list[Noise]:
        """Return the noise levels of the rows, in their order."""
        return list(dict.fromkeys(row.level for row in self.rows))


def summaries_to_frame(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return summaries as one long table: a row per method, noise level and measure."""
    import pandas as pd

    records = []
    for summary in summaries:
        keys = {
            "dataset": summary.dataset,
            "protocol": summary.protocol,
            "track": summary.track,
        }
        for row in summary.rows:
            method = {
                "noise": str(row.level),
                "method": row.method,
                "oracle": row.oracle,
                "learned from": summary.learned_from.get(row.method, ""),
            }
            for key, entry in row.entries.items():
                records.append({**keys, **method, "measure": key, **entry.as_record()})
    return pd.DataFrame(records)


def summarise(selection: Selection, track: str, protocol: str) -> Summary | None:
    """Return the summary of a selection under a protocol; None where nothing concerns it.

    Args:
        selection: rows of one data set through one input track.
        track: id of the track.
        protocol: id of the protocol.
    """
    rows = selection.rows
    # Cells without scores belong to every protocol: those that did not end well.
    relevant_rows = rows[(rows["protocol"] == protocol) | (rows["status"] != "ok")]
    if relevant_rows.empty:
        return None
    part = Selection(selection.results, selection.dataset, relevant_rows)
    return _Summariser(part, track, protocol).summary()


class _Summariser:
    """Makes one summary. `selection` holds every row of the data set, track and protocol, failures
    too.
    """

    def __init__(self, selection: Selection, track: str, protocol: str) -> None:
        self._selection = selection
        self._track = track
        self._protocol = protocol
        self._protocol_card = selection.results.protocols[protocol]
        self._measures = self._protocol_card.measures
        self._cards = selection.method_cards()
        self._scenes = selection.scenes()
        self._without_weights = self._find_methods_without_weights()
        self._rankings: dict[Noise, dict[str, Ranking]] = {}
        self._notes: list[Note] = []
        self._failures: dict[tuple[str, str], list[Noise]] = {}

    def summary(self) -> Summary:
        """Return the summary; the rows come first because they find the notes."""
        rows: list[Row] = []
        for _, block in self._selection.rows.groupby(LEVEL_COLUMNS):
            rows += self._block_rows(block["noise"].iloc[0], block)
        return Summary(
            dataset=self._selection.dataset,
            protocol=self._protocol,
            track=self._track,
            measures=self._measures,
            rows=tuple(rows),
            notes=tuple(self._all_notes(rows)),
            learned_from=self._training_sources(),
            without_weights=self._without_weights,
            amounts=self._training_amounts(),
        )

    def _find_methods_without_weights(self) -> tuple[str, ...]:
        rows = self._selection.rows[["method", "status", "weights"]].drop_duplicates()
        cells = (
            (method, status, weights if isinstance(weights, str) else None)
            for method, status, weights in rows.itertuples(index=False)
        )
        return find_methods_without_weights(cells, self._cards)

    def _block_rows(self, level: Noise, block: pd.DataFrame) -> list[Row]:
        gap_reasons = {
            str(name): self._explain_gaps(level, name, block) for name in block["method"].unique()
        }
        complete_methods = [name for name, gap_reason in gap_reasons.items() if not gap_reason]
        common = self._common_pictures(level, complete_methods, block)
        pictures = self._choose_pictures(level, complete_methods, common, block)
        rows = [
            self._build_row(level, name, gap_reason, pictures, block)
            for name, gap_reason in gap_reasons.items()
        ]
        rows.sort(key=self._row_order)
        self._rankings[level] = mark_rows(rows, self._measures)
        return rows

    def _explain_gaps(self, level: Noise, method: str, block: pd.DataFrame) -> str:
        """Return why a method gets no mean: pictures that failed or were skipped; empty if none.
        Details are noted.
        """
        cells = block[block["method"] == method].drop_duplicates("key")
        unfinished_cells = cells[cells["status"] != "ok"]
        for (status, reason), group in unfinished_cells.groupby(
            ["status", "cell_reason"], dropna=False
        ):
            description = f"{status} on {len(group)} of {len(cells)} pictures ({reason})"
            self._failures.setdefault((method, description), []).append(level)
        if unfinished_cells.empty:
            return ""
        states = cells["status"].unique()
        return str(states[0]) if len(states) == 1 else "incomplete"

    def _common_pictures(self, level: Noise, methods: list[str], block: pd.DataFrame) -> set[str]:
        """Return the pictures that every complete method has, and note it when that is not all of
        them.
        """
        all_pictures = set(block["sample"].to_numpy())
        common = set(all_pictures)
        for name in methods:
            common &= set(block.loc[block["method"] == name, "sample"].to_numpy())
        if methods and common != all_pictures:
            text = (
                f"noise {level}: means over the {len(common)} of {len(all_pictures)} pictures all "
                "have"
            )
            self._notes.append(Note("pictures", text, levels=(level,)))
        return common

    def _choose_pictures(
        self, level: Noise, methods: list[str], common: set[str], block: pd.DataFrame
    ) -> dict[str, set[str]]:
        """Return measure key -> the pictures of its means: the common ones but for those that it
        cannot measure, whatever the method, as they are too small or have no target. They are
        named, unless it can measure none.
        """
        is_broken = block["score_status"].isin(["unavailable", "failed"])
        is_skipped = block["reason"].notna() & ~is_broken
        rows = block[
            is_skipped
            & (block["protocol"] == self._protocol)
            & block["newest"]
            & block["method"].isin(methods)
            & block["sample"].isin(common)
        ]
        pictures = dict.fromkeys(self._measures, common)
        reasons_by_names: dict[str, dict[str, str]] = {}
        for keys, group in rows.groupby(["measure", "reason"], sort=False):
            key, reason = map(str, keys)
            counts = group.groupby("sample")["method"].nunique()
            unfit = sorted(map(str, counts.index[counts == len(methods)]))
            if not unfit or len(unfit) == len(common):
                continue
            pictures[key] = pictures[key] - set(unfit)
            names = notes.shorten_list(unfit)
            reasons_by_names.setdefault(names, {})[self._measures[key].title] = reason
        for names, reasons in reasons_by_names.items():
            text = (
                f"noise {level}: means of {', '.join(reasons)} are without {names} "
                f"({'; '.join(dict.fromkeys(reasons.values()))})"
            )
            self._notes.append(Note("pictures", text, levels=(level,)))
        return {key: chosen or common for key, chosen in pictures.items()}

    def _build_row(
        self,
        level: Noise,
        method: str,
        gap_reason: str,
        pictures: Mapping[str, set[str]],
        block: pd.DataFrame,
    ) -> Row:
        card = self._cards.get(method)
        method_rows = block[(block["method"] == method) & (block["protocol"] == self._protocol)]
        entries = {}
        for key in self._measures:
            rows = method_rows[
                (method_rows["measure"] == key) & method_rows["sample"].isin(pictures[key])
            ]
            entries[key] = (
                Entry(None, gap_reason)
                if gap_reason
                else self._build_entry(key, rows, pictures[key])
            )
        return Row(
            level=level,
            method=method,
            title=self._selection.title(method),
            oracle=card is not None and card.oracle,
            entries=entries,
            noise_aware=card is not None and card.noise_aware,
        )

    def _build_entry(self, key: str, rows: pd.DataFrame, common: set[str]) -> Entry:
        rows = rows[rows["newest"]]
        reasons = rows["reason"].dropna()
        if not reasons.empty:
            return Entry(None, self._shorten_reason(str(reasons.iloc[0])))
        if not common or len(rows) != len(common):
            return Entry(None, "not scored")
        scores = dict(zip(rows["sample"].to_numpy(), rows["value"].tolist(), strict=True))
        return make_entry(scores, self._scenes, self._measures[key].limits)

    def _shorten_reason(self, reason: str) -> str:
        """Return what fits into a table, and note the whole reason."""
        short_reason, _, details = reason.partition(":")
        if details:
            self._notes.append(Note("unscored", reason))
        return short_reason

    def _row_order(self, row: Row) -> tuple[int, int, str]:
        card = self._cards.get(row.method)
        family = len(_FAMILIES) if card is None else _FAMILIES.index(card.family)
        return row.oracle, family, row.method

    def _all_notes(self, rows: Sequence[Row]) -> Iterator[Note]:
        selection = self._selection
        yield Note(
            "data",
            f"Data: {selection.dataset}, {self._describe_pictures()}, fingerprint "
            f"{selection.fingerprint()}; input track {self._track}.",
        )
        for remark in selection.remarks():
            yield Note("data", f"Of this copy of the data: {remark}.")
        yield from note_scenes(self._scenes)
        yield from self._selection.view_noise_notes(row.method for row in rows)
        yield from _note_means(rows)
        yield from self._note_marks(rows)
        yield from self._note_parts()
        yield from self._note_warnings()
        yield from self._note_budgets()
        for line in notes.training_lines(self._training_sources()):
            yield Note("training", line)
        yield from self._selection.generator_notes(row.method for row in rows)
        yield from self._selection.weights_notes(row.method for row in rows)
        yield from self._note_origin()
        yield from self._notes
        for text in notes.explain_symbols(row.title for row in rows):
            yield Note("symbols", text)
        if self._without_weights:
            yield Note("weights", explain_missing_weights(self._without_weights))
        for (method, what), levels in sorted(self._failures.items()):
            if method in self._without_weights:
                continue
            text = f"{method}, noise {', '.join(map(str, levels))}: {what}"
            yield Note("failure", text, method, tuple(levels))

    def _note_marks(self, rows: Sequence[Row]) -> Iterator[Note]:
        """Yield what the marks mean, and who takes no part."""
        for level, rankings in self._rankings.items():
            start = f"Noise {level}: " if len(self._rankings) > 1 else ""
            for text in significance.explain_marks(rankings, self._measures):
                yield Note("marks", text if text == significance.MARKS_LEGEND else start + text)
        if any(row.oracle or row.noise_aware for row in rows):
            text = "Methods that are given the true blur map or the noise level do not compete."
            yield Note("marks", text)

    def _note_parts(self) -> Iterator[Note]:
        """Yield what told sharp pixels from blurred ones, where measures are by blur."""
        rows = self._selection.rows
        scores = rows[(rows["protocol"] == self._protocol) & rows["newest"]]
        bases = scores[["sample", "basis"]].dropna().drop_duplicates()
        counts = bases["basis"].value_counts()
        if len(counts) == 1:
            yield Note("parts", f"Sharp and blurred: by {counts.index[0]}.")
        elif len(counts):
            texts = (f"by {basis} ({count} pictures)" for basis, count in counts.items())
            yield Note("parts", f"Sharp and blurred: {', '.join(texts)}.")

    def _note_warnings(self) -> Iterator[Note]:
        """Yield why measures are neither ranked nor marked."""
        for card in self._measures.values():
            if card.warning:
                yield Note("marks", f"{card.title} is not ranked: {card.warning}")

    def _describe_pictures(self) -> str:
        return notes.describe_pictures(len(self._scenes), len(set(self._scenes.values())))

    def _note_origin(self) -> Iterator[Note]:
        yield Note("origin", f"Protocol: {self._protocol} ({self._protocol_card.title}).")
        count = self._selection.rows["store"].nunique()
        if count > 1:
            text = f"From {count} runs; what more than one holds is taken from the one named last."
            yield Note("origin", text)
        commits = self._selection.commits()
        if commits:
            yield Note("origin", f"Suite at commit {', '.join(commits)}.")
        yield from self._selection.rounding_notes()

    def _note_budgets(self) -> Iterator[Note]:
        """Yield a warning where weights that were trained for different times stand beside each
        other.
        """
        amounts = sorted(set(filter(None, self._training_amounts().values())))
        if len(amounts) > 1:
            text = (
                f"Weights were trained for different times ({', '.join(amounts)}), which the marks "
                "do not weigh; the line of each method says for which."
            )
            yield Note("budgets", text)

    def _training_amounts(self) -> dict[str, str]:
        return {name: notes.training_amount(self._cards[name]) for name in self._training_sources()}

    def _training_sources(self) -> dict[str, str]:
        rows = self._selection.rows
        methods_with_outputs = set(rows.loc[rows["status"] == "ok", "method"].unique())
        names = sorted(methods_with_outputs & set(self._cards))
        return {name: notes.training_source(self._cards[name]) for name in names}


def make_entry(
    scores: Mapping[str, float], scenes: Mapping[str, str], limits: Limits = NO_LIMITS
) -> Entry:
    """Return the entry of a mean.

    Args:
        scores: picture -> its score, of one picture at least.
        scenes: picture -> the scene it shows.
        limits: what a score can be.
    """
    scene_scores = _average_scene_scores(scores, scenes)
    interval = mean_interval(list(scene_scores.values()), limits=limits)
    return Entry(interval, scores=scores, scene_scores=scene_scores)


def make_difference_entry(differences: Mapping[str, float], scenes: Mapping[str, str]) -> Entry:
    """Return the entry of a mean of paired differences, picture -> difference; its interval agrees
    with the test of them.
    """
    scene_scores = _average_scene_scores(differences, scenes)
    interval = difference_interval(list(scene_scores.values()))
    return Entry(interval, scores=differences, scene_scores=scene_scores)


def _average_scene_scores(
    scores: Mapping[str, float], scenes: Mapping[str, str]
) -> dict[str, float]:
    scene_scores = {scenes[picture]: score for picture, score in scores.items()}
    if len(scene_scores) == len(scores):
        return scene_scores
    import pandas as pd

    means = average_scenes(pd.Series(scores, dtype="float64"), scenes)
    return dict(zip(map(str, means.index), means.tolist(), strict=True))


def mark_rows(rows: Sequence[Row], measures: Mapping[str, MeasureCard]) -> dict[str, Ranking]:
    """Mark the best and the second best of each measure in the rows of one level, and return
    measure key -> what the marks rest on, where two methods compete.
    """
    rankings: dict[str, Ranking] = {}
    for key, card in measures.items():
        if card.warning:
            continue
        competitor_scores = {
            row.method: select_compared_scores(row.entries[key], card)
            for row in rows
            if _competes(row, key)
        }
        ranking = significance.rank_column(
            competitor_scores, higher_is_better=card.in_comparisons().higher_is_better
        )
        if ranking is not None:
            rankings[key] = ranking
        marks = ranking.marks if ranking is not None else {}
        for row in rows:
            row.entries[key] = dataclasses.replace(row.entries[key], mark=marks.get(row.method))
    return rankings


def select_compared_scores(entry: Entry, card: MeasureCard) -> dict[str, float]:
    """Return scene -> what methods are compared by; see `MeasureCard.in_comparisons`."""
    if card.ideal is None:
        return dict(entry.scene_scores)
    return {scene: abs(score - card.ideal) for scene, score in entry.scene_scores.items()}


def _competes(row: Row, key: str) -> bool:
    return not (row.oracle or row.noise_aware) and row.entries[key].interval is not None


def _note_means(rows: Sequence[Row]) -> Iterator[Note]:
    """Yield what the means and their intervals are."""
    entries = [entry for row in rows for entry in row.entries.values()]
    intervals = [entry.interval for entry in entries if entry.interval]
    if not intervals:
        return
    has_scenes = any(len(entry.scene_scores) != len(entry.scores) for entry in entries)
    unit = "scenes" if has_scenes else "pictures"
    yield Note("means", f"Mean over {unit}{name_interval_kinds(intervals)}.")


def name_interval_kinds(intervals: Iterable[Interval]) -> str:
    """Return in brackets which intervals these are; empty if none has bounds."""
    kinds = {interval.kind for interval in intervals}
    texts = [text for kind, text in INTERVAL_KINDS.items() if kind in kinds]
    return f" [95 % interval: {', '.join(texts)}]" if texts else ""
