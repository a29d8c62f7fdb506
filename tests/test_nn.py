"""The drop-in modules: torch.nn's outputs, states, gradients and state dicts, whatever the arguments."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from kernels.cases import gap, numbers
from recurra import nn
from recurra.errors import SpecError

KINDS = ["LSTM", "GRU", "RNN", "RNN_relu"]
FLAGS = list(itertools.product([False, True], repeat=3))


def pair(kind, *, dtype=torch.float64, **options):
    """torch's module and ours with the same weights."""
    name, _, relu = kind.partition("_")
    options |= {"nonlinearity": "relu"} if relu else {}
    theirs = getattr(torch.nn, name)(5, 7, **options).to(dtype)
    ours = getattr(nn, name)(5, 7, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def state_of(kind, count, rows, width=7):
    h = torch.tensor(numbers(1, count, rows, width, dtype="float64"), requires_grad=True)
    c = torch.tensor(numbers(2, count, rows, width, dtype="float64"), requires_grad=True)
    return (h, c) if kind == "LSTM" else h


def leaves_of(module, *inputs):
    return [p for p in (*module.parameters(), *inputs) if p is not None and p.requires_grad]


def flat(answer):
    output, state = answer
    output = output.data if isinstance(output, PackedSequence) else output
    return [output, *(state if isinstance(state, tuple) else [state])]


def check(theirs, ours, inputs, state):
    given = inputs.data if isinstance(inputs, PackedSequence) else inputs
    states = state if isinstance(state, tuple) else (state,)
    answers = []
    for module in (theirs, ours):
        parts = flat(module(inputs, state))
        loss = sum((part * torch.tensor(numbers(5, *part.shape))).sum() for part in parts)
        answers.append([*parts, *torch.autograd.grad(loss, leaves_of(module, given, *states))])
    for a, b in zip(*answers, strict=True):
        assert a.shape == b.shape
        assert gap(b, a) < 1e-11


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bidirectional", "bias", "batch_first"), FLAGS)
def test_padded_batches_equal_torch(kind, bidirectional, bias, batch_first):
    options = {"bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    theirs, ours = pair(kind, num_layers=2, **options)
    x = torch.tensor(numbers(3, 3, 4, 5, dtype="float64"), requires_grad=True)
    rows = 3 if batch_first else 4
    for state in (None, state_of(kind, 4 if bidirectional else 2, rows)):
        check(theirs, ours, x, state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_equal_torch(kind, bidirectional, enforce_sorted):
    theirs, ours = pair(kind, num_layers=2, bidirectional=bidirectional)
    lengths = [6, 3, 3, 1] if enforce_sorted else [3, 6, 1, 3]
    rows = [
        torch.tensor(numbers(n + i, n, 5, dtype="float64"), requires_grad=True) for i, n in enumerate(lengths)
    ]
    packed = pack_sequence(rows, enforce_sorted=enforce_sorted)
    for state in (None, state_of(kind, 4 if bidirectional else 2, 4)):
        check(theirs, ours, packed, state)


@pytest.mark.parametrize("kind", KINDS)
def test_one_sequence_without_batch_axis_equals_torch(kind):
    theirs, ours = pair(kind)
    x = torch.tensor(numbers(3, 4, 5, dtype="float64"), requires_grad=True)
    h = torch.tensor(numbers(1, 1, 7, dtype="float64"))
    for state in (None, (h, 2 * h) if kind == "LSTM" else h):
        check(theirs, ours, x, state)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_torchs_initial_weights(kind):
    name, _, relu = kind.partition("_")
    options = {"nonlinearity": "relu"} if relu else {}
    torch.manual_seed(1)
    theirs = getattr(torch.nn, name)(5, 7, 2, bidirectional=True, **options)
    torch.manual_seed(1)
    ours = getattr(nn, name)(5, 7, 2, bidirectional=True, **options)
    assert isinstance(ours, type(theirs))
    for (a, p), (b, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert a == b
        assert torch.equal(p, q)


def test_dropout_stands_between_layers_in_training_only():
    _, ours = pair("GRU", num_layers=2, dropout=0.5)
    x = torch.tensor(numbers(3, 6, 4, 5, dtype="float64"))
    assert not torch.equal(ours(x)[0], ours(x)[0])
    torch.manual_seed(3)
    first = ours(x)[0]
    torch.manual_seed(3)
    assert torch.equal(ours(x)[0], first)
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])


def test_from_torch_converts_what_is_inside_and_leaves_the_original():
    model = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.ModuleDict({"a": torch.nn.GRU(5, 7)})["a"])
    changed = nn.from_torch(model)
    assert type(changed[1]) is nn.GRU
    assert type(model[1]) is torch.nn.GRU
    x = torch.tensor(numbers(3, 4, 2, 5))
    assert gap(changed(x)[0], model(x)[0]) < 1e-5
    changed[1].weight_hh_l0.data.zero_()
    assert model[1].weight_hh_l0.any()


def test_ours_goes_back_to_torch_by_its_state_dict():
    ours = nn.LSTM(5, 7, 2, batch_first=True)
    theirs = torch.nn.LSTM(5, 7, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.tensor(numbers(3, 4, 2, 5))
    assert gap(ours(x)[0], theirs(x)[0]) < 1e-5


def test_sequences_of_length_zero_are_allowed():
    ours = nn.GRU(5, 7)
    output, h = ours(torch.zeros(0, 3, 5))
    assert output.shape == (0, 3, 7)
    assert not h.any()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: nn.LSTM(5, 7, proj_size=3), "proj_size must be 0"),
        (lambda: nn.from_torch(torch.nn.LSTM(5, 7, proj_size=3)), "proj_size"),
        (lambda: nn.from_torch(torch.nn.Linear(2, 3)), "module must be or hold"),
        (lambda: nn.GRU(5, 7)(torch.zeros(4, 3, 6)), "input must have 5 features"),
        (lambda: nn.GRU(5, 7)(torch.zeros(4, 3, 6, 5)), "input must have 2 axes"),
        (lambda: nn.GRU(5, 7)(torch.zeros(4, 3, 5), torch.zeros(1, 2, 7)), "h_0 must have shape"),
        (lambda: nn.LSTM(5, 7)(torch.zeros(4, 3, 5), torch.zeros(1, 3, 7)), "hx of an LSTM must be a pair"),
    ],
)
def test_what_does_not_fit_is_refused(run, message):
    with pytest.raises(SpecError, match=message):
        run()


def test_other_types_go_to_torch():
    ours = nn.GRU(5, 7).bfloat16()
    assert ours(torch.zeros(2, 3, 5, dtype=torch.bfloat16))[0].dtype == torch.bfloat16
