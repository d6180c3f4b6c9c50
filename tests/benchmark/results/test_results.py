"""One reader: run folders, old and new, and exported scores give the same numbers."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import Noise, NoiseOnViews, parse_noise
from benchmark.reports.ranked import summary_to_ranked_grids
from benchmark.reports.tables import format_summaries
from benchmark.results import Results, read_results, results_of
from benchmark.results.exports import export_scores, write_export
from benchmark.results.notes import Note
from benchmark.store import FILE_NAME, Store
from tests.benchmark.earlier_stores import take_back_schema
from tests.reports.scores import score

MEASURED = Path(__file__).parents[3] / "results" / "measured"
SAMPLES = ("one", "two", "three", "four")
PROTOCOL = ProtocolCard(
    title="Ours",
    source="made up",
    version="1",
    tracks=("u8",),
    measures={
        "psnr": MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2)
    },
)


def cell(method: str, sample: str, noise: Noise) -> Cell:
    what = (method, method, None, "{}", "1", None, "set", "set")
    return Cell(*what, sample, f"f-{sample}", "u8", noise)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two methods on four pictures at two levels, and one that failed on a picture."""
    store = Store(tmp_path / "run", create=True)
    cards = {
        name: MethodCard(title=name, family="classical", trained_on=("BSDS500",), budget="1 h")
        for name in ("a", "b", "broken")
    }
    store.put_cards(cards)
    store.put_cards({"ours": PROTOCOL})
    run = store.start_run({"git": {"commit": "a" * 40, "dirty": False}})
    rulers = {("ours", "psnr"): "1/1/-"}
    for noise in (Noise(), Noise(2.55, clip=True)):
        for number, sample in enumerate(SAMPLES):
            for gain, name in enumerate(("b", "a")):
                value = 20.1 + number + gain - noise.sigma
                outcome = Outcome("ok", scores={"ours": [score("psnr", value)]})
                store.put(run, cell(name, sample, noise), outcome, rulers)
    store.put(run, cell("broken", "one", Noise()), Outcome("failed", reason="why"), rulers)
    return store


@pytest.fixture
def views_store(tmp_path: Path) -> Store:
    """Two methods that take dual-pixel views and one that does not, at two levels; the views had
    sigma * sqrt(2). Then one of the two was run again with sigma on each view.
    """
    store = Store(tmp_path / "views", create=True)
    inputs = {"pair": "views", "other": "views", "single": "image"}
    cards = {
        name: MethodCard(title=name, family="classical", inputs=kind)
        for name, kind in inputs.items()
    }
    store.put_cards(cards)
    store.put_cards({"ours": PROTOCOL})
    rulers = {("ours", "psnr"): "1/1/-"}
    readings: list[NoiseOnViews] = ["physical", "same"]
    for reading in readings:
        run = store.start_run({})
        for name in inputs if reading == "physical" else ("pair", "single"):
            for sigma in (0.0, 2.0, 5.0) if reading == "physical" else (0.0, 2.0):
                noise = Noise(sigma, on_views=reading).canonical().of_inputs(inputs[name])
                for number, sample in enumerate(SAMPLES):
                    value = 20.1 + number + (5 if noise.on_views == "same" else 0)
                    outcome = Outcome("ok", scores={"ours": [score("psnr", value)]})
                    store.put(run, cell(name, sample, noise), outcome, rulers)
    return store


def test_two_readings_of_noise_on_views_are_not_mixed_and_tables_say_which(
    views_store: Store,
) -> None:
    results = results_of(views_store)
    table = results.table()
    means = {(row.noise, row.method): row.mean for row in table.itertuples()}
    assert means == {
        ("0", "pair"): 21.6, ("0", "other"): 21.6, ("0", "single"): 21.6,
        ("2", "pair"): 26.6, ("2", "single"): 21.6, ("5", "single"): 21.6,
    }  # fmt: skip
    same = "Noise on dual-pixel views (same): sigma on each view, and on the picture: pair."
    left_out = (
        "Left out with noise, because sigma on their dual-pixel views was another (physical): "
        "other (noise 2, 5), pair (noise 5); run them again, or all with --noise-on-views physical."
    )
    assert same in text(results) and left_out in text(results)
    assert same in [note.text for note in compare_notes(results, "pair", "single")]
    [summary] = results.summaries()
    sharp, noisy, _ = summary_to_ranked_grids(summary)
    assert {same, left_out} <= set(noisy.footnotes)
    assert not {same, left_out} & set(sharp.footnotes)


