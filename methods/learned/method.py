"""What every method with a network shares: its checkpoint, its structure, the sizes it takes, large
pictures.
"""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.api import Method, MethodCard, Network, Observation, Picture, Scalar, UsageError
from benchmark.checkpoints import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

Forward = Callable[["Tensor"], "Tensor"]
"""N x C x H x W in, N x D x H x W out; H and W multiples of what the network asks for."""
Tile = Annotated[int, Ge(0)]


@dataclasses.dataclass(frozen=True, slots=True)
class Padding:
    """Pixels added before and after the rows and the columns of a picture, and how, in the words of
    `numpy.pad`.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    mode: Literal["reflect", "constant"] = "reflect"

    def __bool__(self) -> bool:
        return any((*self.rows, *self.columns))


class AppliedNetwork(ABC):
    """A network with its weights, applied to pictures of any size. Subclasses say which by `build`,
    and how it runs fast by `compile_network`.

    Without a checkpoint that fits it computes nothing: it is skipped with the reason. It never runs
    at random weights.

    Attributes:
        card: facts about it; a checkpoint's own replace them.
        id: its registered name, also the first part of its checkpoints' file names.
        multiple: height and width are padded (by reflection) to multiples of this, and the padding
            is cut off again.
        halo: pixels around a tile after which the rest of the picture no longer matters (a multiple
            of `multiple`); None if every output depends on the whole picture, which is then never
            cut into tiles.
        defaults: the structure that is meant where neither the id nor the checkpoint says another.
        weights_advice: ways to get weights for it other than a file that is at hand already; `{id}`
            stands for its name.
    """

    card: MethodCard
    id: ClassVar[str]
    multiple: ClassVar[int] = 1
    halo: ClassVar[int | None] = None
    defaults: ClassVar[Mapping[str, Scalar]] = MappingProxyType({})
    weights_advice: ClassVar[str] = (
        "train them (`python -m benchmark train {id} --data FOLDER`) or "
    )

    def __init__(
        self,
        checkpoint: Checkpoint | None = None,
        structure: Mapping[str, Scalar | None] | None = None,
        tile: int = 0,
    ) -> None:
        """Make it; nothing is loaded but the checkpoint's card.

        Args:
            checkpoint: the weights, None for none.
            structure: what an id says of the network's structure; None values leave it to the
                checkpoint.
            tile: side in pixels of the tiles that a picture is cut into, 0 for never; see `halo`.

        Raises:
            UsageError: if `tile` is set for a network that sees the whole picture.
            DataError: if the checkpoint's file is damaged.
        """
        self._file = None if checkpoint is None else checkpoint.path
        weights_structure: Mapping[str, Scalar] = {}
        if checkpoint is not None:
            weights_structure = {**self.defaults, **checkpoint.card.parameters}
            self.card = _extend_card(self.card, checkpoint.card)
        id_structure = {key: value for key, value in (structure or {}).items() if value is not None}
        full_structure = {**self.defaults, **weights_structure, **id_structure}
        self.structure: Mapping[str, Scalar] = MappingProxyType(full_structure)
        self._missing_weights = self._explain_missing_weights(checkpoint, weights_structure)
        if tile and self.halo is None:
            raise UsageError(
                f"{self.id}:tile={tile}: every pixel of its output depends on the whole picture"
            )
        self._tile = tile
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
        from benchmark.methods.learned.networks import winograd

        return winograd.use_winograd_for_training(self.build())

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        """Return a network with its weights (in eval mode, on `device`) as the function that
        `restore` calls.

        The same results as the plain form, as fast as can be; the place for folding, layouts and
        compilation.
        """
        import torch

        return network.to(memory_format=torch.channels_last)

    def choose_padding(self, height: int, width: int) -> Padding:
        """Return how a picture is continued to the next multiples; `apply` cuts the same off again.

        Reflected at bottom and right, unless a subclass says otherwise.
        """
        return Padding((0, -height % self.multiple), (0, -width % self.multiple))

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
            DataError: if the checkpoint does not fit the network, with every entry that does not.
        """
        if self._missing_weights is not None or self._file is None:
            return
        network = self.build()
        weights = checkpoints.load_tensors(self._file)
        checkpoints.require_entries(weights, network.state_dict(), self._file)
        network.load_state_dict(weights)
        network.requires_grad_(False)
        self._forward = self.compile_network(network.eval().to(device), device)
        self._device = device

    def apply(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of H x W x C, as H x W x D.

        Raises:
            UsageError: without weights, or before `prepare`.
        """
        return self.apply_padded(self._forward, inputs)

    def apply_padded(
        self, forward: Forward | None, inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what a function makes of H x W x C, as H x W x D, padded and tiled as this network
        asks.

        Raises:
            UsageError: if there is no function: without weights, or before `prepare`.
        """
        if forward is None:
            raise UsageError(self._missing_weights or f"{self.id}: prepare() was not called")
        height, width = inputs.shape[:2]
        padding = self.choose_padding(height, width)
        if padding:
            inputs = np.pad(inputs, (padding.rows, padding.columns, (0, 0)), mode=padding.mode)
        output = self._run(forward, inputs)
        top = padding.rows[0]
        left = padding.columns[0]
        return np.ascontiguousarray(output[top : top + height, left : left + width])

    def network(self) -> Network:
        """Return the network for counting parameters and operations; it needs no weights."""
        channels = 3 if self.card.inputs == "image" else 6

        def shapes(height: int, width: int) -> tuple[tuple[int, ...], ...]:
            padding = self.choose_padding(height, width)
            height += sum(padding.rows)
            width += sum(padding.columns)
            return ((1, channels, height, width),)

        return Network(forms={"": self.build}, shapes=shapes)

    def _run(self, forward: Forward, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        from benchmark.methods.learned.networks.tiles import apply_in_tiles

        with torch.inference_mode():
            with warnings.catch_warnings():
                # torch has no word for memory that is only read, and a copy may be large
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                picture = torch.from_numpy(np.ascontiguousarray(inputs))
            batch = picture.permute(2, 0, 1)[None].to(self._device)
            output = apply_in_tiles(forward, batch, self._tile, self.halo or 0, self.multiple)
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
        own_file = (
            f"put {self.id}.TAG{checkpoints.SUFFIX} into {checkpoints.user_folder()} "
            f"({checkpoints.VARIABLE})"
        )
        return self.weights_advice.format(id=self.id) + own_file


def _extend_card(card: MethodCard, weights_card: checkpoints.CheckpointCard) -> MethodCard:
    """Return a method's card with what that of its weights says."""
    notes = [text for text in (card.notes, weights_card.notes) if text]
    return dataclasses.replace(
        card,
        trained_on=weights_card.trained_on,
        budget=_describe_training_length(weights_card.facts),
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


class NetworkMethod(AppliedNetwork, Method):
    """A method that is one network and nothing else."""

    def select_inputs(self, observation: Observation) -> NDArray[np.float32]:
        """Return what the network is fed, H x W x C; the picture unless a subclass says
        otherwise.
        """
        return observation.image

    def restore(self, observation: Observation) -> Picture:
        return self.apply(self.select_inputs(observation))


class TiledMethod(NetworkMethod):
    """A network of convolutions: large pictures may be cut into tiles, wide layers run by
    Winograd's filtering.
    """

    def __init__(self, *, checkpoint: Checkpoint | None = None, tile: Tile = 0) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            tile: side in pixels of the tiles that larger pictures are cut into, 0 for never. Seams
                are not exact.
        """
        super().__init__(checkpoint, tile=tile)

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        from benchmark.methods.learned.networks.winograd import use_winograd_for_inference

        return use_winograd_for_inference(network, device)
