"""What the harness itself costs: many cells of a no-op method on tiny pictures, the same command
again, the report, the same on workers of Dask, and a page to look at.

`make perf` measures 10,000 cells; `python -m tests.perf.bookkeeping 100000` measures what
`docs/scale.md` states. Everything is measured in this one run: the whole commands, the processor
time and the peak memory of the process that hands out the cells (Linux), how many of its bytes a
cell costs, and a bare start of the interpreter with the same imports. Other work on the machine
disturbs the seconds, which is said, and hardly the processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmark.engines.local import count_cores, count_workers
from benchmark.store import FILE_NAME
from tests.perf.processes import ROOT, describe_disturbance, read_memory, read_other_work, say

CELLS = 10_000
DASK_WORKERS = 2
METHODS = 20
"""On the workers of Dask, and on the page."""
PAGE_PICTURES = 100
PAGE_SIZE = 128
"""Rows and columns of a picture on the page."""
FEW_CELLS = 1_000
"""What memory is compared with."""
_LOOK_EVERY = 0.02
_IMPORTS = (
    "import benchmark.session, benchmark.provenance, benchmark.results, benchmark.reports.tables, "
    "pandas, scipy.stats"
)


class Costs(NamedTuple):
    """What a command cost.

    Attributes:
        seconds: wall time.
        processor_seconds: of its own process with its threads, without its workers.
        running_peak: bytes that its process had at most until its cells were done.
        peak: the same until its end.
        others: processors that were busy with other work meanwhile.
    """

    seconds: float
    processor_seconds: float
    running_peak: int
    peak: int
    others: float


class _Watch:
    """Looks at a process until it ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.processor_seconds = 0.0
        self.peak = 0
        self._process = process
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        with contextlib.suppress(psutil.Error, OSError, StopIteration):
            account = psutil.Process(self._process.pid)
            while self._process.poll() is None:
                times = account.cpu_times()
                self.processor_seconds = times.user + times.system
                self.peak = read_memory("VmHWM", self._process.pid)
                time.sleep(_LOOK_EVERY)

    def finish(self) -> None:
        """Wait until the process is gone."""
        self._thread.join()


def measure_command(command: Sequence[str]) -> Costs:
    """Return what a command costs that must succeed."""
    others_before = read_other_work()
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = _Watch(process)
        assert process.stderr is not None
        running_peak = 0
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("restoring:"):
                running_peak = watch.peak
        process.wait()
        watch.finish()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {lines[-1:]}")
    others = max(0.0, (read_other_work() - others_before) / seconds)
    return Costs(seconds, watch.processor_seconds, running_peak, watch.peak, others)


def make_run_command(cells: int, folder: str) -> list[str]:
    """Return the command of a run of so many cells."""
    return [
        *(sys.executable, "-m", "benchmark", "run", "--methods", "echo", "--protocol", "quick"),
        *("--dataset", f"tiny:n={cells},size=8", "--plugin", "tests/plugins/toys.py"),
        *("--out", folder, "--no-save-images"),
    ]


@contextlib.contextmanager
def start_cluster(folder: Path) -> Iterator[list[str]]:
    """Start a Dask scheduler and workers of one thread each; give the options that use them."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    location = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = [*dask, "scheduler", *location, "--host", "127.0.0.1", "--port", "0"]
    worker = [*dask, "worker", *location, "--nthreads", "1", "--local-directory", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with contextlib.ExitStack() as stack:
        for command in (scheduler, *[worker] * DASK_WORKERS):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        while not file.is_file():
            time.sleep(_LOOK_EVERY)
        yield ["--engine", "dask", "--scheduler-file", str(file)]


def list_several_methods(pictures: int, size: int) -> list[str]:
    """Return the options of `METHODS` methods on so many pictures, of size x size pixels."""
    methods = ",".join(f"echo:gain={1 + number / 100}" for number in range(METHODS))
    return ["--methods", methods, "--dataset", f"tiny:n={pictures},size={size}"]


def measure_dask(cells: int) -> str:
    """Return a line that says what a cell costs on Dask's workers, without start and report."""
    pictures = cells // METHODS
    words = list_several_methods(pictures, size=8)
    with tempfile.TemporaryDirectory() as folder, start_cluster(Path(folder)) as engine:
        command = [*make_run_command(cells, f"{folder}/run"), *words, *engine]
        first = measure_command(command)
        again = measure_command(command)
    per_cell = 1000 / (pictures * METHODS)
    milliseconds = per_cell * (first.seconds - again.seconds)
    processor = per_cell * (first.processor_seconds - again.processor_seconds)
    return (
        f"{METHODS} methods on {pictures} pictures by {DASK_WORKERS} workers of Dask: "
        f"{milliseconds:.2f} ms a cell beyond planning and reporting (target < 2 ms on idle "
        f"cores), {processor:.2f} ms of processor time of the command"
        f"{describe_disturbance(first.others)}"
    )


