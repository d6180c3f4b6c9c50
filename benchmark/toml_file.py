"""TOML files that users write, read without trust."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from benchmark.api import DataError

Facts = TypeVar("Facts", bound=BaseModel)
_LARGEST_FILE = 100_000
"""Bytes; what people write by hand is shorter."""


def read_toml_file(path: Path, kind: type[Facts], advice: str) -> Facts:
    """Return what a file says.

    Args:
        path: the file.
        kind: what it may say.
        advice: what to do about a file that cannot be read.

    Raises:
        DataError: it cannot be read, or says something else; the message names all keys it may
            have.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{path}: has more than {_LARGEST_FILE} bytes; {advice}")
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        keys = ", ".join(kind.model_fields)
        raise DataError(f"{path}: {'; '.join(lines)}. It may have {keys}; {advice}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as TOML ({error}); {advice}") from error
