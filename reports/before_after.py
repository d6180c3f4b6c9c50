"""A page on a person's own pictures before and after: one HTML file that holds all it shows.

Style and script are named by their hashes in the page's content security policy, and pictures may
come from the file itself only. So no file name can become code, and nothing is fetched.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmark import console, imageio
from benchmark.files import replace_file
from benchmark.imageio.display_tags import DisplayTags
from benchmark.imageio.jpeg import encode_jpeg
from benchmark.reports.contact_sheet import to_byte_image
from benchmark.reports.self_contained import (
    hash_for_policy,
    load_page_templates,
    require_own_page,
)
from benchmark.version import __version__

FILE_NAME = "index.html"
_GENERATOR = "defocus-bench before and after"
_TEMPLATES = Path(__file__).parent / "templates"
_QUALITY = 92
"""Of the JPEGs on the page. Files of the results are not touched."""


class RestoredPicture(NamedTuple):
    """What a method made of a picture.

    Attributes:
        source: file of the picture.
        target: file of the result.
        method: label of the method.
    """

    source: Path
    target: Path
    method: str


@dataclass(frozen=True, slots=True)
class _Version:
    """A picture, or what a method made of it, as the page shows it.

    Attributes:
        name: of the method; for the picture itself, that it is one.
        path: the file.
        file: its name in signs that can be printed.
        link: relative URL of a result; empty for the picture, which lies elsewhere.
    """

    name: str
    path: Path
    file: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class _ComparedPicture:
    """A picture with its versions, itself first."""

    name: str
    versions: Sequence[_Version]


def require_own_before_after_page(folder: Path) -> None:
    """Raise UsageError if another page stands where `write_before_after_page` writes its own."""
    require_own_page(folder / FILE_NAME, _GENERATOR)


def write_before_after_page(folder: Path, results: Iterable[RestoredPicture]) -> Path:
    """Write the page into the folder of the results; return its path.

    Every picture is on it in full size, as a JPEG with its orientation and colour profile, and
    without EXIF. One picture at a time is in memory.

    Args:
        folder: where the results lie.
        results: at least one, in the order to show; pictures and methods each keep that order.

    Raises:
        UsageError: another page is there.
        DataError: a picture or a result that can no longer be read, or a folder that cannot be
            written.
    """
    require_own_before_after_page(folder)
    script = (_TEMPLATES / "before_after.js").read_text("utf-8")
    style = (_TEMPLATES / "before_after.css").read_text("utf-8")
    parts = load_page_templates(_TEMPLATES).get_template("before_after.html").generate(
        pictures=_group_by_picture(results),
        encode=_encode_for_page,
        quality=_QUALITY,
        generator=f"{_GENERATOR} {__version__}",
        script=script,
        style=style,
        script_hash=hash_for_policy(script),
        style_hash=hash_for_policy(style),
    )  # fmt: skip
    index = folder / FILE_NAME
    with replace_file(index) as file:
        for part in parts:
            file.write(part.encode())
    return index


def _group_by_picture(results: Iterable[RestoredPicture]) -> list[_ComparedPicture]:
    versions: dict[Path, list[_Version]] = {}
    for source, target, method in results:
        if source not in versions:
            versions[source] = [_Version("before", source, _name_file(source))]
        link = quote(os.fsencode(target.name))
        version = _Version(console.make_printable(method), target, _name_file(target), link)
        versions[source].append(version)
    return [_ComparedPicture(_name_file(source), group) for source, group in versions.items()]


def _name_file(path: Path) -> str:
    """Return a file's name for people, in signs that can be encoded."""
    return console.make_printable(path.name)


def _encode_for_page(version: _Version) -> str:
    """Return a picture as the base64 of a JPEG."""
    picture, _ = imageio.read(version.path, allow_transparent=True)
    stored_tags = imageio.read_display_tags(version.path).fit_channels(3)
    tags = DisplayTags(stored_tags.orientation, stored_tags.icc_profile)
    return base64.b64encode(encode_jpeg(to_byte_image(picture), tags, _QUALITY)).decode()
