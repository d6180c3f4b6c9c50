"""`eval-codes`: code values blurred as they stand, by Gaussians or rings of smoothly changing size.

Many published sets of blurred pictures were made like that. There is no light, no occlusion and no
camera: each pixel gathers its neighbours' code values over a PSF of its own size.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from benchmark.api import DatasetCard, Map, Picture
from benchmark.datasets.eval_pinholes import (
    blur_by_map,
    make_gaussian_lens,
    make_pinhole,
    make_ring_lens,
)
from benchmark.datasets.eval_set import LAYOUT, EvaluationSet, Shot, sample_photograph

_PINHOLES = 192
_INNER_RADIUS = 0.5  # of a mirror lens's opening, in outer radii
_LENSES = {
    "gaussian": make_gaussian_lens(_PINHOLES),
    "ring": make_ring_lens(_PINHOLES, _INNER_RADIUS),
}
_LARGEST_SIGMA = (1.2, 3.0)  # px
_NODES = 5  # per side, of the random grid that a blur map is interpolated from
_SHARP_SHARE = 0.2  # of the range of that grid


class EvalCodes(EvaluationSet):
    """Code values under a smoothly changing Gaussian or ring-shaped blur."""

    card = DatasetCard(
        title="Code values (evaluation)",
        paper="this suite; photographs as in `simulated`",
        licence="that of the pictures",
        source="comes with the suite; source=DIR takes any folder of sharp pictures",
        layout=LAYOUT,
        generator="eval-codes",
        notes=(
            "Code values are blurred, not light, so highlights fade. Half of the pictures, by lot, "
            "have Gaussian PSFs, the others rings of a mirror lens; meta['psf'] says which. Sizes "
            "change smoothly; nothing hides anything. No code is shared with training, but "
            "gkmnet.photo also saw Gaussians blurred in code values (8 % of its examples, at the "
            "end 16 %)."
        ),
    )

    def take_shot(self, codes: Picture, size: int, random: np.random.Generator) -> Shot:
        samples = sample_photograph(codes, size)
        psf = str(random.choice(list(_LENSES)))
        sigma = invent_blur_map(size, random)
        image = blur_by_map(samples, sigma, _LENSES[psf])
        target = blur_by_map(samples, np.zeros_like(sigma), make_pinhole())
        return Shot(image, target, sigma, {"psf": psf})


def invent_blur_map(size: int, random: np.random.Generator) -> Map:
    """Return a smooth blur map (size x size), sharp somewhere.

    Args:
        size: side in pixels.
        random: source of all choices.
    """
    nodes = random.standard_normal((_NODES, _NODES)).astype(np.float32)
    hills = cv2.resize(nodes, (size, size), interpolation=cv2.INTER_CUBIC)
    heights = (hills - hills.min()) / (hills.max() - hills.min())
    shares = np.maximum(0, heights - _SHARP_SHARE) / (1 - _SHARP_SHARE)
    return cast(Map, (shares * random.uniform(*_LARGEST_SIGMA)).astype(np.float32))
