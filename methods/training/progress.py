"""What a person sees of a training: a bar with the remaining time, or plain lines where there is no
terminal.
"""

from __future__ import annotations

import time
from fractions import Fraction
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from benchmark import console

_PLAIN_LINE_EVERY = 30.0
"""Seconds between lines when the output is not a terminal."""


class Reporter:
    """Shows how far a training is, as a context manager."""

    def __init__(self, name: str, begun: Fraction, shown: bool) -> None:
        """Make it for a training that this session takes up at progress `begun`; unless `shown`, it
        shows nothing.
        """
        self._name, self._begun, self._shown = name, begun, shown
        self._started = self._spoken = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        self._bar = Progress(
            *columns, console=console.err, disable=not (shown and console.err.is_terminal)
        )
        self._task = self._bar.add_task(name, total=1.0, facts="")
        self._bar.update(self._task, completed=float(begun))

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: Fraction, facts: str) -> None:
        """Show the progress in [0, 1] and a line of facts."""
        now = time.monotonic()
        left = f"about {remaining(now - self._started, self._begun, progress)} left"
        self._bar.update(self._task, completed=float(progress), facts=f"{facts}, {left}")
        plain = self._shown and not console.err.is_terminal
        if plain and (progress >= 1 or now - self._spoken > _PLAIN_LINE_EVERY):
            self._spoken = now
            console.print_note(f"{self._name}: {100 * float(progress):.1f} %, {facts}, {left}")


def remaining(seconds: float, begun: Fraction, progress: Fraction) -> str:
    """Return the time that is left, for people, when so many seconds took a training from `begun`
    to `progress`.
    """
    done = float(progress - begun)
    left = seconds * max(0.0, 1 - float(progress)) / done if done > 0 else 0.0
    return (
        f"{left:.0f} s"
        if left < 100
        else f"{left / 60:.0f} min"
        if left < 6000
        else f"{left / 3600:.1f} h"
    )
