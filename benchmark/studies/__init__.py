"""Studies: what is measured beside the quality of pictures.

`maps`, `convergence`, `psf`, `conditions` and `cost` each say what is measured; `benchmark.reports`
writes their tables and figures.
"""
