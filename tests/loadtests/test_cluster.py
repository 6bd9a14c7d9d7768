"""Short forms of the simulated cluster: the real gateway, the real watch protocol, processes that come and go."""

import asyncio

import httpx
import pytest

from loadtests.cluster import SIMULATIONS, Answer, Load, Simulation, chat, simulate
from loadtests.pods import Deployment, Kind, Pod
from tests.support.kubernetes import ApiServer


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATIONS)
def test_no_request_fails_and_none_reaches_a_pod_that_leaves(name: str) -> None:
    found = asyncio.run(simulate(name, chat(load=0.3, pace=0.02), Load(clients=12, pods=2, times=1), activation=30))
    assert found.failures == []
    assert found.late == 0
    assert len(found.answers) >= 12
    assert found.stopped >= 1
    if name in ("replaced in place", "scale to zero and back"):
        assert found.held > 0


async def test_what_fails_is_found() -> None:
    """A model that nobody serves, an answer that is not whole, a request that reached a pod which was leaving."""

    def answer(request: httpx.Request) -> httpx.Response:
        streamed = b'"stream":true' in request.content
        return httpx.Response(200 if streamed else 503, content=b"data: {}\n\n", headers={"x-naru-endpoint": "a:1"})

    deployment = Deployment(ApiServer(), Kind("chat", "x", "/"), 1)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://a") as client:
        made = Simulation(chat(1, 1), Load(1, 1, 1), deployment, client, 0)
        await made.ask()
        await made.ask()
        assert len(made.found.failures) == 2
        assert not made.found.answers
    assert not chat(1, 1).whole(True, b'data: {"choices":[{"delta":{"content":"0 "}}]}\n\ndata: [DONE]\n\n')
    made.found.answers = [Answer(began, 1.0, "127.0.0.2", stream=True) for began in (1.0, 9.9, 10.1, 12.0)]
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    deployment.gone.append(Pod("127.0.0.2", "a", process, terminating=10.0))
    made.found.judge(deployment)
    assert (made.found.late, made.found.finished_while_leaving) == (1, 3)
