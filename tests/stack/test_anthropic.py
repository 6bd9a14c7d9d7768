"""The official Anthropic client works unchanged against the real engine behind the gateway."""

import anthropic
import pytest

from tests.stack.conftest import MODEL, Stack

pytestmark = pytest.mark.stack

QUESTION: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Name three colours of the sea."}]


def test_message(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model=MODEL, max_tokens=16, messages=QUESTION)
    assert message.content[0].type == "text"
    assert message.content[0].text
    assert message.usage.output_tokens <= 16


def test_stream(claude: anthropic.Anthropic, stack: Stack) -> None:
    before = stack.samples()
    with claude.messages.stream(model=MODEL, max_tokens=16, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        usage = stream.get_final_message().usage
    assert text
    after = stack.samples()
    labels = {"gen_ai_operation_name": "messages", "stream": "true"}
    assert after.since(before, "gen_ai_server_time_to_first_token_seconds_count", **labels) == 1
    assert after.since(before, "naru_tokens_total", type="output") == usage.output_tokens


def test_errors_are_the_clients_own_classes(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.messages.create(model="claude-9", max_tokens=4, messages=QUESTION)
    assert "claude-9" in str(unknown.value)
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="wrong").messages.create(model=MODEL, max_tokens=4, messages=QUESTION)
