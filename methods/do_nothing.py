"""The floor of every table: the defocused picture itself."""

from __future__ import annotations

from benchmark.api import Method, MethodCard, Observation, Picture


class DoNothing(Method):
    """Return the picture as it came."""

    card = MethodCard(
        title="Input",
        family="baseline",
        reimplementation=False,
        notes="The defocused picture, unchanged: a method that scores below this row does harm.",
    )

    def restore(self, observation: Observation) -> Picture:
        return observation.image.copy()
