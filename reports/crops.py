"""The pictures that a run kept of one sample, and which part of them is worth a close look."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import Picture, UsageError
from benchmark.cells import Cell
from benchmark.run_layout import output_picture, path_in_run, target_picture

_BLOCKS: Final = 4
"""A window is judged by _BLOCKS x _BLOCKS blocks of its pixels."""
_TEXTURED_SHARE: Final = 0.5
"""Share of those blocks that must show something, at least; nothing can be told sharp or blurred in
a clear sky.
"""
_LEAST_CONTRAST: Final = 2 / 255
"""Mean absolute contrast at a scale of 1 to 4 px from which on a block shows something."""


class CropWindow(NamedTuple):
    """Where a close look is taken: the upper left corner and the size of a window, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, picture: Picture) -> Picture:
        """Return that part of a picture."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


def parse_box(text: str) -> CropWindow:
    """Return the window that `x,y,w,h` means: left, top, width and height in pixels.

    Raises:
        UsageError: anything but four whole numbers, none negative, width and height at least 1.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--box {text}: expected four whole numbers x,y,w,h, e.g. 40,60,80,80")
    left, top, width, height = (int(part) for part in parts)
    if width == 0 or height == 0:
        raise UsageError(f"--box {text}: width and height must be at least 1")
    return CropWindow(top, left, height, width)


class SamplePictures(NamedTuple):
    """The 8-bit pictures of one sample, H x W x 3 in [0, 1]: by method, `input` first, and the
    target or None.
    """

    outputs: dict[str, Picture]
    target: Picture | None

    @property
    def input(self) -> Picture:
        """The picture that went in, or, if the run has no method `input`, the first that
        came out.
        """
        return next(iter(self.outputs.values()))

    def by_name(self) -> dict[str, Picture]:
        """Return the pictures by name, the target last."""
        if self.target is None:
            return self.outputs
        return {**self.outputs, "target": self.target}


def read_sample_pictures(outputs: Sequence[tuple[Path, Cell, str]]) -> SamplePictures | None:
    """Return the pictures that runs kept of one sample, or None if none is there any more.

    Args:
        outputs: folder of the run, cell and path of the output in the folder, for each method in
            turn.

    Raises:
        DataError: a picture that is damaged, or lies outside its run.
    """
    pictures: dict[str, Picture] = {}
    target = None
    for folder, cell, output in outputs:
        path = path_in_run(folder, output_picture(output))
        if path.is_file():
            pictures[cell.method] = imageio.read(path)[0]
        target_path = folder / target_picture(cell)
        if target is None and target_path.is_file():
            target = imageio.read(target_path)[0]
    if not pictures:
        return None
    if "input" in pictures:
        pictures = {"input": pictures["input"], **pictures}
    return SamplePictures(pictures, target)


def find_crop_window(picture: Picture, target: Picture | None, side: int) -> CropWindow:
    """Return the square window that shows the defocus best.

    With a target it is where the mean absolute error of the input is largest. Without one it is
    where sharp and blurred texture meet: blocks of a quarter of the window are compared by how much
    contrast finer than about 1 px they have in proportion to that of 1 to 4 px, and the window
    whose blocks differ most wins. If none shows enough, the middle.

    Args:
        picture: H x W x 3, the input.
        target: H x W x 3 or None; one of another size is as none.
        side: of the window in pixels; cut down to the picture.
    """
    height, width = (min(side, extent) for extent in picture.shape[:2])
    if target is not None and target.shape == picture.shape:
        error = np.abs(picture - target).mean(axis=2)
        top, left = _largest_error_corner(error, height, width)
    else:
        middle = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        top, left = _mixed_sharpness_corner(picture, min(height, width)) or middle
    return CropWindow(top, left, height, width)


def _largest_error_corner(error: NDArray[np.float32], height: int, width: int) -> tuple[int, int]:
    means = cv2.boxFilter(error, -1, (width, height), anchor=(0, 0))
    valid = means[: error.shape[0] - height + 1, : error.shape[1] - width + 1]
    top, left = divmod(int(valid.argmax()), valid.shape[1])
    return top, left


def _mixed_sharpness_corner(picture: Picture, side: int) -> tuple[int, int] | None:
    """Return the corner of the window in which the sharpness of textured blocks differs most, or
    None.
    """
    block = side // _BLOCKS
    if block == 0 or min(picture.shape[:2]) // block < _BLOCKS:
        return None
    light = picture.mean(axis=2)
    small = cv2.GaussianBlur(light, (0, 0), 1)
    large = cv2.GaussianBlur(light, (0, 0), 4)
    fine = _block_contrast(light - small, block)
    coarse = _block_contrast(small - large, block)
    textured = coarse >= _LEAST_CONTRAST
    sharpness = np.log(np.maximum(fine, np.float32(1e-4)) / np.maximum(coarse, np.float32(1e-4)))
    windows = functools.partial(
        np.lib.stride_tricks.sliding_window_view, window_shape=(_BLOCKS, _BLOCKS)
    )
    has_texture = windows(textured).mean(axis=(2, 3)) >= _TEXTURED_SHARE
    if not has_texture.any():
        return None
    sharpest = windows(np.where(textured, sharpness, -np.inf)).max(axis=(2, 3))
    softest = windows(np.where(textured, sharpness, np.inf)).min(axis=(2, 3))
    contrast = np.where(has_texture, sharpest - softest, 0)
    top, left = divmod(int(contrast.argmax()), contrast.shape[1])
    return top * block, left * block


def _block_contrast(band: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Return the mean magnitude of each whole block of `block` x `block` pixels."""
    rows, columns = (extent // block for extent in band.shape)
    full_blocks = np.abs(band)[: rows * block, : columns * block]
    means: NDArray[np.float32] = full_blocks.reshape(rows, block, columns, block).mean(axis=(1, 3))
    return means
