"""The main table: gains over the input and their order, from stored runs, against a plain
computation.
"""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from benchmark.api import MethodCard, UsageError
from benchmark.cli import app
from benchmark.registry import PROTOCOLS
from benchmark.reports import grid, ranked
from benchmark.reports.ranked import TableOptions, format_number
from benchmark.results import read_results, results_of
from benchmark.results.summaries import Entry, Summary
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from tests.reports.test_reports import cell, put, scored

PLUGINS = Path(__file__).parents[1] / "plugins"
SCENES = 14
GAINS = {"much": 2.0, "little": 0.4, "harm": -1.0, "truth:map=oracle": 5.0}
COLUMNS = 80
MEASURED = Path(__file__).parents[2] / "results" / "measured"


def draw_scores(method: str) -> np.ndarray:
    """Return PSNR in dB of one method on every scene."""
    difficulty = 20 + np.arange(SCENES)
    spread = np.random.default_rng(len(method)).normal(0, 0.2, SCENES)
    return difficulty + GAINS.get(method, 0.0) + (spread if method in GAINS else 0)


@pytest.fixture
def summary(tmp_path: Path, toys: Path) -> Summary:
    with Store(tmp_path, create=True) as store:
        cards = {
            name: MethodCard(title=name, family="classical", oracle="oracle" in name)
            for name in GAINS
        }
        store.put_cards(cards)
        store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
        run = store.start_run({})
        for method in ("input", *GAINS):
            for index, value in enumerate(draw_scores(method)):
                put(store, run, cell(method, f"{index}"), scored(float(value)))
        [summary] = results_of(store).summaries()
    return summary


def list_texts(table: grid.Grid) -> list[list[str]]:
    return [[item.text for item in line] for line in table.lines]


def test_gains_are_paired_with_the_input_and_in_order(summary: Summary) -> None:
    [table] = ranked.summary_to_ranked_grids(summary)
    lines = list_texts(table)
    assert [(line[0], line[1]) for line in lines] == [
        ("-", "truth:map=oracle†"), ("1", "much"), ("2", "little"), ("-", "input"), ("3", "harm"),
    ]  # fmt: skip
    assert [column.title for column in table.columns] == [
        "#", "method", "gain in dB [95 %]", "PSNR", "MAE", "wins",
    ]  # fmt: skip
    frame = ranked.ranked_summaries_to_frame([summary]).set_index("method")
    for method in GAINS:
        difference = draw_scores(method) - draw_scores("input")
        row = frame.loc[method]
        assert row["gain"] == pytest.approx(difference.mean())
        assert row["wins"] == (difference > 0).sum() and row["n"] == SCENES
        expected = stats.t.interval(0.95, SCENES - 1, difference.mean(), stats.sem(difference))
        assert (row["low"], row["high"]) == pytest.approx(expected, abs=0.08)
    assert pd.isna(frame.loc["input", "gain"])
    assert lines[1][2].startswith(f"{frame.loc['much', 'gain']:+.2f} [")


def test_a_gain_is_positive_where_less_is_better(summary: Summary) -> None:
    """MAE here is one over the PSNR."""
    frame = ranked.ranked_summaries_to_frame([summary], TableOptions(measure="mae"))
    frame = frame.set_index("method")
    assert frame.loc["much", "gain"] == pytest.approx(
        (1 / draw_scores("input") - 1 / draw_scores("much")).mean()
    )
    assert frame.loc["much", "gain"] > 0 > frame.loc["harm", "gain"]
    assert frame.loc["much", "wins"] == SCENES


def test_the_best_is_marked_and_starred_where_there_is_no_bold(summary: Summary) -> None:
    [table] = ranked.summary_to_ranked_grids(summary, TableOptions(is_plain=True))
    assert [line[0] for line in list_texts(table)] == ["-", "1*", "2", "-", "3"]
    gains = {line[1].text: line[2].emphasis for line in table.lines}
    assert gains["much"] == "strong" and gains["input"] == gains["truth:map=oracle†"] == ""


def test_options_choose_lines_columns_and_order(summary: Summary) -> None:
    options = TableOptions(methods=("little", "input", "harm"), sort="method", has_intervals=False)
    [table] = ranked.summary_to_ranked_grids(summary, options)
    lines = list_texts(table)
    assert [line[:2] for line in lines] == [["2", "harm"], ["-", "input"], ["1", "little"]]
    assert table.columns[2].title == "gain in dB" and "[" not in lines[0][2]
    [by_error] = ranked.summary_to_ranked_grids(summary, TableOptions(sort="mae"))
    errors = [float(line[4]) for line in list_texts(by_error)]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TableOptions(measure="ssim"), "--measure ssim: expected psnr, mae"),
        (TableOptions(sort="size"), "--sort size: expected gain, method, psnr, mae"),
        (TableOptions(methods=("nobody",)), "--methods nobody: not in the run; it has harm"),
    ],
)
def test_what_a_run_does_not_have_is_an_error(
    summary: Summary, options: TableOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ranked.format_ranked_summaries([summary], "markdown", options)


def test_without_the_input_there_are_means_and_no_gains(summary: Summary) -> None:
    rows = tuple(row for row in summary.rows if row.method != "input")
    [table] = ranked.summary_to_ranked_grids(
        type(summary)("d", "quick", "u8", summary.measures, rows, summary.notes)
    )
    assert [line[1] for line in list_texts(table)] == [
        "truth:map=oracle†", "much", "little", "harm",
    ]  # fmt: skip
    assert {line[2] for line in list_texts(table)} == {""}
    assert table.footnotes[0].startswith("No gains: this run has no results of `input`.")


def test_the_leaders_are_the_best_two_that_compete(summary: Summary) -> None:
    assert ranked.name_leaders([summary], TableOptions()) == ("much", "little")
    alone = TableOptions(methods=("input", "harm", "truth:map=oracle"))
    assert ranked.name_leaders([summary], alone) == ("harm", "input")
    assert ranked.name_leaders([], TableOptions()) == ()


def test_every_format_has_the_gains(summary: Summary) -> None:
    for form in ("markdown", "latex", "html"):
        text = ranked.format_ranked_summaries([summary], form)  # type: ignore[arg-type]
        assert "gain in dB" in text and "much" in text
    frame = pd.read_csv(io.StringIO(ranked.format_ranked_summaries([summary], "csv")))
    assert frame["rank"].dropna().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [(-0.001, 2, "0.00"), (0.004, 2, "0.00"), (-0.5, 0, "0"), (1.25, 1, "+1.2"), (-3, 2, "-3.00")],
)
def test_there_is_no_minus_zero(number: float, digits: int, text: str) -> None:
    assert format_number(number, digits, sign=True) == text


