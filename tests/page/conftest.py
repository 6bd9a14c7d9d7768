"""The page as a browser shows it: a real Chromium, the real gateway, scripted engines."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from services.gateway.policy.keyfile import development_key
from tests.support.browser import Browser, Page, chromium
from tests.support.engine import Engine, Received, Wire, delta, engine, usage
from tests.support.gateway import KEY, Running, running

PAUSE, GAP = 0.25, 0.05
"""Seconds before the first token and between two."""
LIMITED = "sk-test-limited"
"""A key that may ask once a minute."""
WORDS = ("A ", "ferry ", "carries ", "people ", "across ", "the ", "river.")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


async def speak(_: Received, wire: Wire) -> None:
    """A streamed answer whose pace is known."""
    await wire.head()
    await wire.events(delta(role="assistant", content=""))
    await asyncio.sleep(PAUSE)
    await wire.events(*(delta(content=word) for word in WORDS), pause=GAP)
    await wire.events(usage(9, len(WORDS)), "[DONE]")
    await wire.last()


async def classify(request: Received, wire: Wire) -> None:
    scores = {"positive": 0.9, "neutral": 0.08, "negative": 0.02}
    result = {"label": "positive", "score": 0.9, "scores": scores}
    asked = request.json["input"]
    results = [result] * (1 if isinstance(asked, str) else len(asked))
    await wire.whole(200, {"model": "sentiment", "version": "v1", "results": results})


async def recommend(request: Received, wire: Wire) -> None:
    asked = request.json
    strategy = "personalised" if "user_id" in asked else "history" if "history" in asked else "popular"
    items = [{"id": str(n), "title": f"Film {n}", "score": 1 / n} for n in range(1, asked["k"] + 1)]
    await wire.whole(200, {"model": "recommendation", "version": "v1", "strategy": strategy, "items": items})


def model(task: str, made: Engine) -> dict[str, Any]:
    return {"task": task, "versions": {"v1": {"endpoints": [made.url], "weight": 100}}}


@dataclass
class Place:
    """A gateway with an engine of each kind, and the browser."""

    gateway: Running
    chat: Engine
    sentiment: Engine
    recommendation: Engine
    browser: Browser

    async def opened(self, **view: Any) -> Page:
        """The page, before anything was done on it."""
        page = await self.browser.page(**view)
        await page.go(f"{self.gateway.url}/")
        return page

    async def entered(self, key: str = KEY, /, **view: Any) -> Page:
        """The page with a key that is good."""
        page = await self.opened(**view)
        await page.write(key, "#key")
        await page.click("#key-form [type=submit]")
        await page.until("!document.getElementById('workplace').hidden")
        return page


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with chromium(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def place(browser: Browser, tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        chat, sentiment, recommendation = [
            await stack.enter_async_context(engine(script)) for script in (speak, classify, recommend)
        ]
        models = {
            "m": model("chat", chat),
            "sentiment": model("sentiment", sentiment),
            "recommendation": model("recommendation", recommendation),
        }
        limited = development_key(LIMITED).model_copy(update={"name": "limited", "requests_per_minute": 1})
        gateway = await stack.enter_async_context(running({"models": models}, tmp_path, keys=[limited]))
        yield Place(gateway, chat, sentiment, recommendation, browser)
