"""The public key: a modulus, perhaps with a base for fast obfuscators, and what encrypts with it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
import warnings
from typing import Any, NoReturn

import gmpy2
from numpy.typing import ArrayLike

from cipherlane import _native
from cipherlane.paillier.backend_choice import current_backend
from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.codec import Codec
from cipherlane.paillier.limbs import limb_count, number_to_limbs
from cipherlane.paillier.short_parameters import least_exponent_bits

LEAST_BITS = 1024
RECOMMENDED_BITS = 2048
MOST_BITS = 4096
_SMALL_FACTOR_LIMIT = 2**20
_JSON_FORMAT = "cipherlane-paillier-public-key"
_JSON_VERSION = 1
_JSON_VERSION_SHORT = 2  # has exponent_bits
_MOST_JSON_CHARACTERS = 65536
_HEX = re.compile(r"[1-9a-f][0-9a-f]*")


class WeakKeyWarning(UserWarning):
    """A key shorter than 2048 bits: accepted to work with others' data, not for new secrets."""


def check_integer(name: str, value: object) -> int:
    """Return a Python or gmpy2 integer as a Python integer, else raise `TypeError`."""
    if isinstance(value, bool) or not (isinstance(value, int) or hasattr(value, "__index__")):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    return int(value.__index__())


@functools.cache
def _small_primes_product() -> Any:
    return gmpy2.primorial(_SMALL_FACTOR_LIMIT)


def _check_modulus(n: int) -> None:
    if n < 0 or not LEAST_BITS <= n.bit_length() <= MOST_BITS:
        size = "a negative number" if n < 0 else f"{n.bit_length()} bits"
        raise ValueError(f"n: expected a modulus of {LEAST_BITS} to {MOST_BITS} bits, got {size}; make one with keygen")
    if n % 2 == 0:
        raise ValueError("n: expected an odd modulus, the product of two large primes, got an even number")
    if gmpy2.gcd(n, _small_primes_product()) != 1:
        raise ValueError("n: expected the product of two large primes, got a number with a factor below 2^20")
    if gmpy2.is_prime(n):
        raise ValueError("n: expected the product of two large primes, got a prime")
    if gmpy2.is_power(n):
        raise ValueError("n: expected the product of two different primes, got a power")


def _check_exponent_bits(n: int, h_s: int | None, exponent_bits: object) -> int:
    checked = check_integer("exponent_bits", exponent_bits)
    if h_s is None:
        raise ValueError("exponent_bits: expected a key with h_s, whose powers they are, got none; leave it out")
    least, beyond = least_exponent_bits(n.bit_length()), (n.bit_length() + 1) // 2
    if not least <= checked < beyond:
        raise ValueError(
            f"exponent_bits: expected {least} to {beyond - 1} for a modulus of {n.bit_length()} bits, got {checked}; "
            f"shorter ones are not safe, and exponents of {beyond} bits are those of a key without exponent_bits"
        )
    return checked


