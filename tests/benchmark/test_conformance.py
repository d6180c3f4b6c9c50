"""Our methods keep the contract, and each break of it is found, also by `python -O`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmark import conformance
from benchmark.api import (
    Dataset,
    DatasetCard,
    Method,
    MethodCard,
    Mixture,
    Observation,
    Picture,
    Sample,
    UsageError,
)
from benchmark.registry import METHODS, needs_parameters

ROOT = Path(__file__).parents[2]


LONG = ("attnet", "blur-posterior", "gkmnet", "jnb", "zhuo-sim")
QUICK = [
    name for name in METHODS.names() if name not in LONG and not needs_parameters(METHODS.get(name))
]


@pytest.mark.parametrize(
    "text",
    [
        *QUICK,
        "zhuo-sim:map=oracle",
        "fixed-point:map=oracle",
        *(pytest.param(name, marks=pytest.mark.slow) for name in LONG),
    ],
)
def test_our_methods_keep_the_contract(text: str) -> None:
    broken = [result for result in conformance.check_method(text) if not result.passes]
    assert broken == []


class _Good(Method):
    card = MethodCard(title="t", family="baseline")

    def restore(self, observation: Observation) -> Picture:
        return observation.image.copy()


class _Forgetful(_Good):
    """Depends on what it did before."""

    calls = 0

    def restore(self, observation: Observation) -> Picture:
        self.calls += 1
        return observation.image + np.float32(self.calls)


class _Random(_Good):
    def restore(self, observation: Observation) -> Picture:
        return observation.image + np.float32(np.random.rand())  # noqa: NPY002


class _Reuses(_Good):
    buffer = np.zeros((48, 64, 3), np.float32)

    def restore(self, observation: Observation) -> Picture:
        if observation.image.shape != self.buffer.shape:
            return observation.image.copy()
        self.buffer[:] = observation.image
        return self.buffer


class _Crops(_Good):
    def restore(self, observation: Observation) -> Picture:
        height, width = (side // 4 * 4 for side in observation.image.shape[:2])
        return observation.image[:height, :width].copy()


class _Divides(_Good):
    def restore(self, observation: Observation) -> Picture:
        with np.errstate(all="ignore"):
            return observation.image / np.ptp(observation.image)


class _Writes(_Good):
    def restore(self, observation: Observation) -> Picture:
        observation.image[0] = 0
        return observation.image


class _Scribbles(_Good):
    def restore(self, observation: Observation) -> Picture:
        import ctypes

        ctypes.memset(observation.image.ctypes.data, 0, observation.image.nbytes)
        return observation.image.copy()


class _EightBits(_Good):
    def restore(self, observation: Observation) -> Picture:
        return observation.image * 255


class _AroundZero(_Good):
    def restore(self, observation: Observation) -> Picture:
        return observation.image * 2 - 1


class _NegativeMap(_Good):
    def estimate_blur(self, observation: Observation) -> Picture:
        return np.full(observation.image.shape[:2], -1, np.float32)


class _SwappedMixture(_Good):
    def mixture(self, observation: Observation) -> Mixture:
        return Mixture((1.0, 0.0), np.zeros((2, *observation.image.shape[:2]), np.float32))


class _ShortHash(_Good):
    def weights_hash(self) -> str:
        return "1234"


class _NoVersion(_Good):
    version = ""


class _SilentError(_Good):
    def restore(self, observation: Observation) -> Picture:
        if min(observation.image.shape[:2]) < 4:
            raise ValueError
        return observation.image.copy()


class _MistypedParameter(_Good):
    later_parameters = frozenset({"strenght"})

    def __init__(self, *, strength: float = 1.0) -> None:
        self._strength = strength


class _WithoutInheritedParameter(_MistypedParameter):
    def __init__(self) -> None:
        super().__init__()


BREAKS: dict[type[Method], str] = {
    _MistypedParameter: "later parameters",
    _ShortHash: "Weights have a SHA-256",
    _Forgetful: "The same picture gives the same result",
    _Random: "global random state",
    _Reuses: "the method's own memory",
    _Crops: "any size",
    _Divides: "Flat, black and white",
    _Writes: "any size",
    _Scribbles: "The input is left",
    _EightBits: "on the scale of the input, 0 to 1",
    _AroundZero: "on the scale of the input, 0 to 1",
    _NegativeMap: "blur map",
    _SwappedMixture: "mixture of Gaussian kernels",
    _NoVersion: "card is complete",
    _SilentError: "too small",
}


class _Unpublished(_Good):
    card = MethodCard(title="t", family="learned")


def test_an_unpublished_method_needs_no_paper() -> None:
    assert failures_of(_Unpublished) == []


def failures_of(kind: type[Method]) -> list[conformance.CheckResult]:
    with METHODS.temporarily({"under-test": kind}):
        results = list(conformance.check_method("under-test"))
    return [result for result in results if not result.passes]


def test_a_method_that_keeps_the_contract_passes() -> None:
    assert failures_of(_Good) == []
    assert failures_of(_WithoutInheritedParameter) == []


@pytest.mark.parametrize("kind", BREAKS)
def test_each_break_of_the_contract_is_found(kind: type[Method]) -> None:
    failures = failures_of(kind)
    assert any(BREAKS[kind] in failure.name for failure in failures), failures
    assert not any("AssertionError" in failure.detail for failure in failures)


class _GoodData(Dataset):
    card = DatasetCard(title="t", paper="", licence="l", source="s", layout="tree", notes="")

    def ids(self) -> Sequence[str]:
        return ["a", "b"]

    def load(self, sample_id: str) -> Sample:
        image = np.full((8, 8, 3), 0.5, np.float32)
        return Sample(id=sample_id, image=image, target=image)

    def fingerprint(self, sample_id: str) -> str:
        return sample_id


class _NoLicence(_GoodData):
    card = DatasetCard(title="t", paper="", licence="", source="s", layout="tree", notes="")


class _NoIds(_GoodData):
    def ids(self) -> Sequence[str]:
        return []


class _SameIds(_GoodData):
    def ids(self) -> Sequence[str]:
        return ["a", "a"]


class _Shuffles(_GoodData):
    calls = 0

    def ids(self) -> Sequence[str]:
        self.calls += 1
        return ["a", "b"][:: 1 if self.calls % 2 else -1]


class _OtherSample(_GoodData):
    def load(self, sample_id: str) -> Sample:
        return super().load("another")


class _TooBright(_GoodData):
    def load(self, sample_id: str) -> Sample:
        return Sample(id=sample_id, image=np.full((8, 8, 3), 1.5, np.float32))


class _LoadsDifferently(_GoodData):
    calls = 0

    def load(self, sample_id: str) -> Sample:
        self.calls += 1
        return Sample(id=sample_id, image=np.full((8, 8, 3), 1 / self.calls, np.float32))


class _HiddenTarget(_GoodData):
    card = DatasetCard(
        title="t", paper="", licence="l", source="s", layout="tree", notes="", has_target=False
    )


class _SameFingerprint(_GoodData):
    def fingerprint(self, sample_id: str) -> str:
        return "same"


DATA_BREAKS: dict[type[_GoodData], str] = {
    _NoLicence: "licence",
    _NoIds: "ids: []",
    _SameIds: "an id comes twice",
    _Shuffles: "the order changes",
    _OtherSample: "gives sample 'another'",
    _TooBright: "outside [0, 1]",
    _LoadsDifferently: "differently the second time",
    _HiddenTarget: "the card says none",
    _SameFingerprint: "share a fingerprint",
}


def data_failures_of(kind: type[_GoodData]) -> list[conformance.CheckResult]:
    return [result for result in conformance.check_dataset(kind()) if not result.passes]


def test_a_data_set_that_keeps_the_contract_passes() -> None:
    assert data_failures_of(_GoodData) == []


@pytest.mark.parametrize("kind", DATA_BREAKS)
def test_each_break_of_the_contract_of_data_sets_is_found(kind: type[_GoodData]) -> None:
    details = [failure.detail for failure in data_failures_of(kind)]
    assert any(DATA_BREAKS[kind] in detail for detail in details), details


OPTIMISED = """
from tests.benchmark import test_conformance as cases

