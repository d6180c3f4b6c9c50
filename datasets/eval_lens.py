"""`eval-lens`: things before one another, seen through a real lens design.

The pinholes' shares of the light are a ray-traced PSF: of the design in US 2015/0241657, example 1,
at three heights in the picture. It is round in the middle and ever more a coma towards the corners,
and is scaled in proportion to how far a surface is out of focus, as rays are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from scipy import ndimage

from benchmark.api import DatasetCard, Picture
from benchmark.arrays import Float32Array, Float64Array
from benchmark.datasets.eval_cutouts import cut_objects
from benchmark.datasets.eval_pinholes import (
    SAMPLES_PER_PIXEL,
    PinholeLens,
    Surface,
    cover,
    make_pinhole,
    map_blur,
    take_picture,
)
from benchmark.datasets.eval_set import LAYOUT, EvaluationSet, Shot, sample_photograph

PSF_FILE = Path(__file__).parents[1] / "optics" / "lenses" / "ray_traced.npz"
"""Huygens PSFs out of focus, traced by Yunkyu Lee; the notice beside it names their source. The
file is shared with `benchmark.optics.ray_traced`, but no code is.
"""
_ARRAYS = ("pentax-q-1", "pentax-q-2", "pentax-q-3")  # of points above the middle of the picture
_IMAGE_HEIGHTS = (0.0, 3.29, 4.7)  # mm

_REACH = 28  # samples of a PSF, from its centre of gravity; 98.7 % or more of its light
_STEP = 3  # samples from one pinhole to the next
_NODES = 9  # per side, of the grid on which shares are computed

_BACKGROUND_SIGMA = (1.0, 2.6)  # px
_NEAREST_SIGMA = -2.6  # px
_OBJECTS = (3, 5)

_FULL_WELL = 15000.0  # electrons at white
_READ_NOISE = 4.0  # electrons


class EvalLens(EvaluationSet):
    """Pictures through a ray-traced lens whose blur changes over the picture."""

    card = DatasetCard(
        title="Real lens (evaluation)",
        paper="this suite; photographs as in `simulated`; PSFs: Lee, CLDefocus, GitHub, 2026",
        licence="that of the pictures; PSFs: MIT",
        source="comes with the suite; source=DIR takes any folder of sharp pictures",
        layout=LAYOUT,
        generator="eval-lens",
        notes=(
            "PSFs of one lens design, ray-traced at one wavelength and one distance, scaled with "
            "the distance from the plane of focus. Flat objects before a flat background, "
            "occlusion exact; curve of ITU-R BT.709; photon and read noise. No code is shared with "
            "training, and nothing was trained on this lens."
        ),
    )

    def take_shot(self, codes: Picture, size: int, random: np.random.Generator) -> Shot:
        light = sample_photograph(codes, size, undo_bt709)
        surfaces = invent_still_life(light, size, random)
        lens = load_lens()
        image = add_channel_noise(take_picture(surfaces, lens, size), random)
        target = take_picture(surfaces, make_pinhole(), size)
        return Shot(apply_bt709(image), apply_bt709(target), map_blur(surfaces, lens, size))


# Scene
# --------------------------------------------------------------------------------------------------


def invent_still_life(light: Picture, size: int, random: np.random.Generator) -> list[Surface]:
    """Return a background and objects before it, from far to near; one of them is in focus.

    Args:
        light: samples of the photograph.
        size: side of the picture in pixels.
        random: source of all choices.
    """
    farthest = random.uniform(*_BACKGROUND_SIGMA)
    surfaces = [Surface(cover(light), 0, 0, farthest, endless=True)]
    objects = cut_objects(light[:, ::-1], int(random.integers(*_OBJECTS, endpoint=True)), random)
    sigmas = random.uniform(_NEAREST_SIGMA, farthest, len(objects))
    sigmas[0] = 0
    places = random.uniform(0.15, 0.85, (len(objects), 2)) * size
    for samples, sigma, middle in zip(objects, -np.sort(-sigmas), places, strict=True):
        height, width = samples.shape[:2]
        left, top = middle - np.array([width, height]) / (2 * SAMPLES_PER_PIXEL)
        surfaces.append(Surface(samples, float(left), float(top), float(sigma)))
    return surfaces


# Lens
# --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def load_lens() -> PinholeLens:
    """Return the lens; in the middle of the picture its PSF has the standard deviation 1, and the
    corners are as far from there as the outermost PSF.
    """
    with np.load(PSF_FILE, allow_pickle=False) as file:
        psfs = [_PsfSampler(file[name].astype(np.float64)) for name in _ARRAYS]
    heights = np.array(_IMAGE_HEIGHTS) / _IMAGE_HEIGHTS[-1]
    offsets = _list_offsets()
    shares = np.empty((len(offsets), _NODES, _NODES))
    nodes = np.linspace(-1, 1, _NODES) / np.sqrt(2)
    for row, column in np.ndindex(_NODES, _NODES):
        place = np.array([nodes[column], nodes[row]])
        shares[:, row, column] = _shares_at(place, offsets, psfs, heights)
    middle = shares[:, _NODES // 2, _NODES // 2]
    unit = np.sqrt(middle @ np.square(offsets).sum(axis=1) / 2)
    return PinholeLens(offsets / unit, shares.astype(np.float32))


def _list_offsets() -> Float64Array:
    """Return the pinholes, N x 2, to the right and down, in samples of a PSF."""
    steps = np.arange(-_REACH, _REACH + 1, _STEP, dtype=np.float64)
    offsets = np.stack(np.meshgrid(steps - steps.mean(), steps - steps.mean()), axis=-1)
    offsets = offsets.reshape(-1, 2)
    return cast(Float64Array, offsets[np.hypot(*offsets.T) <= _REACH])


class _PsfSampler:
    """A PSF that is read off anywhere about its centre of gravity."""

    def __init__(self, psf: Float64Array) -> None:
        self._psf = ndimage.uniform_filter(psf, _STEP)
        self._centre = np.array(ndimage.center_of_mass(psf))

    def read(self, outwards: Float64Array, sideways: Float64Array) -> Float64Array:
        # Outwards is up.
        places = self._centre[:, None] + np.stack([-outwards, sideways])
        return cast(Float64Array, ndimage.map_coordinates(self._psf, places, order=1))


def _shares_at(
    place: Float64Array,
    offsets: Float64Array,
    psfs: Sequence[_PsfSampler],
    heights: Float64Array,
) -> Float64Array:
    """Return each pinhole's share of the light at a place in the picture.

    Args:
        place: from the middle, to the right and down; 1 is as far as the outermost PSF.
        offsets: the pinholes, N x 2, in samples.
        psfs: by height.
        heights: of the PSFs, ascending, from 0 to 1.
    """
    height = np.hypot(*place)
    right, down = place / height if height else (0.0, 1.0)
    outwards = offsets @ np.array([right, down])
    sideways = offsets @ np.array([-down, right])
    shares = np.zeros(len(offsets))
    for number, psf in enumerate(psfs):
        weight = np.interp(height, heights, np.eye(len(heights))[number])
        values = psf.read(outwards, sideways)
        shares += weight * values / values.sum()
    return shares


# Camera
# --------------------------------------------------------------------------------------------------


def apply_bt709(light: Float32Array) -> Float32Array:
    """Return the code values of light in [0, 1], of any shape: the opto-electronic transfer
    function of Recommendation ITU-R BT.709. What lies beyond is cut off.
    """
    inside = np.clip(light, 0, 1)
    codes = np.where(inside < 0.018, 4.5 * inside, 1.099 * inside**0.45 - 0.099)
    return codes.astype(np.float32)


def undo_bt709(codes: Float32Array) -> Float32Array:
    """Return the light of code values in [0, 1], of any shape: the inverse of `apply_bt709`."""
    light = np.where(codes < 0.081, codes / 4.5, ((codes + 0.099) / 1.099) ** (1 / 0.45))
    return light.astype(np.float32)


def add_channel_noise(light: Picture, random: np.random.Generator) -> Picture:
    """Return light with the noise of photons and of reading, in every colour by itself."""
    electrons = random.poisson(np.maximum(light, 0) * _FULL_WELL)
    noisy = electrons + random.normal(0, _READ_NOISE, light.shape)
    return (noisy / _FULL_WELL).astype(np.float32)
