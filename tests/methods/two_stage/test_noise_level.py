from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.methods.two_stage.noise_level import noise_level


@pytest.mark.parametrize("sigma", [1 / 255, 5 / 255, 0.2])
def test_white_noise_on_a_smooth_picture(sigma: float) -> None:
    rng = np.random.default_rng(1)
    smooth = gaussian_filter(rng.random((200, 301, 3)), (8, 8, 0))
    noisy = smooth + sigma * rng.standard_normal(smooth.shape)
    # 45 000 coefficients: the relative standard error of a MAD is 1.17 / sqrt(n), here 0.6 %.
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.02)
    assert noise_level(noisy[..., 0]) == pytest.approx(sigma, rel=0.04)


def test_a_step_edge_is_not_noise() -> None:
    step = np.zeros((64, 64))
    step[:, 31:] = 1
    assert noise_level(step) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50, 3), (50, 1, 3)])
def test_too_narrow_to_tell(shape: tuple[int, ...]) -> None:
    assert noise_level(np.random.default_rng(0).random(shape)) == 0
