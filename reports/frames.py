"""Stored runs as pandas frames: one row per score, and the summaries that tables print."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.api import UsageError
from benchmark.plan import combined_fingerprint
from benchmark.stats import Interval, mean_interval
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = ["sigma", "clip", "round8", "seed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a table: a mean with its interval, or a note why there is none."""

    interval: Interval | None
    note: str = ""
    best: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a method at a noise level.

    Attributes:
        level: the noise, as text ("0", "2.55 clipped").
        method: canonical id.
        title: title from the card, with marks that the footnotes explain.
        oracle: it saw the true blur map and takes no part in "best".
        entries: measure key -> entry.
    """

    level: str
    method: str
    title: str
    oracle: bool
    entries: dict[str, Entry]


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """A table before it is written down: one data set under one protocol.

    Attributes:
        dataset, protocol, track: ids of what was measured.
        measures: measure key -> its card (title, unit, direction, digits).
        rows: methods within noise levels.
        footnotes: what a reader must know beside the table.
    """

    dataset: str
    protocol: str
    track: str
    measures: dict[str, dict[str, Any]]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]


def scores(store: Store) -> pd.DataFrame:
    """Return one row per stored score, with every column of its cell; a cell without scores has one row.

    Raises:
        UsageError: if the run holds no cells.
    """
    import pandas as pd

    cells = pd.DataFrame(store.rows("cells")).rename(columns={"reason": "cell_reason"})
    if cells.empty:
        raise UsageError(f"{store.folder}: the run holds no cells yet; start it with `run`")
    columns = ["cell", "protocol", "measure", "value", "reason", "ruler", "scored_by"]
    found = pd.DataFrame(store.rows("scores"), columns=columns)
    merged = cells.merge(found, how="left", left_on="key", right_on="cell").drop(columns="cell")
    return merged.assign(value=merged["value"].astype("float64"))


def export(store: Store) -> pd.DataFrame:
    """Return every score row with the provenance of the command that made it (as JSON text), for sharing."""
    import pandas as pd

    runs = pd.DataFrame(store.rows("runs")).rename(columns={"id": "run", "finished": "run_finished"})
    frame = scores(store)
    frame["run"] = frame["scored_by"].fillna(frame["run"]).astype("int64")
    return frame.merge(runs, on="run", how="left")


def current(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what commands asked for last: one content per sample, one version per method and data set.

    A store keeps what older versions computed; a table must not mix them.
    """
    asked = frame.groupby(["dataset", "sample"])["asked"].transform("max")
    same_data = frame[frame["asked"] == asked][["dataset", "sample", "data"]].drop_duplicates()
    frame = frame.merge(same_data, on=["dataset", "sample", "data"])
    asked = frame.groupby(["dataset", "method"])["asked"].transform("max")
    what = ["dataset", "method", "method_version", "parameters", "weights"]
    same = frame[frame["asked"] == asked][what].drop_duplicates(["dataset", "method"], keep="last")
    return frame.merge(same, on=what)


def summaries(store: Store, protocols: Sequence[str] = (), dataset: str | None = None) -> list[Summary]:
    """Return a summary per (data set, track, protocol) of a run.

    Args:
        store: the run.
        protocols: limit to these; empty for all that the run was scored under.
        dataset: limit to this id; None for all data sets of the run.

    Raises:
        UsageError: if the run holds no cells, or was not scored under a protocol that is asked for.
    """
    everything = scores(store)
    frame = current(everything)
    if dataset is not None:
        frame = frame[frame["dataset"] == dataset]
    cards = store.cards("protocol")
    absent = [name for name in protocols if name not in cards]
    if absent:
        raise UsageError(f"{store.folder}: not scored under {', '.join(absent)}; run `score` with that protocol first")
    made: list[Summary] = []
    for protocol in protocols or cards:
        seen = frame[frame["track"].isin(cards[protocol]["tracks"])]
        for (name, track), part in seen.groupby(["dataset", "track"], sort=False):
            measured = part[_concerns(part, str(protocol))]
            if not measured.empty:
                made.append(_Summariser(store, measured, str(name), str(track), str(protocol)).summary())
    return made


