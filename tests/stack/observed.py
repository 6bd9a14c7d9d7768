"""A second gateway beside the stack's, in front of the same engines, with everything on that a dashboard shows."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from services.gateway.policy.keyfile import digest
from tests.stack.conftest import KEY, MODEL, Stack
from tests.support.engine import Received, Wire, engine
from tests.support.faults import continues, fin_mid_stream, refusing
from tests.support.ports import free_ports
from tests.support.tls import Authority, files

LIMITED = "naru-limited-key"
SLO = {"ttft": "5s", "tpot": "1s", "availability": 99.9}
ANSWER: dict[str, list[object]] = {"results": []}


@dataclass(frozen=True)
class Beside:
    url: str
    admin: str
    """`host:port`."""


class Moody:
    """A task model that is quick, and one time in 25 is not: less often than a hedge's quantile looks away."""

    def __init__(self) -> None:
        self._turn = 0

    async def __call__(self, _: Received, wire: Wire) -> None:
        self._turn += 1
        await asyncio.sleep(1.0 if self._turn % 25 == 0 else 0.002)
        await wire.whole(200, ANSWER)


def registry(stack: Stack, faulty: Mapping[str, list[str]]) -> dict[str, Any]:
    """The stack's engines in three versions, and the models of `faulty` by their endpoints."""

    def version(urls: list[str], **more: Any) -> dict[str, Any]:
        return {"endpoints": urls, "weight": 100, **more}

    chat = {
        "task": "chat", "slo": SLO, "price": {"input": 1, "output": 4},
        "versions": {
            "v1": version([stack.llm], weight=80), "v2": version([stack.llm], weight=20),
            "v3": version([stack.llm], weight=0, mirror=100),
        },
        "admission": {"concurrency": 3, "queue": 2}, "cache": {"bytes": "1MiB"},
    }  # fmt: skip
    return {"models": {
        MODEL: chat,
        "sentiment": {"task": "sentiment", "versions": {"v1": version([stack.sentiment])}},
        "recommendation": {"task": "recommendation", "versions": {"v1": version([stack.recommendation])}},
        "fragile": {"task": "chat", "slo": SLO, "versions": {"v1": version(faulty["fragile"])}},
        "refusing": {
            "task": "chat", "slo": SLO, "versions": {"v1": version(faulty["refusing"])}, "fallback": [MODEL],
        },
        "closed": {
            "task": "chat", "slo": SLO, "versions": {"v1": version(["http://127.0.0.1:9"])}, "fallback": [MODEL],
        },
        "moody": {"task": "sentiment", "hedge": True, "versions": {"v1": version(faulty["moody"])}},
        "asleep": {
            "task": "sentiment", "versions": {"v1": version(["http://127.0.0.1:9"])}, "activation": {},
            "admission": {"concurrency": 1},
        },
    }}  # fmt: skip


def key_file(folder: Path) -> Path:
    path = folder / "keys.yaml"
    limited = {"name": "limited", "tenant": "limited", "sha256": digest(LIMITED), "requests_per_minute": 2}
    path.write_text(yaml.safe_dump({"keys": [limited]}), encoding="utf-8")
    return path


@contextlib.asynccontextmanager
async def beside(stack: Stack, folder: Path, redis: str) -> AsyncIterator[Beside]:
    moody = Moody()
    async with (
        engine(fin_mid_stream) as breaking, engine(continues) as saving, engine(refusing(503)) as one,
        engine(refusing(503)) as other, engine(moody) as first, engine(moody) as second,
    ):  # fmt: skip
        faulty = {
            "fragile": [breaking.url, saving.url], "refusing": [one.url, other.url], "moody": [first.url, second.url],
        }  # fmt: skip
        path = folder / "registry.yaml"
        path.write_text(yaml.safe_dump(registry(stack, faulty), sort_keys=False), encoding="utf-8")
        http, grpc, admin = free_ports(3)
        tls = files(folder, Authority(), mutual=False)
        variables = {
            "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(path), "NARU_GATEWAY__KEYS__FILE": str(key_file(folder)),
            "NARU_GATEWAY__HTTP__PORT": str(http), "NARU_GATEWAY__GRPC__PORT": str(grpc),
            "NARU_GATEWAY__ADMIN__PORT": str(admin), "NARU_GATEWAY__REDIS__URL": redis,
            "NARU_GATEWAY__GRPC__TLS__CERTIFICATE": str(tls["certificate"]),
            "NARU_GATEWAY__GRPC__TLS__KEY": str(tls["key"]), "NARU_GATEWAY__RESILIENCE__RETRY_FLOOR": "3",
        }  # fmt: skip
        process = _begin({**os.environ, **variables}, folder / "gateway.log")
        try:
            await _ready(process, f"http://127.0.0.1:{admin}/readyz")
            yield Beside(f"http://127.0.0.1:{http}", f"127.0.0.1:{admin}")
        finally:
            process.terminate()
            process.wait(60)


def _begin(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "services.gateway"], env=environment, stdout=file, stderr=file)


async def _ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                models = (await client.get(url)).json()["models"]
                if all(models[name] for name in (MODEL, "sentiment", "recommendation")):
                    return
            assert process.poll() is None, "the second gateway ended"
            await asyncio.sleep(0.1)
