"""Whether the server in this container answers: `python -m services.common.probe PORT_VARIABLE PATH`.

For a container engine's HEALTHCHECK. Standard library only, so that it starts in no time.
"""

import argparse
import http.client
import os
import sys

TIMEOUT = 2.0
"""Seconds."""


def status(port: int, path: str) -> int:
    """The status of `GET path` on this machine. Raises OSError or HTTPException where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.common.probe", description="Exit 0 on an answer of 200.")
    parser.add_argument("port_variable", help="the environment variable that holds the port")
    parser.add_argument("path", help="what to ask for")
    arguments = parser.parse_args()
    try:
        answered = status(int(os.environ[arguments.port_variable]), arguments.path)
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer: {error}")
    if answered != http.HTTPStatus.OK:
        sys.exit(f"answered {answered}")


if __name__ == "__main__":
    main()
