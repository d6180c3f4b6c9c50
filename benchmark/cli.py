"""The command line: the composition root, the only module of the harness that may reach `reports` and training.

Everything heavy (torch, pandas, scipy) is imported inside the commands, so `--help` is immediate.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import __version__, console
from benchmark.api import BenchmarkError, DataError, UsageError

if TYPE_CHECKING:
    from benchmark.metrics.protocols import Protocol
    from benchmark.noise import Noise
    from benchmark.plan import PlannedMethod
    from benchmark.worker import Settings

app = typer.Typer(
    name="python -m benchmark",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which defocus deblurring method is better, on which data, by how much - and can I trust the number? "
    "Start with: python -m benchmark run --methods all --dataset simulated",
    epilog="Exit codes: 0 everything went well, 1 some cells or checks failed, 2 bad usage or data.",
)


class Depth(enum.StrEnum):
    """Reader depths of an input track."""

    u8 = "u8"
    u16 = "u16"


class Device(enum.StrEnum):
    """Where learned methods run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(enum.StrEnum):
    """What a network computes in while it is trained."""

    single = "32"
    bf16 = "bf16"


class Format(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"


class Kind(enum.StrEnum):
    """What `list` can list."""

    methods = "methods"
    datasets = "datasets"
    protocols = "protocols"
    metrics = "metrics"
    importers = "importers"
    checkpoints = "checkpoints"


Methods = Annotated[
    list[str],
    typer.Option(
        "--methods",
        help="Ids, comma-separated or repeated: name[.checkpoint][:key=value,...]; or a group: all, classical, "
        "learned, oracle, ablations.",
    ),
]
Protocols = Annotated[
    list[str],
    typer.Option("--protocol", help="How scores are measured, comma-separated or repeated; see `list protocols`."),
]
Data = Annotated[Path, typer.Option("--data", envvar="BENCHMARK_DATA", help="Folder that holds the data sets.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file that registers methods or data sets; repeatable.")
]
Trunk = Annotated[
    Path | None,
    typer.Option("--lpips-trunk", envvar="BENCHMARK_LPIPS_TRUNK", help="AlexNet weights for LPIPS without a network."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results; default: results/runs/NAME.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `run` wrote.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where learned methods run.")]
Levels = Annotated[str, typer.Option("--noise", help="Noise levels (sigma on the 0-255 scale), e.g. 0,1,2.55.")]
NoiseClip = Annotated[bool, typer.Option("--noise-clip", help="Clip noisy pictures to [0, 1].")]
NoiseRound8 = Annotated[bool, typer.Option("--noise-round8", help="Round noisy pictures to 8 bits.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.001, help="Seconds a picture may take, loading and preparing included."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N pictures.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the noise field.")]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Worker processes; 0 takes one per core, four at most.")]


def app_main() -> None:
    """Run the application; turn errors that a user can mend into one line and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # tables hold arrows, also where the locale has none
    try:
        app()
    except BenchmarkError as error:
        console.error(str(error))
        sys.exit(2)
    except sqlite3.DatabaseError as error:
        console.error(f"the run store is damaged ({error}); use another --out")
        sys.exit(2)
    except OSError as error:  # a folder that cannot be written, a full disk: the reason says enough
        console.error(f"{error.filename or 'input or output'}: {error.strerror or error}; check the path and the disk")
        sys.exit(2)


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        console.out.print(__version__, highlight=False)
        raise typer.Exit


@app.command()
def run(
    methods: Methods,
    dataset: Annotated[str, typer.Option(help="NAME[:key=value,...]; see `list datasets`.")],
    noise: Levels = "0",
    noise_clip: NoiseClip = False,
    noise_round8: NoiseRound8 = False,
    track: Annotated[Depth | None, typer.Option(help="Reader depth; default: the protocol's own.")] = None,
    protocol: Protocols = ["canonical"],  # noqa: B006 (typer copies defaults)
    timeout: Timeout = None,
    lpips_trunk: Trunk = None,
    data: Data = Path("data"),
    out: Out = None,
    limit: Limit = None,
    jobs: Jobs = 0,
    device: DeviceOption = Device.auto,
    save_images: Annotated[
        bool, typer.Option("--save-images/--no-save-images", help="Keep outputs (for `score`) and pictures to look at.")
    ] = True,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Run methods over a data set and score them. The same command again does only what is missing."""
    _prepare(plugin, lpips_trunk)
    _check_device(device)
    from benchmark import plan, provenance
    from benchmark.session import Session

    planned = plan.select_methods(methods, console.note)
    protocols = _protocols(protocol)
    tracks = plan.select_tracks(list(protocols.values()), track)
    chosen = plan.select_dataset(dataset, data, limit)
    noises = _noises(noise, noise_clip, noise_round8, seed)
    cells = plan.cells(planned, chosen, tracks.values(), noises)
    folder = out or _default_folder(chosen.id.label)
    settings = _settings(folder, data, plugin, device, save_images)
    facts = {
        "data": {chosen.id.label: chosen.fingerprint()},
        "weights": {method.id.label: method.weights for method in planned if method.weights},
        "metric_weights": _metric_weights(protocols),
        "plugins": provenance.file_hashes(plugin or []),
        "device": device.value,
        "jobs": jobs or "one per core, four at most",
    }
    with Session(settings, protocols, provenance.collect(**facts)) as session:
        session.begin()
        session.keep_cards(planned, chosen)
        unwell = session.do(session.missing(cells, tracks), jobs=jobs, timeout=timeout, what="restoring")
        bad = max(unwell, session.report_cells(cells))
        _show(session.store.folder, list(protocols), chosen.id.label)
    raise typer.Exit(1 if bad else 0)


@app.command()
def maps(
    methods: Methods,
    dataset: Annotated[str, typer.Option(help="NAME[:key=value,...]; see `list datasets`.")],
    noise: Levels = "0",
    noise_clip: NoiseClip = False,
    noise_round8: NoiseRound8 = False,
    track: Annotated[Depth, typer.Option(help="Reader depth.")] = Depth.u8,
    timeout: Timeout = None,
    data: Data = Path("data"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; default: results/maps/NAME.")
    ] = None,
    limit: Limit = None,
    jobs: Jobs = 0,
    device: DeviceOption = Device.auto,
    seed: Seed = 0,
    form: Annotated[Format, typer.Option("--format", help="How to write the tables.")] = Format.markdown,
    plugin: Plugins = None,
) -> None:
    """Score the blur maps themselves: in pixels against true maps, as detectors against masks; and show them."""
    _prepare(plugin, None)
    _check_device(device)
    from benchmark import map_scores, plan
    from reports import tables
    from reports.maps import write

    planned = plan.select_methods(methods, console.note)
    chosen = plan.select_dataset(dataset, data, limit)
    noises = _noises(noise, noise_clip, noise_round8, seed)
    folder = out or _default_folder(chosen.id.label, "maps")
    settings = _settings(folder, data, plugin, device, save=False)
    rows = map_scores.run(planned, chosen, noises, settings, depth=track.value, jobs=jobs, timeout=timeout)
    written = write(rows, planned, chosen, folder, form=form.value)
    for summary in written.summaries:
        console.wide().print(tables.terminal(summary))
        for line in summary.footnotes:
            console.out.print(line, highlight=False, markup=False)
    console.out.print(
        f"\ntables: {written.table}, every map: {folder / map_scores.CSV_NAME}", highlight=False, markup=False
    )
    if written.strip is not None:
        console.out.print(f"pictures: {written.strip}", highlight=False, markup=False)
    raise typer.Exit(1 if any(row["status"] in ("failed", "timeout") for row in rows) else 0)


@app.command()
def score(
    run: Run,
    protocol: Protocols,
    lpips_trunk: Trunk = None,
    data: Data = Path("data"),
    jobs: Jobs = 0,
    plugin: Plugins = None,
) -> None:
    """Score the saved outputs of a run under further protocols, without running any method."""
    _prepare(plugin, lpips_trunk)
    from benchmark import provenance
    from benchmark.session import Session

    protocols = _protocols(protocol)
    settings = dataclasses.replace(_settings(run, data, plugin, Device.cpu, save=False), rerun=False)
    with Session(
        settings, protocols, provenance.collect(metric_weights=_metric_weights(protocols)), create=False
    ) as session:
        tasks = session.unscored()
        session.begin()
        bad = session.do(tasks, jobs=jobs, timeout=None, what="scoring") + session.lost
        _show(run, list(protocols))
    raise typer.Exit(1 if bad else 0)


@app.command()
def report(
    run: Run,
    form: Annotated[Format, typer.Option("--format", help="How to write the tables.")] = Format.markdown,
    protocol: Annotated[list[str] | None, typer.Option("--protocol", help="Only these protocols.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
) -> None:
    """Write the tables of a run."""
    from benchmark.store import Store
    from reports import frames, tables

    with Store(run) as store:
        text = tables.write(frames.summaries(store, _names(protocol) if protocol else []), form.value)
    _emit(text, out)


@app.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
) -> None:
    """Write every score of a run with its provenance, for sharing or for your own statistics."""
    from benchmark.store import Store
    from reports import frames

    writers = {".csv": "to_csv", ".parquet": "to_parquet"}
    if out.suffix not in writers:
        raise UsageError(f"--out {out}: the ending decides the format; use .csv or .parquet")
    with Store(run) as store:
        frame = frames.export(store)
    out.parent.mkdir(parents=True, exist_ok=True)
    getattr(frame, writers[out.suffix])(out, index=False)
    console.note(f"{len(frame)} rows -> {out}")


@app.command(name="list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Plugins = None,
) -> None:
    """List what is registered, or which checkpoints are found; what does not load is listed with the reason."""
    _prepare(plugin, None)
    from benchmark import listing

    console.wide().print(listing.table(kind.value))


@app.command(name="import")
def import_(
    importer: Annotated[str, typer.Argument(metavar="IMPORTER", help="Whose file it is; see `list importers`.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of weights, as its authors published it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder, or METHOD.TAG.safetensors; default: where checkpoints are looked for."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a checkpoint that is there.")] = False,
    plugin: Plugins = None,
) -> None:
    """Make a checkpoint of weights that others published. The file is checked entry by entry; no code in it is run."""
    _prepare(plugin, None)
    from benchmark import importing

    for line in importing.run(importer, file, out, force).lines():
        console.out.print(line, highlight=False, markup=False)


@app.command()
def train(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Id without a tag, for example gkmnet:scales=1.")],
    data: Annotated[str, typer.Option("--data", help="Folder of sharp pictures, or `dpd`, found under --root.")],
    recipe: Annotated[str, typer.Option("--recipe", help="paper or fast.")] = "fast",
    noise: Annotated[
        str | None, typer.Option("--noise", help="LEAST,MOST sigma (0-255 scale) that examples get: the + versions.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", help="Of the checkpoint; default: sim or dpd, then -noise with --noise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; default: where checkpoints are looked for.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished training.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew over a training that is there.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**20 - 1, help="Of weights, examples and steps.")] = 0,
    megapixels: Annotated[float | None, typer.Option("--megapixels", help="Budget in place of the recipe's.")] = None,
    steps: Annotated[float | None, typer.Option("--steps", help="Budget in place of the recipe's.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Budget in place of the recipe's.")] = None,
    crop: Annotated[int | None, typer.Option("--crop", help="Side of all crops in place of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Crops in a step in place of the recipe's.")] = None,
    device: DeviceOption = Device.auto,
    devices: Annotated[int, typer.Option("--devices", min=1, help="GPUs that share every batch.")] = 1,
    precision: Annotated[Precision, typer.Option("--precision", help="bf16 is for GPUs.")] = Precision.single,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that make examples; default: 1, 8 beside a GPU.")
    ] = None,
    root: Annotated[
        Path, typer.Option("--root", envvar="BENCHMARK_DATA", help="Folder that holds the data sets.")
    ] = Path("data"),
    plugin: Plugins = None,
) -> None:
    """Train a network on simulated defocus or on DPD; writes METHOD.TAG.safetensors with its card and its curves."""
    _prepare(plugin, None)
    _check_device(device)
    from methods.training import command

    budget = {"megapixels": megapixels, "steps": steps, "minutes": minutes}
    job = command.job(
        method, data, recipe=recipe, noise=noise, tag=tag, out=out, root=root, seed=seed, budget=budget, crop=crop,
        batch=batch, hardware=command.Hardware(device.value, devices, precision.value, workers),
    )  # fmt: skip
    for line in command.run(job, resume, force):
        console.out.print(line, highlight=False, markup=False)


@app.command()
def datasets(data: Data = Path("data"), plugin: Plugins = None) -> None:
    """Show which data sets are found under the data root, what is missing, and where it belongs."""
    _prepare(plugin, None)
    from benchmark import listing

    console.out.print(f"data root: {data} (change it with --data or BENCHMARK_DATA)\n", highlight=False, markup=False)
    for line in listing.found_datasets(data):
        console.out.print(line, highlight=False)


@app.command()
def deblur(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="PNG, TIFF or JPEG, 8 or 16 bit, any size.")],
    method: Annotated[str, typer.Option("--method", help="Id of the method.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("deblurred"),
    device: DeviceOption = Device.auto,
    plugin: Plugins = None,
) -> None:
    """Restore your own photographs; bit depth and orientation are kept."""
    _prepare(plugin, None)
    _check_device(device)
    from benchmark import photographs

    for source, made in console.track(
        photographs.deblur(images, method, out, device.value), total=len(images), what="restoring"
    ):
        console.out.print(f"{source} -> {made}", highlight=False, markup=False)


@app.command()
def psf(
    dataset: Annotated[
        str, typer.Option("--dataset", help="Data set whose calibrated PSFs are fitted; `none`: apertures only.")
    ] = "pixel4",
    data: Data = Path("data"),
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and figures.")] = Path("results/psf"),
    jobs: Jobs = 0,
    plugin: Plugins = None,
) -> None:
    """Fit Gaussian, disk, generalised Gaussian and Gaussian kernel mixture to apertures and to measured PSFs."""
    _prepare(plugin, None)
    from benchmark.registry import DATASETS, create
    from benchmark.session import workers
    from reports import psf_study

    measured = {}
    if dataset != "none":
        try:
            measured = dict(create(DATASETS, dataset, root=data)[0].psfs())
        except DataError as error:
            console.note(f"{error}\n\nno measured PSFs, so apertures only (--dataset none leaves this out)")
        else:
            if not measured:
                console.note(f"{dataset} has no calibrated PSFs here, so apertures only")
    try:
        study = psf_study.measure(measured or None, jobs=workers(jobs, 1_000_000))
    except ValueError as error:
        raise DataError(f"{dataset}: a calibrated PSF cannot be fitted: {error}") from error
    for line in psf_study.summary_lines(study):
        console.out.print(line, highlight=False, markup=False)
    for made in psf_study.save(out, study):
        console.out.print(f"written: {made}", highlight=False, markup=False)


@app.command()
def convergence(
    methods: Methods,
    dataset: Annotated[list[str], typer.Option("--dataset", help="NAME[:key=value,...]; repeatable, one panel each.")],
    noise: Levels = "0",
    limit: Limit = None,
    data: Data = Path("data"),
    out: Annotated[Path, typer.Option("--out", help="Folder for table and figure.")] = Path("results/convergence"),
    jobs: Jobs = 0,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Follow iterative methods step by step: quality and residual against iterations, as a table and a figure."""
    _prepare(plugin, None)
    from benchmark import convergence as steps
    from benchmark import plan
    from benchmark.session import workers
    from reports import convergence as shown

    planned = plan.select_methods(methods, console.note)
    chosen = list(
        {data.id.label: data for data in (plan.select_dataset(text, data, limit) for text in dataset)}.values()
    )
    settings = _settings(out, data, plugin, Device.cpu, save=False)
    noises = _noises(noise, False, False, seed)
    count = len(planned) * len(noises) * sum(len(data.fingerprints) for data in chosen)
    rows = steps.run(planned, chosen, noises, settings, jobs=workers(jobs, count))
    made = shown.frame(rows)
    written = shown.write(made, out)
    console.wide().print(shown.terminal(made))
    for line in [*shown.refused(made), "", *(f"written: {path}" for path in written)]:
        console.out.print(line, highlight=False, markup=False)
    raise typer.Exit(1 if shown.incomplete(made) else 0)


@app.command()
def cost(
    methods: Annotated[
        list[str] | None,
        typer.Option("--methods", help="Ids or groups, as for `run`; left out: only write the tables of --out again."),
    ] = None,
    size: Annotated[str, typer.Option("--size", help="Width and height of the picture.")] = "1680x1120",
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Timed restorations per method; 0 only counts.")] = 5,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of a method; 0 takes one per core.")] = 0,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.001, help="Seconds a restoration may take.")
    ] = None,
    device: DeviceOption = Device.auto,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; default: results/cost/SIZE.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write the tables.")] = Format.markdown,
    plugin: Plugins = None,
) -> None:
    """Count parameters and operations, and measure seconds and memory. The same command again does what is missing."""
    _prepare(plugin, None)
    _check_device(device)
    from benchmark import plan
    from benchmark.cost import record
    from reports import cost as report

    asked = record.parse_size(size)
    folder = out or _default_folder(str(asked), "cost")
    if methods:
        planned = plan.select_methods(methods, console.note)
        record.run(
            planned, asked, folder,
            rounds=rounds, threads=threads, device=device.value, plugins=plugin or [], timeout=timeout,
        )  # fmt: skip
    kept, trials = record.read(folder)
    made = report.tables_of(kept, trials)
    for table in made:
        console.wide().print(report.terminal(table))
        for line in table.notes:
            console.out.print(line, highlight=False, markup=False)
    for path in report.write(made, folder, form.value):
        console.out.print(f"written: {path}", highlight=False, markup=False)
    raise typer.Exit(1 if report.incomplete(kept, trials) else 0)


@app.command()
def simulate(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A sharp picture.")],
    psf: Annotated[str, typer.Option(help="disk, gaussian, polygon or gkm.")] = "disk",
    depth: Annotated[
        Path | None, typer.Option(help="Disparity map: grey picture or .npy, greater = nearer; default: invented.")
    ] = None,
    max_radius: Annotated[float, typer.Option(min=0.1, max=50, help="Largest PSF radius in pixels.")] = 8.0,
    focus: Annotated[
        float, typer.Option(min=0, max=1, help="With --depth: what is in focus, 0 nearest, 1 farthest.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the invented depth.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("simulated"),
) -> None:
    """Defocus your own picture with the imaging model; writes the picture and its true blur map."""
    from benchmark import photographs

    for made in photographs.simulate(image, psf, depth, max_radius, focus, seed, out):
        console.out.print(str(made), highlight=False, markup=False)


@app.command()
def check(
    methods: Annotated[list[str] | None, typer.Option("--methods", help="Ids of methods to check.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Id of a data set to check.")] = None,
    data: Data = Path("data"),
    device: DeviceOption = Device.cpu,
    plugin: Plugins = None,
) -> None:
    """Check that a method or a data set keeps the contract; for authors of plug-ins."""
    _prepare(plugin, None)
    from benchmark import conformance, plan

    if not methods and dataset is None:
        raise UsageError("name what to check: --methods ID or --dataset NAME")
    suites = {m.id.label: conformance.check_method(m.id.label, device.value) for m in _selected(methods)}
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
                f"  {sign} {result.name}" + (f" - {result.detail}" if result.detail else ""), markup=False
            )
    raise typer.Exit(1 if failed else 0)


@app.command()
def doctor(data: Data = Path("data"), lpips_trunk: Trunk = None, plugin: Plugins = None) -> None:
    """Report versions, device, threads, weights and data sets: what works here, what does not, and why."""
    _prepare(plugin, lpips_trunk)
    from benchmark import listing

    for line in listing.doctor(data):
        console.out.print(line, highlight=False)


def _prepare(plugin: list[Path] | None, lpips_trunk: Path | None) -> None:
    """Load plug-ins, and hand the trunk on to the workers through the environment, which they inherit."""
    if lpips_trunk is not None:
        if not lpips_trunk.is_file():
            raise UsageError(f"--lpips-trunk {lpips_trunk}: no such file; see `doctor` for what is expected")
        os.environ["BENCHMARK_LPIPS_TRUNK"] = str(lpips_trunk.resolve())
    from benchmark.registry import load_plugin

    for path in plugin or []:
        load_plugin(path)


def _check_device(device: Device) -> None:
    """Refuse a device that is not there before anything is done; only a demand for CUDA pays for asking torch."""
    if device is Device.cuda:
        from benchmark.worker import resolve_device

        try:
            resolve_device("cuda", learned=True)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _names(texts: list[str]) -> list[str]:
    """Return the items of comma lists, each once."""
    names = list(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{', '.join(map(repr, texts))} names nothing; leave the option out or give it a value")
    return names


def _protocols(texts: list[str]) -> dict[str, Protocol]:
    from benchmark.registry import PROTOCOLS

    return {name: PROTOCOLS.get(name) for name in _names(texts)}


def _metric_weights(protocols: dict[str, Protocol]) -> dict[str, str]:
    from benchmark.registry import create_metric

    metrics = {measure.metric for protocol in protocols.values() for measure in protocol.measures}
    return {name: found for name in sorted(metrics) if (found := create_metric(name).weights_hash())}


def _selected(methods: list[str] | None) -> list[PlannedMethod]:
    from benchmark import plan

    return plan.select_methods(methods) if methods else []


def _noises(text: str, clip: bool, round8: bool, seed: int) -> list[Noise]:
    from benchmark.noise import Noise

    try:
        return [Noise(float(level), clip, round8, seed) for level in _names([text])]
    except ValueError as error:
        raise UsageError(
            f"--noise {text}: expected numbers >= 0 on the 0-255 scale, e.g. 0,1,2.55 ({error})"
        ) from error


def _default_folder(dataset: str, kind: str = "runs") -> Path:
    from benchmark.names import file_name

    return Path("results") / kind / file_name(dataset)


def _settings(folder: Path, data: Path, plugin: list[Path] | None, device: Device, save: bool) -> Settings:
    from benchmark.worker import Settings

    return Settings(folder, data, tuple(plugin or ()), device.value, save)


def _show(folder: Path, protocols: list[str], dataset: str | None = None) -> None:
    """Print the tables that a command asked for; write the report of the whole run beside it."""
    from benchmark.store import Store
    from reports import frames, overview, tables

    with Store(folder) as store:
        made = frames.summaries(store, protocols, dataset)
        everything = tables.write(frames.summaries(store), "markdown")
        seen = overview.write(store, folder / "overview.png", dataset)
    for summary in made:
        console.wide().print(tables.terminal(summary))
        for line in summary.footnotes:
            console.out.print(line, highlight=False, markup=False)
    written = folder / "report.md"
    written.write_text(everything, encoding="utf-8")
    console.out.print(f"\nreport: {written}", highlight=False, markup=False)
    if seen is not None:
        console.out.print(f"pictures: {seen}, all of them in {folder / 'pictures'}", highlight=False, markup=False)


def _emit(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    console.note(f"written: {out}")
