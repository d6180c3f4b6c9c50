"""What the harness itself costs: 10,000 cells of a no-op method on tiny pictures, then the same
command again.

`make perf` runs it. Everything is measured in this one run: the whole command, the same command
when nothing is missing, and a bare start of the interpreter with the same imports.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CELLS = 10_000
_IMPORTS = (
    "import benchmark.session, benchmark.provenance, benchmark.results, benchmark.reports.tables, "
    "pandas, scipy.stats"
)


def seconds(command: list[str]) -> float:
    """Return the wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "benchmark",
            "run",
            "--methods",
            "echo",
            "--dataset",
            f"tiny:n={CELLS},size=8",
            "--plugin",
            "tests/plugins/toys.py",
            "--protocol",
            "quick",
            "--out",
            folder,
            "--no-save-images",
        ]
        first, again = seconds(command), seconds(command)
        imports = seconds([sys.executable, "-c", _IMPORTS])
    sys.stdout.write(
        f"{CELLS} cells of a no-op method, all included: {first:.1f} s, "
        f"{1000 * (first - again) / CELLS:.2f} ms a cell beyond planning and reporting (target < 3 "
        "ms)\n"
        f"the same command with nothing missing: {again:.1f} s, {again - imports:.1f} s beyond "
        "imports (target < 3 s)\n"
    )


if __name__ == "__main__":
    main()
