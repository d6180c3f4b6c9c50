"""The conditions study: how methods fare on pictures that were taken otherwise than those they
learned from.

The same sharp photographs, with the same scenes, are put out of focus under one condition after
the other: another tone curve, noise, JPEG, another radius, another PSF, nothing to restore. All
cells go into one run folder, so that an interrupted study goes on, and `benchmark.reports` reads it
as it reads any run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmark import console
from benchmark.api import UsageError
from benchmark.noise import Noise
from benchmark.running import RunRequest, run_methods


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """How pictures are taken.

    Attributes:
        name: for tables, unique.
        settings: parameters of the data set `simulated`, as in its id; empty for its defaults.
        noise: sigma on the 0-255 scale of the noise that the harness adds.
        enlargement: the photograph is cut smaller by this factor, and the picture enlarged by it
            at the end, so that it has the usual size.
    """

    name: str
    settings: str = ""
    noise: float = 0.0
    enlargement: int = 1

    @property
    def level(self) -> Noise:
        """The noise level."""
        return Noise(self.noise)


CONDITIONS: Final = (
    Condition("as trained"),
    Condition("S curve", "tone=smoothstep"),
    Condition("blur in code values", "light=srgb"),
    Condition("noise 1", noise=1),
    Condition("noise 2", noise=2),
    Condition("noise 5", noise=5),
    Condition("correlated noise 2", "grain=2"),
    Condition("JPEG 95", "jpeg=95"),
    Condition("JPEG 80", "jpeg=80"),
    Condition("radius 4", "max_radius=4"),
    Condition("radius 15", "max_radius=15"),
    Condition("Gaussian", "psf=gaussian"),
    Condition("polygon", "psf=polygon"),
    Condition("ray-traced lens", "psf=pentax-q"),
    Condition("enlarged x2", "max_radius=0", enlargement=2),
    Condition("sharp", "max_radius=0"),
)
"""`as trained` is what `gkmnet.sim` learned from: disks of a radius up to 8 pixels in linear light,
the sRGB curve, 8 bits. The ray-traced lens is one that nothing was trained on.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Photographs:
    """The sharp photographs of a study.

    Attributes:
        source: their folder.
        size: side in pixels of what is taken from the middle of each.
        seed: of the scenes that are invented for them.
    """

    source: Path
    size: int = 256
    seed: int = 0

    def name_dataset(self, condition: Condition) -> str:
        """Return the id of the data set that a condition makes of them."""
        size = self.size // condition.enlargement
        parts = [f"source={self.source}", f"size={size}", f"seed={self.seed}"]
        if condition.settings:
            parts.append(condition.settings)
        if condition.enlargement != 1:
            parts.append(f"scale={condition.enlargement}")
        return f"simulated:{','.join(parts)}"


@dataclasses.dataclass(frozen=True, slots=True)
class ConditionRun:
    """Where the run folder of a study holds a condition.

    Attributes:
        condition: what was measured.
        dataset: canonical id of its data set.
        methods: canonical ids of the methods, in the order they were named.
    """

    condition: Condition
    dataset: str
    methods: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class StudyRun:
    """A study, complete.

    Attributes:
        conditions: in the order of the study.
        failures: cells and scores that failed.
    """

    conditions: tuple[ConditionRun, ...]
    failures: int


def choose_conditions(names: Sequence[str]) -> tuple[Condition, ...]:
    """Return the conditions of these names, in the order of the study; of no names, all.

    Raises:
        UsageError: for a name that no condition has.
    """
    names_of_study = [condition.name for condition in CONDITIONS]
    for name in names:
        if name not in names_of_study:
            raise UsageError(
                f"no condition is called {name!r}; there are {', '.join(names_of_study)}"
            )
    return tuple(condition for condition in CONDITIONS if not names or condition.name in names)


def measure_conditions(
    request: RunRequest, photographs: Photographs, conditions: Sequence[Condition]
) -> StudyRun:
    """Run and score what a run folder still lacks of the conditions.

    Args:
        request: methods, protocols, folder, number of pictures and machine; its data set and noise
            levels are those of each condition in turn.
        photographs: what pictures are made of.
        conditions: those to measure.

    Raises:
        UsageError, DataError: as `benchmark.running.run_methods`.
    """
    conditions_of_datasets: dict[str, list[Condition]] = {}
    for condition in conditions:
        dataset = photographs.name_dataset(condition)
        conditions_of_datasets.setdefault(dataset, []).append(condition)
    places: dict[str, ConditionRun] = {}
    failures = 0
    for dataset, group in conditions_of_datasets.items():
        console.print_note(", ".join(condition.name for condition in group))
        noises = tuple(condition.level for condition in group)
        run = run_methods(dataclasses.replace(request, dataset=dataset, noises=noises))
        failures += run.failures
        for condition in group:
            places[condition.name] = ConditionRun(condition, run.dataset, run.methods)
    in_order = tuple(places[condition.name] for condition in conditions)
    return StudyRun(in_order, failures)
