"""Runs one exported program for the process that wrote it: a script of its own, which knows nothing of Recurra.

`python torch_worker.py FILE SHA256 OPERATORS`: loads FILE if its bytes have this hash, then answers messages on
standard input with messages on standard output: a letter, the length in eight bytes, and that many bytes. "N" is
a NumPy archive of named arrays in or out, "J" a JSON object: what was loaded at first, and any error.
OPERATORS: the module whose `register_operators()` is called first, or nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import sys
from typing import Any, BinaryIO


def main(file: str, sha256: str, operators: str) -> None:
    """Load the program and serve it until the input ends."""
    # Nothing that a library prints may come between two messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        program = loaded(file, sha256, operators)
        send(out, b"J", json.dumps({"recurra": "recurra" in sys.modules}).encode())
        serve(program, sys.stdin.buffer, out)
    except Exception as error:
        told = str(error).strip() or type(error).__name__
        send(out, b"J", json.dumps({"error": told.splitlines()[0]}).encode())


def loaded(file: str, sha256: str, operators: str) -> Any:
    """The program in a file whose bytes have this hash."""
    with open(file, "rb") as opened:
        data = opened.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("the file is not the one that was written")
    import torch

    torch.set_num_threads(1)
    if operators:
        importlib.import_module(operators).register_operators()
    return torch.export.load(io.BytesIO(data)).module()


def serve(program: Any, source: BinaryIO, out: BinaryIO) -> None:
    """Answer one archive of inputs after the other."""
    import numpy as np
    import torch

    while header := source.read(9):
        given = np.load(io.BytesIO(source.read(int.from_bytes(header[1:], "little"))), allow_pickle=False)
        with torch.no_grad():
            found = program({name: torch.from_numpy(given[name]) for name in given.files})
        made = io.BytesIO()
        np.savez(made, **{name: value.numpy() for name, value in found.items()})
        send(out, b"N", made.getvalue())


def send(out: BinaryIO, kind: bytes, data: bytes) -> None:
    """Write one message."""
    out.write(kind + len(data).to_bytes(8, "little") + data)
    out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
