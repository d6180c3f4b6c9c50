"""Measure again what lies in `results/measured`, and compare it with what is committed there.

`make measured` does every step of `results/measured/steps.toml` whose data are at hand. Nothing is
trained. It says first how long that takes, wants a clean commit, goes on where an earlier call was
stopped, and writes into a folder of its own. A step whose data are missing is left out, with the
address. Scores are compared number by number, other files line by line. Beside them, every step
with scores gets a bundle to hand on, and all bundles together a board.

    python -m tests.measured --data /media/data --only demo,maps
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import provenance
from benchmark.results import read_results
from tests.perf.processes import ROOT, say

MEASURED = ROOT / "results" / "measured"
SCORES = "scores.parquet"
BUNDLE = "bundle"
TOLERANCE = 1e-3
"""Largest difference between two scores that are called the same, in the measure's own unit."""
_KEYS = ("dataset", "method", "sample", "noise", "track", "protocol", "measure")


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures that a step needs.

    Attributes:
        what: in words.
        address: where to get them.
        path: of the folder, below the data root.
        files: how many it holds.
        sha256: of the SHA-256 of its files, one after the other, in the order of their paths.
    """

    what: str
    address: str
    path: str
    files: int
    sha256: str

    def explain_problem(self, root: Path) -> str | None:
        """Return why the pictures cannot be used; None if they are there and the right ones."""
        folder = root / self.path
        if not folder.is_dir():
            return f"{folder} is not there; get {self.what} from {self.address}"
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        digest = hashlib.sha256()
        for path in paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        if len(paths) != self.files or digest.hexdigest() != self.sha256:
            return f"{folder} holds other files than were measured; get {self.what} anew"
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """What is done for one folder of `results/measured`.

    Attributes:
        folder: its name.
        hours: how long it takes on two cores, estimated.
        data: names of the sources that it needs.
        run: the command whose folder the others read; empty for none.
        files: file of the folder -> the command that makes it.
        made_by_run: files that the run itself writes.
    """

    folder: str
    hours: float
    data: tuple[str, ...]
    run: str
    files: Mapping[str, str]
    made_by_run: tuple[str, ...]


def read_steps(path: Path) -> tuple[dict[str, Source], list[Step]]:
    """Return the sources and the steps that a file names."""
    content = tomllib.loads(path.read_text("utf-8"))
    sources = {name: Source(**facts) for name, facts in content["data"].items()}
    return sources, [_make_step(name, facts) for name, facts in content["step"].items()]


def _make_step(folder: str, facts: Mapping[str, Any]) -> Step:
    return Step(
        folder=folder,
        hours=facts["hours"],
        data=tuple(facts.get("data", ())),
        run=facts.get("run", ""),
        files=facts.get("files", {}),
        made_by_run=tuple(facts.get("made_by_run", ())),
    )


# Doing it
# --------------------------------------------------------------------------------------------------


def do_step(step: Step, work: Path, data: Path) -> None:
    """Make the files of a step below `work`; raises CalledProcessError if a command fails."""
    new_folder = work / step.folder
    new_folder.mkdir(parents=True, exist_ok=True)
    run_folder = Path(f"{step.folder}-run")
    if step.run:
        call_benchmark(step.run, work, data, run_folder)
    for name in step.made_by_run:
        (new_folder / name).write_bytes((work / run_folder / name).read_bytes())
    for name, command in step.files.items():
        text = call_benchmark(command, work, data, run_folder, Path(step.folder, name))
        if "FILE" not in command.split():
            (new_folder / name).write_text(text, "utf-8")
    if SCORES in step.files:
        call_benchmark(f"export RUN --out {step.folder}/{BUNDLE}", work, data, run_folder)


def write_board_of(steps: Sequence[Step], work: Path, data: Path) -> Path | None:
    """Write the board of the bundles of some steps; return its page, None where none has scores."""
    bundles = [f"{step.folder}/{BUNDLE}" for step in steps if SCORES in step.files]
    if not bundles:
        return None
    call_benchmark(shlex.join(["board", *bundles, "--out", "board"]), work, data, Path())
    return work / "board" / "index.html"


def call_benchmark(
    command: str, work: Path, data: Path, run_folder: Path, file: Path | None = None
) -> str:
    """Return what a command of the suite prints. Cells that failed are no reason to stop."""
    places = {"RUN": str(run_folder), "FILE": str(file)}
    words = [places.get(word, word) for word in shlex.split(command)]
    say(f"  {' '.join(words)}")
    environment = {**os.environ, "BENCHMARK_DATA": str(data), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, words)
    return done.stdout


def link_data(sources: Mapping[str, Source], work: Path, data: Path) -> None:
    """Let the commands find folders of pictures by their short names."""
    for source in sources.values():
        name = Path(source.path).parts[0]
        if (data / name).exists() and not (work / name).exists():
            (work / name).symlink_to((data / name).resolve())


# Comparing
# --------------------------------------------------------------------------------------------------


def compare_files(step: Step, work: Path) -> Iterator[tuple[str, bool]]:
    """Yield for each file of a step what became of it, and whether it is the same."""
    for name in (*step.made_by_run, *step.files):
        new = work / step.folder / name
        committed = MEASURED / step.folder / name
        if not committed.exists():
            yield f"{step.folder}/{name}: new, nothing is committed", False
        elif name.endswith(".parquet"):
            yield compare_scores(new, committed)
        else:
            yield compare_lines(new, committed)


def compare_lines(new: Path, committed: Path) -> tuple[str, bool]:
    """Say in how many lines a text differs from the committed one."""
    label = f"{committed.parent.name}/{committed.name}"
    lines = [path.read_text("utf-8").splitlines() for path in (committed, new)]
    changes = [line for line in difflib.ndiff(*lines) if line[:2] in ("- ", "+ ")]
    if not changes:
        return f"{label}: the same", True
    return f"{label}: {len(changes)} lines differ; see {new}", False


def compare_scores(new: Path, committed: Path) -> tuple[str, bool]:
    """Say how far scores are from the committed ones, and which of the two lacks some."""
    label = f"{committed.parent.name}/{committed.name}"
    tables = [read_results(path).scores() for path in (new, committed)]
    columns = [column for column in _KEYS if all(column in table for table in tables)]
    both = tables[0].merge(tables[1], on=columns, how="outer", indicator=True)
    shared = both[both["_merge"] == "both"].dropna(subset=["value_x", "value_y"])
    differences = (shared["value_x"] - shared["value_y"]).abs()
    parts = [f"{len(shared)} scores, largest difference {differences.max():.2g}"]
    for side, words in (("left_only", "not committed"), ("right_only", "not measured again")):
        rows = both[both["_merge"] == side]
        if len(rows):
            methods = ", ".join(sorted(set(rows["method"])))
            parts.append(f"{len(rows)} {words} ({methods})")
    is_same = len(parts) == 1 and not (differences > TOLERANCE).any()
    return f"{label}: {'; '.join(parts)}", is_same


# The command
# --------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, compare and print; return 0 if all is the same, 1 if not, 2 for bad use."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("results/runs/measured"))
    parser.add_argument("--only", default="", help="steps, comma-separated")
    parser.add_argument("--allow-changes", action="store_true", help="also at no clean commit")
    options = parser.parse_args(arguments)
    sources, steps = read_steps(MEASURED / "steps.toml")
    names = [name for name in options.only.split(",") if name] or [step.folder for step in steps]
    unknown = sorted(set(names) - {step.folder for step in steps})
    if unknown:
        parser.error(f"--only {','.join(unknown)}: expected {', '.join(s.folder for s in steps)}")
    state = provenance.read_git_state(ROOT)
    if (state is None or state["dirty"]) and not options.allow_changes:
        parser.error("the checkout has changes; commit them, or add --allow-changes")
    chosen = [step for step in steps if step.folder in names]
    return measure_steps(chosen, sources, options.work.resolve(), options.data.resolve())


def measure_steps(
    steps: Sequence[Step], sources: Mapping[str, Source], work: Path, data: Path
) -> int:
    """Do the steps whose data are at hand; return 0 if all is done and the same, else 1."""
    possible = []
    for step in steps:
        problems = filter(None, (sources[name].explain_problem(data) for name in step.data))
        problem = next(problems, None)
        if problem is None:
            possible.append(step)
        else:
            say(f"left out: {step.folder}: {problem}")
    hours = sum(step.hours for step in possible)
    say(f"{len(possible)} steps, estimated at {hours:.1f} hours on two cores -> {work}")
    work.mkdir(parents=True, exist_ok=True)
    link_data(sources, work, data)
    is_same = len(possible) == len(steps)
    for step in possible:
        say(f"{step.folder} (estimated at {step.hours:g} hours)")
        do_step(step, work, data)
        for text, file_is_same in compare_files(step, work):
            say(f"  {text}")
            is_same = is_same and file_is_same
    board = write_board_of(possible, work, data)
    if board is not None:
        say(f"board of their bundles: {board}")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
