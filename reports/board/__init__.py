"""The board: results of many as one site, a single file that opens from disk and needs no
network.
"""

from benchmark.reports.board.site import write_board

__all__ = ["write_board"]
