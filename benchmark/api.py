"""The contract between the harness, the methods and the data sets.

Everything a plug-in author needs to import is here, and nothing here imports more than numpy, so
that reading a plug-in's card never loads a network library.

Units, everywhere in the suite: pictures are H x W x 3 float32 RGB in [0, 1]; a blur map is H x W
float32 and holds the standard deviation in pixels of the Gaussian with the same second moment as
the PSF (a disk of radius r has sigma r/2); noise levels are standard deviations on the 0-255 scale.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""H x W x 3 float32 RGB, nominally in [0, 1]."""
Map = NDArray[np.float32]
"""H x W float32, Gaussian-equivalent sigma in pixels."""
Mask = NDArray[np.bool_]
"""H x W bool, True where the picture is out of focus."""
Scalar = str | int | float | bool
MAP_CROP_RIGHT = "map_crop_right"
"""Key in `Sample.meta`: so many columns at the right edge take no part in scores of blur maps
(RTF's users drop 20).
"""


class BenchmarkError(Exception):
    """Something the user can put right; the command line prints it without a traceback and exits
    with code 2.
    """


class UsageError(BenchmarkError):
    """A name, parameter or option that does not exist or does not fit."""


class DataError(BenchmarkError):
    """Missing or damaged input: the message names the file, what was expected and what to do."""


class Unavailable(BenchmarkError):
    """A metric or method that cannot work here, with the reason (for example LPIPS without its
    trunk).
    """


def as_picture(array: object, name: str = "picture") -> Picture:
    """Return `array` as a read-only H x W x 3 float32 picture.

    Raises:
        ValueError: if it has another shape, another type, or a value that is not finite.
    """
    return _require_array(
        array, name, np.dtype(np.float32), "H x W x 3 float32", lambda s: len(s) == 3 and s[2] == 3
    )


def as_map(array: object, name: str = "blur map") -> Map:
    """Return `array` as a read-only H x W float32 map; raises ValueError as `as_picture` does."""
    return _require_array(array, name, np.dtype(np.float32), "H x W float32", lambda s: len(s) == 2)


def _require_array(
    array: object,
    name: str,
    dtype: np.dtype[np.float32],
    layout: str,
    fits: Callable[[tuple[int, ...]], bool],
) -> NDArray[np.float32]:
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: expected a numpy array ({layout}), got {type(array).__name__}")
    if array.dtype != dtype or not fits(array.shape) or 0 in array.shape:
        raise ValueError(f"{name}: expected {layout}, got shape {array.shape} {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: holds NaN or infinite values")
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What a method may see of a sample.

    Attributes:
        image: the defocused picture (with noise it may leave [0, 1]).
        views: the dual-pixel left and right pictures, where the data set has them.
        bit_depth: bits per channel of the file the picture was read from, after the input track (8
            or 16).
        blur_map: the true map; only for methods whose card says `oracle`, else None.
        noise_sigma: the noise added by the harness (0-255 scale); only for cards that say
            `noise_aware`, else None.
    """

    image: Picture
    views: tuple[Picture, Picture] | None = None
    bit_depth: int = 8
    blur_map: Map | None = None
    noise_sigma: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", as_picture(self.image, "image"))
        if self.views is not None:
            left, right = self.views
            object.__setattr__(
                self, "views", (as_picture(left, "left view"), as_picture(right, "right view"))
            )
        if self.blur_map is not None:
            object.__setattr__(self, "blur_map", as_map(self.blur_map))
        for name, other in _list_parts(self):
            if other.shape[:2] != self.image.shape[:2]:
                shape = _format_shape(self.image)
                raise ValueError(f"{name} is {_format_shape(other)}, but the image is {shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture of a data set, immutable: the observation side and the side only the harness
    sees.

    Attributes:
        id: stable name inside the data set; any text (it is made safe before it becomes a file
            name).
        image: the defocused picture.
        target: the all-in-focus picture, or None where the data set has none.
        views: dual-pixel left and right pictures, or None.
        blur_map: the true blur map, or None.
        mask: True where out of focus, for data sets that mark regions instead of targets (CUHK-BD).
        bit_depth: bits per channel of the source file (8 or 16).
        scene: name shared by samples that show the same scene, for clustered statistics; defaults
            to `id`.
        meta: further facts (camera, setting, registration shift ...), scalars only.
            `map_crop_right` (`MAP_CROP_RIGHT`): so many columns at the right edge take no part in
            scores of blur maps.
    """

    id: str
    image: Picture
    target: Picture | None = None
    views: tuple[Picture, Picture] | None = None
    blur_map: Map | None = None
    mask: Mask | None = None
    bit_depth: int = 8
    scene: str = ""
    meta: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"sample {self.id!r}"
        observation = Observation(self.image, self.views, self.bit_depth, self.blur_map)
        for name in ("image", "views", "blur_map"):
            object.__setattr__(self, name, getattr(observation, name))
        if self.target is not None:
            object.__setattr__(self, "target", as_picture(self.target, f"{where}: target"))
        if self.bit_depth not in (8, 16):
            raise ValueError(f"{where}: bit_depth must be 8 or 16, got {self.bit_depth}")
        for name, other in (("target", self.target), ("mask", self.mask)):
            if other is not None and other.shape[:2] != self.image.shape[:2]:
                size = _format_shape(self.image)
                raise ValueError(
                    f"{where}: {name} is {_format_shape(other)}, but the image is {size}"
                )
        object.__setattr__(self, "scene", self.scene or self.id)
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def observe(self, card: MethodCard, noise_sigma: float = 0.0) -> Observation:
        """Return what a method with this card may see; the true map only for oracles, the noise
        only if asked for.
        """
        return Observation(
            image=self.image,
            views=self.views,
            bit_depth=self.bit_depth,
            blur_map=self.blur_map if card.oracle else None,
            noise_sigma=noise_sigma if card.noise_aware else None,
        )


