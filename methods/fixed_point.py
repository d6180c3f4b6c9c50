"""The fixed-point iteration that GKMNet unrolls, without the network.

Quan, Wu and Ji, "Gaussian Kernel Mixture Network for Single Image Defocus Deblurring", NeurIPS
2021, eq. (6):

    x <- y + (x - B x),  B x = sum_k beta_k * (g(sigma_k) conv x),

started from x = y, with the mixing coefficients beta of a blur map where the network learns its
own. Plain, it inverts B and nothing else: it amplifies what B gets wrong, and noise without bound.
So it is offered with four restraints:

- beta may be fitted to a disk, the PSF of a lens, instead of one Gaussian;
- the detail d = x - B x is damped, x <- y + c d. The fixed point then passes a frequency that B
  passes with h by 1 / (1 - c (1 - h)) instead of 1 / h, at most 1 / (1 - c). It exists where c
  times the spectral radius of I - B is below 1; the radius is estimated by power iteration, and
  where it exceeds 1, c is reduced;
- where the local energy of d is no more than the noise explains, d is taken back: the factor
  max(0, 1 - w n^2 / mean(d^2)) is Wiener's gain for a detail of that energy under noise of standard
  deviation n, here that of the input times the amplification so far;
- it stops when a step changes less than the tolerance, or more than the step before.

Eq. (8) is its coarse-to-fine form: the same steps on pictures reduced by powers of 2, each scale
started from the enlarged result of the coarser one. The paper is silent about the first scale; here
it starts from its own input.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Literal

import cv2
import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from benchmark.api import Iterate, Map, MethodCard, Picture
from benchmark.methods.two_stage.deconvolution import IterativeDeconvolver
from benchmark.methods.two_stage.estimation import ESTIMATORS, EstimatorName
from benchmark.methods.two_stage.methods import TwoStage
from benchmark.methods.two_stage.noise_level import noise_level
from benchmark.methods.two_stage.wiener import QUANTISATION
from benchmark.optics import gkm
from benchmark.optics.light import Light, linear_slope, srgb_from
from benchmark.optics.scenes import GENERATOR

Weights = NDArray[np.float32]
FittedFamily = Literal["gaussian", "disk"]
"""What a mixture of Gaussians is fitted to."""
NoiseMap = NDArray[np.float32]
"""Standard deviation of the noise at every pixel, H x W."""

SAFE = 0.95
"""Where the estimated spectral radius exceeds 1, the damping is at most this over it; the estimate
may be 0.02 low.
"""

ALWAYS_SAFE = 0.5
"""Non-negative coefficients that sum to 1 bound every row sum of I - B by 2: damping up to here
needs no estimate.
"""

POWER_STEPS = 8
# for the contraction factor that is reported: near 1 the iteration settles slowly
REPORT_STEPS = 100
# px, sigma of the window in which the energy of the detail is compared with that of the noise
NOISE_REACH = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class GkmIteration(IterativeDeconvolver):
    """The iteration of eq. (6) or (8) under a blur map; see `FixedPoint` for the options."""

    psf: FittedFamily = "disk"
    light: Light = "linear"
    iterations: int = 1
    damping: float = 0.7
    noise_weight: float = 2.0
    tolerance: float = 0.001
    scales: int = 1

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        *_, last = self._follow_scales(image, blur_map)
        return last.picture

    def steps(self, image: Picture, blur_map: Map) -> Iterator[Iterate]:
        """Yield the steps of the finest scale. The residual is the root mean square of the step
        that follows.

        Without damping and noise weight that step is y - B x, the residual of the equation. The
        facts hold the spectral radius of I - B estimated by 100 power steps (`contraction`) and the
        `damping` in use.
        """
        return self._follow_scales(image, blur_map, measure=True)

    def _follow_scales(
        self, image: Picture, blur_map: Map, *, measure: bool = False
    ) -> Iterator[Iterate]:
        noise = self._noise_map(image)
        bank = gkm.paper_bank()
        latest = image
        for scale in reversed(range(self.scales)):
            target = _reduce(image, scale)
            start = target
            if scale < self.scales - 1:
                start = _enlarge(latest, target)
            beta = self._mixing_coefficients(_reduce(blur_map, scale) / np.float32(2**scale))
            is_finest = scale == 0
            damping = self._safe_damping(beta, bank)
            facts: dict[str, float] = {}
            if measure and is_finest:
                contraction = spectral_radius(beta, bank, steps=REPORT_STEPS)
                facts = {"contraction": contraction, "damping": damping}
            steps = iterate_fixed_point(
                target,
                beta,
                bank,
                start=start,
                steps=self.iterations,
                last_residual=measure,
                damping=damping,
                noise=_reduce(noise, scale) / np.float32(2**scale),
                tolerance=self.tolerance,
            )
            for picture, residual in steps:
                latest = picture
                if is_finest:
                    yield Iterate(picture, residual, facts)

    def _noise_map(self, image: Picture) -> NoiseMap:
        """Return the standard deviation of the noise that the detail is relieved of (H x W).

        Noise and rounding are taken to be even in sRGB codes; in linear light they grow with the
        slope of the curve.
        """
        codes = srgb_from(self.light, image)
        level = math.sqrt(self.noise_weight) * max(noise_level(codes), QUANTISATION)
        if self.light == "srgb":
            return np.full(image.shape[:2], level, np.float32)
        mean_square = np.square(linear_slope(codes)).mean(axis=2)
        noise: NoiseMap = np.float32(level) * np.sqrt(mean_square)
        return noise

    def _mixing_coefficients(self, blur_map: Map) -> Weights:
        if self.psf == "gaussian":
            return gkm.mixing_coefficients(blur_map, gkm.paper_bank())
        return gkm.fit_coefficients(blur_map, gkm.paper_bank(), "disk")

    def _safe_damping(self, beta: Weights, bank: gkm.Bank) -> float:
        """Return the damping under which the iteration contracts."""
        # A single step cannot diverge.
        if self.damping <= ALWAYS_SAFE or self.iterations <= 1:
            return self.damping
        radius = spectral_radius(beta, bank)
        if radius <= 1:
            return self.damping
        return min(self.damping, SAFE / radius)


class FixedPoint(TwoStage):
    """Eq. (6) of the GKMNet paper under an estimated blur map, or the true one."""

    version = "3"
    card = MethodCard(
        title="GKM fixed point",
        family="classical",
        paper="Quan, Wu and Ji, Gaussian Kernel Mixture Network for Single Image Defocus "
        "Deblurring, NeurIPS 2021",
        trained_on=("BSDS500",),
        generators=(GENERATOR,),
        notes="Eq. (6) with the paper's 21 kernels and coefficients from a blur map; the paper "
        "learns them and runs no such baseline. Light, damping, noise weight and steps were "
        "chosen here, on 8 pictures of BSDS500 train. The iteration as printed "
        "(light=srgb,damping=1,noise_weight=0,tolerance=0,psf=gaussian) can end below its input.",
    )

    def __init__(
        self,
        *,
        map: EstimatorName = "posterior",
        psf: FittedFamily = "disk",
        iterations: Annotated[int, Ge(0)] = 1,
        damping: Annotated[float, Ge(0), Le(1)] = 0.7,
        noise_weight: Annotated[float, Ge(0)] = 2.0,
        tolerance: Annotated[float, Ge(0)] = 0.001,
        scales: Annotated[int, Ge(1), Le(6)] = 1,
        light: Light = "linear",
    ) -> None:
        """Make the method.

        Args:
            map: which blur map: one of the estimators, or `oracle` for the true map of the sample.
            psf: beta fitted to a `disk` of that sigma (non-negative least squares), or one
                `gaussian` of it.
            iterations: largest number of steps (at each scale). With estimated maps more than one
                gained nothing.
            damping: c; 1 is the plain iteration. At most 0.95 over the spectral radius of I - B
                where that exceeds 1.
            noise_weight: w, how many times the variance of the noise is taken from the detail; 0:
                the plain iteration.
            tolerance: stop when a step changes the picture by less than this root mean square;
                1/255 is a grey level.
            scales: 1 is eq. (6), T > 1 the coarse-to-fine form of eq. (8) with T scales.
            light: iterate on sRGB codes or on linear light.
        """
        deconvolver = GkmIteration(
            psf=psf,
            light=light,
            iterations=iterations,
            damping=damping,
            noise_weight=noise_weight,
            tolerance=tolerance,
            scales=scales,
        )
        super().__init__(ESTIMATORS[map](), deconvolver)


def iterate_fixed_point(
    y: Picture,
    beta: Weights,
    bank: gkm.Bank,
    *,
    steps: int,
    tolerance: float,
    damping: float = 1.0,
    noise: NoiseMap | None = None,
    start: Picture | None = None,
    last_residual: bool = True,
) -> Iterator[tuple[Picture, float]]:
    """Yield each iterate x and the root mean square of the step that follows it, from the start on.

    Args:
        y: H x W x 3, the blurred picture.
        beta: K x H x W mixing coefficients.
        bank: the K kernels.
        steps: largest number of steps.
        tolerance: stop when the next step is not above this, or has grown.
        damping: c, 1 for the plain iteration.
        noise: H x W standard deviation of the noise of y that the detail is relieved of; None for
            the plain iteration.
        start: where to start; y itself if not given.
        last_residual: also evaluate the step that would follow the last one; else NaN is yielded
            for it.
    """
    x = y.copy() if start is None else start.copy()
    last_size = np.inf
    amplification = 1.0
    for step in range(steps + 1):
        if step == steps and not last_residual:
            yield x, math.nan
            return
        detail = x - gkm.blur_picture(x, beta, bank)
        if noise is not None:
            detail *= _wiener_gain(detail, noise * np.float32(amplification))
        change = y + np.float32(damping) * detail - x
        size = float(np.sqrt(np.mean(np.square(change, dtype=np.float64))))
        yield x, size
        if step == steps or size <= tolerance or size > last_size:
            return
        x = x + change
        last_size = size
        amplification = 1 + damping * amplification


def _wiener_gain(detail: Picture, noise: NoiseMap) -> NDArray[np.float32]:
    """Return Wiener's gain for a detail of the local energy under that noise (H x W x 1)."""
    energy = _average_around(np.square(detail).mean(axis=2))
    noise_energy = _average_around(np.square(noise))
    share = noise_energy / np.maximum(energy, np.float32(1e-12))
    gain: NDArray[np.float32] = np.maximum(np.float32(0), 1 - share)
    return gain[..., None]


