"""What is sent to the next engine, and what of its answer reaches the client."""

import json
from typing import Any

import msgspec
import pytest

from services.gateway.relay.bodies import fields_of
from services.gateway.relay.dialects import OpenAIStream
from services.gateway.relay.migration import Continuation, Splice, Transcript, conversation
from tests.support.engine import delta, event, usage

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def body(**fields: object) -> bytes:
    return json.dumps({**ASKED, **fields}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"n": 1}, {"tools": []}, {"tool_choice": "none"}, {"response_format": {"type": "text"}},
        {"logprobs": False}, {"logprobs": None}, {"temperature": 0.5, "seed": 7, "stop": ["x"]},
    ],
)  # fmt: skip
def test_plain_text_can_be_continued(fields: dict[str, object]) -> None:
    assert conversation(body(**fields)) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2}, {"tools": [{"type": "function"}]}, {"tool_choice": "auto"}, {"logprobs": True}, {"top_logprobs": 3},
        {"response_format": {"type": "json_object"}}, {"guided_json": {}}, {"structured_outputs": {"regex": "a"}},
        {"echo": True}, {"continue_final_message": True}, {"add_generation_prompt": False}, {"messages": "hi"},
        {"messages": [{"role": "assistant", "content": "I"}]}, {"return_token_ids": True}, {"messages": [3]},
    ],
)  # fmt: skip
def test_what_is_more_than_its_text_cannot(fields: dict[str, object]) -> None:
    assert conversation(body(**fields)) is None


def continuation(text: str = "Hel", **fields: object) -> Continuation:
    asked = body(**fields)
    messages = conversation(asked)
    assert messages is not None
    return Continuation(asked, messages, text)


def test_the_text_so_far_is_the_assistants_unfinished_message() -> None:
    sent = json.loads(continuation(max_tokens=50, max_completion_tokens=3, min_tokens=2, top_k=5).request(7))
    assert sent == {
        **ASKED, "messages": [*ASKED["messages"], {"role": "assistant", "content": "Hel"}],  # type: ignore[misc]
        "continue_final_message": True, "add_generation_prompt": False,
        "max_tokens": 43, "max_completion_tokens": 1, "min_tokens": 0, "top_k": 5,
    }  # fmt: skip


def test_without_text_the_request_is_sent_as_it_was() -> None:
    assert continuation("", max_tokens=5).request(0) == body(max_tokens=5)


def test_tokens_are_counted_as_the_prompt_is_built() -> None:
    counted = continuation(chat_template_kwargs={"a": 1}, top_k=5)
    assert json.loads(counted.count_request()) == {
        "model": "m", "messages": ASKED["messages"], "chat_template_kwargs": {"a": 1},
    }  # fmt: skip
    assert json.loads(counted.count_request("Hel")) == {"model": "m", "prompt": "Hel", "add_special_tokens": False}


def spliced(*payloads: object, prompt: int | None = 10, spent: int = 3) -> list[Any]:
    splice = Splice(fields_of(b'{"id":"first","created":1,"model":"m"}'), prompt, spent)
    events = [splice.event(event(payload)) for payload in payloads]
    return [found if found is None else json.loads(found[6:]) for found in events]


def test_the_next_engines_chunks_are_the_first_ones() -> None:
    role, text, end = spliced(
        {**delta(role="assistant", content=""), "id": "second", "created": 2, "model": "m"},
        {**delta(role="assistant", content="lo"), "id": "second", "created": 2, "model": "m"},
        {"id": "second", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    )
    assert role is None
    assert text["choices"][0]["delta"] == {"content": "lo"}
    assert (text["id"], text["created"]) == ("first", 1)
    assert end["choices"][0]["finish_reason"] == "stop"


def test_usage_is_the_conversations_and_both_texts() -> None:
    (counted,) = spliced(usage(13, 2))
    assert counted["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    (estimated,) = spliced(usage(13, 2), prompt=None)
    assert estimated["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_what_is_no_chunk_passes_as_it_is() -> None:
    splice = Splice({}, 1, 1)
    for other in (b"data: [DONE]\n\n", b": ping\n\n", b'data: {"error":{"message":"no"}}\n\n'):
        assert splice.event(other) == other


def transcript(*payloads: object, longest: int = 100) -> Transcript:
    dialect, made = OpenAIStream(), Transcript(longest)
    for payload in payloads:
        data = msgspec.json.encode(payload)
        made.add(data, dialect.read_event(data))
    return made


def test_a_transcript_is_the_text_and_who_wrote_it() -> None:
    made = transcript({**delta(role="assistant"), "created": 7}, delta(content='"Hé"'), delta(content="로"))
    assert (made.text, made.plain, made.finished, made.pieces) == ('"Hé"로', True, False, ['"Hé"', "로"])
    assert json.loads(msgspec.json.encode(made.identity())) == {"id": "c", "created": 7}


@pytest.mark.parametrize("beside", [{"reasoning_content": "hm"}, {"tool_calls": [{"index": 0}]}, {"refusal": "no"}])
def test_anything_beside_text_makes_it_incomplete(beside: dict[str, object]) -> None:
    assert not transcript(delta(content="a"), delta(**beside), delta(content="b")).plain


def test_a_long_answer_is_forgotten() -> None:
    made = transcript(delta(content="a" * 60), delta(content="b" * 60))
    assert (made.plain, made.text) == (False, "")


def test_a_finish_reason_ends_the_text() -> None:
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    assert transcript(delta(content="a"), end).finished
