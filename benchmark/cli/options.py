"""What the commands share: options and their types, and what is made of them."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.api import UsageError

if TYPE_CHECKING:
    from benchmark.engines import Engine
    from benchmark.metrics.protocols import Protocol
    from benchmark.noise import Noise
    from benchmark.worker import RunSettings


class DepthChoice(enum.StrEnum):
    """Reader depths of an input track."""

    u8 = "u8"
    u16 = "u16"


class DeviceChoice(enum.StrEnum):
    """Where learned methods run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineChoice(enum.StrEnum):
    """Where the work is done."""

    local = "local"
    dask = "dask"


class NoiseOnViewsChoice(enum.StrEnum):
    """What sigma of the noise is of where there are dual-pixel views."""

    same = "same"
    physical = "physical"


class PrecisionChoice(enum.StrEnum):
    """What networks compute in."""

    single = "32"
    bf16 = "bf16"


class OutputChoice(enum.StrEnum):
    """What outputs are kept in."""

    single = "float32"
    half = "float16"


class TableFormat(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"


def check_out_folder(folder: Path | None) -> Path | None:
    """Return a folder that results will be written to; callback of such options, so that it is
    checked before anything is imported or done.

    Raises:
        UsageError: a file is in its place, or it could not be made or written to.
    """
    if folder is None:
        return None
    place = folder.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"--out {folder}: {place} is a file; name a folder for the results")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(
            f"--out {folder}: {place} cannot be written to; name another folder, or change its "
            "permissions"
        )
    return folder


def require_input_folder(folder: Path, option: str, content: str) -> None:
    """Raise UsageError if a folder that an option names is not there.

    Args:
        folder: the folder.
        option: for example "--data".
        content: what it should hold.
    """
    if not folder.is_dir():
        raise UsageError(f"{option} {folder}: no such folder; name one that holds {content}")


DatasetOption = Annotated[str, typer.Option(help="NAME[:key=value,...]; see `list datasets`.")]
MethodsOption = Annotated[
    list[str],
    typer.Option(
        "--methods",
        help="Ids, comma-separated or repeated: name[.checkpoint][:key=value,...]; or a group: "
        "all, classical, learned, oracle, ablations.",
    ),
]
ProtocolsOption = Annotated[
    list[str],
    typer.Option(
        "--protocol",
        help="Protocols to score by, comma-separated or repeated; see `list protocols`.",
    ),
]
DataOption = Annotated[
    Path, typer.Option("--data", envvar="BENCHMARK_DATA", help="Folder that holds the data sets.")
]
PluginsOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="Python file that registers methods or data sets; repeatable."),
]
TrunkOption = Annotated[
    Path | None,
    typer.Option(
        "--lpips-trunk",
        envvar="BENCHMARK_LPIPS_TRUNK",
        help="File of AlexNet weights for LPIPS, where there is no internet.",
    ),
]
RunFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        callback=check_out_folder,
        help="Folder for the results; default: results/runs/NAME.",
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `run` wrote.")]
DeviceOption = Annotated[DeviceChoice, typer.Option("--device", help="Where learned methods run.")]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        "--precision",
        help="bf16: networks compute in bfloat16 where the processor multiplies it, as with "
        "precision=bf16 in their ids.",
    ),
]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="How to write the tables.")]
NoiseOption = Annotated[
    str, typer.Option("--noise", help="Noise levels (sigma on the 0-255 scale), e.g. 0,1,2.55.")
]
NoiseClipOption = Annotated[
    bool, typer.Option("--noise-clip", help="Clip noisy pictures to [0, 1].")
]
NoiseRound8Option = Annotated[
    bool, typer.Option("--noise-round8", help="Round noisy pictures to 8 bits.")
]
NoiseOnViewsOption = Annotated[
    NoiseOnViewsChoice,
    typer.Option(
        "--noise-on-views",
        help="Where methods take dual-pixel views: sigma on each view (same), or sigma x sqrt 2, "
        "so that their mean has sigma (physical).",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0.001, help="Seconds a picture may take, loading and preparing included."
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first N pictures.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the noise field.")
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=0, help="Worker processes; 0 takes one per core, four at most.")
]
EngineOption = Annotated[
    EngineChoice,
    typer.Option("--engine", help="Where the work is done: on this machine, or by Dask's workers."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", help="Dask's scheduler, for example tcp://host:8786."),
]
SchedulerFileOption = Annotated[
    Path | None,
    typer.Option(
        "--scheduler-file", help="The file that `dask scheduler --scheduler-file` wrote, instead."
    ),
]
AllowMixedOption = Annotated[
    bool,
    typer.Option(
        "--allow-mixed",
        help="Let Dask's workers have other versions of the suite or of libraries; results record "
        "it.",
    ),
]


def make_engine(
    jobs: int,
    engine: EngineChoice,
    scheduler: str | None,
    scheduler_file: Path | None,
    allow_mixed: bool,
) -> Engine:
    """Return where the work is done.

    Raises:
        UsageError: options that do not fit together, or Dask is not installed.
    """
    from benchmark.engines.local import LocalEngine

    if engine is EngineChoice.local:
        if scheduler or scheduler_file or allow_mixed:
            raise UsageError(
                "--scheduler, --scheduler-file and --allow-mixed are for --engine dask"
            )
        return LocalEngine(jobs)
    if jobs:
        raise UsageError("--jobs is for --engine local; Dask's workers say how many there are")
    location = scheduler or scheduler_file
    if location is None or (scheduler and scheduler_file):
        raise UsageError(
            "--engine dask needs one of --scheduler ADDRESS and --scheduler-file FILE; "
            "`dask scheduler` starts a scheduler and prints its address"
        )
    try:
        from benchmark.engines.dask_engine import DaskEngine
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--engine dask needs {error.name}; install it: pip install 'defocus-bench[dask]'"
        ) from error
    return DaskEngine(location, allow_mixed)


