"""An API server that speaks the list and watch protocol of EndpointSlices, well or as badly as a test asks.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.engine import Received, Wire, read_request

PATH = "/apis/discovery.k8s.io/v1/namespaces/"
Slice = dict[str, Any]
Fault = Callable[["Asked", Wire], Awaitable[None]]
"""What is answered instead of the truth."""


def pod(
    address: str, *, ready: bool | None = True, serving: bool | None = None, terminating: bool | None = None,
    zones: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    """One endpoint of a slice; a condition that is None is left out, as an old control plane does."""
    said = {"ready": ready, "serving": serving, "terminating": terminating}
    conditions = {name: value for name, value in said.items() if value is not None}
    hints = {"hints": {"forZones": [{"name": zone} for zone in zones]}} if zones else {}
    return {"addresses": [address], "conditions": conditions, **hints}


def endpoint_slice(
    service: str, *pods: dict[str, Any], port: int = 8000, port_name: str = "http", name: str | None = None,
    family: str = "IPv4",
) -> Slice:  # fmt: skip
    return {
        "metadata": {"name": name or f"{service}-abc", "labels": {"kubernetes.io/service-name": service}},
        "addressType": family,
        # Go writes an empty list as null.
        "endpoints": list(pods) or None,
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


@dataclass
class Asked:
    """One request."""

    namespace: str
    query: dict[str, str]
    token: str

    @property
    def watches(self) -> bool:
        return self.query.get("watch") in ("true", "True", "1")


@dataclass
class ApiServer:
    host: str = "127.0.0.1"
    port: int = 0
    revision: int = 100
    tokens: set[str] | None = None
    """Whoever has none of these gets 401."""
    page: int = 500
    """Slices that one answer of a list has at most, whatever it is asked for."""
    expire_in_stream: bool = True
    """Whether a version that is too old is refused with 200 and an event, as the watch cache does, or with 410."""
    faults: list[Fault] = field(default_factory=list)
    """One for each of the next requests."""
    broken: Fault | None = None
    """For every request."""
    asked: list[Asked] = field(default_factory=list)
    objects: dict[tuple[str, str], Slice] = field(default_factory=dict)
    history: list[tuple[int, str, str, Slice]] = field(default_factory=list)
    """Revision, namespace, type, object."""
    oldest: int = 0
    """Versions before this one are forgotten."""
    tls: ssl.SSLContext | None = None
    server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _frozen: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def lists(self) -> list[Asked]:
        return [each for each in self.asked if not each.watches]

    @property
    def watches(self) -> list[Asked]:
        return [each for each in self.asked if each.watches]

    # what happens in the cluster

    async def put(self, made: Slice, namespace: str = "default") -> None:
        key = (namespace, made["metadata"]["name"])
        await self._happen(namespace, "MODIFIED" if key in self.objects else "ADDED", made)

    async def announce(self, service: str, *addresses: str) -> None:
        """These are the Service's pods now, all ready."""
        await self.put(endpoint_slice(service, *map(pod, addresses)))

    async def delete(self, name: str, namespace: str = "default") -> None:
        await self._happen(namespace, "DELETED", self.objects[namespace, name])

    async def bookmark(self, namespace: str = "default") -> None:
        """Time passed, in which only other things changed."""
        self.revision += 10
        await self._happen(namespace, "BOOKMARK", {"metadata": {"name": ""}})

    async def send(self, kind: str, what: object, namespace: str = "default") -> None:
        """An event that is no change."""
        async with self._changed:
            self.revision += 1
            self.history.append((self.revision, namespace, kind, {"raw": what}))
            self._changed.notify_all()

    def forget(self) -> None:
        """Compact: no version up to now can be watched from."""
        self.revision += 1
        self.oldest = self.revision
        self.history.clear()

    def freeze(self) -> None:
        """Every connection stays open, and nothing comes any more; new ones are accepted and not answered."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        self.cut()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _happen(self, namespace: str, kind: str, what: Slice) -> None:
        async with self._changed:
            self.revision += 1
            key = (namespace, what["metadata"]["name"])
            metadata = {**what["metadata"], "namespace": namespace, "resourceVersion": str(self.revision)}
            now = {**what, "metadata": metadata, "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1"}
            if kind == "DELETED":
                del self.objects[key]
            elif kind != "BOOKMARK":
                self.objects[key] = now
            self.history.append((self.revision, namespace, kind, now))
            self._changed.notify_all()

    # the protocol

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                await self._answer(request, Wire(writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, request: Received, wire: Wire) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        namespace = parts.path.removeprefix(PATH).partition("/")[0]
        asked = Asked(namespace, query, request.headers.get("authorization", "").removeprefix("Bearer "))
        self.asked.append(asked)
        while self._frozen:
            await asyncio.sleep(0.01)
        if self.faults:
            await self.faults.pop(0)(asked, wire)
        elif self.broken is not None:
            await self.broken(asked, wire)
        elif self.tokens is not None and asked.token not in self.tokens:
            await failure(401, "Unauthorized")(asked, wire)
        else:
            await self.tell(asked, wire)

    async def tell(self, asked: Asked, wire: Wire) -> None:
        """The truth."""
        if asked.watches:
            await self._watch(asked, wire)
        else:
            await self._list(asked, wire)

    async def _list(self, asked: Asked, wire: Wire) -> None:
        found = [made for (namespace, _), made in sorted(self.objects.items()) if namespace == asked.namespace]
        begin = int(asked.query.get("continue", "0"))
        end = begin + min(self.page, int(asked.query.get("limit", "1000000")))
        metadata = {"resourceVersion": str(self.revision)}
        if end < len(found):
            metadata["continue"] = str(end)
        await wire.whole(200, {"kind": "EndpointSliceList", "metadata": metadata, "items": found[begin:end] or None})

    async def _watch(self, asked: Asked, wire: Wire) -> None:
        version = int(asked.query["resourceVersion"])
        if version < self.oldest:
            await self._expired(asked, wire)
            return
        await wire.head(200, "application/json")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(asked.query.get("timeoutSeconds", "3600"))):
                await self._events(asked, version, wire)
        while self._frozen:
            await asyncio.sleep(0.01)
        await wire.last()

    async def _events(self, asked: Asked, version: int, wire: Wire) -> None:
        while True:
            while self._frozen:
                await asyncio.sleep(0.01)
            upto, ahead = self.revision, [event for event in self.history if event[0] > version]
            for _, namespace, kind, what in ahead:
                if namespace == asked.namespace:
                    await wire.chunk(line(kind, what))
            version = upto
            async with self._changed:
                await self._changed.wait_for(lambda seen=upto: self.revision > seen)  # type: ignore[misc]

    async def _expired(self, asked: Asked, wire: Wire) -> None:
        if not self.expire_in_stream:
            await failure(410, "too old resource version")(asked, wire)
            return
        await wire.head(200, "application/json")
        await wire.chunk(line("ERROR", status(410, "too old resource version")))
        await wire.last()


def line(kind: str, what: dict[str, Any]) -> bytes:
    raw = what.get("raw", what)
    return raw if isinstance(raw, bytes) else json.dumps({"type": kind, "object": raw}).encode() + b"\n"


def status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "X", "code": code}


# faults


def failure(code: int, message: str = "no", *headers: str) -> Fault:
    async def answer(_: Asked, wire: Wire) -> None:
        await wire.whole(code, status(code, message), *headers)

    return answer


def in_stream(data: bytes) -> Fault:
    """Bytes instead of events; a list gets them as its body."""

    async def answer(asked: Asked, wire: Wire) -> None:
        if not asked.watches:
            await wire.whole(200, data)
            return
        await wire.head(200, "application/json")
        await wire.chunk(data)
        await wire.last()

    return answer


async def reset(_: Asked, wire: Wire) -> None:
    wire.reset()


async def reset_in_stream(_: Asked, wire: Wire) -> None:
    await wire.head(200, "application/json")
    await wire.chunk(b'{"type":"ADDED","obj')
    wire.reset()


async def closed_at_once(_: Asked, wire: Wire) -> None:
    await wire.head(200, "application/json")
    await wire.last()


async def hang(_: Asked, wire: Wire) -> None:
    await asyncio.sleep(3600)


@contextlib.asynccontextmanager
async def api_server(port: int = 0) -> AsyncIterator[ApiServer]:
    made = ApiServer(port=port)
    await made.start()
    try:
        yield made
    finally:
        made.stop()
