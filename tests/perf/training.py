"""What the shipped training step of GKMNet gains on a CPU over a straightforward one, and whether
data keeps up.

`python -m tests.perf.training` prints crops of 128 x 128 a second: of the step that `train` takes,
and of the eager NCHW form with a dense bank of 21 x 21 kernels, on the same crops at the same
weights. Where the processor multiplies bfloat16, as the recipe `fast` then does, the step in single
precision is measured too. Steps are taken in turn in one process; medians. Other work on the
machine disturbs it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, repeat
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmark import imageio
from benchmark.methods.learned.gkmnet import GkmNetMethod
from benchmark.methods.training import start_weights
from benchmark.methods.training.camera_examples import CameraExamples
from benchmark.methods.training.examples import SimulatedExamples
from benchmark.methods.training.loader import NetworkExamples, load_batches
from benchmark.methods.training.step import take_step
from benchmark.precision import multiplies_bf16
from benchmark.registry import METHODS, create

THREADS = 2
CROP, BATCH = 128, 2
ROUNDS = 7
DATA_STEPS, DATA_ROUNDS = 20, 3
EXAMPLE_CROP = 192
EXAMPLES = 60
Step = Callable[[Tensor, Tensor], float]


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(THREADS)
    blurred, sharp = torch.rand(2, BATCH, 3, CROP, CROP)
    mixed = multiplies_bf16(gpu=False)
    forms = {"straightforward": straightforward()}
    if mixed:
        forms["in single precision"] = shipped(mixed=False)
    forms["shipped"] = shipped(mixed)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    losses: dict[str, float] = {}
    for turn in range(ROUNDS + 1):
        for name, take in forms.items():
            started = time.perf_counter()
            loss = take(blurred, sharp)
            if turn:
                seconds[name].append(time.perf_counter() - started)
            else:
                losses[name] = loss
    taken = {name: median(found) for name, found in seconds.items()}
    say(f"gkmnet, one step of {BATCH} crops of {CROP}x{CROP}, {THREADS} threads:")
    for name, each in taken.items():
        say(
            f"  {name}: {each:.3f} s, {BATCH / each:.2f} crops a second; first loss "
            f"{losses[name]:.6f}"
        )
        say(f"    {taken['straightforward'] / each:.2f} times as fast as the straightforward one")
    say("  target for the shipped step: 1.8")
    report_data(forms["shipped"])
    report_examples(forms["shipped"])


def straightforward() -> Step:
    """Return a function that takes one step of the plain form on a batch and returns the loss
    before it.
    """
    return trained(gkmnet().build, torch.contiguous_format, fused=False, mixed=False)


def shipped(mixed: bool) -> Step:
    """Return the same of the step that `train` takes."""
    return trained(gkmnet().build_trainable, torch.channels_last, fused=True, mixed=mixed)


def gkmnet() -> GkmNetMethod:
    """Return the method."""
    method = create(METHODS, "gkmnet")[0]
    assert isinstance(method, GkmNetMethod)
    return method


def trained(
    build: Callable[[], nn.Module], kept: torch.memory_format, fused: bool, mixed: bool
) -> Step:
    """Return a function that takes one step of a network."""
    torch.manual_seed(0)
    network = build()
    start_weights.begin_as_identity(network)
    network.to(memory_format=kept)
    adam = torch.optim.Adam(network.parameters(), fused=fused)
    network.train()

    def take(blurred: Tensor, sharp: Tensor) -> float:
        fed = [part.to(memory_format=kept) for part in (blurred, sharp)]
        computing = torch.autocast("cpu", torch.bfloat16, enabled=mixed)
        return take_step(network, adam, *fed, criterion="squared", rate=1e-4, autocast=computing)

    return take


def report_data(take: Step) -> None:
    """Print how much slower steps are when their crops are made meanwhile, by a process beside the
    network.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = write_pictures(Path(name))
        feed = NetworkExamples(partial(examples, folder), views=False)
        alone, beside = [], []
        places = ([(CROP, BATCH * batch + one) for one in range(BATCH)] for batch in count())
        batches = load_batches(feed, places, workers=1)
        for _ in range(DATA_ROUNDS):
            fixed = next(batches)
            time.sleep(1)  # until the process has all batches ready that it may keep
            alone.append(paced(take, repeat(fixed)))
            beside.append(paced(take, batches))
    quiet, busy = median(alone), median(beside)
    say(
        f"  with crops made by a process beside it a step takes {busy:.3f} s, on a batch that is "
        f"there {quiet:.3f} s: the network keeps {quiet / busy:.1%} of the time (target 95 %)"
    )


def report_examples(take: Step) -> None:
    """Print seconds a megapixel of making examples and of the network, each on one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    blurred, sharp = torch.rand(2, 1, 3, EXAMPLE_CROP, EXAMPLE_CROP)
    take(blurred, sharp)
    megapixels = EXAMPLE_CROP**2 / 1e6
    network = median(seconds_of(partial(take, blurred, sharp)) for _ in range(ROUNDS)) / megapixels
    side = EXAMPLE_CROP
    say(f"one thread, crops of {side}x{side}: the network {network:.1f} s a megapixel")
    with tempfile.TemporaryDirectory() as name:
        folder = write_pictures(Path(name))
        for kind in (SimulatedExamples, CameraExamples):
            crops = kind(folder, crop=EXAMPLE_CROP, seed=0)
            crops.example(0)
            seconds = sum(seconds_of(partial(crops.example, index)) for index in range(EXAMPLES))
            each = seconds / EXAMPLES / megapixels
            say(
                f"  {kind.__name__}: {each:.2f} s a megapixel, {each / network:.0%} of the network "
                "(target: less than it)"
            )


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_pictures(folder: Path) -> Path:
    """Write four pictures of 480 x 320 pixels into a folder, and return it."""
    for number in range(4):
        picture = np.random.default_rng(number).random((32, 48, 3), np.float32)
        imageio.write(folder / f"{number}.png", cv2.resize(picture, (480, 320)), 8)
    return folder


def examples(folder: Path, crop: int) -> SimulatedExamples:
    """Return the crops of a folder."""
    return SimulatedExamples(folder, crop=crop, seed=0)


def paced(take: Step, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Return the seconds of a step, waiting for its batch included."""
    started = time.perf_counter()
    for _ in range(DATA_STEPS):
        take(*next(batches))
    return (time.perf_counter() - started) / DATA_STEPS


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
