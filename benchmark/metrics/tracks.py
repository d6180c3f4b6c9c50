"""Input tracks: how a picture is read, sized and ordered before a method sees it, and undone before
it is scored.

A track is the half of a protocol that changes what a method sees, so it belongs to the identity of
a result. Its steps:

    read    depth, for what the method sees and for the target alike
            (the harness adds noise here)
    fit     size and colour order, for what the method sees
    finish  what the method returned, brought to the scoring geometry, RGB
    frame   the target, brought to the same geometry
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from benchmark.api import ChannelOrder, Map, Mask, Observation, Picture, Sample, UsageError
from benchmark.arrays import Float32Array

TrackDepth = Literal["u8", "u16"]
TrackSize = Literal["native", "crop", "pad-black", "pad-reflect", "resize"]

DPDNET_SIZE = (1120, 1680)
"""Height and width that DPDNet's test script resizes to."""

_STEPPED = ("crop", "pad-black", "pad-reflect")
_ID = re.compile(r"(u8|u16)(?:-(resize|crop|pad)(\d+)?(?:-(black|reflect))?)?(?:-(bgr))?")


@dataclass(frozen=True, slots=True)
class Track:
    """An input track.

    Attributes:
        depth: `u8` reads 16-bit files as most code of the field does, by truncation (v >> 8), and
            leaves 8-bit files alone; `u16` is exact.
        size: `native`, or
            `crop`: cut at the bottom and right to multiples of `multiple`; scored at that size;
            `pad-black`: centred on black, up to multiples of `multiple` (an odd row or column goes
            to the bottom or right); scored with the frame. The true blur map is 0 there;
            `pad-reflect`: mirrored (edge not repeated) at the bottom and right up to multiples of
            `multiple`; the output is cut back, so scored at the native size;
            `resize`: to 1680 x 1120, bilinear (OpenCV), after a quarter turn counter-clockwise if
            higher than wide; scored like that. The true blur map is scaled by the geometric mean of
            the two factors; noise, added before, is resized along.
        multiple: for `crop` and the pads, 2 or more; else 1.
        order: `bgr` hands the method its channels in reverse; what it returns is put back to RGB.

    >>> Track("u8", "pad-black", 16).id
    'u8-pad16-black'
    >>> Track.parse("u8-crop32-bgr")
    Track(depth='u8', size='crop', multiple=32, order='bgr')
    """

    depth: TrackDepth
    size: TrackSize = "native"
    multiple: int = 1
    order: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        _check_choice(self.depth, get_args(TrackDepth))
        _check_choice(self.size, get_args(TrackSize))
        _check_choice(self.order, get_args(ChannelOrder))
        if self.multiple < 1 or (self.multiple > 1) != (self.size in _STEPPED):
            raise ValueError(f"a track of size {self.size!r} cannot have multiple={self.multiple}")

    @property
    def id(self) -> str:
        """Short text, unique among tracks."""
        parts: list[str] = [self.depth]
        if self.size != "native":
            name, _, fill = self.size.partition("-")
            parts.append(f"{name}{self.multiple}" if self.size in _STEPPED else name)
            if fill:
                parts.append(fill)
        if self.order != "rgb":
            parts.append(self.order)
        return "-".join(parts)

    @classmethod
    def parse(cls, text: str) -> Track:
        """Return the track of an id.

        Raises:
            UsageError: if the text is no track's id.
        """
        track = _parse_track(text)
        if track is None or track.id != text:
            raise UsageError(
                f"no input track is called {text!r}; they read like u8, u16, u8-crop8, "
                "u8-pad16-black-bgr"
            )
        return track

    def read(self, sample: Sample) -> Sample:
        """Return `sample` at the track's depth: image, views, target and their bit depths; the
        file's range is [0, 1].
        """
        if self.depth == "u16":
            return sample
        image = sample.image
        views = sample.views
        target = sample.target
        if sample.bit_depth == 16:
            image = _truncate_to_8_bits(image)
            if views is not None:
                views = (_truncate_to_8_bits(views[0]), _truncate_to_8_bits(views[1]))
        if sample.target_bit_depth == 16 and target is not None:
            target = _truncate_to_8_bits(target)
        return dataclasses.replace(
            sample, image=image, views=views, target=target, bit_depth=8, target_bit_depth=8
        )

    def fit(self, observation: Observation) -> Observation:
        """Return `observation` in the track's size and colour order.

        Raises:
            ValueError: if a crop leaves nothing of the picture.
        """
        views = observation.views
        if views is not None:
            views = (self._fit_picture(views[0]), self._fit_picture(views[1]))
        blur_map = observation.blur_map
        if blur_map is not None:
            blur_map = self._resize_map(blur_map)
        return dataclasses.replace(
            observation,
            image=self._fit_picture(observation.image),
            views=views,
            blur_map=blur_map,
            order=self.order,
        )

    def finish(self, output: Picture, size: tuple[int, int]) -> Picture:
        """Return a method's output in the scoring geometry, RGB.

        Args:
            output: what the method made of a fitted picture.
            size: height and width of the picture before `fit`.

        Raises:
            ValueError: if `output` has not the size of the fitted picture.
        """
        if output.shape[:2] != self.fitted_size(size):
            raise ValueError(
                f"track {self.id} of a {size} picture expects {self.fitted_size(size)}, got "
                f"{output.shape}"
            )
        rgb = self._reorder_channels(output)
        if self.size == "pad-reflect":
            return np.ascontiguousarray(rgb[: size[0], : size[1]])
        return rgb

    def frame(self, target: Picture) -> Picture:
        """Return a picture of native size, RGB, in the scoring geometry; raises ValueError as `fit`
        does.
        """
        if self.size == "pad-reflect":
            return target
        return self._resize(target)

    def frame_mask(self, mask: Mask) -> Mask:
        """Return a mask of native size in the scoring geometry: a pixel is in it that only pixels
        of the mask enter.
        """
        if self.size == "pad-reflect":
            return mask
        whole: Mask = self._resize(mask.astype(np.float32)) == 1
        return whole

    def frame_map(self, values: Map) -> Map:
        """Return a map of native size in the scoring geometry, NaN where the track adds pixels and
        where a value enters that is NaN; numbers stay as they are, also where pixels are resized.
        """
        if self.size == "pad-reflect":
            return values
        is_known = ~np.isnan(values)
        framed_values = self._resize(np.where(is_known, values, np.float32(0)))
        return np.where(self.frame_mask(is_known), framed_values, np.float32(np.nan))

    def fitted_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of what a method sees of a picture of this height and width."""
        height, width = size
        if self.size == "resize":
            return DPDNET_SIZE
        if self.size == "crop":
            return height - height % self.multiple, width - width % self.multiple
        return height + -height % self.multiple, width + -width % self.multiple

    def _fit_picture(self, picture: Picture) -> Picture:
        return self._reorder_channels(self._resize(picture))

    def _reorder_channels(self, picture: Picture) -> Picture:
        if self.order == "rgb":
            return picture
        # Contiguous, because torch takes no negative strides.
        return np.ascontiguousarray(picture[..., ::-1])

    def _resize(self, array: Float32Array) -> Float32Array:
        height, width = self.fitted_size((array.shape[0], array.shape[1]))
        if self.size == "resize":
            return _resize_like_dpdnet(array)
        if self.size == "crop":
            return _crop_bottom_right(array, height, width)
        if self.size == "pad-black":
            return _pad_with_black(array, height, width)
        return _pad_by_mirror(array, height, width)  # native: there is nothing to pad

    def _resize_map(self, blur_map: Map) -> Map:
        new_map = self._resize(blur_map)
        if self.size != "resize":
            return new_map
        return new_map * np.float32(math.sqrt(new_map.size / blur_map.size))


def _check_choice(value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"a track has {', '.join(choices)}, not {value!r}")


def _parse_track(text: str) -> Track | None:
    match = _ID.fullmatch(text)
    if match is None:
        return None
    depth, name, multiple, fill, order = match.groups()
    size = "-".join(part for part in (name, fill) if part) or "native"
    try:
        return Track(
            cast("TrackDepth", depth),
            cast("TrackSize", size),
            int(multiple or 1),
            cast("ChannelOrder", order or "rgb"),
        )
    except ValueError:
        return None


def _truncate_to_8_bits(picture: Picture) -> Picture:
    """Return the 8-bit reading of a 16-bit picture; the integers are recovered exactly from their
    float32 quotients.
    """
    levels = np.rint(np.clip(picture, 0, 1).astype(np.float64) * 65535).astype(np.uint16)
    return ((levels >> 8) / 255).astype(np.float32)


def _crop_bottom_right(array: Float32Array, height: int, width: int) -> Float32Array:
    if 0 in (height, width):
        raise ValueError(f"cropping leaves nothing of a {array.shape[1]}x{array.shape[0]} picture")
    return np.ascontiguousarray(array[:height, :width])


def _pad_with_black(array: Float32Array, height: int, width: int) -> Float32Array:
    rows = height - array.shape[0]
    columns = width - array.shape[1]
    if rows == columns == 0:
        return array
    margins = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    return np.pad(array, margins + [(0, 0)] * (array.ndim - 2))


def _pad_by_mirror(array: Float32Array, height: int, width: int) -> Float32Array:
    rows = height - array.shape[0]
    columns = width - array.shape[1]
    if rows == columns == 0:
        return array
    margins = [(0, rows), (0, columns)] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, margins, mode="reflect")


def _resize_like_dpdnet(array: Float32Array) -> Float32Array:
    import cv2

    height, width = DPDNET_SIZE
    if array.shape[0] > array.shape[1]:
        array = np.ascontiguousarray(np.rot90(array))
    landscape = cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(landscape, dtype=np.float32)
