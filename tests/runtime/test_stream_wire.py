"""Lines of JSON in and out: one answer per line, in order, errors in place of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.runtime.wire import Wire, as_line
from runtime.streaming import model_of, numbers, plain_signal, words

SIGNAL, TEXT = model_of(plain_signal(), "mean"), model_of(words(), "attention")


def wire(model: Any = SIGNAL, **options: Any) -> Wire:
    return Wire(model.streams(**options), most=options.get("max_streams", 256))


def ask(asked: Wire, *lines: Any) -> list[dict[str, Any]]:
    raw = [line if isinstance(line, bytes) or line is None else json.dumps(line).encode() for line in lines]
    return [json.loads(as_line(answer)) for answer in asked.answer(raw)]


def expected(rows: Any, model: Any = SIGNAL) -> dict[str, Any]:
    return json.loads(json.dumps(next(iter(model.records([rows])))))


def test_every_key_has_its_own_state_and_answers_come_in_order():
    rows = numbers(6, 1)
    keys = ["a", "b", "a", "a", "b", 7]
    answers = ask(wire(), *({"key": key, "input": row.tolist()} for key, row in zip(keys, rows, strict=True)))
    taken: dict[Any, list[np.ndarray]] = {}
    for key, row, answer in zip(keys, rows, answers, strict=True):
        taken.setdefault(key, []).append(row)
        assert answer == {"key": key, "steps": len(taken[key]), **expected(np.stack(taken[key]))}


def test_waiting_lines_are_answered_as_one_by_one():
    lines = [{"key": i % 3, "input": row.tolist()} for i, row in enumerate(numbers(20, 1))]
    lines[5:5] = [{"key": 1, "reset": True, "input": [1.0, 2.0, 3.0]}, {"bad": 1}, {"key": 0, "state": True}]
    together, single = wire(), wire()
    assert ask(together, *lines) == [answer for line in lines for answer in ask(single, line)]


def test_texts_and_bare_values():
    answers = ask(wire(TEXT), {"key": "a", "text": "one two"}, {"key": "a", "input": "three"}, '"', "four")
    assert answers[1] == {"key": "a", "steps": 3, **expected("one two three", TEXT)}
    assert answers[2]["steps"] == 1
    assert ask(wire(), [1.0, 2.0, 3.0])[0] == {"key": None, "steps": 1, **expected([[1.0, 2.0, 3.0]])}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (None, "longer"),
        ({"key": "a", "inputs": 1}, "did you mean 'input'"),
        ({"key": [1], "input": 1}, "key must be"),
        ({"key": True, "input": 1}, "key must be"),
        ({"key": 1.5, "input": 1}, "key must be"),
        ({"key": "a", "input": 1, "text": "x"}, "both"),
        ({"key": "a", "reset": "yes"}, "reset must be"),
        ({"key": "a", "state": 3}, "state must be"),
        ({"key": "a", "input": ["x"]}, "number"),
        ({"key": "a", "input": [1.0]}, "3 features"),
        ({"key": "a", "input": None}, ""),
        ({"key": "a", "input": [1.0, 2.0, 1e999]}, "infinite"),
        ({"key": "a", "static": [1.0], "input": [1.0, 2.0, 3.0], "reset": True}, "without features"),
    ],
)
def test_a_wrong_line_is_answered_by_an_error_and_the_stream_goes_on(line, message):
    rows = numbers(2, 1).tolist()
    answers = ask(wire(), {"key": "a", "input": rows[0]}, line, {"key": "a", "input": rows[1]})
    assert message in answers[1]["error"]["message"]
    assert answers[1]["line"] == 2
    assert set(answers[1]) == {"key", "line", "error"}
    assert answers[2] == {"key": "a", "steps": 2, **expected(rows)}


def test_states_are_handed_out_and_taken_back():
    asked, rows = wire(), numbers(5, 1).tolist()
    *_, last = ask(asked, {"key": "a", "input": rows[:3]}, {"key": "a", "state": True})
    answer = ask(asked, {"key": "b", "state": last["state"], "input": rows[3:]})[0]
    assert answer == {"key": "b", "steps": 5, **expected(rows)}
    foreign = ask(wire(TEXT), {"key": "a", "state": last["state"], "text": "one"})[0]
    assert foreign["error"]["type"] == "StateError"


def test_lost_streams_are_seen():
    asked = wire(max_streams=1)
    steps = [a["steps"] for a in ask(asked, *({"key": k, "input": [1.0, 2.0, 3.0]} for k in "aaba"))]
    assert steps == [1, 2, 1, 1]
    strict = wire(max_streams=2, lost="error")
    lines = [
        {"key": "a", "input": [1.0, 2.0, 3.0]},
        {"key": "a", "reset": True},
        {"key": "a", "input": [1.0, 2.0, 3.0]},
    ]
    answers = ask(strict, *lines)
    assert answers[0]["error"]["type"] == "LostStreamError"
    assert answers[2]["steps"] == 1


def test_a_stream_that_passes_its_idle_time_between_step_and_answer_is_an_error_of_its_own():
    now = iter(range(10**6))
    asked = Wire(SIGNAL.streams(idle_seconds=1.0, clock=lambda: float(next(now))), most=256)
    answers = ask(asked, *({"key": k, "input": [1.0, 2.0, 3.0]} for k in "abc"))
    assert {answer["error"]["type"] for answer in answers} == {"LostStreamError"}


def test_static_features_come_with_the_first_line():
    model = model_of(plain_signal(), "mean", static=True)
    rows = numbers(3, 1).tolist()
    answers = ask(
        wire(model),
        {"key": "a", "input": rows[0], "static": [1.0, 2.0]},
        {"key": "a", "input": rows[1:]},
        {"key": "b", "input": rows[0]},
    )
    whole = next(iter(model.records([rows], [[1.0, 2.0]])))
    assert answers[1] == {"key": "a", "steps": 3, **json.loads(json.dumps(whole))}
    assert "static must be given" in answers[2]["error"]["message"]