def _concerns(part: pd.DataFrame, protocol: str) -> pd.Series[bool]:
    """Return the rows of a protocol's table: its scores, and the cells of no scores that did not end well."""
    return (part["protocol"] == protocol) | (part["status"] != "ok")


class _Summariser:
    """Makes one summary. `part` holds every row of the data set and track, of other protocols and failures too."""

    def __init__(self, store: Store, part: pd.DataFrame, dataset: str, track: str, protocol: str) -> None:
        self._cards = store.cards("method")
        self._protocol_card = store.cards("protocol")[protocol]
        self._commits = _commits(store, set(part["run"]))
        self._part, self._dataset, self._track, self._protocol = part, dataset, track, protocol
        self._notes: list[str] = []
        self._measures: dict[str, dict[str, Any]] = self._protocol_card["measures"]

    def summary(self) -> Summary:
        """Return the summary; the rows come first because they find the notes."""
        rows = tuple(row for level, block in self._blocks() for row in self._rows(level, block))
        footnotes = tuple(dict.fromkeys([*self._about(), *self._notes]))
        return Summary(self._dataset, self._protocol, self._track, self._measures, rows, footnotes)

    def _blocks(self) -> Iterator[tuple[str, pd.DataFrame]]:
        for key, block in self._part.groupby(_LEVEL):
            yield _level_name(key), block

    def _rows(self, level: str, block: pd.DataFrame) -> list[Row]:
        complete = [name for name in block["method"].unique() if self._complete(level, name, block)]
        common = self._common(level, complete, block)
        rows = [self._row(level, str(name), name in complete, common, block) for name in block["method"].unique()]
        return _mark_best(sorted(rows, key=self._order), self._measures)

    def _complete(self, level: str, method: str, block: pd.DataFrame) -> bool:
        """A method with pictures that failed or were skipped gets no mean; why is noted."""
        cells = block[block["method"] == method].drop_duplicates("key")
        bad = cells[cells["status"] != "ok"]
        for (status, reason), some in bad.groupby(["status", "cell_reason"], dropna=False):
            self._notes.append(f"{method}, noise {level}: {status} on {len(some)} of {len(cells)} pictures ({reason})")
        return bad.empty

    def _common(self, level: str, methods: list[str], block: pd.DataFrame) -> set[str]:
        """Return the pictures that every complete method has, and note it when that is not all of them."""
        everything = set(block["sample"])
        common = set(everything)
        for name in methods:
            common &= set(block.loc[block["method"] == name, "sample"])
        if methods and common != everything:
            self._notes.append(f"noise {level}: means over the {len(common)} of {len(everything)} pictures all have")
        return common

    def _row(self, level: str, method: str, complete: bool, common: set[str], block: pd.DataFrame) -> Row:
        card = self._cards.get(method, {})
        mine = block[(block["method"] == method) & block["sample"].isin(common)]
        mine = mine[mine["protocol"] == self._protocol]
        entries = {
            key: self._entry(mine[mine["measure"] == key], common) if complete else Entry(None, "incomplete")
            for key in self._measures
        }
        return Row(level, method, self._title(method, card), bool(card.get("oracle")), entries)

    def _entry(self, rows: pd.DataFrame, common: set[str]) -> Entry:
        rows = rows[rows["ruler"] == self._ruler(rows)]
        reasons = rows["reason"].dropna()
        if not reasons.empty:
            return Entry(None, self._shorten(str(reasons.iloc[0])))
        if not common or len(rows) != len(common):
            return Entry(None, "not scored")
        return Entry(mean_interval(rows["value"].tolist()))

    def _ruler(self, rows: pd.DataFrame) -> str:
        """Return the ruler that the measure of these rows was last scored with; a table has one per column."""
        measure = self._part[(self._part["protocol"] == self._protocol) & self._part["measure"].isin(rows["measure"])]
        return "" if measure.empty else str(measure.sort_values("scored_by")["ruler"].iloc[-1])

    def _shorten(self, reason: str) -> str:
        """Return what fits into a table, and note the whole reason."""
        head, _, rest = reason.partition(":")
        if rest:
            self._notes.append(reason)
        return head

    def _title(self, method: str, card: dict[str, Any]) -> str:
        marks = "".join(mark for mark, field, _ in _MARKS if card.get(field))
        self._notes += [f"{mark} {text}" for mark, field, text in _MARKS if card.get(field)]
        return method + marks

    def _order(self, row: Row) -> tuple[int, int, str]:
        family = self._cards.get(row.method, {}).get("family", "")
        families = ("baseline", "classical", "learned")
        return (row.oracle, families.index(family) if family in families else len(families), row.method)

    def _about(self) -> list[str]:
        pictures = self._part.drop_duplicates("sample").sort_values("sample")
        digest = combined_fingerprint(dict(zip(pictures["sample"], pictures["data"], strict=True)))
        about = [
            f"Data: {self._dataset}, {len(pictures)} pictures, fingerprint {digest}; input track {self._track}.",
            f"Protocol: {self._protocol} ({self._protocol_card['title']}).",
            "Mean over pictures [95 % interval: bootstrap, BCa; above 1000 pictures Student's; below about 10 pictures "
            "it is too narrow]; bold: best mean among the methods that saw no truth.",
        ]
        return about + self._training() + ([f"Suite at commit {', '.join(self._commits)}."] if self._commits else [])

    def _training(self) -> list[str]:
        """Return what the methods' weights or constants were learned on, for those that learned at all."""
        seen: dict[str, list[str]] = {}
        restored = self._part[self._part["status"] == "ok"]  # a network that was skipped has no weights to speak of
        for method in sorted(set(restored["method"]) & set(self._cards)):
            data = self._cards[method]["trained_on"]
            text = "unknown data" if data is None else ", ".join(data)
            seen.setdefault(text, []).append(method)
        return [
            f"Weights or constants from {text}: {', '.join(names)}." for text, names in sorted(seen.items()) if text
        ]


