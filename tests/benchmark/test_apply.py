"""One way to use a method: what it is shown, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmark import apply
from benchmark.api import (
    Iterate,
    Map,
    Method,
    MethodCard,
    Mixture,
    Observation,
    Picture,
    Sample,
    UsageError,
)
from benchmark.apply import PreparedMethod, Skip, Stopwatch
from benchmark.metrics.tracks import Track


def picture(value: float, height: int = 6, width: int = 8) -> Picture:
    return np.full((height, width, 3), value, np.float32)


def blur_map(value: float = 1.0) -> Map:
    return np.full((6, 8), value, np.float32)


SAMPLE = Sample("one", picture(0.1), views=(picture(0.2), picture(0.3)), blur_map=blur_map())
OBSERVATION = Observation(picture(0.1))


class Obliging(Method):
    """Returns what it was made with, whatever it is asked for."""

    card = MethodCard(title="Obliging", family="baseline")

    def __init__(self, answer: object = None) -> None:
        self.answer = answer

    def restore(self, observation: Observation) -> Picture:
        return self.answer  # type: ignore[return-value]

    def estimate_blur(self, observation: Observation) -> Map | None:
        return self.answer  # type: ignore[return-value]

    def mixture(self, observation: Observation) -> Mixture | None:
        return self.answer  # type: ignore[return-value]

    def iterates(self, observation: Observation) -> Iterator[Iterate] | None:
        return self.answer  # type: ignore[return-value]


class Raising(Obliging):
    def prepare(self, device: str) -> None:
        raise OSError("no such weights")


class Dual(Obliging):
    card = MethodCard(title="Dual", family="classical", paper="none", inputs="views")


class Oracle(Obliging):
    card = MethodCard(title="Oracle", family="baseline", oracle=True)


class DualOracle(Obliging):
    card = MethodCard(title="Dual oracle", family="baseline", inputs="views", oracle=True)


class Choosy(Obliging):
    def skip(self, observation: Observation) -> str | None:
        return "is not in\nthe mood"


def test_a_method_sees_what_its_card_allows_and_each_view_in_its_place() -> None:
    observation = PreparedMethod(Obliging()).observe(SAMPLE, 3.0)
    assert (
        observation.blur_map is None
        and observation.noise_sigma is None
        and observation.views is None
    )
    observation = PreparedMethod(Dual()).observe(SAMPLE, 3.0)
    assert observation.views is not None
    assert [
        float(view[0, 0, 0]) for view in (observation.image, *observation.views)
    ] == pytest.approx([0.1, 0.2, 0.3])
    assert PreparedMethod(Oracle()).observe(SAMPLE).blur_map is not None


def test_what_a_method_sees_is_its_own_copy_in_the_tracks_geometry() -> None:
    observation = PreparedMethod(DualOracle()).observe(SAMPLE, track=Track("u8", "crop", 4))
    assert observation.image.shape == (4, 8, 3) and observation.blur_map is not None
    assert observation.views is not None
    parts = [observation.image, *observation.views, observation.blur_map]
    sources = [SAMPLE.image, *(SAMPLE.views or ()), SAMPLE.blur_map]
    assert not any(np.shares_memory(part, source) for part in parts for source in sources)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Dual(picture(0.5)), "needs dual-pixel views"),
        (Oracle(picture(0.5)), "needs the true blur map"),
        (Choosy(picture(0.5)), "is not in"),
    ],
)
def test_a_method_that_lacks_something_is_skipped_before_it_is_called(
    method: Method, reason: str
) -> None:
    prepared = PreparedMethod(method)
    for question in (prepared.restore, prepared.estimate_blur, prepared.mixture):
        with pytest.raises(Skip, match=reason):
            question(OBSERVATION)  # type: ignore[operator]
    with pytest.raises(Skip, match=reason):
        next(prepared.iterates(OBSERVATION))


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("estimate_blur", apply.NO_MAP),
        ("mixture", apply.NO_MIXTURE),
        ("iterates", apply.NO_ITERATION),
    ],
)
def test_a_method_that_does_not_do_what_it_is_asked_for_is_skipped(
    question: str, reason: str
) -> None:
    with pytest.raises(Skip, match=reason):
        list(getattr(PreparedMethod(Obliging()), question)(OBSERVATION))


BANK = np.zeros((2, 6, 8), np.float32)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("restore", None, "what the method returned: expected a numpy array"),
        ("restore", picture(np.nan), "NaN"),
        ("restore", picture(0.5, 6, 7), r"returned \(6, 7, 3\), its input was \(6, 8, 3\)"),
        ("estimate_blur", blur_map()[:5], "the estimated blur map is"),
        ("estimate_blur", blur_map(-1), "negative sigma"),
        ("mixture", Mixture((1.0, 0.0), BANK), "do not ascend"),
        ("mixture", Mixture((0.0,), BANK), r"are \(2, 6, 8\), expected \(1, 6, 8\)"),
        ("mixture", Mixture((0.0, 1.0), BANK.astype(np.float64)), "not float32"),
        ("iterates", [Iterate(picture(0.5), 0.0), Iterate(picture(0.5, 5), 0.0)], "its input was"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_refused(
    question: str, answer: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(getattr(PreparedMethod(Obliging(answer)), question)(OBSERVATION))


def test_a_good_answer_comes_back_and_only_the_method_is_timed() -> None:
    stopwatch = Stopwatch()
    assert stopwatch.seconds is None
    output = PreparedMethod(Obliging(picture(1.5))).restore(OBSERVATION, stopwatch)
    assert np.array_equal(output, picture(1.5)), "it is not clamped"
    assert stopwatch.seconds is not None and stopwatch.seconds >= 0
    other = Stopwatch()
    with pytest.raises(Skip):
        PreparedMethod(Choosy()).restore(OBSERVATION, other)
    assert other.seconds is None, "a method that is skipped has no time"


def test_errors_become_outcomes() -> None:
    skipped = apply.outcome_of_error(Skip("is not in\nthe mood"))
    assert (skipped.status, skipped.reason) == ("skipped", "is not in the mood")
    assert skipped.traceback is None
    failed = apply.outcome_of_error(OSError("disk\nfull"))
    assert (failed.status, failed.reason) == ("failed", "OSError: disk full")
    assert failed.traceback is not None and "OSError" in failed.traceback


def test_an_error_is_one_line_even_if_it_cannot_speak() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert apply.describe_error(Mute()) == "Mute: (its message cannot be shown)"
    assert apply.describe_error(ValueError()) == "ValueError"
    assert len(apply.describe_error(ValueError("x" * 1000))) == 300


def test_a_method_that_cannot_be_prepared_is_named() -> None:
    with pytest.raises(UsageError, match=r"toy:a=1 cannot be prepared: OSError: no such weights"):
        apply.prepare_for_user(Raising(), "toy:a=1", "cpu")
    with pytest.raises(OSError, match="no such weights"):
        apply.prepare_method(Raising(), "cpu")


@pytest.mark.parametrize(
    ("device", "uses_network", "has_cuda", "expected"),
    [
        ("auto", True, True, "cuda"),
        ("auto", True, False, "cpu"),
        ("cuda", True, True, "cuda"),
        ("cpu", True, True, "cpu"),
        ("auto", False, True, "cpu"),
        ("cuda", False, True, "cpu"),
        ("cuda", False, False, "cpu"),
    ],
)
def test_learned_methods_alone_compute_on_a_cuda_device(
    device: str, uses_network: bool, has_cuda: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    assert apply.resolve_device(device, uses_network) == expected


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="--device cuda: torch sees no CUDA device"):
        apply.resolve_device("cuda", needs_network=True)


# Other scales
# --------------------------------------------------------------------------------------------------

TEXTURE = np.random.default_rng(0).random((40, 60, 3), np.float32)
NOISY = TEXTURE + np.random.default_rng(1).normal(0, 1, TEXTURE.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("image", "output", "scale"),
    [
        (TEXTURE, 255 * TEXTURE, "0 to 255"),
        (TEXTURE, 65535 * TEXTURE, "0 to 65535"),
        (TEXTURE, 2 * TEXTURE - 1, "-1 to 1"),
        (TEXTURE / 20, 255 * TEXTURE / 20, "0 to 255"),
        (TEXTURE, TEXTURE, None),
        (TEXTURE, 1.5 * TEXTURE - 0.3, None),
        (TEXTURE, np.zeros_like(TEXTURE), None),
        (TEXTURE, NOISY, None),
        (NOISY, NOISY, None),
        (NOISY, 255 * NOISY, "0 to 255"),
        (np.zeros_like(TEXTURE), np.zeros_like(TEXTURE), None),
    ],
)
def test_a_picture_on_another_scale_is_told(
    image: Picture, output: Picture, scale: str | None
) -> None:
    explanation = apply.explain_other_scale(image, output)
    if scale is None:
        assert explanation is None
    else:
        assert explanation is not None and f"a picture on {scale}, not 0 to 1" in explanation