if __debug__:
    raise SystemExit("this is not python -O")
unnoticed = [
    kind.__name__
    for kind, name in cases.BREAKS.items()
    if not any(name in failure.name for failure in cases.failures_of(kind))
]
unnoticed += [kind.__name__ for kind in cases.DATA_BREAKS if not cases.data_failures_of(kind)]
raise SystemExit(f"not noticed: {unnoticed}" if unnoticed else 0)
"""


def test_every_break_is_found_by_an_optimised_python_too() -> None:
    """`python -O` leaves out what `assert` says, so the checks may not rest on it."""
    command = [sys.executable, "-O", "-W", "ignore", "-c", OPTIMISED]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_unknown_methods_are_a_usage_error() -> None:
    with pytest.raises(UsageError):
        list(conformance.check_method("nothing-like-it"))


def test_data_sets(toys: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.registry import DATASETS, create

    good: Dataset = create(DATASETS, "tiny", root=Path())[0]
    assert all(result.passes for result in conformance.check_dataset(good))
    monkeypatch.setattr(good, "ids", lambda: ["picture 1", "picture 1"])
    monkeypatch.setattr(good, "fingerprint", lambda name: "same")
    assert {result.name for result in conformance.check_dataset(good) if not result.passes} == {
        "The ids are texts, not empty, each once, in a stable order",
        "Fingerprints are stable and differ between samples",
    }


# Apart
# --------------------------------------------------------------------------------------------------

HOSTILE = ROOT / "tests" / "plugins" / "hostile.py"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("leaves", "its worker process died (exit status 0)"),
        ("crashes", "its worker process died (signal 11)"),
        ("exits", "SystemExit: 5"),
    ],
)
def test_a_check_that_ends_the_process_fails_and_the_others_go_on(how: str, reason: str) -> None:
    words = ["check", "--plugin", str(HOSTILE), "--methods", f"input,hostile:how={how}"]
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 1 and "Traceback" not in process.stderr, process.stderr
    lines = process.stdout.splitlines()
    checks = lines[lines.index(f"hostile:how={how}") + 1 :]
    assert len(checks) == len(lines) / 2 - 1
    failures = [line for line in checks if line.startswith("  FAILED")]
    assert all(line.endswith(reason) for line in failures) and len(failures) > 5
    assert checks[0].startswith("  ok") and checks[-1].startswith("  ok")


def test_a_method_that_ends_the_process_in_prepare_cannot_be_prepared(tmp_path: Path) -> None:
    plugin = tmp_path / "leaves.py"
    plugin.write_text(
        "import os\nfrom benchmark.api import Method, MethodCard\n"
        "from benchmark.registry import METHODS\n"
        "@METHODS.register('leaves-early')\nclass Leaves(Method):\n"
        "    card = MethodCard(title='Leaves', family='baseline')\n"
        "    def prepare(self, device):\n        os._exit(0)\n"
        "    def restore(self, observation):\n        return observation.image\n"
    )
    words = ["check", "--plugin", str(plugin), "--methods", "leaves-early"]
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 2
    message = " ".join(process.stderr.split())
    assert "leaves-early cannot be prepared: its worker process died (exit status 0)" in message


DATASET_PLUGIN = """
import os
import numpy as np
from benchmark.api import Dataset, DatasetCard, Sample
from benchmark.registry import DATASETS

