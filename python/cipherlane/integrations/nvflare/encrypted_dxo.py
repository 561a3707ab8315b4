"""How encrypted weights lie in FLARE's data exchange objects: as one byte string, which FOBS carries as it is."""

from __future__ import annotations

from nvflare.apis.dxo import DXO, DataKind, MetaKey

from cipherlane.errors import ProtocolError

ALGORITHM = "cipherlane_paillier"
_FIELD = "encrypted_weights"


def encrypted_dxo(message: bytes) -> DXO:
    """Return a DXO of kind WEIGHTS that holds a contribution or a sum and says so."""
    return DXO(DataKind.WEIGHTS, data={_FIELD: message}, meta={MetaKey.PROCESSED_ALGORITHM: ALGORITHM})


def is_encrypted(dxo: DXO) -> bool:
    """Return whether a DXO says that it holds a contribution or a sum."""
    return bool(dxo.get_meta_prop(MetaKey.PROCESSED_ALGORITHM) == ALGORITHM)


def message_in(dxo: DXO) -> bytes:
    """Return the contribution or sum in a DXO.

    Raises
    ------
    ProtocolError
        It holds none.
    """
    data = dxo.data
    if not is_encrypted(dxo) or not isinstance(data, dict) or set(data) != {_FIELD}:
        raise ProtocolError(
            "weights: expected those that PaillierModelEncryptor encrypted, got others; add it to the clients' "
            "task result filters"
        )
    message = data[_FIELD]
    if not isinstance(message, bytes):
        raise ProtocolError(f"weights: expected bytes, got {type(message).__name__}")
    return message
