"""The images of this working copy, built once per test run and started against each other."""

import contextlib
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from services.local.install import ROOT
from tests.delivery.machine import Builder, Container, Image, Mount, missing
from tests.support.ports import free_ports

KEY = "a-key-of-the-delivery-tests"


def writable(image: str) -> list[str]:
    """The paths that docs/images.md names for an image."""
    rows = re.findall(r"^\| ([\w, -]+) \| `(/[\w/]+)` \|", (ROOT / "docs/images.md").read_text(), re.MULTILINE)
    return [path for images, path in rows if image in images.split(", ")]


@dataclass(frozen=True)
class Started:
    container: Container
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def until_ready(self, path: str, port: int | None = None, within: float = 90) -> None:
        url = f"http://127.0.0.1:{port or self.port}{path}"
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url, timeout=2).status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{self.container.image.name} did not become ready:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


class Engine:
    """Starts images, each with the writable paths that the documentation names and no others."""

    def __init__(
        self, builder: Builder, base: Image, images: Mapping[str, Image], folder: Path, lacking: str | None
    ) -> None:
        """`lacking`: why the image of vLLM is not among them, if it is not."""
        self.builder = builder
        self.base = base
        self.images = images
        self.lacking = lacking
        self.user = random.randrange(100_000, 2_000_000_000)
        self._folder = folder
        self._running: list[Started] = []

    def start(self, name: str, port: int, variables: Mapping[str, str], *read: Mount) -> Started:
        folder = self._folder / name
        mounts = [Mount(folder / path.strip("/").replace("/", "-"), path, writable=True) for path in writable(name)]
        for mount in mounts:
            mount.outside.mkdir(parents=True)
            mount.outside.chmod(0o1777)
        container = Container(self.images[name], self.user, [*mounts, *read], variables)
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(container.command(), stdout=output, stderr=output)
        started = Started(container, process, port, log)
        self._running.append(started)
        return started

    def close(self) -> None:
        for started in self._running:
            if started.process.poll() is None:
                started.stop()


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if (reason := missing()) is not None:
        pytest.skip(f"images can't be built here: {reason}")
    # A folder that keeps what was built, so that a second run takes seconds: 3 GB.
    kept = os.environ.get("NARU_TEST_IMAGES")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("images")
    builder = Builder(folder)
    names = ["gateway", "sentiment", "recommendation"]
    wanted = bool(os.environ.get("NARU_TEST_LLM_IMAGE"))
    try:
        base = builder.base()
        builder.build(base, *names)
        lacking = builder.no_room() if wanted else "NARU_TEST_LLM_IMAGE=1 asks for it: minutes and 20 GB of disk"
        if lacking is None:
            builder.build(base, "llm-cpu", layers=False)
            names.append("llm-cpu")
        images = {name: builder.open(name) for name in names}
        made = Engine(builder, base, images, tmp_path_factory.mktemp("running"), lacking)
        yield made
        made.close()
    finally:
        builder.close(keep=kept is not None)


@dataclass(frozen=True)
class Stack:
    gateway: Started
    sentiment: Started
    recommendation: Started
    admin: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"


@pytest.fixture(scope="package")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The gateway, sentiment and recommendation images, as one user that no image has heard of."""
    http, grpc, admin, sentiment_port, recommendation_port = free_ports(5)
    sentiment = engine.start("sentiment", sentiment_port, {"NARU_SENTIMENT__PORT": str(sentiment_port)})
    recommendation = engine.start(
        "recommendation", recommendation_port, {"NARU_RECOMMENDATION__PORT": str(recommendation_port)},
        *engine.builder.package_index(),
    )  # fmt: skip
    registry = tmp_path_factory.mktemp("registry") / "registry.yaml"
    models = {
        "sentiment": {"task": "sentiment", "versions": {"v1": {"endpoints": [f"http://127.0.0.1:{sentiment_port}"]}}},
        "recommendation": {
            "task": "recommendation", "versions": {"v1": {"endpoints": [f"http://127.0.0.1:{recommendation_port}"]}},
        },
    }  # fmt: skip
    registry.write_text(yaml.safe_dump({"models": models}))
    variables = {
        "NARU_API_KEY": KEY, "NARU_GATEWAY__HTTP__PORT": str(http), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__ADMIN__PORT": str(admin),
    }  # fmt: skip
    gateway = engine.start("gateway", http, variables, Mount(registry, "/etc/naru/registry.yaml"))
    gateway.until_ready("/readyz", admin)
    for started in (sentiment, recommendation):
        started.until_ready("/readyz")
    return Stack(gateway, sentiment, recommendation, admin)
