"""The errors that Cipherlane raises beside the built-in ``TypeError`` and ``ValueError``."""

from __future__ import annotations


class CipherlaneError(Exception):
    """Base of every error that is Cipherlane's own."""


class KeyMismatchError(CipherlaneError, ValueError):
    """A ciphertext, key or message belongs to another key."""


class PlaintextOverflowError(CipherlaneError, OverflowError):
    """A value, or a bound on what a sum of values may reach, does not fit the plaintext space."""


class BackendUnavailableError(CipherlaneError):
    """A backend was asked for by name and cannot be used on this machine."""


class ProtocolError(CipherlaneError):
    """A party sent something that the protocol does not allow at that point."""
