"""What results of plug-ins depend on beside their version: source that is edited gives new ones."""

from __future__ import annotations

import importlib
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio, plan
from benchmark.datasets.folder import Folder
from benchmark.metrics.psnr import Psnr
from benchmark.registry import METHODS, METRICS, PROTOCOLS, load_plugin
from benchmark.source_digest import add_digests, digest_source
from tests.benchmark.cli.test_cli import call

RULER = """
import numpy as np
from benchmark.api import Metric, MetricCard
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.tracks import Track
from benchmark.registry import METRICS, PROTOCOLS
{imports}
FACTOR = {factor}

@METRICS.register("scaled-mae")
class ScaledMae(Metric):
    card = MetricCard(title="scaled MAE", higher_is_better=False, digits=4)

    def __call__(self, output, target):
        return float(FACTOR * np.abs(np.asarray(output, np.float64) - target).mean())

PROTOCOLS.add("bordered", Protocol(
    id="bordered", title="border off", source="made up", version="1", tracks=(Track("u8"),),
    measures=(Measure("scaled", "scaled-mae", clamp=True, round8=False),),
    slices={{"folder": ({border}, -{border})}},
))
"""
FADED = """
import numpy as np
from benchmark.api import Dataset, DatasetCard, Sample
from benchmark.registry import DATASETS

@DATASETS.register("faded")
class Faded(Dataset):
    card = DatasetCard(title="Faded", paper="", licence="", source="", layout="nothing")

    def __init__(self, root):
        pass

    def ids(self):
        return ["one"]

    def load(self, sample_id):
        target = np.full((24, 24, 3), 0.5, np.float32)
        return Sample(id=sample_id, image=np.float32({strength}) * target, target=target)

    def fingerprint(self, sample_id):
        return "always the same"
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pairs."""
    for index in range(2):
        for name, level in (("input", 0.25), ("target", 0.5)):
            picture = np.full((40, 48, 3), level, np.float32)
            if name == "input":  # the border is farther from the target than the middle
                picture[:12] -= 0.1 + 0.1 * index
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            imageio.write(tmp_path / "set" / name / f"{index}.png", picture, 8)
    return tmp_path / "set"


def run(folder: Path, plugin: Path, *words: str) -> list[float]:
    """Return the scores after a run that goes on in the same folder."""
    process = call(
        "run", "--methods", "input", "--plugin", str(plugin), *words, "--out", str(folder / "out")
    )
    assert process.returncode == 0, process.stderr
    with closing(sqlite3.connect(folder / "out" / "run.sqlite")) as store:
        values = store.execute(
            "SELECT value FROM scores JOIN cells ON key = cell WHERE value IS NOT NULL "
            "AND asked = (SELECT max(id) FROM runs) ORDER BY sample, protocol, measure"
        )
        return [float(value) for (value,) in values]


def test_an_edited_metric_or_protocol_scores_again(tmp_path: Path, pictures: Path) -> None:
    words = ("--protocol", "bordered", "--dataset", f"folder:path={pictures}")
    plugin = tmp_path / "ruler.py"
    scores = []
    for factor, border in ((1.0, 4), (2.0, 4), (2.0, 16), (2.0, 16)):
        plugin.write_text(RULER.format(imports="", factor=factor, border=border))
        scores.append(run(tmp_path, plugin, *words))
    first, doubled, inner, again = scores
    assert doubled == pytest.approx([2 * value for value in first])
    assert inner != pytest.approx(doubled) and inner == again


def test_an_edited_neighbour_that_it_imports_counts_and_another_file_does_not(
    tmp_path: Path, pictures: Path
) -> None:
    words = ("--protocol", "bordered", "--dataset", f"folder:path={pictures}")
    plugin = tmp_path / "ruler.py"
    imports = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom parts import FACTOR as TIMES"
    )
    text = RULER.format(imports=imports, factor="TIMES", border=4)
    plugin.write_text(text)
    (tmp_path / "parts.py").write_text("FACTOR = 1.0")
    first = run(tmp_path, plugin, *words)
    (tmp_path / "parts.py").write_text("FACTOR = 3.0")
    (tmp_path / "unrelated.py").write_text("FACTOR = 4.0")
    assert run(tmp_path, plugin, *words) == pytest.approx([3 * value for value in first])


def test_an_edited_data_set_is_run_again(tmp_path: Path) -> None:
    words = ("--dataset", "faded", "--protocol", "restormer")
    plugin = tmp_path / "faded.py"
    plugin.write_text(FADED.format(strength=0.5))
    first = run(tmp_path, plugin, *words)
    plugin.write_text(FADED.format(strength=0.9))
    second = run(tmp_path, plugin, *words)
    assert len(second) == len(first) and second != first


