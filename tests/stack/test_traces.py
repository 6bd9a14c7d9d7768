"""One request is one trace from the gateway into the engine and the task models."""

from typing import Any

import httpx
import pytest

from tests.stack.conftest import MODEL, Stack
from tests.support.collector import attributes

pytestmark = [pytest.mark.stack, pytest.mark.slow]

CALLER = "00f067aa0ba902b7"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}


ASKED = {
    "streamed chat": ("a" * 32, "naru-llm", "/v1/chat/completions", {**CHAT, "stream": True}),
    "chat": ("b" * 32, "naru-llm", "/v1/chat/completions", CHAT),
    "sentiment": ("c" * 32, "sentiment", "/v1/sentiment", {"input": "good"}),
    "recommendation": ("d" * 32, "recommendation", "/v1/recommendations", {"history": ["1"]}),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_models_spans_hang_below_the_gateways_attempt(
    asked: tuple[str, str, str, dict[str, Any]], http: httpx.Client, stack: Stack
) -> None:
    trace, service, path, body = asked
    answer = http.post(path, json=body, headers={"traceparent": f"00-{trace}-{CALLER}-01"})
    assert answer.status_code == 200, answer.text

    def spans() -> list[tuple[str, Any]]:
        return [(whose, span) for whose, span in stack.collector.spans if span.trace_id.hex() == trace]

    stack.collector.until(lambda: {"naru-gateway", service} <= {whose for whose, _ in spans()}, seconds=20)
    own = {span.name: span for whose, span in spans() if whose == "naru-gateway"}
    attempt = own.pop("attempt")
    root = next(span for span in own.values() if span.parent_span_id.hex() == CALLER)
    assert attempt.parent_span_id == root.span_id
    assert attributes(root)["http.response.status_code"] == 200
    theirs = [span for whose, span in spans() if whose == service]
    assert attempt.span_id in {span.parent_span_id for span in theirs}


def test_a_request_outside_of_a_recorded_trace_leaves_no_span(http: httpx.Client, stack: Stack) -> None:
    trace = "e" * 32
    for headers in ({}, {"traceparent": f"00-{trace}-{CALLER}-00"}):
        assert http.post("/v1/sentiment", json={"input": "good"}, headers=headers).status_code == 200
    recorded = {"traceparent": f"00-{'f' * 32}-{CALLER}-01"}
    assert http.post("/v1/sentiment", json={"input": "good"}, headers=recorded).status_code == 200
    # Spans are sent in their order: once a later request's are here, an earlier one's would be.
    stack.collector.until(
        lambda: (
            {"naru-gateway", "sentiment"}
            <= {whose for whose, span in stack.collector.spans if span.trace_id.hex() == "f" * 32}
        ),
        seconds=20,
    )
    known = {character * 32 for character in "abcdf"}
    # vLLM also traces its own start.
    assert {span.trace_id.hex() for whose, span in stack.collector.spans if whose != "naru-llm"} <= known
