"""Which cases are measured: the quick ones, the full grid, and what `--only` keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from recurra.errors import SpecError, nearest
from recurra.kernels import GATES
from recurra.runtime.bench.case import DTYPES, LENGTHS, MODES, NUMBERS, Case, longest
from recurra.runtime.bench.engines import ENGINES

_STEP: dict[str, Any] = {"mode": "step", "batch": 1, "steps": 1, "threads": 1}
_REVIEWS: dict[str, Any] = {"mode": "train", "lengths": "reviews", "steps": longest("reviews")}


def quick(threads: int) -> list[Case]:
    """The shapes that the project promises figures for: some minutes."""
    base = Case(threads=threads)
    both = ("lstm", "gru")
    cases = [replace(base, cell=cell) for cell in (*both, "rnn")]
    cases += [replace(base, cell=cell, hidden_size=512) for cell in both]
    cases += [replace(base, cell=cell, mode="train") for cell in (*both, "rnn")]
    cases += [replace(base, cell=cell, mode="train", hidden_size=512) for cell in both]
    cases += [replace(base, cell=cell, **_REVIEWS) for cell in both]
    cases += [replace(base, cell=cell, bidirectional=True, **_REVIEWS) for cell in both]
    cases += [replace(base, cell=cell, **_STEP) for cell in (*both, "rnn")]
    cases += [
        replace(base, cell=cell, mode=mode, dtype="bfloat16")
        for mode in ("forward", "train")
        for cell in both
    ]
    cases += [replace(base, cell=cell, dtype="int8", **_STEP) for cell in both]
    cases += [
        replace(base, cell=cell, dtype=dtype, batch=1) for cell in both for dtype in ("float32", "int8")
    ]
    return cases + _subnormal(base)


def _subnormal(base: Case) -> list[Case]:
    """Sequences and steps of numbers near zero, whose twins of usual numbers are measured as well."""
    return [
        replace(base, cell=cell, numbers=numbers, **shape)
        for cell, shape, numbers in product(("lstm", "gru"), ({}, _STEP), NUMBERS[1:])
    ]


def full(threads: int) -> list[Case]:
    """Every cell, mode, dtype, lengths, hidden size 64 to 512, batch 1 to 128, one and all threads.

    What tells most comes first, so that a budget of time cuts off what tells least.
    """
    cases = [
        Case(cell=cell, mode=mode, dtype=dtype, hidden_size=units, batch=batch, lengths=lengths,
             steps=longest(lengths), threads=count)
        for mode, dtype, lengths, units, batch, count, cell in product(
            ("forward", "train"), DTYPES, LENGTHS, (64, 128, 256, 512), (1, 8, 32, 128),
            sorted({1, threads}), ("lstm", "gru", "rnn"))
        if (batch > 1 or lengths == "uniform") and (dtype, mode) != ("int8", "train")
    ]  # fmt: skip
    cases += [
        Case(cell=cell, dtype=dtype, hidden_size=units, **_STEP)
        for cell, dtype, units in product(("lstm", "gru", "rnn"), DTYPES, (64, 128, 256, 512))
    ]
    cases += _subnormal(Case(threads=threads))
    return sorted(cases, key=lambda case: _rank(case, threads))


def _rank(case: Case, threads: int) -> tuple[int, ...]:
    """How far a case is from the usual one, counted in fields that differ."""
    unusual = (
        case.dtype != "float32",
        case.mode != "step" and case.threads != threads,
        case.hidden_size != 128,
        case.mode != "step" and case.batch != 32,
        case.lengths == "short",
        case.numbers != "normal",
    )
    return sum(unusual), case.hidden_size * case.batch


_NUMBERS = ("inputs", "hidden_size", "num_layers", "batch", "steps", "threads")
_WORDS = {"cell": tuple(GATES), "mode": MODES, "dtype": DTYPES, "lengths": LENGTHS, "numbers": NUMBERS}
_BOOLS = {"true": True, "false": False, "bidirectional": True, "unidirectional": False}


def chosen(cases: Iterable[Case], only: Sequence[str]) -> tuple[list[Case], list[str]]:
    """The cases and engines that every filter keeps.

    A filter is alternatives separated by commas: a word such as lstm, train, int8, reviews, bidirectional or an
    engine's name; or field=value such as hidden_size=128. Raises SpecError for what is not known, and where
    nothing is left.
    """
    kept, engines = list(cases), list(ENGINES)
    for text in only:
        wanted = [_filter(part.strip()) for part in text.split(",")]
        if all(field == "engine" for field, _ in wanted):
            engines = [name for name in engines if ("engine", name) in wanted]
        elif any(field == "engine" for field, _ in wanted):
            raise SpecError(f"--only {text}: engines and fields of a case need an --only each")
        else:
            kept = [case for case in kept if any(getattr(case, f) == value for f, value in wanted)]
    if not kept or not engines:
        raise SpecError(f"--only {' --only '.join(only)} leaves no case; drop one of them")
    return kept, engines


def _filter(part: str) -> tuple[str, Any]:
    name, equals, text = part.partition("=")
    if not equals:
        return _word(part)
    if name == "bidirectional" and text in ("true", "false"):
        return name, _BOOLS[text]
    if name in _NUMBERS and text.isdigit():
        return name, int(text)
    if name in (*_WORDS, "engine") and _word(text)[0] == name:
        return name, text
    raise SpecError(f"--only {part}: must be a field and one of its values, such as hidden_size=128")


def _word(word: str) -> tuple[str, Any]:
    if word in ENGINES:
        return "engine", word
    if word in ("bidirectional", "unidirectional"):
        return "bidirectional", _BOOLS[word]
    for field, values in _WORDS.items():
        if word in values:
            return field, word
    known = [*ENGINES, *(value for values in _WORDS.values() for value in values), "bidirectional"]
    raise SpecError(f"--only {word}: not known{nearest(word, known)}")
