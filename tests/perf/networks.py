"""What the fast forms of networks gain on a CPU, at weights drawn at random: seconds, peak memory,
agreement with the plain form, and how near they come to the rate of a matrix product.

    python -m tests.perf.networks                           every network, `grouped` and `large`
    python -m tests.perf.networks restormer nafnet          these networks
    python -m tests.perf.networks gkmnet:precision=bf16     parameters as in any id
    python -m tests.perf.networks grouped                   GKMNet as it was released
    python -m tests.perf.networks large                     a picture of 24 megapixels

Every form runs in a process of its own on two threads: the plain one (eager, NCHW) at 848 x 560
only, the fast one there and at 1680 x 1120; one run to warm up, on a small picture, and one that
counts, or the faster of two below 10 s. Peak memory is that of the whole process. A network's own
multiply-accumulates are those of its cheapest form, and the product is one of float32 whatever the
network computes with. The exit code is 1 where something could not be measured; a missed target is
printed only. Other work on the machine disturbs it.
"""

from __future__ import annotations

import argparse
import copy
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import BenchmarkError
from benchmark.methods.learned.gkmnet import GkmNetMethod
from benchmark.methods.learned.networks import gkmnet
from benchmark.methods.learned.networks.gkmnet import COLOURS, GaussianConvolution, extend_picture
from benchmark.spec import parse_id
from benchmark.studies.cost.counting import count_network
from tests.methods.random_weights import draw
from tests.perf.network_forms import (
    create_network_method,
    describe_network,
    draw_network,
    draw_picture,
    list_networks,
    time_call,
)
from tests.perf.processes import (
    ROOT,
    THREADS,
    MeasurementError,
    describe_disturbance,
    measure_alone,
    say,
)

SMALL = (848, 560)
FULL = (1680, 1120)
LARGE = (6000, 4000)
MOST_MEMORY = 8e9
"""Bytes."""
LARGEST_DIFFERENCE = 1e-4
LONGEST_RATIOS: Mapping[str, float] = {
    **dict.fromkeys(("nrknet", "drbnet", "drbnet-d", "ifan", "ifan-d", "iniknet"), 1.5),
    **dict.fromkeys(("restormer", "restormer-d", "nafnet"), 2.0),
    **dict.fromkeys(("lakdnet", "lakdnet-d", "kpac", "kpac-d"), 3.0),
    "gkmnet": 1.15,
}
"""How many times as long as the matrix product of as many MACs a network may take."""
LONGEST_BF16_RATIOS: Mapping[str, float] = {"gkmnet": 0.6}
"""The same for `precision=bf16`, against the product in float32."""


@dataclass(frozen=True, slots=True)
class Target:
    """A number, and where it should lie.

    Attributes:
        value: as it came out.
        highest, lowest: bounds; None for no bound.
        unit: what one of the bounds is counted in, and its name.
    """

    value: float
    highest: float | None = None
    lowest: float | None = None
    unit: tuple[float, str] = (1, "")

    @property
    def is_met(self) -> bool:
        """Whether the number is within its bounds."""
        if self.highest is not None and not self.value <= self.highest:  # also for NaN
            return False
        return self.lowest is None or self.value >= self.lowest

    def __str__(self) -> str:
        size, name = self.unit
        bounds = []
        if self.highest is not None:
            bounds.append(f"at most {self.highest / size:g}{name}")
        if self.lowest is not None:
            bounds.append(f"at least {self.lowest / size:g}{name}")
        if not bounds:
            return "(no target)"
        ending = "" if self.is_met else ": MISSED"
        return f"(target: {', '.join(bounds)}{ending})"


def main(texts: list[str]) -> int:
    """Measure and print what is named, everything if nothing is; return the exit code."""
    names = texts or [*list_networks(), *REPORTS]
    for text in set(names) - set(REPORTS):
        create_network_method(text)  # a wrong id is refused before anything runs
    failures = 0
    for text in names:
        if text in REPORTS and len(names) > 1:
            # alone, as the memory of large runs is that of every process this one has started
            command = [sys.executable, "-m", "tests.perf.networks", text]
            failures += subprocess.run(command, cwd=ROOT).returncode != 0
        elif text in REPORTS:
            REPORTS[text]()
        else:
            failures += not report_network(text)
    return int(failures > 0)


def report_network(text: str) -> bool:
    """Print what the forms of one network take, each beside its target; return whether all could be
    measured.
    """
    macs = count_macs(text)
    name = "bf16" if is_bf16(text) else "fast"
    say(f"{text}, {THREADS} threads, {macs / 1e9:.0f} GMAC of its own at {FULL[0]}x{FULL[1]}:")
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = measure_form(text, "plain", SMALL, folder)
            say(f"  {SMALL[0]}x{SMALL[1]} plain: {describe_use(plain, None)}")
            small = measure_form(text, "fast", SMALL, folder)
            say(f"  {SMALL[0]}x{SMALL[1]} {name}: {describe_use(small)}")
            report_gain(text, plain, small)
            full = measure_form(text, "fast", FULL, folder)
            say(f"  {FULL[0]}x{FULL[1]} {name}: {describe_use(full)}")
            report_distance(text, macs, full)
    except MeasurementError as error:
        say(f"  could not be measured: {error}")
        return False
    return True


