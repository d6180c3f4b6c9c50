"""Lazy, typed registries of methods, data sets, metrics, protocols and importers.

An entry is named by an entry point of an installed package, by the `register` decorator in a
`--plugin FILE`, or by `add` in a test. Entry points are loaded only when asked for, so listing
names never imports torch. A plug-in that fails to import stays listed with its reason and breaks
nothing else.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmark.api import BenchmarkError, DataError, Dataset, Importer, Method, Metric, UsageError
from benchmark.metrics.protocols import Protocol
from benchmark.spec import Spec, parse

T = TypeVar("T")
_PLUGIN_MODULE = "defocus_plugin_"
GROUPS = ("all", "classical", "learned", "oracle", "ablations")


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a name comes from, and how to get what it names."""

    origin: str
    load: Callable[[], object]


class Registry(Generic[T]):
    """Named plug-ins of one kind."""

    def __init__(self, kind: str, group: str, base: type) -> None:
        """Make an empty registry of `kind` ("method") that reads the entry-point `group` and
        accepts `base` only.
        """
        self.kind = kind
        self._group = group
        self._base = base
        self._entries: dict[str, _Entry] = {}
        self._clashes: dict[str, str] = {}
        self._scanned = False

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
        self._enter(name, _Entry(_where(item), lambda: item))
        if name in self._clashes:
            raise UsageError(self._clashes.pop(name))

    def names(self) -> list[str]:
        """Return every registered name in order, also of plug-ins that will not load."""
        self._scan()
        return sorted(self._entries)

    def origin(self, name: str) -> str:
        """Return where `name` was registered: an entry point and its package, or a file
        and line.
        """
        return self._entry(name).origin

    def problems(self) -> dict[str, str]:
        """Return name -> reason for every plug-in that cannot be loaded or whose name is taken
        twice.
        """
        self._scan()
        found = {name: reason for name in self._entries if (reason := self._failure(name))}
        return found | self._clashes

    def get(self, name: str) -> T:
        """Return the class or record registered under `name`.

        Raises:
            UsageError: unknown name (with a suggestion), a name two packages claim, or a plug-in
                that does not load.
        """
        entry = self._entry(name)
        if name in self._clashes:
            raise UsageError(self._clashes[name])
        try:
            item = entry.load()
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{self.kind} {name!r} ({entry.origin}) does not load: {_brief(error)}"
            ) from error
        if not self._fits(item):
            raise UsageError(
                f"{self.kind} {name!r} ({entry.origin}) is not a {self._base.__name__}"
            )
        if isinstance(item, type) and not hasattr(item, "card"):
            raise UsageError(f"{self.kind} {name!r} ({entry.origin}) has no card")
        return typing.cast("T", item)

    def _failure(self, name: str) -> str | None:
        try:
            self.get(name)
        except UsageError as error:
            return str(error)
        return None

    def _fits(self, item: object) -> bool:
        return (
            issubclass(item, self._base) if isinstance(item, type) else isinstance(item, self._base)
        )

    def _entry(self, name: str) -> _Entry:
        self._scan()
        if name not in self._entries:
            raise UsageError(_unknown(self.kind, name, self.names()) + self._install_hint())
        return self._entries[name]

    def _install_hint(self) -> str:
        return (
            ""
            if self._entries
            else "; nothing is registered: install the suite first (pip install -e .)"
        )

    def _scan(self) -> None:
        if not self._scanned:
            self._scanned = True
            for point in metadata.entry_points(group=self._group):
                package = point.dist.name if point.dist else "unknown package"
                self._enter(point.name, _Entry(f"{package}: {point.value}", point.load))

    def _check_name(self, name: str, item: T) -> None:
        if not re.fullmatch(r"[\w-]+", name) or name in GROUPS:
            raise UsageError(
                f"{self.kind} {name!r}: a name has letters, digits, - and _, and is not a group's "
                f"name"
            )
        if getattr(item, "id", name) != name:
            raise UsageError(
                f"{self.kind} {name!r} calls itself {getattr(item, 'id', '')!r}; both must be the "
                f"same"
            )

    def _enter(self, name: str, entry: _Entry) -> None:
        known = self._entries.setdefault(name, entry)
        if known.origin != entry.origin:
            self._clashes[name] = (
                f"{self.kind} {name!r} is claimed twice: by {known.origin} and by {entry.origin}"
            )


