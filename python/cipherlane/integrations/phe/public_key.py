"""The public key: encryption of one number or of many."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from cipherlane.integrations.phe import batch
from cipherlane.integrations.phe.encoding import EncodedNumber
from cipherlane.integrations.phe.encrypted_number import EncryptedNumber, check_same_key
from cipherlane.integrations.phe.modulus import Modulus
from cipherlane.paillier import PublicKey
from cipherlane.paillier.public_key import check_integer


class PaillierPublicKey(Modulus):
    """A Paillier public key, from python-paillier or for it.

    Parameters
    ----------
    n : int
        The modulus. One of fewer than 1024 bits protects nothing and is accepted with a warning; one of more than 4096
        bits is computed with one number at a time.
    h_s : int, optional
        h^n mod n² for h = -y² mod n, from who made the key, as in `cipherlane.PublicKey`: obfuscators are then powers
        of it. python-paillier has no such number and decrypts what was made with it like any ciphertext.

    Raises
    ------
    TypeError, ValueError
        As `cipherlane.PublicKey`; for moduli of other lengths if they are even or below 15.

    Warns
    -----
    WeakKeyWarning
        If ``n`` has fewer than 2048 bits.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> private_key.decrypt(phe.PaillierPublicKey(public_key.n).encrypt(42))
    42
    """

    @classmethod
    def from_cipherlane(cls, key: PublicKey) -> PaillierPublicKey:
        """Return Cipherlane's key behind this interface.

        Raises
        ------
        TypeError, ValueError
            If it is not a PublicKey, or of scheme "short", whose private key does not decrypt all ciphertexts.
        """
        if not isinstance(key, PublicKey):
            raise TypeError(f"key: expected a cipherlane.PublicKey, got {type(key).__name__}")
        if key.scheme == "short":
            raise ValueError(
                "key: expected scheme 'djn' or 'classic', got 'short', whose private key does not decrypt "
                "python-paillier's obfuscators"
            )
        return cls(key.n, key.h_s)

    def get_random_lt_n(self) -> int:
        """Return a uniform integer in [1, n) from the operating system's generator."""
        return 1 + secrets.randbelow(self.n - 1)

    def raw_encrypt(self, plaintext: int, r_value: int | None = None) -> int:
        """Return (1 + m n) r^n mod n².

        Parameters
        ----------
        plaintext : int
            Taken modulo n.
        r_value : int, optional
            r, taken modulo n; 1 hides nothing. Default, and for 0: fresh randomness.

        Raises
        ------
        TypeError
            If the plaintext is not an int, or r is not an integer.
        ValueError
            If r is a multiple of n or known to share a factor with it.
        """
        if not isinstance(plaintext, int):
            raise TypeError(
                f"plaintext: expected an int, got {type(plaintext).__name__}; see encrypt for other numbers"
            )
        if r_value is None or check_integer("r_value", r_value) == 0:
            return self.arithmetic.encrypt([plaintext % self.n])[0]
        obfuscator = check_integer("r_value", r_value) % self.n
        if obfuscator == 0:
            raise ValueError("r_value: expected an integer coprime to n, got a multiple of it")
        return self.arithmetic.encrypt_with(plaintext % self.n, obfuscator)

    def encrypt(self, value: Any, precision: float | None = None, r_value: int | None = None) -> EncryptedNumber:
        """Encode and encrypt a number.

        Parameters
        ----------
        value : int, float or EncodedNumber
        precision : float, optional
            As in `EncodedNumber.encode`.
        r_value : int, optional
            As in `raw_encrypt`; the ciphertext then counts as not obfuscated.

        Raises
        ------
        TypeError, ValueError, OverflowError
            As `EncodedNumber.encode`.
        """
        encoded = value if isinstance(value, EncodedNumber) else EncodedNumber.encode(self, value, precision)
        return self.encrypt_encoded(encoded, r_value)

    def encrypt_encoded(self, encoding: EncodedNumber, r_value: int | None = None) -> EncryptedNumber:
        """Encrypt an encoded number, as `encrypt`.

        Raises
        ------
        ValueError
            If it was encoded for another key.
        """
        check_same_key(self, encoding.public_key, "encrypt")
        fresh = r_value is None
        return EncryptedNumber._made(self, self.raw_encrypt(encoding.encoding, r_value), encoding.exponent, fresh=fresh)

    def encrypt_batch(
        self, values: Iterable[Any], precision: float | None = None, exponent: int | None = None
    ) -> list[EncryptedNumber]:
        """Encrypt many numbers at once; not in python-paillier.

        Parameters
        ----------
        values : sequence of int, float or EncodedNumber, or ndarray of integers or floats, shape (count,)
        precision : float, optional
            As in `encrypt`, for all.
        exponent : int, optional
            Encode every number with just this exponent, rounded to a multiple of 16^exponent: exponents then do not
            tell how large the numbers are. Default: each its own, as `encrypt` chooses it.

        Returns
        -------
        list of EncryptedNumber

        Raises
        ------
        TypeError, ValueError, OverflowError
            As `encrypt`; the message names the index.

        Examples
        --------
        >>> from cipherlane.integrations import phe
        >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
        >>> numbers = public_key.encrypt_batch([1.5, -2.0, 1000.25], exponent=-8)
        >>> [number.exponent for number in numbers]
        [-8, -8, -8]
        >>> private_key.decrypt_batch(numbers)
        [1.5, -2.0, 1000.25]
        """
        encoded = batch.encode(self, values, precision, exponent)
        if not encoded:
            return []
        ciphertexts = self.arithmetic.encrypt([number.encoding % self.n for number in encoded])
        return [
            EncryptedNumber._made(self, ciphertext, number.exponent, fresh=True)
            for ciphertext, number in zip(ciphertexts, encoded, strict=True)
        ]
