"""The command line: the composition root, the only part of the harness that may reach `reports` and
training.

A module holds the commands of one topic; `options` what they share; `app` the application.
Everything heavy (torch, pandas, scipy) is imported inside the commands, so `--help` is immediate.
"""

# The order of these imports is the order of the commands in --help.
# isort: off
from benchmark.cli import running, reporting, comparing, studies, networks, pictures, checking

# isort: on
from benchmark.cli.app import app, app_main

__all__ = [
    "app",
    "app_main",
    "checking",
    "comparing",
    "networks",
    "pictures",
    "reporting",
    "running",
    "studies",
]
