"""The contract of methods and data sets as checks: run by `check`, by our own tests, and by plug-in
authors on theirs.

Each check is one function that raises `AssertionError` (or whatever the plug-in raises) when the
contract is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Dataset, MethodCard, Observation, Picture
from benchmark.apply import PreparedMethod, Skip, describe_error, missing_input, prepare_for_user
from benchmark.registry import METHODS, create, list_checkpoints
from benchmark.spec import parse_list

_METHOD_FAMILIES = ("baseline", "classical", "learned")


@dataclasses.dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: its name, whether the contract holds, and what broke or why it does not
    apply.
    """

    name: str
    passed: bool
    detail: str = ""


def check_method(text: str, device: str = "cpu") -> Iterator[CheckResult]:
    """Run every check on the method an id names.

    Raises:
        UsageError: if the id names nothing, or its parameters are wrong.
    """
    create(METHODS, text)
    subject = _MethodUnderTest(text, device)
    yield from (_run_check(check, subject) for check in _METHOD_CHECKS)


def check_dataset(dataset: Dataset) -> Iterator[CheckResult]:
    """Run every check on a data set (its first two samples are loaded)."""
    yield from (_run_check(check, dataset) for check in _DATASET_CHECKS)


def _run_check(check: Callable[..., None], subject: object) -> CheckResult:
    name = (check.__doc__ or check.__name__).strip().rstrip(".")
    try:
        check(subject)
    except Skip as error:
        return CheckResult(name, True, f"does not apply: {error}")
    except Exception as error:
        return CheckResult(name, False, describe_error(error))
    return CheckResult(name, True)


class _MethodUnderTest:
    """A method under test; built anew for each question that must not depend on what it
    did before.
    """

    def __init__(self, text: str, device: str) -> None:
        self.text, self._device = text, device
        self.prepared = self.build()
        self.method = self.prepared.method
        self.kind = type(self.method)

    def build(self) -> PreparedMethod:
        method, resolved = create(METHODS, self.text)
        self.name = resolved.name
        return prepare_for_user(method, resolved.label, self._device)

    def observe(self, image: NDArray[np.floating]) -> Observation:
        """Return all that a card can ask for, shown or not as the harness would."""
        picture = image.astype(np.float32)
        card = self.method.card
        blur = np.full(picture.shape[:2], 1.0, np.float32)
        views = (picture, picture) if card.inputs == "views" else None
        return Observation(
            picture, views, 8, blur if card.oracle else None, 0.0 if card.noise_aware else None
        )

    def restore(
        self, image: NDArray[np.floating], prepared: PreparedMethod | None = None
    ) -> Picture:
        """Return what the contract makes of the method's answer to `image`."""
        return (prepared or self.prepared).restore(self.observe(image))


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
    assert isinstance(card, MethodCard), f"card is a {type(card).__name__}, not a MethodCard"
    assert card.title and card.licence, "title or licence is empty"
    assert card.family in _METHOD_FAMILIES, f"family {card.family!r} is none of {_METHOD_FAMILIES}"
    assert card.family == "baseline" or card.paper, "a classical or learned method names its paper"
    assert subject.kind.version, "version is empty"


def _check_output_size(subject: _MethodUnderTest) -> None:
    """Pictures of any size come back float32, finite, in the same size."""
    for height, width in ((48, 64), (37, 53), (64, 17)):
        subject.restore(_make_test_picture(height, width))


def _check_input_untouched(subject: _MethodUnderTest) -> None:
    """The input is left as it is, also by libraries that share its memory."""
    observation = subject.observe(_make_test_picture())
    before = observation.image.copy()
    subject.prepared.restore(observation)
    assert np.array_equal(before, observation.image), "it wrote into its input"


def _check_repeatable(subject: _MethodUnderTest) -> None:
    """The same picture gives the same result, whatever was restored before."""
    first = subject.restore(_make_test_picture())
    subject.restore(_make_test_picture(seed=1))
    assert np.array_equal(first, subject.restore(_make_test_picture())), (
        "the second result differs from the first"
    )


