"""Every error that Recurra raises on purpose, in one tree.

RecurraError
├── InputError (ValueError)          something given is wrong: the message says what, where and what to do
│   ├── SpecError                    an option of a specification or of an estimator
│   ├── DataError                    a file, table or sequence
│   ├── KernelError                  an array handed to an operator
│   └── StateError                   a recurrent state that does not belong to this model
│       └── LostStreamError          no stream of this key is held: it was evicted, or never begun
├── NotFittedError (ValueError, AttributeError)   used before `fit` or `load`
├── MissingExtraError (ImportError)  an optional part is not installed; the message names the command
├── StorageError (OSError)           a folder could not be written or read
│   ├── LockedError                  another process works in this folder
│   └── BundleError                  a stored model that must not be loaded
│       ├── CorruptBundleError       a file is missing, changed or malformed
│       └── NewerBundleError         written by a later version of Recurra
├── ExportError (RuntimeError)       an exported graph does not answer as the model does; nothing was kept
└── TrainingError (RuntimeError)     training could not go on
    ├── DivergedError                losses or gradients stayed non-finite
    ├── MemoryBudgetError            the estimated or actual memory is more than there is
    └── Interrupted                  stopped by a signal, with the work saved

At the command line an `InputError`, a `MissingExtraError` and a `StorageError` are one line and exit code 2;
the others are one line and exit code 1 (`Interrupted`: 130 or 143).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class RecurraError(Exception):
    """Root of all errors that Recurra raises on purpose."""


class InputError(RecurraError, ValueError):
    """Something given is wrong; the message says which argument, what it must be, what it is, what to do."""


class SpecError(InputError):
    """An option of a specification or of an estimator is unknown, out of range or without effect."""


class DataError(InputError):
    """A file, table or sequence cannot be used as it is."""


class KernelError(InputError):
    """An array handed to an operator has the wrong shape, dtype or offsets."""


class StateError(InputError):
    """A recurrent state does not belong to this model."""


class LostStreamError(StateError):
    """No stream of this key is held: it was evicted, or never begun."""


class NotFittedError(RecurraError, ValueError, AttributeError):
    """An estimator was used before `fit` or `load`."""


class MissingExtraError(RecurraError, ImportError):
    """An optional part is not installed; the message names the command that installs it."""


class StorageError(RecurraError, OSError):
    """A folder could not be written or read."""


class LockedError(StorageError):
    """Another live process works in this folder."""


class BundleError(StorageError):
    """A stored model or checkpoint must not be loaded."""


class CorruptBundleError(BundleError):
    """A file of a stored model is missing, changed or malformed; the message names the file."""


class NewerBundleError(BundleError):
    """A stored model was written by a later version of Recurra than this one reads."""


class ExportError(RecurraError, RuntimeError):
    """An exported graph cannot be run, or does not answer as the model does; nothing was kept."""


class TrainingError(RecurraError, RuntimeError):
    """Training could not go on; `fitted` is what was learnt until then (`training.Fitted`), if anything."""

    fitted: Any = None


class DivergedError(TrainingError):
    """Losses or gradients stayed non-finite; the last good state was restored."""


class MemoryBudgetError(TrainingError):
    """The estimated or actual memory is more than there is."""


class Interrupted(TrainingError):  # noqa: N818 - it reports a request, not a fault
    """Training was stopped by a signal; the work is saved. `exit_code` is 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where a known name is close to `name`, else the known names."""
    names = [str(k) for k in known]
    from difflib import get_close_matches

    close = get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"; known are: {shown}" if names else ""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error for an optional package that `purpose` needs and that is not installed."""
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed; pip install 'recurra[{extra}]'"
    )
