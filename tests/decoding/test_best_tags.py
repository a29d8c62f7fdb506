"""The k best sequences of tags are those that a search through all of them finds."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from recurra.decoding import best_tags as module
from recurra.decoding.best_tags import best_tags
from recurra.decoding.tags import decode, rules_of
from recurra.errors import SpecError
from shared import assert_noticed

TAGS = ["B-a", "I-a", "O"]


def drawn(seed: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    parts = [generator.standard_normal(shape).astype(np.float32) for shape in ((3, 3), (3,), (3,))]
    return generator.standard_normal((int(offsets[-1]), 3)).astype(np.float32), offsets, tuple(parts)


def enumerated(row: np.ndarray, chain: tuple[np.ndarray, ...], rules) -> list[tuple[tuple[int, ...], float]]:
    """All legal paths with their probabilities, the best first, in double precision."""
    steps, start, end = (part.astype(np.float64) for part in chain)
    paths = [path for path in product(range(3), repeat=len(row)) if rules is None or not rules.broken(path)]
    scores = []
    for path in paths:
        score = start[path[0]] + end[path[-1]] + sum(row[t, tag] for t, tag in enumerate(path))
        scores.append(score + sum(steps[a, b] for a, b in pairwise(path)))
    chances = np.exp(np.array(scores) - np.logaddexp.reduce(scores))
    return sorted(zip(paths, chances.tolist(), strict=True), key=lambda pair: -pair[1])


@pytest.mark.parametrize("scheme", [None, "bio"])
@pytest.mark.parametrize("count", [1, 3, 500])
def test_the_best_paths_are_those_of_a_search_through_all(scheme, count):
    rules = rules_of(TAGS, scheme)

    def check() -> None:
        for seed in range(5):
            emissions, offsets, chain = drawn(seed, [4, 1, 0, 5])
            found = best_tags(emissions, offsets, count, chain, rules)
            assert (
                np.concatenate([paths[0] for paths, _ in found]).tolist()
                == decode(emissions, offsets, chain, rules).tolist()
            )
            for (a, b), (paths, chances) in zip(pairwise(offsets), found, strict=True):
                if a == b:
                    assert (paths.shape, chances.tolist()) == ((1, 0), [1.0])
                    continue
                expected = enumerated(emissions[a:b], chain, rules)[:count]
                assert [tuple(path) for path in paths.tolist()] == [path for path, _ in expected]
                np.testing.assert_allclose(chances, [chance for _, chance in expected], rtol=1e-4)

    check()
    if count == 3:
        assert_noticed(_keeps_one_per_tag(), check)


def _keeps_one_per_tag():
    """Saboteur: of the paths that end in a tag only the best is kept, so that second ones through it are lost."""
    from contextlib import contextmanager
    from unittest import mock

    honest = module._paths

    @contextmanager
    def broken():
        with mock.patch.object(module, "_paths", lambda row, count, *chain: honest(row, 1, *chain)):
            yield

    return broken()


def test_a_softmax_without_rules_has_the_products_of_its_probabilities():
    emissions = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.4, 1e-9]], dtype=np.float32))
    ((paths, chances),) = best_tags(emissions, np.array([0, 2]), 3, None)
    assert paths.tolist() == [[0, 0], [0, 1], [1, 0]]
    np.testing.assert_allclose(chances, [0.42, 0.28, 0.12], rtol=1e-5)


def test_a_sequence_alone_is_as_in_a_batch():
    emissions, offsets, chain = drawn(7, [3, 6, 2])
    whole = best_tags(emissions, offsets, 4, chain)
    for (a, b), (paths, chances) in zip(pairwise(offsets), whole, strict=True):
        ((alone, theirs),) = best_tags(emissions[a:b], np.array([0, b - a]), 4, chain)
        assert alone.tolist() == paths.tolist()
        assert theirs.tobytes() == chances.tobytes()


def test_none_of_them_is_refused():
    with pytest.raises(SpecError, match="count must be at least 1, got 0"):
        best_tags(np.zeros((1, 3), np.float32), np.array([0, 1]), 0, None)
