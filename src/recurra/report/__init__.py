"""Figures, tables and the self-contained HTML page: pure functions on plain data."""

from recurra.report.figure import Figure
from recurra.report.html import render, write_report
from recurra.report.items import Cell, Highlighted, KeyValues, Report, Section, Table, Text
from recurra.report.pages import compare_report, fit_report
from recurra.report.terminal import comparison_table

__all__ = [
    "Cell",
    "Figure",
    "Highlighted",
    "KeyValues",
    "Report",
    "Section",
    "Table",
    "Text",
    "compare_report",
    "comparison_table",
    "fit_report",
    "render",
    "write_report",
]
