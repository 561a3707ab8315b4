"""Whether a FLARE startup kit's certificate is one that its federation lets in, told before a connection is tried."""

from __future__ import annotations

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

ROOT_FILE = "rootCA.pem"


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
