"""Encrypted columns in pandas: an extension array, so that tables can be filtered, joined and summed without the key.

>>> import pandas as pd
>>> import cipherlane as cl
>>> from cipherlane.integrations.pandas import PaillierDtype, decrypt_column
>>> public_key, private_key = cl.keygen(bits=2048)
>>> table = pd.DataFrame({"ward": ["a", "b", "a"], "dose": [1.5, 2.0, 0.25]})
>>> table["dose"] = table["dose"].astype(PaillierDtype(public_key))
>>> table
  ward         dose
0    a  <encrypted>
1    b  <encrypted>
2    a  <encrypted>
>>> decrypt_column(private_key, table.groupby("ward")["dose"].sum()).tolist()
[1.75, 2.0]

``table.to_parquet`` writes such columns with the extra ``arrow`` (see `cipherlane.integrations.arrow`), and
``pandas.read_parquet`` reads them where `PaillierDtype` was made of their key before.
"""

from __future__ import annotations

import builtins
import importlib.util
import operator
import re
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.errors import KeyMismatchError
from cipherlane.integrations.extras import needed
from cipherlane.paillier import CipherArray, Codec, FixedPoint, PrivateKey, PublicKey, concatenate

with needed("pandas", "pandas"):
    import pandas as pd
    from pandas.api.extensions import ExtensionArray, ExtensionDtype
    from pandas.api.indexers import check_array_indexer

if importlib.util.find_spec("pyarrow") is not None:
    # Registers the type in Arrow; pandas reads columns of types that are not registered as bytes.
    import cipherlane.integrations.arrow  # noqa: F401

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PaillierArray", "PaillierDtype", "decrypt_column", "encrypt_column", "encrypted_groupby_sum"]

_NAME = re.compile(r"paillier\[([0-9a-f]{16})\]")
# The keys that a dtype was made of and that are still in use, by the start of their fingerprints.
_KNOWN_KEYS: weakref.WeakValueDictionary[str, PublicKey] = weakref.WeakValueDictionary()