def _list_parts(observation: Observation) -> list[tuple[str, NDArray[np.float32]]]:
    parts: list[tuple[str, NDArray[np.float32]]] = []
    if observation.views is not None:
        left, right = observation.views
        parts += [("left view", left), ("right view", right)]
    if observation.blur_map is not None:
        parts.append(("blur map", observation.blur_map))
    return parts


def _format_shape(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """What a table must be able to say about a method.

    Attributes:
        title: name for tables.
        family: `baseline` (no model of defocus), `classical` (not learned) or `learned`.
        paper: citation, empty for a baseline.
        inputs: `image` or `views` (dual-pixel left and right).
        trained_on: data sets the weights (or the tuned constants) saw; () for nothing, None for
            unknown.
        budget: how long the weights were trained, for comparisons: the amount, then after a comma
            what else matters; empty if that is not known.
        licence: licence of code and weights.
        reimplementation: True if not the authors' own program.
        oracle: it is given the true blur map; tables mark it and never rank it as blind.
        noise_aware: it is given the noise sigma; tables mark it.
        notes: deviations from the published system, and anything a reader must know.
    """

    title: str
    family: Literal["baseline", "classical", "learned"]
    paper: str = ""
    inputs: Literal["image", "views"] = "image"
    trained_on: tuple[str, ...] | None = ()
    budget: str = ""
    licence: str = "Apache-2.0"
    reimplementation: bool = True
    oracle: bool = False
    noise_aware: bool = False
    notes: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """One step of an iterative method.

    Attributes:
        picture: the iterate as a finished picture (H x W x 3, sRGB code values); the first one is
            the start.
        residual: what the method's stopping rule watches, on the [0, 1] scale; the method's
            documentation says which.
        facts: further numbers about the whole iteration, the same at every step (for example the
            contraction factor).
    """

    picture: Picture
    residual: float
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Gaussian kernels mixed anew at every pixel: B x = sum_k beta_k * (g(sigma_k) conv x), eq. (4)
    of GKMNet's paper.

    Attributes:
        sigmas: the K kernels' sigmas in pixels, ascending; 0 is the delta.
        beta: K x H x W float32 mixing coefficients, of either sign.
    """

    sigmas: tuple[float, ...]
    beta: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A method's network, for counting what it costs. Its weights do not matter, so none need be at
    hand.

    Attributes:
        forms: name -> function that builds the network as a `torch.nn.Module` in plain form (every
            operation one of torch's own, so that counters see it); the first is the one the method
            means, others do the same work in another way ("dense GCM", "separable GCM"). They must
            also build under `torch.device("meta")`.
        shapes: (height, width) -> shape of each tensor that `forward` takes for one picture of that
            size.
    """

    forms: Mapping[str, Callable[[], Any]]
    shapes: Callable[[int, int], tuple[tuple[int, ...], ...]]


class Method(ABC):
    """A restoration method. Its parameters are the typed keyword arguments of its constructor.

    Attributes:
        card: facts for the tables; a constructor may replace it on the instance (`map=oracle` sets
            `oracle`).
        version: changes whenever its results may change; part of every cell's identity.
        checkpoints: name -> weights file, for methods with weights; a class that fills it must also
            set `default_checkpoint` and accept a keyword `checkpoint: str`. One that has the
            keyword and leaves this empty gets a `benchmark.checkpoints.Checkpoint`: a file
            NAME.TAG.safetensors in the folders that the suite searches.
        variants: group name -> parameter texts that the group stands for, e.g. {"oracle":
            ("map=oracle",)}.
    """

    card: MethodCard
    version: ClassVar[str] = "1"
    checkpoints: ClassVar[Mapping[str, str]] = MappingProxyType({})
    default_checkpoint: ClassVar[str | None] = None
    variants: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

    @classmethod
    def fixed(cls, checkpoint: Any) -> Mapping[str, Scalar]:
        """Return the parameters whose values come with a checkpoint (its network's structure), None
        for no checkpoint.

        Their default in the constructor is None, "as the checkpoint has it". An id without a tag
        means a checkpoint that has what the id says, and a canonical id names what differs from
        those without a checkpoint.

        Args:
            checkpoint: what the constructor gets: the tag, or for a class that lists no
                `checkpoints` the `benchmark.checkpoints.Checkpoint` of the catalogue.
        """
        return {}

    def prepare(self, device: str) -> None:  # noqa: B027 (optional hook)
        """Load, move to `device` ("cpu" or "cuda"), compile and warm up. Never timed; called once,
        before `restore`.
        """

    @abstractmethod
    def restore(self, observation: Observation) -> Picture:
        """Return the restored picture: same height and width as `observation.image`, float32,
        finite, not clamped.
        """

    def skip(self, observation: Observation) -> str | None:
        """Return why this observation cannot be restored, or None if it can. Not a failure; tables
        print the reason.
        """
        return None

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the file of weights or learned constants that results depend on;
        None without one.
        """
        return None

    def network(self) -> Network | None:
        """Return the network for counting parameters and operations; None for methods without.
        Needs no weights.
        """
        return None

    def estimate_blur(self, observation: Observation) -> Map | None:
        """Return the blur map it restores under, or None for methods that do not make one."""
        return None

    def mixture(self, observation: Observation) -> Mixture | None:
        """Return the mixture of Gaussian kernels it restores under, or None for methods that do not
        make one.
        """
        return None

    def iterates(self, observation: Observation) -> Iterator[Iterate] | None:
        """Return the steps of the iteration, from its start; None for methods that are none.
        Stopping rules apply.
        """
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImporterCard:
    """What is known of a file of weights that others published, and of the checkpoint it becomes.

    Attributes:
        title: name for listings.
        method: registered name of the method that the weights are for.
        tag: tag of the checkpoint, METHOD.TAG.safetensors, unless the user names another.
        source: who made the file, and where it is.
        parameters: the method's parameters under which its network has the file's structure.
        trained_on: data sets that the weights saw; None for unknown.
        licence: terms of the weights.
        notes: anything a reader of their scores must know.
    """

    title: str
    method: str
    tag: str
    source: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    trained_on: tuple[str, ...] | None = None
    licence: str = "not stated"
    notes: str = ""


class Importer(ABC):
    """Reads a file of weights that others published, for the command `import`."""

    card: ImporterCard

    @abstractmethod
    def read(self, path: Path) -> Mapping[str, Any]:
        """Return the file's weights as `torch.Tensor`s under the names of the method's own network,
        every entry of it.

        `benchmark.checkpoints.read_foreign` and `benchmark.checkpoint_import.fit_entries` read and
        check a state dict.

        Raises:
            DataError: for a file that does not fit, with every entry that does not, by the file's
                own names.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """Facts about a data set.

    Attributes:
        title: name for tables.
        paper: citation.
        licence: terms, or "not stated".
        source: where to get it, or whom to ask.
        layout: the expected tree, shown when the data set is not found.
        count: how many samples the complete set has (None: it varies).
        has_target: whether samples carry an all-in-focus target.
        notes: anything a reader of its scores must know (tone curves, registration, conversions).
    """

    title: str
    paper: str
    licence: str
    source: str
    layout: str
    count: int | None = None
    has_target: bool = True
    notes: str = ""


class Dataset(ABC):
    """A data set. The constructor takes `root` (the data root) and its typed keyword parameters.

    It finds its files in the constructor and raises `DataError`, with the expected tree, if they
    are missing or do not fit together; `load` raises `DataError` for a damaged file. It may replace
    the card on the instance, to say what was found.
    """

    card: DatasetCard
    version: ClassVar[str] = "1"

    @abstractmethod
    def ids(self) -> Sequence[str]:
        """Return the sample ids, each once, in a stable order."""

    @abstractmethod
    def load(self, sample_id: str) -> Sample:
        """Return a sample at the full precision of its files."""

    @abstractmethod
    def fingerprint(self, sample_id: str) -> str:
        """Return a hex digest of everything `load(sample_id)` depends on: file bytes, parameters,
        adapter version.

        It may be called from several threads at once.
        """

    def psfs(self) -> Mapping[str, NDArray[np.float64]]:
        """Return calibrated PSFs that come with the set: name -> N x S x S, S odd, each summing to
        1. Default: none.

        Raises:
            DataError: if they belong to the set and are missing or damaged.
        """
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """Facts about a metric: table title, unit (empty if none), direction, and the paper or library
    that defines it.
    """

    title: str
    unit: str = ""
    higher_is_better: bool = True
    paper: str = ""
    digits: int = 3


class Metric(ABC):
    """A full-reference metric. Its parameters are the typed keyword arguments of its
    constructor.
    """

    card: MetricCard
    version: ClassVar[str] = "1"

    def unavailable(self) -> str | None:
        """Return why the metric cannot be computed on this machine, or None if it can."""
        return None

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the weights it scores with, or None if it has none (or they are not
        available).
        """
        return None

    @abstractmethod
    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the score of `output` against `target`, both H x W x 3 on the [0, 1] scale (not
        necessarily clamped).

        Raises:
            ValueError: if the shapes differ or the pictures are too small for the metric.
        """
