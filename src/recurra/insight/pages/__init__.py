"""Pages about one model: sections and reports made of what the room `insight` finds."""

from recurra.insight.pages.page import Asked, explain_report

__all__ = ["Asked", "explain_report"]
