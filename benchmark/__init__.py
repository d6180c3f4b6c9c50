"""The reference benchmark for single-image defocus deblurring.

    import benchmark

    method = benchmark.load_method("gkmnet.sim")
    sharp = method.restore(picture)
    scores = benchmark.evaluate(sharp, target)
    results = benchmark.run(methods="input,unsharp", dataset="simulated")

Plug-in authors need `benchmark.api` and `benchmark.registry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.version import __version__

if TYPE_CHECKING:
    from benchmark.python_interface import evaluate, load_dataset, load_method, run, verify
    from benchmark.results import read_results

__all__ = [
    "__version__",
    "evaluate",
    "load_dataset",
    "load_method",
    "read_results",
    "run",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import the front door when it is used, so that `import benchmark` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    from benchmark import python_interface, results

    return getattr(results if name == "read_results" else python_interface, name)
