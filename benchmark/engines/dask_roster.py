"""The workers of a Dask scheduler that take part in a command: found, inspected, enlisted, lost."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Future

from benchmark import console
from benchmark.apply import describe_error
from benchmark.engines.dask_admission import Inspection, Parcel, Requirements, inspect_worker
from benchmark.engines.dask_worker import Order, end_command, enlist_worker
from benchmark.results.notes import count_noun
from benchmark.worker import RunSettings
from benchmark.worker_pool import WorkerStartError

_DISMISS_SECONDS = 5.0
_LOOK_SECONDS = 1.0
"""How often it is looked who has come and gone."""
_RETURN_SECONDS = 60.0
"""How long a worker that was lost may take to start anew, where all others are refused."""


@dataclass(slots=True)
class _Member:
    """A worker.

    Attributes:
        threads: how many tasks Dask gives it at a time.
        pending: the inspection or enlistment it is asked for; None when it was answered.
        inspection: what was seen there.
        order: what it is enlisted with.
        slots: how many packets it does at a time; 0 before it is enlisted.
        refusal: why it takes no part, if so.
    """

    threads: int
    pending: Future[Any] | None
    inspection: Inspection | None = None
    order: Order | None = None
    slots: int = 0
    refusal: str | None = None


class Roster:
    """Keeps track of the workers of a scheduler for one command."""

    def __init__(
        self,
        client: Client,
        command: str,
        requirements: Requirements,
        settings: RunSettings,
        timeout: float | None,
    ) -> None:
        """Begin with no worker; `update` looks for them.

        Args:
            client: connected to the scheduler.
            command: what tells it from other commands.
            requirements: what workers must have.
            settings, timeout: what they are started with.
        """
        self._client = client
        self._command = command
        self._requirements = requirements
        self._settings = settings
        self._timeout = timeout
        self._members: dict[str, _Member] = {}
        self._next_look = 0.0
        self._is_waiting = False
        self._last_loss = -math.inf
        self._has_told_travel = False

    def update(self) -> None:
        """Look who has come and gone, and go on with those who were asked something.

        Raises:
            WorkerStartError: all workers that there are were refused, and none was lost a short
                time ago, which may start anew.
        """
        now = time.monotonic()
        if now >= self._next_look:
            self._look_around()
            self._next_look = now + _LOOK_SECONDS
        self._read_inspections()
        self._read_enlistments()
        refusals = Counter(member.refusal for member in self._members.values())
        if refusals and None not in refusals and now >= self._last_loss + _RETURN_SECONDS:
            reasons = (
                f"{reason} ({count_noun(count, 'worker')})" for reason, count in refusals.items()
            )
            raise WorkerStartError(
                f"no Dask worker may take part: {'; '.join(reasons)}. What was finished is kept, "
                "and the same command does the rest"
            )

    def list_ready(self) -> frozenset[str]:
        """Return the addresses of the workers that may be given packets."""
        return frozenset(address for address, member in self._members.items() if member.slots)

    def count_slots(self) -> int:
        """Return how many packets they do at a time."""
        return sum(member.slots for member in self._members.values())

    def shares_folder(self) -> bool:
        """Return whether all of them see the run folder."""
        inspections = [member.inspection for member in self._members.values() if member.slots]
        return all(
            inspection is not None and inspection.shares_folder for inspection in inspections
        )

    def list_futures(self) -> list[Future[Any]]:
        """Return what workers were asked and have not answered."""
        futures = (member.pending for member in self._members.values())
        return [future for future in futures if future is not None]

    def refuse(self, address: str, reason: str) -> None:
        """Give a worker nothing any more, and say why."""
        member = self._members.get(address)
        if member is None or member.refusal is not None:
            return
        member.refusal = reason
        member.slots = 0
        member.order = None
        console.print_note(f"Dask worker {address} is refused: {reason}")

    def forget(self, address: str) -> None:
        """Treat a worker that has started anew as one that has just come."""
        self._members.pop(address, None)
        self._last_loss = time.monotonic()
        self._next_look = 0.0

    def dismiss(self) -> None:
        """Let the workers end what they do for the command and remove its files."""
        if self._members:
            thread = threading.Thread(target=self._end_command, daemon=True)
            thread.start()
            thread.join(_DISMISS_SECONDS)  # a worker that does not answer is not waited for

    def _end_command(self) -> None:
        addresses = list(self._members)
        with contextlib.suppress(Exception):  # workers that went away meanwhile
            self._client.run(end_command, self._command, workers=addresses, on_error="ignore")

    def _look_around(self) -> None:
        threads_of_address = self._client.nthreads()
        for address in self._members.keys() - threads_of_address.keys():
            self._lose(address)
        for address, threads in threads_of_address.items():
            if address not in self._members:
                future = self._ask(address, inspect_worker, self._requirements)
                self._members[address] = _Member(threads, future)
        if not self._members and not self._is_waiting:
            console.print_note(
                "waiting for workers: the Dask scheduler has none; `dask worker` starts one"
            )
        self._is_waiting = not self._members

    def _lose(self, address: str) -> None:
        member = self._members.pop(address)
        if member.pending is not None:
            member.pending.cancel()
        if member.refusal is not None:
            return
        self._last_loss = time.monotonic()
        if self._members and all(other.refusal for other in self._members.values()):
            console.print_note(
                f"Dask worker {address} is gone and all others are refused: waiting "
                f"{_RETURN_SECONDS:g} s for one that may take part"
            )

    def _ask(self, address: str, question: Any, *arguments: object) -> Future[Any]:
        return self._client.submit(
            question, *arguments, workers=[address], allow_other_workers=False, pure=False
        )

    def _read_inspections(self) -> None:
        """Enlist those that were inspected, all at once, so that they share out what they have."""
        inspected_members = self._select_answered(is_inspected=False)
        for address, member in inspected_members.items():
            assert member.pending is not None
            error = member.pending.exception()
            if error is not None:
                self.refuse(address, f"it cannot be inspected: {describe_error(error)}")
            else:
                self._note_inspection(address, member, member.pending.result())
            member.pending = None
        for address, member in inspected_members.items():
            if member.refusal is None and member.inspection is not None:
                self._enlist(address, member, member.inspection)

    def _select_answered(self, *, is_inspected: bool) -> dict[str, _Member]:
        return {
            address: member
            for address, member in self._members.items()
            if member.pending is not None
            and member.pending.done()
            and (member.inspection is not None) == is_inspected
        }

    def _note_inspection(self, address: str, member: _Member, inspection: Inspection) -> None:
        member.inspection = inspection
        if inspection.refusal is not None:
            self.refuse(address, inspection.refusal)
        elif inspection.differences is not None:
            console.print_note(
                f"Dask worker {address} differs, which its results record: {inspection.differences}"
            )
        if not inspection.shares_folder and self._settings.save and not self._has_told_travel:
            self._has_told_travel = True
            console.print_note("Dask workers do not see the run folder, so outputs travel here")

    def _enlist(self, address: str, member: _Member, inspection: Inspection) -> None:
        gpus = self._choose_gpus(address, member, inspection)
        if self._requirements.uses_gpus and inspection.gpus and not gpus:
            self.refuse(address, "other workers of its machine use its GPUs")
            return
        slots = min(member.threads, len(gpus)) if gpus else member.threads
        settings = self._share_settings(address, member, inspection)
        parcels = self._requirements.parcels
        order = Order(
            settings=settings,
            timeout=self._timeout,
            shares_folder=inspection.shares_folder,
            parcels=parcels,
            contents={n: _read_parcel(parcels[n]) for n in inspection.missing_parcels},
            slots=slots,
            gpus=gpus,
        )
        member.pending = self._ask(address, enlist_worker, self._command, order)
        member.order = order

    def _choose_gpus(self, address: str, member: _Member, inspection: Inspection) -> list[str]:
        """Return GPUs for a worker that no other worker of its machine has."""
        taken_gpus = {
            gpu
            for neighbour in self._list_neighbours(address)
            if neighbour.order is not None
            for gpu in neighbour.order.gpus
        }
        free_gpus = [gpu for gpu in inspection.gpus if gpu not in taken_gpus]
        return free_gpus[: member.threads]

    def _share_settings(self, address: str, member: _Member, inspection: Inspection) -> RunSettings:
        """Return the settings with the share of the processors that one task of a worker has."""
        tasks = member.threads
        for neighbour in self._list_neighbours(address):
            # One that was not inspected yet has the same processors, as far as one can tell.
            other = neighbour.inspection or inspection
            if neighbour.refusal is None and other.cores & inspection.cores:
                tasks += neighbour.threads
        return dataclasses.replace(self._settings, threads=max(1, len(inspection.cores) // tasks))

    def _list_neighbours(self, address: str) -> list[_Member]:
        """Return the other workers of a worker's machine."""
        host = urlsplit(address).hostname
        return [
            member
            for other, member in self._members.items()
            if other != address and urlsplit(other).hostname == host
        ]

    def _read_enlistments(self) -> None:
        for address, member in self._select_answered(is_inspected=True).items():
            assert member.pending is not None
            error = member.pending.exception()
            if error is not None:
                self.refuse(address, f"it cannot be made ready: {describe_error(error)}")
            elif member.order is not None:
                member.slots = member.order.slots
            member.pending = None


def _read_parcel(parcel: Parcel) -> dict[str, bytes]:
    """Return name below the file's folder -> content, of all that a parcel holds."""
    return {name: (parcel.path.parent / name).read_bytes() for name in parcel.digests}
