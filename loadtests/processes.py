"""The processes of a load test, each started for its length, and what they use."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

from loadtests.mock_engine import Counts
from loadtests.wire import KEY, MODEL
from tests.support.ports import free_ports


@dataclass(frozen=True, slots=True)
class Cores:
    """The target has one core to itself; the mock engine and the load share the others, where there are any."""

    target: set[int]
    load: set[int]

    @classmethod
    def divided(cls) -> Self:
        everything = os.sched_getaffinity(0)
        target = {min(everything)}
        return cls(target, everything - target or everything)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running mock engine."""

    ports: list[int]

    def counts(self) -> Counts:
        return Counts(**json.loads(get(self.ports[0], "/stats")))


@dataclass(frozen=True, slots=True)
class Bench:
    """A running gateway in front of a mock engine."""

    process: subprocess.Popen[str]
    port: int
    grpc_port: int
    admin_port: int
    registry: Path
    """The file that it reads again as it changes."""

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def metrics(self) -> str:
        return get(self.admin_port, "/metrics")


def allow_files(count: int) -> None:
    """Raise this process's limit of open files, and so that of the processes it starts. Raises ValueError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """This thread, and every process begun inside, runs on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def process(
    command: Sequence[str], variables: Mapping[str, str] | None = None, *, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    # With bytecode, as in an image: to compile all that is imported leaves 4 MiB with a process.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(variables or {})}
    started = subprocess.Popen(command, env=environment, text=True, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        for each in tree(started.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        started.wait()
        if started.stdout:
            started.stdout.close()


def until(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Raises TimeoutError; an address that does not answer yet is not ready."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.05)
    raise TimeoutError(what)


@contextlib.contextmanager
def mock_engine(tokens: int, pace: float, endpoints: int = 3, *, late: bool = False) -> Iterator[Engine]:
    engine = Engine(free_ports(endpoints))
    options = ["--ports", *map(str, engine.ports), "--tokens", str(tokens), "--pace", str(pace)]
    options += ["--late"] if late else []
    with process([sys.executable, "-m", "loadtests.mock_engine", *options]):
        until(lambda: bool(get(engine.ports[0], "/health")), "the mock engine does not answer")
        yield engine


@contextlib.contextmanager
def gateway(  # noqa: PLR0913 - what is rarely wanted is named where it is
    engines: list[int], module: str = "services.gateway", name: str = MODEL, *, keys: Path | None = None,
    settings: Mapping[str, str] | None = None, others: Mapping[str, Mapping[str, Any]] | None = None, **model: object,
) -> Iterator[Bench]:  # fmt: skip
    """All defaults but for `settings` (variables), one key and those of the file, one model with these ports as its
    endpoints and these further fields, and `others` by their names."""
    port, grpc, admin = free_ports(3)
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "registry.yaml"
        endpoints = [f"http://127.0.0.1:{each}" for each in engines]
        models = {
            each: {"task": "chat", "versions": {"v1": {"endpoints": endpoints}}, **fields}
            for each, fields in {name: model, **(others or {})}.items()
        }
        registry.write_text(yaml.safe_dump({"models": models}))
        variables = {
            "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(registry),
            "NARU_GATEWAY__HTTP__PORT": str(port), "NARU_GATEWAY__GRPC__PORT": str(grpc),
            "NARU_GATEWAY__ADMIN__PORT": str(admin), **(settings or {}),
        }  # fmt: skip
        if keys is not None:
            variables["NARU_GATEWAY__KEYS__FILE"] = str(keys)
        with process([sys.executable, "-m", module], variables, stdout=subprocess.PIPE) as started:
            until(lambda: json.loads(get(admin, "/readyz"))["models"][name], "the gateway does not become ready")
            yield Bench(started, port, grpc, admin, registry)


def tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    return sum(time.clock_gettime(_clock(each.pid)) for each in tree(pid))


def _clock(pid: int) -> int:
    """Linux' clock of another process' processor time, as clock_getcpuclockid(3) makes it: /proc counts in 10 ms."""
    return (~pid << 3) | 2


def busy_seconds() -> float:
    """Processor time of the whole machine, of all its cores together, and what a hypervisor took."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.steal)


def resident(pid: int) -> float:
    """MiB of a process and its children."""
    return float(sum(each.memory_info().rss for each in tree(pid))) / 2**20
