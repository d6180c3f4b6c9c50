"""Blind deblurring by averaging over all the blur that a picture may have.

Nothing here is learned end to end: it is a physical model of defocus and noise, with the mean and
covariance of the local spectra of sharp photographs (`blur_posterior.json`, measured by
`blur_posterior_calibration` on BSDS500 train). It follows the idea of Chakrabarti, Zickler and
Freeman ("Analyzing spatially-varying blur", CVPR 2010), a likelihood of the local spectrum for each
candidate blur with the local contrast unknown, and of Zhu, Cohen, Schiller and Milanfar
("Estimating spatially varying defocus blur from a single image", TIP 2013), who regularise such
likelihoods into a map. It is a re-implementation of neither.

1. Evidence. The log energies of 8 bands (`blur_posterior_spectra`), over Gaussian windows, are a
   normal vector for each pair of a sigma and a level of contrast: its mean is that of sharp
   photographs of that level, plus the log of what the PSF passes of a spectrum of 1/f^2, plus
   noise; its covariance that of sharp photographs for the share that is signal, and that of a
   chi-squared energy for the share that is noise. The level is summed over. So the shape of the
   spectrum decides, as far as noise leaves it visible.
2. Posterior. The log likelihoods are averaged over a second Gaussian window; the prior on the rungs
   of `SIGMAS` is flat.
3. Start. Each pair of a sigma and a level (in `GROUPS`) has its Wiener filter, on code values;
   every pixel takes the mean of all of them under its posterior. Where the blur is in doubt, the
   filters disagree and the mean does little.
4. Refinement. Some Richardson-Lucy iterations from there, in linear light, with the operator of the
   posterior mean map and its exact adjoint. They bring in what filters cannot: how the blur changes
   across their reach, and that light is added before it is encoded.

Measured, blind, on pictures of `simulated` (disk, radius up to 8 px, 8 bits): 18 of BSDS500 val
gain 1.59, 1.50, 1.36 and 1.35 dB PSNR on average (least 0.15) at noise 0, 1, 3 and 5; the mean
error of the map is 0.48, 0.48, 0.53 and 0.55 px. Six of val blurred by hexagons gain 1.62 dB, six
blurred by Gaussians 0.69 dB (both under the assumption of a disk), and 8 stored as JPEG of quality
85 gain 0.65 dB (noise 0). Of 12 sharp pictures of val it returns 50.8 dB on average, at least 31.7
dB; sharp pictures with noise lose: 4.4 dB of 48 dB at noise 1, 0.6 dB of 34 dB at noise 5.

Chosen by hand on 8 or 10 pictures of BSDS500 train: `MISMATCH`, `SMOOTHING`, `ITERATIONS`, `WINDOW`
and the flat prior. A prior that favours focus by 1.5 in log odds returns sharp pictures 2 to 9 dB
closer but gains 0.03 to 0.1 dB less, one that favours it by 3 gains 0.2 to 0.3 dB less.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from benchmark.api import Map, Picture
from benchmark.arrays import Float64Array, Plane
from benchmark.methods.two_stage import blur_posterior_spectra as spectra
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel
from benchmark.optics.varying import VaryingBlur

Psf = Literal["gaussian", "disk"]

SIGMAS: Float64Array = np.array([0, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5])
"""The candidate blurs, pixels. A disk of sigma 0.25 fits into one pixel and is no blur."""

LEVELS: Float64Array = np.arange(-17, -1.5, 1.0)
"""The candidate levels of contrast: the mean log energy of the bands, were the picture sharp."""

GROUPS: Float64Array = np.array([-13.0, -10, -7, -4])
"""The levels for which there are Wiener filters; those between share the filters of the two next to
them.
"""

SMOOTHING = 8.0
"""Standard deviation of the second window, pixels."""

MISMATCH = 0.01
"""Share of the signal's power by which the PSF is assumed wrong, as in
`benchmark.methods.two_stage.wiener`.
"""

ITERATIONS = 6
"""Of Richardson and Lucy. More gains with little noise and loses with much."""

DARKEST = np.float32(1e-4)
"""Linear light that the refinement does not start below: it multiplies, so 0 would stay 0."""

NEGLIGIBLE = 1e-3
"""A filter that no cell gives this much weight is left out."""

_CHUNK = 4096  # cells
_SLACK = 0.02  # variance of a log energy for all that the model leaves out
CONSTANTS = Path(__file__).with_name("blur_posterior.json")


class _Sharp(NamedTuple):
    """Log energies of the bands of sharp photographs: normal for each level, the mean affine in the
    level.
    """

    level: float
    level_width: float
    shape: Float64Array
    shape_per_level: Float64Array
    covariance: Float64Array

    def log_energies(self, level: Float64Array) -> Float64Array:
        """Return the expected log energy of each band (last axis) for levels of any shape."""
        return (
            level[..., None] + self.shape + (level[..., None] - self.level) * self.shape_per_level
        )


class Posterior(NamedTuple):
    """What is believed of each cell, and the noise of the picture.

    Attributes:
        sigma: rows x columns x len(SIGMAS), the probability of each sigma.
        group: rows x columns x len(SIGMAS) x len(GROUPS), the probability of each level given the
            sigma.
        noise: variances of the noise.
    """

    sigma: Plane
    group: Plane
    noise: spectra.Noise


def estimate(image: Picture, *, psf: Psf = "disk") -> Map:
    """Return the posterior mean of the blur map: sigma in pixels, in [0, 5]. Without evidence it is
    that of the prior.

    Args:
        image: H x W x 3 of any size.
        psf: family of the PSF that is assumed.
    """
    whole = spectra.padded(image)
    return _mean(posterior(whole, spectra.transform(whole), psf), image)


def restore(image: Picture, *, psf: Psf = "disk", iterations: int = ITERATIONS) -> Picture:
    """Return the picture restored under its own posterior: H x W x 3, finite, not clamped.

    Args:
        image: H x W x 3 sRGB code values, of any size.
        psf: family of the PSF that is assumed.
        iterations: of the refinement, >= 0.
    """
    whole = spectra.padded(image)
    spectrum = spectra.transform(whole)
    found = posterior(whole, spectrum, psf)
    start = _start(whole, spectrum, found, psf)
    return _refined(whole, start, _mean(found, whole), psf, iterations)[
        : image.shape[0], : image.shape[1]
    ]


def restore_under(
    image: Picture, blur_map: Map, *, psf: Psf = "disk", iterations: int = ITERATIONS
) -> Picture:
    """Return the picture restored under a given blur map in place of the posterior; the rest is as
    in `restore`.

    Args:
        image: H x W x 3 sRGB code values, of any size.
        blur_map: H x W, sigma in pixels, >= 0. Beyond 5 only the refinement follows it.
        psf: family of the PSF that is assumed.
        iterations: of the refinement, >= 0.

    Raises:
        ValueError: if the shapes differ.
    """
    if blur_map.shape != image.shape[:2]:
        raise ValueError(
            f"blur map {blur_map.shape} must have the size of the picture {image.shape[:2]}"
        )
    whole = spectra.padded(image)
    spectrum = spectra.transform(whole)
    given = spectra.padded(np.repeat(blur_map[..., None], 3, axis=2))[..., 0]
    found = posterior(whole, spectrum, psf)._replace(sigma=_certain(spectra.cells(given)))
    start = _start(whole, spectrum, found, psf)
    return _refined(whole, start, given, psf, iterations)[: image.shape[0], : image.shape[1]]


def posterior(image: Picture, spectrum: Picture, psf: Psf = "disk") -> Posterior:
    """Return the posterior of a picture of whole cells (`blur_posterior_spectra.padded`), given
    with its transform.
    """
    noise = spectra.noise(spectrum, image)
    evidence, group = _evidence(spectra.energies(spectrum.mean(axis=2)), noise.grey, psf)
    return Posterior(_softmax(spectra.averaged(evidence, SMOOTHING)), group, noise)


def _mean(found: Posterior, image: Picture) -> Map:
    return _fine(found.sigma @ SIGMAS.astype(np.float32), image)


def _certain(sigma: Plane) -> Plane:
    """Return probabilities that are shared by the two rungs next to each sigma."""
    place = np.interp(sigma, SIGMAS, np.arange(len(SIGMAS)))
    shares: Plane = np.maximum(0, 1 - np.abs(place[..., None] - np.arange(len(SIGMAS)))).astype(
        np.float32
    )
    return shares


# Evidence
# --------------------------------------------------------------------------------------------------


def _evidence(energies: Plane, noise: float, psf: Psf) -> tuple[Plane, Plane]:
    """Return the log likelihood of each sigma in each cell, and the probability of each group given
    the sigma.
    """
    whitener, centre, offset = _states(noise, psf)
    rows, columns, bands = energies.shape
    seen = np.log(energies.reshape(-1, bands) + np.float32(1e-14))
    log_p = np.empty((len(seen), len(SIGMAS)), np.float32)
    group = np.empty((len(seen), len(SIGMAS), len(GROUPS)), np.float32)
    near = np.abs(np.clip(LEVELS, GROUPS[0], GROUPS[-1])[:, None] - GROUPS) / (
        GROUPS[1] - GROUPS[0]
    )
    tents = np.maximum(0, 1 - near).astype(np.float32)
    for start in range(0, len(seen), _CHUNK):
        part = slice(start, start + _CHUNK)
        off = (seen[part] @ whitener - centre).reshape(-1, len(offset), bands)
        joint = (offset - 0.5 * np.einsum("nsb,nsb->ns", off, off)).reshape(
            -1, len(SIGMAS), len(LEVELS)
        )
        most = joint.max(axis=2, keepdims=True)
        share = np.exp(joint - most)
        total = share.sum(axis=2, keepdims=True)
        log_p[part] = (most + np.log(total))[..., 0]
        group[part] = (share / total) @ tents
    return log_p.reshape(rows, columns, -1), group.reshape(rows, columns, *group.shape[1:])


def _states(noise: float, psf: Psf) -> tuple[Plane, Plane, Plane]:
    """Return, for all pairs of a sigma and a level, what turns log energies into a log probability.

    Returns:
        The matrices that whiten the log energies of each pair, side by side; the whitened means;
        and what the log probability has beside half the squared length.
    """
    sharp, white = _sharp(), spectra.white()
    degrees = np.maximum(
        1, 4 * np.pi * spectra.WINDOW**2 * white
    )  # of freedom: independent samples in the window
    signal = np.exp(sharp.log_energies(LEVELS)[None] + _passed(psf)[:, None]).reshape(
        -1, len(white)
    )
    expected = signal + noise * white
    share = signal / expected
    spread = (
        sharp.covariance + (LEVELS[1] - LEVELS[0]) ** 2 / 12
    )  # a level stands for those around it
    covariance = spread * share[:, :, None] * share[:, None, :]
    covariance += np.eye(len(white)) * ((1 - share) ** 2 * 2 / degrees + _SLACK)[:, None, :]
    whitener = np.linalg.inv(np.linalg.cholesky(covariance))
    prior = np.tile(-0.5 * np.square((LEVELS - sharp.level) / sharp.level_width), len(SIGMAS))
    offset = np.log(np.diagonal(whitener, axis1=1, axis2=2)).sum(axis=1) + prior
    centre = np.einsum("sij,sj->si", whitener, np.log(expected)).ravel()
    side_by_side = whitener.reshape(-1, len(white)).T
    return side_by_side.astype(np.float32), centre.astype(np.float32), offset.astype(np.float32)


@lru_cache(maxsize=1)
def _sharp() -> _Sharp:
    stored = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    vectors = (np.array(stored[key]) for key in ("shape", "shape_per_level", "covariance"))
    return _Sharp(stored["level"], stored["level_width"], *vectors)


@lru_cache(maxsize=2)
def _passed(psf: Psf) -> Float64Array:
    """Return the log of the share of a band's energy that a PSF passes (sigmas x bands), for a
    spectrum of 1/f^2.
    """
    shape = 512, 512
    frequency = spectra.radius(shape)
    frequency[0, 0] = np.inf
    weights = [
        np.square(spectra.band(frequency, number) / frequency)
        for number in range(len(spectra.CENTRES))
    ]
    powers = (np.square(spectra.transfer(psf_kernel(psf, float(sigma)), shape)) for sigma in SIGMAS)
    return np.log(
        [[(weight * power).sum() / weight.sum() for weight in weights] for power in powers]
    )


def _softmax(logs: Plane) -> Plane:
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    normal: Plane = shares / shares.sum(axis=-1, keepdims=True)
    return normal


# Restoration
# --------------------------------------------------------------------------------------------------


def _start(image: Picture, spectrum: Picture, found: Posterior, psf: Psf) -> Picture:
    """Return the mean of all Wiener filters under the posterior."""
    shape = (image.shape[0], image.shape[1])
    ratios = _noise_to_signal(shape, found.noise)
    total = np.zeros_like(image)
    kept = np.zeros(shape, np.float32)
    for number, sigma in enumerate(SIGMAS):
        passed = spectra.transfer(psf_kernel(psf, float(sigma)), shape)
        power = np.square(passed)
        for group, ratio in enumerate(ratios):
            weight = found.sigma[..., number] * found.group[..., number, group]
            if weight.max() > NEGLIGIBLE:
                gain = (passed / (power + ratio + MISMATCH * (1 - power))).astype(np.float32)
                fine = _fine(weight, image)
                total += fine[..., None] * spectra.inverse(spectrum * gain[..., None])
                kept += fine
    return total / kept[..., None]


def _noise_to_signal(shape: tuple[int, int], noise: spectra.Noise) -> list[Float64Array]:
    """Return noise over signal power at each frequency of the transform, for sharp pictures of each
    group.
    """
    frequency = np.maximum(spectra.radius(shape), 1e-9)
    # Between the centres of the bands in log frequency; constant beyond the finest, 1/f^2 below the
    # coarsest.
    falling = 2 * np.log(np.maximum(spectra.CENTRES[-1] / frequency, 1))
    densities = _sharp().log_energies(GROUPS) - np.log(spectra.white())
    between = (
        np.interp(np.log(frequency), np.log(spectra.CENTRES[::-1]), density[::-1])
        for density in densities
    )
    return [noise.channel * np.exp(-density - falling) for density in between]


def _refined(image: Picture, start: Picture, blur_map: Map, psf: Psf, iterations: int) -> Picture:
    """Return the start after some Richardson-Lucy iterations in linear light."""
    if iterations == 0:
        return start
    blur = VaryingBlur(np.ascontiguousarray(blur_map), psf)
    seen = to_linear(image)
    pedestal = np.float32(max(0.0, -float(seen.min())))
    seen = seen + pedestal
    reached = np.maximum(blur.adjoint(np.ones_like(seen)), DARKEST)
    x: Picture = np.maximum(to_linear(start) + pedestal, DARKEST)
    for _ in range(iterations):
        ratio = seen / np.maximum(blur.forward(x), DARKEST)
        x *= blur.adjoint(ratio.astype(np.float32, copy=False)) / reached
    return to_srgb(x - pedestal)


def _fine(cells: Plane, image: Picture) -> Plane:
    """Return values of cells interpolated to the pixels of the picture, of which the cells are a
    padding.
    """
    size = cells.shape[1] * spectra.CELL, cells.shape[0] * spectra.CELL
    fine = np.asarray(
        cv2.resize(np.ascontiguousarray(cells), size, interpolation=cv2.INTER_LINEAR), np.float32
    )
    return fine[: image.shape[0], : image.shape[1]]
