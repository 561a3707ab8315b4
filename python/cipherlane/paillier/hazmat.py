"""Raw integers and the caller's own randomness, for tests and for working with other libraries.

Nothing here protects against misuse: a repeated or guessable obfuscator reveals plaintexts, and ``add`` and
``multiply`` do not re-randomise. Everything takes a sequence of Python integers and gives a list, or takes
one integer and gives one; `to_limbs` and `from_limbs` carry ciphertexts as arrays of limbs, also on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import numpy as np

from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.codec import Codec, FixedPoint, check_bound, check_codec
from cipherlane.paillier.device_array import DeviceArray
from cipherlane.paillier.devices import is_gpu_backend, is_gpu_name
from cipherlane.paillier.gpu_arrays import GpuValues, on_gpu
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import Limbs, limb_count
from cipherlane.paillier.limbs import from_limbs as as_integers
from cipherlane.paillier.limbs import to_limbs as as_limbs
from cipherlane.paillier.private_key import PrivateKey
from cipherlane.paillier.public_key import PublicKey, check_integer

__all__ = [
    "add",
    "decrypt",
    "encrypt",
    "encrypt_with_exponents",
    "encrypt_without_obfuscator",
    "from_integers",
    "from_limbs",
    "multiply",
    "restate",
    "to_integers",
    "to_limbs",
]

Integers = int | Sequence[int]


def _listed(name: str, values: Integers) -> tuple[list[int], bool]:
    """Return values as a list, and whether there was just one, not in a list."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name}: expected an integer or a sequence of integers, got {type(values).__name__}")
    if hasattr(values, "__index__") and not hasattr(values, "__len__"):
        return [check_integer(name, values)], True
    if isinstance(values, int) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}: expected an integer or a sequence of integers, got {type(values).__name__}")
    return [check_integer(f"{name}[{i}]", value) for i, value in enumerate(values)], False


def _limbs(name: str, values: list[int], least: int, beyond: int, beyond_name: str) -> Limbs:
    for index, value in enumerate(values):
        if not least <= value < beyond:
            raise ValueError(f"{name}[{index}]: expected an integer in [{least}, {beyond_name}), got one outside")
    return as_limbs(values, limb_count((beyond - 1).bit_length()))


def _plaintext_limbs(public_key: PublicKey, values: list[int]) -> Limbs:
    return _limbs("plaintexts", values, 0, public_key.n, "n")


def _ciphertext_limbs(public_key: PublicKey, name: str, values: list[int]) -> Limbs:
    return _limbs(name, values, 1, public_key.n**2, "n^2")


