"""What is read of a certificate is what its maker wrote into it."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.gateway.api.grpc.certificate import ends


def certificate(end: datetime.datetime) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=90)).not_valid_after(end)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("year", [2031, 2049, 2050, 2199])  # from 2050 on the time is written in another form
def test_the_end_of_the_first_certificate(year: int) -> None:
    end = datetime.datetime(year, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
    later = certificate(end + datetime.timedelta(days=1))
    assert ends(b"a comment\n" + certificate(end) + later) == end.timestamp()


@pytest.mark.parametrize("text", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_end(text: bytes) -> None:
    assert ends(text) is None
