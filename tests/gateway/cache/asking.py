"""Requests to a model that has a cache."""

from typing import Any

import httpx

from services.gateway.policy.keyfile import Key, digest
from tests.support.engine import Received, Script, Wire, delta, usage
from tests.support.gateway import Running, chat_registry

CHAT = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "seed": 7}
STREAM = {**ASK, "stream": True}
WHOLE = {"id": "c", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
         "usage": {"prompt_tokens": 5, "completion_tokens": 2}}  # fmt: skip
OTHER = "sk-other-secret"
OTHER_KEY = Key(name="other", tenant="other", sha256=digest(OTHER))


def answering() -> Script:
    """Every answer says which one it is, so that none is like another."""
    count = 0

    async def script(request: Received, wire: Wire) -> None:
        nonlocal count
        count += 1
        if request.json.get("stream"):
            await wire.head()
            await wire.events(delta(role="assistant", content=""), delta(content=f"Hello {count}"))
            await wire.events(usage(5, 2), "[DONE]")
            await wire.last()
        else:
            await wire.whole(200, {**WHOLE, "id": f"c{count}"})

    return script


def cached(url: str, **cache: Any) -> dict[str, Any]:
    return chat_registry(url, cache=cache)


async def ask(gateway: Running, body: dict[str, Any] = ASK, path: str = CHAT, /, **headers: str) -> httpx.Response:
    answer = await gateway.http.post(path, json=body, headers=headers)
    assert answer.status_code == 200
    return answer


async def said(gateway: Running, body: dict[str, Any] = ASK, /, **headers: str) -> str:
    """What the cache said of a request."""
    result: str = (await ask(gateway, body, **headers)).headers["x-naru-cache"]
    return result
