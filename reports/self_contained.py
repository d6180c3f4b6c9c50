"""What pages share that are one file and need no network.

Their style and script are part of them. The content security policy names both by their hashes
and allows no others, so that nothing a run is called can become code.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import UsageError

if TYPE_CHECKING:
    from jinja2 import Environment


def load_page_templates(folder: Path) -> Environment:
    """Return the templates of a folder, which escape all that they print; JSON has no NaN."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return templates


def hash_for_policy(text: str) -> str:
    """Return a text's hash as content security policies name it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def require_own_page(index: Path, generator: str) -> None:
    """Raise UsageError where a page of another kind would be overwritten.

    Args:
        index: path of the page to write.
        generator: what pages of this kind name as their generator.
    """
    if index.exists() and generator not in index.read_text("utf-8", "replace"):
        raise UsageError(
            f"{index}: another page is there, which would be overwritten; name another folder"
        )
