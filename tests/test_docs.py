"""The examples of CONTRIBUTING.md work as they stand, and the documents keep to their limits."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmark import conformance, imageio
from benchmark.registry import (
    DATASETS,
    IMPORTERS,
    METHODS,
    METRICS,
    PROTOCOLS,
    Registry,
    create,
    load_plugin,
)

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S
)


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[Path]:
    """The four examples as plug-in files, loaded into registries that forget them afterwards."""
    modules = set(sys.modules)
    with ExitStack() as stack:
        for registry in (METHODS, DATASETS, METRICS, PROTOCOLS):
            stack.enter_context(registry.temporarily())
        for number, text in enumerate(BLOCKS):
            path = tmp_path / f"example{number}.py"
            path.write_text(text, encoding="utf-8")
            load_plugin(path)
        yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("defocus_plugin_"):
            del sys.modules[name]


def test_there_are_four_examples_under_forty_lines() -> None:
    assert len(BLOCKS) == 4
    assert all(len(block.splitlines()) < 40 for block in BLOCKS)


def test_the_examples_work(plugins: Path) -> None:
    assert all(result.passes for result in conformance.check_method("highboost:gain=0.5"))
    (plugins / "negatives").mkdir()
    for name in ("a", "b"):
        picture = np.random.default_rng(len(name)).random((9, 9, 3)).astype(np.float32)
        imageio.write(plugins / "negatives" / f"{name}.png", picture + ord(name) / 1000, 8)
    data = create(DATASETS, "negatives", root=plugins)[0]
    assert [result for result in conformance.check_dataset(data) if not result.passes] == []
    sample = data.load("a")
    assert create(METRICS, "rmse")[0](sample.image, sample.image) == 0
    scores = PROTOCOLS.get("sixteen").score(
        sample.image, sample.target, "negatives", lambda t: create(METRICS, t)[0]
    )
    assert [score.key for score in scores] == ["psnr", "psnr_rounded"] and scores[0].value


def test_every_command_of_the_readme_exists() -> None:
    from benchmark.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"python -m benchmark (\w+)", text))
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"run", "score", "report", "deblur"} <= named <= known


def test_no_registered_registry_is_empty() -> None:
    registries: list[Registry] = [METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS]
    assert all(registry.names() and not registry.problems() for registry in registries)


def test_the_table_of_the_readme_is_the_measured_one() -> None:
    report = (ROOT / "results" / "measured" / "simulated" / "report.md").read_text(encoding="utf-8")
    rows = [line for line in report.splitlines() if line.startswith("|") and "skipped" not in line]
    assert len(rows) > 5 and "\n".join(rows) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_cost_table_of_the_readme_is_the_measured_one() -> None:
    measured = (
        (ROOT / "results" / "measured" / "cost" / "cost.md")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    text = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("## What methods cost")[1]
        .split("## Data")[0]
    )
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 8 and set(rows) <= set(measured)
