"""What the fast forms of GKMNet and SRN gain on a CPU: seconds, peak memory and agreement, at
weights drawn at random.

`python -m tests.perf.networks` measures everything in one run on two threads. Every form runs in a
process of its own, forms in turn, once to warm up and once timed; medians of the rounds. Peak
memory is that of the process less what it held before the network was called. Other work on the
machine disturbs it.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import Network
from benchmark.cost.counting import count_network
from benchmark.methods.learned.gkmnet import GkmNetMethod
from benchmark.methods.learned.method import AppliedNetwork
from benchmark.methods.learned.networks import gkmnet
from benchmark.methods.learned.networks.gkmnet import COLOURS, GaussianConvolution, extend_picture
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

ROOT = Path(__file__).parents[2]
THREADS = 2
ROUNDS = 3
WIDTH, HEIGHT = 1680, 1120
SMALL = (848, 560)
LARGE = (6000, 4000)
FORMS = {"gkmnet": ("dense", "separable", "fast"), "srn": ("plain", "fast")}


def main() -> None:
    """Measure and print."""
    for name, forms in FORMS.items():
        found: dict[str, list[dict[str, float]]] = {form: [] for form in forms}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                for form in forms:
                    found[form].append(measured(name, form, folder))
        report(name, found)
    report_grouped()
    report_large()


def report(name: str, found: dict[str, list[dict[str, float]]]) -> None:
    """Print what one network's forms took, and the ratios between them."""
    seconds = {form: median(one["seconds"] for one in rounds) for form, rounds in found.items()}
    peak = {form: median(one["peak"] for one in rounds) for form, rounds in found.items()}
    rate = median(one["rate"] for one in found["fast"])
    say(f"{name}, {WIDTH}x{HEIGHT}, {THREADS} threads, eager NCHW forms against the fast one:")
    for form, rounds in found.items():
        say(
            f"  {form}: {seconds[form]:.2f} s, {peak[form] / 2**30:.2f} GiB; the fast form is "
            f"{seconds[form] / seconds['fast']:.2f} times as fast, with "
            f"{peak['fast'] / peak[form]:.2f} of the memory; largest difference "
            f"{max(one['difference'] for one in rounds):.1e}"
        )
    macs = own_macs(name)
    say(
        f"  its own {macs / 1e9:.0f} GMAC need {macs / rate:.2f} s at the {rate / 1e9:.0f} GMAC/s "
        f"of a 4096^3 matrix product; the fast form takes {seconds['fast'] * rate / macs:.2f} "
        "times that"
    )
    if name == "gkmnet":
        say(
            "  (targets: 4 times as fast, a third of the memory, difference 1e-4, 2.3 times the "
            "matrix product)"
        )
    else:
        say("  (target: 1.5 times as fast)")


def own_macs(name: str) -> float:
    """Return the multiply-accumulates of a network with its cheapest form (separable GCM)."""
    network = create(METHODS, name)[0].network()
    assert isinstance(network, Network)
    return count_network(network, list(network.forms)[-1], HEIGHT, WIDTH).macs


def measured(name: str, form: str, folder: str) -> dict[str, float]:
    """Return seconds, peak memory (bytes), rate of a matrix product (MAC/s) and difference to the
    first form.
    """
    command = [sys.executable, "-m", "tests.perf.networks", name, form, folder]
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
    )
    return dict(json.loads(done.stdout))


def measure(name: str, form: str, folder: Path) -> None:
    """Time one form in this process and print the result as JSON."""
    torch.set_num_threads(THREADS)
    method = create(METHODS, name)[0]
    assert isinstance(method, AppliedNetwork)
    torch.manual_seed(0)
    network = method.build().eval().requires_grad_(False)
    x = torch.rand(1, 3, HEIGHT, WIDTH)
    if form == "separable":
        assert isinstance(method, GkmNetMethod)
        plain = network
        network = method.network().forms["separable GCM"]().eval().requires_grad_(False)
        network.load_state_dict(plain.state_dict())
    forward = method.compile_network(network, "cpu") if form == "fast" else network
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        made: Tensor = forward(x)
        started = time.perf_counter()
        forward(x)
        seconds = time.perf_counter() - started
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
    say(
        json.dumps(
            {
                "seconds": seconds,
                "peak": peak,
                "rate": rate(),
                "difference": difference(made, folder / name),
            }
        )
    )


def difference(made: Tensor, path: Path) -> float:
    """Return the largest difference to what the first form made, which is kept in a file."""
    if not path.exists():
        torch.save(made.contiguous(), path)
    first: Tensor = torch.load(path, weights_only=True)
    return float((made - first).abs().max())


def rate(size: int = 4096) -> float:
    """Return the multiply-accumulates a second of a single-precision matrix product."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    made = a @ b
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        torch.mm(a, b, out=made)
        seconds.append(time.perf_counter() - started)
    return size**3 / min(seconds)


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
    method = create(METHODS, "gkmnet")[0]
    assert isinstance(method, GkmNetMethod)
    torch.manual_seed(0)
    network = method.build().eval().requires_grad_(False)
    assert isinstance(network, gkmnet.GkmNet)
    grouped = copy.deepcopy(network)
    grouped.gcm = GroupedConvolution(network.form)
    width, height = SMALL
    x = torch.rand(1, COLOURS, height, width)
    seconds, made = [], []
    with torch.inference_mode():
        for forward in (grouped, network, method.compile_network(copy.deepcopy(network), "cpu")):
            forward(x[..., :32, :32])
            started = time.perf_counter()
            made.append(forward(x))
            seconds.append(time.perf_counter() - started)
    say(
        f"gkmnet, {width}x{height}, with the GCM as one grouped convolution (as released): "
        f"{seconds[0]:.1f} s; the plain form is {seconds[0] / seconds[1]:.1f} times as fast, the "
        f"fast one {seconds[0] / seconds[2]:.0f} times; largest difference "
        f"{max(float((one - made[0]).abs().max()) for one in made):.1e}"
    )


def report_large() -> None:
    """Print the peak memory of the command that restores a picture of 24 megapixels."""
    import numpy as np

    from benchmark import imageio

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, "gkmnet")
        width, height = LARGE
        imageio.write(
            folder / "large.png", np.random.default_rng(0).random((height, width, 3), np.float32), 8
        )
        command = [
            sys.executable,
            "-m",
            "benchmark",
            "deblur",
            "large.png",
            "--method",
            "gkmnet.drawn",
            "--out",
            "out",
        ]
        started = time.perf_counter()
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            env={**os.environ, "BENCHMARK_CHECKPOINTS": name, "PYTHONPATH": str(ROOT)},
        )
        seconds = time.perf_counter() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e9
    say(
        f"deblur --method gkmnet, {width}x{height}: {seconds:.0f} s, peak {peak:.2f} GB of the "
        "process (target < 6 GB)"
    )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:] == ["large"]:
        report_large()
    elif sys.argv[1:] == ["grouped"]:
        report_grouped()
    else:
        main()
