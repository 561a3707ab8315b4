"""Arrays on the GPU for tests: CuPy's where it can be used, and stand-ins whose memory the device in use gave out."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from cipherlane import _native
from cipherlane.paillier.gpu_arrays import GpuValues

EMULATED = bool((_native.device_info() or {}).get("emulated"))


def memory_of(array: np.ndarray) -> tuple[_native.DeviceMemory, int]:
    """The bytes between an array's lowest and highest on the device, and where among them its first element lies."""
    reach = [(length - 1) * stride for length, stride in zip(array.shape, array.strides, strict=True)]
    below, above = -sum(min(step, 0) for step in reach), sum(max(step, 0) for step in reach) + array.itemsize
    if not array.size:
        return _native.DeviceMemory(np.empty(0, dtype=np.uint8)), 0
    first = array.__array_interface__["data"][0] - below
    return _native.DeviceMemory(np.frombuffer(ctypes.string_at(first, below + above), dtype=np.uint8)), below


class InterfaceArray:
    """An array that speaks the CUDA array interface; ``changes`` are made to what it says of itself."""

    def __init__(self, array: np.ndarray, **changes: Any) -> None:
        self.memory, offset = memory_of(array)
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (self.memory.address + offset if array.size else 0, True),
            "strides": array.strides,
            "stream": None,
            "version": 3,
            **changes,
        }


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def tensor_in(capsule: Any) -> _Tensor:
    """What a DLPack capsule that nobody has used yet says."""
    return _Tensor.from_address(_pointer_of(capsule, b"dltensor"))


class DlpackArray:
    """An array that speaks DLPack: numpy's own capsule, with the device's memory in place of the host's."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (2, 0), **changes: Any) -> None:
        # numpy exports no read-only arrays, and this one is only copied from.
        self.array = array if array.flags.writeable else array.copy()
        self.memory, self.offset = memory_of(self.array)
        self.device, self.changes, self.streams = device, changes, []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        self.streams.append(stream)
        capsule = self.array.__dlpack__()
        tensor = tensor_in(capsule)
        tensor.data = self.memory.address
        tensor.byte_offset = self.offset
        tensor.device_type, tensor.device_id = self.device
        for field, value in self.changes.items():
            setattr(tensor, field, value)
        return capsule


def cupy_array(array: np.ndarray) -> Any:
    """The same by CuPy, with the same strides as far as CuPy can."""
    import cupy

    whole = cupy.asarray(array)
    return cupy.asfortranarray(whole) if array.flags.f_contiguous and array.ndim > 1 else whole


def has_cupy() -> bool:
    if EMULATED:
        return False
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.cuda.is_available())


def makers() -> list[Any]:
    kinds: list[Any] = [InterfaceArray, DlpackArray]
    return [*kinds, cupy_array] if has_cupy() else kinds


def read_back(interface: dict[str, Any]) -> np.ndarray:
    """What lies at the memory that an interface names."""
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    values = np.empty(shape, dtype=dtype)
    return GpuValues(interface["data"][0], dtype, shape, values.strides, None).to_numpy()
