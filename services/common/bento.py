"""What every BentoML service here does alike: it starts at the address its settings name, and joins traces."""

import os
import sys
from typing import NoReturn

from pydantic import HttpUrl

from services.common.paths import state_dir


def serve(service: str, host: str, port: int) -> NoReturn:
    """Become BentoML's server of `module:Class`, so that signals reach it directly."""
    server = (sys.executable, "-m", "bentoml", "serve", service, "--host", host, "--port", str(port))
    own = {
        # Or BentoML reports each start to its makers.
        "BENTOML_DO_NOT_TRACK": "True",
        # Or two services of one user show each other's metrics, and the later start wipes those of the first.
        "BENTOML_HOME": str(state_dir() / "bentoml" / str(port)),
    }
    os.execve(server[0], server, own | os.environ)  # noqa: S606 - no shell, fixed program


def tracing(collector: HttpUrl | None) -> dict[str, object]:
    """For `bentoml.service(tracing=…)`: spans of the requests whose trace is recorded, and of no others, to a collector
    that takes OTLP over HTTP."""
    if collector is None:
        return {"sample_rate": 0.0}
    otlp = {"protocol": "http", "endpoint": f"{str(collector).rstrip('/')}/v1/traces"}
    return {"exporter_type": "otlp", "sample_rate": 0.0, "otlp": otlp}
