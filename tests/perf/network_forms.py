"""One form of a network at random weights, measured in this process: seconds, peak memory, the rate
of a matrix product, and the difference to the plain form.

    python -m tests.perf.network_forms ID plain|fast WIDTH HEIGHT FOLDER

It prints JSON; `tests.perf.networks` starts it. The plain form leaves its result in the folder,
where other forms of the same size look for it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.api import Network, UsageError
from benchmark.methods.learned.method import NetworkMethod
from benchmark.registry import METHODS, create
from benchmark.spec import parse_id
from tests.methods.random_weights import draw_statistics
from tests.perf.processes import THREADS, read_memory, read_other_work, say

if TYPE_CHECKING:
    from benchmark.methods.learned.method import Forward

CROP = 128
"""Side in pixels of the picture that warms a form up."""
REPEAT_BELOW = 10.0
"""Seconds; a form that takes less is run twice, and the faster run counts."""
PRODUCT_SIZE = 4096
_SPREAD = 0.05


def create_network_method(text: str) -> NetworkMethod:
    """Return the method that an id names, without weights.

    Raises:
        UsageError: if the id is wrong, or names a method that is no network.
    """
    if not issubclass(METHODS.get(parse_id(text).name), NetworkMethod):
        raise UsageError(f"{text} is not a network; expected one of {', '.join(list_networks())}")
    method = create(METHODS, text, checkpoint=None)[0]
    assert isinstance(method, NetworkMethod)
    return method


def list_networks() -> list[str]:
    """Return the ids of all methods that are a network."""
    return [name for name in METHODS.names() if issubclass(METHODS.get(name), NetworkMethod)]


def describe_network(method: NetworkMethod) -> Network:
    """Return a method's network as `benchmark.studies.cost.counting` takes it."""
    network = method.network()
    assert isinstance(network, Network)
    return network


def draw_network(method: NetworkMethod) -> nn.Module:
    """Return a method's plain form in eval mode at random weights, always the same.

    What begins at zero is drawn too, so that no part of the network is without effect.
    """
    torch.manual_seed(0)
    network = method.build().eval().requires_grad_(False)
    draw_statistics(network.state_dict(), _SPREAD)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.normal_(0, _SPREAD)
    return network


def draw_picture(method: NetworkMethod, width: int, height: int) -> Tensor:
    """Return what a method feeds its network for a picture of a size, N x C x H x W, padding
    included, in [0, 1].
    """
    torch.manual_seed(1)
    shape = describe_network(method).shapes(height, width)[0]
    return torch.rand(shape)


def measure_form(
    text: str, form: str, width: int, height: int, folder: Path
) -> dict[str, float | None]:
    """Return what one form, plain or fast, takes.

    Returns:
        `seconds`; `peak` memory of this process (bytes); `rate` of a matrix product (MAC/s), the
        mean of before and after; `difference` (see `compare_with_plain`); `others`, how many
        processors other processes kept busy meanwhile.
    """
    torch.set_num_threads(THREADS)
    started = time.perf_counter()
    other_work = read_other_work()
    rate_before = measure_rate()
    method = create_network_method(text)
    network = draw_network(method)
    forward: Forward = network
    if form == "fast":
        forward = method.compile_network(network, "cpu")
    picture = draw_picture(method, width, height)
    in_bf16 = form == "fast" and method.precision == "bf16"  # as `AppliedNetwork` applies it
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
        forward(draw_picture(method, CROP, CROP))
        output, seconds = time_forward(forward, picture)
    peak = read_memory("VmHWM")
    rate_after = measure_rate()
    others = (read_other_work() - other_work) / (time.perf_counter() - started)
    plain_file = folder / f"{width}x{height}.pt"
    if form == "plain":
        torch.save(output.contiguous(), plain_file)
    return {
        "seconds": seconds,
        "peak": peak,
        "rate": (rate_before + rate_after) / 2,
        "others": others,
        "difference": compare_with_plain(output, plain_file),
    }


def time_forward(forward: Forward, picture: Tensor) -> tuple[Tensor, float]:
    """Return what a network makes of a picture, and the seconds it takes; of the faster of two runs
    below `REPEAT_BELOW`.
    """
    output, seconds = time_call(lambda: forward(picture))
    if seconds < REPEAT_BELOW:
        seconds = min(seconds, time_call(lambda: forward(picture))[1])
    return output, seconds


def time_call(run: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return what a function returns, and the seconds it takes."""
    started = time.perf_counter()
    output = run()
    return output, time.perf_counter() - started


def compare_with_plain(output: Tensor, plain_file: Path) -> float | None:
    """Return the largest absolute difference to the plain form's result, as a share of the largest
    absolute value of that; None if its file is not there.
    """
    if not plain_file.exists():
        return None
    plain: Tensor = torch.load(plain_file, weights_only=True)
    return float((output.float() - plain).abs().max() / plain.abs().max())


def measure_rate() -> float:
    """Return the multiply-accumulates a second of a float32 matrix product, the best of three."""
    left, right = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE)
    product = left @ right
    seconds = [time_call(lambda: torch.mm(left, right, out=product))[1] for _ in range(3)]
    return PRODUCT_SIZE**3 / min(seconds)


def main(text: str, form: str, width: str, height: str, folder: str) -> None:
    """Measure and print."""
    say(json.dumps(measure_form(text, form, int(width), int(height), Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
