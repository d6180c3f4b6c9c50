"""The wheel as a user gets it: one name on the import path, its data inside, at work from any
folder, and beside Hugging Face's `datasets`.

Everything happens in copies and environments of their own, without a network.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED_FOLDERS = {
    "methods": "methods",
    "datasets": "datasets",
    "reports": "reports",
    "results/published": "published",
    "results/measured/cost": "measured/cost",
}
"""Folder at the top -> its place inside `benchmark`."""
STRAY_FILES = (
    "results/runs/mine/run.sqlite",
    "results/measured/cost/mine.sqlite",
    "methods/checkpoints/gkmnet.mine.training.pt",
    "datasets/mine.png",
)
"""What work leaves in a checkout; none of it belongs into a wheel."""
DATA_FILES = (
    "py.typed",
    "published/quality.csv",
    "published/rows.csv",
    "published/sources.csv",
    "published/cost.csv",
    "measured/cost/cost.json",
    "methods/checkpoints/gkmnet.sim.safetensors",
    "methods/checkpoints/gkmnet.sim.md",
    "methods/checkpoints/training_commands.csv",
    "methods/training/kodak24.csv",
    "methods/two_stage/jnb_dictionary.npz",
    "methods/two_stage/blur_posterior.json",
    "methods/training/photographs.csv",
    "datasets/dpd_splits.csv",
    "datasets/photographs/NOTICE.md",
    "datasets/photographs/flower.jpg",
    "reports/templates/table.html",
    "reports/page/page.html.j2",
    "reports/page/page.css",
    "reports/page/page.js",
    "reports/page/viewer.js",
    "reports/page/zoom.js",
    "reports/page/crops.js",
    "reports/page/keys.js",
)
"""Some of what the wheel must hold, inside `benchmark`."""
DEPENDENCIES = "DEPENDENCIES_OF_TEST"
"""Variable of the environment: folders whose packages a made environment borrows."""
INSTALL = ("install", "--quiet", "--no-deps", "--no-index")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("pip", "setuptools")),
        reason="pip or setuptools is not installed here: no wheel can be built",
    ),
]


@dataclass(frozen=True)
class Installation:
    """A virtual environment that borrows the suite's dependencies, but not the suite."""

    folder: Path

    def program(self, name: str) -> Path:
        """Return the path of a program of this environment."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / name

    def pip(self, *words: str | Path) -> None:
        """Run pip for this environment; it sees nothing of what is borrowed."""
        command = [sys.executable, "-m", "pip", "--python", self.program("python"), *words]
        run_program(command, cwd=self.folder)

    def run(self, *words: str | Path, cwd: Path, program: str = "python") -> str:
        """Run a program of this environment in a folder and return what it prints."""
        return run_program([self.program(program), *words], cwd=cwd, borrows=True)

    def failure(self, *words: str | Path, cwd: Path) -> str:
        """Run this environment's Python, which must fail, and return what it says."""
        command = [self.program("python"), *words]
        process = subprocess.run(
            command, env=make_variables(borrows=True), cwd=cwd, capture_output=True, text=True
        )
        assert process.returncode != 0, process.stdout
        return process.stderr


def make_variables(*, borrows: bool) -> dict[str, str]:
    """Return the environment variables, without what would lead to this checkout."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["PYTHONDONTWRITEBYTECODE"] = "1"  # a copy of the source stays as it is
    if borrows:
        site_folders = [path for path in sys.path if path.endswith("-packages")]
        variables[DEPENDENCIES] = os.pathsep.join(site_folders)
    return variables


def run_program(command: Sequence[str | Path], *, cwd: Path, borrows: bool = False) -> str:
    """Run a command, which must succeed, and return what it prints."""
    process = subprocess.run(
        command, env=make_variables(borrows=borrows), cwd=cwd, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def make_installation(folder: Path) -> Installation:
    """Make an empty environment that appends the folders named by `DEPENDENCIES` to its path."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    site_folder = next(folder.rglob("site-packages"))
    folders = f"os.environ.get({DEPENDENCIES!r}, '').split(os.pathsep)"
    (site_folder / "borrowed.pth").write_text(
        f"import os, sys; sys.path.extend(filter(None, {folders}))\n"
    )
    return Installation(folder)


