"""A private key as encrypted text: PEM-like armour, scrypt for the password, AES-256-GCM for the rest.

    -----BEGIN CIPHERLANE PAILLIER PRIVATE KEY-----
    Version: 1
    Scrypt: n=32768 r=8 p=1 salt=<32 hex digits>
    AES-256-GCM: nonce=<24 hex digits>

    <base64 of ciphertext and tag>
    -----END CIPHERLANE PAILLIER PRIVATE KEY-----

Version 2 is that of keys of scheme "short": it holds their exponents' length and subgroups' orders too. The header is
authenticated along with the content. scrypt: RFC 7914; AES-GCM: NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets as system_random
import textwrap
from dataclasses import dataclass

# The environment variable that commands and plans take the password of a private key from.
PASSWORD_VARIABLE = "CIPHERLANE_PASSWORD"
_LABEL = "CIPHERLANE PAILLIER PRIVATE KEY"
_VERSION = 1
_VERSION_SHORT = 2
_SCRYPT_LOG_N = 15
_SCRYPT_MOST_LOG_N = 18  # 256 MiB of memory, as much as a file from elsewhere may make us use
_SCRYPT_R = 8
_SCRYPT_MOST_P = 4
_MOST_CHARACTERS = 65536
_ARMOUR = re.compile(
    rf"-----BEGIN {_LABEL}-----\n"
    r"(?P<header>Version: (?P<version>[0-9]{1,9})\n"
    r"Scrypt: n=(?P<n>[0-9]{1,9}) r=(?P<r>[0-9]{1,9}) p=(?P<p>[0-9]{1,9}) salt=(?P<salt>[0-9a-f]{32})\n"
    r"AES-256-GCM: nonce=(?P<nonce>[0-9a-f]{24})\n)"
    r"\n(?P<body>[A-Za-z0-9+/=\n]+)\n"
    rf"-----END {_LABEL}-----\n?"
)


@dataclass(frozen=True, repr=False)
class Secrets:
    """What a private key file holds."""

    p: int
    q: int
    h_s: int | None
    generators: tuple[int, int] | None
    exponent_bits: int | None = None
    orders: tuple[int, int] | None = None


def _password_bytes(password: str | bytes) -> bytes:
    if not isinstance(password, (str, bytes)):
        raise TypeError(f"password: expected str or bytes, got {type(password).__name__}")
    data = password.encode() if isinstance(password, str) else password
    if not data:
        raise ValueError("password: expected at least one character, got an empty one")
    return data


def _derive(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(password)


def to_plain(content: Secrets) -> bytes:
    """Return ``content`` as bytes that are not encrypted: for whoever encrypts them otherwise."""
    generators = content.generators
    fields: dict[str, object] = {
        "generators": None if generators is None else [f"{g:x}" for g in generators],
        "h_s": None if content.h_s is None else f"{content.h_s:x}",
        "p": f"{content.p:x}",
        "q": f"{content.q:x}",
    }
    if content.orders is not None:
        fields |= {"exponent_bits": content.exponent_bits, "orders": [f"{order:x}" for order in content.orders]}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def seal(content: Secrets, password: str | bytes) -> str:
    """Return ``content`` as armoured text that opens with ``password`` only."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_source = _password_bytes(password)
    salt, nonce = system_random.token_bytes(16), system_random.token_bytes(12)
    n, p = 1 << _SCRYPT_LOG_N, 1
    version = _VERSION if content.orders is None else _VERSION_SHORT
    header = (
        f"Version: {version}\nScrypt: n={n} r={_SCRYPT_R} p={p} salt={salt.hex()}\nAES-256-GCM: nonce={nonce.hex()}\n"
    )
    plain = to_plain(content)
    sealed = AESGCM(_derive(key_source, salt, n, _SCRYPT_R, p)).encrypt(nonce, plain, header.encode())
    body = "\n".join(textwrap.wrap(base64.b64encode(sealed).decode(), 64))
    return f"-----BEGIN {_LABEL}-----\n{header}\n{body}\n-----END {_LABEL}-----\n"


def unseal(text: str | bytes, password: str | bytes) -> Secrets:
    """Return what `seal` put into ``text``.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the text is malformed, asks for unreasonable scrypt parameters, or does not open with the password.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_source = _password_bytes(password)
    match = _ARMOUR.fullmatch(_as_text(text))
    if match is None:
        raise ValueError(
            f"private key: malformed; expected the text between BEGIN and END {_LABEL}, as to_pem wrote it"
        )
    version = int(match["version"])
    if version not in (_VERSION, _VERSION_SHORT):
        raise ValueError(
            f"private key: expected version {_VERSION} or {_VERSION_SHORT}, got {version}; update to read it"
        )
    n, r, p = int(match["n"]), int(match["r"]), int(match["p"])
    least, most = 1 << _SCRYPT_LOG_N, 1 << _SCRYPT_MOST_LOG_N
    if not least <= n <= most or n & (n - 1) != 0 or r != _SCRYPT_R or not 1 <= p <= _SCRYPT_MOST_P:
        raise ValueError(
            f"private key: expected scrypt parameters n a power of two from {least} to {most}, "
            f"r={_SCRYPT_R}, p at most {_SCRYPT_MOST_P}, got n={n} r={r} p={p}; refuse the file if it comes "
            "from someone else"
        )
    try:
        sealed = base64.b64decode(match["body"].replace("\n", ""), validate=True)
    except binascii.Error:
        raise ValueError("private key: malformed; its body is not base64") from None
    key = _derive(key_source, bytes.fromhex(match["salt"]), n, r, p)
    try:
        plain = AESGCM(key).decrypt(bytes.fromhex(match["nonce"]), sealed, match["header"].encode())
    except InvalidTag:
        raise ValueError("private key: wrong password, or the text was changed") from None
    return from_plain(plain, version)


def _as_text(text: str | bytes) -> str:
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"text: expected a private key as str or bytes, got {type(text).__name__}")
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"private key: expected at most {_MOST_CHARACTERS} characters, got {len(text)}")
    try:
        decoded = text.decode("ascii") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ValueError("private key: malformed; expected ASCII text") from None
    return decoded.replace("\r\n", "\n").strip() + "\n"


def _pair(numbers: list[str]) -> tuple[int, int]:
    first, second = numbers
    return int(first, 16), int(second, 16)


def from_plain(plain: bytes, version: int = _VERSION) -> Secrets:
    """Return what `to_plain` made into authentic bytes; only another release could have written other fields.

    Raises
    ------
    ValueError
        It has.
    """
    try:
        fields = json.loads(plain)
        generators = fields["generators"]
        h_s = fields["h_s"]
        return Secrets(
            int(fields["p"], 16),
            int(fields["q"], 16),
            None if h_s is None else int(h_s, 16),
            None if generators is None else _pair(generators),
            int(fields["exponent_bits"]) if version == _VERSION_SHORT else None,
            _pair(fields["orders"]) if version == _VERSION_SHORT else None,
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ValueError(f"private key: its content is not that of version {version}; update to read it") from None
