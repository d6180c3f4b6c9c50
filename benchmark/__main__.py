"""`python -m benchmark`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from benchmark.cli import app_main
    except KeyboardInterrupt:  # so early that nothing has begun
        sys.exit(130)
    app_main()


if __name__ == "__main__":
    main()
