"""Commands that study one thing: blur maps, iterations, PSFs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.api import DataError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
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
    SeedOption,
    TableFormat,
    TimeoutOption,
    check_device,
    default_results_folder,
    make_settings,
    parse_noise_levels,
    prepare,
)

PANEL = "Study"


@app.command(name="maps", rich_help_panel=PANEL)
def maps_command(
    methods: MethodsOption,
    dataset: Annotated[str, typer.Option(help="NAME[:key=value,...]; see `list datasets`.")],
    noise: NoiseOption = "0",
    noise_clip: NoiseClipOption = False,
    noise_round8: NoiseRound8Option = False,
    track: Annotated[DepthChoice, typer.Option(help="Reader depth.")] = DepthChoice.u8,
    timeout: TimeoutOption = None,
    data: DataOption = Path("data"),
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results; default: results/maps/NAME."),
    ] = None,
    limit: LimitOption = None,
    jobs: JobsOption = 0,
    device: DeviceOption = DeviceChoice.auto,
    seed: SeedOption = 0,
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to write the tables.")
    ] = TableFormat.markdown,
    plugin: PluginsOption = None,
) -> None:
    """Score the blur maps themselves: in pixels against true maps, as detectors against masks; and
    show them.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark import map_scores, plan
    from benchmark.reports import tables
    from benchmark.reports.maps import write_map_report

    planned = plan.select_methods(methods, console.note)
    chosen = plan.select_dataset(dataset, data, limit)
    noises = parse_noise_levels(noise, noise_clip, noise_round8, seed)
    folder = out or default_results_folder(chosen.id.label, "maps")
    settings = make_settings(folder, data, plugin, device, save=False)
    rows = map_scores.score_maps(
        planned, chosen, noises, settings, depth=track.value, jobs=jobs, timeout=timeout
    )
    written = write_map_report(rows, planned, chosen, folder, form=form.value)
    for summary in written.summaries:
        console.wide().print(tables.terminal(summary))
        for line in summary.footnotes:
            console.out.print(line, highlight=False, markup=False)
    console.out.print(
        f"\ntables: {written.table}, every map: {folder / map_scores.MAPS_CSV}",
        highlight=False,
        markup=False,
    )
    if written.strip is not None:
        console.out.print(f"pictures: {written.strip}", highlight=False, markup=False)
    raise typer.Exit(1 if any(row["status"] in ("failed", "timeout") for row in rows) else 0)


@app.command(name="convergence", rich_help_panel=PANEL)
def convergence_command(
    methods: MethodsOption,
    dataset: Annotated[
        list[str],
        typer.Option("--dataset", help="NAME[:key=value,...]; repeatable, one panel each."),
    ],
    noise: NoiseOption = "0",
    limit: LimitOption = None,
    data: DataOption = Path("data"),
    out: Annotated[Path, typer.Option("--out", help="Folder for table and figure.")] = Path(
        "results/convergence"
    ),
    jobs: JobsOption = 0,
    seed: SeedOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Follow iterative methods step by step: quality and residual against iterations, as a table
    and a figure.
    """
    prepare(plugin, None)
    from benchmark import convergence as steps
    from benchmark import plan
    from benchmark.reports import convergence as shown
    from benchmark.reports import grid
    from benchmark.runner import count_workers

    planned = plan.select_methods(methods, console.note)
    chosen = list(
        {
            data.id.label: data
            for data in (plan.select_dataset(text, data, limit) for text in dataset)
        }.values()
    )
    settings = make_settings(out, data, plugin, DeviceChoice.cpu, save=False)
    noises = parse_noise_levels(noise, False, False, seed)
    count = len(planned) * len(noises) * sum(len(data.fingerprints) for data in chosen)
    rows = steps.follow_methods(planned, chosen, noises, settings, jobs=count_workers(jobs, count))
    made = shown.convergence_frame(rows)
    written = shown.write_convergence_report(made, out)
    console.wide().print(grid.grid_to_terminal(shown.convergence_grid(made)))
    for line in [*shown.list_refusals(made), "", *(f"written: {path}" for path in written)]:
        console.out.print(line, highlight=False, markup=False)
    raise typer.Exit(1 if shown.is_convergence_incomplete(made) else 0)


@app.command(name="psf", rich_help_panel=PANEL)
def psf_command(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", help="Data set whose calibrated PSFs are fitted; `none`: apertures only."
        ),
    ] = "pixel4",
    data: DataOption = Path("data"),
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and figures.")] = Path(
        "results/psf"
    ),
    jobs: JobsOption = 0,
    plugin: PluginsOption = None,
) -> None:
    """Fit Gaussian, disk, generalised Gaussian and Gaussian kernel mixture to apertures and to
    measured PSFs.
    """
    prepare(plugin, None)
    from benchmark.registry import DATASETS, create
    from benchmark.reports import psf_study
    from benchmark.runner import count_workers

    measured = {}
    if dataset != "none":
        try:
            measured = dict(create(DATASETS, dataset, root=data)[0].psfs())
        except DataError as error:
            console.note(
                f"{error}\n\nno measured PSFs, so apertures only (--dataset none leaves this out)"
            )
        else:
            if not measured:
                console.note(f"{dataset} has no calibrated PSFs here, so apertures only")
    try:
        study = psf_study.measure(measured or None, jobs=count_workers(jobs, 1_000_000))
    except ValueError as error:
        raise DataError(f"{dataset}: a calibrated PSF cannot be fitted: {error}") from error
    for line in psf_study.summary_lines(study):
        console.out.print(line, highlight=False, markup=False)
    for made in psf_study.save(out, study):
        console.out.print(f"written: {made}", highlight=False, markup=False)
