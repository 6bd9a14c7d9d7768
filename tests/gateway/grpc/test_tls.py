"""TLS and mutual TLS from files, with certificates made here."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from services.gateway.api.grpc.edge import GrpcError
from services.gateway.api.grpc.server import tls
from services.gateway.settings import TlsSettings
from tests.gateway.grpc.client import calling, drained, text
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running


@dataclass
class Pair:
    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates for `localhost`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self._name, self._key.public_key(), authority=True)

    def pair(self) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(self._sign(name, key.public_key(), authority=False), encoded)

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM)


def files(folder: Path, authority: Authority, *, mutual: bool) -> dict[str, Path]:
    """The settings of a server whose certificate `authority` signed."""
    pair = authority.pair()
    contents = {"certificate": pair.certificate, "key": pair.key}
    contents |= {"client_authority": authority.certificate} if mutual else {}
    for name, content in contents.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: folder / f"{name}.pem" for name in contents}


async def answer(folder: Path, authority: Authority, client: Pair | None, *, mutual: bool) -> str:
    """What a client that trusts the authority, and has this certificate, is answered."""
    pair = (client.key, client.certificate) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.certificate, *pair)
    settings = {"tls": files(folder, authority, mutual=mutual)}
    async with (
        engine() as upstream,
        running(chat_registry(upstream.url), folder, grpc=settings) as gateway,
        calling(gateway, credentials) as stubs,
    ):
        return text(await drained(stubs.stream(timeout=10)))


async def test_tls(tmp_path: Path) -> None:
    assert await answer(tmp_path, Authority(), None, mutual=False) == "Hello"


async def test_mutual_tls(tmp_path: Path) -> None:
    authority = Authority()
    assert await answer(tmp_path, authority, authority.pair(), mutual=True) == "Hello"


@pytest.mark.parametrize("stranger", [False, True])
async def test_mutual_tls_refuses_who_has_no_certificate_of_the_authority(stranger: bool, tmp_path: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(tmp_path, Authority(), Authority().pair() if stranger else None, mutual=True)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("given", [{"certificate": "c.pem"}, {"key": "k.pem"}, {"client_authority": "a.pem"}])
def test_files_that_belong_together_are_set_together(given: dict[str, Path]) -> None:
    with pytest.raises(ValidationError):
        TlsSettings.model_validate(given)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(GrpcError, match=r"missing\.pem"):
        tls(TlsSettings(certificate=missing, key=missing))
