"""What documents tell a reader to do, and doing it, on small pictures in a folder of its own.

Commands stand in fences marked `bash`, in indented lines and in tables; snippets of Python in
fences marked `python`, and fences with a title are saved as that file. Fences marked `sh` are not
run: they install, take days, or need files that only their authors may pass on.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch

from benchmark import imageio
from tests.datasets import makers
from tests.methods.learned.test_gkmnet_weights import released

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.S | re.M)
_COMMAND = re.compile(r"python -m benchmark (?!COMMAND)[^`\n]+")
_PATIENCE = 600


@dataclass(frozen=True)
class Command:
    """A line for the shell."""

    text: str

    def do(self, folder: Path) -> None:
        """Run it on small pictures; it must end well, or with cells that failed for a reason."""
        words = [sys.executable, "-m", "benchmark", *split_command(_make_small(self.text))]
        _run(words, folder, self.text)


@dataclass(frozen=True)
class Snippet:
    """Python code; that of a page shares its names, so it is run as one."""

    code: str

    def do(self, folder: Path) -> None:
        """Run it as a script."""
        script = folder / "snippet.py"
        script.write_text(self.code, encoding="utf-8")
        _run([sys.executable, str(script)], folder, self.code)


@dataclass(frozen=True)
class File:
    """A file that the reader is told to save."""

    name: str
    content: str

    def do(self, folder: Path) -> None:
        """Save it."""
        (folder / self.name).write_text(self.content, encoding="utf-8")


def read_commands(page: Path) -> list[str]:
    """Return the commands of a page, as written."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if fence[1] == "sh":
            text = text.replace(fence[0], "")
    return [match.strip() for match in _COMMAND.findall(text) if len(match.split()) > 3]


def read_steps(page: Path) -> list[Command | Snippet | File]:
    """Return what a page tells its reader to do: files first, then commands in order, then the
    snippets, as one.
    """
    text = page.read_text(encoding="utf-8")
    files: list[Command | Snippet | File] = []
    code: list[str] = []
    for language, title, content in _FENCE.findall(text):
        if title:
            files.append(File(title, content))
        elif language == "python":
            code.append(content)
    commands = [Command(command) for command in read_commands(page)]
    snippets = [Snippet("\n".join(code))] if code else []
    return [*files, *commands, *snippets]


def split_command(command: str) -> list[str]:
    """Return the words after `python -m benchmark`."""
    return shlex.split(command)[3:]


def _make_small(command: str) -> str:
    """Return a command that does the same on few pictures of 48 x 48 pixels, with few methods."""
    command = re.sub(r"--dataset simulated(?= |$)", "--dataset simulated:size=48", command)
    command = command.replace("simulated:source=pictures", "simulated:source=pictures,size=48")
    command = command.replace("1680x1120", "256x192")
    if re.search(r"benchmark run .*simulated:size=48", command) and "--out" not in command:
        command += " --out results/runs/simulated"
    if command.startswith("python -m benchmark run "):
        command = command.replace("--methods all", "--methods input,unsharp,ebdb,gkmnet,srn")
        command += " --limit 2"
        if "--jobs" not in command:
            command += " --jobs 1"  # a worker's start takes longer than its work here
    if command.startswith("python -m benchmark conditions "):
        command = re.sub(r"--methods \S+", "--methods unsharp", command)
        command += " --limit 1 --size 64 --only 'noise 2,sharp'"
    if command.startswith("python -m benchmark cost "):
        command = re.sub(r"--methods (all|gkmnet,srn)", "--methods srn", command)
    if command.startswith("python -m benchmark train "):
        command += " --crop 64"
    return command


def _run(words: list[str], folder: Path, text: str) -> None:
    run = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env={
            **os.environ,
            "BENCHMARK_DATA": str(folder / "data"),
            # On pictures this small, threads wait for each other, and for other tests, most.
            "OMP_NUM_THREADS": "1",
            # Programs that documents start are those of this environment.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
    )
    assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr}"


def furnish(folder: Path) -> None:
    """Fill a folder with what the documents speak of: pictures, data sets, weights, runs."""
    for place in ("pictures", "pairs/input", "pairs/target", "results"):
        (folder / place).mkdir(parents=True)
    for name, picture in _photographs():
        imageio.write(folder / "pictures" / f"{name}.png", picture, 8)
        imageio.write(folder / "pairs" / "target" / f"{name}.png", picture[:48, :48], 8)
        blurred = makers.blurred(picture[:48, :48]).astype(np.float32)
        imageio.write(folder / "pairs" / "input" / f"{name}.png", blurred, 8)
    imageio.write(folder / "photo.png", picture[:64, :64], 8)
    (folder / "results" / "measured").symlink_to(ROOT / "results" / "measured")
    makers.dpd(folder / "data")
    makers.rtf(folder / "data")
    makers.cuhk_bd(folder / "data")
    makers.realdof(folder / "data")
    makers.lfdof(folder / "data")
    _restore_pairs(folder / "pairs" / "target", folder / "sfnet_results")
    makers.folder(folder / "dualpixel", roles=("left", "right"))
    makers.scenes(folder / "scenes")
    makers.real_mff(folder)
    makers.real_bokeh(folder)
    torch.save(released(), folder / "GKMNet_epoch2819.pth")


def _restore_pairs(targets: Path, folder: Path) -> None:
    """Write what another program might have made of the pairs, under its own names."""
    folder.mkdir()
    for path in sorted(targets.iterdir()):
        picture = makers.blurred(imageio.read(path)[0], 0.5).astype(np.float32)
        imageio.write(folder / f"{path.stem}_restored.png", picture, 8)


def _photographs() -> Iterator[tuple[str, np.ndarray]]:
    for name in ("astronaut", "coffee", "chelsea"):
        picture = getattr(skimage.data, name)()[:224, :224]
        yield name, (picture / np.float32(255)).astype(np.float32)
