"""Where a number comes from: command, versions, git state, machine. Secrets and credentials are
never read.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmark.files import PACKAGE_FOLDER
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


_FACTS = {
    "suite": "suite",
    "python": "Python",
    "threads": "threads of a worker",
    "device": "device",
}
_MACHINE_FACTS = {
    "system": "system",
    "processor": "processor",
    "cores": "cores",
    "omp_num_threads": "OMP_NUM_THREADS",
}


def collect_provenance(**facts: Any) -> dict[str, Any]:
    """Return the provenance of one command, JSON-ready; `facts` (data fingerprints, weights ...)
    are added to it.
    """
    return {
        "command": name_command(),
        "suite": __version__,
        "git": read_git_state(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "packages": list_versions(),
        "machine": describe_machine(),
        **facts,
    }


def describe_environment() -> dict[str, Any]:
    """Return what decides the last digits of results on a machine, JSON-ready: versions of the
    suite, of Python and of numerical libraries, and the processor.
    """
    return {
        "suite": __version__,
        "suite source": _digest_suite(),
        "python": platform.python_version(),
        **list_versions(),
        **_list_plugin_packages(),
        "processor": _read_processor_name(),
    }


def describe_environment_as_text() -> str:
    """Return the same as JSON, which can be compared and hashed."""
    return json.dumps(describe_environment())


@functools.cache
def _digest_suite() -> str:
    """Return a digest of the suite's programs, which change between two versions while they are
    worked on.
    """
    content = hashlib.sha256()
    for folder, folders, names in os.walk(PACKAGE_FOLDER, followlinks=True):
        folders.sort()
        for name in sorted(name for name in names if name.endswith(".py")):
            path = Path(folder, name)
            content.update(f"{path.relative_to(PACKAGE_FOLDER).as_posix()}\n".encode())
            content.update(path.read_bytes())
    return content.hexdigest()[:12]


def _list_plugin_packages() -> dict[str, str]:
    """Return the versions of installed packages that add methods, data sets or metrics."""
    versions: dict[str, str] = {}
    for kind in ("methods", "datasets", "metrics", "protocols", "importers"):
        for point in metadata.entry_points(group=f"defocus_bench.{kind}"):
            is_ours = point.value.startswith("benchmark.")
            if point.dist is not None and not is_ours:
                versions[point.dist.name] = point.dist.version
    return versions


def name_command() -> str:
    """Return the command line of this process as a user types it."""
    return shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])


def list_changes(recorded: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between earlier commands and this one and may change numbers: versions,
    processor, threads; one line each.

    Args:
        recorded: the provenance of the earlier commands.
        now: that of this one, with the same facts.
    """
    earlier = [_flatten_provenance(provenance) for provenance in recorded]
    changes: list[str] = []
    unknown_facts: list[str] = []
    for fact, value in _flatten_provenance(now).items():
        values = sorted({facts[fact] for facts in earlier if fact in facts})
        if not values:
            unknown_facts.append(fact)
        elif values != [value]:
            changes.append(f"{fact}: {' or '.join(values)} there, {value} here")
    if unknown_facts:
        changes.append(f"not recorded there: {', '.join(unknown_facts)}")
    return changes


def _flatten_provenance(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return fact -> value as text, for what numbers may depend on."""
    facts: dict[str, str] = {}
    for key, name in _FACTS.items():
        if key in provenance:
            facts[name] = str(provenance[key])
    state = provenance.get("git")
    if state:
        changes = " with uncommitted changes" if state["dirty"] else ""
        facts["commit"] = f"{state['commit'][:12]}{changes}"
    for package, version in (provenance.get("packages") or {}).items():
        facts[package] = version or "not installed"
    machine = provenance.get("machine") or {}
    for key, name in _MACHINE_FACTS.items():
        if key in machine:
            facts[name] = str(machine[key] or "not set")
    environment = provenance.get("environment")
    return facts if environment is None else _flatten_environment(environment)


def _flatten_environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a machine that computed for another, as far as it is known."""
    names = _FACTS | _MACHINE_FACTS
    facts: dict[str, str] = {}
    for key, value in environment.items():
        facts[names.get(key, key)] = value or "not installed"
    return facts


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
