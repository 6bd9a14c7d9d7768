"""Discovery alone, without a gateway around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.gateway.registry import Registry, Version
from services.gateway.routing.dispatch import seeded
from services.gateway.settings import KubernetesSettings
from services.gateway.upstream.discovery.base import NamespaceReport
from services.gateway.upstream.discovery.kubernetes import Kubernetes
from tests.gateway.discovery.clusters import registry, until
from tests.support.kubernetes import ApiServer

VERSION = Version(service="llm")


@dataclass
class Following:
    discovery: Kubernetes

    @property
    def known(self) -> list[str]:
        """The hosts of the Service's pods."""
        urls = self.discovery.addresses(VERSION) or ()
        return [url.removeprefix("http://").rpartition(":")[0] for url in urls]

    @property
    def report(self) -> NamespaceReport:
        (report,) = self.discovery.reports()
        return report

    async def until(self, *hosts: str) -> None:
        await until(lambda: self.known == list(hosts))

    async def until_connected(self) -> None:
        await until(lambda: self.report.connected)

    async def until_fault(self, kind: str, count: int = 1) -> None:
        await until(lambda: self.report.faults[kind] >= count)


@contextlib.asynccontextmanager
async def following(server: ApiServer, folder: Path, **settings: Any) -> AsyncIterator[Following]:
    """One Service `llm`, which is followed."""
    files = {"token_file": folder / "token", "ca_file": folder / "ca.crt"}
    reached = {} if "kubeconfig" in settings else {"server": server.url}
    made = Kubernetes(
        KubernetesSettings.model_validate({"watch": 30, "longest_retry": 0.2, **reached, **files, **settings}),
        seeded(1),
    )
    made.follow(Registry.model_validate(registry("llm")))
    running = asyncio.create_task(made.run())
    try:
        yield Following(made)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
