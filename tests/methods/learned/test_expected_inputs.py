"""What weights expect, against pictures rearranged by hand."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from benchmark import checkpoints, plan
from benchmark.api import ExpectedInputs, MethodCard, Observation, Sample, UsageError
from benchmark.checkpoints import Checkpoint, CheckpointCard
from benchmark.cli import listing
from benchmark.methods.learned.method import NetworkMethod, TiledMethod
from benchmark.methods.training.job import find_initial_checkpoint
from benchmark.metrics.tracks import Track
from benchmark.registry import METHODS
from benchmark.running import warn_of_other_depth

Array = NDArray[np.float32]


class Slope(nn.Module):
    """Adds to the first three channels their place, so that size and orientation show: rows count
    in the first, columns in the second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.fed: list[Array] = []

    def forward(self, x: Tensor) -> Tensor:
        self.fed.append(x[0].permute(1, 2, 0).numpy())
        rows = torch.arange(x.shape[2]).view(1, 1, -1, 1).expand(1, 1, *x.shape[2:])
        columns = torch.arange(x.shape[3]).view(1, 1, 1, -1).expand(1, 1, *x.shape[2:])
        place = torch.cat([rows, columns, torch.zeros_like(rows)], 1)
        return x[:, :3] + self.weight * place


class Toy(NetworkMethod):
    id = "toy"
    multiple = 4
    card = MethodCard(title="Toy", family="learned", trained_on=None)

    def build(self) -> nn.Module:
        self.network_in_use = Slope()
        return self.network_in_use


def make_toy(folder: Path, expects: ExpectedInputs | None) -> Toy:
    path = folder / "toy.drawn.safetensors"
    card = CheckpointCard(method="toy", expects=expects)
    checkpoints.save_checkpoint(path, {"weight": torch.ones(1)}, card)
    toy = Toy(Checkpoint("toy", "drawn", path))
    toy.prepare("cpu")
    return toy


def draw_observation(height: int = 8, width: int = 12, **facts: object) -> Observation:
    random = np.random.default_rng(0)
    image, left, right = (random.random((height, width, 3), np.float32) for _ in range(3))
    return dataclasses.replace(Observation(image, (left, right)), **facts)


