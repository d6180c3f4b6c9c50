"""Results of several machines become one: every score once, in any order, and nothing averaged."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Outcome, Score
from benchmark.results import Results, read_results
from benchmark.results.bundles import MANIFEST, Origin, write_bundle
from benchmark.results.merging import MergedResults, Part, merge_records
from benchmark.results.publication import publish_record
from benchmark.results.results import read_record
from benchmark.store import Store
from tests.benchmark.results.made_runs import (
    RULERS,
    SAMPLES,
    make_cell,
    make_run,
    make_scores,
    set_start,
    spread_values,
)
from tests.benchmark.results.test_bundles import call, export, text
from tests.reports.scores import score

MEASURED = Path(__file__).parents[3] / "results" / "measured"


def merge(*paths: Path, prefer: Path | None = None) -> MergedResults:
    parts = [Part(path.name, publish_record(read_record(path)).record) for path in paths]
    return merge_records(parts, Path("whole"), prefer.name if prefer else None)


def values_of(merged: MergedResults) -> dict[tuple[str, str], float]:
    scores = Results([merged.record]).scores()
    psnr = scores[scores["measure"] == "psnr"]
    return {(row.method, row.sample): row.value for row in psnr.itertuples()}


@pytest.fixture
def machines(tmp_path: Path) -> list[Path]:
    """Bundles of three machines: each ran the input and a method of its own, on other days."""
    bundles = []
    for number, method in enumerate(("a", "b", "c"), start=1):
        folder = make_run(
            tmp_path / f"machine{number}" / "run",
            spread_values(("input", method)),
            started=f"2026-01-0{number}T00:00:00+00:00",
            provenance={"machine": {"processor": f"Processor {number}"}},
        )
        bundles.append(export(folder, tmp_path / f"bundle{number}"))
    return bundles


def test_three_machines_make_one_bundle_whatever_their_order(
    machines: list[Path], tmp_path: Path
) -> None:
    contents = []
    for number, order in enumerate(itertools.permutations(machines)):
        out = tmp_path / f"whole{number}"
        code, output = call("merge", *order, "--out", out)
        assert code == 0, output
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert all(content == contents[0] for content in contents)
    results = read_results(tmp_path / "whole0")
    assert set(results.scores()["method"]) == {"input", "a", "b", "c"}
    expected = spread_values(("input", "a", "b", "c"))
    [record] = results.runs
    merged = values_of(MergedResults(record, 0, ()))
    assert merged == expected and len(results.all_rows) == 2 * len(expected), "every score once"
    processors = {each.provenance["machine"]["processor"] for each in record.commands.values()}
    assert processors == {"Processor 1", "Processor 2", "Processor 3"}
    manifest = json.loads(contents[0][MANIFEST])
    assert manifest["origin"] == {"by": "merge", "parts": 3, "preferred": 0}
    code, output = call("verify", tmp_path / "whole0")
    assert code == 0, output
    origin = "- From 3 runs; what more than one holds is taken from the one named last.\n"
    assert text(results) == text(read_results(*machines)).replace(origin, "")


def test_what_is_joined_twice_is_there_once(machines: list[Path], tmp_path: Path) -> None:
    write_bundle(publish_record(merge(*machines[:2]).record), tmp_path / "two", Origin(by="merge"))
    stepwise = merge(tmp_path / "two", machines[2], machines[0])
    at_once = merge(*machines)
    pd.testing.assert_frame_equal(stepwise.record.scores, at_once.record.scores, check_dtype=False)
    assert stepwise.record.commands == at_once.record.commands
    assert stepwise.record.methods == at_once.record.methods


def test_runs_bundles_and_exports_can_be_joined(machines: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "machine1" / "run"
    assert call("export", machines[1], "--out", tmp_path / "scores.csv")[0] == 0
    merged = merge(run, tmp_path / "scores.csv", machines[2])
    assert values_of(merged) == spread_values(("input", "a", "b", "c"))


def test_committed_scores_of_all_releases_can_be_joined(tmp_path: Path) -> None:
    names = ("demo", "simulated", "kodak24", "equal_budget", "pixel4")
    merged = merge(*(MEASURED / name / "scores.parquet" for name in names[:2]))
    results = Results([merged.record])
    assert set(results.datasets) == {"simulated", "simulated:set=five"}
    paths = [str(MEASURED / name / "scores.parquet") for name in names]
    assert call("merge", *paths, "--out", tmp_path / "1")[0] == 0
    assert call("merge", *reversed(paths), "--out", tmp_path / "2")[0] == 0
    for name in ("scores.parquet", "cards.json", "commands.json", MANIFEST):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


# Conflicts
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def rivals(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that differ in all eight scores of the method a."""
    first = make_run(tmp_path / "first", spread_values(("input", "a")))
    values = spread_values(("input", "a"))
    other = {place: value + (place[0] == "a") * 1e-3 for place, value in values.items()}
    second = make_run(tmp_path / "second", other, started="2026-01-02T00:00:00+00:00")
    return first, second


