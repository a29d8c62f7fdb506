"""The command line: one file per verb, each loading what it needs inside its function."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; every error is one clear line and the exit code that `recurra.errors` names."""
    if sys.argv[1:2] in (["predict"], ["stream"]):
        # NumPy's BLAS starts threads that spin when it is loaded, and these verbs have no use for it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from recurra.cli.app import run

    sys.exit(run(sys.argv[1:]))
