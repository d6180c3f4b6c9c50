"""Stored runs as pandas frames: one row per score, and the summaries that tables print.

Several runs are read as one. What more than one of them holds is taken from the one named last, and
nothing that an earlier run computed otherwise (another version, other weights, other pictures) is
mixed with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from benchmark.api import MethodCard, UsageError
from benchmark.cells import combine_fingerprints
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.reports import footnotes, significance
from benchmark.stats import Interval, mean_interval
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = ["sigma", "clip", "round8", "seed"]
Stores = Store | Sequence[Store]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a table: a mean with its interval, or a note why there is none.

    Attributes:
        interval: the mean.
        note: why there is none.
        best, second: whether it is marked as such; see `benchmark.reports.significance`.
        scores: picture -> the score that entered the mean.
    """

    interval: Interval | None
    note: str = ""
    best: bool = False
    second: bool = False
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a method at a noise level.

    Attributes:
        level: the noise, as text ("0", "2.55 clipped").
        method: canonical id.
        title: title from the card, with marks that the footnotes explain.
        oracle: it saw the true blur map and takes no part in "best".
        entries: measure key -> entry.
        noise_aware: it was told the noise level and takes no part in "best".
    """

    level: str
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
        footnotes: what a reader must know beside the table.
        learned_from: method -> what its weights or constants were learned from, empty for nothing;
            of those that restored anything, for a network that was skipped has no weights to speak
            of.
        origin: those of the footnotes that say where all numbers are from: protocol, runs, commits.
    """

    dataset: str
    protocol: str
    track: str
    measures: Mapping[str, MeasureCard]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    learned_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    origin: tuple[str, ...] = ()


def scores(stores: Stores) -> pd.DataFrame:
    """Return one row per stored score, with every column of its cell; a cell without scores has one
    row.

    The column `store` counts the runs from 0. The numbers of commands (`run`, `asked`, `scored_by`)
    go on from one run to the next, so that a later run counts as later.

    Raises:
        UsageError: if the runs hold no cells.
    """
    import pandas as pd

    listed = _listed(stores)
    parts = [
        _scores(store, number, start) for number, (store, start) in enumerate(_numbered(listed))
    ]
    merged = pd.concat([part for part in parts if not part.empty] or parts[:1], ignore_index=True)
    if merged.empty:
        raise UsageError(
            f"{', '.join(str(s.folder) for s in listed)}: the run holds no cells yet; start it "
            f"with `run`"
        )
    return merged if len(listed) == 1 else _once(merged)


def _scores(store: Store, number: int, start: int) -> pd.DataFrame:
    import pandas as pd

    cells = pd.DataFrame(store.rows("cells")).rename(columns={"reason": "cell_reason"})
    if cells.empty:
        return cells
    columns = ["cell", "protocol", "measure", "value", "reason", "ruler", "scored_by"]
    found = pd.DataFrame(store.rows("scores"), columns=columns)
    merged = cells.merge(found, how="left", left_on="key", right_on="cell").drop(columns="cell")
    counted = {column: merged[column] + start for column in ("run", "asked", "scored_by")}
    return merged.assign(value=merged["value"].astype("float64"), store=number, **counted)


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every score once, from the last run that has it; as in a store, a failure never hides
    a success.
    """
    good = frame.groupby("key")["status"].transform(lambda status: (status == "ok").any())
    known = frame[(frame["status"] == "ok") | ~good]
    return known.drop_duplicates(["dataset", "method", "key", "protocol", "measure"], keep="last")


def _listed(stores: Stores) -> list[Store]:
    return [stores] if isinstance(stores, Store) else list(stores)


def _numbered(stores: Sequence[Store]) -> Iterator[tuple[Store, int]]:
    """Yield each store with what is added to the numbers of its commands."""
    counts = [max((int(row["id"]) for row in store.rows("runs")), default=0) for store in stores]
    return zip(stores, accumulate([0, *counts]), strict=False)


def export(store: Store) -> pd.DataFrame:
    """Return every score row with the provenance of the command that made it (as JSON text), for
    sharing.
    """
    import pandas as pd

    runs = pd.DataFrame(store.rows("runs")).rename(
        columns={"id": "run", "finished": "run_finished"}
    )
    frame = scores(store).drop(columns="store")
    frame["run"] = frame["scored_by"].fillna(frame["run"]).astype("int64")
    return frame.merge(runs, on="run", how="left")


def current(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what commands asked for last: one content per sample, one version per
    method and data set.

    A store keeps what older versions computed; a table must not mix them.
    """
    asked = frame.groupby(["dataset", "sample"])["asked"].transform("max")
    same_data = frame[frame["asked"] == asked][["dataset", "sample", "data"]].drop_duplicates()
    frame = frame.merge(same_data, on=["dataset", "sample", "data"])
    asked = frame.groupby(["dataset", "method"])["asked"].transform("max")
    what = ["dataset", "method", "method_version", "parameters", "weights"]
    same = frame[frame["asked"] == asked][what].drop_duplicates(["dataset", "method"], keep="last")
    return frame.merge(same, on=what)


