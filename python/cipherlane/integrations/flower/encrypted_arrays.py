"""How encrypted weights lie in Flower's records: as the bytes of one array whose serialisation is ours."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord

from cipherlane.errors import ProtocolError

# Under which Flower's own strategies and clients look for the model.
ARRAYS = "arrays"
_NAME = "encrypted-weights"
_SERIALISATION = "cipherlane.paillier"


def encrypted_record(message: bytes) -> ArrayRecord:
    """Return a record that holds a contribution or a sum and says so."""
    return ArrayRecord({_NAME: Array("uint8", (len(message),), _SERIALISATION, message)})


def is_encrypted(record: ArrayRecord) -> bool:
    """Return whether a record says that it holds a contribution or a sum."""
    return any(array.stype == _SERIALISATION for array in record.values())


def message_in(record: ArrayRecord) -> bytes:
    """Return the contribution or sum in a record.

    Raises
    ------
    ProtocolError
        It holds none.
    """
    if list(record) != [_NAME] or not is_encrypted(record):
        raise ProtocolError("arrays: expected weights that PaillierMod encrypted, got others; add it to the ClientApp")
    return bytes(record[_NAME].data)
