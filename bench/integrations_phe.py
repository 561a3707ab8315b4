"""Operations a second of one core on python-paillier's interface: Cipherlane's in its place beside python-paillier.

Both work with the same primes, on the same lists of floats, and randomise every encryption: ours by powers of h_s or
by r^n, as a row says, python-paillier by r^n. Results must decrypt to the values, sums and products be the same
ciphertexts, before a time is told. The two take turns; a ratio is the median of the rounds', beside it the least and
the largest.

    python bench/integrations_phe.py --json bench/results/integrations-phe.json
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import phe as peer
from timing import Row, table, write_json

from cipherlane.integrations import phe as ours

PEER = "python-paillier 1.5.0"


class Side(NamedTuple):
    """One library's way: a function of a count, which does that many, and how many it is given."""

    run: Callable[[int], Any]
    count: int


class Case(NamedTuple):
    name: str
    ours: Side
    theirs: Side
    check: Callable[[Any, Any], bool]


def seconds_each(side: Side) -> float:
    start = time.process_time()
    side.run(side.count)
    return (time.process_time() - start) / side.count


def measured(case: Case, bits: int, rounds: int) -> Row:
    # Results of the same count, so that they can be compared; this also makes tables that are made once a key.
    count = case.theirs.count
    if not case.check(case.ours.run(count), case.theirs.run(count)):
        raise SystemExit(f"{case.name}, {bits} bits: the results differ")
    case.ours.run(case.ours.count)
    pairs = [(seconds_each(case.ours), seconds_each(case.theirs)) for _ in range(rounds)]
    ratios = [theirs / mine for mine, theirs in pairs]
    return Row(
        case.name,
        f"{bits} bits",
        1 / statistics.median(mine for mine, _ in pairs),
        PEER,
        1 / statistics.median(theirs for _, theirs in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def cases(bits: int) -> list[Case]:
    fast, private_key = ours.generate_paillier_keypair(n_length=bits)
    classic = ours.PaillierPublicKey(fast.n)
    their_public = peer.PaillierPublicKey(fast.n)
    their_private = peer.PaillierPrivateKey(their_public, private_key.p, private_key.q)
    rng = random.Random(bits)
    values = [rng.uniform(-1000, 1000) for _ in range(2000)]
    weights = [rng.uniform(-1, 1) for _ in values]
    numbers = fast.encrypt_batch(values)
    theirs = [peer.EncryptedNumber(their_public, x.ciphertext(), x.exponent) for x in numbers]

    def encrypted(mine: list[Any], others: list[Any]) -> bool:
        ciphertexts = {x.ciphertext(be_secure=False) for x in mine + others}
        read = [
            their_private.decrypt(peer.EncryptedNumber(their_public, x.ciphertext(False), x.exponent)) for x in mine
        ]
        return (
            len(ciphertexts) == len(mine) + len(others)
            and read
            == [private_key.decrypt(ours.EncryptedNumber(fast, x.ciphertext(False), x.exponent)) for x in others]
            and read == values[: len(mine)]
            and [x.exponent for x in mine] == [x.exponent for x in others]
        )

    def same_number(mine: Any, other: Any) -> bool:
        return (mine.ciphertext(False), mine.exponent) == (other.ciphertext(False), other.exponent)

    def decrypted(mine: list[Any], others: list[Any]) -> bool:
        return mine == others == values[: len(mine)]

    def rerandomised(mine: list[Any], others: list[Any]) -> bool:
        before = [x.ciphertext(False) for x in theirs[: len(mine)]]
        return not {*mine} & {*others, *before} and all(
            their_private.raw_decrypt(a) == their_private.raw_decrypt(b) == their_private.raw_decrypt(c)
            for a, b, c in zip(mine, others, before, strict=True)
        )

    def copies(library: Any, key: Any, count: int) -> list[Any]:
        return [library.EncryptedNumber(key, x.ciphertext(be_secure=False), x.exponent) for x in numbers[:count]]

    slow = max(4, 2 * 2048 // bits)
    loop = Side(lambda n: [their_public.encrypt(v) for v in values[:n]], slow)
    decryption = Side(lambda n: [their_private.decrypt(x) for x in theirs[:n]], 4 * slow)
    return [
        Case("encrypt a list", Side(lambda n: fast.encrypt_batch(values[:n]), 512), loop, encrypted),
        Case("encrypt a list, r^n", Side(lambda n: classic.encrypt_batch(values[:n]), 64), loop, encrypted),
        Case("encrypt in a loop", Side(lambda n: [fast.encrypt(v) for v in values[:n]], 128), loop, encrypted),
        Case(
            "re-randomise a list",
            Side(lambda n: ours.obfuscate_batch(copies(ours, fast, n)), 512),
            Side(lambda n: [x.ciphertext() for x in copies(peer, their_public, n)], slow),
            rerandomised,
        ),
        Case("decrypt a list", Side(lambda n: private_key.decrypt_batch(numbers[:n]), 256), decryption, decrypted),
        Case(
            "decrypt in a loop",
            Side(lambda n: [private_key.decrypt(x) for x in numbers[:n]], 4 * slow),
            decryption,
            decrypted,
        ),
        Case(
            "sum",
            Side(lambda n: ours.sum_batch(numbers[:n]), 2000),
            Side(lambda n: sum(theirs[:n]), 500),
            same_number,
        ),
        Case("sum in a loop", Side(lambda n: sum(numbers[:n]), 500), Side(lambda n: sum(theirs[:n]), 500), same_number),
        Case(
            "dot product with floats",
            Side(lambda n: ours.dot_batch(weights[:n], numbers[:n]), 1000),
            Side(lambda n: sum(w * x for w, x in zip(weights[:n], theirs[:n], strict=True)), 100),
            same_number,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, nargs="+", default=[2048, 3072])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    rows = [measured(case, bits, options.rounds) for bits in options.bits for case in cases(bits)]
    print(table(rows))
    if not all(math.isfinite(row.ratio) for row in rows):
        raise SystemExit("a time was too short to be measured; use more rounds on a quieter machine")
    if options.json is not None:
        write_json(options.json, rows, peer=PEER, rounds=options.rounds, seconds="CPU seconds of the process")


if __name__ == "__main__":
    main()
