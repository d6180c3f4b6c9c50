"""How good a network is that is still learning: PSNR on held-out examples, and what makes it ready
for that.

The PSNR of a blur map is that of its sigma, with the largest sigma that the network can write as
the peak. Pictures are compared with the blurred ones, maps with the best map of one value: the
mean of all held-out pixels, which has the least squared error.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.training.loader import NetworkExamples, NetworkPair, network_pair
from benchmark.methods.training.recipes import ERROR_FLOOR, Phase
from benchmark.metrics.psnr import PSNR_CAP

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.methods.training.examples import Example

CALIBRATION = 16
"""Training examples on which normalisation statistics are measured."""


class Validation:
    """Held-out examples, and the training examples that statistics are measured on."""

    def __init__(
        self, held_out: Sequence[Example], training: NetworkExamples, phase: Phase, multiple: int
    ) -> None:
        """Prepare the validation of networks that take sizes that are multiples of `multiple`.

        Args:
            held_out: examples of any size, at least as large as `multiple`; what is beyond its
                multiples is cut off.
            training: training examples.
            phase: the last of the training; statistics are measured at its crop and batch, and
                networks judged by `mean_psnr` if that is its criterion, else by `pooled_psnr`.
            multiple: see above.
        """
        self._training = training
        self._phase = phase
        self._pairs = [
            _cut_to_multiple(network_pair(example, training.views, training.map_code), multiple)
            for example in held_out
        ]
        self._average = mean_psnr if phase.criterion == "psnr" else pooled_psnr
        if training.map_code is None:
            baseline_pairs = [
                _cut_to_multiple(network_pair(example, views=False), multiple)
                for example in held_out
            ]
        else:
            baseline_pairs = _constant_pairs([self._read(target) for _, target in self._pairs])
        self.baseline_psnr = self._average(baseline_pairs)

    def calibrate_copy(self, network: nn.Module) -> nn.Module:
        """Return a copy of a network with normalisation statistics of its own weights, in eval
        mode.

        Those that training leaves behind belong to weights of many steps, and not to averaged ones.
        """
        duplicate = copy.deepcopy(network)
        self.calibrate(duplicate)
        return duplicate.eval()

    def calibrate(self, network: nn.Module) -> None:
        """Measure the normalisation statistics of a network on training examples, in the network
        itself.
        """
        from torch.optim.swa_utils import update_bn

        update_bn(self._calibration_batches(network), network)

    def psnr(self, network: nn.Module) -> float:
        """Return the PSNR in dB of what a network in eval mode makes, clamped to [0, 1], not
        rounded.
        """
        import torch

        with torch.inference_mode():
            return self._average(
                (self._read(_apply_clamped(network, image)), self._read(target))
                for image, target in self._pairs
            )

    def _read(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a picture as it is, and a blur map as shares of the largest sigma."""
        code = self._training.map_code
        if code is None:
            return array
        return code.decode(array) / np.float32(code.largest_sigma)

    def _calibration_batches(self, network: nn.Module) -> list[Tensor]:
        import torch

        if not find_normalisations(network):
            return []
        crop = self._phase.crop
        size = self._phase.batch
        count = max(CALIBRATION, size)
        inputs = [_to_batch(self._training[crop, index][0], network) for index in range(count)]
        firsts = range(0, count - size + 1, size)
        return [torch.cat(inputs[first : first + size]) for first in firsts]


def find_normalisations(network: nn.Module) -> list[nn.Module]:
    """Return the modules of a network that normalise by statistics of the batch while they
    learn.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def pooled_psnr(pairs: Iterable[NetworkPair]) -> float:
    """Return the PSNR in dB of the mean squared error over all pixels of all pairs, at most that of
    the metric; NaN where a pixel is.

    A mean of the pairs' own PSNR would be one of the examples that are sharp already, of 100 dB and
    60 dB a little off.
    """
    errors = [np.square(np.subtract(image, sharp, dtype=np.float64)) for image, sharp in pairs]
    total = sum(error.sum() for error in errors)
    if total == 0:
        return PSNR_CAP
    count = sum(error.size for error in errors)
    return float(np.minimum(PSNR_CAP, -10 * math.log10(total / count)))  # NaN stays NaN


def mean_psnr(pairs: Iterable[NetworkPair]) -> float:
    """Return the mean of the pairs' own PSNR in dB, each with `ERROR_FLOOR` added to its error: at
    most 50 dB; NaN where a pixel is.
    """
    errors = [
        np.square(np.subtract(image, sharp, dtype=np.float64)).mean() for image, sharp in pairs
    ]
    return float(np.mean(-10 * np.log10(np.add(errors, ERROR_FLOOR))))


def _cut_to_multiple(pair: NetworkPair, multiple: int) -> NetworkPair:
    image, target = pair
    height, width = (size // multiple * multiple for size in target.shape[1:])
    return image[:, :height, :width], target[:, :height, :width]


def _constant_pairs(maps: Sequence[NDArray[np.float32]]) -> list[NetworkPair]:
    """Return a pair of each map with the one value that is nearest to all of them."""
    pixels = np.concatenate([blur_map.ravel() for blur_map in maps])
    mean = pixels.mean(dtype=np.float64).astype(np.float32)
    return [(np.full_like(blur_map, mean), blur_map) for blur_map in maps]


def _apply_clamped(network: nn.Module, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a network makes of C x H x W, D x H x W in [0, 1]."""
    output: Tensor = network(_to_batch(image, network))[0]
    return output.clamp(0, 1).cpu().numpy()


def _to_batch(array: NDArray[np.float32], network: nn.Module) -> Tensor:
    """Return C x H x W as a batch of one where the network is."""
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(array))[None]
    return batch.to(next(network.parameters()).device, memory_format=torch.channels_last)
