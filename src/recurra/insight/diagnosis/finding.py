"""One finding of a diagnosis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a training shows, with its evidence.

    name: of the rule, see docs/diagnosis.md. level: "problem", or "note" for what is worth knowing but not wrong.
    words: what was found, with the measured numbers. advice: what to do. figure: which drawing shows the evidence:
    "reach", "norms", "gates", "radius", "updates" or "loss".
    """

    name: str
    level: str
    words: str
    advice: str
    figure: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.level}: {self.words} {self.advice}"
