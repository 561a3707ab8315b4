"""The arbiter's key pair: made for one run, or the one that the plan names by its fingerprint."""

from __future__ import annotations

from cipherlane.federation.plan import ArbiterPlan
from cipherlane.files import told
from cipherlane.paillier import PrivateKey, PublicKey, keygen
from cipherlane.vertical.exchange import check_key, needed


def arbiter_keys(bits: int, scheme: str, given: ArbiterPlan | None) -> tuple[PublicKey, PrivateKey]:
    """Return the key pair of a run.

    Parameters
    ----------
    bits, scheme
        What the plan's section ``[encryption]`` asks for.
    given
        Where the arbiter's own key lies; None makes a fresh pair.

    Raises
    ------
    ValueError
        There is no such file, the password does not open it, or it holds a key of another size or scheme.
    ProtocolError
        It holds another key than the plan names.
    """
    if given is None:
        return keygen(bits=bits, scheme=scheme)
    path = needed(given.private_key, "the arbiter is told of a key and not where it lies")
    if not path.is_file():
        raise ValueError(
            f"arbiter: {path}: no such file; put the PEM file there that `cipherlane keygen` made, with the key "
            "that the plan names, or correct [arbiter] private_key"
        )
    with told(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        private_key = PrivateKey.from_pem(text, needed(given.password, "no password is named").load_password())
    except ValueError as error:
        raise ValueError(f"arbiter: {path}: {error}") from None
    public_key = private_key.public_key
    check_key(public_key, given.public_key_fingerprint, "arbiter")
    if (public_key.bits, public_key.scheme) != (bits, scheme):
        raise ValueError(
            f"arbiter: {path}: [encryption] asks for a {bits}-bit {scheme} key, this is a {public_key.bits}-bit "
            f"{public_key.scheme} key; set key_bits and scheme to those"
        )
    return public_key, private_key
