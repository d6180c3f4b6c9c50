"""The contract of methods and data sets as checks: run by `check`, by our own tests, and by plug-in
authors on theirs.

Each check is one function that raises `ContractBroken` (or whatever the plug-in raises) when the
contract is broken; no `assert`, because `python -O` would leave it out.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmark import plan
from benchmark.api import (
    BenchmarkError,
    DataError,
    Dataset,
    MethodCard,
    Observation,
    Picture,
    UsageError,
)
from benchmark.apply import (
    PreparedMethod,
    Skip,
    describe_error,
    explain_other_scale,
    missing_input,
    one_line,
    prepare_for_user,
)
from benchmark.registry import (
    METHODS,
    build_plugin,
    create,
    describe_parameters,
    list_checkpoints,
    resolve_id,
)
from benchmark.spec import ResolvedId, parse_ids
from benchmark.worker import RunSettings, start_worker
from benchmark.worker_pool import Failure, WorkerPool

_SubjectCall: TypeAlias = tuple[Callable[..., "_MethodUnderTest | Dataset"], tuple[Any, ...]]
"""What builds or opens the subject of checks, and its arguments; both travel to a worker."""
_METHOD_FAMILIES = ("baseline", "classical", "learned")


@dataclasses.dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: its name, whether the contract holds, and what broke or why it does not
    apply.
    """

    name: str
    passes: bool
    detail: str = ""


class ContractBroken(Exception):
    """A method or a data set does not keep its contract; the message says how."""


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise ContractBroken(message)


def check_method(method: str | ResolvedId, device: str = "cpu") -> Iterator[CheckResult]:
    """Run every check on the method an id names.

    Raises:
        UsageError: if the id names nothing, or its parameters are wrong.
    """
    method_id = resolve_id(METHODS, method) if isinstance(method, str) else method
    build_plugin(METHODS, method_id)
    subject = _MethodUnderTest(method_id, device)
    yield from (_run_check(check, subject) for check in _METHOD_CHECKS)


def check_method_apart(method_id: ResolvedId, settings: RunSettings) -> Iterator[CheckResult]:
    """Run the same checks in a process of their own, so that a method that ends it (a crash,
    `os._exit`) fails the check that it did so in, and the others go on in another process.

    Args:
        method_id: of the method.
        settings: plug-ins, device and threads of the process.

    Raises:
        UsageError: if the method cannot be prepared, or ends the process meanwhile.
        WorkerStartError: if there can be no such process.
    """
    subject = (_build_cached_method, (method_id, settings.device))
    yield from _check_apart(method_id.label, subject, _METHOD_CHECKS, settings)


def check_dataset_apart(
    text: str, settings: RunSettings, note: Callable[[str], None] = lambda _: None
) -> Iterator[CheckResult]:
    """Run the checks of a data set in a process of their own, as `check_method_apart` does.

    Args:
        text: id of the data set.
        settings: plug-ins of the process, and the folder that holds the data sets.
        note: told what the data set left out or assumed.

    Raises:
        UsageError: unknown name or parameter, or if the data set ends the process meanwhile.
        DataError: missing or damaged data.
        WorkerStartError: if there can be no such process.
    """
    subject = (_open_cached_dataset, (text, settings.root))
    yield from _check_apart(text, subject, _DATASET_CHECKS, settings, note)


