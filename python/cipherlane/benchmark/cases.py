"""Something that can be timed, and the proof that it computes what it should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.errors import CipherlaneError

_MOST_CHECKED = 64
# HEU keeps six decimals of a float.
_FLOAT_TOLERANCE = 2e-6


class VerificationError(CipherlaneError):
    """An operation about to be timed gave a wrong result."""


@dataclass(frozen=True)
class Case:
    """One operation of one library, on given inputs.

    Attributes
    ----------
    library, method : str
        Whose, and how it is done there.
    count : int
        Operations in one call of ``run``.
    run : callable
    expected : sequence
        The plaintext of every result.
    plaintexts : callable
        Maps the result of ``run`` and a list of indices to the plaintexts there.
    randomisation : Randomisation or None
    caveat : str or None
        In what it is unlike our operation of that name beside the randomisation.
    """

    library: str
    method: str
    count: int
    run: Callable[[], Any]
    expected: Sequence[Any]
    plaintexts: Callable[[Any, list[int]], list[Any]]
    randomisation: Randomisation | None = None
    caveat: str | None = None


def verify(case: Case, what: str) -> None:
    """Run a case once and compare plaintexts with what must come out, at up to 64 places spread over the batch.

    Raises
    ------
    VerificationError
        If one differs.
    """
    size = len(case.expected)
    indices = sorted({round(i * (size - 1) / (_MOST_CHECKED - 1)) for i in range(_MOST_CHECKED)})
    got = case.plaintexts(case.run(), indices)
    wrong = [index for index, value in zip(indices, got, strict=True) if not _equal(value, case.expected[index])]
    if wrong:
        raise VerificationError(
            f"{case.library}: {what} ({case.method}) gave a wrong result at {len(wrong)} of {len(indices)} places "
            f"checked, the first at index {wrong[0]}; nothing of it is timed. Leave it out with --against or "
            "--operations, and report it to its makers"
        )


def _equal(got: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return abs(float(got) - expected) <= _FLOAT_TOLERANCE
    return bool(int(got) == expected)
