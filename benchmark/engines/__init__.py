"""Where the work of a command is done: in processes of this machine, or on workers of Dask.

A command asks an engine to do some work on many items, for example on the tasks of a run, and takes
the results as they come. It alone writes the run's store, whatever the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure


class WorkItem(Protocol):
    """What work is done on; it and the result travel between processes."""

    @property
    def kind(self) -> str:
        """What may be to blame when its process dies, for example the method."""
        ...

    @property
    def picture(self) -> str:
        """Fingerprint of the picture it needs, as items of one picture travel together."""
        ...


Item = TypeVar("Item", bound=WorkItem)
Result = TypeVar("Result")


class Engine(Protocol):
    """Does work on items in other processes."""

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        settings: RunSettings,
        *,
        timeout: float | None = None,
    ) -> Generator[tuple[Item, Result | Failure]]:
        """Do some work on each item and yield it with the result, as they come.

        An item whose process dies is tried once more, after those of other kinds.

        Args:
            work: a function of a module, called with one item.
            items: on what.
            settings: every process is started with them.
            timeout: seconds an item may take; its process is ended, also inside a compiled library.

        Raises:
            WorkerStartError: processes cannot start, for example as a plug-in fails there.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Return what the provenance of a command says of it, JSON-ready."""
        ...

    def describe_processes(
        self, items: Sequence[WorkItem], settings: RunSettings
    ) -> dict[str, object]:
        """Return how many processes do these items, and how many threads each of them has,
        JSON-ready; empty where that is not known beforehand.
        """
        ...


__all__ = ["Engine", "WorkItem"]