def compare_notes(results: Results, *methods: str) -> list[Note]:
    selection = results.select(noise="2")
    return selection.describe([selection.column()], methods, SAMPLES)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_keeps_what_noise_on_views_was(
    views_store: Store, tmp_path: Path, suffix: str
) -> None:
    frame = export_scores(views_store)
    write_export(frame, tmp_path / f"new{suffix}")
    assert text(read_results(tmp_path / f"new{suffix}")) == text(results_of(views_store))
    earlier = frame[frame["on_views"] != "same"].drop(columns="on_views")
    write_export(earlier, tmp_path / f"old{suffix}")
    old = read_results(tmp_path / f"old{suffix}")
    physical = (
        "Noise on dual-pixel views (physical): sigma x sqrt(2) on each view, so that their mean, "
        "the picture, has sigma: other, pair."
    )
    assert physical in text(old) and "(same)" not in text(old)


def text(results: Results) -> str:
    return format_summaries(results.summaries(), "markdown")


@pytest.mark.parametrize("name", ["simulated", "kodak24", "equal_budget", "pixel4"])
def test_the_committed_exports_give_the_committed_tables(name: str) -> None:
    committed = (MEASURED / name / "report.md").read_text("utf-8")
    assert text(read_results(MEASURED / name / "scores.parquet")) == committed


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_reports_and_compares_as_its_run(
    store: Store, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"scores{suffix}"
    write_export(export_scores(store), path)
    exported = read_results(path)
    assert text(exported) == text(results_of(store))
    columns = ["sample", "noise", "method", "measure", "value", "status"]
    pd.testing.assert_frame_equal(
        exported.scores()[columns], results_of(store).scores()[columns], check_dtype=False
    )
    test = exported.compare("a", "b", noise="2.55 clipped")
    assert test.interval.mean == pytest.approx(1.0)
    assert (test.difference.wins, test.difference.n) == (4, 4)


def test_a_file_read_after_another_counts_also_where_that_was_only_asked_for_again(
    store: Store, tmp_path: Path
) -> None:
    """An exported file numbers a command that computed nothing, and says no more of it."""
    for _ in range(2):
        store.note_request(store.start_run({}), [cell("a", sample, Noise()) for sample in SAMPLES])
    write_export(export_scores(store), tmp_path / "first.parquet")
    with Store(tmp_path / "later", create=True) as later:
        later.put_cards({"a": MethodCard(title="a", family="classical"), "ours": PROTOCOL})
        run = later.start_run({})
        newer = dataclasses.replace(cell("a", "one", Noise()), method_version="2")
        outcome = Outcome("ok", scores={"ours": [score("psnr", 99.0)]})
        later.put(run, newer, outcome, {("ours", "psnr"): "1/1/-"})
        write_export(export_scores(later), tmp_path / "later.parquet")
    scores = read_results(tmp_path / "first.parquet", tmp_path / "later.parquet").scores()
    sharp = scores[(scores["method"] == "a") & (scores["sigma"] == 0)]
    assert sharp["value"].tolist() == [99.0]


def test_an_export_without_cards_falls_back_on_what_is_registered(
    store: Store, tmp_path: Path
) -> None:
    frame = export_scores(store)
    old = [name for name in frame if not name.endswith("_card") and "computed" not in name]
    write_export(frame[old].drop(columns="score_status"), tmp_path / "old.parquet")
    results = read_results(tmp_path / "old.parquet")
    assert results.compare("a", "b").interval.mean == pytest.approx(1.0)
    assert results.protocols["ours"].measures["psnr"].title == "psnr"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_of_an_earlier_release_calls_data_sets_by_their_names_of_today(
    store: Store, tmp_path: Path, suffix: str
) -> None:
    frame = export_scores(store).assign(dataset="simulated", dataset_name="simulated")
    write_export(frame, tmp_path / f"new{suffix}")
    write_export(frame.drop(columns="schema"), tmp_path / f"old{suffix}")
    assert read_results(tmp_path / f"new{suffix}").select_dataset().dataset == "simulated"
    old = read_results(tmp_path / f"old{suffix}")
    assert old.select_dataset("simulated").dataset == "simulated:set=five"
    assert "schema" not in old.rows


def test_a_file_that_is_no_export_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match=r"other\.csv: not exported scores, it lacks"):
        read_results(tmp_path / "other.csv")
    with pytest.raises(UsageError, match="cannot be read as exported scores"):
        read_results(tmp_path / "nowhere.parquet")


