"""Rolling update, scale to zero and back, node drain, replacement in place: no request may fail.

    python -m loadtests.cluster                     # scripted models, five simulations
    python -m loadtests.cluster --model sentiment   # the real sentiment service in the pods
    python -m loadtests.cluster --model llm         # the real vLLM

The gateway is a process of its own that watches an API server which speaks the real protocol; the models are processes
that come and go (`pods.py`). Clients ask without a pause, every second one for a stream, and check each answer whole.
Exits with 1 where a request failed, or reached a pod that had been announced as terminating.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import httpx
import yaml

from loadtests.pods import Deployment, Kind
from loadtests.processes import get, process, until
from loadtests.wire import KEY
from tests.support.kubernetes import ApiServer, api_server
from tests.support.ports import free_ports
from tests.support.samples import parse

MODEL = "m"
TOKENS = 20
SEEN = 0.25
"""Seconds after which a gateway must have seen an announcement."""
IDLE = 1.0
"""Seconds without a request after which the autoscaler takes the last pod away."""
POLL = 0.25
"""Seconds between two looks of the autoscaler's at the gateway's metrics."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One kind of model: what runs, what it is asked, and whether it was answered whole."""

    kind: Kind
    path: str
    body: Callable[[bool], dict[str, Any]]
    """By whether it is for a stream."""
    whole: Callable[[bool, bytes], bool]


def chat(load: float, pace: float) -> Asking:
    options = ["--load", str(load), "--tokens", str(TOKENS), "--pace", str(pace)]
    messages = [{"role": "user", "content": "count"}]
    return Asking(
        Kind("chat", "loadtests.pod", "/health", options), "/v1/chat/completions",
        lambda stream: {"model": MODEL, "messages": messages, "stream": stream}, _whole_chat,
    )  # fmt: skip


def _whole_chat(stream: bool, answer: bytes) -> bool:
    if stream:
        events = [line for line in answer.split(b"\n\n") if line.startswith(b"data: {")]
        numbers = [json.loads(event[6:]).get("choices", [])[:1] for event in events]
        text = "".join(choice[0]["delta"].get("content", "") for choice in numbers if choice)
        return text == "".join(f"{n} " for n in range(TOKENS)) and answer.endswith(b"data: [DONE]\n\n")
    return bool(json.loads(answer)["usage"]["completion_tokens"] == TOKENS)


def sentiment() -> Asking:
    return Asking(
        Kind("sentiment", "services.sentiment", "/readyz", by_environment="SENTIMENT"), "/v1/sentiment",
        lambda _: {"model": MODEL, "input": "What a lovely day"},
        lambda _, answer: json.loads(answer)["results"][0]["label"] == "positive",
    )  # fmt: skip


