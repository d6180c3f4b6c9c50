"""A selection: one data set of results, narrowed down, with the facts that stand beside its
numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, combine_fingerprints
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.results import choices, notes
from benchmark.results.notes import Note, count_noun, describe_pictures

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.results.results import Results

LEVEL_COLUMNS = ["sigma", "clip", "round8", "seed"]
"""The columns that make a noise level. What sigma is of where there are dual-pixel views is none of
it: a table holds one reading, and says which.
"""
_JOINT = "+"
_SCORE_KEYS = ["method", "sample"]


class ScoreColumn(NamedTuple):
    """A measure of a protocol on what came through an input track."""

    protocol: str
    track: str
    measure: str


class CommonScores(NamedTuple):
    """Scores over the pictures that everything compared has.

    Attributes:
        pictures: their names, in order; none if there is no such picture.
        scenes: picture -> the scene it shows, of these and maybe of others.
        values: column -> one row per picture, one column per method; no gaps.
        left_out: one note per reason why other pictures take no part, with their number.
    """

    pictures: list[str]
    scenes: Mapping[str, str]
    values: Mapping[ScoreColumn, pd.DataFrame]
    left_out: tuple[Note, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Rows of one data set.

    Attributes:
        results: where they are from.
        dataset: id.
        rows: as `Results.rows` has them.
    """

    results: Results
    dataset: str
    rows: pd.DataFrame

    def only(
        self,
        *,
        noise: Noise | None = None,
        track: str | None = None,
        methods: Collection[str] | None = None,
        sigmas: Collection[float] | None = None,
        pictures: Collection[str] | None = None,
    ) -> Selection:
        """Return the part of it that is of a noise level, a track, some methods, noise sigmas and
        pictures; None for all.
        """
        rows = self.rows
        if noise is not None:
            rows = rows[rows["noise"] == noise]
        if track is not None:
            rows = rows[rows["track"] == track]
        if methods is not None:
            rows = rows[rows["method"].isin(list(methods))]
        if sigmas is not None:
            rows = rows[rows["sigma"].isin(list(sigmas))]
        if pictures is not None:
            rows = rows[rows["sample"].isin(list(pictures))]
        return Selection(self.results, self.dataset, rows)

    # What there is

    def levels(self) -> list[Noise]:
        """Return the noise levels, ascending."""
        return sorted(self.rows["noise"].unique())

    @property
    def level(self) -> Noise:
        """The only noise level of a selection of one."""
        [level] = self.levels()
        return level

    def methods(self) -> list[str]:
        """Return the ids of all methods that were run, in order."""
        return sorted(str(name) for name in self.rows["method"].unique())

    def pictures(self) -> dict[str, str]:
        """Return picture -> content fingerprint, in order."""
        first = self.rows.drop_duplicates("sample").sort_values("sample")
        return dict(zip(first["sample"].to_numpy(), first["data"].to_numpy(), strict=True))

    def scenes(self) -> dict[str, str]:
        """Return picture -> the scene it shows, in order."""
        return read_scenes(self.rows)

    def describe_pictures(self) -> str:
        """Return how many pictures there are, and of how many scenes."""
        scenes = self.scenes()
        return describe_pictures(len(scenes), len(set(scenes.values())))

    def fingerprint(self) -> str:
        """Return the hex digest over the pictures; two tables with the same saw the same."""
        pictures = self.pictures()
        return combine_fingerprints(pictures, pictures.values())

    def method_cards(self) -> dict[str, MethodCard]:
        """Return the card of every method that has one."""
        return self.results.method_cards(self.rows)

    @property
    def generator(self) -> str:
        """The generator of the pictures; empty for pictures that a camera took, and for the data
        sets of older runs, which did not keep it.
        """
        card = self.results.dataset_cards.get(self.dataset)
        return "" if card is None else card.generator

    def remarks(self) -> tuple[str, ...]:
        """Return what the data set left out or assumed of its files when it was run last."""
        card = self.results.dataset_cards.get(self.dataset)
        return () if card is None else card.remarks

    def commits(self) -> list[str]:
        """Return the states of the suite that computed the cells."""
        return self.results.commits(self.rows)

    def rounding_notes(self) -> list[Note]:
        """Return a line on outputs that were rounded before they were scored, if some were."""
        methods = self.results.rounded_methods(self.rows)
        if not methods:
            return []
        names = notes.shorten_list(methods)
        return [
            Note("origin", f"Outputs rounded to float16, then scored (to 0.07 of 255): {names}.")
        ]

    # Columns of scores

    def protocols(self) -> list[str]:
        """Return the ids of the protocols that something was scored under, `canonical` first."""
        preferred_protocol = choices.PREFERRED_PROTOCOL
        names = self.rows["protocol"].dropna().unique()
        return sorted(names, key=lambda name: (name != preferred_protocol, name))

    def tracks(self, protocol: str) -> list[str]:
        """Return the input tracks that something scored under a protocol came through, the
        protocol's own first.
        """
        tracks_with_scores = set(self.rows.loc[self.rows["protocol"] == protocol, "track"].unique())
        return [
            track
            for track in self.results.protocols[protocol].tracks
            if track in tracks_with_scores
        ]

    def measures(self, protocol: str) -> Mapping[str, MeasureCard]:
        """Return measure key -> card of a protocol, in its order."""
        return self.results.protocols[protocol].measures

    def card(self, column: ScoreColumn) -> MeasureCard:
        """Return the card of what methods are compared by in a column."""
        return self.measures(column.protocol)[column.measure].in_comparisons()

    def column(
        self, protocol: str | None = None, track: str | None = None, measure: str | None = None
    ) -> ScoreColumn:
        """Return the column wanted; by default of `canonical` or the first protocol, and there the
        first of all.

        Raises:
            UsageError: for what the runs do not hold.
        """
        scored = self.protocols()
        if not scored:
            raise UsageError(
                f"{self.dataset}, noise {self.level}: nothing is scored; use `score` on the run "
                "first"
            )
        name = choices.choose_one("protocol", protocol or scored[0], scored)
        tracks = self.tracks(name)
        measures = list(self.measures(name))
        return ScoreColumn(
            name,
            choices.choose_one("track", track or tracks[0], tracks),
            choices.choose_one("measure", measure or measures[0], measures),
        )

    def column_scores(self, column: ScoreColumn) -> pd.DataFrame:
        """Return the rows with a score of a column by the newest ruler, one per method and
        picture.
        """
        rows = _rows_of_column(self.rows, column).sort_values("asked", kind="stable")
        scores = rows[rows["newest"] & rows["value"].notna()]
        return scores.drop_duplicates(_SCORE_KEYS, keep="last")

    # Methods

    def scored_methods(self, column: ScoreColumn) -> list[str]:
        """Return the ids of the methods that have a score of a column, in order."""
        return sorted(str(name) for name in self.column_scores(column)["method"].unique())

    def competitors(self, column: ScoreColumn) -> tuple[list[str], list[Note]]:
        """Return the methods that are scored in a column and compete, and notes on the others of
        the runs.
        """
        scored = self.scored_methods(column)
        competitors = [name for name in scored if not self.symbols(name)]
        privileged = [name for name in scored if name not in competitors]
        methods_without_scores = [name for name in self.methods() if name not in scored]
        exclusion_notes = []
        if privileged:
            text = f"Given more than the others, and so not among them: {', '.join(privileged)}."
            exclusion_notes.append(Note("marks", text))
        if methods_without_scores:
            text = f"Without scores ({', '.join(column)}): {', '.join(methods_without_scores)}."
            exclusion_notes.append(Note("unscored", text))
        return competitors, exclusion_notes

    def find_method(self, name: str) -> str:
        """Return what is compared under a name: a method, or several joined by `+`, whose mean on a
        picture counts.

        So weights from several seeds are compared as one method.

        Raises:
            UsageError: for a method that was not run.
        """
        methods = self.methods()
        if name not in methods and _JOINT in name:
            parts = dict.fromkeys(name.split(_JOINT))
            return _JOINT.join(choices.choose_one("method", part, methods) for part in parts)
        return choices.choose_one("method", name, methods)

    def symbols(self, method: str) -> str:
        """Return the symbols of what a method was given; empty for one that competes."""
        cards = self.method_cards()
        texts = [notes.title_symbols(cards.get(member)) for member in self.members(method)]
        return "".join(dict.fromkeys("".join(texts)))

    def title(self, method: str) -> str:
        """Return a method with the symbols of what it was given, of what it learned from, and of
        pictures that others made; with imported weights, whether they give what was printed for
        them.
        """
        own_symbols = f"{self._generator_symbol(method)}{self._origin_symbol(method)}"
        symbols = f"{self.symbols(method)}{own_symbols}"
        cards = self.method_cards()
        labels = {notes.control_label(cards.get(member)) for member in self.members(method)}
        control = ", ".join(sorted(filter(None, labels)))
        return f"{method}{symbols} ({control})" if control else f"{method}{symbols}"

    def _origin_symbol(self, method: str) -> str:
        cards = self.method_cards()
        return max(notes.origin_symbol(cards.get(member)) for member in self.members(method))

    def _generator_symbol(self, method: str) -> str:
        cards = self.method_cards()
        texts = [
            notes.generator_symbol(cards.get(member), self.generator)
            for member in self.members(method)
        ]
        return max(texts)

    def members(self, name: str) -> list[str]:
        """Return the methods that are compared under a name of `find_method`."""
        return [name] if name in self.methods() else name.split(_JOINT)

    def _all_members(self, names: Sequence[str]) -> list[str]:
        members: dict[str, None] = {}
        for name in names:
            members |= dict.fromkeys(self.members(name))
        return list(members)

    # Scores over common pictures

    def common_scores(self, methods_by_column: Mapping[ScoreColumn, Sequence[str]]) -> CommonScores:
        """Return the scores of methods over the pictures that all of them have.

        Args:
            methods_by_column: column -> the methods whose scores are to be set beside each other
                there; see `find_method`.
        """
        members = {
            column: self._all_members(methods) for column, methods in methods_by_column.items()
        }
        tables = {
            column: self._score_table(column, methods)
            for column, methods in methods_by_column.items()
        }
        all_pictures: set[str] = set()
        for column, methods in members.items():
            all_pictures |= self._pictures_run(column, methods)
        common = set(all_pictures)
        for table in tables.values():
            common &= set(table.index)
        pictures = sorted(common)
        omission_notes = tuple(self._explain_left_out(all_pictures - common, members))
        values = {column: table.loc[pictures] for column, table in tables.items()}
        return CommonScores(pictures, self.scenes(), values, omission_notes)

    def _pictures_run(self, column: ScoreColumn, methods: Sequence[str]) -> set[str]:
        return set(self.only(track=column.track, methods=methods).rows["sample"])

    def _score_table(self, column: ScoreColumn, methods: Sequence[str]) -> pd.DataFrame:
        """Return one row per picture that all methods have."""
        import pandas as pd

        scores = self.column_scores(column).pivot(index="sample", columns="method", values="value")
        ideal = self.measures(column.protocol)[column.measure].ideal
        if ideal is not None:
            scores = (scores - ideal).abs()
        table = scores.reindex(columns=self._all_members(methods)).dropna()
        means = {name: table[self.members(name)].mean(axis=1) for name in methods}
        return pd.DataFrame(means, index=table.index)

    def _explain_left_out(
        self, pictures: set[str], methods_by_column: Mapping[ScoreColumn, Sequence[str]]
    ) -> Iterator[Note]:
        """Yield why pictures take no part; of several reasons against a picture, the first."""
        scored = {}
        for column in methods_by_column:
            scores = self.column_scores(column)
            scored[column] = set(zip(scores["method"], scores["sample"], strict=True))
        rows = self.only(pictures=pictures).rows.sort_values("asked", kind="stable")
        rows_by_keys = dict(list(rows.groupby([*_SCORE_KEYS, "track"])))
        reasons: Counter[str] = Counter()
        for picture in sorted(pictures):
            column, method = _first_gap(picture, methods_by_column, scored)
            reason = _explain_gap(rows_by_keys.get((method, picture, column.track)), column)
            reasons[f"{method} {reason}"] += 1
        for reason, count in reasons.most_common():
            yield Note("pictures", f"{count_noun(count, 'picture')} left out: {reason}.")

    # Notes

    def describe(
        self, columns: Sequence[ScoreColumn], methods: Sequence[str], pictures: Sequence[str]
    ) -> list[Note]:
        """Return what a reader must know of numbers: data, tracks, protocols, what methods saw,
        commits.
        """
        protocols: dict[str, None] = {}
        for column in columns:
            title = self.results.protocols[column.protocol].title
            protocols[f"{column.protocol} ({title})"] = None
        tracks = dict.fromkeys(column.track for column in columns)
        members = self._all_members(methods)
        part = self.only(pictures=pictures, methods=members)
        cards = self.method_cards()
        sources = {name: notes.training_source(cards.get(name)) for name in members}
        symbols = notes.explain_symbols(map(self.title, methods))
        commits = part.commits()
        data = (
            f"Data: {self.dataset}, {part.describe_pictures()}, fingerprint "
            f"{part.fingerprint()}; noise {self.level}; input track {', '.join(tracks)}."
        )
        description = [
            Note("data", data),
            Note("origin", f"Protocol: {', '.join(protocols)}."),
            *note_scenes(part.scenes()),
            *part.view_noise_notes(members),
            *(Note("symbols", f"{text}.") for text in symbols),
            *self._note_joint_methods(methods),
            *(Note("training", line) for line in notes.training_lines(sources)),
            *self.generator_notes(members),
            *self.weights_notes(members),
        ]
        if commits:
            description.append(Note("origin", f"Suite at commit {', '.join(commits)}."))
        description += part.rounding_notes()
        return description

    def generator_notes(self, methods: Iterable[str]) -> list[Note]:
        """Return the warning that some of these methods learned from the generator of the pictures;
        none if none did.
        """
        cards = self.method_cards()
        chosen_cards = {name: cards[name] for name in methods if name in cards}
        lines = notes.generator_lines(chosen_cards, self.generator)
        return [Note("generator", line) for line in lines]

    def view_noise_notes(self, methods: Iterable[str]) -> list[Note]:
        """Return what sigma is of where some of these methods were given noisy dual-pixel views,
        and which methods are left out because it was something else for them.
        """
        rows = self.rows[(self.rows["on_views"] != "") & (self.rows["status"] == "ok")]
        readings = dict(zip(rows["method"], rows["on_views"], strict=True))
        lines = list(notes.view_noise_lines({name: readings.get(name, "") for name in methods}))
        for reading, names in self.results.methods_of_other_reading(self.dataset).items():
            lines.append(
                f"Left out with noise, because sigma on their dual-pixel views was another "
                f"({reading}): {', '.join(names)}; run them again, or all with "
                f"--noise-on-views {reading}."
            )
        levels = tuple(level for level in self.levels() if level.sigma)
        return [Note("views", line, levels=levels) for line in lines]

    def weights_notes(self, methods: Iterable[str]) -> list[Note]:
        """Return how imported weights of these methods expect pictures, and whether they give what
        was printed for them.
        """
        cards = self.method_cards()
        chosen_cards = {name: cards[name] for name in methods if name in cards}
        return [Note("weights", line) for line in notes.weights_lines(chosen_cards)]

    def _note_joint_methods(self, methods: Sequence[str]) -> Iterator[Note]:
        for name in methods:
            count = len(self.members(name))
            if count > 1:
                text = f"{name}: the mean of what {count} methods score on a picture."
                yield Note("joint", text, name)


