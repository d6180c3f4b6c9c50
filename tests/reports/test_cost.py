"""The tables of a cost pass: medians of raw samples, honest gaps, published figures apart."""

from __future__ import annotations

import dataclasses
import io
import re

import pandas as pd
import pytest

from benchmark.reports import cost, grid
from benchmark.reports.cost import (
    build_cost_tables,
    counting_conventions,
    is_cost_incomplete,
    summarise_trials,
)
from benchmark.studies.cost.counting import CounterCheck, NetworkCount
from benchmark.studies.cost.measurement import CostRecord, MethodCounts, PictureSize
from benchmark.studies.cost.published import PublishedCost
from benchmark.studies.cost.timing import TimingSubject, Trial, TrialReading

SUBJECT = TimingSubject(
    "slow_net", "1", None, "cpu", "16x12", "a processor", None, 3, "torch 0", "0 at abc"
)
GPU = dataclasses.replace(SUBJECT, device="cuda", gpu="a GPU")
CLASSIC = dataclasses.replace(SUBJECT, method="classic")
COUNT = NetworkCount(
    parameters=31_033_423,
    weight_bytes=4 * 31_033_423,
    buffer_bytes=2_000_000,
    saved_bytes=126_200_000,
    inputs=((1, 3, 16, 32),),
    operations={"convolution": 3_000_000_000, "bmm": 1_000_000_000},
    products=5_000_000,
    thop=4_500_000_000,
    uncounted={"_fft_r2c": 2},
    checks={"torch": CounterCheck(1.0), "fvcore": CounterCheck(0.5, "2 MACs against 4")},
)
LEANER = dataclasses.replace(COUNT, operations={"convolution": 2_500_000_000})


def trial(
    subject: TimingSubject,
    number: int,
    seconds: float,
    before: int | None = 100,
    peak: int | None = 300,
) -> Trial:
    gpu = 4_000_000 if subject.gpu else None
    return Trial(subject, number, "ok", None, TrialReading(seconds, before, peak, gpu), "")


def lost(subject: TimingSubject, status: str, reason: str) -> Trial:
    return Trial(subject, 0, status, reason, None, "")


def figure(
    quantity: str, value: str, method: str = "slow_net:paper=1", note: str = ""
) -> PublishedCost:
    return PublishedCost(method, "Slow*", quantity, value, "a paper, Table 1", note)


KEPT = CostRecord(
    size=PictureSize(16, 12),
    subjects=[SUBJECT, GPU, CLASSIC],
    counts={
        "slow_net": MethodCounts({"plain": COUNT, "lean": LEANER}, 125_000_000),
        "classic": MethodCounts(),
    },
    published=[],
    references={"slow_net:paper=1": MethodCounts({"plain": COUNT, "lean": LEANER})},
    provenance={},
)
TRIALS = [
    trial(SUBJECT, 0, 9.0, peak=2_000_100),
    *(trial(SUBJECT, number + 1, seconds) for number, seconds in enumerate([1.0, 3.0, 2.0, 8.0])),
    trial(GPU, 0, 0.5), trial(GPU, 1, 0.25),
    lost(CLASSIC, "skipped", "no | bars"),
]  # fmt: skip


def published(*figures: PublishedCost) -> pd.DataFrame:
    return build_cost_tables(dataclasses.replace(KEPT, published=figures), [])[2].texts


# Costs
# --------------------------------------------------------------------------------------------------


def test_medians_come_from_the_raw_samples_without_the_warm_up():
    made = build_cost_tables(KEPT, TRIALS)[0]
    line = made.numbers.iloc[0]
    assert line["CPU (s)"] == 2.5 and line["CPU rounds"] == 4
    assert (line["CPU lowest (s)"], line["CPU highest (s)"]) == (1.0, 8.0)
    assert made.texts["CPU (s)"][0] == "2.5 [1, 8]"
    assert line["GPU (s)"] == 0.25 and made.texts["GPU (s)"][0] == "0.25"  # one round has no spread
    assert line["GPU memory (MB)"] == 4


