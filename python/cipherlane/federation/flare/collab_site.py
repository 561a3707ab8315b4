"""A FLARE client as the engine calls it, from FLARE's server."""

from __future__ import annotations

from typing import Any

from nvflare.collab import CollabCallError, collab
from nvflare.collab.api.exceptions import RunAborted

from cipherlane.errors import ProtocolError
from cipherlane.federation.flare.engine import Aborted, Unreachable

# What a call fails with while a site is away or a message lost; anything else is an error of the site's software.
_PASSING = frozenset({"TimeoutError", "str"})


class CollabSite:
    """A FLARE client as the engine calls it."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def open_role(self, order: bytes, timeout: float) -> bytes:
        """Tell the site its role."""
        return self._called(lambda: self._proxy(timeout=timeout).open_role(order=order))

    def answer(self, session: bytes, number: int, method: str, data: bytes, timeout: float) -> bytes:
        """Hand the site a message."""
        call = {"session": session, "number": number, "method": method, "data": data}
        return self._called(lambda: self._proxy(timeout=timeout).answer(**call))

    def _called(self, call: Any) -> bytes:
        try:
            reply: bytes = call()
        except RunAborted as error:
            raise Aborted from error
        except CollabCallError as error:
            if error.cause_type in _PASSING:
                raise Unreachable(str(error.cause)) from error
            raise ProtocolError(
                f"{self._proxy.name!r}: its software failed ({error.cause}); see that site's log"
            ) from error
        return reply


def connected_sites() -> dict[str, CollabSite]:
    """Return the sites of the job that this process runs, by name."""
    return {proxy.name: CollabSite(proxy) for proxy in collab.clients}