def summaries(
    stores: Stores,
    protocols: Sequence[str] = (),
    dataset: str | None = None,
    methods: Collection[str] | None = None,
    levels: Collection[float] | None = None,
) -> list[Summary]:
    """Return a summary per (data set, track, protocol) of one or more runs.

    Args:
        stores: the run, or the runs, the most decisive last.
        protocols: limit to these; empty for all that the runs were scored under.
        dataset: limit to this id; None for all data sets of the runs.
        methods, levels: limit to these ids and noise sigmas; the pictures, marks and notes are then
            theirs alone.

    Raises:
        UsageError: if the runs hold no cells, or were not scored under a protocol that is asked
            for.
    """
    listed = _listed(stores)
    frame = current(scores(listed))
    for column, wanted in (
        ("dataset", dataset and [dataset]),
        ("method", methods),
        ("sigma", levels),
    ):
        frame = frame if wanted is None else frame[frame[column].isin(wanted)]
    cards = {name: card for store in listed for name, card in store.cards(ProtocolCard).items()}
    absent = [name for name in protocols if name not in cards]
    if absent:
        folders = ", ".join(str(store.folder) for store in listed)
        raise UsageError(
            f"{folders}: not scored under {', '.join(absent)}; run `score` with that protocol first"
        )
    made: list[Summary] = []
    for protocol in protocols or cards:
        seen = frame[frame["track"].isin(cards[protocol].tracks)]
        for (name, track), part in seen.groupby(["dataset", "track"], sort=False):
            measured = part[_concerns(part, str(protocol))]
            if not measured.empty:
                maker = _Summariser(
                    listed, measured, str(name), str(track), str(protocol), cards[protocol]
                )
                made.append(maker.summary())
    return made


def _concerns(part: pd.DataFrame, protocol: str) -> pd.Series[bool]:
    """Return the rows of a protocol's table: its scores, and the cells of no scores that did not
    end well.
    """
    return (part["protocol"] == protocol) | (part["status"] != "ok")


