"""A running gateway takes the key file's changes over."""

import asyncio
from pathlib import Path

import pytest

from services.common.errors import Unauthenticated
from services.gateway.policy.keyfile import Key, KeyFileError, add_key, development_key, digest, remove_key
from services.gateway.policy.keysource import KeySource
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running

BODY = {"model": "m", "messages": []}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    add_key(path, Key(name="a", tenant="shop", sha256=digest("sk-a")))
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("bad", ["keys: [{name: b}]", "keys: 2024-99-99", "[" * 5000])
async def test_a_bad_file_is_refused_with_the_reason_and_the_old_keys_stay(path: Path, bad: str) -> None:
    source = KeySource(path, [development_key("sk-dev")])
    write(path, bad)
    with pytest.raises(KeyFileError, match=r"keys\.0\.tenant" if "name" in bad else "is not YAML"):
        await source.reread()
    assert source.authenticator.authenticate("sk-a").tenant == "shop"
    write(path, "keys: []")
    await source.reread()
    with pytest.raises(Unauthenticated):
        source.authenticator.authenticate("sk-a")
    assert source.authenticator.authenticate("sk-dev").tenant == "development"


async def test_a_key_that_is_revoked_is_refused_within_a_second_and_a_new_one_is_let_in(path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), path.parent, key_file=path) as gateway:

        async def status(secret: str) -> int:
            headers = {"authorization": f"Bearer {secret}"}
            return (await gateway.http.get("/v1/models", headers=headers)).status_code

        assert [await status("sk-a"), await status("sk-b")] == [200, 401]
        remove_key(path, "a")
        add_key(path, Key(name="b", tenant="shop", sha256=digest("sk-b")))
        async with asyncio.timeout(1):
            while await status("sk-a") == 200 or await status("sk-b") == 401:
                await asyncio.sleep(0.02)
