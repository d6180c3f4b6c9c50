"""Gains by blur: which pixels and tiles belong to a part, and what is measured there, each against
a computation of its own.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from benchmark.api import MAP_CROP_RIGHT, BlurPart, Map, Metric, MetricCard, Picture, Sample
from benchmark.cells import Score
from benchmark.datasets.simulated import Simulated
from benchmark.metrics import blur_order
from benchmark.metrics.blur_order import (
    BlurOrder,
    measure_disparity,
    order_by_blur,
    select_part,
    select_tiles,
)
from benchmark.metrics.gain import LpipsGain, PsnrGain
from benchmark.metrics.keep import Keep
from benchmark.metrics.lpips import set_trunk_file
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.published_protocols import BY_BLUR, CANONICAL, HARM
from benchmark.metrics.tracks import Track
from benchmark.registry import create_metric, estimate_blur

SIDE = 64
KEYS = [measure.key for measure in BY_BLUR.measures]
PARTS: tuple[BlurPart, ...] = ("sharp quarter", "middle half", "blurred quarter")


def draw_picture(seed: int, height: int = SIDE, width: int = SIDE) -> Picture:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def draw_columns(width: int = SIDE, height: int = SIDE) -> Map:
    """Return a map in which each column is more blurred than the one on its left."""
    return np.tile(np.arange(width, dtype=np.float32), (height, 1))


def score_by_blur(
    output: Picture,
    target: Picture | None,
    image: Picture | None,
    values: Map | None,
    protocol: Protocol = BY_BLUR,
) -> dict[str, Score]:
    order = None if values is None else BlurOrder(values, "a map")
    scores = protocol.score(
        output,
        target,
        "folder",
        create_metric,
        image=image,
        find_blur=None if order is None else lambda: order,
    )
    return {score.key: score for score in scores}


# What belongs to a part
# --------------------------------------------------------------------------------------------------


def test_parts_are_what_a_sort_says() -> None:
    values = np.random.default_rng(0).permutation(400).reshape(20, 20).astype(np.float32)
    masks = [select_part(values, part) for part in PARTS]
    assert [set(values[mask].astype(int)) for mask in masks] == [
        set(range(100)), set(range(100, 300)), set(range(300, 400)),
    ]  # fmt: skip


def test_equal_values_stay_together_and_unknown_ones_belong_nowhere() -> None:
    values = np.array([0, 0, 0, 0, 1, 2, 3, 4, math.nan], np.float32)
    sharp, middle, blurred = (select_part(values, part) for part in PARTS)
    assert sharp.tolist() == [True] * 4 + [False] * 5
    assert middle.tolist() == [False] * 4 + [True] * 2 + [False] * 3
    assert blurred.tolist() == [False] * 6 + [True] * 2 + [False]


@pytest.mark.parametrize(
    ("values", "part", "reason"),
    [
        ([1, 1, 1, 1, 2], "sharp quarter", "half the picture or more is equally blurred"),
        ([0, 0, 2, 2], "middle half", "no pixel belongs to the middle half"),
        ([math.nan, math.nan], "sharp quarter", "nothing is known of the blur"),
    ],
)
def test_what_has_no_quarters_has_a_reason(
    values: list[float], part: BlurPart, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        select_part(np.array(values, np.float32), part)


def test_tiles_cover_the_picture_and_are_ordered_by_their_mean() -> None:
    values = draw_columns(480, 320)
    values[:, 470:] = np.nan
    tiles = {part: select_tiles(values, part, 128) for part in PARTS}
    all_tiles = [tile for part in PARTS for tile in tiles[part]]
    counts = np.zeros(values.shape, int)
    for tile in all_tiles:
        counts[tile] += 1
        assert counts[tile].shape == (128, 128)
    assert counts.min() == 1 and len(all_tiles) == len(set(map(str, all_tiles))) == 12
    starts = {part: {columns.start for _, columns in tiles[part]} for part in PARTS}
    assert starts == {"sharp quarter": {0}, "middle half": {117, 235}, "blurred quarter": {352}}


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((100, 128), "do not fit into 128x100"), ((128, 200), "fewer than 4 tiles of 128x128")],
)
def test_small_pictures_have_no_tiles(shape: tuple[int, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        select_tiles(np.zeros(shape, np.float32), "sharp quarter", 128)


# What tells the blur
# --------------------------------------------------------------------------------------------------


def refuse(_: Picture) -> Map:
    raise AssertionError("nothing is estimated where something better is there")


def test_the_true_map_comes_first_then_the_views_then_an_estimate() -> None:
    image = draw_picture(0)
    blur_map = draw_columns()
    views = (image, image)
    meta = {MAP_CROP_RIGHT: 4}
    by_map = order_by_blur(Sample("a", image, views=views, blur_map=blur_map, meta=meta), refuse)
    assert by_map.basis == blur_order.TRUE_MAP
    np.testing.assert_array_equal(by_map.values[:, :-4], blur_map[:, :-4])
    assert np.isnan(by_map.values[:, -4:]).all()
    by_views = order_by_blur(Sample("a", image, views=views), refuse)
    assert by_views.basis == blur_order.VIEWS and not by_views.values.any()
    estimated = order_by_blur(Sample("a", image), lambda _: blur_map)
    assert estimated.basis == blur_order.ESTIMATE and estimated.values is blur_map
    assert blur_order.ESTIMATOR in estimated.basis


def test_views_too_small_to_match_are_passed_over() -> None:
    image = draw_picture(0, 31, 40)
    order = order_by_blur(Sample("a", image, views=(image, image)), lambda _: draw_columns(40, 31))
    assert order.basis == blur_order.ESTIMATE


def smooth(picture: Picture, sigma: float = 1.5) -> Picture:
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0)).astype(np.float32)


@pytest.mark.parametrize("shift", [0.5, 2.0, -3.0])
def test_disparity_is_the_displacement_in_pixels(shift: float) -> None:
    left = smooth(draw_picture(0, 96, 128)) * 2 - 0.5
    right = ndimage.shift(left, (0, shift, 0), order=3, mode="nearest").astype(np.float32)
    disparity = measure_disparity(left, right)
    assert np.median(disparity[16:-16, 16:-16]) == pytest.approx(abs(shift), abs=0.08)


def test_the_disparity_of_rendered_views_orders_pixels_as_their_true_blur(tmp_path: Path) -> None:
    """Spearman's correlation with the true map of two scenes is above 0.9."""
    from scipy.stats import spearmanr

    dataset = Simulated(tmp_path, views=True)
    for sample_id in ("brook-2", "dogs-2"):
        sample = dataset.load(sample_id)
        assert sample.views is not None and sample.blur_map is not None
        disparity = measure_disparity(*sample.views)
        correlation = spearmanr(disparity.ravel(), sample.blur_map.ravel()).statistic
        assert correlation > 0.9