def test_scores_that_differ_are_named_and_nothing_is_joined(
    rivals: tuple[Path, Path], tmp_path: Path
) -> None:
    for order in (rivals, rivals[::-1]):
        code, output = call("merge", *order, "--out", tmp_path / "whole")
        assert code == 2 and not (tmp_path / "whole").exists()
        assert "8 scores of the same cell differ" in output and "and 3 more" in output
        assert output.count("a on ") == 5 and "input on" not in output
        value = spread_values(("a",))["a", "one"]
        assert f" {value:.9g} in " in output and f" {value + 1e-3:.9g} in " in output
        assert str(rivals[0]) in output and str(rivals[1]) in output
        assert "Largest difference: ours psnr 0.001, ours ssim 1e-05." in output


@pytest.mark.parametrize("place", [0, 1])
def test_the_part_that_is_preferred_counts_and_that_is_told(
    rivals: tuple[Path, Path], tmp_path: Path, place: int
) -> None:
    preferred = rivals[place]
    out = tmp_path / "whole"
    for order in (rivals, rivals[::-1]):
        code, output = call("merge", *order, "--out", out, "--prefer", preferred)
        assert code == 0 and f"8 scores differed between parts; those of {preferred}" in output
        assert values_of(MergedResults(read_record(out), 0, ())) == values_of(merge(preferred))
        assert json.loads((out / MANIFEST).read_text())["origin"]["preferred"] == 8
    code, output = call("merge", *rivals, "--out", out, "--prefer", tmp_path / "third")
    assert code == 2 and "none of the parts" in output


def test_what_the_preferred_part_does_not_hold_stays_a_conflict(
    rivals: tuple[Path, Path], tmp_path: Path
) -> None:
    third = make_run(tmp_path / "third", spread_values(("input",)))
    with pytest.raises(UsageError, match="8 scores of the same cell differ"):
        merge(*rivals, third, prefer=third)


def test_scores_by_other_rulers_are_a_conflict(tmp_path: Path) -> None:
    values = spread_values(("a",), SAMPLES[:1])
    first = make_run(tmp_path / "first", values)
    rulers = {**RULERS, ("ours", "ssim"): "2/1/-"}
    second = make_run(tmp_path / "second", values, rulers=rulers)
    with pytest.raises(UsageError, match=r"ssim is .* by another version of the metric") as error:
        merge(first, second)
    assert "1 score of the same cell differ" in str(error.value)


def test_other_pictures_of_the_same_name_are_a_conflict(tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", spread_values(("a",)))
    second = make_run(tmp_path / "second", {("b", "one"): 20.0}, data="f-other")
    for order in ((first, second), (second, first)):
        with pytest.raises(UsageError, match="1 picture of the same name differ") as error:
            merge(*order)
        assert "one of set is another picture in " in str(error.value)


def test_a_failure_never_hides_a_success(tmp_path: Path) -> None:
    well = make_run(tmp_path / "well", {("a", "one"): 20.0})
    failed = make_run(
        tmp_path / "failed", {("a", "one"): "broke"}, started="2026-02-01T00:00:00+00:00"
    )
    for order in ((well, failed), (failed, well)):
        merged = merge(*order)
        assert values_of(merged) == {("a", "one"): 20.0}
        assert any("did not end well in a part" in note for note in merged.notes)


def test_what_was_measured_counts_where_a_metric_was_missing(tmp_path: Path) -> None:
    measured = make_run(tmp_path / "measured", {("a", "one"): 20.0})
    missing = tmp_path / "missing"
    make_run(missing, {("a", "two"): 21.0}, started="2026-02-01T00:00:00+00:00")
    with Store(missing) as store:
        reason = "not available: no weights"
        scores = [score("psnr", 20.0), score("ssim", None, reason)]
        store.put(1, make_cell("a", "one"), Outcome("ok", scores={"ours": scores}), RULERS)
    for order in ((measured, missing), (missing, measured)):
        rows = Results([merge(*order).record]).scores()
        ssim = rows[(rows["measure"] == "ssim") & (rows["sample"] == "one")]
        assert ssim["value"].tolist() == [0.2]


def test_what_chose_the_pixels_of_a_score_stays_with_that_score(tmp_path: Path) -> None:
    scores = [Score("psnr", 30.0, basis="the true blur map"), Score("ssim", 0.9)]
    parts = []
    for sample in ("one", "two"):
        with Store(tmp_path / sample, create=True) as store:
            store.start_run({"suite": "0.2.0"})
            outcome = Outcome("ok", scores={"ours": scores})
            store.put(1, make_cell("a", sample), outcome, RULERS)
        parts.append(export(tmp_path / sample, tmp_path / f"{sample}-bundle"))
    record = merge(*parts).record
    bases = {
        (row["sample"], row["measure"]): row["basis"] for row in record.scores.to_dict("records")
    }
    for sample in ("one", "two"):
        assert bases[sample, "psnr"] == "the true blur map"
        assert pd.isna(bases[sample, "ssim"])


def test_versions_are_not_mixed_and_what_is_not_shown_is_told(tmp_path: Path) -> None:
    old = make_run(tmp_path / "old", spread_values(("a",)))
    values = {("a", sample): 30.0 for sample in SAMPLES}
    new = make_run(
        tmp_path / "new", values, started="2026-02-01T00:00:00+00:00", method_version="2"
    )
    for order in ((old, new), (new, old)):
        merged = merge(*order)
        assert set(values_of(merged).values()) == {30.0}
        assert merged.record.scores["key"].nunique() == 8
        assert any(
            "4 cells are of versions" in note and note.endswith(": a") for note in merged.notes
        )


def test_the_card_of_the_last_command_counts_and_that_is_told(tmp_path: Path) -> None:
    old = make_run(tmp_path / "old", spread_values(("a",)))
    new = make_run(tmp_path / "new", spread_values(("a",)), started="2026-02-01T00:00:00+00:00")
    with Store(new) as store:
        store.put_cards({"a": MethodCard(title="A of today", family="learned")})
    for order in ((old, new), (new, old)):
        merged = merge(*order)
        assert merged.record.methods["a"].title == "A of today"
        assert any(note.endswith("the last command count: a") for note in merged.notes)


def test_costs_of_several_machines_are_not_mixed(machines: list[Path], tmp_path: Path) -> None:
    assert call("export", machines[0], "--out", tmp_path / "x", "--cost", MEASURED / "cost")[0] == 0
    code, _ = call("merge", tmp_path / "x", machines[1], "--out", tmp_path / "one")
    assert code == 0 and (tmp_path / "one" / "cost.json").is_file()
    assert call("export", machines[1], "--out", tmp_path / "y", "--cost", tmp_path / "x")[0] == 0
    costs = tmp_path / "y" / "cost.json"
    assert costs.read_bytes() == (tmp_path / "x" / "cost.json").read_bytes()
    run = make_run(tmp_path / "run", spread_values(("d",)))
    changed = (MEASURED / "cost" / "cost.json").read_text("utf-8").replace("Xeon", "Atom")
    (run / "cost.json").write_text(changed, "utf-8")
    code, output = call("merge", tmp_path / "x", run, "--out", tmp_path / "two")
    assert code == 0 and "costs left out" in output
    assert not (tmp_path / "two" / "cost.json").exists()


def test_a_part_without_cells_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "empty", create=True):
        pass
    with pytest.raises(UsageError, match="holds no cells"):
        merge(tmp_path / "empty")
    assert call("merge", tmp_path / "nowhere", "--out", tmp_path / "x")[0] == 2


