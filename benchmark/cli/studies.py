"""Commands that study one thing: blur maps, iterations, PSFs, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import DataError
from benchmark.cli.app import app
from benchmark.cli.options import (
    AllowMixedOption,
    DataOption,
    DatasetOption,
    DepthChoice,
    DeviceChoice,
    DeviceOption,
    EngineChoice,
    EngineOption,
    FormatOption,
    JobsOption,
    LimitOption,
    MethodsOption,
    NoiseClipOption,
    NoiseOnViewsChoice,
    NoiseOnViewsOption,
    NoiseOption,
    NoiseRound8Option,
    PluginsOption,
    SchedulerFileOption,
    SchedulerOption,
    SeedOption,
    TableFormat,
    TimeoutOption,
    check_device,
    check_out_folder,
    look_up_protocols,
    make_engine,
    make_settings,
    parse_noise_levels,
    prepare,
    split_comma_lists,
)
from benchmark.run_layout import default_results_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PANEL = "Study"


TrackOption = Annotated[
    DepthChoice, typer.Option(help="Input track: bit depth of what methods see.")
]
MapsFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        callback=check_out_folder,
        help="Folder for the results; default: results/maps/NAME.",
    ),
]


@app.command(name="maps", rich_help_panel=PANEL)
def maps_command(
    methods: MethodsOption,
    dataset: DatasetOption,
    noise: NoiseOption = "0",
    noise_clip: NoiseClipOption = False,
    noise_round8: NoiseRound8Option = False,
    noise_on_views: NoiseOnViewsOption = NoiseOnViewsChoice.same,
    track: TrackOption = DepthChoice.u8,
    timeout: TimeoutOption = None,
    data: DataOption = Path("data"),
    out: MapsFolderOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
    device: DeviceOption = DeviceChoice.auto,
    seed: SeedOption = 0,
    form: FormatOption = TableFormat.markdown,
    plugin: PluginsOption = None,
) -> None:
    """Score the blur maps themselves, against true maps or masks, and show them."""
    prepare(plugin, None)
    check_device(device)
    from benchmark import plan
    from benchmark.reports import maps, tables
    from benchmark.studies.maps import score_maps

    method_plan = plan.select_restoring_methods(methods, console.print_note)
    plan.require_precisions(method_plan, device.value)
    selection = plan.select_dataset(dataset, data, limit, console.print_note)
    noises = parse_noise_levels(noise, noise_on_views, seed, clip=noise_clip, round8=noise_round8)
    folder = out or default_results_folder(selection.id.label, "maps")
    settings = make_settings(folder, data, plugin, device, save=False)
    rows = score_maps(
        method_plan,
        selection,
        noises,
        settings,
        engine=make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed),
        depth=track.value,
        timeout=timeout,
    )
    report = maps.write_map_report(rows, method_plan, selection, folder, form=form.value)
    for summary in report.summaries:
        console.wide_console().print(tables.summary_to_terminal(summary))
        for line in summary.footnotes:
            console.print_line(line)
    every_map = maps.write_map_rows(rows, folder)
    console.print_line(f"\ntables: {report.table}, every map: {every_map}")
    if report.strip is not None:
        console.print_line(f"pictures: {report.strip}")
    failures = [row for row in rows if row["status"] in ("failed", "timeout")]
    raise typer.Exit(1 if failures else 0)


DatasetsOption = Annotated[
    list[str], typer.Option("--dataset", help="NAME[:key=value,...]; repeatable, one panel each.")
]
ConvergenceFolderOption = Annotated[
    Path, typer.Option("--out", callback=check_out_folder, help="Folder for table and figure.")
]


@app.command(name="convergence", rich_help_panel=PANEL)
def convergence_command(
    methods: MethodsOption,
    dataset: DatasetsOption,
    noise: NoiseOption = "0",
    noise_on_views: NoiseOnViewsOption = NoiseOnViewsChoice.same,
    limit: LimitOption = None,
    data: DataOption = Path("data"),
    out: ConvergenceFolderOption = Path("results/convergence"),
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
    seed: SeedOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Follow iterative methods step by step: quality and residual against iterations."""
    prepare(plugin, None)
    from benchmark import plan
    from benchmark.reports import convergence as report
    from benchmark.reports import grid
    from benchmark.studies import convergence as study

    method_plan = plan.select_restoring_methods(methods, console.print_note)
    selections = [plan.select_dataset(text, data, limit, console.print_note) for text in dataset]
    selections = list({selection.id.label: selection for selection in selections}.values())
    settings = make_settings(out, data, plugin, DeviceChoice.cpu, save=False)
    noises = parse_noise_levels(noise, noise_on_views, seed)
    rows = study.follow_methods(
        method_plan,
        selections,
        noises,
        settings,
        engine=make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed),
    )
    frame = report.convergence_frame(rows)
    files = report.write_convergence_report(frame, out)
    console.wide_console().print(grid.grid_to_terminal(report.convergence_grid(frame)))
    for line in report.list_refusals(frame):
        console.print_line(line)
    console.print_line("")
    for path in files:
        console.print_line(f"written: {path}")
    raise typer.Exit(1 if report.is_convergence_incomplete(frame) else 0)


CalibratedDatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset", help="Data set whose calibrated PSFs are fitted; `none`: apertures only."
    ),
]
PsfStudyFolderOption = Annotated[
    Path, typer.Option("--out", callback=check_out_folder, help="Folder for tables and figures.")
]


@app.command(name="psf", rich_help_panel=PANEL)
def psf_command(
    dataset: CalibratedDatasetOption = "pixel4",
    data: DataOption = Path("data"),
    out: PsfStudyFolderOption = Path("results/psf"),
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
    plugin: PluginsOption = None,
) -> None:
    """Fit kernel models to apertures and to measured PSFs."""
    prepare(plugin, None)
    from benchmark.reports import psf_study
    from benchmark.studies.psf import run_psf_study

    psfs = _load_calibrated_psfs(dataset, data)
    settings = make_settings(out, data, plugin, DeviceChoice.cpu, save=False)
    chosen_engine = make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed)
    try:
        study = run_psf_study(psfs or None, settings, engine=chosen_engine)
    except ValueError as error:
        raise DataError(f"{dataset}: a calibrated PSF cannot be fitted: {error}") from error
    for line in psf_study.psf_findings(study):
        console.print_line(line)
    for path in psf_study.write_psf_study(out, study):
        console.print_line(f"written: {path}")


def _load_calibrated_psfs(dataset: str, root: Path) -> Mapping[str, NDArray[np.float64]]:
    """Return the measured PSFs of a data set; where there are none, say so and return none."""
    if dataset == "none":
        return {}
    from benchmark.registry import DATASETS, create

    try:
        psfs = dict(create(DATASETS, dataset, root=root)[0].psfs())
    except DataError as error:
        console.print_note(
            f"{error}\n\nno measured PSFs, so apertures only (--dataset none leaves this out)"
        )
        return {}
    if not psfs:
        console.print_note(f"{dataset} has no calibrated PSFs here, so apertures only")
    return psfs


SourceOption = Annotated[Path, typer.Option("--source", help="Folder of sharp photographs.")]
StudiedMethodsOption = Annotated[
    list[str],
    typer.Option(
        "--methods", help="Ids and groups, comma-separated or repeated; `input` is added."
    ),
]
ConditionsOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only these conditions, comma-separated or repeated."),
]
ConditionsFolderOption = Annotated[
    Path,
    typer.Option("--out", callback=check_out_folder, help="Folder for the run, tables and figure."),
]
PicturesOption = Annotated[
    int, typer.Option("--limit", min=1, help="Only the first N photographs.")
]
SizeOption = Annotated[
    int, typer.Option("--size", min=64, help="Pixels of the middle of a photograph, on a side.")
]
SceneSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes.")]
KeepImagesOption = Annotated[
    bool,
    typer.Option(
        "--save-images/--no-save-images",
        help="Keep outputs (for `score`) and pictures to look at; some gigabytes.",
    ),
]


@app.command(name="conditions", rich_help_panel=PANEL)
def conditions_command(
    source: SourceOption,
    methods: StudiedMethodsOption = [  # noqa: B006 (typer copies defaults)
        "input,blur-posterior,gkmnet.sim,gkmnet.sim-noise,gkmnet.photo"
    ],
    only: ConditionsOption = None,
    limit: PicturesOption = 24,
    size: SizeOption = 256,
    seed: SceneSeedOption = 0,
    timeout: TimeoutOption = None,
    data: DataOption = Path("data"),
    out: ConditionsFolderOption = Path("results/conditions"),
    jobs: JobsOption = 0,
    engine: EngineOption = EngineChoice.local,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    allow_mixed: AllowMixedOption = False,
    device: DeviceOption = DeviceChoice.auto,
    save_images: KeepImagesOption = False,
    plugin: PluginsOption = None,
) -> None:
    """Measure gain and harm on pictures taken in other ways than those of the training."""
    prepare(plugin, None)
    check_device(device)
    from benchmark.reports import conditions as report
    from benchmark.reports import grid
    from benchmark.results import read_results
    from benchmark.results.significance import INPUT
    from benchmark.running import RunRequest
    from benchmark.studies import conditions as study

    request = RunRequest(
        methods=(INPUT, *methods),
        dataset="",
        noises=(),
        protocols=look_up_protocols(list(report.PROTOCOLS)),
        data=data,
        out=out,
        limit=limit,
        engine=make_engine(jobs, engine, scheduler, scheduler_file, allow_mixed),
        timeout=timeout,
        device=device.value,
        save=save_images,
        plugins=tuple(plugin or []),
    )
    conditions = study.choose_conditions(split_comma_lists(only) if only else [])
    photographs = study.Photographs(source, size, seed)
    run = study.measure_conditions(request, photographs, conditions)
    condition_results = report.collect_conditions(read_results(out), run.conditions)
    table = report.conditions_grid(condition_results)
    console.wide_console().print(grid.grid_to_terminal(table))
    for line in table.notes:
        console.print_line(line)
    console.print_line("")
    for path in report.write_conditions_report(condition_results, out):
        console.print_line(f"written: {path}")
    raise typer.Exit(1 if run.failures else 0)
