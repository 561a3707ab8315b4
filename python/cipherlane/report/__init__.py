"""Reports on finished runs: a Markdown page, and plots where matplotlib is installed."""

from __future__ import annotations

from cipherlane.report.run_report import read_json, render_report, write_report

__all__ = ["read_json", "render_report", "write_report"]
