"""The paper's tables made again: printed beside measured and never mixed, gaps that say why, the
same each time.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Score
from benchmark.noise import Noise
from benchmark.registry import PROTOCOLS
from benchmark.reports import grid, paper
from benchmark.reports.paper import TABLES
from benchmark.reports.paper.cost import CostTable, find_cost_folder
from benchmark.reports.paper.layout import list_lines
from benchmark.reports.tables import summary_to_grid
from benchmark.results import results_of
from benchmark.spec import parse_id
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from benchmark.studies.cost.counting import CounterCheck, NetworkCount
from benchmark.studies.cost.measurement import (
    RECORD_ADAPTER,
    RECORD_FILE,
    CostRecord,
    MethodCounts,
    PictureSize,
)
from benchmark.studies.cost.timing import TimingSubject

PICTURES = 12
RULERS = {("dpdnet", "psnr"): "1", ("dpdnet", "ssim_u7"): "1", ("dpdnet", "mae"): "1"}
LEARNED = {
    "gkmnet.sim": ("simulated: BSDS500",),
    "gkmnet.sim-noise": ("simulated: BSDS500",),
    "jnb": ("BSDS500",),
}


class Runs:
    """Stores made by hand, scored under the protocol `dpdnet`: PSNR, SSIM, MAE, and no LPIPS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stores: list[Store] = []

    def add(
        self,
        methods: Mapping[str, float] | Sequence[str],
        dataset: str = "dpd",
        noise: Sequence[float] = (0,),
        status: str = "ok",
        pictures: int = PICTURES,
        budgets: Mapping[str, str] | None = None,
        hours: float | None = None,
    ) -> Store:
        """Add a run of methods; each scores its own number plus the picture's index."""
        store = Store(self.folder / str(len(self.stores)), create=True)
        self.stores.append(store)
        run = store.start_run({"git": {"commit": "c" * 40, "dirty": False}})
        cards = {
            name: MethodCard(
                title=name,
                family="learned",
                trained_on=LEARNED.get(name, ()),
                budget=(budgets or {}).get(name, ""),
                hours=hours,
            )
            for name in methods
        }
        store.put_cards(cards)
        store.put_cards({"dpdnet": describe_protocol(PROTOCOLS.get("dpdnet"))})
        for sigma in noise:
            for name in methods:
                value = methods[name] if isinstance(methods, Mapping) else 20.0
                for index in range(pictures):
                    store.put(
                        run,
                        cell(name, dataset, index, sigma),
                        outcome(value + index, status),
                        RULERS,
                    )
        return store


def cell(method: str, dataset: str, index: int, sigma: float) -> Cell:
    spec, track = parse_id(method), "u16-resize-bgr"
    what = (
        method,
        spec.name,
        spec.checkpoint,
        json.dumps(spec.parameters),
        "1",
        None,
        dataset,
        parse_id(dataset).name,
    )
    return Cell(*what, f"{index}", f"{dataset} {index}", track, Noise(sigma))


def outcome(value: float, status: str) -> Outcome:
    if status != "ok":
        return Outcome(status, reason="no weights")  # type: ignore[arg-type]
    scores = [
        Score("psnr", value, None),
        Score("ssim_u7", value / 100, None),
        Score("mae", 1 / value, None),
    ]
    return Outcome("ok", scores={"dpdnet": scores})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cost pass of a developer is found."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with ExitStack() as stack:
        made = Runs(tmp_path)
        yield made
        for store in made.stores:
            stack.push(store)


def quality(runs: Runs, number: str, **options: object) -> grid.Grid:
    """The quality half of a table."""
    return paper.build_paper_tables(
        results_of(*runs.stores), [number], cost_folder=None, **options
    )[0].grid()  # type: ignore[arg-type]


def texts(table: grid.Grid, model: str, *, noise: str = "", method: str = "") -> dict[str, str]:
    """One line of a table: head -> text."""
    heads = [f"{column.group.partition(',')[0]} {column.title}".strip() for column in table.columns]
    found = [dict(zip(heads, (cell.text for cell in line), strict=True)) for line in table.lines]
    [line] = [
        line
        for line in found
        if line["model"] == model
        and noise in ("", line.get("noise"))
        and method in ("", line["measured as"])
    ]
    return line


