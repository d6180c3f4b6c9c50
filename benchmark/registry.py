"""Lazy, typed registries of methods, data sets, metrics, protocols and importers.

An entry is named by an entry point of an installed package, by the `register` decorator in a
`--plugin FILE`, or by `add` in a test. Entry points are loaded only when asked for, so listing
names never imports torch. A plug-in that fails to import stays listed with its reason and breaks
nothing else.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from annotated_types import DocInfo

from benchmark.api import (
    BenchmarkError,
    DataError,
    Dataset,
    Importer,
    Map,
    Method,
    MethodCard,
    Metric,
    Observation,
    Picture,
    UsageError,
)
from benchmark.checkpoints import (
    PREFERRED_TAG,
    Checkpoint,
    CheckpointCatalogue,
    read_training_commands,
)
from benchmark.metrics.blur_order import ESTIMATOR
from benchmark.metrics.protocols import Protocol
from benchmark.source_digest import digest_module, list_imports
from benchmark.spec import ResolvedId, Spec, parse_id, suggest_name

T = TypeVar("T")
ConstructorField = tuple[Any, Any]
"""Type and default of a keyword parameter; the default `...` marks a required one."""
_PLUGIN_MODULE_PREFIX = "defocus_plugin_"
_OLD_PACKAGES = ("methods", "datasets", "reports")
"""Packages that stood at the top before they became part of `benchmark`."""
_LABEL = re.compile(r"[^-_,+:=.][^,+:=]*")
"""What a comma list of ids, and the + of `compare`, leave whole."""
GROUPS = ("all", "classical", "learned", "oracle", "ablations")


@dataclass(frozen=True, slots=True)
class _Registration:
    """Where a name comes from, how to get what it names, and whether the suite has it itself."""

    origin: str
    load: Callable[[], object]
    is_shipped: bool = False


class Registry(Generic[T]):
    """Named plug-ins of one kind."""

    def __init__(self, kind: str, group: str, base: type) -> None:
        """Make an empty registry of `kind` ("method") that reads the entry-point `group` and
        accepts `base` only.
        """
        self.kind = kind
        self._group = group
        self._base = base
        self._registrations: dict[str, _Registration] = {}
        self._clashes: dict[str, str] = {}
        self._is_scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class (or a record) under `name`, for use in a
        `--plugin FILE`.
        """

        def decorate(item: T) -> T:
            self.add(name, item)
            return item

        return decorate

    def add(self, name: str, item: T) -> None:
        """Register `item` under `name`.

        Raises:
            UsageError: if the name is taken; the message says by whom.
        """
        self._scan()
        self._check_name(name, item)
        self._add_registration(name, _Registration(_find_origin(item), lambda: item))
        if name in self._clashes:
            raise UsageError(self._clashes.pop(name))

    @contextlib.contextmanager
    def temporarily(self, items: Mapping[str, T] = MappingProxyType({})) -> Iterator[None]:
        """Register items, by name, until the `with` block ends; for tests.

        What else is registered inside the block goes with them.
        """
        self._scan()
        entries = dict(self._registrations)
        clashes = dict(self._clashes)
        try:
            for name, item in items.items():
                self.add(name, item)
            yield
        finally:
            self._registrations = entries
            self._clashes = clashes

    def names(self) -> list[str]:
        """Return every registered name in order, also of plug-ins that will not load."""
        self._scan()
        return sorted(self._registrations)

    def origin(self, name: str) -> str:
        """Return where `name` was registered: an entry point and its package, or a file
        and line.
        """
        return self._find_registration(name).origin

    def is_shipped(self, name: str) -> bool:
        """Return whether `name` is part of the suite, and not of a plug-in."""
        return self._find_registration(name).is_shipped

    def problems(self) -> dict[str, str]:
        """Return name -> reason for every plug-in that cannot be loaded or whose name is taken
        twice.
        """
        self._scan()
        reasons: dict[str, str] = {}
        for name in self._registrations:
            try:
                self.get(name)
            except UsageError as error:
                reasons[name] = str(error)
        return reasons | self._clashes

    def get(self, name: str) -> T:
        """Return the class or record registered under `name`.

        Raises:
            UsageError: unknown name (with a suggestion), a name two packages claim, or a plug-in
                that does not load.
        """
        registration = self._find_registration(name)
        if name in self._clashes:
            raise UsageError(self._clashes[name])
        try:
            item = registration.load()
        except (Exception, SystemExit) as error:
            reason = _explain_load_error(error)
            raise UsageError(
                f"{self.kind} {name!r} ({registration.origin}) does not load: {reason}"
            ) from error
        if not self._fits(item):
            raise UsageError(
                f"{self.kind} {name!r} ({registration.origin}) is not a {self._base.__name__}"
            )
        if isinstance(item, type) and not hasattr(item, "card"):
            raise UsageError(f"{self.kind} {name!r} ({registration.origin}) has no card")
        return typing.cast("T", item)

    def _fits(self, item: object) -> bool:
        if isinstance(item, type):
            return issubclass(item, self._base)
        return isinstance(item, self._base)

    def _find_registration(self, name: str) -> _Registration:
        self._scan()
        if name not in self._registrations:
            raise UsageError(
                _describe_unknown(self.kind, name, self.names()) + self._install_hint()
            )
        return self._registrations[name]

    def _install_hint(self) -> str:
        if self._registrations:
            return ""
        return "; nothing is registered: install the suite first (pip install -e .)"

    def _scan(self) -> None:
        if not self._is_scanned:
            self._is_scanned = True
            for point in metadata.entry_points(group=self._group):
                package = point.dist.name if point.dist else "unknown package"
                is_shipped = point.value.startswith("benchmark.")
                registration = _Registration(
                    f"{package}: {point.value}", point.load, is_shipped=is_shipped
                )
                self._add_registration(point.name, registration)

    def _check_name(self, name: str, item: T) -> None:
        if not re.fullmatch(r"[\w-]+", name) or name in GROUPS:
            raise UsageError(
                f"{self.kind} {name!r}: a name has letters, digits, - and _, and is not a group's "
                "name"
            )
        if getattr(item, "id", name) != name:
            raise UsageError(
                f"{self.kind} {name!r} calls itself {getattr(item, 'id', '')!r}; both must be the "
                "same"
            )

    def _add_registration(self, name: str, registration: _Registration) -> None:
        first = self._registrations.setdefault(name, registration)
        if first.origin != registration.origin:
            self._clashes[name] = (
                f"{self.kind} {name!r} is claimed twice: by {first.origin} and by "
                f"{registration.origin}"
            )


