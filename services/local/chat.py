"""A first question to the stack, with TTFT and TPOT as the client felt them."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx


class ChatError(RuntimeError):
    """The question could not be answered; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Felt:
    """Seconds, as this client clocked them; TPOT = (last token - first token) / (tokens - 1)."""

    ttft: float
    tpot: float | None
    tokens: int

    def __str__(self) -> str:
        tpot = "" if self.tpot is None else f" · TPOT {self.tpot * 1000:.1f} ms · {1 / self.tpot:.1f} tokens/s"
        return f"TTFT {self.ttft * 1000:.0f} ms{tpot} · {self.tokens} tokens"


@dataclass(frozen=True, slots=True)
class Question:
    model: str
    prompt: str
    max_tokens: int


def ask(gateway: str, key: str, question: Question, show: Callable[[str], None]) -> Felt:
    """Stream one answer to `show`. Raises ChatError."""
    body: dict[str, object] = {
        "model": question.model,
        "messages": [{"role": "user", "content": question.prompt}],
        "max_tokens": question.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    arrivals: list[float] = []
    tokens = 0
    headers = {"authorization": f"Bearer {key}"}
    try:
        with httpx.Client(base_url=gateway, headers=headers, timeout=120, trust_env=False) as client:
            began = time.perf_counter()
            for event in _events(client, body):
                if event.get("usage"):
                    tokens = event["usage"]["completion_tokens"]
                for choice in event.get("choices", []):
                    if text := choice.get("delta", {}).get("content"):
                        arrivals.append(time.perf_counter())
                        show(text)
    except httpx.ConnectError:
        raise ChatError(f"nothing answers at {gateway}: start the stack with 'naru up'") from None
    except httpx.HTTPError as error:
        raise ChatError(f"the answer broke off: {error}") from None
    if not arrivals:
        raise ChatError("the model answered nothing")
    tpot = (arrivals[-1] - arrivals[0]) / (tokens - 1) if tokens > 1 else None
    return Felt(arrivals[0] - began, tpot, tokens)


def _events(client: httpx.Client, body: dict[str, object]) -> Iterator[dict[str, Any]]:
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            answer.read()
            raise ChatError(answer.json()["error"]["message"])
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                if "error" in event:
                    raise ChatError(event["error"]["message"])
                yield event