def test_commands_of_one_second_keep_their_order(tmp_path: Path) -> None:
    """The store of a run tells which of them came last, and times do not."""
    folder = make_run(tmp_path / "run", {("a", "one"): 20.0})
    with Store(folder) as store:
        run = store.start_run({"suite": "0.1.0"})  # sorts before the first by its text
        outcome = Outcome("ok", scores=make_scores(40.0))
        store.put(run, make_cell("a", "one", method_version="2"), outcome, RULERS)
    set_start(folder, "2026-01-01T00:00:00+00:00")
    other = make_run(tmp_path / "other", {("b", "one"): 10.0})
    merged = merge(folder, other)
    assert values_of(merged)["a", "one"] == 40.0


# Any parts
# --------------------------------------------------------------------------------------------------

PLACES = st.sampled_from([*itertools.product(("input", "a", "b"), SAMPLES[:3])])
PART = st.tuples(
    st.sets(PLACES, min_size=1),
    st.sets(PLACES),
    st.integers(1, 3),
    st.sampled_from(["1", "2"]),
)


@given(drawn=st.lists(PART, min_size=2, max_size=4), data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_parts_give_the_same_in_any_order(
    drawn: list[Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Scores are a function of the cell, as on machines that agree."""
    folder = tmp_path_factory.mktemp("parts")
    paths: list[Path] = []
    held: set[tuple[str, str, str]] = set()
    for number, (places, failures, day, version) in enumerate(drawn):
        values: dict[Any, float | str] = dict.fromkeys(sorted(failures), "broke")
        for method, sample in sorted(places):
            values[method, sample] = 20.0 + len(sample) + len(method) + int(version)
            held.add((method, sample, version))
        started = f"2026-01-0{day}T00:00:00+00:00"
        paths.append(
            make_run(folder / f"{number}", values, started=started, method_version=version)
        )
    shuffled = data.draw(st.permutations(paths))
    one, other = merge(*paths), merge(*shuffled)
    pd.testing.assert_frame_equal(one.record.scores, other.record.scores)
    assert (one.record.commands, one.record.methods) == (
        other.record.commands,
        other.record.methods,
    )
    assert text(Results([one.record])) == text(Results([other.record]))
    rows = one.record.scores[one.record.scores["measure"] == "psnr"]
    found = list(zip(rows["method"], rows["sample"], rows["method_version"], strict=True))
    assert sorted(found) == sorted(held), "every score once, and none lost"
