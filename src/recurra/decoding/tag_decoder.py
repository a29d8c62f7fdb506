"""From the scores of all steps to tags, for one or several columns: what a tagger does outside of its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from recurra import kernels
from recurra.decoding.best_tags import best_tags
from recurra.decoding.tags import TagRules, decode, free_chain, marginals, rules_of
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.ragged import Array, Offsets

Scores = tuple[Array, Array, Array]
"""Transitions (L, L) from a tag to the next, start (L,) and end (L,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TagDecoder:
    """Decodes (N, L1 + L2 + …) scores, those of the columns of tags side by side, of sequences end to end.

    classes: the tags of each column. schemes: the rules of each (`decoding.tags.SCHEMES`), or None. chains: learnt
    scores of a linear chain for each column, or None where every step is by itself: then the scores are logits.
    """

    classes: tuple[tuple[str, ...], ...]
    schemes: tuple[str | None, ...]
    chains: tuple[Scores | None, ...]

    @cached_property
    def rules(self) -> list[TagRules | None]:
        """The rules of each column."""
        return [rules_of(tags, scheme) for tags, scheme in zip(self.classes, self.schemes, strict=True)]

    @property
    def together(self) -> bool:
        """Whether tags depend on their neighbours: whether there is a chain, or are rules."""
        return any(part is not None for part in (*self.chains, *self.schemes))

    def codes(self, scores: Array, offsets: Offsets) -> Array:
        """(N, K) codes of the tags of every step: the best path of each column."""
        found = [decode(part, offsets, chain, rules) for part, chain, rules in self._columns(scores)]
        return np.stack(found, axis=1).astype(np.int64)

    def tags(self, scores: Array, offsets: Offsets) -> list[list[Any]]:
        """Per sequence the tags of its steps; tuples of them where there are several columns.

        scores: float32, (N, L1 + …); offsets: (S + 1,), where each sequence begins. Raises DataError for others.
        """
        wanted = sum(map(len, self.classes))
        if scores.ndim != 2 or scores.shape != (int(offsets[-1]), wanted):
            raise DataError(f"scores must have shape ({int(offsets[-1])}, {wanted}), got {scores.shape}")
        flat = named(self.codes(scores, offsets), self.classes)
        return [flat[begin:end] for begin, end in pairwise(offsets)]

    def marginals(self, scores: Array, offsets: Offsets) -> list[Array]:
        """Per column the (N, tags) probability of each tag at each step, over all legal sequences."""
        return [marginals(part, offsets, chain, rules) for part, chain, rules in self._columns(scores)]

    def best(self, scores: Array, offsets: Offsets, count: int) -> list[tuple[Array, Array]]:
        """Per sequence the best paths of the first column's tags and their probabilities, as `best_tags`."""
        part, chain, rules = next(self._columns(scores))
        return best_tags(part, offsets, count, chain, rules)

    def continued(
        self, scores: Array, before: Sequence[int] | None, *, ended: bool
    ) -> tuple[Array, list[Array]]:
        """Codes (n, K) and probabilities of the next n steps of a sequence whose tags up to there stand already.

        before: codes of the last tag that stands, per column; None at the beginning. ended: whether the sequence
        ends with these steps.
        """
        codes, tables = [], []
        offsets = np.array([0, len(scores)])
        for place, (emissions, chain, rules) in enumerate(self._columns(scores)):
            if rules is None and chain is None:
                codes.append(decode(emissions, offsets, None))
                tables.append(marginals(emissions, offsets, None))
                continue
            steps, start, end = _ruled(chain, rules, emissions.shape[1])
            start = start if before is None else np.ascontiguousarray(steps[before[place]])
            end = end if ended else np.zeros_like(end)
            given = emissions if chain else np.asarray(kernels.log_softmax(emissions))
            codes.append(decode(given, offsets, (steps, start, end)))
            tables.append(marginals(given, offsets, (steps, start, end)))
        return np.stack(codes, axis=1).astype(np.int64), tables

    def _columns(self, scores: Array) -> Iterator[tuple[Array, Scores | None, TagRules | None]]:
        begin = 0
        for tags, chain, rules in zip(self.classes, self.chains, self.rules, strict=True):
            yield np.ascontiguousarray(scores[:, begin : begin + len(tags)]), chain, rules
            begin += len(tags)

    def ruled(self) -> list[Scores]:
        """Transitions, start and end of each column, with the rules; all zeros where there is nothing of either."""
        columns = zip(self.chains, self.rules, self.classes, strict=True)
        return [_ruled(chain, rules, len(tags)) for chain, rules, tags in columns]

    def to_record(self) -> dict[str, Any]:
        """As plain values that any program can decode by; of a pair that may not be, the score is None."""
        columns = []
        for tags, scheme, chain, ruled in zip(
            self.classes, self.schemes, self.chains, self.ruled(), strict=True
        ):
            parts = zip(("transitions", "start", "end"), ruled, strict=True)
            scores = {name: _null_where_never(part.tolist()) for name, part in parts}
            columns.append({"classes": list(tags), "scheme": scheme, "learnt": chain is not None, **scores})
        return {"by": "Viterbi", "columns": columns}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TagDecoder:
        """From what `to_record` gives; raises CorruptBundleError."""
        try:
            columns = record["columns"]
            made = cls(
                classes=tuple(tuple(map(str, each["classes"])) for each in columns),
                schemes=tuple(each["scheme"] for each in columns),
                chains=tuple(_chain_of(each) if each["learnt"] else None for each in columns),
            )
            made.rules  # noqa: B018 - an unknown scheme is told here
        except (KeyError, TypeError, ValueError, SpecError) as error:
            raise CorruptBundleError(f"the record says not how tags are decoded: {error}") from error
        return made


def named(codes: Array, classes: Sequence[Sequence[Any]]) -> list[Any]:
    """Tags of (N, K) codes: of one column as they are, tuples of them where there are several columns."""
    columns = [
        [tags[code] for code in column] for tags, column in zip(classes, codes.T.tolist(), strict=True)
    ]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _ruled(chain: Scores | None, rules: TagRules | None, labels: int) -> Scores:
    scores = free_chain(labels) if chain is None else chain
    return scores if rules is None else rules.add_to(*scores)


def _null_where_never(part: Any) -> Any:
    if isinstance(part, list):
        return [_null_where_never(each) for each in part]
    return None if part == -np.inf else part


def _chain_of(column: Mapping[str, Any]) -> Scores:
    tags = len(column["classes"])
    shapes = {"transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    made = []
    for name, shape in shapes.items():
        part = np.array(column[name], dtype=np.float32)  # None becomes NaN
        if part.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {part.shape}")
        made.append(np.where(np.isnan(part), np.float32(-np.inf), part))
    return made[0], made[1], made[2]
