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
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""H x W x 3 float32 RGB, nominally in [0, 1]."""
Map = NDArray[np.float32]
"""H x W float32, Gaussian-equivalent sigma in pixels."""
Mask = NDArray[np.bool_]
"""H x W bool, True where the picture is out of focus."""
Scalar = str | int | float | bool
ChannelOrder = Literal["rgb", "bgr"]
Precision = Literal["32", "bf16"]
"""What a network computes in: single precision, or bfloat16."""
MAP_CROP_RIGHT = "map_crop_right"
"""Key in `Sample.meta`: so many columns at the right edge take no part in scores of blur maps
(RTF's users drop 20).
"""


class BenchmarkError(Exception):
    """Something the user can put right; the command line prints it without a traceback and exits
    with `exit_code`.
    """

    exit_code: ClassVar[int] = 2


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
            `noise_aware` or `made_elsewhere`, else None.
        order: order of the channels of image and views, which the input track may reverse.
        sample: id of the sample; only for cards that say `made_elsewhere`, else None.
    """

    image: Picture
    views: tuple[Picture, Picture] | None = None
    bit_depth: int = 8
    blur_map: Map | None = None
    noise_sigma: float | None = None
    order: ChannelOrder = "rgb"
    sample: str | None = None

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
        target_bit_depth: bits per channel of the target's file; None for the same.
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
    target_bit_depth: int | None = None

    def __post_init__(self) -> None:
        where = f"sample {self.id!r}"
        observation = Observation(self.image, self.views, self.bit_depth, self.blur_map)
        for name in ("image", "views", "blur_map"):
            object.__setattr__(self, name, getattr(observation, name))
        if self.target is not None:
            object.__setattr__(self, "target", as_picture(self.target, f"{where}: target"))
        if self.target_bit_depth is None:
            object.__setattr__(self, "target_bit_depth", self.bit_depth)
        for name in ("bit_depth", "target_bit_depth"):
            bits = getattr(self, name)
            if bits not in (8, 16):
                raise ValueError(f"{where}: {name} must be 8 or 16, got {bits}")
        for name, other in (("target", self.target), ("mask", self.mask)):
            if other is not None and other.shape[:2] != self.image.shape[:2]:
                size = _format_shape(self.image)
                raise ValueError(
                    f"{where}: {name} is {_format_shape(other)}, but the image is {size}"
                )
        object.__setattr__(self, "scene", self.scene or self.id)
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def observe(self, card: MethodCard, noise_sigma: float = 0.0) -> Observation:
        """Return what a method with this card may see; views only where it takes them, the true
        map only for oracles, the noise only if asked for, the id only for pictures made elsewhere.
        """
        knows_noise = card.noise_aware or card.made_elsewhere
        return Observation(
            image=self.image,
            views=self.views if card.inputs == "views" else None,
            bit_depth=self.bit_depth,
            blur_map=self.blur_map if card.oracle else None,
            noise_sigma=noise_sigma if knows_noise else None,
            sample=self.id if card.made_elsewhere else None,
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
class ExpectedInputs:
    """How weights expect the pictures that their network is fed. What is said here is applied by
    `benchmark.methods.learned.method` for every network alike.

    Attributes:
        value_range: of the values fed and of those returned.
        order: order of the channels of each picture, fed and returned; None takes them as the input
            track hands them.
        views: the pictures that are joined along the channels, in this order; () for the picture
            alone. `combined` is the picture itself.
        multiple: height and width are continued to multiples of this, if those that the network
            itself needs are smaller.
        padding: how: mirrored without the edge, with zeros (in `value_range`), or by repeating
            the edge; at bottom and right, and cut off again.
        turns_portraits: pictures higher than wide are turned by 90 degrees counter-clockwise first,
            and back afterwards.
        bits: bits per channel of the input track that the printed numbers used; None if that is not
            known. Nothing is rounded; `run` warns on a track of another depth.
        whole_picture: results depend on statistics of the whole picture, so that tiles would change
            them; it is never cut into any.
    """

    value_range: Literal["[0, 1]", "[-1, 1]"] = "[0, 1]"
    order: ChannelOrder | None = None
    views: tuple[Literal["left", "right", "combined"], ...] = ()
    multiple: int = 1
    padding: Literal["reflect", "zero", "edge"] = "reflect"
    turns_portraits: bool = False
    bits: Literal[8, 16] | None = None
    whole_picture: bool = False

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise ValueError(f"multiple must be 1 or more, got {self.multiple}")
        if len(set(self.views)) < len(self.views):
            raise ValueError(f"views must differ, got {', '.join(self.views)}")

    def describe(self) -> str:
        """Return it in words, for listings and beside tables."""
        parts: list[str] = [self.value_range]
        if self.order is not None:
            parts.append(self.order.upper())
        if self.views:
            parts.append("views " + ", ".join(self.views))
        if self.multiple > 1:
            parts.append(f"multiples of {self.multiple} by {self.padding}")
        if self.turns_portraits:
            parts.append("portraits turned")
        if self.bits is not None:
            parts.append(f"{self.bits} bit")
        if self.whole_picture:
            parts.append("statistics of the whole picture")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """What a table must be able to say about a method.

    Attributes:
        title: name for tables.
        family: `baseline` (no model of defocus), `classical` (not learned) or `learned`.
        paper: citation, empty for a baseline and for a method that is not published.
        inputs: `image` or `views` (dual-pixel left and right).
        trained_on: data sets the weights (or the tuned constants) saw; () for nothing, None for
            unknown.
        budget: how long the weights were trained, for comparisons: the amount, then after a comma
            what else matters; empty if that is not known.
        hours: how many hours that took, on the machine that the weights' own card names; None if
            that is not known.
        licence: licence of code and weights.
        reimplementation: True if not the authors' own program.
        oracle: it is given the true blur map; tables mark it and never rank it as blind.
        noise_aware: it is given the noise sigma; tables mark it.
        made_elsewhere: it restores nothing but looks up what others made of a sample, so it is told
            the sample's id and the noise sigma. Tables mark it, it competes, and no table has
            seconds of it.
        generators: what made the pictures that its weights were trained on, or its constants tuned
            on, as `DatasetCard.generator` names it; () for none and for unknown. Tables mark it on
            data sets of these generators.
        expects: how its weights expect the pictures they are fed; None where nothing is said.
        precision: what its network computes in; tables say it where that is not single precision.
        control: whether imported weights gave what was printed for them: `reproduces`, `differs` or
            `not checked`, then the numbers; empty for weights that were not imported. The harness
            fills it in.
        notes: deviations from the published system, and anything a reader must know.
    """

    title: str
    family: Literal["baseline", "classical", "learned"]
    paper: str = ""
    inputs: Literal["image", "views"] = "image"
    trained_on: tuple[str, ...] | None = ()
    budget: str = ""
    hours: float | None = None
    licence: str = "Apache-2.0"
    reimplementation: bool = True
    oracle: bool = False
    noise_aware: bool = False
    made_elsewhere: bool = False
    generators: tuple[str, ...] = ()
    expects: ExpectedInputs | None = None
    precision: Precision = "32"
    control: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPictures:
    """The pictures that a run is about to ask a method for.

    Attributes:
        dataset: id of the data set.
        samples: ids of all its samples, in its order.
        sizes: sample of the run -> id of an input track -> (height, width) of what the method is to
            return.
        sigmas: noise levels, on the 0-255 scale.
    """

    dataset: str
    samples: tuple[str, ...]
    sizes: Mapping[str, Mapping[str, tuple[int, int]]]
    sigmas: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePairs:
    """Which file answers for which picture of a run.

    Attributes:
        files: noise sigma -> sample -> file, relative to the method's own folder.
        digests: file -> SHA-256 of what it held when the run was planned.
        remarks: what was assumed, a line each, for the user.
    """

    files: Mapping[float, Mapping[str, str]]
    digests: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
        later_parameters: parameters that came when results were stored already. At their defaults
            they are no part of a cell's identity, so those results stay valid.
        location_parameters: parameters that say where files lie on this machine: no part of a
            cell's identity. What results depend on in those files enters it by `weights_hash`.
        variants: group name -> parameter texts that the group stands for, e.g. {"oracle":
            ("map=oracle",)}.
    """

    card: MethodCard
    version: ClassVar[str] = "1"
    checkpoints: ClassVar[Mapping[str, str]] = MappingProxyType({})
    default_checkpoint: ClassVar[str | None] = None
    later_parameters: ClassVar[frozenset[str]] = frozenset()
    location_parameters: ClassVar[frozenset[str]] = frozenset()
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

    @classmethod
    def label_of(cls, parameters: Mapping[str, Any]) -> str | None:
        """Return what tables and `compare` call a method instead of its id, None for its id.

        It is for methods whose id holds paths, and part of a cell's identity as the parameter
        `name`. The suite refuses a label that is the name of a
        registered method or of a group, or that two different methods of one command share.

        Args:
            parameters: the constructor's parameters, validated.
        """
        return None

    def pair_pictures(self, pictures: PlannedPictures) -> PicturePairs | None:
        """Return which file answers for each picture of a run; None for methods that restore.

        It is asked once, before anything runs, of methods whose card says `made_elsewhere`. Their
        constructor takes the answer back as the keyword `pairs`, which no id can name; it enters a
        cell's identity through `weights_hash`.

        Raises:
            DataError: if a picture has no file, or one that does not fit; the message lists all.
        """
        return None

    def prepare(self, device: str) -> None:  # noqa: B027 (optional hook)
        """Load, move to `device` ("cpu" or "cuda"), compile and warm up. Never timed; called once,
        before `restore`.
        """

    @abstractmethod
    def restore(self, observation: Observation) -> Picture:
        """Return the restored picture: same height and width as `observation.image`, float32,
        finite, not clamped.
        """

    def list_remarks(self, observation: Observation, output: Picture) -> Sequence[str]:
        """Return what a user should know of the picture that was just restored, one line each;
        commands print it. It is not part of the seconds of a picture, but of a cell's time-out.
        """
        return ()

    def skip(self, observation: Observation) -> str | None:
        """Return why this observation cannot be restored, or None if it can. Not a failure; tables
        print the reason.
        """
        return None

    def shrink(self, observation: Observation) -> Observation | None:
        """Return an observation so small that restoring it takes little but what every call begins
        with, such as the start of a program; None for methods that begin with nothing.

        `cost` tells the seconds of the one from those of the other, and measures no memory.
        """
        return None

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of what results depend on beside code and parameters: the file of
        weights or learned constants, or the content of the files that `location_parameters` name.
        None for nothing. It is part of every cell's identity.
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
class PrintedScore:
    """A number that was printed for weights, which the command `control` measures again.

    Attributes:
        dataset: id of the data set.
        protocol: id of the protocol that measures as the number was measured.
        measure: key of the measure in that protocol.
        value: as printed.
        tolerance: largest difference at which the number counts as reproduced: rounding, and what
            machines and libraries differ by.
        pictures: how many it is the mean of.
        source: where it is printed.
    """

    dataset: str
    protocol: str
    measure: str
    value: float
    tolerance: float
    pictures: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPicture:
    """A picture that the authors' own program made with weights, which the command `control` makes
    again. Its files are the user's.

    Attributes:
        input: file of the picture that was restored, under the folder of data; of a larger one the
            upper left part is taken.
        output: file of the result there.
        kind: what the result is: a restored picture, or a blur map in grey values.
        map_scale: slope and offset that make sigma in pixels of a grey value in [0, 1]; what is
            below 0 is sharp.
        tolerance: largest mean absolute difference at which the result counts as reproduced; of
            pictures on the 0-255 scale, of maps in pixels of sigma.
        source: where the files are.
    """

    input: str
    output: str
    kind: Literal["picture", "map"] = "picture"
    map_scale: tuple[float, float] = (1.0, 0.0)
    tolerance: float
    source: str


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
        expects: how the weights expect the pictures they are fed; None where the method's own way
            is right.
        expected: what the weights should give, for the command `control`.
        notes: anything a reader of their scores must know.
    """

    title: str
    method: str
    tag: str
    source: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    trained_on: tuple[str, ...] | None = None
    licence: str = "not stated"
    expects: ExpectedInputs | None = None
    expected: tuple[PrintedScore | GoldenPicture, ...] = ()
    notes: str = ""


class Importer(ABC):
    """Reads a file of weights that others published, for the command `import`."""

    card: ImporterCard

    def identify(self, path: Path) -> ImporterCard:
        """Return the card of this very file: `card`, unless the importer reads files of several
        structures of its method's network. Method and tag are those of `card`.

        Raises:
            DataError: for a file that cannot be read.
        """
        return self.card

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
        generator: name of the model of scenes, lens and camera that makes its pictures; empty for
            pictures that a camera took. What learned from the same generator is marked in tables.
        notes: anything a reader of its scores must know (tone curves, registration, conversions).
        remarks: `Dataset.remarks` of the copy that was run; runs fill it in.
    """

    title: str
    paper: str
    licence: str
    source: str
    layout: str
    count: int | None = None
    has_target: bool = True
    generator: str = ""
    notes: str = ""
    remarks: tuple[str, ...] = ()


class Dataset(ABC):
    """A data set. The constructor takes `root` (the data root) and its typed keyword parameters.

    It finds its files in the constructor and raises `DataError`, with the expected tree, if they
    are missing or do not fit together; `load` raises `DataError` for a damaged file. It may replace
    the card on the instance, to say what was found.

    Attributes:
        card: facts for the tables.
        version: changes whenever its samples may change.
        remarks: what it left out or assumed of the files at hand, one line each; commands print it.
    """

    card: DatasetCard
    version: ClassVar[str] = "1"
    remarks: Sequence[str] = ()

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

    def picture_size(self, sample_id: str) -> tuple[int, int]:
        """Return height and width of `load(sample_id).image`, without loading it where that can be
        known.
        """
        height, width = self.load(sample_id).image.shape[:2]
        return height, width

    def psfs(self) -> Mapping[str, NDArray[np.float64]]:
        """Return calibrated PSFs that come with the set: name -> N x S x S, S odd, each summing to
        1. Default: none.

        Raises:
            DataError: if they belong to the set and are missing or damaged.
        """
        return {}


MetricReference = Literal["target", "input", "target or input", "nothing"]
"""What a metric compares outputs with; `target or input` is the input where there is no target."""
BlurPart = Literal["sharp quarter", "middle half", "blurred quarter"]
"""The pixels of a picture, from the least blurred to the most."""
MetricPart = Literal["all", "in focus"] | BlurPart
"""The pixels that a metric looks at."""
METRIC_PARTS: tuple[str, ...] = ("all", "in focus", *get_args(BlurPart))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """Facts about a metric.

    Attributes:
        title: name for tables.
        unit: empty if none.
        higher_is_better: the direction.
        paper: the paper or library that defines it.
        digits: decimals that a table prints.
        reference: what outputs are compared with: the target, or the input as the method saw it,
            noise included. A metric of `nothing` looks at the output alone, and gets it twice.
        part: all but `all` is for a metric of pixels whose places do not matter: it gets those that
            are in focus, or so blurred, as a picture one pixel wide.
        tile: side in pixels of the square tiles that a metric of a part by blur is given instead,
            one after the other, where places matter; the tiles' blur decides, and their mean is the
            score. 0 for pixels.
        gain: the score is what the metric returns for the output less what it returns for the
            input, so it must return more for what is better. The reference is the target.
        ideal: the best value, where neither end is best (1 for a ratio); methods are then compared
            by their distance to it, and `higher_is_better` has no meaning. None for most.
        limits: least and largest value that there can be for pictures on [0, 1], within which
            tables keep the bounds of intervals; None for no limit.
        warning: why the number says nothing of quality by itself; empty for most. A measure with a
            warning is printed with it, and is neither ranked nor marked.
    """

    title: str
    unit: str = ""
    higher_is_better: bool = True
    paper: str = ""
    digits: int = 3
    reference: MetricReference = "target"
    part: MetricPart = "all"
    tile: int = 0
    gain: bool = False
    ideal: float | None = None
    limits: tuple[float | None, float | None] = (None, None)
    warning: str = ""

    def __post_init__(self) -> None:
        self._check_choice("reference", get_args(MetricReference))
        self._check_choice("part", METRIC_PARTS)
        if self.tile and not self.is_by_blur:
            raise ValueError(f"metric {self.title!r}: only a part by blur is cut into tiles")
        if self.gain and self.reference != "target":
            raise ValueError(f"metric {self.title!r}: a gain is measured against the target")

    def _check_choice(self, field_name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, field_name)
        if value not in choices:
            raise ValueError(
                f"metric {self.title!r}: {field_name} is one of {', '.join(choices)}, not {value!r}"
            )

    @property
    def is_by_blur(self) -> bool:
        """Whether the part is chosen by how blurred it is."""
        return self.part in get_args(BlurPart)


class Metric(ABC):
    """A metric: it compares an output with what its card names as reference. Its parameters are
    the typed keyword arguments of its constructor.
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
        """Return the score of `output` against `target` (or the reference that the card names),
        both H x W x 3 on the [0, 1] scale (not necessarily clamped).

        Raises:
            ValueError: if the shapes differ or the pictures are too small for the metric.
        """
