"""An engine's chat answers and chunks as messages. A field an engine gives beyond OpenAI's API is left out."""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from services.common.errors import UpstreamError
from services.common.pb.naru.v1 import chat_pb2 as pb
from services.gateway.api.grpc.values import words
from services.gateway.relay.dialects import engine_words

F = TypeVar("F")
T = TypeVar("T")

ROLES = words(pb.Role)
FINISHED = words(pb.FinishReason)


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Audio(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class _Message(msgspec.Struct):
    """A message or what a piece adds to one."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: _Audio | None = None


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list["_Token"] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None
    refusal: list[_Token] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    stop_reason: int | str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Answer(msgspec.Struct):
    """A whole answer or a chunk."""

    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def response(body: bytes) -> pb.ChatResponse:
    """Raises UpstreamError where the engine's answer can't be read."""
    answer = _read(body)
    return pb.ChatResponse(
        id=answer.id, created=answer.created, model=answer.model, choices=[_choice(c) for c in answer.choices],
        usage=_given(_usage, answer.usage), system_fingerprint=answer.system_fingerprint,
        service_tier=answer.service_tier,
    )  # fmt: skip


def piece(data: bytes) -> pb.StreamChatResponse | None:
    """An event's message; None for a comment and for the stream's end. Raises UpstreamError.

    A whole answer, of an engine that did not stream, is one piece.
    """
    if not data or data == b"[DONE]":
        return None
    answer = _read(data)
    made = pb.StreamChatResponse(id=answer.id, created=answer.created, model=answer.model)
    for choice in answer.choices:
        _add_delta(made.choices.add(), choice)
    # Fields that most pieces lack are not worth an argument each: this runs for every token.
    if answer.usage is not None:
        made.usage.CopyFrom(_usage(answer.usage))
    if answer.system_fingerprint is not None:
        made.system_fingerprint = answer.system_fingerprint
    if answer.service_tier is not None:
        made.service_tier = answer.service_tier
    return made


def _read(data: bytes) -> _Answer:
    try:
        answer = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamError("the engine's answer is not a chat completion") from None
    if answer.error:
        raise UpstreamError(engine_words(data)[0])
    return answer


def _choice(choice: _Choice) -> pb.Choice:
    message = choice.message
    return pb.Choice(
        index=choice.index, message=None if message is None else _message(message),
        finish_reason=_given(_finished, choice.finish_reason),
        logprobs=_given(_logprobs, choice.logprobs),
        stop_reason=_given(str, choice.stop_reason),
    )  # fmt: skip


def _message(message: _Message) -> pb.ChatMessage:
    return pb.ChatMessage(
        role=ROLES.get(message.role or ""), content=message.content, refusal=message.refusal,
        reasoning_content=message.reasoning_content or message.reasoning,
        tool_calls=[_tool_call(call) for call in message.tool_calls or ()],
        function_call=_given(_function, message.function_call), audio=_given(_audio, message.audio),
    )  # fmt: skip


def _tool_call(call: _ToolCall) -> pb.ToolCall:
    return pb.ToolCall(id=call.id, function=_given(_function, call.function), custom=_given(_custom, call.custom))


def _add_delta(made: pb.ChoiceDelta, choice: _Choice) -> None:
    made.index = choice.index
    delta = choice.delta or choice.message
    if delta is not None:
        _fill_delta(made.delta, delta)
    if choice.finish_reason is not None:
        made.finish_reason = _finished(choice.finish_reason)
    if choice.stop_reason is not None:
        made.stop_reason = str(choice.stop_reason)
    if choice.logprobs is not None:
        made.logprobs.CopyFrom(_logprobs(choice.logprobs))


def _fill_delta(made: pb.MessageDelta, delta: _Message) -> None:
    if delta.content is not None:
        made.content = delta.content
    if delta.role is not None:
        made.role = ROLES.get(delta.role, pb.ROLE_UNSPECIFIED)
    reasoning = delta.reasoning_content or delta.reasoning
    if reasoning is not None:
        made.reasoning_content = reasoning
    if delta.refusal is not None:
        made.refusal = delta.refusal
    if delta.tool_calls:
        made.tool_calls.extend(_tool_call_delta(call) for call in delta.tool_calls)
    if delta.function_call is not None:
        made.function_call.CopyFrom(_function(delta.function_call))
    if delta.audio is not None:
        made.audio.CopyFrom(_audio(delta.audio))


def _tool_call_delta(call: _ToolCall) -> pb.ToolCallDelta:
    return pb.ToolCallDelta(
        index=call.index, id=call.id, function=_given(_function, call.function),
        custom=_given(_custom, call.custom),
    )  # fmt: skip


def _given(translate: Callable[[F], T], found: F | None) -> T | None:
    return None if found is None else translate(found)


def _function(found: _Function) -> pb.FunctionCall:
    return pb.FunctionCall(name=found.name, arguments=found.arguments)


def _custom(found: _Custom) -> pb.CustomCall:
    return pb.CustomCall(name=found.name, input=found.input)


def _audio(found: _Audio) -> pb.Audio:
    data = base64.b64decode(found.data) if found.data else None
    return pb.Audio(id=found.id, data=data, expires_at=found.expires_at, transcript=found.transcript)


def _finished(reason: str) -> pb.FinishReason:
    return FINISHED.get(reason, pb.FINISH_REASON_OTHER)


def _logprobs(found: _Logprobs) -> pb.Logprobs:
    return pb.Logprobs(
        content=[_token(token) for token in found.content or ()],
        refusal=[_token(token) for token in found.refusal or ()],
    )


def _token(found: _Token) -> pb.TokenLogprob:
    return pb.TokenLogprob(
        token=found.token, logprob=found.logprob, token_bytes=None if found.bytes is None else bytes(found.bytes),
        top_logprobs=[_token(token) for token in found.top_logprobs or ()],
    )  # fmt: skip


def _usage(found: _Usage) -> pb.Usage:
    return pb.Usage(
        prompt_tokens=found.prompt_tokens, completion_tokens=found.completion_tokens, total_tokens=found.total_tokens,
        prompt_tokens_details=_given(_prompt_details, found.prompt_tokens_details),
        completion_tokens_details=_given(_completion_details, found.completion_tokens_details),
    )  # fmt: skip


def _prompt_details(found: _PromptDetails) -> pb.PromptTokensDetails:
    return pb.PromptTokensDetails(**msgspec.structs.asdict(found))


def _completion_details(found: _CompletionDetails) -> pb.CompletionTokensDetails:
    return pb.CompletionTokensDetails(**msgspec.structs.asdict(found))
