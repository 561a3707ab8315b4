"""What crossed in a run, from its transcript: how much of which kind, from whom to whom, and how it was protected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSCRIPT_FILE = "transcript.jsonl"

ENCRYPTED = "encrypted (Paillier)"
SEALED = "sealed to the receiver"
PUBLIC = "readable by both ends"

# How each kind of message is protected, and what it tells whoever may read it.
# A test compares the names with those of the protocol.
KINDS: Mapping[str, tuple[str, str]] = {
    "requirements": (PUBLIC, "the plan's settings, and the columns it names of that party"),
    "capability": (PUBLIC, "numbers of rows and columns, memory, speed, versions"),
    "match_open": (PUBLIC, "keys to seal with"),
    "match_offer": (SEALED, "salted digests of the guest's ids"),
    "match_check": (SEALED, "salted digests of the guest's ids"),
    "match_result": (PUBLIC, "how many ids differ; which, sealed to the guest"),
    "match_differs": (SEALED, "digests of ids that only the guest has"),
    "arbiter_task": (PUBLIC, "the plan's settings, number of rows"),
    "public_key": (PUBLIC, "the public key"),
    "key": (PUBLIC, "the public key"),
    "initialise": (PUBLIC, "how to start, the seed"),
    "initial_responsibilities": (SEALED, "responsibilities"),
    "start": (SEALED, "responsibilities"),
    "restore": (PUBLIC, "which round to go back to"),
    "weights": (PUBLIC, "weights and sizes of components"),
    "update": (SEALED, "responsibilities; weights and sizes in the clear"),
    "evaluate": (PUBLIC, "a call to score rows"),
    "encrypted_scores": (ENCRYPTED, "one party's log-density differences"),
    "score_sums": (ENCRYPTED, "their sums over parties, decrypted by the arbiter"),
    "responsibilities": (SEALED, "responsibilities; weights, sizes, mean log-likelihood in the clear"),
    "send_parameters": (PUBLIC, "a call for parameters"),
    "encrypted_parameters": (ENCRYPTED, "one party's means and covariances"),
    "column_sums": (PUBLIC, "a call for sums of columns"),
    "added_column_sums": (
        ENCRYPTED,
        "each column's sum and count over parties, decrypted by the arbiter",
    ),
    "column_spreads": (SEALED, "each column's mean over all parties"),
    "added_column_spreads": (ENCRYPTED, "each column's squared deviations over parties, decrypted by the arbiter"),
    "column_moments": (SEALED, "means or deviations of columns over all parties"),
    "standardise": (SEALED, "each column's deviation over all parties"),
    "initial_centres": (SEALED, "the guest's k-means centres"),
    "begin": (SEALED, "the guest's k-means centres, where they are the start; the seed"),
    "expect": (SEALED, "the model of the round"),
    "encrypted_statistics": (ENCRYPTED, "one party's sums over its rows"),
    "added_statistics": (ENCRYPTED, "sums over the rows of all parties, decrypted by the arbiter"),
    "mixture": (SEALED, "the model; weights, sizes, mean log-likelihood in the clear"),
    "joint_parameters": (ENCRYPTED, "every party's means and covariances, decrypted by the arbiter"),
    "join": (PUBLIC, "keys to seal with, when to stop"),
    "forward": (ENCRYPTED, "functions of the earlier hosts' partial scores, in a box; none for the first host"),
    "partial_scores": (ENCRYPTED, "functions of the hosts' partial scores, in a box for the next party"),
    "residuals": (ENCRYPTED, "functions of the hosts' partial scores, in a box"),
    "encrypted_residuals": (
        ENCRYPTED,
        "residuals in boxes for the hosts; the guest's masked gradient, for the arbiter",
    ),
    "gradient": (ENCRYPTED, "residuals, in a box"),
    "masked_gradient": (ENCRYPTED, "a host's masked gradient, in a box for the arbiter"),
    "masked_sums": (ENCRYPTED, "masked gradients and losses, in boxes; decrypted by the arbiter, uniform to it"),
    "unmasked_sums": (SEALED, "decrypted masked numbers, each for the party that masked them"),
    "apply": (SEALED, "decrypted masked numbers, for the party that masked them"),
    "applied": (PUBLIC, "from the guest the epoch's mean loss, and whether to stop"),
    "settle": (PUBLIC, "how many epochs to go back"),
    "checkpoint": (PUBLIC, "a call to keep a checkpoint"),
    "finish": (SEALED, "the end, with the weights; to the guest alone its final responsibilities"),
    "ledger_join": (PUBLIC, "a call for the account on the ledger"),
    "ledger_account": (PUBLIC, "the account on the ledger"),
    "ledger_open": (PUBLIC, "the members' agreement, with the salt of all digests"),
    "ledger_act": (PUBLIC, "which step to take on the ledger"),
    "ledger_transactions": (PUBLIC, "signed transactions: salted digests, counts, access"),
    "ledger_seal": (PUBLIC, "signed transactions, to be sealed in a block"),
    "ledger_append": (PUBLIC, "blocks of the ledger"),
    "ledger_fetch": (PUBLIC, "from which block on to send blocks"),
    "ledger_blocks": (PUBLIC, "blocks of the ledger"),
    "ledger_head": (PUBLIC, "the number and hash of a copy's last block"),
    "noted": (PUBLIC, "that a message arrived"),
    "failure": (PUBLIC, "why a role refused, without data"),
}


@dataclass
class Flow:
    """All messages of one kind from one role to another."""

    sender: str
    receiver: str
    kind: str
    messages: int = 0
    bytes: int = 0
    digests: frozenset[str] = frozenset()


def read_flows(run: Path) -> list[Flow]:
    """Return what crossed in a run, in the order in which each flow began.

    Raises
    ------
    ValueError
        The transcript is not there or a line of it is no entry.
    """
    path = run / TRANSCRIPT_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the run's transcript was removed")
    with path.open(encoding="utf-8") as lines:
        return collect_flows(lines, str(path))


def collect_flows(lines: Iterable[str], source: str) -> list[Flow]:
    """Return the flows in the lines of a transcript."""
    flows: dict[tuple[str, str, str], Flow] = {}
    digests: dict[tuple[str, str, str], set[str]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            key = (str(entry["sender"]), str(entry["receiver"]), str(entry["kind"]))
            size, digest = int(entry["bytes"]), str(entry["sha256"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{source}: line {number}: not an entry of a transcript; the file was changed") from None
        flow = flows.setdefault(key, Flow(*key))
        flow.messages += 1
        flow.bytes += size
        digests.setdefault(key, set()).add(digest)
    for key, flow in flows.items():
        flow.digests = frozenset(digests[key])
    return list(flows.values())


def by_edge(flows: Iterable[Flow]) -> dict[tuple[str, str], dict[str, int]]:
    """Return bytes by protection for each (sender, receiver)."""
    edges: dict[tuple[str, str], dict[str, int]] = {}
    for flow in flows:
        protection = KINDS.get(flow.kind, (PUBLIC, ""))[0]
        edge = edges.setdefault((flow.sender, flow.receiver), dict.fromkeys((ENCRYPTED, SEALED, PUBLIC), 0))
        edge[protection] += flow.bytes
    return edges
