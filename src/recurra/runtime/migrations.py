"""From older schemas to the present one, a version at a time.

To change the schema: raise `SCHEMA_VERSION`, add the step from the version before it to `CONFIG_STEPS` (and
to `ARRAY_STEPS` where names or layouts of weights change), and keep a bundle of the old version among the
tests' fixtures.

Schema 0, before the first release: `recurra_version` instead of `versions`, `classes` instead of `labels`,
no date and no list of the encoder's files (it was `tokenizer.json` for text and nothing else).
Schema 1: the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recurra.errors import CorruptBundleError

SCHEMA_VERSION = 1

Arrays = Mapping[str, np.ndarray[Any, Any]]


def _config_0_to_1(config: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in config.items() if k not in ("recurra_version", "classes")}
    rest["versions"] = {"recurra": config["recurra_version"]}
    rest["created"] = None
    rest["files"] = ["tokenizer.json"] if config["input"]["kind"] in ("words", "characters", "bpe") else []
    if "classes" in config:
        rest["labels"] = config["classes"]
    return rest


CONFIG_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {0: _config_0_to_1}
ARRAY_STEPS: dict[int, Callable[[Arrays], Arrays]] = {}


def migrate_config(config: dict[str, Any], version: int, file: str) -> dict[str, Any]:
    """Return the config of schema `version` as one of the present schema; `file` is its path for errors.

    Raises `CorruptBundleError` where it lacks what a config of that version has.
    """
    for step in range(version, SCHEMA_VERSION):
        try:
            config = CONFIG_STEPS[step](config)
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptBundleError(
                f"{file} is not a sound config of schema {step} ({type(error).__name__}: {error})"
            ) from error
    return {**config, "schema_version": SCHEMA_VERSION}


def migrate_arrays(arrays: Arrays, version: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of schema `version` as those of the present schema."""
    for step in range(version, SCHEMA_VERSION):
        arrays = ARRAY_STEPS.get(step, dict)(arrays)
    return dict(arrays)