def test_the_estimate_finds_the_blurred_half_of_a_photograph(tmp_path: Path) -> None:
    target = Simulated(tmp_path).load("dogs-2").target
    assert target is not None
    half = target.shape[1] // 2
    image = target.copy()
    image[:, half:] = smooth(target, 3.0)[:, half:]
    values = estimate_blur(image)
    assert np.median(values[:, : half - 20]) < 0.6 * np.median(values[:, half + 20 :])


# What is measured
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "columns"), [("sharp", (0, 16)), ("middle", (16, 48)), ("blurred", (48, 64))]
)
def test_a_gain_is_the_difference_of_scikit_images_psnrs(
    part: str, columns: tuple[int, int]
) -> None:
    output, target, image = (draw_picture(seed) for seed in range(3))
    place = (slice(None), slice(*columns))
    gain, base = (
        peak_signal_noise_ratio(
            target[place].astype(np.float64), pixels[place].astype(np.float64), data_range=1.0
        )
        for pixels in (output, image)
    )
    scores = score_by_blur(output, target, image, draw_columns())
    assert scores[f"psnr_{part}"].value == pytest.approx(gain - base)
    assert scores[f"psnr_{part}"].basis == "a map"


def test_a_picture_that_changed_in_its_sharp_quarter_only_lost_only_there() -> None:
    """Errors of 0.1 become 0.2 there, which is 20 log10(2) dB of harm, and 0.1 against the
    input.
    """
    target = 0.25 + 0.25 * draw_picture(0)
    image = target + np.float32(0.1)
    output = image.copy()
    output[:, :16] += np.float32(0.1)
    scores = score_by_blur(output, target, image, draw_columns())
    assert scores["psnr_sharp"].value == pytest.approx(-20 * math.log10(2), abs=1e-4)
    assert scores["psnr_middle"].value == scores["psnr_blurred"].value == 0
    assert scores["keep_sharp"].value == pytest.approx(20, abs=1e-4)


def test_the_input_gains_nothing_and_keeps_everything() -> None:
    image = draw_picture(0, 300, 300) * 1.2  # the clamp is the same for both
    scores = score_by_blur(image, draw_picture(1, 300, 300), image, draw_columns(300, 300))
    values = {key: score.value for key, score in scores.items() if "lpips" not in key}
    assert values == {"psnr_sharp": 0, "psnr_middle": 0, "psnr_blurred": 0, "keep_sharp": 100}


class _Distance(Metric):
    """Minus the mean difference, on tiles: what a gain is made of, without a network."""

    card = MetricCard(title="spy", part="blurred quarter", tile=64, gain=True)

    def __init__(self) -> None:
        self.tiles: list[NDArray[np.floating]] = []

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        self.tiles.append(output)
        return -float(np.abs(output - target).mean())