METHODS: Registry[type[Method]] = Registry("method", "defocus_bench.methods", Method)
DATASETS: Registry[type[Dataset]] = Registry("data set", "defocus_bench.datasets", Dataset)
METRICS: Registry[type[Metric]] = Registry("metric", "defocus_bench.metrics", Metric)
PROTOCOLS: Registry[Protocol] = Registry("protocol", "defocus_bench.protocols", Protocol)
IMPORTERS: Registry[type[Importer]] = Registry("importer", "defocus_bench.importers", Importer)


def create(
    registry: Registry[type[T]],
    text: str | Spec,
    *,
    catalogue: CheckpointCatalogue | None = None,
    **injected: object,
) -> tuple[T, ResolvedId]:
    """Build the plug-in that an id names, with its parameters validated against the constructor's
    signature.

    Args:
        registry: where the name is looked up.
        text: an id as typed, or already parsed.
        catalogue: where checkpoints are looked up; None for those that the user has and those that
            ship, at this moment.
        injected: constructor arguments the harness supplies (a data set's `root`), not open to the
            id; `checkpoint=None` is a method without weights even where there are some.

    Raises:
        UsageError: unknown name, checkpoint or parameter, or a value of the wrong type or range.
    """
    resolved_id = resolve_id(registry, text, catalogue=catalogue, **injected)
    return build_plugin(registry, resolved_id), resolved_id


