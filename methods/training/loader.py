"""Batches for the network: which example is in which step, and workers that make them ahead of
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.api import DataError, Picture
from benchmark.methods.training import pictures
from benchmark.methods.training.recipes import Phase, Position, Recipe
from benchmark.programs import end_with_parent

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.methods.learned.method import MapCode
    from benchmark.methods.training.examples import Example, Examples

ExampleKey = tuple[int, int]
"""Side of the crop and index of an example."""
NetworkPair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""C x H x W as a network takes it, and what it should make of it: the sharp 3 x H x W, or the blur
map as it writes it, 1 x H x W.
"""


class NetworkExamples:
    """All examples at all sizes of crops as a network takes them, by key; torch takes it for a data
    set, and pickles it to workers.
    """

    def __init__(
        self,
        make_examples: Callable[[int], Examples],
        views: bool,
        map_code: MapCode | None = None,
    ) -> None:
        """Make it from a function that returns the examples at a crop.

        Args:
            make_examples: see above.
            views: whether the network is fed dual-pixel views.
            map_code: how it writes the blur map that it makes, None if it makes the sharp picture.
        """
        self._make_examples = make_examples
        self.views = views
        self.map_code = map_code
        self._by_crop: dict[int, Examples] = {}

    def with_crop(self, crop: int) -> Examples:
        """Return the examples at a size of crops, made once."""
        if crop not in self._by_crop:
            self._by_crop[crop] = self._make_examples(crop)
        return self._by_crop[crop]

    def __getitem__(self, key: ExampleKey) -> NetworkPair:
        """Return one example for the network."""
        crop, index = key
        return network_pair(self.with_crop(crop).example(index), self.views, self.map_code)

    def pictures(self, crop: int, count: int) -> Tensor:
        """Return the first examples as a network takes them, count x C x crop x crop."""
        import torch

        return torch.from_numpy(np.stack([self[crop, index][0] for index in range(count)]))


def network_pair(example: Example, views: bool, map_code: MapCode | None = None) -> NetworkPair:
    """Return an example as a network takes it: the picture, or the left and the right view (6
    channels), and the sharp picture or the blur map.

    Raises:
        DataError: if views or a blur map are needed and there are none.
    """
    inputs = _join_views(example) if views else example.blurred
    target = example.sharp if map_code is None else _write_map(example, map_code)
    return _channels_first(inputs), _channels_first(target)


def _join_views(example: Example) -> Picture:
    if example.views is None:
        raise DataError(
            "the training pictures have no dual-pixel views, but the network takes nothing else"
        )
    return np.concatenate(example.views, axis=2)


def _write_map(example: Example, map_code: MapCode) -> NDArray[np.float32]:
    if example.blur_map is None:
        raise DataError(
            "the blur maps of the training pictures are not known, but the network learns nothing "
            "else"
        )
    return map_code.encode(example.blur_map)[..., None]


def _channels_first(picture: Picture) -> NDArray[np.float32]:
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which batch comes when: a function of the position alone, so a resumed training goes on with
    the next one.

    Attributes:
        recipe: with its budget.
        epoch_steps: steps of an epoch, for a budget in epochs.
        rank, world: which process of how many this is; each makes its own part of a batch.
    """

    recipe: Recipe
    epoch_steps: int
    rank: int = 0
    world: int = 1

    def progress(self, position: Position) -> Fraction:
        """Return what part of the budget is used at a position."""
        return position.progress(self.recipe.budget, self.epoch_steps)

    def phase(self, position: Position) -> Phase | None:
        """Return the phase at a position, None when the budget is used up."""
        progress = self.progress(position)
        if progress >= 1:
            return None
        return self.recipe.phase(progress)

    def batches(self, position: Position, clock: Callable[[], float]) -> Iterator[list[ExampleKey]]:
        """Yield the keys of every batch from a position on; `clock` gives the seconds of the
        training so far.
        """
        while phase := self.phase(position):
            part = phase.batch // self.world
            first = position.examples + self.rank * part
            yield [(phase.crop, index) for index in range(first, first + part)]
            position = position.after(phase.batch, phase.pixels, clock())


def _set_up_worker(workers: int, _: int) -> None:
    """Keep a worker to one thread, as torch does with itself, and to its part of the memory; let it
    end with the training at once, where torch looks every five seconds.
    """
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)
    pictures.share_memory(workers)


def load_batches(
    examples: NetworkExamples, batches: Iterator[list[ExampleKey]], workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the batches as pairs of N x C x H x W and N x D x H x W, in order, made by so many
    processes (0: here).

    Raises:
        DataError: if an example cannot be made, or a process that makes them ends.
    """
    from torch.utils.data import DataLoader

    process_options: dict[str, Any] = {}
    if workers:
        process_options["multiprocessing_context"] = "spawn"  # forks with threads can hang
        process_options["prefetch_factor"] = 4
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        examples,  # type: ignore[arg-type]  # all it needs is __getitem__
        batch_sampler=batches,  # an iterator is enough for one pass
        num_workers=workers,
        worker_init_fn=partial(_set_up_worker, workers),
        **process_options,
    )
    try:
        with explain_lost_workers():
            yield from loader
    except DataError as error:  # torch puts a worker's traceback before the message
        raise DataError(str(error).rsplit("DataError: ", 1)[-1].strip()) from error


@contextmanager
def explain_lost_workers() -> Iterator[None]:
    """Turn what torch raises when a process that makes examples has ended into a DataError.

    A signal brings it, so it can come at any moment, and not only while a batch is waited for.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"a process that makes examples has ended ({str(error).splitlines()[0]}); the machine "
            "may lack memory: go on with --resume, with fewer --workers"
        ) from error
