"""`python -m services.gateway`: builds everything, passes it down, drains on SIGTERM.

Configured by `NARU_GATEWAY__*` variables; `--help` lists them.
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import sys
from dataclasses import dataclass
from time import monotonic

import uvicorn
import uvloop
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from pydantic import ValidationError
from starlette.routing import BaseRoute

from services.common import logs
from services.common.settings import describe_variables
from services.gateway.api.admin import admin_app
from services.gateway.api.app import client_app, client_failures
from services.gateway.api.direct import direct_protocol
from services.gateway.api.door import Door
from services.gateway.api.errors import Failures, describe
from services.gateway.api.grpc.edge import GrpcEdge, GrpcError, NoGrpc
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.http_protocol import bounded_protocol, server_options
from services.gateway.balloon import Balloon
from services.gateway.compiled import in_use
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.policy.accounts import Accounts, accounts
from services.gateway.policy.admission.admissions import Admissions
from services.gateway.policy.admission.clock import LoopClock
from services.gateway.policy.drain import Drain
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyfile import KeyFileError, development_key
from services.gateway.policy.keysource import POLL, KeySource
from services.gateway.registry import RegistryError
from services.gateway.relay.books import Books
from services.gateway.relay.cache.memory import MemoryStore
from services.gateway.relay.cache.store import Level, Store
from services.gateway.relay.context import RelayContext
from services.gateway.relay.keepalive import KeepAlive
from services.gateway.relay.mirror import Mirror
from services.gateway.reload import WatchedFile
from services.gateway.request_log import RequestLog
from services.gateway.routing.builder import FleetBuilder
from services.gateway.routing.dispatch import seeded
from services.gateway.routing.fleet import LiveFleet
from services.gateway.routing.fleetsource import FleetSource
from services.gateway.routing.resilience import resilience
from services.gateway.series import Retiring
from services.gateway.servers import Server
from services.gateway.settings import (
    DevelopmentKey,
    GatewaySection,
    GrpcSettings,
    KubernetesSettings,
    Settings,
    TracingSettings,
)  # fmt: skip
from services.gateway.tracing.trace import NoTraces, Traces
from services.gateway.upstream.discovery.base import Discovery
from services.gateway.upstream.discovery.kubernetes import Kubernetes
from services.gateway.upstream.discovery.metrics import DiscoveryMetrics
from services.gateway.upstream.discovery.static import Static
from services.gateway.upstream.health import HealthChecker
from services.gateway.upstream.scrape import Scraper

logger = logging.getLogger("naru.gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    clients: Server
    grpc: GrpcEdge
    admin: Server
    health: HealthChecker
    scraper: Scraper
    discovery: Discovery
    source: FleetSource
    files: tuple[WatchedFile, ...]
    """The registry and the keys."""
    accounts: Accounts
    mirror: Mirror
    drain: Drain
    metrics: Metrics
    memory: Memory
    retiring: Retiring
    books: Books
    cache: Store
    log: RequestLog
    traces: Traces

    def flush(self) -> None:
        """Enter and write what still waits to be."""
        self.books.settle()
        self.log.flush()

    def reload(self) -> None:
        """Read every configuration file again."""
        for file in self.files:
            file.ask()

    async def watch(self) -> None:
        """Keep what is configured and known of the endpoints fresh, and the metrics small, for ever."""
        async with asyncio.TaskGroup() as group:
            for file in self.files:
                group.create_task(file.watch())
            group.create_task(self.accounts.run())
            group.create_task(self.discovery.run())
            group.create_task(self.source.run())
            group.create_task(self.health.rounds.run())
            group.create_task(self.scraper.rounds.run())
            group.create_task(self.metrics.keep_folded())
            group.create_task(self.retiring.run())
            group.create_task(self.metrics.keep_time())
            group.create_task(self.memory.run())


def build(settings: GatewaySection, keys: KeySource, seed: int | None = None) -> Gateway:
    """Everything that runs, from settings; with `seed`, routing draws the same each time. Raises RegistryError."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    metrics = Metrics(registry)
    log = RequestLog(sys.stderr.buffer, enabled=logging.getLevelNamesMapping()[settings.log_level] <= logging.INFO)
    draw = seeded(seed)
    health = HealthChecker(settings.upstream.health_interval, settings.upstream.health_timeout)
    scraper = Scraper(settings.routing.scrape_interval, settings.routing.scrape_stale)
    discovery = discovered(settings.kubernetes, draw)
    source = FleetSource(settings.registry, FleetBuilder(settings, metrics, draw, discovery), health, discovery)
    live = source.live
    live.follow(lambda fleet: health.rounds.follow(fleet.endpoints()))
    live.follow(lambda fleet: scraper.rounds.follow(fleet.compared()))
    live.follow(lambda fleet: metrics.keep_only(fleet.endpoints()))
    live.follow(lambda fleet: metrics.promise(fleet.registry))
    retiring = Retiring(metrics.instruments())
    live.follow(lambda fleet: retiring.use({name: model.versions for name, model in fleet.registry.models.items()}))
    metrics.watch(live.endpoints)
    metrics.version_endpoints.read = live.healthy
    DiscoveryMetrics(registry).watch(discovery, lambda: live.fleet.registry)
    drain = Drain(settings.drain.retry_after)
    kept = accounts(settings, metrics)
    gate = Gate(drain, keys.authenticator, live, kept.quotas)
    key = settings.upstream.api_key.get_secret_value() if settings.upstream.api_key else None
    admissions = Admissions(metrics, LoopClock())
    live.follow(admissions.use)
    health.follow(admissions.turned)
    context = relay_context(settings, metrics, log, admissions)
    live.follow(lambda fleet: context.cache.keep_only(fleet.cached()))
    mirror = Mirror(context, settings.routing.mirrored, draw)
    door = Door(gate, drain, context, mirror, key)
    options = server_options(settings.http)
    failures = client_failures(metrics, log, context.traces)
    grpc = grpc_edge(settings.grpc, door, failures, live, drain)
    metrics.certificate_expiry.read = lambda: {("grpc",): end} if (end := grpc.certificate_ends) else {}
    http = settings.http
    protocol = direct_protocol(http, failures, door) if http.direct else bounded_protocol(http, failures)
    return Gateway(
        clients=Server(uvicorn.Config(
            client_app(HttpEdge(door, http), failures, page=http.page), host=http.host, port=http.port,
            http=protocol, **options,
        )),
        grpc=grpc,
        admin=Server(uvicorn.Config(
            admin_app(registry, context.books.settle, source, drain, management(settings, keys, kept, context.books)),
            host=settings.admin.host, port=settings.admin.port,
            http="httptools", **options,
        )),
        health=health,
        scraper=scraper,
        discovery=discovery,
        source=source,
        files=(
            WatchedFile("registry", source, settings.registry_poll, metrics),
            WatchedFile("keys", keys, POLL, metrics),
        ),
        accounts=kept,
        mirror=mirror,
        drain=drain,
        metrics=metrics,
        memory=Memory(lambda: drain.running, Balloon()),
        retiring=retiring,
        books=context.books,
        cache=context.cache,
        log=log,
        traces=context.traces,
    )  # fmt: skip


