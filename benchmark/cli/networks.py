"""Commands about networks: weights, training, costs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
    DeviceChoice,
    DeviceOption,
    FormatOption,
    JobsOption,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    TableFormat,
    check_device,
    check_out_folder,
    prepare,
    require_input_folder,
)
from benchmark.run_layout import default_results_folder

if TYPE_CHECKING:
    from benchmark.methods.training.search import SearchResult

PANEL = "Networks"


class TrainingPrecisionChoice(enum.StrEnum):
    """What a network computes in while it is trained."""

    auto = "auto"
    single = "32"
    bf16 = "bf16"


# Weights that others published
# --------------------------------------------------------------------------------------------------

ImporterArgument = Annotated[
    str,
    typer.Argument(
        metavar="IMPORTER", help="Importer for this kind of file; see `list importers`."
    ),
]
WeightsFileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file of weights, as its authors published it.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder, or METHOD.TAG.safetensors; default: where checkpoints are looked for.",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--force", help="Overwrite a checkpoint that is there.")
]


@app.command(name="import", rich_help_panel=PANEL)
def import_command(
    importer: ImporterArgument,
    file: WeightsFileArgument,
    out: CheckpointOption = None,
    force: OverwriteOption = False,
    plugin: PluginsOption = None,
) -> None:
    """Make a checkpoint of weights that others published.

    The file is checked entry by entry, and no code in it is run.
    """
    prepare(plugin, None)
    from benchmark import checkpoint_import

    for line in checkpoint_import.import_checkpoint(importer, file, out, force).lines():
        console.print_line(line)


# Controls
# --------------------------------------------------------------------------------------------------

ImportedMethodArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="Method with imported weights, for example gkmnet.official."),
]
ControlFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        callback=check_out_folder,
        help="Folder for the runs; default: results/controls/ID.",
    ),
]


@app.command(name="control", rich_help_panel=PANEL)
def control_command(
    method: ImportedMethodArgument,
    data: DataOption = Path("data"),
    out: ControlFolderOption = None,
    jobs: JobsOption = 0,
    device: DeviceOption = DeviceChoice.auto,
    plugin: PluginsOption = None,
) -> None:
    """Measure whether imported weights give what was printed for them.

    The verdicts are kept beside the weights, and tables of later runs show them.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark.controls import ControlSettings, check_controls

    settings = ControlSettings(
        data=data, out=out, jobs=jobs, device=device.value, plugins=tuple(plugin or [])
    )
    report = check_controls(method, settings)
    for line in report.lines():
        console.print_line(line)
    raise typer.Exit(0 if report.reproduces() else 1)


# Training
# --------------------------------------------------------------------------------------------------

MethodArgument = Annotated[
    str, typer.Argument(metavar="METHOD", help="Id without a tag, for example gkmnet:scales=1.")
]
_DPD = "dpd"
"""The data set that is trained on as it is."""
TrainingDataOption = Annotated[
    str, typer.Option("--data", help="Folder of sharp pictures, or `dpd`, found under --root.")
]
ValidationOption = Annotated[
    Path | None,
    typer.Option(
        "--validation",
        help="Folder of sharp pictures to validate on; default: one in ten of --data is held out.",
    ),
]
RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", help="Recipe: paper, fast, or photo (pictures go through simulated cameras)."
    ),
]
TrainingNoiseOption = Annotated[
    str | None,
    typer.Option(
        "--noise", help="Noise of examples: LEAST,MOST sigma, 0-255 scale (papers' + versions)."
    ),
]
TagOption = Annotated[
    str | None,
    typer.Option(
        "--tag", help="Tag of the checkpoint; default: sim, photo or dpd, -noise with --noise."
    ),
]
TrainingFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        callback=check_out_folder,
        help="Folder; default: where checkpoints are looked for.",
    ),
]
StartOption = Annotated[
    str | None,
    typer.Option("--start", help="Id of a checkpoint to start from, for example gkmnet.sim."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished training.")]
BeginAnewOption = Annotated[
    bool, typer.Option("--force", help="Begin anew, over a training that is there.")
]
TrainingSeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**20 - 1, help="Seed of weights, examples and steps.")
]
MegapixelsOption = Annotated[
    float | None,
    typer.Option(
        "--megapixels", help="Budget in megapixels of examples, in place of the recipe's."
    ),
]
StepsOption = Annotated[
    float | None, typer.Option("--steps", help="Budget in steps, in place of the recipe's.")
]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", help="Budget in minutes, in place of the recipe's.")
]
CropOption = Annotated[
    int | None, typer.Option("--crop", help="Side of all crops in place of the recipe's.")
]
BatchOption = Annotated[
    int | None, typer.Option("--batch", help="Crops in a step in place of the recipe's.")
]
RateOption = Annotated[
    float | None,
    typer.Option("--rate", help="Adam's learning rate throughout in place of the recipe's."),
]
SearchOption = Annotated[
    bool,
    typer.Option(
        "--search",
        help="Only try learning rates, each in a training of its own of --megapixels (6.5), and "
        "say which is best on the held-out pictures. Writes METHOD.TAG.rates.csv.",
    ),
]
RatesOption = Annotated[
    str | None,
    typer.Option("--rates", help="Learning rates for --search; default: 1e-4,3e-4,1e-3,3e-3."),
]
DevicesOption = Annotated[
    int,
    typer.Option(
        "--devices", min=1, help="GPUs that share every batch; each normalises by its own part."
    ),
]
TrainingPrecisionOption = Annotated[
    TrainingPrecisionChoice,
    typer.Option(
        "--precision", help="auto: bf16 where recipe and processor are made for it, else 32."
    ),
]
LoaderWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Processes that make examples; default: 1, 8 beside a GPU."
    ),
]
DataRootOption = Annotated[
    Path,
    typer.Option("--root", envvar="BENCHMARK_DATA", help="Folder that holds the data sets."),
]