def build_plugin(registry: Registry[type[T]], resolved_id: ResolvedId) -> T:
    """Build the plug-in of an id that was resolved before; nothing is looked up again.

    Raises:
        UsageError: if its constructor refuses.
    """
    try:
        return registry.get(resolved_id.name)(**resolved_id.arguments)
    except BenchmarkError:
        raise
    except Exception as error:
        raise UsageError(f"{resolved_id.label} cannot be built: {_name_error(error)}") from error


def resolve_id(
    registry: Registry[type[T]],
    text: str | Spec,
    *,
    catalogue: CheckpointCatalogue | None = None,
    **injected: object,
) -> ResolvedId:
    """Return an id with its checkpoint found and its parameters validated; see `create`.

    Raises:
        UsageError: unknown name, checkpoint or parameter, or a value of the wrong type or range.
    """
    spec = parse_id(text) if isinstance(text, str) else text
    factory = registry.get(spec.name)
    fields = _constructor_fields(factory, hidden={*injected, "checkpoint"})
    values, json_values = _validate_parameters(spec, fields)
    checkpoints: Mapping[str, str | Checkpoint] = {}
    if "checkpoint" not in injected:
        checkpoints = list_checkpoints(factory, spec.name, catalogue)
    tag = _choose_checkpoint(factory, checkpoints, spec, values)
    usual_structure = _fixed_parameters(factory, None)
    structure = usual_structure
    arguments = dict(injected)
    if tag is not None:
        arguments["checkpoint"] = checkpoints[tag]
        structure = _fixed_parameters(factory, checkpoints[tag])
        _require_known_structure(f"{spec.name}.{tag}", structure, fields)
    for key, value in structure.items():
        if values.get(key) == value:  # left out and typed mean the same
            values[key] = None
            json_values[key] = None
    location_parameters: frozenset[str] = getattr(factory, "location_parameters", frozenset())
    for key in fields.keys() & location_parameters:
        del json_values[key]
    label_texts = {
        key: _parameter_text(json_values[key])
        for key, (_, default) in fields.items()
        if key in json_values and values[key] != default
    }
    later_parameters: frozenset[str] = getattr(factory, "later_parameters", frozenset())
    for key in fields.keys() & later_parameters:
        if values[key] == fields[key][1]:
            del json_values[key]
    for key in structure.keys() & fields.keys() - later_parameters - label_texts.keys():
        if structure[key] != usual_structure.get(key):
            label_texts[key] = _parameter_text(structure[key])
    in_order = {key: label_texts[key] for key in fields if key in label_texts}
    own_name = _choose_own_name(factory, spec.name, values)
    label = own_name or str(Spec(spec.name, tag, in_order))
    # So that what one name stood for is never shown under another.
    identity = json_values if own_name is None else json_values | {"name": own_name}
    return ResolvedId(spec.name, tag, identity, label, arguments | values)


def _choose_own_name(
    factory: type[Any], spec_name: str, parameters: Mapping[str, Any]
) -> str | None:
    """Return what tables call a method instead of its id; None for its id.

    Raises:
        UsageError: a label that cannot be typed, or that already means something else.
    """
    if not issubclass(factory, Method):
        return None
    label: str | None = factory.label_of(parameters)
    if label is None:
        return None
    if not _LABEL.fullmatch(label) or label != label.strip() or not label.isprintable():
        raise UsageError(
            f"{spec_name}: {label!r} is no name for a table; give name=, printable text without "
            ", + : = that begins with none of - _ ."
        )
    name = parse_id(label).name
    if name in METHODS.names() or name in GROUPS:
        raise UsageError(
            f"{spec_name}: {label!r} is what the suite calls another method or a group; give "
            "another name="
        )
    return label


def create_metric(text: str) -> Metric:
    """Build a metric from its id; protocols are handed this function, so that they never import a
    metric.
    """
    return create(METRICS, text)[0]