def discovered(settings: KubernetesSettings, draw: random.Random) -> Discovery:
    """Of a cluster where there is one: configured, or the one that the process runs in."""
    configured = settings.server is not None or settings.kubeconfig is not None
    return Kubernetes(settings, draw) if configured or "KUBERNETES_SERVICE_HOST" in os.environ else Static()


def tracing(settings: TracingSettings) -> Traces:
    if settings.endpoint is None:
        return NoTraces()
    from services.gateway.tracing.export import OtlpTraces  # noqa: PLC0415 - OpenTelemetry takes 13 MiB

    return OtlpTraces(settings, str(settings.endpoint))


def grpc_edge(settings: GrpcSettings, door: Door, failures: Failures, live: LiveFleet, drain: Drain) -> GrpcEdge:
    if not settings.enabled:
        return NoGrpc()
    from services.gateway.api.grpc.server import GrpcServer  # noqa: PLC0415 - gRPC takes 20 MiB

    return GrpcServer(settings, door, failures, live, drain)


def management(settings: GatewaySection, keys: KeySource, kept: Accounts, books: Books) -> list[BaseRoute]:
    """What the admin port may change, where there is a key for it."""
    secret = settings.admin.api_key
    if secret is None:
        return []
    from services.gateway.api.management import Management, management_routes  # noqa: PLC0415 - FastAPI takes 7 MiB

    return management_routes(Management(secret.get_secret_value(), keys, kept.ledger, books.settle))


