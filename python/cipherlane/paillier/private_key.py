"""The private key: the two primes, and what they allow."""

from __future__ import annotations

from typing import Any, NoReturn, overload

import gmpy2
from numpy.typing import ArrayLike, NDArray

from cipherlane import _native
from cipherlane.errors import KeyMismatchError
from cipherlane.paillier import pem
from cipherlane.paillier.backend_choice import current_backend
from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.codec import Codec
from cipherlane.paillier.decoding import decode
from cipherlane.paillier.device_array import DeviceArray
from cipherlane.paillier.devices import is_gpu_backend, is_gpu_name
from cipherlane.paillier.limbs import number_to_limbs
from cipherlane.paillier.plaintexts import decode_on_gpu, to_gpu
from cipherlane.paillier.prime_search import is_probable_prime
from cipherlane.paillier.public_key import PublicKey, check_integer
from cipherlane.paillier.short_parameters import least_order_bits

_NOISES = ("djn", "exact", "classic", "short")


def _check_pair(p: int, q: int) -> None:
    if p == q:
        raise ValueError("p, q: expected two different primes, got the same twice")
    total = (p * q).bit_length()
    if 8 * min(p.bit_length(), q.bit_length()) < 3 * total:
        raise ValueError(
            f"p, q: expected primes of about {total // 2} bits each, got {p.bit_length()} and "
            f"{q.bit_length()}; the shorter makes the key weak"
        )
    # Primes have a factor in common with (p - 1)(q - 1) only if one divides the other less one, and then it is shorter.
    if p.bit_length() != q.bit_length() and (max(p, q) - 1) % min(p, q) == 0:
        raise ValueError("p, q: expected gcd(p q, (p - 1)(q - 1)) = 1, which decryption needs; make another pair")


