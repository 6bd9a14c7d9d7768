"""Until when a certificate is valid: the one field that is read of it, without a library for all the others."""

import re
import ssl
from datetime import UTC, datetime

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _UTC_TIME = 0x30, 0x17


def ends(pem: bytes) -> float | None:
    """Unix time at which the first certificate of a PEM file ends; None where there is none to be read.

    RFC 5280, section 4.1: Certificate → TBSCertificate → [version], serial number, signature, issuer, validity.
    """
    found = _FIRST.search(pem.decode("latin-1"))
    try:
        fields = _parts(_content(ssl.PEM_cert_to_DER_cert(found[0]))) if found else []
        inner = [part for part in _parts(fields[0][1]) if part[0] != 0xA0]  # the version is optional
        (kind, text) = _parts(inner[3][1])[1]
        pattern = "%y%m%d%H%M%SZ" if kind == _UTC_TIME else "%Y%m%d%H%M%SZ"
        return datetime.strptime(text.decode("ascii"), pattern).replace(tzinfo=UTC).timestamp()
    except (ValueError, IndexError):
        return None


def _content(der: bytes) -> bytes:
    ((kind, content),) = _parts(der)
    if kind != _SEQUENCE:
        raise ValueError("not a certificate")
    return content


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element (X.690, section 8.1)."""
    parts, at = [], 0
    while at < len(der):
        kind, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        parts.append((kind, der[at : at + length]))
        at += length
    return parts