TINTED = """
from pathlib import Path
from benchmark.api import Method, MethodCard
from benchmark.registry import METHODS

@METHODS.register("tinted")
class Tinted(Method):
    card = MethodCard(title="tinted", family="baseline")
    location_parameters = frozenset({"notes"})

    def __init__(self, *, table: Path, notes: Path | None = None) -> None:
        self.factor = float(table.read_text())

    def restore(self, observation):
        return (self.factor * observation.image).astype("float32")
"""


def test_the_content_of_a_file_that_a_parameter_names_counts(tmp_path: Path) -> None:
    plugin, table, notes = (tmp_path / name for name in ("tinted.py", "table.txt", "notes.txt"))
    plugin.write_text(TINTED)

    def plan_version() -> str:
        [method] = plan.select_methods([f"tinted:table={table},notes={notes}"])
        return method.version

    with METHODS.temporarily():
        load_plugin(plugin)
        table.write_text("0.5")
        notes.write_text("first")
        version = plan_version()
        table.touch()
        notes.write_text("location_parameters are left to weights_hash")
        assert plan_version() == version
        table.write_text("0.9")
        assert plan_version() != version
        assert plan_version().split("+")[:2] == version.split("+")[:2]


def test_a_file_that_a_parameter_of_what_ships_names_does_not_count(tmp_path: Path) -> None:
    assert add_digests("3", METRICS.get("psnr"), {"file": Path(__file__)}) == "3"


def test_what_ships_has_no_digest() -> None:
    kinds = [METHODS.get("unsharp"), METRICS.get("psnr"), Folder, Psnr]
    assert {digest_source(kind) for kind in kinds} == {None}
    assert PROTOCOLS.is_shipped("canonical")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that looks like one of another distribution."""
    folder = tmp_path / "digested"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "net.py").write_text(
        "from ..layers import x\nimport numpy\nclass Net: ...\n"
    )
    (folder / "layers.py").write_text("from digested import constants\nx = constants.y\n")
    (folder / "constants.py").write_text("y = 1\n")
    (folder / "unused.py").write_text("z = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    forget_package()


def forget_package() -> None:
    from benchmark import source_digest

    for name in [name for name in sys.modules if name.partition(".")[0] == "digested"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    source_digest.digest_module.cache_clear()


def digest_of_net() -> str | None:
    forget_package()
    return digest_source(importlib.import_module("digested.deep.net").Net)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("deep/net.py", True),
        ("layers.py", True),
        ("constants.py", True),
        ("__init__.py", True),
        ("unused.py", False),
    ],
)
def test_a_package_counts_as_far_as_it_is_imported(name: str, counts: bool, package: Path) -> None:
    before = digest_of_net()
    file = package / name
    file.write_text(file.read_text() + "\n# changed\n")
    assert before is not None and len(before) == 12
    assert (digest_of_net() != before) == counts


def test_a_linked_neighbour_counts(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "linked.py"
    shutil.move(package / "constants.py", target)
    (package / "constants.py").symlink_to(target)
    before = digest_of_net()
    target.write_text("y = 2\n")
    assert digest_of_net() != before


def test_a_plugin_that_is_edited_while_a_command_runs_is_noticed(
    tmp_path: Path, pictures: Path
) -> None:
    """It changes itself when the command loads it, so workers load something else."""
    plugin = tmp_path / "ruler.py"
    edit = (
        "import multiprocessing, pathlib\n"
        "if multiprocessing.parent_process() is None:\n"
        "    from benchmark.api import Dataset\n"
        "    import atexit, benchmark.engines.local as runner\n"
        "    count = runner.count_cores\n"
        "    def edit_and_count():\n"
        "        file = pathlib.Path(__file__)\n"
        "        file.write_text(file.read_text() + '# edited')\n"
        "        return count()\n"
        "    runner.count_cores = edit_and_count\n"
    )
    plugin.write_text(RULER.format(imports=edit, factor=1.0, border=4))
    process = call(
        *("run", "--methods", "input", "--plugin", str(plugin), "--protocol", "bordered"),
        *("--dataset", f"folder:path={pictures}", "--out", str(tmp_path / "out"), "--jobs", "1"),
    )
    message = " ".join(process.stderr.split())
    assert process.returncode == 1, process.stderr
    assert "was edited while the command runs; run the command again" in message
    assert "Traceback" not in message


def test_where_a_package_lies_does_not_count(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest_of_net()
    shutil.copytree(package, tmp_path / "elsewhere" / "digested")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    assert digest_of_net() == before
