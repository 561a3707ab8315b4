"""Reports on finished runs: a Markdown text, an HTML page, and plots where matplotlib is installed."""

from __future__ import annotations

from cipherlane.report.ledger_note import Audit, LedgerNote, note_audit, write_ledger_note
from cipherlane.report.page import render_page
from cipherlane.report.run_files import read_json
from cipherlane.report.run_report import render_report, write_report

__all__ = [
    "Audit",
    "LedgerNote",
    "note_audit",
    "read_json",
    "render_page",
    "render_report",
    "write_ledger_note",
    "write_report",
]
