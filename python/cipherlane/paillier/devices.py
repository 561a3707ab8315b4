"""Where arrays lie, the host's memory or a GPU's, and which backend works there."""

from __future__ import annotations

from cipherlane import _native
from cipherlane.errors import BackendUnavailableError
from cipherlane.paillier.backend_choice import backends, chosen_backend

HOST = "cpu"
# The one backend whose batches lie on a GPU.
GPU_BACKEND = "cuda"


def gpu_name() -> str | None:
    """Return the name of the GPU in use, as in "cuda:0"; None where there is none."""
    info = _native.device_info()
    return None if info is None else info["device"]


def no_gpu(what: str) -> BackendUnavailableError:
    """Return the error for ``what`` that needs a GPU where none can be used, which says why."""
    return BackendUnavailableError(f"{what}: there is no GPU to use: {_native.why_no_device()}")


def backend_for(*homes: str) -> str:
    """Return the backend of an operation on batches of some backends.

    The one chosen by name, else "cuda" if one of them is that, else the best for the host's memory.
    """
    return chosen_backend() or (GPU_BACKEND if GPU_BACKEND in homes else _best_host_backend())


def _best_host_backend() -> str:
    return next(name for name in backends() if name != GPU_BACKEND)


def is_gpu_name(device: object, name: str = "device") -> bool:
    """Return whether ``device`` names the GPU rather than the host.

    Raises
    ------
    TypeError
        If it is not a str.
    ValueError
        If it names neither.
    BackendUnavailableError
        If it names a GPU, and none can be used.
    """
    if not isinstance(device, str):
        raise TypeError(f"{name}: expected 'cpu' or 'cuda' (str), got {type(device).__name__}")
    if device == HOST:
        return False
    gpu = gpu_name()
    if gpu is None and (device == "cuda" or (device.startswith("cuda:") and device[5:].isdecimal())):
        raise no_gpu(f"{name} {device!r}")
    if device not in ("cuda", gpu):
        others = "'cuda'" if gpu is None else f"'cuda' (which is {gpu!r}; CUDA_VISIBLE_DEVICES chooses another)"
        raise ValueError(f"{name}: expected 'cpu' or {others}, got {device!r}")
    return True


def backend_on(device: object) -> str:
    """Return the backend that works on a device given by name; see `is_gpu_name` for errors."""
    if is_gpu_name(device):
        return GPU_BACKEND
    chosen = chosen_backend()
    return _best_host_backend() if chosen in (None, GPU_BACKEND) else str(chosen)


def is_gpu_backend(backend: str) -> bool:
    """Return whether a backend's batches lie on a GPU."""
    return backend == GPU_BACKEND


def describe_gpu() -> str:
    """Return a line on the GPU in use, or why there is none.

    Examples
    --------
    >>> from cipherlane.paillier import devices
    >>> devices.describe_gpu() != ""
    True
    """
    info = _native.device_info()
    if info is None:
        return f"none: {_native.why_no_device()}"
    return (
        f"{info['name']} ({info['device']}), {info['total_memory'] / (1 << 30):.1f} GB, compute capability "
        f"{info['compute_capability']}, driver {info['driver_version']}, CUDA runtime {info['runtime_version']}"
    )
