"""The unit of statistics: a scene, not a picture.

Pictures of one scene are alike, so what they say is not independent, and intervals and tests over
them would be too sure. Each scene therefore enters once, with the mean over its pictures. Where
every picture shows a scene of its own, nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    FrameT = TypeVar("FrameT", pd.DataFrame, "pd.Series[float]")


def average_scenes(scores: FrameT, scenes: Mapping[str, str]) -> FrameT:
    """Return the scores of scenes: for each the mean over its pictures.

    Args:
        scores: one row per picture, which its index names.
        scenes: picture -> scene, for these pictures at least.
    """
    scene_of_row = [scenes[str(picture)] for picture in scores.index]
    return scores.groupby(scene_of_row, sort=False).mean()
