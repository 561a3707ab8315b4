"""Encoded numbers, and the coder that makes and reads them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.integrations.fate import packing
from cipherlane.integrations.fate.settings import INTEGER_BITS
from cipherlane.integrations.fate.tensors import dtype_name, in_default_dtype, to_numpy, to_tensor
from cipherlane.paillier.codec import FixedPoint
from cipherlane.paillier.values import as_values

_INT32 = np.iinfo(np.int32)
_INT64 = np.iinfo(np.int64)


class PlaintextVector:
    """Numbers as they will be encrypted, or as they were decrypted; one number is a vector of one.

    They are rounded to the fixed point when they are encrypted.

    Parameters
    ----------
    values : ndarray of float64, int64 or Python integers, shape (n,)
    width_bits : int, default 64
        For integers: each is below 2^width_bits in magnitude, and so are the sums of packed ones.
    """

    __slots__ = ("values", "width_bits")

    def __init__(self, values: NDArray[Any] | None = None, width_bits: int = INTEGER_BITS) -> None:
        self.values = np.empty(0) if values is None else values
        self.width_bits = width_bits

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return len(self.values)

    def get_stride(self, index: int, stride: int) -> PlaintextVector:
        """Return ``stride`` numbers from ``index * stride`` on."""
        return PlaintextVector(self.values[index * stride : (index + 1) * stride], self.width_bits)

    def tolist(self) -> list[PlaintextVector]:
        """Return each number as a vector of its own."""
        return [PlaintextVector(self.values[i : i + 1], self.width_bits) for i in range(len(self))]

    def __repr__(self) -> str:
        """Return how many numbers there are, none of them."""
        return f"PlaintextVector({len(self)} numbers)"

    def __getstate__(self) -> tuple[str, bytes | list[int], int]:
        """Return what a pickle holds: the numbers themselves."""
        if self.values.dtype == object:
            return "object", [int(value) for value in self.values], self.width_bits
        kind = self.values.dtype.newbyteorder("<").str
        return kind, self.values.astype(kind).tobytes(), self.width_bits

    def __setstate__(self, state: tuple[str, bytes | list[int], int]) -> None:
        """Take up the numbers of a pickle, after checking them."""
        kind, content, width_bits = state
        self.width_bits = packing.check_count("width_bits", width_bits, 0)
        if kind == "object" and isinstance(content, list):
            self.values = packing.as_objects([packing.check_count("values", v, -(1 << 4096)) for v in content])
        elif kind in ("<f8", "<i8") and isinstance(content, bytes):
            self.values = as_values(np.frombuffer(content, dtype=kind))
        else:
            raise ValueError(f"state: expected numbers as PlaintextVector pickles them, got kind {kind!r}")


class Coder:
    """What FATE calls a coder: it encodes tensors, decodes them, and packs several numbers in one.

    Unlike FATE's, which gives each number the exponent that suits it and sends it in the clear, all numbers have one
    fixed point: 53 bits after it, and 64 before it.
    """

    __slots__ = ()

    def encode_tensor(self, tensor: Any, dtype: Any = None) -> PlaintextVector:
        """Encode a tensor of any shape; ``dtype`` is not looked at, as in FATE."""
        return self.encode_vec(tensor)

    def decode_tensor(self, tensor: PlaintextVector, dtype: Any, shape: Any = None, device: Any = None) -> Any:
        """Decode a vector to a tensor of a type and shape, on one of FATE's devices."""
        data = self.decode_vec(tensor, dtype)
        if shape is not None:
            data = data.reshape(shape)
        return data if device is None else data.to(device.to_torch_device())

    def encode_vec(self, vec: Any, dtype: Any = None) -> PlaintextVector:
        """Encode numbers of type float64, float32, int64 or int32."""
        values = to_numpy(vec).reshape(-1)
        name = values.dtype.name if dtype is None else dtype_name(dtype)
        if name not in _CASTS:
            raise _unsupported(name)
        return PlaintextVector(as_values(values.astype(name, copy=False), "vec"))

    def decode_vec(self, vec: PlaintextVector, dtype: Any) -> Any:
        """Decode a vector to a tensor of type float64, float32, int64 or int32."""
        return self._decoder(dtype, "_vec")(vec)

    def encode(self, val: Any, dtype: Any = None) -> PlaintextVector:
        """Encode one number, of its own type if it is a tensor."""
        if hasattr(val, "detach"):
            if val.ndim != 0:
                raise ValueError(f"val: expected a scalar, got a tensor of shape {tuple(val.shape)}; use encode_tensor")
            dtype, val = val.dtype, val.item()
        name = "None" if dtype is None else dtype_name(dtype)
        if name not in _CASTS:
            raise _unsupported(name)
        return PlaintextVector(as_values([_CASTS[name](val)], "val"))

    def _decoder(self, dtype: Any, suffix: str) -> Callable[[PlaintextVector], Any]:
        name = dtype_name(dtype)
        if name not in _CASTS:
            raise _unsupported(name)
        decoder: Callable[[PlaintextVector], Any] = getattr(self, f"decode_{name[0]}{name[-2:]}{suffix}")
        return decoder

    # ---- one number ------------------------------------------------------------------------------------------

    def encode_f64(self, val: float) -> PlaintextVector:
        """Encode a float."""
        return self.encode(val, np.float64)

    def encode_f32(self, val: float) -> PlaintextVector:
        """Encode a float, rounded to single precision."""
        return self.encode(val, np.float32)

    def encode_i64(self, val: int) -> PlaintextVector:
        """Encode an integer of 64 bits."""
        return self.encode(val, np.int64)

    def encode_i32(self, val: int) -> PlaintextVector:
        """Encode an integer of 32 bits."""
        return self.encode(val, np.int32)

    def decode_f64(self, val: PlaintextVector) -> float:
        """Decode a vector of one to a float."""
        return float(_single(_floats(val)))

    def decode_f32(self, val: PlaintextVector) -> float:
        """Decode a vector of one to a float of single precision."""
        return float(np.float32(_single(_floats(val))))

    def decode_i64(self, val: PlaintextVector) -> int:
        """Decode a vector of one to an integer, rounded down."""
        return int(_single(_integers(val, np.floor, _INT64)))

    def decode_i32(self, val: PlaintextVector) -> int:
        """Decode a vector of one to an integer, rounded towards zero."""
        return int(_single(_integers(val, np.trunc, _INT32)))

    # ---- vectors ---------------------------------------------------------------------------------------------

    def encode_f64_vec(self, vec: Any) -> PlaintextVector:
        """Encode floats."""
        return self.encode_vec(vec, np.float64)

    def encode_f32_vec(self, vec: Any) -> PlaintextVector:
        """Encode floats of single precision."""
        return self.encode_vec(vec, np.float32)

    def encode_i64_vec(self, vec: Any) -> PlaintextVector:
        """Encode integers of 64 bits."""
        return self.encode_vec(vec, np.int64)

    def encode_i32_vec(self, vec: Any) -> PlaintextVector:
        """Encode integers of 32 bits."""
        return self.encode_vec(vec, np.int32)

    def decode_f64_vec(self, vec: PlaintextVector) -> Any:
        """Decode to a float64 tensor."""
        return to_tensor(_floats(vec))

    def decode_f32_vec(self, vec: PlaintextVector) -> Any:
        """Decode to a float32 tensor."""
        return to_tensor(_floats(vec).astype(np.float32))

    def decode_i64_vec(self, vec: PlaintextVector) -> Any:
        """Decode to an int64 tensor; what has bits after the point is rounded down, as in FATE."""
        return to_tensor(_integers(vec, np.floor, _INT64))

    def decode_i32_vec(self, vec: PlaintextVector) -> Any:
        """Decode to an int64 tensor of integers of 32 bits, rounded towards zero; both as in FATE."""
        return to_tensor(_integers(vec, np.trunc, _INT32))

    # ---- packing ---------------------------------------------------------------------------------------------

    def pack_floats(self, float_tensor: Any, offset_bit: int, pack_num: int, precision: int) -> PlaintextVector:
        """Pack ``pack_num`` numbers, none of them negative, in each integer; see `packing`.

        Sums must fit ``offset_bit`` bits a number, which whoever packs vouches for.
        """
        return _packed(to_numpy(float_tensor).reshape(-1).astype(np.float64), offset_bit, pack_num, precision)

    def unpack_floats(
        self, packed: PlaintextVector, offset_bit: int, pack_num: int, precision: int, total_num: int
    ) -> Any:
        """Return the numbers that `pack_floats` packed, or the sums of them, in torch's default type."""
        scale = 1 << packing.check_count("precision", precision, 0)
        integers = _unpacked(packed, offset_bit, pack_num, total_num)
        return in_default_dtype(np.array([integer / scale for integer in integers], dtype=np.float64))

    def pack_vec(self, vec: Any, num_shift_bit: int, num_elem_each_pack: int) -> PlaintextVector:
        """Pack integers, none of them negative, as `pack_floats` does; FATE 2.2 has the name and cannot run it."""
        return _packed(to_numpy(vec).reshape(-1), num_shift_bit, num_elem_each_pack, 0)

    def unpack_vec(self, vec: PlaintextVector, num_shift_bit: int, num_elem_each_pack: int, total_num: int) -> Any:
        """Return the integers that `pack_vec` packed, or the sums of them, as an int64 tensor."""
        return to_tensor(np.array(_unpacked(vec, num_shift_bit, num_elem_each_pack, total_num), dtype=np.int64))

    def __repr__(self) -> str:
        """Return the fixed point."""
        return "Coder()"


