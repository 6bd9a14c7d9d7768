"""`grpc.health.v1`: a service is served while this gateway takes calls and some model of its task is ready,
or is started for the requests that come.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md . Read when asked, so it is never out of date; nobody
needs a key for it.
"""

import asyncio
from collections.abc import Collection, Mapping

from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse

from services.gateway.api.grpc.visit import Context
from services.gateway.policy.drain import Drain
from services.gateway.registry import Task
from services.gateway.routing.fleet import LiveFleet

GATEWAY = ""
"""The name under which the gateway as a whole is asked for."""
PACE = 0.5
"""Seconds between two looks of a watch."""


class HealthServicer:
    def __init__(self, live: LiveFleet, drain: Drain, tasks: Mapping[str, Collection[Task]]) -> None:
        """`tasks`: a service's full name to the tasks that it makes reachable."""
        self._live, self._drain, self._tasks = live, drain, tasks

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:  # noqa: N802
        status = self._status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(StatusCode.NOT_FOUND, "there is no such service; reflection lists what there is")
        return HealthCheckResponse(status=status)

    async def Watch(self, request: HealthCheckRequest, context: Context) -> None:  # noqa: N802
        last = None
        while True:
            # Read before the status is: a drain that begins during the write is still to be told.
            draining = self._drain.draining
            status = self._status(request.service)
            if status != last:
                await context.write(HealthCheckResponse(status=status))
                last = status
            if draining:
                return
            await asyncio.sleep(PACE)

    async def List(self, request: HealthListRequest, context: Context) -> HealthListResponse:  # noqa: ARG002, N802
        names = (GATEWAY, *self._tasks)
        return HealthListResponse(statuses={name: HealthCheckResponse(status=self._status(name)) for name in names})

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service != GATEWAY and service not in self._tasks:
            return HealthCheckResponse.SERVICE_UNKNOWN
        ready = service == GATEWAY or any(
            pool.accepting for pool in self._live.fleet.models.values() if pool.task in self._tasks[service]
        )
        serving = ready and not self._drain.draining
        return HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