def test_memory_is_the_most_of_any_restoration_and_unknown_memory_is_a_gap():
    found = summarise_trials(some for some in TRIALS if some.subject == SUBJECT)
    assert (found.working, found.peak) == (2_000_000, 2_000_100)
    unknown = summarise_trials([trial(SUBJECT, 1, 1.0, None, None)])
    assert (unknown.working, unknown.peak) == (None, None) and unknown.seconds == [1.0]


def test_every_form_has_a_row_and_the_first_has_the_seconds():
    made = build_cost_tables(KEPT, TRIALS)[0].numbers.set_index("method")
    assert list(made.index) == ["slow_net (plain)", "slow_net (lean)", "classic"]
    assert list(made["MACs (G)"][:2]) == [4.0, 2.5] and list(made["FLOPs (G)"][:2]) == [8.0, 5.0]
    assert (
        made["parameters (M)"].iloc[0] == 31.033423 and made["weights (MB)"].iloc[0] == 124.133692
    )
    assert made["file (MB)"].iloc[0] == 125 and made["thop-style (G)"].iloc[0] == 4.5
    assert made["CPU (s)"].notna().tolist() == [True, False, False]


def test_reasons_are_told_once_for_all_that_share_them():
    other = dataclasses.replace(CLASSIC, method="other")
    kept = dataclasses.replace(
        KEPT,
        subjects=[CLASSIC, other],
        counts={"classic": MethodCounts(problem="broken"), "other": MethodCounts()},
    )
    notes = build_cost_tables(
        kept, [lost(CLASSIC, "skipped", "no weights"), lost(other, "skipped", "no weights")]
    )[0].notes
    assert "classic, other on cpu: skipped: no weights" in notes
    assert "classic cannot be counted: broken" in notes
    assert "Nothing was timed." in notes


def test_the_circumstances_are_stated():
    notes = " ".join(build_cost_tables(KEPT, TRIALS)[0].notes)
    for fact in ("1 to 4 rounds", "a processor, a GPU", "threads: 3", "torch 0", "suite 0 at abc"):
        assert fact in notes


def test_columns_that_nothing_fills_are_left_out():
    kept = dataclasses.replace(KEPT, subjects=[CLASSIC], counts={"classic": MethodCounts()})
    made = build_cost_tables(kept, [trial(CLASSIC, 1, 1.0)])
    assert [table.name for table in made] == ["cost"]
    assert not {"GPU (s)", "GPU memory (MB)", "file (MB)"} & set(made[0].texts)


@pytest.mark.parametrize(
    ("status", "expected"), [("failed", True), ("timeout", True), ("skipped", False)]
)
def test_a_pass_is_incomplete_if_a_method_failed_last(status, expected):
    assert (
        is_cost_incomplete(KEPT, [trial(SUBJECT, 1, 1.0), lost(SUBJECT, status, "x")]) is expected
    )
    assert not is_cost_incomplete(KEPT, [lost(SUBJECT, status, "x"), trial(SUBJECT, 1, 1.0)])
    assert is_cost_incomplete(
        dataclasses.replace(KEPT, counts={"classic": MethodCounts(problem="broken")}), []
    )


# Operations
# --------------------------------------------------------------------------------------------------


def test_the_networks_and_other_counters():
    made = build_cost_tables(KEPT, TRIALS)[1]
    line = made.texts.iloc[0]
    assert line["picture"] == "1x3x16x32" and line["not counted"] == "_fft_r2c x 2"
    assert (
        line["convolutions (G MACs)"],
        line["matrix products (G MACs)"],
        line["products (G)"],
    ) == (
        "3",
        "1",
        "0.005",
    )
    assert (line["torch / ours"], line["fvcore / ours"]) == ("1.0000", "0.5000")
    assert line["buffers (MB)"] == "2"
    assert "slow_net (plain), fvcore: 2 MACs against 4" in made.notes