class _Summariser:
    """Makes one summary. `part` holds every row of the data set and track, of other protocols and
    failures too.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        part: pd.DataFrame,
        dataset: str,
        track: str,
        protocol: str,
        card: ProtocolCard,
    ) -> None:
        self._cards = method_cards(stores, part)
        self._protocol_card = card
        self._commits = commits(stores, set(part["run"]))
        self._part, self._dataset, self._track, self._protocol = part, dataset, track, protocol
        self._notes: list[str] = []
        self._failures: dict[tuple[str, str], list[str]] = {}
        self._measures: Mapping[str, MeasureCard] = card.measures

    def summary(self) -> Summary:
        """Return the summary; the rows come first because they find the notes."""
        rows = tuple(row for level, block in self._blocks() for row in self._rows(level, block))
        origin = tuple(self._origin())
        return Summary(
            self._dataset,
            self._protocol,
            self._track,
            self._measures,
            rows,
            tuple(dict.fromkeys(self._footnotes(rows, origin))),
            self._learned_from(),
            origin,
        )

    def _blocks(self) -> Iterator[tuple[str, pd.DataFrame]]:
        level: Any  # pandas knows no types of keys
        for level, block in self._part.groupby(_LEVEL):
            yield footnotes.level(*level), block

    def _rows(self, level: str, block: pd.DataFrame) -> list[Row]:
        lacks = {str(name): self._lack(level, name, block) for name in block["method"].unique()}
        common = self._common(level, [name for name, lack in lacks.items() if not lack], block)
        rows = [self._row(level, name, lack, common, block) for name, lack in lacks.items()]
        return _marked(sorted(rows, key=self._order), self._measures)

    def _lack(self, level: str, method: str, block: pd.DataFrame) -> str:
        """Return why a method gets no mean: pictures that failed or were skipped; empty if none.
        Details are noted.
        """
        cells = block[block["method"] == method].drop_duplicates("key")
        bad = cells[cells["status"] != "ok"]
        for (status, reason), some in bad.groupby(["status", "cell_reason"], dropna=False):
            what = f"{status} on {len(some)} of {len(cells)} pictures ({reason})"
            self._failures.setdefault((method, what), []).append(level)
        if bad.empty:
            return ""
        states = cells["status"].unique()
        return str(states[0]) if len(states) == 1 else "incomplete"

    def _common(self, level: str, methods: list[str], block: pd.DataFrame) -> set[str]:
        """Return the pictures that every complete method has, and note it when that is not all of
        them.
        """
        everything = set(block["sample"])
        common = set(everything)
        for name in methods:
            common &= set(block.loc[block["method"] == name, "sample"])
        if methods and common != everything:
            self._notes.append(
                f"noise {level}: means over the {len(common)} of {len(everything)} pictures all "
                f"have"
            )
        return common

    def _row(
        self, level: str, method: str, lack: str, common: set[str], block: pd.DataFrame
    ) -> Row:
        card = self._cards.get(method)
        mine = block[(block["method"] == method) & block["sample"].isin(common)]
        mine = mine[mine["protocol"] == self._protocol]
        entries = {
            key: Entry(None, lack) if lack else self._entry(mine[mine["measure"] == key], common)
            for key in self._measures
        }
        oracle = card is not None and card.oracle
        noise_aware = card is not None and card.noise_aware
        title = method + footnotes.marks(card)
        return Row(level, method, title, oracle, entries, noise_aware)

    def _entry(self, rows: pd.DataFrame, common: set[str]) -> Entry:
        rows = rows[rows["ruler"] == self._ruler(rows)]
        reasons = rows["reason"].dropna()
        if not reasons.empty:
            return Entry(None, self._shorten(str(reasons.iloc[0])))
        if not common or len(rows) != len(common):
            return Entry(None, "not scored")
        scored = dict(zip(rows["sample"], rows["value"].tolist(), strict=True))
        return Entry(mean_interval(list(scored.values())), scores=scored)

    def _ruler(self, rows: pd.DataFrame) -> str:
        """Return the ruler that the measure of these rows was last scored with; a table has one per
        column.
        """
        measure = self._part[
            (self._part["protocol"] == self._protocol) & self._part["measure"].isin(rows["measure"])
        ]
        return "" if measure.empty else str(measure.sort_values("scored_by")["ruler"].iloc[-1])

    def _shorten(self, reason: str) -> str:
        """Return what fits into a table, and note the whole reason."""
        head, _, rest = reason.partition(":")
        if rest:
            self._notes.append(reason)
        return head

    def _order(self, row: Row) -> tuple[int, int, str]:
        card = self._cards.get(row.method)
        family = card.family if card else ""
        families = ("baseline", "classical", "learned")
        return (
            row.oracle,
            families.index(family) if family in families else len(families),
            row.method,
        )

    def _footnotes(self, rows: Sequence[Row], origin: Sequence[str]) -> Iterator[str]:
        pictures = self._part.drop_duplicates("sample").sort_values("sample")
        digest = combine_fingerprints(pictures["sample"], pictures["data"])
        yield (
            f"Data: {self._dataset}, {len(pictures)} pictures, fingerprint {digest}; input "
            f"track {self._track}."
        )
        yield from (*_about_means(rows), *_about_marks(rows), *self._about_budgets())
        yield from footnotes.training(self._learned_from())
        yield from (*origin, *self._notes, *footnotes.explained(row.title for row in rows))
        for (who, what), at in sorted(self._failures.items()):
            yield f"{who}, noise {', '.join(at)}: {what}"

    def _origin(self) -> Iterator[str]:
        yield f"Protocol: {self._protocol} ({self._protocol_card.title})."
        if (count := self._part["store"].nunique()) > 1:
            yield f"From {count} runs; what more than one holds is taken from the one named last."
        if self._commits:
            yield f"Suite at commit {', '.join(self._commits)}."

    def _about_budgets(self) -> Iterator[str]:
        """Yield a warning where weights that were trained for different times stand beside each
        other.
        """
        cards = [self._cards[name] for name, source in self._learned_from().items() if source]
        amounts = sorted({card.budget.partition(",")[0] for card in cards if card.budget})
        if len(amounts) > 1:
            yield (
                f"Weights were trained for different times ({', '.join(amounts)}), which the "
                f"marks do not weigh."
            )

    def _learned_from(self) -> dict[str, str]:
        restored = self._part[self._part["status"] == "ok"]
        known = sorted(set(restored["method"]) & set(self._cards))
        return {name: footnotes.learned_from(self._cards[name]) for name in known}


def _marked(rows: list[Row], measures: Mapping[str, MeasureCard]) -> list[Row]:
    """Return the rows of one level with the best and the second best of each measure marked."""
    for key, card in measures.items():
        competing = {row.method: row.entries[key].scores for row in rows if _competes(row, key)}
        found = significance.marks(competing, higher_is_better=card.higher_is_better)
        for row in rows:
            mark = found.get(row.method)
            entry = row.entries[key]
            row.entries[key] = dataclasses.replace(
                entry, best=mark == "best", second=mark == "second"
            )
    return rows


def _competes(row: Row, key: str) -> bool:
    return not (row.oracle or row.noise_aware) and row.entries[key].interval is not None


def _about_means(rows: Sequence[Row]) -> list[str]:
    """Return what the means and their intervals are."""
    names = {
        "bootstrap": "BCa bootstrap",
        "t": "Student's, which covers better below 30 pictures, and above 1000 agrees with the "
        "bootstrap",
    }
    found = {
        entry.interval.kind for row in rows for entry in row.entries.values() if entry.interval
    }
    kinds = "; ".join(text for kind, text in names.items() if kind in found)
    return (
        ["Mean over pictures" + (f" [95 % interval: {kinds}]." if kinds else ".")] if found else []
    )


def _about_marks(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the marks mean, and who takes no part."""
    columns: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        for key, entry in row.entries.items():
            if _competes(row, key):
                columns.setdefault((row.level, key), []).append(len(entry.scores))
    yield from significance.legend((len(counts), counts[0]) for counts in columns.values())
    if any(row.oracle or row.noise_aware for row in rows):
        yield "Methods that are given the true blur map or the noise level do not compete."


def method_cards(stores: Sequence[Store], part: pd.DataFrame) -> dict[str, MethodCard]:
    """Return the card of every method of a table, from the run that its cells are from."""
    found: dict[str, MethodCard] = {}
    for number, store in enumerate(stores):
        own = set(part.loc[part["store"] == number, "method"])
        found |= {name: card for name, card in store.cards(MethodCard).items() if name in own}
    return found


def commits(stores: Sequence[Store], runs: set[int]) -> list[str]:
    """Return the states of the suite that computed the cells of these commands."""
    states = [
        json.loads(row["provenance"]).get("git")
        for store, start in _numbered(stores)
        for row in store.rows("runs")
        if row["id"] + start in runs
    ]
    return list(dict.fromkeys(footnotes.commit(state) for state in states if state))