def _check_apart(
    label: str,
    subject: _SubjectCall,
    checks: Sequence[Callable[..., None]],
    settings: RunSettings,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[CheckResult]:
    start = functools.partial(start_worker, settings)
    with WorkerPool(start, 1, tries=1) as pool:
        for _, remarks in pool.map(_prepare_subject, [subject]):
            if isinstance(remarks, Failure):
                raise UsageError(f"{label} cannot be prepared: {remarks.reason}")
            if isinstance(remarks, BenchmarkError):
                raise remarks
            for remark in remarks:
                note(f"{label}: {remark}")
        questions = [(subject, check) for check in checks]
        for (_, check), answer in pool.map(_answer_question, questions):
            if isinstance(answer, Failure):
                yield CheckResult(_name_check(check), False, answer.reason)
            else:
                yield answer


def _prepare_subject(subject: _SubjectCall) -> tuple[str, ...] | BenchmarkError:
    build, arguments = subject
    try:
        return tuple(build(*arguments).remarks)
    except (UsageError, DataError) as error:
        return error


def _answer_question(question: tuple[_SubjectCall, Callable[..., None]]) -> CheckResult:
    (build, arguments), check = question
    return _run_check(check, build(*arguments))


def check_dataset(dataset: Dataset) -> Iterator[CheckResult]:
    """Run every check on a data set (its first two samples are loaded)."""
    yield from (_run_check(check, dataset) for check in _DATASET_CHECKS)


def _run_check(check: Callable[..., None], subject: object) -> CheckResult:
    name = _name_check(check)
    try:
        check(subject)
    except Skip as skip:
        return CheckResult(name, True, f"does not apply: {skip.reason}")
    except ContractBroken as error:
        return CheckResult(name, False, one_line(error))
    except Exception as error:
        return CheckResult(name, False, describe_error(error))
    return CheckResult(name, True)


def _name_check(check: Callable[..., None]) -> str:
    return " ".join((check.__doc__ or check.__name__).split()).rstrip(".")


class _MethodUnderTest:
    """A method under test; built anew for each question that must not depend on what it
    did before.
    """

    remarks: tuple[str, ...] = ()

    def __init__(self, method_id: ResolvedId, device: str) -> None:
        self._id = method_id
        self.name = method_id.name
        self._device = device
        self.prepared = self.build()
        self.method = self.prepared.method
        self.kind = type(self.method)

    def build(self) -> PreparedMethod:
        method = build_plugin(METHODS, self._id)
        return prepare_for_user(method, self._id.label, self._device)

    def observe(self, image: NDArray[np.floating]) -> Observation:
        """Return all that a card can ask for, shown or not as the harness would."""
        picture = image.astype(np.float32)
        card = self.method.card
        observation = Observation(picture, bit_depth=8)
        if card.inputs == "views":
            observation = dataclasses.replace(observation, views=(picture, picture))
        if card.oracle:
            blur_map = np.full(picture.shape[:2], 1.0, np.float32)
            observation = dataclasses.replace(observation, blur_map=blur_map)
        if card.noise_aware:
            observation = dataclasses.replace(observation, noise_sigma=0.0)
        return observation

    def restore(
        self, image: NDArray[np.floating], prepared_method: PreparedMethod | None = None
    ) -> Picture:
        """Return what the contract makes of the method's answer to `image`."""
        return (prepared_method or self.prepared).restore(self.observe(image))


@functools.lru_cache(maxsize=1)
def _build_cached_method(method_id: ResolvedId, device: str) -> _MethodUnderTest:
    return _MethodUnderTest(method_id, device)


@functools.lru_cache(maxsize=1)
def _open_cached_dataset(text: str, root: Path) -> Dataset:
    return plan.select_dataset(text, root, limit=2).dataset


def _make_test_picture(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.float64]:
    """Return a picture with edges, shading and texture, in [0, 1]."""
    y, x = np.mgrid[:height, :width]
    texture = np.random.default_rng(seed).random((height, width, 3))
    stripes = ((x // 6 + y // 9) % 2)[..., None]
    picture: NDArray[np.float64] = 0.15 + 0.5 * stripes * np.array([1.0, 0.8, 0.6])
    picture += 0.1 * texture + 0.1 * (x / width)[..., None]
    return picture


def _check_method_card(subject: _MethodUnderTest) -> None:
    """The card is complete."""
    card = subject.method.card
    _require(isinstance(card, MethodCard), f"card is a {type(card).__name__}, not a MethodCard")
    _require(bool(card.title and card.licence), "title or licence is empty")
    _require(
        card.family in _METHOD_FAMILIES, f"family {card.family!r} is none of {_METHOD_FAMILIES}"
    )
    _require(bool(subject.kind.version), "version is empty")


def _check_output_size(subject: _MethodUnderTest) -> None:
    """Pictures of any size come back float32, finite, in the same size."""
    for height, width in ((48, 64), (37, 53), (64, 17)):
        subject.restore(_make_test_picture(height, width))


def _check_scale(subject: _MethodUnderTest) -> None:
    """Values are on the scale of the input, 0 to 1."""
    picture = _make_test_picture().astype(np.float32)
    other_scale = explain_other_scale(picture, subject.restore(picture))
    _require(other_scale is None, other_scale or "")


def _check_input_untouched(subject: _MethodUnderTest) -> None:
    """The input is left as it is, also by libraries that share its memory."""
    observation = subject.observe(_make_test_picture())
    before = observation.image.copy()
    subject.prepared.restore(observation)
    _require(np.array_equal(before, observation.image), "it wrote into its input")


def _check_repeatable(subject: _MethodUnderTest) -> None:
    """The same picture gives the same result, whatever was restored before."""
    first = subject.restore(_make_test_picture())
    subject.restore(_make_test_picture(seed=1))
    second = subject.restore(_make_test_picture())
    _require(np.array_equal(first, second), "the second result differs from the first")


def _check_rebuild(subject: _MethodUnderTest) -> None:
    """A freshly built method gives the same result, and global random state does not matter."""
    first = subject.restore(_make_test_picture())
    np.random.seed(1)  # noqa: NPY002 (the global generator is what is being checked)
    state_before = str(np.random.get_state())  # noqa: NPY002
    second = subject.restore(_make_test_picture(), subject.build())
    state_after = str(np.random.get_state())  # noqa: NPY002
    _require(np.array_equal(first, second), "a fresh instance gives another result")
    _require(state_before == state_after, "it draws from numpy's global generator")


def _check_output_memory(subject: _MethodUnderTest) -> None:
    """The result is the method's own memory, so the next call cannot change it."""
    first = subject.restore(_make_test_picture())
    copy = first.copy()
    subject.restore(_make_test_picture(seed=1))
    _require(np.array_equal(first, copy), "a later call overwrote an earlier result")


def _check_flat_pictures(subject: _MethodUnderTest) -> None:
    """Flat, black and white pictures come back finite."""
    for value in (0.0, 0.5, 1.0):
        subject.restore(np.full((32, 40, 3), value))


def _check_noise_outside_range(subject: _MethodUnderTest) -> None:
    """Noise that leaves [0, 1] is taken."""
    noisy = _make_test_picture() + 0.3 * np.random.default_rng(0).standard_normal((48, 64, 3))
    subject.restore(noisy)


def _check_tiny_pictures(subject: _MethodUnderTest) -> None:
    """A picture too small for the method gives a result, a reason to skip, or a ValueError that
    says so.
    """
    for height, width in ((1, 1), (3, 3), (1, 40)):
        try:
            subject.restore(_make_test_picture(height, width))
        except ValueError as error:
            _require(bool(str(error)), "the ValueError says nothing")
        except Skip:
            pass


def _check_blur_map(subject: _MethodUnderTest) -> None:
    """The blur map, if it makes one, is H x W float32, finite and not negative."""
    subject.prepared.estimate_blur(subject.observe(_make_test_picture()))


def _check_mixture(subject: _MethodUnderTest) -> None:
    """The mixture of Gaussian kernels, if it makes one, is K ascending sigmas and finite K x H x W
    float32.
    """
    subject.prepared.mixture(subject.observe(_make_test_picture()))


def _check_oracle(subject: _MethodUnderTest) -> None:
    """It asks for the truth on its card before it uses it."""
    if not subject.method.card.oracle:
        raise Skip("no oracle")
    blind = Observation(_make_test_picture().astype(np.float32))
    reason = missing_input(subject.method, blind)
    _require(reason is not None, "it accepts a picture without the true map")


def _check_weights(subject: _MethodUnderTest) -> None:
    """Weights have a SHA-256, and the default checkpoint exists."""
    kind = subject.kind
    digest = subject.method.weights_hash()
    has_checkpoints = bool(list_checkpoints(kind, subject.name))
    if digest is None and (not has_checkpoints or subject.method.card.oracle):
        raise Skip("no weights")
    if kind.checkpoints:
        _require(
            kind.default_checkpoint in kind.checkpoints,
            f"no default checkpoint {kind.default_checkpoint!r}",
        )
    is_sha256 = re.fullmatch(r"[0-9a-fA-F]{64}", digest or "") is not None
    _require(is_sha256, f"weights_hash() gives {digest!r}, not a SHA-256")


def _check_variants(subject: _MethodUnderTest) -> None:
    """Every declared variant can be built."""
    texts = list(itertools.chain.from_iterable(subject.kind.variants.values()))
    if not texts:
        raise Skip("no variants")
    for spec in parse_ids([f"{subject.name}:{text}" for text in texts]):
        create(METHODS, spec)


def _check_later_parameters(subject: _MethodUnderTest) -> None:
    """What it declares as later parameters, or as those of locations, are parameters."""
    kind = subject.kind
    own_declarations = vars(kind)  # what a class inherits, it need not take
    declarations = {
        name: own_declarations.get(name, frozenset())
        for name in ("later_parameters", "location_parameters")
    }
    if not any(declarations.values()):
        raise Skip("no later parameters")
    for declaration, parameters in declarations.items():
        unknown = sorted(parameters - describe_parameters(kind).keys())
        _require(not unknown, f"{declaration} names {', '.join(unknown)}, which it does not take")


_METHOD_CHECKS: tuple[Callable[[_MethodUnderTest], None], ...] = (
    _check_method_card,
    _check_weights,
    _check_variants,
    _check_later_parameters,
    _check_output_size,
    _check_scale,
    _check_input_untouched,
    _check_repeatable,
    _check_rebuild,
    _check_output_memory,
    _check_flat_pictures,
    _check_noise_outside_range,
    _check_tiny_pictures,
    _check_blur_map,
    _check_mixture,
    _check_oracle,
)


def _check_dataset_card(dataset: Dataset) -> None:
    """The card is complete."""
    card = dataset.card
    texts = (card.title, card.licence, card.source, card.layout)
    _require(all(texts), "title, licence, source or layout is empty")


def _check_dataset_ids(dataset: Dataset) -> None:
    """The ids are texts, not empty, each once, in a stable order."""
    ids = list(dataset.ids())
    are_texts = all(isinstance(name, str) and name for name in ids)
    _require(bool(ids) and are_texts, f"ids: {ids[:3]}")
    _require(len(set(ids)) == len(ids), "an id comes twice")
    _require(ids == list(dataset.ids()), "the order changes")


def _check_samples(dataset: Dataset) -> None:
    """Samples carry their id, lie in [0, 1], and load the same twice."""
    for name in list(dataset.ids())[:2]:
        first = dataset.load(name)
        second = dataset.load(name)
        _require(first.id == name, f"load({name!r}) gives sample {first.id!r}")
        pictures = [first.image, *(first.views or ())]
        if first.target is not None:
            pictures.append(first.target)
        in_range = all(picture.min() >= 0 and picture.max() <= 1 for picture in pictures)
        _require(in_range, f"{name}: values outside [0, 1]")
        _require(
            np.array_equal(first.image, second.image), f"{name}: loads differently the second time"
        )
        _require(
            dataset.card.has_target or first.target is None,
            f"{name}: has a target, the card says none",
        )


def _check_fingerprints(dataset: Dataset) -> None:
    """Fingerprints are stable and differ between samples."""
    names = list(dataset.ids())[:2]
    fingerprints = [dataset.fingerprint(name) for name in names]
    fingerprints_again = [dataset.fingerprint(name) for name in names]
    _require(fingerprints == fingerprints_again, "a fingerprint changes")
    _require(len(set(fingerprints)) == len(fingerprints), "two samples share a fingerprint")


_DATASET_CHECKS: tuple[Callable[[Dataset], None], ...] = (
    _check_dataset_card, _check_dataset_ids, _check_samples, _check_fingerprints,
)  # fmt: skip
