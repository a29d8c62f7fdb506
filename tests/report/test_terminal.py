from __future__ import annotations

import pytest

from recurra.report import comparison_table
from recurra.report.wording import columns_of
from report.records import compare_record

ROWS = [
    {"name": "GRU", "kind": "recurrent", "scores": {"accuracy": 0.8}, "parameters": 1200, "seconds": 3.2},
    {
        "name": "漢字",
        "kind": "baseline",
        "scores": {"accuracy": 0.9},
        "spread": {"accuracy": 0.01},
        "seconds": 70,
    },
]


def test_the_plain_table_is_aligned_and_ranked() -> None:
    lines = comparison_table(ROWS, plain=True).splitlines()
    assert lines[0].split() == ["Model", "Kind", "Accuracy", "Parameters", "Training", "time"]
    assert [line.split()[0] for line in lines[1:]] == ["漢字", "GRU"]
    assert "0.900 ± 0.010" in lines[1]
    assert "1 min 10 s" in lines[1]
    assert len({columns_of(line) for line in lines}) == 1


def test_the_table_of_a_terminal_has_the_same_words() -> None:
    drawn = comparison_table(compare_record()["rows"], plain=False, width=200, winner="GRU, 2×128")
    assert "\x1b[" in drawn
    assert "GRU, 2×128 (winner)" in drawn
    assert "TF-IDF + logistic regression" in drawn


def test_a_narrow_terminal_loses_no_name() -> None:
    drawn = comparison_table(compare_record()["rows"], plain=False, width=60)
    assert max(columns_of(line) for line in _without_colours(drawn).splitlines()) <= 60
    assert "Majority" in _without_colours(drawn)


@pytest.mark.parametrize("plain", [True, False])
def test_names_can_neither_colour_nor_move_the_terminal(plain: bool) -> None:
    row = {"name": "[red]x[/red]\x1b[2J\nnext", "scores": {"accuracy": 0.5}}
    shown = comparison_table([row], plain=plain, width=120)
    assert "[red]x[/red]" in shown
    assert "\x1b[2J" not in shown


def test_standard_output_that_is_no_terminal_gets_the_plain_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in comparison_table(ROWS)


def test_no_rows_give_the_headings_alone() -> None:
    assert comparison_table([], plain=True) == "Model\n"
    comparison_table([], plain=False)


def test_at_most_three_scores_are_shown_the_main_one_first() -> None:
    row = {"name": "a", "scores": {"accuracy": 0.5, "f1": 0.4, "rmse": 1.0, "mae": 2.0}}
    head = comparison_table([row], plain=True, main="mae").splitlines()[0]
    assert head.index("MAE") < head.index("Accuracy")
    assert "RMSE" not in head


def _without_colours(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_what_no_row_has_takes_no_column() -> None:
    assert (
        comparison_table([{"name": "a", "scores": {"f1": 0.5}}], plain=True).split("\n")[0] == "Model     F1"
    )