def test_a_metric_of_tiles_gets_each_tile_of_its_part_and_their_mean_is_the_score() -> None:
    height, width = 128, 256
    output, target, image = (draw_picture(seed, height, width) for seed in range(3))
    spy = _Distance()
    protocol = Protocol(
        "p", "p", "", "1", (Track("u8"),), (Measure("d", "spy", clamp=True, round8=False),)
    )
    order = BlurOrder(draw_columns(width, height), "a map")
    [score] = protocol.score(
        output, target, "folder", lambda _: spy, image=image, find_blur=lambda: order
    )
    place = (slice(None), slice(192, 256))
    change = np.abs(output - target)[place].mean() - np.abs(image - target)[place].mean()
    assert score.value == pytest.approx(-change, abs=1e-6)
    assert [tile.shape for tile in spy.tiles] == [(64, 64, 3)] * 4


def test_lpips_gain_is_what_the_input_has_more_of_on_the_tiles(lpips_trunk) -> None:
    from benchmark.metrics.lpips import Lpips

    output, target, image = (draw_picture(seed, 300, 300) for seed in range(3))
    scores = score_by_blur(output, target, image, draw_columns(300, 300))
    lefts = {"sharp": 0, "blurred": 44}
    for part, left in lefts.items():
        expected = np.mean(
            [
                Lpips()(image[rows, columns], target[rows, columns])
                - Lpips()(output[rows, columns], target[rows, columns])
                for rows, columns in (
                    (slice(top, top + 256), slice(left, left + 256)) for top in (0, 44)
                )
            ]
        )
        assert scores[f"lpips_{part}"].value == pytest.approx(expected, abs=1e-7)
    assert scores["lpips_middle"].reason == "no pixel belongs to the middle half"


@pytest.fixture
def lpips_trunk(tmp_path):
    import torch

    from tests.benchmark.metrics.metric_oracles import random_trunk

    path = tmp_path / "trunk.pth"
    torch.save(random_trunk(), path)
    set_trunk_file(path)
    yield path
    set_trunk_file(None)


# The protocol
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "reasons"),
    [
        ("target", dict.fromkeys(KEYS[:-1], "no target")),
        ("input", dict.fromkeys(KEYS, "no input to compare with")),
        ("map", dict.fromkeys(KEYS, "nothing says which pixels are more blurred than others")),
    ],
)
def test_what_is_missing_is_the_reason(missing: str, reasons: dict[str, str]) -> None:
    scores = score_by_blur(
        draw_picture(0, 512, 768),
        None if missing == "target" else draw_picture(1, 512, 768),
        None if missing == "input" else draw_picture(2, 512, 768),
        None if missing == "map" else draw_columns(768, 512),
    )
    assert {key: scores[key].reason for key in reasons} == reasons
    assert all(scores[key].basis is None for key in reasons)


def test_an_estimator_that_breaks_fails_the_measure_and_not_the_cell() -> None:
    def break_down() -> BlurOrder:
        raise RuntimeError("out of order")

    pictures = [draw_picture(seed) for seed in range(3)]
    scores = BY_BLUR.score(
        pictures[0], pictures[1], "folder", create_metric, image=pictures[2], find_blur=break_down
    )
    assert {score.status for score in scores} == {"failed"}
    assert scores[0].reason == "failed: RuntimeError: out of order"


def test_other_protocols_ask_for_no_map() -> None:
    output, target, image = (draw_picture(seed) for seed in range(3))

    def refuse_order() -> BlurOrder:
        raise AssertionError("no measure here is by blur")

    for protocol in (CANONICAL, HARM):
        scores = protocol.score(
            output, target, "folder", create_metric, image=image, find_blur=refuse_order
        )
        assert not [score for score in scores if score.status == "failed"]


@pytest.mark.parametrize(
    ("track", "shape"),
    [
        ("u8-crop8", (40, 56)),
        ("u8-pad16-black", (48, 64)),
        ("u8-pad8-reflect", (44, 60)),
    ],
)
def test_a_map_follows_the_picture_through_a_track(track: str, shape: tuple[int, int]) -> None:
    values = draw_columns(60, 44)
    values[:, 5] = np.nan
    framed = Track.parse(track).frame_map(values)
    assert framed.shape == shape
    top, left = (max(0, (shape[axis] - values.shape[axis]) // 2) for axis in (0, 1))
    inner = framed[top : top + 44, left : left + 60]
    np.testing.assert_array_equal(inner, values[: inner.shape[0], : inner.shape[1]])
    assert np.isnan(framed).sum() == framed.size - inner.size + inner.shape[0]


def test_metrics_name_their_part() -> None:
    assert PsnrGain(part="middle").card.title == "gain middle"
    assert LpipsGain(part="blurred").card.tile == 256
    assert Keep().card is Keep.card and Keep(part="sharp").card.part == "sharp quarter"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"tile": 64}, "only a part by blur is cut into tiles"),
        ({"gain": True, "reference": "input"}, "a gain is measured against the target"),
        ({"part": "sharp half"}, "part is one of all, in focus, sharp quarter"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(facts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetricCard(title="odd", **facts)
