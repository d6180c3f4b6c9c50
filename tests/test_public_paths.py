"""Import paths that plug-ins and scripts of others rely on: none may go without a major version."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
]
PROMISED = {
    "benchmark": ("evaluate", "load_dataset", "load_method", "read_results", "run", "verify"),
    "benchmark.api": (
        "BenchmarkError",
        "DataError",
        "Dataset",
        "DatasetCard",
        "Method",
        "MethodCard",
        "Metric",
        "MetricCard",
        "Observation",
        "Picture",
        "Sample",
        "Unavailable",
        "UsageError",
    ),
    "benchmark.checkpoint_import": ("fit_entries",),
    "benchmark.checkpoints": ("Checkpoint", "read_foreign"),
    "benchmark.imageio": ("read", "write"),
    "benchmark.importing": ("fitted",),
    "benchmark.methods.learned.method": ("NetworkMethod",),
    "benchmark.metrics.protocols": ("Measure", "Protocol"),
    "benchmark.metrics.tracks": ("Track",),
    "benchmark.registry": (
        "DATASETS",
        "IMPORTERS",
        "METHODS",
        "METRICS",
        "PROTOCOLS",
        "create",
        "load_plugin",
    ),
}


@pytest.mark.parametrize("module", PROMISED)
def test_what_is_promised_can_be_imported(module: str) -> None:
    loaded = importlib.import_module(module)
    assert [name for name in PROMISED[module] if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_documents_import_is_there(path: Path) -> None:
    missing = []
    for module, name in _read_imports(path):
        loaded = importlib.import_module(module)
        if not hasattr(loaded, name):
            missing.append(f"{module}.{name}")
    assert missing == []


def _read_imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything that the code of a document imports from the suite."""
    text = path.read_text(encoding="utf-8")
    snippets = [text]
    if path.suffix == ".md":
        snippets = re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.S | re.M)
    for snippet in snippets:
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark"):
                yield from ((str(node.module), alias.name) for alias in node.names)


def test_the_documents_import_something() -> None:
    """Or the test above would see nothing."""
    imports = [item for path in DOCUMENTS for item in _read_imports(path)]
    assert len(imports) > 15
