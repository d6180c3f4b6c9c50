"""Same outputs, other rulers: how methods rank when nothing changes but the way of measuring.

A protocol that sees pictures through the same input track measures the same outputs. One with a
track of its own needs the methods to run again; its columns stand beside, named as other outputs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmark.api import UsageError
from benchmark.reports import runs, tables
from benchmark.reports.grid import Grid, TableCell, grid_from_texts
from benchmark.reports.grid import TableColumn as Head
from benchmark.reports.selection import Column, Ground
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd


def grids(
    stores: Sequence[Store],
    *,
    dataset: str | None = None,
    noise: str | None = None,
    track: str | None = None,
) -> list[Grid]:
    """Return, for every quantity that several rulers measure, the ranking under each, and how well
    rankings agree.

    Methods that saw the truth or the noise level are not ranked.

    Args:
        stores: the runs; of what several hold, the last one's counts.
        dataset: id; None for the only one that the runs hold.
        noise: level as tables print it; None for the lowest.
        track: the input track whose outputs are "the same"; None for the one with most protocols.

    Raises:
        UsageError: something that the runs do not hold, or no quantity with two rulers and two
            methods.
    """
    ground = Ground(stores, dataset, noise)
    outputs = _outputs(ground, track)
    hints = _hints(ground, outputs)
    families = _families(ground, outputs)
    place = f"{ground.dataset}, noise {ground.level}"
    made: list[Grid] = []
    for quantity, columns in families.items():
        if means := _means(ground, columns):
            made += [
                _ranking(
                    ground, means, f"{quantity}: other rulers for the same outputs, {place}", hints
                ),
                _agreement(ground, means, f"Kendall's τ between rulers of {quantity}, {place}"),
            ]
    if not made:
        raise UsageError(
            f"{place}, track {outputs}: no quantity is measured by two rulers on two methods. "
            f"{' '.join(hints)}"
        )
    if means := _means(ground, [columns[0] for columns in families.values()]):
        made.append(_agreement(ground, means, f"Kendall's τ between quantities, {place}"))
    return made


def _outputs(ground: Ground, asked: str | None) -> str:
    protocols = [(name, track) for name in ground.protocols() for track in ground.tracks(name)]
    tracks = [track for _, track in protocols]
    if not tracks:
        raise UsageError(
            f"{ground.dataset}, noise {ground.level}: nothing is scored; use `score` on the run "
            f"first"
        )
    return runs.chosen("track", asked or max(tracks, key=tracks.count), tracks)


def _hints(ground: Ground, outputs: str) -> list[str]:
    """Return how to have more rulers, if the outputs are measured under one protocol only."""
    if sum(outputs in ground.tracks(name) for name in ground.protocols()) > 1:
        return []
    unused = {name: tracks for name, tracks in _registered() if name not in ground.protocols()}
    same = ",".join(name for name, tracks in unused.items() if outputs in tracks)
    others = ",".join(name for name, tracks in unused.items() if outputs not in tracks)
    return [
        *(
            [f"More rulers for the same outputs: python -m benchmark score RUN --protocol {same}"]
            if same
            else []
        ),
        *(
            [
                f"With other inputs, so other outputs: python -m benchmark run ... --protocol "
                f"{others}"
            ]
            if others
            else []
        ),
    ]


def _registered() -> Iterator[tuple[str, list[str]]]:
    """Yield every protocol that can be loaded, with its input tracks."""
    from benchmark.registry import PROTOCOLS

    for name in PROTOCOLS.names():
        with contextlib.suppress(UsageError):
            yield name, [track.id for track in PROTOCOLS.get(name).tracks]


def _families(ground: Ground, outputs: str) -> dict[str, list[Column]]:
    """Return quantity -> the columns that have scores of it, those of the same outputs first, one
    of them at least.
    """
    columns = [
        Column(protocol, track, measure)
        for protocol in ground.protocols()
        for track in ground.tracks(protocol)
        for measure in ground.measures(protocol)
    ]
    found: dict[str, list[Column]] = {}
    for column in sorted(columns, key=lambda column: column.track != outputs):
        if ground.scored(column):
            found.setdefault(ground.card(column).quantity, []).append(column)
    return {quantity: some for quantity, some in found.items() if some[0].track == outputs}


class _Means(NamedTuple):
    """Means over the same pictures: column -> method -> mean, and what must be said about them."""

    values: dict[Column, pd.Series[float]]
    notes: list[str]


def _means(ground: Ground, columns: Sequence[Column]) -> _Means | None:
    """Return what the rulers measure, of the methods that compete in the first column; None if
    there is no choice.
    """
    first, others = ground.competitors(columns[0])
    wanted = {
        column: [name for name in first if name in ground.scored(column)] for column in columns
    }
    wanted = {column: methods for column, methods in wanted.items() if len(methods) > 1}
    shared = ground.shared(wanted)
    if len(wanted) < 2 or not shared.pictures:
        return None
    notes = [*others, *shared.left_out, *ground.about(list(wanted), first, shared.pictures)]
    return _Means({column: values.mean() for column, values in shared.values.items()}, notes)


# Tables
# --------------------------------------------------------------------------------------------------


def _ranking(ground: Ground, means: _Means, caption: str, hints: Sequence[str]) -> Grid:
    """Return the mean and the rank of every method under every ruler."""
    reference, first = next(iter(means.values.items()))
    methods = _ranks(ground, reference, first).sort_values(kind="stable").index
    cells = {
        column: _cells(ground, column, values, reference, first)
        for column, values in means.values.items()
    }
    absent = TableCell("–", note="Not scored by this ruler, or not run through its track.")
    lines = tuple(
        (TableCell(name), *(column.get(name, absent) for column in cells.values()))
        for name in methods
    )
    return Grid(
        caption,
        (Head("method", label=True), *(_head(ground, c, reference) for c in means.values)),
        (lines,),
        (
            'Mean over pictures, in brackets the rank; "2, not 1": the first column ranks the '
            "method first of the same "
            "methods. Not tested: the command compare says which differences are shown.",
            *means.notes,
            *hints,
        ),
    )


def _cells(
    ground: Ground,
    column: Column,
    values: pd.Series[float],
    reference: Column,
    first: pd.Series[float],
) -> dict[str, TableCell]:
    """Return method -> cell of a column."""
    digits = ground.card(column).digits + 1
    ranks = _ranks(ground, column, values).to_dict()
    before = _ranks(ground, reference, first[values.index]).to_dict()
    return {
        str(name): TableCell(f"{value:.{digits}f} ({_change(int(ranks[name]), int(before[name]))})")
        for name, value in values.to_dict().items()
    }


def _change(rank: int, before: int) -> str:
    return str(rank) if rank == before else f"{rank}, not {before}"


def _agreement(ground: Ground, means: _Means, caption: str) -> Grid:
    """Return Kendall's tau between the rankings of every two columns."""
    names = [f"{c.protocol} ({c.track}), {ground.card(c).title}" for c in means.values]
    lines = [
        [name, *(_tau(ground, (column, values), other) for other in means.values.items())]
        for name, (column, values) in zip(names, means.values.items(), strict=True)
    ]
    about = "1: the same order of methods, -1: the reverse; tau-b, of the means over pictures."
    return grid_from_texts(
        caption, (Head("ruler", label=True), *map(Head, names)), lines, (about, *means.notes)
    )


def _tau(
    ground: Ground, a: tuple[Column, pd.Series[float]], b: tuple[Column, pd.Series[float]]
) -> str:
    from scipy import stats

    methods = a[1].index.intersection(b[1].index)
    ranks = [_ranks(ground, column, values[methods]) for column, values in (a, b)]
    tau = stats.kendalltau(*ranks).statistic if len(methods) > 1 else math.nan
    return "–" if math.isnan(tau) else f"{tau:z.2f}"


def _ranks(ground: Ground, column: Column, means: pd.Series[float]) -> pd.Series[float]:
    """Return method -> rank, 1 for the best; equal means share the better rank."""
    return means.rank(method="min", ascending=not ground.card(column).higher_is_better)


def _head(ground: Ground, column: Column, reference: Column) -> Head:
    kind = "same outputs" if column.track == reference.track else "other outputs"
    return Head(
        f"{column.protocol}, {tables.heading(ground.card(column))}", f"{kind} ({column.track})"
    )
