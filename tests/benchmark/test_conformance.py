from __future__ import annotations

import numpy as np
import pytest

from benchmark import conformance
from benchmark.api import Dataset, Method, MethodCard, Mixture, Observation, Picture, UsageError
from benchmark.registry import METHODS


@pytest.mark.parametrize(
    "text", [*METHODS.names(), "zhuo-sim:map=oracle", "fixed-point:map=oracle"]
)
def test_our_methods_keep_the_contract(text: str) -> None:
    broken = [result for result in conformance.check_method(text) if not result.passed]
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


class _NegativeMap(_Good):
    def estimate_blur(self, observation: Observation) -> Picture:
        return np.full(observation.image.shape[:2], -1, np.float32)


class _SwappedMixture(_Good):
    def mixture(self, observation: Observation) -> Mixture:
        return Mixture((1.0, 0.0), np.zeros((2, *observation.image.shape[:2]), np.float32))


class _NoPaper(_Good):
    card = MethodCard(title="t", family="learned")


class _ShortHash(_Good):
    def weights_hash(self) -> str:
        return "1234"


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (_Good, None),
        (_ShortHash, "Weights have a SHA-256"),
        (_Forgetful, "The same picture gives the same result"),
        (_Random, "global random state"),
        (_Reuses, "the method's own memory"),
        (_Crops, "any size"),
        (_Divides, "Flat, black and white"),
        (_Writes, "any size"),
        (_Scribbles, "The input is left"),
        (_NegativeMap, "blur map"),
        (_SwappedMixture, "mixture of Gaussian kernels"),
        (_NoPaper, "card is complete"),
    ],
)
def test_each_break_of_the_contract_is_found(kind: type[Method], broken: str | None) -> None:
    with METHODS.temporarily({"under-test": kind}):
        results = list(conformance.check_method("under-test"))
    failed = [result.name for result in results if not result.passed]
    assert failed == [] if broken is None else any(broken in name for name in failed), failed


def test_unknown_methods_are_a_usage_error() -> None:
    with pytest.raises(UsageError):
        list(conformance.check_method("nothing-like-it"))


def test_data_sets(toys: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    from benchmark.registry import DATASETS, create

    good: Dataset = create(DATASETS, "tiny", root=Path())[0]
    assert all(result.passed for result in conformance.check_dataset(good))
    monkeypatch.setattr(good, "ids", lambda: ["picture 1", "picture 1"])
    monkeypatch.setattr(good, "fingerprint", lambda name: "same")
    assert {result.name for result in conformance.check_dataset(good) if not result.passed} == {
        "The ids are texts, not empty, each once, in a stable order",
        "Fingerprints are stable and differ between samples",
    }
