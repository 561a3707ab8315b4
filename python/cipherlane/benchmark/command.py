"""``cipherlane bench``: measure, print, and write what was asked for, whatever ends the measuring."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cipherlane.benchmark import device
from cipherlane.benchmark.document import write_json
from cipherlane.benchmark.machine import machine, versions
from cipherlane.benchmark.outputs import check_plot, check_writable
from cipherlane.benchmark.peers import PEERS
from cipherlane.benchmark.progress import ProgressPrinter
from cipherlane.benchmark.rows import Row
from cipherlane.benchmark.runner import measure, planned
from cipherlane.benchmark.settings import Settings
from cipherlane.benchmark.table import render

INTERRUPTED = 130


def run(settings: Settings, json_file: Path | None = None, plot_file: Path | None = None) -> int:
    """Measure and return the exit code: 0, or 130 if Ctrl-C ended it early.

    Raises
    ------
    ValueError
        If a file cannot be written; nothing has been measured then.
    """
    if json_file is not None:
        check_writable("--json", json_file)
    if plot_file is not None:
        check_plot("--plot", plot_file)
        if any(map(device.is_emulated, settings.backends)):
            raise ValueError(f"--plot: expected a device to draw the figures of, got an {device.EMULATED}")
    rows: list[Row] = []
    complete = False
    try:
        with ProgressPrinter(planned(settings)) as printer:
            for row in measure(settings, printer.tell):
                rows.append(row)
                printer.show(row)
        complete = True
    except KeyboardInterrupt:
        print(f"cipherlane: interrupted after {len(rows)} of {planned(settings)} rows", file=sys.stderr)
    finally:
        # What was measured is told even if a later operation failed.
        if rows:
            print(_heading(settings))
            print(render(rows))
            _write(settings, rows, json_file, plot_file, complete)
    return 0 if complete else INTERRUPTED


def _write(
    settings: Settings, rows: Sequence[Row], json_file: Path | None, plot_file: Path | None, complete: bool
) -> None:
    if json_file is not None:
        write_json(json_file, settings, rows, complete=complete)
        print(f"written: {json_file}", file=sys.stderr)
    if plot_file is not None:
        from cipherlane.benchmark.plot import write_plot

        write_plot(plot_file, rows)
        print(f"written: {plot_file}", file=sys.stderr)


def _heading(settings: Settings) -> str:
    about = machine()
    found = versions()
    lines = [
        f"{about['processor']}, {about['logical_cores']} logical cores; cipherlane {found['cipherlane']}, "
        f"Python {found['python']}, {found['gmp']}",
    ]
    if not all(map(device.is_device, settings.backends)):
        lines.append(
            f"Each operation was verified, then timed in {settings.rounds} rounds in turn with the peers, in CPU "
            "seconds of the process; medians, ratios with low..high."
        )
    lines += [f"{name} {found[name]}: {PEERS[name].description}" for name in settings.measured_peers]
    for name in filter(device.is_device, settings.backends):
        lines += _device_heading(name, settings)
    return "\n".join(lines) + "\n"


def _device_heading(name: str, settings: Settings) -> list[str]:
    found = device.about()
    if found["emulated"]:
        return [f"{name}: {device.EMULATED}, and none are shown. Each operation was verified in plain Python."]
    return [
        f"{name}: {found['name']}, {found['total_memory'] / (1 << 30):.0f} GiB, compute capability "
        f"{found['compute_capability']}, driver {found['driver_version']}, "
        f"runtime {found['runtime_version']}",
        f"Rows of {name}: operations of the whole device a second of elapsed time until it is done; what they compute "
        f"with stays there. Each was verified in plain Python, then timed in {settings.rounds} rounds; medians. CPU "
        "seconds of a core mean nothing there, so no peer stands beside them.",
    ]
