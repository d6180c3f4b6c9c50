"""Commands about networks: weights, training, costs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli.app import app
from benchmark.cli.options import (
    DeviceChoice,
    DeviceOption,
    PluginsOption,
    TableFormat,
    check_device,
    default_results_folder,
    prepare,
)

PANEL = "Networks"


class PrecisionChoice(enum.StrEnum):
    """What a network computes in while it is trained."""

    auto = "auto"
    single = "32"
    bf16 = "bf16"


@app.command(name="import", rich_help_panel=PANEL)
def import_command(
    importer: Annotated[
        str, typer.Argument(metavar="IMPORTER", help="Whose file it is; see `list importers`.")
    ],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The file of weights, as its authors published it."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder, or METHOD.TAG.safetensors; default: where checkpoints are looked for.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a checkpoint that is there.")
    ] = False,
    plugin: PluginsOption = None,
) -> None:
    """Make a checkpoint of weights that others published. The file is checked entry by entry; no
    code in it is run.
    """
    prepare(plugin, None)
    from benchmark import checkpoint_import

    for line in checkpoint_import.run(importer, file, out, force).lines():
        console.out.print(line, highlight=False, markup=False)


@app.command(name="train", rich_help_panel=PANEL)
def train_command(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="Id without a tag, for example gkmnet:scales=1.")
    ],
    data: Annotated[
        str, typer.Option("--data", help="Folder of sharp pictures, or `dpd`, found under --root.")
    ],
    recipe: Annotated[str, typer.Option("--recipe", help="paper or fast.")] = "fast",
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise", help="LEAST,MOST sigma (0-255 scale) that examples get: the + versions."
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag", help="Of the checkpoint; default: sim or dpd, then -noise with --noise."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder; default: where checkpoints are looked for."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", help="Id of a checkpoint to start from, for example gkmnet.sim."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished training.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew over a training that is there.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**20 - 1, help="Of weights, examples and steps.")
    ] = 0,
    megapixels: Annotated[
        float | None, typer.Option("--megapixels", help="Budget in place of the recipe's.")
    ] = None,
    steps: Annotated[
        float | None, typer.Option("--steps", help="Budget in place of the recipe's.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Budget in place of the recipe's.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option("--crop", help="Side of all crops in place of the recipe's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Crops in a step in place of the recipe's.")
    ] = None,
    device: DeviceOption = DeviceChoice.auto,
    devices: Annotated[
        int,
        typer.Option(
            "--devices", min=1, help="GPUs that share every batch; each normalises by its own part."
        ),
    ] = 1,
    precision: Annotated[
        PrecisionChoice,
        typer.Option("--precision", help="auto: bf16 if recipe and processor are for it, else 32."),
    ] = PrecisionChoice.auto,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=0, help="Processes that make examples; default: 1, 8 beside a GPU."
        ),
    ] = None,
    root: Annotated[
        Path,
        typer.Option("--root", envvar="BENCHMARK_DATA", help="Folder that holds the data sets."),
    ] = Path("data"),
    plugin: PluginsOption = None,
) -> None:
    """Train a network on simulated defocus or on DPD; writes METHOD.TAG.safetensors with its card
    and its curves.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark.methods.training import command

    budget = {"megapixels": megapixels, "steps": steps, "minutes": minutes}
    job = command.job(
        method,
        data,
        recipe=recipe,
        noise=noise,
        tag=tag,
        out=out,
        root=root,
        seed=seed,
        budget=budget,
        crop=crop,
        batch=batch,
        hardware=command.Hardware(device.value, devices, precision.value, workers),
        start=start,
        resume=resume,
        force=force,
    )
    for line in command.run(job, resume, force):
        console.out.print(line, highlight=False, markup=False)


@app.command(name="cost", rich_help_panel=PANEL)
def cost_command(
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            help="Ids or groups, as for `run`; left out: only write the tables of --out again.",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", help="Width and height of the picture.")
    ] = "1680x1120",
    rounds: Annotated[
        int, typer.Option("--rounds", min=0, help="Timed restorations per method; 0 only counts.")
    ] = 5,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help="Threads of a method; 0 takes one per core.")
    ] = 0,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.001, help="Seconds a restoration may take.")
    ] = None,
    device: DeviceOption = DeviceChoice.auto,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results; default: results/cost/SIZE."),
    ] = None,
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to write the tables.")
    ] = TableFormat.markdown,
    plugin: PluginsOption = None,
) -> None:
    """Count parameters and operations, and measure seconds and memory. The same command again does
    what is missing.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark import plan
    from benchmark.cost import measurement
    from benchmark.reports import cost as report
    from benchmark.reports import grid

    asked = measurement.parse_picture_size(size)
    folder = out or default_results_folder(str(asked), "cost")
    if methods:
        planned = plan.select_methods(methods, console.note)
        measurement.measure_costs(
            planned,
            asked,
            folder,
            rounds=rounds,
            threads=threads,
            device=device.value,
            plugins=plugin or [],
            timeout=timeout,
        )
    kept, trials = measurement.read_cost_pass(folder)
    made = report.build_cost_tables(kept, trials)
    for table in made:
        console.wide().print(grid.grid_to_terminal(table.grid))
        for line in table.notes:
            console.out.print(line, highlight=False, markup=False)
    for path in report.write_cost_tables(made, folder, form.value):
        console.out.print(f"written: {path}", highlight=False, markup=False)
    raise typer.Exit(1 if report.is_cost_incomplete(kept, trials) else 0)
