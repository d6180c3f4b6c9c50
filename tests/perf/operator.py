"""What the blur operators cost beside the plain ways to compute the same: time on two threads, and
memory.

`python -m tests.perf.operator` measures everything in one run: rounds that take the candidates in
turn, medians over the rounds. Other work on the machine disturbs it; run it alone. Memory is what
the peak of a fresh process that does nothing else rises by, from the kernel's account of it
(Linux).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
from scipy.ndimage import correlate1d

from benchmark.arrays import Float32Array
from benchmark.optics import gkm
from benchmark.optics.varying import VaryingBlur, kernel_ladder
from tests.perf.processes import THREADS, measure_alone, read_memory, say

HEIGHT, WIDTH = 1120, 1680
PICTURE_BYTES = HEIGHT * WIDTH * 3 * 4
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    cv2.setNumThreads(THREADS)
    report_memory()
    report_gkm()
    report_torch()
    for height, width in ((512, 768), (HEIGHT, WIDTH)):
        report_varying(height, width)


def report_memory() -> None:
    for operator in ("blur", "adjoint"):
        extra = measure_alone("tests.perf.operator", operator)["extra"]
        say(
            f"gkm.{operator}, peak memory beyond its arguments: {extra / PICTURE_BYTES:.1f} "
            "pictures (target < 6)"
        )


def report_gkm() -> None:
    bank = gkm.paper_bank()
    x, beta = example(bank)
    sparse = gkm.mixing_coefficients(scene(HEIGHT, WIDTH), bank)
    results = timed(
        {
            "blur": lambda: gkm.blur_picture(x, beta, bank),
            "adjoint": lambda: gkm.blur_picture_adjoint(x, beta, bank),
            "mapped": lambda: gkm.blur_picture(x, sparse, bank),
            "dense": dense_convolution(x, beta, bank),
            "scipy": lambda: with_scipy(x, beta, bank),
            "kernels": lambda: filter_by_kernels(x, bank),
        }
    )
    say(f"gkm at {WIDTH} x {HEIGHT} x 3, K = 21, all coefficients in use, {THREADS} threads")
    for name in ("blur", "adjoint"):
        say(
            f"  {name}: {results[name]:.3f} s; dense 21 x 21 torch convolution "
            f"{results['dense']:.2f} s, {results['dense'] / results[name]:.1f} times as long "
            f"(target 2.5); scipy's separable one (one thread, as it is) {results['scipy']:.2f} s, "
            f"{results['scipy'] / results[name]:.1f} times (target 5)"
        )
    say(
        f"  the kernels alone, cv2.sepFilter2D of the whole picture by each: "
        f"{results['kernels']:.3f} s, {results['kernels'] / results['blur']:.1f} times as long as "
        "blur, weights and sum included"
    )
    say(f"  blur by the two kernels that a pixel's sigma mixes: {results['mapped']:.3f} s")


def report_torch() -> None:
    import torch

    from benchmark.optics import gkm_torch

    torch.set_num_threads(THREADS)
    bank = gkm.paper_bank()
    x, beta = example(bank)
    small, weights = x[:280, :420].copy(), beta[:, :280, :420].copy()
    planes, mixed = (
        torch.from_numpy(small.transpose(2, 0, 1).copy())[None],
        torch.from_numpy(weights)[None],
    )
    wanted = planes.clone().requires_grad_(), mixed.clone().requires_grad_()

    def both_ways() -> object:
        return gkm_torch.blur_tensor(*wanted, bank).sum().backward()

    results = timed(
        {
            "torch": lambda: gkm_torch.blur_tensor(planes, mixed, bank),
            "torch and its gradient": both_ways,
            "plain": lambda: gkm.blur_picture(small, weights, bank),
        }
    )
    say(
        "420 x 280 x 3 on the CPU: "
        f"{', '.join(f'{name} {1000 * value:.0f} ms' for name, value in results.items())}"
    )


def report_varying(height: int, width: int) -> None:
    x, blur_map = example(gkm.paper_bank())[0][:height, :width].copy(), scene(height, width)
    blurs = {family: VaryingBlur(blur_map, family) for family in ("disk", "gaussian", "gkm")}
    results = timed(
        {
            **{f"{family} forward": lambda b=blur: b.forward(x) for family, blur in blurs.items()},
            **{f"{family} adjoint": lambda b=blur: b.adjoint(x) for family, blur in blurs.items()},
            "preparing disks": lambda: VaryingBlur(blur_map, "disk"),
            "rung by rung": lambda: rung_by_rung(x, blur_map),
        }
    )
    say(
        f"VaryingBlur at {width} x {height} x 3, sigma up to {blur_map.max():.1f} px, {THREADS} "
        "threads"
    )
    say(f"  {', '.join(f'{name} {value:.3f} s' for name, value in results.items())}")
    ratios = [results["rung by rung"] / results[f"disk {way}"] for way in ("forward", "adjoint")]
    say(
        f"  disks, cv2.filter2D of the picture by each rung: {ratios[0]:.1f} times forward, "
        f"{ratios[1]:.1f} adjoint"
    )


def timed(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median wall time of each candidate in seconds, over rounds that take them
    in turn.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(ROUNDS + 1):  # the first one warms up
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            if round_ > 0:
                times[name].append(time.perf_counter() - started)
    return {name: median(seconds) for name, seconds in times.items()}


def example(bank: gkm.Bank) -> tuple[Float32Array, Float32Array]:
    """Return a picture and coefficients none of which is zero."""
    rng = np.random.default_rng(0)
    x = rng.random((HEIGHT, WIDTH, 3), np.float32)
    beta = rng.random((len(bank.taps), HEIGHT, WIDTH), np.float32)
    beta /= np.float32(len(bank.taps) / 2)
    return x, beta


def scene(height: int, width: int) -> Float32Array:
    """Return a map of a receding ground with a dozen things of their own depth before it, sigma up
    to 4.5 px.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    blur_map = np.abs(x - width / 3) / width * 6
    for _ in range(12):
        middle = rng.random(2) * (height, width)
        size = (0.03 + 0.2 * rng.random(2)) * (height, width)
        blur_map[((y - middle[0]) / size[0]) ** 2 + ((x - middle[1]) / size[1]) ** 2 < 1] = (
            4.5 * rng.random()
        )
    return blur_map.astype(np.float32)


