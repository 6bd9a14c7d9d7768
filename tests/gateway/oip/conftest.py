"""A gateway in front of scripted task services."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway.oip import models
from tests.support.engine import Engine, engine
from tests.support.gateway import Running, running


@dataclass(frozen=True)
class Served:
    gateway: Running
    v1: Engine
    v2: Engine
    recommender: Engine
    llm: Engine

    async def until_v2_is_down(self) -> None:
        """The second version of sentiment fails its health checks from now on."""
        self.v2.healthy = False
        async with asyncio.timeout(30):
            while any(
                endpoint.healthy for endpoint in self.gateway.gateway.health.rounds.followed if endpoint.version == "v2"
            ):
                await asyncio.sleep(0.02)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with (
        engine(models.sentiment) as v1, engine(models.sentiment) as v2,
        engine(models.recommendation) as recommender, engine() as llm,
    ):  # fmt: skip
        registry = models.registry(v1.url, v2.url, recommender.url, llm.url)
        async with running(registry, tmp_path) as gateway:
            yield Served(gateway, v1, v2, recommender, llm)
