"""What every relay of a gateway shares."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.errors import NaruError
from services.gateway.metrics import Metrics
from services.gateway.relay.admission import Admission
from services.gateway.relay.books import Books
from services.gateway.relay.cache.store import Store
from services.gateway.relay.keepalive import KeepAlive
from services.gateway.routing.resilience import Resilience
from services.gateway.tracing.trace import Traces


@dataclass(frozen=True, slots=True)
class RelayContext:
    metrics: Metrics
    books: Books
    resilience: Resilience
    keep_alive: KeepAlive
    admission: Admission
    cache: Store
    """Of the models that have one."""
    migrations: int
    """Times one stream may be continued elsewhere."""
    migration_text: int
    """Bytes of a stream's text that are remembered for it."""
    max_answer: int
    max_event: int
    traces: Traces
    describe: Callable[[NaruError], dict[str, object]]
    """An error's fields as the API's error object has them."""
