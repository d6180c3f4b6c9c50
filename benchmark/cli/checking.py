"""Commands that show what there is, and check it."""

from __future__ import annotations

import enum
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
    PluginsOption,
    TrunkOption,
    prepare,
)

if TYPE_CHECKING:
    from benchmark.plan import PlannedMethod

PANEL = "Look and check"


class RegistryKind(enum.StrEnum):
    """What `list` can list."""

    methods = "methods"
    datasets_command = "datasets"
    protocols = "protocols"
    metrics = "metrics"
    importers = "importers"
    checkpoints = "checkpoints"


@app.command(name="list", rich_help_panel=PANEL)
def list_command(
    kind: Annotated[RegistryKind, typer.Argument(help="What to list.")],
    plugin: PluginsOption = None,
) -> None:
    """List what is registered, or which checkpoints are found; what does not load is listed with
    the reason.
    """
    prepare(plugin, None)
    from benchmark.cli import listing

    console.wide().print(listing.make_registry_table(kind.value))


@app.command(name="datasets", rich_help_panel=PANEL)
def datasets_command(data: DataOption = Path("data"), plugin: PluginsOption = None) -> None:
    """Show which data sets are found under the data root, what is missing, and where it belongs."""
    prepare(plugin, None)
    from benchmark.cli import listing

    console.out.print(
        f"data root: {data} (change it with --data or BENCHMARK_DATA)\n",
        highlight=False,
        markup=False,
    )
    for line in listing.describe_datasets(data):
        console.out.print(line, highlight=False)


@app.command(name="check", rich_help_panel=PANEL)
def check_command(
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="Ids of methods to check.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Id of a data set to check.")
    ] = None,
    data: DataOption = Path("data"),
    device: DeviceOption = DeviceChoice.cpu,
    plugin: PluginsOption = None,
) -> None:
    """Check that a method or a data set keeps the contract; for authors of plug-ins."""
    prepare(plugin, None)
    from benchmark import conformance, plan

    if not methods and dataset is None:
        raise UsageError("name what to check: --methods ID or --dataset NAME")
    suites = {
        m.id.label: conformance.check_method(m.id.label, device.value)
        for m in _select_methods_to_check(methods)
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


@app.command(name="doctor", rich_help_panel=PANEL)
def doctor_command(
    data: DataOption = Path("data"), lpips_trunk: TrunkOption = None, plugin: PluginsOption = None
) -> None:
    """Report versions, device, threads, weights and data sets: what works here, what does not, and
    why.
    """
    prepare(plugin, lpips_trunk)
    from benchmark.cli import listing

    for line in listing.diagnose(data):
        console.out.print(line, highlight=False)


def _select_methods_to_check(methods: list[str] | None) -> list[PlannedMethod]:
    from benchmark import plan

    return plan.select_methods(methods) if methods else []