@DATASETS.register("leaves-early")
class LeavesEarly(Dataset):
    card = DatasetCard(
        title="t", paper="", licence="l", source="s", layout="tree", notes="", has_target=False
    )
    remarks = ("half of it is missing",)

    def __init__(self, root, *, when: str = "load"):
        self._when = when

    def ids(self):
        if self._when == "ids":
            os._exit(0)
        return ["a", "b"]

    def fingerprint(self, sample_id):
        return sample_id

    def load(self, sample_id):
        if self._when == "load":
            os._exit(0)
        return Sample(id=sample_id, image=np.zeros((8, 8, 3), np.float32))
"""


@pytest.mark.parametrize(
    ("when", "code", "message"),
    [
        ("load", 1, "load the same twice - its worker process died (exit status 0)"),
        ("ids", 2, "leaves-early:when=ids cannot be prepared: its worker process died (exit"),
        ("never", 0, "leaves-early:when=never: half of it is missing"),
    ],
)
def test_a_data_set_that_ends_the_process_fails_its_own_checks(
    tmp_path: Path, when: str, code: int, message: str
) -> None:
    plugin = tmp_path / "leaves.py"
    plugin.write_text(DATASET_PLUGIN)
    words = ["check", "--plugin", str(plugin), "--dataset", f"leaves-early:when={when}"]
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, cwd=ROOT
    )
    output = " ".join((process.stdout + process.stderr).split())
    assert process.returncode == code and "Traceback" not in output, output
    assert message in output
    assert process.stdout.count("  ok ") == {"load": 3, "ids": 0, "never": 4}[when]