def warn_of_weak_key(bits: int) -> None:
    """Warn, on behalf of the first caller outside the package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cipherlane."):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"a {bits}-bit key is accepted for interoperation with existing data only; use {RECOMMENDED_BITS} "
        "bits or more for new keys",
        WeakKeyWarning,
        stacklevel=level,
    )


class PublicKey:
    """A Paillier public key with generator n + 1.

    Enc(m) = (1 + m n) ρ mod n², where ρ = h_s^α for a uniform α below 2^⌈|n|/2⌉ if the key has an ``h_s``
    (scheme "djn") or below 2^exponent_bits if it states that length (scheme "short"), and ρ = r^n for a uniform r
    otherwise (scheme "classic").

    Parameters
    ----------
    n : int
        Product of two primes, 1024 to 4096 bits.
    h_s : int, optional
        h^n mod n² for h = -y² mod n. Who makes the key must make it; it cannot be checked from outside.
    exponent_bits : int, optional
        Length of α, for keys of scheme "short" only, whose h_s generates a small subgroup: 448 or more for moduli
        of up to 2048 bits, 512 up to 3072, 608 up to 4096, and less than half the modulus.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If ``n`` is even, prime, a power, not 1024 to 4096 bits long, or has a factor below 2^20, if
        ``h_s`` is not in [2, n²) and coprime to n, or if ``exponent_bits`` is out of range or comes without ``h_s``.

    Warns
    -----
    WeakKeyWarning
        If ``n`` has fewer than 2048 bits.

    References
    ----------
    P. Paillier, "Public-key cryptosystems based on composite degree residuosity classes", EUROCRYPT 1999.
    I. Damgård, M. Jurik, J. B. Nielsen, "A generalization of Paillier's public-key system with applications
    to electronic voting", International Journal of Information Security 9 (2010), section 4.2.
    H. Ma, S. Han, H. Lei, "Optimized Paillier's cryptosystem with fast encryption and decryption", ACSAC 2021.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> cl.PublicKey.from_json(public_key.to_json()) == public_key
    True
    """

    __slots__ = ("__weakref__", "_contexts", "_exponent_bits", "_fingerprint", "_h_s", "_modulus_digest", "_n")

    def __init__(self, n: int, h_s: int | None = None, *, exponent_bits: int | None = None) -> None:
        n = check_integer("n", n)
        _check_modulus(n)
        if h_s is not None:
            h_s = check_integer("h_s", h_s)
            if not 2 <= h_s < n * n:
                raise ValueError("h_s: expected an integer in [2, n^2), got one outside; pass the h_s of this very key")
            if gmpy2.gcd(h_s, n) != 1:
                raise ValueError("h_s: expected an integer coprime to n, got one that shares a factor with it")
        if exponent_bits is not None:
            exponent_bits = _check_exponent_bits(n, h_s, exponent_bits)
        if n.bit_length() < RECOMMENDED_BITS:
            warn_of_weak_key(n.bit_length())
        self._n = n
        self._h_s = h_s
        self._exponent_bits = exponent_bits
        width = (n.bit_length() + 7) // 8
        modulus = n.bit_length().to_bytes(2, "big") + n.to_bytes(width, "big")
        self._modulus_digest = hashlib.sha256(b"cipherlane paillier modulus v1\0" + modulus).digest()
        base = b"" if h_s is None else h_s.to_bytes(2 * width, "big")
        version = b"v1\0" if exponent_bits is None else b"v2\0" + exponent_bits.to_bytes(2, "big")
        self._fingerprint = hashlib.sha256(b"cipherlane paillier public key " + version + modulus + base).hexdigest()
        self._contexts: dict[str, _native.PublicContext] = {}

    @property
    def n(self) -> int:
        """The modulus."""
        return self._n

    @property
    def h_s(self) -> int | None:
        """The base of fast obfuscators, or None for a classic key."""
        return self._h_s

    @property
    def bits(self) -> int:
        """Length of the modulus in bits."""
        return self._n.bit_length()

    @property
    def scheme(self) -> str:
        """One of "djn", "classic" and "short"."""
        if self._h_s is None:
            return "classic"
        return "djn" if self._exponent_bits is None else "short"

    @property
    def exponent_bits(self) -> int | None:
        """Length of the obfuscators' exponents in bits, or None for a classic key."""
        if self._h_s is None:
            return None
        return (self.bits + 1) // 2 if self._exponent_bits is None else self._exponent_bits

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the modulus, ``h_s`` and a stated exponent length, 64 hexadecimal digits."""
        return self._fingerprint

    @property
    def modulus_digest(self) -> bytes:
        """SHA-256 of the modulus alone, which is what ciphertexts belong to; 32 bytes."""
        return self._modulus_digest

    def encrypt(self, values: ArrayLike, codec: Codec | None = None) -> CipherArray:
        """Encrypt an array of any shape, each plaintext with fresh randomness.

        Parameters
        ----------
        values : array_like of float64, integers or bool
            Finite numbers. An object array of Python integers of any size is accepted, and slower. An array on the
            GPU (of CuPy, PyTorch and others, through ``__cuda_array_interface__`` or DLPack) is encoded and encrypted
            there.
        codec : FixedPoint or Packed, optional
            How numbers become plaintexts. Default: ``FixedPoint()`` for floats, ``FixedPoint(scale_bits=0)``
            for integers.

        Returns
        -------
        CipherArray
            Of the same shape.

        Raises
        ------
        TypeError
            If the values are not real numbers.
        ValueError
            If one is NaN or infinite.
        PlaintextOverflowError
            If one is larger than the codec accepts; the message names its index.
        BackendUnavailableError
            If the values lie on a GPU and none can be used.
        """
        name = current_backend()
        return CipherArray._encrypt(self, name, self.context(name).encrypt, values, codec)

    def context(self, backend: str | None = None) -> _native.PublicContext:
        """Return the compiled core's view of this key on a backend, made at the first use."""
        name = current_backend() if backend is None else backend
        context = self._contexts.get(name)
        if context is None:
            base = None if self._h_s is None else number_to_limbs(self._h_s, limb_count(2 * self.bits))
            # Two threads may both make one; the first to store it wins, and no lock can be left held by a
            # fork.
            made = _native.PublicContext(number_to_limbs(self._n), base, name, 0, self._exponent_bits or 0)
            context = self._contexts.setdefault(name, made)
        return context

    def to_json(self) -> str:
        """Return the key as one line of JSON: format, version, bits, scheme, and n and h_s in hexadecimal.

        A key of scheme "short" is of version 2 and has "exponent_bits" as well.
        """
        fields: dict[str, object] = {
            "format": _JSON_FORMAT,
            "version": _JSON_VERSION,
            "bits": self.bits,
            "scheme": self.scheme,
            "n": f"{self._n:x}",
            "h_s": None if self._h_s is None else f"{self._h_s:x}",
        }
        if self._exponent_bits is not None:
            fields |= {"version": _JSON_VERSION_SHORT, "exponent_bits": self._exponent_bits}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> PublicKey:
        """Return the key that `to_json` wrote, checked like any other.

        Raises
        ------
        TypeError
            If ``text`` is not a str.
        ValueError
            If a field is missing, unknown, of the wrong type, or contradicts another, or the exponents are too short.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a public key as JSON text (str), got {type(text).__name__}")
        fields = _parse_json(text)
        n = _hexadecimal("n", fields["n"])
        h_s = None if fields["h_s"] is None else _hexadecimal("h_s", fields["h_s"])
        if n.bit_length() != fields["bits"]:
            raise ValueError(f"public key: says bits {fields['bits']!r}, but n has {n.bit_length()}; get it anew")
        exponent_bits = fields.get("exponent_bits")
        scheme = "classic" if h_s is None else "djn" if exponent_bits is None else "short"
        if fields["scheme"] != scheme:
            raise ValueError(
                f"public key: says scheme {fields['scheme']!r}, but with {'no' if h_s is None else 'an'} h_s and "
                f"{'no' if exponent_bits is None else 'a'} stated exponent length it is {scheme!r}; get it anew"
            )
        return cls(n, h_s, exponent_bits=exponent_bits)

    def __eq__(self, other: object) -> bool:
        """Return whether modulus, ``h_s`` and exponent length are the same."""
        if not isinstance(other, PublicKey):
            return NotImplemented
        return (self._n, self._h_s, self._exponent_bits) == (other._n, other._h_s, other._exponent_bits)

    def __hash__(self) -> int:
        """Return the hash of modulus, ``h_s`` and exponent length."""
        return hash((self._n, self._h_s, self._exponent_bits))

    def __repr__(self) -> str:
        """Return size, scheme and the start of the fingerprint."""
        return f"PublicKey(bits={self.bits}, scheme={self.scheme!r}, fingerprint={self._fingerprint[:16]}...)"

    def __copy__(self) -> PublicKey:
        """Return the key itself, which never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> PublicKey:
        """Return the key itself, which never changes."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("PublicKey: cannot be pickled; send to_json() and read it with PublicKey.from_json")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("public key: a field appears twice; get it anew")
    return fields


def _parse_json(text: str) -> dict[str, Any]:
    """Return the fields, all there, none other, format and version as expected."""
    if len(text) > _MOST_JSON_CHARACTERS:
        raise ValueError(f"public key: expected at most {_MOST_JSON_CHARACTERS} characters, got {len(text)}")
    try:
        fields = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"public key: not valid JSON ({error}); pass what to_json() wrote") from None
    except RecursionError:
        raise ValueError("public key: not valid JSON (nested too deeply); pass what to_json() wrote") from None
    expected = {"format", "version", "bits", "scheme", "n", "h_s"}
    lengths = ["bits"]
    if not isinstance(fields, dict) or fields.get("format") != _JSON_FORMAT:
        raise ValueError(
            f'public key: expected a JSON object with "format": "{_JSON_FORMAT}"; pass what to_json() wrote'
        )
    if type(fields.get("version")) is not int or fields["version"] not in (_JSON_VERSION, _JSON_VERSION_SHORT):
        raise ValueError(
            f"public key: expected version {_JSON_VERSION} or {_JSON_VERSION_SHORT}, got {fields.get('version')!r}; "
            "read it with the release that wrote it, or update"
        )
    if fields["version"] == _JSON_VERSION_SHORT:
        expected.add("exponent_bits")
        lengths.append("exponent_bits")
    if set(fields) != expected:
        missing, unknown = sorted(expected - set(fields)), sorted(set(fields) - expected)
        raise ValueError(f"public key: missing fields {missing}, unknown fields {unknown}; pass what to_json() wrote")
    for name in lengths:
        if type(fields[name]) is not int:
            raise ValueError(f"public key: {name}: expected an integer, got {type(fields[name]).__name__}")
    return fields


def _hexadecimal(name: str, value: object) -> int:
    if not isinstance(value, str) or not _HEX.fullmatch(value) or len(value) > MOST_BITS // 2:
        raise ValueError(f"public key: {name}: expected lower-case hexadecimal digits without leading zero")
    return int(value, 16)
