"""Short forms of the simulated cluster: the real gateway, the real watch protocol, processes that come and go."""

import asyncio
from pathlib import Path

import httpx
import pytest

from loadtests.cluster import SIMULATIONS, Answer, Load, Simulation, chat, simulate
from loadtests.pods import Deployment, Kind, Pod
from tests.gateway.discovery.clusters import until
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


async def test_an_answer_counts_where_its_head_went_out_before_it_had_an_endpoint() -> None:
    """So it is with a stream that was held for longer than its client is left without a word."""
    tokens = "".join(f'data: {{"choices":[{{"delta":{{"content":"{n} "}}}}]}}\n\n' for n in range(20))
    body = f": waiting\n\n{tokens}data: [DONE]\n\n".encode()
    whole = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    async with httpx.AsyncClient(transport=whole, base_url="http://a") as client:
        deployment = Deployment(ApiServer(), Kind("chat", "x", "/"), 1)
        made = Simulation(chat(1, 1), Load(1, 1, 1), deployment, client, 0, asked=1)
        await made.ask()
    assert made.found.failures == []
    assert [(each.host, each.stream) for each in made.found.answers] == [("", True)]


async def test_a_pods_first_process_alone_is_told_to_end_and_the_others_end_with_it(tmp_path: Path) -> None:
    """As a kubelet does; an engine's own processes are the engine's to tell."""
    said, number = tmp_path / "said", tmp_path / "number"
    wait = "while :; do sleep 0.02; done"
    child = f"(trap 'echo child >> {said}' TERM; echo up >> {said}; {wait}) & echo $! > {number}"
    script = f"trap 'echo first >> {said}; sleep 0.2; exit' TERM; {child}; {wait}"
    process = await asyncio.create_subprocess_exec("sh", "-c", script, start_new_session=True)
    await until(lambda: said.exists() and number.exists() and number.read_text().endswith("\n"))
    made = Pod("127.0.0.2", "a", process)
    await Deployment(ApiServer(), Kind("chat", "x", "/"), 1).end(made)
    assert said.read_text().split() == ["up", "first"]
    assert not made.killed
    await until(lambda: _ended(int(number.read_text())))


def _ended(process: int) -> bool:
    """Also where nobody has waited for it yet."""
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
