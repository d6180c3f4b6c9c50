"""What the measuring programs share: a process of its own for each candidate, the memory of a
process, and lines that are printed at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
THREADS = 2
MOST_OTHER_WORK = 0.1
"""Processors that may be busy otherwise before a measurement is called disturbed."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class MeasurementError(Exception):
    """A process could not measure; the text is the reason, in one line."""


def measure_alone(
    module: str, *arguments: object, longest: float | None = None
) -> Mapping[str, Any]:
    """Run a module in a process of its own on `THREADS` threads, and return what it measured: the
    object that the last line it prints is in JSON.

    Args:
        module: its name.
        arguments: of its command line.
        longest: seconds after which it is ended; None for never.

    Raises:
        MeasurementError: if it fails or takes too long.
    """
    threads = dict.fromkeys(_THREAD_VARIABLES, str(THREADS))
    try:
        result = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=longest,
            env={**os.environ, **threads},
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"took longer than {longest} s") from error
    except subprocess.CalledProcessError as error:
        raise MeasurementError(_find_reason(error)) from error
    last_line = result.stdout.splitlines()[-1]
    return dict(json.loads(last_line))


def _find_reason(error: subprocess.CalledProcessError) -> str:
    if error.returncode < 0:
        return f"ended by signal {-error.returncode} (9 is what too little memory gives)"
    lines = str(error.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {error.returncode}"


def read_memory(entry: str, process: int | str = "self") -> int:
    """Return bytes from the kernel's account of a process (Linux): `VmRSS` now, `VmHWM` at the
    highest since the program began. Raises StopIteration for one that has ended.
    """
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{entry}:"))
    return 1024 * int(line.split()[1])


def read_other_work() -> float:
    """Return the seconds that processors have worked for anything but this process and those that
    it has waited for (Linux), time that a host takes away included.
    """
    counts = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    user, nice, system, _, _, irq, soft_irq, steal = map(int, counts)
    ticks = user + nice + system + irq + soft_irq + steal
    own = sum(os.times()[:4])
    return ticks / os.sysconf("SC_CLK_TCK") - own


def describe_disturbance(others: float) -> str:
    """Return what to add to a measurement while which so many processors were busy otherwise;
    nothing where it was quiet.
    """
    if others <= MOST_OTHER_WORK:
        return ""
    return f"; disturbed: {others:.1f} processors busy otherwise, measure again"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
