"""`python -m benchmark`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from benchmark.cli import app_main

    app_main()


if __name__ == "__main__":
    main()
