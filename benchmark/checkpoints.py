"""Files of network weights: where they are looked for, how they are read without trust, what they
say of themselves.

A checkpoint is one `.safetensors` file, `METHOD.TAG.safetensors`, whose header carries its card as
JSON. So weights and card cannot be separated, and the SHA-256 of the file covers both. `NAME.md`
beside it is the same card for people. Folders that are searched: the one named by
BENCHMARK_CHECKPOINTS (default: ./checkpoints), then those that ship.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.api import (
    DataError,
    ExpectedInputs,
    GoldenPicture,
    PrintedScore,
    Scalar,
    UsageError,
)
from benchmark.files import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE = "BENCHMARK_CHECKPOINTS"
SUFFIX = ".safetensors"
NOISE_TRAINED = "-noise"
"""How the tags of weights end that were trained on noisy pictures, the "+" versions of papers;
`train` sees to it.
"""
PREFERRED_TAG = "sim"
"""The checkpoint that a method's bare name stands for, where it is there."""
PHOTOGRAPH_TAG = "photo"
"""The checkpoint for photographs from anywhere; groups of methods name it beside the preferred one.
"""
SHIPPED_FOLDER = Path(__file__).parent / "methods" / "checkpoints"
_TRAINING_COMMANDS = SHIPPED_FOLDER / "training_commands.csv"
_TAG = r"[A-Za-z0-9_-]+"
_FILE_NAME = re.compile(rf"(?P<method>[\w-]+)\.(?P<tag>{_TAG}){re.escape(SUFFIX)}")
_CARD = "defocus_bench_card"
WRAPPERS = ("state_dict", "params", "params_ema")
"""Names under which training programs save a state dict beside other things."""
_ADVICE = "expected a state dict as torch.save writes it: names and tensors, nothing else"
_GENERATOR_FACTS = ("data: generator", "start: generators")


class CheckpointCard(BaseModel):
    """What a checkpoint says of itself.

    Attributes:
        method: registered name of the method that it belongs to.
        parameters: the parameters of the network's structure, as in a method id; they fix the form
            it was trained in.
        trained_on: data sets that the weights saw; None if that is not known.
        licence: terms of the weights.
        source: where the weights come from: a training run, or the file they were imported from.
        notes: anything a reader of its scores must know.
        facts: further facts (recipe, steps, seed, hours ...), by name.
        expects: how the weights expect the pictures they are fed; None where the method's own way
            is right.
        expected: what the weights should give, for the command `control`; None for weights that
            were not imported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    parameters: Mapping[str, Scalar] = Field(default_factory=dict)
    trained_on: tuple[str, ...] | None = None
    licence: str = "not stated"
    source: str = "not stated"
    notes: str = ""
    facts: Mapping[str, Scalar] = Field(default_factory=dict)
    expects: ExpectedInputs | None = None
    expected: tuple[PrintedScore | GoldenPicture, ...] | None = None

    def to_json(self) -> str:
        """Return it as JSON, without what older releases did not know where nothing is said."""
        unsaid = {name for name in ("expects", "expected") if getattr(self, name) is None}
        return self.model_dump_json(exclude=unsaid)


def list_generators(card: CheckpointCard) -> tuple[str, ...]:
    """Return the generators of the pictures that weights saw, without their versions; see
    `benchmark.api.DatasetCard`.
    """
    facts = [str(card.facts.get(name, "")) for name in _GENERATOR_FACTS]
    names = [name.partition(",")[0] for fact in facts for name in fact.split("; ")]
    return tuple(dict.fromkeys(filter(None, names)))


class HasShape(Protocol):
    """A tensor, or one that was not read yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""
        ...


