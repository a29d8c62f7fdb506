from __future__ import annotations

import pytest

from recurra.report.figures.confusion import _opacity
from recurra.report.theme import DARK, LIGHT, drawing_style, line_of, style_sheet


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def blended(colour: str, ground: str, opacity: float) -> str:
    mixed = (
        round(int(colour[at : at + 2], 16) * opacity + int(ground[at : at + 2], 16) * (1 - opacity))
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


@THEMES
@pytest.mark.parametrize("ground", ["page", "surface", "verdict"])
def test_text_has_a_contrast_of_4_5(theme: dict[str, str], ground: str) -> None:
    names = ("ink",) if ground == "verdict" else ("ink", "muted", "s1")
    assert min(contrast(theme[name], theme[ground]) for name in names) >= 4.5


@THEMES
def test_lines_and_marks_have_a_contrast_of_3(theme: dict[str, str]) -> None:
    assert min(contrast(theme[f"s{number}"], theme["surface"]) for number in range(1, 9)) >= 3


@THEMES
def test_counts_in_a_confusion_matrix_are_readable_on_every_shade(theme: dict[str, str]) -> None:
    worst = 21.0
    for share in [at / 500 for at in range(501)]:
        opacity = _opacity(share)
        shade = blended(theme["heat"], theme["surface"], opacity)
        worst = min(worst, contrast(shade, theme["on-high" if opacity > 0.71 else "on-low"]))
    assert worst >= 4.5


def test_both_themes_name_the_same_colours_and_no_two_are_equal() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_the_style_sheet_has_a_dark_theme_and_a_light_one_for_paper() -> None:
    sheet = style_sheet()
    assert sheet.index("prefers-color-scheme:dark") < sheet.index("@media print")
    assert DARK["surface"] in sheet


def test_the_first_32_series_are_told_apart_without_colour_or_with_it() -> None:
    looks = {str(sorted(line_of(index).items(), key=str)) for index in range(32)}
    marks = {(line_of(index)["marker"], str(line_of(index)["linestyle"])) for index in range(16)}
    assert (len(looks), len(marks)) == (32, 16)


def test_matplotlibs_settings_are_put_back_also_after_an_error() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)

    def break_off() -> None:
        with drawing_style():
            assert matplotlib.rcParams["svg.fonttype"] == "none"
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        break_off()
    assert dict(matplotlib.rcParams) == before
