"""Arrays of CuPy, PyTorch, Numba and others that lie on a GPU, read where they lie.

They come through ``__cuda_array_interface__`` (versions 2 and 3) or DLPack. What their maker's stream still has to do
is waited for on the GPU, by the stream that they name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane import _native
from cipherlane.paillier.devices import gpu_name, no_gpu

_MOST_AXES = 8
_FURTHEST = 2**62
_LEGACY_STREAM = 1
# DLPack's names of devices and types.
_HOST_DEVICES = {1, 3}
_CUDA_DEVICES = {2, 13}
_DLPACK_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}
_TYPE = re.compile(r"([<>|=])([a-zA-Z])(\d+)")
_KINDS = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}


@dataclass(frozen=True)
class GpuValues:
    """Numbers in a GPU's memory; ``owner`` keeps the memory as long as this lives. Strides are in bytes."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    owner: object

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def view(self, shape: tuple[int, ...] | None = None) -> _native.DeviceView:
        """Return the core's view of the values, broadcast to ``shape``."""
        strides = self.strides
        if shape is not None:
            aligned = zip(self.shape, strides, strict=True)
            stretched = tuple(0 if length == 1 else stride for length, stride in aligned)
            strides = (0,) * (len(shape) - len(self.shape)) + stretched
        lengths, steps = _coalesced(self.shape if shape is None else shape, strides)
        element = f"{self.dtype.kind}{self.dtype.itemsize}"
        return _native.DeviceView(self.address, element, lengths, steps)

    def to_numpy(self) -> NDArray[Any]:
        """Return a copy in the host's memory."""
        host: NDArray[Any] = np.empty(self.shape, dtype=self.dtype)
        if self.size:
            self.view().compact().read(host.reshape(-1).view(np.uint8))
        return host

    def item(self, flat_index: int) -> Any:
        """Return one value, by its place in C order."""
        places = np.unravel_index(flat_index, self.shape) if self.shape else ()
        offset = sum(int(place) * stride for place, stride in zip(places, self.strides, strict=True))
        return GpuValues(self.address + offset, self.dtype, (), (), self.owner).to_numpy()[()]

    def contiguous(self) -> GpuValues:
        """Return the values in C order without gaps: as they are, or a copy on the GPU."""
        steps = c_strides(self.shape, self.dtype.itemsize)
        if _coalesced(self.shape, self.strides) == _coalesced(self.shape, steps):
            return self
        memory = self.view().compact()
        return GpuValues(memory.address, self.dtype, self.shape, steps, memory)

    @classmethod
    def from_numpy(cls, values: NDArray[Any]) -> GpuValues:
        """Return a copy of an array in the GPU's memory, which is overwritten when it is freed."""
        contiguous = np.ascontiguousarray(values)
        memory = _native.DeviceMemory(contiguous.reshape(-1).view(np.uint8))
        return cls(memory.address, values.dtype, values.shape, c_strides(values.shape, values.dtype.itemsize), memory)


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides, in bytes, of an array in C order."""
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _coalesced(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the same elements in the same order by as few axes as they need."""
    lengths: list[int] = []
    steps: list[int] = []
    for length, stride in zip(shape, strides, strict=True):
        if length == 1:
            continue
        if lengths and steps[-1] == length * stride:
            lengths[-1] *= length
            steps[-1] = stride
        else:
            lengths.append(length)
            steps.append(stride)
    if len(lengths) > _MOST_AXES:
        raise ValueError(
            f"values: expected at most {_MOST_AXES} axes that lie apart in memory, got {len(lengths)}; make a "
            "contiguous copy first"
        )
    return lengths, steps


def on_gpu(values: object, name: str = "values") -> GpuValues | None:
    """Return what lies on a GPU as it is; None for everything else.

    Raises
    ------
    TypeError
        If it holds no real numbers, or its interface is not as agreed.
    ValueError
        If it lies on another GPU than the one in use, or its memory is not what it says.
    BackendUnavailableError
        If no GPU can be used here.
    """
    if isinstance(values, (np.ndarray, np.generic, int, float, list, tuple)):
        return None
    if isinstance(values, GpuValues):
        return values
    interface = getattr(values, "__cuda_array_interface__", None)
    has_dlpack = hasattr(values, "__dlpack_device__") and hasattr(values, "__dlpack__")
    if interface is not None:
        if not isinstance(interface, Mapping):
            raise _malformed(name, f"expected a dict, got {type(interface).__name__}")
        if interface.get("version") == 3 or not has_dlpack:
            return _from_interface(interface, values, name)
    return _from_dlpack(values, name) if has_dlpack else None


def on_host(values: Any, name: str) -> Any:
    """Return what lies on a GPU as an array in the host's memory, and everything else as it is."""
    source = on_gpu(values, name)
    return values if source is None else source.to_numpy()


def _malformed(name: str, what: str) -> TypeError:
    return TypeError(f"{name}: __cuda_array_interface__: {what}")


def _unusable(name: str, what: str) -> TypeError:
    return TypeError(f"{name}: expected real numbers (floats of up to 64 bits, integers or bool), got {what}")