def test_published_and_measured_stand_in_columns_of_their_own(runs: Runs) -> None:
    runs.add({"input": 20.0, "jnb": 21.0, "gkmnet.sim": 24.0})
    table = quality(runs, "1")
    assert {column.group for column in table.columns} == {"", "published, DPD", "measured, dpd"}
    line = texts(table, "GKMNet")
    assert line["measured as"] == "gkmnet.sim"
    assert (line["published PSNR (dB) ↑"], line["published SSIM ↑"], line["published LPIPS ↓"]) == (
        "25.47",
        "0.789",
        "0.219",
    )
    assert line["measured PSNR (dB) ↑"].startswith("29.50 [") and line["measured n"] == str(
        PICTURES
    )
    assert line["measured LPIPS ↓"] == "not in this protocol"
    published = [
        cell
        for line in table.lines
        for cell, column in zip(line, table.columns, strict=True)
        if "pub" in column.group
    ]
    assert {cell.mark for cell in published} == {None}, (
        "there are no pictures to test published numbers with"
    )


def test_gaps_say_why(runs: Runs) -> None:
    runs.add({"input": 20.0})
    runs.add(["srn"], status="skipped")
    runs.add(["gkmnet.sim"], noise=(5,))
    table = quality(runs, "1")
    assert (
        texts(table, "EBDB")["measured PSNR (dB) ↑"] == "not run"
        and texts(table, "EBDB")["measured n"] == "–"
    )
    assert texts(table, "SRN")["measured PSNR (dB) ↑"] == "no weights"
    assert [note for note in table.notes if note.startswith("Without weights")] == [
        "Without weights: srn (python -m benchmark train ID --data FOLDER). ID is the method."
    ]
    assert texts(table, "–")["published PSNR (dB) ↑"] == "not printed"
    assert (
        texts(quality(runs, "2"), "GKMNet", noise="1", method="gkmnet.sim")["measured SSIM u7 ↑"]
        == "not run at this noise"
    )


def test_what_cannot_be_read_is_illegible_with_the_reason(runs: Runs) -> None:
    table = quality(runs, "2")
    heads = [column.title for column in table.columns]
    [line] = [
        line for line in table.lines if [cell.text for cell in line[:3]] == ["5", "GKMNet", "noise"]
    ]
    cell = line[heads.index("PSNR (dB) ↑")]
    assert (cell.text, cell.note) == ("illegible", "illegible in our copy of the paper")


def test_noise_trained_weights_stand_beside_the_clean_ones(runs: Runs) -> None:
    runs.add({"gkmnet.sim": 24.0, "gkmnet.sim-noise": 25.0}, noise=(1, 3, 5))
    table = quality(runs, "2")
    clean = texts(table, "GKMNet", noise="3", method="gkmnet.sim")
    noisy = texts(table, "GKMNet", noise="3", method="gkmnet.sim-noise")
    assert (clean["trained on"], noisy["trained on"]) == ("clean", "noise")
    assert (
        clean["published PSNR (dB) ↑"] == "25.02" and noisy["published PSNR (dB) ↑"] == "illegible"
    )
    assert [len(group) for group in table.groups] == [8, 8, 8], "a group per noise level"


def test_any_tag_that_ends_in_noise_is_noise_trained(runs: Runs) -> None:
    runs.add({"gkmnet.mine-noise": 24.0, "srn.other-noise": 23.0}, noise=(0, 1, 3, 5))
    for model, method in (("GKMNet", "gkmnet.mine-noise"), ("SRN", "srn.other-noise")):
        assert texts(quality(runs, "2"), model, noise="1", method=method)["trained on"] == "noise"
    assert not any("-noise" in cell.text for line in quality(runs, "4").lines for cell in line)


def test_every_line_says_what_its_weights_were_trained_on_and_how_long(runs: Runs) -> None:
    budgets = {
        "gkmnet.sim": "240 megapixels, seed 0",
        "gkmnet.sim-26-1:head=sram": "240 megapixels, seed 1",
    }
    runs.add(
        {"input": 20.0, "gkmnet.sim": 24.0, "gkmnet.sim-26-1:head=sram": 23.0}, budgets=budgets
    )
    table = quality(runs, "4")
    [cell] = [cell for line in table.lines for cell in line if cell.text == "gkmnet.sim"]
    assert cell.note == "Weights or constants from simulated: BSDS500 (240 megapixels, seed 0)."
    assert all(not cell.note for line in table.lines for cell in line if cell.text == "input")
    frame = pd.read_csv(
        io.StringIO(
            paper.format_paper_tables(
                paper.build_paper_tables(results_of(*runs.stores), ["4"]), "csv"
            )
        )
    )
    assert "simulated: BSDS500 (240 megapixels, seed 0)" in set(frame["learned from"])