def _same_length(name: str, got: int, other: str, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{name}: expected as many as {other}, {expected}, got {got}")


def _given_back(limbs: Limbs, single: bool) -> int | list[int]:
    integers = as_integers(limbs)
    return integers[0] if single else integers


@overload
def encrypt(public_key: PublicKey, plaintexts: int, obfuscators: int) -> int: ...
@overload
def encrypt(public_key: PublicKey, plaintexts: Sequence[int], obfuscators: Sequence[int]) -> list[int]: ...
def encrypt(public_key: PublicKey, plaintexts: Integers, obfuscators: Integers) -> int | list[int]:
    """Return (1 + m n) r^n mod n² for the caller's obfuscators r.

    Parameters
    ----------
    public_key : PublicKey
    plaintexts : int or sequence of int
        In [0, n); hold a negative m as n - |m|.
    obfuscators : int or sequence of int
        In [1, n), coprime to n, as many as plaintexts. Each must be uniform, secret and used once.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, out of range, or the lengths differ, or if the key is of scheme "short",
        whose private key cannot decrypt such ciphertexts.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> c = cl.paillier.hazmat.encrypt(public_key, 42, 12345)
    >>> c == (1 + 42 * public_key.n) * pow(12345, public_key.n, public_key.n**2) % public_key.n**2
    True
    >>> cl.paillier.hazmat.decrypt(private_key, c)
    42
    """
    if public_key.scheme == "short":
        raise ValueError(
            "public_key: expected scheme 'djn' or 'classic', got 'short', whose private key does not decrypt r^n; "
            "use encrypt_with_exponents"
        )
    values, single = _listed("plaintexts", plaintexts)
    noise, _ = _listed("obfuscators", obfuscators)
    _same_length("obfuscators", len(noise), "plaintexts", len(values))
    context = public_key.context()
    batch = context.encrypt_with_obfuscators(
        _plaintext_limbs(public_key, values), _limbs("obfuscators", noise, 1, public_key.n, "n")
    )
    return _given_back(context.download(batch), single)


@overload
def encrypt_with_exponents(public_key: PublicKey, plaintexts: int, exponents: int) -> int: ...
@overload
def encrypt_with_exponents(public_key: PublicKey, plaintexts: Sequence[int], exponents: Sequence[int]) -> list[int]: ...
def encrypt_with_exponents(public_key: PublicKey, plaintexts: Integers, exponents: Integers) -> int | list[int]:
    """Return (1 + m n) h_s^α mod n² for the caller's exponents α in [0, 2^exponent_bits) of the key.

    Raises
    ------
    TypeError, ValueError
        As `encrypt`, and `ValueError` for a key without ``h_s``.
    """
    if public_key.h_s is None:
        raise ValueError(
            "public_key: expected a key with h_s (scheme 'djn' or 'short'), got a classic one; use encrypt"
        )
    values, single = _listed("plaintexts", plaintexts)
    noise, _ = _listed("exponents", exponents)
    _same_length("exponents", len(noise), "plaintexts", len(values))
    context = public_key.context()
    bits = context.noise_exponent_bits
    batch = context.encrypt_with_exponents(
        _plaintext_limbs(public_key, values), _limbs("exponents", noise, 0, 1 << bits, f"2^{bits}")
    )
    return _given_back(context.download(batch), single)


@overload
def encrypt_without_obfuscator(public_key: PublicKey, plaintexts: int) -> int: ...
@overload
def encrypt_without_obfuscator(public_key: PublicKey, plaintexts: Sequence[int]) -> list[int]: ...
def encrypt_without_obfuscator(public_key: PublicKey, plaintexts: Integers) -> int | list[int]:
    """Return 1 + m n, a ciphertext that hides nothing: for public constants only."""
    values, single = _listed("plaintexts", plaintexts)
    context = public_key.context()
    return _given_back(
        context.download(context.encrypt_without_obfuscator(_plaintext_limbs(public_key, values))), single
    )


@overload
def decrypt(private_key: PrivateKey, ciphertexts: int) -> int: ...
@overload
def decrypt(private_key: PrivateKey, ciphertexts: Sequence[int]) -> list[int]: ...
def decrypt(private_key: PrivateKey, ciphertexts: Integers) -> int | list[int]:
    """Return the plaintexts, in [0, n), of ciphertexts in [1, n²).

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range, or shares a factor with n.
    """
    values, single = _listed("ciphertexts", ciphertexts)
    array = from_integers(private_key.public_key, values)
    name = array._backend()
    return _given_back(private_key._context(name).decrypt(array._batch(name)), single)


@overload
def add(public_key: PublicKey, a: int, b: int) -> int: ...
@overload
def add(public_key: PublicKey, a: Sequence[int], b: Sequence[int]) -> list[int]: ...
def add(public_key: PublicKey, a: Integers, b: Integers) -> int | list[int]:
    """Return a b mod n², which holds the sum of two plaintexts mod n."""
    left, single = _listed("a", a)
    right, _ = _listed("b", b)
    _same_length("b", len(right), "a", len(left))
    context = public_key.context()
    batch = context.add(
        context.upload(_ciphertext_limbs(public_key, "a", left)),
        context.upload(_ciphertext_limbs(public_key, "b", right)),
    )
    return _given_back(context.download(batch), single)


@overload
def multiply(public_key: PublicKey, ciphertexts: int, factors: int) -> int: ...
@overload
def multiply(public_key: PublicKey, ciphertexts: Sequence[int], factors: Sequence[int]) -> list[int]: ...
def multiply(public_key: PublicKey, ciphertexts: Integers, factors: Integers) -> int | list[int]:
    """Return c^k mod n² for integers k of any sign, which holds k times the plaintext mod n.

    Its running time depends on the factors.
    """
    values, single = _listed("ciphertexts", ciphertexts)
    scalars, _ = _listed("factors", factors)
    _same_length("factors", len(scalars), "ciphertexts", len(values))
    context = public_key.context()
    magnitudes = [abs(k) for k in scalars]
    width = limb_count(max(magnitudes, default=0).bit_length())
    batch = context.multiply(
        context.upload(_ciphertext_limbs(public_key, "ciphertexts", values)),
        as_limbs(magnitudes, width),
        np.array([k < 0 for k in scalars], dtype=np.bool_),
    )
    return _given_back(context.download(batch), single)


def to_integers(array: CipherArray) -> list[int]:
    """Return the ciphertexts of an array in C order, as they are: re-randomise before others see them."""
    context, batch = array._here()
    return as_integers(context.download(batch))


def from_integers(
    public_key: PublicKey,
    ciphertexts: Sequence[int],
    *,
    shape: tuple[int, ...] | None = None,
    codec: Codec | None = None,
    scale_bits: int | None = None,
    bound: int | None = None,
) -> CipherArray:
    """Return an array of ciphertexts made elsewhere.

    Parameters
    ----------
    public_key : PublicKey
    ciphertexts : sequence of int
        In [1, n²) and coprime to n, in C order.
    shape : tuple of int, optional
        Of the values; needed for packed ones. Default: one axis.
    codec : FixedPoint or Packed, optional
        How the values were encoded. Default: integers, ``FixedPoint(scale_bits=0)``.
    scale_bits : int, optional
        Bits after the point, if they are not the codec's.
    bound : int, optional
        What an encoded integer may be in magnitude. Default: all that a plaintext or slot can hold, so that
        nothing can be added; state a smaller one to compute.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range, or the number of ciphertexts does not fit the
        shape.
    PlaintextOverflowError
        If the bound or codec does not fit the key.
    """
    values, _ = _listed("ciphertexts", ciphertexts)
    stated = _stated(public_key, (len(values),), shape, codec, scale_bits, bound)
    return CipherArray._from_limbs(public_key, _ciphertext_limbs(public_key, "ciphertexts", values), *stated)


def _stated(
    public_key: PublicKey,
    given: tuple[int, ...],
    shape: tuple[int, ...] | None,
    codec: Codec | None,
    scale_bits: int | None,
    bound: int | None,
) -> tuple[Layout, Codec, int, int]:
    """Return layout, codec, scale and bound of ciphertexts in shape ``given``, checked against each other."""
    codec = FixedPoint(scale_bits=0) if codec is None else check_codec(codec)
    codec.check_fits(public_key.n)
    if shape is None and not isinstance(codec, FixedPoint):
        raise ValueError("shape: expected the shape of the packed values, got None")
    layout = Layout.of(given if shape is None else tuple(shape), codec, public_key.bits)
    count = math.prod(given)
    if layout.count != count:
        raise ValueError(f"ciphertexts: expected {layout.count} for shape {layout.shape}, got {count}")
    scale = codec.scale_bits if scale_bits is None else check_integer("scale_bits", scale_bits)
    if not 0 <= scale <= public_key.bits:
        raise ValueError(f"scale_bits: expected 0 to {public_key.bits}, got {scale}")
    most = codec.capacity(public_key.n) if bound is None else check_integer("bound", bound)
    if most < 0:
        raise ValueError("bound: expected 0 or more, got a negative number")
    check_bound("bound", most, codec, public_key.n)
    return layout, codec, scale, most


def restate(
    array: CipherArray, *, codec: Codec | None = None, scale_bits: int | None = None, bound: int | None = None
) -> CipherArray:
    """Return the same ciphertexts with something else stated of them, for which the caller vouches.

    Parameters
    ----------
    array : CipherArray
    codec : FixedPoint or Packed, optional
        One whose ciphertexts lie alike. Default: the array's.
    scale_bits : int, optional
        Bits after the point: one more halves the values. Default: the array's.
    bound : int, optional
        What an encoded integer may be in magnitude. Default: the array's. A value beyond it is an error when it is
        decrypted, if it has not wrapped.

    Raises
    ------
    TypeError, ValueError, PlaintextOverflowError
        As `from_integers`.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> eighths = cl.paillier.hazmat.restate(public_key.encrypt([1, 6]), scale_bits=3)
    >>> private_key.decrypt(eighths)
    array([0.125, 0.75 ])
    """
    layout, codec, scale, most = _stated(
        array.public_key,
        array._layout.cipher_shape,
        array.shape,
        array.codec if codec is None else codec,
        array.scale_bits if scale_bits is None else scale_bits,
        array.bound if bound is None else bound,
    )
    _, batch = array._here()
    return CipherArray._make(array.public_key, batch, layout, codec, scale_bits=scale, bound=most, fresh=array.is_fresh)


@overload
def to_limbs(array: CipherArray, device: None = None) -> Limbs: ...
@overload
def to_limbs(array: CipherArray, device: str) -> Limbs | DeviceArray: ...
def to_limbs(array: CipherArray, device: str | None = None) -> Limbs | DeviceArray:
    """Return the ciphertexts as they are, as limbs of 64 bits: re-randomise before others see them.

    Parameters
    ----------
    array : CipherArray
    device : {"cpu", "cuda"}, optional
        Where they are wanted. Default: in the host's memory.

    Returns
    -------
    ndarray or DeviceArray
        uint64, shape (..., limbs), c = Σ_j out[..., j] 2^(64 j) in [1, n²). With several values a ciphertext the
        leading axes are those of the ciphertexts. A `DeviceArray` for "cuda".

    Raises
    ------
    TypeError, ValueError
        If ``device`` names none.
    BackendUnavailableError
        If ``device`` is "cuda" and there is no GPU to use.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> x = public_key.encrypt([[1, 2, 3]])
    >>> limbs = cl.paillier.hazmat.to_limbs(x)
    >>> limbs.shape, limbs.dtype
    ((1, 3, 64), dtype('uint64'))
    >>> y = cl.paillier.hazmat.from_limbs(public_key, limbs, bound=x.bound)
    >>> private_key.decrypt(x + y)
    array([[2, 4, 6]])
    """
    shape = (*array._layout.cipher_shape, limb_count(2 * array.public_key.bits))
    if device is None or not is_gpu_name(device):
        context, batch = array._here()
        return context.download(batch).reshape(shape)
    there = array.to(device)
    memory = array.public_key.context(there._home).values(there._batch(there._home))
    return DeviceArray._make(memory, shape, np.dtype(np.uint64))


def from_limbs(
    public_key: PublicKey,
    ciphertexts: object,
    *,
    shape: tuple[int, ...] | None = None,
    codec: Codec | None = None,
    scale_bits: int | None = None,
    bound: int | None = None,
) -> CipherArray:
    """Return an array of ciphertexts made elsewhere, from limbs as `to_limbs` gives them.

    Parameters
    ----------
    public_key : PublicKey
    ciphertexts : ndarray of uint64, shape (..., limbs), or such an array on the GPU
        Each in [1, n²) and coprime to n. An array on the GPU is checked and taken up there.
    shape, codec, scale_bits, bound
        As in `from_integers`; the default shape is that of the ciphertexts.

    Raises
    ------
    TypeError, ValueError, PlaintextOverflowError
        As `from_integers`.
    """
    source = on_gpu(ciphertexts, "ciphertexts")
    values = source if source is not None else np.asarray(ciphertexts)
    limbs = limb_count(2 * public_key.bits)
    if values.dtype != np.uint64:
        raise TypeError(f"ciphertexts: expected uint64, got dtype {values.dtype}")
    if not values.shape or values.shape[-1] != limbs:
        raise ValueError(f"ciphertexts: expected {limbs} limbs along the last axis, got shape {values.shape}")
    stated = _stated(public_key, values.shape[:-1], shape, codec, scale_bits, bound)
    context = public_key.context()
    if isinstance(values, GpuValues) and values.size and is_gpu_backend(context.backend):
        rows = values.contiguous()
        batch = context.adopt(rows.view())
        return CipherArray._from_strangers(public_key, batch, *stated)
    host = values.to_numpy() if isinstance(values, GpuValues) else np.ascontiguousarray(values)
    return CipherArray._from_limbs(public_key, host.reshape(-1, limbs), *stated)
