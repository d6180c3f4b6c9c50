"""From what a method sees to what weights expect, and back: views, order, range, portraits.

`benchmark.api.ExpectedInputs` says what is expected. Pictures are H x W x C float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.api import ChannelOrder, ExpectedInputs, Observation


def join_views(observation: Observation, expects: ExpectedInputs) -> NDArray[np.float32]:
    """Return the pictures that are expected, joined along the channels: H x W x 3n."""
    if not expects.views:
        return observation.image
    pictures = {"combined": observation.image}
    if observation.views is not None:
        pictures["left"], pictures["right"] = observation.views
    return np.concatenate([pictures[name] for name in expects.views], axis=2)


def encode(
    inputs: NDArray[np.float32], expects: ExpectedInputs, order: ChannelOrder
) -> NDArray[np.float32]:
    """Return H x W x 3n of [0, 1] in the order and the range that are expected.

    Args:
        inputs: pictures joined along the channels.
        expects: see the module.
        order: order of the channels of each picture.
    """
    inputs = _change_order(inputs, expects, order)
    if expects.value_range == "[-1, 1]":
        return np.multiply(inputs, 2, dtype=np.float32) - np.float32(1)
    return inputs


def decode(
    output: NDArray[np.float32], expects: ExpectedInputs, order: ChannelOrder
) -> NDArray[np.float32]:
    """Return a picture as a network gives it, H x W x 3, in [0, 1] and in the order given."""
    if expects.value_range == "[-1, 1]":
        output = np.multiply(output + np.float32(1), 0.5, dtype=np.float32)
    return _change_order(output, expects, order)


def is_turned(size: tuple[int, int], expects: ExpectedInputs) -> bool:
    """Return whether a picture of this height and width is fed turned."""
    height, width = size
    return expects.turns_portraits and height > width


def turn_counter_clockwise(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture turned by 90 degrees."""
    return np.rot90(picture)


def turn_clockwise(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture turned back."""
    return np.rot90(picture, -1)


def _change_order(
    pictures: NDArray[np.float32], expects: ExpectedInputs, order: ChannelOrder
) -> NDArray[np.float32]:
    """Return pictures in the other order if that one is expected; the change is its own inverse."""
    if expects.order in (None, order):
        return pictures
    by_picture = pictures.reshape(*pictures.shape[:2], -1, 3)
    return np.ascontiguousarray(by_picture[..., ::-1]).reshape(pictures.shape)