def test_weights_trained_for_different_times_are_set_beside_each_other_with_a_warning(
    runs: Runs,
) -> None:
    budgets = {"gkmnet.sim": "240 megapixels, seed 0", "jnb": "26 megapixels, seed 1"}
    runs.add({"gkmnet.sim": 24.0, "jnb": 21.0}, budgets=budgets)
    warning = (
        "Weights were trained for different times (240 megapixels, 26 megapixels), which the "
        "marks do not weigh; the line of each method says for which."
    )
    assert warning in quality(runs, "1").footnotes
    runs.add(
        {"gkmnet.sim": 24.0, "jnb": 21.0}, budgets={**budgets, "jnb": "240 megapixels, seed 1"}
    )
    assert not any("different times" in note for note in quality(runs, "1").footnotes), (
        "the last run counts"
    )


ABLATION_BUDGETS = {
    "gkmnet.sim": "240 megapixels, seed 0",
    "gkmnet.sim-26-0": "26 megapixels, seed 0",
    "gkmnet.sim-26-0-sram:head=sram": "26 megapixels, seed 0",
    "gkmnet.sim-26-0-one-scale:scales=1": "26 megapixels, seed 0",
}


def add_ablations(runs: Runs, *names: str) -> None:
    runs.add(["input", *names], budgets=ABLATION_BUDGETS)


def test_a_table_of_ablations_refuses_weights_of_another_budget(runs: Runs) -> None:
    """And says which of those that ship would do."""
    add_ablations(runs, *(name for name in ABLATION_BUDGETS if name != "gkmnet.sim-26-0"))
    table = quality(runs, "4")
    assert not any(cell.text == "gkmnet.sim" for line in table.lines for cell in line)
    assert texts(table, "GKMNet")["measured PSNR (dB) ↑"] == "not run"
    assert texts(table, "SRAM*")["measured PSNR (dB) ↑"].startswith("25.50")
    notes = "\n".join(table.footnotes)
    assert "one budget only (26 megapixels)" in notes
    assert "Left out: gkmnet.sim (240 megapixels)." in notes
    assert (
        "Row GKMNet has no measured number: python -m benchmark run --methods gkmnet.sim-26-0 "
        "--dataset dpd" in notes
    )


def test_a_table_of_ablations_takes_the_network_of_their_budget(runs: Runs) -> None:
    add_ablations(runs, *ABLATION_BUDGETS)
    table = quality(runs, "4")
    assert texts(table, "GKMNet")["measured as"] == "gkmnet.sim-26-0"
    assert "Left out: gkmnet.sim (240 megapixels)." in "\n".join(table.footnotes)


def test_rows_that_nothing_was_run_for_name_the_command_that_makes_them(runs: Runs) -> None:
    runs.add(["input", "gkmnet.sim"], budgets=ABLATION_BUDGETS)
    notes = "\n".join(quality(runs, "5").footnotes)
    assert (
        "Row S=3, R=2 has no measured number: python -m benchmark train "
        "gkmnet:rounds=2,shared=false --megapixels 240 --tag sim-240-rounds-2-shared-false "
        "--data FOLDER" in notes
    )
    assert "Row S=3, R=1" not in notes


def test_tables_of_several_methods_say_the_budget_of_each_in_a_column(runs: Runs) -> None:
    runs.add(["input", "gkmnet.sim", "jnb"], budgets={"gkmnet.sim": "240 megapixels, seed 0"})
    assert "trained for" not in [column.title for column in quality(runs, "1").columns]
    runs.add(["srn.mine"], budgets={"srn.mine": "26 megapixels, seed 0"})
    table = quality(runs, "1")
    amounts = {model: texts(table, model)["trained for"] for model in ("–", "JNB", "SRN", "GKMNet")}
    assert amounts == {"–": "–", "JNB": "–", "SRN": "26 megapixels", "GKMNet": "240 megapixels"}
    [summary] = results_of(*runs.stores).summaries()
    plain = summary_to_grid(summary)
    column = [column.title for column in plain.columns].index("trained for")
    assert {line[1].text: line[column].text for line in plain.lines}["srn.mine"] == "26 megapixels"


def test_a_table_of_noise_levels_that_were_not_run_says_which(runs: Runs) -> None:
    runs.add({"gkmnet.sim": 24.0}, noise=(0,))
    assert any(
        "not at its noise levels; run with --noise 1,3,5." in note
        for note in quality(runs, "2").footnotes
    )


def test_another_data_set_takes_the_place_and_the_caption_says_so(runs: Runs) -> None:
    runs.add({"input": 20.0, "gkmnet.sim": 24.0}, dataset="simulated:size=64")
    table = quality(runs, "1")
    assert "as measured on simulated:size=64, which takes the place of DPD" in table.caption
    assert "were trained or tuned on: simulated: BSDS500." in table.caption
    assert {column.group for column in table.columns} >= {
        "published, DPD",
        "measured, simulated:size=64",
    }
    assert "takes the place of RTF" in quality(runs, "3").caption


