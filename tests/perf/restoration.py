"""What whole classical methods cost: seconds on two threads at three sizes, growth with the pixels,
seconds of each stage at the largest size, and peak memory.

`python -m tests.perf.restoration` measures everything in one run, one fresh process per method and
size, the sizes of a method in turn. Preparing (imports, compilation) is not timed. The picture is
that of the command `cost`. Other work on the machine disturbs it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmark.studies.cost.mosaic import make_mosaic
from tests.perf.processes import (
    THREADS,
    describe_disturbance,
    measure_alone,
    read_memory,
    read_other_work,
    say,
)

ROUNDS = 3
SIZES = ((1680, 1120), (1188, 792), (840, 560))
CLASSIC_TARGET = "target < 10 s"
METHODS = {
    "zhuo-sim": CLASSIC_TARGET,
    "ebdb": CLASSIC_TARGET,
    "jnb": CLASSIC_TARGET,
    "fixed-point:map=oracle": "beyond its map, target < 5 s",
    "fixed-point:map=oracle,iterations=5": "beyond its map",
    "blur-posterior": CLASSIC_TARGET,
    "zhuo-sim:map=oracle,deconvolution=richardson-lucy,psf=disk,light=linear": "beyond its map",
}

STAGES = {
    "blur_posterior": ("infer_posterior", "_average_wiener_filters", "_refine"),
    "ebdb": ("estimate_ebdb_edges", "_spread_sparse_map"),
    "hyper_laplacian": ("deconvolve_hyper_laplacian",),
    "jnb": ("count_atoms", "propagate_counts"),
    "richardson_lucy": ("deconvolve_richardson_lucy",),
    "wiener": ("deconvolve_wiener",),
    "zhuo_sim": ("estimate_zhuo_sim_edges", "propagate_by_colour"),
}
"""Modules of `benchmark.methods.two_stage`, and the functions whose time the profile shows."""
WHOLE_RUN = {"seconds", "peak", "others"}
"""What is measured beside the seconds of stages."""


def main() -> None:
    """Measure and print."""
    for text, target in METHODS.items():
        costs = {size: measure_alone("tests.perf.restoration", text, *size) for size in SIZES}
        full = costs[SIZES[0]]
        small = costs[SIZES[-1]]
        pixels = SIZES[0][0] * SIZES[0][1] / (SIZES[-1][0] * SIZES[-1][1])
        seconds = ", ".join(
            f"{width}x{height}: {costs[width, height]['seconds']:.2f} s "
            f"({1e6 * costs[width, height]['seconds'] / (width * height):.1f} s/Mpx)"
            for width, height in SIZES
        )
        say(
            f"{text}: {seconds} ({target or 'no target'}); {pixels:.0f} times the pixels take "
            f"{full['seconds'] / small['seconds']:.1f} times as long; peak "
            f"{full['peak'] / 2**30:.2f} GiB (target < 3)"
        )
        stages = [f"{name} {full[name]:.2f} s" for name in full if name not in WHOLE_RUN]
        disturbance = describe_disturbance(full["others"])
        say(f"  at {SIZES[0][0]}x{SIZES[0][1]}: {', '.join(stages)}{disturbance}")

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


def measure(text: str, width: int, height: int) -> None:
    """Time one method in this process, and print as JSON the median `seconds`, the `peak` memory
    (bytes), how many processors `others` kept busy, and the median seconds of each stage that the
    method has.
    """
    import cv2

    from benchmark.api import Method, Observation
    from benchmark.registry import METHODS as REGISTRY
    from benchmark.registry import create

    cv2.setNumThreads(THREADS)
    method: Method = create(REGISTRY, text)[0]
    image, blur_map = make_mosaic(width, height)
    observation = Observation(image=image, blur_map=blur_map if method.card.oracle else None)
    method.prepare("cpu")
    stage_seconds = time_stages()
    other_work = read_other_work()
    beginning = time.perf_counter()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        method.restore(observation)
        seconds.append(time.perf_counter() - started)
    others = (read_other_work() - other_work) / (time.perf_counter() - beginning)
    peak = read_memory("VmHWM")
    stages = {name: median(values) for name, values in stage_seconds.items()}
    say(json.dumps({"seconds": median(seconds), "peak": peak, "others": others, **stages}))


def time_stages() -> dict[str, list[float]]:
    """Make every stage note how long it takes from now on, and return the notes: stage -> seconds
    of each call. No stage is part of another, and a restoration calls each at most once.
    """
    notes: dict[str, list[float]] = {}
    for module_name, stages in STAGES.items():
        module = importlib.import_module(f"benchmark.methods.two_stage.{module_name}")
        for stage in stages:
            setattr(module, stage, note_time(getattr(module, stage), stage, notes))
    return notes


def note_time(
    function: Callable[..., Any], name: str, notes: dict[str, list[float]]
) -> Callable[..., Any]:
    """Return the function, which adds the seconds of each call to the notes under a name."""

    def run(*arguments: object, **options: object) -> object:
        started = time.perf_counter()
        result = function(*arguments, **options)
        notes.setdefault(name, []).append(time.perf_counter() - started)
        return result

    return run


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
