"""Which messages a role has answered in a session, so that none is answered twice, late or early."""

from __future__ import annotations

from cipherlane.errors import ProtocolError

# The guest is told once for each host whose rows do not match, and who gets requirements again says if they changed.
_REPEATED = frozenset({"match_differs", "requirements"})
# Of the ledger: what is in them is numbered and signed, and the chain takes none of it twice.
_LEDGER = frozenset({"ledger_join", "ledger_open", "ledger_act", "ledger_seal", "ledger_append", "ledger_fetch"})
# It says itself which round the run goes on after.
_ANY_ROUND = frozenset({"restore"})


class Turns:
    """The order of the messages that one role answers: each kind once a round, and rounds one by one.

    Examples
    --------
    >>> turns = Turns()
    >>> turns.check("update", 1)
    >>> turns.answered("update", 1)
    >>> turns.check("update", 1)
    Traceback (most recent call last):
    ...
    cipherlane.errors.ProtocolError: replayed message: 'update' of round 1 has been answered already
    >>> turns.check("update", 2)
    """

    def __init__(self) -> None:
        self._round = 0
        self._answered: set[tuple[str, int]] = set()

    def check(self, kind: str, round_number: int) -> None:
        """Raise `ProtocolError` unless a message of `kind` and that round may come now."""
        if kind in _ANY_ROUND and not self._round:
            return
        if (kind, round_number) in self._answered and kind not in _REPEATED | _LEDGER:
            raise ProtocolError(f"replayed message: {kind!r} of round {round_number} has been answered already")
        if round_number < self._round:
            raise ProtocolError(
                f"reordered message: {kind!r} of round {round_number} came late, after one of round {self._round}"
            )
        if round_number > self._round + 1:
            raise ProtocolError(
                f"reordered message: {kind!r} of round {round_number} came early, in round {self._round}; those "
                "between are missing"
            )

    def answered(self, kind: str, round_number: int) -> None:
        """Note that a message was answered."""
        if round_number > self._round:
            # What was answered in earlier rounds is late whatever its kind.
            self._round = round_number
            self._answered.clear()
        self._answered.add((kind, round_number))
