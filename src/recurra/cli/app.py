"""The verbs in one application, and how errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from recurra.cli import (
    bench,
    compare,
    demo,
    doctor,
    ensemble,
    evaluate,
    explain,
    export,
    fit,
    generate,
    inspect,
    predict,
    quantize,
    runs,
    stream,
    tune,
    verify,
)
from recurra.cli.output import fail
from recurra.errors import InputError, Interrupted, MissingExtraError, RecurraError, StorageError

app = typer.Typer(
    name="recurra",
    help="Recurrent networks made practical: train, compare honestly, run anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    *(
        demo,
        inspect,
        fit,
        compare,
        tune,
        runs,
        evaluate,
        predict,
        explain,
        generate,
        stream,
        verify,
        ensemble,
        export,
        quantize,
        bench,
    ),
    doctor,
):
    verb.register(app)


_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for bad usage; it keeps its own copy of click, so there is no public name to import."""


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from recurra import __version__

        typer.echo(__version__)
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad usage or input, 130 and 143 stopped."""
    try:
        code = app(args=list(arguments), standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (InputError, MissingExtraError, StorageError) as error:
        return fail(str(error), 2)
    except Interrupted as error:
        return fail(str(error), error.exit_code)
    except RecurraError as error:
        return fail(str(error), 1)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except _USAGE as error:
        return fail(error.format_message(), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return fail("stopped", 130)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return fail(f"{error.filename or 'file'}: {error.strerror or error}", 2)