def measure_page() -> str:
    """Return a line that says what a comparison page costs, and how large it is."""
    with tempfile.TemporaryDirectory() as folder:
        words = list_several_methods(PAGE_PICTURES, PAGE_SIZE)
        measure_command([*make_run_command(PAGE_PICTURES, folder), *words, "--save-images"])
        page = Path(folder, "page")
        command = [sys.executable, "-m", "benchmark", "report", folder, "--format", "html"]
        costs = measure_command([*command, "--out", str(page)])
        size = sum(path.stat().st_size for path in page.rglob("*") if path.is_file())
    return (
        f"page of {METHODS} methods x {PAGE_PICTURES} pictures of {PAGE_SIZE} x {PAGE_SIZE} "
        f"pixels: {costs.seconds:.1f} s, {costs.processor_seconds:.1f} s of processor time, "
        f"{costs.peak / 1e6:.0f} MB of memory, {size / 1e6:.0f} MB on disk"
        f"{describe_disturbance(costs.others)}"
    )


def measure_bookkeeping(cells: int) -> list[str]:
    """Return lines that say what so many cells cost."""
    with tempfile.TemporaryDirectory() as few_folder, tempfile.TemporaryDirectory() as folder:
        few = measure_command(make_run_command(FEW_CELLS, few_folder))
        first = measure_command(make_run_command(cells, folder))
        again = measure_command(make_run_command(cells, folder))
        report = measure_command([sys.executable, "-m", "benchmark", "report", folder])
        imports = measure_command([sys.executable, "-c", _IMPORTS])
        store_bytes = (Path(folder) / FILE_NAME).stat().st_size
    per_cell = 1000 / cells
    feeding = per_cell * (first.processor_seconds - again.processor_seconds)
    further_cells = cells - FEW_CELLS
    running_growth = (first.running_peak - few.running_peak) / further_cells
    growth = (first.peak - few.peak) / further_cells
    cell_line = (
        f"{cells} cells of a no-op method, all included: {first.seconds:.1f} s; a cell beyond "
        f"planning and reporting: {per_cell * (first.seconds - again.seconds):.2f} ms (target < "
        f"0.6 ms on idle cores){describe_disturbance(first.others)}"
    )
    feed_line = (
        f"processor time of the process that hands out the cells: {feeding:.2f} ms a cell, so it "
        f"feeds {1000 / feeding:.0f} cells a second at most"
    )
    again_line = (
        f"the same command with nothing missing: {again.seconds:.1f} s (target < 8 s for 100,000 "
        f"cells), of which {imports.seconds:.1f} s are imports; {again.processor_seconds:.1f} s of "
        f"processor time{describe_disturbance(again.others)}"
    )
    report_line = (
        f"report: {report.seconds:.1f} s (target < 5 s for 100,000 cells); "
        f"{report.processor_seconds:.1f} s of processor time{describe_disturbance(report.others)}"
    )
    memory_line = (
        f"memory of that process: {first.running_peak / 1e6:.0f} MB while it hands out cells, "
        f"{running_growth:.0f} bytes for each cell beyond {FEW_CELLS} (target < 1000); "
        f"{first.peak / 1e6:.0f} MB with the tables at the end, {growth:.0f} bytes a cell"
    )
    store_line = f"store: {store_bytes / 1e6:.1f} MB, {store_bytes / cells:.0f} bytes a cell"
    return [cell_line, feed_line, again_line, report_line, memory_line, store_line]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="?", type=int, default=CELLS, help="more than 1,000")
    cells = parser.parse_args().cells
    if cells <= FEW_CELLS:
        parser.error(f"cells: expected more than {FEW_CELLS}")
    say(
        f"{platform.platform()}, {count_cores()} cores, {count_workers(0, cells)} workers, load "
        f"{os.getloadavg()[0]:.1f} before"
    )
    for line in measure_bookkeeping(cells):
        say(line)
    say(measure_dask(cells))
    say(measure_page())


if __name__ == "__main__":
    main()
