"""The former place of what checks imported weights, for importers outside the suite.

It is `benchmark.checkpoint_import.fit_entries` now.
"""

from benchmark.checkpoint_import import fit_entries as fitted

__all__ = ["fitted"]
