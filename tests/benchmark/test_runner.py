"""Runs end to end, through the command line in this process, on the toy plug-ins."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from benchmark import imageio
from benchmark.cli import app
from benchmark.store import FILE_NAME

TOYS = Path(__file__).parent.parent / "plugins" / "toys.py"
COMMON = ["--plugin", str(TOYS), "--protocol", "quick"]


def invoke(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def run(out: Path, methods: str, *words: str, code: int = 0, dataset: str = "tiny") -> str:
    return invoke(
        "run",
        "--methods",
        methods,
        "--dataset",
        dataset,
        "--out",
        str(out),
        *COMMON,
        *words,
        code=code,
    ).output


def query(out: Path, sql: str) -> list[tuple]:
    db = sqlite3.connect(out / FILE_NAME)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def score_rows(out: Path) -> list[tuple]:
    return query(out, "SELECT cell, protocol, measure, value, reason FROM scores ORDER BY 1, 2, 3")


def test_a_run_scores_every_cell_and_keeps_what_it_promises(tmp_path: Path) -> None:
    text = run(tmp_path, "input,echo:gain=0.5", "--noise", "0,2", "--jobs", "2")
    assert "12 ok, 0 failed" in text and "report:" in text
    assert len(score_rows(tmp_path)) == 12 * 2
    outputs = sorted((tmp_path / "outputs").rglob("*.tif"))
    assert len(outputs) == 12 and len(list((tmp_path / "pictures").rglob("*.png"))) == 12 + 3
    assert imageio.read_output(outputs[0]).dtype == np.float32
    assert "echo:gain=0.5" in (tmp_path / "report.md").read_text()
    facts = query(tmp_path, "SELECT provenance FROM runs")[0][0]
    for word in ("command", "numpy", "cores", "data", "toys.py", "commit"):
        assert word in facts


def test_scores_are_those_of_a_direct_computation(tmp_path: Path, toys: Path) -> None:
    from benchmark.noise import standard_normal_field
    from benchmark.registry import DATASETS, create

    run(tmp_path, "echo:gain=0.5", "--noise", "3", "--seed", "4")
    data = create(DATASETS, "tiny", root=tmp_path)[0]
    for name, value in query(
        tmp_path, "SELECT sample, value FROM cells JOIN scores ON key = cell WHERE measure = 'mae'"
    ):
        sample = data.load(name)
        noisy = sample.image + 3 / 255 * standard_normal_field(
            sample.image.shape, seed=4, dataset="tiny", sample=name
        )
        expected = np.abs(np.clip(noisy * 0.5, 0, 1) - sample.target).mean()
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_order_subset_and_workers_change_nothing(tmp_path: Path) -> None:
    run(tmp_path / "a", "echo,input", "--noise", "0,1,5", "--jobs", "2", dataset="tiny:n=4")
    run(
        tmp_path / "b",
        "input,echo",
        "--noise",
        "5,1",
        "--jobs",
        "1",
        "--limit",
        "2",
        dataset="tiny:n=4",
    )
    rest = run(
        tmp_path / "b",
        "input",
        "--methods",
        "echo",
        "--noise",
        "5,0,1",
        "--jobs",
        "1",
        dataset="tiny:n=4",
    )
    assert "24 cells, 8 already done" in rest
    assert score_rows(tmp_path / "a") == score_rows(tmp_path / "b")


def test_again_does_only_what_is_missing(tmp_path: Path) -> None:
    run(tmp_path, "echo")
    before = query(tmp_path, "SELECT key, run, finished FROM cells")
    assert "3 cells, 3 already done" in run(tmp_path, "echo")
    assert query(tmp_path, "SELECT key, run, finished FROM cells") == before
    assert "4 cells, 3 already done" in run(tmp_path, "echo", dataset="tiny:n=4")


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("raise", "failed", "RuntimeError: it broke"),
        ("exit", "failed", "SystemExit: 3"),
        ("long", "failed", r"^.{299}…$|x…"),
        ("nan", "failed", "NaN or infinite"),
        ("size", "failed", r"returned \(15, 16, 3\)"),
        ("dtype", "failed", "float64"),
        ("prepare", "failed", "no such weights"),
        ("die", "failed", r"worker process died \(signal 9.*tried again"),
        ("skip", "skipped", "does not like it"),
    ],
)
def test_what_goes_wrong_becomes_a_row_and_stops_nothing_else(
    tmp_path: Path, how: str, status: str, reason: str
) -> None:
    text = run(
        tmp_path, f"misbehave:how={how},echo", "--jobs", "2", code=0 if status == "skipped" else 1
    )
    rows = query(tmp_path, "SELECT method_name, status, reason, traceback FROM cells")
    assert [row[1] for row in rows if row[0] == "echo"] == ["ok"] * 3
    bad = [row for row in rows if row[0] == "misbehave"]
    assert len(bad) == 3 and {row[1] for row in bad} == {status}
    import re

    assert all(re.search(reason, row[2]) for row in bad), bad
    assert re.search(reason, text), "the terminal says why"
    if how == "raise":
        assert "in restore" in bad[0][3], "the traceback is kept"


def test_a_timeout_ends_the_cell_only(tmp_path: Path) -> None:
    text = run(
        tmp_path,
        "misbehave:how=sleep,echo",
        "--timeout",
        "6",
        "--limit",
        "1",
        "--jobs",
        "2",
        code=1,
    )
    assert dict(query(tmp_path, "SELECT method_name, status FROM cells")) == {
        "misbehave": "timeout",
        "echo": "ok",
    }
    assert "took longer than 6 s" in text


def test_failures_are_retried_by_the_next_command(tmp_path: Path) -> None:
    method = f"misbehave:how=raise,once={tmp_path / 'flag'},echo"
    run(tmp_path / "run", method, "--jobs", "2", code=1)
    counts = dict(query(tmp_path / "run", "SELECT status, COUNT(*) FROM cells GROUP BY status"))
    assert counts == {"ok": 5, "failed": 1}
    assert "6 cells, 5 already done" in run(tmp_path / "run", method, "--jobs", "2")
    assert query(tmp_path / "run", "SELECT DISTINCT status FROM cells") == [("ok",)]
    run(tmp_path / "whole", method, "--jobs", "1")
    assert score_rows(tmp_path / "run") == score_rows(tmp_path / "whole")


def test_a_worker_that_dies_once_costs_no_cell(tmp_path: Path) -> None:
    method = f"misbehave:how=die,once={tmp_path / 'flag'},echo"
    assert "6 ok, 0 failed" in run(tmp_path / "run", method, "--jobs", "2")
    run(tmp_path / "whole", method, "--jobs", "1")
    assert score_rows(tmp_path / "run") == score_rows(tmp_path / "whole")


def test_only_oracles_see_the_truth_and_only_who_asks_sees_the_noise(tmp_path: Path) -> None:
    run(tmp_path, "echo:map=oracle,wants-noise,wants-views", "--noise", "2", "--limit", "1")
    rows = dict(
        query(tmp_path, "SELECT method_name, status || ': ' || IFNULL(reason, '') FROM cells")
    )
    assert rows["wants-views"] == "skipped: needs dual-pixel views; the data set has none"
    assert rows["echo"] == "ok: " and rows["wants-noise"] == "ok: "
    [name] = (tmp_path / "outputs" / "wants-noise").rglob("*.tif")
    np.testing.assert_allclose(imageio.read_output(name), 2 / 255, rtol=1e-6)
    run(tmp_path / "2", "echo:map=oracle", dataset="tiny:blur=false", code=1)  # nothing measured
    assert query(tmp_path / "2", "SELECT DISTINCT reason FROM cells") == [
        ("needs the true blur map; the data set has none",)
    ]
    run(tmp_path / "3", "wants-views", dataset="tiny:views=true")
    assert query(tmp_path / "3", "SELECT DISTINCT status FROM cells") == [("ok",)]


def test_no_target_says_so_instead_of_a_score(tmp_path: Path) -> None:
    text = run(tmp_path, "input", dataset="tiny:target=false")
    assert {row[3:] for row in score_rows(tmp_path)} == {(None, "no target")}
    assert "no target" in text


@pytest.mark.slow
def test_new_rulers_score_saved_outputs_without_running_methods(tmp_path: Path) -> None:
    run(tmp_path / "a", "echo,input", "--noise", "0,1")
    before = query(tmp_path / "a", "SELECT key, seconds, run FROM cells ORDER BY key")
    invoke("score", str(tmp_path / "a"), "--protocol", "restormer", "--plugin", str(TOYS))
    assert query(tmp_path / "a", "SELECT key, seconds, run FROM cells ORDER BY key") == before
    run(tmp_path / "b", "echo,input", "--noise", "0,1", "--protocol", "restormer")
    assert score_rows(tmp_path / "a") == score_rows(tmp_path / "b")
    report = (tmp_path / "a" / "report.md").read_text()
    assert "### tiny, quick" in report and "### tiny, restormer" in report, (
        "the report is of the whole run"
    )


def test_scoring_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    run(tmp_path / "a", "echo", "--no-save-images")
    assert not (tmp_path / "a" / "outputs").exists() and not (tmp_path / "a" / "pictures").exists()
    for protocol, says in (
        ("restormer", "no outputs were kept"),
        ("gkmnet", "run them again: run ... --protocol gkmnet"),
    ):
        result = CliRunner().invoke(
            app, ["score", str(tmp_path / "a"), "--protocol", protocol, "--plugin", str(TOYS)]
        )
        assert result.exit_code != 0 and says in str(result.exception)


@pytest.mark.slow
def test_adding_a_protocol_without_outputs_runs_again_and_loses_nothing(tmp_path: Path) -> None:
    run(tmp_path, "echo", "--no-save-images")
    run(tmp_path, "echo", "--no-save-images", "--protocol", "restormer")
    assert {row[0] for row in query(tmp_path, "SELECT DISTINCT protocol FROM scores")} == {
        "quick",
        "restormer",
    }


def test_a_new_track_is_new_cells(tmp_path: Path) -> None:
    run(tmp_path, "echo", "--track", "u8")
    run(tmp_path, "echo", "--track", "u16")
    assert query(tmp_path, "SELECT track, COUNT(*) FROM cells GROUP BY track") == [
        ("u16", 3),
        ("u8", 3),
    ]


def test_hostile_sample_names_stay_inside(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "photos"
    (folder / "input").mkdir(parents=True)
    for name in ("<script>alert(1)<", "a b'\"&", "写真|x"):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "input" / f"{name}.png")
    text = run(tmp_path / "out", "input", dataset=f"folder:path={folder}")
    assert "3 ok" in text
    files = [
        path.relative_to(tmp_path / "out")
        for path in (tmp_path / "out" / "pictures").rglob("*.png")
    ]
    assert len(files) == 3 and all("<" not in str(path) and "|" not in str(path) for path in files)


def test_ctrl_c_keeps_what_is_finished_and_says_so(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmark",
        "run",
        "--methods",
        "echo",
        "--dataset",
        "tiny:n=200,slow=0.2",
    ]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path), "--jobs", "1", *COMMON],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    _wait_for_progress(tmp_path, 0, process)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert (
        process.returncode == 130
        and "the same command does the rest" in told
        and "Traceback" not in told
    )
    assert query(tmp_path, "SELECT DISTINCT status FROM cells") == [("ok",)]


def test_a_method_cannot_change_what_the_next_one_sees(tmp_path: Path) -> None:
    run(tmp_path / "alone", "echo")
    run(tmp_path / "behind", "scribble,echo", "--jobs", "1")
    sql = (
        "SELECT sample, value FROM cells JOIN scores ON key = cell WHERE method = 'echo' ORDER BY "
        "1, 2"
    )
    assert query(tmp_path / "alone", sql) == query(tmp_path / "behind", sql)


DISTINCT_INPUTS = """
import numpy as np

