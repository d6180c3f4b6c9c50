"""The comparison page: tables that lead to the pictures behind every number, in one folder that
needs no network.
"""

from benchmark.reports.page.builder import PageOptions, measure_page_size, write_comparison_page

__all__ = ["PageOptions", "measure_page_size", "write_comparison_page"]
