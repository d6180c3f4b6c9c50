"""Commands that show what there is, and check it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import Data, Device, DeviceOption, Plugins, Trunk, prepare

if TYPE_CHECKING:
    from benchmark.plan import PlannedMethod

PANEL = "Look and check"


class Kind(enum.StrEnum):
    """What `list` can list."""

    methods = "methods"
    datasets = "datasets"
    protocols = "protocols"
    metrics = "metrics"
    importers = "importers"
    checkpoints = "checkpoints"


@app.command(name="list", rich_help_panel=PANEL)
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Plugins = None,
) -> None:
    """List what is registered, or which checkpoints are found; what does not load is listed with
    the reason.
    """
    prepare(plugin, None)
    from benchmark.cli import listing

    console.wide().print(listing.table(kind.value))


@app.command(rich_help_panel=PANEL)
def datasets(data: Data = Path("data"), plugin: Plugins = None) -> None:
    """Show which data sets are found under the data root, what is missing, and where it belongs."""
    prepare(plugin, None)
    from benchmark.cli import listing

    console.out.print(
        f"data root: {data} (change it with --data or BENCHMARK_DATA)\n",
        highlight=False,
        markup=False,
    )
    for line in listing.found_datasets(data):
        console.out.print(line, highlight=False)


@app.command(rich_help_panel=PANEL)
def check(
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="Ids of methods to check.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Id of a data set to check.")
    ] = None,
    data: Data = Path("data"),
    device: DeviceOption = Device.cpu,
    plugin: Plugins = None,
) -> None:
    """Check that a method or a data set keeps the contract; for authors of plug-ins."""
    prepare(plugin, None)
    from benchmark import conformance, plan

    if not methods and dataset is None:
        raise UsageError("name what to check: --methods ID or --dataset NAME")
    suites = {
        m.id.label: conformance.check_method(m.id.label, device.value) for m in _selected(methods)
    }
    if dataset is not None:
        chosen = plan.select_dataset(dataset, data, limit=2)
        suites[chosen.id.label] = conformance.check_dataset(chosen.dataset)
    failed = 0
    for name, results in suites.items():
        console.out.print(name, style="bold", highlight=False, markup=False)
        for result in results:
            failed += not result.passed
            sign = "ok    " if result.passed else "FAILED"
            console.out.print(
                f"  {sign} {result.name}" + (f" - {result.detail}" if result.detail else ""),
                markup=False,
            )
    raise typer.Exit(1 if failed else 0)


@app.command(rich_help_panel=PANEL)
def doctor(data: Data = Path("data"), lpips_trunk: Trunk = None, plugin: Plugins = None) -> None:
    """Report versions, device, threads, weights and data sets: what works here, what does not, and
    why.
    """
    prepare(plugin, lpips_trunk)
    from benchmark.cli import listing

    for line in listing.doctor(data):
        console.out.print(line, highlight=False)


def _selected(methods: list[str] | None) -> list[PlannedMethod]:
    from benchmark import plan

    return plan.select_methods(methods) if methods else []
