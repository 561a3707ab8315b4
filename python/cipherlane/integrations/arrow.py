"""Encrypted columns in Apache Arrow and Parquet.

A column is of the extension type `PaillierType`: fixed-size binary, a row's ciphertexts as big-endian integers, with
the key's fingerprint, codec, scale and bound in the field's metadata. Rows can be chosen, joined and written by any
software that knows Arrow, without the key; `from_arrow` checks what comes back.

>>> import pyarrow as pa
>>> import cipherlane as cl
>>> from cipherlane.integrations.arrow import from_arrow, to_arrow
>>> public_key, private_key = cl.keygen(bits=2048)
>>> table = pa.table({"patient": [7, 8, 9], "dose": to_arrow(public_key.encrypt([1.5, 2.0, 0.25]))})
>>> table.schema.field("dose").type.fingerprint == public_key.fingerprint
True
>>> private_key.decrypt(from_arrow(public_key, table.slice(1)["dose"]))
array([2.  , 0.25])
"""

from __future__ import annotations

import sys
from typing import Any

from cipherlane.integrations.extras import needed
from cipherlane.paillier import CipherArray, FixedPoint, PublicKey
from cipherlane.paillier.columns import ColumnDescription, from_column, to_column

with needed("pyarrow", "arrow"):
    import pyarrow as pa

__all__ = ["PaillierType", "from_arrow", "to_arrow"]

EXTENSION_NAME = "cipherlane.paillier"


class PaillierType(pa.ExtensionType):
    """The Arrow type of a column of encrypted numbers.

    Two columns are of one type if they have key, codec, scale, bound and length of rows in common. Importing this
    module registers the type, so that files and streams that hold such columns are read with it.

    Parameters
    ----------
    description : ColumnDescription
        What is public about the column.
    """

    def __init__(self, description: ColumnDescription) -> None:
        self._description = description
        super().__init__(pa.binary(description.width), EXTENSION_NAME)

    @property
    def description(self) -> ColumnDescription:
        """What is public about the column: key, codec, scale, bound, length of rows."""
        return self._description

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, 64 hexadecimal digits."""
        return self._description.fingerprint

    def __arrow_ext_serialize__(self) -> bytes:
        """Return the description as JSON, which Arrow keeps in the field's metadata."""
        return self._description.to_json().encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> PaillierType:
        """Return the type that metadata describe, refused unless they fit the width of the column."""
        made = cls(ColumnDescription.from_json(serialized.decode()))
        if made.storage_type != storage_type:
            raise ValueError(
                f"column: says rows of {made.storage_type.byte_width} bytes, and is stored as {storage_type}; "
                "write the column anew"
            )
        return made

    def to_pandas_dtype(self) -> Any:
        """Return the dtype for pandas, where one was made of the key; else columns come as bytes."""
        adapter = sys.modules.get("cipherlane.integrations.pandas")
        key = adapter._KNOWN_KEYS.get(self.fingerprint[:16]) if adapter is not None else None
        if adapter is None or key is None or key.fingerprint != self.fingerprint:
            raise NotImplementedError(f"{self}: make PaillierDtype(public_key) first")
        return adapter.PaillierDtype(key)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how the type, which holds nothing secret, is copied."""
        return type(self).__arrow_ext_deserialize__, (self.storage_type, self.__arrow_ext_serialize__())

    def __eq__(self, other: object) -> bool:
        """Return whether all that is public agrees, without which columns must not be joined as they are."""
        return isinstance(other, PaillierType) and other._description == self._description

    def __ne__(self, other: object) -> bool:
        """Return whether something differs; Arrow's own answer compares the bytes' width alone."""
        return not self == other

    def __hash__(self) -> int:
        """Return the hash of what is public."""
        return hash(self._description)

    def __str__(self) -> str:
        """Return the name, the start of the key's fingerprint and the codec."""
        return f"{EXTENSION_NAME}[{self.fingerprint[:16]}..., {self._description.codec}]"

    __repr__ = __str__


def to_arrow(x: CipherArray, rerandomize: bool | None = None) -> pa.ExtensionArray:
    """Return encrypted numbers as a column of Arrow, a row for each entry along the first axis.

    Parameters
    ----------
    x : CipherArray, shape (rows, ...)
        Encrypted with FixedPoint, or as rows of several values with ``Packed(axis=-1)``.
    rerandomize : bool, optional
        Give the ciphertexts fresh randomness first, as `CipherArray.to_bytes`. Default: unless they are fresh.

    Returns
    -------
    pyarrow.ExtensionArray
        Of type `PaillierType`, without nulls.

    Raises
    ------
    TypeError, ValueError
        If ``x`` is no CipherArray, has no axes, or its rows share ciphertexts.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> column = to_arrow(public_key.encrypt([1, 2, 3]))
    >>> len(column), column.storage.type
    (3, FixedSizeBinaryType(fixed_size_binary[512]))
    """
    description, data = to_column(x, rerandomize)
    storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(description.width), len(x), [None, pa.py_buffer(data)])
    return pa.ExtensionArray.from_storage(PaillierType(description), storage)


def from_arrow(public_key: PublicKey, column: pa.Array | pa.ChunkedArray) -> CipherArray:
    """Return the encrypted numbers of a column of Arrow, after checking all of it.

    Parameters
    ----------
    public_key : PublicKey
        Of the modulus that the column was encrypted for.
    column : pyarrow.Array or pyarrow.ChunkedArray
        Of type `PaillierType`, as `to_arrow` made it; rows may have been chosen or joined since.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    KeyMismatchError
        If the column belongs to another key.
    ValueError
        If a row is null, the metadata contradict themselves, or a number is no ciphertext of this key: not in [1, n²),
        or not coprime to n.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> column = to_arrow(public_key.encrypt([[1, 2], [3, 4]]))
    >>> private_key.decrypt(from_arrow(public_key, column.take([1])))
    array([[3, 4]])
    """
    if not isinstance(column, (pa.Array, pa.ChunkedArray)):
        raise TypeError(f"column: expected an Arrow array, got {type(column).__name__}")
    if not isinstance(column.type, PaillierType):
        raise TypeError(
            f"column: expected type {EXTENSION_NAME}, got {column.type}; if the table was read before "
            "cipherlane.integrations.arrow was imported, or its metadata were dropped on the way, read it again"
        )
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise ValueError(f"column[{row}]: expected a ciphertext in every row, got null; drop or fill such rows first")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    description = column.type.description
    data = b"".join(_bytes(chunk, description.width) for chunk in chunks)
    return from_column(public_key, description, len(column), data)


def _bytes(chunk: pa.ExtensionArray, width: int) -> memoryview:
    buffer = chunk.storage.buffers()[1]
    start = chunk.offset * width
    return memoryview(b"" if buffer is None else buffer)[start : start + len(chunk) * width]


def _register() -> None:
    """Register the type, also where this module is loaded a second time."""
    # The registry wants one instance of the type, whatever its parameters.
    nobody = "0" * 64
    example = PaillierType(ColumnDescription(nobody, nobody, "classic", 2048, FixedPoint(), 40, 0, ()))
    try:
        pa.register_extension_type(example)
    except pa.ArrowKeyError:
        pa.unregister_extension_type(EXTENSION_NAME)
        pa.register_extension_type(example)


_register()
