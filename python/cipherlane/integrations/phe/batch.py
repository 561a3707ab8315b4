"""Whole lists of encrypted numbers at once: the same numbers as one by one, at the speed of the compiled core."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from cipherlane.errors import PlaintextOverflowError
from cipherlane.integrations.phe.arithmetic import multiplied, power
from cipherlane.integrations.phe.encoding import EncodedNumber, check_steps
from cipherlane.integrations.phe.encrypted_number import EncryptedNumber, check_same_key, factor_of
from cipherlane.integrations.phe.modulus import Modulus
from cipherlane.paillier import CipherArray, FixedPoint, hazmat

_BASE_BITS = 4  # of EncodedNumber.BASE


def encode(
    public_key: Modulus,
    values: Iterable[Any],
    precision: float | None = None,
    exponent: int | None = None,
    name: str = "values",
) -> list[EncodedNumber]:
    """Return the encodings of numbers, those that are encoded already as they are.

    Raises
    ------
    TypeError, ValueError, OverflowError
        As `EncodedNumber.encode`; the message names the index.
    """
    if precision is not None and exponent is not None:
        raise ValueError("precision, exponent: expected one of them, got both; an exponent states the precision, too")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"{name}: expected one axis, got shape {values.shape}; use {name}.ravel()")
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a sequence of numbers, got {type(values).__name__}")
    encoded = []
    for index, value in enumerate(values):
        try:
            if isinstance(value, EncodedNumber):
                check_same_key(public_key, value.public_key, name)
                number = value if exponent is None else value.decrease_exponent_to(exponent)
            elif exponent is None:
                number = EncodedNumber.encode(public_key, value, precision)
            else:
                number = EncodedNumber.at_exponent(public_key, value, exponent)
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(f"{name}[{index}]: {error}") from error
        encoded.append(number)
    return encoded


def listed(numbers: Iterable[EncryptedNumber], name: str) -> list[EncryptedNumber]:
    """Return what can be iterated over as a list, or raise `TypeError`."""
    if not isinstance(numbers, Iterable):
        raise TypeError(f"{name}: expected a sequence of EncryptedNumber, got {type(numbers).__name__}")
    return list(numbers)


def check_numbers(numbers: Iterable[EncryptedNumber], name: str = "numbers") -> tuple[list[EncryptedNumber], Modulus]:
    """Return the numbers as a list, and their one key.

    Raises
    ------
    TypeError
        If one is not an EncryptedNumber.
    ValueError
        If there are none, or they belong to different keys.
    """
    checked = listed(numbers, name)
    for index, number in enumerate(checked):
        if not isinstance(number, EncryptedNumber):
            raise TypeError(f"{name}[{index}]: expected an EncryptedNumber, got {type(number).__name__}")
    if not checked:
        raise ValueError(f"{name}: expected at least one EncryptedNumber, got none")
    public_key = checked[0].public_key
    for index, number in enumerate(checked):
        if number.public_key is not public_key:
            check_same_key(public_key, number.public_key, f"{name}[{index}]")
    return checked, public_key


def obfuscate_batch(numbers: Iterable[EncryptedNumber]) -> list[int]:
    """Re-randomise those that need it, in place, and return what `EncryptedNumber.ciphertext` of each would.

    Raises
    ------
    TypeError, ValueError
        If the numbers are not encrypted numbers of one key.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> numbers = phe.multiply_batch(public_key.encrypt_batch([1, 2]), [3, 4])
    >>> phe.obfuscate_batch(numbers) == [number.ciphertext() for number in numbers]
    True
    """
    checked, public_key = check_numbers(numbers)
    stale = [number for number in checked if not number.is_obfuscated]
    if stale:
        for number, fresh in zip(stale, public_key.arithmetic.rerandomise(_raw(stale)), strict=True):
            number._replace(fresh)
    return _raw(checked)


def sum_batch(numbers: Iterable[EncryptedNumber]) -> EncryptedNumber:
    """Return the sum: ciphertext and exponent of ``sum(numbers)``.

    Raises
    ------
    TypeError, ValueError
        If the numbers are not encrypted numbers of one key, or their exponents lie too far apart for it.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> private_key.decrypt(phe.sum_batch(public_key.encrypt_batch([1.5, 2, -0.25])))
    3.25
    """
    checked, public_key = check_numbers(numbers)
    groups: dict[int, list[int]] = defaultdict(list)
    for number in checked:
        groups[number.exponent].append(number.ciphertext(be_secure=False))
    return _joined(public_key, {e: public_key.arithmetic.product(group) for e, group in groups.items()})


def dot_batch(weights: Iterable[Any], numbers: Iterable[EncryptedNumber]) -> EncryptedNumber:
    """Return the sum of products with plain numbers: ciphertext and exponent of ``sum(w * x for ...)``.

    Parameters
    ----------
    weights : sequence of int, float or EncodedNumber, or ndarray, shape (count,)
    numbers : sequence of EncryptedNumber

    Raises
    ------
    TypeError, ValueError
        If the weights cannot be encoded, the lengths differ, the numbers are not encrypted numbers of one key, or
        exponents lie too far apart for it.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> private_key.decrypt(phe.dot_batch([2, -0.5], public_key.encrypt_batch([10, 4])))
    18.0
    """
    checked, public_key = check_numbers(numbers)
    encoded = encode(public_key, weights, name="weights")
    _same_length("weights", len(encoded), "numbers", len(checked))
    groups: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for weight, number in zip(encoded, checked, strict=True):
        ciphertexts, factors = groups[weight.exponent + number.exponent]
        ciphertexts.append(number.ciphertext(be_secure=False))
        factors.append(factor_of(weight))
    arithmetic = public_key.arithmetic
    return _joined(public_key, {e: arithmetic.combination(*group) for e, group in groups.items()})


def _joined(public_key: Modulus, sums: dict[int, int]) -> EncryptedNumber:
    """Return the sum of ciphertexts by exponent, from the highest down; 0 takes part, as in Python's ``sum``."""
    lowest = min(0, *sums)
    check_steps(public_key, max(sums) - lowest, EncodedNumber.BASE)
    total, at = 1, max(sums)
    for exponent in sorted(sums.keys() | {lowest}, reverse=True):
        total = power(total, EncodedNumber.BASE ** (at - exponent), public_key.nsquare)
        total = multiplied(total, sums.get(exponent, 1), public_key.nsquare)
        at = exponent
    return EncryptedNumber._made(public_key, total, lowest)