_MARKS = (
    ("†", "oracle", "given the true blur map: an upper bound, not a competitor"),
    ("‡", "noise_aware", "given the noise level"),
)


def _mark_best(rows: list[Row], measures: dict[str, dict[str, Any]]) -> list[Row]:
    best = {key: _best(rows, key, card["higher_is_better"]) for key, card in measures.items()}
    return [
        dataclasses.replace(
            row,
            entries={
                key: dataclasses.replace(entry, best=_competes(row, key) and _mean(row, key) == best[key])
                for key, entry in row.entries.items()
            },
        )
        for row in rows
    ]


def _best(rows: list[Row], key: str, higher: bool) -> float | None:
    means = [_mean(row, key) for row in rows if _competes(row, key)]
    if not means:
        return None
    return max(means) if higher else min(means)


def _competes(row: Row, key: str) -> bool:
    return not row.oracle and row.entries[key].interval is not None


def _mean(row: Row, key: str) -> float:
    interval = row.entries[key].interval
    assert interval is not None
    return interval.mean


def _level_name(level: Any) -> str:
    sigma, clip, round8, seed = level
    options = [("clipped", clip), ("rounded to 8 bits", round8), (f"seed {seed}", seed)]
    return " ".join([f"{sigma:g}", *(text for text, on in options if on)])


def _commits(store: Store, runs: set[int]) -> list[str]:
    """Return the states of the suite that computed the cells of these runs."""
    states = [json.loads(row["provenance"]).get("git") for row in store.rows("runs") if row["id"] in runs]
    dirty = {True: " (with uncommitted changes)", False: ""}
    return list(dict.fromkeys(state["commit"][:12] + dirty[state["dirty"]] for state in states if state))