def _check_rebuild(subject: _MethodUnderTest) -> None:
    """A freshly built method gives the same result, and global random state does not matter."""
    first = subject.restore(_make_test_picture())
    np.random.seed(1)  # noqa: NPY002 (the global generator is what is being checked)
    state = str(np.random.get_state())  # noqa: NPY002
    again = subject.restore(_make_test_picture(), subject.build())
    assert np.array_equal(first, again), "a fresh instance gives another result"
    assert state == str(np.random.get_state()), "it draws from numpy's global generator"  # noqa: NPY002


def _check_output_memory(subject: _MethodUnderTest) -> None:
    """The result is the method's own memory, so the next call cannot change it."""
    first = subject.restore(_make_test_picture())
    kept = first.copy()
    subject.restore(_make_test_picture(seed=1))
    assert np.array_equal(first, kept), "a later call overwrote an earlier result"


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
            assert str(error), "the ValueError says nothing"
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
    assert reason is not None, "it accepts a picture without the true map"


def _check_weights(subject: _MethodUnderTest) -> None:
    """Weights have a SHA-256, and the default checkpoint exists."""
    kind = subject.kind
    digest = subject.method.weights_hash()
    has_checkpoints = bool(list_checkpoints(kind, subject.name))
    if digest is None and (not has_checkpoints or subject.method.card.oracle):
        raise Skip("no weights")
    if kind.checkpoints:
        assert kind.default_checkpoint in kind.checkpoints, (
            f"no default checkpoint {kind.default_checkpoint!r}"
        )
    digest = digest or ""
    assert len(digest) == 64 and int(digest, 16) >= 0, (
        f"weights_hash() gives {digest!r}, not a SHA-256"
    )


def _check_variants(subject: _MethodUnderTest) -> None:
    """Every declared variant can be built."""
    name = subject.text.partition(":")[0].partition(".")[0]
    texts = [text for group in subject.kind.variants.values() for text in group]
    if not texts:
        raise Skip("no variants")
    for spec in parse_list([f"{name}:{text}" for text in texts]):
        create(METHODS, spec)


_METHOD_CHECKS: tuple[Callable[[_MethodUnderTest], None], ...] = (
    _check_method_card,
    _check_weights,
    _check_variants,
    _check_output_size,
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
    assert card.title and card.licence and card.source and card.layout, (
        "title, licence, source or layout is empty"
    )


def _check_dataset_ids(dataset: Dataset) -> None:
    """The ids are texts, not empty, each once, in a stable order."""
    ids = list(dataset.ids())
    assert ids and all(isinstance(name, str) and name for name in ids), f"ids: {ids[:3]}"
    assert len(set(ids)) == len(ids), "an id comes twice"
    assert ids == list(dataset.ids()), "the order changes"


def _check_samples(dataset: Dataset) -> None:
    """Samples carry their id, lie in [0, 1], and load the same twice."""
    for name in list(dataset.ids())[:2]:
        first, again = dataset.load(name), dataset.load(name)
        assert first.id == name, f"load({name!r}) gives sample {first.id!r}"
        pictures = [
            first.image,
            *(first.views or ()),
            *([first.target] if first.target is not None else []),
        ]
        assert all(p.min() >= 0 and p.max() <= 1 for p in pictures), (
            f"{name}: values outside [0, 1]"
        )
        assert np.array_equal(first.image, again.image), (
            f"{name}: loads differently the second time"
        )
        assert dataset.card.has_target or first.target is None, (
            f"{name}: has a target, the card says none"
        )


def _check_fingerprints(dataset: Dataset) -> None:
    """Fingerprints are stable and differ between samples."""
    names = list(dataset.ids())[:2]
    prints = [dataset.fingerprint(name) for name in names]
    assert prints == [dataset.fingerprint(name) for name in names], "a fingerprint changes"
    assert len(set(prints)) == len(prints), "two samples share a fingerprint"


_DATASET_CHECKS: tuple[Callable[[Dataset], None], ...] = (
    _check_dataset_card, _check_dataset_ids, _check_samples, _check_fingerprints,
)  # fmt: skip
