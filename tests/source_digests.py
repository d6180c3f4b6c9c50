"""A committed table of the source that results depend on, so that nobody edits it unawares.

What ships has a version, which is part of the identity of results. Who edits a method, a data set,
a metric or a protocol must raise it, or stored results are taken for new ones. The table
`source_digests.toml` holds a digest of every file that decides results: the syntax of modules,
without comments, texts of documentation and what `raise` says; and the bytes of learned constants
and lists. It also holds the version of everything that ships, as it was with these files.

`python -m tests.source_digests` says what was edited. With `--confirm` it writes the table anew:
who does so says that results are the same wherever the version is.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import benchmark
from benchmark.registry import DATASETS, METHODS, METRICS, PROTOCOLS, Registry
from benchmark.source_digest import list_imports

SUITE = Path(benchmark.__file__).parent
TABLE = Path(__file__).with_suffix(".toml")
CONFIRM = "python -m tests.source_digests --confirm"
_ROOMS = ("arrays", "datasets", "imageio", "methods", "metrics", "noise", "optics")
"""What results come from; the rest of the suite is the contract, the machinery and the reports."""
_LEFT_OUT = ("methods/training/", "methods/learned/printed_scores.py", "metrics/protocol_cards.py")
"""What makes weights, which have a hash of their own, and what is only printed."""
_REGISTRIES: tuple[Registry, ...] = (METHODS, DATASETS, METRICS, PROTOCOLS)
_LENGTH = 12
"""Hex digits of a digest."""


@dataclass(frozen=True)
class SourceTable:
    """What the committed file holds.

    Attributes:
        versions: "method jnb" -> version, of everything that ships.
        digests: file, relative to the package -> digest.
    """

    versions: Mapping[str, str]
    digests: Mapping[str, str]


# What there is
# --------------------------------------------------------------------------------------------------


def read_sources() -> tuple[SourceTable, dict[str, set[str]]]:
    """Return the table as the source is now, and the files that everything depends on."""
    versions: dict[str, str] = {}
    files_of_items: dict[str, set[str]] = {}
    for registry in _REGISTRIES:
        for name in filter(registry.is_shipped, registry.names()):
            item = f"{registry.kind} {name}"
            versions[item] = registry.get(name).version
            files_of_items[item] = list_files(registry.origin(name).split()[-1].partition(":")[0])
    files = sorted(set().union(*files_of_items.values()))
    return SourceTable(
        versions, {file: digest_file(SUITE / file) for file in files}
    ), files_of_items


def list_files(module: str) -> set[str]:
    """Return the files of the suite that decide what a module does, relative to the package."""
    files: set[str] = set()
    waiting = [module]
    visited: set[str] = set()
    while waiting:
        name = waiting.pop()
        path = _find_module(name)
        if name in visited or path is None:
            continue
        visited.add(name)
        files.update([path.relative_to(SUITE).as_posix(), *_list_data_files(path)])
        waiting += _list_imported_modules(path)
    return files


def _find_module(name: str) -> Path | None:
    """Return the file of a module that decides results, None for every other module."""
    package, *parts = name.split(".")
    if package != "benchmark" or not parts or parts[0] not in _ROOMS:
        return None
    path = SUITE.joinpath(*parts)
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    for file in candidates:
        is_left_out = file.relative_to(SUITE).as_posix().startswith(_LEFT_OUT)
        if file.is_file() and not is_left_out:
            return file
    return None


@functools.cache
def _list_imported_modules(path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(list_imports(_parse(path))))


@functools.cache
def _list_data_files(module: Path) -> tuple[str, ...]:
    """Return the files, beside a module or in a folder of its package, that its text names."""
    texts = {
        node.value
        for node in ast.walk(_parse(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return tuple(file for file in list_data_files() if Path(file).name in texts)


@functools.cache
def list_data_files() -> tuple[str, ...]:
    """Return the constants and lists that ship beside the modules that decide results."""
    return tuple(
        path.relative_to(SUITE).as_posix()
        for room in ("datasets", "methods/two_stage", "metrics", "optics")
        for path in sorted((SUITE / room).rglob("*"))
        if path.suffix in (".csv", ".json", ".npz")
    )


# Digests
# --------------------------------------------------------------------------------------------------


def digest_file(path: Path) -> str:
    """Return the digest of a module's syntax, or of the bytes of another file."""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = "\n".join(_list_syntax(_parse(path))).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:_LENGTH]