@pd.api.extensions.register_extension_dtype
class PaillierDtype(ExtensionDtype):
    """The dtype of encrypted columns under one key, named ``paillier[<start of its fingerprint>]``.

    ``series.astype(PaillierDtype(public_key))`` encrypts a column of numbers. Once made, the dtype is found by its name
    for as long as the key is in use, as reading Parquet files needs.

    Parameters
    ----------
    public_key : PublicKey

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> dtype = PaillierDtype(public_key)
    >>> dtype.name == f"paillier[{public_key.fingerprint[:16]}]"
    True
    """

    type = CipherArray
    kind = "O"
    na_value = pd.NA
    _metadata = ("public_key",)
    _is_immutable = True

    def __init__(self, public_key: PublicKey) -> None:
        if not isinstance(public_key, PublicKey):
            raise TypeError(f"public_key: expected a PublicKey, got {type(public_key).__name__}")
        self.public_key = public_key
        _KNOWN_KEYS.setdefault(public_key.fingerprint[:16], public_key)

    @property
    def name(self) -> str:
        """``paillier[...]`` with the first 16 digits of the key's fingerprint."""
        return f"paillier[{self.public_key.fingerprint[:16]}]"

    @classmethod
    def construct_from_string(cls, string: str) -> PaillierDtype:
        """Return the dtype of a name.

        Raises
        ------
        TypeError
            If it is no name of such a dtype.
        KeyMismatchError
            If it is one, and no dtype has been made of that key.
        """
        if not isinstance(string, str):
            raise TypeError(f"'construct_from_string' expects a string, got {type(string)}")
        found = _NAME.fullmatch(string)
        if found is None:
            raise TypeError(f"Cannot construct a 'PaillierDtype' from '{string}'")
        return cls(_known_key(found[1]))

    @classmethod
    def construct_array_type(cls) -> builtins.type[PaillierArray]:
        """Return `PaillierArray`."""
        return PaillierArray

    def __from_arrow__(self, column: pa.Array | pa.ChunkedArray) -> PaillierArray:
        """Return a column of Arrow as one of pandas, after checking all of it."""
        from cipherlane.integrations.arrow import from_arrow

        return PaillierArray(from_arrow(self.public_key, column))

    def __eq__(self, other: object) -> bool:
        """Return whether the other is the dtype of the same key, or its name."""
        if isinstance(other, str):
            return other == self.name
        return isinstance(other, PaillierDtype) and other.public_key == self.public_key

    def __hash__(self) -> int:
        """Return the hash of the key."""
        return hash(self.public_key)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as keys and arrays do."""
        raise TypeError(f"{self.name}: cannot be pickled; write Parquet, or to_bytes() of the ciphertexts")


def _known_key(start: str) -> PublicKey:
    try:
        return _KNOWN_KEYS[start]
    except KeyError:
        raise KeyMismatchError(
            f"dtype paillier[{start}]: no such key is in use here; make PaillierDtype(public_key) of the key with that "
            "fingerprint first"
        ) from None


class PaillierArray(ExtensionArray):
    """A column of encrypted numbers for pandas.

    Rows can be chosen, joined and summed, also within groups; plain numbers and other encrypted columns of the key can
    be added, and plain numbers multiplied. There are no missing values: what would make some is refused.

    Parameters
    ----------
    ciphertexts : CipherArray, shape (rows,)
        One value a ciphertext, as with FixedPoint.

    Raises
    ------
    TypeError, ValueError
        If it is no such array.

    Examples
    --------
    >>> import pandas as pd
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> series = pd.Series(PaillierArray(public_key.encrypt([1, 2, 3])), index=["a", "b", "c"])
    >>> private_key.decrypt((2 * series + 1)["b":].array.ciphertexts)
    array([5, 7])
    """

    def __init__(self, ciphertexts: CipherArray) -> None:
        if not isinstance(ciphertexts, CipherArray):
            raise TypeError(f"ciphertexts: expected a CipherArray, got {type(ciphertexts).__name__}; encrypt it first")
        if ciphertexts.ndim != 1 or not isinstance(ciphertexts.codec, FixedPoint):
            raise ValueError(
                f"ciphertexts: expected one axis and one value a ciphertext (FixedPoint), got shape "
                f"{ciphertexts.shape} of {ciphertexts.codec}; Arrow columns hold rows of several values"
            )
        self._ciphertexts = ciphertexts
        self._dtype = PaillierDtype(ciphertexts.public_key)

    # ---- what it is ----------------------------------------------------------------------------------------

    @property
    def ciphertexts(self) -> CipherArray:
        """The encrypted numbers."""
        return self._ciphertexts

    @property
    def dtype(self) -> PaillierDtype:
        """The dtype of the key."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Size of the ciphertexts in bytes."""
        return self._ciphertexts.ciphertext_count * ((2 * self._dtype.public_key.bits + 7) // 8)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._ciphertexts)

    def isna(self) -> NDArray[np.bool_]:
        """Return False for every row."""
        return np.zeros(len(self), dtype=np.bool_)

    def copy(self) -> PaillierArray:
        """Return an array of the same ciphertexts, which never change."""
        return PaillierArray(self._ciphertexts)

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return lambda _: "<encrypted>"

    # ---- from and to other things --------------------------------------------------------------------------

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> PaillierArray:
        """Take encrypted numbers as they are, and encrypt plain ones for the dtype's key."""
        if isinstance(scalars, str) or not isinstance(scalars, (cls, CipherArray, Iterable)):
            raise TypeError(f"values: expected a column of numbers, got {type(scalars).__name__}")
        if isinstance(dtype, str):
            dtype = PaillierDtype.construct_from_string(dtype)
        given = scalars.ciphertexts if isinstance(scalars, cls) else scalars
        if not isinstance(given, CipherArray):
            items = list(given)
            if items and all(isinstance(item, CipherArray) for item in items):
                given = concatenate([item.reshape(1) for item in items])
            elif dtype is None:
                raise TypeError(
                    "dtype: expected PaillierDtype(public_key), for which to encrypt plain numbers, got None"
                )
            else:
                given = dtype.public_key.encrypt(_plain(given, items))
        if dtype is not None and given.public_key != dtype.public_key:
            raise KeyMismatchError(f"values: encrypted for {given.public_key}, expected {dtype.public_key}")
        return cls(given)

    @classmethod
    def _from_factorized(cls, values: Any, original: PaillierArray) -> NoReturn:
        _hidden("factorize")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return an array of objects, each an encrypted number, if that is asked for; the values are hidden."""
        if dtype is None or np.dtype(dtype) != object:
            raise TypeError(
                "numpy array of an encrypted column: decrypt_column(private_key, series) gives numbers, and "
                "series.array.ciphertexts the CipherArray"
            )
        items = np.empty(len(self), dtype=object)
        for index, item in enumerate(self._ciphertexts):
            items[index] = item
        return items

    def to_numpy(self, dtype: Any = None, copy: bool = False, na_value: Any = None) -> NDArray[Any]:
        """Return what ``numpy.asarray`` gives."""
        return self.__array__(dtype)

    def _values_for_json(self) -> NDArray[Any]:
        # An error from here would end the process: pandas goes on with what was not returned. It refuses these objects.
        return self.__array__(object)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the column itself for its own dtype, encrypted numbers for object; no other dtype is possible."""
        wanted = pd.api.types.pandas_dtype(dtype)
        if wanted == self._dtype:
            return self.copy() if copy else self
        if wanted == np.dtype(object):
            return self.__array__(object)
        raise TypeError(f"astype: expected {self._dtype.name} or object, got {wanted}; decrypt the column first")

    def __arrow_array__(self, type: Any = None) -> pa.Array:
        """Return the column for Arrow and Parquet, with fresh randomness unless it has it."""
        from cipherlane.integrations.arrow import to_arrow

        return to_arrow(self._ciphertexts)

    # ---- rows ----------------------------------------------------------------------------------------------

    def __getitem__(self, item: Any) -> Any:
        """Return one encrypted number, or the column of chosen rows."""
        chosen = self._ciphertexts[check_array_indexer(self, item)]
        return chosen if chosen.ndim == 0 else PaillierArray(chosen)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        """Refuse: ciphertexts never change."""
        raise TypeError("series[...] = y: an encrypted column never changes; choose rows and join them with pd.concat")

    def take(self, indices: Sequence[int], *, allow_fill: bool = False, fill_value: Any = None) -> PaillierArray:
        """Return chosen rows; a row that would be missing is refused.

        Raises
        ------
        IndexError
            If an index is out of bounds.
        ValueError
            If ``allow_fill`` and one is negative.
        """
        places = np.asarray(indices, dtype=np.intp)
        if allow_fill and (places < 0).any():
            row = int(np.argmax(places < 0))
            raise ValueError(
                f"row {row} of the result would be missing, and an encrypted column has no missing values; drop such "
                "rows first, or join with how='inner'"
            )
        if places.size and not len(self):
            raise IndexError("cannot do a non-empty take from an empty axes.")
        return PaillierArray(self._ciphertexts[places])

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[PaillierArray]) -> PaillierArray:
        return cls(concatenate([each.ciphertexts for each in to_concat]))

    # ---- sums and products ---------------------------------------------------------------------------------

    def _operated(self, function: Callable[[Any, Any], CipherArray], other: Any, *, swapped: bool = False) -> Any:
        if isinstance(other, (pd.Series, pd.Index, pd.DataFrame)):
            return NotImplemented
        if isinstance(other, PaillierArray):
            other = other.ciphertexts
        elif isinstance(other, ExtensionArray):
            other = other.to_numpy()
        length = np.shape(other)
        if length not in ((), (len(self),)):
            raise ValueError(f"other: expected a number or {len(self)} of them, got shape {length}")
        pair = (other, self._ciphertexts) if swapped else (self._ciphertexts, other)
        return PaillierArray(function(*pair))

    def __add__(self, other: Any) -> Any:
        """Return the sum with plain numbers, or with a column encrypted for the same key."""
        return self._operated(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        """Return the sum."""
        return self._operated(operator.add, other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        """Return the difference."""
        return self._operated(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        """Return plain numbers minus the column."""
        return self._operated(operator.sub, other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        """Return the product with plain numbers."""
        return self._operated(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        """Return the product with plain numbers."""
        return self._operated(operator.mul, other, swapped=True)

    def __neg__(self) -> PaillierArray:
        """Return minus the values."""
        return PaillierArray(-self._ciphertexts)

    def __eq__(self, other: object) -> Any:
        """Refuse: encrypted numbers cannot be compared."""
        return self._ciphertexts == other

    def __truediv__(self, other: Any) -> Any:
        """Refuse: there is no exact inverse in fixed point."""
        return self._ciphertexts / other

    def _reduce(self, name: str, *, skipna: bool = True, keepdims: bool = False, **_: Any) -> Any:
        if name != "sum":
            raise TypeError(f"{name}: not possible on encrypted numbers, only sum is; decrypt the column first")
        total = self._ciphertexts.sum(keepdims=keepdims)
        return PaillierArray(total) if keepdims else total

    def _groupby_op(self, *, how: str, ngroups: int, ids: NDArray[np.intp], **_: Any) -> PaillierArray:
        if how != "sum":
            raise TypeError(f"groupby.{how}: not possible on encrypted numbers, only sum is; decrypt the column first")
        return _group_sums(self, ids, ngroups)

    def unique(self) -> NoReturn:
        """Refuse: encrypted numbers cannot be compared."""
        _hidden("unique")

    def duplicated(self, keep: object = "first") -> NoReturn:
        """Refuse: encrypted numbers cannot be compared."""
        _hidden("duplicated")

    def _values_for_argsort(self) -> NoReturn:
        _hidden("sort")

    def _values_for_factorize(self) -> NoReturn:
        _hidden("factorize")


def _hidden(operation: str) -> NoReturn:
    raise TypeError(f"{operation}: encrypted numbers cannot be compared; decrypt the column first")


def _plain(given: Any, items: list[Any]) -> ArrayLike:
    """Return plain numbers for encryption; missing ones of pandas' own dtypes are named as NaN is."""
    for row, item in enumerate(items):
        if item is pd.NA or item is None:
            raise ValueError(f"values[{row}]: expected a number, got a missing value; drop or impute it")
    array: ArrayLike = given.to_numpy() if isinstance(given, ExtensionArray) else np.asarray(given)
    return items if isinstance(array, np.ndarray) and array.dtype == object else array


def _group_sums(column: PaillierArray, ids: NDArray[np.intp], ngroups: int) -> PaillierArray:
    """Return one sum a group; rows of no group have id -1."""
    ids = np.asarray(ids)
    kept = ids >= 0
    ciphertexts = column.ciphertexts if kept.all() else column.ciphertexts[kept]
    return PaillierArray(ciphertexts.segment_sum(ids[kept], ngroups))


def _encrypted(series: Any, name: str) -> PaillierArray:
    if not isinstance(series, pd.Series) or not isinstance(series.array, PaillierArray):
        what = f"dtype {series.dtype}" if isinstance(series, pd.Series) else type(series).__name__
        raise TypeError(f"{name}: expected an encrypted column (a Series of PaillierDtype), got {what}")
    return series.array


def encrypt_column(public_key: PublicKey, series: pd.Series, codec: Codec | None = None) -> pd.Series:
    """Return a column of numbers encrypted, with its index and name.

    Parameters
    ----------
    public_key : PublicKey
    series : pandas.Series
        Finite numbers, none missing.
    codec : FixedPoint, optional
        As in `PublicKey.encrypt`.

    Raises
    ------
    TypeError, ValueError, PlaintextOverflowError
        As `PublicKey.encrypt`, and for a missing value.

    Examples
    --------
    >>> import pandas as pd
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> encrypt_column(public_key, pd.Series([1.5, 2.5], name="dose"), cl.FixedPoint(scale_bits=20)).name
    'dose'
    """
    if not isinstance(series, pd.Series):
        raise TypeError(f"series: expected a pandas Series, got {type(series).__name__}")
    values = _plain(series.array, series.tolist())
    return pd.Series(PaillierArray(public_key.encrypt(values, codec)), index=series.index, name=series.name)


def decrypt_column(private_key: PrivateKey, series: pd.Series) -> pd.Series:
    """Return an encrypted column's numbers, with its index and name.

    Raises
    ------
    TypeError
        If it is not encrypted.
    KeyMismatchError
        If it belongs to another key.

    Examples
    --------
    >>> import pandas as pd
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> decrypt_column(private_key, encrypt_column(public_key, pd.Series([1, 2]))).tolist()
    [1, 2]
    """
    ciphertexts = _encrypted(series, "series").ciphertexts
    if not isinstance(private_key, PrivateKey):
        raise TypeError(f"private_key: expected a PrivateKey, got {type(private_key).__name__}")
    return pd.Series(private_key.decrypt(ciphertexts), index=series.index, name=series.name)


def encrypted_groupby_sum(table: pd.DataFrame, by: str | list[str], column: str) -> pd.Series:
    """Return an encrypted column's sums over groups of rows, as ``table.groupby(by)[column].sum()``.

    Parameters
    ----------
    table : pandas.DataFrame
    by : str or list of str
        Plain columns; rows where one is missing are left out.
    column : str
        The encrypted column.

    Returns
    -------
    pandas.Series
        Encrypted, with the groups as its index, in order. Sums have no randomness of their own: writing to Arrow or
        Parquet gives it to them.

    Raises
    ------
    TypeError
        If the column is not encrypted.
    KeyError
        If there is no such column.
    PlaintextOverflowError
        If the largest group's sum could wrap.

    Examples
    --------
    >>> import pandas as pd
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> table = pd.DataFrame({"ward": ["b", "a", "b"], "dose": PaillierArray(public_key.encrypt([1, 2, 3]))})
    >>> decrypt_column(private_key, encrypted_groupby_sum(table, "ward", "dose")).to_dict()
    {'a': 2, 'b': 4}
    """
    values = _encrypted(table[column], f"column {column!r}")
    groups = table.groupby(by, observed=True)
    index = groups.size().index
    # Rows of no group are -1, or missing, by the version of pandas.
    ids = groups.ngroup().fillna(-1).to_numpy(dtype=np.int64)
    return pd.Series(_group_sums(values, ids, len(index)), index=index, name=column)
