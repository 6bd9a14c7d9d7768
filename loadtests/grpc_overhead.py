"""What a streamed answer costs over gRPC and over HTTP: the same load on one gateway, in turns, with a mock engine.

    python -m loadtests.grpc_overhead --streams 64

The engine's first token takes a pace, like the others. TTFT is as each kind of client sees it and as the gateway's own
metric has it; CPU is the gateway's, in seconds for 10,000 tokens. Over HTTP every stream has a connection of its own,
over gRPC they share `--channels` of them, as each protocol's clients do. Every client waits a random part of `--think`
before each request.
"""

import argparse
import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

import grpc
import uvloop

from loadtests.clients import Client, Timing
from loadtests.processes import Bench, cpu_seconds, gateway, mock_engine
from loadtests.wire import KEY, MODEL
from services.common.pb.naru.v1 import chat_pb2 as pb
from tests.support.samples import parse

QUESTION = "Say something about ferries."
TTFT = "gen_ai_server_time_to_first_token_seconds"

Method: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"
Ask = Callable[[], Awaitable[Timing]]


@dataclass
class Found:
    """What one transport came to over all rounds."""

    timings: list[Timing] = field(default_factory=list)
    cpu: float = 0.0
    """The gateway's CPU seconds."""
    own_ttft: float = 0.0
    """The sum of the TTFTs that the gateway measured, seconds."""


def http_asks(made: Bench, arguments: argparse.Namespace) -> list[Ask]:
    body: dict[str, object] = {
        "model": MODEL, "stream": True, "max_tokens": arguments.tokens, "temperature": 0,
        "messages": [{"role": "user", "content": QUESTION}],
    }  # fmt: skip

    def ask(client: Client) -> Ask:
        return lambda: client.stream(body)

    return [ask(Client(made.gateway, KEY)) for _ in range(arguments.streams)]


async def grpc_asks(made: Bench, arguments: argparse.Namespace, stack: AsyncExitStack) -> list[Ask]:
    message = pb.ChatMessage(role=pb.ROLE_USER, content=QUESTION)
    chat = pb.ChatRequest(model=MODEL, messages=[message], max_tokens=arguments.tokens, temperature=0)
    request = pb.StreamChatRequest(chat=chat).SerializeToString()

    async def connected() -> Method:
        # A channel of one target is shared in one process unless it is told otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(made.grpc, options=options))
        return channel.unary_stream("/naru.v1.ChatService/StreamChat")

    def ask(method: Method) -> Ask:
        return lambda: grpc_stream(method(request, metadata=(("authorization", f"Bearer {KEY}"),)))

    methods = [await connected() for _ in range(min(arguments.channels, arguments.streams))]
    return [ask(methods[number % len(methods)]) for number in range(arguments.streams)]


async def grpc_stream(call: "grpc.aio.UnaryStreamCall[bytes, bytes]") -> Timing:
    """One streamed answer, to its end; messages are read only until the first content has come."""
    began, first = perf_counter(), 0.0
    async for data in call:
        if not first and any(choice.delta.content for choice in pb.StreamChatResponse.FromString(data).choices):
            first = perf_counter()
    return Timing(first - began, perf_counter() - began)


async def measure(made: Bench, arguments: argparse.Namespace) -> dict[str, Found]:
    async with AsyncExitStack() as stack:
        asks = {"HTTP": http_asks(made, arguments), "gRPC": await grpc_asks(made, arguments, stack)}
        found = {name: Found() for name in asks}
        for turn in range(arguments.rounds + 1):
            for name, clients in asks.items():
                taken = await one_round(made, clients, arguments)
                if turn:  # the first round warms up
                    found[name].timings += taken.timings
                    found[name].cpu += taken.cpu
                    found[name].own_ttft += taken.own_ttft
    return found


async def one_round(made: Bench, clients: list[Ask], arguments: argparse.Namespace) -> Found:
    own, used = parse(made.metrics()), cpu_seconds(made.pid)
    answers = await asyncio.gather(*(one_client(ask, arguments) for ask in clients))
    cpu, now = cpu_seconds(made.pid) - used, parse(made.metrics())
    timings = [timing for answer in answers for timing in answer]
    return Found(timings, cpu, now.since(own, f"{TTFT}_sum"))


async def one_client(ask: Ask, arguments: argparse.Namespace) -> list[Timing]:
    timings = []
    for _ in range(arguments.repeat):
        await asyncio.sleep(random.uniform(0, arguments.think))
        timings.append(await ask())
    return timings


def report(found: dict[str, Found], arguments: argparse.Namespace) -> None:
    print(f"{arguments.streams} concurrent streams, {len(found['HTTP'].timings)} answers of {arguments.tokens} tokens")
    print("| | TTFT p50, ms | TTFT p99, ms | TTFT in the gateway, mean, ms | CPU s for 10,000 tokens |")
    print("|---|---|---|---|---|")
    for name, measured in found.items():
        ttfts = statistics.quantiles([timing.ttft * 1000 for timing in measured.timings], n=100, method="inclusive")
        answers = len(measured.timings)
        cpu = measured.cpu / (answers * arguments.tokens) * 10_000
        own = measured.own_ttft / answers * 1000
        print(f"| {name} | {ttfts[49]:.2f} | {ttfts[98]:.2f} | {own:.2f} | {cpu:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="A streamed answer over gRPC and over HTTP, through one gateway.")
    parser.add_argument("--streams", type=int, default=8, help="concurrent streams")
    parser.add_argument("--channels", type=int, default=8, help="gRPC connections that the streams share")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each over both transports")
    parser.add_argument("--repeat", type=int, default=5, help="answers per stream and round")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two tokens, and before the first")
    parser.add_argument("--think", type=float, default=0.1, help="seconds a client waits at most between two requests")
    arguments = parser.parse_args()
    with mock_engine(arguments.tokens, arguments.pace, late=True) as engine, gateway(engine.ports) as made:
        report(uvloop.run(measure(made, arguments)), arguments)


if __name__ == "__main__":
    main()
