"""The metrics say what a client clocked itself for the same requests."""

import time
from dataclasses import dataclass

import openai
import pytest

from tests.stack.conftest import MODEL, Stack

pytestmark = pytest.mark.stack

TOLERANCE = 0.015
"""Seconds of TTFT between the gateway's clock and a client's, on one machine: the client's own parsing and wake-up on
two cores that the engine keeps busy. Usually 3 ms."""
RELATIVE = 0.05
"""Of TPOT: both ends lose the same few milliseconds over the whole stream."""
ROUNDS = 6
"""Of which one must agree: in the others this client may have had to wait for a core."""


@dataclass(frozen=True)
class Times:
    """Seconds, means of five answers."""

    ttft: float
    tpot: float


def test_ttft_and_tpot_are_what_the_client_felt(client: openai.OpenAI, stack: Stack) -> None:
    found: list[tuple[Times, Times]] = []
    while not (found and agree(*found[-1])):
        assert len(found) < ROUNDS, found
        found.append(five_answers(client, stack))


def agree(felt: Times, said: Times) -> bool:
    return said.ttft < felt.ttft < said.ttft + TOLERANCE and felt.tpot == pytest.approx(said.tpot, rel=RELATIVE)


def five_answers(client: openai.OpenAI, stack: Stack) -> tuple[Times, Times]:
    """What the client clocked, and what the gateway says of the same answers."""
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

    assert after.since(before, "naru_inter_token_latency_seconds_count") == gaps
    assert after.since(before, "naru_tokens_total", type="output", tenant="development") == 5 * 32
    said = mean("gen_ai_server_time_to_first_token_seconds", stream="true")
    return Times(sum(ttft) / 5, sum(tpot) / 5), Times(said, mean("gen_ai_server_time_per_output_token_seconds"))