def test_the_data_set_of_the_paper_comes_first_and_others_must_be_asked_for(runs: Runs) -> None:
    runs.add({"input": 20.0})
    runs.add({"input": 30.0}, dataset="simulated")
    assert (
        "takes the place" not in (caption := quality(runs, "1").caption)
        and "measured on dpd" in caption
    )
    assert "measured on simulated, which takes" in quality(runs, "1", dataset="simulated").caption
    nothing = quality(runs, "3")
    assert "nothing was measured" in nothing.caption
    assert any("the runs hold dpd, simulated; --dataset" in note for note in nothing.footnotes)
    with pytest.raises(
        UsageError, match=r"--dataset rtf: not in the runs, which hold dpd, simulated$"
    ):
        quality(runs, "1", dataset="rtf")


def test_a_name_that_means_two_data_sets_is_refused(runs: Runs) -> None:
    runs.add({"input": 20.0}, dataset="simulated:size=32")
    runs.add({"input": 30.0}, dataset="simulated:size=64")
    with pytest.raises(UsageError, match="simulated:size=32 and simulated:size=64; name one"):
        quality(runs, "1", dataset="simulated")
    assert "on simulated:size=64, which" in quality(runs, "1", dataset="simulated:size=64").caption


def test_means_marks_and_notes_are_those_of_the_table_alone(runs: Runs) -> None:
    """A method that no row means, with fewer pictures, at another noise: nothing of it is seen."""
    runs.add({"input": 20.0, "gkmnet.sim": 24.0})
    runs.add({"foreign": 90.0}, pictures=3)
    runs.add({"input": 20.0}, noise=(2,), pictures=2)
    runs.add({"gkmnet.sim": 20.0}, noise=(2,), pictures=1)
    table = quality(runs, "1")
    assert texts(table, "GKMNet")["measured n"] == str(PICTURES)
    best = [line for line in table.lines if any(cell.mark == "best" for cell in line)]
    assert [line[1].text for line in best] == ["gkmnet.sim"]
    assert not any("foreign" in note or "noise 2" in note for note in table.notes)


def test_several_methods_may_stand_for_a_row_and_the_print_stands_once(runs: Runs) -> None:
    runs.add({"gkmnet.sim": 24.0, "gkmnet.official": 25.0})
    table = quality(runs, "1")
    assert texts(table, "GKMNet", method="gkmnet.official")["published PSNR (dB) ↑"] == "25.47"
    assert texts(table, "GKMNet", method="gkmnet.sim")["published PSNR (dB) ↑"] == "″"


@pytest.mark.parametrize("number", sorted(TABLES))
def test_every_table_names_protocol_n_data_and_commit(runs: Runs, number: str) -> None:
    rows = [line.row for line in list_lines(number, ())]
    methods = (
        [row.methods.split()[-1].replace("*", "t") for row in rows]
        + [line.row.methods.split()[-1].replace("*", "t") for line in list_lines(number, ())]
        + ["input"]
    )  # type: ignore[arg-type]
    runs.add(methods, dataset=TABLES[number].dataset, noise=(0, 1, 3))
    table = quality(runs, number)
    text = " ".join(table.notes)
    for word in (
        "12 pictures, fingerprint",
        "Protocol: dpdnet",
        "Suite at commit cccccccccccc",
        "NeurIPS 2021",
    ):
        assert word in text
    measured = [line for line in table.lines if line[-1].text == str(PICTURES)]
    assert len(measured) >= len(methods) // 2


def test_without_runs_that_hold_anything_the_printed_numbers_stand_alone(runs: Runs) -> None:
    runs.add([])
    for table in (quality(runs, number) for number in TABLES):
        assert "nothing was measured" in table.caption
        assert {line[-1].text for line in table.lines} == {"–"}
        assert any(note.startswith("Nothing was measured") for note in table.footnotes)


def test_a_run_that_was_cut_short_gives_means_over_what_all_have(runs: Runs) -> None:
    runs.add({"input": 20.0})
    runs.add({"gkmnet.sim": 24.0}, pictures=5)
    table = quality(runs, "1")
    assert {texts(table, model)["measured n"] for model in ("–", "GKMNet")} == {"5"}
    assert any("means over the 5 of 12 pictures all have" in note for note in table.notes)


