"""The claims of the paper: who is compared with whom, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmark.api import MethodCard
from benchmark.reports import paper
from benchmark.reports.paper.claims import CLAIMS, build_claims_tables, judge_claim, read_training
from benchmark.results import results_of
from benchmark.seed_stats import SeedComparison, compare_over_seeds
from benchmark.studies.cost.measurement import MethodCounts, PictureSize
from tests.reports.paper.test_paper import COUNT, PICTURES, Runs, costs

SRAM = "gkmnet.equal-26-{}-sram-added:head=sram"
GKMNET = "gkmnet.equal-26-{}"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.chdir(tmp_path)  # no cost pass of a developer is found
    with ExitStack() as stack:
        runs = Runs(tmp_path)
        yield runs
        for store in runs.stores:
            stack.push(store)


def add(runs: Runs, pattern: str, scores: Mapping[int, float], megapixels: int = 26) -> None:
    """Add trainings of one network: seed -> score."""
    methods = {pattern.format(seed): score for seed, score in scores.items()}
    budgets = {pattern.format(seed): f"{megapixels} megapixels, seed {seed}" for seed in scores}
    runs.add(methods, budgets=budgets, hours=0.5)


def records(runs: Runs, cost: Path | None = None) -> list[dict[str, object]]:
    [table] = build_claims_tables(results_of(*runs.stores), None, (), cost)
    return list(table.records())


def test_the_difference_is_over_all_seeds(runs: Runs) -> None:
    ours, theirs = {0: 26.0, 1: 26.1, 2: 25.9}, {0: 25.0, 1: 25.2}
    add(runs, GKMNET, ours)
    add(runs, SRAM, theirs)
    [record] = records(runs)
    expected = compare_over_seeds(
        np.add.outer(list(ours.values()), np.arange(PICTURES)),
        np.add.outer(list(theirs.values()), np.arange(PICTURES)),
    )
    assert (record["claim"], record["published"]) == ("the GKM makes the network", 3.48)
    for name in ("mean", "low", "high", "detectable", "p"):
        assert record[name] == pytest.approx(getattr(expected, name))
    assert record["p (Holm)"] == record["p"], "the only one"
    assert (record["GKMNet: seeds"], record["other: seeds"]) == (3, 2)
    assert record["verdict"] == "holds, but less than printed"
    assert (record["other: hours"], record["other: megapixels"]) == (0.5, 26)


def test_p_is_adjusted_for_the_claims(runs: Runs) -> None:
    add(runs, GKMNET, {0: 26.0, 1: 26.1})
    add(runs, SRAM, {0: 25.0, 1: 25.2})
    add(runs, "gkmnet.equal-26-{}-one-scale:scales=1", {0: 26.0, 1: 26.2})
    first, second = records(runs)
    assert first["p (Holm)"] == pytest.approx(2 * first["p"])  # type: ignore[operator]
    assert second["verdict"] == "cannot be told at this budget"


def test_budgets_are_never_mixed(runs: Runs) -> None:
    add(runs, GKMNET, {0: 26.0, 1: 26.1})
    add(runs, "gkmnet.equal-80-{}-sram-added:head=sram", {0: 27.0, 1: 27.1}, megapixels=80)
    assert records(runs) == []
    add(runs, "gkmnet.equal-80-{}", {0: 27.5}, megapixels=80)
    [record] = records(runs)
    assert record["verdict"] == "too few trainings or scenes: cannot be told"
    assert record["low"] is None and record["mean"] == pytest.approx(0.45)


def test_other_weights_take_no_part(runs: Runs) -> None:
    runs.add({"gkmnet.sim": 30.0, "input": 20.0}, budgets={"gkmnet.sim": "240 megapixels, seed 0"})
    [table] = build_claims_tables(results_of(*runs.stores), None, (), None)
    grid = table.grid()
    assert grid.groups == () and "nothing was measured" in grid.caption
    assert any("tags name the seed" in note for note in grid.notes)


def test_the_table_for_people_has_budgets_beside_effects(runs: Runs, tmp_path: Path) -> None:
    add(runs, GKMNET, {0: 26.0, 1: 26.1, 2: 25.9})
    add(runs, SRAM, {0: 25.9, 1: 26.2})
    counts = {"gkmnet": MethodCounts({"dense GCM": COUNT})}
    folder = costs(tmp_path / "costs", PictureSize(1680, 1120), counts, {})
    [table] = paper.build_paper_tables(results_of(*runs.stores), ["claims"], cost_folder=folder)
    grid = table.grid()
    [line] = grid.lines
    cells = {column.title: cell.text for column, cell in zip(grid.columns, line, strict=True)}
    assert cells["printed, DPD"] == "+3.48" and cells["seeds"] == "3 / 2"
    assert cells["measured"].startswith("-0.050 [-")
    assert cells["verdict"] == "cannot be told at this budget"
    assert (cells["megapixels"], cells["hours"]) == ("26 / 26", "0.50 / 0.50")
    operations = 3 * 700e9 * 26e6 / (1680 * 1120)
    assert cells["10^12 MACs"] == f"{operations / 1e12:.3g} / not counted"
    assert any("Satterthwaite" in note for note in grid.notes)
    assert any("`cost --methods all,ablations" in note for note in grid.notes)


def judged(mean: float, margin: float, printed: float, p: float) -> str:
    difference = SeedComparison(
        mean=mean, low=mean - margin, high=mean + margin, p=p, detectable=margin, degrees=4.0,
        seed_deviation=0.0, scene_deviation=0.0, seeds=(5, 5), scenes=24,
    )  # fmt: skip
    return judge_claim(printed, difference, p)


@pytest.mark.parametrize(
    ("mean", "margin", "printed", "p", "verdict"),
    [
        (0.03, 0.05, 3.48, 0.2, "cannot be told at this budget"),
        (0.5, 0.1, 0.46, 0.01, "holds"),
        (0.5, 0.1, 3.48, 0.01, "holds, but less than printed"),
        (-0.5, 0.1, -3.48, 0.01, "holds, but less than printed"),
        (-0.5, 0.1, 3.48, 0.01, "the other way round here"),
    ],
)
def test_words(mean: float, margin: float, printed: float, p: float, verdict: str) -> None:
    assert judged(mean, margin, printed, p) == verdict


@pytest.mark.parametrize(
    ("method", "budget", "series", "seed"),
    [
        ("gkmnet.equal-26-3", "26 megapixels, seed 3", "equal-26", 3),
        ("gkmnet.sim-26-0-sram:head=sram", "26 megapixels, seed 0", "sim-26", 0),
        ("gkmnet.equal-26-26", "26 megapixels, seed 26", "equal-26", 26),
    ],
)
def test_the_tag_says_the_series(method: str, budget: str, series: str, seed: int) -> None:
    training = read_training(method, card(budget))
    assert training is not None
    assert (training.series, training.seed, training.megapixels) == (series, seed, 26)


@pytest.mark.parametrize(
    ("method", "budget"),
    [
        ("gkmnet.sim", "240 megapixels, seed 0"),
        ("gkmnet.equal-26-1", "26 megapixels, seed 0"),
        ("gkmnet.equal-26-0-noise", "26 megapixels, noise 1 to 5, seed 0"),
        ("gkmnet", "26 megapixels, seed 0"),
        ("gkmnet.equal-26-0", "20 of 26 megapixels, seed 0"),
        ("gkmnet.official", ""),
    ],
)
def test_what_names_no_seed_is_no_part(method: str, budget: str) -> None:
    assert read_training(method, card(budget)) is None


def card(budget: str) -> MethodCard:
    return MethodCard(title="x", family="learned", budget=budget)


def test_every_claim_has_a_printed_effect(runs: Runs) -> None:
    assert len(CLAIMS) == len({claim.model for claim in CLAIMS}) == 9
    add(runs, GKMNET, {0: 26.0, 1: 26.1})
    for name in ("srn", "dpdnet-s", "attnet"):
        add(runs, name + ".equal-26-{}-added", {0: 26.0, 1: 26.1})
    printed = {record["model"]: record["published"] for record in records(runs)}
    assert printed == {"SRN": 0.86, "DPDNet-S": 1.13, "AttNet": 0.25}
