"""The ground on which methods are set against each other: runs narrowed to one data set at one
noise level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmark.api import UsageError
from benchmark.cells import combine_fingerprints
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.reports import footnotes, runs, summaries
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_JOINT = "+"
_WHERE = ["method", "sample"]
_NOISE = ("sigma", "clip", "round8", "seed")


class Column(NamedTuple):
    """A measure of a protocol on what came through an input track."""

    protocol: str
    track: str
    measure: str


class Shared(NamedTuple):
    """Scores over the pictures that everything compared has.

    Attributes:
        pictures: their names, in order; none if there is no such picture.
        values: column -> one row per picture, one column per method; no gaps.
        left_out: one line per reason why other pictures take no part, with their number.
    """

    pictures: list[str]
    values: Mapping[Column, pd.DataFrame]
    left_out: tuple[str, ...]


class Ground:
    """Scores of one data set at one noise level. What several runs hold is the last one's
    (`benchmark.reports.summaries`).
    """

    def __init__(
        self, stores: Sequence[Store], dataset: str | None = None, noise: str | None = None
    ) -> None:
        """Narrow runs down.

        Args:
            stores: the runs, the most decisive last.
            dataset: id or registered name; None for the only one that the runs hold.
            noise: level as tables print it ("0", "2.55 clipped"); None for the lowest.

        Raises:
            UsageError: runs without cells, or a data set or level that they do not hold.
        """
        frame = summaries.current(summaries.scores(stores))
        named = None if dataset is None else runs.dataset(stores, dataset)
        self.dataset = runs.chosen("data set", named, frame["dataset"], "--dataset")
        frame = frame[frame["dataset"] == self.dataset].sort_values(
            [*_NOISE, "asked"], kind="stable"
        )
        levels = [
            footnotes.level(*key) for key in zip(*(frame[name] for name in _NOISE), strict=True)
        ]
        self.level = runs.chosen("noise level", noise or levels[0], levels)
        self._frame = frame[[level == self.level for level in levels]]
        self._stores = stores
        self._protocols = {
            name: card for store in stores for name, card in store.cards(ProtocolCard).items()
        }
        self._methods = summaries.method_cards(stores, self._frame)

    def protocols(self) -> list[str]:
        """Return the ids of the protocols that something was scored under, `canonical` first."""
        return sorted(
            self._frame["protocol"].dropna().unique(),
            key=lambda name: (name != runs.PREFERRED, name),
        )

    def tracks(self, protocol: str) -> list[str]:
        """Return the input tracks that something scored under a protocol came through, the
        protocol's own first.
        """
        there = set(self._frame.loc[self._frame["protocol"] == protocol, "track"])
        return [track for track in self._protocols[protocol].tracks if track in there]

    def measures(self, protocol: str) -> Mapping[str, MeasureCard]:
        """Return measure key -> card (title, unit, direction, digits) of a protocol, in
        its order.
        """
        return self._protocols[protocol].measures

    def card(self, column: Column) -> MeasureCard:
        """Return the card of a column's measure."""
        return self.measures(column.protocol)[column.measure]

    def column(
        self, protocol: str | None = None, track: str | None = None, measure: str | None = None
    ) -> Column:
        """Return the column asked for; by default of `canonical` or the first protocol, and there
        the first of all.

        Raises:
            UsageError: for what the runs do not hold.
        """
        scored = self.protocols()
        if not scored:
            raise UsageError(
                f"{self.dataset}, noise {self.level}: nothing is scored; use `score` on the run "
                f"first"
            )
        name = runs.chosen("protocol", protocol or scored[0], scored)
        tracks, measures = self.tracks(name), list(self.measures(name))
        return Column(
            name,
            runs.chosen("track", track or tracks[0], tracks),
            runs.chosen("measure", measure or measures[0], measures),
        )

    def methods(self) -> list[str]:
        """Return the ids of all methods that were run, in order."""
        return sorted(str(name) for name in self._frame["method"].unique())

    def named(self, asked: str) -> str:
        """Return what is compared under a name: a method, or several joined by `+`, whose mean on a
        picture counts.

        So weights from several seeds are compared as one method.

        Raises:
            UsageError: for a method that was not run.
        """
        held = self.methods()
        if asked not in held and _JOINT in asked:
            return _JOINT.join(
                runs.chosen("method", name, held) for name in dict.fromkeys(asked.split(_JOINT))
            )
        return runs.chosen("method", asked, held)

    def scored(self, column: Column) -> list[str]:
        """Return the ids of the methods that have a score of a column, in order."""
        return sorted(str(name) for name in self._scores(column)["method"].unique())

    def competitors(self, column: Column) -> tuple[list[str], list[str]]:
        """Return the methods that are scored in a column and compete, and notes on the others of
        the runs.
        """
        scored = self.scored(column)
        told = ", ".join(name for name in scored if not self.competes(name))
        unscored = ", ".join(name for name in self.methods() if name not in scored)
        notes = [
            *([f"Given more than the others, and so not among them: {told}."] if told else []),
            *([f"Without scores ({', '.join(column)}): {unscored}."] if unscored else []),
        ]
        return [name for name in scored if self.competes(name)], notes

    def competes(self, method: str) -> bool:
        """Return whether a method saw neither the truth nor the noise level."""
        return not self.marks(method)

    def marks(self, method: str) -> str:
        """Return the marks of what a method was given; `about` explains them."""
        return "".join(
            dict.fromkeys(
                "".join(footnotes.marks(self._methods.get(one)) for one in self._members(method))
            )
        )

    def shared(self, wanted: Mapping[Column, Sequence[str]]) -> Shared:
        """Return the scores of methods over the pictures that all of them have.

        Args:
            wanted: column -> the methods whose scores are to be set beside each other there; see
                `named`.
        """
        single = {column: self._all_members(methods) for column, methods in wanted.items()}
        tables = {column: self._table(column, methods) for column, methods in wanted.items()}
        everything = sorted(
            set().union(*(self._seen(column, methods) for column, methods in single.items()))
        )
        common = [
            name for name in everything if all(name in table.index for table in tables.values())
        ]
        left_out = tuple(self._left_out(set(everything) - set(common), single))
        return Shared(
            common, {column: table.loc[common] for column, table in tables.items()}, left_out
        )

    def about(
        self, columns: Sequence[Column], methods: Sequence[str], pictures: Sequence[str]
    ) -> list[str]:
        """Return what a reader must know of numbers: data, tracks, protocols, what methods saw,
        commits.
        """
        protocols = dict.fromkeys(
            f"{name} ({self._protocols[name].title})" for name, _, _ in columns
        )
        tracks = dict.fromkeys(column.track for column in columns)
        single = self._all_members(methods)
        mine = self._frame[
            self._frame["sample"].isin(pictures) & self._frame["method"].isin(single)
        ]
        first = mine.drop_duplicates("sample").sort_values("sample")
        digest = combine_fingerprints(first["sample"], first["data"])
        return [
            f"Data: {self.dataset}, {counted(len(pictures), 'picture')}, fingerprint {digest}; "
            f"noise {self.level}; "
            f"input track {', '.join(tracks)}.",
            f"Protocol: {', '.join(protocols)}.",
            *_scenes(first),
            *(f"{text}." for text in footnotes.explained(map(self.marks, methods))),
            *(
                f"{name}: the mean of what {len(some)} methods score on a picture."
                for name in methods
                if len(some := self._members(name)) > 1
            ),
            *footnotes.training(
                {name: footnotes.learned_from(self._methods.get(name)) for name in single}
            ),
            *self._commits(mine),
        ]

    def _seen(self, column: Column, methods: Sequence[str]) -> set[str]:
        """Return the pictures that any of the methods was run on."""
        frame = self._frame[self._frame["track"] == column.track]
        return set(frame.loc[frame["method"].isin(methods), "sample"])

    def _rows(self, column: Column) -> pd.DataFrame:
        frame = self._frame[self._frame["track"] == column.track]
        return frame[(frame["protocol"] == column.protocol) & (frame["measure"] == column.measure)]

    def _scores(self, column: Column) -> pd.DataFrame:
        """Return the scores by the ruler used last: those of another version of a metric share no
        column with them.
        """
        rows = self._rows(column)
        newest = rows.sort_values("scored_by", kind="stable")["ruler"].tail(1)
        valid = rows[rows["ruler"].isin(newest) & rows["value"].notna()]
        return valid.drop_duplicates(_WHERE, keep="last")

    def _table(self, column: Column, methods: Sequence[str]) -> pd.DataFrame:
        """Return one row per picture that all methods have."""
        import pandas as pd

        whole = self._scores(column).pivot(index="sample", columns="method", values="value")
        table = whole.reindex(columns=self._all_members(methods)).dropna()
        return pd.DataFrame(
            {name: table[self._members(name)].mean(axis=1) for name in methods}, index=table.index
        )

    def _members(self, name: str) -> list[str]:
        return [name] if name in self.methods() else name.split(_JOINT)

    def _all_members(self, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(one for name in names for one in self._members(name)))

    def _left_out(
        self, pictures: set[str], wanted: Mapping[Column, Sequence[str]]
    ) -> Iterator[str]:
        """Yield why pictures take no part; of several reasons against a picture, the first."""
        scored = {
            column: set(zip(*(self._scores(column)[name] for name in _WHERE), strict=True))
            for column in wanted
        }
        rows = dict(
            list(self._frame[self._frame["sample"].isin(pictures)].groupby([*_WHERE, "track"]))
        )
        reasons = Counter(
            next(
                f"{method} {_lack(rows.get((method, picture, column.track)), column)}"
                for column, methods in wanted.items()
                for method in methods
                if (method, picture) not in scored[column]
            )
            for picture in sorted(pictures)
        )
        for reason, count in reasons.most_common():
            yield f"{counted(count, 'picture')} left out: {reason}."

    def _commits(self, rows: pd.DataFrame) -> list[str]:
        commits = summaries.commits(self._stores, set(rows["run"]))
        return [f"Suite at commit {', '.join(commits)}."] if commits else []


def _scenes(pictures: pd.DataFrame) -> list[str]:
    scenes = pictures["scene"].nunique()
    if scenes in (0, len(pictures)):
        return []
    return [
        f"They show {scenes} scenes; pictures of one scene are alike, which makes intervals and p "
        f"too sure."
    ]


def _lack(rows: pd.DataFrame | None, column: Column) -> str:
    """Return why a method has no score of a picture, from its rows there."""
    if rows is None:
        return f"not run through track {column.track}"
    if (status := rows["status"].iloc[0]) != "ok":
        return f"{status} ({rows['cell_reason'].iloc[0]})"
    mine = rows[(rows["protocol"] == column.protocol) & (rows["measure"] == column.measure)]
    if mine.empty:
        return f"not scored under {column.protocol}"
    reasons = mine["reason"].dropna()
    return (
        str(reasons.iloc[0])
        if len(reasons)
        else "scored by an older ruler; use `score` on the run again"
    )


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 picture", "2 pictures"."""
    return f"{number} {one if number == 1 else many or one + 's'}"
