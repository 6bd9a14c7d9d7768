"""A real Prometheus on a free port, that scrapes what it is told to, every two seconds."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.ports import free_ports
from tests.support.prometheus import BINARY


class Prometheus:
    def __init__(self, folder: Path, targets: list[str]) -> None:
        """`targets`: `host:port` each."""
        assert BINARY is not None
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "prometheus.yml"
        jobs = [{"job_name": "naru", "static_configs": [{"targets": targets}]}]
        config.write_text(yaml.safe_dump({"global": {"scrape_interval": "2s"}, "scrape_configs": jobs}))
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
        self._process = subprocess.Popen(
            [BINARY, *options, f"--web.listen-address=127.0.0.1:{port}"], env={**os.environ, "GOMAXPROCS": "1"}
        )

    def query(self, promql: str) -> list[dict[str, Any]]:
        found = httpx.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=10).json()
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def until(self, promql: str, seconds: float = 100.0) -> None:
        """Wait until the query has a result."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.query(promql):
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass  # it is not ready yet
            time.sleep(0.05)
        raise TimeoutError(promql)

    def pause(self) -> None:
        """It hangs: its port is open, and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
