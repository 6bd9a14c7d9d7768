"""The gateway's tests run on the loop that the gateway runs on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.support import gateway


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["direct", "asgi"])
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which a model call reaches its client; `pytestmark` of a module asks for it."""
    monkeypatch.setattr(gateway, "DIRECT", request.param == "direct")
    monkeypatch.setenv("NARU_GATEWAY__HTTP__DIRECT", str(request.param == "direct"))  # a gateway of its own process
