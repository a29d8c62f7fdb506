"""Switches that let data leak from one part into another, so that the tests of the splits can be seen to fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from recurra.data import demo, folds, long_tables, splits


@contextmanager
def every_row_its_own_group() -> Iterator[None]:
    """Deal out rows instead of groups, as splits that only shuffle do."""

    def rows(items: Any) -> tuple[Any, int]:
        return np.arange(len(items)), len(items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "group_codes", rows)
        patch.setattr(folds, "group_codes", rows)
        yield


@contextmanager
def time_forgotten() -> Iterator[None]:
    """Let sequences reach over the border between two parts."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (splits, folds):
            patch.setattr(module, "over_before", lambda stops, begins, gap: np.ones(len(stops), dtype=bool))
        yield


@contextmanager
def gap_forgotten() -> Iterator[None]:
    """Test right behind the rows that were learnt from."""
    rolling = folds.rolling_folds

    def without_gap(*args: Any, gap: int = 0, **options: Any) -> Any:
        return rolling(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "rolling_folds", without_gap)
        yield


@contextmanager
def shapes_shared_by_all_parts() -> Iterator[None]:
    """Draw every part of the built-in reviews from all clause shapes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "draw_shape", lambda draw, groups, part: draw.one(draw.group(groups)))
        yield


@contextmanager
def neighbours_mixed_up() -> Iterator[None]:
    """Give each sequence of a long table the rows that stand together, whomever they belong to."""

    def by_position(keys: Any) -> tuple[Any, Any]:
        count = len(set(keys))
        codes = np.sort(np.arange(len(keys)) % count)
        return codes, np.unique(codes, return_index=True)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_tables, "_codes", by_position)
        yield