@app.command(name="train", rich_help_panel=PANEL)
def train_command(
    method: MethodArgument,
    data: TrainingDataOption,
    validation: ValidationOption = None,
    recipe: RecipeOption = "fast",
    noise: TrainingNoiseOption = None,
    tag: TagOption = None,
    out: TrainingFolderOption = None,
    start: StartOption = None,
    resume: ResumeOption = False,
    force: BeginAnewOption = False,
    seed: TrainingSeedOption = 0,
    megapixels: MegapixelsOption = None,
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    crop: CropOption = None,
    batch: BatchOption = None,
    rate: RateOption = None,
    search: SearchOption = False,
    rates: RatesOption = None,
    device: DeviceOption = DeviceChoice.auto,
    devices: DevicesOption = 1,
    precision: TrainingPrecisionOption = TrainingPrecisionChoice.auto,
    workers: LoaderWorkersOption = None,
    root: DataRootOption = Path("data"),
    plugin: PluginsOption = None,
) -> None:
    """Train a network on simulated defocus or on DPD, or search its learning rate.

    Writes METHOD.TAG.safetensors with its card and its curves.
    """
    prepare(plugin, None)
    _check_training_folders(data, validation)
    check_device(device)
    from benchmark.methods.training import command

    options: dict[str, Any] = {
        "recipe": recipe,
        "noise": noise,
        "tag": tag,
        "out": out,
        "root": root,
        "validation": validation,
        "seed": seed,
        "budget": {"megapixels": megapixels, "steps": steps, "minutes": minutes},
        "crop": crop,
        "batch": batch,
        "rate": rate,
        "hardware": command.Hardware(device.value, devices, precision.value, workers),
        "start": start,
        "resume": resume,
        "force": force,
    }
    if search:
        _print_search(command.search_from_options(method, data, rates=rates, **options))
        return
    if rates is not None:
        raise UsageError("--rates: belongs to --search; name one learning rate by --rate")
    job = command.job_from_options(method, data, **options)
    for line in command.run_training(job, resume, force):
        console.print_line(line)


def _check_training_folders(data: str, validation: Path | None) -> None:
    """Refuse folders that are not there before torch is imported."""
    if data == _DPD:
        return  # which has its own place, and pictures to validate on
    require_input_folder(Path(data), "--data", f"sharp pictures, or say {_DPD}")
    if validation is not None:
        require_input_folder(validation, "--validation", "sharp pictures")


def _print_search(result: SearchResult) -> None:
    from benchmark.methods.training.search import format_rate
    from benchmark.reports import grid

    heads = ("rate", "gain on held-out pictures (dB)", "megapixels", "hours", "seed", "precision")
    lines = []
    for trial in result.trials:
        gain = trial.validation_gain
        lines.append(
            (
                format_rate(trial.rate),
                "diverged" if gain is None else f"{gain:+.3f}",
                f"{trial.megapixels:g}",
                f"{trial.hours:g}",
                str(trial.seed),
                trial.precision,
            )
        )
    table = grid.grid_from_texts(
        "Learning rates tried", [grid.TableColumn(head) for head in heads], lines
    )
    console.wide_console().print(grid.grid_to_terminal(table))
    console.print_line(result.advise())
    console.print_line(f"written: {result.table}")


# Costs
# --------------------------------------------------------------------------------------------------

CostMethodsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--methods",
        help="Ids or groups, as for `run`; left out: only write the tables of --out again.",
    ),
]
SizeOption = Annotated[str, typer.Option("--size", help="Width and height of the picture.")]
RoundsOption = Annotated[
    int, typer.Option("--rounds", min=0, help="Timed restorations per method; 0 only counts.")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="Threads of a method; 0 takes one per core.")
]
RestorationTimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=0.001, help="Seconds a restoration may take.")
]
CostFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        callback=check_out_folder,
        help="Folder for the results; default: results/cost/SIZE.",
    ),
]


@app.command(name="cost", rich_help_panel=PANEL)
def cost_command(
    methods: CostMethodsOption = None,
    size: SizeOption = "1680x1120",
    rounds: RoundsOption = 5,
    threads: ThreadsOption = 0,
    timeout: RestorationTimeoutOption = None,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.single,
    out: CostFolderOption = None,
    form: FormatOption = TableFormat.markdown,
    plugin: PluginsOption = None,
) -> None:
    """Count parameters and operations, and measure seconds and memory.

    The same command again does what is missing.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark import plan
    from benchmark.reports import cost as report
    from benchmark.reports import grid
    from benchmark.studies.cost import measurement

    picture_size = measurement.parse_picture_size(size)
    folder = out or default_results_folder(str(picture_size), "cost")
    if methods:
        chosen_methods = plan.select_restoring_methods(methods, console.print_note, precision.value)
        plan.require_precisions(chosen_methods, device.value)
        measurement.measure_costs(
            chosen_methods,
            picture_size,
            folder,
            rounds=rounds,
            threads=threads,
            device=device.value,
            plugins=plugin or [],
            timeout=timeout,
        )
    record, trials = measurement.read_cost_pass(folder)
    tables = report.build_cost_tables(record, trials)
    for table in tables:
        console.wide_console().print(grid.grid_to_terminal(table.grid))
        for note in table.notes:
            console.print_line(note)
    for path in report.write_cost_tables(tables, folder, form.value):
        console.print_line(f"written: {path}")
    raise typer.Exit(1 if report.is_cost_incomplete(record, trials) else 0)
