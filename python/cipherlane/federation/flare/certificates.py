"""Whether a FLARE startup kit's certificate is one that its federation lets in: by looking at it, and by trying."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from cipherlane.errors import ProtocolError
from cipherlane.report import read_json

ROOT_FILE = "rootCA.pem"
_CONNECT_SECONDS = 10.0
# A server that refuses a certificate says so once the client has had its part of the handshake.
_REFUSAL_SECONDS = 2.0


def check_certificate(kit: Path, name: str | None = None) -> None:
    """Raise `ValueError` unless a kit's certificate is valid now, of the kit's root, and of the kit's private key.

    A server that is shown another refuses the connection, and the site's log then speaks of a failed handshake at most.

    Parameters
    ----------
    kit
        The folder of a startup kit.
    name
        Whom the certificate has to be of; None for whoever it is of.
    """
    startup = kit / "startup"
    end = "server" if (startup / "server.crt").is_file() else "client"
    path = startup / f"{end}.crt"
    chain = [*_certificates(path), *_certificates(startup / ROOT_FILE)]
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise ValueError(
                f"{path}: this certificate is not signed by the federation's root ({ROOT_FILE} beside it) and would be "
                "refused; ask who provisioned the federation for a kit that belongs to it"
            ) from None
    _check_dates(path, chain)
    own = chain[0]
    found = [str(attribute.value) for attribute in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if name is not None and found != [name]:
        raise ValueError(f"{path}: this certificate is of {' '.join(found) or 'nobody'!r}, the kit is of {name!r}")
    key = startup / f"{end}.key"
    if not key.is_file():
        raise ValueError(f"{key}: no such file; a kit has its certificate's private key")
    private = load_pem_private_key(key.read_bytes(), password=None)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise ValueError(f"{key}: this private key is not that of the certificate {path.name}; take both from one kit")


def try_connection(kit: Path) -> str:
    """Connect to a client kit's server with its certificate, as FLARE will, and return the server's address.

    Raises
    ------
    ValueError
        The kit is not a client's, or names no server.
    ProtocolError
        The server is not reached, is not of this federation, or refuses the certificate; the message says which.
    """
    startup = kit / "startup"
    address = _server_address(startup / "fed_client.json")
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(startup / ROOT_FILE))
    context.load_cert_chain(startup / "client.crt", startup / "client.key")
    try:
        plain = socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise ProtocolError(
            f"{address}: the server is not reached ({error}); is it running, and its port open?"
        ) from error
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.settimeout(_REFUSAL_SECONDS)
                if secured.recv(1) == b"":
                    raise ConnectionResetError("it closed the connection")
        except TimeoutError:
            # It waits for what FLARE would say now: it has let us in.
            return address
        except ssl.SSLCertVerificationError as error:
            raise ProtocolError(
                f"{address}: the server's certificate is not of this kit's federation ({error.verify_message}); check "
                "the address, and that both kits are of one provisioning"
            ) from error
        except OSError as error:
            raise ProtocolError(
                f"{address}: the server refuses the certificate of this kit ({error}); ask who provisioned the "
                "federation for a kit that belongs to it"
            ) from error
    return address


def _server_address(settings: Path) -> str:
    if not settings.is_file():
        raise ValueError(f"{settings}: no such file; only the kit of a site has a server to connect to")
    try:
        address = read_json(settings)["servers"][0]["service"]["target"]
    except (KeyError, IndexError, TypeError):
        address = None
    if not isinstance(address, str) or not address.rpartition(":")[2].isdecimal():
        raise ValueError(f"{settings}: names no server; take it from the kit as it was provisioned")
    return address


def _certificates(path: Path) -> list[x509.Certificate]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a startup kit has the certificate of its own and of its root")
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise ValueError(f"{path}: not a certificate (PEM); take it from the kit as it was provisioned") from None


def _check_dates(path: Path, chain: Sequence[x509.Certificate]) -> None:
    now = datetime.now(timezone.utc)
    begin = max(certificate.not_valid_before_utc for certificate in chain)
    end = min(certificate.not_valid_after_utc for certificate in chain)
    if not begin <= now <= end:
        raise ValueError(
            f"{path}: this certificate is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, and the clock "
            f"says {now:%Y-%m-%d %H:%M}; set the clock, or have the federation provisioned anew"
        )