def prepare(plugin: list[Path] | None, lpips_trunk: Path | None) -> None:
    """Load plug-ins, and choose the trunk of LPIPS for this process; workers get theirs with the
    settings.
    """
    if lpips_trunk is not None and not lpips_trunk.is_file():
        raise UsageError(
            f"--lpips-trunk {lpips_trunk}: no such file; see `doctor` for what is expected"
        )
    from benchmark.metrics.lpips import set_trunk_file
    from benchmark.registry import load_plugin

    set_trunk_file(lpips_trunk)
    for path in plugin or []:
        load_plugin(path)


def check_device(device: DeviceChoice) -> None:
    """Refuse a device that is not there before anything is done; only a demand for CUDA pays for
    asking torch.
    """
    if device is DeviceChoice.cuda:
        from benchmark.apply import resolve_device

        try:
            resolve_device("cuda", needs_network=True)
        except ValueError as error:
            raise UsageError(str(error)) from error


def split_comma_lists(texts: list[str]) -> list[str]:
    """Return the items of comma lists, each once."""
    parts = (part.strip() for part in ",".join(texts).split(","))
    names = list(dict.fromkeys(part for part in parts if part))
    if not names:
        raise UsageError(
            f"{', '.join(map(repr, texts))} names nothing; leave the option out or give it a value"
        )
    return names


def look_up_protocols(texts: list[str]) -> dict[str, Protocol]:
    """Return id -> protocol for every one named."""
    from benchmark.registry import PROTOCOLS

    return {name: PROTOCOLS.get(name) for name in split_comma_lists(texts)}


def parse_noise_levels(
    text: str,
    on_views: NoiseOnViewsChoice,
    seed: int,
    *,
    clip: bool = False,
    round8: bool = False,
) -> list[Noise]:
    """Return the noise levels of a comma list of sigmas on the 0-255 scale.

    Raises:
        UsageError: for anything but numbers >= 0.
    """
    from benchmark.noise import Noise

    levels = []
    for level in split_comma_lists([text]):
        try:
            levels.append(Noise(float(level), clip, round8, seed, on_views.value))
        except ValueError as error:
            raise UsageError(
                f"--noise {text}: expected numbers >= 0 on the 0-255 scale, e.g. 0,1,2.55, not "
                f"{level}"
            ) from error
    return levels


def make_settings(
    folder: Path,
    data: Path,
    plugin: list[Path] | None,
    device: DeviceChoice,
    save: bool,
    lpips_trunk: Path | None = None,
) -> RunSettings:
    """Return what the workers must know."""
    from benchmark.worker import RunSettings

    plugins = tuple(plugin or ())
    return RunSettings(folder, data, plugins, device.value, save, lpips_trunk=lpips_trunk)
