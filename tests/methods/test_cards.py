"""What a network's card says once it has weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import checkpoints
from benchmark.api import Scalar
from benchmark.checkpoints import find_checkpoint
from benchmark.methods.learned.gkmnet import GkmNetMethod
from benchmark.registry import METHODS


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ""),
        ({"megapixels": 26.02, "budget": "26 megapixels", "seed": 1}, "26 megapixels, seed 1"),
        (
            {"megapixels": 72.0, "budget": "240 megapixels", "seed": 0},
            "72 of 240 megapixels, seed 0",
        ),
        ({"megapixels": 3.5, "budget": "10 minutes", "seed": 0}, "4 megapixels, seed 0"),
        (
            {
                "megapixels": 60.1,
                "budget": "60 megapixels",
                "seed": 2,
                "started from": "gkmnet.sim (320 megapixels), x",
            },
            "60 megapixels after gkmnet.sim (320 megapixels), seed 2",
        ),
        ({"megapixels": 3.0}, "3 megapixels, seed not known"),
        ({"megapixels": "many", "budget": "all megapixels"}, ""),
        ({"megapixels": 3.0, "budget": "all megapixels", "seed": 1}, "3 megapixels, seed 1"),
        ({"megapixels": 3.0, "data: noise": "none", "seed": 1}, "3 megapixels, seed 1"),
        (
            {"megapixels": 3.0, "data: noise": "sigma 0 to 5", "seed": 1},
            "3 megapixels, noise sigma 0 to 5, seed 1",
        ),
    ],
)
def test_the_card_says_how_long_the_weights_were_trained(
    facts: dict[str, Scalar], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    card = checkpoints.CheckpointCard(method="gkmnet", trained_on=("a folder",), facts=facts)
    checkpoints.save_checkpoint(tmp_path / "gkmnet.found.safetensors", {}, card)
    assert GkmNetMethod(checkpoint=find_checkpoint(GkmNetMethod.id, "found")).card.budget == said
    assert GkmNetMethod.card.budget == "", "the class is not changed"


@pytest.mark.parametrize(("facts", "hours"), [({}, None), ({"hours": 0.488}, 0.488)])
def test_the_card_says_how_many_hours_that_took(
    facts: dict[str, Scalar],
    hours: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    card = checkpoints.CheckpointCard(method="gkmnet", facts=facts)
    checkpoints.save_checkpoint(tmp_path / "gkmnet.mine.safetensors", {}, card)
    assert GkmNetMethod(checkpoint=find_checkpoint(GkmNetMethod.id, "mine")).card.hours == hours


def test_what_the_suite_wrote_again_names_its_paper() -> None:
    """`check` asks nobody for one: a method may be unpublished."""
    cards = [METHODS.get(name).card for name in METHODS.names()]
    lacking = [
        card.title
        for card in cards
        if card.family != "baseline" and card.reimplementation and not card.paper
    ]
    assert len(cards) > 20 and lacking == []
