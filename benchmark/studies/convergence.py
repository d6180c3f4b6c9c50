"""How iterative methods converge: quality and residual after every step.

Any method whose `iterates` yields its steps can be followed, until it stops by itself. Quality is
PSNR (dB) of the clamped picture on the input track `u8`, as in the canonical protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmark import plan, worker
from benchmark.api import Scalar
from benchmark.cells import StudyResult, Task
from benchmark.engines import Engine
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.studies.study import Study, do_study, make_cell_item
from benchmark.worker import RunSettings

StepRow = dict[str, Scalar | None]
_FACTS = ("dataset", "sample", "noise", "on_views", "method")


def follow_methods(
    methods: Sequence[PlannedMethod],
    data: Sequence[PlannedDataset],
    noises: Sequence[Noise],
    settings: RunSettings,
    *,
    engine: Engine,
) -> list[StepRow]:
    """Follow every method on every sample at every noise level.

    Args:
        methods, data: as `plan.select_methods` and `plan.select_dataset` give them.
        noises: noise levels.
        settings: folder for the steps, data root, plug-ins and device.
        engine: where methods are followed.

    Returns:
        One row per step, in the order of the plan: dataset, sample, scene, noise, on_views (see
        `Noise`), method, step (0 is the start), psnr (dB), residual and the method's facts, with
        `status` ok; or one row with a `reason` for a method that cannot be followed there (skipped)
        or did not get through (failed).
    """
    tasks: list[Task] = []
    for dataset in data:
        tasks += plan.plan_tasks(methods, dataset, [Track("u8")], noises)
    items = [make_cell_item(CONVERGENCE, task) for task in tasks]
    rows: list[StepRow] = []
    for result in do_study(CONVERGENCE, items, settings, engine=engine):
        rows += _make_step_rows(result)
    return rows


def _make_step_rows(result: StudyResult) -> list[StepRow]:
    row: StepRow = {name: result.facts[name] for name in _FACTS}
    if result.status != "ok":
        return [{**row, "status": result.status, "reason": result.reason}]
    row |= {"scene": result.values["scene"], "status": "ok"}
    return [{**row, "step": number, **step} for number, step in enumerate(result.values["steps"])]


def follow_cell(task: Task) -> Mapping[str, Any]:
    """Return the scene of one cell, and PSNR in dB (None without a target), residual and further
    facts of each step; for use inside a worker.
    """
    sample, track, method, observation = worker.prepare_cell(task)
    measure = Psnr()
    target = None
    if sample.target is not None:
        target = track.frame(sample.target)
    steps: list[dict[str, float | None]] = []
    for step in method.iterates(observation):
        output = track.finish(step.picture, sample.image.shape[:2])
        psnr = None
        if target is not None:
            psnr = measure(output.clip(0, 1), target)
        steps.append({"psnr": psnr, "residual": step.residual, **step.facts})
    return {"scene": sample.scene, "steps": steps}


CONVERGENCE: Final = Study("convergence", "1", follow_cell, "following")
