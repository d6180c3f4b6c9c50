"""`python -m benchmark`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_OURS = ("methods", "datasets", "reports")


def wrong_packages() -> dict[str, str]:
    """Return our top-level packages that Python would import from somewhere else -> from where.

    `datasets` is also the name of a package on PyPI; when both are installed, the one found first wins.
    """
    home = Path(__file__).resolve().parent.parent
    found = {name: importlib.util.find_spec(name) for name in _OURS}
    places = {name: str(spec.origin) if spec else "nowhere" for name, spec in found.items()}
    return {name: place for name, place in places.items() if not Path(place).resolve().is_relative_to(home / name)}


def main() -> None:
    """Run the command line."""
    for name, place in wrong_packages().items():
        sys.stderr.write(
            f"error: `import {name}` finds {place}, not the package of this suite. Run `python -m benchmark` from the "
            f"root of the checkout, or use an environment without the other {name!r}.\n"
        )
        sys.exit(2)
    from benchmark.cli import app_main

    app_main()


if __name__ == "__main__":
    main()
