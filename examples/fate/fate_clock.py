"""What the encryption costs inside FATE: every call of the module of Paillier's system, timed in every process."""

from __future__ import annotations

import functools
import importlib
import json
import os
import threading
import time
from pathlib import Path

TARGET = "fate.arch.protocol.phe.paillier"
_running = threading.local()


def randomise_their_encryptions():
    """Make FATE's encryptor obfuscate what it encrypts; by default it does so only where it is asked to.

    Plain numbers that FATE adds to ciphertexts stay without randomness, as FATE has them, which costs it nothing.
    """
    keypair = importlib.import_module("fate.arch.tensor.phe._keypair")
    original = keypair.PHETensorEncryptor.encrypt_encoded

    @functools.wraps(original)
    def encrypt_encoded(self, tensor, obfuscate=True):
        return original(self, tensor, True)

    keypair.PHETensorEncryptor.encrypt_encoded = encrypt_encoded


def time_operations(directory: Path):
    """Append what each outermost call costs, wall and processor time, to a file of this process."""
    module = importlib.import_module(TARGET)
    path = directory / f"he-{os.getpid()}.jsonl"

    def timed(name, function):
        @functools.wraps(function)
        def call(*arguments, **named):
            if getattr(_running, "here", False):
                return function(*arguments, **named)
            _running.here = True
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent = time.perf_counter() - wall, time.process_time() - cpu
                _running.here = False
                with path.open("a") as file:
                    file.write(json.dumps([name, *spent]) + "\n")

        return call

    for name, value in list(vars(module.evaluator).items()):
        if isinstance(value, staticmethod):
            setattr(module.evaluator, name, staticmethod(timed(f"evaluator.{name}", value.__func__)))
    for owner in (module.PK, module.SK, module.Coder):
        for name, value in list(vars(owner).items()):
            if not name.startswith("_") and callable(value):
                setattr(owner, name, timed(f"{owner.__name__}.{name}", value))
    if module.CiphertextVector.__module__ == TARGET:
        # Ours is randomised and validated when it is pickled. FATE's pickling cannot be timed so, and is left out.
        for owner in (module.CiphertextVector, module.PK, module.SK):
            for name in ("__getstate__", "__setstate__"):
                setattr(owner, name, timed(f"{owner.__name__}.{name}", getattr(owner, name)))
    module.keygen = timed("keygen", module.keygen)


def costs(directory: Path) -> dict[str, dict[str, float]]:
    """Return, for each operation, how often all processes did it and what it took them."""
    totals: dict[str, dict[str, float]] = {}
    for path in sorted(directory.glob("he-*.jsonl")):
        for line in path.read_text().splitlines():
            name, wall, cpu = json.loads(line)
            total = totals.setdefault(name, {"calls": 0, "wall": 0.0, "cpu": 0.0})
            total["calls"] += 1
            total["wall"] += wall
            total["cpu"] += cpu
    return totals
