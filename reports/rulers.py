"""Same outputs, other rulers: how methods rank when nothing changes but the way of measuring.

A protocol that sees pictures through the same input track measures the same outputs. One with a
track of its own needs the methods to run again; its columns stand beside, named as other outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmark.api import UsageError
from benchmark.reports import live
from benchmark.reports.grid import Grid, TableCell, TableColumn, grid_from_texts
from benchmark.reports.tables import measure_heading
from benchmark.results import Results, choices
from benchmark.results.notes import note_texts
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import ScoreColumn, Selection

if TYPE_CHECKING:
    import pandas as pd


def build_ruler_grids(
    results: Results,
    *,
    dataset: str | None = None,
    noise: str | None = None,
    track: str | None = None,
) -> list[Grid]:
    """Return, for every quantity that several rulers measure, the ranking under each, and how well
    rankings agree.

    Methods that saw the truth or the noise level are not ranked.

    Args:
        results: the runs.
        dataset: id; None for the only one that the runs hold.
        noise: level as tables print it; None for the lowest.
        track: the input track whose outputs are "the same"; None for the one with most protocols.

    Raises:
        UsageError: something that the runs do not hold, or no quantity with two rulers and two
            methods.
    """
    selection = results.select(dataset, noise)
    reference_track = _choose_track(selection, track)
    hints = _hint_more_rulers(selection, reference_track)
    columns_by_quantity = _group_columns(selection, reference_track)
    place = f"{selection.dataset}, noise {selection.level}"
    grids: list[Grid] = []
    for quantity, columns in columns_by_quantity.items():
        means = _mean_scores(selection, columns)
        if means is not None:
            caption = f"{quantity}: other rulers for the same outputs, {place}"
            grids.append(_ruler_ranking(selection, means, caption, hints))
            caption = f"Kendall's τ between rulers of {quantity}, {place}"
            grids.append(_ruler_agreement(selection, means, caption))
    if not grids:
        raise UsageError(
            f"{place}, track {reference_track}: no quantity is measured by two rulers on two "
            f"methods. {' '.join(hints)}"
        )
    means = _mean_scores(selection, [columns[0] for columns in columns_by_quantity.values()])
    if means is not None:
        caption = f"Kendall's τ between quantities, {place}"
        grids.append(_ruler_agreement(selection, means, caption))
    return grids


def _choose_track(selection: Selection, track_id: str | None) -> str:
    tracks: list[str] = []
    for protocol in selection.protocols():
        tracks += selection.tracks(protocol)
    if not tracks:
        raise UsageError(
            f"{selection.dataset}, noise {selection.level}: nothing is scored; use `score` on the "
            "run first"
        )
    most_used = max(tracks, key=tracks.count)
    return choices.choose_one("track", track_id or most_used, tracks)


def _hint_more_rulers(selection: Selection, track: str) -> list[str]:
    """Return how to have more rulers, if the outputs are measured under one protocol only."""
    scored = selection.protocols()
    if sum(track in selection.tracks(name) for name in scored) > 1:
        return []
    registered_ids = live.registered_tracks()
    other_tracks = {name: tracks for name, tracks in registered_ids.items() if name not in scored}
    same = [name for name, tracks in other_tracks.items() if track in tracks]
    others = [name for name, tracks in other_tracks.items() if track not in tracks]
    hints = []
    if same:
        command = f"python -m benchmark score RUN --protocol {','.join(same)}"
        hints.append(f"More rulers for the same outputs: {command}")
    if others:
        command = f"python -m benchmark run ... --protocol {','.join(others)}"
        hints.append(f"With other inputs, so other outputs: {command}")
    return hints


def _group_columns(selection: Selection, reference_track: str) -> dict[str, list[ScoreColumn]]:
    """Return quantity -> the columns that have scores of it, those of the same outputs first, one
    of them at least.
    """
    columns = [column for column in _all_columns(selection) if selection.scored_methods(column)]
    columns.sort(key=lambda column: column.track != reference_track)
    groups: dict[str, list[ScoreColumn]] = {}
    for column in columns:
        groups.setdefault(selection.card(column).quantity, []).append(column)
    return {
        quantity: group for quantity, group in groups.items() if group[0].track == reference_track
    }


def _all_columns(selection: Selection) -> Iterator[ScoreColumn]:
    """Yield the columns that rank methods."""
    for protocol in selection.protocols():
        for track in selection.tracks(protocol):
            for measure, card in selection.measures(protocol).items():
                if not card.warning:
                    yield ScoreColumn(protocol, track, measure)


class _RulerMeans(NamedTuple):
    """Means over the same pictures: column -> method -> mean, and what must be said about them."""

    values: dict[ScoreColumn, pd.Series[float]]
    notes: list[str]


def _mean_scores(selection: Selection, columns: Sequence[ScoreColumn]) -> _RulerMeans | None:
    """Return what the rulers measure, of the methods that compete in the first column; None if
    there is no choice.
    """
    competitors, exclusion_notes = selection.competitors(columns[0])
    methods_by_column: dict[ScoreColumn, list[str]] = {}
    for column in columns:
        scored = selection.scored_methods(column)
        methods = [name for name in competitors if name in scored]
        if len(methods) > 1:
            methods_by_column[column] = methods
    common = selection.common_scores(methods_by_column)
    if len(methods_by_column) < 2 or not common.pictures:
        return None
    facts = selection.describe(list(methods_by_column), competitors, common.pictures)
    means = {
        column: average_scenes(values, common.scenes).mean()
        for column, values in common.values.items()
    }
    return _RulerMeans(means, note_texts([*exclusion_notes, *common.left_out, *facts]))


# Tables
# --------------------------------------------------------------------------------------------------


def _ruler_ranking(
    selection: Selection, means: _RulerMeans, caption: str, hints: Sequence[str]
) -> Grid:
    """Return the mean and the rank of every method under every ruler."""
    reference, first = next(iter(means.values.items()))
    methods = _rank_means(selection, reference, first).sort_values(kind="stable").index
    cells = [
        _ranked_cells(selection, column, values, reference, first)
        for column, values in means.values.items()
    ]
    empty_cell = TableCell("–", note="Not scored by this ruler, or not run through its track.")
    lines = [(TableCell(name), *_cells_of_line(name, cells, empty_cell)) for name in methods]
    heads = [_ruler_head(selection, column, reference) for column in means.values]
    return Grid(
        caption,
        (TableColumn("method", label=True), *heads),
        (tuple(lines),),
        (
            'Mean, in brackets the rank; "2, not 1": the first column ranks the '
            "method first of the same methods. Not tested: the command compare says which "
            "differences are shown.",
            *means.notes,
            *hints,
        ),
    )


def _cells_of_line(
    name: str, columns: Sequence[Mapping[str, TableCell]], empty_cell: TableCell
) -> list[TableCell]:
    return [column.get(name, empty_cell) for column in columns]


def _ranked_cells(
    selection: Selection,
    column: ScoreColumn,
    means: pd.Series[float],
    reference: ScoreColumn,
    reference_means: pd.Series[float],
) -> dict[str, TableCell]:
    """Return method -> cell of a column."""
    digits = selection.card(column).digits + 1
    ranks = _rank_means(selection, column, means).to_dict()
    reference_ranks = _rank_means(selection, reference, reference_means[means.index]).to_dict()
    cells = {}
    for name, mean in means.to_dict().items():
        rank = _format_rank(int(ranks[name]), int(reference_ranks[name]))
        cells[str(name)] = TableCell(f"{mean:.{digits}f} ({rank})")
    return cells


def _format_rank(rank: int, reference_rank: int) -> str:
    return str(rank) if rank == reference_rank else f"{rank}, not {reference_rank}"


def _ruler_agreement(selection: Selection, means: _RulerMeans, caption: str) -> Grid:
    """Return Kendall's tau between the rankings of every two columns."""
    ranks: dict[str, pd.Series[float]] = {}
    for column, values in means.values.items():
        name = f"{column.protocol} ({column.track}), {selection.card(column).title}"
        ranks[name] = _oriented(selection, column, values)
    lines = []
    for name, ranking in ranks.items():
        lines.append([name, *(_kendall_tau(ranking, other) for other in ranks.values())])
    explanation = "1: the same order of methods, -1: the reverse; tau-b, of the means."
    columns = (TableColumn("ruler", label=True), *map(TableColumn, ranks))
    return grid_from_texts(caption, columns, lines, (explanation, *means.notes))


def _kendall_tau(a: pd.Series[float], b: pd.Series[float]) -> str:
    from scipy import stats

    methods = a.index.intersection(b.index)
    if len(methods) < 2:
        return "–"
    tau = stats.kendalltau(a[methods].rank(method="min"), b[methods].rank(method="min")).statistic
    return "–" if math.isnan(tau) else f"{tau:z.2f}"


def _oriented(
    selection: Selection, column: ScoreColumn, means: pd.Series[float]
) -> pd.Series[float]:
    """Return means so that the least is the best."""
    return -means if selection.card(column).higher_is_better else means


def _rank_means(
    selection: Selection, column: ScoreColumn, means: pd.Series[float]
) -> pd.Series[float]:
    """Return method -> rank, 1 for the best; equal means share the better rank."""
    return _oriented(selection, column, means).rank(method="min")


def _ruler_head(selection: Selection, column: ScoreColumn, reference: ScoreColumn) -> TableColumn:
    kind = "same outputs" if column.track == reference.track else "other outputs"
    title = f"{column.protocol}, {measure_heading(selection.card(column))}"
    return TableColumn(title, f"{kind} ({column.track})")
