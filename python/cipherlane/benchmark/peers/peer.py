"""What every peer offers."""

from __future__ import annotations

import importlib
import importlib.metadata
from abc import ABC, abstractmethod

from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.operations import Operation
from cipherlane.benchmark.ours import Ours

# In what operations of all peers are unlike ours of that name.
CAVEATS = {"packed": "one value a ciphertext", "decrypt-short": "exponents of the size of p and q"}


class PeerSession(ABC):
    """A peer at work with one key."""

    @abstractmethod
    def cases(self, operation: Operation, count: int) -> list[Case]:
        """Return the ways this peer has of doing the operation on a batch of ``count``; none if it cannot."""


class Peer(ABC):
    """A library that encrypts, too.

    Attributes
    ----------
    name : str
        For the command line and the table.
    module, distribution : str
        What is imported, and what is installed to have it.
    install : str
        Command and conditions, for the message when it is missing.
    description : str
        What it is, and how it works where that matters to a comparison.
    """

    name: str
    module: str
    distribution: str
    install: str
    description: str

    def version(self) -> str | None:
        """Return the installed version, or None if it cannot be imported."""
        try:
            importlib.import_module(self.module)
            return importlib.metadata.version(self.distribution)
        except (ImportError, importlib.metadata.PackageNotFoundError):
            return None

    @abstractmethod
    def session(self, ours: Ours) -> PeerSession:
        """Return the peer with our key, or where it takes none, with one of its own of the same size."""
