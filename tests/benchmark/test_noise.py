import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.api import Sample
from benchmark.noise import Noise, NoiseOnViews, add_noise, standard_normal_field

GREY = np.full((64, 80, 3), 0.5, np.float32)


def sample(name: str = "a", views: bool = False) -> Sample:
    return Sample(name, GREY, target=GREY, views=(GREY, GREY) if views else None)


def test_field_is_standard_normal() -> None:
    values = standard_normal_field((400, 400, 3), seed=0, dataset="d", sample="s").ravel()
    assert stats.kstest(values[:20000], "norm").pvalue > 1e-3
    assert abs(values.mean()) < 5 / np.sqrt(values.size) and abs(values.std() - 1) < 5 / np.sqrt(
        2 * values.size
    )


def test_every_part_of_the_key_matters() -> None:
    base = {"seed": 0, "dataset": "d", "sample": "s", "repetition": 0, "part": "image"}
    first = standard_normal_field((8, 8, 3), **base)
    assert np.array_equal(first, standard_normal_field((8, 8, 3), **base))
    for key, other in (
        ("seed", 1),
        ("dataset", "e"),
        ("sample", "t"),
        ("repetition", 1),
        ("part", "left"),
    ):
        changed = standard_normal_field((8, 8, 3), **(base | {key: other}))
        assert abs(np.corrcoef(first.ravel(), changed.ravel())[0, 1]) < 0.3, key


def test_levels_scale_one_field() -> None:
    one, five = (add_noise(sample(), Noise(s), "d").image - GREY for s in (1.0, 5.0))
    np.testing.assert_allclose(five, 5 * one, atol=1e-6)
    assert five.std() * 255 == pytest.approx(5, rel=0.05)


def test_stream_is_pinned() -> None:
    """A numpy that draws other numbers would silently change every noisy score; this must then
    fail.
    """
    first = standard_normal_field((1, 2, 3), seed=7, dataset="simulated", sample="coffee").ravel()
    expected = [
        0.7179552303394644,
        0.18323993095256197,
        0.6858060059770211,
        -0.1009715132396557,
        0.3621787635281668,
        0.9576882412210118,
    ]
    np.testing.assert_allclose(first, expected, atol=1e-12)


@settings(max_examples=20)
@given(
    sigma=st.floats(0.5, 20),
    seed=st.integers(0, 999),
    reading=st.sampled_from(["", "same", "physical"]),
)
def test_sigma_of_views_and_of_the_picture(sigma: float, seed: int, reading: str) -> None:
    """Each view has sigma, or sigma * sqrt(2) under `physical`, where the picture is their mean;
    the picture has sigma, and is the same under both. 15,360 values: a deviation of 5 % is 9
    standard errors.
    """
    noise = Noise(sigma, seed=seed, on_views=reading)  # type: ignore[arg-type]
    noisy = add_noise(sample(views=True), noise, "d")
    assert noisy.views is not None
    left, right = (view.astype(np.float64) - GREY for view in noisy.views)
    picture = noisy.image.astype(np.float64) - GREY
    factor = np.sqrt(2) if reading == "physical" else 1
    for view in (left, right):
        assert view.std() * 255 == pytest.approx(factor * sigma, rel=0.05)
    assert picture.std() * 255 == pytest.approx(sigma, rel=0.05)
    np.testing.assert_allclose((left + right) / 2 * np.sqrt(2) / factor, picture, atol=1e-6)
    assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.05
    other = dataclasses.replace(noise, on_views="same" if reading == "physical" else "physical")
    np.testing.assert_array_equal(add_noise(sample(views=True), other, "d").image, noisy.image)


def test_views_are_clipped_and_rounded_as_the_picture_is() -> None:
    bright = dataclasses.replace(sample(views=True), views=(np.ones_like(GREY), GREY))
    readings: tuple[NoiseOnViews, ...] = ("same", "physical")
    for reading in readings:
        noisy = add_noise(bright, Noise(5.0, round8=True, on_views=reading), "d")
        assert noisy.views is not None
        for view in noisy.views:
            assert view.max() <= 1
            np.testing.assert_allclose(view * 255, np.round(view * 255), atol=1e-4)


def test_what_noise_does_to_views_is_said_for_those_who_take_them() -> None:
    assert Noise(1.0).of_inputs("views") == Noise(1.0, on_views="same")
    assert Noise(1.0, on_views="physical").of_inputs("views").on_views == "physical"
    assert Noise(1.0, on_views="physical").of_inputs("image") == Noise(1.0)
    assert Noise(0.0, on_views="physical").canonical().of_inputs("views") == Noise()
    assert str(Noise(1.0, on_views="physical")) == "1"  # no other level
    with pytest.raises(ValueError, match="same or physical, not 'both'"):
        Noise(1.0, on_views="both")  # type: ignore[arg-type]


def test_clip_and_round_are_options() -> None:
    white = dataclasses.replace(sample(), image=np.ones_like(GREY))
    assert add_noise(white, Noise(5.0), "d").image.max() > 1
    assert add_noise(white, Noise(5.0, clip=True), "d").image.max() == 1
    rounded = add_noise(white, Noise(5.0, round8=True), "d").image * 255
    np.testing.assert_allclose(rounded, np.round(rounded), atol=1e-4)
    assert rounded.max() <= 255


def test_target_and_zero_noise_are_untouched() -> None:
    assert add_noise(sample(), Noise(0.0), "d").image is not None
    np.testing.assert_array_equal(
        add_noise(sample(), Noise(0.0, clip=True, seed=3), "d").image, GREY
    )
    np.testing.assert_array_equal(add_noise(sample(), Noise(9.0), "d").target, GREY)


@given(st.booleans(), st.booleans(), st.integers(0, 5))
def test_no_noise_has_one_canonical_form(clip: bool, round8: bool, seed: int) -> None:
    assert Noise(0.0, clip, round8, seed).canonical() == Noise()


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_bad_levels_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="finite number >= 0"):
        Noise(sigma)
