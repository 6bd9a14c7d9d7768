"""Outlier ejection: endpoints judged by how they answer real requests, beside what their health checks say."""

import logging
from collections.abc import Sequence

from services.common.logs import log
from services.gateway.metrics import Metrics
from services.gateway.upstream.circuit import CircuitPolicy
from services.gateway.upstream.endpoint import Endpoint

logger = logging.getLogger("naru.gateway")


class Outliers:
    """Opens circuits, but never those of more than a share of a version's endpoints.

    Where many of them fail at once, the fault is not an outlier's, and to send everything to the few that are left
    would take those down too.
    """

    def __init__(self, policy: CircuitPolicy, share: float, metrics: Metrics) -> None:
        self._policy, self._share, self._metrics = policy, share, metrics

    def failed(self, endpoint: Endpoint, pool: Sequence[Endpoint], *, probe: bool) -> None:
        """`endpoint`, one of `pool`, broke an answer or gave a server's error."""
        if not endpoint.circuit.failed(self._policy, probe=probe):
            return
        if not probe and not self._may_eject(endpoint, pool):
            return
        seconds = endpoint.circuit.open(self._policy)
        self._metrics.ejections.labels(endpoint.model, endpoint.authority).inc()
        log(
            logger, logging.WARNING, "endpoint is ejected", model=endpoint.model, version=endpoint.version,
            endpoint=endpoint.authority, seconds=seconds,
        )  # fmt: skip

    def _may_eject(self, endpoint: Endpoint, pool: Sequence[Endpoint]) -> bool:
        version = [other for other in pool if other.version == endpoint.version]
        ejected = sum(not other.circuit.closed for other in version)
        return ejected + 1 <= self._share * len(version)