def digest_source_text(text: str) -> str:
    """Return the digest of the syntax of a program."""
    return hashlib.sha256("\n".join(_list_syntax(ast.parse(text))).encode()).hexdigest()[:_LENGTH]


@functools.cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _list_syntax(node: object) -> Iterator[str]:
    """Yield what a program does, the same in every version of Python: the kinds of its nodes and
    their values, without what is empty (fields that later versions added are) or is for people.
    """
    if isinstance(node, list):
        for item in node:
            yield from _list_syntax(item)
    elif isinstance(node, ast.JoinedStr):  # of which Python 3.12 has empty parts
        parts = [part for part in node.values if getattr(part, "value", None) != ""]
        yield from ("JoinedStr", *_list_syntax(parts), "end")
    elif not isinstance(node, ast.AST):
        yield f"{type(node).__name__} {node!r}"
    elif not _is_text(node):
        yield type(node).__name__
        if not isinstance(node, ast.Raise):
            for field, value in ast.iter_fields(node):
                if value not in (None, []) and field not in ("ctx", "kind", "type_comment"):
                    yield f".{field}"
                    yield from _list_syntax(value)
        yield "end"


def _is_text(node: ast.AST) -> bool:
    """Return whether a statement is nothing but a text: documentation."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


# The committed table
# --------------------------------------------------------------------------------------------------


def read_table(path: Path = TABLE) -> SourceTable:
    """Return the committed table."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return SourceTable(content["versions"], content["digests"])


def format_table(table: SourceTable) -> str:
    """Return the table as the text of its file."""
    lines = [
        f"# What results depend on. Written by `{CONFIRM}`; the module says what it is for.",
        "",
        "[versions]",
        *(f'"{item}" = "{version}"' for item, version in table.versions.items()),
        "",
        "[digests]",
        *(f'"{file}" = "{digest}"' for file, digest in table.digests.items()),
    ]
    return "\n".join(lines) + "\n"


def explain_changes(
    committed: SourceTable, current: SourceTable, files_of_items: Mapping[str, set[str]]
) -> str:
    """Return what was edited and what to do about it; empty if nothing was.

    Args:
        committed, current: the tables.
        files_of_items: what everything that ships depends on now.
    """
    if committed == current:
        return ""
    edited = {
        file
        for file in committed.digests.keys() | current.digests.keys()
        if committed.digests.get(file) != current.digests.get(file)
    }
    lines = []
    for file in sorted(edited):
        items = [
            item
            for item, files in files_of_items.items()
            if file in files and committed.versions.get(item) == current.versions[item]
        ]
        if items:
            lines.append(f"  {file}: {', '.join(items)}")
    if not lines:
        return f"{TABLE.name} is not up to date; write it anew: {CONFIRM}"
    return "\n".join(
        [
            "These files were edited, and what depends on them has the version that it had:",
            *lines,
            "Raise the version of all whose results may change. Then, or if all results are the "
            f"same, confirm it: {CONFIRM}",
        ]
    )


def main() -> None:
    """Say what was edited, or confirm that results are the same where versions are."""
    current, files_of_items = read_sources()
    if sys.argv[1:] == ["--confirm"]:
        TABLE.write_text(format_table(current), encoding="utf-8")
        print(f"{TABLE}: {len(current.digests)} files, {len(current.versions)} versions")
        return
    changes = explain_changes(read_table(), current, files_of_items)
    print(changes or "nothing was edited that results depend on")
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
