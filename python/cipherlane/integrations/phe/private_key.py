"""The private key and rings of them: decryption of one number or of many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NoReturn, cast

from cipherlane.integrations.phe import batch
from cipherlane.integrations.phe.arithmetic import decryption_of, inverse_of
from cipherlane.integrations.phe.encoding import EncodedNumber
from cipherlane.integrations.phe.encrypted_number import EncryptedNumber, check_same_key
from cipherlane.integrations.phe.public_key import PaillierPublicKey
from cipherlane.paillier import PrivateKey
from cipherlane.paillier.public_key import check_integer


class PaillierPrivateKey:
    """A Paillier private key: two primes, of which p is the smaller.

    Decryption runs in time that does not depend on the key: in the compiled core, or by GMP's constant-time powers for
    lengths that the core refuses.

    Parameters
    ----------
    public_key : PaillierPublicKey
    p, q : int
        Its two primes, in any order.

    Raises
    ------
    TypeError
        If the primes are not integers.
    ValueError
        If they are equal, not primes, of very different lengths, or not those of the public key.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> again = phe.PaillierPrivateKey(public_key, private_key.q, private_key.p)
    >>> again == private_key, again.decrypt(public_key.encrypt(-7))
    (True, -7)
    """

    def __init__(self, public_key: PaillierPublicKey, p: int, q: int) -> None:
        p, q = sorted((check_integer("p", p), check_integer("q", q)))
        if p * q != public_key.n:
            raise ValueError("p, q: expected the primes of the public key, got others, whose product is not its n")
        if p == q:
            raise ValueError("p, q: expected two different primes, got the same twice")
        self.public_key = public_key
        self._p, self._q = p, q
        self._decryption = decryption_of(p, q, public_key.cipherlane_key)

    @staticmethod
    def from_totient(public_key: PaillierPublicKey, totient: int) -> PaillierPrivateKey:
        """Return the key whose primes satisfy (p - 1)(q - 1) = totient.

        p and q are the roots of x² - s x + n with s = p + q = n - totient + 1.

        Raises
        ------
        ValueError
            If there are no such primes.
        """
        total = public_key.n - check_integer("totient", totient) + 1
        discriminant = total * total - 4 * public_key.n
        root = math.isqrt(max(discriminant, 0))
        if root * root != discriminant:
            raise ValueError("totient: expected (p - 1)(q - 1) of the public key, got another number")
        return PaillierPrivateKey(public_key, (total - root) // 2, (total + root) // 2)

    @property
    def p(self) -> int:
        """The smaller prime. Secret."""
        return self._p

    @property
    def q(self) -> int:
        """The larger prime. Secret."""
        return self._q

    @property
    def psquare(self) -> int:
        """p². Secret."""
        return self._p**2

    @property
    def qsquare(self) -> int:
        """q². Secret."""
        return self._q**2

    @cached_property
    def p_inverse(self) -> int:
        """p^-1 mod q. Secret."""
        return inverse_of(self._p, self._q)

    @cached_property
    def hp(self) -> int:
        """L_p(g^(p-1) mod p²)^-1 mod p, which is (-q)^-1. Secret."""
        return inverse_of(-self._q, self._p)

    @cached_property
    def hq(self) -> int:
        """L_q(g^(q-1) mod q²)^-1 mod q, which is (-p)^-1. Secret."""
        return inverse_of(-self._p, self._q)

    @property
    def cipherlane_key(self) -> PrivateKey | None:
        """The same key for Cipherlane's own interface, None for lengths that it refuses."""
        return self._decryption.key

    def h_function(self, x: int, xsquare: int) -> int:
        """Return L_x(g^(x-1) mod x²)^-1 mod x for one of the primes."""
        return inverse_of(self.l_function(pow(self.public_key.g, x - 1, xsquare), x), x)

    def l_function(self, x: int, p: int) -> int:
        """Return L_p(x) = (x - 1) / p, rounded down."""
        return (x - 1) // p

    def crt(self, mp: int, mq: int) -> int:
        """Return the integer in [0, n) that is ``mp`` mod p and ``mq`` mod q."""
        return mp + self._p * ((mq - mp) * self.p_inverse % self._q)

    def raw_decrypt(self, ciphertext: int) -> int:
        """Return the plaintext, in [0, n), of a ciphertext.

        Raises
        ------
        TypeError
            If it is not an int.
        ValueError
            If it shares a factor with n, so that it is no ciphertext; python-paillier returns nonsense then.
        """
        if not isinstance(ciphertext, int):
            raise TypeError(f"ciphertext: expected an int, got {type(ciphertext).__name__}")
        residue = ciphertext % self.public_key.nsquare
        if residue == 0:
            raise ValueError("ciphertext: shares a factor with the modulus n, so it is no ciphertext")
        return self._decryption.decrypt([residue])[0]

    def decrypt_encoded(
        self, encrypted_number: EncryptedNumber, Encoding: type[EncodedNumber] | None = None
    ) -> EncodedNumber:
        """Return the encoded number that a ciphertext holds.

        Parameters
        ----------
        encrypted_number : EncryptedNumber
        Encoding : type, optional
            A subclass of `EncodedNumber` with another BASE.

        Raises
        ------
        TypeError
            If it is not an EncryptedNumber.
        ValueError
            If it belongs to another key.
        """
        if not isinstance(encrypted_number, EncryptedNumber):
            raise TypeError(f"encrypted_number: expected an EncryptedNumber, got {type(encrypted_number).__name__}")
        check_same_key(self.public_key, encrypted_number.public_key, "encrypted_number")
        plaintext = self.raw_decrypt(encrypted_number.ciphertext(be_secure=False))
        encoding = EncodedNumber if Encoding is None else Encoding
        return encoding(self.public_key, plaintext, encrypted_number.exponent)

    def decrypt(self, encrypted_number: EncryptedNumber) -> int | float:
        """Return the number: an int if the exponent is not negative, else a float.

        Raises
        ------
        TypeError, ValueError
            As `decrypt_encoded`.
        OverflowError
            If the number became too large for the key, as far as that can be seen, or is too large for a float.
        """
        return self.decrypt_encoded(encrypted_number).decode()

    def decrypt_batch(self, numbers: Iterable[EncryptedNumber]) -> list[int | float]:
        """Decrypt many numbers at once; not in python-paillier.

        Raises
        ------
        TypeError, ValueError, OverflowError
            As `decrypt`; the message names the index.

        Examples
        --------
        >>> from cipherlane.integrations import phe
        >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
        >>> private_key.decrypt_batch([public_key.encrypt(1), public_key.encrypt(0.5)])
        [1, 0.5]
        """
        numbers = batch.listed(numbers, "numbers")
        if not numbers:
            return []
        checked, public_key = batch.check_numbers(numbers)
        check_same_key(self.public_key, public_key, "numbers")
        plaintexts = self._decryption.decrypt([number.ciphertext(be_secure=False) for number in checked])
        decoded = []
        for index, (number, plaintext) in enumerate(zip(checked, plaintexts, strict=True)):
            try:
                decoded.append(EncodedNumber(self.public_key, plaintext, number.exponent).decode())
            except OverflowError as error:
                raise OverflowError(f"numbers[{index}]: {error}") from error
        return decoded

    def __eq__(self, other: object) -> bool:
        """Return whether the primes are the same."""
        if not isinstance(other, PaillierPrivateKey):
            return NotImplemented
        return self.public_key == other.public_key

    def __hash__(self) -> int:
        """Return the hash of the public key."""
        return hash(("private", self.public_key))

    def __repr__(self) -> str:
        """Return the public key's representation, nothing secret."""
        return f"<PaillierPrivateKey for {self.public_key!r}>"

    def __copy__(self) -> PaillierPrivateKey:
        """Return the key itself, which never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> PaillierPrivateKey:
        """Return the key itself, which never changes."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError(
            "PaillierPrivateKey: cannot be pickled, which would write it unencrypted; use "
            "key.cipherlane_key.to_pem(password)"
        )


