"""Parts of a picture on several threads, each on one of those that torch would use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_on_threads(function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield `function(part)` of each part in order, as many at a time as torch would use threads.

    That is faster than every layer on all threads: they wait for each other once a part, not once a
    layer, and each finds its part in its own cache.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(function, parts)
        return
    inference_mode = torch.is_inference_mode_enabled()
    autocast = torch.is_autocast_enabled("cpu")
    autocast_type = torch.get_autocast_dtype("cpu")

    def apply(part: Part) -> Result:
        # The modes are each thread's own.
        with (
            torch.inference_mode(inference_mode),
            torch.no_grad(),
            torch.autocast("cpu", autocast_type, enabled=autocast),
        ):
            return function(part)

    yield from _start_threads(threads).map(apply, parts)


@lru_cache(maxsize=1)
def _start_threads(threads: int) -> ThreadPoolExecutor:
    """Return a pool of so many threads, on each of which torch uses that one alone."""
    barrier = Barrier(threads)

    def use_one_thread() -> None:
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(threads, "parts", initializer=use_one_thread)
    list(pool.map(lambda _: None, range(threads)))
    # The number is a thread's own, but the one that new threads begin with is not.
    torch.set_num_threads(threads)
    return pool
