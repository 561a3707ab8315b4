"""Where a FLARE site keeps the federation's key: clients the private one under a password, the server the public."""

from __future__ import annotations

from pathlib import Path

from nvflare.apis.fl_context import FLContext

from cipherlane.files import site_directory
from cipherlane.paillier import PrivateKey, PublicKey
from cipherlane.vertical.seal_keys import parse_seal_key

KEY_NAME = "averaging"
# Where the password comes from: the environment variable that `cipherlane keygen` takes it from too.
PASSWORD = "env:CIPHERLANE_PASSWORD"


def private_key_file(directory: Path, name: str = KEY_NAME) -> Path:
    """Return where `cipherlane keygen --out DIRECTORY/NAME` puts the private key."""
    return directory / f"{name}.private.pem"


def public_key_file(directory: Path, name: str = KEY_NAME) -> Path:
    """Return where `cipherlane keygen --out DIRECTORY/NAME` puts the public key."""
    return directory / f"{name}.public.json"


def read_private_key(name: str, password: str, fl_ctx: FLContext) -> PrivateKey:
    """Return the key in a client's own directory.

    Parameters
    ----------
    name
        What `cipherlane keygen` was told with ``--out``, without the directory.
    password
        A file (relative to the site's directory), ``env:NAME`` or ``keyring:SERVICE/NAME``.

    Raises
    ------
    ValueError
        There is no such file, it is no key, or the password does not open it.
    """
    directory = _site(fl_ctx)
    path = private_key_file(directory, name)
    text = _text(path)
    try:
        return PrivateKey.from_pem(text, parse_seal_key(password, directory, field="password").load_password())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_public_key(name: str, fl_ctx: FLContext) -> PublicKey:
    """Return the key in the server's own directory.

    Raises
    ------
    ValueError
        There is no such file, or it is no key.
    """
    path = public_key_file(_site(fl_ctx), name)
    try:
        return PublicKey.from_json(_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _site(fl_ctx: FLContext) -> Path:
    return site_directory(Path(fl_ctx.get_workspace().get_site_config_dir()))


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(
            f"{path}: expected the federation's key, found no file; put it there, `cipherlane keygen` makes the pair"
        )
    return path.read_text(encoding="utf-8", errors="replace")
