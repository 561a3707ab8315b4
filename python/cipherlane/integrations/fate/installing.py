"""Putting our module in the place of FATE's, and taking it out again."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import Any

from cipherlane.errors import MissingExtraError
from cipherlane.integrations.fate import paillier, settings

TARGET = "fate.arch.protocol.phe.paillier"
# Their modules of Paillier's system are the same, byte for byte; it was run in 2.2.0.
VERSIONS = ("2.1.0", "2.1.1", "2.2.0")

_CLASSES = (
    paillier.CiphertextVector,
    paillier.PlaintextVector,
    paillier.PK,
    paillier.SK,
    paillier.Coder,
    paillier.evaluator,
)
_OWN_MODULES = {one: one.__module__ for one in _CLASSES}
_ABSENT = object()
# What to put back: (owner, name, what was there).
_replaced: list[tuple[Any, str, Any]] = []


def install(*, force_obfuscation: bool = True, pickle_private_keys: bool = False) -> None:
    """Put Cipherlane's Paillier in the place of FATE's, in this process.

    Every process of a party needs it, its workers too: call it at the top of the script that FATE's launcher runs,
    which its processes import. No file of FATE is changed.

    Parameters
    ----------
    force_obfuscation : bool, default True
        Encrypt with randomness also where FATE says ``obfuscate=False``, and give results of operations fresh
        randomness before they are pickled, and so before they leave. With False FATE has its way: the labels of its
        hetero binning then travel as 1 + y n, which anyone can read.
    pickle_private_keys : bool, default False
        Let private keys be pickled, in the clear. FATE needs it where it decrypts tables or distributed histograms
        in worker processes: hetero binning and trees do, logistic regression does not. The pickles stay within the
        party, as long as FATE sends no private key.

    Raises
    ------
    MissingExtraError
        If FATE is not installed, or in a version that this was not tested with.

    Examples
    --------
    >>> from cipherlane.integrations.fate import install, uninstall
    >>> try:
    ...     install()
    ... except ImportError as error:
    ...     print("FATE" in str(error))
    ... else:
    ...     uninstall()
    ...     print(True)
    True
    """
    _check_version()
    settings.CURRENT.force_obfuscation = bool(force_obfuscation)
    settings.CURRENT.pickle_private_keys = bool(pickle_private_keys)
    if sys.modules.get(TARGET) is paillier:
        return
    package_name, _, name = TARGET.rpartition(".")
    package = importlib.import_module(package_name)
    original = sys.modules.get(TARGET)
    if original is not None:
        _replace_in_users(original)
    _replaced.append((package, name, getattr(package, name, _ABSENT)))
    setattr(package, name, paillier)
    _replaced.append((sys.modules, TARGET, original if original is not None else _ABSENT))
    sys.modules[TARGET] = paillier
    # FATE's receivers read pickles of classes in FATE's modules only.
    for one in _CLASSES:
        one.__module__ = TARGET


def uninstall() -> None:
    """Put FATE's own Paillier back, in this process; objects made in the meantime stay ours."""
    while _replaced:
        owner, name, was = _replaced.pop()
        if owner is sys.modules:
            if was is _ABSENT:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = was
        elif was is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, was)
    for one, module in _OWN_MODULES.items():
        one.__module__ = module
    settings.CURRENT.force_obfuscation, settings.CURRENT.pickle_private_keys = True, False


def _check_version() -> None:
    wanted = ", ".join(VERSIONS)
    try:
        version = importlib.metadata.version("pyfate")
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError(
            f"FATE is not installed in this environment: pip install pyfate=={VERSIONS[-1]} (tested: {wanted})"
        ) from None
    if version not in VERSIONS:
        raise MissingExtraError(
            f"pyfate {version}: this stands in for the Paillier of versions {wanted}, and was not tested with others; "
            f"pip install pyfate=={VERSIONS[-1]}, or update cipherlane"
        )


def _replace_in_users(original: Any) -> None:
    """Replace what modules of FATE took from the original with ``from … import``."""
    ours = {
        id(getattr(original, name)): getattr(paillier, name) for name in paillier.__all__ if hasattr(original, name)
    }
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("fate.") or module is original or module is None:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in ours and name in paillier.__all__:
                _replaced.append((module, name, value))
                setattr(module, name, ours[id(value)])