def test_a_protocol_that_was_not_scored_is_refused(runs: Runs) -> None:
    runs.add({"input": 20.0})
    with pytest.raises(UsageError, match="not scored under canonical"):
        quality(runs, "1", protocols=["canonical"])


# Costs
# --------------------------------------------------------------------------------------------------

COUNT = NetworkCount(
    1_410_000,
    5_640_000,
    0,
    5_700_000,
    ((1, 3, 2, 2),),
    {"convolution": 700_000_000_000},
    0,
    603_500_000_000,
    {},
    {"torch": CounterCheck(1.0), "fvcore": CounterCheck(1.0)},
)


def costs(
    folder: Path,
    size: PictureSize,
    counts: Mapping[str, MethodCounts],
    references: Mapping[str, MethodCounts],
) -> Path:
    """Keep a cost pass in a folder."""
    subjects = [
        TimingSubject(name, "1", None, "cpu", str(size), "processor", None, 2, "torch 0", "0.1.0")
        for name in counts
    ]
    kept = CostRecord(
        size,
        subjects,
        counts,
        [],
        references,
        {"suite": "0.1.0", "git": {"commit": "d" * 40, "dirty": True}},
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD_FILE).write_bytes(RECORD_ADAPTER.dump_json(kept))
    return folder


def cost_lines(table: grid.Grid) -> dict[str, list[str]]:
    return {line[1].text: [cell.text for cell in line] for line in table.lines}


def test_costs_stand_beside_the_printed_ones_in_the_convention_that_is_stated(
    tmp_path: Path,
) -> None:
    counts = {
        "gkmnet": MethodCounts({"dense GCM": COUNT, "separable GCM": COUNT}),
        "jnb": MethodCounts(),
    }
    table = CostTable(TABLES["1"], costs(tmp_path, PictureSize(1680, 1120), counts, {})).grid()
    heads = [f"{column.group.partition(',')[0]} {column.title}".strip() for column in table.columns]
    found = cost_lines(table)
    line = dict(zip(heads, found["gkmnet (dense GCM)"], strict=True))
    assert line["published FLOPs as printed (G)"] == line["here thop-style (G)"] == "603.5"
    assert line["here FLOPs (G)"] == "1400" and line["here CPU (s)"] == "not timed"
    assert found["gkmnet (separable GCM)"][2:7] == ["″"] * 5
    assert found["gkmnet (separable GCM)"][-2:] == ["″"] * 2, (
        "seconds are the method's, not a form's"
    )
    assert found["jnb"][-3:] == ["no network", "not timed", "not timed"] and "843.1" in found["jnb"]
    assert any("dddddddddddd (with uncommitted changes)" in note for note in table.notes)
    assert any("what the tool thop" in note.lower() for note in table.notes)


def test_a_network_that_cannot_be_counted_is_not_called_none(tmp_path: Path) -> None:
    counts = {"srn": MethodCounts(problem="no memory"), "jnb": MethodCounts()}
    found = cost_lines(
        CostTable(TABLES["1"], costs(tmp_path, PictureSize(1680, 1120), counts, {})).grid()
    )
    assert found["srn"][-3] == "cannot be counted" and found["jnb"][-3] == "no network"


def test_networks_counted_for_the_printed_figures_fill_in_at_their_size_only(
    tmp_path: Path,
) -> None:
    reference = {"gkmnet:variant=official,scales=1": MethodCounts({"dense GCM": COUNT})}
    same = CostTable(
        TABLES["4"],
        costs(tmp_path / "a", PictureSize(1680, 1120), {"jnb": MethodCounts()}, reference),
    ).grid()
    assert "gkmnet:variant=official,scales=1 (dense GCM)" in cost_lines(same)
    other = CostTable(
        TABLES["4"], costs(tmp_path / "b", PictureSize(64, 64), {"jnb": MethodCounts()}, reference)
    ).grid()
    assert all(line[-1].text == "not counted" for line in other.lines)
    assert {column.group for column in other.columns} == {"", "published, 1680x1120", "here, 64x64"}


def test_without_a_cost_pass_the_printed_figures_stand_alone() -> None:
    table = CostTable(TABLES["5"], None).grid()
    assert [line[0].text for line in table.lines] == [
        "S=1, R=3",
        "S=2, R=3",
        "S=3, R=2",
        "S=3, R=1",
    ]
    assert {line[-1].text for line in table.lines} == {"not counted"} and "--cost" in " ".join(
        table.notes
    )