class PaillierPrivateKeyring(Mapping[PaillierPublicKey, PaillierPrivateKey]):
    """Private keys by their public ones, and decryption with the one that fits.

    Parameters
    ----------
    private_keys : iterable of PaillierPrivateKey, optional

    Raises
    ------
    TypeError
        If one is not a PaillierPrivateKey.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> keyring = phe.PaillierPrivateKeyring()
    >>> public_key, _ = phe.generate_paillier_keypair(keyring, n_length=2048)
    >>> keyring.decrypt(public_key.encrypt(3))
    3
    """

    def __init__(self, private_keys: Iterable[PaillierPrivateKey] | None = None) -> None:
        self._keys: dict[PaillierPublicKey, PaillierPrivateKey] = {}
        for private_key in private_keys or ():
            self.add(private_key)

    def __getitem__(self, key: PaillierPublicKey) -> PaillierPrivateKey:
        """Return the private key of a public one."""
        return self._keys[key]

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._keys)

    def __iter__(self) -> Iterator[PaillierPublicKey]:
        """Iterate over the public keys."""
        return iter(self._keys)

    def __delitem__(self, public_key: PaillierPublicKey) -> None:
        """Take a key off the ring."""
        del self._keys[public_key]

    def add(self, private_key: PaillierPrivateKey) -> None:
        """Put a key on the ring.

        Raises
        ------
        TypeError
            If it is not a PaillierPrivateKey.
        """
        if not isinstance(private_key, PaillierPrivateKey):
            raise TypeError(f"private_key: expected a PaillierPrivateKey, got {type(private_key).__name__}")
        self._keys[private_key.public_key] = private_key

    def decrypt(self, encrypted_number: EncryptedNumber) -> int | float:
        """Decrypt a number with the key it belongs to.

        Raises
        ------
        KeyError
            If no key on the ring fits.
        TypeError, ValueError, OverflowError
            As `PaillierPrivateKey.decrypt`.
        """
        # Keys are equal and hash alike whatever their class.
        return self._keys[cast("PaillierPublicKey", encrypted_number.public_key)].decrypt(encrypted_number)