@dataclass(frozen=True, slots=True)
class EntryDifferences:
    """How the entries of a file differ from those that a network expects; all empty if they fit.

    Attributes:
        missing: expected, not in the file.
        extra: in the file, not expected.
        misshaped: name -> (expected shape, shape in the file).
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    misshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.misshaped)

    def lines(self) -> list[str]:
        """Return one line for every entry that does not fit."""
        return [
            *(f"missing: {name}" for name in self.missing),
            *(f"not expected: {name}" for name in self.extra),
            *(
                f"wrong shape: {name} is {shape}, expected {expected_shape}"
                for name, (expected_shape, shape) in self.misshaped.items()
            ),
        ]


def user_folder() -> Path:
    """Return the folder that holds a user's own checkpoints; it need not exist."""
    return Path(os.environ.get(VARIABLE) or "checkpoints")


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights that belongs to a method; what a method with a network is built with.

    Attributes:
        method, tag: the two halves of its id.
        path: the file.
    """

    method: str
    tag: str
    path: Path

    @functools.cached_property
    def card(self) -> CheckpointCard:
        """What the file says of itself, read once; raises DataError as `read_card` does."""
        return read_card(self.path)


class CheckpointCatalogue:
    """The checkpoints in some folders, as they were when it was made: once per command."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """List the files of the folders that are there; an earlier folder hides the same file name
        in a later one.
        """
        self._checkpoints: dict[str, dict[str, Checkpoint]] = {}
        for folder in reversed(folders):
            for path in folder.glob(f"*{SUFFIX}"):
                match = _FILE_NAME.fullmatch(path.name)
                if match is not None:
                    checkpoint = Checkpoint(match["method"], match["tag"], path)
                    self._checkpoints.setdefault(checkpoint.method, {})[checkpoint.tag] = checkpoint

    @classmethod
    def of_user(cls) -> CheckpointCatalogue:
        """Return what there is now in the user's folder and among the checkpoints that ship."""
        return cls([user_folder(), SHIPPED_FOLDER])

    def of_method(self, method: str) -> dict[str, Checkpoint]:
        """Return tag -> checkpoint of a method, in the order of the tags."""
        return dict(sorted(self._checkpoints.get(method, {}).items()))


def find_checkpoint(method: str, tag: str) -> Checkpoint:
    """Return a checkpoint that a user has or that ships.

    Raises:
        UsageError: if there is none.
    """
    checkpoints = CheckpointCatalogue.of_user().of_method(method)
    if tag not in checkpoints:
        raise UsageError(f"there is no checkpoint {method}.{tag}; `list checkpoints` shows them")
    return checkpoints[tag]


@functools.cache
def read_training_commands() -> Mapping[str, str]:
    """Return METHOD.TAG -> command that makes weights again which were measured and do not ship."""
    with _TRAINING_COMMANDS.open(encoding="utf-8", newline="") as file:
        return {row["checkpoint"]: row["command"] for row in csv.DictReader(file)}


