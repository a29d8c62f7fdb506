"""The data report as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from recurra.data.groups import GroupSummary
from recurra.data.series import SeriesSummary
from recurra.data.summaries import Bin, LabelSummary, NumberSummary, Vocabulary

if TYPE_CHECKING:
    from recurra.data.inspection import DataReport

BAR = 30
MANY = 12


def render(report: DataReport) -> str:
    """Return the report as text, without a line feed at its end."""
    return "\n".join(_lines(report))


def _lines(report: DataReport) -> Iterator[str]:
    yield f"{report.source}: {report.sequences:,} sequences, kind {report.kind}"
    if report.parts:
        yield "split: " + ", ".join(f"{name} {count:,}" for name, count in report.parts.items())
    yield from (f"note: {note}" for note in report.notes)
    yield from _lengths(report)
    yield from _targets(report)
    yield from _vocabulary(report.vocabulary)
    yield from _columns(report)
    yield from _repeats(report)
    yield "sample rows"
    for sample in report.samples:
        yield f"  {sample.row}: " + ("" if sample.target is None else f"[{sample.target}] ") + sample.content
    if report.advice:
        yield "what to try"
        yield from (f"  - {sentence}" for sentence in report.advice)


def _lengths(report: DataReport) -> Iterator[str]:
    found = report.lengths
    yield (
        f"length in {found.unit}: mean {found.mean:.1f}, median {found.median:g}, min {found.minimum:,}, "
        f"max {found.maximum:,}, 95th percentile {found.p95:g}; {found.total:,} in all, {found.empty:,} empty"
    )
    yield from _bars(found.histogram, whole=True)
    yield "  cutting at: " + "; ".join(
        f"{cut.limit:,} cuts {cut.sequences:.0%} of the sequences and loses {cut.lost:.0%} of the {found.unit}"
        for cut in report.cuts[-4:]
    )


def _targets(report: DataReport) -> Iterator[str]:
    if report.labels is not None:
        yield from _labels(report.labels, report.sequences)
    for numbers in report.numbers:
        yield _numbers(numbers)
        yield from _bars(numbers.histogram)
    if report.labels is None and not report.numbers:
        yield "targets: none"


def _labels(labels: LabelSummary, sequences: int) -> Iterator[str]:
    what = "labels, several per sequence" if labels.several else "classes"
    yield f"{len(labels.counts):,} {what}; the most frequent is {labels.imbalance:.3g} times the rarest"
    shown = list(labels.counts.items())
    widest = max((len(name) for name, _ in shown[:MANY]), default=0)
    for name, count in shown[:MANY]:
        yield f"  {name:<{widest}} {count:>8,} {count / sequences:>6.1%} {_bar(count, shown[0][1])}".rstrip()
    if len(shown) > MANY:
        yield f"  ... and {len(shown) - MANY:,} more, down to {shown[-1][0]!r} with {shown[-1][1]:,}"
    if labels.unlabelled:
        yield f"  {labels.unlabelled:,} sequences without a label"


def _vocabulary(found: Vocabulary | None) -> Iterator[str]:
    if found is None:
        return
    share = found.once / found.words if found.words else 0.0
    yield f"vocabulary: {found.words:,} different words in {found.tokens:,}; {share:.0%} of them occur once"
    if found.frequent:
        yield "  most frequent: " + _counts(found.frequent)
    if found.growth:
        yield "  growth (sequences: words): " + ", ".join(f"{n:,}: {words:,}" for n, words in found.growth)
    for name, unseen in found.unseen.items():
        yield f"  {unseen:.1%} of the words in {name} do not occur in train"


def _columns(report: DataReport) -> Iterator[str]:
    for title, group in (("feature", report.features), ("static feature", report.static)):
        yield from (f"{title} {_numbers(column)}" for column in group[:MANY])
        if len(group) > MANY:
            yield f"... and {len(group) - MANY:,} more features"
    for column in report.categories:
        yield (
            f"category {column.name}: {column.distinct:,} different, {column.once:,} of them once, "
            f"{column.missing:,} missing; most frequent: {_counts(column.frequent)}"
        )
    if report.spacing is not None:
        spacing = report.spacing
        how = "regular" if spacing.regular else "irregular"
        yield f"time between steps: {how}, median {spacing.median:g} s, {spacing.minimum:g} to {spacing.maximum:g} s"
        yield (
            f"  {spacing.gaps:,} gaps ({spacing.missing:,} steps missing), {spacing.repeated:,} repeated and "
            f"{spacing.backwards:,} backward times, {spacing.irregular:.1%} of the spacings off the median"
        )
    yield from filter(None, (_in_time(one) for one in report.series[:MANY]))


def _in_time(one: SeriesSummary) -> str:
    tests = f"ADF p {one.adf:.2g}, KPSS p {one.kpss:.2g}" if one.adf is not None else ""
    facts = [
        f"{one.trend} ({tests})" if one.trend else "",
        f"season of {one.season:,} steps (autocorrelation {one.season_strength:.2f})" if one.season else "",
        f"{one.extreme:,} extreme values" if one.extreme else "",
        f"{one.stuck:.1%} of the steps stuck" if one.stuck else "",
        f"constant in {one.constant:,} sequences" if one.constant else "",
    ]
    return f"{one.name} in time: {', '.join(filter(None, facts))}" if any(facts) else ""


def _numbers(column: NumberSummary) -> str:
    flaws = [
        "constant" if column.constant else "",
        f"{column.missing:,} missing" if column.missing else "",
        f"{column.infinite:,} infinite" if column.infinite else "",
    ]
    shown = {"mean": column.mean, "deviation": column.deviation, "min": column.minimum, "max": column.maximum}
    moments = [f"{name} {value:.4g}" for name, value in shown.items() if value is not None]
    return f"{column.name}: " + ", ".join(moments + [flaw for flaw in flaws if flaw])


def _repeats(report: DataReport) -> Iterator[str]:
    yield f"duplicates: {report.duplicates:,}" + (
        f", {report.contradictions:,} of them with another target" if report.contradictions else ""
    )
    if report.overlap is not None and report.overlap.total:
        yield f"  {report.overlap.warning}"
    if report.near.sequences:
        across = "; ".join(f"{count:,} across {parts}" for parts, count in report.near.across.items())
        yield f"near-duplicates: {report.near.sequences:,}" + (f" ({across})" if across else "")
        yield from (f"  {a!r} ~ {b!r}" for a, b in report.near.examples)
    yield from (_group(one) for one in report.groups[:MANY])


def _group(one: GroupSummary) -> str:
    facts = [f"{one.groups:,} groups"]
    if one.tested is not None:
        facts.append(
            f"{one.shared:,} in several parts, {one.tested:.0%} of the test sequences of a known group"
        )
    if one.score is not None and one.chance is not None and one.p_value is not None:
        facts.append(f"guesses the target at {one.score:.2f} (chance {one.chance:.2f}, p {one.p_value:.2g})")
    return f"column {one.column!r}: " + "; ".join(facts)


def _bars(bins: Sequence[Bin], *, whole: bool = False) -> Iterator[str]:
    names = [_range(one, whole, last=one is bins[-1]) for one in bins]
    widest = max((len(name) for name in names), default=0)
    most = max((one.count for one in bins), default=0)
    for name, one in zip(names, bins, strict=True):
        yield f"  {name:>{widest}} {one.count:>8,} {_bar(one.count, most)}".rstrip()


def _range(one: Bin, whole: bool, *, last: bool) -> str:
    if not whole:
        return f"{one.low:.4g} to {one.high:.4g}"
    high = int(one.high) if last else int(one.high) - 1
    return f"{int(one.low)}" if high <= one.low else f"{int(one.low)}-{high}"


def _bar(count: int, most: int) -> str:
    return "#" * (0 if not count else max(1, round(BAR * count / most)))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
