"""What all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

TOYS = Path(__file__).parent / "plugins" / "toys.py"


@pytest.fixture(scope="session", autouse=True)
def interrupts_reach_children() -> Iterator[None]:
    """Where SIGINT is ignored (a shell's background job), children would inherit that."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def toys() -> Path:
    """The plug-in file with toy methods and data, loaded."""
    from benchmark.registry import load_plugin

    load_plugin(TOYS)
    return TOYS


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data, or a skip with the reason."""
    value = os.environ.get("BENCHMARK_DATA")
    if not value:
        pytest.skip("BENCHMARK_DATA is not set: no real data here")
    return Path(value)


@pytest.fixture(scope="session")
def references_root(data_root: Path) -> Path:
    """The folder of arrays that programs of others made of real data, or a skip with the reason."""
    default = data_root.resolve().parent / "references"
    root = Path(os.environ.get("BENCHMARK_REFERENCES", default))
    if not root.is_dir():
        pytest.skip(f"no arrays of other programs in {root} (BENCHMARK_REFERENCES)")
    return root
