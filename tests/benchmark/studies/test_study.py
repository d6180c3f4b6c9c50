"""One way to do a study: what is measured is stored as it comes, and only what is missing is
measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from benchmark.apply import Skip, describe_error
from benchmark.cells import StudyResult
from benchmark.engines.local import LocalEngine
from benchmark.store import Store
from benchmark.studies.study import Study, StudyItem, do_study
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure


class Wish(NamedTuple):
    """What `grant` returns or raises, and where it writes down that it was asked."""

    values: Any
    log: Path
    kind: str = "wish"


def grant(wish: Wish) -> Mapping[str, Any]:
    with wish.log.open("a") as file:
        print("asked", file=file)
    if isinstance(wish.values, Exception):
        raise wish.values
    return {"values": wish.values}


WISHES = Study("wishes", "1", grant, "granting")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class EngineHere:
    """Does everything in this process."""

    def map(
        self,
        work: Callable[[Any], Any],
        tasks: Sequence[Any],
        settings: RunSettings,
        *,
        timeout: float | None = None,
    ) -> Generator[tuple[Any, Any]]:
        for task in tasks:
            try:
                yield task, work(task)
            except Exception as error:
                yield task, Failure("failed", describe_error(error), "a traceback")

    def describe(self) -> dict[str, object]:
        return {"engine": "this process"}


HERE = EngineHere()


def count_asked(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def item_of(name: str, values: Any, log: Path, study: Study[Wish] = WISHES) -> StudyItem[Wish]:
    return StudyItem(study, (name,), {"name": name}, f"wish {name}", Wish(values, log))


def settings_in(log: Path) -> RunSettings:
    return RunSettings(log.parent / "study", log.parent, device="cpu")


def test_items_are_measured_in_workers_once_and_come_in_their_order(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [item_of(name, number, log) for number, name in enumerate("abcd")]
    first = do_study(WISHES, items[:3], settings_in(log), engine=LocalEngine(2))
    assert [(result.facts, result.status, result.values) for result in first] == [
        ({"name": name}, "ok", {"values": number}) for number, name in enumerate("abc")
    ]
    again = do_study(WISHES, [*reversed(items)], settings_in(log), engine=LocalEngine(2))
    assert again[:0:-1] == first and again[0].values == {"values": 3}
    assert count_asked(log) == 4
    told = capsys.readouterr().err
    assert "wishes: 3 items, 0 already done" in told and "wishes: 4 items, 3 already done" in told
    with Store(settings_in(log).folder) as store:
        runs = store.rows("runs")
        assert len(runs) == 2 and all('"study": "wishes 1"' in run["provenance"] for run in runs)


def test_what_failed_is_said_and_tried_again_and_what_was_skipped_is_not(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [
        item_of("bad", RuntimeError("it broke"), log),
        item_of("idle", Skip("makes\nnone"), log),
        dataclasses.replace(item_of("never", 1, log), skip="cannot"),
    ]
    for asked in (2, 3):
        bad, idle, never = do_study(WISHES, items, settings_in(log), engine=HERE)
        assert (bad.status, bad.reason) == ("failed", "RuntimeError: it broke")
        assert bad.traceback == "a traceback" and bad.values == {}
        assert (idle.status, idle.reason) == ("skipped", "makes none")
        assert (never.status, never.reason) == ("skipped", "cannot")
        assert count_asked(log) == asked
        assert "failed: wish bad: RuntimeError: it broke" in capsys.readouterr().err
    items[0] = item_of("bad", "good", log)
    assert do_study(WISHES, items, settings_in(log), engine=HERE)[0].values == {"values": "good"}


def test_numbers_come_back_bit_for_bit(log: Path) -> None:
    values = [0.1, math.pi * 1e-300, 1 / 3, -0.0, math.inf, math.nan, 2**60, None, True, "é\udc80"]
    items = [item_of("numbers", values, log)]
    first, second = (do_study(WISHES, items, settings_in(log), engine=HERE)[0] for _ in range(2))
    assert count_asked(log) == 1
    for result in (first, second):
        assert [repr(value) for value in result.values["values"]] == [
            repr(value) for value in values
        ]


def test_numbers_of_numpy_are_plain_and_what_json_cannot_hold_is_a_failure(log: Path) -> None:
    values = {"single": np.float32(0.1), "count": np.int64(7), "flag": np.bool_(True)}
    plain, array = do_study(
        WISHES,
        [item_of("plain", values, log), item_of("array", np.zeros(2), log)],
        settings_in(log),
        engine=HERE,
    )
    assert plain.values["values"] == {"single": float(np.float32(0.1)), "count": 7, "flag": True}
    assert array.status == "failed" and "ndarray" in str(array.reason)


def test_another_version_and_another_study_measure_anew(log: Path) -> None:
    for study in (
        WISHES,
        dataclasses.replace(WISHES, version="2"),
        dataclasses.replace(WISHES, name="hopes"),
    ):
        before = count_asked(log)
        do_study(study, [item_of("a", 1, log, study)], settings_in(log), engine=HERE)
        assert count_asked(log) == before + 1
    with Store(settings_in(log).folder) as store:
        assert len(store.study_results("wishes")) == 2 and len(store.study_results("hopes")) == 1


def test_what_lost_its_file_is_measured_again_and_a_failure_loses_no_success(log: Path) -> None:
    def is_lost(result: StudyResult) -> bool:
        return False

    do_study(WISHES, [item_of("a", 1, log)], settings_in(log), engine=HERE)
    (failure,) = do_study(
        WISHES,
        [item_of("a", OSError("gone"), log)],
        settings_in(log),
        engine=HERE,
        is_intact=is_lost,
    )
    assert failure.status == "failed" and count_asked(log) == 2
    with Store(settings_in(log).folder) as store:
        (stored_result,) = store.study_results("wishes").values()
    assert (stored_result.status, stored_result.values) == ("ok", {"values": 1})


def test_items_of_one_identity_are_measured_once_and_keep_their_own_facts(log: Path) -> None:
    one = item_of("a", 1, log)
    other = dataclasses.replace(one, facts={"name": "moved"})
    results = do_study(WISHES, [one, other], settings_in(log), engine=HERE)
    assert [result.facts["name"] for result in results] == ["a", "moved"]
    assert count_asked(log) == 1


def test_what_is_measured_is_on_the_disk_when_the_rest_is_stopped(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class StoppedEngine(EngineHere):
        def map(self, *args: Any, **options: Any) -> Generator[tuple[Any, Any]]:
            yield next(super().map(*args, **options))
            with Store(settings_in(log).folder) as store:
                results = store.study_results("wishes").values()
                stored_names.extend(result.facts["name"] for result in results)
            raise KeyboardInterrupt

    stored_names: list[str] = []
    items = [item_of("a", 1, log), item_of("b", 2, log)]
    with pytest.raises(KeyboardInterrupt):
        do_study(WISHES, items, settings_in(log), engine=StoppedEngine())
    assert stored_names == ["a"]
    assert "the same command does the rest" in capsys.readouterr().err
    do_study(WISHES, items, settings_in(log), engine=HERE)
    assert count_asked(log) == 2