METHODS: Registry[type[Method]] = Registry("method", "defocus_bench.methods", Method)
DATASETS: Registry[type[Dataset]] = Registry("data set", "defocus_bench.datasets", Dataset)
METRICS: Registry[type[Metric]] = Registry("metric", "defocus_bench.metrics", Metric)
PROTOCOLS: Registry[Protocol] = Registry("protocol", "defocus_bench.protocols", Protocol)
IMPORTERS: Registry[type[Importer]] = Registry("importer", "defocus_bench.importers", Importer)


@dataclass(frozen=True, slots=True)
class ResolvedId:
    """An id with every parameter validated and defaulted; equal ids give equal `parameters`,
    however typed.

    Attributes:
        name, checkpoint: as registered; the checkpoint is the default one where none was typed.
        parameters: all parameters, JSON-ready.
        label: the canonical id: only what differs from the defaults, also where it comes with the
            checkpoint.
    """

    name: str
    checkpoint: str | None
    parameters: Mapping[str, Any]
    label: str

    def parameters_json(self) -> str:
        """Return the parameters as canonical JSON, for a cell's identity."""
        return json.dumps(self.parameters, sort_keys=True)


def create(
    registry: Registry[type[T]], text: str | Spec, **injected: object
) -> tuple[T, ResolvedId]:
    """Build the plug-in that an id names, with its parameters validated against the constructor's
    signature.

    Args:
        registry: where the name is looked up.
        text: an id as typed, or already parsed.
        injected: constructor arguments the harness supplies (a data set's `root`), not open to the
            id; `checkpoint=None` is a method without weights even where there are some.

    Raises:
        UsageError: unknown name, checkpoint or parameter, or a value of the wrong type or range.
    """
    spec = parse(text) if isinstance(text, str) else text
    factory = registry.get(spec.name)
    fields = _fields(factory, hidden={*injected, "checkpoint"})
    values, plain = _validated(spec, fields)
    checkpoint = None if "checkpoint" in injected else _checkpoint(factory, spec, values)
    held, usual = _fixed(factory, checkpoint), _fixed(factory, None)
    if checkpoint is not None:
        _require_known(f"{spec.name}.{checkpoint}", held, fields)
    for key in [
        key for key in held if values.get(key) == held[key]
    ]:  # left out and typed mean the same
        values[key] = plain[key] = None
    differs = {
        key: value for key, value in held.items() if key in fields and value != usual.get(key)
    }
    changed = {key: plain[key] for key, (_, default) in fields.items() if values[key] != default}
    shown = {**differs, **changed}
    label = str(
        Spec(spec.name, checkpoint, {key: _text(shown[key]) for key in fields if key in shown})
    )
    given = dict(injected) if checkpoint is None else dict(injected, checkpoint=checkpoint)
    try:
        item = factory(**given, **values)
    except BenchmarkError:
        raise
    except Exception as error:
        raise UsageError(f"{label} cannot be built: {_brief(error)}") from error
    return item, ResolvedId(spec.name, checkpoint, plain, label)


def create_metric(text: str) -> Metric:
    """Build a metric from its id; protocols are handed this function, so that they never import a
    metric.
    """
    return create(METRICS, text)[0]


def _checkpoint(factory: type[Any], spec: Spec, values: Mapping[str, Any]) -> str | None:
    """Return the checkpoint that an id means: the one typed; else the default, or one that has what
    was typed.
    """
    known: Mapping[str, str] = getattr(factory, "checkpoints", {})
    if not known:
        if spec.checkpoint is not None:
            raise UsageError(
                f"{spec.name} has no checkpoints, so {spec.name}.{spec.checkpoint} names nothing"
            )
        return None
    chosen = spec.checkpoint or _usual(factory, spec, values)
    if chosen not in known:
        raise UsageError(_unknown(f"checkpoint of {spec.name}", str(chosen), sorted(known)))
    return chosen


def _usual(factory: type[Any], spec: Spec, values: Mapping[str, Any]) -> str:
    usual: str = factory.default_checkpoint
    asked = {key: values[key] for key in _fixed(factory, None) if key in spec.parameters}
    if not asked:
        return usual
    return next((tag for tag in (usual, *factory.checkpoints) if _has(factory, tag, asked)), usual)


def _has(factory: type[Any], checkpoint: str, asked: Mapping[str, Any]) -> bool:
    try:
        held = _fixed(factory, checkpoint)
    except DataError:  # a damaged file, which matters only to who names it
        return False
    return all(held.get(key) == value for key, value in asked.items())


