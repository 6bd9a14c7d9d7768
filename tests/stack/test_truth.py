"""The metrics say what a client clocked itself for the same requests."""

import time

import openai
import pytest

from tests.stack.conftest import MODEL, Stack

pytestmark = pytest.mark.stack

TOLERANCE = 0.015
"""Seconds of TTFT between the gateway's clock and a client's, on one machine: the client's own parsing and wake-up on
two cores that the engine keeps busy. Usually 3 ms."""
RELATIVE = 0.05
"""Of TPOT: both ends lose the same few milliseconds over the whole stream."""


def test_ttft_and_tpot_are_what_the_client_felt(client: openai.OpenAI, stack: Stack) -> None:
    before = stack.samples()
    ttft, tpot, gaps = [], [], 0
    for turn in range(5):
        began = time.perf_counter()
        arrivals, tokens = [], 0
        for chunk in client.chat.completions.create(
            model=MODEL, stream=True, max_tokens=32, temperature=0, stream_options={"include_usage": True},
            messages=[{"role": "user", "content": f"Tell me fact {turn} about ferries."}],
            extra_body={"ignore_eos": True},
        ):  # fmt: skip
            if chunk.choices and chunk.choices[0].delta.content:
                arrivals.append(time.perf_counter())
            if chunk.usage:
                tokens = chunk.usage.completion_tokens
        assert tokens == 32
        ttft.append(arrivals[0] - began)
        tpot.append((arrivals[-1] - arrivals[0]) / (tokens - 1))
        gaps += len(arrivals) - 1
    after = stack.samples()

    def mean(name: str, **labels: str) -> float:
        count = after.since(before, f"{name}_count", **labels)
        assert count == 5
        return after.since(before, f"{name}_sum", **labels) / count

    felt_ttft, felt_tpot = sum(ttft) / 5, sum(tpot) / 5
    said_ttft = mean("gen_ai_server_time_to_first_token_seconds", stream="true")
    said_tpot = mean("gen_ai_server_time_per_output_token_seconds")
    print(f"TTFT: client {felt_ttft:.4f} s, gateway {said_ttft:.4f} s; TPOT: {felt_tpot:.5f} s, {said_tpot:.5f} s")
    assert said_ttft < felt_ttft < said_ttft + TOLERANCE
    assert felt_tpot == pytest.approx(said_tpot, rel=RELATIVE)
    assert after.since(before, "naru_inter_token_latency_seconds_count") == gaps
    assert after.since(before, "naru_tokens_total", type="output", tenant="development") == 5 * 32
