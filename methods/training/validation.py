"""How good a network is that is still learning: PSNR on held-out examples, and what makes it ready
for that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.methods.training.loader import Feed, Pair, pair
from benchmark.methods.training.recipes import Phase

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.methods.training.data import Example

CALIBRATION = 16
"""Training examples on which normalisation statistics are measured."""


class Validation:
    """Held-out examples, and the training examples that statistics are measured on."""

    def __init__(
        self, held_out: Sequence[Example], feed: Feed, phase: Phase, multiple: int
    ) -> None:
        """Prepare the validation of networks that take sizes that are multiples of `multiple`.

        Args:
            held_out: examples of any size, at least as large as `multiple`; what is beyond its
                multiples is cut off.
            feed: training examples.
            phase: the last of the training; statistics are measured at its crop and batch.
            multiple: see above.
        """
        self._pairs = [_cut(pair(example, feed.views), multiple) for example in held_out]
        self._feed, self._phase = feed, phase
        blurred = [_cut(pair(example, views=False), multiple) for example in held_out]
        self.input_psnr = pooled_psnr(blurred)

    def calibrated(self, network: nn.Module) -> nn.Module:
        """Return a copy of a network with normalisation statistics of its own weights, in eval
        mode.

        Those that training leaves behind belong to weights of many steps, and not to averaged ones.
        """
        made = copy.deepcopy(network)
        self.calibrate(made)
        return made.eval()

    def calibrate(self, network: nn.Module) -> None:
        """Measure the normalisation statistics of a network on training examples, in the network
        itself.
        """
        from torch.optim.swa_utils import update_bn

        update_bn(self._batches(network), network)

    def psnr(self, network: nn.Module) -> float:
        """Return the PSNR in dB over all that a network in eval mode restores, clamped to [0, 1],
        not rounded.
        """
        import torch

        with torch.inference_mode():
            return pooled_psnr(
                (network(_tensor(fed, network))[0].clamp(0, 1).cpu().numpy(), sharp)
                for fed, sharp in self._pairs
            )

    def _batches(self, network: nn.Module) -> list[Tensor]:
        import torch

        if not normalisations(network):
            return []
        crop, size = self._phase.crop, self._phase.batch
        fed = [self._feed[crop, index][0] for index in range(max(CALIBRATION, size))]
        return [
            torch.cat([_tensor(one, network) for one in fed[first : first + size]])
            for first in range(0, len(fed) - size + 1, size)
        ]


def normalisations(network: nn.Module) -> list[nn.Module]:
    """Return the modules of a network that normalise by statistics of the batch while they
    learn.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def _cut(made: Pair, multiple: int) -> Pair:
    fed, sharp = made
    height, width = (size // multiple * multiple for size in sharp.shape[1:])
    return fed[:, :height, :width], sharp[:, :height, :width]


def pooled_psnr(pairs: Iterable[Pair]) -> float:
    """Return the PSNR in dB of the mean squared error over all pixels of all pairs, which differ
    somewhere.

    A mean of the pairs' own PSNR would be one of the examples that are sharp already, of 100 dB and
    60 dB a little off.
    """
    errors = [np.square(np.subtract(made, sharp, dtype=np.float64)) for made, sharp in pairs]
    return -10 * math.log10(
        sum(error.sum() for error in errors) / sum(error.size for error in errors)
    )


def _tensor(fed: np.ndarray[tuple[int, ...], np.dtype[np.float32]], network: nn.Module) -> Tensor:
    """Return C x H x W as a batch of one where the network is."""
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(fed))[None]
    return batch.to(next(network.parameters()).device, memory_format=torch.channels_last)
