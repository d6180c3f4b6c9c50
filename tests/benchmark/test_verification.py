"""`verify` finds what is not as the run holds it, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import benchmark
from benchmark import imageio, provenance, worker
from benchmark.api import Method, MethodCard, Observation, Picture, UsageError
from benchmark.cells import Task
from benchmark.cli import app
from benchmark.engines.local import LocalEngine
from benchmark.noise import Noise
from benchmark.registry import DATASETS, METHODS, PROTOCOLS
from benchmark.results import read_results
from benchmark.run_lock import LOCK_NAME, hold_run_folder
from benchmark.running import RunRequest, run_methods
from benchmark.store import FILE_NAME
from benchmark.verification import Verification, VerifyRequest, verify_run
from benchmark.worker import RunSettings
from tests.benchmark.earlier_stores import take_back_schema

TOYS = Path(__file__).parent.parent / "plugins" / "toys.py"


def work_here(
    engine: LocalEngine,
    work: Callable[[Task], Any],
    tasks: Sequence[Task],
    settings: RunSettings,
    *,
    timeout: float | None = None,
) -> Generator[tuple[Task, Any]]:
    worker.start_worker(settings)
    for task in tasks:
        yield task, work(task)


@pytest.fixture(autouse=True)
def this_process_works(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started: what they do is done here."""
    monkeypatch.setattr(worker, "_limit_threads", lambda threads: None)
    monkeypatch.setattr(LocalEngine, "map", work_here)


