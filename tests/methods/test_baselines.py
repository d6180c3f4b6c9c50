from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import unsharp_mask

from benchmark.api import Observation, UsageError
from benchmark.methods.do_nothing import DoNothing
from benchmark.methods.unsharp import UnsharpMask
from benchmark.registry import METHODS, create


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((21, 33, 3)).astype(np.float32)


def test_input_is_returned_as_a_copy() -> None:
    observation = Observation(image=_picture())
    restored = DoNothing().restore(observation)
    np.testing.assert_array_equal(restored, observation.image)
    restored[:] = 0  # its own memory, writable
    assert observation.image.max() > 0


def test_unsharp_equals_the_library_run_on_each_channel() -> None:
    image = _picture()
    restored = UnsharpMask(radius=1.7, amount=0.6).restore(Observation(image=image))
    for channel in range(3):
        expected = unsharp_mask(image[..., channel], radius=1.7, amount=0.6, preserve_range=True)
        np.testing.assert_allclose(restored[..., channel], expected, atol=1e-6)
    assert restored.dtype == np.float32


def test_unsharp_keeps_values_beyond_the_range() -> None:
    step = np.zeros((9, 20, 3), np.float32)
    step[:, 10:] = 1
    restored = UnsharpMask().restore(Observation(image=step))
    assert restored.min() < -0.1 and restored.max() > 1.1


def test_unsharp_without_amount_is_the_input() -> None:
    image = _picture()
    np.testing.assert_array_equal(UnsharpMask(amount=0).restore(Observation(image=image)), image)


@pytest.mark.parametrize("text", ["unsharp:radius=0", "unsharp:amount=-1", "unsharp:radius=wide"])
def test_unsharp_refuses_bad_parameters(text: str) -> None:
    with pytest.raises(UsageError, match="unsharp"):
        create(METHODS, text)
