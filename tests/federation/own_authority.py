"""Startup kits with certificates of an authority made for a test, as `nvflare provision` makes them in what matters."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates, and writes them into kits."""

    def __init__(self, name: str = "root") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = self._issued(name, self._key, is_authority=True)

    def write_kit(
        self,
        kit: Path,
        name: str,
        end: str = "client",
        *,
        begin: float = -1.0,
        end_in: float = 1.0,
        server: str = "localhost:8002",
    ) -> None:
        """Write the start of a kit; the certificate is valid from `begin` to `end_in` days from now."""
        startup = kit / "startup"
        startup.mkdir(parents=True, exist_ok=True)
        settings = {"client": {"fqsn": name}, "servers": [{"service": {"target": server}}]}
        (startup / f"fed_{end}.json").write_text(json.dumps(settings if end == "client" else {}))
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issued(name, key, begin=begin, end_in=end_in)
        (startup / f"{end}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (startup / f"{end}.key").write_bytes(pem)
        (startup / "rootCA.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _issued(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool = False,
        begin: float = -1.0,
        end_in: float = 1.0,
    ) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begin))
            .not_valid_after(now + timedelta(days=end_in))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