def _fixed(factory: type[Any], checkpoint: object) -> Mapping[str, Any]:
    """Return the parameters that come with a checkpoint; none for plug-ins that know no
    checkpoints.
    """
    held: Mapping[str, Any] = factory.fixed(checkpoint) if hasattr(factory, "fixed") else {}
    return held


def _require_known(
    label: str, held: Mapping[str, Any], fields: Mapping[str, tuple[Any, Any]]
) -> None:
    """Raise DataError if a checkpoint brings parameters that could not be typed: anybody may have
    written its card.
    """
    name = label.partition(".")[0]
    try:
        if unknown := [key for key in held if key not in fields]:
            raise UsageError(_unknown(f"parameter of {name}", unknown[0], sorted(fields)))
        texts = {key: _text(value) for key, value in held.items()}
        _validated(Spec(name, None, texts), {key: fields[key] for key in held})
    except UsageError as error:
        raise DataError(
            f"{label}: its card is not one of {name}: {error}; get the file again"
        ) from error


def _validated(
    spec: Spec, fields: Mapping[str, tuple[Any, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the constructor arguments and their JSON form."""
    from pydantic import ConfigDict, ValidationError, create_model

    unknown = [key for key in spec.parameters if key not in fields]
    if unknown:
        raise UsageError(_unknown(f"parameter of {spec.name}", unknown[0], sorted(fields)))
    settings = ConfigDict(validate_default=False, arbitrary_types_allowed=True, allow_inf_nan=False)
    definitions: Any = dict(fields)
    model: Any = create_model(spec.name, __config__=settings, **definitions)
    try:
        filled = model(**spec.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0]
        if first["type"] == "missing":
            raise UsageError(f"{spec.name} needs a parameter: {spec.name}:{key}=...") from error
        raise UsageError(
            f"{spec.name}: parameter {key}={first['input']!r}: {first['msg']}"
        ) from error
    values = {key: getattr(filled, key) for key in fields}
    return values, filled.model_dump(mode="json")


def _fields(factory: type[Any], hidden: set[str]) -> dict[str, tuple[Any, Any]]:
    """Return name -> (type, default) of the constructor's keyword parameters; `...` marks a
    required one.
    """
    signature = inspect.signature(factory)
    hints = typing.get_type_hints(factory.__init__, include_extras=True)
    return {
        name: (
            hints.get(name, Any),
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in signature.parameters.items()
        if name not in hidden
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def describe_parameters(
    factory: type[Any], hidden: tuple[str, ...] = ("root", "checkpoint")
) -> dict[str, str]:
    """Return parameter -> "type = default" of a plug-in's constructor, for listings."""
    return {
        name: _type_name(kind) + ("" if default in (..., None) else f" = {_text(default)}")
        for name, (kind, default) in _fields(factory, set(hidden)).items()
    }


def _type_name(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin is typing.Literal:
        return "|".join(str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return "|".join(_type_name(part) for part in arguments if part is not types.NoneType)
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_plugin(path: Path) -> None:
    """Run a plug-in file, which registers its entries with `METHODS.register(...)` and its like.
    Loading twice is free.

    Raises:
        UsageError: if the file is missing or fails; a clash of names is named.
    """
    path = path.resolve()
    name = _PLUGIN_MODULE + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    if name in sys.modules:
        return
    loader_spec = importlib.util.spec_from_file_location(name, path)
    if loader_spec is None or loader_spec.loader is None or not path.is_file():
        raise UsageError(f"--plugin {path}: no such Python file")
    module = importlib.util.module_from_spec(loader_spec)
    sys.modules[name] = module
    try:
        loader_spec.loader.exec_module(module)
    except UsageError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"--plugin {path} fails: {_brief(error)}") from error


def plugin_hash(kind: type) -> str | None:
    """Return a digest of the `--plugin` file that defines a class, None for a class of an installed
    package.

    It goes into the identity of results: who edits a file while trying a method forgets to raise
    its version.
    """
    if not kind.__module__.startswith(_PLUGIN_MODULE):
        return None
    return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()[:12]


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"no {kind} is called {name!r}{hint} Known: {', '.join(known) or 'none'}"


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _where(item: object) -> str:
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
    "ResolvedId",
    "create",
    "create_metric",
    "describe_parameters",
    "load_plugin",
]
