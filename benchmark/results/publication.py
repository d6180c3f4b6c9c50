"""What may leave a machine: results without the paths, the host and the user that they hold.

Of a path its last part is kept. Programs' error texts and addresses of schedulers are left out. Of
provenance, only what numbers may depend on is kept. What was published once stays as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from benchmark.api import UsageError
from benchmark.results.run_record import RunRecord
from benchmark.spec import parse_id, parse_ids
from benchmark.stored_cards import CardT, card_from_json, card_to_json

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT = (
    "outputs and pictures",
    "error texts of programs",
    "paths but for their last part",
    "names of hosts and users, addresses of schedulers",
)
"""What published results lack, for people."""
_SEPARATOR = re.compile(r"[/\\]")
_PRIVATE = re.compile(
    r"""
    (?P<page>https?://[^\s'"<>]+)
    | (?P<address>\b\w+://[^\s'"<>]+)
    | (?<=['"])(?P<quoted>(?:~\w*|\.\.|[A-Za-z]:)?[/\\][^'"\n]*)(?=['"])
    | (?<![\w\])}./\\~-])
      (?P<path>(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\]+[^\s/\\'"<>:;,()\[\]{}|]+){2,}[/\\]?
               |(?:~\w*|\.\.|[A-Za-z]:)[/\\]+[^\s/\\'"<>:;,()\[\]{}|]+[/\\]?)
    """,
    re.VERBOSE,
)
"""Pages of the web stay; paths are absolute ones, or begin where only this machine knows."""
_KIND = re.compile(r"^[a-z]{2,}:(?!//)")
"""What may stand before the path in a parameter; one letter is a drive."""
_ADDRESS = "ADDRESS"
_PLAIN_FACTS = frozenset(
    {
        "suite", "git", "python", "packages", "environment", "metric_weights", "plugins", "device",
        "engine", "mixed", "jobs", "outputs", "workers", "threads", "unrecorded",
    }
)  # fmt: skip
_MACHINE_FACTS = ("processor", "cores", "memory_gib", "omp_num_threads")
_FACTS_OF_DATASETS = ("data", "places", "limited")
_FACTS_OF_METHODS = ("weights",)
_ID_OPTIONS = ("--methods", "--dataset")
_ADDRESS_OPTIONS = ("--scheduler",)


# Texts
# --------------------------------------------------------------------------------------------------


def shorten_paths(text: str, known_paths: Sequence[str] = ()) -> str:
    """Return a text in which paths that begin at a root, a home or above are their last part.

    Args:
        text: for people. Where a path holds spaces and no quotes, it cannot be told where it ends.
        known_paths: paths that may be in it, the longest first, so that this matters less.
    """
    for path in known_paths:
        text = text.replace(path, take_last_part(path))
    return _PRIVATE.sub(_shorten_match, text)


def _shorten_match(match: re.Match[str]) -> str:
    if match["page"]:
        return match[0]
    return _ADDRESS if match["address"] else take_last_part(match[0])


def take_last_part(path: str) -> str:
    """Return the last part of a path, whatever system it is of; a text without separators is
    one.
    """
    parts = [part for part in _SEPARATOR.split(path) if part not in ("", ".", "..", "~")]
    if not parts:
        return "folder" if _SEPARATOR.search(path) or path.startswith(("~", "..")) else path
    return parts[-1].removeprefix("~") if len(parts) == 1 else parts[-1]


def publish_id(text: str, ending: str = "") -> str:
    """Return an id without the folders of the paths in it.

    Args:
        text: the id.
        ending: put behind the last path that is shortened, so that two ids stay two.
    """
    try:
        spec = parse_id(text)
    except UsageError:
        return shorten_paths(text) + ending
    private_keys = [key for key, value in spec.parameters.items() if _is_private(value)]
    if not private_keys:
        return shorten_paths(text) + ending
    parameters = dict(spec.parameters)
    for key in private_keys:
        parameters[key] = _publish_parameter(parameters[key])
    parameters[private_keys[-1]] += ending
    return str(dataclasses.replace(spec, name=shorten_paths(spec.name), parameters=parameters))


def _publish_parameter(value: str) -> str:
    """Return a path without its folders; `file:`, say, before it stays, as without it the value
    would mean something else.
    """
    path = _KIND.sub("", value)
    return value.removesuffix(path) + take_last_part(path)


def _is_private(value: str) -> bool:
    path = _KIND.sub("", value)
    return bool(_SEPARATOR.search(path)) or path.startswith(("~", ".."))


def publish_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return id -> what it is called in published results; different ids stay different."""
    names = {text: publish_id(text) for text in sorted(ids)}
    public_ids = {text: name for text, name in names.items() if text == name}
    names_in_use = set(public_ids)
    for text, name in names.items():
        if text in public_ids:
            continue
        number = 2
        while name in names_in_use:
            name = publish_id(text, f"-{number}")
            number += 1
        public_ids[text] = name
        names_in_use.add(name)
    return public_ids


def publish_command_line(text: str) -> str:
    """Return the command line of a command without folders and addresses."""
    try:
        words = shlex.split(text)
    except ValueError:
        return shorten_paths(text)
    return shlex.join(_publish_words(words))


def _publish_words(words: Iterable[str]) -> Iterator[str]:
    option = ""
    for word in words:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            yield option + equals + (_publish_value(option, value) if equals else "")
            continue
        yield _publish_value(option, word)
        option = ""


def _publish_value(option: str, value: str) -> str:
    if option in _ADDRESS_OPTIONS or "://" in value:
        return _ADDRESS
    if option not in _ID_OPTIONS:
        return take_last_part(value) if _is_private(value) else value
    try:
        return ",".join(publish_id(str(spec)) for spec in parse_ids([value]))
    except UsageError:
        return take_last_part(value)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(item, change) for item in value]
    return value


# Results
# --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """Results that may leave a machine.

    Attributes:
        record: the results.
        method_ids: id of a method in the run -> what it is called now.
    """

    record: RunRecord
    method_ids: Mapping[str, str]


def publish_record(record: RunRecord) -> Publication:
    """Return the results of a run without what is private."""
    frame = record.scores
    shorten = functools.partial(shorten_paths, known_paths=_list_known_paths(record))
    method_ids = publish_ids({*record.methods, *_list_names(frame, "method")})
    dataset_ids = publish_ids({*record.datasets, *_list_names(frame, "dataset")})
    commands = {
        number: command._replace(
            provenance=publish_provenance(command.provenance, method_ids, dataset_ids)
        )
        for number, command in record.commands.items()
    }
    published_record = dataclasses.replace(
        record,
        scores=_publish_scores(frame, method_ids, dataset_ids, shorten),
        commands=commands,
        methods=_publish_cards(record.methods, method_ids, shorten),
        datasets=_publish_cards(record.datasets, dataset_ids, shorten),
        protocols=_publish_cards(record.protocols, {}, shorten),
    )
    return Publication(published_record, method_ids)


def publish_provenance(
    provenance: Mapping[str, Any],
    method_ids: Mapping[str, str] | None = None,
    dataset_ids: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the provenance of a command as far as it may leave the machine.

    Args:
        provenance: as `provenance.collect_provenance` gives it.
        method_ids, dataset_ids: id -> what it is called; None to shorten each by itself.
    """
    facts: dict[str, Any] = {}
    for key, value in provenance.items():
        if key == "command":
            facts[key] = publish_command_line(str(value))
        elif key == "machine":
            facts[key] = _publish_machine(value)
        elif key in _FACTS_OF_DATASETS:
            facts[key] = _rename_keys(value, dataset_ids or {})
        elif key in _FACTS_OF_METHODS:
            facts[key] = _rename_keys(value, method_ids or {})
        elif key in _PLAIN_FACTS:
            facts[key] = _map_texts(value, shorten_paths)
    return facts


def _publish_machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what numbers may depend on; of the system its name, as its version may say whose it
    is.
    """
    facts = {key: machine[key] for key in _MACHINE_FACTS if key in machine}
    if machine.get("system"):
        facts["system"] = str(machine["system"]).partition("-")[0]
    return facts


def _rename_keys(facts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key) or publish_id(key): value for key, value in facts.items()}


def _list_names(frame: pd.DataFrame, column: str) -> list[str]:
    return [] if frame.empty else [str(name) for name in frame[column].unique()]


def _list_known_paths(record: RunRecord) -> list[str]:
    """Return the paths that ids and command lines name, the longest first."""
    ids = {*record.methods, *record.datasets}
    ids.update(_list_names(record.scores, "method") + _list_names(record.scores, "dataset"))
    words: set[str] = set()
    for command in record.commands.values():
        with contextlib.suppress(ValueError):
            words.update(shlex.split(str(command.provenance.get("command", ""))))
    paths = {word for word in words if _is_absolute(word)}
    for text in ids | words:
        with contextlib.suppress(UsageError):
            values = parse_id(text).parameters.values()
            paths.update(value for value in values if _is_absolute(value))
    return sorted(paths, key=lambda path: (-len(path), path))


def _is_absolute(text: str) -> bool:
    is_rooted = text.startswith(("~", "..")) or PureWindowsPath(text).anchor != ""
    return is_rooted and len(_SEPARATOR.findall(text)) > 1


def _publish_scores(
    frame: pd.DataFrame,
    method_ids: Mapping[str, str],
    dataset_ids: Mapping[str, str],
    shorten: Callable[[str], str],
) -> pd.DataFrame:
    if frame.empty:
        return frame
    columns: dict[str, Any] = {
        "method": frame["method"].map(method_ids),
        "dataset": frame["dataset"].map(dataset_ids),
        "traceback": None,
        "output": None,
    }
    changes: Mapping[str, Callable[[str], str]] = {
        "parameters": _publish_parameters,
        "checkpoint": take_last_part,
        "cell_reason": shorten,
        "reason": shorten,
    }
    for name, change in changes.items():
        if name in frame:
            columns[name] = frame[name].map(change, na_action="ignore")
    return frame.assign(**columns)


def _publish_parameters(text: str) -> str:
    """Return the parameters of a method, as a cell has them, without folders."""
    try:
        parameters = json.loads(text)
    except ValueError:
        return shorten_paths(text)
    public_parameters = _map_texts(
        parameters, lambda value: take_last_part(value) if _is_private(value) else value
    )
    return json.dumps(public_parameters, sort_keys=True)


def _publish_cards(
    cards: Mapping[str, CardT], ids: Mapping[str, str], shorten: Callable[[str], str]
) -> dict[str, CardT]:
    return {ids.get(name, name): _publish_card(card, shorten) for name, card in cards.items()}


def _publish_card(card: CardT, shorten: Callable[[str], str] = shorten_paths) -> CardT:
    facts = _map_texts(json.loads(card_to_json(card)), shorten)
    return card_from_json(json.dumps(facts), type(card))
