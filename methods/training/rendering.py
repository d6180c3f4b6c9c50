"""Many simulated photographs at once, on a GPU: what `Shot.developed` makes one by one.

Choices, surfaces and kernels are a processor's work and stay there (`packed`, in the processes that make examples); the
light is the GPU's. It goes through the lens by fast Fourier transforms, all layers of all scenes together; the wheel of
the transform turns light over the border of a scene only where nothing is taken. Results are those of `developed` but
for the rounding of a code value now and then; `tests/training/test_rendering.py` counts how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from methods.training import scenes
from methods.training.data import CODE, LINEAR, Shot
from methods.training.scenes import Layered

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_NOWHERE = -2.0  # a place between layers that is in none of them
_STEP = 8  # margins are multiples of this, so that transforms have few sizes


class Exposures(NamedTuple):
    """B scenes in front of their lenses.

    Attributes:
        sharp: B x S x S x 3 uint8, the crops in the middle.
        place: B x S x S float32, see `scenes.Layered`.
        hidden: M x 3 int64: number of the scene, pixel and source as there, in the larger picture.
        kernels: B x V x L x K x K float32, the PSF of every layer; V is 1 for the picture, 2 for left and right view.
        noise: B x V x crop x crop x 3 float32, or no number at all.
        crop: side of the examples.
    """

    sharp: Tensor
    place: Tensor
    hidden: Tensor
    kernels: Tensor
    noise: Tensor
    crop: int


def packed(shots: Sequence[Shot]) -> Exposures:
    """Return shots of one size of crops as arrays, of what a network is fed: the views where there are any."""
    import torch

    crop = len(shots[0].sharp) - 2 * shots[0].margin
    margin = -(-max(shot.margin for shot in shots) // _STEP) * _STEP
    side = crop + 2 * margin
    layers = [scenes.layered(shot.scene, shot.aperture) for shot in shots]
    sharp = np.zeros((len(shots), side, side, 3), np.uint8)
    place = np.full((len(shots), side, side), _NOWHERE, np.float32)
    for number, (shot, layer) in enumerate(zip(shots, layers, strict=True)):
        inside = (slice(margin - shot.margin, side - margin + shot.margin),) * 2
        sharp[number][inside], place[number][inside] = shot.sharp, layer.place
    hidden = [_hidden(*numbered, margin, side) for numbered in enumerate(zip(shots, layers, strict=True))]
    noise = [shot.noise[-2:] for shot in shots if shot.noise]
    arrays = (sharp, place, np.concatenate(hidden), _kernels(shots, layers), np.array(noise, np.float32))
    return Exposures(*(torch.from_numpy(array) for array in arrays), crop)


def _hidden(number: int, of: tuple[Shot, Layered], margin: int, side: int) -> NDArray[np.int64]:
    """Return what a scene hides, counted in the larger picture around it."""
    shot, layer = of
    places = []
    for flat in (layer.hidden.pixels, layer.hidden.sources):
        row, column = np.divmod(flat, len(shot.sharp))
        places.append((row + margin - shot.margin) * side + column + margin - shot.margin)
    return np.stack([np.full(len(places[0]), number), *places], axis=1).astype(np.int64)


def _kernels(shots: Sequence[Shot], layers: Sequence[Layered]) -> NDArray[np.float32]:
    """Return the kernels of all layers in the middle of squares of one size, zeros around them."""
    found = [
        [[shot.aperture.kernel(level, half) for level in layer.levels] for half in _halves(shot)]
        for shot, layer in zip(shots, layers, strict=True)
    ]
    size = max(len(kernel) for scene in found for view in scene for kernel in view)
    most = max(len(layer.levels) for layer in layers)
    made = np.zeros((len(shots), len(found[0]), most, size, size), np.float32)
    for scene, views in enumerate(found):
        for view, kernels in enumerate(views):
            for level, kernel in enumerate(kernels):
                rim = (size - len(kernel)) // 2
                made[scene, view, level, rim : size - rim, rim : size - rim] = kernel
    return made


def _halves(shot: Shot) -> tuple[scenes.Half | None, ...]:
    return ("left", "right") if shot.views else (None,)


def moved(exposures: Exposures, device: torch.device) -> Exposures:
    """Return exposures with their arrays on a device."""
    *arrays, crop = exposures
    return Exposures(*(array.to(device, non_blocking=True) for array in arrays), crop)


def developed(exposures: Exposures) -> tuple[Tensor, Tensor]:
    """Return what the network is fed, B x 3V x crop x crop, and the sharp B x 3 x crop x crop, where the arrays are."""
    import torch

    linear, code = _tables(exposures.sharp.device)
    levels = exposures.sharp.permute(0, 3, 1, 2)
    seen = _seen(_layers(exposures, linear[levels.int()]), exposures.kernels)
    margin = (levels.shape[-1] - exposures.crop) // 2
    inner = slice(margin, margin + exposures.crop)
    light = _composite(seen[..., inner, inner])
    steps = (light * (2**16 - 1) + 0.5).clamp(0, 2**16 - 1).int()
    taken = code[steps].float() / 255
    if exposures.noise.numel():
        taken = taken + exposures.noise.permute(0, 1, 4, 2, 3)
    sharp = levels[..., inner, inner].float() / 255
    return taken.flatten(1, 2).contiguous(memory_format=torch.channels_last), sharp.contiguous()


def _layers(exposures: Exposures, linear: Tensor) -> Tensor:
    """Return the light and the coverage of every layer, B x L x 4 x S x S."""
    import torch

    place, count = exposures.place, exposures.kernels.shape[2]
    lit = torch.cat([linear, torch.ones_like(linear[:, :1])], 1)
    number = torch.arange(count, device=place.device)
    share = (1 - (place[:, None] - number[:, None, None]).abs()).clamp_min(0)
    layers = (share[:, :, None] * lit[:, None]).flatten(3)
    scene, pixel, source = exposures.hidden.unbind(1)
    behind = place.flatten(1)[scene, source]
    light = lit.flatten(2)[scene, :, source]
    lower = behind.floor().long()
    for layer in (lower, lower + 1):  # no pixel is in one of these twice
        weight = (1 - (behind - layer).abs())[:, None]
        layers[scene, layer.clamp_max(count - 1), :, pixel] += light * weight
    return layers.unflatten(3, place.shape[1:])


def _seen(layers: Tensor, kernels: Tensor) -> Tensor:
    """Return all layers through their kernels (correlated, as `cv2.filter2D` does), B x V x L x 4 x S x S."""
    import torch

    side, rim = layers.shape[-1], kernels.shape[-1] // 2
    spread = torch.nn.functional.pad(kernels, [0, side - kernels.shape[-1]] * 2).roll((-rim, -rim), (-2, -1))
    through = torch.fft.rfft2(layers)[:, None] * torch.fft.rfft2(spread).conj()[:, :, :, None]
    return torch.fft.irfft2(through, s=(side, side))


def _composite(seen: Tensor) -> Tensor:
    """Return the light of layers behind one another, near to far: B x V x L x 4 x H x W to B x V x 3 x H x W.

    What is covered is never more than everything, so what is left for a layer follows from the sum before it.
    """
    coverage = seen[:, :, :, 3]
    left = (1 - (coverage.cumsum(2) - coverage)).clamp_min(0)
    part = (left / coverage.clamp_min(1e-6)).clamp_max(1)
    total = (seen * part[:, :, :, None]).sum(2)
    return total[:, :, :3] / total[:, :, 3:]


@lru_cache(maxsize=4)
def _tables(device: object) -> tuple[Tensor, Tensor]:
    """Return sRGB code value -> light, and light in steps of 1 / 65535 -> code value."""
    import torch

    return torch.from_numpy(LINEAR).to(device), torch.from_numpy(CODE).to(device)  # type: ignore[call-overload, no-any-return]
