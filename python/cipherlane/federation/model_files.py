"""What all model files have in common: an ``.npz`` without pickled objects, and a header that says what it is."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cipherlane.files import make_directory, write_whole

Header = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
ModelT = TypeVar("ModelT")

# What numpy, zipfile and json raise for files that are damaged or made up. RuntimeError: an encrypted or oddly
# compressed member; MemoryError: a header that claims more than the memory there is.
_UNREADABLE = (
    *(KeyError, TypeError, ValueError, OSError, EOFError, RuntimeError, MemoryError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)


def write_model_file(path: Path, header: Header, arrays: Arrays) -> bytes:
    """Write a model to `path` and return the file's SHA-256; `header` names its ``format``."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)
    make_directory(path.parent)
    content = stream.getvalue()
    write_whole(path, content)
    return hashlib.sha256(content).digest()


def read_model_file(path: Path, expected: str, model_of: Callable[[Header, Arrays], ModelT]) -> ModelT:
    """Return what `model_of` makes of the header and arrays in a file of the format `expected`.

    Raises
    ------
    ValueError
        The file is not there or of another format, or `model_of` finds that its parts do not fit together.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such model file; `cipherlane models RUN` lists those of a run")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("expected arrays only")
        header = json.loads(str(arrays["header"]))
        if header["format"] != expected:
            raise ValueError(f"format {header['format']!r}, expected {expected!r}")
        return model_of(header, arrays)
    except _UNREADABLE as error:
        raise ValueError(f"{path}: not a whole model file of this software ({error})") from error
