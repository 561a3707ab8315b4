"""The command ``bench``: figures of this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from cipherlane.cli_commands import add_command


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "bench",
        _bench,
        "measure encryption on this machine beside other libraries",
        "  cipherlane bench --quick                                 # a minute or two, all operations\n"
        "  cipherlane bench --bits 2048 3072 --against gmpy2,heu --json bench.json --plot bench.png\n"
        "  cipherlane bench --operations encrypt add --threads 1 2 --backend ifma portable\n"
        "  cipherlane bench --operations encrypt --batch 8 64 512 4096 --against none\n"
        "  cipherlane bench --backend cuda --json gpu.json          # a GPU, see docs/gpu.md\n"
        "\n"
        "Every operation, ours and theirs, is verified by decryption before it is timed. Rates are operations a\n"
        "CPU second, so that a busy machine does not matter much; a GPU is measured as a whole, in elapsed time. A\n"
        "ratio compares like with like, or says in what the two are unlike. docs/benchmark.md explains every column.\n"
        "Ctrl-C prints what has been measured so far.\n"
        "\n"
        "operations: encrypt, encrypt-classic, encrypt-short, holder-djn, holder-exact, holder-classic, holder-short,\n"
        "            encode-encrypt, packed, add, subtract, multiply, sum, segment-sum, matmul, rerandomize, decrypt,\n"
        "            decrypt-short, to-bytes, from-bytes, host-to-host (GPU)\n"
        "peers:      phe (python-paillier), gmpy2 (GMP's integers), heu (SecretFlow HEU)",
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[2048], metavar="N", help="key sizes (default: 2048)")
    parser.add_argument(
        "--backend", nargs="+", metavar="NAME", help="backends, see cipherlane info (default: the best usable)"
    )
    parser.add_argument("--operations", nargs="+", metavar="NAME", help="names from the list below (default: all)")
    parser.add_argument(
        "--threads", type=int, nargs="+", metavar="N", help="threads (default: 1; beside a device, all)"
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        metavar="N",
        help="batch sizes to sweep (default: one that suits each operation)",
    )
    parser.add_argument(
        "--against", metavar="PEERS", help="peers, separated by commas, or none (default: those installed)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison (default: 5; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="short timings, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw them: a .png, .svg or .pdf file")


def _bench(options: argparse.Namespace) -> int:
    from cipherlane.benchmark import Settings
    from cipherlane.benchmark.command import run

    settings = Settings.of(
        bits=options.bits,
        backends=options.backend,
        operations=options.operations,
        threads=options.threads,
        batches=options.batch,
        against=_peers(options.against),
        rounds=options.rounds,
        quick=options.quick,
    )
    return run(settings, options.json, options.plot)


def _peers(text: str | None) -> list[str] | None:
    if text is None or text == "none":
        return None if text is None else []
    return [name.strip() for name in text.split(",")]
