"""What the commands share: options and their types, and what is made of them."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.api import UsageError

if TYPE_CHECKING:
    from benchmark.metrics.protocols import Protocol
    from benchmark.noise import Noise
    from benchmark.worker import Settings


class Depth(enum.StrEnum):
    """Reader depths of an input track."""

    u8 = "u8"
    u16 = "u16"


class Device(enum.StrEnum):
    """Where learned methods run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Format(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"


Methods = Annotated[
    list[str],
    typer.Option(
        "--methods",
        help="Ids, comma-separated or repeated: name[.checkpoint][:key=value,...]; or a group: "
        "all, classical, "
        "learned, oracle, ablations.",
    ),
]
Protocols = Annotated[
    list[str],
    typer.Option(
        "--protocol",
        help="How scores are measured, comma-separated or repeated; see `list protocols`.",
    ),
]
Data = Annotated[
    Path, typer.Option("--data", envvar="BENCHMARK_DATA", help="Folder that holds the data sets.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="Python file that registers methods or data sets; repeatable."),
]
Trunk = Annotated[
    Path | None,
    typer.Option(
        "--lpips-trunk",
        envvar="BENCHMARK_LPIPS_TRUNK",
        help="AlexNet weights for LPIPS without a network.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the results; default: results/runs/NAME.")
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `run` wrote.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where learned methods run.")]
Levels = Annotated[
    str, typer.Option("--noise", help="Noise levels (sigma on the 0-255 scale), e.g. 0,1,2.55.")
]
NoiseClip = Annotated[bool, typer.Option("--noise-clip", help="Clip noisy pictures to [0, 1].")]
NoiseRound8 = Annotated[
    bool, typer.Option("--noise-round8", help="Round noisy pictures to 8 bits.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0.001, help="Seconds a picture may take, loading and preparing included."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N pictures.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the noise field.")]
Jobs = Annotated[
    int, typer.Option("--jobs", min=0, help="Worker processes; 0 takes one per core, four at most.")
]


def prepare(plugin: list[Path] | None, lpips_trunk: Path | None) -> None:
    """Load plug-ins, and hand the trunk on to the workers through the environment, which they
    inherit.
    """
    if lpips_trunk is not None:
        if not lpips_trunk.is_file():
            raise UsageError(
                f"--lpips-trunk {lpips_trunk}: no such file; see `doctor` for what is expected"
            )
        os.environ["BENCHMARK_LPIPS_TRUNK"] = str(lpips_trunk.resolve())
    from benchmark.registry import load_plugin

    for path in plugin or []:
        load_plugin(path)


def check_device(device: Device) -> None:
    """Refuse a device that is not there before anything is done; only a demand for CUDA pays for
    asking torch.
    """
    if device is Device.cuda:
        from benchmark.worker import resolve_device

        try:
            resolve_device("cuda", learned=True)
        except ValueError as error:
            raise UsageError(str(error)) from error


def names(texts: list[str]) -> list[str]:
    """Return the items of comma lists, each once."""
    found = list(
        dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip())
    )
    if not found:
        raise UsageError(
            f"{', '.join(map(repr, texts))} names nothing; leave the option out or give it a value"
        )
    return found


def chosen_protocols(texts: list[str]) -> dict[str, Protocol]:
    """Return id -> protocol for every one named."""
    from benchmark.registry import PROTOCOLS

    return {name: PROTOCOLS.get(name) for name in names(texts)}


def metric_weights(protocols: dict[str, Protocol]) -> dict[str, str]:
    """Return metric -> hash of its weights, for those that have any."""
    from benchmark.registry import create_metric

    metrics = {measure.metric for protocol in protocols.values() for measure in protocol.measures}
    return {
        name: found for name in sorted(metrics) if (found := create_metric(name).weights_hash())
    }


def noise_levels(text: str, clip: bool, round8: bool, seed: int) -> list[Noise]:
    from benchmark.noise import Noise

    try:
        return [Noise(float(level), clip, round8, seed) for level in names([text])]
    except ValueError as error:
        raise UsageError(
            f"--noise {text}: expected numbers >= 0 on the 0-255 scale, e.g. 0,1,2.55 ({error})"
        ) from error


def default_folder(dataset: str, kind: str = "runs") -> Path:
    """Return where results go unless --out says otherwise."""
    from benchmark.run_layout import file_name

    return Path("results") / kind / file_name(dataset)


def settings_of(
    folder: Path, data: Path, plugin: list[Path] | None, device: Device, save: bool
) -> Settings:
    """Return what the workers must know."""
    from benchmark.worker import Settings

    return Settings(folder, data, tuple(plugin or ()), device.value, save)
