from __future__ import annotations

import contextlib
import dataclasses
import pickle
import sqlite3
from pathlib import Path

import pytest

from benchmark.api import DatasetCard, MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Score, StudyResult
from benchmark.noise import Noise
from benchmark.store import FILE_NAME, Store
from tests.benchmark.earlier_stores import take_back_schema

pytestmark = pytest.mark.usefixtures("toys")

CELL = Cell(
    "m:a=1",
    "m",
    "sim",
    '{"a": 1}',
    "1",
    "ab",
    "d",
    "d",
    "s <é>",
    "f00",
    "u8",
    Noise(2.55, clip=True, seed=2),
)
GOOD = Outcome(
    "ok",
    seconds=1.5,
    scene="s",
    output="outputs/x.npy",
    scores={"quick": [Score("psnr", 30.123456789, None)]},
)


RULERS = {("quick", "psnr"): "1/1/-"}


def test_a_cell_comes_back_as_it_was_with_the_same_identity(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
    with Store(tmp_path) as store:
        [(cell, done)] = list(store.cells())
        assert cell == CELL and cell.key == CELL.key
        assert (
            done.status == "ok"
            and done.output == "outputs/x.npy"
            and done.scores == {("quick", "psnr"): ("1/1/-", "ok")}
        )
        assert store.rows("scores")[0]["value"] == 30.123456789


def test_a_changed_cell_has_another_identity_also_when_that_was_asked_for_before() -> None:
    other = dataclasses.replace(CELL, sample=CELL.sample)
    assert CELL.key == other.key and other == CELL
    assert dataclasses.replace(CELL, sample="another").key != CELL.key
    assert pickle.loads(pickle.dumps(CELL)) == CELL
    assert pickle.loads(pickle.dumps(CELL)).key == CELL.key


def test_outputs_are_those_that_were_kept(tmp_path: Path) -> None:
    others = {
        "skipped": Outcome("skipped", reason="x"),
        "not kept": dataclasses.replace(GOOD, output=None),
    }
    with Store(tmp_path, create=True) as store:
        run = store.start_run({})
        store.put(run, CELL, GOOD, RULERS)
        for sample, outcome in others.items():
            store.put(run, dataclasses.replace(CELL, sample=sample), outcome, RULERS)
        assert list(store.outputs()) == [(CELL, "outputs/x.npy")]


def test_a_store_of_version_3_has_no_digests_and_gets_those_of_what_comes(tmp_path: Path) -> None:
    new_cell = dataclasses.replace(CELL, sample="another")
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
    take_back_schema(tmp_path, 3)
    with Store(tmp_path) as store:
        outcome = dataclasses.replace(GOOD, output_digest="d0")
        store.put(store.start_run({}), new_cell, outcome, RULERS)
    with Store(tmp_path) as store:
        digests = {cell.sample: stored.output_digest for cell, stored in store.cells()}
        assert digests == {CELL.sample: None, "another": "d0"}


def test_facts_are_added_to_the_provenance_of_one_command(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        first, second = store.start_run({"suite": "1"}), store.start_run({"suite": "2"})
        store.add_facts(second, {"threads": 4})
        texts = [row["provenance"] for row in store.rows("runs")]
        assert (first, second) == (1, 2)
        assert texts == ['{"suite": "1"}', '{"suite": "2", "threads": 4}']


def test_a_failure_never_replaces_a_success_but_a_success_replaces_a_failure(
    tmp_path: Path,
) -> None:
    with Store(tmp_path, create=True) as store:
        run = store.start_run({})
        store.put(run, CELL, Outcome("failed", reason="x", traceback="t"), RULERS)
        store.put(run, CELL, GOOD, RULERS)
        store.put(run, CELL, Outcome("timeout", reason="y"), RULERS)
        [row] = store.rows("cells")
        assert (row["status"], row["reason"], row["traceback"]) == ("ok", None, None)
        assert len(store.rows("scores")) == 1


def test_scores_of_another_protocol_are_added(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        run = store.start_run({})
        store.put(run, CELL, GOOD, RULERS)
        absent = {"other": [Score("mae", None, "not available: no weights", "unavailable")]}
        store.put_scores(run, CELL.key, absent, {("other", "mae"): "7/1/-"})
        expected = {("quick", "psnr"): ("1/1/-", "ok"), ("other", "mae"): ("7/1/-", "unavailable")}
        assert store.stored_cells()[CELL.key].scores == expected


def test_a_score_is_not_lost_where_its_metric_is_not_available(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
        absent = dataclasses.replace(
            GOOD, scores={"quick": [Score("psnr", None, "not available: gone", "unavailable")]}
        )
        store.put(store.start_run({}), CELL, absent, {("quick", "psnr"): "1/1/other"})
        [score] = store.rows("scores")
        assert (score["value"], score["ruler"], score["scored_by"]) == (30.123456789, "1/1/-", 1)


def test_asking_again_moves_the_labels_but_not_the_results(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
        store.note_request(store.start_run({}), [dataclasses.replace(CELL, dataset="d:n=4")])
        [row] = store.rows("cells")
        assert (row["dataset"], row["run"], row["asked"], row["status"]) == ("d:n=4", 1, 2, "ok")


def list_requests(store: Store) -> list[tuple[str, str, int]]:
    """Return data set, picture and number of the last command, of every request."""
    samples = {row["key"]: row["sample"] for row in store.rows("cells")}
    rows = store.rows("requests")
    return sorted((row["dataset"], samples[row["cell"]], row["asked"]) for row in rows)


def test_a_cell_belongs_to_every_data_set_that_it_was_asked_for_in(tmp_path: Path) -> None:
    other = dataclasses.replace(CELL, sample="t")
    subset = dataclasses.replace(CELL, dataset="subset")
    with Store(tmp_path, create=True) as store:
        first = store.start_run({})
        store.put(first, CELL, GOOD, RULERS)
        store.put(first, other, GOOD, RULERS)
        second = store.start_run({})
        store.note_request(second, [subset, dataclasses.replace(subset, sample="not there yet")])
        assert list_requests(store) == [("d", "s <é>", 1), ("d", "t", 1), ("subset", "s <é>", 2)]
        store.note_request(store.start_run({}), [CELL])
        assert list_requests(store) == [("d", "s <é>", 3), ("d", "t", 1), ("subset", "s <é>", 2)]
        assert len(list(store.cells())) == len(store.rows("cells")) == 2


def test_a_store_of_version_3_has_every_cell_in_the_data_set_that_it_names(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
    take_back_schema(tmp_path, 3)
    for _ in range(2):
        with Store(tmp_path) as store:
            assert list_requests(store) == [("d", "s <é>", 1)]


def test_text_that_is_no_unicode_is_kept_as_escapes(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(
            store.start_run({}),
            CELL,
            Outcome("failed", reason="caf\udce9", traceback="t\udce9"),
            RULERS,
        )
        assert store.rows("cells")[0]["reason"] == "caf\\udce9"


def test_no_run_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        Store(tmp_path)
    assert not (tmp_path / FILE_NAME).exists(), "looking must not make a file"


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match="not a readable run store"):
        Store(tmp_path)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path, create=True):
        pass
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(UsageError, match="schema 99"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("simulated", "simulated:set=five"),
        ("simulated:psf=gkm,size=64", "simulated:set=five,psf=gkm,size=64"),
        ("simulated:source=/pictures, mine,seed=7", "simulated:source=/pictures, mine,seed=7"),
        ("rtf", "rtf"),
    ],
)
def test_a_store_of_version_2_calls_data_sets_by_their_names_of_today(
    tmp_path: Path, earlier: str, now: str
) -> None:
    cell = dataclasses.replace(CELL, dataset=earlier, dataset_name=earlier.partition(":")[0])
    card = DatasetCard(title="t", paper="", licence="", source="", layout="")
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), cell, GOOD, RULERS)
        store.put_cards({earlier: card})
    take_back_schema(tmp_path, 2)
    for _ in range(2):  # it is brought up to date once, and opens again
        with Store(tmp_path) as store:
            [(stored, _)] = store.cells()
            assert (stored.dataset, stored.key) == (now, cell.key)
            assert list(store.cards(DatasetCard)) == [now]


def test_a_store_of_version_5_keeps_its_noise_on_views_under_its_keys(tmp_path: Path) -> None:
    """Its noisy views had sigma * sqrt(2); every other cell says nothing of views."""
    methods = {"views": "views", "picture": "image"}
    cells = [
        dataclasses.replace(CELL, method=name, method_name=name, noise=Noise(sigma))
        for name in methods
        for sigma in (0.0, 2.0)
    ]
    with Store(tmp_path, create=True) as store:
        run = store.start_run({})
        for cell in cells:
            store.put(run, cell, GOOD, RULERS)
        cards = {
            name: MethodCard(title=name, family="baseline", inputs=inputs)
            for name, inputs in methods.items()
        }
        store.put_cards(cards)
    take_back_schema(tmp_path, 5)
    for _ in range(2):  # it is brought up to date once, and opens again
        with Store(tmp_path) as store:
            readings = {
                (cell.method, cell.noise.sigma): cell.noise.on_views for cell, _ in store.cells()
            }
            assert readings == {
                ("views", 0.0): "", ("views", 2.0): "physical",
                ("picture", 0.0): "", ("picture", 2.0): "",
            }  # fmt: skip
            assert {cell.key for cell, _ in store.cells()} == {cell.key for cell in cells}


def test_a_store_without_results_of_studies_gets_a_table_for_them(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put(store.start_run({}), CELL, GOOD, RULERS)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute("DROP TABLE study_results")
    result = StudyResult("0f", {"sample": "s"}, "skipped", "no <é>\udce9")
    with Store(tmp_path) as store:
        store.put_study_result(1, "maps", result)
        store.put_study_result(1, "psf", dataclasses.replace(result, key="1f"))
        reason = "no <é>\\udce9"
        assert store.study_results("maps") == {"0f": dataclasses.replace(result, reason=reason)}
        assert len(store.rows("cells")) == 1


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    broken = dataclasses.replace(GOOD, scores={"unknown protocol": [Score("psnr", 1.0, None)]})
    with Store(tmp_path, create=True) as store:
        with pytest.raises(KeyError):
            store.put(store.start_run({}), CELL, broken, RULERS)
        assert store.rows("cells") == []