def _check_generators(p: int, q: int, generators: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(generators, (tuple, list)) or len(generators) != 2:
        raise TypeError("generators: expected a pair (generator of Z_p*, generator of Z_q*)")
    checked = (check_integer("generators[0]", generators[0]), check_integer("generators[1]", generators[1]))
    for index, (generator, prime) in enumerate(zip(checked, (p, q), strict=True)):
        # A generator is no square; whether it has the full order cannot be told without the factors of p - 1.
        if not 2 <= generator < prime or gmpy2.powmod_sec(generator, prime >> 1, prime) != prime - 1:
            raise ValueError(f"generators[{index}]: expected a generator of the group of its prime, got none")
    return checked


def _check_obfuscator_base(primes: tuple[int, int], h_s: int) -> None:
    """Raise ValueError unless h_s is an n-th residue, an encryption of 0: with another no ciphertext comes back."""
    for prime in primes:
        if gmpy2.powmod_sec(gmpy2.mpz(h_s) % (prime * prime), prime - 1, prime * prime) != 1:
            raise ValueError("h_s: expected an n-th residue, got another number; pass the h_s of this very key")


def _check_orders(primes: tuple[int, int], public_key: PublicKey, orders: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(orders, (tuple, list)) or len(orders) != 2:
        raise TypeError("orders: expected a pair (s_p, s_q)")
    checked = (check_integer("orders[0]", orders[0]), check_integer("orders[1]", orders[1]))
    least = least_order_bits(public_key.bits)
    for index, (order, prime) in enumerate(zip(checked, primes, strict=True)):
        if order.bit_length() < least or order < 0:
            raise ValueError(
                f"orders[{index}]: expected a prime of at least {least} bits for a modulus of {public_key.bits} bits, "
                "got a shorter number, which is not safe"
            )
        if order % 2 == 0 or not is_probable_prime(order) or (prime - 1) % order != 0:
            raise ValueError(f"orders[{index}]: expected an odd prime factor of its prime less one, got none")
        base = gmpy2.mpz(public_key.h_s) % (prime * prime)
        if gmpy2.powmod_sec(base, 2 * order, prime * prime) != 1 or base * base % prime == 1:
            raise ValueError(
                f"orders[{index}]: expected the order of h_s modulo its prime to be orders[{index}] or twice that, "
                "got an h_s of another; pass the h_s and orders of this very key"
            )
    if gmpy2.gcd(primes[0] - 1, primes[1] - 1) != 2:
        raise ValueError("p, q: expected gcd(p - 1, q - 1) = 2 for scheme 'short', got more; make another pair")
    return checked


class PrivateKey:
    """A Paillier private key.

    Dec(c): m mod p = L_p(c^e mod p²) · (e q)^-1 mod p with L_p(u) = (u - 1)/p and e = p - 1, mod q alike, joined by
    the Chinese remainder theorem. The compiled core does it in time that does not depend on the key. With ``orders``
    the exponent is e = 2 s_p, a few hundred bits, and only ciphertexts made with the key's own ``h_s`` decrypt.

    Parameters
    ----------
    p, q : int
        Two different primes of about equal length.
    h_s : int, optional
        As in `PublicKey`.
    generators : tuple of (int, int), optional
        Generators of Z_p* and Z_q*; they let the key's holder encrypt with exact Paillier noise at the speed
        of a table. The caller vouches for them; keys from `keygen` carry them, except those of scheme "short".
    exponent_bits : int, optional
        As in `PublicKey`; makes a key of scheme "short".
    orders : tuple of (int, int), optional
        For scheme "short": the primes s_p and s_q with h_s^(2 s_p) = 1 mod p² and h_s^(2 s_q) = 1 mod q². Their
        lengths are public, they are not.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If ``p`` and ``q`` are not different primes of about equal length with gcd(p q, (p-1)(q-1)) = 1, or
        the rest does not belong to them, or is shorter than scheme "short" allows.

    Notes
    -----
    The primes are held as Python integers, which cannot be wiped from memory; the compiled core wipes its own
    copies.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> private_key.decrypt(public_key.encrypt([[1, 2], [3, -4]]))
    array([[ 1,  2],
           [ 3, -4]])
    """

    __slots__ = ("__weakref__", "_contexts", "_generators", "_orders", "_p", "_public_key", "_q")

    def __init__(
        self,
        p: int,
        q: int,
        *,
        h_s: int | None = None,
        generators: tuple[int, int] | None = None,
        exponent_bits: int | None = None,
        orders: tuple[int, int] | None = None,
    ) -> None:
        p, q = check_integer("p", p), check_integer("q", q)
        for name, prime in (("p", p), ("q", q)):
            if prime < 3 or not is_probable_prime(prime):
                raise ValueError(f"{name}: expected an odd prime, got a number that is not")
        self._with_primes(p, q, h_s=h_s, generators=generators, exponent_bits=exponent_bits, orders=orders)

    def _with_primes(
        self,
        p: int,
        q: int,
        *,
        h_s: int | None,
        generators: tuple[int, int] | None = None,
        exponent_bits: int | None = None,
        orders: tuple[int, int] | None = None,
    ) -> PrivateKey:
        """Return the key itself with two primes, which are not tested, and what belongs to them, which is."""
        _check_pair(p, q)
        if (exponent_bits is None) != (orders is None):
            raise ValueError("exponent_bits, orders: expected both, for scheme 'short', or neither, got one")
        if orders is not None and generators is not None:
            raise ValueError("generators: expected none for scheme 'short', whose key cannot decrypt their noise")
        self._p = p
        self._q = q
        self._generators = None if generators is None else _check_generators(p, q, generators)
        self._public_key = PublicKey(p * q, h_s, exponent_bits=exponent_bits)
        if self._public_key.h_s is not None and orders is None:
            _check_obfuscator_base((p, q), self._public_key.h_s)
        self._orders = None if orders is None else _check_orders((p, q), self._public_key, orders)
        self._contexts: dict[str, _native.PrivateContext] = {}
        return self

    @property
    def public_key(self) -> PublicKey:
        """The public key that belongs to it."""
        return self._public_key

    @property
    def p(self) -> int:
        """The first prime. Secret."""
        return self._p

    @property
    def q(self) -> int:
        """The second prime. Secret."""
        return self._q

    @property
    def generators(self) -> tuple[int, int] | None:
        """Generators of Z_p* and Z_q*, or None. Secret."""
        return self._generators

    @property
    def orders(self) -> tuple[int, int] | None:
        """The primes s_p and s_q of a key of scheme "short", or None. Secret."""
        return self._orders

    @property
    def default_noise(self) -> str:
        """The noise that `encrypt` uses unless told otherwise: that of the key's scheme."""
        if self._public_key.h_s is not None:
            return self._public_key.scheme
        return "classic" if self._generators is None else "exact"

    def _noise(self, noise: str | None) -> str:
        if noise is None:
            return self.default_noise
        if noise not in _NOISES:
            raise ValueError(f"noise: expected one of {', '.join(map(repr, _NOISES))}, got {noise!r}")
        if noise != "short" and self._orders is not None:
            raise ValueError(f"noise: expected 'short', all that a key of scheme 'short' can decrypt, got {noise!r}")
        if noise == "short" and self._orders is None:
            raise ValueError(f"noise: 'short' needs a key of that scheme; use {self.default_noise!r}")
        if noise == "djn" and self._public_key.h_s is None:
            raise ValueError("noise: 'djn' needs a key with h_s, and this one has none; use 'classic'")
        if noise == "exact" and self._generators is None:
            raise ValueError("noise: 'exact' needs generators, and this key has none; use 'classic'")
        return noise

    def _native_noise(self, noise: str | None) -> str:
        """Return the core's name: to it, "short" is "djn" under a public context with shorter exponents."""
        name = self._noise(noise)
        return "djn" if name == "short" else name

    def encrypt(self, values: ArrayLike, codec: Codec | None = None, noise: str | None = None) -> CipherArray:
        """Encrypt like `PublicKey.encrypt`, working mod p² and mod q² in constant time.

        Parameters
        ----------
        values, codec
            As in `PublicKey.encrypt`.
        noise : {"djn", "short", "exact", "classic"}, optional
            "djn" and "short": ρ = h_s^α as the public key does. "classic": r^n by full exponentiation. "exact":
            the very distribution of "classic", as G^x with G = g^p mod p² and uniform x, and mod q² alike.
            Default: the key's scheme if it has ``h_s``, else "exact" if it has generators, else "classic". A key of
            scheme "short" takes "short" only, and no other key does.

        Returns
        -------
        CipherArray
            Ciphertexts no one can tell from the public key's.

        Raises
        ------
        TypeError, ValueError, PlaintextOverflowError
            As `PublicKey.encrypt`, and `ValueError` for a noise that this key cannot make.
        """
        kind = self._native_noise(noise)
        name = current_backend()
        context = self._context(name)
        return CipherArray._encrypt(
            self._public_key, name, lambda plaintexts: context.encrypt(plaintexts, kind), values, codec
        )

    def rerandomize(self, array: CipherArray, noise: str | None = None) -> CipherArray:
        """Return the same values under fresh randomness, like `CipherArray.rerandomize`, mod p² and mod q².

        Raises
        ------
        KeyMismatchError
            If the array belongs to another key.
        """
        self._check_own(array)
        name = array._backend()
        batch = self._context(name).rerandomise(array._batch(name), self._native_noise(noise))
        return array._with_batch(batch, fresh=True)

    @overload
    def decrypt(self, array: CipherArray, device: None = None) -> NDArray[Any]: ...
    @overload
    def decrypt(self, array: CipherArray, device: str) -> NDArray[Any] | DeviceArray: ...
    def decrypt(self, array: CipherArray, device: str | None = None) -> NDArray[Any] | DeviceArray:
        """Decrypt an array.

        Parameters
        ----------
        array : CipherArray
        device : {"cpu", "cuda"}, optional
            Where the values are wanted. Default: in the host's memory.

        Returns
        -------
        ndarray or DeviceArray
            Of the same shape. float64 if the array has bits after the point; otherwise int64, or Python
            integers in an object array if one does not fit. A `DeviceArray` for "cuda", complete when returned.

        Raises
        ------
        TypeError
            If ``array`` is not a CipherArray.
        KeyMismatchError
            If it belongs to another key.
        OverflowError
            If an integer does not fit 64 bits and ``device`` is "cuda", whose arrays hold no larger ones.
        BackendUnavailableError
            If ``device`` is "cuda" and there is no GPU to use.
        ValueError
            If a value lies outside the array's stated bound: the ciphertexts were not made as their header
            says. If the key's scheme is "short" and some ciphertext was not made with its ``h_s``; the message
            names the first, and ``PrivateKey(key.p, key.q)`` decrypts all of this modulus, more slowly.
        """
        self._check_own(array)
        wanted_there = device is not None and is_gpu_name(device)
        name = array._backend()
        context, batch = self._context(name), array._batch(name)
        stated = (array._layout, array._scale_bits, array._bound)
        if not is_gpu_backend(name):
            values = decode(context.decrypt(batch), *stated, self._public_key.n)
            return to_gpu(values) if wanted_there else values
        plaintexts = context.decrypt_there(batch)
        decoded = decode_on_gpu(plaintexts, *stated)
        if decoded is not None:
            return decoded if wanted_there else decoded.to_numpy()
        values = decode(plaintexts.read(), *stated, self._public_key.n)
        return to_gpu(values) if wanted_there else values

    def to_pem(self, password: str | bytes) -> str:
        """Return the key as text, encrypted with AES-256-GCM under scrypt of the password.

        Raises
        ------
        TypeError
            If the password is not str or bytes.
        ValueError
            If it is empty.

        Examples
        --------
        >>> import cipherlane as cl
        >>> _, private_key = cl.keygen(bits=2048)
        >>> text = private_key.to_pem("correct horse battery staple")
        >>> text.splitlines()[0]
        '-----BEGIN CIPHERLANE PAILLIER PRIVATE KEY-----'
        >>> cl.PrivateKey.from_pem(text, "correct horse battery staple") == private_key
        True
        """
        key = self._public_key
        exponent_bits = None if self._orders is None else key.exponent_bits
        return pem.seal(pem.Secrets(self._p, self._q, key.h_s, self._generators, exponent_bits, self._orders), password)

    @classmethod
    def from_pem(cls, text: str | bytes, password: str | bytes) -> PrivateKey:
        """Return the key that `to_pem` wrote.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If the text is malformed, or the password is wrong or the text was changed (which look the same).
        """
        secrets = pem.unseal(text, password)
        return cls(
            secrets.p,
            secrets.q,
            h_s=secrets.h_s,
            generators=secrets.generators,
            exponent_bits=secrets.exponent_bits,
            orders=secrets.orders,
        )

    def _check_own(self, array: object) -> None:
        if not isinstance(array, CipherArray):
            raise TypeError(f"array: expected a CipherArray, got {type(array).__name__}")
        if array.public_key.n != self._public_key.n:
            raise KeyMismatchError(
                f"array: encrypted for {array.public_key}, and this private key belongs to "
                f"{self._public_key}; use the key that it was encrypted for"
            )

    def _context(self, name: str) -> _native.PrivateContext:
        context = self._contexts.get(name)
        if context is None:
            optional = (*(self._generators or (None, None)), *(self._orders or (None, None)))
            made = _native.PrivateContext(
                self._public_key.context(name),
                number_to_limbs(self._p),
                number_to_limbs(self._q),
                *(None if number is None else number_to_limbs(number) for number in optional),
            )
            context = self._contexts.setdefault(name, made)
        return context

    def __eq__(self, other: object) -> bool:
        """Return whether primes (in any order) and ``h_s`` are the same."""
        if not isinstance(other, PrivateKey):
            return NotImplemented
        return self._public_key == other._public_key

    def __hash__(self) -> int:
        """Return the hash of the public key."""
        return hash(("private", self._public_key))

    def __repr__(self) -> str:
        """Return the public key's size, scheme and fingerprint, nothing secret."""
        key = self._public_key
        return f"PrivateKey(bits={key.bits}, scheme={key.scheme!r}, fingerprint={key.fingerprint[:16]}...)"

    def __copy__(self) -> PrivateKey:
        """Return the key itself, which never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> PrivateKey:
        """Return the key itself, which never changes."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("PrivateKey: cannot be pickled, which would write it unencrypted; use to_pem(password)")
