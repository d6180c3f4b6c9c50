"""Ids as people type them: `name[.checkpoint][:key=value,...]`, and comma lists of them.

`gkmnet.sim`, `ebdb:deconvolution=richardson-lucy,psf=disk`. In a comma list an item `key=value`
belongs to the id before it, so `input,ebdb:psf=disk,iterations=3,jnb` names three ids.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.api import UsageError


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed id; `parameters` holds the texts as typed, before validation."""

    name: str
    checkpoint: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        head = self.name if self.checkpoint is None else f"{self.name}.{self.checkpoint}"
        body = ",".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{head}:{body}" if body else head


@dataclass(frozen=True, slots=True)
class ResolvedId:
    """An id with every parameter validated and defaulted; equal ids give equal `parameters`,
    however typed.

    Attributes:
        name, checkpoint: as registered; the checkpoint is the default one where none was typed.
        parameters: all parameters that are part of a cell's identity, JSON-ready.
        label: the canonical id: only what differs from the defaults, also where it comes with the
            checkpoint. A method may have a name of its own instead (`Method.label_of`), from which
            it cannot be built.
        arguments: what the constructor is called with.
    """

    name: str
    checkpoint: str | None
    parameters: Mapping[str, Any] = field(hash=False)
    label: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    def parameters_json(self) -> str:
        """Return the parameters as canonical JSON, for a cell's identity."""
        return json.dumps(self.parameters, sort_keys=True)


def parse_id(text: str) -> Spec:
    """Parse one id. A comma item without `=` continues the value before it, so paths may hold
    commas.

    Raises:
        UsageError: if the text cannot be printed, the name is empty, or a parameter has no key or
            comes twice.
    """
    if not text.strip().isprintable():  # it is stored, and stands in tables
        raise UsageError(
            f"{text!a} holds signs that cannot be printed; rename the file or folder, or name "
            "a link to it"
        )
    head, _, body = text.strip().partition(":")
    name, _, checkpoint = head.partition(".")
    if not name:
        raise UsageError(f"{text!r} has no name; write name[.checkpoint][:key=value,...]")
    return Spec(name, checkpoint or None, _parse_parameters(text, body))


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return "did you mean 'x'?" with the name that a mistyped one resembles most, or nothing."""
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {matches[0]!r}?" if matches else ""


def parse_ids(texts: Iterable[str]) -> list[Spec]:
    """Parse repeated options that may each hold a comma list; raises UsageError as `parse` does."""
    specs: list[Spec] = []
    for text in texts:
        specs += [parse_id(item) for item in _split_comma_list(text)]
    if not specs:
        raise UsageError("nothing was named; write at least one id, or 'all'")
    return specs


def _split_comma_list(text: str) -> list[str]:
    items: list[str] = []
    for part in text.split(","):
        if _is_parameter(part) and items:
            separator = "," if ":" in items[-1] else ":"
            items[-1] += separator + part
        elif part.strip():
            items.append(part)
    return items


def _is_parameter(part: str) -> bool:
    return "=" in part and ":" not in part.partition("=")[0]


def _parse_parameters(text: str, body: str) -> dict[str, str]:
    values: dict[str, str] = {}
    if not body.strip():
        return values
    last = ""
    for part in body.split(","):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals and last:
            values[last] += "," + part
        elif not equals or not key:
            raise UsageError(f"{text!r}: {part!r} is not key=value")
        elif key in values:
            raise UsageError(f"{text!r}: {key!r} is given twice")
        else:
            values[key] = value.strip()
            last = key
    return values
