"""One way to use a method: prepare it, show it what its card allows, call it, check its answer.

Every part of the suite that runs a method does it through `PreparedMethod`. A method that lacks an
input, or does not do what it is asked for, raises `Skip`, which is no failure; an answer that
breaks the contract raises ValueError; anything else is the method's own error. `outcome_of_error`
turns any of them into the outcome of a cell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import traceback
from collections.abc import Iterator, Sequence

import numpy as np

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
    as_map,
    as_picture,
)
from benchmark.cells import Outcome
from benchmark.metrics.tracks import Track

NO_MAP = "makes no map"
NO_MIXTURE = "mixes no Gaussian kernels"
NO_ITERATION = "is no iteration"
_LONGEST_REASON = 300
_PIXELS_OF_SCALE = 100_000
"""At most about so many are looked at to tell the scale of a picture."""
_LEAST_PLAUSIBLE = -0.25
_LARGEST_PLAUSIBLE = 2.0
"""Restored pictures leave [0, 1] where they ring, and seldom by so much."""
_SCALES = {
    "0 to 1": (1.0, 0.0, ""),
    "0 to 255": (255.0, 0.0, "divide by 255"),
    "0 to 65535": (65535.0, 0.0, "divide by 65535"),
    "-1 to 1": (2.0, -1.0, "return (x + 1) / 2"),
}
"""Scale -> factor and offset that bring a picture on 0 to 1 to it, and what undoes that."""


class Skip(Exception):
    """A method is not for this observation, or does not do what it is asked for; `reason` says why.

    Tables print the reason; it is no failure.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stopwatch(contextlib.AbstractContextManager["Stopwatch"]):
    """Measures the wall time of a method's own work; `seconds` is None until that is finished."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._start = 0.0

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedMethod:
    """A method that was prepared on a device, and the right way to ask it for anything.

    All questions raise `Skip` if the observation lacks what the method needs or the method does not
    do what it is asked for, ValueError if its answer breaks the contract, and whatever the method
    itself raises.
    """

    method: Method

    def observe(
        self, sample: Sample, noise_sigma: float = 0.0, track: Track | None = None
    ) -> Observation:
        """Return what the card lets the method see of a sample, in memory of its own.

        Args:
            sample: with the noise added already.
            noise_sigma: the level of that noise (0-255 scale).
            track: the input track that fits the size and the colour order, if any.
        """
        observation = sample.observe(self.method.card, noise_sigma)
        if track is not None:
            observation = track.fit(observation)
        return copy_observation(observation)

    def require_input(self, observation: Observation) -> None:
        """Raise `Skip` if the observation lacks what the method needs."""
        reason = missing_input(self.method, observation)
        if reason is not None:
            raise Skip(reason)

    def restore(
        self,
        observation: Observation,
        around: contextlib.AbstractContextManager[object] | None = None,
    ) -> Picture:
        """Return the restored picture, of the input's shape.

        Args:
            observation: what the method sees.
            around: entered just around the method's own work, for measurements (`Stopwatch`).
        """
        self.require_input(observation)
        with around or contextlib.nullcontext():
            output = self.method.restore(observation)
        return validate_restoration(output, observation)

    def list_remarks(self, observation: Observation, output: Picture) -> Sequence[str]:
        """Return what there is to say of a picture that was just restored, one line each: that it
        is on another scale, and what the method says; what goes wrong with that is a remark too, as
        the picture is there.
        """
        remarks = []
        other_scale = explain_other_scale(observation.image, output)
        if other_scale is not None:
            remarks.append(other_scale)
        try:
            remarks += [one_line(text) for text in self.method.list_remarks(observation, output)]
        except (Exception, SystemExit) as error:
            remarks.append(f"its remarks failed: {describe_error(error)}")
        return remarks

    def estimate_blur(
        self,
        observation: Observation,
        around: contextlib.AbstractContextManager[object] | None = None,
    ) -> Map:
        """Return the blur map that the method restores under; `around` is as for `restore`."""
        self.require_input(observation)
        with around or contextlib.nullcontext():
            blur_map = self.method.estimate_blur(observation)
        if blur_map is None:
            raise Skip(NO_MAP)
        return validate_blur_map(blur_map, observation)

    def mixture(self, observation: Observation) -> Mixture:
        """Return the mixture of Gaussian kernels that the method restores under."""
        self.require_input(observation)
        mixture = self.method.mixture(observation)
        if mixture is None:
            raise Skip(NO_MIXTURE)
        return validate_mixture(mixture, observation)

    def iterates(self, observation: Observation) -> Iterator[Iterate]:
        """Yield the steps of the iteration; each picture has the input's shape."""
        self.require_input(observation)
        steps = self.method.iterates(observation)
        if steps is None:
            raise Skip(NO_ITERATION)
        for step in steps:
            validate_restoration(step.picture, observation)
            yield step


def prepare_method(method: Method, device: str) -> PreparedMethod:
    """Prepare a method on a device ("auto", "cpu" or "cuda"); raises whatever the method raises."""
    method.prepare(resolve_device(device, uses_network(method.card)))
    return PreparedMethod(method)


def uses_network(card: MethodCard) -> bool:
    """Return whether a method computes with a network, so that it can use a GPU."""
    return card.family == "learned" and not card.made_elsewhere


def prepare_for_user(method: Method, label: str, device: str) -> PreparedMethod:
    """Prepare the one method that somebody has named.

    Raises:
        UsageError: if it cannot be prepared, with the method's label and the reason.
    """
    try:
        return prepare_method(method, device)
    except Exception as error:
        raise UsageError(f"{label} cannot be prepared: {describe_error(error)}") from error