def is_bf16(text: str) -> bool:
    """Return whether an id asks for bfloat16."""
    return parse_id(text).parameters.get("precision") == "bf16"


def count_macs(text: str) -> float:
    """Return the multiply-accumulates of a network with its cheapest form (separable GCM) at the
    full size.
    """
    network = describe_network(create_network_method(text))
    width, height = FULL
    return count_network(network, list(network.forms)[-1], height, width).macs


def measure_form(text: str, form: str, size: tuple[int, int], folder: str) -> Mapping[str, Any]:
    """Return what `network_forms.measure_form` does, from a process of its own."""
    return measure_alone("tests.perf.network_forms", text, form, *size, folder)


def describe_use(costs: Mapping[str, Any], most_memory: float | None = MOST_MEMORY) -> str:
    """Return seconds and memory of a form in words; a plain form has no `most_memory`."""
    memory = Target(costs["peak"], highest=most_memory, unit=(1e9, " GB"))
    disturbance = describe_disturbance(costs["others"])
    return f"{costs['seconds']:.2f} s, {costs['peak'] / 1e9:.2f} GB {memory}{disturbance}"


def report_gain(text: str, plain: Mapping[str, Any], fast: Mapping[str, Any]) -> None:
    """Print how much faster a form is than the plain one, and how far its results are from it."""
    gain = plain["seconds"] / fast["seconds"]
    highest = None if is_bf16(text) else LARGEST_DIFFERENCE
    difference = Target(fast["difference"], highest=highest)
    say(f"    {gain:.2f} times as fast as plain {Target(gain, lowest=1)}")
    say(f"    largest difference, of the largest value: {difference.value:.1e} {difference}")


def report_distance(text: str, macs: float, costs: Mapping[str, Any]) -> None:
    """Print how much longer a form takes than a matrix product of as many multiply-accumulates."""
    targets = LONGEST_BF16_RATIOS if is_bf16(text) else LONGEST_RATIOS
    product_seconds = macs / costs["rate"]
    ratio = costs["seconds"] / product_seconds
    target = Target(ratio, highest=targets.get(parse_id(text).name))
    say(
        f"    {ratio:.2f} times the {product_seconds:.2f} s of a 4096^3 product at "
        f"{costs['rate'] / 1e9:.0f} GMAC/s {target}"
    )


class GroupedConvolution(GaussianConvolution):
    """The GCM as it is usually written, and as it was released: one grouped convolution of the
    colours.
    """

    def _convolved(self, x: Tensor) -> Tensor:
        padded = extend_picture(x, self._halo, self._border)
        return F.conv2d(padded, self.dense().repeat(COLOURS, 1, 1)[:, None], groups=COLOURS)


def report_grouped() -> None:
    """Print how much faster GKMNet is than with a grouped convolution; of a small picture, as that
    takes minutes.
    """
    torch.set_num_threads(THREADS)
    method = create_network_method("gkmnet")
    assert isinstance(method, GkmNetMethod)
    network = draw_network(method)
    assert isinstance(network, gkmnet.GkmNet)
    grouped = copy.deepcopy(network)
    grouped.gcm = GroupedConvolution(network.form)
    picture = draw_picture(method, *SMALL)
    seconds = []
    outputs = []
    with torch.inference_mode():
        for forward in (grouped, network, method.compile_network(copy.deepcopy(network), "cpu")):
            forward(picture[..., :32, :32])
            output, duration = time_call(lambda run=forward: run(picture))  # type: ignore[misc]
            outputs.append(output)
            seconds.append(duration)
    difference = max(float((output - outputs[0]).abs().max()) for output in outputs)
    say(
        f"gkmnet, {SMALL[0]}x{SMALL[1]}, with the GCM as one grouped convolution (as released): "
        f"{seconds[0]:.1f} s; the plain form is {seconds[0] / seconds[1]:.1f} times as fast, the "
        f"fast one {seconds[0] / seconds[2]:.0f} times; largest difference {difference:.1e}"
    )


def report_large() -> None:
    """Print the peak memory of the command that restores a picture of 24 megapixels."""
    import numpy as np

    from benchmark import imageio

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, "gkmnet")
        width, height = LARGE
        picture = np.random.default_rng(0).random((height, width, 3), np.float32)
        imageio.write(folder / "large.png", picture, 8)
        command = [sys.executable, "-m", "benchmark", "deblur", "large.png"]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--method", "gkmnet.drawn", "--out", "out"],
            cwd=folder,
            check=True,
            env={**os.environ, "BENCHMARK_CHECKPOINTS": name, "PYTHONPATH": str(ROOT)},
        )
        seconds = time.perf_counter() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    target = Target(peak, highest=6e9, unit=(1e9, " GB"))
    say(
        f"deblur --method gkmnet, {width}x{height}: {seconds:.0f} s, peak {peak / 1e9:.2f} GB of "
        f"the process {target}"
    )


REPORTS: Mapping[str, Callable[[], None]] = {"grouped": report_grouped, "large": report_large}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.perf.networks")
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="ids of networks, `grouped` or `large`; all if none"
    )
    try:
        sys.exit(main(parser.parse_args().ids))
    except BenchmarkError as error:
        parser.error(str(error))
