"""One Service's pods on loopback, each a process at an address of its own, with the life that Kubernetes gives a pod.

What a Deployment's controller, a kubelet and the EndpointSlice controller do is done here, in their order: a pod is
announced as not ready while it loads, as ready once its probe passes, and as terminating before it gets SIGTERM; what
is left after its grace is killed; then it is gone from the slice.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import httpx

from tests.support.kubernetes import ApiServer, endpoint_slice, pod

PROBE = 0.1
"""Seconds between two readiness probes."""
GRACE = 40.0
"""Seconds from SIGTERM to SIGKILL: the services' drain of 30, and ten for them to end, as the chart counts."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What runs in the pods, and what the registry says of it."""

    task: str
    module: str
    health: str
    arguments: Sequence[str] = ()
    by_environment: str = ""
    """Where not empty, host and port are given as `NARU_<this>__HOST` and `__PORT`."""
    variables: Mapping[str, str] = field(default_factory=dict)

    def command(self, host: str, port: int) -> tuple[list[str], dict[str, str]]:
        address = {"HOST": host, "PORT": str(port)}
        if self.by_environment:
            variables = {f"NARU_{self.by_environment}__{name}": value for name, value in address.items()}
            return [sys.executable, "-m", self.module, *self.arguments], {**variables, **self.variables}
        options = [part for name, value in address.items() for part in (f"--{name.lower()}", value)]
        return [sys.executable, "-m", self.module, *options, *self.arguments], {}


@dataclass(eq=False, slots=True)
class Pod:
    host: str
    node: str
    process: asyncio.subprocess.Process
    ready: bool = False
    terminating: float | None = None
    """`monotonic()` since when."""
    killed: bool = False
    """Its grace was not enough."""


@dataclass(slots=True)
class Deployment:
    """Pods behind one Service, all on one port."""

    server: ApiServer
    kind: Kind
    port: int
    service: str = "llm"
    pre_stop: float = 0.5
    """Seconds from the announcement that a pod terminates to its SIGTERM: a `preStop` hook's sleep."""
    pods: list[Pod] = field(default_factory=list)
    gone: list[Pod] = field(default_factory=list)
    _addresses: "itertools.count[int]" = field(default_factory=lambda: itertools.count(2))

    async def scale(self, count: int, node: str = "a") -> None:
        """Returns once all are ready, or gone."""
        alive = [each for each in self.pods if each.terminating is None]
        await asyncio.gather(
            *(self.start(node) for _ in range(count - len(alive))), *(self.stop(each) for each in alive[count:])
        )

    async def roll(self) -> None:
        """A rolling update with `maxSurge: 1, maxUnavailable: 0`: each old pod leaves once a new one is ready."""
        leaving = []
        for old in [each for each in self.pods if each.terminating is None]:
            await self.start(old.node)
            leaving.append(asyncio.create_task(self.stop(old)))
        await asyncio.gather(*leaving)

    async def replace(self) -> None:
        """In place, as where no second GPU is free: the old pods leave before the new ones come."""
        count = len(self.pods)
        await self.scale(0)
        await self.scale(count)

    async def drain(self, node: str, to: str) -> None:
        """Evict every pod of a node, one after the other as a PodDisruptionBudget of `maxUnavailable: 1` allows."""
        leaving = [each for each in self.pods if each.node == node and each.terminating is None]
        evicted = []
        for each in leaving:
            evicted.append(asyncio.create_task(self.stop(each)))
            await self.start(to)
        await asyncio.gather(*evicted)

    async def start(self, node: str) -> Pod:
        host = f"127.0.0.{next(self._addresses)}"
        command, variables = self.kind.command(host, self.port)
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **variables}, stdout=quiet, stderr=quiet, start_new_session=True
        )
        made = Pod(host, node, process)
        self.pods.append(made)
        await self._announce()
        async with httpx.AsyncClient(base_url=f"http://{host}:{self.port}", timeout=5) as client:
            while not await self._probe(client):
                if process.returncode is not None:
                    raise RuntimeError(f"a pod of {self.kind.module} ended with {process.returncode}")
                await asyncio.sleep(PROBE)
        made.ready = True
        await self._announce()
        return made

    async def stop(self, made: Pod) -> None:
        made.terminating = monotonic()
        await self._announce()
        await asyncio.sleep(self.pre_stop)
        await self.end(made)
        self.pods.remove(made)
        self.gone.append(made)
        await self._announce()

    async def end(self, made: Pod) -> None:
        """As a kubelet does: SIGTERM to the first process alone, and with it, or with its grace, all others end."""
        with contextlib.suppress(ProcessLookupError):
            made.process.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await made.process.wait()
        except TimeoutError:
            made.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made.process.pid, signal.SIGKILL)
        await made.process.wait()

    async def close(self) -> None:
        await asyncio.gather(*(self.end(each) for each in self.pods))

    async def _probe(self, client: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(self.kind.health)).status_code == 200
        return False

    async def _announce(self) -> None:
        each = (
            pod(made.host, ready=made.ready and made.terminating is None, serving=made.ready,
                terminating=made.terminating is not None)
            for made in self.pods
        )  # fmt: skip
        await self.server.put(endpoint_slice(self.service, *each, port=self.port))
