"""What counts as content, usage and an end in each dialect."""

import json

import pytest

from services.gateway.relay.dialects import Dialect, MessagesStream, OpenAIStream, Reading, ResponsesStream, Usage

OPENAI, RESPONSES, MESSAGES = OpenAIStream(), ResponsesStream(), MessagesStream()


@pytest.mark.parametrize(
    ("dialect", "event", "expected"),
    [
        (OPENAI, {"choices": [{"text": "a"}]}, Reading(content=True)),
        (OPENAI, {"choices": [{"text": ""}]}, Reading()),
        (OPENAI, {"choices": [{"delta": {"content": None}}]}, Reading()),
        (OPENAI, {"choices": [{"delta": {"refusal": "no"}}]}, Reading(content=True)),
        (OPENAI, {"choices": "odd"}, Reading()),
        (OPENAI, {"choices": [], "usage": {"prompt_tokens": "odd"}}, Reading(usage=Usage(), usage_only=True)),
        (OPENAI, {"error": {"message": "x"}}, Reading(failed=True)),
        (RESPONSES, {"type": "response.created", "response": {"usage": None}}, Reading()),
        (RESPONSES, {"type": "response.output_text.delta", "delta": "a"}, Reading(content=True)),
        (RESPONSES, {"type": "response.function_call_arguments.delta", "delta": "{"}, Reading(content=True)),
        (RESPONSES, {"type": "response.output_text.delta", "delta": ""}, Reading()),
        (
            RESPONSES,
            {"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}},
            Reading(usage=Usage(3, 4), done=True),
        ),
        (RESPONSES, {"type": "response.failed", "response": {}}, Reading(done=True, failed=True)),
        (
            MESSAGES,
            {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 0}}},
            Reading(usage=Usage(3, 0)),
        ),
        (
            MESSAGES,
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
            Reading(content=True),
        ),
        (MESSAGES, {"type": "content_block_delta", "delta": {"thinking": "a"}}, Reading(content=True)),
        (MESSAGES, {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, Reading()),
        (MESSAGES, {"type": "content_block_start", "content_block": {"type": "tool_use"}}, Reading(content=True)),
        (MESSAGES, {"type": "message_delta", "usage": {"output_tokens": 9}}, Reading(usage=Usage(None, 9))),
        (MESSAGES, {"type": "message_stop"}, Reading(done=True)),
        (MESSAGES, {"type": "error", "error": {}}, Reading(failed=True)),
    ],
)
def test_reading(dialect: Dialect, event: object, expected: Reading) -> None:
    assert dialect.read_event(json.dumps(event).encode()) == expected


def test_usage_of_a_stream_adds_up() -> None:
    assert Usage(3, 0).merged(Usage(None, 9)) == Usage(3, 9)


@pytest.mark.parametrize("dialect", [OPENAI, RESPONSES, MESSAGES])
def test_whole_answers(dialect: Dialect) -> None:
    assert dialect.read_answer(b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}') == Usage(1, 2)
    assert dialect.read_answer(b'{"usage":{"input_tokens":1,"output_tokens":2}}') == Usage(1, 2)
    assert dialect.read_answer(b'{"usage":null}') == Usage()
    assert dialect.read_answer(b"\xff") == Usage()
