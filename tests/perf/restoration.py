"""What whole classical methods cost: seconds on two threads at three sizes, growth with the pixels,
and peak memory.

`python -m tests.perf.restoration` measures everything in one run, one fresh process per method and
size, the sizes of a method in turn. Preparing (imports, compilation) is not timed. The picture is
that of the command `cost`. Other work on the machine disturbs it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmark.cost.mosaic import make_mosaic

ROOT = Path(__file__).parents[2]
THREADS = 2
ROUNDS = 3
SIZES = ((1680, 1120), (1188, 792), (840, 560))
METHODS = {
    "zhuo-sim": "target < 40 s",
    "ebdb": "target < 40 s",
    "jnb": "target < 50 s",
    "fixed-point:map=oracle": "beyond its map, target < 5 s",
    "fixed-point:map=oracle,iterations=5": "beyond its map",
    "blur-posterior": "",
    "zhuo-sim:map=oracle,deconvolution=richardson-lucy,psf=disk,light=linear": "beyond its map",
}


def main() -> None:
    """Measure and print."""
    for text, target in METHODS.items():
        found = {size: measured(text, size) for size in SIZES}
        full, small = found[SIZES[0]], found[SIZES[-1]]
        pixels = SIZES[0][0] * SIZES[0][1] / (SIZES[-1][0] * SIZES[-1][1])
        seconds = ", ".join(
            f"{width}x{height}: {found[width, height]['seconds']:.2f} s "
            f"({1e6 * found[width, height]['seconds'] / (width * height):.1f} s/Mpx)"
            for width, height in SIZES
        )
        say(
            f"{text}: {seconds} ({target or 'no target'}); {pixels:.0f} times the pixels take "
            f"{full['seconds'] / small['seconds']:.1f} times as long; peak "
            f"{full['peak'] / 2**30:.2f} GiB (target < 3)"
        )

    report_map()


def report_map() -> None:
    """Print the time of the map that the authors' program makes in 4.3 and 6.2 s, on another
    machine.
    """
    from benchmark.methods.two_stage import ebdb

    image, _ = make_mosaic(360, 360)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ebdb.estimate_ebdb_map(image)
        seconds.append(time.perf_counter() - started)
    taken = median(seconds)
    say(
        f"map of ebdb, 360x360: {taken:.2f} s; the authors' program under GNU Octave took 4.3 and "
        f"6.2 s for pictures of this size on another machine, {4.3 / taken:.0f} and "
        f"{6.2 / taken:.0f} times as long (target 10)"
    )


def measured(text: str, size: tuple[int, int]) -> dict[str, float]:
    """Return the median seconds and the peak memory (bytes) of a fresh process."""
    threads = {
        name: str(THREADS)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    }
    command = [sys.executable, "-m", "tests.perf.restoration", text, *map(str, size)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads},
    )
    return dict(json.loads(done.stdout))


def measure(text: str, width: int, height: int) -> None:
    """Time one method in this process and print the result as JSON."""
    import cv2

    from benchmark.api import Method, Observation
    from benchmark.registry import METHODS as REGISTRY
    from benchmark.registry import create

    cv2.setNumThreads(THREADS)
    method: Method = create(REGISTRY, text)[0]
    image, blur_map = make_mosaic(width, height)
    seen = Observation(image=image, blur_map=blur_map if method.card.oracle else None)
    method.prepare("cpu")
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        method.restore(seen)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    say(json.dumps({"seconds": median(seconds), "peak": peak}))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
