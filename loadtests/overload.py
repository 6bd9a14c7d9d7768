"""Three times what a model can serve: who is served, who is refused, and whether coming back as told helps.

    python -m loadtests.overload --seconds 60

A mock engine takes as long for each answer, and the gateway lets so many run: that is the capacity. Requests come at
random (Poisson), in equal parts from four classes and three tenants of different weights: first as many as can be
served, then three times as many. Whoever is refused comes back once, when `Retry-After` says; the test waits for them.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from time import perf_counter

import uvloop
import yaml

from loadtests.overload_report import Attempt, Found, Sent, report
from loadtests.processes import Bench, gateway, mock_engine
from loadtests.wire import MODEL, request
from services.gateway.registry import Priority

WEIGHTS = {"small": 1, "middle": 2, "large": 4}
TOKENS, PACE = 10, 0.02
"""Of an answer, and seconds before each."""
CONCURRENCY = 8
CAPACITY = CONCURRENCY / (TOKENS * PACE)
"""Requests a second."""
ADMISSION = {"concurrency": CONCURRENCY, "queue": 4 * CONCURRENCY, "patience": "10s"}
LATE = 0.03
"""Seconds by which a client returns later than it was told, at most."""


@dataclass
class Load:
    """Requests at `rate` a second for so many seconds; of the refused, those told to return within `longest` do."""

    port: int
    rate: float
    seconds: float
    longest: float
    draw: random.Random
    began: float = field(default_factory=perf_counter)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    async def run(self) -> Found:
        kinds = list(product(Priority, WEIGHTS))
        async with asyncio.TaskGroup() as group:
            at = 0.0
            while (at := at + self.draw.expovariate(self.rate)) < self.seconds:
                await asyncio.sleep(self.began + at - perf_counter())
                one = Sent(*self.draw.choice(kinds))
                self.sent.append(one)
                group.create_task(self._live(one, f"{len(self.sent):08}"))
        for _, writer in self.idle:
            writer.close()
        return Found(self.sent, self.began, self.seconds, self.rate)

    async def _live(self, one: Sent, tag: str) -> None:
        body = {"model": MODEL, "stream": True, "user": tag, "messages": [{"role": "user", "content": tag}]}
        data = request(body, key=key(one.priority, one.tenant))
        first = await self._attempt(data)
        one.attempts.append(first)
        if first.retry_after is not None and first.retry_after <= self.longest:
            await asyncio.sleep(first.retry_after + self.draw.uniform(0.0, LATE))
            one.attempts.append(await self._attempt(data))

    async def _attempt(self, data: bytes) -> Attempt:
        reader, writer = await self._connection()
        began = perf_counter()
        writer.write(data)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answered = perf_counter()
        if b" 200 " in head[:16]:
            await reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            found = Attempt(began, answered, perf_counter())
        else:
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            error = json.loads(await reader.readexactly(length))["error"]
            after = int(head.split(b"retry-after:")[1].split(b"\r\n")[0])
            found = Attempt(began, answered, None, after, error["message"])
        self.idle.append((reader, writer))
        return found

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():  # an idle connection is closed after a while
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)


def key(priority: Priority, tenant: str) -> str:
    return f"sk-{tenant}-{priority}"


@contextlib.contextmanager
def served() -> Iterator[Bench]:
    """A gateway with a key for each class of each tenant, in front of the mock engine."""
    keys = [
        {
            "name": f"{tenant}-{priority}", "tenant": tenant, "priority": str(priority),
            "sha256": hashlib.sha256(key(priority, tenant).encode()).hexdigest(),
        } for priority, tenant in product(Priority, WEIGHTS)
    ]  # fmt: skip
    tenants = {tenant: {"weight": weight} for tenant, weight in WEIGHTS.items()}
    with tempfile.TemporaryDirectory() as folder, mock_engine(TOKENS, PACE, 1, late=True) as engine:
        path = Path(folder) / "keys.yaml"
        path.write_text(yaml.safe_dump({"keys": keys, "tenants": tenants}))
        with gateway(engine.ports, keys=path, admission=ADMISSION) as made:
            yield made


async def measure(made: Bench, seconds: float, longest: float, loads: tuple[float, ...] = (1.0, 3.0)) -> list[Found]:
    draw = random.Random(1)
    return [await Load(made.port, load * CAPACITY, seconds, longest, draw).run() for load in loads]


def main() -> None:
    parser = argparse.ArgumentParser(description="Overload: classes, tenants, refusals and returns.")
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two loads")
    parser.add_argument("--longest", type=float, default=300, help="seconds up to which a Retry-After is waited for")
    arguments = parser.parse_args()
    with served() as made:
        at_capacity, over = uvloop.run(measure(made, arguments.seconds, arguments.longest))
    print(f"capacity {CAPACITY:g} requests/s, {arguments.seconds:g} s each")
    if not report(at_capacity, over, WEIGHTS):
        sys.exit(1)


if __name__ == "__main__":
    main()
