"""The protocol's official clients, in an environment and processes of their own.

They want an older protobuf than the gateway does, and each registers the protocol's messages under the very names of
the gateway's own. What a client does stands in `with_triton.py` and `with_kserve.py`; `worker.py` runs it over there.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.environment import python_of

WORKER = Path(__file__).with_name("worker.py")


class Official:
    """One client library in a process of its own: `module` is `with_triton` or `with_kserve`."""

    def __init__(self, module: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [str(python_of("oip-clients.txt")), str(WORKER), module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def call(self, function: str, **arguments: Any) -> Any:
        """What the module's function returned, by way of JSON. An exception there fails the test here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client's process ended with {self._process.wait(30)}"
        answer = json.loads(line)
        assert "raised" not in answer, answer["raised"]
        return answer["returned"]

    def close(self) -> None:
        """The worker ends when its input does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
