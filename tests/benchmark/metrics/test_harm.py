"""Measures of harm: each against an independent computation, and what a protocol gives them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2xyz
from skimage.metrics import peak_signal_noise_ratio

from benchmark.api import MAP_CROP_RIGHT, MetricCard, Picture, Sample
from benchmark.cells import Score
from benchmark.metrics.focus import IN_FOCUS_SIGMA, find_in_focus
from benchmark.metrics.keep import Keep
from benchmark.metrics.lattice import Lattice, measure_lattices
from benchmark.metrics.light_ratio import LightRatio
from benchmark.metrics.published_protocols import CANONICAL, HARM
from benchmark.metrics.tracks import Track
from benchmark.metrics.unchanged import Unchanged
from benchmark.registry import create_metric


def _random_picture(seed: int, side: int = 80) -> Picture:
    return np.random.default_rng(seed).random((side, side, 3), dtype=np.float32)


def _score_harm(
    output: Picture,
    target: Picture | None = None,
    image: Picture | None = None,
    in_focus: NDArray[np.bool_] | None = None,
) -> dict[str, Score]:
    scores = HARM.score(output, target, "folder", create_metric, image=image, in_focus=in_focus)
    return {score.key: score for score in scores}


# Single measures
# --------------------------------------------------------------------------------------------------


def test_keep_is_scikit_images_psnr_against_the_input_over_the_pixels_in_focus() -> None:
    output, image, target = (_random_picture(seed) for seed in range(3))
    in_focus = np.random.default_rng(3).random(image.shape[:2]) < 0.3
    expected = peak_signal_noise_ratio(
        image[in_focus].astype(np.float64), output[in_focus].astype(np.float64), data_range=1.0
    )
    assert _score_harm(output, target, image, in_focus)["keep"].value == pytest.approx(expected)


def test_what_happens_out_of_focus_does_not_touch_keep() -> None:
    image = _random_picture(0)
    in_focus = np.zeros(image.shape[:2], bool)
    in_focus[:40] = True
    output = image.copy()
    output[40:] = 0
    assert _score_harm(output, None, image, in_focus)["keep"].value == 100


def test_light_is_the_ratio_of_what_another_library_makes_linear() -> None:
    output, target = _random_picture(0).astype(np.float64), _random_picture(1).astype(np.float64)
    to_rgb = np.linalg.inv(rgb2xyz(np.eye(3)[None])[0])
    linear_output, linear_target = (rgb2xyz(pixels) @ to_rgb for pixels in (output, target))
    expected = linear_output.mean() / linear_target.mean()
    assert LightRatio()(output, target) == pytest.approx(expected, rel=1e-5)


def test_half_the_light_is_half() -> None:
    # IEC 61966-2-1: code 0.735357 has half the light of white.
    half_grey = 1.055 * 0.5 ** (1 / 2.4) - 0.055
    white = np.ones((8, 8, 3))
    assert LightRatio()(half_grey * white, white) == pytest.approx(0.5, rel=1e-6)


def test_light_of_a_black_reference_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="black"):
        LightRatio()(np.ones((4, 4, 3)), np.zeros((4, 4, 3)))


def test_lattice_is_the_ratio_in_decibels() -> None:
    output, target = _random_picture(0), _random_picture(1)
    ratios = measure_lattices(output, target)
    assert Lattice(period=4)(output, target) == pytest.approx(10 * math.log10(ratios[4]))
    assert Lattice()(output, target) == pytest.approx(10 * math.log10(max(ratios.values())))
    assert Lattice(period=4).card.title == "lattice 4 px"


@pytest.mark.parametrize(("change", "expected"), [(0.003, 1.0), (0.0033, 0.0)])
def test_nothing_is_done_where_the_change_is_below_fifty_decibels(
    change: float, expected: float
) -> None:
    """A constant change c has a PSNR of -20 log10 c: 50.5 dB and 49.6 dB."""
    image = np.full((8, 8, 3), 0.5)
    assert Unchanged()(image + change, image) == expected


# What is in focus
# --------------------------------------------------------------------------------------------------


def test_blur_in_focus_leaves_half_the_contrast_of_the_finest_detail() -> None:
    nyquist = 0.5
    contrast = math.exp(-2 * math.pi**2 * IN_FOCUS_SIGMA**2 * nyquist**2)
    assert contrast == pytest.approx(0.5)


def test_the_true_map_decides_before_the_mask() -> None:
    image = _random_picture(0, 8)
    blur_map = np.full((8, 8), 2, np.float32)
    blur_map[:, :3] = 0.37
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    by_map = find_in_focus(Sample("a", image, blur_map=blur_map, mask=mask))
    by_mask = find_in_focus(Sample("a", image, mask=mask))
    assert by_map is not None and by_mask is not None
    np.testing.assert_array_equal(by_map, blur_map < 1)
    np.testing.assert_array_equal(by_mask, ~mask)
    assert find_in_focus(Sample("a", image)) is None


def test_columns_that_the_map_is_wrong_in_are_not_in_focus() -> None:
    sharp_map = np.zeros((8, 8), np.float32)
    sample = Sample("a", _random_picture(0, 8), blur_map=sharp_map, meta={MAP_CROP_RIGHT: 2})
    in_focus = find_in_focus(sample)
    assert in_focus is not None
    assert in_focus[:, :6].all() and not in_focus[:, 6:].any()


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        ("u8", np.array([[1, 0], [0, 0], [1, 1]])),
        ("u8-crop2", np.array([[1, 0], [0, 0]])),
        ("u8-pad4-black", np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])),
        ("u8-pad4-reflect", np.array([[1, 0], [0, 0], [1, 1]])),
    ],
)
def test_a_mask_follows_the_picture_through_a_track(track: str, expected: NDArray[np.int_]) -> None:
    mask = np.array([[True, False], [False, False], [True, True]])
    np.testing.assert_array_equal(Track.parse(track).frame_mask(mask), expected.astype(bool))


def test_a_pixel_that_resizing_mixes_is_in_the_mask_if_all_it_mixes_are() -> None:
    mask = np.ones((560, 840), bool)
    mask[:, 420:] = False
    wide_mask = Track.parse("u8-resize").frame_mask(mask)
    assert wide_mask.shape == (1120, 1680)
    assert wide_mask[:, :838].all() and not wide_mask[:, 840:].any()


# The protocol
# --------------------------------------------------------------------------------------------------


def test_without_a_target_the_input_is_the_reference() -> None:
    output, image, target = (_random_picture(seed) for seed in range(3))
    without, beside = _score_harm(output, None, image), _score_harm(output, target, image)
    assert without["light"].value == LightRatio()(output, image)
    assert beside["light"].value == LightRatio()(output, target)
    assert without["lattice_2"].value == Lattice(period=2)(output, image)
    assert beside["lattice_2"].value == Lattice(period=2)(output, target)


@pytest.mark.parametrize(
    ("in_focus", "reason"),
    [
        (None, "no blur map and no mask say what is in focus"),
        (np.zeros((80, 80), bool), "less than 1% of the picture is in focus"),
    ],
)
def test_keep_without_anything_in_focus_has_a_reason(
    in_focus: NDArray[np.bool_] | None, reason: str
) -> None:
    scores = _score_harm(_random_picture(0), None, _random_picture(1), in_focus)
    assert scores["keep"] == Score("keep", None, reason, "skipped")
    assert scores["light"].value is not None


def test_without_the_input_what_needs_it_has_a_reason() -> None:
    scores = _score_harm(_random_picture(0), _random_picture(1), in_focus=np.ones((80, 80), bool))
    assert scores["keep"].reason == scores["unchanged"].reason == "no input to compare with"
    assert scores["light"].value is not None


def test_a_small_picture_loses_the_lattice_only() -> None:
    output, image = _random_picture(0, 40), _random_picture(1, 40)
    scores = _score_harm(output, None, image, np.ones((40, 40), bool))
    missing = [key for key, score in scores.items() if score.value is None]
    assert missing == ["lattice", "lattice_2", "lattice_4", "lattice_8"]
    assert scores["lattice"].reason == "lattice needs at least 64x64 pixels, the picture is 40x40"


def test_an_input_in_another_geometry_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"output .* and input .* are not in one scoring geometry"):
        _score_harm(_random_picture(0), None, _random_picture(1, 81))


def test_an_input_that_noise_drove_out_of_range_is_clamped_like_the_output() -> None:
    image = _random_picture(0) * 3 - 1
    scores = _score_harm(image, None, image, np.ones((80, 80), bool))
    assert (scores["keep"].value, scores["unchanged"].value, scores["light"].value) == (100, 1, 1)


def test_only_harm_looks_at_the_input() -> None:
    assert HARM.uses_input(create_metric) and not CANONICAL.uses_input(create_metric)


def test_a_card_with_an_unknown_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="reference is one of target, input, target or input"):
        MetricCard(title="odd", reference="inputs")  # type: ignore[arg-type]


def test_keep_is_described_as_itself() -> None:
    assert (Keep.card.title, Keep.card.unit, Keep.card.higher_is_better) == ("keep", "dB", True)
