"""How a backend is chosen, moving between backends, threads, forks, and what importing costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier import current_backend, hazmat


def test_the_list_has_what_the_core_says_and_is_a_copy():
    assert cl.backends() == list(_native.usable_backends())
    assert "portable" in cl.backends()
    cl.backends().clear()
    assert cl.backends()


def test_the_best_is_used_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("CIPHERLANE_BACKEND", raising=False)
    assert current_backend() == cl.backends()[0]
    monkeypatch.setenv("CIPHERLANE_BACKEND", "portable")
    assert current_backend() == "portable"
    monkeypatch.setenv("CIPHERLANE_BACKEND", "")
    assert current_backend() == cl.backends()[0]


def test_a_missing_backend_is_an_error_that_names_those_that_are_there(monkeypatch, public_key):
    with pytest.raises(cl.BackendUnavailableError, match=r"use_backend: backend 'abacus' .*portable"):
        with cl.use_backend("abacus"):
            raise AssertionError("not reached")
    monkeypatch.setenv("CIPHERLANE_BACKEND", "abacus")
    with pytest.raises(cl.BackendUnavailableError, match=r"CIPHERLANE_BACKEND: backend 'abacus' .*portable"):
        public_key.encrypt([1])
    with cl.use_backend("portable"):
        assert len(public_key.encrypt([1])) == 1
    with pytest.raises(TypeError, match="name"):
        with cl.use_backend(None):
            raise AssertionError("not reached")


def test_a_choice_ends_with_its_block_and_stays_in_its_thread(monkeypatch):
    monkeypatch.setattr(_native, "usable_backends", lambda: ["first", "second"])
    seen = []
    with cl.use_backend("second"):
        with cl.use_backend("first"):
            assert current_backend() == "first"
        assert current_backend() == "second"
        thread = threading.Thread(target=lambda: seen.append(current_backend()))
        thread.start()
        thread.join()
        with pytest.raises(KeyError), cl.use_backend("first"):
            raise KeyError
        assert current_backend() == "second"
    assert current_backend() == "first"
    assert seen == ["first"]


@pytest.mark.parametrize("target", cl.backends())
@pytest.mark.parametrize("source", cl.backends())
def test_arrays_move_between_backends(public_key, private_key, source, target):
    with cl.use_backend(source):
        x = public_key.encrypt([1.5, -2.5, 3.0])
        ciphertexts = hazmat.to_integers(x)
    with cl.use_backend(target):
        assert hazmat.to_integers(x) == ciphertexts
        y = public_key.encrypt([1.0, 1.0, 1.0])
        assert private_key.decrypt(x + y).tolist() == [2.5, -1.5, 4.0]
    with cl.use_backend(source):
        assert private_key.decrypt(x + y).tolist() == [2.5, -1.5, 4.0]


def test_a_moved_copy_is_kept(public_key, monkeypatch):
    # With one backend only, a second name for it stands in for another.
    x = public_key.encrypt([1, 2, 3]).to("cpu")
    downloads = []
    real = type(public_key).context

    class Counted:
        def __init__(self, context):
            self._context = context

        def download(self, batch):
            downloads.append(len(batch))
            return self._context.download(batch)

        def __getattr__(self, attribute):
            return getattr(self._context, attribute)

    monkeypatch.setattr(type(public_key), "context", lambda self, backend=None: Counted(real(self, x._home)))
    assert len(x._batch("other")) == 3 and len(x._batch("other")) == 3
    assert downloads == [3]
    assert set(x._batches) == {x._home, "other"}
    assert x.device == "cpu"


def test_eight_threads_share_a_key(keys):
    private_key = cl.PrivateKey(
        keys[2048].p, keys[2048].q, h_s=keys[2048].public_key.h_s, generators=keys[2048].generators
    )
    public_key = private_key.public_key
    start = threading.Barrier(8)

    def work(seed):
        start.wait()
        values = np.arange(seed * 100, seed * 100 + 25)
        x, y = public_key.encrypt(values), private_key.encrypt(values, noise="exact")
        return values, private_key.decrypt(x + y), hazmat.to_integers(x) + hazmat.to_integers(y)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    for values, decrypted, _ in results:
        assert np.array_equal(decrypted, 2 * values)
    assert len({c for _, _, ciphertexts in results for c in ciphertexts}) == 8 * 50


def test_threads_may_share_one_array(public_key, private_key):
    x = public_key.encrypt(np.arange(30))

    def work(k):
        return private_key.decrypt((x * k).rerandomize()[::2] - x[::2]).tolist()

    with ThreadPoolExecutor(8) as pool:
        for k, result in enumerate(pool.map(work, range(8))):
            assert result == (np.arange(0, 30, 2) * (k - 1)).tolist()


FORK = """
import os, sys
import numpy as np
import cipherlane as cl
from cipherlane.paillier import hazmat

public_key, private_key = cl.keygen(2048)
zeros = np.zeros(40, dtype=np.int64)
before = hazmat.to_integers(public_key.encrypt(zeros))
seen = [before]
for _ in range(2):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        total = public_key.encrypt(zeros) + private_key.encrypt(zeros)
        assert not private_key.decrypt(total).any()
        data = public_key.encrypt(zeros).to_bytes() + private_key.encrypt(zeros).to_bytes()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        seen.append(hazmat.to_integers(cl.CipherArray.from_bytes(public_key, part)))
    seen.append(hazmat.to_integers(public_key.encrypt(zeros)))
    seen.append(hazmat.to_integers(private_key.encrypt(zeros)))
everything = [c for batch in seen for c in batch]
assert len(everything) == 9 * 40 == len(set(everything)), "an obfuscator was used twice"
print("different")
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=True,
    ).stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_no_obfuscator_is_repeated_after_a_fork():
    assert run(FORK) == ["different"]


def test_importing_brings_no_compiler_and_no_estimators():
    code = (
        "import sys, cipherlane; "
        "print(*[m for m in ('numba', 'sklearn', 'scipy', 'pandas') if m in sys.modules], 'end')"
    )
    assert run(code) == ["end"]


def test_submodules_come_when_asked_for_and_others_do_not():
    assert "vertical" in dir(cl) and cl.paillier.hazmat is hazmat
    with pytest.raises(AttributeError, match="no attribute 'horizont'"):
        cl.horizont  # noqa: B018
    assert cl.__version__.count(".") >= 2
    assert all(hasattr(cl, name) for name in cl.__all__)


def test_the_environment_names_the_backend():
    code = "from cipherlane.paillier import current_backend; print(current_backend())"
    assert run(code, CIPHERLANE_BACKEND="portable") == ["portable"]
