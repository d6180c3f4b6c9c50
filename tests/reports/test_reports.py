"""Tables from stored runs: right numbers, honest gaps, safe text, valid formats."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.api import DatasetCard, MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Score
from benchmark.noise import Noise
from benchmark.registry import PROTOCOLS
from benchmark.reports import tables
from benchmark.results import results_of, summaries
from benchmark.results.exports import export_scores
from benchmark.results.notes import training_source
from benchmark.store import Store
from benchmark.stored_cards import card_from_json, describe_protocol
from tests.reports.scores import score

SAMPLES = ("one", "two", "three", "four")
RULERS = {("quick", "psnr"): "1/1/-", ("quick", "mae"): "1/1/-"}
VALUES = {"input": 20.0, "better": 22.0, "truth:map=oracle": 30.0}


def cell(method: str, sample: str, sigma: float = 0.0, **changes: object) -> Cell:
    plain = Cell(
        method,
        method,
        None,
        "{}",
        "1",
        None,
        "d_a%ta",
        "d",
        sample,
        f"f-{sample}",
        "u8",
        Noise(sigma),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def scored(value: float | None, reason: str | None = None) -> Outcome:
    mae = None if value is None else 1 / value
    return Outcome(
        "ok", scores={"quick": [score("psnr", value, reason), score("mae", mae, reason)]}
    )


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    """Three methods (one of them an oracle) on four pictures at two levels, each picture adding its
    index.
    """
    made = Store(tmp_path, create=True)
    training = {"input": (), "better": ("BSDS500", "DPD train"), "truth:map=oracle": None}
    cards = {
        name: MethodCard(
            title=name, family="classical", oracle="oracle" in name, trained_on=training[name]
        )
        for name in VALUES
    }
    made.put_cards(cards)
    made.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
    run = made.start_run({"git": {"commit": "a" * 40, "dirty": True}})
    for sigma in (0.0, 2.0):
        for name, value in VALUES.items():
            for index, sample in enumerate(SAMPLES):
                put(made, run, cell(name, sample, sigma), scored(value + index - sigma))
    return made


def put(store: Store, run: int, what: Cell, outcome: Outcome) -> None:
    store.put(run, what, outcome, RULERS)


def row(summary: summaries.Summary, method: str, level: str = "0") -> summaries.Row:
    return next(r for r in summary.rows if r.method == method and str(r.level) == level)


def test_means_intervals_and_n(store: Store) -> None:
    [summary] = results_of(store).summaries()
    entry = row(summary, "better", "2").entries["psnr"]
    assert (
        entry.interval is not None
        and entry.interval.mean == pytest.approx(22 + 1.5 - 2)
        and entry.interval.n == 4
    )
    assert (
        entry.interval.low is not None
        and entry.interval.low < entry.interval.mean < entry.interval.high
    )


def test_best_is_the_best_of_those_that_saw_no_truth_in_either_direction(store: Store) -> None:
    [summary] = results_of(store).summaries()
    best = {(r.method, key) for r in summary.rows for key, entry in r.entries.items() if entry.best}
    assert not best, "four pictures can show nothing, so nothing is marked"
    assert row(summary, "truth:map=oracle").title.endswith("†")
    assert any("given the true blur map" in note for note in summary.footnotes)
    assert summary.rows[-1].oracle and not summary.rows[0].oracle


def test_who_was_told_the_noise_level_does_not_compete(store: Store) -> None:
    run = store.start_run({})
    card = MethodCard(title="told", family="classical", noise_aware=True)
    store.put_cards({"told": card})
    for sample in SAMPLES:
        put(store, run, cell("told", sample), scored(29.0))
    [summary] = results_of(store).summaries()
    told = row(summary, "told")
    assert told.noise_aware and told.title == "told‡" and not told.entries["psnr"].best
    assert (
        "Methods that are given the true blur map or the noise level do not compete."
        in summary.footnotes
    )


def test_marks_are_within_significance_where_there_are_pictures_enough(
    tmp_path: Path, toys: Path
) -> None:
    """`near` is 0.01 below the best on average, now above, now below: it cannot be told from it;
    `third` can.
    """
    with Store(tmp_path, create=True) as store:
        store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
        run = store.start_run({})
        for index in range(12):
            values = {
                "best": 25.0,
                "near": 24.99 + 0.5 * (-1) ** index,
                "third": 24.0,
                "last": 20.0,
            }
            for name, value in values.items():
                put(store, run, cell(name, f"{index}"), scored(value + index))
        [summary] = results_of(store).summaries()
    marked = {r.method: (r.entries["psnr"].best, r.entries["psnr"].second) for r in summary.rows}
    assert marked == {
        "best": (True, False),
        "near": (True, False),
        "third": (False, True),
        "last": (False, False),
    }
    legend = "\n".join(summary.footnotes)
    assert "Bold: the best mean, and every other" in legend
    assert "Not to be told from the best: PSNR 1 of 3, MAE 1 of 3." in legend
    assert "n = 12 shows with a power of 80 %" in legend
    text = tables.format_summaries([summary], "markdown")
    assert "**30.50 [" in text and "*29.50 [" in text
    numbers = (
        pd.read_csv(io.StringIO(tables.format_summaries([summary], "csv")))
        .query("measure == 'psnr'")
        .set_index("method")
    )
    assert list(numbers["second"][numbers["second"]].index) == ["third"] and set(
        numbers["interval"]
    ) == {"bootstrap"}


def test_the_footnote_names_the_interval(tmp_path: Path, toys: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
        run = store.start_run({})
        for index in range(30):
            put(store, run, cell("many", f"{index}"), scored(20.0 + index))
            if index < 5:
                put(store, run, cell("many", f"{index}", 2.0), scored(20.0 + index))
        [many] = results_of(store).summaries(levels=[0.0])
        [few] = results_of(store).summaries(levels=[2.0])
        [both] = results_of(store).summaries()
    about = {
        name: next(note for note in summary.footnotes if note.startswith("Mean over pictures"))
        for name, summary in (("many", many), ("few", few), ("both", both))
    }
    assert "bootstrap" in about["many"] and "Student" not in about["many"]
    assert "bootstrap" not in about["few"] and "Student" in about["few"]
    assert "bootstrap" in about["both"] and "Student" in about["both"]


def test_a_mean_never_covers_other_pictures_than_its_neighbours(store: Store) -> None:
    """`late` has two pictures only so far: every mean is over these two, and the table says so."""
    run = store.start_run({})
    for sample in SAMPLES[:2]:
        put(store, run, cell("late", sample), scored(21.0))
    [summary] = results_of(store).summaries()
    entries = [r.entries["psnr"].interval for r in summary.rows if str(r.level) == "0"]
    assert {entry.n for entry in entries if entry} == {2}
    assert row(summary, "input").entries["psnr"].interval.mean == pytest.approx(20.5)  # type: ignore[union-attr]
    assert any("2 of 4 pictures" in note for note in summary.footnotes)
    assert row(summary, "input", "2").entries["psnr"].interval.n == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["failed", "timeout", "skipped"])
def test_a_method_that_fails_a_picture_gets_no_mean_and_shrinks_nobodys(
    store: Store, status: str
) -> None:
    run = store.start_run({})
    for sample in SAMPLES[:3]:
        put(store, run, cell("fragile", sample), scored(40.0))
    put(store, run, cell("fragile", SAMPLES[3]), Outcome(status, reason="<b>why</b> | really"))  # type: ignore[arg-type]
    [summary] = results_of(store).summaries()
    assert row(summary, "fragile").entries["psnr"] == summaries.Entry(None, "incomplete")
    assert row(summary, "input").entries["psnr"].interval.n == 4  # type: ignore[union-attr]
    assert any(
        f"fragile, noise 0: {status} on 1 of 4" in note and "why" in note
        for note in summary.footnotes
    )


def test_a_method_that_restored_nothing_says_so_in_its_cells_and_once_for_all_levels(
    store: Store,
) -> None:
    run = store.start_run({})
    for sigma in (0.0, 2.0):
        for sample in SAMPLES:
            put(store, run, cell("bare", sample, sigma), Outcome("skipped", reason="no weights"))
    [summary] = results_of(store).summaries()
    assert row(summary, "bare").entries["psnr"] == summaries.Entry(None, "skipped")
    notes = [note for note in summary.footnotes if "bare" in note]
    assert notes == ["bare, noise 0, 2: skipped on 4 of 4 pictures (no weights)"]
    assert "bare" not in summary.learned_from


# Several runs
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path, toys: Path) -> Store:
    """A second run, of one method that the first has and one that it has not, without provenance
    but its commit.
    """
    made = Store(tmp_path / "other", create=True)
    card = MethodCard(title="x", family="learned", trained_on=("Kodak",))
    made.put_cards(dict.fromkeys(("better", "new"), card))
    made.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
    run = made.start_run({"git": {"commit": "e" * 40, "dirty": False}})
    for index, sample in enumerate(SAMPLES):
        put(made, run, cell("better", sample), scored(40.0 + index))
        put(made, run, cell("new", sample), scored(30.0 + index))
    return made


def mean(summary: summaries.Summary, method: str, level: str = "0") -> float | None:
    interval = row(summary, method, level).entries["psnr"].interval
    return None if interval is None else interval.mean


def test_runs_are_read_as_one_and_the_last_decides(store: Store, other: Store) -> None:
    other.start_run({"git": {"commit": "f" * 40, "dirty": False}})  # computed nothing
    unused = MethodCard(title="input", family="learned", trained_on=("Set5",))
    other.put_cards({"input": unused})  # of no cell of this run
    [summary] = results_of(store, other).summaries()
    assert (mean(summary, "input"), mean(summary, "new")) == (21.5, 31.5)
    assert (
        mean(summary, "better") == 41.5
        and mean(results_of(other, store).summaries()[0], "better") == 23.5
    )
    assert mean(summary, "better", "2") == 21.5, "what only the first has stays"
    text = " ".join(summary.footnotes)
    assert "From 2 runs; what more than one holds is taken from the one named last." in text
    assert "aaaaaaaaaaaa (with uncommitted changes), eeeeeeeeeeee" in text
    assert "Weights or constants from Kodak: better, new." in summary.footnotes, (
        "the card is the deciding run's"
    )
    assert "ffff" not in text and "Set5" not in text


def test_another_version_in_a_later_run_replaces_all_of_the_earlier_one(
    store: Store, other: Store
) -> None:
    run = other.start_run({})
    for sample in SAMPLES[:3]:
        put(other, run, cell("input", sample, method_version="2"), scored(10.0))
    [summary] = results_of(store, other).summaries()
    assert mean(summary, "input") == 10.0 and row(summary, "new").entries["psnr"].interval.n == 3  # type: ignore[union-attr]
    assert not [r for r in summary.rows if (r.method, str(r.level)) == ("input", "2")], (
        "version 1 is not mixed in"
    )


def test_pictures_that_changed_between_runs_are_never_paired(store: Store, other: Store) -> None:
    run = other.start_run({})
    put(other, run, cell("new", "one", data="changed"), scored(30.0))
    [summary] = results_of(store, other).summaries()
    assert {
        r.entries["psnr"].interval.n
        for r in summary.rows
        if str(r.level) == "0" and r.entries["psnr"].interval
    } == {3}


def test_a_failure_in_a_later_run_hides_no_success_of_an_earlier_one(
    store: Store, other: Store
) -> None:
    run = other.start_run({})
    put(other, run, cell("input", "one"), Outcome("failed", reason="full disk"))
    for order in ([store, other], [other, store]):
        [summary] = results_of(*order).summaries()
        assert mean(summary, "input") == 21.5


def test_scores_under_other_protocols_are_taken_together(store: Store, other: Store) -> None:
    other.put_cards({"late": describe_protocol(PROTOCOLS.get("quick"))})
    run = other.start_run({})
    for sample in SAMPLES:
        scores = {"late": [Score("psnr", 33.0, None), Score("mae", 0.1, None)]}
        rulers = {("late", "psnr"): "1", ("late", "mae"): "1"}
        other.put(run, cell("input", sample), Outcome("ok", scores=scores), rulers)
    quick, late = results_of(store, other).summaries()
    assert mean(quick, "input") == 21.5 and mean(late, "input") == 33.0


def test_runs_without_cells_are_no_obstacle_unless_all_are_empty(
    store: Store, tmp_path: Path
) -> None:
    with Store(tmp_path / "empty", create=True) as empty:
        assert mean(results_of(empty, store).summaries()[0], "input") == 21.5
        with pytest.raises(UsageError, match="holds no cells"):
            results_of(empty, empty).summaries()


def test_only_the_newest_version_and_the_newest_data_are_tabulated(store: Store) -> None:
    run = store.start_run({})
    for sample in SAMPLES:
        put(store, run, cell("better", sample, method_version="2"), scored(50.0))
    [summary] = results_of(store).summaries()
    assert row(summary, "better").entries["psnr"].interval.mean == 50  # type: ignore[union-attr]
    assert not [r for r in summary.rows if r.method == "better" and str(r.level) == "2"], (
        "version 1 is not mixed in"
    )
    store.note_request(
        store.start_run({}),
        [cell("better", sample, sigma) for sample in SAMPLES for sigma in (0.0, 2.0)],
    )
    [summary] = results_of(store).summaries()
    assert row(summary, "better").entries["psnr"].interval.mean == 23.5, (
        "asked for again: back to version 1"
    )  # type: ignore[union-attr]
    run = store.start_run({})
    put(store, run, cell("input", "one", data="changed"), scored(10.0))
    [summary] = results_of(store).summaries()
    assert row(summary, "input").entries["psnr"].interval.mean == pytest.approx(22), (
        "the others lack the new 'one'"
    )  # type: ignore[union-attr]
    ones = results_of(store).rows.query("sample == 'one'")
    assert set(ones["data"]) == {"changed"}


def test_changed_defaults_are_another_method(store: Store) -> None:
    run = store.start_run({})
    put(store, run, cell("better", "one", parameters='{"steps": 3}'), scored(50.0))
    [summary] = results_of(store).summaries()
    entry = row(summary, "better").entries["psnr"].interval
    assert entry is not None and (entry.mean, entry.n) == (50.0, 1)


def test_scores_of_an_older_ruler_are_not_mixed_in(store: Store) -> None:
    """Another version of a metric, or other weights: its scores never share a column with the older
    ones.
    """
    run = store.start_run({})
    first = cell("better", "one")
    store.put_scores(
        run, first.key, {"quick": [Score("psnr", 33.0, None)]}, {("quick", "psnr"): "1/2/-"}
    )
    [summary] = results_of(store).summaries()
    assert row(summary, "better").entries["psnr"] == summaries.Entry(None, "not scored")
    for what, _ in list(store.cells()):
        store.put_scores(
            run, what.key, {"quick": [Score("psnr", 33.0, None)]}, {("quick", "psnr"): "1/2/-"}
        )
    [summary] = results_of(store).summaries()
    assert row(summary, "better").entries["psnr"].interval.mean == 33.0  # type: ignore[union-attr]


def test_what_was_not_scored_under_a_protocol_does_not_enter_its_table(store: Store) -> None:
    """A method run under another protocol on one picture must not shrink this table to that
    picture.
    """
    put(store, store.start_run({}), cell("elsewhere", "one"), Outcome("ok"))
    [summary] = results_of(store).summaries()
    assert "elsewhere" not in {r.method for r in summary.rows}
    assert row(summary, "input").entries["psnr"].interval.n == 4  # type: ignore[union-attr]


def test_gaps_say_why(store: Store) -> None:
    run = store.start_run({})
    for sample in SAMPLES:
        put(store, run, cell("untargeted", sample), scored(None, "no target"))
        put(store, run, cell("unmeasured", sample), scored(None, "not available: no trunk at x"))
    [summary] = results_of(store).summaries()
    assert row(summary, "untargeted").entries["psnr"].note == "no target"
    assert row(summary, "unmeasured").entries["psnr"].note == "not available"
    assert "not available: no trunk at x" in summary.footnotes


def test_footnotes_carry_the_provenance(store: Store) -> None:
    store.start_run({"git": {"commit": "b" * 40, "dirty": False}})  # computed nothing
    [summary] = results_of(store).summaries()
    text = " ".join(summary.footnotes)
    for word in (
        "d_a%ta",
        "4 pictures",
        "fingerprint",
        "track u8",
        "quick",
        "aaaaaaaaaaaa (with uncommitted changes)",
    ):
        assert word in text
    assert "bbbb" not in text


def test_footnotes_say_what_methods_were_trained_on(store: Store) -> None:
    [summary] = results_of(store).summaries()
    notes = [note for note in summary.footnotes if note.startswith("Weights")]
    assert notes == [
        "Weights or constants from BSDS500, DPD train: better.",
        "Weights or constants from unknown data: truth:map=oracle.",
    ]


def test_what_was_trained_says_how_long() -> None:
    card = MethodCard(
        title="Net", family="learned", trained_on=("BSDS500/train",), budget="26 megapixels, seed 0"
    )
    assert training_source(card) == "BSDS500/train (26 megapixels, seed 0)"
    unknown = MethodCard(title="Net", family="learned", trained_on=None, budget="3 megapixels")
    assert training_source(unknown) == "unknown data (3 megapixels)"
    old = card_from_json(
        '{"title": "x", "family": "learned", "trained_on": ["DPD train"]}', MethodCard
    )
    assert training_source(old) == "DPD train", "the card of an older run"
    nothing = MethodCard(title="x", family="classical")
    assert training_source(nothing) == training_source(None) == ""


def put_generator_cards(store: Store, generator: str) -> None:
    """Say that the pictures of the store are from a generator that one method learned from."""
    card = DatasetCard(title="D", paper="", licence="", source="", layout="", generator=generator)
    store.put_cards({"d_a%ta": card})
    better = MethodCard(title="better", family="learned", generators=("my camera", "toy scenes"))
    store.put_cards({"better": better})


def test_who_learned_from_the_generator_of_the_pictures_is_marked_and_competes(
    store: Store,
) -> None:
    put_generator_cards(store, "toy scenes")
    [summary] = results_of(store).summaries()
    titles = {row.method: row.title for row in summary.rows}
    assert titles["better"] == "better§" and titles["input"] == "input"
    warning = "§ trained or tuned on this generator (toy scenes), which favours them: better."
    assert summary.footnotes.count(warning) == 1
    selection = results_of(store).select(noise="0")
    assert "better" in selection.competitors(selection.column())[0]
    assert selection.title("better+truth:map=oracle") == "better+truth:map=oracle†§"
    for form, symbol in (("markdown", "better§"), ("latex", "better\\S{}"), ("html", "better§")):
        text = tables.format_summaries([summary], form)  # type: ignore[arg-type]
        assert symbol in text and "trained or tuned on this generator (toy scenes)" in text


@pytest.mark.parametrize("generator", ["", "other scenes"])
def test_pictures_of_no_generator_or_another_one_mark_nobody(store: Store, generator: str) -> None:
    put_generator_cards(store, generator)
    [summary] = results_of(store).summaries()
    assert not any("§" in text for text in [*summary.footnotes, *(r.title for r in summary.rows)])


def test_cards_of_older_runs_name_no_generator() -> None:
    method = card_from_json('{"title": "x", "family": "learned"}', MethodCard)
    facts = '{"title": "x", "paper": "", "licence": "", "source": "", "layout": ""}'
    assert (method.generators, card_from_json(facts, DatasetCard).generator) == ((), "")


def test_a_protocol_that_was_not_used_is_an_error(store: Store) -> None:
    with pytest.raises(UsageError, match="not scored under canonical"):
        results_of(store).summaries(["canonical"])


def test_an_empty_run_is_an_error(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as empty, pytest.raises(UsageError, match="holds no cells"):
        results_of(empty).summaries()


def test_csv_is_numbers(store: Store) -> None:
    frame = pd.read_csv(io.StringIO(tables.format_summaries(results_of(store).summaries(), "csv")))
    assert len(frame) == 2 * 3 * 2
    mean = frame.query("method == 'better' and noise == 0 and measure == 'psnr'")["mean"].item()
    assert mean == pytest.approx(23.5)


def test_markdown_renders_and_escapes(store: Store) -> None:
    run = store.start_run({})
    hostile = "<script>alert(1)</script>|x"
    for sample in SAMPLES:
        put(store, run, cell(hostile, sample), scored(1.0))
    text = tables.format_summaries(results_of(store).summaries(), "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(lines) == 2 + 7 and widths == {6}, (
        "every line has the same cells, the pipe in the name is escaped"
    )
    assert "<script>" not in text.replace("\\<", "") and "23.50 [" in text


def test_export_has_every_row_with_its_provenance(store: Store, tmp_path: Path) -> None:
    frame = export_scores(store)
    assert len(frame) == 2 * 3 * 4 * 2 and frame["provenance"].str.contains("commit").all()
    frame.to_parquet(tmp_path / "x.parquet")
    again = pd.read_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(again["value"], frame["value"])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(store: Store, tmp_path: Path) -> None:
    run = store.start_run({})
    for sample in SAMPLES:
        put(store, run, cell("a_b:c=#1&{~^\\}", sample, dataset="d_a%ta"), scored(1.0))
    body = tables.format_summaries(results_of(store).summaries(), "latex")
    assert "\\toprule" in body
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


# Methods without weights
# --------------------------------------------------------------------------------------------------

NETWORKS = ("dpdnet-s", "srn", "attnet.mine", "gone")
"""The last is of a plug-in that is not there any more."""


def skip_networks(store: Store, run: int, *methods: str, weights: str | None = None) -> None:
    """Learned methods that restored nothing, as `run --methods all` leaves them."""
    store.put_cards({name: MethodCard(title=name, family="learned") for name in methods})
    for name in methods:
        for sample in SAMPLES:
            outcome = Outcome("skipped", reason=f"no weights of {name}")
            put(store, run, cell(name, sample, weights=weights), outcome)


def test_methods_without_weights_are_one_line_and_no_rows(store: Store) -> None:
    skip_networks(store, store.start_run({}), *NETWORKS)
    [summary] = results_of(store).summaries()
    assert summary.without_weights == tuple(sorted(NETWORKS))
    markdown = tables.format_summaries([summary], "markdown")
    assert [line for line in markdown.splitlines() if "dpdnet-s" in line] == [
        "- Without weights: attnet.mine, srn (python -m benchmark train ID --data FOLDER); "
        "dpdnet-s (python -m benchmark import ID-official FILE); gone. ID is the method."
    ]
    assert "no weights of" not in markdown and "skipped" not in markdown
    numbers = tables.format_summaries([summary], "csv")
    assert len(re.findall(r",srn,.*,skipped$", numbers, re.MULTILINE)) == 2, "a row per measure"


def test_what_is_skipped_for_another_reason_keeps_its_row(store: Store) -> None:
    """Weights that are there, a picture that was restored, a true map that is missing."""
    run = store.start_run({})
    skip_networks(store, run, "attnet", "dmenet:map=oracle")
    skip_networks(store, run, "srn", weights="abc")
    store.put_cards(
        {"dmenet:map=oracle": MethodCard(title="DMENet", family="learned", oracle=True)}
    )
    put(store, run, cell("attnet", "one", sigma=2.0), scored(20.0))
    [summary] = results_of(store).summaries()
    assert summary.without_weights == ()
    texts = [line[1].text for line in tables.summary_to_grid(summary).lines]
    assert {"srn", "attnet", "dmenet:map=oracle†"} <= set(texts)
    assert any("no weights of attnet" in note for note in summary.footnotes)


TOO_SMALL = "PSNR needs at least 7x7 pixels, the picture is 6x6"


def test_a_picture_that_a_measure_cannot_take_spoils_no_mean_and_is_named(store: Store) -> None:
    run = store.start_run({})
    for name in VALUES:
        scores = [score("psnr", None, TOO_SMALL), score("mae", 0.5)]
        put(store, run, cell(name, "one"), Outcome("ok", scores={"quick": scores}))
    [summary] = results_of(store).summaries()
    entries = row(summary, "better").entries
    assert set(entries["psnr"].scores) == set(SAMPLES) - {"one"}
    assert set(entries["mae"].scores) == set(SAMPLES)
    [note] = [note for note in summary.notes if note.kind == "pictures"]
    assert note.text == f"noise 0: means of PSNR are without one ({TOO_SMALL})"
    assert not row(summary, "better", "2").entries["psnr"].note  # the other level has them all
    assert len(row(summary, "better", "2").entries["psnr"].scores) == 4


def test_what_only_one_method_lacks_or_what_broke_leaves_the_mean_out(store: Store) -> None:
    run = store.start_run({})
    put(store, run, cell("better", "one"), scored(None, TOO_SMALL))
    [summary] = results_of(store).summaries()
    assert row(summary, "better").entries["psnr"] == summaries.Entry(None, TOO_SMALL)
    assert len(row(summary, "input").entries["psnr"].scores) == 4
    for name in VALUES:
        broken = [Score("psnr", None, "ValueError", "failed"), score("mae", 0.5)]
        put(store, run, cell(name, "one"), Outcome("ok", scores={"quick": broken}))
    [summary] = results_of(store).summaries()
    assert {r.entries["psnr"].note for r in summary.rows if r.level == Noise()} == {"ValueError"}
