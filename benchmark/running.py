"""What the command `run` and `benchmark.run` both do: resolve ids, do what is missing, count it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmark import console, plan, provenance, runner
from benchmark.api import Precision, UsageError
from benchmark.apply import resolve_device
from benchmark.cells import Task, digest_place
from benchmark.engines import Engine
from benchmark.engines.local import LocalEngine
from benchmark.forecast import describe_forecast, forecast_run
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.registry import create_metric
from benchmark.run_layout import default_results_folder
from benchmark.session import Session
from benchmark.store import FILE_NAME as STORE_NAME
from benchmark.store import Store
from benchmark.worker import RunSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run. Plug-ins are loaded already.

    Attributes:
        methods: ids and groups, or comma lists of them.
        dataset: id of the data set.
        noises: noise levels.
        protocols: id -> protocol that outputs are scored under.
        depth: reading depth, "u8" or "u16"; None for each protocol's own.
        data: the folder that holds the data sets.
        out: the run folder; None for `results/runs/DATASET`.
        limit: only the first pictures; None for all.
        engine: where it is done.
        timeout: seconds that a picture may take; None for any.
        device: "auto", "cpu" or "cuda".
        precision: what the networks compute in, where their ids do not say it.
        save: keep outputs for `score`, and pictures to look at.
        rounds_outputs: round outputs to half precision before they are scored and kept.
        plugins: the plug-in files, for the workers and for the record.
        lpips_trunk: file of LPIPS' weights; None to let LPIPS look itself.
    """

    methods: tuple[str, ...]
    dataset: str
    noises: tuple[Noise, ...]
    protocols: Mapping[str, Protocol]
    depth: str | None = None
    data: Path = Path("data")
    out: Path | None = None
    limit: int | None = None
    engine: Engine = dataclasses.field(default_factory=LocalEngine)
    timeout: float | None = None
    device: str = "auto"
    precision: Precision = "32"
    save: bool = True
    rounds_outputs: bool = False
    plugins: tuple[Path, ...] = ()
    lpips_trunk: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run ended with.

    Attributes:
        folder: the run folder.
        dataset: canonical id of the data set.
        methods: canonical ids of the methods, in the order they were named.
        noises: the noise levels.
        failures: cells that failed or took too long, and scores that failed.
    """

    folder: Path
    dataset: str
    methods: tuple[str, ...]
    noises: tuple[Noise, ...]
    failures: int


@dataclasses.dataclass(frozen=True, slots=True)
class _PlannedRun:
    """A request with everything it names looked up.

    Attributes:
        methods: with their weights for this data set.
        dataset: with the chosen pictures.
        tracks: of each protocol.
        tasks: every cell of the plan.
        settings: for the workers.
    """

    methods: list[plan.PlannedMethod]
    dataset: plan.PlannedDataset
    tracks: Mapping[str, Track]
    tasks: list[Task]
    settings: RunSettings


def run_methods(request: RunRequest) -> FinishedRun:
    """Run and score what a run folder still lacks of a request.

    Raises:
        UsageError: unknown ids or parameters, a protocol that fixes another depth, or a precision
            that the device does not have.
        DataError: missing or damaged data.
        WorkerStartError: worker processes cannot start.
    """
    planned_run = _plan_run(request)
    methods = planned_run.methods
    facts = provenance.collect_provenance(**_collect_facts(request, planned_run))
    with Session(planned_run.settings, request.protocols, facts) as session:
        session.begin()
        session.put_cards(methods, planned_run.dataset)
        missing_tasks = session.select_missing(planned_run.tasks, planned_run.tracks)
        failures = session.do_tasks(
            missing_tasks, engine=request.engine, timeout=request.timeout, label="restoring"
        )
        failures = max(failures, session.report_cells([task.cell for task in planned_run.tasks]))
        labels = tuple(method.id.label for method in methods)
        levels = tuple(
            dict.fromkeys(noise.canonical().of_inputs("image") for noise in request.noises)
        )
        dataset = planned_run.dataset.id.label
        return FinishedRun(session.store.folder, dataset, labels, levels, failures)


def describe_run(request: RunRequest) -> list[str]:
    """Return in lines what `run_methods` would do, and what it would cost; nothing is written.

    Raises:
        UsageError, DataError: as `run_methods`, or if the run folder cannot be read.
    """
    planned_run = _plan_run(request)
    settings = planned_run.settings
    with contextlib.ExitStack() as resources:
        store = None
        missing_tasks = planned_run.tasks
        if (settings.folder / STORE_NAME).exists():
            store = resources.enter_context(Store(settings.folder, read_only=True))
            missing_tasks = runner.select_missing_tasks(
                planned_run.tasks,
                store,
                request.protocols,
                lambda cell, protocol: planned_run.tracks[protocol.id].id == cell.track,
                keep=settings.save,
            )
        forecast = forecast_run(
            planned_run.tasks, missing_tasks, planned_run.dataset, store, settings.folder
        )
    facts = request.engine.describe_processes(missing_tasks, settings)
    return describe_forecast(
        forecast,
        settings.folder,
        facts.get("workers"),
        save=settings.save,
        rounds_outputs=settings.rounds_outputs,
    )


def _plan_run(request: RunRequest) -> _PlannedRun:
    methods = plan.select_methods(request.methods, console.print_note, request.precision)
    tracks = plan.select_tracks(list(request.protocols.values()), request.depth)
    warn_of_other_depth(methods, tracks.values())
    dataset = plan.select_dataset(request.dataset, request.data, request.limit, console.print_note)
    methods = plan.pair_methods(
        methods, dataset, tracks.values(), request.noises, console.print_note
    )
    tasks = plan.plan_tasks(methods, dataset, tracks.values(), request.noises)
    _require_device(request.device)  # asks torch, whose import takes seconds, so it comes last
    plan.require_precisions(methods, request.device)
    settings = RunSettings(
        request.out or default_results_folder(dataset.id.label),
        request.data,
        request.plugins,
        request.device,
        request.save,
        request.rounds_outputs,
        lpips_trunk=request.lpips_trunk,
    )
    return _PlannedRun(methods, dataset, tracks, tasks, settings)


def _require_device(device: str) -> None:
    """Raise UsageError if a GPU is asked for that is not there."""
    if device == "cuda":
        try:
            resolve_device(device, needs_network=True)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _collect_facts(request: RunRequest, planned_run: _PlannedRun) -> dict[str, object]:
    """Return what the provenance of a run says beside the environment."""
    dataset = planned_run.dataset
    label = dataset.id.label
    place = digest_place(dataset.id)
    weights = {method.id.label: method.weights for method in planned_run.methods if method.weights}
    return {
        "data": {label: dataset.fingerprint()},
        "places": {label: place} if place else {},
        "limited": {label: len(dataset.fingerprints) < len(dataset.dataset.ids())},
        "weights": weights,
        "metric_weights": hash_metric_weights(request.protocols.values()),
        "plugins": provenance.hash_files(request.plugins),
        "device": request.device,
        **({"outputs": "float16"} if request.rounds_outputs else {}),
        **request.engine.describe(),
    }


def warn_of_other_depth(methods: Iterable[plan.PlannedMethod], tracks: Iterable[Track]) -> None:
    """Say which weights have printed numbers of another depth than the tracks; nothing is
    rounded.
    """
    depths = sorted({track.depth for track in tracks})
    for method in methods:
        expects = method.card.expects
        others = [depth for depth in depths if expects and depth != f"u{expects.bits}"]
        if expects is not None and expects.bits is not None and others:
            console.print_note(
                f"{method.id.label}: the numbers printed for these weights are of {expects.bits} "
                f"bits, and this run reads {', '.join(others)}; see --track"
            )


def hash_metric_weights(protocols: Iterable[Protocol]) -> dict[str, str]:
    """Return metric -> hash of its weights, for those that have any."""
    measures = itertools.chain.from_iterable(protocol.measures for protocol in protocols)
    hashes = {}
    for name in sorted({measure.metric for measure in measures}):
        weights = create_metric(name).weights_hash()
        if weights:
            hashes[name] = weights
    return hashes
