"""Certificates for a run: an authority that may speak for the hosts of the providers, for a day, and for nobody else.

The authority's key stays in memory, and is forgotten once it has signed. The key of the one certificate that it signs
goes through a private file, since Python's TLS takes it from nowhere else; the file is gone before the certificate is
used.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import certifi

from understudy.clock import SystemClock
from understudy.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, GeneralName

#: How long the certificates of a run are good, in seconds.
LIFETIME_SECONDS = 24 * 3600.0

# A clock of the client's, in a container perhaps, may be behind ours by so much.
_SKEW = timedelta(hours=1)


class Certificates(NamedTuple):
    """What a run needs to speak TLS for others.

    Attributes:
        tls: With this a server speaks for the hosts.
        bundle: The authorities that a client is to trust, as PEM: those of the system, and the run's own.
    """

    tls: ssl.SSLContext
    bundle: bytes


def certificates(hosts: Sequence[str]) -> Certificates:
    """Make the certificates of a run.

    Args:
        hosts: The names to speak for; at least one.

    Raises:
        UsageError: The extra `understudy[proxy]` is not installed.
    """
    try:
        import trustme
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise UsageError("the proxy needs trustme, which is not installed: pip install 'understudy[proxy]'") from None

    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    until = now + timedelta(seconds=LIFETIME_SECONDS)
    own = _authority(key, hosts, now - _SKEW, until).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf = trustme.CA.from_pem(own, secret).issue_cert(*hosts, not_before=now - _SKEW, not_after=until)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.set_alpn_protocols(["http/1.1"])
    leaf.configure_cert(tls)  # by way of a file that only its owner can read, and that is removed at once
    return Certificates(tls, _system_bundle(ssl.get_default_verify_paths()) + b"\n" + own)


def _authority(key: EllipticCurvePrivateKey, hosts: Iterable[str], since: datetime, until: datetime) -> Certificate:
    """Return the certificate of an authority that can sign for these hosts alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Understudy, for one run")])
    allowed: list[GeneralName] = [x509.DNSName(host) for host in hosts]
    nowhere: list[GeneralName] = [x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
    signs = {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = x509.KeyUsage(**signs, **dict.fromkeys((*others, "encipher_only", "decipher_only"), False))
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(allowed, nowhere), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _system_bundle(paths: ssl.DefaultVerifyPaths) -> bytes:
    """Return the authorities that this machine trusts, as PEM: its file, its folder, or those that certifi has."""
    if paths.cafile:
        return Path(paths.cafile).read_bytes()
    folder = sorted(Path(paths.capath).glob("*.[0-9]")) if paths.capath else []  # as OpenSSL names them
    return b"\n".join(file.read_bytes() for file in folder or [Path(certifi.where())])
