"""The conditions study as a table and numbers; `benchmark.studies.conditions` measures it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from benchmark.files import replace_file
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.metrics.psnr import PSNR_CAP
from benchmark.reports import grid, tables
from benchmark.reports.figures.choice import MethodChoice, choose_methods
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.results import Results
from benchmark.results.notes import Note, NoteKind
from benchmark.results.significance import INPUT, MARKS_LEGEND, Ranking
from benchmark.results.summaries import Entry, Row, Summary, make_difference_entry, mark_rows
from benchmark.spec import parse_id
from benchmark.studies.conditions import Condition, ConditionRun

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS: Final = ("canonical", "harm")
"""What a study is scored under."""

GAIN: Final = MeasureCard(metric="psnr", quantity="PSNR", title="gain", unit="dB", digits=2)
_HARM_MEASURES: Final = ("keep", "light", "lattice")
_UNDEFINED: Final = "not defined"

_SHARED_NOTES: Final[tuple[NoteKind, ...]] = (
    "means",
    "budgets",
    "training",
    "generator",
    "pictures",
    "symbols",
    "failure",
)
"""Kinds of notes of single conditions that say something about the whole table."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConditionResult:
    """What was found under one condition.

    Attributes:
        condition: how pictures were taken.
        settings: the parameters of `simulated`, without the folder of the photographs.
        rows: a row per method, in the order they were named, with the entries psnr, gain, keep,
            light and lattice.
        measures: measure key -> card.
        rankings: measure key -> what its marks rest on.
        amounts: method -> how much its weights were trained on, empty for none.
        fingerprint: of the pictures.
        notes: what a reader must know.
        commits: states of the suite that restored the pictures.
    """

    condition: Condition
    settings: str
    rows: tuple[Row, ...]
    measures: Mapping[str, MeasureCard]
    rankings: Mapping[str, Ranking]
    amounts: Mapping[str, str]
    fingerprint: str
    notes: tuple[Note, ...]
    commits: tuple[str, ...]


def collect_conditions(
    results: Results, condition_runs: Sequence[ConditionRun]
) -> list[ConditionResult]:
    """Return what a run folder holds of the conditions; raises UsageError as `Results` does."""
    return [_collect_condition(results, condition_run) for condition_run in condition_runs]


def _collect_condition(results: Results, condition_run: ConditionRun) -> ConditionResult:
    level = condition_run.condition.level
    quality, harm = results.summaries(
        PROTOCOLS, condition_run.dataset, methods=condition_run.methods, levels=[level.sigma]
    )
    selection = results.select(condition_run.dataset, str(level))
    rows = _join_rows(quality, harm, condition_run.methods, selection.scenes())
    measures = {
        "psnr": quality.measures["psnr"],
        "gain": GAIN,
        **{key: harm.measures[key] for key in _HARM_MEASURES},
    }
    rankings = mark_rows([row for row in rows if row.method != INPUT], measures)
    return ConditionResult(
        condition_run.condition,
        _list_settings(condition_run.dataset),
        tuple(rows),
        measures,
        rankings,
        quality.amounts,
        selection.fingerprint(),
        (*quality.notes, *harm.notes),
        tuple(selection.only(methods=condition_run.methods).commits()),
    )


def _list_settings(dataset: str) -> str:
    parameters = parse_id(dataset).parameters
    return ", ".join(f"{key}={value}" for key, value in parameters.items() if key != "source")


def _join_rows(
    quality: Summary, harm: Summary, methods: Sequence[str], scenes: Mapping[str, str]
) -> list[Row]:
    """Return the rows of both protocols as one, with the gain over the input, picture by
    picture.
    """
    quality_rows = {row.method: row for row in quality.rows}
    harm_rows = {row.method: row for row in harm.rows}
    input_psnr = quality_rows[INPUT].entries["psnr"]
    rows = []
    for method in methods:
        psnr = quality_rows[method].entries["psnr"]
        entries = {"psnr": psnr, "gain": _gain_entry(psnr, input_psnr, scenes)}
        entries |= {key: harm_rows[method].entries[key] for key in _HARM_MEASURES}
        # The summaries' marks are those of tables in which the input competes.
        plain_entries = {
            key: dataclasses.replace(entry, mark=None) for key, entry in entries.items()
        }
        rows.append(dataclasses.replace(quality_rows[method], entries=plain_entries))
    return rows


def _gain_entry(psnr: Entry, input_psnr: Entry, scenes: Mapping[str, str]) -> Entry:
    if psnr.interval is None:
        return psnr
    if not input_psnr.scores or min(input_psnr.scores.values()) >= PSNR_CAP:
        return Entry(None, _UNDEFINED)
    gains = {picture: psnr.scores[picture] - score for picture, score in input_psnr.scores.items()}
    return make_difference_entry(gains, scenes)


# Table
# --------------------------------------------------------------------------------------------------


def conditions_grid(condition_results: Sequence[ConditionResult]) -> Grid:
    """Return the table: a line per condition and method, conditions apart from each other."""
    measures = condition_results[0].measures
    amounts: dict[str, str] = {}
    for result in condition_results:
        amounts |= result.amounts
    has_amounts = len(set(filter(None, amounts.values()))) > 1
    return Grid(
        caption="Conditions: gain and harm",
        columns=(
            TableColumn("condition", label=True),
            TableColumn("method", label=True),
            *([TableColumn("trained for", label=True)] if has_amounts else []),
            TableColumn("n"),
            *(TableColumn(tables.measure_heading(card)) for card in measures.values()),
        ),
        groups=tuple(
            tuple(_row_line(result, row, amounts if has_amounts else {}) for row in result.rows)
            for result in condition_results
        ),
        footnotes=(
            *_EXPLANATION,
            MARKS_LEGEND,
            _explain_gain_ranks(condition_results),
            *_list_notes(condition_results),
            *choose_drawn_methods(condition_results).notes,
            f"Suite at commit {_list_commits(condition_results)}.",
        ),
    )