def dense_convolution(x: Float32Array, beta: Float32Array, bank: gkm.Bank) -> Callable[[], object]:
    """Return the operator as one dense convolution of each channel by all kernels, and the weighted
    sum.

    The channels go in as separate pictures: as one grouped convolution torch is far slower on a
    CPU.
    """
    import torch

    torch.set_num_threads(THREADS)
    reach = max(len(kernel) for kernel in bank.kernels) // 2
    stack = np.stack([np.pad(kernel, reach - len(kernel) // 2) for kernel in bank.kernels])
    kernels = torch.from_numpy(stack.astype(np.float32))[:, None]
    weights = torch.from_numpy(beta)

    def run() -> object:
        padded = torch.from_numpy(
            np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
        )
        planes = padded.permute(2, 0, 1).contiguous()[:, None, None]
        return torch.stack(
            [(torch.nn.functional.conv2d(plane, kernels)[0] * weights).sum(0) for plane in planes]
        )

    output = run().permute(1, 2, 0).numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        output, gkm.blur_picture(x, beta, bank), atol=1e-4
    )  # the same thing is being timed
    return run


def filter_by_kernels(x: Float32Array, bank: gkm.Bank) -> None:
    """Filter a picture by each kernel of the bank; nothing is weighted or added."""
    for taps in bank.taps:
        cv2.sepFilter2D(x, cv2.CV_32F, taps, taps, borderType=gkm.BORDER)


def with_scipy(x: Float32Array, beta: Float32Array, bank: gkm.Bank) -> Float32Array:
    total = np.zeros_like(x)
    for weight, taps in zip(beta, bank.taps, strict=True):
        filtered = x if len(taps) == 1 else correlate1d(correlate1d(x, taps, axis=0), taps, axis=1)
        total += weight[..., None] * filtered
    return total


def rung_by_rung(x: Float32Array, blur_map: Float32Array) -> Float32Array:
    kernels, variances = kernel_ladder("disk", float(blur_map.max()))
    place = np.interp(np.square(blur_map), variances, np.arange(len(variances))).astype(np.float32)
    total = np.zeros_like(x)
    for rung, kernel in enumerate(kernels):
        weight = np.maximum(np.float32(0), 1 - np.abs(place - np.float32(rung)))
        if weight.any():
            total += weight[..., None] * cv2.filter2D(x, -1, kernel, borderType=gkm.BORDER)
    return total


def measure_memory(operator: str) -> int:
    """Return by how many bytes the peak of this process rises above what it holds before
    the call.
    """
    cv2.setNumThreads(THREADS)
    bank = gkm.paper_bank()
    x, beta = example(bank)
    run = {"blur": gkm.blur_picture, "adjoint": gkm.blur_picture_adjoint}[operator]
    run(
        x[:300, :300].copy(), beta[:, :300, :300].copy(), bank
    )  # what is loaded on first use is not the operator's
    before = read_memory("VmRSS")
    result = run(x, beta, bank)
    assert result.shape == x.shape
    return read_memory("VmHWM") - before


if __name__ == "__main__":
    if len(sys.argv) > 1:
        say(json.dumps({"extra": measure_memory(sys.argv[1])}))
    else:
        main()
