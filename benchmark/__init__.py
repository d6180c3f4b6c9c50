"""The harness of defocus-bench.
Plug-in authors need only `benchmark.api` and `benchmark.registry`.
"""

__version__ = "0.2.0"
