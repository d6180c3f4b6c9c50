"""What every method with a network shares: its checkpoint, its structure, the sizes it takes, large
pictures.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.api import (
    ExpectedInputs,
    Map,
    Method,
    MethodCard,
    Network,
    Observation,
    Picture,
    Precision,
    Scalar,
    UsageError,
)
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned import expected_inputs
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.seams import restore_on_moved_grid
from benchmark.precision import require_bf16
from benchmark.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor, nn

Forward = Callable[["Tensor"], "Tensor"]
"""N x C x H x W in, N x D x H x W out; H and W multiples of what the network asks for."""
OutputForm = Literal["published", "added"]
"""What the last layer of a network gives: the picture, as its authors have it, or what is added to
the one it was fed.
"""
Tile = Annotated[int, Ge(0)]
_PADDING_MODES: Mapping[str, Literal["reflect", "constant", "edge"]] = MappingProxyType(
    {"reflect": "reflect", "zero": "constant", "edge": "edge"}
)
"""How weights expect padding -> the word of `numpy.pad` for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Padding:
    """Pixels added before and after the rows and the columns of a picture, and how, in the words of
    `numpy.pad`.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    mode: Literal["reflect", "constant", "edge"] = "reflect"

    def __bool__(self) -> bool:
        return any((*self.rows, *self.columns))


@dataclasses.dataclass(frozen=True, slots=True)
class MapCode:
    """How a network writes a blur map in numbers.

    Attributes:
        encode: sigma in pixels, H x W -> numbers in [0, 1], H x W.
        decode: the other way.
    """

    encode: Callable[[Map], NDArray[np.float32]]
    decode: Callable[[NDArray[np.float32]], Map]

    @property
    def largest_sigma(self) -> float:
        """The largest sigma in pixels that it can write."""
        return float(self.decode(np.ones((1, 1), np.float32))[0, 0])


class AppliedNetwork(ABC):
    """A network with its weights, applied to pictures of any size. Subclasses say which by `build`,
    and how it runs fast by `compile_network`.

    Without a checkpoint that fits it computes nothing: it is skipped with the reason. It never runs
    at random weights.

    Attributes:
        card: facts about it; a checkpoint's own replace them.
        id: its registered name, also the first part of its checkpoints' file names.
        multiple: height and width are padded (by reflection, unless the weights expect another way)
            to multiples of this, and the padding is cut off again.
        smallest: height and width are padded to this at least, a multiple of `multiple`.
        halo: pixels around a tile after which the rest of the picture no longer matters (a multiple
            of `multiple`); None if every output depends on the whole picture, which is then never
            cut into tiles.
        expects: how weights expect the pictures they are fed, where their own card does not say it;
            on an instance, how those it has expect them.
        defaults: the structure that is meant where neither the id nor the checkpoint says another.
        importer_gap: why no importer makes weights for it that others have published; empty where
            there is nothing to say.
        released_file: what the weights that its importer ID-official reads are called, FILE.pth for
            example; empty where there is none.
        map_code: how it writes the blur map that it makes; None if it makes a picture.
        later_parameters: see `Method`; every network has the parameter `precision`, which came
            later than most of them.
        precision: what it computes in: `32`, or `bf16` for torch's autocast to bfloat16, under
            which pictures come and go in single precision.
    """

    card: MethodCard
    id: ClassVar[str]
    multiple: ClassVar[int] = 1
    smallest: ClassVar[int] = 1
    halo: ClassVar[int | None] = None
    expects: ExpectedInputs = ExpectedInputs()
    defaults: ClassVar[Mapping[str, Scalar]] = MappingProxyType({})
    importer_gap: ClassVar[str] = ""
    released_file: ClassVar[str] = ""
    map_code: ClassVar[MapCode | None] = None
    later_parameters: ClassVar[frozenset[str]] = frozenset({"precision"})

    def __init__(
        self,
        checkpoint: Checkpoint | None = None,
        structure: Mapping[str, Scalar | None] | None = None,
        tile: int = 0,
        precision: Precision = "32",
    ) -> None:
        """Make it; nothing is loaded but the checkpoint's card.

        Args:
            checkpoint: the weights, None for none.
            structure: what an id says of the network's structure; None values leave it to the
                checkpoint.
            tile: side in pixels of the tiles that a picture is cut into, 0 for never; see `halo`.
            precision: what it computes in; whether the processor has it, `prepare` asks.

        Raises:
            UsageError: if `tile` is set for a network that sees the whole picture, or weights that
                expect that.
            DataError: if the checkpoint's file is damaged.
        """
        self._file = None if checkpoint is None else checkpoint.path
        weights_structure: Mapping[str, Scalar] = {}
        if checkpoint is not None:
            weights_structure = {**self.defaults, **checkpoint.card.parameters}
            self.card = _extend_card(self.card, checkpoint.card)
            self.expects = checkpoint.card.expects or self.expects
        id_structure = {key: value for key, value in (structure or {}).items() if value is not None}
        full_structure = {**self.defaults, **weights_structure, **id_structure}
        self.structure: Mapping[str, Scalar] = MappingProxyType(full_structure)
        self._missing_weights = self._explain_missing_weights(checkpoint, weights_structure)
        if tile and (self.halo is None or self.expects.whole_picture):
            raise UsageError(
                f"{self.id}:tile={tile}: every pixel of its output depends on the whole picture; "
                "take tile=0"
            )
        self._tile = tile
        self.precision = precision
        self.card = dataclasses.replace(self.card, precision=precision)
        self._forward: Forward | None = None

    @classmethod
    def fixed(cls, checkpoint: Checkpoint | None) -> Mapping[str, Scalar]:
        """Return the structure that comes with a checkpoint; see `Method.fixed`."""
        if checkpoint is None:
            return cls.defaults
        return {**cls.defaults, **checkpoint.card.parameters}

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network of this structure in plain form, at whatever weights torch draws."""

    def build_trainable(self) -> nn.Module:
        """Return the network in the form that trains fastest, at the weights that `build` draws.

        Gradients pass through it, and its entries are those of the plain form.
        """
        from benchmark.methods.learned.networks.fast import winograd

        return winograd.use_winograd_for_training(self.build())

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        """Return a network with its weights (in eval mode, on `device`) as the function that
        `restore` calls.

        The same results as the plain form, as fast as can be; the place for folding, layouts and
        compilation.
        """
        from benchmark.methods.learned.networks.fast.forms import make_fast_form

        return make_fast_form(network, device, self.precision)

    def choose_padding(self, height: int, width: int) -> Padding:
        """Return how a picture is continued to the next multiples; `apply` cuts the same off again.

        At bottom and right, as the weights expect it, unless a subclass says otherwise.
        """
        multiple = math.lcm(self.multiple, self.expects.multiple)
        mode = _PADDING_MODES[self.expects.padding]
        rows, columns = (max(-size % multiple, self.smallest - size) for size in (height, width))
        return Padding((0, rows), (0, columns), mode)

    def skip(self, observation: Observation) -> str | None:
        """Return why the network cannot be applied, or None if it can."""
        return self._missing_weights

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the checkpoint's file, None without one."""
        return None if self._file is None else checkpoints.hash_checkpoint(self._file)

    def prepare(self, device: str) -> None:
        """Load the weights and compile; without weights that fit it does nothing, as nothing will
        be restored.

        Raises:
            UsageError: if it is to compute in bfloat16, and the device has no instructions for it.
            DataError: if the checkpoint does not fit the network, with every entry that does not.
        """
        if self._missing_weights is not None or self._file is None:
            return
        if self.precision == "bf16":
            require_bf16(self.id, device)
        network = self.build()
        weights = checkpoints.load_tensors(self._file)
        checkpoints.require_entries(weights, network.state_dict(), self._file)
        network.load_state_dict(weights)
        network.requires_grad_(False)
        self._forward = self.compile_network(network.eval().to(device), device)
        self._device = device

    def apply(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of H x W x C, as H x W x D; both as its weights expect them
        (see `encode_inputs`).

        Raises:
            UsageError: without weights, or before `prepare`.
        """
        return self.apply_padded(self._forward, inputs)

    def apply_padded(
        self, forward: Forward | None, inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what a function makes of H x W x C, as H x W x D: turned, padded and tiled as this
        network asks, and put back.

        Raises:
            UsageError: if there is no function: without weights, or before `prepare`.
        """
        if forward is None:
            raise UsageError(self._missing_weights or f"{self.id}: prepare() was not called")
        if not expected_inputs.is_turned((inputs.shape[0], inputs.shape[1]), self.expects):
            return self._apply_upright(forward, inputs)
        turned = expected_inputs.turn_counter_clockwise(inputs)
        output = self._apply_upright(forward, turned)
        return np.ascontiguousarray(expected_inputs.turn_clockwise(output))

    def network(self) -> Network:
        """Return the network for counting parameters and operations; it needs no weights."""
        picture_count = len(self.expects.views) or (1 if self.card.inputs == "image" else 2)

        def shapes(height: int, width: int) -> tuple[tuple[int, ...], ...]:
            if expected_inputs.is_turned((height, width), self.expects):
                height, width = width, height
            padding = self.choose_padding(height, width)
            height += sum(padding.rows)
            width += sum(padding.columns)
            return ((1, 3 * picture_count, height, width),)

        return Network(forms={"": self.build}, shapes=shapes)

    def select_inputs(self, observation: Observation) -> NDArray[np.float32]:
        """Return the pictures that the network is fed, H x W x C in [0, 1]; those that the weights
        expect unless a subclass says otherwise.
        """
        return expected_inputs.join_views(observation, self.expects)

    def encode_inputs(self, observation: Observation) -> NDArray[np.float32]:
        """Return what `apply` takes, H x W x C: the selected pictures in the order and range that
        the weights expect.
        """
        inputs = self.select_inputs(observation)
        return expected_inputs.encode(inputs, self.expects, observation.order)

    def _apply_upright(self, forward: Forward, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = inputs.shape[:2]
        padding = self.choose_padding(height, width)
        if padding:
            inputs = np.pad(inputs, (padding.rows, padding.columns, (0, 0)), mode=padding.mode)
        output = self._run(forward, inputs)
        top = padding.rows[0]
        left = padding.columns[0]
        return np.ascontiguousarray(output[top : top + height, left : left + width])

    def _run(self, forward: Forward, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        from benchmark.methods.learned.networks.fast.tiles import Reach, apply_in_tiles

        in_bf16 = self.precision == "bf16"
        device_type = torch.device(self._device).type
        autocast = torch.autocast(device_type, torch.bfloat16, enabled=in_bf16)
        with torch.inference_mode(), autocast:
            with warnings.catch_warnings():
                # torch has no word for memory that is only read, and a copy may be large
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                picture = torch.from_numpy(np.ascontiguousarray(inputs))
            batch = picture.permute(2, 0, 1)[None].to(self._device)
            reach = Reach(self.halo or 0, multiple=self.multiple)
            output = apply_in_tiles(forward, [batch], self._tile, reach)
            assert not isinstance(output, tuple)
            return output[0].permute(1, 2, 0).float().cpu().numpy()

    def _explain_missing_weights(
        self, checkpoint: Checkpoint | None, weights_structure: Mapping[str, Scalar]
    ) -> str | None:
        if checkpoint is None:
            return f"no weights: {self._explain_how_to_get_weights()}"
        if not weights_structure:
            return None
        differences = [
            f"{key}={value}"
            for key, value in self.structure.items()
            if weights_structure.get(key) != value
        ]
        if not differences:
            return None
        return (
            f"no weights for {', '.join(differences)} (those of {self.id}.{checkpoint.tag} have "
            f"another structure): {self._explain_how_to_get_weights()}"
        )

    def _explain_how_to_get_weights(self) -> str:
        command = f"python -m benchmark train {self._name_network()} --data FOLDER"
        ways = [f"train them (`{command}`)"]
        if self.released_file:
            command = f"python -m benchmark import {self.id}-official {self.released_file}"
            ways.append(f"import the authors' (`{command}`)")
        own_file = (
            f"put {self.id}.TAG{checkpoints.SUFFIX} into {checkpoints.user_folder()} "
            f"({checkpoints.VARIABLE})"
        )
        return f"{', '.join(ways)} or {own_file}"

    def _name_network(self) -> str:
        """Return what `train` calls this network: its name, and what makes it another one."""
        usual_structure = self.fixed(None)
        parameters = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in self.structure.items()
            if value != usual_structure.get(key)
        }
        return str(Spec(self.id, None, parameters))


def _extend_card(card: MethodCard, weights_card: checkpoints.CheckpointCard) -> MethodCard:
    """Return a method's card with what that of its weights says."""
    notes = [text for text in (card.notes, weights_card.notes) if text]
    expects = weights_card.expects or card.expects
    needs_views = expects is not None and not {"left", "right"}.isdisjoint(expects.views)
    return dataclasses.replace(
        card,
        inputs="views" if needs_views else card.inputs,
        trained_on=weights_card.trained_on,
        budget=_describe_training_length(weights_card.facts),
        hours=_parse_fact(weights_card.facts.get("hours")),
        generators=checkpoints.list_generators(weights_card),
        expects=expects,
        notes=" ".join(notes),
    )


def _describe_training_length(facts: Mapping[str, Scalar]) -> str:
    """Return from a card's facts how long the weights were trained, in words."""
    megapixels = _parse_fact(facts.get("megapixels"))
    if megapixels is None:
        return ""
    text = f"{megapixels:.0f}"
    amount, _, unit = str(facts.get("budget", "")).partition(" ")
    budget = _parse_fact(amount)
    if unit == "megapixels" and budget is not None and megapixels < 0.99 * budget:
        text += f" of {amount}"
    text += " megapixels"
    start = str(facts.get("started from", ""))
    if start:
        text += f" after {start.partition(',')[0]}"
    noise = str(facts.get("data: noise", "none"))
    if noise != "none":
        text += f", noise {noise}"
    return f"{text}, seed {facts.get('seed', 'not known')}"


def _parse_fact(value: object) -> float | None:
    """Return a fact as a number, None where it is none: anybody may have written the card."""
    try:
        return float(str(value))
    except ValueError:
        return None


class TrainableMethod(Method):
    """A method with a network that `train` makes weights for."""

    is_trainable = True

    @abstractmethod
    def trained_network(self) -> AppliedNetwork:
        """Return the network that is trained; its checkpoints bear this method's name."""


class NetworkMethod(AppliedNetwork, TrainableMethod):
    """A method that is one network and nothing else."""

    def trained_network(self) -> AppliedNetwork:
        return self

    def restore(self, observation: Observation) -> Picture:
        output = self.apply(self.encode_inputs(observation))
        return expected_inputs.decode(output, self.expects, observation.order)


class UntiledMethod(NetworkMethod):
    """A network that takes every picture whole and has no further parameters."""

    def __init__(
        self, *, checkpoint: Checkpoint | None = None, precision: Precision = "32"
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            precision: what it computes in; `bf16` needs a processor that multiplies bfloat16.
        """
        super().__init__(checkpoint, precision=precision)


class TiledMethod(NetworkMethod):
    """A network of convolutions, of which large pictures may be cut into tiles.

    Attributes:
        has_exact_tiles: whether nothing depends on pixels more than `halo` away. Where something
            does, the first picture that is cut is restored once more, on another grid of tiles, to
            say how much they show.
    """

    has_exact_tiles: ClassVar[bool] = False
    _has_measured_seams = False

    def list_remarks(self, observation: Observation, output: Picture) -> Sequence[str]:
        height, width = observation.image.shape[:2]
        is_cut = 0 < self._tile < max(height, width)
        if self.has_exact_tiles or self._has_measured_seams or not is_cut:
            return ()
        self._has_measured_seams = True
        seams = self._describe_seams(observation, output)
        return [f"tiles of {self._tile} pixels are not exact: {seams}"]

    def _describe_seams(self, observation: Observation, output: Picture) -> str:
        """Say how far a result is from that on a grid of tiles that is moved by half a tile."""
        inputs = self.encode_inputs(observation)
        margin = self.halo or 0
        # by whole steps of the network, as its result depends on how a picture lies on them
        half = math.ceil(self._tile / 2 / self.multiple) * self.multiple
        if min(inputs.shape[:2]) <= max(margin, half):
            return "by how much was not measured, as the picture is too small to move them"
        moved = restore_on_moved_grid(self.apply, inputs, 2 * half)
        moved_output = expected_inputs.decode(moved, self.expects, observation.order)
        psnr = Psnr()(output[margin:, margin:], moved_output[margin:, margin:])
        return (
            "on another grid of tiles, about half a tile away, the picture has a PSNR of "
            f"{psnr:.1f} dB to this one (measured on the first that a process cuts)"
        )
