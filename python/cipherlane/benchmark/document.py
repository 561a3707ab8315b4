"""Rows as a JSON document, with all that they depend on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cipherlane import _native
from cipherlane.benchmark import device
from cipherlane.benchmark.floor import MULTIPLIERS
from cipherlane.benchmark.machine import commit, machine, versions
from cipherlane.benchmark.peers import PEERS
from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.benchmark.rows import PeerFigure, Range, Row
from cipherlane.benchmark.settings import Settings

SCHEMA = "cipherlane-benchmark"
SCHEMA_VERSION = 2


def document(settings: Settings, rows: Sequence[Row], *, complete: bool = True) -> dict[str, Any]:
    """Return what was measured, ready for JSON.

    Parameters
    ----------
    settings : Settings
    rows : sequence of Row
    complete : bool, default True
        Whether all that was asked for is there.
    """
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": {
            **machine(),
            "multiply_peak": {
                name: {
                    "products_per_second": _native.multiply_peak(name),
                    "products_a_limb_product": MULTIPLIERS[name].instructions,
                    "limb_bits": MULTIPLIERS[name].limb_bits,
                }
                for name in settings.backends
                if not device.is_emulated(name)
            },
            "device": device.about() if any(map(device.is_device, settings.backends)) else None,
        },
        "versions": versions(),
        "conditions": {
            "clock": {
                "core": "CPU seconds of the process, all threads",
                "device": "elapsed seconds until the device is done; ciphertexts stay there",
            },
            "figures": "median, lowest and highest over the rounds; ours and the peers in turn in each",
            "rounds": settings.rounds,
            "sample_seconds": settings.sample_seconds,
            "warm_up_seconds": settings.warm_up_seconds,
            "quick": settings.quick,
            "peers": {name: PEERS[name].description for name in settings.measured_peers},
        },
        "rows": [_row(row) for row in rows],
    }


def write_json(path: Path, settings: Settings, rows: Sequence[Row], *, complete: bool = True) -> None:
    """Write the `document` to a file."""
    text = json.dumps(document(settings, rows, complete=complete), indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _row(row: Row) -> dict[str, Any]:
    def figure(value: Range | None) -> dict[str, float] | None:
        return None if value is None or row.emulated else asdict(value)

    return {
        "operation": row.operation.name,
        "title": row.operation.title,
        "unit": row.operation.unit,
        "bits": row.bits,
        "randomisation": _randomisation(row.randomisation),
        "backend": row.backend,
        "threads": row.threads,
        "batch": row.batch,
        "window_bits": row.window_bits,
        "measured": "device" if row.device else "core",
        "emulated": row.emulated,
        "per_core_second": figure(row.per_core_second),
        "per_wall_second": figure(row.per_wall_second),
        "speed_up": figure(row.speed_up),
        "over_resident": figure(row.over_resident),
        "limb_products": row.limb_products,
        "peak_percent": figure(row.peak_percent),
        "floor_per_second": None if row.emulated else row.floor_per_second,
        "peers": [_peer(figure) for figure in row.peers],
    }


def _peer(figure: PeerFigure) -> dict[str, Any]:
    return {
        "peer": figure.peer,
        "method": figure.method,
        "randomisation": _randomisation(figure.randomisation),
        "unlike": figure.unlike,
        "batch": figure.batch,
        "per_core_second": asdict(figure.per_core_second),
        "ratio": asdict(figure.ratio),
    }


def _randomisation(randomisation: Randomisation | None) -> dict[str, Any] | None:
    return None if randomisation is None else {**asdict(randomisation), "label": randomisation.label}
