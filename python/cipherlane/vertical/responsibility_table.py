"""Responsibilities on their way between roles: rounded to a few decimals, or exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING_OFF = -1
MAXIMUM_DECIMALS = 9


def round_rows(responsibilities: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """Return the rows rounded to `decimals` decimals so that each still sums to one.

    Each entry is rounded down to a multiple of 10^-decimals, and the units a row then lacks go to its
    entries with the largest remainders (largest-remainder rounding; ties to the earlier component), so
    every entry moves by less than one unit. ``decimals = -1`` returns the rows as they are.

    Parameters
    ----------
    responsibilities
        float64, shape (n, K), rows summing to one.
    decimals
        0 to 9, or -1 for no rounding.

    Examples
    --------
    >>> round_rows(np.array([[0.3349, 0.3349, 0.3302]]), 2)
    array([[0.34, 0.33, 0.33]])
    """
    if decimals == ROUNDING_OFF:
        return responsibilities
    return _to_units(responsibilities, decimals) / float(10**decimals)


def _to_units(responsibilities: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    whole = 10**decimals
    scaled = np.clip(responsibilities, 0.0, 1.0) * whole
    # 1e-9 of a unit keeps a value that already is a multiple from falling to the unit below.
    units = np.floor(scaled + 1e-9)
    remainders = scaled - units
    lacking = np.rint(whole - units.sum(axis=1)).astype(np.int64)
    order = np.argsort(-remainders, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
    units += rank < lacking[:, None]
    # A row lacks fewer units than it has entries, as each entry lost less than one.
    rounded: NDArray[np.float64] = units
    return rounded


def to_wire(responsibilities: NDArray[np.float64], decimals: int) -> NDArray[Any]:
    """Return the table to send: float64 when exact, else whole units in the smallest unsigned type."""
    if decimals == ROUNDING_OFF:
        return np.ascontiguousarray(responsibilities, dtype="<f8")
    whole = 10**decimals
    dtype = "|u1" if whole <= 0xFF else "<u2" if whole <= 0xFFFF else "<u4"
    units: NDArray[Any] = np.rint(responsibilities * whole).astype(dtype)
    return units


def from_wire(table: NDArray[Any], decimals: int) -> NDArray[np.float64]:
    """Return float64 responsibilities from a table that came off the wire.

    Raises
    ------
    ValueError
        The table is not one of responsibilities: an entry outside [0, 1] or a row that does not sum to 1.
    """
    exact = decimals == ROUNDING_OFF
    if exact != (table.dtype.kind == "f"):
        raise ValueError("responsibilities: exact tables hold float64, rounded ones whole units")
    rows = table.astype(np.float64) if exact else table / float(10**decimals)
    outside = rows.size and (rows.min() < 0.0 or rows.max() > 1.0 + 1e-9)
    if outside or not np.allclose(rows.sum(axis=1), 1.0, rtol=0.0, atol=1e-9):
        raise ValueError("responsibilities: expected entries in [0, 1] and rows that sum to one")
    return rows
