"""What `/metrics` says of each version: whoever changes weights sees when they count, and whose fault a retry was."""

from pathlib import Path

import yaml

from tests.support.engine import Received, Wire, engine, hello
from tests.support.gateway import chat_registry, running

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


async def test_the_weight_that_counts_and_the_endpoints_that_are_well(tmp_path: Path) -> None:
    async with engine() as old, engine() as new, engine() as ill:
        registry = chat_registry(old.url, new.url)
        registry["models"]["m"]["versions"]["v1"]["weight"] = 95
        registry["models"]["m"]["versions"]["v2"] = {"endpoints": [new.url, ill.url], "weight": 5}
        ill.healthy = False
        async with running(registry, tmp_path, healthy=False, registry_poll=0.02) as gateway:
            while await gateway.value("naru_version_healthy_endpoints", model="m", version="v2") < 1:
                pass
            assert await gateway.value("naru_version_weight", model="m", version="v1") == 95 / 100
            assert await gateway.value("naru_version_weight", model="m", version="v2") == 5 / 100
            assert await gateway.value("naru_version_healthy_endpoints", model="m") == 2
            del registry["models"]["m"]["versions"]["v1"]
            (tmp_path / "registry.yaml").write_text(yaml.safe_dump(registry), encoding="utf-8")
            while (await gateway.samples()).sum("naru_version_weight", version="v1"):
                pass
            assert await gateway.value("naru_version_weight") == 1


async def test_a_retry_is_counted_against_the_version_that_failed(tmp_path: Path) -> None:
    async def away(_: Received, wire: Wire) -> None:
        await wire.whole(503, {})

    async with engine(hello) as old, engine(away) as new, running(chat_registry(old.url, new.url), tmp_path) as gateway:
        while not new.received:
            assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert await gateway.value("naru_retries_total", model="m", version="v2", reason="503") == len(new.received)
        assert await gateway.value("naru_retries_total", version="v1") == 0