def multiply_batch(numbers: Iterable[EncryptedNumber], factors: Iterable[Any]) -> list[EncryptedNumber]:
    """Return the products one by one: ciphertexts and exponents of ``x * k``.

    Parameters
    ----------
    numbers : sequence of EncryptedNumber
    factors : sequence of int, float or EncodedNumber, or ndarray, shape (count,)

    Raises
    ------
    TypeError, ValueError
        If the factors cannot be encoded, the lengths differ, or the numbers are not encrypted numbers of one key.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> private_key.decrypt_batch(phe.multiply_batch(public_key.encrypt_batch([10, 4]), [2, -0.5]))
    [20, -2.0]
    """
    checked, public_key = check_numbers(numbers)
    encoded = encode(public_key, factors, name="factors")
    _same_length("factors", len(encoded), "numbers", len(checked))
    products = public_key.arithmetic.powers(_raw(checked), [factor_of(factor) for factor in encoded])
    return [
        EncryptedNumber._made(public_key, product, number.exponent + factor.exponent)
        for product, number, factor in zip(products, checked, encoded, strict=True)
    ]


def add_batch(a: Iterable[EncryptedNumber], b: Iterable[EncryptedNumber]) -> list[EncryptedNumber]:
    """Return the sums one by one: ciphertexts and exponents of ``x + y``.

    Raises
    ------
    TypeError, ValueError
        If the lengths differ, the numbers are not encrypted numbers of one key, or exponents lie too far apart for it.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> x = public_key.encrypt_batch([1, 2])
    >>> private_key.decrypt_batch(phe.add_batch(x, x))
    [2, 4]
    """
    left, public_key = check_numbers(a, "a")
    right, other_key = check_numbers(b, "b")
    check_same_key(public_key, other_key, "b")
    _same_length("b", len(right), "a", len(left))
    exponents = [min(x.exponent, y.exponent) for x, y in zip(left, right, strict=True)]
    sums = public_key.arithmetic.products(_lowered(left, exponents), _lowered(right, exponents))
    return [EncryptedNumber._made(public_key, total, e) for total, e in zip(sums, exponents, strict=True)]


def _lowered(numbers: Sequence[EncryptedNumber], exponents: Sequence[int]) -> list[int]:
    """Return the ciphertexts with each number's exponent lowered to the one beside it."""
    ciphertexts = _raw(numbers)
    steps = {i: number.exponent - e for i, (number, e) in enumerate(zip(numbers, exponents, strict=True))}
    moving = [i for i, count in steps.items() if count]
    if moving:
        public_key = numbers[0].public_key
        factors = [check_steps(public_key, steps[i], EncodedNumber.BASE) for i in moving]
        raised = public_key.arithmetic.powers([ciphertexts[i] for i in moving], factors)
        for i, ciphertext in zip(moving, raised, strict=True):
            ciphertexts[i] = ciphertext
    return ciphertexts