def test_scores_are_tidy_and_tell_what_failed(store: Store) -> None:
    scores = results_of(store).scores()
    assert len(scores) == 17 and set(scores["noise"]) == {"0", "2.55 clipped"}
    [failed] = scores[scores["method"] == "broken"].to_dict("records")
    assert (failed["status"], failed["reason"]) == ("failed", "why")
    table = results_of(store).table()
    mean = table.loc[(table["method"] == "a") & (table["noise"] == "0"), "mean"]
    assert mean.tolist() == [pytest.approx(22.6)]


def test_two_names_of_one_method_are_no_comparison(store: Store) -> None:
    with pytest.raises(UsageError, match="needs two methods, not a twice"):
        results_of(store).compare("a", "a")


@pytest.mark.parametrize(
    "noise",
    [
        Noise(),
        Noise(2.55, clip=True),
        Noise(1.0, round8=True),
        Noise(3.0, clip=True, round8=True, seed=4),
    ],
)
def test_a_noise_level_is_read_back_from_its_text(noise: Noise) -> None:
    assert parse_noise(str(noise)) == noise


def test_other_text_is_no_noise_level() -> None:
    for wrong in ("2 clipp", "x", "2  clipped", ""):
        with pytest.raises(ValueError):
            parse_noise(wrong)


def make_version_1(store: Store) -> Path:
    """Turn a store into one of an older release: no status of scores, cards that say less."""
    folder = store.folder
    store.__exit__()
    db = sqlite3.connect(folder / FILE_NAME)
    rows = [
        ("one", None, "no target"),
        ("two", None, "not available: no trunk"),
        ("three", None, "spy returned nan"),
        ("four", 20.0, None),
    ]
    for sample, value, reason in rows:
        key = cell("a", sample, Noise()).key
        db.execute("UPDATE scores SET value = ?, reason = ? WHERE cell = ?", (value, reason, key))
    card = (
        '{"title": "Ours", "source": "", "version": "1", "tracks": ["u8"], "measures": {"psnr": '
        '{"title": "PSNR rounded", "unit": "dB", "higher_is_better": true, "paper": "", '
        '"digits": 2}}}'
    )
    db.execute("UPDATE cards SET card = ? WHERE kind = 'protocol'", (card,))
    db.commit()
    db.close()
    take_back_schema(folder, 1)
    return folder


def test_a_store_of_the_older_schema_gets_statuses_from_its_reasons(store: Store) -> None:
    folder = make_version_1(store)
    for _ in range(2):  # it is brought up to date once, and opens again
        with Store(folder) as opened:
            done = opened.stored_cells()
            card = opened.cards(ProtocolCard)["ours"].measures["psnr"]
    statuses = [
        done[cell("a", sample, Noise()).key].scores["ours", "psnr"][1] for sample in SAMPLES
    ]
    assert statuses == ["skipped", "unavailable", "failed", "ok"]
    assert (card.metric, card.quantity, card.title) == ("psnr", "PSNR", "PSNR rounded")
