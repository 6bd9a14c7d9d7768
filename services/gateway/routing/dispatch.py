"""Dispatch: one request to an endpoint, and the only retry there is.

Another endpoint is tried only while no byte of an answer has come and the clock is not the reason. An endpoint that
refused the connection never saw the request; one that died before its first byte can at worst have begun work that
its death ended. A timeout is never retried: the next endpoint would be given the load that the first could not carry.
"""

import random
from collections.abc import Callable

from services.common.errors import NoHealthyEndpoint, UpstreamError, UpstreamTimeout
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import Hints
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers, Sink
from services.gateway.upstream.limits import Limits

RETRY_AFTER = 2
"""Seconds after which a client may ask again: health checks see a recovered endpoint sooner."""


class Dispatch:
    """Carries a request to its sink's answer. `encode` gives the request's bytes for the endpoint that was chosen."""

    def __init__(  # noqa: PLR0913, PLR0917 - where to, what, for whom, how long, how often
        self, pool: ModelPool, hints: Hints, encode: Callable[[Endpoint], bytes], sink: Sink,
        limits: Limits, retries: int,
    ) -> None:  # fmt: skip
        self._pool, self._hints = pool, hints
        self._encode, self._limits, self._retries = encode, limits, retries
        self._sink: Sink | None = sink
        self._exchange: Exchange | None = None
        self._tried: frozenset[Endpoint] = frozenset()

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the request is, or went last."""
        return self._exchange.endpoint if self._exchange else None

    @property
    def exchange(self) -> Exchange | None:
        return self._exchange

    def start(self) -> None:
        """Begin the first attempt. Raises NoHealthyEndpoint."""
        endpoint = self._pool.pick(self._hints, self._tried)
        if endpoint is None:
            raise no_endpoint(self._pool.name, self._hints.version)
        self._attempt(endpoint)

    def cancel(self) -> None:
        self._sink = None
        if self._exchange is not None:
            self._exchange.cancel()

    def _attempt(self, endpoint: Endpoint) -> None:
        self._tried |= {endpoint}
        self._exchange = Exchange(endpoint, self._encode(endpoint), self, self._limits)
        self._exchange.start()

    # Sink

    def on_head(self, status: int, headers: Headers) -> None:
        if self._sink is not None:
            self._sink.on_head(status, headers)

    def on_data(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.on_data(data)

    def on_end(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_end()

    def on_fail(self, error: UpstreamError) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.refused:
            exchange.endpoint.healthy = False  # the next health check may find it back
        if self._may_retry(exchange, error):
            endpoint = self._pool.pick(self._hints, self._tried)
            if endpoint is not None:
                self._attempt(endpoint)
                return
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_fail(error)

    def _may_retry(self, exchange: Exchange, error: UpstreamError) -> bool:
        spent = len(self._tried) > self._retries
        return self._sink is not None and not (exchange.touched or spent or isinstance(error, UpstreamTimeout))


def no_endpoint(model: str, version: str | None = None) -> NoHealthyEndpoint:
    where = f"version {version!r} of model {model!r}" if version else f"model {model!r}"
    return NoHealthyEndpoint(
        f"{where} has no healthy endpoint at the moment; try again shortly", retry_after=RETRY_AFTER
    )


def seeded(seed: int | None = None) -> random.Random:
    """The generator that draws versions and equals; it decides nothing secret."""
    return random.Random(seed)  # noqa: S311
