"""The sections of the page on what crossed, how it was encrypted, and what it told whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cipherlane.report.html_parts import (
    charts,
    facts,
    in_bytes,
    notes,
    section,
    table,
    verdict,
)
from cipherlane.report.privacy_note import showed
from cipherlane.report.run_files import ciphertexts_of
from cipherlane.report.svg import Series, lying_bars
from cipherlane.report.traffic import ENCRYPTED, PUBLIC, SEALED, Flow, by_edge

_COORDINATOR = "coordinator"
_ARBITER = "arbiter"
# What the coordinator, who carries everything, cannot do with it.
_CLOSED = {ENCRYPTED: "cannot read it", SEALED: "cannot open the sealed part"}
_MOST_EDGES = 12


def crossed_section(metrics: Mapping[str, Any], flows: Sequence[Flow]) -> str:
    """Return how much crossed, from whom to whom and how protected."""
    edges = by_edge(flows)
    largest = sorted(edges, key=lambda edge: -sum(edges[edge].values()))[:_MOST_EDGES]
    unit, divisor = _unit(max((sum(edges[edge].values()) for edge in largest), default=0))
    traffic = lying_bars(
        "Bytes by sender and receiver",
        unit,
        [f"{sender} → {receiver}" for sender, receiver in largest],
        [Series(name, [edges[edge][name] / divisor for edge in largest]) for name in (ENCRYPTED, SEALED, PUBLIC)],
    )
    ciphertexts, labels = metrics["totals"]["ciphertexts"], ciphertexts_of(metrics)
    counts = lying_bars(
        "Ciphertexts by what they hold",
        "ciphertexts",
        [label for _, label in labels],
        [Series("ciphertexts", [ciphertexts[name] for name, _ in labels])],
        legend=False,
    )
    rows = ((f.sender, f.receiver, f.kind, f.messages, f"{f.bytes:,}", f.protection, f.tells) for f in flows)
    head = ("from", "to", "kind", "messages", "bytes", "protection", "what it tells")
    more = f"<p>The {_MOST_EDGES} busiest of {len(edges)} pairs are drawn.</p>" if len(edges) > _MOST_EDGES else ""
    return section(
        "What crossed",
        f"<p>{sum(f.messages for f in flows):,} messages, {in_bytes(sum(f.bytes for f in flows))}, "
        f"with {ciphertexts['total']:,} ciphertexts.{_ledger_traffic(metrics)}</p>",
        charts(traffic, counts),
        more,
        f"<details><summary>every kind of message</summary>{table(head, rows, (3, 4), texts=True)}</details>",
    )


def _ledger_traffic(metrics: Mapping[str, Any]) -> str:
    ledger = metrics.get("ledger")
    if ledger is None:
        return ""
    return (
        f" The ledger's own {ledger['messages']:,} messages, {in_bytes(ledger['bytes'])} of blocks and transactions, "
        "are not among them."
    )


def _unit(largest: float) -> tuple[str, float]:
    return next(((name, size) for name, size in (("MB", 1e6), ("kB", 1e3)) if largest >= size), ("bytes", 1.0))


def encryption_section(metrics: Mapping[str, Any], flows: Sequence[Flow]) -> str:
    """Return what speaks for it that numbers crossed encrypted, each with randomness of its own."""
    ciphertexts = metrics["totals"]["ciphertexts"]
    holding = [flow for flow in flows if flow.protection == ENCRYPTED]
    messages = sum(flow.messages for flow in holding)
    different = len(frozenset().union(*(flow.digests for flow in holding)))
    size = ciphertexts["key_bits"] // 4
    least, sent = size * ciphertexts["total"], sum(flow.bytes for flow in holding)
    parties = set(metrics["parties"])
    direct = sum(f.messages for f in flows if {f.sender, f.receiver} <= parties | {_ARBITER})
    looked_at = ciphertexts.get("found_randomised")
    randomised = (
        "not looked at by the version that made this run"
        if looked_at is None
        else verdict(
            looked_at == ciphertexts["total"],
            f"{looked_at:,} of {ciphertexts['total']:,} were looked at on arrival: each has a random factor, "
            "which no other in its message shares",
        )
    )
    return section(
        "Evidence that encryption was on",
        facts(
            [
                ("scheme", f"Paillier, {ciphertexts['scheme']}"),
                (
                    "key",
                    f"{ciphertexts['key_bits']} bits, fingerprint {ciphertexts.get('key_fingerprint', 'not kept')}",
                ),
                ("ciphertexts", f"{ciphertexts['total']:,} of {size} bytes each"),
                ("randomised", randomised),
                (
                    "no two alike",
                    verdict(
                        different == messages,
                        f"{messages:,} messages with ciphertexts have {different:,} different SHA-256 digests",
                    ),
                ),
                (
                    "size",
                    verdict(
                        sent >= least,
                        f"those messages have {sent:,} bytes; that many ciphertexts take {least:,} of them",
                    ),
                ),
                (
                    "past the coordinator",
                    verdict(direct == 0, f"{direct} messages went straight between data parties or to the arbiter"),
                ),
            ]
        ),
    )


def learned_section(metrics: Mapping[str, Any], flows: Sequence[Flow]) -> str:
    """Return what each role learned, in words and by what reached it."""
    roles = [*metrics["parties"], _ARBITER, _COORDINATOR]
    rows = []
    for role in roles:
        received = [flow for flow in flows if flow.receiver == role]
        for protection in (ENCRYPTED, SEALED, PUBLIC):
            kinds = [flow for flow in received if flow.protection == protection]
            if not kinds:
                continue
            tells = dict.fromkeys(part for flow in kinds for part in flow.tells.split("; "))
            closed = _CLOSED.get(protection) if role == _COORDINATOR else None
            access = "reads it" if closed is None else verdict(True, closed)
            rows.append((role, protection, "; ".join(tells), access, in_bytes(sum(flow.bytes for flow in kinds))))
    head = ("who", "protection", "what reached it", "access", "bytes")
    return section(
        "What this run showed to whom",
        notes(showed(metrics)),
        table(head, rows, (4,), texts=True),
    )