def _whole(limits: np.iinfo[Any]) -> Callable[[Any], int]:
    def cast(value: Any) -> int:
        # Refuses floats, as FATE does; int() would cut 0.5 down to 0.
        whole = operator.index(value)
        if not limits.min <= whole <= limits.max:
            raise OverflowError(f"val: does not fit an integer of {limits.bits} bits; encode it as a float64")
        return whole

    return cast


_CASTS: dict[str, Callable[[Any], float | int]] = {
    "float64": float,
    "float32": lambda value: float(np.float32(value)),
    "int64": _whole(_INT64),
    "int32": _whole(_INT32),
}


def _unsupported(name: str) -> NotImplementedError:
    return NotImplementedError(f"dtype: expected float64, float32, int64 or int32, got {name}; convert it first")


def _single(values: NDArray[Any]) -> Any:
    if len(values) != 1:
        raise ValueError(f"val: expected one encoded number, got {len(values)}; use the method that ends in _vec")
    return values[0]


def _floats(vector: PlaintextVector) -> NDArray[np.float64]:
    return vector.values.astype(np.float64)


def _integers(
    vector: PlaintextVector, rounded: Callable[[NDArray[Any]], NDArray[Any]], limits: np.iinfo[Any]
) -> NDArray[np.int64]:
    values = rounded(vector.values) if vector.values.dtype.kind == "f" else vector.values
    # 2^63 itself is a float, and the largest int64 is not.
    outside = (values < limits.min) | (values >= limits.max + 1)
    if outside.any():
        raise OverflowError(
            f"vec[{int(np.argmax(outside))}]: does not fit an integer of {limits.bits} bits; decode it to float64"
        )
    return values.astype(np.int64)


def _packed(values: NDArray[Any], offset_bit: int, pack_num: int, precision: int) -> PlaintextVector:
    width, count = packing.check_count("offset_bit", offset_bit, 1), packing.check_count("pack_num", pack_num, 1)
    bits = packing.check_count("precision", precision, 0)
    return PlaintextVector(packing.pack(as_values(values).tolist(), width, count, bits), width * count)


def _unpacked(packed: PlaintextVector, offset_bit: int, pack_num: int, total_num: int) -> list[int]:
    width, count = packing.check_count("offset_bit", offset_bit, 1), packing.check_count("pack_num", pack_num, 1)
    total = packing.check_count("total_num", total_num, 0)
    if packed.values.dtype.kind == "f":
        raise ValueError("packed: expected integers, got numbers with bits after the point, which were not packed")
    return packing.unpack([int(value) for value in packed.values], width, count, total)


def codec_of(vector: PlaintextVector) -> FixedPoint | None:
    """Return how integers are encrypted, None for floats."""
    return None if vector.values.dtype.kind == "f" else FixedPoint(scale_bits=0, integer_bits=vector.width_bits)
