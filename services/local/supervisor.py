"""Starts the services of a plan, watches them, restarts what dies with back-off, and stops everything in order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from services.local import state
from services.local.child import Child
from services.local.plan import Plan, Service

LONGEST_PAUSE = 30.0
SETTLED = 60.0
"""Seconds of being ready after which a service's earlier failures are forgotten."""
POLL = 0.25
GATEWAY_LAG = 5.0
"""Seconds the gateway may take to see that the last endpoint is ready."""

Say = Callable[[str, str], None]
"""Takes a service's name and a line."""


def pause_after(failures: int) -> float:
    """Back-off in seconds: 1, 2, 4, … 30."""
    return float(min(LONGEST_PAUSE, 2.0 ** max(0, failures - 1)))


@dataclass
class Supervisor:
    plan: Plan
    say: Say
    """Where the services' own lines go."""
    tell: Callable[[str], None]
    """Where the supervisor's lines go."""
    on_ready: Callable[[], None]
    """Called once, when everything is ready for the first time."""
    _children: dict[str, Child] = field(default_factory=dict)
    _states: dict[str, state.ServiceState] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _announced: bool = False

    async def run(self) -> None:
        """Until SIGINT or SIGTERM; a second one stops without grace."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        for service in self.plan.services:
            self._enter(service.name, "waiting")
        watching = [asyncio.create_task(self._keep(service)) for service in self.plan.services]
        await self._stopping.wait()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await self._stop_all()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _keep(self, service: Service) -> None:
        """Prepare, start, watch; again after a failure."""
        while True:
            failed = await self._prepare(service) or await self._live(service)
            current = self._states[service.name]
            failures = current.failures + 1
            pause = pause_after(failures)
            self.tell(f"{service.name} {failed}; starting it again in {pause:g} s. Its last lines:")
            for line in self._last_lines(service.name):
                self.tell(f"    {line}")
            self._enter(service.name, "restarting", failures=failures, detail=failed)
            await asyncio.sleep(pause)

    def _last_lines(self, name: str) -> list[str]:
        child = self._children.pop(name, None)
        return list(child.last) if child else []

    async def _prepare(self, service: Service) -> str:
        """Why it failed, or nothing."""
        if service.prepare is None:
            return ""
        self._enter(service.name, "preparing")
        child = await self._start(service, service.prepare)
        code = await child.wait()
        return "" if code == 0 else f"could not be prepared (exit code {code})"

    async def _live(self, service: Service) -> str:
        """Start it and wait for its end: how it ended."""
        began = time.monotonic()
        child = await self._start(service, service.command)
        self._enter(service.name, "starting", process=state.Process.of(child.pid))
        ending = asyncio.create_task(child.wait())
        try:
            await self._until_ready(service, ending)
            if not ending.done():
                ready = time.monotonic()
                self.tell(f"{service.name} is ready after {ready - began:.1f} s")
                self._enter(service.name, "ready", process=self._states[service.name].process)
                await self._announce()
                await ending
                if time.monotonic() - ready > SETTLED:
                    self._states[service.name].failures = 0
        finally:
            ending.cancel()
        code = ending.result()
        return f"died ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"

    async def _start(self, service: Service, command: tuple[str, ...]) -> Child:
        child = await Child.start(command, service.variables, lambda line: self.say(service.name, line))
        self._children[service.name] = child
        return child

    async def _until_ready(self, service: Service, ending: asyncio.Task[int]) -> None:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while not ending.done():
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(service.ready_url)).status_code == 200:
                        return
                await asyncio.wait([ending], timeout=POLL)

    async def _announce(self) -> None:
        if self._announced or any(s.phase != "ready" for s in self._states.values()):
            return
        await self._until_gateway_knows()
        self._announced = True
        self._save()
        self.on_ready()

    async def _until_gateway_knows(self) -> None:
        """The gateway finds an endpoint ready at its next health check: a request before that would be refused."""
        deadline = time.monotonic() + GATEWAY_LAG
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.HTTPError, KeyError):
                    if all((await client.get(f"{self.plan.admin}/readyz")).json()["models"].values()):
                        return
                await asyncio.sleep(POLL)

    def _enter(
        self, name: str, phase: str, *, process: state.Process | None = None, failures: int | None = None,
        detail: str = "",
    ) -> None:  # fmt: skip
        old = self._states.get(name)
        kept = (old.failures if old else 0) if failures is None else failures
        self._states[name] = state.ServiceState(
            phase=phase, since=time.time(), process=process, failures=kept, detail=detail
        )
        self._save()

    def _save(self) -> None:
        me = os.getpid()
        state.write(
            state.StackState(
                pid=me,
                supervisor=state.Process.of(me),
                gateway=self.plan.gateway,
                services=dict(self._states),
                ready=self._announced,
            )
        )

    async def _stop_all(self) -> None:
        """In the plan's order: the gateway drains before what it calls goes away."""
        for service in self.plan.services:
            child = self._children.get(service.name)
            if child is None:
                continue
            self.tell(f"stopping {service.name}")
            stopping = asyncio.create_task(child.stop(service.grace))
            hurry = asyncio.create_task(self._hurry.wait())
            await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                state.kill_group(child.pid, signal.SIGKILL)
            await stopping
            hurry.cancel()
            self._enter(service.name, "stopped")
        state.path().unlink(missing_ok=True)
