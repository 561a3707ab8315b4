"""A relay between a party and the server that keeps what passes: what whoever reads that line sees."""

from __future__ import annotations

import socket
import threading


class Relay:
    """Passes what arrives at ``address`` on to a port of this machine, and what that answers back, within a context."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._seen: list[bytes] = []
        self._listener = socket.create_server(("localhost", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def seen(self) -> bytes:
        """All bytes that came back, in the order in which they came."""
        return b"".join(self._seen)

    def _accept(self) -> None:
        while True:
            try:
                party, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("localhost", self._port))
            for source, sink, keep in ((party, server, False), (server, party, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, keep), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if keep:
                    self._seen.append(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # the other side left
            source.close()
