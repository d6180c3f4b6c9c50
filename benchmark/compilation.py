"""Loops over arrays that numba compiles, and keeps for the next process where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_function(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return a function compiled at its first call, which runs without Python's lock.

    What is compiled is kept beside the source or in the user's cache folder. Where neither can be
    written (a suite on read-only media, a user without a home) it is compiled in every process.

    Args:
        function: of arrays and numbers.
        options: of `numba.njit`.
    """
    import numba

    try:
        compiled = numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        compiled = numba.njit(nogil=True, **options)(function)
    result: Callable[..., Any] = compiled
    return result
