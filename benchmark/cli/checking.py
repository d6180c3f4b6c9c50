"""Commands that show what there is, and check it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
    DeviceChoice,
    DeviceOption,
    JobsOption,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    TimeoutOption,
    TrunkOption,
    check_device,
    prepare,
)

if TYPE_CHECKING:
    from benchmark.conformance import CheckResult

PANEL = "Look and check"


class ListTopic(enum.StrEnum):
    """What `list` can list."""

    methods = "methods"
    datasets = "datasets"
    protocols = "protocols"
    metrics = "metrics"
    importers = "importers"
    checkpoints = "checkpoints"


TopicArgument = Annotated[ListTopic, typer.Argument(help="What to list.")]
MethodsToCheckOption = Annotated[
    list[str] | None, typer.Option("--methods", help="Ids of methods to check.")
]
DatasetToCheckOption = Annotated[
    str | None, typer.Option("--dataset", help="Id of a data set to check.")
]


RunOrBundleArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder that `run` wrote, or a bundle.")
]
RescoreOption = Annotated[
    int | None,
    typer.Option("--cells", min=0, help="Outputs to score again, drawn at random; default: 20."),
]
RescoreAllOption = Annotated[bool, typer.Option("--all", help="Score all outputs again.")]
RestoreOption = Annotated[
    int, typer.Option("--restore", min=0, help="Cells to restore again, drawn at random.")
]
DrawSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn.")]
ToleranceOption = Annotated[
    float,
    typer.Option(
        "--tolerance",
        min=0,
        help="How far what is computed again may be off: a part of the pixels' range, or of a "
        "score (of 1, if that is larger).",
    ),
]
SetAsideOption = Annotated[
    bool,
    typer.Option("--set-aside", help="Rename damaged outputs, so that `run` makes them again."),
]


@app.command(name="list", rich_help_panel=PANEL)
def list_command(kind: TopicArgument, plugin: PluginsOption = None) -> None:
    """List what is registered, or which checkpoints there are.

    What does not load is listed with the reason.
    """
    prepare(plugin, None)
    from benchmark.cli import listing

    console.wide_console().print(listing.make_topic_table(kind.value))


@app.command(name="datasets", rich_help_panel=PANEL)
def datasets_command(data: DataOption = Path("data"), plugin: PluginsOption = None) -> None:
    """Show which data sets are found under the data root, what is missing, and where it belongs."""
    prepare(plugin, None)
    from benchmark.cli import listing

    console.print_line(f"data root: {data} (change it with --data or BENCHMARK_DATA)\n")
    for line in listing.describe_datasets(data):
        console.out.print(line, highlight=False)


@app.command(name="verify", rich_help_panel=PANEL)
def verify_command(
    run: RunOrBundleArgument,
    cells: RescoreOption = None,
    all_cells: RescoreAllOption = False,
    restore: RestoreOption = 0,
    seed: DrawSeedOption = 0,
    tolerance: ToleranceOption = 1e-4,
    set_aside: SetAsideOption = False,
    lpips_trunk: TrunkOption = None,
    data: DataOption = Path("data"),
    jobs: JobsOption = 0,
    timeout: TimeoutOption = None,
    device: DeviceOption = DeviceChoice.auto,
    plugin: PluginsOption = None,
) -> None:
    """Check that the outputs of a run are what was written, and its scores come out again.

    Every output is read. Scores are computed again for some of them or all. No score is changed.
    Of a bundle, files are held against their digests, and scores against what they can be.
    """
    if all_cells and cells is not None:
        raise UsageError("--cells and --all: name one of them")
    prepare(plugin, lpips_trunk)
    check_device(device)
    from benchmark.engines.local import LocalEngine
    from benchmark.verification import DEFAULT_CELLS, VerifyRequest, verify_run

    if cells is None and not all_cells:
        cells = DEFAULT_CELLS
    verification = verify_run(
        VerifyRequest(
            run=run,
            cells=cells,
            restore=restore,
            seed=seed,
            tolerance=tolerance,
            set_aside=set_aside,
            data=data,
            engine=LocalEngine(jobs),
            timeout=timeout,
            device=device.value,
            plugins=tuple(plugin or []),
            lpips_trunk=lpips_trunk,
        )
    )
    console.print_line(verification)
    raise typer.Exit(0 if verification.agrees else 1)


@app.command(name="check", rich_help_panel=PANEL)
def check_command(
    methods: MethodsToCheckOption = None,
    dataset: DatasetToCheckOption = None,
    data: DataOption = Path("data"),
    device: DeviceOption = DeviceChoice.cpu,
    precision: PrecisionOption = PrecisionChoice.single,
    plugin: PluginsOption = None,
) -> None:
    """Check that a method or a data set keeps the contract; for authors of plug-ins."""
    prepare(plugin, None)
    from benchmark import conformance, plan
    from benchmark.engines.local import count_threads
    from benchmark.registry import DATASETS, resolve_id
    from benchmark.worker import RunSettings

    if not methods and dataset is None:
        raise UsageError("name what to check: --methods ID or --dataset NAME")
    suites: dict[str, Iterable[CheckResult]] = {}
    plugins = tuple(plugin or [])
    settings = RunSettings(Path(), data, plugins, device.value, threads=count_threads(1))
    if methods:
        planned_methods = plan.select_methods(methods, console.print_note, precision.value)
        plan.require_precisions(planned_methods, device.value)
        for method in planned_methods:
            suites[method.id.label] = conformance.check_method_apart(method.id, settings)
    if dataset is not None:
        name = resolve_id(DATASETS, dataset, root=data).label
        suites[name] = conformance.check_dataset_apart(dataset, settings, console.print_note)
    failures = [_print_check_results(name, results) for name, results in suites.items()]
    raise typer.Exit(1 if any(failures) else 0)


@app.command(name="doctor", rich_help_panel=PANEL)
def doctor_command(
    data: DataOption = Path("data"),
    lpips_trunk: TrunkOption = None,
    plugin: PluginsOption = None,
) -> None:
    """Report versions, device, weights and data: what works here, what does not, and why."""
    prepare(plugin, lpips_trunk)
    from benchmark.cli import doctor

    for line in doctor.diagnose(data):
        console.out.print(line, highlight=False)


def _print_check_results(name: str, results: Iterable[CheckResult]) -> int:
    """Print the results of one suite as they come; return how many checks failed."""
    console.out.print(name, style="bold", highlight=False, markup=False)
    failures = 0
    for result in results:
        line = f"  ok     {result.name}"
        if not result.passes:
            failures += 1
            line = f"  FAILED {result.name}"
        if result.detail:
            line += f" - {result.detail}"
        console.out.print(line, markup=False)
    return failures