def estimate_blur(image: Picture) -> Map:
    """Return the blur map of a picture, H x W, by the method that orders pixels for measures by
    blur; they are handed this function, so that they never import a method.
    """
    blur_map = create(METHODS, ESTIMATOR)[0].estimate_blur(Observation(image))
    assert blur_map is not None, f"{ESTIMATOR} estimates blur maps"
    return blur_map


def describe_estimator() -> str:
    """Return what the maps of `estimate_blur` depend on."""
    return f"{ESTIMATOR} {METHODS.get(ESTIMATOR).version}"


def list_checkpoints(
    factory: type[Any], name: str, catalogue: CheckpointCatalogue | None = None
) -> Mapping[str, str | Checkpoint]:
    """Return tag -> what the constructor of a plug-in is handed as `checkpoint`.

    That is the tag itself for a class that lists its `checkpoints`. A class that lists none and has
    the keyword `checkpoint` gets those of the catalogue (None: of the user's and those that ship).
    """
    own_checkpoints: Mapping[str, str] = getattr(factory, "checkpoints", {})
    if own_checkpoints:
        return {tag: tag for tag in own_checkpoints}
    if "checkpoint" not in inspect.signature(factory).parameters:
        return {}
    if catalogue is None:
        catalogue = CheckpointCatalogue.of_user()
    return catalogue.of_method(name)


def list_checkpoint_files(
    name: str, catalogue: CheckpointCatalogue | None = None
) -> dict[str, Path]:
    """Return tag -> file of every checkpoint of a registered method.

    Raises:
        UsageError: if the method does not load.
    """
    factory = METHODS.get(name)
    files: dict[str, Path] = {}
    for tag, checkpoint in list_checkpoints(factory, name, catalogue).items():
        if isinstance(checkpoint, Checkpoint):
            files[tag] = checkpoint.path
        else:
            files[tag] = Path(factory.checkpoints[tag])
    return files


def _choose_checkpoint(
    factory: type[Any],
    checkpoints: Mapping[str, str | Checkpoint],
    spec: Spec,
    values: Mapping[str, Any],
) -> str | None:
    """Return the tag that an id means: the one typed; else the default, or one that has what was
    typed.
    """
    if spec.checkpoint is not None and spec.checkpoint not in checkpoints:
        _require_shipped(f"{spec.name}.{spec.checkpoint}")
    if not checkpoints:
        if spec.checkpoint is not None:
            raise UsageError(
                f"{spec.name} has no checkpoints, so {spec.name}.{spec.checkpoint} names nothing"
            )
        return None
    tag = spec.checkpoint or _default_checkpoint(factory, checkpoints, spec, values)
    if tag not in checkpoints:
        kind = f"checkpoint of {spec.name}"
        raise UsageError(_describe_unknown(kind, str(tag), sorted(checkpoints)))
    return tag


def _require_shipped(checkpoint: str) -> None:
    """Raise UsageError, with the command that gets them, for weights that do not ship."""
    command = read_training_commands().get(checkpoint)
    if command is not None:
        raise UsageError(f"the weights {checkpoint} do not ship; make them again: {command}")
    importer = checkpoint.replace(".", "-")
    if importer in IMPORTERS.names():
        raise UsageError(
            f"the weights {checkpoint} are not here; bring the authors' file: "
            f"python -m benchmark import {importer} FILE"
        )


def _default_checkpoint(
    factory: type[Any],
    checkpoints: Mapping[str, str | Checkpoint],
    spec: Spec,
    values: Mapping[str, Any],
) -> str:
    default_tag: str = factory.default_checkpoint
    if not getattr(factory, "checkpoints", {}):
        default_tag = PREFERRED_TAG if PREFERRED_TAG in checkpoints else next(iter(checkpoints))
    structure_keys = [key for key in _fixed_parameters(factory, None) if key in spec.parameters]
    if not structure_keys:
        return default_tag
    structure = {key: values[key] for key in structure_keys}
    for tag in (default_tag, *checkpoints):
        if _has_structure(factory, checkpoints.get(tag), structure):
            return tag
    return default_tag


