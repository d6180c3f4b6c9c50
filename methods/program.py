"""Any command line as a method: `program:file=FILE.toml`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from benchmark import imageio
from benchmark.api import (
    DataError,
    ExpectedInputs,
    Method,
    MethodCard,
    Observation,
    Picture,
    UsageError,
)
from benchmark.files import hash_file
from benchmark.programs import ProgramFailure, make_private_folder, run_program
from benchmark.toml_file import read_toml_file

_SUFFIXES = {"png8": ".png", "png16": ".png", "ppm8": ".ppm", "ppm16": ".ppm", "tiff32": ".tif"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PLACEHOLDERS = frozenset({"input", "left", "right", "output", "noise", "folder"})
_PICTURES = ("input", "left", "right")
_SECONDS_FOR_VERSION = 120.0
_LARGEST_PLAUSIBLE = 10.0
"""Larger values are on another scale than [0, 1]."""
_SMALL_SIDE = 32
"""Pixels of the picture whose restoration takes little but the program's start."""
_EXAMPLE = 'command = ["octave-cli", "restore.m", "{input}", "{output}"]\nformat = "png16"'


class _ProgramFile(BaseModel):
    """What the TOML file says."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    command: Annotated[list[str], Field(min_length=1)]
    format: Literal["png8", "png16", "ppm8", "ppm16", "tiff32"]
    version: list[str] = []
    files: list[str] = []
    timeout: Annotated[float | None, Field(gt=0)] = None
    env: dict[str, str] = {}
    title: str = ""
    family: Literal["baseline", "classical", "learned"] = "classical"
    paper: str = ""
    trained_on: list[str] | None = None
    licence: str = "not stated"
    bits: Literal[8, 16] | None = None
    notes: str = ""

    @field_validator("command")
    @classmethod
    def _check_placeholders(cls, command: list[str]) -> list[str]:
        names = set(_find_placeholders(command))
        unknown = sorted(names - _PLACEHOLDERS)
        if unknown:
            names_in_braces = ", ".join(f"{{{name}}}" for name in sorted(_PLACEHOLDERS))
            raise ValueError(f"knows no {{{unknown[0]}}}; there are {names_in_braces}")
        if "output" not in names or not names & set(_PICTURES):
            raise ValueError("needs {output}, and {input} or {left} and {right}")
        return command

    @field_validator("command", "version")
    @classmethod
    def _check_arguments(cls, command: list[str]) -> list[str]:
        if any("\0" in argument for argument in command):
            raise ValueError("an argument cannot hold a null character")
        return command

    @field_validator("env")
    @classmethod
    def _check_variables(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"{name!r} cannot be set as a variable")
        return env

    @model_validator(mode="after")
    def _require_files(self) -> _ProgramFile:
        if "folder" in _find_placeholders([*self.command, *self.version]) and not self.files:
            raise ValueError(
                "with {folder}, say in files on which files of that folder results depend, for "
                'example files = ["restore.m"]'
            )
        return self


class Program(Method):
    """A program that reads a picture file and writes one."""

    card = MethodCard(
        title="Program",
        family="classical",
        licence="not stated",
        reimplementation=False,
        notes="A program of its own, started anew for each picture.",
    )
    location_parameters = frozenset({"file"})

    def __init__(self, *, file: Path, name: str = "") -> None:
        """Read the file that says how the program is called.

        Args:
            file: a TOML file with `command` and `format`; the documentation lists all keys.
            name: what tables call it; the file's stem if empty.

        Raises:
            DataError: if the file is missing, or says something else than it may.
        """
        self._path = file.expanduser().resolve()
        self._facts = read_toml_file(self._path, _ProgramFile, f"expected for example\n{_EXAMPLE}")
        placeholders = set(_find_placeholders(self._facts.command))
        self._roles = [role for role in _PICTURES if role in placeholders]
        self.card = _make_program_card(self.card, self._facts, placeholders)

    @classmethod
    def label_of(cls, parameters: Mapping[str, Any]) -> str:
        """Return the parameter `name`, or the stem of the file."""
        file: Path = parameters["file"]
        return str(parameters["name"] or file.stem)

    def weights_hash(self) -> str:
        """Return a SHA-256 over the TOML file, the local files that it names, and what the program
        answers when it is asked for its version.

        Raises:
            UsageError: if the program does not answer.
        """
        content = {
            "file": hash_file(self._path),
            "files": {name: hash_file(path) for name, path in self._iterate_local_files()},
            "version": _ask_version(tuple(self._complete(self._facts.version, {})), self._path),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def restore(self, observation: Observation) -> Picture:
        """Return what the program writes, whatever its depth.

        Raises:
            ProgramFailure: with its exit status and the end of its messages.
            DataError: if it writes no picture.
        """
        suffix = _SUFFIXES[self._facts.format]
        with make_private_folder() as folder:
            paths = {role: folder / f"{role}{suffix}" for role in (*self._roles, "output")}
            for role in self._roles:
                self._write(paths[role], _select_picture(observation, role))
            texts = {role: str(path) for role, path in paths.items()}
            texts["noise"] = f"{observation.noise_sigma or 0:g}"
            run_program(
                self._complete(self._facts.command, texts),
                folder,
                environment=self._facts.env,
                timeout=self._facts.timeout,
            )
            if not paths["output"].is_file():
                raise ProgramFailure(f"ended well, but wrote no {paths['output'].name}")
            picture, _ = imageio.read(paths["output"], allow_float=True)
        if np.abs(picture).max() > _LARGEST_PLAUSIBLE:
            raise ProgramFailure(f"wrote values up to {picture.max():g}; they belong into [0, 1]")
        return _order_channels(picture, observation)

    def shrink(self, observation: Observation) -> Observation:
        """Return a corner of the picture so small that its restoration takes little but the start
        of the program.
        """
        corner = np.s_[:_SMALL_SIDE, :_SMALL_SIDE]
        views = observation.views
        if views is not None:
            views = (views[0][corner].copy(), views[1][corner].copy())
        return dataclasses.replace(observation, image=observation.image[corner].copy(), views=views)

    def _write(self, path: Path, picture: Picture) -> None:
        if self._facts.format == "tiff32":
            imageio.write_float_tiff(path, picture)
        else:
            imageio.write(path, picture, 8 if self._facts.format.endswith("8") else 16)

    def _complete(self, command: Sequence[str], texts: Mapping[str, str]) -> list[str]:
        """Return the arguments with placeholders filled in, and local files by their paths."""
        folder = self._path.parent
        texts = {"folder": str(folder), **texts}
        arguments = []
        for argument in command:
            if _is_local_file(folder, argument):
                arguments.append(str(folder / argument))
            else:
                filled = _PLACEHOLDER.sub(lambda match: texts.get(match[1], match[0]), argument)
                arguments.append(filled)
        return arguments

    def _iterate_local_files(self) -> Iterator[tuple[str, Path]]:
        """Yield name and path of each local file on which results depend."""
        folder = self._path.parent
        commands = (*self._facts.command, *self._facts.version)
        for name in sorted({argument for argument in commands if _is_local_file(folder, argument)}):
            yield name, folder / name
        for name in self._facts.files:
            path = folder / name
            if path.is_file():
                yield name, path
            elif path.is_dir():
                for member in sorted(path.rglob("*")):
                    if member.is_file():
                        yield str(member.relative_to(folder)), member
            else:
                raise DataError(f"{path}: no such file; {self._path} names it in files")


def _find_placeholders(command: Sequence[str]) -> Iterator[str]:
    for argument in command:
        yield from _PLACEHOLDER.findall(argument)


def _is_local_file(folder: Path, argument: str) -> bool:
    try:
        return bool(argument) and (folder / argument).is_file()
    except (OSError, ValueError):  # no path at all
        return False


def _select_picture(observation: Observation, role: str) -> Picture:
    if role == "input":
        return _order_channels(observation.image, observation)
    assert observation.views is not None
    return _order_channels(observation.views[0 if role == "left" else 1], observation)


def _order_channels(picture: Picture, observation: Observation) -> Picture:
    """Return RGB for the order of the observation, or the other way round."""
    if observation.order == "rgb":
        return picture
    return np.ascontiguousarray(picture[..., ::-1])


@functools.cache
def _ask_version(command: tuple[str, ...], file: Path) -> str:
    """Return what a program answers, asked once per process; empty without a command."""
    if not command:
        return ""
    try:
        with make_private_folder() as folder:
            return run_program(command, folder, environment={}, timeout=_SECONDS_FOR_VERSION)
    except ProgramFailure as error:
        raise UsageError(
            f"{file}: asked for its version ({' '.join(command)}), the program {error}"
        ) from error


def _make_program_card(card: MethodCard, facts: _ProgramFile, placeholders: set[str]) -> MethodCard:
    trained_on = facts.trained_on
    if trained_on is None and facts.family != "learned":
        trained_on = []
    conversion = ""
    if facts.format != "tiff32":
        conversion = f"Given pictures as {facts.format}: clipped to [0, 1] and rounded."
    return dataclasses.replace(
        card,
        title=facts.title or card.title,
        family=facts.family,
        paper=facts.paper,
        inputs="views" if {"left", "right"} & placeholders else "image",
        trained_on=None if trained_on is None else tuple(trained_on),
        licence=facts.licence,
        noise_aware="noise" in placeholders,
        expects=None if facts.bits is None else ExpectedInputs(bits=facts.bits),
        notes=" ".join(filter(None, (card.notes, conversion, facts.notes))),
    )
