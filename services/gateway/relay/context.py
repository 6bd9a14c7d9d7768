"""What every relay of a gateway shares."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.errors import NaruError
from services.gateway.metrics import Metrics, VersionMetrics
from services.gateway.relay.keepalive import KeepAlive
from services.gateway.request_log import RequestLog
from services.gateway.routing.resilience import Resilience
from services.gateway.upstream.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class RelayContext:
    metrics: Metrics
    log: RequestLog
    instruments: Callable[[str, Endpoint], VersionMetrics]
    """The instruments of an operation on an endpoint's version."""
    resilience: Resilience
    keep_alive: KeepAlive
    migrations: int
    """Times one stream may be continued elsewhere."""
    migration_text: int
    """Characters of a stream that are remembered for it."""
    max_answer: int
    max_event: int
    describe: Callable[[NaruError], dict[str, object]]
    """An error's fields as the API's error object has them."""