def test_the_cost_pass_asked_for_or_kept_with_a_run_is_found_first(tmp_path: Path) -> None:
    kept = costs(tmp_path / "run", PictureSize(1680, 1120), {"jnb": MethodCounts()}, {})
    assert find_cost_folder([kept], None) == kept and find_cost_folder([kept], tmp_path) == tmp_path
    shipped = find_cost_folder([tmp_path], None)
    assert shipped is not None and shipped.parts[-2:] == ("measured", "cost")
    usual = costs(
        Path("results/cost/1680x1120"), PictureSize(1680, 1120), {"jnb": MethodCounts()}, {}
    )
    assert find_cost_folder([tmp_path], None) == usual


# All of them
# --------------------------------------------------------------------------------------------------


def everything(runs: Runs) -> list[paper.PaperTable]:
    return paper.build_paper_tables(
        results_of(*runs.stores), [*TABLES, paper.LATER, paper.TRAINING]
    )


def test_every_table_in_every_format_is_the_same_each_time(runs: Runs) -> None:
    runs.add(
        {"input": 20.0, "gkmnet.sim": 24.0, "gkmnet.sim-noise": 23.0, "jnb": 24.0},
        noise=(0, 1, 3, 5),
    )
    made, again = everything(runs), everything(runs)
    for form in ("markdown", "latex", "csv", "html"):
        first, second = (
            paper.format_paper_tables(made, form),
            paper.format_paper_tables(again, form),
        )  # type: ignore[arg-type]
        assert first == second
        captions = re.findall(r"Table \d \((?:quality|cost)\)", first)
        assert form == "csv" or sorted(captions) == sorted(
            [*(f"Table {n} (quality)" for n in "12345"), *(f"Table {n} (cost)" for n in "145")]
        )


def test_lines_are_named_by_the_columns_before_the_numbers(runs: Runs) -> None:
    for table in everything(runs):
        columns = table.grid().columns
        labels = [column.title for column in columns if column.label]
        assert labels == [column.title for column in columns[: len(labels)]]
        grouped = [column.title for column in columns if column.group]
        if grouped:
            assert labels + grouped == [column.title for column in columns]
        else:
            assert not grouped and labels


def test_csv_holds_numbers_published_apart_from_measured(runs: Runs) -> None:
    runs.add({"input": 20.0, "gkmnet.official": 25.0, "gkmnet.sim": 24.0})
    frame = pd.read_csv(
        io.StringIO(paper.format_paper_tables(everything(runs), "csv")),
        keep_default_na=False,
        dtype=str,
    )
    quality = frame.query(
        "table == '1' and half == 'quality' and model == 'GKMNet' and measure == 'psnr'"
    )
    line, other = quality.to_dict("records")
    assert (line["published"], line["published on"], line["method"]) == (
        "25.47",
        "dpd",
        "gkmnet.official",
    )
    assert (other["published"], other["published on"], other["method"]) == ("", "", "gkmnet.sim"), (
        "printed once"
    )
    assert (
        float(line["mean"]) == 30.5 and line["n"] == str(PICTURES) and line["protocol"] == "dpdnet"
    )
    unmeasured = frame.query("table == '1' and model == 'EBDB' and measure == 'psnr'").to_dict(
        "records"
    )[0]
    assert (unmeasured["published"], unmeasured["mean"], unmeasured["note"]) == (
        "23.45",
        "",
        "not run",
    )
    cost = frame.query(
        "table == '1' and half == 'cost' and model == 'SRN' and measure == 'thop-style (G)'"
    )
    assert cost["published"].item() == "3117.6" and float(cost["mean"].item()) == pytest.approx(
        3118, abs=1
    )


def later(runs: Runs, **options: object) -> grid.Grid:
    [table] = paper.build_paper_tables(results_of(*runs.stores), [paper.LATER], **options)  # type: ignore[arg-type]
    return table.grid()


def later_lines(table: grid.Grid, model: str, data: str = "dpd") -> list[dict[str, str]]:
    """The lines of a model: head -> text."""
    heads = [f"{column.group} {column.title}".strip() for column in table.columns]
    lines = [dict(zip(heads, (cell.text for cell in line), strict=True)) for line in table.lines]
    return [line for line in lines if (line["data"], line["model"]) == (data, model)]


def test_later_prints_are_grouped_by_data_set_and_never_called_measured(runs: Runs) -> None:
    table = later(runs)
    parts = ["dpd", "realdof", "lfdof", "dpd indoor", "dpd outdoor", "rtf"]
    assert [group[0][0].text for group in table.groups] == parts
    lines = [
        line for line in later_lines(table, "DRBNet") if line["printed by"] == "DRBNet issue 7"
    ]
    assert [line["published PSNR (dB) ↑"] for line in lines] == ["24.94", "24.98"], "8 and 16 bits"
    own_texts = {
        cell.text
        for line in table.lines
        for cell, column in zip(line, table.columns, strict=True)
        if column.group == "measured" or column.title == "measured as"
    }
    assert own_texts == {"–"}
    assert table.caption.endswith("; nothing was measured.")