def llm() -> Asking:
    messages = [{"role": "user", "content": "Count to five."}]
    variables = {
        "NARU_LLM__SERVED_NAME": MODEL, "NARU_LLM__MAX_MODEL_LEN": "512",
        # vLLM binds its work to cores, and two pods on one machine to the same ones.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    kind = Kind("chat", "services.llm", "/health", by_environment="LLM", variables=variables)
    return Asking(
        kind, "/v1/chat/completions",
        lambda stream: {"model": MODEL, "messages": messages, "stream": stream, "max_tokens": TOKENS},
        lambda stream, answer: answer.endswith(b"data: [DONE]\n\n") if stream else b'"usage"' in answer,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    began: float
    seconds: float
    host: str
    """The pod's."""
    stream: bool


@dataclass(slots=True)
class Found:
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    late: int = 0
    """Requests that reached a pod which had been announced as terminating."""
    started: int = 0
    stopped: int = 0
    finished_while_leaving: int = 0
    """Answers that ended after their pod was announced as terminating."""
    migrated: int = 0
    retried: int = 0
    held: int = 0
    """The most that waited at once for a model without a pod."""

    def judge(self, deployment: Deployment) -> None:
        ends = {made.host: made.terminating for made in deployment.gone}
        for answer in self.answers:
            end = ends.get(answer.host)
            if end is not None:
                self.late += answer.began > end + SEEN
                self.finished_while_leaving += answer.began + answer.seconds > end
        killed = [made.host for made in deployment.gone if made.killed]
        self.failures += [f"the pod {host} did not end within its grace" for host in killed]
        self.started, self.stopped = len(deployment.pods) + len(deployment.gone), len(deployment.gone)

    @property
    def row(self) -> str:
        seconds = sorted(answer.seconds for answer in self.answers)
        longest = f"{median(seconds):.2f}, {seconds[-1]:.2f} s" if seconds else ""
        streams = sum(answer.stream for answer in self.answers)
        return (
            f"{len(seconds)} ({streams}) | {len(self.failures)} | {self.late} | {self.started}, {self.stopped} | "
            f"{self.finished_while_leaving} | {self.retried}, {self.migrated} | {self.held} | "
            f"{longest}"
        )


HEAD = (
    "| simulation | answers (streams) | failed | sent to a leaving pod | pods started, stopped | finished on a leaving "
    "pod | retried, migrated | held at once | answer: median, longest |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Load:
    clients: int
    pods: int
    times: int
    """How often what is simulated happens."""


@dataclass(slots=True)
class Simulation:
    """A gateway, a cluster, and clients."""

    asking: Asking
    load: Load
    deployment: Deployment
    client: httpx.AsyncClient
    admin: int
    found: Found = field(default_factory=Found)
    asked: int = 0

    async def ask(self) -> None:
        self.asked += 1
        stream, began = self.asked % 2 == 0, monotonic()
        try:
            answer = await self.client.post(self.asking.path, json=self.asking.body(stream))
        except httpx.TransportError as error:
            self.found.failures.append(repr(error))
            return
        if answer.status_code != 200 or not self.asking.whole(stream, answer.content):
            self.found.failures.append(f"{answer.status_code}: {answer.text[-300:]}")
            return
        # The head of a stream that was held for longer than clients stay silent went out before it had an endpoint.
        host = answer.headers.get("x-naru-endpoint", "").rpartition(":")[0]
        self.found.answers.append(Answer(began, monotonic() - began, host, stream))

    @contextlib.asynccontextmanager
    async def asking_clients(self) -> AsyncIterator[None]:
        """Around whatever is done inside, and for a moment before and after."""
        stopped = asyncio.Event()

        async def keep_asking() -> None:
            while not stopped.is_set():
                await self.ask()

        tasks = [asyncio.create_task(keep_asking()) for _ in range(self.load.clients)]
        try:
            await asyncio.sleep(1)
            yield
            await asyncio.sleep(1)
        finally:
            stopped.set()
            await asyncio.gather(*tasks)

    def metric(self, name: str, **labels: str) -> float:
        return parse(get(self.admin, "/metrics")).sum(name, **labels)

    async def watch_metrics(self) -> dict[str, float]:
        names = ("naru_queue_depth", "naru_inflight_requests", "naru_model_activating")
        page = parse(await asyncio.to_thread(get, self.admin, "/metrics"))
        return {name: page.sum(name, model=MODEL) for name in names}

    async def autoscale(self) -> None:
        """As KEDA does by the gateway's metrics: from zero to one while anybody waits, back when all is quiet."""
        busy = monotonic()
        while True:
            seen = await self.watch_metrics()
            self.found.held = max(self.found.held, int(seen["naru_queue_depth"]))
            if any(seen.values()):
                busy = monotonic()
            pods = [each for each in self.deployment.pods if each.terminating is None]
            if seen["naru_queue_depth"] and not pods:
                await self.deployment.scale(1)
            elif pods and monotonic() - busy > IDLE:
                await self.deployment.scale(0)
            await asyncio.sleep(POLL)


async def rolling_update(made: Simulation) -> None:
    await made.deployment.scale(made.load.pods)
    async with made.asking_clients():
        for _ in range(made.load.times):
            await made.deployment.roll()


async def rolling_update_without_notice(made: Simulation) -> None:
    """Without a `preStop` hook: SIGTERM comes with the announcement."""
    made.deployment.pre_stop = 0
    await rolling_update(made)


async def node_drain(made: Simulation) -> None:
    await made.deployment.scale(made.load.pods, "a")
    await made.deployment.scale(made.load.pods + 1, "b")
    async with made.asking_clients():
        for turn in range(made.load.times):
            node, to = ("ab", "ba")[turn % 2]
            await made.deployment.drain(node, to)


async def in_place(made: Simulation) -> None:
    await made.deployment.scale(1)
    looking = asyncio.create_task(_look(made))
    async with made.asking_clients():
        for _ in range(made.load.times):
            await made.deployment.replace()
            await asyncio.sleep(1)
    looking.cancel()


async def _look(made: Simulation) -> None:
    while True:
        made.found.held = max(made.found.held, int((await made.watch_metrics())["naru_queue_depth"]))
        await asyncio.sleep(POLL / 5)


async def to_zero_and_back(made: Simulation) -> None:
    """Every second time the next requests come as the last pod is told to leave, otherwise once it is gone."""
    scaler = asyncio.create_task(made.autoscale())
    for turn in range(made.load.times + 1):
        await asyncio.gather(*(made.ask() for _ in range(made.load.clients)))
        while any(each.terminating is None or turn % 2 for each in made.deployment.pods):
            await asyncio.sleep(0.01)
    scaler.cancel()


SIMULATIONS: dict[str, Callable[[Simulation], Awaitable[None]]] = {
    "rolling update": rolling_update,
    "rolling update without preStop": rolling_update_without_notice,
    "node drain": node_drain,
    "replaced in place": in_place,
    "scale to zero and back": to_zero_and_back,
}


@contextlib.asynccontextmanager
async def gateway(server: ApiServer, asking: Asking, activation: float) -> AsyncIterator[tuple[int, int]]:
    """Its HTTP and admin ports."""
    port, grpc, admin = free_ports(3)
    entry = {
        "task": asking.kind.task, "versions": {"v1": {"service": "llm"}}, "activation": {"timeout": activation},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "registry.yaml"
        registry.write_text(yaml.safe_dump({"models": {MODEL: entry}}))
        variables = {
            "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(registry),
            "NARU_GATEWAY__HTTP__PORT": str(port), "NARU_GATEWAY__GRPC__PORT": str(grpc),
            "NARU_GATEWAY__ADMIN__PORT": str(admin), "NARU_GATEWAY__KUBERNETES__SERVER": server.url,
        }  # fmt: skip
        with process([sys.executable, "-m", "services.gateway"], variables):
            ready = asyncio.to_thread(until, lambda: "true" in get(admin, "/readyz"), "the gateway does not start", 60)
            await ready
            yield port, admin


async def simulate(name: str, asking: Asking, load: Load, activation: float = 600) -> Found:
    """Raises TimeoutError where the gateway does not start."""
    async with api_server() as server, gateway(server, asking, activation) as (port, admin):
        deployment = Deployment(server, asking.kind, free_ports(1)[0])
        headers = {"authorization": f"Bearer {KEY}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=activation + 10, limits=limits
        ) as client:
            made = Simulation(asking, load, deployment, client, admin)
            try:
                await SIMULATIONS[name](made)
            finally:
                await deployment.close()
            made.found.retried = int(made.metric("naru_retries_total"))
            made.found.migrated = int(made.metric("naru_migrations_total", outcome="continued"))
        made.found.judge(deployment)
        return made.found


def main() -> None:
    parser = argparse.ArgumentParser(description="Pods come and go, and no request fails.")
    parser.add_argument("--model", choices=["scripted", "sentiment", "llm"], default="scripted")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--times", type=int, default=3, help="how often what is simulated happens")
    parser.add_argument("--simulation", choices=SIMULATIONS, action="append", help="one or more; all of them otherwise")
    asked = parser.parse_args()
    asking = {"scripted": chat(load=2, pace=0.05), "sentiment": sentiment(), "llm": llm()}[asked.model]
    bad = []
    print(HEAD)
    for name in asked.simulation or SIMULATIONS:
        found = asyncio.run(simulate(name, asking, Load(asked.clients, asked.pods, asked.times)))
        print(f"| {name} | {found.row} |", flush=True)
        said = [f"{found.late} requests were sent to a pod that was leaving"] if found.late else []
        said += found.failures
        # At once: a later simulation that ends badly must not take them with it.
        for each in said[:20]:
            print(f"{name}: {each}", file=sys.stderr, flush=True)
        bad += said
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
