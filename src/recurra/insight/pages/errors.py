"""What a model gets wrong, as sections of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.insight.errors import ClassErrors, Group, LabelIssues, Pair, ResidualErrors
from recurra.insight.errors.groups import told
from recurra.metrics import (
    average_precision,
    calibration_curve,
    confidence_summary,
    confusion_matrix,
    pr_curve,
    roc_auc,
    roc_curve,
)
from recurra.report import figures
from recurra.report.items import Cell, Item, KeyValues, Section, Table, Text
from recurra.report.wording import show_number, show_share

_TEXT = 400
_MOST_ISSUES = 100
_CURVES = 8


def error_sections(errors: ClassErrors | ResidualErrors) -> list[Section]:
    """The sections about what is wrong and where."""
    own = _class_sections(errors) if isinstance(errors, ClassErrors) else _residual_sections(errors)
    return [part for part in [*own, _groups(errors)] if part.items]


def error_sentences(errors: ClassErrors | ResidualErrors) -> list[str]:
    """What stands out, in words made of the measured numbers."""
    found = told(errors.groups, low_is_good=errors.low_is_good, whole=errors.score)
    if isinstance(errors, ResidualErrors):
        bias = float(np.mean(errors.predicted - errors.truth))
        return [f"On average the prediction is {bias:+.3g} off, in size {errors.score:.3g}.", *found]
    return [*_class_sentences(errors), *found]


def _class_sentences(errors: ClassErrors) -> list[str]:
    wrong = int(np.sum(~errors.right))
    if not wrong:
        return [f"All {len(errors):,} predictions are right."]
    first = [
        f"{wrong:,} of {len(errors):,} predictions {'is' if wrong == 1 else 'are'} wrong, the surest with "
        f"confidence {errors.mistakes[0].confidence:.2f}."
    ]
    if errors.pairs and errors.pairs[0].count > 1:
        pair = errors.pairs[0]
        words = ", ".join(f"“{word.word}”" for word in pair.words[:4])
        first.append(
            f"Most often “{pair.true}” is taken for “{pair.predicted}” ({pair.count:,} times)"
            + (f", with words such as {words}." if words else ".")
        )
    if errors.issues is not None and len(errors.issues):
        first.append(
            f"Labels that the model contradicts: {len(errors.issues):,}; by confident learning about "
            f"{100 * errors.issues.share:.1f}% of the labels may be wrong, if these are not training data."
        )
    return first


def _class_sections(errors: ClassErrors) -> list[Section]:
    return [
        Section(title="Mistakes", intro=_MISTAKES, items=_mistakes(errors)),
        Section(title="Confused classes", items=_confused(errors)),
        Section(title="How sure it is", items=_confidence(errors)),
        Section(title="Possible label errors", intro=_ISSUES, items=_issues(errors)),
    ]


_MISTAKES = "Wrong predictions with the input as given. Confidence is the probability of the predicted class."
_ISSUES = (
    "Sequences whose label another class claims more strongly than is usual for it (confident learning). "
    "Look at them before you trust either: the model errs too."
)


def _mistakes(errors: ClassErrors) -> list[Item]:
    if not errors.mistakes:
        return [Text(body=f"None: all {len(errors):,} predictions are right.")]
    rows = [
        [_excerpt(found.text), found.label, found.predicted, found.confidence, found.steps, found.row]
        for found in errors.mistakes
    ]
    more = int(np.sum(~errors.right))
    caption = f"Wrong predictions, the surest first ({len(rows):,} of {more:,})"
    columns = ["Input", "Label", "Predicted", "Confidence", "Steps", "Row"]
    return [Table(columns=columns, rows=rows, caption=caption)]


def _excerpt(text: str) -> str:
    return text if len(text) <= _TEXT else text[:_TEXT].rstrip() + " …"


def _confused(errors: ClassErrors) -> list[Item]:
    items: list[Item] = []
    if not errors.multilabel:
        counts = confusion_matrix(errors.coded, errors.decided, labels=list(range(len(errors.classes))))
        items.append(figures.confusion(counts, errors.classes))
    if errors.pairs:
        items.append(_pair_table(errors.pairs))
    return items


def _pair_table(pairs: tuple[Pair, ...]) -> Table:
    rows = [
        [
            pair.true,
            pair.predicted,
            pair.count,
            Cell(text=show_share(pair.share, 1), sort=pair.share, share=pair.share),
            ", ".join(f"{word.word} ({word.z:.1f})" for word in pair.words),
        ]
        for pair in pairs
    ]
    return Table(
        columns=["True", "Predicted", "Times", "Share of the true class", "Typical words (standard errors)"],
        rows=rows,
        caption="Classes taken for others, with words more frequent here than in the others of the class",
    )


def _confidence(errors: ClassErrors) -> list[Item]:
    items: list[Item] = []
    if errors.multilabel:
        confidence, right = errors.confidence, errors.right
        items.append(Text(body="Confidence is that of the least sure of all decisions.", tone="note"))
    else:
        confidence, right = errors.confidence, errors.right
        found = confidence_summary(errors.coded, errors.probabilities, y_pred=errors.decided)
        items.append(
            KeyValues(
                items={
                    "Mean, right predictions": found.mean_right,
                    "Mean, wrong predictions": found.mean_wrong,
                    "Mean confidence − accuracy": found.gap,
                }
            )
        )
    items.append(figures.confidence_histogram(confidence.tolist(), right.tolist()))
    bins = calibration_curve(right, confidence)
    items.append(
        figures.calibration(
            {
                "confidence": bins.probability.tolist(),
                "accuracy": bins.frequency.tolist(),
                "count": bins.count.tolist(),
            }
        )
    )
    roc, recalled = _curves(errors)
    return items + ([figures.roc(roc), figures.precision_recall(recalled)] if roc else [])


def _curves(errors: ClassErrors) -> tuple[dict[str, Any], dict[str, Any]]:
    several = errors.multilabel
    truth = errors.coded.astype(bool) if several else errors.coded[:, None] == np.arange(len(errors.classes))
    columns = [1] if len(errors.classes) == 2 and not several else range(len(errors.classes))
    roc, recalled = {}, {}
    for column in list(columns)[:_CURVES]:
        outcome, chance = truth[:, column], errors.probabilities[:, column]
        if not 0 < outcome.sum() < len(outcome):
            continue
        name, rates, pairs = errors.classes[column], roc_curve(outcome, chance), pr_curve(outcome, chance)
        roc[name] = (rates.false_positive_rate, rates.true_positive_rate, roc_auc(outcome, chance))
        recalled[name] = (pairs.recall, pairs.precision, average_precision(outcome, chance))
    return roc, recalled


def _issues(errors: ClassErrors) -> list[Item]:
    if errors.issues is None or not len(errors.issues):
        return []
    texts = {mistake.row: mistake.text for mistake in errors.mistakes}
    return [_issue_table(errors.issues, texts)]


def _issue_table(issues: LabelIssues, texts: Mapping[int, str]) -> Table:
    rows = [
        [
            _excerpt(texts.get(issue.row, f"row {issue.row}")),
            issue.given,
            issue.suggested,
            issue.probability,
            issue.suggested_probability,
            issue.row,
        ]
        for issue in issues.items[:_MOST_ISSUES]
    ]
    columns = ["Input", "Label", "Suggested", "P(label)", "P(suggested)", "Row"]
    caption = f"Labels to look at, the most contradicted first ({len(rows):,} of {len(issues):,})"
    return Table(columns=columns, rows=rows, caption=caption)


def _residual_sections(errors: ResidualErrors) -> list[Section]:
    truth, predicted = (
        part.reshape(len(errors), -1)[:, 0].tolist() for part in (errors.truth, errors.predicted)
    )
    rows = [
        [_excerpt(found.text), found.true, found.predicted, found.residual, found.steps, found.row]
        for found in errors.largest
    ]
    table = Table(
        columns=["Input", "True", "Predicted", "Residual", "Steps", "Row"],
        rows=rows,
        caption=f"Largest residuals (predicted − true), {len(rows):,} of {len(errors):,}",
    )
    drawn: list[Item] = [figures.predicted_and_true(truth, predicted), figures.residuals(truth, predicted)]
    return [Section(title="Residuals", items=[*drawn, table])]


def _groups(errors: ClassErrors | ResidualErrors) -> Section:
    drawn: list[Item] = [
        figures.group_scores(
            [(group.name, group.count, group.score, group.interval) for group in members],
            title=f"{errors.measure.capitalize()} by {by}",
            measure=errors.measure,
            whole=errors.score,
        )
        for by, members in errors.groups.items()
        if len(members) <= 40
    ]
    rows = [[by, *_group_row(group)] for by, members in errors.groups.items() for group in members]
    columns = ["Division", "Group", "Sequences", errors.measure.capitalize(), "95% interval", "Note"]
    table = Table(columns=columns, rows=rows, caption="Every group with its score and interval")
    return Section(title="Where it is weak", items=[*drawn, table] if rows else [])


def _group_row(group: Group) -> list[Any]:
    low, high = group.interval
    span = f"{show_number(low)} to {show_number(high)}"
    return [group.name, group.count, group.score, span, "small group" if group.small else ""]
