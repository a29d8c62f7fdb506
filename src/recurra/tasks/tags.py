"""How the labels of steps are read, learnt and chosen: what a tagger is told about its tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from recurra.decoding.tags import SCHEMES, scheme_of
from recurra.spec import Spec, option
from recurra.tasks.illegal_tags import ILLEGAL

HEADS = ("auto", "softmax", "crf")
NONE = "none"
"""No rules: any tag may follow any."""


@dataclass(frozen=True, kw_only=True)
class Tags(Spec):
    """What a `Tagger` does with labels; nothing of it has an effect on numbers.

    head: "crf" (linear chain: tags know their neighbours), "softmax" (each step by itself), or "auto": "crf" where
        the tags mark spans (B-, I-), else "softmax".
    scheme: rules of span tags that no answer ever breaks: "bio", "iob", "bioes", "bilou", "none" or None, or "auto":
        as the names of the tags tell.
    illegal: what becomes of span tags that break the rules of their scheme in the data that are learnt from: "keep"
        (they are learnt as they are), "repair" (the tags of the spans that `conlleval` reads in them), or "refuse" (a
        DataError). Scores are always taken of the tags as given.
    unlabelled: the text that stands in targets for a tag that is not given; None and "" always do. Nothing is
        learnt from such a step, and it is not scored. Usual: "_".
    """

    section: ClassVar[str] = "task"

    head: str = option("auto", str, choices=HEADS)
    scheme: str | None = option("auto", str, choices=("auto", *SCHEMES, NONE), optional=True)
    illegal: str = option("keep", str, choices=ILLEGAL)
    unlabelled: str | None = option(None, str, optional=True, usual='"_"')

    def scheme_for(self, names: Sequence[str]) -> str | None:
        """The rules of a column of tags with these names; None: there are none."""
        if self.scheme == "auto":
            return scheme_of(names)
        return None if self.scheme in (None, NONE) else self.scheme

    def chained(self, schemes: Sequence[str | None]) -> bool:
        """Whether there is a linear chain, for columns with these rules."""
        return self.head == "crf" or (self.head == "auto" and any(scheme is not None for scheme in schemes))
