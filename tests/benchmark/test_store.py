from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from benchmark.api import DatasetCard, UsageError
from benchmark.cells import Cell, Outcome, Score
from benchmark.noise import Noise
from benchmark.store import FILE_NAME, Store

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
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("PRAGMA user_version=2")
    db.close()
    for _ in range(2):  # it is brought up to date once, and opens again
        with Store(tmp_path) as store:
            [(stored, _)] = store.cells()
            assert (stored.dataset, stored.key) == (now, cell.key)
            assert list(store.cards(DatasetCard)) == [now]


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    broken = dataclasses.replace(GOOD, scores={"unknown protocol": [Score("psnr", 1.0, None)]})
    with Store(tmp_path, create=True) as store:
        with pytest.raises(KeyError):
            store.put(store.start_run({}), CELL, broken, RULERS)
        assert store.rows("cells") == []
