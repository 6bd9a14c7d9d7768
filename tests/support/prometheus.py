"""A real Prometheus on a free port: it scrapes what a test runs, and computes rules in a test's time."""

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.observability.generate import TARGET
from tests.support.ports import free_ports

BINARY, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    BINARY is None or PROMTOOL is None, reason="there is no prometheus: apt-get install prometheus"
)
RULES = tuple(sorted((TARGET / "rules").glob("*.yaml")))
INTERVAL = 1
"""Seconds between two scrapes."""
LEAST = 5
"""Seconds no window is scaled below: a rate needs some scrapes."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])")


@dataclass(frozen=True)
class Target:
    address: str
    """`host:port`."""
    job: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the scrape's configuration adds: see docs/observability.md."""
    own: bool = True
    """Whether the labels of the samples yield to those of the target."""


def scaled(text: str, factor: float) -> str:
    """A rule file whose windows and `for`s are `factor` times shorter, computed each second. Nothing else changes."""

    def shorter(match: re.Match[str]) -> str:
        return f"{max(LEAST, round(int(match[1]) * _UNITS[match[2]] / factor))}s"

    data = yaml.safe_load(text)
    for group in data["groups"]:
        group["interval"] = f"{INTERVAL}s"
        for rule in group["rules"]:
            rule["expr"] = _WINDOW.sub(shorter, rule["expr"])
            if "for" in rule:
                amount, unit = int(rule["for"][:-1]), rule["for"][-1]
                rule["for"] = f"{round(amount * _UNITS[unit] / factor)}s"
    return yaml.safe_dump(data, sort_keys=False)


class QueryError(AssertionError):
    """Prometheus refused a query; the message is its own."""


@dataclass
class Prometheus:
    client: httpx.AsyncClient
    port: int

    async def _get(self, path: str, **parameters: Any) -> Any:
        answer = (await self.client.get(f"/api/v1/{path}", params=parameters)).json()
        if answer["status"] != "success" or answer.get("warnings"):
            raise QueryError(f"{parameters}: {answer.get('error') or answer['warnings']}")
        return answer["data"]

    async def query(self, expr: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series now, or at a Unix time. Raises QueryError."""
        data = await self._get("query", query=expr, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(found["metric"], float(found["value"][1])) for found in data["result"]]

    async def firing(self) -> set[str]:
        """Alerts that fire, by name."""
        return {a["labels"]["alertname"] for a in (await self._get("alerts"))["alerts"] if a["state"] == "firing"}

    async def rules(self) -> list[dict[str, Any]]:
        return [rule for group in (await self._get("rules"))["groups"] for rule in group["rules"]]

    async def up(self) -> dict[str, str]:
        """Of each target what its last scrape met: empty where all is well."""
        return {found["scrapeUrl"]: found["lastError"] for found in (await self._get("targets"))["activeTargets"]}


def configuration(targets: Sequence[Target], rules: Sequence[str]) -> dict[str, Any]:
    jobs = [
        {
            "job_name": f"{target.job}-{index}",
            "honor_labels": not target.own,
            "static_configs": [{"targets": [target.address], "labels": dict(target.labels)}],
        }
        for index, target in enumerate(targets)
    ]
    intervals = {"scrape_interval": f"{INTERVAL}s", "evaluation_interval": f"{INTERVAL}s", "scrape_timeout": "1s"}
    return {"global": intervals, "rule_files": list(rules), "scrape_configs": jobs}


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: Sequence[Target], factor: float = 60.0) -> AsyncIterator[Prometheus]:
    """Ready, with the chart's rules `factor` times faster."""
    assert BINARY is not None
    (port,) = free_ports(1)
    for path in RULES:
        (folder / path.name).write_text(scaled(path.read_text("utf-8"), factor), encoding="utf-8")
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(configuration(targets, [path.name for path in RULES])), encoding="utf-8")
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn"]
    log = folder / "prometheus.log"
    process = _begin([BINARY, *options, f"--web.listen-address=127.0.0.1:{port}"], log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await _ready(client, process, log)
            yield Prometheus(client, port)
    finally:
        process.terminate()
        process.wait(20)


def _begin(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, cwd=log.parent)


async def _ready(client: httpx.AsyncClient, process: "subprocess.Popen[bytes]", log: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/-/ready")).status_code == 200:
                    return
            assert process.poll() is None, f"prometheus ended: {log}"
            await asyncio.sleep(0.1)
