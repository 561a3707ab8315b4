"""What every batch kernel must give on hard numbers, by Python's integers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np

from batch_calls import Call, Words
from device_code import Ring, hard_numbers, unit

Check = Callable[[dict[str, Words]], bool]
Case = tuple[Call, Check]


def to_words(numbers: list[int], width: int) -> Words:
    """Return rows of ``width`` words."""
    return np.frombuffer(b"".join(x.to_bytes(4 * width, "little") for x in numbers), dtype="<u4")


def to_numbers(words: Words, width: int) -> list[int]:
    return [int.from_bytes(words[i : i + width].tobytes(), "little") for i in range(0, len(words), width)]


def even_words(bits: int) -> int:
    """Words of a row of plain numbers, which starts on 8 bytes."""
    return (bits + 63) // 64 * 2


class Setup:
    """A modulus, numbers for it, and a launch of ``groups`` groups with ``count`` results."""

    def __init__(self, ring: Ring, threads: int, count: int, groups: int) -> None:
        self.ring, self.threads, self.count, self.groups = ring, threads, count, groups
        self.n, self.square, self.limbs = ring.n, ring.n**2, ring.limbs
        self.source = random.Random(f"{ring.n} {count}")
        self.reduced = hard_numbers(ring.n, ring.reduced, self.source)
        self.constants = to_words([ring.constants], 8 * self.limbs)
        self.common = {"count": count, "constants": self.constants}
        self.edges = [(ring.reduced - 1, ring.reduced - 1), (0, 0), (0, ring.reduced - 1), (self.n - 1, self.n - 1)]

    def pairs(self, count: int) -> list[tuple[int, int]]:
        drawn = [(self.source.choice(self.reduced), self.source.choice(self.reduced)) for _ in range(count)]
        return [pair if self.source.random() < 0.7 else self.source.choice(self.edges) for pair in drawn]

    def rows(self, pairs: list[tuple[int, int]]) -> Words:
        return to_words([part for pair in pairs for part in pair], self.limbs)

    def room(self, rows: int) -> Words:
        return np.full(2 * self.limbs * rows, 0xA5A5A5A5, dtype=np.uint32)

    def plain(self, count: int, below: int) -> list[int]:
        hard = hard_numbers(self.n, below, self.source)
        return [self.source.choice([0, 1, below - 1, below // 2, *hard]) for _ in range(count)]

    def value(self, pair: tuple[int, int]) -> int:
        """Return the residue that a pair in Montgomery form stands for."""
        return (pair[0] + pair[1] * self.n) * self.ring.inverse % self.square

    def residues(self, words: Words) -> list[int] | None:
        """Return what the rows stand for; None where one is not Reduced."""
        parts = to_numbers(words, self.limbs)
        if max(parts) >= self.ring.reduced:
            return None
        return [self.value(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]

    def gives(self, expected: list[int], name: str = "r") -> Check:
        expected = [value % self.square for value in expected]
        return lambda results: self.residues(results[name]) == expected

    def units(self, count: int) -> list[int]:
        return [unit(self.n, self.source) for _ in range(count)]


def multiply_pairs(s: Setup) -> Iterator[Case]:
    for x_step, y_step in ((1, 1), (0, 1), (1, 0)):
        x, y = s.pairs(s.count if x_step else 1), s.pairs(s.count if y_step else 1)
        fields = {"r": s.room(s.count), "x": s.rows(x), "y": s.rows(y), "x_step": x_step, "y_step": y_step}
        products = [s.value(x[i * x_step]) * s.value(y[i * y_step]) for i in range(s.count)]
        yield Call("MultiplyPairs", s.groups, fields | s.common), s.gives(products)
    x = s.pairs(s.count)
    fields = {"r": s.rows(x), "x": "r", "y": "r", "x_step": 1, "y_step": 1}
    yield Call("MultiplyPairs", s.groups, fields | s.common), s.gives([s.value(pair) ** 2 for pair in x])


def multiply_one_plus(s: Setup) -> Iterator[Case]:
    for x_step, a_words in ((1, even_words(s.n.bit_length())), (0, s.limbs), (1, 2)):
        x = s.pairs(s.count if x_step else 1)
        a = s.plain(s.count, min(s.n, 1 << 32 * a_words))
        fields = {"r": s.room(s.count), "x": s.rows(x), "x_step": x_step, "a": to_words(a, a_words), "a_words": a_words}
        products = [(1 + a[i] * s.n) * s.value(x[i * x_step]) for i in range(s.count)]
        yield Call("MultiplyOnePlus", s.groups, fields | s.common), s.gives(products)


def fixed_base(s: Setup, kernel: str, window_bits: int, windows: int, exponent_words: int) -> Iterator[Case]:
    [base] = s.units(1)
    entries = []
    for j in range(windows):
        step = pow(base, 1 << window_bits * j, s.square)
        power = 1
        for _ in range(1 << window_bits):
            entries.append(tuple(s.ring.factored(power)))
            power = power * step % s.square
    bits = min(window_bits * windows, 32 * exponent_words)
    a_words = even_words(s.n.bit_length())
    for with_a in (True, False):
        exponents = s.plain(s.count, 1 << bits)
        exponents[s.source.randrange(s.count)] = (1 << bits) - 1
        a = s.plain(s.count, s.n) if with_a else [0] * s.count
        fields = {
            "r": s.room(s.count),
            "entries": s.rows(entries),
            "window_bits": window_bits,
            "windows": windows,
            "exponents": to_words(exponents, exponent_words),
            "exponent_words": exponent_words,
            "a": to_words(a, a_words) if with_a else None,
            "a_words": a_words,
        }
        powers = [pow(base, e, s.square) * (1 + p * s.n) for e, p in zip(exponents, a, strict=True)]
        yield Call(kernel, s.groups, fields | s.common), s.gives(powers)


def fixed_base_vartime(s: Setup) -> Iterator[Case]:
    yield from fixed_base(s, "FixedBasePowersVartime", 3, 6, 2)
    yield from fixed_base(s, "FixedBasePowersVartime", 1, 1, 2)
    yield from fixed_base(s, "FixedBasePowersVartime", 7, 2, 4)


def fixed_base_masked(s: Setup) -> Iterator[Case]:
    yield from fixed_base(s, "FixedBasePowersMasked", 3, 6, 2)
    yield from fixed_base(s, "FixedBasePowersMasked", 5, 2, 2)
    yield from fixed_base(s, "FixedBasePowersMasked", 6, 2, 2)


def fixed_window_powers(s: Setup) -> Iterator[Case]:
    for bits, exponent in ((1, 1), (3, 5), (5, 16), (32, 2**32 - 1), (37, 2**36 + 1), (40, 0), (66, 2**65 + 3)):
        x = s.pairs(s.count)
        fields = {
            "r": s.room(s.count),
            "x": s.rows(x),
            "exponent": to_words([exponent], (bits + 31) // 32),
            "exponent_bits": bits,
            "scratch": s.room(16 * s.count),
        }
        powers = [pow(s.value(pair), exponent, s.square) for pair in x]
        yield Call("FixedWindowPowers", s.groups, fields | s.common), s.gives(powers)


def powers_each(s: Setup) -> Iterator[Case]:
    for bits, words, x_step in ((1, 2, 1), (7, 2, 0), (64, 2, 1), (66, 4, 1)):
        x = s.pairs(s.count if x_step else 1)
        exponents = s.plain(s.count, 1 << bits)
        exponents[-1] = (1 << bits) - 1 - exponents[0]
        fields = {
            "r": s.room(s.count),
            "x": s.rows(x),
            "x_step": x_step,
            "exponents": to_words(exponents, words),
            "exponent_words": words,
            "exponent_bits": bits,
            "scratch": s.room(16 * s.count),
        }
        powers = [pow(s.value(x[i * x_step]), e, s.square) for i, e in enumerate(exponents)]
        yield Call("PowersEachVartime", s.groups, fields | s.common), s.gives(powers)


def segment_products(s: Setup) -> Iterator[Case]:
    x = s.pairs(5)
    lengths = [(3, 0, 1, 6, 2)[i % 5] for i in range(s.count)]
    rows = [s.source.randrange(5) for _ in range(sum(lengths))]
    starts = [sum(lengths[:i]) for i in range(s.count + 1)]
    products = []
    for start, length in zip(starts, lengths, strict=False):
        product = 1
        for row in rows[start : start + length]:
            product = product * s.value(x[row]) % s.square
        products.append(product)
    fields = {
        "r": s.room(s.count),
        "x": s.rows(x),
        "rows": np.array(rows, dtype=np.uint32),
        "starts": np.array(starts, dtype=np.uint32),
    }
    yield Call("SegmentProducts", s.groups, fields | s.common), s.gives(products)


def evaluate(s: Setup) -> Iterator[Case]:
    """A number below n^2 from its two halves, and linear forms of two numbers in parts of any place and length."""
    square = s.n * s.n
    bits = 32 * s.limbs
    forms = [([(0, 0, bits), (0, bits, bits)], (even_words(square.bit_length()), None))]
    half = (s.n.bit_length() + 1) // 2
    forms.append(([(0, 0, half), (1, half - 1, s.n.bit_length()), (1, 5, 31), (0, 31, 33)], (s.limbs, s.limbs)))
    forms.append(([(1, 64 - 9, 32), (1, 0, 1), (0, 33, 32 * s.limbs)], (2 * s.limbs, 2)))
    for parts, words in forms:
        factors = [1, s.ring.b] if words[1] is None else [s.source.randrange(square) for _ in parts]
        numbers = [s.plain(s.count, square if words[1] is None else 1 << 32 * width) for width in words if width]
        sums = [0] * s.count
        for (number, first, length), factor in zip(parts, factors, strict=True):
            for i in range(s.count):
                sums[i] += factor * (numbers[number][i] >> first & (1 << length) - 1)
        rows = [tuple(s.ring.pair(factor * s.ring.r**2)) for factor in factors]
        fields = {
            "r": s.room(s.count),
            "parts": np.array(parts, dtype=np.uint32).reshape(-1),
            "part_count": len(parts),
            "constants_of_parts": s.rows(rows),
            "numbers0": to_words(numbers[0], words[0]),
            "numbers1": to_words(numbers[1], words[1]) if words[1] else None,
            "number_words0": words[0],
            "number_words1": words[1] or 0,
        }
        yield Call("Evaluate", s.groups, fields | s.common), s.gives(sums)


def digits(s: Setup) -> Iterator[Case]:
    least = even_words(s.n.bit_length())
    for words, wanted in ((least, "both"), (s.limbs + 2, "both"), (least, "d0"), (least, "d1")):
        x = s.pairs(s.count)
        values = [s.value(pair) for pair in x]
        expected = {"d0": [value % s.n for value in values], "d1": [value // s.n for value in values]}
        room = np.full(words * s.count, 0xA5A5A5A5, dtype=np.uint32)
        fields = {name: room if wanted in (name, "both") else None for name in expected}
        fields |= {"words": words, "x": s.rows(x)}

        def check(results: dict[str, Words], words: int = words, expected: dict = expected) -> bool:
            return all(to_numbers(got, words) == expected[name] for name, got in results.items())

        yield Call("Digits", s.groups, fields | s.common), check


def values(s: Setup) -> Iterator[Case]:
    for words in (even_words((s.n**2).bit_length()), 2 * s.limbs + 2):
        x = s.pairs(s.count)
        expected = [s.value(pair) for pair in x]
        fields = {"c": np.full(words * s.count, 0xA5A5A5A5, dtype=np.uint32), "words": words, "x": s.rows(x)}
        yield (
            Call("Values", s.groups, fields | s.common),
            lambda results, words=words, expected=expected: to_numbers(results["c"], words) == expected,
        )


def gather(s: Setup) -> Iterator[Case]:
    x = s.pairs(7)
    rows = [s.source.randrange(7) for _ in range(s.count)]
    fields = {"r": s.room(s.count), "x": s.rows(x), "rows": np.array(rows, dtype=np.uint32), "count": s.count}
    expected = [part for row in rows for part in x[row]]
    yield Call("Gather", s.groups, fields), lambda results: to_numbers(results["r"], s.limbs) == expected


def square_chains(s: Setup) -> Iterator[Case]:
    for steps in (1, 5):
        x = s.pairs(s.count)
        fields = {"r": s.room(s.count * steps), "x": s.rows(x), "steps": steps}
        powers = [pow(s.value(pair), 1 << k, s.square) for pair in x for k in range(steps)]
        yield Call("SquareChains", s.groups, fields | s.common), s.gives(powers)


def table_level(s: Setup) -> Iterator[Case]:
    """All groups of a launch have work here but those that fill a warp: count is that of windows and powers."""
    for window_bits, level, windows in ((3, 2, 1), (3, 1, 2), (2, 0, 3)):
        count = windows << level
        if count > s.groups:
            continue
        chain = s.pairs(window_bits * windows)
        powers = s.pairs(windows << window_bits)
        expected = [s.value(pair) for pair in powers]
        for j in range(windows):
            for d in range(1 << level):
                row = (j << window_bits) + d
                expected[row + (1 << level)] = s.value(powers[row]) * s.value(chain[window_bits * j + level])
        fields = {"powers": s.rows(powers), "chain": s.rows(chain), "window_bits": window_bits, "level": level}
        fields |= s.common | {"count": count}
        yield Call("TableLevel", s.groups, fields), s.gives(expected, "powers")


def factor_entries(s: Setup) -> Iterator[Case]:
    residues = [1, s.square - 1, *s.units(s.count)][-s.count :]
    pairs = [s.ring.pair(x * s.ring.r) for x in residues]
    # As a product leaves them: not always Canonical, the digit below taken from the one above.
    loose = [(x + s.n, y - 1) if x + s.n < s.ring.reduced and y > 0 else (x, y) for x, y in pairs]
    inverses = [tuple(s.ring.pair(pow(x, -1, s.square) * s.ring.r)) for x in residues]
    expected = [part for x in residues for part in s.ring.factored(x)]
    for fields in (
        {"entries": s.room(s.count), "powers": s.rows(loose)},
        {"entries": s.rows(loose), "powers": "entries"},
    ):
        yield (
            Call("FactorEntries", s.groups, fields | {"inverses": s.rows(inverses)} | s.common),
            lambda results: to_numbers(results["entries"], s.limbs) == expected,
        )


def bucket_sums(s: Setup) -> Iterator[Case]:
    for buckets in (1, 2, 5):
        x = s.pairs(s.count * buckets)
        products = []
        for i in range(s.count):
            product = 1
            for d in range(buckets):
                product = product * pow(s.value(x[i * buckets + d]), d + 1, s.square) % s.square
            products.append(product)
        fields = {"r": s.room(s.count), "bucket_rows": s.rows(x), "buckets": buckets}
        yield Call("BucketSums", s.groups, fields | s.common), s.gives(products)


def join_windows(s: Setup) -> Iterator[Case]:
    for windows, window_bits in ((1, 4), (3, 2), (2, 5)):
        x = s.pairs(s.count * windows)
        products = []
        for i in range(s.count):
            product = 1
            for k in range(windows):
                product = product * pow(s.value(x[i * windows + k]), 1 << window_bits * k, s.square) % s.square
            products.append(product)
        fields = {"r": s.room(s.count), "x": s.rows(x), "windows": windows, "window_bits": window_bits}
        yield Call("JoinWindows", s.groups, fields | s.common), s.gives(products)


def chacha20(key: bytes, counter: int, nonce: bytes) -> bytes:
    """RFC 8439, 2.3."""
    mask = 0xFFFFFFFF
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += [*np.frombuffer(key, dtype="<u4").tolist(), counter, *np.frombuffer(nonce, dtype="<u4").tolist()]
    x = list(start)

    def quarter(*places: int) -> None:
        a, b, c, d = places
        for target, added, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[target] = x[target] + x[added] & mask
            mixed = x[turned] ^ x[target]
            x[turned] = (mixed << bits | mixed >> 32 - bits) & mask

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return np.array([a + b & mask for a, b in zip(x, start, strict=True)], dtype="<u4").tobytes()


def random_exponents(s: Setup) -> Iterator[Case]:
    key = bytes(range(32))
    for bits, words, first in ((1, 2, 0), (64, 2, 7), (513, 18, 2**32 - 1), (1055, 36, 2**64 - s.count), (512, 18, 1)):
        expected = []
        for i in range(first, first + s.count):
            nonce = i.to_bytes(8, "little") + (5).to_bytes(4, "little")
            stream = b"".join(chacha20(key, block, nonce) for block in range((bits + 511) // 512))
            expected.append(int.from_bytes(stream, "little") % (1 << bits))
        fields = {
            "exponents": np.full(words * s.count, 0xA5A5A5A5, dtype=np.uint32),
            "words": words,
            "bits": bits,
            "key": np.frombuffer(key, dtype="<u4"),
            "first": first,
            "domain": 5,
            "count": s.count,
        }
        yield (
            Call("RandomExponents", s.groups, fields),
            lambda results, words=words, expected=expected: to_numbers(results["exponents"], words) == expected,
        )


def multiply_peak(s: Setup) -> Iterator[Case]:
    mask, threads = 2**32 - 1, s.threads
    for steps in (1, 2**10 + 7):
        expected = []
        for thread in range(s.count * threads):
            word = 0
            for k in range(8):
                v = steps * (2 * steps + 1) * (2 * (8 * thread + k) + 1)
                word ^= v & mask ^ v >> 32
            expected.append(word)
        fields = {"r": np.full(s.count * threads, 0xA5A5A5A5, dtype=np.uint32), "steps": steps, "count": s.count}
        yield (
            Call("MultiplyPeak", s.groups, fields),
            lambda results, expected=expected: results["r"].tolist() == expected,
        )


CASES: dict[str, Callable[[Setup], Iterator[Case]]] = {
    "MultiplyPairs": multiply_pairs,
    "MultiplyOnePlus": multiply_one_plus,
    "FixedBasePowersVartime": fixed_base_vartime,
    "FixedBasePowersMasked": fixed_base_masked,
    "FixedWindowPowers": fixed_window_powers,
    "PowersEachVartime": powers_each,
    "SegmentProducts": segment_products,
    "Evaluate": evaluate,
    "Digits": digits,
    "Values": values,
    "Gather": gather,
    "SquareChains": square_chains,
    "TableLevel": table_level,
    "FactorEntries": factor_entries,
    "BucketSums": bucket_sums,
    "JoinWindows": join_windows,
    "RandomExponents": random_exponents,
    "MultiplyPeak": multiply_peak,
}