def test_what_was_measured_stands_beside_the_first_print_of_its_model(runs: Runs) -> None:
    runs.add({"input": 20.0, "gkmnet.official": 24.0, "gkmnet.sim": 23.0, "unsharp": 22.0})
    runs.add({"input": 30.0}, dataset="realdof")
    table = later(runs)
    assert "as measured on dpd, realdof (protocol dpdnet, track u16-resize-bgr)" in table.caption
    first, *others = later_lines(table, "GKMNet")
    assert (first["printed by"], first["published PSNR (dB) ↑"]) == ("ViTDeblur README", "25.468")
    assert first["measured as"] == "gkmnet.official" and first["measured n"] == str(PICTURES)
    assert first["measured PSNR (dB) ↑"].startswith("29.50 [")
    assert first["measured LPIPS ↓"] == "not in this protocol"
    assert [line["printed by"] for line in others] == ["Papers with Code", "GKMNet issue 3", "″"]
    assert [line["measured as"] for line in others] == ["″", "″", "gkmnet.sim"]
    [line] = later_lines(table, "Input", "realdof")[:1]
    assert (line["published PSNR (dB) ↑"], line["measured as"]) == ("22.333", "input")
    assert line["measured PSNR (dB) ↑"].startswith("35.50 [")
    assert {line["measured as"] for line in later_lines(table, "Restormer")} == {"–"}
    assert {line["measured as"] for line in later_lines(table, "GKMNet", "lfdof")} == {"–"}
    assert not later_lines(table, "unsharp"), "no model that others print"


def test_networks_of_later_releases_fill_their_rows_by_themselves(runs: Runs) -> None:
    networks = {
        "restormer.official": "Restormer",
        "restormer-d.official": "Restormer (dual-pixel)",
        "ifan.official": "IFAN",
        "ifan-d.official": "IFAN (dual-pixel)",
        "nrknet.official": "NRKNet",
        "drbnet.official": "DRBNet",
        "drbnet-d": "DRBNet (dual-pixel)",
        "nafnet.mine": "NAFNet",
        "kpac.official": "KPAC",
        "kpac-d.official": "KPAC (dual-pixel)",
        "iniknet.official": "INIKNet",
        "lakdnet.official": "LaKDNet (17.7 M)",
        "lakdnet-d.official": "LaKDNet (17.7 M, dual-pixel)",
    }
    runs.add({name: 20.0 + index for index, name in enumerate(networks)})
    table = later(runs)
    for method, model in networks.items():
        assert later_lines(table, model)[0]["measured as"] == method
    [line] = later_lines(table, "KPAC (dual-pixel)")
    assert line["printed by"] == "not printed"
    assert later_lines(table, "INIKNet")[0]["published LPIPS ↓"] == "0.186"


def test_pictures_and_plug_ins_stand_for_the_model_of_their_name(runs: Runs) -> None:
    store = runs.add({"GRL-B": 26.0, "own": 25.0, "dpdnet-d.sim-noise": 20.0})
    store.put_cards({"own": MethodCard(title="AIFNet", family="learned", trained_on=())})
    store.put_cards({"dpdnet-d.sim-noise": MethodCard(title="DPDNet-D", family="learned")})
    table = later(runs)
    assert later_lines(table, "GRL-B")[0]["measured as"] == "GRL-B"
    assert later_lines(table, "AIFNet")[0]["measured as"] == "own"
    assert {line["measured as"] for line in later_lines(table, "DPDNet-D")} == {"–"}


def test_methods_without_weights_are_one_line_under_later_prints(runs: Runs) -> None:
    runs.add({"input": 20.0})
    runs.add(["srn", "dpdnet-s", "gkmnet"], status="skipped")
    table = later(runs)
    assert {line["measured as"] for line in later_lines(table, "DPDNet-S")} == {"–"}
    assert [note for note in table.notes if note.startswith("Without weights")] == [
        "Without weights: dpdnet-s, gkmnet (python -m benchmark import ID-official FILE). ID is "
        "the method."
    ]


def test_another_data_set_takes_the_place_of_all_that_are_printed(runs: Runs) -> None:
    runs.add({"input": 20.0}, dataset="simulated:size=64")
    assert "nothing was measured" in later(runs).caption
    table = later(runs, dataset="simulated:size=64")
    assert "on simulated:size=64, which takes the place of them all" in table.caption
    for data in ("dpd", "lfdof"):
        assert later_lines(table, "Input", data)[0]["measured as"] == "input"
    runs.add({"input": 25.0})
    table = later(runs, dataset="dpd")
    assert later_lines(table, "Input", "dpd")[0]["measured as"] == "input"
    assert later_lines(table, "Input", "lfdof")[0]["measured as"] == "–"


