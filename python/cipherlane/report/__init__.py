"""Reports on finished runs: a Markdown page, and plots where matplotlib is installed."""

from __future__ import annotations

from cipherlane.report.run_report import render_report, write_report

__all__ = ["render_report", "write_report"]
