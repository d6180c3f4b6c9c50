"""The examples of CONTRIBUTING.md work as they stand, and the documents keep to their limits."""

from __future__ import annotations

import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmark import checkpoint_import, checkpoints, conformance, imageio
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
from tests import documents

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("guide/*.md"), *DOCS.glob("tutorials/*.md")]
)
SOURCES = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    *(
        path
        for folder in ("benchmark", "methods", "datasets", "reports", "tests", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ),
]
"""What may name parts of the suite."""
BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S
)


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[Path]:
    """The five examples as plug-in files, loaded into registries that forget them afterwards."""
    modules = set(sys.modules)
    with ExitStack() as stack:
        for registry in (METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS):
            stack.enter_context(registry.temporarily())
        for number, text in enumerate(BLOCKS):
            path = tmp_path / f"example{number}.py"
            path.write_text(text, encoding="utf-8")
            load_plugin(path)
        yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("defocus_plugin_"):
            del sys.modules[name]


def test_there_are_five_examples_under_forty_lines() -> None:
    assert len(BLOCKS) == 5
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


def test_the_example_of_an_importer_reads_its_file(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv(checkpoints.VARIABLE, str(plugins))
    state = create(METHODS, "srn")[0].build().state_dict()  # type: ignore[attr-defined]
    renamed = {f"module.{name.replace('enter', 'in')}": value for name, value in state.items()}
    assert set(renamed) != {f"module.{name}" for name in state}
    torch.save(renamed | {"module.discriminator.bias": torch.ones(2)}, plugins / "srn.pth")
    path = checkpoint_import.import_checkpoint("srn-mine", plugins / "srn.pth").path
    imported = checkpoints.load_tensors(path)
    assert imported.keys() == state.keys()
    assert all(torch.equal(imported[name], value) for name, value in state.items())
    assert checkpoints.read_card(path).expected is not None


def test_no_registered_registry_is_empty() -> None:
    registries: list[Registry] = [METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS]
    assert all(registry.names() and not registry.problems() for registry in registries)


def test_the_readme_is_read_in_two_minutes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900


def test_the_table_of_the_readme_is_the_measured_one() -> None:
    report = (ROOT / "results" / "measured" / "demo" / "ranked.md").read_text(encoding="utf-8")
    measured = [_cells(line) for line in report.splitlines() if line.startswith("|")]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## What comes out")[2].partition("`input` is")[0]
    rows = [_cells(line) for line in table.splitlines() if line.startswith("|")]
    assert len(rows) > 5
    for row in rows[2:]:
        source = next(cells for cells in measured if row[1] in cells)
        assert set(row) <= set(source)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    made = {DOCS / "board" / "index.html"}  # by docs/hooks.py, while the site is built
    targets = re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    paths = [(page.parent / target).resolve() for target in targets]
    assert [path for path in paths if not path.exists() and path not in made] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_the_options_that_are_written(page: Path) -> None:
    """Read as the command line reads it, without doing anything."""
    import typer

    from benchmark.cli import app

    group = typer.main.get_command(app)
    for command in documents.read_commands(page):
        name, *words = documents.split_command(command)
        group.commands[name].make_context(name, words)  # type: ignore[attr-defined]


def _resolves(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return False


def test_names_of_the_suite_in_comments_and_documents_exist() -> None:
    """Every dotted name in backticks that begins with `benchmark` can be imported."""
    names: dict[str, Path] = {}
    for path in SOURCES:
        for name in re.findall(r"`(benchmark(?:\.\w+)+)", path.read_text(encoding="utf-8")):
            names.setdefault(name, path.relative_to(ROOT))
    assert len(names) > 40
    assert {name: path for name, path in names.items() if not _resolves(name)} == {}


def test_the_glossary_has_every_word_once() -> None:
    lines = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
    words = [line.partition("**")[2].partition("**")[0] for line in lines if "**" in line]
    assert len(words) > 20 and words == sorted(set(words), key=str.lower)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_says_can_be_done(page: Path, tmp_path: Path) -> None:
    """Every command and every snippet, in order, on small pictures."""
    documents.furnish(tmp_path)
    for step in documents.read_steps(page):
        step.do(tmp_path)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = json.loads((DOCS / "tutorials/first_steps.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 4 and not any(cell["outputs"] for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells)
    documents.Snippet(f"import matplotlib\nmatplotlib.use('agg')\n{code}").do(tmp_path)
