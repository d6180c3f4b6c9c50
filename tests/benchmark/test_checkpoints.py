"""Weights that do not ship are answered with the command that trains them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmark.api import UsageError
from benchmark.checkpoints import SHIPPED_FOLDER, read_training_commands
from benchmark.registry import METHODS, create
from benchmark.spec import parse_id

CARDS = Path(__file__).parents[2] / "results" / "measured" / "equal_budget" / "cards"
COMMANDS = read_training_commands()


def test_every_measured_checkpoint_that_does_not_ship_has_a_command_and_a_card() -> None:
    assert set(COMMANDS) == {path.stem for path in CARDS.glob("*.md")}
    assert not any((SHIPPED_FOLDER / f"{name}.safetensors").exists() for name in COMMANDS)


@pytest.mark.parametrize("checkpoint", sorted(COMMANDS))
def test_naming_it_prints_the_command_that_makes_it_again(checkpoint: str) -> None:
    with pytest.raises(UsageError, match="do not ship") as raised:
        create(METHODS, checkpoint)
    assert str(raised.value).endswith(COMMANDS[checkpoint])


@pytest.mark.parametrize("checkpoint", sorted(COMMANDS))
def test_the_command_says_what_the_card_says(checkpoint: str) -> None:
    words = shlex.split(COMMANDS[checkpoint])
    assert words[:4] == ["python", "-m", "benchmark", "train"]
    options = dict(zip(words[5::2], words[6::2], strict=True))
    spec = parse_id(words[4])
    method, _ = create(METHODS, spec, checkpoint=None)
    card = dict(re.findall(r"- \*\*(.+?)\*\*: (.*)", (CARDS / f"{checkpoint}.md").read_text()))
    assert f"{spec.name}.{options['--tag']}" == checkpoint
    assert options["--seed"] == card["seed"] and options["--precision"] == card["precision"]
    assert card["budget"] == f"{options['--megapixels']} megapixels"
    # Some cards are older than these parameters.
    later = {"decoder": "transposed", "output": "published"}
    structure = {
        key: value
        for key, value in getattr(method, "structure", {}).items()
        if later.get(key) != value or f"{key}=" in card["parameters"]
    }
    text = ", ".join(f"{key}={value}" for key, value in structure.items())
    assert card["parameters"] in (text, "the defaults")


def test_naming_weights_that_are_not_imported_prints_the_command() -> None:
    with pytest.raises(UsageError, match="benchmark import dpdnet-d-official FILE"):
        create(METHODS, "dpdnet-d.official")
