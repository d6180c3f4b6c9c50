"""Where a number comes from: command, versions, git state, machine. Secrets and credentials are
never read.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmark.version import __version__

_PACKAGES = [
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
    "pymatting",
    "torch",
    "torchvision",
    "lpips",
    "pandas",
]


def collect_provenance(**facts: Any) -> dict[str, Any]:
    """Return the provenance of one command, JSON-ready; `facts` (data fingerprints, weights ...)
    are added to it.
    """
    return {
        "command": shlex.join(["python", "-m", "benchmark", *sys.argv[1:]]),
        "suite": __version__,
        "git": read_git_state(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "packages": list_versions(),
        "machine": describe_machine(),
        **facts,
    }


def list_versions(names: Iterable[str] = _PACKAGES) -> Mapping[str, str | None]:
    """Return package -> installed version, None if absent; imports nothing."""
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, threads and system."""
    return {
        "system": platform.platform(),
        "processor": _read_processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _read_processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def read_git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and whether the tree has uncommitted changes, or None outside a git checkout of
    the suite.
    """
    commit = _run_git(folder, "rev-parse", "HEAD")
    top = _run_git(folder, "rev-parse", "--show-toplevel")
    if commit is None or top is None or Path(top) != folder.resolve():
        return None
    return {"commit": commit, "dirty": bool(_run_git(folder, "status", "--porcelain"))}


def _run_git(folder: Path, *words: str) -> str | None:
    try:
        process = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return file name -> SHA-256, for plug-in files and weights."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
