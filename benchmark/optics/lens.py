"""What a lens makes of a point that is out of focus, anywhere in the picture, in each colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from benchmark.arrays import Float64Array
from benchmark.optics.psf import (
    ApertureHalf,
    PsfFamily,
    cats_eye_kernel,
    embed_kernel,
    psf_kernel,
)
from benchmark.optics.ray_traced import (
    EVALUATION_LENSES,
    TRAINING_LENSES,
    LensDesign,
    ray_traced_kernel,
)

LensPsf = PsfFamily | Literal["gkm", "cats-eye"] | LensDesign
"""A family of kernels; the Gaussian kernel mixture of Quan et al., eq. (4); round in the middle of
the picture and vignetted towards its corners; or a lens design of `benchmark.optics.ray_traced`.
"""

LENS_DESIGNS: frozenset[str] = frozenset((*TRAINING_LENSES, *EVALUATION_LENSES))

LENS_PSFS: tuple[str, ...] = (*get_args(PsfFamily), "gkm", "cats-eye", *sorted(LENS_DESIGNS))

_DESIGN_HEIGHTS = (0.0, 0.7, 1.0)
"""Of `ray_traced.IMAGE_HEIGHTS`, in half diagonals."""


class FieldPosition(NamedTuple):
    """Where in the picture: right of and below its middle, in half diagonals of the picture."""

    x: float
    y: float


MIDDLE = FieldPosition(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Lens:
    """The shape of a lens's blur.

    Attributes:
        psf: the family of its PSFs.
        blades: sides of a polygonal aperture; the other families ignore it.
        cut: how far the two rims of a cat's eye are apart in the corner, in radii, in [0, 2); in
            between in proportion to the distance from the middle. The other families ignore it.
        colour_shift: longitudinal colour: signed radii of red are smaller than those of green by so
            many pixels, those of blue larger.
    """

    psf: LensPsf = "disk"
    blades: int = 6
    cut: float = 1.0
    colour_shift: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.cut < 2:
            raise ValueError(f"the cut of a cat's eye lies in [0, 2), got {self.cut}")
        if not math.isfinite(self.colour_shift):
            raise ValueError(f"the colour shift must be finite, got {self.colour_shift}")
        if self.psf == "gkm" and self.colour_shift != 0:
            raise ValueError("the Gaussian kernel mixture has one radius for all colours")

    @property
    def varies_over_field(self) -> bool:
        """Whether its PSF depends on the place in the picture."""
        return self.psf == "cats-eye" or self.psf in LENS_DESIGNS

    @property
    def has_halves(self) -> bool:
        """Whether the PSF through half of the aperture is known."""
        return self.psf != "gkm" and self.psf not in LENS_DESIGNS

    def kernel(
        self, radius: float, half: ApertureHalf | None = None, at: FieldPosition = MIDDLE
    ) -> Float64Array:
        """Return the PSF of a point behind the plane of focus; one in front of it has the same,
        turned upside down.

        Args:
            radius: in pixels, of the disk whose second moment the PSF has (2 sigma); >= 0.
            half: of the aperture, as for `benchmark.optics.psf.psf_kernel`.
            at: where in the picture.

        Raises:
            ValueError: for `gkm`, whose kernel is no function of a radius alone, and for half of an
                aperture that has none.
        """
        if half is not None and not self.has_halves:
            raise ValueError(f"the PSF {self.psf} has no half apertures")
        if self.psf == "gkm":
            raise ValueError("the Gaussian kernel mixture is rendered by its bank, not by a kernel")
        if self.psf == "cats-eye":
            distance = min(1.0, math.hypot(*at))
            angle = math.atan2(at.y, at.x)
            return cats_eye_kernel(radius / 2, self.cut * distance, angle, half=half)
        if self.psf in LENS_DESIGNS:
            return _design_kernel(self.psf, radius / 2, at)  # type: ignore[arg-type]
        return psf_kernel(self.psf, radius / 2, blades=self.blades, half=half)


def _design_kernel(design: LensDesign, sigma: float, at: FieldPosition) -> Float64Array:
    """Return the PSF between two of the image heights that were traced: a mixture of both, which
    has their second moment.
    """
    height = min(1.0, math.hypot(*at))
    position = float(np.interp(height, _DESIGN_HEIGHTS, range(len(_DESIGN_HEIGHTS))))
    # Anticlockwise from above the middle, where the image points were traced.
    turns = math.atan2(-at.x, -at.y) / (math.pi / 2) if height > 0 else 0.0
    lower = min(int(position), len(_DESIGN_HEIGHTS) - 2)
    share = position - lower
    inner, outer = (
        ray_traced_kernel(design, number, sigma, turns) for number in (lower + 1, lower + 2)
    )
    if share in (0, 1):
        return outer if share else inner
    size = max(len(inner), len(outer))
    return (1 - share) * embed_kernel(inner, size) + share * embed_kernel(outer, size)
