"""Commands that run methods, and that score what they made."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.help import name_program
from benchmark.cli.options import (
    AllowMixedOption,
    DataOption,
    DatasetOption,
    DepthChoice,
    DeviceChoice,
    DeviceOption,
    EngineChoice,
    EngineOption,
    JobsOption,
    LimitOption,
    MethodsOption,
    NoiseClipOption,
    NoiseOnViewsChoice,
    NoiseOnViewsOption,
    NoiseOption,
    NoiseRound8Option,
    OutputChoice,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    ProtocolsOption,
    RunArgument,
    RunFolderOption,
    SchedulerFileOption,
    SchedulerOption,
    SeedOption,
    TimeoutOption,
    TrunkOption,
    look_up_protocols,
    make_engine,
    make_settings,
    parse_noise_levels,
    prepare,
)

if TYPE_CHECKING:
    from benchmark.reports.ranked import TableOptions
    from benchmark.results.summaries import Summary
    from benchmark.running import FinishedRun

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
KeepOutputsOption = Annotated[
    OutputChoice,
    typer.Option(
        "--keep-outputs",
        help="float16: outputs are rounded to it (0.07 of 255 at most), then scored and kept, in "
        "half the space.",
    ),
]


DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say how many cells, how much disk and how long, and do nothing."
    ),
]


@app.command(name="run", rich_help_panel=PANEL)
def run_command(
    methods: MethodsOption,
    dataset: DatasetOption,
    noise: NoiseOption = "0",
    noise_clip: NoiseClipOption = False,
    noise_round8: NoiseRound8Option = False,
    noise_on_views: NoiseOnViewsOption = NoiseOnViewsChoice.same,
    track: TrackOption = None,
    protocol: ProtocolsOption = ["canonical"],  # noqa: B006 (typer copies defaults)
    timeout: TimeoutOption = None,
    lpips_trunk: TrunkOption = None,
    data: DataOption = Path("data"),
    out: RunFolderOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.single,
    save_images: SaveImagesOption = True,
    keep_outputs: KeepOutputsOption = OutputChoice.single,
    dry_run: DryRunOption = False,
    seed: SeedOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Run methods over a data set and score them.

    The same command again does only what is missing.
    """
    prepare(plugin, lpips_trunk)
    from benchmark.running import RunRequest, describe_run, run_methods

    protocols = look_up_protocols(protocol)
    noises = parse_noise_levels(noise, noise_on_views, seed, clip=noise_clip, round8=noise_round8)
    request = RunRequest(
        methods=tuple(methods),
        dataset=dataset,
        noises=tuple(noises),
        protocols=protocols,
        depth=track,
        data=data,
        out=out,
        limit=limit,
        engine=make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed),
        timeout=timeout,
        device=device.value,
        precision=precision.value,
        save=save_images,
        rounds_outputs=_rounds_outputs(keep_outputs, save_images),
        plugins=tuple(plugin or []),
        lpips_trunk=lpips_trunk,
    )
    if dry_run:
        _print_lines(describe_run(request))
        return
    run = run_methods(request)
    _print_tables(run.folder, list(protocols), run)
    raise typer.Exit(1 if run.failures else 0)


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        console.print_paragraph(line)


def _rounds_outputs(choice: OutputChoice, save_images: bool) -> bool:
    if choice is OutputChoice.half and not save_images:
        raise UsageError(
            "--keep-outputs float16 --no-save-images: no outputs are kept then; leave one of them "
            "out"
        )
    return choice is OutputChoice.half


@app.command(name="score", rich_help_panel=PANEL)
def score_command(
    run: RunArgument,
    protocol: ProtocolsOption,
    lpips_trunk: TrunkOption = None,
    data: DataOption = Path("data"),
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
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
        failures = session.do_tasks(
            tasks,
            engine=make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed),
            timeout=None,
            label="scoring",
        )
        failures += session.lost_outputs
        failures += session.report_failed_scores({task.cell.key for task in tasks})
        _print_tables(run, list(protocols))
    raise typer.Exit(1 if failures else 0)


def _print_tables(folder: Path, protocols: list[str], run: FinishedRun | None = None) -> None:
    """Print the tables that a command asked for; write the report of the whole run beside it."""
    from benchmark.reports import overview, ranked, tables
    from benchmark.results import results_of
    from benchmark.store import Store

    dataset = run.dataset if run else None
    options = ranked.TableOptions(
        methods=run.methods if run else None,
        levels=run.noises if run else None,
        is_plain=not console.out.is_terminal,
    )
    with Store(folder, read_only=True) as store:
        all_summaries = results_of(store).summaries()
        picture = overview.write_overview(store, folder / "overview.png", dataset)
    for summary in all_summaries:
        if summary.protocol in protocols and dataset in (None, summary.dataset):
            _print_summary(summary, options, all_summaries)
    if run is not None:
        _name_other_results(all_summaries, run)
    place = shlex.quote(str(folder))
    report = folder / "report.md"
    texts = (
        ranked.format_ranked_summaries(all_summaries, "markdown"),
        tables.format_summaries(all_summaries, "markdown"),
    )
    report.write_text("\n".join(texts), encoding="utf-8")
    console.print_line(f"\nreport: {report}, with every measure and its interval")
    if picture is not None:
        console.print_line(f"pictures: {picture}, all of them in {folder / 'pictures'}")
        console.print_line(f"Look:    {name_program()} page {place}")
    if run is not None and len(pair := ranked.name_leaders(all_summaries, options)) > 1:
        console.print_line(f"Compare: {name_program()} compare {shlex.join(pair)} {place}")


def _print_summary(
    summary: Summary, options: TableOptions, all_summaries: Sequence[Summary]
) -> None:
    from benchmark.reports import grid, ranked

    for table in ranked.summary_to_ranked_grids(summary, options, all_summaries):
        console.print_line(f"\n{table.caption}\n")
        console.table_console().print(grid.grid_to_terminal(table, compact=True))
        console.print_line("")
        for text in table.notes:
            console.print_paragraph(text)


def _name_other_results(summaries: Sequence[Summary], run: FinishedRun) -> None:
    """Say what else lies in the folder, and is in no table above."""
    methods = sorted({row.method for summary in summaries for row in summary.rows})
    others = {
        "methods": [method for method in methods if method not in run.methods],
        "data sets": sorted({summary.dataset for summary in summaries} - {run.dataset}),
        "noise levels": [
            str(level)
            for level in dict.fromkeys(level for summary in summaries for level in summary.levels())
            if level not in run.noises
        ],
    }
    texts = [f"{kind} {', '.join(names)}" for kind, names in others.items() if names]
    if texts:
        console.print_paragraph(f"Also in {run.folder}, and in its report: {'; '.join(texts)}.")
