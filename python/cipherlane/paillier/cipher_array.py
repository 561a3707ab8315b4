"""Arrays of encrypted numbers that behave like numpy's as far as addition and plain factors go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane import _native
from cipherlane.paillier import layout as layouts
from cipherlane.paillier import products, serialisation, sums
from cipherlane.paillier.codec import Codec, check_bound, check_codec
from cipherlane.paillier.devices import backend_for, backend_on, is_gpu_backend
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import Limbs
from cipherlane.paillier.numpy_protocol import ArrayProtocols
from cipherlane.paillier.plaintexts import as_operand, encode
from cipherlane.paillier.values import default_codec

if TYPE_CHECKING:
    from cipherlane.paillier.public_key import PublicKey


class CipherArray(ArrayProtocols):
    """An immutable array of encrypted numbers under one key, with one public fixed scale.

    Made by `PublicKey.encrypt` or `from_bytes`. Supports ``x + y``, ``x - y``, ``-x``, ``x * factors``,
    ``matrix @ x``, `sum`, `segment_sum`, indexing, `reshape` and `concatenate`, where ``y`` may be encrypted
    or plain and factors are plain, and the functions of numpy for these (``np.add``, ``np.sum``, ``np.stack``,
    ``np.transpose`` and so on). Shapes broadcast as in numpy. Plain arrays may lie on the GPU (those of CuPy,
    PyTorch and others): addends are encoded there, factors are copied to the host first.

    A bound on what each value may have become is carried along. It follows from the codec and from the
    operations, and never from encrypted values; an operation that could wrap raises `PlaintextOverflowError`
    before it happens. Integer factors enter the bound with their largest magnitude rounded up to a power of
    two, and `segment_sum` with the largest segment's size rounded up likewise; `to_bytes` writes the bound in
    the clear.

    Operations do not hide which operation was done: to show a result to others, re-randomise it, as
    `to_bytes` does. The time of a product depends on the factors, so they are no secret from whoever measures
    it.

    Examples
    --------
    >>> import numpy as np
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> x = public_key.encrypt(np.array([[1.5, 2.0], [-3.0, 0.25]]))
    >>> private_key.decrypt(x.sum(axis=0))
    array([-1.5 ,  2.25])
    >>> private_key.decrypt(np.array([[1, -1]]) @ x)
    array([[4.5 , 1.75]])
    >>> private_key.decrypt(x[1] * 0.5 - 1)
    array([-2.5  , -0.875])
    >>> sent = x.to_bytes()
    >>> cl.CipherArray.from_bytes(public_key, sent).shape
    (2, 2)
    """

    __slots__ = ("__weakref__", "_batches", "_bound", "_codec", "_fresh", "_home", "_key", "_layout", "_scale_bits")

    _batches: dict[str, _native.Batch]
    _bound: int
    _codec: Codec
    _fresh: bool
    _home: str
    _key: PublicKey
    _layout: Layout
    _scale_bits: int

    def __init__(self) -> None:
        raise TypeError("CipherArray: made by PublicKey.encrypt(...) or CipherArray.from_bytes(...), not directly")

    # ---- construction --------------------------------------------------------------------------------------

    @classmethod
    def _make(
        cls,
        key: PublicKey,
        batch: _native.Batch,
        layout: Layout,
        codec: Codec,
        *,
        scale_bits: int,
        bound: int,
        fresh: bool,
    ) -> CipherArray:
        array = cls.__new__(cls)
        array._key = key
        array._home = batch.backend
        array._batches = {array._home: batch}
        array._layout = layout
        array._codec = codec
        array._scale_bits = scale_bits
        array._bound = bound
        array._fresh = fresh
        return array

    @classmethod
    def _encrypt(
        cls,
        key: PublicKey,
        backend: str,
        encryptor: Callable[[Limbs | _native.Plaintexts], _native.Batch],
        values: ArrayLike,
        codec: Codec | None,
    ) -> CipherArray:
        operand = as_operand(values, backend)
        codec = default_codec(operand.dtype) if codec is None else check_codec(codec)
        codec.check_fits(key.n)
        layout = Layout.of(operand.shape, codec, key.bits)
        plaintexts = encode(operand, (layout, layout), codec, codec.scale_bits, key.n, "values")
        bound = codec.encoded_bound(codec.scale_bits)
        return cls._make(
            key, encryptor(plaintexts), layout, codec, scale_bits=codec.scale_bits, bound=bound, fresh=True
        )

    def _with_batch(self, batch: _native.Batch, *, fresh: bool) -> CipherArray:
        return self._make(
            self._key,
            batch,
            self._layout,
            self._codec,
            scale_bits=self._scale_bits,
            bound=self._bound,
            fresh=fresh,
        )

    def _derived(
        self,
        batch: _native.Batch,
        layout: Layout,
        bound: int,
        *,
        codec: Codec | None = None,
        scale_bits: int | None = None,
    ) -> CipherArray:
        return self._make(
            self._key,
            batch,
            layout,
            self._codec if codec is None else codec,
            scale_bits=self._scale_bits if scale_bits is None else scale_bits,
            bound=bound,
            fresh=False,
        )

    # ---- what it is ----------------------------------------------------------------------------------------

    @property
    def public_key(self) -> PublicKey:
        """The key that the values are encrypted for."""
        return self._key

    @property
    def codec(self) -> Codec:
        """How plain operands are encoded, and how the values were."""
        return self._codec

    @property
    def scale_bits(self) -> int:
        """Bits after the point now: products with floats add theirs."""
        return self._scale_bits

    @property
    def bound(self) -> int:
        """What the encoded integer of any value may have reached in magnitude."""
        return self._bound

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._layout.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._layout.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return self._layout.size

    @property
    def ciphertext_count(self) -> int:
        """Number of ciphertexts that hold them."""
        return self._layout.count

    @property
    def is_fresh(self) -> bool:
        """Whether every ciphertext carries randomness that nobody has seen, as after encryption."""
        return self._fresh

    def __repr__(self) -> str:
        """Return shape, codec and the start of the key's fingerprint."""
        return f"CipherArray(shape={self.shape}, codec={self._codec}, key={self._key.fingerprint[:16]}...)"

    # ---- backends ------------------------------------------------------------------------------------------

    @property
    def device(self) -> str:
        """Where the ciphertexts lie: "cpu", or "cuda:0" for the GPU."""
        return self._batches[self._home].device

    def to(self, device: str) -> CipherArray:
        """Return the array on a device: itself if it is there.

        Operations run where their operands lie, on the GPU if some do; `use_backend` and ``CIPHERLANE_BACKEND``
        overrule that. New arrays are made on the best backend. So arrays need to be moved only to free a GPU's
        memory, or to use one for arrays made without it. The copy is not kept here: dropping either array frees its
        memory.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            A name as `device` gives it, or "cuda" for the GPU.

        Raises
        ------
        ValueError
            If there is no device of that name.
        BackendUnavailableError
            If there is no GPU to use; the message says what is missing.

        Examples
        --------
        >>> import cipherlane as cl
        >>> public_key, private_key = cl.keygen(bits=2048)
        >>> x = public_key.encrypt([1, 2]).to("cpu")
        >>> x.device
        'cpu'
        >>> x.to("cpu") is x
        True
        """
        name = backend_on(device)
        if is_gpu_backend(name) == is_gpu_backend(self._home):
            return self
        return self._with_batch(self._batches.get(name) or self._moved(name), fresh=self._fresh)

    def _backend(self, *others: CipherArray) -> str:
        """Return the backend on which an operation with other arrays runs."""
        return backend_for(self._home, *(other._home for other in others))

    def _batch(self, name: str) -> _native.Batch:
        """Return the ciphertexts on a backend; the copy is kept if they are on another."""
        batch = self._batches.get(name)
        return self._batches.setdefault(name, self._moved(name)) if batch is None else batch

    def _moved(self, name: str) -> _native.Batch:
        ciphertexts = self._key.context(self._home).download(self._batches[self._home])
        return self._key.context(name).upload(ciphertexts)

    def _here(self) -> tuple[_native.PublicContext, _native.Batch]:
        """Return context and ciphertexts for an operation on this array alone."""
        name = self._backend()
        return self._key.context(name), self._batch(name)

    def _spread_to(self, target: Layout, name: str) -> _native.Batch:
        """Return the ciphertexts broadcast to ``target``; a single one is left to the core to repeat."""
        index = self._layout.spread(target)
        if index is None or (self._layout.count == 1 and target.count > 1):
            return self._batch(name)
        return self._key.context(name).take(self._batch(name), index)

    # ---- sums ----------------------------------------------------------------------------------------------

    def __add__(self, other: object) -> CipherArray:
        """Return the sum with another CipherArray or with plain numbers, encoded at this array's scale."""
        if isinstance(other, CipherArray):
            return sums.add(self, other, "+")
        return sums.add_plain(self, other, "x + values")  # type: ignore[arg-type]

    __radd__ = __add__

    def __sub__(self, other: object) -> CipherArray:
        """Return the difference."""
        if isinstance(other, CipherArray):
            return sums.add(self, other, "-")
        return sums.add_plain(self, other, "x - values", negate=True)  # type: ignore[arg-type]

    def __rsub__(self, other: object) -> CipherArray:
        """Return plain numbers minus this array."""
        return sums.add_plain(-self, other, "values - x")  # type: ignore[arg-type]

    def __neg__(self) -> CipherArray:
        """Return minus the values."""
        context, batch = self._here()
        return self._derived(context.negate(batch), self._layout, self._bound)

    def __pos__(self) -> CipherArray:
        """Return the array itself."""
        return self

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> CipherArray:
        """Return sums over axes, all of them by default.

        Parameters
        ----------
        axis : int or tuple of int, optional
        keepdims : bool, default False
            Keep the summed axes with length 1.

        Raises
        ------
        ValueError
            If an axis does not exist or is packed.
        PlaintextOverflowError
            If the sum could wrap.
        """
        return sums.over_axes(self, axis, keepdims)

    def segment_sum(self, segment_ids: ArrayLike, num_segments: int) -> CipherArray:
        """Return one sum a segment: out[s] = Σ x[i] over the i along the first axis with segment_ids[i] = s.

        Parameters
        ----------
        segment_ids : array_like of int, shape (len(x),)
            Each in [0, num_segments), in any order.
        num_segments : int

        Returns
        -------
        CipherArray
            Shape (num_segments, ...). A segment without members is an encryption of zero without randomness.

        Raises
        ------
        TypeError
            If the ids are not integers.
        ValueError
            If their number is not the length of the first axis, one is out of range, or the first axis is
            packed.
        PlaintextOverflowError
            If the largest segment's sum could wrap.
        """
        return sums.by_segment(self, segment_ids, num_segments)

    # ---- products with plain factors -----------------------------------------------------------------------

    def __mul__(self, other: object) -> CipherArray:
        """Return the product with plain numbers.

        Integers keep the scale. Floats are encoded with the codec's fractional bits (40 if it has none),
        which are added to the scale. Factors on the GPU are copied to the host, where their digits are planned.
        """
        if isinstance(other, CipherArray):
            raise TypeError(
                "x * y: both are encrypted, and Paillier encryption can only add; one of them must be plain numbers"
            )
        return products.multiply(self, other)

    __rmul__ = __mul__

    def __matmul__(self, other: object) -> CipherArray:
        """Return ``x @ matrix`` for a plain matrix or vector."""
        if isinstance(other, CipherArray):
            raise TypeError("x @ y: both are encrypted, and Paillier encryption can only add; one must be plain")
        return products.times_matrix(self, other)

    def __rmatmul__(self, other: object) -> CipherArray:
        """Return ``matrix @ x`` for a plain matrix or vector: out[i, c] = Σ_j w_ij x[j, c].

        A matrix on the GPU is copied to the host, where its digits are planned.
        """
        return products.matrix_times(other, self)

    # ---- shape ---------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> CipherArray:
        """Return chosen elements; slices, integers, arrays of them, masks, ``...`` and None as in numpy."""
        return self._rearranged(lambda stand_in: stand_in[key], "index", IndexError)

    def _rearranged(
        self, move: Callable[[NDArray[Any]], Any], operation: str, error: type[Exception] = ValueError
    ) -> CipherArray:
        """Return the values where ``move`` puts those of any array of this shape."""
        layout, index = layouts.rearrange(self._layout, move, operation, error)
        context, batch = self._here()
        return self._derived(context.take(batch, index), layout, self._bound)

    def reshape(self, *shape: int | Sequence[int]) -> CipherArray:
        """Return the same values in another shape, in C order; one length may be -1.

        Raises
        ------
        ValueError
            If the number of values differs, or a packed last axis would change.
        """
        lengths = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        layout = layouts.reshape(self._layout, tuple(int(length) for length in lengths))  # type: ignore[arg-type]
        return self._relaid(layout)

    def _relaid(self, layout: Layout) -> CipherArray:
        array = self._with_batch(self._batches[self._home], fresh=self._fresh)
        array._layout = layout
        return array

    def ravel(self) -> CipherArray:
        """Return the values along one axis."""
        return self.reshape(-1)

    @property
    def T(self) -> CipherArray:
        """The array with its axes reversed."""
        if self.ndim < 2:
            return self
        if self._layout.packed:
            raise ValueError("T: axes of a packed array cannot be exchanged; transpose before encryption")
        return self._rearranged(np.transpose, "T")

    def with_bound(self, bound: int) -> CipherArray:
        """Return the same values with a larger bound, such as one that says nothing of the factors they came from.

        Parameters
        ----------
        bound : int
            At least `bound`, and within what the key can hold.

        Raises
        ------
        ValueError
            If it is below the bound that operations have proven.
        PlaintextOverflowError
            If a plaintext, or a slot, cannot hold it.
        """
        if bound < self._bound:
            raise ValueError(
                f"bound: expected at least 2^{self._bound.bit_length() - 1}, which the operations so far allow values "
                f"to reach, got a number of {bound.bit_length()} bits"
            )
        check_bound("with_bound", bound, self._codec, self._key.n)
        array = self._with_batch(self._batches[self._home], fresh=self._fresh)
        array._bound = bound
        return array

    # ---- randomness and the wire ---------------------------------------------------------------------------

    def rerandomize(self) -> CipherArray:
        """Return the same values under fresh randomness, which hides what they were computed from."""
        context, batch = self._here()
        return self._with_batch(context.rerandomise(batch), fresh=True)

    def _to_be_shown(self, rerandomize: bool | None) -> CipherArray:
        """Return the array with fresh randomness if that is asked for or, for None, needed."""
        return self.rerandomize() if (not self._fresh if rerandomize is None else rerandomize) else self

    def to_bytes(self, rerandomize: bool | None = None) -> bytes:
        """Return the array in a compact versioned form, ciphertexts as big-endian integers of fixed width.

        The shape, codec, scale and bound are written in the clear.

        Parameters
        ----------
        rerandomize : bool, optional
            Give the ciphertexts fresh randomness first. Default: unless they are fresh, as after encryption
            or `rerandomize`; any operation makes them stale.
        """
        array = self._to_be_shown(rerandomize)
        header = serialisation.Header(
            array._key.modulus_digest, array._codec, array._scale_bits, array._bound, array.shape
        )
        context, batch = array._here()
        return serialisation.pack(header, array._key.bits, context.download(batch))

    @classmethod
    def from_bytes(cls, public_key: PublicKey, data: bytes | bytearray | memoryview) -> CipherArray:
        """Return the array that `to_bytes` wrote, after checking all of it.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        KeyMismatchError
            If the array belongs to another key.
        ValueError
            If the data are truncated, too long, damaged, of another version, contradict themselves, or hold a
            number that is no ciphertext of this key: not in [1, n²), or not coprime to n.
        """
        if not hasattr(public_key, "modulus_digest"):
            raise TypeError(f"public_key: expected a PublicKey, got {type(public_key).__name__}")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data: expected bytes, got {type(data).__name__}")
        header, layout, ciphertexts = serialisation.unpack(bytes(data), public_key.n, public_key.modulus_digest)
        return cls._from_limbs(public_key, ciphertexts, layout, header.codec, header.scale_bits, header.bound)

    @classmethod
    def _from_limbs(
        cls, key: PublicKey, ciphertexts: Limbs, layout: Layout, codec: Codec, scale_bits: int, bound: int
    ) -> CipherArray:
        """Return an array of ciphertexts from elsewhere, each checked to be one."""
        return cls._from_strangers(key, key.context().upload(ciphertexts), layout, codec, scale_bits, bound)

    @classmethod
    def _from_strangers(
        cls, key: PublicKey, batch: _native.Batch, layout: Layout, codec: Codec, scale_bits: int, bound: int
    ) -> CipherArray:
        """Return an array of a batch of numbers in [1, n²), each checked to be coprime to n."""
        offender = key.context(batch.backend).first_not_invertible(batch)
        if offender >= 0:
            raise ValueError(f"ciphertexts[{offender}]: shares a factor with the modulus n, so it is no ciphertext")
        return cls._make(key, batch, layout, codec, scale_bits=scale_bits, bound=bound, fresh=False)
