"""Outside a cluster: versions answer where the registry says."""

import asyncio
from collections import Counter
from collections.abc import Collection

from services.gateway.registry import Registry, RegistryError, Version
from services.gateway.upstream.discovery.base import NamespaceReport


class Static:
    complete = True

    def __init__(self) -> None:
        self.moved = asyncio.Event()

    def follow(self, registry: Registry) -> None:
        for name, model in registry.models.items():
            for label, version in model.versions.items():
                if version.service is not None:
                    raise RegistryError(
                        f"models.{name}.versions.{label}.service: there is no cluster to look it up in; set "
                        "NARU_GATEWAY__KUBERNETES__KUBECONFIG or NARU_GATEWAY__KUBERNETES__SERVER, or give endpoints"
                    )

    def addresses(self, version: Version) -> Collection[str] | None:
        return version.endpoints

    def states(self, version: Version) -> Counter[str]:  # noqa: ARG002 - nobody says
        return Counter()

    def reports(self) -> Collection[NamespaceReport]:
        return ()

    async def settled(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()
