"""Store the weights of a checkpoint in half precision, if that changes nothing that counts.

    python -m benchmark.methods.training.half_precision FILE... --out FOLDER

Each file becomes one of the same name in FOLDER, half as large. An entry stays in single precision
if it is small, or if a value of it would overflow or lose more than half precision's rounding.
Networks still compute in single precision: torch widens the weights as it loads them. The PSNR of
the five embedded pictures, put out of focus, is measured under both; a file whose PSNR on any of
them changes by more than `LARGEST_CHANGE` is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark import checkpoints, console
from benchmark.api import DataError, Sample
from benchmark.checkpoints import CheckpointCard
from benchmark.methods.learned import expected_inputs
from benchmark.methods.learned.method import NetworkMethod
from benchmark.registry import DATASETS, METHODS, create

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_CHANGE = 0.001
"""In dB, of the PSNR of any picture."""
PICTURES = "simulated:set=five,size=256,views=true"
SMALL_ENTRY = 2000
"""Entries of fewer values stay in single precision: they take no room, and their rounding counts
most (the mixing of the Gaussian responses, normalisation).
"""
_ROUNDING = 2.0**-11
"""Largest relative error of a normal number in half precision."""
_SMALLEST_NORMAL = 2.0**-14


def round_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries in half precision, those that would lose more than its rounding as they
    are.
    """
    return {name: _round_entry(values) for name, values in weights.items()}


def _round_entry(values: Tensor) -> Tensor:
    import torch

    if values.dtype != torch.float32 or values.numel() < SMALL_ENTRY:
        return values
    rounded = values.half()
    error = (rounded.float() - values).abs()
    bound = _ROUNDING * values.abs().clamp(min=_SMALLEST_NORMAL)
    return rounded if bool((error <= bound).all()) else values


def largest_psnr_change(
    card: CheckpointCard, single: Mapping[str, Tensor], half: Mapping[str, Tensor]
) -> float:
    """Return by how many dB the PSNR of a picture changes at most, over the embedded pictures."""
    method, _ = create(METHODS, _network_id(card), checkpoint=None)
    if not isinstance(method, NetworkMethod):
        raise DataError(
            f"weights of {card.method}: make no pictures, so there is no PSNR of one to measure; "
            "the trainer chose their precision"
        )
    data, _ = create(DATASETS, PICTURES, root=Path())
    samples = [data.load(sample_id) for sample_id in data.ids()]
    before = _psnrs(method, single, samples)
    after = _psnrs(method, half, samples)
    return float(np.abs(before - after).max())


def _network_id(card: CheckpointCard) -> str:
    parameters = ",".join(f"{key}={value}" for key, value in card.parameters.items())
    return f"{card.method}:{parameters}" if parameters else card.method


def _psnrs(
    method: NetworkMethod, weights: Mapping[str, Tensor], samples: Sequence[Sample]
) -> NDArray[np.float64]:
    network = method.build()
    network.load_state_dict(dict(weights))
    network.eval()
    return np.array([_psnr(method, network, sample) for sample in samples])


def _psnr(method: NetworkMethod, network: nn.Module, sample: Sample) -> float:
    import torch

    fed = method.encode_inputs(sample.observe(method.card))
    with torch.inference_mode():
        batch = torch.from_numpy(fed.copy()).permute(2, 0, 1)[None]
        output = network(batch)[0].permute(1, 2, 0).numpy()
    picture = expected_inputs.decode(output, method.expects, "rgb").astype(np.float64)
    assert sample.target is not None
    error = np.mean(np.square(picture.clip(0, 1) - sample.target))
    return float(-10 * np.log10(error))


def store_in_half_precision(path: Path, folder: Path) -> float:
    """Write a checkpoint's weights in half precision to `folder`; return the change of PSNR in dB.

    Raises:
        DataError: a damaged file, weights of another kind of network, or a PSNR that changes by
            more than `LARGEST_CHANGE`.
    """
    card = checkpoints.read_card(path)
    single = checkpoints.load_tensors(path)
    half = round_weights(single)
    change = largest_psnr_change(card, single, half)
    if change > LARGEST_CHANGE:
        raise DataError(
            f"{path}: half precision changes the PSNR of a picture by {change:.4f} dB, more than "
            f"{LARGEST_CHANGE}; keep it in single precision"
        )
    facts = {
        **card.facts,
        "numbers": f"float16 (the embedded pictures' PSNR changes by at most {change:.5f} dB)",
        "SHA-256 in single precision": checkpoints.hash_checkpoint(path),
    }
    checkpoints.save_checkpoint(folder / path.name, half, card.model_copy(update={"facts": facts}))
    return change


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    for path in options.files:
        change = store_in_half_precision(path, options.out)
        console.print_note(f"{path.name}: the PSNR of a picture changes by at most {change:.5f} dB")


if __name__ == "__main__":
    main()
