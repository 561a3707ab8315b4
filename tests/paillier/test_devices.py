"""Devices by name, and what is said where there is no GPU. What a GPU does is in tests/gpu."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.cli import main
from cipherlane.paillier import devices, hazmat

HOST_BACKENDS = [name for name in cl.backends() if name != "cuda"]
REASON = "no driver: expected one of CUDA 12, got none"


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine where no GPU can be used."""
    monkeypatch.delenv("CIPHERLANE_BACKEND", raising=False)
    monkeypatch.setattr(_native, "device_info", lambda: None)
    monkeypatch.setattr(_native, "why_no_device", lambda: REASON)
    monkeypatch.setattr(_native, "usable_backends", lambda: HOST_BACKENDS)


class OnAGpu:
    """An array on a GPU that nobody here can use."""

    def __init__(self):
        self.__cuda_array_interface__ = {"shape": (2,), "typestr": "<f8", "data": (4096, False), "version": 3}


class ByDlpack:
    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None):
        raise AssertionError("not asked for")


def test_arrays_are_on_the_cpu_without_a_gpu(no_gpu, public_key, private_key):
    x = public_key.encrypt([1, 2])
    assert x.device == "cpu"
    assert x.to("cpu") is x
    assert isinstance(private_key.decrypt(x, device="cpu"), np.ndarray)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_says_why(no_gpu, public_key, private_key, name):
    x = public_key.encrypt([1, 2])
    for ask in (x.to, lambda device: private_key.decrypt(x, device=device), lambda device: hazmat.to_limbs(x, device)):
        with pytest.raises(cl.BackendUnavailableError, match=re.escape(f"'{name}': there is no GPU to use: {REASON}")):
            ask(name)


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "cuda:", "cuda:x", "ifma", "portable"])
def test_other_names_are_refused(no_gpu, public_key, name):
    with pytest.raises(ValueError, match=f"device: expected 'cpu' or 'cuda', got '{name}'"):
        public_key.encrypt([1]).to(name)


@pytest.mark.parametrize("given", [OnAGpu, ByDlpack])
def test_arrays_on_a_gpu_say_what_is_missing(no_gpu, public_key, given):
    x = public_key.encrypt([1.0, 2.0])
    for use in (public_key.encrypt, x.__add__, x.__mul__, lambda y: hazmat.from_limbs(public_key, y)):
        with pytest.raises(cl.BackendUnavailableError, match=f"bring it to the host first.*: {REASON}"):
            use(given())


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_cpu_keeps_the_chosen_backend(monkeypatch, backend):
    monkeypatch.delenv("CIPHERLANE_BACKEND", raising=False)
    assert devices.backend_on("cpu") == HOST_BACKENDS[0]
    with cl.use_backend(backend):
        assert devices.backend_on("cpu") == backend
        assert devices.backend_for("cuda", "portable") == backend


def test_without_a_choice_the_operands_decide(monkeypatch):
    monkeypatch.delenv("CIPHERLANE_BACKEND", raising=False)
    assert devices.backend_for("portable") == HOST_BACKENDS[0]
    assert devices.backend_for("portable", "cuda") == devices.backend_for("cuda") == "cuda"
    monkeypatch.setenv("CIPHERLANE_BACKEND", "portable")
    assert devices.backend_for("cuda") == "portable"


def test_info_shows_the_gpu_or_why_there_is_none(no_gpu, monkeypatch, capsys):
    assert main(["info"]) == 0
    assert f"gpu:        none: {REASON}\n" in capsys.readouterr().out
    found = {
        "name": "NVIDIA H100",
        "device": "cuda:0",
        "total_memory": 80 << 30,
        "compute_capability": "9.0",
        "driver_version": "12.4",
        "runtime_version": "12.9",
        "emulated": False,
    }
    monkeypatch.setattr(_native, "device_info", lambda: found)
    assert main(["info"]) == 0
    line = "gpu:        NVIDIA H100 (cuda:0), 80.0 GB, compute capability 9.0, driver 12.4, CUDA runtime 12.9\n"
    assert line in capsys.readouterr().out


def test_limbs_leave_and_come_back(any_private_key, backend):
    key = any_private_key.public_key
    x = key.encrypt(np.arange(6.0).reshape(2, 3))
    limbs = hazmat.to_limbs(x)
    assert (limbs.dtype, limbs.shape) == (np.uint64, (2, 3, key.bits // 32))
    numbers = [int.from_bytes(row.tobytes(), "little") for row in limbs.reshape(6, -1)]
    assert numbers == hazmat.to_integers(x)
    y = hazmat.from_limbs(key, limbs, codec=x.codec, bound=x.bound)
    assert np.array_equal(any_private_key.decrypt(x + y), 2 * np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match=r"ciphertexts\[0\]: expected a number above 0"):
        hazmat.from_limbs(key, np.zeros_like(limbs))
