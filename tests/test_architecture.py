"""Rules of the import graph that import-linter cannot see, as `datasets/` is no package of
its own.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import grimp
import pytest

import benchmark

ROOT = Path(benchmark.__file__).parent
OPEN_TO_DATASETS = (
    "api",
    "arrays",
    "datasets",
    "files",
    "imageio",
    "left_out",
    "metrics",
    "noise",
    "optics",
    "registry",
    "spec",
)

TOOLS = {
    "benchmark.api",
    "benchmark.arrays",
    "benchmark.files",
    "benchmark.imageio",
    "benchmark.left_out",
    "benchmark.noise",
    "benchmark.spec",
}
"""What training and evaluation sets may share: the contract, files, names and random numbers, but
no scenes, radii, kernels or tone.
"""


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("benchmark.")}


def test_data_sets_use_the_contract_and_the_tools_only() -> None:
    files = sorted((ROOT / "datasets").glob("*.py"))
    assert len(files) > 5
    for path in files:
        rooms = {name.split(".")[1] for name in _imports(path)}
        assert rooms <= set(OPEN_TO_DATASETS), path.name


def test_only_data_sets_import_data_sets() -> None:
    for folder in (ROOT, ROOT / "methods", ROOT / "reports"):
        for path in sorted(folder.rglob("*.py")):
            assert not any(name.startswith("benchmark.datasets") for name in _imports(path)), path


def test_folders_at_the_top_are_the_ones_that_are_imported() -> None:
    top = Path(__file__).parents[1]
    for name in ("methods", "datasets", "reports"):
        assert (ROOT / name).is_symlink() and (ROOT / name).resolve() == top / name
    for name in ("published", "measured"):
        assert (ROOT / name).resolve() == top / "results" / name
    assert not (top / "datasets" / "__init__.py").exists()


# Evaluation sets
# --------------------------------------------------------------------------------------------------


@cache
def _import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("benchmark", "benchmark.datasets", cache_dir=None)


def _needs(prefix: str) -> set[str]:
    """Return the modules whose names begin so, and all that they import, also by way of others."""
    graph = _import_graph()
    modules = {name for name in graph.modules if name.startswith(prefix)}
    assert modules, prefix
    return modules.union(*map(graph.find_upstream_modules, modules))


def test_evaluation_sets_share_no_scenes_radii_or_tone_with_training() -> None:
    evaluation = _needs("benchmark.datasets.eval_")
    common = _needs("benchmark.methods.training.") & evaluation
    assert {name for name in common if not name.startswith("benchmark.imageio.")} <= TOOLS
    assert not any(name.startswith("benchmark.optics") for name in evaluation)


@pytest.mark.parametrize(
    "module", ["benchmark.optics.scenes", "benchmark.optics.psf", "benchmark.optics.light"]
)
def test_the_simulated_set_shares_them(module: str) -> None:
    """Or the test above would see nothing."""
    assert module in _needs("benchmark.methods.training.") & _needs("benchmark.datasets.simulated")
