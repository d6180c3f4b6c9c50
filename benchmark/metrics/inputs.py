"""What every metric asks of its two pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.arrays import Float64Array


def as_pair(
    output: NDArray[np.floating],
    target: NDArray[np.floating],
    at_least: int = 1,
    metric: str = "the metric",
) -> tuple[Float64Array, Float64Array]:
    """Return output and target in float64.

    Args:
        output, target: H x W x 3 on the [0, 1] scale, not necessarily clamped.
        at_least: smallest height and width that `metric` can work on.
        metric: name of the metric, for the message.

    Raises:
        ValueError: not H x W x 3, not floating point (a picture on the 0-255 scale would pass
            unseen otherwise), not finite, shapes that differ, or a picture below `at_least`.
    """
    _check_metric_input("output", output)
    _check_metric_input("target", target)
    if output.shape != target.shape:
        raise ValueError(f"output is {_format_size(output)}, but target is {_format_size(target)}")
    if min(output.shape[:2]) < at_least:
        raise ValueError(
            f"{metric} needs at least {at_least}x{at_least} pixels, the picture is "
            f"{_format_size(output)}"
        )
    return output.astype(np.float64), target.astype(np.float64)


def _check_metric_input(name: str, picture: NDArray[np.floating]) -> None:
    is_colour = picture.ndim == 3 and picture.shape[2] == 3
    if not is_colour or not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(
            f"{name}: expected H x W x 3 floating point, got shape {picture.shape} {picture.dtype}"
        )
    if not np.isfinite(picture).all():
        raise ValueError(f"{name}: holds NaN or infinite values")


def _format_size(picture: NDArray[np.floating]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