def _has_structure(factory: type[Any], checkpoint: object, structure: Mapping[str, Any]) -> bool:
    try:
        parameters = _fixed_parameters(factory, checkpoint)
    except DataError:  # a damaged file, which matters only to who names it
        return False
    return all(parameters.get(key) == value for key, value in structure.items())


def _fixed_parameters(factory: type[Any], checkpoint: object) -> Mapping[str, Any]:
    """Return the parameters that come with a checkpoint; none for plug-ins that know no
    checkpoints.
    """
    if not hasattr(factory, "fixed"):
        return {}
    parameters: Mapping[str, Any] = factory.fixed(checkpoint)
    return parameters


def _require_known_structure(
    label: str, structure: Mapping[str, Any], fields: Mapping[str, ConstructorField]
) -> None:
    """Raise DataError if a checkpoint brings parameters that could not be typed: anybody may have
    written its card.
    """
    name = label.partition(".")[0]
    try:
        unknown_keys = [key for key in structure if key not in fields]
        if unknown_keys:
            kind = f"parameter of {name}"
            raise UsageError(_describe_unknown(kind, unknown_keys[0], sorted(fields)))
        texts = {key: _parameter_text(value) for key, value in structure.items()}
        _validate_parameters(Spec(name, None, texts), {key: fields[key] for key in structure})
    except UsageError as error:
        raise DataError(
            f"{label}: its card is not one of {name}: {error}; get the file again"
        ) from error