def relay_context(settings: GatewaySection, metrics: Metrics, log: RequestLog, admissions: Admissions) -> RelayContext:
    upstream, settled = settings.upstream, settings.resilience
    return RelayContext(
        metrics=metrics, books=Books(metrics, log),
        resilience=resilience(settled, upstream, metrics),
        keep_alive=KeepAlive(settled.comment_interval),
        admission=admissions, cache=store(settings, Level(metrics)), migrations=settled.migrations,
        migration_text=settled.migration_text, max_answer=upstream.max_answer, max_event=upstream.max_event,
        traces=tracing(settings.tracing), describe=describe,
    )  # fmt: skip


def store(settings: GatewaySection, level: Level) -> Store:
    if settings.cache.store != "redis":
        return MemoryStore(level, monotonic)
    from services.gateway.relay.cache.redis import RedisStore  # noqa: PLC0415 - Redis' client takes 8 MiB

    return RedisStore(settings.redis, level)


async def serve(gateway: Gateway, settings: GatewaySection) -> None:
    """Raises GrpcError."""
    await gateway.grpc.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    watch = asyncio.create_task(gateway.watch())
    servers = [asyncio.create_task(server.serve()) for server in (gateway.clients, gateway.admin)]
    # What was built at start lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    # Nothing that a request leaves behind is a cycle: to look for some every 700 objects is time lost.
    gc.set_threshold(50_000, 20, 100)
    stopping = asyncio.create_task(stop.wait())
    # A server that ends by itself (a taken port) ends the process too.
    await asyncio.wait([stopping, watch, *servers], return_when=asyncio.FIRST_COMPLETED)
    await _drain(gateway, settings)
    await gateway.grpc.stop()
    for server in (gateway.clients, gateway.admin):
        server.should_exit = True
    watch.cancel()
    stopping.cancel()
    await asyncio.gather(*servers)
    await gateway.cache.close()
    gateway.flush()
    await gateway.accounts.close()
    await gateway.traces.close()


async def _drain(gateway: Gateway, settings: GatewaySection) -> None:
    logs.log(logger, logging.INFO, "draining", timeout=settings.drain.timeout)
    gateway.grpc.retire(settings.drain.timeout + settings.drain.linger)
    aborted = await gateway.drain.finish(settings.drain.timeout)
    gateway.mirror.close()
    await asyncio.sleep(settings.drain.linger)
    logs.log(logger, logging.INFO, "drained", aborted=aborted)


def key_source(settings: GatewaySection) -> KeySource:
    """Raises KeyFileError, also where there is no key at all and no file to add one to: then nobody could call."""
    development = DevelopmentKey().api_key
    if development is None and settings.keys.file is None:
        raise KeyFileError("no API key: set NARU_GATEWAY__KEYS__FILE, or NARU_API_KEY for development")
    beside = () if development is None else (development_key(development.get_secret_value()),)
    return KeySource(settings.keys.file, beside)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway", description="Naru's gateway. Everything is set by environment variables.",
        epilog=describe_variables(Settings), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.parse_args()
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second time series per child that no dashboard reads
    try:
        settings = Settings().gateway  # type: ignore[call-arg] # the environment gives it
        logs.configure(settings.log_level)
        logs.log(logger, logging.INFO, "starting", compiled=in_use())
        keys = key_source(settings)

        async def run() -> None:
            await serve(build(settings, keys), settings)

        uvloop.run(run())
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "NARU_" + "__".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"naru gateway: {name}: {fault['msg']}\n")
        sys.exit(2)
    except (RegistryError, KeyFileError, GrpcError) as error:
        sys.exit(f"naru gateway: {error}")


if __name__ == "__main__":
    main()