def test_what_could_not_be_read_says_so(runs: Runs) -> None:
    table = later(runs)
    [line] = later_lines(table, "NAFNet")
    assert line["published PSNR (dB) ↑"] == "not read"
    assert any("could not be read with certainty; not guessed" in note for note in table.notes)


def test_csv_keeps_printed_and_measured_numbers_of_later_sources(runs: Runs) -> None:
    runs.add({"input": 20.0, "gkmnet.official": 24.0})
    tables = paper.build_paper_tables(results_of(*runs.stores), [paper.LATER])
    text = paper.format_paper_tables(tables, "csv")
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str)
    theirs = frame.query("source == 'LaKDNet README' and dataset == 'lfdof' and measure == 'psnr'")
    assert theirs["value"].to_list() == ["31.87"] and theirs["mean"].to_list() == [""]
    ours = frame.query("table == 'later' and method == 'gkmnet.official' and measure == 'psnr'")
    assert ours["mean"].to_list() == ["29.5"] and ours["value"].to_list() == [""]


# What was trained on what
# --------------------------------------------------------------------------------------------------


def training(runs: Runs, **options: object) -> list[grid.Grid]:
    tables = paper.build_paper_tables(results_of(*runs.stores), [paper.TRAINING], **options)  # type: ignore[arg-type]
    return [table.grid() for table in tables]


def test_methods_by_what_they_were_trained_and_tested_on(runs: Runs) -> None:
    scores = {"input": 20.0, "jnb": 21.0, "gkmnet.sim": 24.0, "gkmnet.sim-noise": 23.0}
    runs.add(scores)
    runs.add({"input": 30.0, "gkmnet.sim": 31.0}, dataset="realdof")
    runs.add(["srn"], status="skipped")
    psnr, ssim = training(runs)
    assert "PSNR (protocol dpdnet, track u16-resize-bgr)" in psnr.caption
    assert "SSIM u7 (" in ssim.caption, "the protocol has no LPIPS"
    assert [column.group for column in psnr.columns] == ["", "", "dpd", "realdof"]
    lines = [[cell.text.partition(" [")[0] for cell in line] for line in psnr.lines]
    assert lines == [
        ["gkmnet.sim", "simulated: BSDS500", "29.50", "36.50"],
        ["gkmnet.sim-noise", "simulated: BSDS500", "28.50", "not run"],
        ["input", "nothing", "25.50", "35.50"],
        ["jnb", "BSDS500", "26.50", "not run"],
    ]
    assert [len(group) for group in psnr.groups] == [2, 1, 1], "a group per network"
    assert sum(note.startswith("Without weights: srn") for note in psnr.notes) == 1
    assert any("dpd, 12 pictures" in note for note in psnr.notes)


def test_a_training_table_of_one_data_set_and_of_nothing(runs: Runs) -> None:
    runs.add([])
    [table] = training(runs)
    assert table.caption.endswith("nothing was measured.") and not list(table.lines)
    runs.add({"input": 20.0})
    runs.add({"input": 30.0}, dataset="realdof")
    table, _ = training(runs, dataset="realdof")
    assert [column.group for column in table.columns] == ["", "", "realdof"]
    with pytest.raises(UsageError, match="not scored under canonical"):
        training(runs, protocols=["canonical"])


def test_csv_of_the_training_table_holds_every_measure(runs: Runs) -> None:
    runs.add({"input": 20.0, "gkmnet.sim": 24.0})
    tables = paper.build_paper_tables(results_of(*runs.stores), [paper.TRAINING])
    frame = pd.read_csv(io.StringIO(paper.format_paper_tables(tables, "csv")))
    assert list(frame["measure"]) == ["psnr", "psnr", "ssim_u7", "ssim_u7"]
    [line] = frame.query("method == 'gkmnet.sim' and measure == 'psnr'").to_dict("records")
    assert (line["learned from"], line["dataset"], line["mean"]) == (
        *("simulated: BSDS500", "dpd", 29.5),
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_of_all_tables_compiles(runs: Runs, tmp_path: Path) -> None:
    runs.add({"input": 20.0, "gkmnet.sim": 24.0, "jnb": 24.0}, dataset="a_b%c", noise=(0, 1))
    body = paper.format_paper_tables(everything(runs), "latex")
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