def _average_around(energy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an H x W plane averaged over the window of `NOISE_REACH`."""
    average = cv2.GaussianBlur(energy, (0, 0), NOISE_REACH, borderType=gkm.BORDER)
    return np.reshape(average, energy.shape)  # OpenCV drops an axis of length 1


def spectral_radius(beta: Weights, bank: gkm.Bank, *, steps: int = POWER_STEPS) -> float:
    """Return an estimate of the spectral radius of I - B by power iteration.

    Three random starts share the channels of one picture; the largest growth of the last step is
    returned. Many eigenvalues lie near 1, so the estimate settles slowly: of maps of 320 x 240
    pixels, 8 steps gave 0.996 and 300 steps 1.009. Where it is well below 1, eq. (6) contracts;
    within about 0.02 of 1 it decides nothing.
    """
    probe = np.random.default_rng(0).standard_normal((*beta.shape[1:], 3)).astype(np.float32)
    growth = np.zeros(3)
    for _ in range(steps):
        probe /= np.maximum(np.linalg.norm(probe, axis=(0, 1)), np.float32(1e-30))
        probe -= gkm.blur_picture(probe, beta, bank)
        growth = np.linalg.norm(probe, axis=(0, 1))
    return float(growth.max())


def _reduce(array: Picture, scale: int) -> Picture:
    """Return a picture or a map reduced bilinearly by 2^scale (at least one pixel remains)."""
    if scale == 0:
        return array
    height, width = (max(1, round(size / 2**scale)) for size in array.shape[:2])
    # By a factor of 2, bilinear reduction is the mean of 2 x 2 pixels; area averaging continues
    # that to other factors.
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _enlarge(picture: Picture, like: Picture) -> Picture:
    size = (like.shape[1], like.shape[0])
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