from benchmark.api import Dataset, DatasetCard, Method, MethodCard, Sample
from benchmark.registry import DATASETS, METHODS


@DATASETS.register("distinct")
class Distinct(Dataset):
    card = DatasetCard(title="Distinct", paper="", licence="none", source="made", layout="none")

    def __init__(self, root):
        pass

    def ids(self):
        return ["a", "b"]

    def load(self, sample_id):
        rng = np.random.default_rng(ord(sample_id))
        image, left, right, target = (rng.integers(0, 256, (4, 16, 20, 3)) / 255).astype("f4")
        blur_map = rng.uniform(1, 2, (16, 20)).astype("f4")
        return Sample(sample_id, image, target=target, views=(left, right), blur_map=blur_map)

    def fingerprint(self, sample_id):
        return sample_id


@METHODS.register("weigh-inputs")
class WeighInputs(Method):
    card = MethodCard(
        title="Weighs", family="baseline", inputs="views", oracle=True, noise_aware=True
    )

    def restore(self, observation):
        left, right = observation.views
        blur_map = observation.blur_map[..., None]
        return (
            observation.image + 2 * left + 4 * right + 8 * blur_map + observation.noise_sigma
        ).astype("f4")
"""


def test_a_method_is_given_every_input_of_its_own(tmp_path: Path, toys: Path) -> None:
    """Two views are two pictures, neither of them the image; each arrives in its own place."""
    from benchmark.noise import Noise, add_noise
    from benchmark.registry import DATASETS, METHODS, create, load_plugin

    plugin = tmp_path / "distinct.py"
    plugin.write_text(DISTINCT_INPUTS)
    load_plugin(plugin)
    data = create(DATASETS, "distinct", root=tmp_path)[0]
    method = create(METHODS, "weigh-inputs")[0]
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        words = ("--plugin", str(plugin), "--noise", "0,5", "--jobs", jobs)
        run(out, "weigh-inputs", *words, dataset="distinct")
        outputs = [imageio.read_output(path) for path in out.rglob("*.tif")]
        assert len(outputs) == 4
        for name, sigma in itertools.product(data.ids(), (0.0, 5.0)):
            noisy = add_noise(data.load(name), Noise(sigma), "distinct")
            expected = method.restore(noisy.observe(method.card, sigma))
            assert sum(np.array_equal(output, expected) for output in outputs) == 1


def test_cores_are_those_that_the_process_may_use(tmp_path: Path) -> None:
    """As under `taskset`: the machine's other cores do not count."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this system")
    program = (
        "import os\n"
        "os.cpu_count = lambda: 99\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from benchmark.engines.local import count_cores\n"
        "print(count_cores())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def _photos(folder: Path, level: int) -> str:
    for name in ("a", "b"):
        for role in ("input", "target"):
            picture = (
                np.random.default_rng([level, len(role)]).random((40, 48, 3)).astype(np.float32)
            )
            (folder / role).mkdir(parents=True, exist_ok=True)
            imageio.write(folder / role / f"{name}.png", picture, 8)
    return f"folder:path={folder}"


def test_old_outputs_are_never_scored_against_new_data(tmp_path: Path) -> None:
    dataset = _photos(tmp_path / "photos", 1)
    run(tmp_path / "out", "input", dataset=dataset)
    _photos(tmp_path / "photos", 2)
    result = invoke(
        "score", str(tmp_path / "out"), "--protocol", "restormer", "--plugin", str(TOYS), code=1
    )
    assert "is not what it was" in result.output
    assert {row[1] for row in score_rows(tmp_path / "out")} == {"quick"}


def test_tables_follow_what_was_asked_for_last(tmp_path: Path) -> None:
    dataset = _photos(tmp_path / "photos", 1)
    first = run(tmp_path / "out", "input", dataset=dataset)
    _photos(tmp_path / "photos", 2)
    second = run(tmp_path / "out", "input", dataset=dataset)
    _photos(tmp_path / "photos", 1)
    again = run(tmp_path / "out", "input", dataset=dataset)
    tables = [re.findall(r"^- input .*$", text, re.MULTILINE) for text in (first, second, again)]
    assert tables[0] == tables[2] != tables[1] and "2 already done" in again


@pytest.mark.slow
def test_editing_a_plugin_file_makes_its_results_new(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    text = (
        "from benchmark.api import Method, MethodCard\nfrom benchmark.registry import METHODS\n"
        "@METHODS.register('mine')\nclass Mine(Method):\n    card = MethodCard(title='m', "
        "family='baseline')\n"
        "    def restore(self, observation):\n        return observation.image * FACTOR\n"
    )
    command = [
        sys.executable,
        "-m",
        "benchmark",
        "run",
        "--methods",
        "mine",
        "--dataset",
        "tiny",
        *COMMON,
    ]
    told = []
    for factor in ("1", "1", "0"):
        plugin.write_text(text.replace("FACTOR", factor))
        words = [*command, "--plugin", str(plugin), "--out", str(tmp_path / "out")]
        told.append(subprocess.run(words, check=True, capture_output=True, text=True).stderr)
    assert all(
        f"3 cells, {done} already" in text for done, text in zip((0, 3, 0), told, strict=True)
    )


@pytest.mark.slow
def test_a_damaged_output_heals_in_run_and_fails_in_score(tmp_path: Path) -> None:
    run(tmp_path, "echo")
    outputs = sorted((tmp_path / "outputs").rglob("*.tif"))
    outputs[0].write_bytes(outputs[0].read_bytes()[:50])
    outputs[1].unlink()
    result = invoke(
        "score", str(tmp_path), "--protocol", "restormer", "--plugin", str(TOYS), code=1
    )
    assert "no longer there" in result.output and "failed" in result.output
    assert "3 ok" in run(tmp_path, "echo", "--protocol", "restormer")
    rows = query(
        tmp_path,
        "SELECT COUNT(*) FROM scores WHERE protocol = 'restormer' AND measure = 'psnr' AND value",
    )
    assert rows == [(3,)]


def test_outputs_can_be_asked_for_later(tmp_path: Path) -> None:
    run(tmp_path, "echo", "--no-save-images")
    run(tmp_path, "echo")
    assert len(list((tmp_path / "outputs").rglob("*.tif"))) == 3


@pytest.mark.parametrize(
    ("option", "top"), [("--noise-clip", 1.0), ("--noise-round8", 1.0), (None, None)]
)
def test_noise_options_reach_the_method(
    tmp_path: Path, option: str | None, top: float | None
) -> None:
    run(tmp_path, "echo", "--noise", "40", *([option] if option else []), "--limit", "1")
    [path] = (tmp_path / "outputs").rglob("*.tif")
    output = imageio.read_output(path)
    assert (output.max() == top) if top else (output.max() > 1)
    rounded = np.allclose(output * 255, np.rint(output * 255), atol=1e-3)
    assert rounded == (option == "--noise-round8")


@pytest.mark.parametrize(
    "protocol",
    [
        "nrknet",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gkmnet", "ifan", "dpdnet")),
    ],
)
def test_tracks_are_measured_as_declared(tmp_path: Path, toys: Path, protocol: str) -> None:
    """Odd-sized 16-bit pictures with noise: the scores are those of the definition, step
    by step.
    """
    import dataclasses

    from benchmark import noise
    from benchmark.registry import DATASETS, PROTOCOLS, create, create_metric

    for role, seed in (("input", 1), ("target", 2)):
        (tmp_path / "photos" / role).mkdir(parents=True)
        picture = np.random.default_rng(seed).random((45, 53, 3)).astype(np.float32)
        imageio.write(tmp_path / "photos" / role / "a.png", picture, 16)
    dataset = f"folder:path={tmp_path / 'photos'}"
    words = [
        "run",
        "--methods",
        "input",
        "--dataset",
        dataset,
        "--noise",
        "5",
        "--protocol",
        protocol,
    ]
    invoke(*words, "--out", str(tmp_path / "out"))
    chosen = PROTOCOLS.get(protocol)
    track = chosen.tracks[0]
    sample = track.read(create(DATASETS, dataset, root=tmp_path)[0].load("a"))
    field = noise.standard_normal_field(sample.image.shape, seed=0, dataset="folder", sample="a")
    noisy = dataclasses.replace(sample, image=(sample.image + 5 / 255 * field).astype(np.float32))
    seen = track.fit(noisy.observe(create_input().card))
    output = track.finish(seen.image, (45, 53))
    expected = chosen.score(output, track.frame(sample.target), "folder", create_metric)
    found = dict(query(tmp_path / "out", "SELECT measure, value FROM scores"))
    for score in expected:
        assert found[score.key] == (
            pytest.approx(score.value) if score.value is not None else None
        ), score.key
    assert found["psnr"] is not None


def create_input() -> object:
    from benchmark.registry import METHODS

    return METHODS.get("input")


def test_reports_and_exports_go_where_they_are_told(tmp_path: Path) -> None:
    import pandas as pd

    run(tmp_path / "run", "echo")
    for form, mark in (("markdown", "|:--"), ("latex", "\\toprule"), ("csv", "dataset,protocol")):
        assert mark in invoke("report", str(tmp_path / "run"), "--format", form).stdout
        invoke(
            "report",
            str(tmp_path / "run"),
            "--format",
            form,
            "--out",
            str(tmp_path / "deep" / form),
        )
        assert mark in (tmp_path / "deep" / form).read_text(encoding="utf-8")
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        invoke("export", str(tmp_path / "run"), "--out", str(tmp_path / f"scores{suffix}"))
        frame = read(tmp_path / f"scores{suffix}")
        assert len(frame) == 6 and sorted(frame["value"]) == sorted(
            row[3] for row in score_rows(tmp_path / "run")
        )


@pytest.mark.slow
def test_kill_nine_at_random_moments_loses_nothing(tmp_path: Path) -> None:
    """Five times SIGKILL to the whole process, then the same command: the rows of an uninterrupted
    run, bit for bit.
    """
    words = ["--noise", "0,3", "--jobs", "2"]
    run(tmp_path / "whole", "input,echo:gain=0.5", *words, dataset="tiny:n=40,size=64,slow=0.2")
    command = [
        sys.executable, "-m", "benchmark", "run", "--methods", "input,echo:gain=0.5", "--dataset",
        "tiny:n=40,size=64,slow=0.2", "--out", str(tmp_path / "killed"), *COMMON, *words,
    ]  # fmt: skip
    rng = random.Random(0)
    counts = []
    for _ in range(5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        _wait_for_progress(tmp_path / "killed", counts[-1] if counts else 0, process)
        time.sleep(rng.uniform(0, 1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        counts.append(_finished(tmp_path / "killed"))
    assert counts == sorted(counts), "nothing that was finished is lost"
    assert counts[-1] < 160, "the last kill came too late to test anything"
    subprocess.run(command, check=True, capture_output=True)
    assert score_rows(tmp_path / "killed") == score_rows(tmp_path / "whole")
    shutil.rmtree(tmp_path / "killed")


def _finished(out: Path) -> int:
    return (
        query(out, "SELECT COUNT(*) FROM cells WHERE status = 'ok'")[0][0]
        if (out / FILE_NAME).exists()
        else 0
    )


def _wait_for_progress(out: Path, before: int, process: subprocess.Popen) -> None:
    """Let the run finish at least one more cell, so that the kill falls into its work and not into
    its start.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _finished(out) > before:
                return
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the run ended or stood still: {process.poll()}")
