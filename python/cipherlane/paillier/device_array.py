"""Arrays in a GPU's memory that Cipherlane hands out."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cipherlane import _native
from cipherlane.paillier.devices import gpu_name
from cipherlane.paillier.gpu_arrays import GpuValues

_DLPACK_CODES = {"i": 0, "u": 1, "f": 2}


class DeviceArray:
    """An array in the GPU's memory, in C order, that CuPy, PyTorch and Numba use without a copy.

    Made by ``private_key.decrypt(x, device="cuda")`` and ``hazmat.to_limbs(x, device="cuda")``. All work on it is done
    when it is handed out, so its users need to wait for no stream. It owns its memory, which may hold secrets: when the
    array and all that was made of it are dropped, the GPU's queued work ends and the memory is overwritten.

    ``cupy.asarray(array)`` and ``cupy.from_dlpack(array)`` see the same memory, and so does whoever writes to it.

    Examples
    --------
    Where there is a GPU and CuPy::

        values = cupy.asarray(private_key.decrypt(x, device="cuda"))

    Notes
    -----
    The interfaces are version 3 of the CUDA array interface (of Numba's documentation) and DLPack's Python protocol.
    """

    __slots__ = ("__weakref__", "_dtype", "_memory", "_shape")

    _dtype: np.dtype[Any]
    _memory: _native.DeviceMemory
    _shape: tuple[int, ...]

    def __init__(self) -> None:
        raise TypeError("DeviceArray: made by PrivateKey.decrypt(x, device='cuda') or hazmat.to_limbs, not directly")

    @classmethod
    def _make(cls, memory: _native.DeviceMemory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        array = cls.__new__(cls)
        array._memory, array._shape, array._dtype = memory, shape, dtype
        return array

    @classmethod
    def _from_numpy(cls, values: NDArray[Any]) -> DeviceArray:
        memory = GpuValues.from_numpy(values).owner
        assert isinstance(memory, _native.DeviceMemory)
        return cls._make(memory, values.shape, values.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self._shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the GPU's memory that it takes."""
        return self.size * self._dtype.itemsize

    @property
    def device(self) -> str:
        """Name of the GPU, as in "cuda:0"."""
        return str(gpu_name())

    def to_numpy(self) -> NDArray[Any]:
        """Return a copy in the host's memory."""
        host: NDArray[Any] = np.empty(self._shape, dtype=self._dtype)
        self._memory.read(host.reshape(-1).view(np.uint8))
        return host

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The array by version 3 of the CUDA array interface; no stream needs to be waited for."""
        return {
            "shape": self._shape,
            "typestr": self._dtype.str,
            "data": (self._memory.lend() if self.size else 0, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return DLPack's name of the GPU: (2, index)."""
        return (2, int(self.device.removeprefix("cuda:")))

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a DLPack capsule of the same memory.

        Parameters
        ----------
        stream : int, optional
            Where the consumer will work: any, since the array is complete. -1 asks for no waiting; 0 is ambiguous.
        max_version : tuple of (int, int), optional
            Not needed: the capsule is one that every consumer reads.
        dl_device : tuple of (int, int), optional
            Must be this device.
        copy : bool, optional
            True is refused: copy with the consumer's own means.

        Raises
        ------
        TypeError, ValueError
            If the stream is none of CUDA's.
        BufferError
            If a copy or another device is asked for.
        """
        if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int)):
            raise TypeError(f"stream: expected an int or None, got {type(stream).__name__}")
        if stream is not None and (stream < -1 or stream == 0):
            raise ValueError(f"stream: expected None, -1, or 1 or more for CUDA, got {stream}")
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("__dlpack__: only the array's own memory on its own device can be shared; copy it there")
        kind, bits = self._dtype.kind, 8 * self._dtype.itemsize
        return self._memory.to_dlpack(_DLPACK_CODES[kind], bits, list(self._shape))

    def __array__(self, *_: object, **__: object) -> NoReturn:
        """Refuse: a copy to the host must be asked for."""
        raise TypeError("numpy array of a DeviceArray: it lies on the GPU; use to_numpy()")

    def __len__(self) -> int:
        """Return the length of the first axis."""
        if not self._shape:
            raise TypeError("len: a DeviceArray without axes has no length")
        return self._shape[0]

    def __repr__(self) -> str:
        """Return shape, type and device, no values."""
        return f"DeviceArray(shape={self._shape}, dtype={self._dtype}, device={self.device!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("DeviceArray: cannot be pickled; use to_numpy() and save that as the secret that it may be")
