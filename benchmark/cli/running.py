"""Commands that run methods, and that score what they made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
    DatasetOption,
    DepthChoice,
    DeviceChoice,
    DeviceOption,
    JobsOption,
    LimitOption,
    MethodsOption,
    NoiseClipOption,
    NoiseOption,
    NoiseRound8Option,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    ProtocolsOption,
    RunArgument,
    RunFolderOption,
    SeedOption,
    TimeoutOption,
    TrunkOption,
    check_device,
    look_up_protocols,
    make_settings,
    parse_noise_levels,
    prepare,
)

PANEL = "Measure"


TrackOption = Annotated[
    DepthChoice | None,
    typer.Option(help="Input track: bit depth of what methods see; default: the protocol's."),
]
SaveImagesOption = Annotated[
    bool,
    typer.Option(
        "--save-images/--no-save-images", help="Keep outputs (for `score`) and pictures to look at."
    ),
]


@app.command(name="run", rich_help_panel=PANEL)
def run_command(
    methods: MethodsOption,
    dataset: DatasetOption,
    noise: NoiseOption = "0",
    noise_clip: NoiseClipOption = False,
    noise_round8: NoiseRound8Option = False,
    track: TrackOption = None,
    protocol: ProtocolsOption = ["canonical"],  # noqa: B006 (typer copies defaults)
    timeout: TimeoutOption = None,
    lpips_trunk: TrunkOption = None,
    data: DataOption = Path("data"),
    out: RunFolderOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = 0,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.single,
    save_images: SaveImagesOption = True,
    seed: SeedOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Run methods over a data set and score them.

    The same command again does only what is missing.
    """
    prepare(plugin, lpips_trunk)
    check_device(device)
    from benchmark.running import RunRequest, run_methods

    protocols = look_up_protocols(protocol)
    run = run_methods(
        RunRequest(
            methods=tuple(methods),
            dataset=dataset,
            noises=tuple(parse_noise_levels(noise, noise_clip, noise_round8, seed)),
            protocols=protocols,
            depth=track,
            data=data,
            out=out,
            limit=limit,
            jobs=jobs,
            timeout=timeout,
            device=device.value,
            precision=precision.value,
            save=save_images,
            plugins=tuple(plugin or []),
            lpips_trunk=lpips_trunk,
        )
    )
    _print_tables(run.folder, list(protocols), run.dataset)
    raise typer.Exit(1 if run.failures else 0)


@app.command(name="score", rich_help_panel=PANEL)
def score_command(
    run: RunArgument,
    protocol: ProtocolsOption,
    lpips_trunk: TrunkOption = None,
    data: DataOption = Path("data"),
    jobs: JobsOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Score the saved outputs of a run under further protocols, without running any method."""
    prepare(plugin, lpips_trunk)
    from benchmark import provenance
    from benchmark.running import hash_metric_weights
    from benchmark.session import Session

    protocols = look_up_protocols(protocol)
    settings = make_settings(run, data, plugin, DeviceChoice.cpu, False, lpips_trunk)
    settings = dataclasses.replace(settings, rerun=False)
    facts = provenance.collect_provenance(metric_weights=hash_metric_weights(protocols.values()))
    with Session(settings, protocols, facts, create=False) as session:
        tasks = session.select_unscored()
        session.begin()
        failures = session.do_tasks(tasks, jobs=jobs, timeout=None, label="scoring")
        failures += session.lost_outputs
        failures += session.report_failed_scores([task.cell for task in tasks])
        _print_tables(run, list(protocols))
    raise typer.Exit(1 if failures else 0)


def _print_tables(folder: Path, protocols: list[str], dataset: str | None = None) -> None:
    """Print the tables that a command asked for; write the report of the whole run beside it."""
    from benchmark.reports import overview, tables
    from benchmark.results import results_of
    from benchmark.store import Store

    with Store(folder, read_only=True) as store:
        all_summaries = results_of(store).summaries()
        picture = overview.write_overview(store, folder / "overview.png", dataset)
    for summary in all_summaries:
        if summary.protocol in protocols and dataset in (None, summary.dataset):
            console.wide_console().print(tables.summary_to_terminal(summary))
            for line in summary.footnotes:
                console.print_line(line)
    report = folder / "report.md"
    report.write_text(tables.format_summaries(all_summaries, "markdown"), encoding="utf-8")
    console.print_line(f"\nreport: {report}")
    if picture is not None:
        console.print_line(f"pictures: {picture}, all of them in {folder / 'pictures'}")
