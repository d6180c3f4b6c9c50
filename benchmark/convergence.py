"""How iterative methods converge: quality and residual after every step.

Any method whose `iterates` yields its steps can be followed, until it stops by itself. Quality is
PSNR (dB) of the clamped picture on the input track `u8`, as in the canonical protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmark import console, plan, worker
from benchmark.api import Scalar
from benchmark.apply import Skip, one_line
from benchmark.cells import Cell, Task
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.runner import map_in_processes
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure

StepRow = dict[str, Scalar | None]
StepTrace = list[tuple[float | None, float, dict[str, float]]]
"""Per step: PSNR in dB (None without a target), residual, further facts."""


class FollowedCell(NamedTuple):
    """The steps of one cell, and the scene that its sample shows."""

    scene: str
    steps: StepTrace


def follow_methods(
    methods: Sequence[PlannedMethod],
    data: Sequence[PlannedDataset],
    noises: Sequence[Noise],
    settings: RunSettings,
    *,
    jobs: int = 1,
) -> list[StepRow]:
    """Follow every method on every sample at every noise level.

    Args:
        methods, data: as `plan.select_methods` and `plan.select_dataset` give them.
        noises: noise levels.
        settings: data root, plug-ins and device; nothing is stored.
        jobs: worker processes.

    Returns:
        One row per step, in the order of the plan: dataset, sample, scene, noise, method, step (0
        is the start), psnr (dB), residual and the method's facts, with `status` ok; or one row with
        a `reason` for a method that cannot be followed there (skipped) or did not get through
        (failed).
    """
    tasks: list[Task] = []
    for dataset in data:
        tasks += plan.plan_tasks(methods, dataset, [Track("u8")], noises)
    results = map_in_processes(follow_cell, tasks, settings, jobs=jobs)
    traces = dict(console.track_progress(results, len(tasks), "following"))
    rows: list[StepRow] = []
    for task in tasks:
        rows += _make_step_rows(task.cell, traces[task])
    return rows


def _make_step_rows(cell: Cell, trace: FollowedCell | str | Failure) -> list[StepRow]:
    cell_columns: StepRow = {
        "dataset": cell.dataset,
        "sample": cell.sample,
        "noise": cell.noise.sigma,
        "method": cell.method,
    }
    if isinstance(trace, Failure):
        return [{**cell_columns, "status": "failed", "reason": trace.reason}]
    if isinstance(trace, str):
        return [{**cell_columns, "status": "skipped", "reason": trace}]
    cell_columns["scene"] = trace.scene
    return [
        {**cell_columns, "status": "ok", "step": step, "psnr": psnr, "residual": residual, **facts}
        for step, (psnr, residual, facts) in enumerate(trace.steps)
    ]


def follow_cell(task: Task) -> FollowedCell | str:
    """Return the steps of one cell, or why there are none; for use inside a worker."""
    sample, track, method, observation = worker.prepare_cell(task)
    measure = Psnr()
    target = None
    if sample.target is not None:
        target = track.frame(sample.target)
    trace: StepTrace = []
    try:
        for step in method.iterates(observation):
            output = track.finish(step.picture, sample.image.shape[:2])
            psnr = None
            if target is not None:
                psnr = measure(output.clip(0, 1), target)
            trace.append((psnr, step.residual, dict(step.facts)))
    except Skip as skip:
        return one_line(skip.reason)
    return FollowedCell(sample.scene, trace)
