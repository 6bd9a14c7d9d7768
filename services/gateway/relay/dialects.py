"""What an answer says in each of the API dialects: is this event content, what was used, is this the end.

Only what metering needs is decoded; the bytes that travel on are never touched. A field of an unexpected type is
passed on like any other and counts as nothing.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the engine counted them; None where it did not say."""

    input: int | None = None
    output: int | None = None

    def merged(self, newer: "Usage") -> "Usage":
        return Usage(
            self.input if newer.input is None else newer.input, self.output if newer.output is None else newer.output
        )


NO_USAGE = Usage()


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What one event of a stream means."""

    content: bool = False
    """It carries text, reasoning or a tool call: at least one output token."""
    usage: Usage | None = None
    usage_only: bool = False
    """It carries usage and nothing else: not for a client that did not ask for it."""
    done: bool = False
    failed: bool = False
    """The engine says that it could not go on."""
    text: str | None = None
    """The text that it adds to a chat answer; None where it adds anything else, or nothing."""
    finished: bool = False
    """The answer's text is complete: what follows is usage."""
    plain: bool = False
    """It carries text and says nothing else at all."""


NOTHING = Reading()
DONE = Reading(done=True)


class Dialect(Protocol):
    """One API's way to stream, to answer whole and to report an error inside a stream."""

    @property
    def end_event(self) -> bytes:
        """What follows an answer whose text and usage are complete; empty where the last event holds some of that."""

    def read_event(self, data: bytes) -> Reading: ...
    def read_answer(self, body: bytes) -> Usage: ...
    def error_event(self, error: dict[str, object]) -> bytes: ...


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None


def _usage(found: _Usage | None) -> Usage | None:
    if found is None:
        return None
    given = found.prompt_tokens if found.input_tokens is None else found.input_tokens
    made = found.completion_tokens if found.output_tokens is None else found.output_tokens
    return Usage(_count(given), _count(made))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _decoder(kind: type[T]) -> Callable[[bytes], T | None]:
    decode = msgspec.json.Decoder(kind).decode

    def lenient(data: bytes) -> T | None:
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    return lenient


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_read_answer = _decoder(_Answer)


class _WholeAnswers:
    """Every dialect puts `usage` at the top of a whole answer."""

    def read_answer(self, body: bytes) -> Usage:
        answer = _read_answer(body)
        return (_usage(answer.usage) if answer else None) or NO_USAGE


class _Refusal(msgspec.Struct):
    error: dict[str, Any]


_read_refusal = _decoder(_Refusal)


def explains(body: bytes) -> bool:
    """Whether an engine's 4xx body is an error object that clients of these APIs can read."""
    return _read_refusal(body) is not None


def engine_words(body: bytes) -> tuple[str, str | None]:
    """What an engine's error object says: its message, and the field it is about."""
    found = _read_refusal(body)
    said = found.error if found else {}
    message, param = said.get("message"), said.get("param")
    return (
        message if isinstance(message, str) else "the engine refused the request",
        param if isinstance(param, str) else None,
    )


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    def says_something(self) -> bool:
        return bool(
            self.content or self.reasoning_content or self.reasoning or self.tool_calls
            or self.refusal or self.function_call or self.audio
        )  # fmt: skip

    def plain_text(self) -> str | None:
        """The content, where it is text and there is nothing beside it."""
        text = self.content
        if not isinstance(text, str) or self.reasoning_content or self.reasoning or self.tool_calls:
            return None
        return None if self.refusal or self.function_call or self.audio else text


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_read_chunk = msgspec.json.Decoder(_Chunk).decode


class OpenAIStream(_WholeAnswers):
    """`/v1/chat/completions` and `/v1/completions`: chunks, then `[DONE]`."""

    end_event = b"data: [DONE]\n\n"

    def read_event(self, data: bytes) -> Reading:
        if data == b"[DONE]":
            return DONE
        try:
            chunk = _read_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return NOTHING
        choices, usage = chunk.choices, chunk.usage
        if len(choices) == 1 and usage is None and chunk.error is None:  # most chunks: a piece of one answer
            only, delta = choices[0], choices[0].delta
            if delta is not None and not only.finish_reason and not only.text:
                text = delta.plain_text()
                if text:
                    return Reading(True, text=text, plain=True)
                if not delta.says_something():
                    return NOTHING  # a role
        content = any(c.text or (c.delta is not None and c.delta.says_something()) for c in choices)
        text = choices[0].delta.plain_text() if content and len(choices) == 1 and choices[0].delta else None
        return Reading(
            content, _usage(usage), usage is not None and not choices, failed=bool(chunk.error), text=text,
            finished=any(c.finish_reason for c in choices),
        )  # fmt: skip

    def error_event(self, error: dict[str, object]) -> bytes:
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode({"error": error})


class _Response(msgspec.Struct):
    usage: _Usage | None = None


class _ResponseEvent(msgspec.Struct):
    type: str = ""
    delta: Any = None
    response: _Response | None = None


_read_response_event = _decoder(_ResponseEvent)


class ResponsesStream(_WholeAnswers):
    """`/v1/responses`: typed events, the last of which is completed, incomplete or failed."""

    end_event = b""

    def read_event(self, data: bytes) -> Reading:
        event = _read_response_event(data)
        if event is None:
            return DONE if data == b"[DONE]" else NOTHING
        kind = event.type
        if kind.endswith(".delta"):
            return Reading(content=bool(event.delta))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            usage = _usage(event.response.usage) if event.response else None
            return Reading(usage=usage, done=True, failed=kind == "response.failed")
        return Reading(failed=kind == "error")

    def error_event(self, error: dict[str, object]) -> bytes:
        body = {"type": "error", "code": error["code"], "message": error["message"], "param": error["param"]}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


class _MessageDelta(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class _Block(msgspec.Struct):
    type: Any = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _MessageEvent(msgspec.Struct):
    type: str = ""
    delta: _MessageDelta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None


_read_message_event = _decoder(_MessageEvent)


class MessagesStream(_WholeAnswers):
    """`/v1/messages`, Anthropic's dialect: `message_start` … `message_stop`."""

    end_event = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    def read_event(self, data: bytes) -> Reading:
        event = _read_message_event(data)
        if event is None:
            return DONE if data == b"[DONE]" else NOTHING
        if event.type == "message_start":
            return Reading(usage=_usage(event.message.usage) if event.message else None)
        delta, block = event.delta, event.content_block
        content = delta is not None and bool(delta.text or delta.thinking or delta.partial_json)
        content = content or (block is not None and block.type == "tool_use")
        return Reading(
            content, _usage(event.usage), done=event.type == "message_stop", failed=event.type == "error",
            finished=delta is not None and delta.stop_reason is not None,
        )  # fmt: skip

    def error_event(self, error: dict[str, object]) -> bytes:
        body = {"type": "error", "error": {"type": error["type"], "message": error["message"]}}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


class TaskAnswer(_WholeAnswers):
    """A task model's answer: whole, without tokens."""

    end_event = b""

    def read_event(self, data: bytes) -> Reading:  # noqa: ARG002 - a dialect's signature
        return NOTHING

    def error_event(self, error: dict[str, object]) -> bytes:
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode({"error": error})
