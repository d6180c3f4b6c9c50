"""How long `make demo` takes once everything is installed, and what its table can tell.

`python -m tests.perf.demonstration` runs every method over the default data set in a new folder,
with two processes, and prints the seconds and the comparison of `gkmnet.sim` with the input. Other
work on the machine disturbs the seconds, but not the processor's.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.results import read_results

ROOT = Path(__file__).parents[2]
RUN = ("run", "--methods", "all", "--dataset", "simulated", "--jobs", "2", "--out")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmark", *RUN, folder]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        results = read_results(folder)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(
        f"every method on {results.select().describe_pictures()}, all included: {seconds:.0f} s "
        f"with 2 processes (target < 300 s), {usage.ru_utime + usage.ru_stime:.0f} s of a "
        "processor\n"
        f"{results.compare('gkmnet.sim', 'input')} (target: significant)\n"
    )


if __name__ == "__main__":
    main()
