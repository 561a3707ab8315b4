"""The one place where a backend is chosen: by name, by ``CIPHERLANE_BACKEND``, or the best usable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

from cipherlane import _native
from cipherlane.errors import BackendUnavailableError

_ENVIRONMENT_VARIABLE = "CIPHERLANE_BACKEND"
_chosen: ContextVar[str | None] = ContextVar("cipherlane_backend", default=None)


def backends() -> list[str]:
    """Return the names of the backends that can be used on this machine, best first.

    Examples
    --------
    >>> import cipherlane as cl
    >>> "portable" in cl.backends()
    True
    """
    return list(_native.usable_backends())


def _checked(name: str, asked_by: str) -> str:
    usable = backends()
    if name not in usable:
        known = name in _native.known_backends()
        reason = "cannot be used on this machine" if known else "is unknown"
        raise BackendUnavailableError(
            f"{asked_by}: backend {name!r} {reason}; usable here: {', '.join(usable)}. Name one of these, "
            "or none to get the best"
        )
    return name


def chosen_backend() -> str | None:
    """Return the backend that `use_backend` or ``CIPHERLANE_BACKEND`` names, None if neither does.

    Raises
    ------
    BackendUnavailableError
        If ``CIPHERLANE_BACKEND`` names a backend that cannot be used here.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    wanted = os.environ.get(_ENVIRONMENT_VARIABLE)
    return _checked(wanted, _ENVIRONMENT_VARIABLE) if wanted else None


def current_backend() -> str:
    """Return the backend on which new arrays are made now: the chosen one, or the best.

    Operations on arrays run there too if it was chosen, and else where their operands lie.

    Raises
    ------
    BackendUnavailableError
        If ``CIPHERLANE_BACKEND`` names a backend that cannot be used here.
    """
    return chosen_backend() or backends()[0]


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[str]:
    """Run the operations of a ``with`` block on the backend ``name``, in this thread or task only.

    Arrays that lie elsewhere are moved, and the moved copies kept as long as the arrays.

    Parameters
    ----------
    name : str
        One of `backends`.

    Raises
    ------
    BackendUnavailableError
        If there is no such backend here; the message names those that are.

    Examples
    --------
    >>> import cipherlane as cl
    >>> with cl.use_backend("portable") as name:
    ...     print(name)
    portable
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected a backend's name (str), got {type(name).__name__}")
    token = _chosen.set(_checked(name, "use_backend"))
    try:
        yield name
    finally:
        _chosen.reset(token)
