"""What the shipped training step of GKMNet gains on a CPU over a straightforward one, and whether data keeps up.

`python -m tests.perf.training` prints crops of 128 x 128 a second: of the step that `train` takes, and of the eager
NCHW form with a dense bank of 21 x 21 kernels, on the same crops at the same weights. Steps are taken in turn in one
process; medians. Other work on the machine disturbs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmark import imageio
from benchmark.registry import METHODS, create
from methods.learned.gkmnet import GkmNet
from methods.training import initial
from methods.training.data import Simulated
from methods.training.feed import pair
from methods.training.step import step

THREADS = 2
CROP, BATCH = 128, 2
ROUNDS = 7


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(THREADS)
    blurred, sharp = torch.rand(2, BATCH, 3, CROP, CROP)
    forms = {name: trained(name, blurred, sharp) for name in ("straightforward", "shipped")}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    losses: dict[str, float] = {}
    for turn in range(ROUNDS + 1):
        for name, take in forms.items():
            started = time.perf_counter()
            loss = take()
            if turn:
                seconds[name].append(time.perf_counter() - started)
            else:
                losses[name] = loss
    taken = {name: median(found) for name, found in seconds.items()}
    say(f"gkmnet, one step of {BATCH} crops of {CROP}x{CROP}, {THREADS} threads:")
    for name, each in taken.items():
        say(f"  {name}: {each:.3f} s, {BATCH / each:.2f} crops a second; first loss {losses[name]:.6f}")
    ratio = taken["straightforward"] / taken["shipped"]
    say(f"  the shipped step is {ratio:.2f} times as fast (target 1.8)")
    report_data(taken["shipped"] / BATCH)


def trained(name: str, blurred: Tensor, sharp: Tensor) -> Callable[[], float]:
    """Return a function that takes one step of a form and returns the loss before it."""
    method = create(METHODS, "gkmnet")[0]
    assert isinstance(method, GkmNet)
    torch.manual_seed(0)
    shipped = name == "shipped"
    network: nn.Module = method.trainable() if shipped else method.build()
    initial.identity(network)
    kept = torch.channels_last if shipped else torch.contiguous_format
    network.to(memory_format=kept)
    adam = torch.optim.Adam(network.parameters(), fused=shipped)
    fed = [part.to(memory_format=kept) for part in (blurred, sharp)]
    network.train()
    return lambda: step(network, adam, *fed, criterion="squared", rate=1e-4)


def report_data(needed: float) -> None:
    """Print what part of a step the making of its crops takes, on one thread beside the network."""
    import tempfile

    import cv2

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(4):
            picture = np.random.default_rng(number).random((32, 48, 3), np.float32)
            imageio.write(folder / f"{number}.png", cv2.resize(picture, (480, 320)), 8)
        examples = Simulated(folder, crop=CROP, seed=0)
        for index in range(20):  # pictures, kernels
            examples.example(index)
        started = time.perf_counter()
        for index in range(20, 120):
            pair(examples.example(index), views=False)
        each = (time.perf_counter() - started) / 100
    say(
        f"  making a crop takes {1e3 * each:.1f} ms, a step {1e3 * needed:.0f} ms a crop: if the two shared one core, "
        f"the network would keep {needed / (needed + each):.1%} of it (target 95 %)"
    )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
