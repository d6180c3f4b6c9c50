"""Programs as methods: small Python scripts stand for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import benchmark
from benchmark import imageio, plan
from benchmark.api import DataError, Observation, UsageError
from benchmark.methods.program import Program
from benchmark.programs import ProgramFailure
from benchmark.registry import METHODS, create
from benchmark.supervisor import MARK

COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[-1])"
PICTURE = np.random.default_rng(0).uniform(-0.1, 1.1, (20, 30, 3)).astype(np.float32)


def write_program(folder: Path, script: str, name: str = "copy", **facts: object) -> Path:
    """Write a script and the TOML file that calls it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(script)
    command = [sys.executable, f"{name}.py", "{input}", "{output}"]
    table = {"command": command, "format": "tiff32", **facts}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key != "env"]
    if "env" in table:
        lines += ["[env]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table["env"].items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines))
    return path


def restore(path: Path, picture: np.ndarray = PICTURE, **facts: object) -> np.ndarray:
    return Program(file=path).restore(Observation(picture, **facts))


def list_leftovers() -> list[object]:
    """Processes of programs and their folders that are still there."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get("TMPDIR") == os.environ["TMPDIR"]
            is_supervisor = "supervisor.py" in " ".join(process.cmdline())
            if is_ours and (MARK in process.environ() or is_supervisor):
                processes.append(process)
    return [*processes, *Path(os.environ["TMPDIR"]).glob("defocus-bench-*")]


def wait_for_no_leftovers() -> None:
    deadline = time.monotonic() + 5
    while list_leftovers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list_leftovers() == []


@pytest.fixture(autouse=True)
def _private_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of other tests, which run at the same time, are none of ours."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)


# What goes in and comes out


@pytest.mark.parametrize(
    ("picture_format", "levels"),
    [("png8", 255), ("png16", 65535), ("ppm8", 255), ("ppm16", 65535), ("tiff32", None)],
)
def test_pictures_pass_at_the_depth_of_the_format(
    tmp_path: Path, picture_format: str, levels: int | None
) -> None:
    output = restore(write_program(tmp_path, COPY, format=picture_format))
    expected = PICTURE
    if levels is not None:
        expected = np.rint(np.clip(PICTURE, 0, 1).astype(np.float64) * levels) / levels
    np.testing.assert_array_equal(output, expected.astype(np.float32))


def test_a_track_of_bgr_pictures_makes_no_difference_to_the_program(tmp_path: Path) -> None:
    script = (
        "import sys, tifffile; a = tifffile.imread(sys.argv[1]); a[..., 0] *= 2;"
        " tifffile.imwrite(sys.argv[2], a, photometric='rgb')"
    )
    path = write_program(tmp_path, script)
    rgb = restore(path)
    bgr = restore(path, np.ascontiguousarray(PICTURE[..., ::-1]), order="bgr")
    np.testing.assert_array_equal(rgb[..., 0], 2 * PICTURE[..., 0])
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)


def test_views_noise_folder_and_variables_reach_the_program(tmp_path: Path) -> None:
    script = (
        "import os, shutil, sys; from pathlib import Path; shutil.copy(sys.argv[2], sys.argv[3]);"
        " Path(os.environ['LOG']).write_text(' '.join(sys.argv[4:]))"
    )
    path = write_program(
        tmp_path,
        script,
        command=[
            sys.executable,
            "copy.py",
            "{left}",
            "{right}",
            "{output}",
            "s={noise}",
            "{folder}",
        ],
        env={"LOG": str(tmp_path / "log")},
        files=["copy.py"],
    )
    method = Program(file=path)
    assert method.card.inputs == "views" and method.card.noise_aware
    right = PICTURE[::-1].copy()
    output = method.restore(Observation(PICTURE, views=(PICTURE, right), noise_sigma=2.5))
    np.testing.assert_array_equal(output, right)
    assert (tmp_path / "log").read_text() == f"s=2.5 {tmp_path}"


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    script = (
        "import shutil, sys; assert sys.argv[2] == '$HOME; `ls` > x *', sys.argv;"
        " shutil.copy(sys.argv[1], sys.argv[3])"
    )
    command = [sys.executable, "copy.py", "{input}", "$HOME; `ls` > x *", "{output}"]
    restore(write_program(tmp_path, script, command=command))


def test_it_runs_in_a_folder_of_its_own_that_is_removed(tmp_path: Path) -> None:
    script = (
        "import os, sys, shutil; from pathlib import Path; shutil.copy(sys.argv[1], sys.argv[2]);"
        " Path('rubbish').write_text('x');"
        " assert oct(os.stat('.').st_mode)[-3:] == '700';"
        " assert sorted(os.listdir()) == ['input.tif', 'output.tif', 'rubbish'], os.listdir()"
    )
    restore(write_program(tmp_path, script))
    assert list_leftovers() == []


# What goes wrong

WRONG = {
    "exits": (
        "import sys; print('no licence', file=sys.stderr); sys.exit(3)",
        "ended with status 3: no licence",
    ),
    "prints on stdout": (
        "print('\\x1b[31mbad\\x1b[0m\\tthing'); exit(2)",
        "ended with status 2: bad thing",
    ),
    "is killed": ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
    "writes nothing": ("pass", r"wrote no output\.tif"),
    "sleeps": ("import time; time.sleep(100)", "took longer than 1 s"),
    "ignores signals": (
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)",
        "took longer than 1 s",
    ),
    "never stops printing": ("while True: print('x' * 1000)", "took longer than 1 s"),
    "prints 200 MB": (
        "import sys\nfor _ in range(200): sys.stdout.write('x' * 999_999 + '\\n')\n"
        "sys.exit('enough')",
        "ended with status 1: enough",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_failure_has_its_reason_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    script, reason = WRONG[kind]
    timeout = 60.0 if "200" in kind else 1.0
    before = psutil.Process().memory_info().rss
    with pytest.raises(ProgramFailure, match=reason):
        restore(write_program(tmp_path, script, timeout=timeout))
    assert psutil.Process().memory_info().rss < before + 50e6
    wait_for_no_leftovers()


@pytest.mark.parametrize(
    "leave", ["subprocess.Popen(c)", "subprocess.Popen(c, start_new_session=True)"]
)
def test_processes_that_it_leaves_are_ended_and_not_waited_for(tmp_path: Path, leave: str) -> None:
    script = (
        "import subprocess, sys, shutil;"
        " c = [sys.executable, '-c', 'import time; time.sleep(100)'];"
        f" {leave}; shutil.copy(sys.argv[1], sys.argv[2])"
    )
    start = time.monotonic()
    restore(write_program(tmp_path, script))
    assert time.monotonic() - start < 20
    wait_for_no_leftovers()


def test_a_process_without_group_parent_or_mark_is_ended(tmp_path: Path) -> None:
    seconds = str(time.time_ns())  # a command line that no other process has
    script = (
        "import os, subprocess, sys, shutil;"
        f" subprocess.Popen(['sleep', '{seconds}'], start_new_session=True, env={{}});"
        " shutil.copy(sys.argv[1], sys.argv[2])"
    )
    restore(write_program(tmp_path, script))
    command_lines = [
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    ]
    assert f"sleep {seconds}" not in command_lines


def test_messages_do_not_name_the_private_folder(tmp_path: Path) -> None:
    path = write_program(tmp_path, "import sys; sys.exit(sys.argv[1])")
    with pytest.raises(ProgramFailure, match=r"^ended with status 1: input\.tif$"):
        restore(path)


def test_values_on_another_scale_are_an_error(tmp_path: Path) -> None:
    script = (
        "import sys, tifffile; a = tifffile.imread(sys.argv[1]);"
        " tifffile.imwrite(sys.argv[2], 255 * a, photometric='rgb')"
    )
    with pytest.raises(ProgramFailure, match="wrote values up to 2"):
        restore(write_program(tmp_path, script))


def test_a_link_stands_for_its_file(tmp_path: Path) -> None:
    path = write_program(tmp_path / "program", COPY)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    np.testing.assert_array_equal(restore(link), PICTURE)
    assert Program(file=link).weights_hash() == Program(file=path).weights_hash()
    assert create(METHODS, f"program:file={link}")[1].label == "link"


def test_output_that_is_no_picture_is_an_error(tmp_path: Path) -> None:
    script = "import sys; open(sys.argv[2], 'w').write('no picture')"
    with pytest.raises(DataError, match=r"output\.tif: is not a picture"):
        restore(write_program(tmp_path, script))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_program(tmp_path, COPY, command=["no-such-program", "{input}", "{output}"])
    with pytest.raises(ProgramFailure, match="cannot be started: 'no-such-program'"):
        restore(path)


@pytest.mark.slow
def test_it_ends_with_its_caller(tmp_path: Path) -> None:
    """A worker that is killed takes program and folder along."""
    path = write_program(tmp_path, "import time; time.sleep(100)")
    pid = os.fork()
    if pid == 0:
        try:
            restore(path)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 20
    while len(list_leftovers()) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list_leftovers()) >= 3  # supervisor, program and folder
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for_no_leftovers()


# The file


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"command": []}, "command"),
        ({"format": "png12"}, "format"),
        ({"colour": "red"}, r"colour.*It may have command, format"),
        ({"command": ["x", "{input}"]}, r"needs \{output\}"),
        ({"command": ["x", "{output}"]}, r"needs \{output\}, and \{input\}"),
        ({"command": ["x", "{input}", "{output}", "{what}"]}, r"knows no \{what\}"),
        ({"timeout": -1.0}, "timeout"),
        ({"command": ["x", "{input}", "{output}", "{folder}/m"]}, r"say in files"),
        ({"command": ["x\0", "{input}", "{output}"]}, "null character"),
        ({"env": {"A=B": "x"}}, "cannot be set"),
        ({"bits": 12}, "bits"),
        ({"command": "x {input} {output}"}, "command"),
    ],
)
def test_a_wrong_file_is_refused_with_an_example(
    tmp_path: Path, facts: dict[str, object], message: str
) -> None:
    path = write_program(tmp_path, COPY, **facts)
    with pytest.raises(DataError, match=rf"(?s)copy\.toml: .*{message}") as raised:
        create(METHODS, f"program:file={path}")
    assert "for example\ncommand = [" in str(raised.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml: cannot be read"):
        create(METHODS, f"program:file={tmp_path}/none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.toml: cannot be read"):
        create(METHODS, f"program:file={tmp_path}/a.toml")


# Identity


def test_it_is_called_by_its_file_or_its_name(tmp_path: Path) -> None:
    path = write_program(tmp_path, COPY)
    assert create(METHODS, f"program:file={path}")[1].label == "copy"
    _, named = create(METHODS, f"program:file={path},name=Copy (v2)")
    assert (named.label, named.parameters_json()) == ("Copy (v2)", '{"name": "Copy (v2)"}')


def test_its_identity_is_the_content_of_its_files_and_its_version(tmp_path: Path) -> None:
    path = write_program(tmp_path / "a", COPY)
    first = Program(file=path).weights_hash()
    assert Program(file=write_program(tmp_path / "b", COPY)).weights_hash() == first
    assert Program(file=write_program(tmp_path / "c", COPY + " ")).weights_hash() != first
    assert Program(file=write_program(tmp_path / "d", COPY, timeout=5.0)).weights_hash() != first
    hashes = set()
    for answer in ("1.0", "1.1"):
        folder = tmp_path / answer
        (folder / "parts").mkdir(parents=True)
        (folder / "parts" / "weights.bin").write_text("same")
        version = [
            sys.executable,
            "-c",
            "import os; print(open(os.environ['HOME_OF_VERSION']).read())",
        ]
        os.environ["HOME_OF_VERSION"] = str(tmp_path / f"{answer}.txt")
        (tmp_path / f"{answer}.txt").write_text(answer)
        hashes.add(Program(file=write_program(folder, COPY, version=version)).weights_hash())
        facts = {"version": version, "files": ["parts"]}
        hashes.add(Program(file=write_program(folder, COPY, **facts)).weights_hash())
    assert len(hashes) == 4
    with pytest.raises(DataError, match="no such file"):
        Program(file=write_program(tmp_path / "e", COPY, files=["gone"])).weights_hash()
    with pytest.raises(UsageError, match=r"asked for its version \(no-such"):
        Program(file=write_program(tmp_path / "f", COPY, version=["no-such"])).weights_hash()


# In a run


@pytest.mark.slow
def test_programs_run_beside_methods_and_harm_nobody(tmp_path: Path) -> None:
    good = write_program(tmp_path / "p", COPY, "good", format="png16")
    small = (
        "import sys, tifffile; tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1])[1:],"
        " photometric='rgb')"
    )
    bad = write_program(tmp_path / "p", small, "small")
    results = benchmark.run(
        ["input", f"program:file={good}", f"program:file={bad}"],
        "simulated",
        out=tmp_path / "run",
        limit=2,
        jobs=2,
    )
    rows = {(row.method, row.status) for row in results.rows.itertuples()}
    assert {("input", "ok"), ("good", "ok"), ("small", "failed")} <= rows
    wait_for_no_leftovers()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_killed_takes_its_programs_along(tmp_path: Path, number: int) -> None:
    path = write_program(tmp_path, "import time; time.sleep(100)")
    command = [sys.executable, "-m", "benchmark", "run", "--methods", f"program:file={path}"]
    command += ["--dataset", "simulated", "--limit", "2", "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while len(list_leftovers()) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(list_leftovers()) >= 3
        run.send_signal(number)
    wait_for_no_leftovers()


ENDING = """
import threading, time
from pathlib import Path
from benchmark.programs import end_private_folders, make_private_folder

def fill_folder():
    with make_private_folder() as folder:
        Path("folder").write_text(str(folder))
        number = 0
        while folder.exists():
            number += 1
            (folder / f"{number}.png").write_bytes(b"")

threads = [threading.Thread(target=fill_folder, daemon=True) for _ in range(2)]
threads[0].start()
while not Path("folder").is_file():
    time.sleep(0.01)
time.sleep(0.1)
end_private_folders()
threads[1].start()
threads[1].join(0.2)
print(threads[1].is_alive())
"""
"""A thread writes into a folder while all are ended, and another wants one after that."""


def test_a_process_that_ends_leaves_no_private_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDING]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert process.stdout == "True\n", "no further folder is made"
    assert not Path((tmp_path / "folder").read_text()).exists()
    assert list(Path(os.environ["TMPDIR"]).glob("defocus-bench-*")) == []


def test_groups_leave_it_out_without_a_word() -> None:
    notes: list[str] = []
    labels = {method.id.name for method in plan.select_methods(["all"], notes.append)}
    assert "program" not in labels
    assert not any("program" in note for note in notes)


def test_a_float_tiff_is_written_exactly(tmp_path: Path) -> None:
    imageio.write_float_tiff(tmp_path / "a.tif", PICTURE)
    picture, depth = imageio.read(tmp_path / "a.tif", allow_float=True)
    np.testing.assert_array_equal(picture, PICTURE)
    assert depth == 32
    with pytest.raises(DataError, match="floating-point"):
        imageio.read(tmp_path / "a.tif")
