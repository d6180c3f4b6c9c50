"""Digests of the source of what is not part of the suite, for the identity of results.

Who edits a plug-in while trying it forgets to raise its version. So results of a class from outside
depend on its source too: on the file that defines it, and on every file that this imports from its
own folder (a `--plugin` file) or its own package (an installed one); those of a method or a metric
also on the content of the files that its parameters name. What ships has a version, and no digest.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.api import DataError, Dataset
from benchmark.files import hash_file

_LENGTH = 12
"""Hex digits of a digest."""
_SUITE = "benchmark"


def digest_source(kind: type) -> str | None:
    """Return a digest of the source that a class from outside depends on, None for what ships and
    for a class without a file.
    """
    return digest_module(kind.__module__)


def add_digests(version: str, kind: type, arguments: Mapping[str, object]) -> str:
    """Return the version of a method or metric, with what its results depend on beside it if it is
    from outside: its source, and the files that its parameters name.

    Args:
        version: that it declares.
        kind: its class.
        arguments: of its constructor; a `Path` to a file names one. What a class declares as
            `location_parameters` is left out: such files enter by `weights_hash`.

    Raises:
        DataError: a file that cannot be read.
    """
    digest = digest_source(kind)
    if digest is None:
        return version
    location_parameters: frozenset[str] = getattr(kind, "location_parameters", frozenset())
    files = {
        name: value
        for name, value in arguments.items()
        if name not in location_parameters and isinstance(value, Path) and value.is_file()
    }
    return "+".join([version, digest, *(_digest_content(files[name]) for name in sorted(files))])


def _digest_content(path: Path) -> str:
    try:
        return hash_file(path)[:_LENGTH]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def fingerprint_sample(dataset: Dataset, sample: str) -> str:
    """Return what identifies a sample's content: its files, and the source of a data set from
    outside, as that decides what is made of them.
    """
    fingerprint = dataset.fingerprint(sample)
    digest = digest_source(type(dataset))
    return fingerprint if digest is None else f"{fingerprint}+{digest}"


@functools.cache  # what runs is what was there when it was loaded
def digest_module(name: str) -> str | None:
    """Return the same for a loaded module, by its name."""
    if name.partition(".")[0] == _SUITE:
        return None
    file_name = getattr(sys.modules.get(name), "__file__", None)
    if file_name is None:
        return None
    file = Path(file_name).absolute()
    folder, package = _find_import_folder(name, file)
    content = hashlib.sha256(file.read_bytes())
    for path in sorted(_list_imported_files(file, folder, package) - {file}):
        content.update(f"\n{path.relative_to(folder).as_posix()}\n".encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:_LENGTH]


def list_plugin_files(path: Path) -> list[Path]:
    """Return a plug-in file and those beside it that it imports, as `digest_module` counts them."""
    return sorted(_list_imported_files(path, path.parent, None))


def _find_import_folder(name: str, file: Path) -> tuple[Path, str | None]:
    """Return the folder in which a module's absolute imports are looked for, and the package that
    they must be of; None for a file that is in none, whose neighbours count.
    """
    package = getattr(sys.modules.get(name), "__package__", "") or ""
    if not package:
        return file.parent, None
    parts = package.split(".")
    return file.parents[len(parts)], parts[0]


def _list_imported_files(file: Path, folder: Path, package: str | None) -> set[Path]:
    """Return a file and all those of its package, or beside it, that it imports in the end."""
    files: set[Path] = set()
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files.add(path)
        for module in _list_imports_of_file(path, folder):
            first = module.partition(".")[0]
            if first != _SUITE and package in (None, first):
                waiting += _find_files(folder, module)
    return files


def _list_imports_of_file(path: Path, folder: Path) -> Iterator[str]:
    """Yield the absolute names of the modules that a file may import."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # running it says what is wrong with it
        return
    yield from list_imports(tree, path.relative_to(folder).with_suffix("").parts)


def list_imports(tree: ast.AST, location: Sequence[str] = ()) -> Iterator[str]:
    """Yield the modules that `import` and `from` statements name; `from a import b` as a.b, a.

    Args:
        tree: the program.
        location: the parts of the absolute name of its module, to which relative imports are
            relative; they are left out where it is not given.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (location or not node.level):
            parts = list(location[: len(location) - node.level] if node.level else ())
            module = ".".join([*parts, node.module] if node.module else parts)
            yield from (f"{module}.{alias.name}" for alias in node.names)
            yield module


def _find_files(folder: Path, module: str) -> list[Path]:
    """Return the files that importing a module runs: its own, and those of the packages above."""
    files: list[Path] = []
    path = folder
    for part in module.split("."):
        path = path / part
        candidates = (path / "__init__.py", path.with_suffix(".py"))
        files += [candidate for candidate in candidates if candidate.is_file()]
    return files