def place(height: int, width: int) -> Array:
    """Return what `Slope` adds."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2)


def test_where_nothing_is_said_pictures_are_fed_as_they_come(tmp_path: Path) -> None:
    for order in ("rgb", "bgr"):
        toy = make_toy(tmp_path, None)
        observation = draw_observation(order=order)
        output = toy.restore(observation)
        np.testing.assert_array_equal(toy.network_in_use.fed[0], observation.image)
        np.testing.assert_array_equal(output, observation.image + place(8, 12))
        assert toy.card.expects is None


def test_values_in_the_range_of_both_signs(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, ExpectedInputs(value_range="[-1, 1]"))
    observation = draw_observation()
    output = toy.restore(observation)
    np.testing.assert_allclose(toy.network_in_use.fed[0], observation.image * 2 - 1, atol=1e-7)
    np.testing.assert_allclose(output, observation.image + place(8, 12) / 2, atol=1e-6)
    assert output.dtype == np.float32


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("track_order", ["rgb", "bgr"])
def test_weights_get_their_order_on_any_track(order: str, track_order: str, tmp_path: Path) -> None:
    """What a track hands over in BGR is not reversed again for weights that take BGR."""
    toy = make_toy(tmp_path, ExpectedInputs(order=order))  # type: ignore[arg-type]
    image = draw_observation().image
    track = Track("u8", order=track_order)  # type: ignore[arg-type]
    observation = track.fit(Observation(image))
    output = track.finish(toy.restore(observation), (8, 12))
    expected = image[..., ::-1] if order == "bgr" else image
    np.testing.assert_array_equal(toy.network_in_use.fed[0], expected)
    added = place(8, 12)[..., ::-1] if order == "bgr" else place(8, 12)
    np.testing.assert_array_equal(output, image + added)


@pytest.mark.parametrize(
    "views",
    [("left", "right"), ("right", "left"), ("left", "right", "combined"),
     ("combined", "right", "left")],
)  # fmt: skip
def test_views_are_joined_in_their_order_each_in_bgr(
    views: tuple[str, ...], tmp_path: Path
) -> None:
    toy = make_toy(tmp_path, ExpectedInputs(order="bgr", views=views))  # type: ignore[arg-type]
    observation = draw_observation()
    toy.restore(observation)
    assert observation.views is not None
    by_name = dict(zip(("left", "right"), observation.views, strict=True))
    by_name["combined"] = observation.image
    channels = [by_name[name][..., channel] for name in views for channel in (2, 1, 0)]
    np.testing.assert_array_equal(toy.network_in_use.fed[0], np.stack(channels, axis=2))
    assert toy.card.inputs == "views"
    network = toy.network()
    assert network.shapes(8, 12) == ((1, 3 * len(views), 8, 12),)


@pytest.mark.parametrize(("height", "width"), [(12, 8), (8, 12), (8, 8)])
def test_portraits_alone_are_turned(height: int, width: int, tmp_path: Path) -> None:
    toy = make_toy(tmp_path, ExpectedInputs(turns_portraits=True))
    image = draw_observation(height, width).image
    output = toy.restore(Observation(image))
    fed = toy.network_in_use.fed[0]
    if height <= width:
        np.testing.assert_array_equal(fed, image)
        np.testing.assert_array_equal(output, image + place(height, width))
        return
    for row in range(width):  # the last column of a portrait becomes the first row
        np.testing.assert_array_equal(fed[row], image[:, width - 1 - row])
    added = place(width, height)
    for row in range(height):
        for column in range(width):
            expected = image[row, column] + added[width - 1 - column, row]
            np.testing.assert_array_equal(output[row, column], expected)
    assert toy.network().shapes(height, width) == ((1, 3, width, height),)


@pytest.mark.parametrize(("padding", "last"), [("reflect", 5), ("zero", None), ("edge", 6)])
def test_sizes_are_continued_as_expected_and_cut_back(
    padding: str, last: int | None, tmp_path: Path
) -> None:
    """To multiples of 8, which the weights want, and of 4, which the network needs."""
    expects = ExpectedInputs(multiple=8, padding=padding)  # type: ignore[arg-type]
    toy = make_toy(tmp_path, expects)
    image = draw_observation(7, 9).image
    output = toy.restore(Observation(image))
    fed = toy.network_in_use.fed[0]
    assert fed.shape == (8, 16, 3) and output.shape == (7, 9, 3)
    np.testing.assert_array_equal(fed[:7, :9], image)
    continued = np.zeros((9, 3), np.float32) if last is None else image[last]
    np.testing.assert_array_equal(fed[7, :9], continued)


def test_zeros_are_those_of_the_range(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, ExpectedInputs(value_range="[-1, 1]", padding="zero"))
    toy.restore(draw_observation(7, 8))
    assert (toy.network_in_use.fed[0][7] == 0).all()


def test_what_depends_on_the_whole_picture_is_never_cut(tmp_path: Path) -> None:
    class Tiled(Toy, TiledMethod):
        halo = 4

    path = tmp_path / "toy.drawn.safetensors"
    card = CheckpointCard(method="toy", expects=ExpectedInputs(whole_picture=True))
    checkpoints.save_checkpoint(path, {"weight": torch.ones(1)}, card)
    checkpoint = Checkpoint("toy", "drawn", path)
    with pytest.raises(UsageError, match="depends on the whole picture; take tile=0"):
        Tiled(checkpoint=checkpoint, tile=64)
    assert Tiled(checkpoint=checkpoint).card.expects == card.expects
    assert Tiled(tile=64).expects == ExpectedInputs()


def test_a_method_may_say_what_its_weights_expect(tmp_path: Path) -> None:
    class Bipolar(Toy):
        expects = ExpectedInputs(value_range="[-1, 1]")

    path = tmp_path / "toy.drawn.safetensors"
    checkpoints.save_checkpoint(path, {"weight": torch.ones(1)}, CheckpointCard(method="toy"))
    assert Bipolar(Checkpoint("toy", "drawn", path)).expects.value_range == "[-1, 1]"
    toy = make_toy(tmp_path, ExpectedInputs(order="bgr"))
    assert toy.expects == ExpectedInputs(order="bgr"), "the weights' own card decides"


# Cards
# --------------------------------------------------------------------------------------------------


def test_a_card_that_says_nothing_is_written_as_before() -> None:
    card = CheckpointCard(method="gkmnet", trained_on=("a",))
    assert card.to_json() == (
        '{"method":"gkmnet","parameters":{},"trained_on":["a"],"licence":"not stated",'
        '"source":"not stated","notes":"","facts":{}}'
    )


def test_a_card_keeps_what_is_expected() -> None:
    expects = ExpectedInputs(
        value_range="[-1, 1]", order="bgr", views=("right", "left"), multiple=8, padding="edge",
        turns_portraits=True, bits=16, whole_picture=True,
    )  # fmt: skip
    card = CheckpointCard(method="toy", expects=expects)
    assert CheckpointCard.model_validate_json(card.to_json()) == card
    assert expects.describe() == (
        "[-1, 1]; BGR; views right, left; multiples of 8 by edge; portraits turned; 16 bit; "
        "statistics of the whole picture"
    )


@pytest.mark.parametrize(
    "expects",
    ['{"order": "gbr"}', '{"bits": 12}', '{"colour": "rgb"}', '{"views": ["left", "left"]}',
     '{"multiple": 0}'],
)  # fmt: skip
def test_a_card_with_unknown_expectations_is_refused(expects: str) -> None:
    with pytest.raises(ValueError, match="expects"):
        CheckpointCard.model_validate_json(f'{{"method": "toy", "expects": {expects}}}')


def test_a_sample_is_observed_in_rgb() -> None:
    sample = Sample("a", draw_observation().image)
    assert sample.observe(Toy.card).order == "rgb"
    assert Track("u8", order="bgr").fit(sample.observe(Toy.card)).order == "bgr"


# What is said of them
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's folder of checkpoints, where `toy` is a method."""
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    with METHODS.temporarily({"toy": Toy}):
        yield tmp_path


