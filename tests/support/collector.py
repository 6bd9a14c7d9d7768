"""A collector that takes OTLP over HTTP, in a thread of its own, and keeps what it was sent."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    seconds: float = 0.0
    """How long it takes to answer."""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def spans(self) -> list[tuple[str, Span]]:
        """With the name of the service that each is of."""
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = attributes(resource.resource)["service.name"]
                found += [(str(service), span) for scope in resource.scope_spans for span in scope.spans]
        return found

    def named(self, name: str) -> Span:
        """The one span of this name; waits for it."""
        self.until(lambda: any(span.name == name for _, span in self.spans))
        (span,) = [span for _, span in self.spans if span.name == name]
        return span

    @staticmethod
    def until(complete: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait, in this thread. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not complete():
            if time.monotonic() > deadline:
                raise TimeoutError("spans that should be at the collector are not")
            time.sleep(0.05)


def attributes(of: object) -> dict[str, object]:
    """Of a span or a resource, by name."""
    found: dict[str, object] = {}
    for each in of.attributes:  # type: ignore[attr-defined]
        value: AnyValue = each.value
        found[each.key] = getattr(value, value.WhichOneof("value") or "string_value")
    return found


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            time.sleep(collector.seconds)
            if collector.status == 200:
                collector.bodies.append(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
