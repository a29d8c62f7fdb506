"""What a data report suggests: rules of thumb, each a sentence that names the option to try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from recurra.spec import Training

if TYPE_CHECKING:
    from recurra.data.inspection import DataReport

FEW = 500
RARE = 20
UNEVEN = 3.0
UNSEEN = 0.05
NEARLY = 0.01
STUCK = 0.01


def advise(report: DataReport) -> tuple[str, ...]:
    """Return the advice that applies, the gravest first."""
    rules = (_flaws, _repeats, _groups, _classes, _lengths, _words, _columns, _times, _size)
    return tuple(sentence for rule in rules for sentence in rule(report))


def _flaws(report: DataReport) -> Iterator[str]:
    if report.labels is None and not report.numbers:
        yield "there are no targets: name their column with --target to train a classifier or regressor"
    if report.labels is not None and len(report.labels.counts) < 2:
        yield "there is only one class, so there is nothing to learn: check that --target is the right column"
    if report.lengths.empty:
        yield f"{report.lengths.empty:,} sequences are empty: leave them out, or find out why they are"
    for column in (*report.features, *report.static):
        if column.infinite:
            yield f"{column.name!r} holds {column.infinite:,} infinite values, which training refuses: mend them"


def _repeats(report: DataReport) -> Iterator[str]:
    if report.overlap is not None and report.overlap.total:
        yield "sequences of train also stand in validation or test: take them out, or the scores are too good"
    elif report.duplicates and report.overlap is None:
        yield (
            f"{report.duplicates:,} sequences occur more than once: a random split puts some of them into train "
            "and test; take the repeats out, or split by a group"
        )
    if report.contradictions:
        yield f"{report.contradictions:,} sequences occur with different targets: no model can get all of them right"
    if report.near.across:
        found = ", ".join(f"{count:,} across {parts}" for parts, count in report.near.across.items())
        yield f"near-duplicates stand in two parts ({found}): take them out, or the scores are too good"
    elif report.near.sequences > NEARLY * report.sequences:
        yield (
            f"{report.near.sequences:,} sequences are nearly the same as another: split by what they were made from, "
            "or the scores will be too good"
        )


def _groups(report: DataReport) -> Iterator[str]:
    for one in report.groups:
        if one.leaks:
            yield (
                f"leakage by group: {one.column!r} alone guesses the target ({one.score:.2f}, chance "
                f"{one.chance:.2f}), and {one.tested:.0%} of the test sequences are of a group that train knows: "
                f"split with --group {one.column}"
            )
        elif one.tells and one.tested is None:
            yield (
                f"{one.column!r} alone guesses the target ({one.score:.2f}, chance {one.chance:.2f}): a random split "
                f"lets a model learn it by heart; split with --group {one.column} if new ones are to come"
            )


def _classes(report: DataReport) -> Iterator[str]:
    labels = report.labels
    if labels is None or len(labels.counts) < 2 or labels.several:
        return
    most, least = next(iter(labels.counts.items())), list(labels.counts.items())[-1]
    if labels.imbalance > UNEVEN and most[1] * len(labels.counts) > 1.5 * report.sequences:
        yield (
            f"classes are uneven (always {most[0]!r} is right {most[1] / report.sequences:.0%} of the time): try "
            "class_weight='balanced', and judge by F1 rather than by accuracy"
        )
    rare = [name for name, count in labels.counts.items() if count < RARE]
    if rare:
        yield (
            f"{len(rare):,} of {len(labels.counts):,} classes have fewer than {RARE} sequences, {least[0]!r} has "
            f"{least[1]}: their scores will be uncertain"
        )


def _lengths(report: DataReport) -> Iterator[str]:
    default = Training().sequence_length
    if default is not None and report.lengths.p95 > default:
        wanted = int(-(-report.lengths.p95 // 50) * 50)
        yield (
            f"5% of the sequences have more than {report.lengths.p95:.0f} {report.lengths.unit}, and training cuts "
            f"at sequence_length={default}: try sequence_length={wanted}, which costs time in proportion"
        )
    if report.lengths.p95 > 1000:
        yield "sequences are very long for a recurrent network: try averaging neighbouring steps, or max pooling"


def _words(report: DataReport) -> Iterator[str]:
    found = report.vocabulary
    if found is None:
        return
    unseen = max(found.unseen.values(), default=0.0)
    if unseen > UNSEEN:
        yield f"{unseen:.0%} of the words outside of train are unknown to it: try BPE or Characters beside Words"
    if found.with_tags:
        yield f"{found.with_tags:,} texts hold HTML tags: try clean_html=True"
    if report.lengths.p95 <= 3 and found.tokens:
        yield "texts are a word or two long: try Characters instead of Words"


def _columns(report: DataReport) -> Iterator[str]:
    constant = [column.name for column in report.features if column.constant]
    if constant:
        yield f"constant features say nothing and can be left out: {', '.join(map(repr, constant[:5]))}"
    missing = [column.name for column in report.features if column.missing]
    if missing:
        yield (
            f"values are missing in {', '.join(map(repr, missing[:5]))}: missing='impute' fills them in and "
            "mask_features tells the network where"
        )
    if report.spacing is not None and not report.spacing.regular:
        yield "steps are not evenly spaced in time: try elapsed_time=True"


def _times(report: DataReport) -> Iterator[str]:
    spacing = report.spacing
    if spacing is not None and (spacing.repeated or spacing.backwards):
        yield (
            f"{spacing.repeated:,} steps repeat the time before and {spacing.backwards:,} go back in time: merge or "
            "sort them"
        )
    if spacing is not None and spacing.gaps:
        yield (
            f"{spacing.gaps:,} gaps in time, {spacing.missing:,} steps are missing: fill them in, or cut the "
            "sequences there"
        )
    for one in report.series:
        if one.season:
            yield (
                f"{one.name!r} repeats every {one.season:,} steps: sequences should hold two seasons or more "
                f"({2 * one.season:,} steps), and the seasonal naive forecast is the baseline to beat"
            )
    if wandering := _named(one.name for one in report.series if one.trend == "trend or unit root"):
        yield f"trend or unit root in {wandering}: differences, or scaling each sequence by itself, will help"
    if extreme := _named(f"{one.name} ({one.extreme:,})" for one in report.series if one.extreme):
        yield f"extreme values in {extreme}: look at them, and try scaling='robust'"
    if stuck := _named(f"{one.name} ({one.stuck:.0%})" for one in report.series if one.stuck > STUCK):
        yield f"values stand still for long in {stuck}: is the sensor stuck?"


def _named(names: Iterable[str]) -> str:
    """Up to five names in quotes, and how many more there are; "" for none."""
    found = list(names)
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(map(repr, found[:5])) + more


def _size(report: DataReport) -> Iterator[str]:
    if report.sequences < FEW:
        yield (
            f"{report.sequences:,} sequences are few: expect simple baselines to be hard to beat, use a small "
            "network (hidden_size=32, num_layers=1) and cross-validation"
        )
