"""Where the time of a training run over NVIDIA FLARE goes: transport, serialisation, encryption, EM.

One plan is run by the local engine, by FLARE's simulator and, with --provisioned, by a provisioned federation on this
machine with mutual TLS. All must end in the same version of the model before anything is told. Transport is what a
round took beyond what its roles computed: FLARE, TLS, copies, waiting for a processor that roles share. Serialisation
happens within what roles compute; it is counted in the local run, in CPU seconds of the process.

    python bench/flare.py --provisioned --json bench/results/flare.json
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger import GUEST_COLUMNS, PLAN, write_table
from mixture import clusters
from timing import environment, write_json

from cipherlane.federation import Run, arbiter, data_party, load_plan, train
from cipherlane.federation.coordinator import party_seconds
from cipherlane.paillier import CipherArray, PrivateKey, PublicKey
from cipherlane.vertical import messages
from cipherlane.vertical.mixture_party import PartyParameters

TARGET = 0.20
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "flare"
# What belongs to which part of the work. Reading ciphertexts includes checking every one of them.
PARTS = {
    "serialisation": [
        (CipherArray, "to_bytes"),
        (CipherArray, "from_bytes"),
        (messages, "encode"),
        (messages, "decode"),
    ],
    "encryption": [
        (PublicKey, "encrypt"),
        (PrivateKey, "decrypt"),
        (CipherArray, "__add__"),
        (CipherArray, "rerandomize"),
    ],
    "em": [(data_party, "update_parameters"), (PartyParameters, "log_densities"), (arbiter, "next_state")],
}


class Counter:
    """CPU seconds of this process by part of the work; the outermost call that is counted gets all of them."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._within = False

    def watch(self) -> None:
        """Put a counting function in the place of each of `PARTS`."""
        for part, functions in PARTS.items():
            for owner, name in functions:
                found = vars(owner)[name]
                is_class_method = isinstance(found, classmethod)
                counted = self._counted(part, found.__func__ if is_class_method else found)
                setattr(owner, name, classmethod(counted) if is_class_method else counted)

    def _counted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments: Any, **options: Any) -> Any:
            if self._within:
                return function(*arguments, **options)
            self._within, start = True, time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self._within = False
                self.seconds[part] += time.process_time() - start

        return counted


def seconds_of(run: Run) -> dict[str, float]:
    """Seconds an iteration by part; the first, in which kernels and tables are made, is left out."""
    found: dict[str, float] = {}
    records = run.metrics["iterations"][1:]
    for record in records:
        spent = record["seconds"]
        parts = {
            "parties": party_seconds(spent, run.metrics["concurrent"]),
            "add": spent["add"],
            "decrypt": spent["decrypt"],
            "e_step": spent["e_step"],
            "transport": spent["relay"],
            "total": spent["total"],
        }
        for name, value in parts.items():
            found[name] = found.get(name, 0.0) + value / len(records)
    return found


def cpu_shares(plan: Path, out: Path) -> tuple[Run, dict[str, float]]:
    """Train locally, and return each part's share of the CPU seconds of training."""
    counter = Counter()
    counter.watch()
    began: list[float] = []
    ended: list[float] = []

    def note(event: Any) -> None:
        if event.record is not None and not began:
            # After the first round, in which kernels and tables are made.
            began.append(time.process_time())
            counter.seconds = dict.fromkeys(PARTS, 0.0)
        if event.stage == "finish":
            ended.append(time.process_time())
            kept.update(counter.seconds)

    kept: dict[str, float] = {}
    run = train(plan, out, progress=note)
    whole = ended[0] - began[0]
    shares = {part: seconds / whole for part, seconds in kept.items()}
    return run, {**shares, "rest": 1.0 - sum(shares.values())}


def provisioned(plan: Path, out: Path) -> Run:
    """Train on a provisioned federation of this machine, with mutual TLS."""
    sys.path.insert(0, str(EXAMPLE))
    from federation import ADMINISTRATOR, SERVER, SITES, Federation

    with tempfile.TemporaryDirectory(prefix="flare-") as folder, Federation(Path(folder)) as running:
        for name in (SERVER, *SITES):
            running.set_up(name)
            running.start(name)
        for party in load_plan(plan).parties:
            shutil.copy(party.data, running.data(party.name))
        return train(plan, out, engine="nvflare", kit=running.kits / ADMINISTRATOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30, help="of both parties; the guest has 10 (default: 30)")
    parser.add_argument("--components", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=6, help="of which the first is not counted (default: 6)")
    parser.add_argument("--provisioned", action="store_true", help="also with certificates and mutual TLS")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    print(f"{environment()['processor']}, {os.cpu_count()} processors, shared by all roles", flush=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        values = clusters(arguments.rows, arguments.columns, arguments.components)
        write_table(directory / "guest.csv", values[:, :GUEST_COLUMNS])
        write_table(directory / "host.csv", values[:, GUEST_COLUMNS:])
        plan = directory / "plan.toml"
        plan.write_text(PLAN.format(components=arguments.components, iterations=arguments.iterations))
        local, shares = cpu_shares(plan, directory / "local")
        runs = {"local": local, "simulator": train(plan, directory / "simulator", engine="nvflare")}
        if arguments.provisioned:
            runs["provisioned"] = provisioned(plan, directory / "provisioned")
        for engine, run in runs.items():
            if run.metrics["model"] != local.metrics["model"]:
                raise AssertionError(f"{engine}: another model than the local engine's; nothing is told")
    totals = local.metrics["totals"]
    print("share of CPU, local: " + ", ".join(f"{part} {100 * share:.1f} %" for part, share in shares.items()))
    found = {}
    for engine, run in runs.items():
        seconds = seconds_of(run)
        transport = seconds["transport"] / seconds["total"]
        both = transport + shares["serialisation"] * (1.0 - transport)
        found[engine] = {"seconds": seconds, "transport_share": transport, "transport_and_serialisation_share": both}
        print(
            f"{engine}: {seconds['total']:.2f} s an iteration: "
            + ", ".join(f"{part} {value:.2f}" for part, value in seconds.items() if part != "total")
            + f"; transport {100 * transport:.1f} %, with serialisation {100 * both:.1f} % (below {100 * TARGET:.0f} %)"
        )
    if arguments.json:
        conditions = {
            "rows": arguments.rows,
            "columns": arguments.columns,
            "components": arguments.components,
            "iterations": arguments.iterations,
            "key_bits": 2048,
            "ciphertexts": totals["ciphertexts"]["total"],
            "bytes": totals["bytes"],
            "processors": os.cpu_count(),
        }
        write_json(arguments.json, [], conditions=conditions, cpu_shares=shares, engines=found, target=TARGET)


if __name__ == "__main__":
    main()
