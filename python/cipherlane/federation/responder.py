"""What the arbiter and the data parties share: answering messages by kind, and refusing in words."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cipherlane.errors import CipherlaneError, ProtocolError, StorageError
from cipherlane.federation.turns import Turns
from cipherlane.vertical.messages import EDGES, pack_failure, unpack
from cipherlane.vertical.wire import Message, peek

Handler = Callable[[Message], bytes]

_log = logging.getLogger("cipherlane.federation")


class Responder:
    """A role that answers messages.

    A subclass gives its `handlers`, one for each kind it answers; a message that comes twice, late or early reaches
    none and changes nothing. An error of a handler goes back as a
    ``failure`` message whose text names the role; texts of errors hold no value of anyone's data.

    Attributes
    ----------
    name, role
        Who this is.
    notices
        What this role has to tell its own operator and nobody else.
    schema
        What describes its data set to itself, empty where it brings none; only salted digests of it leave.
    """

    schema: bytes = b""

    def __init__(self, name: str, role: str) -> None:
        self.name = name
        self.role = role
        self.notices: list[str] = []
        self.handlers: dict[str, Handler] = {}
        self._turns = Turns()

    def call(self, method: str, data: bytes) -> bytes:
        """Answer the message `data` of kind `method`."""
        round_number = 0
        try:
            kind, round_number = peek(data)
            if kind != method or kind not in self.handlers or self.role not in EDGES[kind][1]:
                raise ProtocolError(f"{self.role} {self.name!r}: does not answer {method!r} messages")
            message = unpack(data, kind)
            self._turns.check(kind, round_number)
            answer = self.handlers[kind](message)
            self._turns.answered(kind, round_number)
            return answer
        except StorageError as error:
            # Where its files lie is for its own operator.
            self.notify(str(error))
            return pack_failure(round_number, StorageError(f"{self.role} {self.name!r} cannot read or write its files"))
        except (CipherlaneError, ValueError, TypeError) as error:
            _log.debug("%s %r refuses %r", self.role, self.name, method, exc_info=True)
            return pack_failure(round_number, error)

    def close(self) -> None:
        """Let go of files that it holds open; the base holds none."""

    def notify(self, text: str) -> None:
        """Tell this role's own operator something."""
        self.notices.append(text)
        _log.info("%s", text)
