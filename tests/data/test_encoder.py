"""What holds for every encoder: specs as records, the training split alone, no torch, and stored records."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.encoder import Encoder, InputSpec, encoder_from_record, input_spec, truncated
from recurra.data.events import Events
from recurra.data.signal import Signal
from recurra.data.text import BPE, Characters, Words
from recurra.errors import CorruptBundleError, NewerBundleError, SpecError
from recurra.ragged import Ragged

SPECS = [Words(min_count=1), Characters(), BPE(vocab_size=60, min_count=1), Signal(), Events(min_count=1)]
every = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)

DATA: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (["a cat sat", "the cat", "no cat at all"], ["zebra quux", "9 zebras ß"]),
    "signal": ([[1.0, 2.0], [4.0], [5.0, 5.5]], [[1e6, -1e6], [77.0]]),
    "events": ([["x", "y"], ["x"], ["z"]], [["new", "other"], ["new"]]),
}


def data_of(spec: InputSpec) -> tuple[list[Any], list[Any]]:
    return DATA[spec.name] if spec.name in DATA else DATA["text"]


def fit_on_training_split(spec: InputSpec, inputs: list[Any], is_train: list[bool]) -> Encoder:
    """What every task does: split first, then learn."""
    return spec.fit([item for item, chosen in zip(inputs, is_train, strict=True) if chosen])


def check_only_training_matters(spec: InputSpec) -> None:
    """The promise: whatever stands outside of the training split, the encoder is the same, byte for byte."""
    train, held = data_of(spec)
    alone = spec.fit(train)
    for other in (held, held[:1], train + held):
        marks = [True] * len(train) + [False] * len(other)
        made = fit_on_training_split(spec, train + other, marks)
        assert made.files() == alone.files()
        assert made.to_record() == alone.to_record()


@contextmanager
def learning_before_the_split(spec: InputSpec) -> Iterator[None]:
    """Saboteur: vocabulary and scaling are learnt from everything that there is, before the split."""
    kind, honest = type(spec), type(spec).fit
    seen: list[Any] = []

    def dishonest(self: InputSpec, inputs: Any, features: Any = None) -> Encoder:
        made: Encoder = honest(self, [*inputs, *seen], features)
        seen.extend(data_of(self)[1])
        return made

    patched: Callable[..., Any] = dishonest
    try:
        kind.fit = patched  # type: ignore[method-assign]
        yield
    finally:
        kind.fit = honest  # type: ignore[method-assign]


@every
def test_nothing_outside_of_the_training_split_reaches_the_encoder(spec: InputSpec) -> None:
    check_only_training_matters(spec)


@every
def test_learning_before_the_split_is_found_out(spec: InputSpec) -> None:
    with learning_before_the_split(spec), pytest.raises(AssertionError):
        check_only_training_matters(spec)


@every
def test_fitting_twice_gives_the_same_bytes(spec: InputSpec) -> None:
    train, held = data_of(spec)
    first = spec.fit(train)
    first.encode(held)
    assert spec.fit(train).files() == first.files()


@every
def test_a_spec_is_a_record_and_back(spec: InputSpec) -> None:
    assert input_spec(spec.to_record()) == spec
    assert input_spec(spec.to_dict(), default=spec.name) == spec


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"kind": "word"}, "kind of input must be one of words, .*did you mean 'words'"),
        ({}, "kind of input must be one of"),
        ({"kind": "words", "min_cont": 3}, "Words has no option 'min_cont'; did you mean 'min_count'"),
        ({"kind": "signal", "scaling": "standart"}, "did you mean 'standard'"),
        ({"kind": "bpe", "vocab_size": 1}, "vocab_size must be a whole number of at least 2"),
    ],
)
def test_a_wrong_section_is_refused_with_the_nearest_name(record: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        input_spec(record)


CHANGES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"format": 2}, NewerBundleError, "format 2, this Recurra reads up to 1"),
    ({"format": 0}, CorruptBundleError, "which nothing writes"),
    ({"format": "1"}, CorruptBundleError, "'format' must be of type int"),
    ({"format": True}, CorruptBundleError, "'format' must be of type int"),
    ({"kind": "os.system"}, CorruptBundleError, "which nothing writes"),
    ({"kind": 3}, CorruptBundleError, "'kind' must be of type str"),
    ({"spec": {"nonsense": 1}}, CorruptBundleError, "invalid spec"),
    ({"spec": {1: 1}}, CorruptBundleError, "invalid spec"),
    ({"spec": None}, CorruptBundleError, "'spec' must be of type dict"),
    ({"notes": [1]}, CorruptBundleError, "notes must be a list of texts"),
    ({"notes": None}, CorruptBundleError, "'notes' must be of type list"),
]


@every
@pytest.mark.parametrize(("change", "error", "message"), CHANGES)
def test_a_malformed_record_is_refused(
    spec: InputSpec, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    encoder = spec.fit(data_of(spec)[0])
    with pytest.raises(error, match=message):
        encoder_from_record({**encoder.to_record(), **change}, encoder.files())


@every
def test_every_part_of_a_record_is_needed(spec: InputSpec) -> None:
    encoder = spec.fit(data_of(spec)[0])
    for name in encoder.to_record():
        record = {key: value for key, value in encoder.to_record().items() if key != name}
        with pytest.raises(CorruptBundleError):
            encoder_from_record(record, encoder.files())
    for odd in (None, [], "record"):
        with pytest.raises(CorruptBundleError, match="has no 'format'"):
            encoder_from_record(odd, encoder.files())  # type: ignore[arg-type]


@every
def test_a_record_of_one_kind_with_the_file_of_another_is_refused(spec: InputSpec) -> None:
    encoder = spec.fit(data_of(spec)[0])
    for other in SPECS:
        if other.name != spec.name:
            strange = other.fit(data_of(other)[0])
            with pytest.raises(CorruptBundleError):
                encoder_from_record(encoder.to_record(), strange.files())


@every
def test_an_encoder_cannot_be_changed(spec: InputSpec) -> None:
    encoder = spec.fit(data_of(spec)[0])
    with pytest.raises(AttributeError):
        encoder.spec = None  # type: ignore[assignment, misc]
    assert encoder != object()


def test_encoders_need_neither_torch_nor_tables() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'pandas', 'polars', 'scipy', 'sklearn'): sys.modules[name] = None\n"
        "from recurra.data.text import Words\n"
        "from recurra.data.signal import Signal\n"
        "from recurra.data.events import Events\n"
        "from recurra.data.target_encoders import LabelEncoder\n"
        "from recurra.data.encoder import encoder_from_record\n"
        "for spec, data in ((Words(), ['a a']), (Signal(), [[1.0, 2.0]]), (Events(), [['x', 'x']])):\n"
        "    encoder = spec.fit(data)\n"
        "    assert len(encoder_from_record(encoder.to_record(), encoder.files()).encode(data)) == 1\n"
        "LabelEncoder.fit(['a', 'b'])\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@given(
    lengths=st.lists(st.integers(0, 6), max_size=6),
    limit=st.one_of(st.none(), st.integers(1, 7)),
    side=st.sampled_from(["end", "start"]),
)
def test_truncated_cuts_each_sequence_at_its_side(lengths: list[int], limit: int | None, side: str) -> None:
    values = np.arange(sum(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    batch = Ragged(values=values, offsets=offsets, columns={"twice": values * 2})
    made = truncated(batch, limit, side)
    cut = slice(None, limit) if side == "end" else slice(-limit if limit else None, None)
    assert [row.tolist() for row in made] == [row[cut].tolist() for row in batch]
    assert np.array_equal(made.columns["twice"], made.values * 2)
