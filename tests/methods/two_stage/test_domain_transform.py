from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.arrays import Float64Array
from benchmark.methods.two_stage.domain_transform import recursive_filter

SIDES = st.integers(1, 7)


def _slowly(
    image: Float64Array,
    sigma_space: float,
    sigma_range: float,
    iterations: int,
    guide: Float64Array,
) -> Float64Array:
    """The filter as the paper writes it, one number at a time, for H x W x C arrays."""
    out = image.copy()
    height, width, channels = out.shape

    def weight(a: float, one: Float64Array, other: Float64Array) -> float:
        distance = sum(abs(float(p) - float(q)) for p, q in zip(one, other, strict=True))
        return float(a ** (1 + sigma_space / sigma_range * distance))

    for i in range(1, iterations + 1):
        sigma = sigma_space * math.sqrt(3) * 2 ** (iterations - i) / math.sqrt(4**iterations - 1)
        a = math.exp(-math.sqrt(2) / sigma)
        for c in range(channels):
            for y in range(height):
                for x in range(1, width):
                    w = weight(a, guide[y, x], guide[y, x - 1])
                    out[y, x, c] = (1 - w) * out[y, x, c] + w * out[y, x - 1, c]
                for x in range(width - 2, -1, -1):
                    w = weight(a, guide[y, x], guide[y, x + 1])
                    out[y, x, c] = (1 - w) * out[y, x, c] + w * out[y, x + 1, c]
            for x in range(width):
                for y in range(1, height):
                    w = weight(a, guide[y, x], guide[y - 1, x])
                    out[y, x, c] = (1 - w) * out[y, x, c] + w * out[y - 1, x, c]
                for y in range(height - 2, -1, -1):
                    w = weight(a, guide[y, x], guide[y + 1, x])
                    out[y, x, c] = (1 - w) * out[y, x, c] + w * out[y + 1, x, c]
    return out


@settings(max_examples=30)
@given(
    height=SIDES,
    width=SIDES,
    channels=st.integers(1, 3),
    guides=st.integers(1, 4),
    sigma_space=st.floats(0.2, 60),
    sigma_range=st.floats(0.05, 5),
    iterations=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_it_is_the_recursion_of_the_paper(
    height: int,
    width: int,
    channels: int,
    guides: int,
    sigma_space: float,
    sigma_range: float,
    iterations: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    image, guide = rng.normal(size=(height, width, channels)), rng.random((height, width, guides))
    expected = _slowly(image, sigma_space, sigma_range, iterations, guide)
    given_image, given_guide = image.copy(), guide.copy()
    np.testing.assert_allclose(
        recursive_filter(given_image, sigma_space, sigma_range, iterations, given_guide),
        expected,
        atol=1e-12,
    )
    np.testing.assert_array_equal(given_image, image)  # neither input is written to
    np.testing.assert_array_equal(given_guide, guide)


def test_without_a_guide_the_picture_guides_itself() -> None:
    image = np.random.default_rng(0).random((9, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        recursive_filter(image, 7, 0.5, 5), recursive_filter(image, 7, 0.5, 5, image)
    )


def test_a_plane_needs_no_channel_axis() -> None:
    rng = np.random.default_rng(0)
    plane, guide = rng.random((5, 8)), rng.random((5, 8))
    expected = recursive_filter(plane[..., None], 3, 0.2, 3, guide[..., None])[..., 0]
    np.testing.assert_array_equal(recursive_filter(plane, 3, 0.2, 3, guide), expected)


@given(
    height=SIDES,
    width=SIDES,
    seed=st.integers(0, 1000),
    value=st.floats(-1e3, 1e3),
    wild=st.floats(0, 1e30),
)
@settings(max_examples=30)
def test_outputs_are_means_of_inputs(
    height: int, width: int, seed: int, value: float, wild: float
) -> None:
    rng = np.random.default_rng(seed)
    guide = wild * rng.normal(size=(height, width, 3))
    flat = recursive_filter(np.full((height, width), value), 15, 0.15, 3, guide)
    np.testing.assert_allclose(flat, value, rtol=1e-13)
    image = rng.normal(size=(height, width))
    smooth = recursive_filter(image, 15, 0.15, 3, guide)
    assert image.min() - 1e-12 <= smooth.min() and smooth.max() <= image.max() + 1e-12


@pytest.mark.parametrize("sigma", [6.0, 20.0])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_the_variance_on_a_flat_guide_is_that_of_its_exponentials(
    sigma: float, iterations: int
) -> None:
    """A two-sided exponential a^|x| has the variance 2a / (1 - a)^2, and variances add up."""
    size = 2 * round(12 * sigma) + 1
    impulse = np.zeros((size, 1))
    impulse[size // 2] = 1
    response = recursive_filter(impulse, sigma, 1.0, iterations, np.zeros((size, 1)))[:, 0]
    sigmas = [
        sigma * math.sqrt(3) * 2 ** (iterations - i) / math.sqrt(4**iterations - 1)
        for i in range(1, iterations + 1)
    ]
    decays = [math.exp(-math.sqrt(2) / s) for s in sigmas]
    x = np.arange(size) - size // 2
    assert response.sum() == pytest.approx(1, abs=1e-4)
    assert (response * x**2).sum() == pytest.approx(
        sum(2 * a / (1 - a) ** 2 for a in decays), rel=0.01
    )
    assert (response * x**2).sum() == pytest.approx(
        sigma**2, rel=0.06
    )  # the design aim, in the continuous limit


def test_an_edge_of_the_guide_stops_it() -> None:
    guide = np.zeros((12, 20))
    guide[:, 10:] = 1
    image = np.random.default_rng(0).random((12, 20))
    both = recursive_filter(image, 10, 0.05, 3, guide)
    image[:, 10:] += 100
    np.testing.assert_allclose(
        recursive_filter(image, 10, 0.05, 3, guide)[:, :10], both[:, :10], atol=1e-8
    )
    assert (
        np.ptp(recursive_filter(image, 10, 1e6, 3, guide).mean(axis=0)) < 90
    )  # without the edge it spreads


@pytest.mark.parametrize(
    ("sigma_space", "sigma_range", "iterations", "side"),
    [(0.0, 1.0, 3, 4), (1.0, 0.0, 3, 4), (1.0, 1.0, 0, 4), (math.nan, 1.0, 3, 4), (1.0, 1.0, 3, 5)],
)
def test_wrong_arguments_are_named(
    sigma_space: float, sigma_range: float, iterations: int, side: int
) -> None:
    with pytest.raises(ValueError, match="must"):
        recursive_filter(
            np.zeros((4, 4)), sigma_space, sigma_range, iterations, np.zeros((4, side))
        )
