"""Interpolated modified Kneser-Ney n-grams: what every language model has to beat.

Source: Chen & Goodman 1998 (An empirical study of smoothing techniques for language modeling, section 3). For an
n-gram h w (history h, token w) with count c:

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + gamma(h) p(w | h without its first token)
    gamma(h) = (D1 N1(h .) + D2 N2(h .) + D3 N3+(h .)) / c(h .)

where N1, N2 and N3+ say how many tokens follow h once, twice and more often. The highest order counts
occurrences; the lower ones count the different tokens that stand before (continuations), except where the n-gram
begins a document: nothing can stand before it, so it keeps its occurrences. The lowest order is mixed with a
uniform distribution. The discounts of each order come from how many of its n-grams have the counts 1 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.ragged import Array, Ragged

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of an order whose counts of counts give none (a vocabulary of characters has no token seen once)."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    """All n-grams of one length that occur, by id; arrays over them, and over those one shorter (contexts).

    keys: sorted; first token * number of shorter n-grams + id of the n-gram without it. share: the discounted share
    of the last token after its context. rest: per context, what is left for the shorter history; 1 where it is
    unknown. context, token: per n-gram, the id of what stands before its last token, and that token.
    """

    keys: Array
    shorter: int
    share: Array
    rest: Array
    context: Array
    token: Array

    def find(self, first: Array, suffix: Array) -> Array:
        """Ids of n-grams by first token and id of the rest; -1 where they did not occur."""
        wanted = first * self.shorter + suffix
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where((suffix >= 0) & (self.keys[places] == wanted), places, -1)


class KneserNey:
    """A fitted n-gram model over ids 0 to V - 1. Made by `KneserNey.fit`."""

    def __init__(self, orders: list[_Order], vocabulary: int, discounts: list[tuple[float, ...]]) -> None:
        self._orders, self.vocabulary, self.discounts = orders, vocabulary, discounts

    @property
    def order(self) -> int:
        """The longest n-gram, in tokens; less than was asked for where every document is shorter."""
        return len(self._orders)

    @property
    def parameters(self) -> int:
        """Numbers that it keeps: a share for every n-gram and a rest for every context."""
        return sum(len(order.share) + len(order.rest) for order in self._orders)

    @classmethod
    def fit(cls, documents: Ragged, vocabulary: int, order: int = 5) -> KneserNey:
        """Count the n-grams of documents of token ids.

        vocabulary: V, number of ids. order: longest n-gram in tokens. Usual: 3-5 for words, 5-8 for characters.
        Raises DataError for ids outside of the vocabulary or no token at all, SpecError for an impossible order.
        """
        if isinstance(order, bool) or not isinstance(order, int) or order < 1:
            raise SpecError(f"order must be a whole number of at least 1, got {order!r}")
        text = _Text.of(documents, vocabulary)
        if len(text.tokens) == len(documents):
            raise DataError("documents must hold at least one token to count, got none")
        counted = _counted(text, order)
        orders, discounts = [], []
        for number, grams in enumerate(counted):
            longer = counted[number + 1] if number + 1 < len(counted) else None
            made, found = _smoothed(grams, longer, vocabulary)
            orders.append(made)
            discounts.append(found)
        return cls(orders, vocabulary, discounts)

    def log_probabilities(self, documents: Ragged) -> Array:
        """(N,) natural logarithms of the probability of each token after those before it in its document."""
        text = _Text.of(documents, self.vocabulary)
        chance = np.full(len(text.tokens), 1.0 / self.vocabulary)
        before = np.zeros(len(text.tokens), dtype=np.int64)
        for length, order in enumerate(self._orders, 1):
            ids = text.ids(length, before, order)
            context = np.where(text.place >= length - 1, np.roll(before, 1), -1) if length > 1 else before
            share = np.where(ids >= 0, order.share[ids], 0.0)
            chance = share + np.where(context >= 0, order.rest[context], 1.0) * chance
            before = ids
        made: Array = np.log(chance[text.place > 0])
        return made

    def distribution(self, history: Array) -> Array:
        """(V,) probabilities of what follows a document's first tokens; they sum to one."""
        text = _Text.of(Ragged.from_lists([history], np.int64), self.vocabulary)
        chance = np.full(self.vocabulary, 1.0 / self.vocabulary)
        before = np.zeros(len(text.tokens), dtype=np.int64)
        for length, order in enumerate(self._orders, 1):
            context = 0 if length == 1 else int(before[-1])
            if context < 0:
                break
            chance = order.rest[context] * chance
            here = np.flatnonzero((order.context == context) & (order.token < self.vocabulary))
            chance[order.token[here]] += order.share[here]
            before = text.ids(length, before, order)
        return chance


