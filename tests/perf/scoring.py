"""What measuring costs: seconds to score, read and hash a picture of 1680 x 1120 in 16 bits.

`python -m tests.perf.scoring` measures everything in one run on two threads, in rounds that take
the candidates in turn; medians over the rounds. Beside the canonical protocol stand torchmetrics
and pyiqa, where they are installed, in float64 but for LPIPS, which has the same trunk: one PSNR
and one SSIM, and of torchmetrics LPIPS and MAE, where the protocol has six measures.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmark import imageio
from benchmark.api import Picture
from benchmark.metrics import lpips
from benchmark.registry import PROTOCOLS, create_metric
from tests.perf.operator import HEIGHT, WIDTH, timed
from tests.perf.processes import THREADS, read_other_work, say

GOAL = 1.0
"""Seconds a picture."""
LEAST_RATIO = 2.0
"""Times that torchmetrics is to take."""
LARGEST_DIFFERENCE = 1e-6
_KEYS_OF_LIBRARY = {"psnr": "psnr", "ssim": "ssim_g11", "lpips": "lpips", "mae": "mae"}
"""Measure of a library -> key of the canonical protocol."""


def main() -> None:
    """Measure and print."""
    cv2.setNumThreads(THREADS)
    torch.set_num_threads(THREADS)
    output, target = make_pictures()
    others_before = read_other_work()
    report_scoring(output, target)
    report_files(output, target)
    others = read_other_work() - others_before
    say(f"processor time of other work meanwhile: {others:.1f} s")


def make_pictures() -> tuple[Picture, Picture]:
    """Return an output and a target that have structure, as photographs do."""
    random = np.random.default_rng(0)
    noise = random.random((HEIGHT, WIDTH, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    target = (smooth - smooth.min()) / np.ptp(smooth)
    output = target + 0.01 * random.standard_normal(target.shape)
    return output.astype(np.float32), target.astype(np.float32)


def report_scoring(output: Picture, target: Picture) -> None:
    protocol = PROTOCOLS.get("canonical")
    create = functools.cache(create_metric)
    clamped = output.clip(0, 1)
    candidates: dict[str, Callable[[], object]] = {
        "protocol": lambda: protocol.score(output, target, "dpd", create),
    }
    for measure in protocol.measures:
        candidates[measure.key] = functools.partial(create(measure.metric), clamped, target)
    libraries = {
        "torchmetrics": make_torchmetrics_measures(clamped, target),
        "pyiqa": make_pyiqa_measures(clamped, target),
    }
    for library, measures in libraries.items():
        candidates.update({f"{library} {name}": measure for name, measure in measures.items()})
    seconds = timed(candidates)
    parts = ", ".join(f"{measure.key} {seconds[measure.key]:.2f}" for measure in protocol.measures)
    say(
        f"canonical protocol at {WIDTH} x {HEIGHT}, {THREADS} threads, the target seen before: "
        f"{seconds['protocol']:.2f} s (goal {GOAL:g}); {parts}"
    )
    scores = {
        score.key: score.value or 0.0 for score in protocol.score(output, target, "dpd", create)
    }
    for library, measures in libraries.items():
        if measures:
            report_library(library, seconds, measures, scores)
        else:
            say(f"{library} is not installed: pip install {library}")


def report_library(
    library: str,
    seconds: Mapping[str, float],
    measures: Mapping[str, Callable[[], float]],
    scores: Mapping[str, float],
) -> None:
    total = sum(seconds[f"{library} {name}"] for name in measures)
    parts = ", ".join(f"{name} {seconds[f'{library} {name}']:.2f}" for name in measures)
    differences = {
        name: abs(measure() - scores[_KEYS_OF_LIBRARY[name]]) for name, measure in measures.items()
    }
    texts = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    say(
        f"{library}, one of each: {total:.2f} s ({parts}), {total / seconds['protocol']:.1f} "
        f"times the whole protocol (target {LEAST_RATIO:g})"
    )
    is_met = max(differences.values()) <= LARGEST_DIFFERENCE
    say(f"differences to it: {texts} (target {LARGEST_DIFFERENCE:g}{'' if is_met else ': MISSED'})")


def make_tensors(output: Picture, target: Picture) -> list[torch.Tensor]:
    """Return an output and a target as 1 x 3 x H x W."""
    return [torch.from_numpy(picture.transpose(2, 0, 1)[None]) for picture in (output, target)]


def make_pyiqa_measures(output: Picture, target: Picture) -> dict[str, Callable[[], float]]:
    """Return the measures of pyiqa on a clamped output; none where it is not installed."""
    if importlib.util.find_spec("pyiqa") is None:
        return {}
    import pyiqa

    exact = [planes.double().contiguous() for planes in make_tensors(output, target)]
    psnr = pyiqa.create_metric("psnr", device="cpu").double()
    ssim = pyiqa.create_metric("ssim", device="cpu", test_y_channel=False).double()
    return {"psnr": lambda: float(psnr(*exact)), "ssim": lambda: float(ssim(*exact))}


def make_torchmetrics_measures(output: Picture, target: Picture) -> dict[str, Callable[[], float]]:
    """Return the measures of torchmetrics on a clamped output; none where it is not installed."""
    if importlib.util.find_spec("torchmetrics") is None:
        return {}
    from torchmetrics.functional import image, mean_absolute_error

    pair = make_tensors(output, target)
    exact = [planes.double().contiguous() for planes in pair]
    network = make_library_lpips()
    fed = [(2 * planes - 1).contiguous() for planes in pair]

    def measure_lpips() -> float:
        with torch.inference_mode():
            return float(network(*fed))

    return {
        "psnr": lambda: float(image.peak_signal_noise_ratio(*exact, data_range=1.0)),
        "ssim": lambda: float(
            image.structural_similarity_index_measure(*exact, data_range=1.0, sigma=1.5)
        ),
        "lpips": measure_lpips,
        "mae": lambda: float(mean_absolute_error(*[planes.flatten() for planes in exact])),
    }


def make_library_lpips() -> torch.nn.Module:
    """Return the network of torchmetrics with the trunk that the suite takes."""
    from torchmetrics.functional.image.lpips import _LPIPS

    network = _LPIPS(net="alex", pnet_rand=True).eval()
    ours = lpips._try_build_network(lpips._trunk_setting())
    if isinstance(ours, str):
        raise SystemExit(ours)
    network.net.load_state_dict(ours.net.state_dict())
    return network


def report_files(output: Picture, target: Picture) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "target.png")
        stored = Path(folder, "output.tif")
        rounded = Path(folder, "rounded.tif")
        looks = Path(folder, "output.png")
        imageio.write(picture, target, 16)
        seconds = timed(
            {
                "read a PNG of 16 bits": lambda: imageio.read(picture),
                "digest of the output": lambda: imageio.digest_array(output),
                "write the output": lambda: imageio.write_output(stored, output),
                "read the output": lambda: imageio.read_output(stored),
                "round and write it": lambda: imageio.write_output(
                    rounded, imageio.round_to_half(output)
                ),
                "write 8 bits to look at": lambda: imageio.write(looks, output, 8),
            }
        )
        shares = [path.stat().st_size / output.nbytes for path in (stored, rounded)]
    say(", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    say(f"a stored output takes {shares[0]:.0%} of its numbers, a rounded one {shares[1]:.0%}")


if __name__ == "__main__":
    main()