def build_wheel(source: Path, out: Path) -> Path:
    """Build the wheel of a source folder or archive with this environment's setuptools."""
    offline = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", out, source]
    run_program(command, cwd=out.parent)
    return next(out.glob("*.whl"))


def call_build_backend(hook: str, source: Path, out: Path) -> None:
    """Have setuptools write a source archive or an editable wheel, as pip would."""
    code = f"from setuptools import build_meta; build_meta.{hook}({str(out)!r})"
    run_program([sys.executable, "-c", code], cwd=source)


def copy_source(folder: Path) -> Path:
    """Copy what the suite is built from, links as links."""
    ignore = shutil.ignore_patterns("__pycache__", "runs", "*.egg-info", "*.training.pt")
    for name in ("benchmark", "methods", "datasets", "reports", "results"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_packaging.py", folder / "tests")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a checkout in which somebody has worked."""
    work = tmp_path_factory.mktemp("wheel")
    own_copy = work / "checkout"
    shutil.copytree(checkout, own_copy, symlinks=True)
    for name in STRAY_FILES:
        path = own_copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    return build_wheel(own_copy, work / "out")


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An environment with the wheel and the example of an outside package."""
    work = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "examples" / "outside_plugin", work / "example")
    example = build_wheel(work / "example", work / "out")
    installed = make_installation(work / "environment")
    installed.pip(*INSTALL, wheel, example)
    return installed


def read_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {name: archive.read(name) for name in names}


def list_expected_files(source: Path) -> set[str]:
    """Return the names inside a wheel of all files of the suite."""
    package = source / "benchmark"
    paths = [path for path in package.iterdir() if path.is_file()]
    for folder in package.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            paths += [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(source).as_posix() for path in paths}
    for folder_name, place in LINKED_FOLDERS.items():
        folder = source / folder_name
        files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
        names |= {f"benchmark/{place}/{path.relative_to(folder).as_posix()}" for path in files}
    return names


def test_the_wheel_holds_every_file_of_the_suite_and_no_other(checkout: Path, wheel: Path) -> None:
    names = set(read_wheel(wheel))
    suite = {name for name in names if not name.startswith("defocus_bench-")}
    assert suite == list_expected_files(checkout)
    assert {name.partition("/")[0] for name in suite} == {"benchmark"}
    metadata = {name.partition("/")[0] for name in names - suite}
    assert len(metadata) == 1 and metadata.pop().endswith(".dist-info")


def test_the_wheel_holds_the_data_that_commands_read(wheel: Path) -> None:
    names = read_wheel(wheel)
    assert [name for name in DATA_FILES if f"benchmark/{name}" not in names] == []


def test_no_file_is_in_the_wheel_twice(wheel: Path) -> None:
    files = Counter(content for content in read_wheel(wheel).values() if content)
    assert max(files.values()) == 1


def test_the_wheel_by_way_of_the_source_archive_is_the_same(
    checkout: Path, wheel: Path, tmp_path: Path
) -> None:
    own_copy = tmp_path / "checkout"
    shutil.copytree(checkout, own_copy, symlinks=True)
    call_build_backend("build_sdist", own_copy, tmp_path)
    archive = next(tmp_path.glob("*.tar.gz"))
    with tarfile.open(archive) as files:
        assert not any("/tests/" in name for name in files.getnames())
    assert read_wheel(build_wheel(archive, tmp_path / "out")) == read_wheel(wheel)


def test_the_installed_suite_works_from_another_folder(
    installation: Installation, tmp_path: Path
) -> None:
    suite_file = installation.run("-c", "import benchmark; print(benchmark.__file__)", cwd=tmp_path)
    assert Path(suite_file.strip()).is_relative_to(installation.folder)
    run = partial(installation.run, "-m", "benchmark", cwd=tmp_path)
    words = (
        "--methods",
        "input,unsharp",
        "--dataset",
        "simulated:set=five,size=64",
        "--out",
        "mine",
    )
    assert "10 ok" in run("run", *words)
    assert "GKMNet" in run("report", "mine", "--table", "1", "--dataset", "simulated")
    run("report", "mine", "--format", "html")
    assert (tmp_path / "mine" / "page" / "index.html").is_file()
    words = ("--methods", "srn", "--rounds", "0", "--size", "64x64")
    assert "cost.md" in run("cost", *words)
    names = installation.run("list", "checkpoints", cwd=tmp_path, program="defocus-bench")
    assert "gkmnet.sim-noise" in names and "gkmnet.photo" in names


def test_an_outside_package_works_with_the_installed_suite(
    installation: Installation, tmp_path: Path
) -> None:
    words = ("--methods", "input,laplacian", "--dataset", "gradients", "--protocol", "worst-case")
    lines = installation.run("-m", "benchmark", "run", *words, cwd=tmp_path)
    assert "6 ok" in lines and "worst error" in lines


def test_a_plugin_that_imports_an_old_path_is_told_the_new_one_outside_a_checkout(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "old.py").write_text("from methods.unsharp import UnsharpMask\n")
    message = installation.failure(
        "-m", "benchmark", "list", "methods", "--plugin", "old.py", cwd=tmp_path
    )
    assert "methods.unsharp, which is benchmark.methods.unsharp now" in " ".join(message.split())


def test_an_editable_installation_puts_one_name_on_the_path(checkout: Path, tmp_path: Path) -> None:
    own_copy = tmp_path / "checkout"
    shutil.copytree(checkout, own_copy, symlinks=True)
    call_build_backend("build_editable", own_copy, tmp_path)
    editable = make_installation(tmp_path / "environment")
    editable.pip(*INSTALL, next(tmp_path.glob("*.whl")))
    code = (
        "import importlib.util, benchmark.datasets.simulated, benchmark.methods.unsharp\n"
        "names = ('methods', 'datasets', 'reports', 'results', 'published', 'measured')\n"
        "print(benchmark.__file__, [name for name in names if importlib.util.find_spec(name)])"
    )
    assert editable.run("-c", code, cwd=tmp_path) == f"{own_copy}/benchmark/__init__.py []\n"
    checkpoints = editable.run("list", "checkpoints", cwd=tmp_path, program="defocus-bench")
    assert "gkmnet.sim-noise" in checkpoints


@pytest.fixture(scope="module")
def other_datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of another project's `datasets`, with modules called as some of ours."""
    work = tmp_path_factory.mktemp("other")
    package = work / "other" / "datasets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from datasets.folder import load_dataset\n")
    (package / "folder.py").write_text("def load_dataset(): return 'theirs'\n")
    (package.parent / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "datasets"\nversion = "5.0"\n'
    )
    return build_wheel(package.parent, work / "out")


