"""Objects for invented scenes: parts of a photograph, cut out along its own edges."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from benchmark.api import Picture
from benchmark.arrays import Plane

_SIDE = 128  # px, of the small picture that is divided into segments
_SEGMENTS = 28
_COMPACTNESS = 12.0
_ROUGHNESS = 1.5  # px of the small picture; finer detail decides no outline
_SMALLEST = 0.015  # share of the picture


def cut_objects(light: Picture, count: int, random: np.random.Generator) -> list[Plane]:
    """Return up to `count` objects, each h x w x 4: light times coverage, then coverage.

    The picture is divided into superpixels (SLIC, Achanta et al., IEEE TPAMI 34(11), 2012), which
    follow its edges. Those at its border are left out as long as there are others: a part of their
    outline is the picture's. The more there is to see on one, the likelier it is drawn.

    Args:
        light: H x W x 3, square.
        count: how many.
        random: source of the choice.
    """
    small = cv2.resize(np.sqrt(light), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    segments = cast(
        NDArray[np.int64],
        slic(
            small,
            n_segments=_SEGMENTS,
            compactness=_COMPACTNESS,
            sigma=_ROUGHNESS,
            start_label=0,
        ),
    )
    candidates = _list_candidates(segments)
    detail = np.array([small[segments == number].std() + 1e-3 for number in candidates])
    most = min(count, len(candidates))
    numbers = random.choice(candidates, most, replace=False, p=detail / detail.sum())
    return [_cut_object(light, segments == number) for number in numbers]


def _list_candidates(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the segments that make objects, at least one."""
    numbers, sizes = np.unique(segments, return_counts=True)
    border = np.concatenate([segments[[0, -1]].ravel(), segments[:, [0, -1]].ravel()])
    is_large = sizes >= _SMALLEST * segments.size
    is_whole = ~np.isin(numbers, border)
    for is_candidate in (is_large & is_whole, is_large):
        if is_candidate.any():
            return numbers[is_candidate]
    return numbers


def _cut_object(light: Picture, mask: NDArray[np.bool_]) -> Plane:
    """Return what lies under a mask of the small picture, with an edge as soft as a sample."""
    side = len(light)
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _ROUGHNESS)
    large = cv2.resize(smooth, (side, side), interpolation=cv2.INTER_CUBIC)
    # The smooth mask falls by 0.4 / _ROUGHNESS a pixel at its outline.
    slope = 0.4 / _ROUGHNESS * _SIDE / side
    coverage = np.clip((large - 0.5) / slope + 0.5, 0, 1).astype(np.float32)
    x, y, width, height = cv2.boundingRect((coverage > 0).view(np.uint8))
    box = np.s_[y : y + height, x : x + width]
    return np.dstack([light[box] * coverage[box][..., None], coverage[box]])
