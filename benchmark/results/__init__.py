"""What runs found: one reader of run folders and exported scores, below all reports.

`read_results` opens; `Results` holds; a `Selection` is one data set of them. Summaries and paired
comparisons are made from selections.
"""

from benchmark.results.results import Results, read_results, results_of

__all__ = ["Results", "read_results", "results_of"]
