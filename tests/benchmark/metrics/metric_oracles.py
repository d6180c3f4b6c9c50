"""Independent evaluations that the tests hold the metrics against: slow, direct, float64, no code
of ours.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

TRUNK_SHAPES = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
}


def psnr_direct(x, y, peak=1.0):
    difference = np.asarray(x, np.float64) - np.asarray(y, np.float64)
    return 20 * math.log10(peak) - 10 * math.log10(sum(difference.ravel() ** 2) / difference.size)


def ssim_direct(x, y, window, peak=1.0):
    """SSIM over every position at which the window lies inside the picture, term by term as in Wang
    et al., eq. 13.
    """
    if window == "u7":
        weights, unbias = np.full((7, 7), 1 / 49), 49 / 48
    else:
        row = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
        weights, unbias = np.outer(row, row) / row.sum() ** 2, 1.0
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    scores = []
    for channel in range(3):
        a, b = (
            sliding_window_view(np.asarray(p[..., channel], np.float64), weights.shape)
            for p in (x, y)
        )
        ma, mb = ((w * weights).sum((-1, -2)) for w in (a, b))
        da, db = a - ma[..., None, None], b - mb[..., None, None]
        va, vb, cov = ((unbias * weights * p).sum((-1, -2)) for p in (da * da, db * db, da * db))
        scores.append(
            ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
        )
    return float(np.mean(scores))


def lpips_direct(x, y, trunk):
    """LPIPS of two H x W x 3 arrays that are fed as they are."""
    folder = Path(importlib.util.find_spec("lpips").submodule_search_locations[0])
    heads = torch.load(
        folder / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True
    )
    total = 0.0
    for layer, (a, b) in enumerate(zip(_features(x, trunk), _features(y, trunk), strict=True)):
        squared = (
            a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)
        ).nan_to_num() ** 2
        total += float(F.conv2d(squared, heads[f"lin{layer}.model.1.weight"].double()).mean())
    return total


def _features(picture, trunk):
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    h = torch.from_numpy(
        ((np.asarray(picture, np.float64) - shift) / scale).transpose(2, 0, 1)[None]
    )
    found = []
    for layer, (name, stride, padding) in enumerate(
        [
            ("features.0", 4, 2),
            ("features.3", 1, 2),
            ("features.6", 1, 1),
            ("features.8", 1, 1),
            ("features.10", 1, 1),
        ]
    ):
        h = F.max_pool2d(h, 3, 2) if layer in (1, 2) else h
        weight, bias = trunk[f"{name}.weight"].double(), trunk[f"{name}.bias"].double()
        h = F.relu(F.conv2d(h, weight, bias, stride=stride, padding=padding))
        found.append(h)
    return found


def random_trunk(seed=0):
    """A complete trunk of random weights that keep the size of what passes through."""
    generator = torch.Generator().manual_seed(seed)
    trunk = {}
    for name, shape in TRUNK_SHAPES.items():
        trunk[f"{name}.weight"] = (
            torch.randn(shape, generator=generator) * (2 / math.prod(shape[1:])) ** 0.5
        )
        trunk[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return trunk