def resolve_device(device: str, needs_network: bool) -> str:
    """Return "cpu" or "cuda" for a method; only learned methods pay for asking torch.

    Raises:
        ValueError: if "cuda" is demanded and there is none.
    """
    if not needs_network or device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ValueError("--device cuda: torch sees no CUDA device; use --device auto or cpu")
    return "cpu"


def copy_observation(observation: Observation) -> Observation:
    """Return the observation in memory of its own, so that a method that writes into it changes
    nobody else's input.
    """
    views = observation.views
    if views is not None:
        views = (views[0].copy(), views[1].copy())
    blur_map = observation.blur_map
    if blur_map is not None:
        blur_map = blur_map.copy()
    return dataclasses.replace(
        observation, image=observation.image.copy(), views=views, blur_map=blur_map
    )


def missing_input(method: Method, observation: Observation) -> str | None:
    """Return which of the card's needs the observation lacks, or the method's own reason to skip
    it, or None.
    """
    if method.card.inputs == "views" and observation.views is None:
        return "needs dual-pixel views; the data set has none"
    if method.card.oracle and observation.blur_map is None:
        return "needs the true blur map; the data set has none"
    if method.card.made_elsewhere and observation.sample is None:
        return "looks up pictures that were made of a data set's samples; use it with `run`"
    return method.skip(observation)


def validate_restoration(output: object, observation: Observation) -> Picture:
    """Return what a method gave back, if it keeps the contract.

    Raises:
        ValueError: wrong type, shape, NaN or infinite values.
    """
    picture = as_picture(output, "what the method returned")
    if picture.shape != observation.image.shape:
        raise ValueError(
            f"the method returned {picture.shape}, its input was {observation.image.shape}"
        )
    return picture


def explain_other_scale(image: Picture, output: Picture) -> str | None:
    """Return in one line that an output is on another scale than its input, which is on 0 to 1, and
    what to do; None if it is not.

    An output is on another scale if it leaves [0, 1] by far, and is much nearer to the input on
    that scale. It is scored as it is.

    Args:
        image: what the method saw, H x W x 3.
        output: what it returned, of that shape.
    """
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // _PIXELS_OF_SCALE))
    before = image[::step, ::step].astype(np.float64)
    after = output[::step, ::step].astype(np.float64)
    distances = {
        name: float(np.abs(after - (factor * before + offset)).mean())
        for name, (factor, offset, _) in _SCALES.items()
    }
    scale = min(distances, key=lambda name: distances[name])
    is_plausible = after.min() >= _LEAST_PLAUSIBLE and after.max() <= _LARGEST_PLAUSIBLE
    is_clear = distances[scale] < distances["0 to 1"] / 2
    if is_plausible or not is_clear:
        return None
    return (
        f"its values look like those of a picture on {scale}, not 0 to 1 (they are "
        f"{after.min():.3g} to {after.max():.3g}); it must {_SCALES[scale][2]}"
    )


def validate_blur_map(output: object, observation: Observation) -> Map:
    """Return what `estimate_blur` gave back, if it keeps the contract.

    Raises:
        ValueError: wrong type or shape, NaN or infinite values, or a negative sigma.
    """
    blur_map = as_map(output, "the estimated blur map")
    if blur_map.shape != observation.image.shape[:2]:
        raise ValueError(
            f"the estimated blur map is {blur_map.shape}, the picture {observation.image.shape[:2]}"
        )
    if blur_map.min() < 0:
        raise ValueError(f"the estimated blur map holds a negative sigma ({blur_map.min():g} px)")
    return blur_map


def validate_mixture(mixture: Mixture, observation: Observation) -> Mixture:
    """Return what `mixture` gave back, if it keeps the contract.

    Raises:
        ValueError: sigmas that do not ascend, or coefficients of a wrong shape or type, or not
            finite.
    """
    if list(mixture.sigmas) != sorted(mixture.sigmas):
        raise ValueError(f"the mixture's sigmas do not ascend: {mixture.sigmas}")
    expected_shape = (len(mixture.sigmas), *observation.image.shape[:2])
    if mixture.beta.shape != expected_shape:
        raise ValueError(
            f"the mixture's coefficients are {mixture.beta.shape}, expected {expected_shape}"
        )
    if mixture.beta.dtype != np.float32 or not np.isfinite(mixture.beta).all():
        raise ValueError("the mixture's coefficients are not float32, or not finite")
    return mixture


def outcome_of_error(error: BaseException) -> Outcome:
    """Return what becomes of a cell whose method raised: skipped with the reason, or failed."""
    if isinstance(error, Skip):
        return Outcome("skipped", reason=one_line(error.reason))
    text = "".join(traceback.format_exception(error))
    return Outcome("failed", reason=describe_error(error), traceback=text)


def describe_error(error: BaseException) -> str:
    """Return one line of at most 300 characters that names an error."""
    try:
        text = str(error)
    except BaseException:  # an outside plug-in may get even this wrong
        text = "(its message cannot be shown)"
    return one_line(f"{type(error).__name__}: {text}".removesuffix(": "))


def one_line(text: object) -> str:
    """Return a text as one line of at most 300 characters, for tables and the terminal."""
    line = " ".join(str(text).split())
    if len(line) <= _LONGEST_REASON:
        return line
    return line[: _LONGEST_REASON - 1] + "…"
