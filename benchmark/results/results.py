"""Results: one or more runs, read as one.

What more than one of them holds is taken from the one named last, and nothing that an earlier run
computed otherwise (another version, other weights, other pictures) is mixed with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import DatasetCard, MethodCard, UsageError
from benchmark.cells import digest_place
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.noise import Noise
from benchmark.registry import DATASETS, resolve_id
from benchmark.results import choices, notes, summaries
from benchmark.results.bundles import is_bundle, read_bundle
from benchmark.results.comparison import PairedTest, compare_methods
from benchmark.results.exports import EXPORT_SUFFIXES, read_export
from benchmark.results.run_record import Command, RunRecord, read_store
from benchmark.results.selection import LEVEL_COLUMNS, Selection
from benchmark.results.summaries import Summary
from benchmark.results.united_datasets import merge_requests, unite_datasets
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_TIDY_COLUMNS = [
    "dataset",
    "sample",
    "scene",
    "track",
    "noise",
    "sigma",
    "method",
    "protocol",
    "measure",
    "value",
    "status",
    "reason",
]


def read_results(*paths: str | Path) -> Results:
    """Return the results in run folders, bundles and exported files (`.parquet`, `.csv`), read as
    one.

    Args:
        paths: of what several hold, the last one's counts.

    Raises:
        UsageError: there is no run there, or it cannot be read.
        DataError: a bundle that is not whole, or changed since it was written.
    """
    return Results([read_record(Path(path)) for path in dict.fromkeys(paths)])


def results_of(*stores: Store) -> Results:
    """Return the results in open stores, read as one."""
    return Results([read_store(store) for store in stores])


def read_record(path: Path) -> RunRecord:
    """Return what a run folder, a bundle or an exported file holds; raises as `read_results`."""
    if path.suffix in EXPORT_SUFFIXES and not path.is_dir():
        return read_export(path)
    if is_bundle(path):
        return read_bundle(path).record
    with Store(path, read_only=True) as store:
        return read_store(store)


class Results:
    """One or more runs as one.

    Attributes:
        runs: the runs, the most decisive last.
    """

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        """Read `runs` as one."""
        self.runs = tuple(runs)

    # For people

    def scores(self) -> pd.DataFrame:
        """Return one row per score of what was asked for last.

        Columns: `dataset`, `sample`, `scene`, `track`, `noise` (as text), `sigma` (0-255
        scale), `method`, `protocol`, `measure`, `value`, `status` and `reason`. A cell that did not
        end well has one row, with its status and reason.

        Raises:
            UsageError: if the runs hold no cells.
        """
        rows = self.rows
        is_ok = rows["status"] == "ok"
        return rows.assign(
            noise=rows["noise"].map(str),
            sigma=[level.sigma for level in rows["noise"]],
            status=rows["score_status"].where(is_ok, rows["status"]),
            reason=rows["reason"].where(is_ok, rows["cell_reason"]),
        )[_TIDY_COLUMNS].reset_index(drop=True)

    def table(self, protocols: Sequence[str] = (), dataset: str | None = None) -> pd.DataFrame:
        """Return one row per mean that reports print, with its interval, n and mark.

        Args:
            protocols: limit to these; empty for all.
            dataset: limit to this id or registered name; None for all.

        Raises:
            UsageError: as `summaries`.
        """
        dataset_id = None if dataset is None else self.find_dataset(dataset)
        return summaries.summaries_to_frame(self.summaries(protocols, dataset_id))

    def compare(
        self,
        a: str,
        b: str,
        *,
        dataset: str | None = None,
        noise: Noise | float | str | None = None,
        protocol: str | None = None,
        track: str | None = None,
        measure: str | None = None,
    ) -> PairedTest:
        """Return the paired comparison of two methods over the pictures that both have.

        Args:
            a, b: ids; several joined by `+` are compared by their mean on a picture.
            dataset: id or registered name; None for the only one.
            noise: level; a number is a sigma that was neither clipped nor rounded. None for the
                lowest.
            protocol, track, measure: None for `canonical` or the first protocol, and there the
                first of all.

        Raises:
            UsageError: something that the runs do not hold, or no picture that both have.
        """
        level = Noise(float(noise)) if isinstance(noise, int | float) else noise
        selection = self.select(dataset, None if level is None else str(level))
        column = selection.column(protocol, track, measure)
        return compare_methods(selection, column, a, b)

    # For reports

    @cached_property
    def all_rows(self) -> pd.DataFrame:
        """One row per stored score, with every column of its cell; a cell without scores has one
        row. A cell of several data sets has them for each.

        The column `store` counts the runs from 0. The numbers of commands (`run`, `asked`,
        `scored_by`) go on from one run to the next, so that a later run counts as later.

        Raises:
            UsageError: if the runs hold no cells.
        """
        stored_rows = self._stored_rows
        if stored_rows is None:
            paths = ", ".join(str(run.path) for run in self.runs)
            raise UsageError(f"{paths}: the run holds no cells yet; start it with `run`")
        rows = merge_requests(stored_rows, self._shown_ids)
        return rows if len(self.runs) == 1 else _drop_repeated(rows)

    @cached_property
    def _stored_rows(self) -> pd.DataFrame | None:
        """The rows as the runs hold them, with the columns of `all_rows`; None without cells."""
        import pandas as pd

        parts = []
        for number, (run, start) in enumerate(zip(self.runs, self._session_offsets(), strict=True)):
            if not run.scores.empty:
                numbers = {name: run.scores[name] + start for name in ("run", "asked", "scored_by")}
                parts.append(run.scores.assign(store=number, **numbers))
        if not parts:
            return None
        merged = pd.concat(parts, ignore_index=True)
        for name in ("score_status", "basis"):  # which exports of older releases lack
            if name not in merged:
                merged[name] = None
        return merged

    @cached_property
    def _shown_ids(self) -> dict[str, str]:
        """Id of a data set in a run -> the id that tables show; see `unite_datasets`."""
        if self._stored_rows is None:
            return {}
        return unite_datasets(self._stored_rows, self._places, self._limited)

    @cached_property
    def _places(self) -> dict[str, str]:
        """Id of a data set -> digest of where it lay when it was run last, where that was kept."""
        places: dict[str, str] = {}
        for run in self.runs:
            for _, command in sorted(run.commands.items()):
                places |= command.provenance.get("places", {})
        return places

    @cached_property
    def _limited(self) -> set[str]:
        """Ids of the data sets of which the command that ran them last took some pictures only."""
        limited: dict[str, bool] = {}
        for run in self.runs:
            for _, command in sorted(run.commands.items()):
                limited |= command.provenance.get("limited", {})
        return {dataset for dataset, is_limited in limited.items() if is_limited}

    def _session_offsets(self) -> list[int]:
        """Return what is added to the numbers of each run's commands."""
        counts = [run.last_command for run in self.runs]
        return list(accumulate([0, *counts]))[: len(self.runs)]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of what commands asked for last, with two columns more: `noise`, the level, and
        `newest`, whether the score is by the ruler that its measure was last scored with there; a
        column of a table has only one. Nor do two readings of noise on dual-pixel views share one:
        the one that was asked for last on a data set counts.

        Raises:
            UsageError: if the runs hold no cells.
        """
        import pandas as pd

        rows = self._rows_of_every_reading
        rows = rows[is_of_last_reading(rows)].reset_index(drop=True)
        noise_of_level: dict[tuple[float, int, int, int], Noise] = {}
        noise: list[Noise] = []
        for level in zip(*(rows[name].tolist() for name in LEVEL_COLUMNS), strict=True):
            if level not in noise_of_level:
                sigma, clip, round8, seed = level
                noise_of_level[level] = Noise(sigma, bool(clip), bool(round8), seed)
            noise.append(noise_of_level[level])
        return rows.assign(noise=pd.Series(noise, dtype=object), newest=_is_newest(rows))

    @cached_property
    def _rows_of_every_reading(self) -> pd.DataFrame:
        return current_rows(self.all_rows)

    def methods_of_other_reading(self, dataset: str) -> dict[str, list[str]]:
        """Return the methods that take dual-pixel views, with those noise levels at which their
        cells on a data set are all of another reading than the one that counts there, by reading.
        """
        rows = self._rows_of_every_reading
        rows = rows[(rows["dataset"] == dataset) & (rows["on_views"] != "")]
        is_of_last = is_of_last_reading(rows)
        keys = ["method", *LEVEL_COLUMNS]
        columns = rows.set_index(keys).index
        others = rows[~is_of_last & ~columns.isin(columns[is_of_last])]
        names: dict[str, list[str]] = {}
        for (reading, method), part in others.groupby(["on_views", "method"]):
            levels = part[LEVEL_COLUMNS].drop_duplicates().sort_values(LEVEL_COLUMNS)
            noise = ", ".join(
                str(Noise(sigma, bool(clip), bool(round8), seed))
                for sigma, clip, round8, seed in levels.itertuples(index=False)
            )
            names.setdefault(str(reading), []).append(f"{method} (noise {noise})")
        return names

    @property
    def paths(self) -> list[Path]:
        """The run folders, bundles and exported files."""
        return [run.path for run in self.runs]

    @property
    def datasets(self) -> dict[str, str]:
        """Id -> registered name of the data sets that the runs hold cells of, by id; those that are
        one go by the id that was asked for last.
        """
        if self._stored_rows is None:
            return {}
        ids = self._stored_rows[["dataset", "dataset_name"]].drop_duplicates()
        stored_names = dict(zip(ids["dataset"], ids["dataset_name"], strict=True))
        shown_ids = sorted(set(self._shown_ids.values()))
        return {dataset: stored_names[dataset] for dataset in shown_ids}

    def find_dataset(self, name_or_id: str) -> str:
        """Return the id under which tables show a data set, from its registered name, or any id
        that it was run under, or one with another path to the same folder.

        Raises:
            UsageError: there is no such data set, or several of its name.
        """
        if name_or_id in self._shown_ids:
            return self._shown_ids[name_or_id]
        place = _find_place(name_or_id)
        for dataset, shown_id in self._shown_ids.items():
            if place is not None and self._places.get(dataset) == place:
                return shown_id
        return choices.choose_dataset(name_or_id, self.datasets)

    def methods_of(self, dataset: str | None) -> set[str]:
        """Return the ids of the methods that some run holds cells of on a data set."""
        if self._stored_rows is None:
            return set()
        shown_ids = self._stored_rows["dataset"].map(self._shown_ids)
        return set(self._stored_rows.loc[shown_ids == dataset, "method"].unique())

    @property
    def protocols(self) -> dict[str, ProtocolCard]:
        """Cards of the protocols, of each the one that the last run has; `canonical` first."""
        cards = {name: card for run in self.runs for name, card in run.protocols.items()}
        return dict(sorted(cards.items(), key=lambda item: item[0] != choices.PREFERRED_PROTOCOL))

    @property
    def dataset_cards(self) -> dict[str, DatasetCard]:
        """Cards of the data sets, of each the one that the last run has."""
        cards = {name: card for run in self.runs for name, card in run.datasets.items()}
        return {
            name: card for name, card in cards.items() if self._shown_ids.get(name, name) == name
        }

    def method_cards(self, rows: pd.DataFrame) -> dict[str, MethodCard]:
        """Return the card of every method of some rows, from the run that its cells are from."""
        cards: dict[str, MethodCard] = {}
        for number, run in enumerate(self.runs):
            methods = set(rows.loc[rows["store"] == number, "method"].unique())
            cards |= {name: card for name, card in run.methods.items() if name in methods}
        return cards

    @cached_property
    def commands(self) -> dict[int, Command]:
        """Number of a command, as rows have it in `run` and `scored_by` -> the command."""
        return {
            number + start: command
            for run, start in zip(self.runs, self._session_offsets(), strict=True)
            for number, command in sorted(run.commands.items())
        }

    def commits(self, rows: pd.DataFrame) -> list[str]:
        """Return the states of the suite that computed the cells of some rows."""
        numbers = set(rows["run"].unique())
        states = [
            command.provenance.get("git")
            for number, command in self.commands.items()
            if number in numbers
        ]
        return list(dict.fromkeys(notes.name_commit(state) for state in states if state))

    def rounded_methods(self, rows: pd.DataFrame) -> list[str]:
        """Return the methods of some rows with outputs that were rounded to half precision."""
        numbers = {
            number
            for number, command in self.commands.items()
            if command.provenance.get("outputs") == "float16"
        }
        return sorted(rows.loc[rows["run"].isin(numbers), "method"].unique())

    def select(self, dataset: str | None = None, noise: str | None = None) -> Selection:
        """Return one data set at one noise level.

        Args:
            dataset: id or registered name; None for the only one that the runs hold.
            noise: level as tables print it ("0", "2.55 clipped"); None for the lowest.

        Raises:
            UsageError: runs without cells, or a data set or level that they do not hold.
        """
        selection = self.select_dataset(dataset)
        levels = selection.levels()
        text = choices.choose_one("noise level", noise or str(levels[0]), levels)
        [level] = [level for level in levels if str(level) == text]
        return selection.only(noise=level)

    def select_dataset(self, dataset: str | None = None) -> Selection:
        """Return one data set at all noise levels; arguments and errors as of `select`."""
        rows = self.rows
        choice = None if dataset is None else self.find_dataset(dataset)
        name = choices.choose_one("data set", choice, sorted(rows["dataset"].unique()), "--dataset")
        return Selection(self, name, rows[rows["dataset"] == name])

    def summaries(
        self,
        protocols: Sequence[str] = (),
        dataset: str | None = None,
        methods: Collection[str] | None = None,
        levels: Collection[float] | None = None,
    ) -> list[Summary]:
        """Return a summary per (data set, track, protocol).

        Args:
            protocols: limit to these; empty for all that the runs were scored under.
            dataset: limit to this id; None for all data sets of the runs.
            methods, levels: limit to these ids and noise sigmas; the pictures, marks and notes are
                then theirs alone.

        Raises:
            UsageError: if the runs hold no cells, or were not scored under a protocol that is asked
                for.
        """
        rows = self.rows
        if dataset is not None:
            rows = rows[rows["dataset"] == self._shown_ids.get(dataset, dataset)]
        cards = self.protocols
        missing_protocols = [name for name in protocols if name not in cards]
        if missing_protocols:
            paths = ", ".join(str(run.path) for run in self.runs)
            raise UsageError(
                f"{paths}: not scored under {', '.join(missing_protocols)}; run `score` with "
                "that protocol first"
            )
        result: list[Summary] = []
        for protocol in protocols or cards:
            on_track = rows[rows["track"].isin(cards[protocol].tracks)]
            for (name, track), part in on_track.groupby(["dataset", "track"], sort=False):
                selection = Selection(self, str(name), part).only(methods=methods, sigmas=levels)
                summary = summaries.summarise(selection, str(track), protocol)
                if summary is not None:
                    result.append(summary)
        return result


def _find_place(text: str) -> str | None:
    """Return the digest of the place that an id of a data set names; None for none, or no such."""
    try:
        return digest_place(resolve_id(DATASETS, text, root=Path()))
    except UsageError:
        return None


def current_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what commands asked for last: one content per sample, one version per
    method and data set.

    A store keeps what older versions computed; a table must not mix them.
    """
    last_request = rows.groupby(["dataset", "sample"])["asked"].transform("max")
    contents = rows[rows["asked"] == last_request][["dataset", "sample", "data"]].drop_duplicates()
    rows = rows.merge(contents, on=["dataset", "sample", "data"])
    last_request = rows.groupby(["dataset", "method"])["asked"].transform("max")
    version_columns = ["dataset", "method", "method_version", "parameters", "weights"]
    latest = rows[rows["asked"] == last_request][version_columns].drop_duplicates(
        ["dataset", "method"], keep="last"
    )
    return rows.merge(latest, on=version_columns)


def is_of_last_reading(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows are of the reading of noise on dual-pixel views that was asked for last on
    their data set, or of cells that do not depend on it.
    """
    dependent_rows = rows[rows["on_views"] != ""].sort_values("asked", kind="stable")
    last_readings = dependent_rows.groupby("dataset")["on_views"].last()
    return (rows["on_views"] == "") | (rows["on_views"] == rows["dataset"].map(last_readings))


def _is_newest(rows: pd.DataFrame) -> pd.Series[bool]:
    ordered = rows.sort_values("scored_by", kind="stable")
    column_keys = ["dataset", "track", "protocol", "measure"]
    newest = ordered.groupby(column_keys)["ruler"].transform("last")
    return (ordered["ruler"] == newest).reindex(rows.index)


def _drop_repeated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every score once, from the last run that has it; as in a store, a failure never hides
    a success.
    """
    is_ok = rows["status"] == "ok"
    counted = rows[is_ok | ~rows["key"].isin(rows.loc[is_ok, "key"])]
    keys = ["dataset", "method", "key", "protocol", "measure"]
    return counted.drop_duplicates(keys, keep="last")