@pytest.mark.parametrize(
    ("bits", "depth", "is_other"),
    [(16, "u8", True), (8, "u16", True), (16, "u16", False), (8, "u8", False), (None, "u8", False)],
)
def test_a_run_at_another_depth_than_the_printed_one_says_so(
    bits: int | None,
    depth: str,
    is_other: bool,
    toy_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_toy(toy_folder, ExpectedInputs(bits=bits))  # type: ignore[arg-type]
    warn_of_other_depth(plan.select_methods(["toy.drawn", "input"]), [Track.parse(depth)])
    lines = capsys.readouterr().err.splitlines()
    assert lines == is_other * [
        f"toy.drawn: the numbers printed for these weights are of {bits} bits, and this run reads "
        f"{depth}; see --track"
    ]


def test_checkpoints_are_listed_with_what_they_expect(toy_folder: Path) -> None:
    make_toy(toy_folder, ExpectedInputs(order="bgr", bits=16))
    console = Console(width=400, file=io.StringIO())
    console.print(listing.make_topic_table("checkpoints"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    [row] = [line for line in text.splitlines() if "toy.drawn " in line]
    assert "[0, 1]; BGR; 16 bit" in row


def test_weights_that_expect_other_pictures_are_not_trained_on(toy_folder: Path) -> None:
    """Examples are RGB in [0, 1]: training from BGR weights would spoil them in silence."""
    toy = Toy()
    for expects in (
        ExpectedInputs(order="bgr"),
        ExpectedInputs(value_range="[-1, 1]"),
        ExpectedInputs(views=("right", "left")),
    ):
        make_toy(toy_folder, expects)
        with pytest.raises(UsageError, match="cannot be trained here"):
            find_initial_checkpoint("toy.drawn", toy)
    make_toy(toy_folder, ExpectedInputs(order="rgb", bits=8))
    assert find_initial_checkpoint("toy.drawn", toy).path.parent == toy_folder


def test_importers_are_listed_and_why_there_is_none() -> None:
    console = Console(width=800, file=io.StringIO())
    console.print(listing.make_topic_table("importers"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    [row] = [line for line in text.splitlines() if "none for srn" in line]
    assert "no released weights fit" in row