# Published
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "value", "verdict"),
    [
        ("parameters", "31.03", "parameters"),
        ("parameters", "32.25", "no convention; nearest: parameters"),
        ("operations", "4.0", "MACs"),
        ("operations", "8.03", "FLOPs = 2 x MACs"),
        ("operations", "8.05", "no convention; nearest: FLOPs = 2 x MACs"),
        ("operations", "4.5", "thop-style"),
        ("operations", "2.5", "MACs (lean)"),
        ("size", "124.1", "float32 weights"),
        ("size", "118.4", "float32 weights in MiB"),
        ("size", "126.2", "file of torch.save"),
        ("size", "355.3", "weights and Adam's moments in MiB"),
    ],
)
def test_a_published_figure_stands_beside_what_reproduces_it(quantity, value, verdict):
    line = published(figure(quantity, value)).iloc[0]
    assert line["published"] == value and line["reproduced by"] == verdict
    computed = counting_conventions(quantity, KEPT.references["slow_net:paper=1"])[
        verdict.removeprefix("no convention; nearest: ")
    ]
    assert line["computed / published"] == f"{computed / float(value):.4f}"


def test_what_is_not_counted_here_is_said_to_be():
    kept = dataclasses.replace(
        KEPT,
        published=[figure("parameters", "6.91", "gone")],
        references={"gone": MethodCounts(problem="unknown method")},
    )
    made = build_cost_tables(kept, [])[2]
    assert made.texts["reproduced by"][0] == "not counted here" and made.texts["computed"][0] == "–"
    assert "gone cannot be counted: unknown method" in made.notes


def test_published_seconds_are_a_table_of_their_own():
    figures = [
        figure("cpu_seconds", "43.9"),
        figure("gpu_seconds", "0.040", note="no waiting"),
        figure("size", "5.70"),
    ]
    made = {
        table.name: table
        for table in build_cost_tables(dataclasses.replace(KEPT, published=figures), TRIALS)
    }
    assert list(made) == ["cost", "operations", "published", "published-seconds"]
    assert len(made["published"].texts) == 1
    line = made["published-seconds"].texts.iloc[0]
    assert (line["published CPU (s)"], line["published GPU (s)"]) == ("43.9", "0.040")
    assert "Slow* (published GPU (s)): no waiting" in made["published-seconds"].notes


# Writing
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def made():
    figures = [figure("size", "5.70"), figure("cpu_seconds", "1.5")]
    return build_cost_tables(dataclasses.replace(KEPT, published=figures), TRIALS)


def test_markdown_has_every_table_and_note_escaped(made, tmp_path):
    (path,) = cost.write_cost_tables(made, tmp_path, "markdown")
    text = path.read_text()
    assert text.count("### ") == 4
    assert "slow\\_net (plain)" in text and "no \\| bars" in text and "Slow\\*" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert all(
        len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
        for table in tables
    )


def test_latex_is_balanced_and_escaped(made, tmp_path):
    (path,) = cost.write_cost_tables(made, tmp_path, "latex")
    text = path.read_text()
    assert text.isascii() and text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 4
    assert text.count("{") == text.count("}")
    assert "slow\\_net (plain)" in text and not re.search(r"(?<!\\)[%#_]", text.replace("\\_", ""))


def test_csv_has_the_numbers(made, tmp_path):
    written = cost.write_cost_tables(made, tmp_path, "csv")
    assert [path.name for path in written] == [
        "cost.csv", "operations.csv", "published.csv", "published-seconds.csv",
    ]  # fmt: skip
    frame = pd.read_csv(written[0])
    assert frame["CPU (s)"][0] == 2.5 and frame["MACs (G)"][1] == 2.5
    assert pd.read_csv(written[2], dtype=str)["published"][0] == "5.70"


def test_the_terminal_shows_what_the_table_says(made):
    from rich.console import Console

    file = io.StringIO()
    Console(width=220, file=file).print(grid.grid_to_terminal(made[0].grid))
    text = file.getvalue()
    assert (
        "What a picture of 16x12 costs" in text
        and "2.5 [1, 8]" in text
        and "slow_net (lean)" in text
    )
