"""Help that teaches by example: sections of commands, and three examples at the end of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from typer.core import TyperGroup

SCRIPT = "defocus-bench"
"""Name of the program that the distribution installs."""
MODULE = "python -m benchmark"
EXAMPLES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "run": (
            "run --methods all --dataset simulated",
            "run --methods classical --dataset dpd --dry-run",
            "run --methods folder:path=mine --dataset realdof",
        ),
        "score": (
            "score results/runs/simulated --protocol harm",
            "score results/runs/simulated --protocol harm,by-blur",
            "score runs/rtf --protocol harm --jobs 2",
        ),
        "report": (
            "report results/runs/simulated",
            "report results/runs/simulated --measure lpips",
            "report runs/rtf --table 3 --format latex",
        ),
        "board": (
            "board bundle_a bundle_b --out site",
            "board results/runs/simulated --out site",
            "board runs/rtf --out site --cost results/cost",
        ),
        "page": (
            "page results/runs/simulated",
            "page results/runs/simulated --single-file --out shared",
            "page runs/rtf --thumbnails --data /media/data",
        ),
        "export": (
            "export runs/rtf --out scores.parquet",
            "export runs/rtf --out scores.csv",
            "export runs/rtf --out rtf_bundle --cost results/cost",
        ),
        "merge": (
            "merge bundle_a bundle_b --out both",
            "merge bundle_a results/runs/rtf --out both",
            "merge bundle_a bundle_b --out both --prefer bundle_a",
        ),
        "compare": (
            "compare gkmnet.sim blur-posterior runs/rtf",
            "compare gkmnet.sim input runs/rtf --measure lpips",
            "compare --all results/runs/simulated",
        ),
        "rulers": (
            "rulers results/runs/simulated",
            "rulers results/runs/simulated --noise 1",
            "rulers runs/rtf --format latex --out rulers.tex",
        ),
        "figures": (
            "figures runs/rtf --out figures",
            "figures runs/rtf --figure crops --box 40,60,80,80",
            "figures runs/rtf --methods gkmnet.sim,ebdb",
        ),
        "maps": (
            "maps --methods ebdb,zhuo-sim --dataset simulated",
            "maps --methods ebdb --dataset rtf --noise 0,1",
            "maps --methods jnb --dataset cuhk_bd --limit 10 --jobs 2",
        ),
        "convergence": (
            "convergence --methods fixed-point --dataset simulated",
            "convergence --methods fixed-point --dataset rtf",
            "convergence --methods fixed-point --dataset rtf --jobs 2",
        ),
        "psf": (
            "psf",
            "psf --dataset pixel4",
            "psf --out results/psf --jobs 2",
        ),
        "conditions": (
            "conditions --source photographs",
            "conditions --source photographs --limit 4",
            "conditions --source photographs --methods ebdb",
        ),
        "import": (
            "list importers",
            "import restormer-official weights.pth",
            "import dpdnet-s-official weights.hdf5 --out checkpoints",
        ),
        "control": (
            "control restormer.official --data data",
            "control gkmnet.official --device cuda",
            "control dpdnet-s.official --jobs 1",
        ),
        "train": (
            "train gkmnet --data pictures --megapixels 26 --tag mine",
            "train gkmnet --data pictures --noise 1,5 --tag mine",
            "train gkmnet --data pictures --tag mine --resume",
        ),
        "cost": (
            "cost --methods gkmnet,restormer",
            "cost --methods learned --size 1680x1120 --rounds 0",
            "cost --methods all --rounds 3 --format latex",
        ),
        "deblur": (
            "deblur photo.jpg",
            "deblur photographs --methods gkmnet.photo,ebdb --page",
            "deblur photo.jpg --methods gkmnet.photo --precision bf16",
        ),
        "simulate": (
            "simulate photo.png",
            "simulate photo.png --radius 4 --psf polygon",
            "simulate photo.png --depth depth.png --camera phone",
        ),
        "list": (
            "list methods",
            "list checkpoints",
            "list datasets",
        ),
        "datasets": (
            "datasets",
            "datasets --data /media/data",
            "datasets --plugin my_dataset.py",
        ),
        "verify": (
            "verify results/runs/simulated",
            "verify results/runs/simulated --all --restore 5",
            "verify bundle_a --restore 5",
        ),
        "check": (
            "check --methods gkmnet",
            "check --plugin my_method.py --methods mine",
            "check --plugin my_dataset.py --dataset mine",
        ),
        "doctor": (
            "doctor",
            "doctor --data /media/data",
            "doctor --lpips-trunk alexnet.pth",
        ),
    }
)  # fmt: skip
"""Name of a command -> how it is used. All of them can be run; some need data or weights."""


class CommandGroup(TyperGroup):
    """Commands in sections, each of which ends its help with its examples."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with its examples, None for a name that is none."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.epilog = format_examples(cmd_name)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group of commands, in their order."""
        commands = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        for panel, members in groupby(commands, key=lambda command: command.rich_help_panel):
            with formatter.section(panel):
                formatter.write_dl(
                    [(command.name, _take_first_paragraph(command.help)) for command in members]
                )


def format_examples(command: str) -> str:
    """Return the examples of a command as the end of its help, a line each."""
    lines = [f"  {name_program()} {example}" for example in EXAMPLES[command]]
    return "\n".join(("\b", "Examples:", *lines))


def name_program() -> str:
    """Return how this program was called: by its script, or as a module."""
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else MODULE


def _take_first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())
