"""File names inside a run folder, safe for ids that hold anything: separators, `..`, quotes, other
scripts.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from benchmark.api import DataError

if TYPE_CHECKING:
    from benchmark.cells import Cell

_LONGEST = 50


def file_name(text: str) -> str:
    """Return a readable file name that no other text gives: letters, digits, `.`, `_`, `-` and `=`
    are kept.

    A text that had to be changed gets a short hash of the original, so different texts never share
    a name, and the result is never empty, hidden, or able to leave its folder.
    """
    safe_name = re.sub(r"[^\w.=-]+", "-", text)[:_LONGEST].strip(".-")
    if text and safe_name == text:
        return safe_name
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{safe_name}-{digest}" if safe_name else digest


def output_file(cell: Cell) -> str:
    """Return where a run keeps a cell's unclamped output, relative to its folder."""
    return f"outputs/{_locate_cell(cell)}.tif"


def map_file_of_cell(cell: Cell) -> str:
    """Return where a study of blur maps keeps a cell's map, relative to its folder: .npy, float32,
    sigma in pixels.
    """
    return f"maps/{_locate_cell(cell)}.npy"


def _locate_cell(cell: Cell) -> str:
    level = f"noise-{cell.noise.sigma:g}"
    return f"{file_name(cell.method)}/{level}/{file_name(cell.sample)}-{cell.key[:8]}"


def output_picture(output: str) -> str:
    """Return the 8-bit picture that belongs to an output (.tif, or .npy of earlier releases)."""
    return output.replace("outputs/", "pictures/", 1).rpartition(".")[0] + ".png"


def path_in_run(run: Path, path: str) -> Path:
    """Return where a file of a run lies, by the path that its store names.

    Raises:
        DataError: if that leads out of the run's folder.
    """
    steps = PureWindowsPath(path)  # it knows the separators of all systems
    if steps.drive or steps.root or ".." in steps.parts:
        raise DataError(
            f"{run}: the store names a picture outside the run ({path!r}); it was not written by "
            "`run`"
        )
    return run / path


def target_picture(cell: Cell) -> str:
    """Return the 8-bit picture of the target that a cell is scored against."""
    return target_picture_of(cell.sample, cell.data, cell.track)


def target_picture_of(sample: str, data: str, track: str) -> str:
    """Return the same of a sample, its content fingerprint and an input track."""
    return f"pictures/target/{file_name(sample)}-{data[:8]}-{track}.png"


def default_results_folder(name: str, kind: str = "runs") -> Path:
    """Return where the results on a data set go unless the user says otherwise."""
    return Path("results") / kind / file_name(name)
