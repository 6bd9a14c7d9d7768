"""TLS and mutual TLS from files, with certificates made here."""

from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from services.gateway.api.grpc.edge import GrpcError
from services.gateway.api.grpc.server import tls
from services.gateway.settings import TlsSettings
from tests.gateway.grpc.client import calling, drained, text
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running
from tests.support.tls import Authority, Pair, files


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