def hash_checkpoint(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with open_weights_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: Path) -> CheckpointCard:
    """Return the card of a checkpoint; only the header of the file is read.

    Raises:
        DataError: no such file, not a safetensors file, or one without a card of ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with open_weights_file(path), safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_CARD)
    except SafetensorError as error:
        raise DataError(
            f"{path}: not a readable safetensors file ({error}); train or import it again"
        ) from error
    if text is None:
        raise DataError(
            f"{path}: has no card, so it is not a checkpoint of this suite; use `import` to make "
            "one"
        )
    try:
        return CheckpointCard.model_validate_json(text)
    except ValidationError as error:
        raise DataError(
            f"{path}: its card cannot be read ({_describe_validation_error(error)}); train or "
            "import it again"
        ) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, on the CPU.

    Raises:
        DataError: no such file, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with open_weights_file(path):
            return load_file(path)
    except SafetensorError as error:
        raise DataError(
            f"{path}: not a readable safetensors file ({error}); train or import it again"
        ) from error


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], card: CheckpointCard) -> None:
    """Write a checkpoint and its card for people; a reader never sees half a file.

    Raises:
        UsageError: if the name is not METHOD.TAG.safetensors with the card's method.
        DataError: if it cannot be written.
    """
    from safetensors.torch import save as serialised

    if not re.fullmatch(rf"{re.escape(card.method)}\.{_TAG}{re.escape(SUFFIX)}", path.name):
        raise UsageError(
            f"{path}: a checkpoint of {card.method} is called {card.method}.TAG{SUFFIX}"
        )
    content = serialised(
        {name: value.contiguous() for name, value in tensors.items()},
        {_CARD: card.to_json()},
    )
    write_bytes(path, content)
    write_bytes(path.with_suffix(".md"), format_card(path, card).encode())


def format_card(path: Path, card: CheckpointCard) -> str:
    """Return a card as Markdown."""
    parameters = ", ".join(f"{key}={value}" for key, value in card.parameters.items())
    training_data = "not known"
    if card.trained_on is not None:
        training_data = ", ".join(card.trained_on) or "nothing"
    rows = {
        "method": card.method,
        "parameters": parameters or "the defaults",
        "trained on": training_data,
        "licence": card.licence,
        "source": card.source,
        **({"expects": card.expects.describe()} if card.expects else {}),
        **{key: str(value) for key, value in card.facts.items()},
        "SHA-256": hash_checkpoint(path),
    }
    lines = [
        f"# {path.name.removesuffix(SUFFIX)}",
        "",
        *(f"- **{key}**: {value}" for key, value in rows.items()),
    ]
    if card.notes:
        lines += ["", card.notes]
    return "\n".join([*lines, ""])


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Return the tensors of somebody else's file, as `read_state_dict` does, without a `module.`
    before every name (left by data-parallel training).

    Raises:
        DataError: no such file, a file that holds anything but named tensors, or a damaged one.
    """
    state = read_state_dict(path)
    while state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def read_state_dict(path: Path, wrappers: Sequence[str] = WRAPPERS) -> dict[str, Tensor]:
    """Return the tensors of a `torch.save`d state dict or of safetensors under the file's own
    names. No code in it is run.

    Args:
        path: the file.
        wrappers: names under which a file may hold the state dict one level deeper, the most wanted
            first.

    Raises:
        DataError: no such file, a file that holds anything but named tensors, or a damaged one.
    """
    if path.suffix == SUFFIX:
        return load_tensors(path)
    state = _unpickle(path)
    for wrapper in wrappers:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    return _require_tensors(state, path)


def _unpickle(path: Path) -> Any:
    import torch

    _refuse_compression(path)
    with open_weights_file(path) as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # torch's own message advises to trust the file
            raise DataError(f"{path}: refused; {_ADVICE}") from error
        except Exception as error:  # damaged bytes make it raise nearly anything, also IndexError
            raise DataError(f"{path}: refused ({_first_line(error)}); {_ADVICE}") from error


def _refuse_compression(path: Path) -> None:
    """Raise DataError for a zip file that unpacks to more than its own size; torch writes none."""
    with open_weights_file(path) as file:
        if not zipfile.is_zipfile(file):
            return
        try:
            size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{path}: refused ({_first_line(error)}); {_ADVICE}") from error
    if size > path.stat().st_size:
        raise DataError(f"{path}: refused, as it would unpack to {size:,} bytes; {_ADVICE}")


def _require_tensors(state: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if not isinstance(state, Mapping) or not state:
        raise DataError(f"{path}: holds a {type(state).__name__}, not a state dict; {_ADVICE}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise DataError(
                f"{path}: entry {name!r} is a {type(value).__name__}, not a tensor; {_ADVICE}"
            )
    return dict(state)


def compare_entries(
    state: Mapping[str, HasShape], expected: Mapping[str, HasShape]
) -> EntryDifferences:
    """Return how the entries of `state` differ in name and shape from those expected."""
    common_names = [name for name in expected if name in state]
    return EntryDifferences(
        missing=tuple(name for name in expected if name not in state),
        extra=tuple(name for name in state if name not in expected),
        misshaped={
            name: (tuple(expected[name].shape), tuple(state[name].shape))
            for name in common_names
            if expected[name].shape != state[name].shape
        },
    )


def require_entries(
    state: Mapping[str, HasShape], expected: Mapping[str, HasShape], path: Path
) -> None:
    """Raise DataError, with every entry that does not fit, unless `state` has the names and shapes
    expected.
    """
    entry_differences = compare_entries(state, expected)
    if entry_differences:
        heading = f"{path}: {len(state)} entries, which do not fit the network:"
        raise DataError("\n  ".join([heading, *entry_differences.lines()]))


def open_weights_file(path: Path) -> Any:
    """Return a file of weights opened for reading; raises DataError if that cannot be done."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected a file of weights"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _describe_validation_error(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
