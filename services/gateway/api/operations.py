"""The operations that are relayed in the engine's own words: the OpenAI and Anthropic APIs."""

from dataclasses import dataclass

from services.gateway.api.door import Order
from services.gateway.api.glance import glance
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyring import Principal
from services.gateway.registry import Task
from services.gateway.relay.dialects import Dialect, MessagesStream, OpenAIStream, ResponsesStream
from services.gateway.routing.fleet import ModelPool


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    path: str
    dialect: Dialect
    task: Task
    summary: str
    example: dict[str, object]
    asks_for_usage: bool = False
    """Its streams carry usage only where `stream_options.include_usage` asks for it."""
    prompt: bytes = b""
    """Where in its bodies the prompt begins: see `Order.prompt`."""

    def prepare(self, gate: Gate, principal: Principal, body: bytes) -> tuple[ModelPool, Order]:
        """Raises InvalidRequest, and what `Gate.model` raises."""
        seen = glance(body, asks_for_usage=self.asks_for_usage)
        pool = gate.model(principal, seen.model, self.task)
        return pool, Order(self.name, self.dialect, self.path, seen.body, seen.stream, seen.hide_usage, self.prompt)


_MESSAGES = [{"role": "user", "content": "What is a ferry?"}]

OPERATIONS = (
    Operation(
        "chat", "/v1/chat/completions", OpenAIStream(), Task.CHAT, "Chat completion (OpenAI)",
        {"model": "smollm2-135m-instruct", "messages": _MESSAGES, "stream": True}, asks_for_usage=True,
        prompt=b'"messages"',
    ),
    Operation(
        "text_completion", "/v1/completions", OpenAIStream(), Task.CHAT, "Text completion (OpenAI)",
        {"model": "smollm2-135m-instruct", "prompt": "A ferry is", "max_tokens": 16}, asks_for_usage=True,
        prompt=b'"prompt"',
    ),
    Operation(
        "responses", "/v1/responses", ResponsesStream(), Task.CHAT, "Response (OpenAI)",
        {"model": "smollm2-135m-instruct", "input": "What is a ferry?"}, prompt=b'"input"',
    ),
    Operation(
        "messages", "/v1/messages", MessagesStream(), Task.CHAT, "Message (Anthropic)",
        {"model": "smollm2-135m-instruct", "max_tokens": 64, "messages": _MESSAGES},
        prompt=b'"messages"',
    ),
    Operation(
        "embeddings", "/v1/embeddings", OpenAIStream(), Task.EMBEDDING, "Embeddings (OpenAI)",
        {"model": "an-embedding-model", "input": "A ferry landing"},
    ),
)  # fmt: skip