def to_cipher_array(numbers: Iterable[EncryptedNumber], magnitude: float) -> CipherArray:
    """Return the numbers as Cipherlane's array with one fixed scale, that of the lowest exponent.

    Parameters
    ----------
    numbers : sequence of EncryptedNumber
        Of a key of 1024 to 4096 bits.
    magnitude : float
        The largest magnitude that a number may have. It is public, and the array proves its operations from it; a
        number that is larger makes decryption raise.

    Raises
    ------
    TypeError, ValueError
        If the numbers are not encrypted numbers of one key of that length, or the magnitude is not positive.
    PlaintextOverflowError
        If numbers of that magnitude do not fit the key at that scale.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> array = phe.to_cipher_array(public_key.encrypt_batch([1.5, 2, -0.25]), magnitude=100)
    >>> private_key.cipherlane_key.decrypt(array * 2)
    array([ 3. ,  4. , -0.5])
    """
    checked, public_key = check_numbers(numbers)
    key = public_key.cipherlane_key
    if key is None:
        raise ValueError("numbers: expected a key of 1024 to 4096 bits, got one that Cipherlane's arrays do not take")
    if isinstance(magnitude, (np.integer, np.floating)):
        magnitude = magnitude.item()
    if not isinstance(magnitude, (int, float)) or not 0 < magnitude < math.inf:
        raise ValueError("magnitude: expected a positive number, the largest that may be encrypted")
    lowest = min(0, *(number.exponent for number in checked))
    scale_bits = -lowest * _BASE_BITS
    check_steps(public_key, max(number.exponent for number in checked) - lowest, EncodedNumber.BASE)
    return hazmat.from_integers(
        key,
        _lowered(checked, [lowest] * len(checked)),
        codec=FixedPoint(scale_bits=0),
        scale_bits=scale_bits,
        bound=math.ceil(Fraction(magnitude) * (1 << scale_bits)),
    )


def from_cipher_array(public_key: Modulus, array: CipherArray) -> list[EncryptedNumber]:
    """Return the values of Cipherlane's array, in C order, as encrypted numbers of one exponent.

    Parameters
    ----------
    public_key : PaillierPublicKey
    array : CipherArray
        Not packed.

    Raises
    ------
    TypeError
        If it is not a CipherArray.
    ValueError
        If it belongs to another key or is packed.
    PlaintextOverflowError
        If its values may be larger than ``public_key.max_int``.

    Examples
    --------
    >>> import cipherlane as cl
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> array = public_key.cipherlane_key.encrypt([[1.5, 2.0]], codec=cl.FixedPoint(scale_bits=32))
    >>> private_key.decrypt_batch(phe.from_cipher_array(public_key, array))
    [1.5, 2.0]
    """
    if not isinstance(array, CipherArray):
        raise TypeError(f"array: expected a CipherArray, got {type(array).__name__}")
    if array.public_key.n != public_key.n:
        raise ValueError(f"array: encrypted for {array.public_key}, expected the modulus of {public_key}")
    if not isinstance(array.codec, FixedPoint):
        raise ValueError(f"array: expected one value a ciphertext (FixedPoint), got {array.codec}")
    padding = -array.scale_bits % _BASE_BITS
    if array.bound << padding > public_key.max_int:
        raise PlaintextOverflowError(
            f"array: values may reach {(array.bound << padding).bit_length()} bits, and max_int of the key has "
            f"{public_key.max_int.bit_length()}; state a smaller bound or use a longer key"
        )
    ciphertexts = hazmat.to_integers(array)
    if padding:
        ciphertexts = hazmat.multiply(array.public_key, ciphertexts, [1 << padding] * len(ciphertexts))
    exponent = -(array.scale_bits + padding) // _BASE_BITS
    fresh = array.is_fresh and not padding
    return [EncryptedNumber._made(public_key, c, exponent, fresh=fresh) for c in ciphertexts]


def _raw(numbers: Sequence[EncryptedNumber]) -> list[int]:
    return [number.ciphertext(be_secure=False) for number in numbers]


def _same_length(name: str, got: int, other: str, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{name}: expected as many as {other}, {expected}, got {got}")