def run(
    out: Path,
    methods: str = "echo:gain=0.5,input",
    *,
    dataset: str = "tiny",
    noise: Noise | None = None,
    save: bool = True,
    rounds_outputs: bool = False,
) -> Path:
    request = RunRequest(
        methods=(methods,),
        dataset=dataset,
        noises=(noise or Noise(),),
        protocols={"quick": PROTOCOLS.get("quick")},
        data=out,
        out=out,
        save=save,
        rounds_outputs=rounds_outputs,
    )
    assert run_methods(request).failures == 0
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two methods on three pictures: six outputs, twelve scores."""
    return run(tmp_path / "run")


def verify(folder: Path, **options: Any) -> Verification:
    return verify_run(VerifyRequest(run=folder, data=folder, **options))


def list_outputs(folder: Path) -> list[Path]:
    return sorted((folder / "outputs").rglob("*.tif"))


def change_store(folder: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        database.execute(sql, values)
        database.commit()


def dump_store(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        return list(database.iterdump())


def test_a_sound_run_comes_out_bit_for_bit_and_is_not_changed(folder: Path) -> None:
    before = dump_store(folder), sorted(folder.rglob("*"))
    verification = verify(folder, cells=None, restore=6)
    assert verification.agrees
    assert (verification.equal_outputs, verification.rescored_cells) == (6, 6)
    assert (verification.scores.equal, verification.scores.count) == (12, 12)
    assert (verification.restorations.equal, verification.restorations.count) == (6, 6)
    assert not verification.left_out and not verification.changes
    assert (dump_store(folder), sorted(folder.rglob("*"))) == before


@pytest.mark.parametrize("release", ["", "earlier"])
@pytest.mark.parametrize("reading", ["same", "physical"])
def test_noisy_views_are_restored_again_with_the_noise_that_they_had(
    tmp_path: Path, reading: Any, release: str
) -> None:
    noise = Noise(20.0, on_views=reading)
    folder = run(tmp_path / "run", "wants-views", dataset="tiny:views=true", noise=noise)
    if release:  # which had no other noise on views, whatever this one is
        take_back_schema(folder, 5)
    verification = verify(folder, cells=None, restore=3)
    assert verification.restorations.count == 3
    is_as_it_was = reading == "physical" or not release
    assert verification.restorations.equal == (3 if is_as_it_was else 0)


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_plane(path: Path) -> None:
    tifffile.imwrite(path, imageio.read_output(path)[..., 0])


@pytest.mark.parametrize("harm", [flip_byte, truncate, empty, write_plane])
def test_a_damaged_output_is_named_set_aside_and_made_again(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    path = list_outputs(folder)[1]
    content = path.read_bytes()
    harm(path)
    verification = verify(folder, restore=6)
    [fault] = verification.damaged_outputs
    assert fault.output == path.relative_to(folder).as_posix()
    assert not verification.agrees and verification.equal_outputs == 5
    assert verification.scores.equal == 10, "a damaged output is not scored"
    assert verification.restorations.equal == 6, "what its cell makes is still known"
    assert fault.output in str(verification) and "--set-aside" in str(verification)
    harmed_content = path.read_bytes()
    verification = verify(folder, set_aside=True)
    assert verification.set_aside == [f"{fault.output}.damaged"]
    assert (folder / f"{fault.output}.damaged").read_bytes() == harmed_content
    run(folder)
    assert path.read_bytes() == content
    assert verify(folder).agrees


def test_a_missing_output_is_named_and_made_again(folder: Path) -> None:
    path = list_outputs(folder)[0]
    path.unlink()
    verification = verify(folder)
    [fault] = verification.missing_outputs
    assert fault.output == path.relative_to(folder).as_posix() and not verification.agrees
    run(folder)
    assert verify(folder).agrees


def test_two_exchanged_outputs_are_told_apart(folder: Path) -> None:
    first, second = list_outputs(folder)[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    reasons = [fault.reason for fault in verify(folder).damaged_outputs]
    samples = {"picture 0", "picture 1"}
    expected = {f"holds the output of echo:gain=0.5 on {sample}, noise 0" for sample in samples}
    assert set(reasons) == expected


def test_pixels_count_and_not_how_a_file_holds_them(folder: Path) -> None:
    path = list_outputs(folder)[0]
    content = path.read_bytes()
    imageio.write_float_tiff(path, imageio.read_output(path))
    assert path.read_bytes() != content
    assert verify(folder).agrees


def test_outputs_of_earlier_releases_are_read(folder: Path) -> None:
    for path in list_outputs(folder):
        np.save(path.with_suffix(".npy"), imageio.read_output(path))
        path.unlink()
    change_store(folder, "UPDATE cells SET output = REPLACE(output, '.tif', '.npy')")
    verification = verify(folder, restore=2)
    assert verification.agrees and verification.equal_outputs == 6
    assert verification.scores.equal == 12 and verification.restorations.equal == 2
    run(folder)
    assert list_outputs(folder) == [], "nothing is made again"


def test_rounded_outputs_are_scored_and_verified_as_they_are_kept(
    folder: Path, tmp_path: Path
) -> None:
    rounded_folder = run(tmp_path / "rounded", rounds_outputs=True)
    for path, exact_path in zip(list_outputs(rounded_folder), list_outputs(folder), strict=True):
        output, exact_output = imageio.read_output(path), imageio.read_output(exact_path)
        assert 0 < np.abs(output - exact_output).max() <= 0.07 / 255
        assert np.array_equal(output, output.astype(np.float16))
        assert path.stat().st_size < exact_path.stat().st_size
    verification = verify(rounded_folder, restore=6)
    assert verification.agrees and verification.equal_outputs == 6
    assert verification.scores.equal == 12 and verification.restorations.equal == 6
    [summary] = read_results(rounded_folder).summaries()
    assert any("rounded to float16" in note for note in summary.footnotes)
    assert not any("float16" in note for note in read_results(folder).summaries()[0].footnotes)


@pytest.mark.parametrize(("change", "verdict"), [(1e-5, "close"), (0.5, "different")])
def test_a_changed_score_is_found(folder: Path, change: float, verdict: str) -> None:
    sql = "UPDATE scores SET value = value + ? WHERE measure = 'psnr' AND cell = (SELECT key FROM"
    change_store(folder, f"{sql} cells WHERE method = 'input' AND sample = 'picture 1')", change)
    verification = verify(folder)
    scores = verification.scores
    assert scores.equal == 11 and scores.largest["quick psnr"] == pytest.approx(change)
    assert verification.agrees == (verdict == "close")
    if verdict == "close":
        assert scores.close == 1
    else:
        [line] = scores.differences
        assert line.startswith("input on picture 1, noise 0: quick psnr is ")
        assert line in " ".join(str(verification).split())


def test_a_score_that_failed_and_now_does_not_is_a_difference(folder: Path) -> None:
    sql = "UPDATE scores SET value = NULL, reason = 'x', status = 'failed' WHERE measure = 'mae'"
    change_store(folder, sql)
    assert len(verify(folder).scores.differences) == 6


def test_scores_of_another_ruler_are_left_out_and_counted(folder: Path) -> None:
    change_store(folder, "UPDATE scores SET ruler = 'older' WHERE measure = 'mae'")
    change_store(folder, "UPDATE scores SET protocol = 'gone' WHERE measure = 'psnr'")
    verification = verify(folder)
    assert verification.agrees and verification.scores.count == 0
    assert {text.split(":")[0]: count for text, count in verification.left_out.items()} == {
        "scores gone psnr": 6,
        "scores quick mae": 6,
    }


def test_a_run_of_an_earlier_release_has_no_digests_and_is_checked_all_the_same(
    folder: Path,
) -> None:
    take_back_schema(folder, 3)
    verification = verify(folder, restore=2)
    assert verification.agrees
    assert (verification.equal_outputs, verification.undigested_outputs) == (0, 6)
    assert (verification.scores.equal, verification.restorations.equal) == (12, 2)
    assert "have no digest" in str(verification)
    empty(list_outputs(folder)[0])
    assert len(verify(folder).damaged_outputs) == 1


def test_a_run_without_outputs_is_restored_again_by_its_digests(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", save=False)
    verification = verify(folder, restore=6)
    assert verification.agrees and verification.without_output == 6
    assert (verification.restorations.equal, verification.rescored_cells) == (6, 0)
    change_store(folder, "UPDATE cells SET output_digest = 'other' WHERE sample = 'picture 2'")
    verification = verify(folder, restore=6)
    assert (verification.restorations.equal, verification.restorations.close) == (4, 2)


@pytest.mark.parametrize(("step", "agrees"), [(1e-6, True), (1e-2, False)])
def test_a_method_that_gives_other_pictures_is_found(
    tmp_path: Path, step: float, agrees: bool
) -> None:
    class Drifts(Method):
        card = MethodCard(title="Drifts", family="baseline")
        offset = 0.0

        def restore(self, observation: Observation) -> Picture:
            return observation.image + np.float32(self.offset)

    with METHODS.temporarily({"drifts": Drifts}):
        folder = run(tmp_path / "run", "drifts")
        Drifts.offset = step
        verification = verify(folder, restore=3)
    assert verification.agrees == agrees
    restorations = verification.restorations
    assert restorations.largest["pixels"] == pytest.approx(step, rel=0.1)
    assert (restorations.close, len(restorations.differences)) == ((3, 0) if agrees else (0, 3))
    assert verification.scores.equal == 6, "the stored outputs are as they were"
    [(text, count)] = verify(folder, restore=3).left_out.items()
    assert text.startswith("cells of drifts to restore: ") and count == 3


def test_a_method_of_another_version_is_not_restored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.get("input"), "version", "another")
    verification = verify(folder, restore=6)
    assert verification.agrees and verification.restorations.count == 3
    [(text, count)] = verification.left_out.items()
    assert text.startswith("cells of input to restore: its version") and count == 3


def test_cells_without_their_data_set_are_left_out_and_counted(folder: Path) -> None:
    change_store(folder, "UPDATE cells SET dataset = 'dpd', dataset_name = 'dpd'")
    verification = verify(folder, restore=1)
    assert verification.agrees and verification.equal_outputs == 6
    assert verification.scores.count == verification.restorations.count == 0
    [(text, count)] = verification.left_out.items()
    assert text.startswith("cells of dpd: ") and count == 6


def test_other_pictures_in_the_data_set_are_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DATASETS.get("tiny"), "fingerprint", lambda self, sample_id: "f00")
    verification = verify(folder)
    assert not verification.agrees and len(verification.failures) == 6
    assert verification.equal_outputs == 6 and verification.scores.count == 0
    assert "is not what it was when the run was made" in verification.failures[0]


def test_what_differs_between_the_machines_is_said(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        [(text,)] = database.execute("SELECT provenance FROM runs").fetchall()
    facts = json.loads(text)
    here = facts["threads"]
    facts["threads"] = here + 5
    facts["packages"]["numpy"] = "1.0"
    facts["machine"]["processor"] = "Abacus"
    del facts["python"]
    change_store(folder, "UPDATE runs SET provenance = ?", json.dumps(facts))
    changes = verify(folder).changes
    assert f"threads of a worker: {here + 5} there, {here} here" in changes
    assert f"numpy: 1.0 there, {np.__version__} here" in changes
    assert any(line.startswith("processor: Abacus there, ") for line in changes)
    assert changes[-1] == "not recorded there: Python" and len(changes) == 4


def test_what_another_machine_computed_is_compared_by_its_own_facts() -> None:
    command = {"suite": "1", "threads": 4, "packages": {"numpy": "2.0"}, "machine": {"cores": 64}}
    environment = {"suite": "1", "python": "3.11", "numpy": "1.0", "scipy": None}
    now = {**command, "python": "3.11", "packages": {"numpy": "2.0", "scipy": "1.15"}}
    changes = provenance.list_changes([command | {"environment": environment}], now)
    assert changes == [
        "numpy: 1.0 there, 2.0 here",
        "scipy: not installed there, 1.15 here",
        "not recorded there: threads of a worker, cores",
    ]
    assert provenance.list_changes([now, now], now) == []


def test_a_store_cannot_lead_out_of_its_run(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.tif"
    shutil.copy(list_outputs(folder)[0], outside)
    sql = "UPDATE cells SET output = ? WHERE sample = ? AND method = 'input'"
    change_store(folder, sql, "outputs/../../outside.tif", "picture 0")
    change_store(folder, sql, str(outside), "picture 1")
    verification = verify(folder, set_aside=True)
    assert len(verification.damaged_outputs) == 2 and verification.set_aside == []
    assert all("outside the run" in fault.reason for fault in verification.damaged_outputs)
    assert outside.exists()


def test_what_is_drawn_depends_on_the_seed_alone(folder: Path) -> None:
    change_store(folder, "UPDATE scores SET value = value + 1")  # each that is drawn is named

    def draw(seed: int) -> set[str]:
        return set(verify(folder, cells=2, seed=seed).scores.differences)

    assert draw(1) == draw(1) and len(draw(1)) == 4
    assert len({frozenset(draw(seed)) for seed in range(5)}) > 1
    assert verify(folder, cells=0).scores.count == 0


def test_what_is_printed_fits_a_terminal(folder: Path) -> None:
    change_store(folder, "UPDATE scores SET value = value + 1")
    change_store(folder, "UPDATE runs SET provenance = '{}'")
    flip_byte(list_outputs(folder)[0])
    list_outputs(folder)[1].unlink()
    text = str(verify(folder, restore=2))
    assert len(text.splitlines()) > 15
    assert all(len(line) < 80 or len(line.split()) == 1 for line in text.splitlines())
    for number in ("4 of 6 are what was written", "1 damaged, 1 missing", "0 equal bit for bit"):
        assert number in text


def test_python_and_the_command_line_say_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verification = benchmark.verify(folder, restore=1, root=folder)
    words = ["verify", str(folder), "--restore", "1", "--data", str(folder)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and str(verification) in result.output
    flip_byte(list_outputs(folder)[0])
    assert CliRunner().invoke(app, words).exit_code == 1


@pytest.mark.parametrize(
    "words", [["--all", "--cells", "2"], ["--cells", "-1"], ["--tolerance", "nan"]]
)
def test_bad_use_ends_with_2(folder: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, ["verify", str(folder), *words])
    assert result.exit_code == 2 or isinstance(result.exception, UsageError)


@pytest.mark.parametrize("options", [{"cells": -1}, {"tolerance": float("nan")}, {"restore": -2}])
def test_bad_numbers_are_refused_in_python(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected a number >= 0"):
        benchmark.verify(folder, **options)


def test_no_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        verify(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_renaming_needs_the_run_for_itself(folder: Path) -> None:
    with hold_run_folder(folder, "run"):
        assert verify(folder).agrees
        with pytest.raises(UsageError, match="is working on this run"):
            verify(folder, set_aside=True)
    assert not (folder / LOCK_NAME).exists()


def test_worker_processes_check_as_this_one_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    verification = verify(folder, cells=None, restore=2, plugins=(TOYS,), engine=LocalEngine(2))
    assert verification.agrees and verification.scores.equal == 12
    assert verification.restorations.equal == 2
