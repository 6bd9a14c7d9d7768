"""Start a BentoML service at the address its settings name."""

import os
import sys
from typing import NoReturn


def serve(service: str, host: str, port: int) -> NoReturn:
    """Become BentoML's server of `module:Class`, so that signals reach it directly."""
    server = (sys.executable, "-m", "bentoml", "serve", service, "--host", host, "--port", str(port))
    # Or BentoML reports each start to its makers.
    os.execve(server[0], server, {"BENTOML_DO_NOT_TRACK": "True"} | os.environ)  # noqa: S606 - no shell, fixed program