def test_the_table_is_whole_at_80_columns(summary: Summary) -> None:
    [table] = ranked.summary_to_ranked_grids(summary)
    console = Console(width=COLUMNS, file=io.StringIO())
    console.print(grid.grid_to_terminal(table, compact=True))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 2 + 5, "a head, a rule, and a line for every method"
    assert max(map(len, lines)) <= COLUMNS


def test_the_ids_of_the_default_set_are_whole_at_80_columns() -> None:
    [summary] = read_results(MEASURED / "demo" / "scores.parquet").summaries()
    [table] = ranked.summary_to_ranked_grids(summary)
    screen = io.StringIO()
    Console(file=screen, width=COLUMNS).print(grid.grid_to_terminal(table, compact=True))
    lines = screen.getvalue().splitlines()
    for method in ("gkmnet.sim-noise§", "gkmnet.photo§", "blur-posterior§", "uniform-wiener§"):
        assert sum(f" {method} " in line for line in lines) == 1
    assert "80+240 MP" in screen.getvalue()


def test_the_screen_of_a_run_shows_what_was_asked_for_within_80_columns(tmp_path: Path) -> None:
    def run(methods: str) -> list[str]:
        words = ["run", "--methods", methods, "--dataset", "tiny", "--protocol", "quick"]
        result = CliRunner().invoke(
            app, [*words, "--plugin", str(PLUGINS / "toys.py"), "--out", str(tmp_path / "r")]
        )
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    first = run("input,echo:gain=0.5,unsharp")
    table = [line for line in first if line[:2].strip().rstrip("*") in ("1", "2", "-", "#")]
    assert [line.split()[1] for line in table] == ["method", "input", "echo:gain=0.5", "unsharp"]
    second = run("input,echo")
    text = "\n".join(second)
    assert "unsharp" not in text.partition("Also in")[0]
    assert "in its report: methods echo:gain=0.5, unsharp." in " ".join(text.split())
    assert any(
        line.startswith("Compare: python -m benchmark compare echo input ") for line in second
    )
    long_lines = [line for line in first + second if len(line) > COLUMNS]
    assert all(str(tmp_path) in line for line in long_lines), "no path is broken"
    assert "unsharp" in (tmp_path / "r" / "report.md").read_text()


def test_a_measure_with_an_ideal_gains_by_coming_closer_to_it(summary: Summary) -> None:
    """Scores here are PSNR; with an ideal of 30, those above it and those below are worse."""
    card = dataclasses.replace(summary.measures["psnr"], ideal=30.0, limits=(None, None))
    measures = {**summary.measures, "psnr": card}
    [table] = ranked.summary_to_ranked_grids(dataclasses.replace(summary, measures=measures))
    frame = ranked.ranked_summaries_to_frame([dataclasses.replace(summary, measures=measures)])
    gains = frame.set_index("method")["gain"]
    for method in GAINS:
        distances = [np.abs(draw_scores(name) - 30).mean() for name in ("input", method)]
        assert gains[method] == pytest.approx(distances[0] - distances[1])
    assert "distance from 30" in table.columns[2].title or "dB" in table.columns[2].title


def test_who_lacks_the_measure_has_no_rank(summary: Summary) -> None:
    rows = tuple(
        dataclasses.replace(row, entries={**row.entries, "mae": Entry(None, "not available")})
        for row in summary.rows
    )
    unavailable = dataclasses.replace(summary, rows=rows)
    [table] = ranked.summary_to_ranked_grids(unavailable, TableOptions(measure="mae"))
    assert {line[0] for line in list_texts(table)} == {"-"}
    frame = ranked.ranked_summaries_to_frame([unavailable], TableOptions(measure="mae"))
    assert frame["rank"].isna().all()
    assert "Not in the table: MAE (not available)." in table.footnotes


def test_every_noise_level_that_was_asked_for_has_a_table(tmp_path: Path) -> None:
    words = ["run", "--methods", "input,echo", "--dataset", "tiny", "--protocol", "quick"]
    result = CliRunner().invoke(
        app,
        [*words, "--noise", "0,1", "--plugin", str(PLUGINS / "toys.py"), "--out", str(tmp_path)],
    )
    assert result.exit_code == 0, result.output
    captions = [line for line in result.stdout.splitlines() if line.startswith("tiny: ")]
    assert [caption.split(", ")[1] for caption in captions] == ["noise 0", "noise 1"]
    assert "Also in" not in result.stdout
