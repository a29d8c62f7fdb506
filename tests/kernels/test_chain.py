"""Linear chains of tags: equal to the sum over all paths, for one row whatever the batch, gradients and all."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra import kernels as k
from recurra.errors import KernelError
from recurra.kernels import engines, reference_chain, torch_reference
from shared import assert_noticed

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


def offsets_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def problem(lengths, labels, seed=0, dtype=np.float32, scale=1.0):
    draw = np.random.default_rng(seed)
    tokens = int(sum(lengths))
    numbers = [
        draw.normal(size=shape) * scale for shape in ((tokens, labels), (labels, labels), labels, labels)
    ]
    emissions, transitions, start, end = (each.astype(dtype) for each in numbers)
    tags = draw.integers(-1, labels, tokens)
    return (emissions, offsets_of(lengths), tags.astype(np.int64)), (transitions, start, end)


def paths(row, chain):
    """Every path of one row with its score, in float64."""
    transitions, start, end = (np.asarray(part, np.float64) for part in chain)
    for path in product(range(row.shape[1]), repeat=len(row)):
        score = start[path[0]] + end[path[-1]] + sum(row[t, tag] for t, tag in enumerate(path))
        yield path, score + sum(transitions[a, b] for a, b in pairwise(path))


def by_brute_force(given_, chain):
    emissions, offsets, tags = given_
    losses, shares, best = [], np.zeros(emissions.shape), []
    for a, b in pairwise(offsets):
        if a == b:
            losses.append(0.0)
            continue
        every = list(paths(emissions[a:b].astype(np.float64), chain))
        scores = np.array([score for _, score in every])
        total = np.logaddexp.reduce(scores)
        agree = [all(t in (-1, y) for t, y in zip(tags[a:b], path, strict=True)) for path, _ in every]
        losses.append(total - np.logaddexp.reduce(scores[agree]))
        for path, score in every:
            shares[np.arange(a, b), path] += np.exp(score - total)
        best.append(every[int(scores.argmax())][0])
    return np.array(losses), shares, [tag for path in best for tag in path]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 99))
def test_loss_marginals_and_best_path_are_those_of_all_paths(lengths, labels, seed):
    given_, chain = problem(lengths, labels, seed, np.float64)
    losses, shares, best = by_brute_force(given_, chain)
    for engine in (engines.native(), None):
        face = k if engine is not None else reference_chain
        np.testing.assert_allclose(face.crf_loss(*given_, *chain), losses, atol=1e-10)
        np.testing.assert_allclose(face.crf_marginals(*given_[:2], *chain), shares, atol=1e-10)
        assert face.viterbi(*given_[:2], *chain)[0].tolist() == best


def gradients(given_, chain, loss, weights):
    emissions, offsets, tags = given_
    leaves = [torch.tensor(part, requires_grad=True) for part in (emissions, *chain)]
    losses = loss(leaves[0], torch.from_numpy(offsets), torch.from_numpy(tags), *leaves[1:])
    (losses * torch.tensor(weights, dtype=losses.dtype)).sum().backward()
    unused = torch.zeros_like  # the reference leaves no gradient where no row has two tokens
    found = [unused(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return [losses.detach().numpy(), *(part.numpy() for part in found)]


@settings(max_examples=25)
@given(LENGTHS, st.integers(1, 21), st.integers(0, 99))
def test_native_equals_the_reference_with_all_gradients(lengths, labels, seed):
    given_, chain = problem(lengths, labels, seed)
    weights = np.random.default_rng(seed).normal(size=len(lengths))
    wide = [given_[0].astype(np.float64), *given_[1:]], [part.astype(np.float64) for part in chain]
    expected = gradients(*wide, torch_reference.crf_loss, weights)
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-11)):
        ours = [given_[0].astype(dtype), *given_[1:]], [part.astype(dtype) for part in chain]
        for mine, theirs in zip(gradients(*ours, k.crf_loss, weights), expected, strict=True):
            scale = max(1.0, float(np.abs(theirs).max(initial=0)))
            np.testing.assert_allclose(mine, theirs, atol=tolerance * scale)


def every_bit(given_, chain):
    weights = np.linspace(-1, 2, len(given_[1]) - 1)
    found = gradients(given_, chain, k.crf_loss, weights)
    return [*found, k.crf_marginals(*given_[:2], *chain), *k.viterbi(*given_[:2], *chain)]


def test_threads_and_instruction_sets_change_no_bit():
    given_, chain = problem([40, 0, 1, 130, 7] * 6, 23)
    with engines.thread_count(1):
        expected = [part.tobytes() for part in every_bit(given_, chain)]
    for threads in (2, 3):
        with engines.thread_count(threads):
            assert [part.tobytes() for part in every_bit(given_, chain)] == expected
    for isa in k.engine()["available"]:
        with engines.instruction_set(isa):
            assert [part.tobytes() for part in every_bit(given_, chain)] == expected


def check_a_row_alone():
    lengths = [5, 0, 17, 1, 40]
    (emissions, offsets, tags), chain = problem(lengths, 9)
    losses = k.crf_loss(emissions, offsets, tags, *chain)
    shares = k.crf_marginals(emissions, offsets, *chain)
    path = k.viterbi(emissions, offsets, *chain)[0]
    for row, (a, b) in enumerate(pairwise(offsets)):
        alone = emissions[a:b], np.array([0, b - a])
        assert k.crf_loss(*alone, tags[a:b], *chain).tobytes() == losses[row : row + 1].tobytes()
        assert k.crf_marginals(*alone, *chain).tobytes() == shares[a:b].tobytes()
        assert k.viterbi(*alone, *chain)[0].tobytes() == path[a:b].tobytes()


@contextmanager
def rows_run_into_each_other():
    """Let every batch be one long row, as a decoder without offsets would."""
    module = engines.native()
    plain = {name: getattr(module, name) for name in ("crf_marginals", "viterbi")}

    def joined(name):
        return lambda emissions, offsets, *chain: plain[name](emissions, offsets[[0, -1]], *chain)

    with pytest.MonkeyPatch.context() as patch:
        for name in plain:
            patch.setattr(module, name, joined(name))
        yield


def test_a_row_is_answered_as_alone_bit_for_bit():
    assert_noticed(rows_run_into_each_other(), check_a_row_alone)


def test_what_is_not_a_number_stays_in_its_row():
    (emissions, offsets, tags), chain = problem([6, 4, 6], 5)
    clean = [k.crf_loss(emissions, offsets, tags, *chain), k.crf_marginals(emissions, offsets, *chain)]
    emissions[7] = np.nan
    losses, shares = k.crf_loss(emissions, offsets, tags, *chain), k.crf_marginals(emissions, offsets, *chain)
    assert np.isnan(losses[1])
    assert np.isnan(shares[6:10]).all()
    assert losses[[0, 2]].tobytes() == clean[0][[0, 2]].tobytes()
    assert shares[:6].tobytes() == clean[1][:6].tobytes()
    assert shares[10:].tobytes() == clean[1][10:].tobytes()


def test_forbidden_pairs_are_never_taken_and_cost_no_nan():
    (emissions, offsets, _), (transitions, start, end) = problem([12, 1, 30], 4, scale=50.0)
    transitions[0, 1] = transitions[2, 2] = start[3] = end[0] = -np.inf
    chain = transitions, start, end
    path, score = k.viterbi(emissions, offsets, *chain)
    assert np.isfinite(score).all()
    for a, b in pairwise(offsets):
        row = path[a:b].tolist()
        assert row[0] != 3
        assert row[-1] != 0
        assert not {(0, 1), (2, 2)} & set(pairwise(row))
    np.testing.assert_allclose(k.crf_marginals(emissions, offsets, *chain).sum(axis=1), 1, atol=1e-4)
    found = gradients((emissions, offsets, path), chain, k.crf_loss, np.ones(3))
    assert all(np.isfinite(part).all() for part in found)
    assert np.isinf(k.crf_loss(emissions, offsets, np.zeros(43, np.int64), *chain)).all()


def test_long_rows_and_huge_scores_saturate_without_nan():
    given_, chain = problem([3000], 3, scale=100.0)
    assert np.isfinite(k.crf_loss(given_[0], given_[1], k.viterbi(*given_[:2], *chain)[0], *chain)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tags": np.array([0, 3, 0])}, "tags"),
        ({"tags": np.array([0, -2, 0])}, "tags"),
        ({"tags": np.zeros(2, np.int64)}, "tags"),
        ({"offsets": np.array([0, 2])}, "offsets"),
        ({"offsets": np.array([0, 3, 2, 3])}, "offsets"),
        ({"transitions": np.zeros((3, 2), np.float32)}, "transitions"),
        ({"start": np.zeros(3)}, "start"),
        ({"emissions": np.zeros((3, 0), np.float32)}, "emissions"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, words):
    (emissions, offsets, tags), (transitions, start, end) = problem([3], 3)
    given_ = {"emissions": emissions, "offsets": offsets, "tags": tags}
    given_ |= {"transitions": transitions, "start": start, "end": end} | change
    with pytest.raises(KernelError, match=words):
        k.crf_loss(**given_)
    with engines.reference_engine(), pytest.raises(KernelError, match=words):
        k.crf_loss(**given_)


def test_the_loss_is_traced_as_one_operator():
    (emissions, offsets, tags), chain = problem([3, 2], 4)
    given_ = [torch.from_numpy(part) for part in (emissions, offsets, tags, *chain)]
    torch.library.opcheck(torch.ops.recurra.crf_loss.default, tuple(given_))