def choose_drawn_methods(condition_results: Sequence[ConditionResult]) -> MethodChoice:
    """Return which methods the figure draws: few enough to be told apart, the best by their mean
    gain over the conditions.
    """
    gains: dict[str, list[float]] = {}
    unranked = set()
    for row in itertools.chain.from_iterable(result.rows for result in condition_results):
        interval = row.entries["gain"].interval
        gains.setdefault(row.method, []).extend([interval.mean] if interval else [])
        if row.oracle or row.noise_aware:
            unranked.add(row.method)

    def order(method: str) -> tuple[bool, bool, float]:
        own_gains = gains[method]
        return not own_gains, method in unranked, -fmean(own_gains) if own_gains else 0.0

    return choose_methods([*gains], sorted(gains, key=order), "mean gain over the conditions")


def _row_line(result: ConditionResult, row: Row, amounts: Mapping[str, str]) -> grid.TableLine:
    psnr = row.entries["psnr"].interval
    return (
        TableCell(result.condition.name),
        TableCell(row.title),
        *([TableCell(amounts.get(row.method) or "–")] if amounts else []),
        TableCell(tables.count_scenes(row.entries.values())),
        TableCell(row.entries["psnr"].note if psnr is None else f"{psnr.mean:.2f}"),
        *(
            tables.format_cell(row.entries[key], card)
            for key, card in result.measures.items()
            if key != "psnr"
        ),
    )


def _explain_gain_ranks(condition_results: Iterable[ConditionResult]) -> str:
    """Return how many methods cannot be told from the best gain, and what could have been shown."""
    texts = []
    for result in condition_results:
        ranking = result.rankings.get("gain")
        if ranking is not None and ranking.is_testable:
            count = f"{len(ranking.like_best)} of {ranking.compared - 1}"
            power = "" if ranking.detectable is None else f" ({ranking.detectable:.2f} dB)"
            texts.append(f"{result.condition.name} {count}{power}")
    return (
        "Not to be told from the best gain (and the true difference to it that so many scenes show "
        f"with a power of 80 %, the median over the methods): {', '.join(texts) or 'not tested'}."
    )


def _list_notes(condition_results: Iterable[ConditionResult]) -> Iterable[str]:
    """Return the notes of all conditions, each once, by kind."""
    texts: dict[NoteKind, dict[str, None]] = {kind: {} for kind in _SHARED_NOTES}
    for note in itertools.chain.from_iterable(result.notes for result in condition_results):
        if note.kind in texts:
            texts[note.kind][note.text] = None
    return itertools.chain.from_iterable(texts.values())


def _list_commits(condition_results: Iterable[ConditionResult]) -> str:
    commits = itertools.chain.from_iterable(result.commits for result in condition_results)
    return ", ".join(dict.fromkeys(commits))


_EXPLANATION: Final = (
    "PSNR: mean, protocol canonical. gain: PSNR over that of the input on the same picture. It is "
    "not defined where the target is the input itself (sharp, enlarged): there keep tells what a "
    "method spoils.",
    "keep, light and lattice: protocol harm. keep: PSNR against the input where the true sigma is "
    "below 0.375 px; noise that a method removes lowers it. light: mean linear light over the "
    "target's. lattice: largest spectral peak at periods of 2, 4 and 8 px relative to the "
    "target's; pictures that are only blurred have about 3 dB.",
    "The input is a row to compare with, and is not marked.",
)


def settings_grid(condition_results: Sequence[ConditionResult]) -> Grid:
    """Return how the pictures of each condition are made, as parameters of `simulated`."""
    lines = [
        (
            result.condition.name,
            result.settings,
            f"{result.condition.noise:g}",
            result.fingerprint,
        )
        for result in condition_results
    ]
    heads = [
        TableColumn(title, label=True)
        for title in ("condition", "parameters of simulated", "noise", "fingerprint")
    ]
    return grid.grid_from_texts("How the pictures are made", heads, lines)


def conditions_frame(condition_results: Iterable[ConditionResult]) -> pd.DataFrame:
    """Return one row per condition, method and measure, with everything that the table prints."""
    import pandas as pd

    return pd.DataFrame(
        {
            "condition": result.condition.name,
            "settings": result.settings,
            "noise": result.condition.noise,
            "fingerprint": result.fingerprint,
            "method": row.method,
            "measure": key,
            **entry.as_record(),
        }
        for result in condition_results
        for row in result.rows
        for key, entry in row.entries.items()
    )


def write_conditions_report(
    condition_results: Sequence[ConditionResult], folder: Path
) -> list[Path]:
    """Write conditions.md, conditions.tex, conditions.csv and the figure (PNG and PDF); return the
    files.
    """
    from benchmark.reports.figures import conditions as figures
    from benchmark.reports.figures import style

    grids = [conditions_grid(condition_results), settings_grid(condition_results)]
    contents = {
        "conditions.md": grid.format_grids(grids, "markdown"),
        "conditions.tex": grid.format_grids(grids, "latex"),
        "conditions.csv": conditions_frame(condition_results).to_csv(index=False),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        with replace_file(folder / name) as file:
            file.write(text.encode())
    with style.use_paper_style():
        methods = choose_drawn_methods(condition_results).methods
        figure = figures.draw_conditions(condition_results, methods)
        figure_files = style.save_figure(figure, folder, "conditions")
    return [*(folder / name for name in contents), *figure_files]
