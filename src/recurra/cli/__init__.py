"""The command line: one file per verb, each loading what it needs inside its function."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every error is one clear line and the exit code that `recurra.errors` names."""
    from recurra.cli.app import run

    sys.exit(run(sys.argv[1:]))
