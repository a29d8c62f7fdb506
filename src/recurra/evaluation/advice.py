"""`inspect`, the adviser: what is in the data, what order and context carry, and what to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from recurra.data.dataset import Dataset
from recurra.data.inspection import DataReport, as_dataset, inspect_dataset
from recurra.data.splits import column_of
from recurra.errors import DivergedError, InputError, MemoryBudgetError, missing_extra
from recurra.evaluation.context import ContextCurve, context_curve
from recurra.evaluation.ordering import OrderTest, order_test
from recurra.evaluation.probing import LEAST, Probe
from recurra.evaluation.recommending import Recommendation, recommend, timed, unit_of

LONG = 1000
FEW_PER_CLASS = 10

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Inspection(DataReport):
    """A data report with what small trained networks say about the data, and a recommendation.

    order: whether order matters; memory: score against context length; both None where they were not asked or cannot
    be. left_out: why, or what they were asked of. recommended: what to fit; None without targets. wrong_tool:
    sentences that say why a recurrent model is the wrong tool here, and what to use instead; empty where it is not.
    """

    order: OrderTest | None = None
    memory: ContextCurve | None = None
    recommended: Recommendation | None = None
    wrong_tool: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the report as lines for people."""
        return "\n".join([super().to_text(), *self._findings()])

    def __str__(self) -> str:
        return self.to_text()

    def _findings(self) -> Iterator[str]:
        yield from (str(found) for found in (self.order, self.memory) if found is not None)
        yield from (f"note: {why}" for why in self.left_out)
        yield from (f"warning: {why}" for why in self.wrong_tool)
        if self.recommended is not None:
            yield f"recommended: recurra fit {self.recommended.task}, {self.recommended.cost()}"
            for section, options in self.recommended.sections().items():
                for name, value in options.items():
                    why = self.recommended.reasons.get(f"{section}.{name}")
                    yield f"  {section}.{name} = {value}" + (f"  ({why})" if why else "")


def inspect(
    data: Any,
    targets: Any = None,
    *,
    quick: bool = False,
    group: str | None = None,
    reading: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Inspection:
    """Look into a `Dataset`, or into inputs (texts, arrays, a `Ragged`) with or without targets, and give advice.

    quick: leave out what needs training: whether order matters, how long the memory is, the time of an epoch.
    group: column whose values must not be on both sides of a split. reading: [data] options for the configuration.
    The test split is described but never used to train or to score. Raises DataError where there is nothing.
    """
    dataset = as_dataset(data, targets)
    report = inspect_dataset(dataset)
    left_out: list[str] = []
    order, memory = (None, None) if quick else _asked(dataset, report, group, seed, left_out)
    made = None
    if report.labels is not None or report.numbers:
        made = _attempt(lambda: recommend(dataset, report, memory, reading), "no recommendation", left_out)
    if made is not None and not quick:
        chosen = made
        seconds = _attempt(lambda: timed(chosen, dataset), "no time of an epoch", left_out)
        made = replace(made, seconds_per_epoch=seconds)
    return Inspection(
        **{f.name: getattr(report, f.name) for f in fields(DataReport)},
        order=order,
        memory=memory,
        recommended=made,
        wrong_tool=tuple(wrong_tool(report, order, memory)),
        left_out=tuple(left_out),
    )


def _asked(
    dataset: Dataset, report: DataReport, group: str | None, seed: int, left_out: list[str]
) -> tuple[OrderTest | None, ContextCurve | None]:
    groups = None if group is None else column_of(dataset, group).tolist()
    if report.lengths.maximum < 2:
        left_out.append("no order or memory: no sequence has two steps")
        return None, None
    probe = _attempt(lambda: Probe.of(dataset, unit_of(report), groups, seed), "no order or memory", left_out)
    if probe is None:
        return None, None
    left_out.extend(probe.notes)
    order = _attempt(lambda: order_test(probe, seed), "no order", left_out)
    return order, _attempt(lambda: context_curve(probe, seed), "no memory", left_out)


def _attempt(make: Callable[[], Made], what: str, left_out: list[str]) -> Made | None:
    """Make a part of the advice; where the data do not allow it, say why and go on without."""
    try:
        return make()
    except (InputError, DivergedError, MemoryBudgetError) as error:
        left_out.append(f"{what}: {error}")
    except ImportError as error:
        left_out.append(f"{what}: {missing_extra(str(error.name), 'train', 'training')}")
    return None


def wrong_tool(report: DataReport, order: OrderTest | None, memory: ContextCurve | None) -> Iterator[str]:
    """Say where a recurrent model is the wrong tool, and name the alternative."""
    simple = simple_alternative(report)
    if order is not None and not order.matters and not order.ahead:
        yield (
            "a recurrent model is the wrong tool as far as these data show: order carries nothing "
            f"({order.score} {order.ordered:.3f} with order, {order.unordered:.3f} without, "
            f"p = {order.p_value:.2g}); use {simple}"
        )
    if report.lengths.p95 > LONG and (memory is None or memory.needed == memory.longest):
        yield (
            f"a recurrent model is the wrong tool for very long sequences (95th percentile {report.lengths.p95:,.0f} "
            f"{report.lengths.unit}): average neighbouring steps first, or use a convolutional network ('cnn')"
        )
    few = _too_few(report)
    if few:
        yield f"a recurrent model is the wrong tool for so little data ({few}): use {simple}, and cross-validate"


def simple_alternative(report: DataReport) -> str:
    """Return the name of the baseline that needs neither order nor much data."""
    ending = "ridge" if report.numbers else "logistic"
    return f"'tf-idf + {ending}'" if report.kind == "text" else f"'summary + {ending}'"


def _too_few(report: DataReport) -> str:
    train = report.parts.get("train", report.sequences)
    if train < 2 * LEAST:
        return f"{train:,} sequences to learn from"
    labels = report.labels
    if labels is None or labels.several or not labels.counts:
        return ""
    mean = report.sequences / len(labels.counts)
    return f"{mean:.1f} sequences per class" if mean < FEW_PER_CLASS else ""
