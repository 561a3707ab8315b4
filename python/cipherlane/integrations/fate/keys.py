"""FATE's keys, around ours."""

from __future__ import annotations

import functools

import numpy as np

from cipherlane.integrations.fate import settings
from cipherlane.integrations.fate.ciphertexts import CiphertextVector, public_key_from
from cipherlane.integrations.fate.plaintexts import Coder, PlaintextVector, codec_of
from cipherlane.integrations.fate.settings import NUMBERS
from cipherlane.paillier import CipherArray, PrivateKey, PublicKey, hazmat
from cipherlane.paillier import keygen as make_keys


class PK:
    """What FATE calls a public key.

    Parameters
    ----------
    pk : PublicKey
    """

    __slots__ = ("pk",)

    def __init__(self, pk: PublicKey) -> None:
        self.pk = pk

    def encrypt_encoded(self, vec: PlaintextVector, obfuscate: bool) -> CiphertextVector:
        """Encrypt encoded numbers, with fresh randomness.

        ``obfuscate=False`` is heard only if `install` was told so: it gives 1 + m n, which anyone can read.
        """
        if obfuscate or settings.CURRENT.force_obfuscation:
            return CiphertextVector(_stated(self.pk.encrypt(vec.values, codec=codec_of(vec) or NUMBERS), vec))
        empty = self.pk.encrypt(vec.values[:0], codec=codec_of(vec) or NUMBERS)
        zeros = empty.segment_sum(np.empty(0, dtype=np.int64), len(vec))
        return CiphertextVector(_stated(zeros + vec.values, vec))

    def encrypt_encoded_scalar(self, val: PlaintextVector, obfuscate: bool) -> CiphertextVector:
        """Encrypt one encoded number; see `encrypt_encoded`."""
        return self.encrypt_encoded(val, obfuscate)

    def __repr__(self) -> str:
        """Return the key's size, scheme and fingerprint."""
        return f"PK({self.pk!r})"

    def __getstate__(self) -> str:
        """Return what a pickle holds: the key as JSON."""
        return self.pk.to_json()

    def __setstate__(self, state: str) -> None:
        """Take up the key of a pickle, after checking it."""
        self.pk = public_key_from(state)


def _stated(array: CipherArray, vec: PlaintextVector) -> CipherArray:
    """Return an array whose codec is that of all numbers, or that of the packed integers that it holds."""
    if vec.width_bits != settings.INTEGER_BITS:
        # What whoever packed them vouches for, of the sums too.
        return hazmat.restate(array, bound=(1 << vec.width_bits) - 1)
    return hazmat.restate(array, codec=NUMBERS)


class SK:
    """What FATE calls a secret key.

    It cannot be pickled unless `install` was told so: the pickle holds the primes in the clear.

    Parameters
    ----------
    sk : PrivateKey
    """

    __slots__ = ("sk",)

    def __init__(self, sk: PrivateKey) -> None:
        self.sk = sk

    def decrypt_to_encoded(self, vec: CiphertextVector) -> PlaintextVector:
        """Decrypt a vector to encoded numbers.

        Raises
        ------
        KeyMismatchError
            If it was encrypted for another key.
        ValueError
            If a number is beyond what the operations can have made of it.
        """
        values = self.sk.decrypt(vec.array(self.sk.public_key))
        return PlaintextVector(values)

    def __repr__(self) -> str:
        """Return the public key's size, scheme and fingerprint, nothing secret."""
        return f"SK({self.sk!r})"

    def __getstate__(self) -> tuple[int, ...]:
        """Return what a pickle holds: primes, base of obfuscators and generators."""
        if not settings.CURRENT.pickle_private_keys:
            raise TypeError(
                "SK: pickling it would write the private key in the clear; where FATE decrypts in worker processes "
                "of the same party (tables and distributed histograms), call install(pickle_private_keys=True)"
            )
        key = self.sk
        return key.p, key.q, key.public_key.h_s or 0, *(key.generators or ())

    def __setstate__(self, state: tuple[int, ...]) -> None:
        """Take up the key of a pickle, after checking it."""
        self.sk = _private_key_from(tuple(state))


@functools.lru_cache(maxsize=8)
def _private_key_from(state: tuple[int, ...]) -> PrivateKey:
    """Return the same object for the same key, so that it is checked, and its tables are made, once."""
    if len(state) not in (3, 5):
        raise ValueError(f"state: expected p, q, h_s and perhaps two generators, got {len(state)} numbers")
    p, q, h_s, *generators = state
    return PrivateKey(p, q, h_s=h_s or None, generators=(generators[0], generators[1]) if generators else None)


def keygen(key_size: int) -> tuple[SK, PK, Coder]:
    """Return a key pair of ``key_size`` bits, and a coder.

    Raises
    ------
    ValueError
        If the size is not a multiple of 256 from 1024 to 4096.

    Warns
    -----
    WeakKeyWarning
        Below 2048 bits, which is what FATE asks for by default.
    """
    public_key, private_key = make_keys(bits=key_size)
    return SK(private_key), PK(public_key), Coder()
