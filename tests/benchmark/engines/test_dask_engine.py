"""Workers of Dask give what processes of this machine give, and may be killed at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from benchmark.api import DataError
from benchmark.checkpoints import VARIABLE as CHECKPOINTS_VARIABLE
from benchmark.checkpoints import find_checkpoint
from benchmark.cli import app
from benchmark.engines import dask_engine, dask_roster
from benchmark.engines.dask_admission import Inspection, Requirements, inspect_worker
from benchmark.store import FILE_NAME
from tests.benchmark.test_worker_pool import HARMS, find_workers

ROOT = Path(__file__).parents[3]
PLUGINS = ROOT / "tests" / "plugins"
Starter = Callable[..., subprocess.Popen[bytes]]


class Cluster:
    """A scheduler, and workers of one thread each; all end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        self.file.unlink(missing_ok=True)
        scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        wait_until(lambda: self.file.is_file() and bool(self.file.read_text()))
        self.address = json.loads(self.file.read_text())["address"]
        return scheduler

    def start_worker(
        self, environment: Mapping[str, str] = {}, *words: str
    ) -> subprocess.Popen[bytes]:
        words = ("worker", "--nthreads", "1", "--local-directory", str(self.folder), *words)
        return self._start(*words, environment=environment)

    def _start(
        self, command: str, *words: str, environment: Mapping[str, str] = {}
    ) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "dask", command, "--scheduler-file", str(self.file)]
        process = subprocess.Popen(
            [*program, "--no-dashboard", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        own_processes = [psutil.Process(process.pid) for process in self.processes]
        for process in own_processes:
            with contextlib.suppress(psutil.Error):
                own_processes = own_processes + process.children(recursive=True)
        for process in own_processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        for child in self.processes:
            child.wait()


def wait_until(is_reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_reached():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


def list_words(out: Path, methods: str, *words: str) -> list[str]:
    return [
        "run", "--methods", methods, "--dataset", "tiny", "--out", str(out), "--protocol", "quick",
        "--plugin", str(PLUGINS / "toys.py"), *words,
    ]  # fmt: skip


def run(out: Path, methods: str, *words: str) -> Result:
    return CliRunner().invoke(app, list_words(out, methods, *words))


def run_on(cluster: Cluster, out: Path, methods: str, *words: str) -> Result:
    return run(out, methods, "--engine", "dask", "--scheduler", cluster.address, *words)


def query(out: Path, sql: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(out / FILE_NAME)) as db:
        return db.execute(sql).fetchall()


def list_scores(out: Path) -> list[tuple]:
    columns = "method, sample, measure, value"
    return query(out, f"SELECT {columns} FROM cells JOIN scores ON key = cell ORDER BY 1, 2, 3")


def count_scores(out: Path) -> int:
    """Return how many scores a run has by now: its store may have no tables yet."""
    if not (out / FILE_NAME).is_file():
        return 0
    try:
        return len(list_scores(out))
    except sqlite3.OperationalError:
        return 0


def read_outputs(out: Path) -> dict[str, bytes]:
    paths = [*out.glob("outputs/**/*.tif"), *out.glob("pictures/**/*.png")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def join_lines(text: str) -> str:
    return " ".join(text.split())


# What is the same
# --------------------------------------------------------------------------------------------------


def test_scores_and_outputs_are_those_of_a_local_run(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker()
    methods = "echo,echo:gain=0.5,unsharp"
    assert run(tmp_path / "local", methods, "--jobs", "1").exit_code == 0
    result = run_on(cluster, tmp_path / "dask", methods)
    assert result.exit_code == 0, result.output
    assert len(list_scores(tmp_path / "dask")) == 3 * 3 * 2
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")
    assert read_outputs(tmp_path / "dask") == read_outputs(tmp_path / "local")
    again = run_on(cluster, tmp_path / "dask", methods)
    assert "9 already done" in again.output
    assert not list((tmp_path / "dask").glob(".*"))


@pytest.mark.parametrize("reading", ["same", "physical"])
def test_noise_on_views_travels(cluster: Cluster, tmp_path: Path, reading: str) -> None:
    cluster.start_worker()
    words = ["--dataset", "tiny:views=true", "--noise", "20", "--noise-on-views", reading]
    assert run(tmp_path / "local", "wants-views", *words, "--jobs", "1").exit_code == 0
    result = run_on(cluster, tmp_path / "dask", "wants-views", *words)
    assert result.exit_code == 0, result.output
    assert query(tmp_path / "dask", "SELECT DISTINCT on_views FROM cells") == [(reading,)]
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")
    assert read_outputs(tmp_path / "dask") == read_outputs(tmp_path / "local")


@pytest.mark.slow
def test_workers_killed_at_random_cost_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Twenty times one of three; a nanny starts another in its place."""
    methods = "echo,echo:gain=0.5,echo:gain=0.25"
    words = ["--dataset", "tiny:n=120,slow=0.5", "--no-save-images"]
    assert run(tmp_path / "local", methods, *words, "--jobs", "2").exit_code == 0
    nannies = [psutil.Process(cluster.start_worker().pid) for _ in range(3)]
    dask = ["--engine", "dask", "--scheduler", cluster.address]
    command = list_words(tmp_path / "dask", methods, *words, *dask)
    process = subprocess.Popen([sys.executable, "-m", "benchmark", *command], cwd=ROOT)
    rng = random.Random(0)
    kills = 0
    while process.poll() is None and kills < 20:
        time.sleep(rng.uniform(0, 2))
        workers = [worker for nanny in nannies for worker in find_workers(nanny)]
        # A nanny gives up when its worker is killed while it starts; one with a child has started.
        workers = [worker for worker in workers if find_workers(worker)]
        if workers:
            rng.choice(workers).kill()
            kills += 1
    assert process.wait(timeout=300) == 0
    assert kills == 20
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")


@pytest.mark.slow
def test_the_end_of_the_scheduler_is_said_and_the_same_command_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    words = ["--dataset", "tiny:n=40,slow=0.2", "--no-save-images"]
    assert run(tmp_path / "local", "echo", *words, "--jobs", "2").exit_code == 0
    cluster.start_worker()
    dask = ["--engine", "dask", "--scheduler-file", str(cluster.file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *list_words(tmp_path / "dask", "echo", *words, *dask)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until(lambda: count_scores(tmp_path / "dask") > 4)
    cluster.scheduler.kill()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1, output
    assert "has ended or cannot be reached. What was finished is kept" in join_lines(output)
    assert "Traceback" not in output
    finished = len(list_scores(tmp_path / "dask"))
    cluster.start_scheduler()
    cluster.start_worker()
    result = run(tmp_path / "dask", "echo", *words, *dask)
    assert result.exit_code == 0, result.output
    assert 0 < finished < 80
    assert f"{finished // 2} already done" in result.output
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")


@pytest.mark.slow
def test_hostile_methods_fail_in_their_own_cells_on_workers_too(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.start_worker()
    methods = ",".join(f"hostile:how={how}" for how in HARMS)
    hostile = ["--plugin", str(PLUGINS / "hostile.py"), "--timeout", "6", "--limit", "1"]
    result = run_on(cluster, tmp_path, f"{methods},echo", *hostile)
    assert result.exit_code == 1, result.output
    for method, status, reason in query(tmp_path, "SELECT method, status, reason FROM cells"):
        expected_status, expected_reason = HARMS.get(
            method.removeprefix("hostile:how="), ("ok", None)
        )
        assert status == expected_status, (method, reason)
        assert expected_reason is None or re.search(expected_reason, reason), (method, reason)


@pytest.mark.slow
def test_studies_give_what_they_give_here(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blur maps, whose files travel here, and steps of an iteration."""
    monkeypatch.setattr(dask_roster, "inspect_worker", inspect_without_files)
    cluster.start_worker()
    dask = ["--engine", "dask", "--scheduler", cluster.address]
    for name, engine in {"local": ["--jobs", "1"], "dask": dask}.items():
        for study, method in (("maps", "ebdb"), ("convergence", "fixed-point:iterations=2")):
            data = ["--dataset", "simulated:set=five", "--limit", "1"]
            command = [study, "--methods", method, *data, "--out", str(tmp_path / name / study)]
            result = CliRunner().invoke(app, [*command, *engine])
            assert result.exit_code == 0, result.output
    here, there = (tmp_path / name for name in ("local", "dask"))
    for pattern in ("maps/**/*.npy", "convergence/*.csv"):
        (path,) = here.glob(pattern)
        assert (there / path.relative_to(here)).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_worker_gives_up_what_a_killed_command_has_left(cluster: Cluster, tmp_path: Path) -> None:
    nanny = psutil.Process(cluster.start_worker().pid)
    dask = ["--engine", "dask", "--scheduler", cluster.address]
    words = ["--dataset", "tiny:slow=300", "--no-save-images"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *list_words(tmp_path / "out", "echo", *words, *dask)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def find_children() -> list[psutil.Process]:
        return [child for worker in find_workers(nanny) for child in find_workers(worker)]

    wait_until(lambda: bool(find_children()), 120)
    time.sleep(5)  # it is in the middle of the picture
    assert find_children()
    process.kill()
    process.wait()
    wait_until(lambda: not find_children(), 30)
    result = run_on(cluster, tmp_path / "out", "echo", "--dataset", "tiny", "--limit", "1")
    assert result.exit_code == 0, "the worker takes part in other commands"


@pytest.mark.slow
def test_packets_whose_outputs_would_be_too_large_come_in_parts(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every output is more than may travel together."""
    methods = ",".join(f"echo:gain={1 + number / 10}" for number in range(6))
    assert run(tmp_path / "local", methods, "--jobs", "1").exit_code == 0
    monkeypatch.setattr(dask_roster, "inspect_worker", inspect_without_files)
    program = "import benchmark.engines.dask_worker as w\nw.PACKET_BYTES = 1\n"
    cluster.start_worker(write_shim(tmp_path / "shim", program))
    result = run_on(cluster, tmp_path / "dask", methods)
    assert result.exit_code == 0, result.output
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")
    assert read_outputs(tmp_path / "dask") == read_outputs(tmp_path / "local")


# What differs
# --------------------------------------------------------------------------------------------------


def write_shim(folder: Path, program: str) -> dict[str, str]:
    """Return the environment of a worker in which a program runs first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.slow
def test_another_version_is_refused_or_recorded(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker(
        write_shim(
            tmp_path / "shim", "import benchmark.version\nbenchmark.version.__version__ = '9.9'\n"
        )
    )
    result = run_on(cluster, tmp_path / "out", "echo")
    assert result.exit_code == 1
    assert "suite 9.9 there" in join_lines(result.output)
    assert "no Dask worker may take part" in join_lines(str(result.exception))
    assert list_scores(tmp_path / "out") == []
    result = run_on(cluster, tmp_path / "out", "echo", "--allow-mixed")
    assert result.exit_code == 0, result.output
    assert "differs, which its results record: suite 9.9" in join_lines(result.output)
    (provenance,) = query(
        tmp_path / "out", "SELECT DISTINCT provenance FROM cells JOIN runs ON run = id"
    )
    assert json.loads(provenance[0])["environment"]["suite"] == "9.9"
    assert len(list_scores(tmp_path / "out")) == 6
    report = CliRunner().invoke(app, ["report", str(tmp_path / "out")])
    assert report.exit_code == 0 and "echo" in report.output


@pytest.mark.slow
def test_other_data_are_refused_and_the_other_workers_do_all(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert run(tmp_path / "made", "echo", "--limit", "2").exit_code == 0
    first, second = sorted((tmp_path / "made" / "pictures" / "target").iterdir())
    for name, sources in (("here", (first, second)), ("there", (second, first))):
        (tmp_path / name / "photos").mkdir(parents=True)
        for target_name, source in zip(("a.png", "b.png"), sources, strict=True):
            shutil.copy(source, tmp_path / name / "photos" / target_name)
    photos = tmp_path / "here" / "photos"
    words = ["--dataset", f"folder:path={photos}", "--data", str(tmp_path / "here")]
    cluster.start_worker({"BENCHMARK_DATA": str(tmp_path / "there")})
    refused = run_on(cluster, tmp_path / "out", "echo", *words)
    assert refused.exit_code == 1
    assert "is not what it was when this was planned" in join_lines(refused.output)
    cluster.start_worker({"BENCHMARK_DATA": str(tmp_path / "here")})
    wait_until(lambda: count_workers(cluster) == 2)
    result = run_on(cluster, tmp_path / "out", "echo", *words)
    assert result.exit_code == 0, result.output


def count_workers(cluster: Cluster) -> int:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        return len(client.nthreads())


@pytest.mark.slow
def test_paths_are_those_of_the_command_and_a_damaged_picture_fails_alone(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths, of a worker in another folder; one picture of two is cut short."""
    assert run(tmp_path / "made", "echo", "--limit", "2").exit_code == 0
    photos = tmp_path / "data" / "photos"
    photos.mkdir(parents=True)
    for picture in (tmp_path / "made" / "pictures" / "target").iterdir():
        shutil.copy(picture, photos)
    damaged = sorted(photos.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-30])
    cluster.start_worker()
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", "folder:path=data/photos"]
    result = run_on(cluster, Path("out"), "echo", *words)
    assert result.exit_code == 1
    assert "1 ok, 1 failed" in result.output and "refused" not in result.output
    score = ["score", "out", "--protocol", "canonical", "--plugin", str(PLUGINS / "toys.py")]
    engine = ["--engine", "dask", "--scheduler", cluster.address]
    assert CliRunner().invoke(app, [*score, *engine]).exit_code == 0


def test_a_stored_path_that_leads_out_of_a_run_is_neither_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DataError, match="outside the run"):
        dask_engine._write_files(tmp_path / "run", {"../secret": b"changed"})
    with pytest.raises(DataError, match="outside the run"):
        dask_engine._write_files(tmp_path / "run", {str(tmp_path / "secret"): b"changed"})
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.slow
def test_another_checkpoint_of_the_name_is_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in (("here", "gkmnet.sim"), ("there", "gkmnet.photo")):
        (tmp_path / name).mkdir()
        method, _, tag = source.partition(".")
        target = tmp_path / name / "gkmnet.mine.safetensors"
        shutil.copy(find_checkpoint(method, tag).path, target)
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "here"))
    monkeypatch.setattr(dask_roster, "inspect_worker", inspect_without_files)
    cluster.start_worker({CHECKPOINTS_VARIABLE: str(tmp_path / "there")})
    result = run_on(cluster, tmp_path / "out", "gkmnet.mine", "--limit", "1")
    assert result.exit_code == 1
    assert "is another gkmnet.mine than the command's" in join_lines(result.output)


def inspect_without_files(requirements: Requirements) -> Inspection:
    """Inspect a worker that does not see the files of the command."""
    hidden_parcels = [
        dataclasses.replace(parcel, path=Path("/not/here") / parcel.path.name)
        for parcel in requirements.parcels
    ]
    hidden = dataclasses.replace(requirements, parcels=hidden_parcels, probe=None)
    return inspect_worker(hidden)


@pytest.mark.slow
def test_what_a_worker_lacks_travels(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, plug-ins with what they import, outputs, and outputs that are only scored."""
    plugin = tmp_path / "plugin" / "half.py"
    plugin.parent.mkdir()
    (plugin.parent / "half_neighbour.py").write_text("GAIN = 0.5\n")
    plugin.write_text(
        "import sys\nsys.path.insert(0, __file__.rpartition('/')[0])\n"
        "from half_neighbour import GAIN\n"
        "import numpy as np\nfrom benchmark.api import Method, MethodCard\n"
        "from benchmark.registry import METHODS\n"
        "@METHODS.register('half')\nclass Half(Method):\n"
        "    card = MethodCard(title='Half', family='baseline')\n"
        "    def restore(self, observation):\n"
        "        return observation.image * np.float32(GAIN)\n"
    )
    words = ["--plugin", str(plugin), "--limit", "1"]
    methods = "half,gkmnet.sim"
    assert run(tmp_path / "local", methods, *words, "--jobs", "1").exit_code == 0
    monkeypatch.setattr(dask_roster, "inspect_worker", inspect_without_files)
    cluster.start_worker({CHECKPOINTS_VARIABLE: str(tmp_path / "none")})
    result = run_on(cluster, tmp_path / "dask", methods, *words)
    assert result.exit_code == 0, result.output
    assert "outputs travel here" in join_lines(result.output)
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")
    assert read_outputs(tmp_path / "dask") == read_outputs(tmp_path / "local")
    plugins = ["--plugin", str(plugin), "--plugin", str(PLUGINS / "toys.py")]
    engines = {"local": [], "dask": ["--engine", "dask", "--scheduler", cluster.address]}
    for name, engine in engines.items():
        score = ["score", str(tmp_path / name), "--protocol", "canonical", *plugins, *engine]
        result = CliRunner().invoke(app, score)
        assert result.exit_code == 0, result.output
    assert len(list_scores(tmp_path / "dask")) > 4
    assert list_scores(tmp_path / "dask") == list_scores(tmp_path / "local")
    assert not list(cluster.folder.rglob("defocus-bench-*"))


# What is said
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "tcp://127.0.0.1:1"], "are for --engine dask"),
        (["--engine", "dask"], "needs one of --scheduler ADDRESS and --scheduler-file FILE"),
        (["--engine", "dask", "--scheduler", "x", "--jobs", "2"], "--jobs is for --engine local"),
        (["--engine", "dask", "--scheduler-file", "none.json"], "none.json: no such file"),
        (["--engine", "dask", "--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler answers at"),
        (["--engine", "dask", "--scheduler", "not an address"], "no Dask scheduler answers at"),
    ],
)
def test_a_scheduler_that_is_not_there_is_named(
    tmp_path: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "_CONNECT_SECONDS", 1.0)
    result = run(tmp_path, "echo", *words)
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2
