"""Checkpoints at random weights, in a folder of the test's own: they restore nothing, but
they run.

    python -m tests.methods.random_weights FOLDER restormer gkmnet.official:variant=official
    BENCHMARK_CHECKPOINTS=FOLDER python -m benchmark cost --methods restormer,gkmnet.official

measures networks whose weights are not at hand; what they cost does not depend on them. The tag is
`random` where none is given.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmark import checkpoints
from benchmark.methods.learned.method import AppliedNetwork
from benchmark.registry import METHODS, create
from benchmark.spec import parse_ids


def draw(folder: Path, text: str, tag: str = "drawn", seed: int = 0, spread: float = 0.05) -> Path:
    """Write `folder`/NAME.`tag`.safetensors for the method that an id names, and return it.

    Normalisation statistics and scales are drawn too, so that a forgotten or misplaced one shows.
    """
    method = create(METHODS, text)[0]
    assert isinstance(method, AppliedNetwork)
    torch.manual_seed(seed)
    state = method.build().state_dict()
    draw_statistics(state, spread)
    path = folder / f"{method.id}.{tag}.safetensors"
    card = checkpoints.CheckpointCard(
        method=method.id, parameters=dict(method.structure), source="drawn at random for a test"
    )
    checkpoints.save_checkpoint(path, state, card)
    return path


def draw_statistics(state: Mapping[str, Tensor], spread: float) -> None:
    """Draw the statistics of normalisation and the scales of blocks among a network's entries, in
    place.
    """
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, spread)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("_scale"):  # NAFNet starts with blocks that do nothing
            value.normal_(0, spread)


def main(folder: str, *methods: str) -> None:
    """Draw weights for methods."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for spec in parse_ids(methods):
        network = str(dataclasses.replace(spec, checkpoint=None))
        print(draw(Path(folder), network, spec.checkpoint or "random"))


if __name__ == "__main__":
    main(*sys.argv[1:])
