"""What `--help` and `--version` say, and that the examples are commands that exist."""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.cli.help import EXAMPLES, MODULE, SCRIPT
from benchmark.registry import PROTOCOLS
from benchmark.version import __version__

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
COLUMNS = 80


def read_help(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(COLUMNS)})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_a_narrow_terminal_and_cuts_nothing(name: str | None) -> None:
    text = read_help(*([name] if name else []))
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert "…" not in text
    assert not [
        line for line in text.splitlines() if line.endswith(("...", "....")) and "Usage" not in line
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_the_command_takes(name: str) -> None:
    lines = read_help(name).rstrip().splitlines()
    assert lines[-4].strip() == "Examples:"
    for line, example in zip(lines[-3:], EXAMPLES[name], strict=True):
        assert line == f"    {MODULE} {example}"
        command, *words = shlex.split(example)
        COMMANDS[command].make_context(command, words)  # raises for an option that is none
    assert any(shlex.split(example)[0] == name for example in EXAMPLES[name])


def test_the_protocols_of_the_examples_exist() -> None:
    for examples in EXAMPLES.values():
        for example in examples:
            words = shlex.split(example)
            for option, value in itertools.pairwise(words):
                if option == "--protocol":
                    assert set(value.split(",")) <= set(PROTOCOLS.names()), example


def test_an_option_that_is_none_is_noticed_by_the_test_above() -> None:
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["run"].make_context("run", ["--methods", "a", "--dataset", "b", "--nothing"])


def test_the_list_of_commands_is_in_sections() -> None:
    lines = read_help().splitlines()
    sections = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert sections[:3] == ["Options:", "Measure:", "Report:"]
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in COMMANDS)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, __version__)


@pytest.mark.slow
def test_the_script_calls_itself_by_its_name_and_offers_completion(tmp_path: Path) -> None:
    """Completion of `python -m benchmark` would be that of every `python`."""
    script = tmp_path / SCRIPT
    script.write_text("from benchmark.__main__ import main\nmain()\n")
    for program, name, offers in (
        ([str(script)], SCRIPT, True),
        (["-m", "benchmark"], MODULE, False),
    ):
        output = subprocess.run(
            [sys.executable, *program, "--help"],
            cwd=Path(__file__).parents[3], env={"PATH": "", "PYTHONPATH": "."},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert output.startswith(f"Usage: {name} ")
        assert ("--install-completion" in output) is offers


def test_weights_that_cannot_be_trained_again_are_told() -> None:
    output = CliRunner().invoke(app, ["list", "checkpoints"]).output
    text = " ".join(output.replace("│", " ").split())
    assert "code that was not committed" in text
    assert output.count("cannot be") == 1, "gkmnet.sim alone"