@dataclass(frozen=True, kw_only=True)
class _Text:
    """Documents end to end, each behind a mark of its beginning (id V). place: 0 for the mark, then 1, 2, ..."""

    tokens: Array
    place: Array

    @classmethod
    def of(cls, documents: Ragged, vocabulary: int) -> _Text:
        ids = np.asarray(documents.values)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise DataError(f"documents must hold whole numbers (N,), got {ids.dtype} of shape {ids.shape}")
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
            raise DataError(f"ids must lie between 0 and {vocabulary - 1}, got {ids.min()} to {ids.max()}")
        lengths = np.asarray(documents.lengths)
        starts = np.asarray(documents.offsets)[:-1] + np.arange(len(lengths))
        tokens = np.full(len(ids) + len(lengths), vocabulary, dtype=np.int64)
        place = np.arange(len(tokens)) - np.repeat(starts, lengths + 1)
        tokens[place > 0] = ids
        return cls(tokens=tokens, place=place)

    def ids(self, length: int, shorter: Array, order: _Order) -> Array:
        """The id in `order` of the n-gram that ends at each token; -1 where there is none."""
        first = np.roll(self.tokens, length - 1)
        return np.where(self.place >= length - 1, order.find(first, shorter), -1)


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """The n-grams of one length as they stand: as `_Order`, with how often each occurs."""

    keys: Array
    shorter: int
    occurs: Array
    context: Array
    token: Array

    @property
    def first(self) -> Array:
        return self.keys // self.shorter

    @property
    def suffix(self) -> Array:
        return self.keys % self.shorter


def _counted(text: _Text, order: int) -> list[_Counted]:
    """The n-grams of each length from 1 to `order`, as far as there are any."""
    made: list[_Counted] = []
    before, shorter = np.zeros(len(text.tokens), dtype=np.int64), 1
    for length in range(1, order + 1):
        here = np.flatnonzero(text.place >= length - 1)
        if not len(here):
            break
        keys, ids, occurs = np.unique(
            text.tokens[here - (length - 1)] * shorter + before[here],
            return_inverse=True,
            return_counts=True,
        )
        context, token = np.empty((2, len(keys)), dtype=np.int64)
        context[ids] = before[here - 1] if length > 1 else 0
        token[ids] = text.tokens[here]
        made.append(_Counted(keys=keys, shorter=shorter, occurs=occurs, context=context, token=token))
        before, shorter = np.full(len(text.tokens), -1, dtype=np.int64), len(keys)
        before[here] = ids
    return made


def _smoothed(grams: _Counted, longer: _Counted | None, mark: int) -> tuple[_Order, tuple[float, ...]]:
    """Shares and rests of one order, and its three discounts. mark: the id that begins a document."""
    counts = grams.occurs
    if longer is not None:
        continuations = np.bincount(longer.suffix, minlength=len(counts))
        counts = np.where(grams.first == mark, counts, continuations)
    # The mark itself is never foretold.
    counts = np.where(grams.token == mark, 0, counts)
    discounts = _discounts(counts)
    taken = np.array([0.0, *discounts])[np.minimum(counts, 3)]
    contexts = grams.shorter
    total = np.bincount(grams.context, counts, contexts)
    left = np.bincount(grams.context, taken, contexts)
    known = total > 0
    rest = np.divide(left, total, out=np.ones(contexts), where=known)
    share = np.divide(counts - taken, total[grams.context], out=np.zeros(len(counts)), where=counts > 0)
    made = _Order(
        keys=grams.keys,
        shorter=grams.shorter,
        share=share,
        rest=rest,
        context=grams.context,
        token=grams.token,
    )
    return made, discounts


def _discounts(counts: Array) -> tuple[float, ...]:
    """What is taken off counts of 1, 2 and more (Chen & Goodman 1998, equation 26).

    The fallback where a count from 1 to 4 has no n-gram, or a discount comes out negative or above its count.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == times)) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 <= d <= times for times, d in enumerate(found, 1)) else FALLBACK
