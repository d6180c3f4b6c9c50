"""What learned from a generator of pictures says so, in the words that the data set uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import checkpoints, imageio
from benchmark.api import Scalar
from benchmark.checkpoints import CheckpointCard, list_generators
from benchmark.cli.listing import make_topic_table
from benchmark.methods.training.examples import SimulatedExamples
from benchmark.registry import DATASETS, METHODS, create

SIMULATED = DATASETS.get("simulated").card.generator


@pytest.mark.parametrize(
    ("facts", "generators"),
    [
        ({}, ()),
        ({"data: generator": "simulated defocus, version 1"}, ("simulated defocus",)),
        ({"start: generators": "a; b"}, ("a", "b")),
        ({"data: generator": "b, version 12", "start: generators": "a; b"}, ("b", "a")),
    ],
)
def test_a_checkpoint_names_the_generators_of_all_that_it_saw(
    facts: dict[str, Scalar], generators: tuple[str, ...]
) -> None:
    assert list_generators(CheckpointCard(method="gkmnet", facts=facts)) == generators


def test_examples_for_training_and_the_simulated_set_name_one_generator(tmp_path: Path) -> None:
    for number in range(2):
        picture = np.full((20, 20, 3), number / 2, np.float32)
        imageio.write(tmp_path / f"{number}.png", picture, 8)
    facts = SimulatedExamples(tmp_path, crop=16, seed=0).card()
    card = CheckpointCard(method="gkmnet", facts={f"data: {key}": facts[key] for key in facts})
    assert list_generators(card) == (SIMULATED,)


SHIPPED = sorted(checkpoints.SHIPPED_FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_weights_that_ship_name_the_generator_they_learned_from(path: Path) -> None:
    method, _ = create(METHODS, path.stem)
    assert method.card.generators == (SIMULATED,)


@pytest.mark.parametrize(
    "text",
    [
        "blur-posterior",
        "fixed-point",
        "uniform-wiener",
        "zhuo-sim:constants=tuned",
        "ebdb:deconvolution=wiener",
        "jnb:deconvolution=richardson-lucy,map=oracle",
    ],
)
def test_constants_chosen_on_simulated_pictures_name_the_generator(text: str) -> None:
    method, _ = create(METHODS, text)
    assert method.card.generators == (SIMULATED,)


@pytest.mark.parametrize(
    ("topic", "name", "generator"),
    [
        ("methods", "blur-posterior", SIMULATED),
        ("methods", "unsharp", ""),
        ("checkpoints", "gkmnet.sim", SIMULATED),
        ("datasets", "simulated", SIMULATED),
        ("datasets", "eval-lens", "eval-lens"),
        ("datasets", "dpd", ""),
    ],
)
def test_listings_name_generators(topic: str, name: str, generator: str) -> None:
    table = make_topic_table(topic)
    columns = {str(column.header): list(column.cells) for column in table.columns}
    assert columns["generator"][columns["id"].index(name)] == generator


@pytest.mark.parametrize("text", ["input", "unsharp", "zhuo-sim", "jnb", "ebdb"])
def test_what_learned_from_no_generator_names_none(text: str) -> None:
    method, _ = create(METHODS, text)
    assert method.card.generators == ()


def test_a_network_without_weights_names_none() -> None:
    assert METHODS.get("gkmnet").card.generators == ()
