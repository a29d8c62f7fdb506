"""Pages about one model: sections and reports made of what the room `insight` finds."""

from recurra.insight.pages.page import Asked, explain_report
from recurra.insight.pages.writing import Written, write_explained

__all__ = ["Asked", "Written", "explain_report", "write_explained"]