def _rows_of_column(rows: pd.DataFrame, column: ScoreColumn) -> pd.DataFrame:
    is_of_column = (
        (rows["track"] == column.track)
        & (rows["protocol"] == column.protocol)
        & (rows["measure"] == column.measure)
    )
    return rows[is_of_column]


def _first_gap(
    picture: str,
    methods_by_column: Mapping[ScoreColumn, Sequence[str]],
    scored: Mapping[ScoreColumn, Collection[tuple[Any, Any]]],
) -> tuple[ScoreColumn, str]:
    """Return the first column and method of which a picture has no score."""
    return next(
        (column, method)
        for column, methods in methods_by_column.items()
        for method in methods
        if (method, picture) not in scored[column]
    )


def read_scenes(rows: pd.DataFrame) -> dict[str, str]:
    """Return picture -> the scene it shows, in order; one whose cells all failed is its own."""
    cells = rows.dropna(subset="scene").drop_duplicates("sample")
    scenes = dict(zip(cells["sample"].to_numpy(), cells["scene"].to_numpy(), strict=True))
    pictures = sorted(rows["sample"].drop_duplicates().to_numpy())
    return {picture: scenes.get(picture, picture) for picture in pictures}


def note_scenes(scenes: Mapping[str, str]) -> list[Note]:
    """Return what a reader must know where pictures share scenes: picture -> scene."""
    if len(set(scenes.values())) == len(scenes):
        return []
    text = (
        "Pictures of one scene are alike, so a scene counts once, with the mean of its pictures: "
        "means, intervals, tests, wins and n are of scenes."
    )
    return [Note("scenes", text)]


def _explain_gap(rows: pd.DataFrame | None, column: ScoreColumn) -> str:
    """Return why a method has no score of a picture, from its rows there."""
    if rows is None:
        return f"not run through track {column.track}"
    status = rows["status"].iloc[0]
    if status != "ok":
        return f"{status} ({rows['cell_reason'].iloc[0]})"
    scores = _rows_of_column(rows, column)
    if scores.empty:
        return f"not scored under {column.protocol}"
    reasons = scores["reason"].dropna()
    if len(reasons):
        return str(reasons.iloc[0])
    return "scored by an older ruler; use `score` on the run again"


def cell_of_row(row: Mapping[Any, Any]) -> Cell:
    """Return the cell that a row of `Results.rows` is of."""
    facts = {field.name: row[field.name] for field in fields(Cell) if field.init}
    facts["noise"] = replace(facts["noise"], on_views=row["on_views"])
    return Cell(**{name: _none_if_missing(value) for name, value in facts.items()})


def _none_if_missing(value: Any) -> Any:
    """Return None for the NaN that stands for it in a frame."""
    return None if isinstance(value, float) and math.isnan(value) else value
