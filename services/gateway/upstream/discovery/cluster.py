"""The API server, through Kubernetes' official client. The only file that imports it: that takes 28 MiB.

Of the client, its asyncio half makes the requests (`kubernetes.aio`) and knows addresses, TLS and logins. Its models
and its `Watch` are left out: a watch here must tell a broken stream from an ended one, and reads thousands of
endpoints of which few fields matter. See docs/decisions/0020-discovery.md.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError
from kubernetes.aio.client import ApiClient, ApiException, Configuration, DiscoveryV1Api
from kubernetes.aio.config import ConfigException, load_kube_config
from yaml import YAMLError

from services.gateway.settings import KubernetesSettings
from services.gateway.upstream.discovery.faults import GONE, ClusterFault
from services.gateway.upstream.discovery.slices import RawSlice, SliceList

ANSWER = 10.0
"""Seconds until an answer begins, and a list ends."""
PAGE = 500
"""Slices that one answer of a list has at most."""


class Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class Status(msgspec.Struct, frozen=True, gc=False):
    code: int = 0
    reason: str = ""
    message: str = ""


_event = msgspec.json.Decoder(Event).decode
_slice = msgspec.json.Decoder(RawSlice).decode
_slices = msgspec.json.Decoder(SliceList).decode
_status = msgspec.json.Decoder(Status).decode


class Session:
    """Logged in; its requests use one connection after the other. All raise ClusterFault."""

    def __init__(self, api: DiscoveryV1Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    async def list(self) -> tuple[list[RawSlice], str]:
        """Every EndpointSlice, and the resource version of that state."""
        found: list[RawSlice] = []
        following: str | None = None
        with told_apart():
            while True:
                async with asyncio.timeout(ANSWER):
                    answer = await self._api.list_namespaced_endpoint_slice_without_preload_content(
                        self._namespace, limit=PAGE, _continue=following
                    )
                    with contextlib.closing(answer):
                        await _check(answer)
                        page = _slices(await answer.read())
                found += page.items or ()
                following = page.metadata.continue_
                if not following:
                    return found, page.metadata.resource_version

    async def watch(self, version: str, seconds: int) -> AsyncIterator[tuple[str, RawSlice]]:
        """What changes from that version on, as type and slice, until the server ends it after so many seconds.

        A bookmark's slice has nothing but its resource version. Returns once the server has agreed; whoever calls it
        reads what it returns.
        """
        with told_apart():
            async with asyncio.timeout(ANSWER):
                answer = await self._api.list_namespaced_endpoint_slice_without_preload_content(
                    self._namespace, watch=True, resource_version=version, allow_watch_bookmarks=True,
                    timeout_seconds=seconds, _request_timeout=seconds + ANSWER,
                )  # fmt: skip
            with contextlib.ExitStack() as failing:
                failing.callback(answer.close)
                async with asyncio.timeout(ANSWER):
                    await _check(answer)
                failing.pop_all()
        return _events(answer)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, RawSlice]]:
    with told_apart(), contextlib.closing(answer):
        while line := await answer.content.readline():
            if not line.isspace():
                yield _read(line)


def _read(line: bytes) -> tuple[str, RawSlice]:
    event = _event(line)
    if event.type == "ERROR":
        status = _status(event.object)
        raise ClusterFault(str(status.code or GONE), f"{status.reason}: {status.message}")
    return event.type, _slice(event.object)


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status == 200:
        return
    try:
        message = _status(await answer.read()).message
    except msgspec.DecodeError:
        message = answer.reason or ""
    asked = answer.headers.get("retry-after", "")
    raise ClusterFault(
        str(answer.status), f"the API server answered {answer.status}: {message[:500]}",
        float(asked) if asked.isdigit() else 0.0,
    )  # fmt: skip


@contextlib.contextmanager
def told_apart() -> Iterator[None]:
    """Whatever the libraries raise becomes a ClusterFault."""
    try:
        yield
    except TimeoutError:
        raise ClusterFault("timeout", "the API server did not answer in time") from None
    except (ApiException, aiohttp.ClientError, OSError) as error:
        raise ClusterFault("network", f"{type(error).__name__}: {error}") from None
    except (ValueError, HttpProcessingError) as error:  # what msgspec can't read; a line longer than the client bears
        raise ClusterFault("garbage", f"the API server's answer makes no sense: {error}") from None
    except ConfigException as error:
        raise ClusterFault("configuration", str(error)) from None


class Cluster:
    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings

    @contextlib.asynccontextmanager
    async def session(self, namespace: str) -> AsyncIterator[Session]:
        """With address, token and certificates as they are now: they rotate. Raises ClusterFault."""
        with told_apart():
            client = ApiClient(await self._configuration())
        try:
            yield Session(DiscoveryV1Api(client), namespace)
        finally:
            await client.close()

    async def _configuration(self) -> Configuration:
        settings = self._settings
        if settings.kubeconfig is not None:
            return await _from_file(settings.kubeconfig, settings.context)
        token = _text(settings.token_file)
        authority = settings.ca_file if settings.ca_file.is_file() else None
        return Configuration(
            host=(settings.server or _own_server()).rstrip("/"),
            ssl_ca_cert=None if authority is None else str(authority),
            api_key={"BearerToken": f"Bearer {token}"} if token else {},
        )


async def _from_file(path: Path, context: str | None) -> Configuration:
    made = Configuration()
    try:
        await load_kube_config(str(path), context, made, persist_config=False)
    except (TypeError, KeyError, AttributeError, YAMLError) as error:  # it indexes what it has read as it comes
        raise ConfigException(f"{path} is no kubeconfig: {error}") from None
    return made


def _text(path: Path) -> str:
    """Empty where there is no such file."""
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _own_server() -> str:
    """Of the cluster that the process runs in, by the variables that every pod has."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigException("KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
