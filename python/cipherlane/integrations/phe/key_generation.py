"""Key generation: python-paillier's keys, with a base for fast obfuscators beside them where that is possible."""

from __future__ import annotations

import gmpy2

from cipherlane.integrations.phe.private_key import PaillierPrivateKey, PaillierPrivateKeyring
from cipherlane.integrations.phe.public_key import PaillierPublicKey
from cipherlane.integrations.phe.util import getprimeover
from cipherlane.paillier.key_generation import obfuscator_base
from cipherlane.paillier.prime_search import random_prime
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS, check_integer

DEFAULT_KEYSIZE = 3072
_LEAST_BITS = 8
_SCHEMES = ("djn", "classic")
# Closer primes would let Fermat's method factor n.
_LEAST_DISTANCE_BITS = 100


def generate_paillier_keypair(
    private_keyring: PaillierPrivateKeyring | None = None, n_length: int = DEFAULT_KEYSIZE, *, scheme: str = "djn"
) -> tuple[PaillierPublicKey, PaillierPrivateKey]:
    """Make a key pair.

    Parameters
    ----------
    private_keyring : PaillierPrivateKeyring, optional
        Where to put the private key.
    n_length : int, default 3072
        Length of the modulus in bits, at least 8. Fewer than 2048 are for tests.
    scheme : {"djn", "classic"}, default "djn"
        "djn": the public key in this process has a number ``h_s``, and obfuscators are its powers, many times faster
        than r^n. What leaves the process are ordinary ciphertexts, which python-paillier decrypts; ``h_s`` leaves it
        only if ``public_key.h_s`` is sent. "classic": r^n as python-paillier does. Moduli of fewer than 1024 or more
        than 4096 bits are classic.

    Returns
    -------
    public_key : PaillierPublicKey
    private_key : PaillierPrivateKey

    Raises
    ------
    TypeError
        If the length is not an integer.
    ValueError
        If it is less than 8, or the scheme is not one of those.

    Warns
    -----
    WeakKeyWarning
        If the length is below 2048.

    References
    ----------
    I. Damgård, M. Jurik, J. B. Nielsen, "A generalization of Paillier's public-key system with applications
    to electronic voting", International Journal of Information Security 9 (2010), section 4.2.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> public_key.n.bit_length(), private_key.p * private_key.q == public_key.n
    (2048, True)
    """
    bits = check_integer("n_length", n_length)
    if bits < _LEAST_BITS:
        raise ValueError(f"n_length: expected at least {_LEAST_BITS} bits, got {bits}; 3072 is the default")
    if scheme not in _SCHEMES:
        raise ValueError(f"scheme: expected one of {', '.join(map(repr, _SCHEMES))}, got {scheme!r}")
    p, q = _prime_pair(bits)
    fast = scheme == "djn" and LEAST_BITS <= bits <= MOST_BITS
    public_key = PaillierPublicKey(p * q, obfuscator_base(p * q) if fast else None)
    private_key = PaillierPrivateKey(public_key, p, q)
    if private_keyring is not None:
        private_keyring.add(private_key)
    return public_key, private_key


def _prime_pair(bits: int) -> tuple[int, int]:
    """Return primes whose product has that length, with gcd(p q, (p - 1)(q - 1)) = 1.

    Where the core takes the key, p ≡ q ≡ 3 (mod 4) and gcd(p - 1, q - 1) = 2, as Damgård, Jurik and Nielsen ask.
    """
    # Plain random primes, as python-paillier's; the structured ones of cipherlane.keygen take several times as long.
    # The search is constant-time for the primes it keeps, the comparison of an accepted pair by gcd is not.
    large = bits >= LEAST_BITS
    while True:
        p, q = _prime(bits // 2, large), _prime(bits - bits // 2, large)
        if p == q or (p * q).bit_length() != bits or gmpy2.gcd(p * q, (p - 1) * (q - 1)) != 1:
            continue
        if large and (abs(p - q) >> (bits // 2 - _LEAST_DISTANCE_BITS) == 0 or gmpy2.gcd(p - 1, q - 1) != 2):
            continue
        return p, q


def _prime(bits: int, large: bool) -> int:
    """Return a random prime; a large one is at least √2 2^(bits-1), so that a product of two is long enough."""
    if not large:
        return getprimeover(bits)
    while True:
        prime = random_prime(bits)
        if (prime * prime).bit_length() == 2 * bits:
            return prime
