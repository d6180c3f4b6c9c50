"""A plug-in file for the tests: methods that do harm to the process they run in."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any, Literal

import numpy as np

from benchmark.api import Method, MethodCard, Observation, Picture
from benchmark.registry import METHODS


class Despair(BaseException):
    """Nothing that `except Exception` catches."""


class Unspeakable(Exception):
    """Its message cannot be read."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


@METHODS.register("hostile")
class Hostile(Method):
    """Harms its process in a chosen way."""

    card = MethodCard(title="Hostile", family="baseline")

    def __init__(
        self,
        *,
        how: Literal[
            "leaves", "leaves-3", "killed", "interrupts", "exits", "despairs", "unspeakable", "nan",
            "hangs", "forks", "forks-and-leaves", "copies-itself", "leaves-a-program",
            "crashes", "wants-memory", "leaks", "prints", "hangs-in-prepare", "too-small", "grey",
            "doubles", "text", "nothing", "scribbles", "0-255", "-1-1",
        ],
    ) -> None:  # fmt: skip
        self.how = how
        self.leak: list[Picture] = []

    def prepare(self, device: str) -> None:
        if self.how == "hangs-in-prepare":
            time.sleep(1000)

    def restore(self, observation: Observation) -> Picture:  # noqa: C901 (one case per harm)
        match self.how:
            case "leaves":
                os._exit(0)
            case "leaves-3":
                os._exit(3)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupts":
                raise KeyboardInterrupt
            case "exits":
                sys.exit(5)
            case "despairs":
                raise Despair("no use")
            case "unspeakable":
                raise Unspeakable
            case "nan":
                return np.full_like(observation.image, np.nan)
            case "hangs":
                subprocess.Popen(["sleep", "1000"], start_new_session=True)
                time.sleep(1000)
            case "forks":
                _fork_sleeper()
            case "forks-and-leaves":
                _fork_sleeper()
                os._exit(4)
            case "copies-itself":
                os.fork()
            case "leaves-a-program":
                command = [
                    sys.executable,
                    "-c",
                    "import subprocess as s; s.Popen(['sleep','1000'])",
                ]
                subprocess.run(command, check=True, start_new_session=True)
            case "crashes":
                ctypes.string_at(0)
            case "wants-memory":
                return np.zeros((2**20, 2**20, 2**20), np.float32)
            case "leaks":
                self.leak.append(np.ones((20_000_000,), np.float32))
            case "prints":
                for _ in range(1000):
                    print("x" * 1_000_000)
            case "scribbles":
                observation.image[:] = 7
                return np.zeros_like(observation.image)
            case _:
                return _answer_wrongly(self.how, observation.image)
        return observation.image


def _answer_wrongly(how: str, image: Picture) -> Any:
    """Return what is no restored picture, or is one on another scale."""
    answers: dict[str, Any] = {
        "too-small": image[:-1],
        "grey": image[..., 0],
        "doubles": image.astype(np.float64),
        "text": "restored",
        "nothing": None,
        "0-255": 255 * image,
        "-1-1": 2 * image - 1,
    }
    return answers[how]


def _fork_sleeper() -> None:
    if os.fork() == 0:
        time.sleep(1000)
        os._exit(0)