def _require_gpu(name: str) -> str:
    gpu = gpu_name()
    if gpu is None:
        raise no_gpu(f"{name}: lies on a GPU (bring it to the host first, as cupy.asnumpy does)")
    return gpu


def _integers(name: str, field: str, value: object, least: int | None) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)) or not all(type(item) is int for item in value):
        raise _malformed(name, f"{field}: expected a tuple of int, got {value!r}")
    if least is not None and any(item < least for item in value):
        raise _malformed(name, f"{field}: expected {least} or more, got {value!r}")
    return tuple(value)


def _from_interface(interface: Mapping[str, Any], owner: object, name: str) -> GpuValues:
    _require_gpu(name)
    version = interface.get("version")
    if version not in (2, 3):
        raise _malformed(name, f"expected version 2 or 3, got {version!r}")
    if interface.get("mask") is not None:
        raise _unusable(name, "a masked array, whose mask would be lost")
    shape = _integers(name, "shape", interface.get("shape"), 0)
    dtype = _dtype(interface.get("typestr"), name)
    strides = interface.get("strides")
    steps = c_strides(shape, dtype.itemsize) if strides is None else _integers(name, "strides", strides, None)
    if len(steps) != len(shape):
        raise _malformed(name, f"strides: expected {len(shape)}, got {len(steps)}")
    data = interface.get("data")
    if not isinstance(data, tuple) or len(data) != 2 or type(data[0]) is not int:
        raise _malformed(name, "data: expected a pair (address, read-only)")
    if math.prod(shape) == 0:
        return GpuValues(0, dtype, shape, steps, owner)
    _check_address(data[0], name)
    stream = interface.get("stream")
    if version == 2:
        # Says nothing of streams.
        _native.wait_for_everyone()
    elif stream is not None:
        if type(stream) is not int or stream < 1:
            raise _malformed(name, f"stream: expected None, or an int of 1 or more, got {stream!r}")
        _native.wait_for_stream(stream)
    return _checked(GpuValues(data[0], dtype, shape, steps, owner), name)


def _dtype(typestr: object, name: str) -> np.dtype[Any]:
    parts = _TYPE.fullmatch(typestr) if isinstance(typestr, str) else None
    if parts is None:
        raise _malformed(name, f"typestr: expected one like '<f8', got {typestr!r}")
    order, kind, size = parts[1], parts[2], int(parts[3])
    if size not in _KINDS.get(kind, ()):
        raise _unusable(name, f"elements of type {typestr!r}; convert them first")
    if order == ">" and size > 1:
        raise _unusable(name, f"big-endian elements, {typestr!r}; convert them first")
    return np.dtype(f"{'?' if kind == 'b' else kind + str(size)}")


def _check_address(address: int, name: str) -> None:
    if address <= 0 or address >= 1 << 64:
        raise ValueError(f"{name}: expected the address of its memory, got {address}")


def _checked(values: GpuValues, name: str) -> GpuValues:
    """Return values whose memory is the GPU's in use, all of it."""
    if values.size >= _FURTHEST or any(abs(stride) >= _FURTHEST for stride in values.strides):
        raise ValueError(f"{name}: lengths, strides: reach further than any memory")
    try:
        values.view()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return values


def _from_dlpack(values: Any, name: str) -> GpuValues | None:
    kind, index = (int(part) for part in values.__dlpack_device__())
    if kind in _HOST_DEVICES:
        return None
    if kind not in _CUDA_DEVICES:
        raise TypeError(f"{name}: expected an array on the host or on a CUDA device, got one on DLPack device {kind}")
    gpu = _require_gpu(name)
    if gpu != f"cuda:{index}":
        raise ValueError(
            f"{name}: lies on cuda:{index}, and {gpu} is in use; copy it there, or choose another GPU with "
            "CUDA_VISIBLE_DEVICES before Python starts"
        )
    tensor = _native.ForeignTensor(values.__dlpack__(stream=_LEGACY_STREAM))
    if tensor.place != (kind, index):
        raise ValueError(f"{name}: __dlpack__ gave a tensor on {tensor.place}, not on {(kind, index)} as announced")
    code, bits, lanes = tensor.type
    letter = _DLPACK_KINDS.get(code, "")
    if lanes != 1 or bits // 8 not in _KINDS.get(letter, ()) or bits % 8:
        raise _unusable(name, f"DLPack elements of code {code} with {bits} bits; convert them first")
    dtype = np.dtype("?" if letter == "b" else f"{letter}{bits // 8}")
    shape = tuple(tensor.shape)
    strides = tensor.strides
    steps = c_strides(shape, dtype.itemsize) if strides is None else tuple(s * dtype.itemsize for s in strides)
    if math.prod(shape) == 0:
        return GpuValues(0, dtype, shape, steps, tensor)
    _check_address(tensor.address, name)
    # The maker's work comes before what the default stream does from now on.
    _native.wait_for_stream(_LEGACY_STREAM)
    return _checked(GpuValues(tensor.address, dtype, shape, steps, tensor), name)