def _validate_parameters(
    spec: Spec, fields: Mapping[str, ConstructorField]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the constructor arguments and their JSON form."""
    from pydantic import ConfigDict, ValidationError, create_model

    unknown_keys = [key for key in spec.parameters if key not in fields]
    if unknown_keys:
        kind = f"parameter of {spec.name}"
        raise UsageError(_describe_unknown(kind, unknown_keys[0], sorted(fields)))
    settings = ConfigDict(validate_default=False, arbitrary_types_allowed=True, allow_inf_nan=False)
    definitions: Any = dict(fields)
    model: Any = create_model(spec.name, __config__=settings, **definitions)
    try:
        parameters = model(**spec.parameters)
    except ValidationError as error:
        problems = error.errors()
        first = problems[0]
        key = str(first["loc"][0])
        if len([each for each in problems if each["loc"][0] == key]) > 1:  # of a choice of types
            expected = _describe_type(fields[key][0])
            raise UsageError(
                f"{spec.name}: parameter {key}={first['input']!r}: expected {expected}"
            ) from error
        if first["type"] == "missing":
            raise UsageError(f"{spec.name} needs a parameter: {spec.name}:{key}=...") from error
        raise UsageError(
            f"{spec.name}: parameter {key}={first['input']!r}: {first['msg']}"
        ) from error
    values = {key: getattr(parameters, key) for key in fields}
    return values, parameters.model_dump(mode="json")


def _constructor_fields(factory: type[Any], hidden: Set[str]) -> dict[str, ConstructorField]:
    """Return name -> (type, default) of the constructor's keyword parameters."""
    if _is_made_elsewhere(factory):
        hidden = {*hidden, "pairs"}  # which files belong to which samples is found out by the plan
    hints = typing.get_type_hints(factory.__init__, include_extras=True)
    fields: dict[str, ConstructorField] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        is_keyword = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if is_keyword and name not in hidden:
            default = parameter.default
            if default is parameter.empty:
                default = ...
            fields[name] = (hints.get(name, Any), default)
    return fields


def _is_made_elsewhere(factory: type[Any]) -> bool:
    card = getattr(factory, "card", None)
    return isinstance(card, MethodCard) and card.made_elsewhere


def needs_parameters(factory: type[Any]) -> bool:
    """Return whether a plug-in cannot be built from its name alone."""
    fields = _constructor_fields(factory, {"root", "checkpoint"})
    return any(default is ... for _, default in fields.values())


def describe_parameters(
    factory: type[Any], hidden: tuple[str, ...] = ("root", "checkpoint")
) -> dict[str, str]:
    """Return parameter -> "type = default" of a plug-in's constructor, for listings."""
    texts: dict[str, str] = {}
    for name, (kind, default) in _constructor_fields(factory, set(hidden)).items():
        texts[name] = _describe_type(kind)
        if default not in (..., None):
            texts[name] += f" = {_parameter_text(default)}"
    return texts


def _describe_type(kind: Any) -> str:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin is typing.Annotated:
        texts = [part.documentation for part in arguments[1:] if isinstance(part, DocInfo)]
        return texts[0] if texts else _describe_type(arguments[0])
    if origin is typing.Literal:
        return "|".join(str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return "|".join(_describe_type(part) for part in arguments if part is not types.NoneType)
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _parameter_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_plugin(path: Path) -> None:
    """Run a plug-in file, which registers its entries with `METHODS.register(...)` and its like.
    Loading twice is free.

    Raises:
        UsageError: if the file is missing or fails; a clash of names is named.
    """
    path = path.resolve()
    name = _name_plugin_module(path)
    if name in sys.modules:
        return
    loader_spec = importlib.util.spec_from_file_location(name, path)
    if loader_spec is None or loader_spec.loader is None or not path.is_file():
        raise UsageError(f"--plugin {path}: no such Python file")
    old_module = _find_old_import(path)
    if old_module is not None:
        raise UsageError(
            f"--plugin {path}: imports {old_module}, which is benchmark.{old_module} now"
        )
    module = importlib.util.module_from_spec(loader_spec)
    sys.modules[name] = module
    try:
        loader_spec.loader.exec_module(module)
    except UsageError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"--plugin {path} fails: {_name_error(error)}") from error
    digest_module(name)


def digest_plugin(path: Path) -> str | None:
    """Return the digest of a plug-in file, and of what it imports from its folder, as loaded."""
    return digest_module(_name_plugin_module(path.resolve()))


def _name_plugin_module(path: Path) -> str:
    return _PLUGIN_MODULE_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _find_old_import(path: Path) -> str | None:
    """Return a module that a plug-in file imports by the path it had before everything became one
    package, or None.

    `import datasets` alone is another project's, so it is left alone.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # running the file says what is wrong with it
        return None
    for module in list_imports(tree):
        parts = module.split(".")
        if parts[0] in _OLD_PACKAGES and module != "datasets":
            location = Path(__file__).parent.joinpath(*parts)
            if location.is_dir() or location.with_suffix(".py").is_file():
                return module
    return None


def _describe_unknown(kind: str, name: str, names: Sequence[str]) -> str:
    hint = suggest_name(name, names)
    ending = f"; {hint}" if hint else "."
    return f"no {kind} is called {name!r}{ending} Known: {', '.join(names) or 'none'}"


def _name_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _explain_load_error(error: BaseException) -> str:
    """Return an error's name and text, with the new path of a module that the failing file imports
    by its old one.
    """
    text = _name_error(error)
    if not isinstance(error, ModuleNotFoundError):
        return text
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    importers = [Path(file) for file in files if Path(file).is_file()]  # not importlib's own frames
    old_module = _find_old_import(importers[-1]) if importers else None
    if old_module is None:
        return text
    return f"{text}; it imports {old_module}, which is benchmark.{old_module} now"


def _find_origin(item: object) -> str:
    try:
        return f"{inspect.getsourcefile(item)}:{inspect.getsourcelines(item)[1]}"  # type: ignore[arg-type]
    except (
        TypeError,
        OSError,
    ):  # a record has no source of its own: name the line that registers it
        caller = next(frame for frame in inspect.stack() if frame.filename != __file__)
        return f"{caller.filename}:{caller.lineno}"


__all__ = [
    "DATASETS",
    "IMPORTERS",
    "METHODS",
    "METRICS",
    "PROTOCOLS",
    "Registry",
    "build_plugin",
    "create",
    "create_metric",
    "describe_parameters",
    "digest_plugin",
    "list_checkpoint_files",
    "list_checkpoints",
    "load_plugin",
    "needs_parameters",
    "resolve_id",
]