USE_THEIRS = "import datasets; print(datasets.load_dataset())"
USE_OURS = "from benchmark.registry import DATASETS; print(DATASETS.get('folder').__module__)"


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
def test_hugging_faces_datasets_and_the_suite_leave_each_other_alone(
    wheel: Path, other_datasets: Path, tmp_path: Path, order: str
) -> None:
    shared = make_installation(tmp_path / "environment")
    wheels = [other_datasets, wheel]
    if order == "ours first":
        wheels.reverse()
    for path in wheels:
        shared.pip(*INSTALL, path)
    assert shared.run("-c", USE_THEIRS, cwd=tmp_path) == "theirs\n"
    assert shared.run("-c", USE_OURS, cwd=tmp_path) == "benchmark.datasets.folder\n"
    shared.pip("uninstall", "--quiet", "--yes", "defocus-bench")
    assert shared.run("-c", USE_THEIRS, cwd=tmp_path) == "theirs\n"
    assert not list(tmp_path.rglob("site-packages/benchmark"))


def test_inside_a_checkout_datasets_is_the_other_projects(
    checkout: Path, other_datasets: Path, tmp_path: Path
) -> None:
    theirs = make_installation(tmp_path / "environment")
    theirs.pip(*INSTALL, other_datasets)
    assert theirs.run("-c", USE_THEIRS, cwd=checkout) == "theirs\n"
    assert theirs.run("-c", USE_OURS, cwd=checkout) == "benchmark.datasets.folder\n"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_tracked_files_are_small() -> None:
    names = run_program(["git", "ls-files", "-z"], cwd=ROOT).split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert sum(path.lstat().st_size for path in files) <= 25e6
