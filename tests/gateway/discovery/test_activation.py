"""Scaled to zero and back: requests wait in the gateway, and are answered by the first pod that is ready."""

import asyncio
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.gateway.discovery.clusters import CHAT, announce, ask, gateway, known, pods, registry, until, until_known
from tests.gateway.grpc.client import calling, details, drained, text
from tests.gateway.test_reload import QUICK, reload
from tests.support.engine import Engine, Received, Wire, hello
from tests.support.kubernetes import ApiServer, api_server, endpoint_slice, pod

pytestmark = pytest.mark.usefixtures("carrier")

SLEEPER = registry("llm", activation={"timeout": "20s"})


async def test_requests_wait_for_the_first_pod_and_an_autoscaler_sees_it(tmp_path: Path) -> None:
    async with api_server() as server, pods(1) as (one,), gateway(server, tmp_path, SLEEPER) as made:
        one.healthy = False
        waiting = [asyncio.create_task(ask(made)) for _ in range(20)]
        async with asyncio.timeout(30):
            while await made.value("naru_queue_depth", model="m") < 20:
                await asyncio.sleep(0.01)
        assert await made.value("naru_model_activating", model="m") == 1
        await server.put(endpoint_slice("llm", pod(one.host, ready=False), port=one.port))
        await asyncio.sleep(0.1)
        await announce(server, "llm", one)
        await until(lambda: known(made) == [one.host])
        assert not any(task.done() for task in waiting)
        one.healthy = True  # the cluster says so, and now its own check does
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {200}
        assert await made.value("naru_queue_depth", model="m") == 0
        assert await made.value("naru_model_activating", model="m") == 0


async def test_a_stream_that_waits_is_kept_alive_and_whole(tmp_path: Path) -> None:
    quick = {"resilience": {"comment_interval": 0.1}}
    async with api_server() as server, pods(1) as (one,), gateway(server, tmp_path, SLEEPER, **quick) as made:
        async with made.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            assert answer.status_code == 200
            pieces = answer.aiter_bytes()
            for _ in range(3):
                assert await anext(pieces) == b": keep-alive\n\n"
            await announce(server, "llm", one)
            rest = b"".join([piece async for piece in pieces])
        assert rest.endswith(b"data: [DONE]\n\n")
        assert answer.headers["x-naru-model"] == "m"


async def test_a_model_that_does_not_come_is_503_with_a_time(tmp_path: Path) -> None:
    models = registry("llm", activation={"timeout": "300ms"})
    async with api_server() as server, gateway(server, tmp_path, models) as made:
        answer = await ask(made)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "timeout_activation"
        assert int(answer.headers["retry-after"]) >= 1
        await made.until_outcome("timeout_activation")


async def test_a_client_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with api_server() as server, pods(1) as (one,), gateway(server, tmp_path, SLEEPER) as made:
        with pytest.raises(httpx.ReadTimeout):
            await made.http.post("/v1/chat/completions", json=CHAT, timeout=0.2)
        await made.until_outcome("client_cancelled")
        assert await made.value("naru_queue_depth", model="m") == 0
        await announce(server, "llm", one)
        await until_known(made, one)
        assert not one.received


async def test_a_request_whose_last_pod_refuses_it_waits_for_the_next_one(tmp_path: Path) -> None:
    """The pod was killed: nobody announced it."""
    slow = {"upstream": {"health_interval": 30}}
    async with api_server() as server, pods(2) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path, SLEEPER, **slow) as made:
            assert (await ask(made)).status_code == 200
            one.stop()
            waiting = [asyncio.create_task(ask(made)) for _ in range(5)]
            async with asyncio.timeout(30):
                while await made.value("naru_queue_depth", model="m") < 5:
                    await asyncio.sleep(0.01)
            await announce(server, "llm", two)
            answers = await asyncio.gather(*waiting)
            assert [answer.status_code for answer in answers] == [200] * 5
            assert {answer.headers["x-naru-endpoint"] for answer in answers} == {f"{two.host}:{two.port}"}


async def test_replaced_in_place_under_load_no_request_fails(tmp_path: Path) -> None:
    """One GPU: the old pod goes before the new one comes."""

    async def work(received: Received, wire: Wire) -> None:
        await asyncio.sleep(0.05)
        await hello(received, wire)

    async with api_server() as server, pods(2, work) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path, SLEEPER) as made:
            stopped = asyncio.Event()
            served: list[str] = []

            async def load() -> None:
                while not stopped.is_set():
                    answer = await ask(made)
                    assert answer.status_code == 200
                    assert answer.content.endswith(b"data: [DONE]\n\n")
                    served.append(answer.headers["x-naru-endpoint"].partition(":")[0])

            clients = [asyncio.create_task(load()) for _ in range(8)]
            for old, new in ((one, two), (two, one)):
                await replace(server, old, new)
                await until_known(made, new)
                await asyncio.sleep(0.2)
            stopped.set()
            await asyncio.gather(*clients)
            assert set(served) == {one.host, two.host}


async def replace(server: ApiServer, old: Engine, new: Engine) -> None:
    leaving = pod(old.host, ready=False, serving=True, terminating=True)
    await server.put(endpoint_slice("llm", leaving, port=old.port))
    await until(lambda: old.running == 0)
    old.stop()
    await server.put(endpoint_slice("llm", port=old.port))
    await server.put(endpoint_slice("llm", pod(new.host, ready=False), port=new.port))
    await asyncio.sleep(0.2)
    await announce(server, "llm", new)
    await old.start()  # the address is another pod's next time


async def test_also_a_model_of_plain_addresses_may_wait(tmp_path: Path) -> None:
    """An engine on a laptop that is restarted."""
    async with api_server() as server, pods(1) as (one,):
        models = {"models": {"m": {"task": "chat", "activation": {}, "versions": {"v": {"endpoints": [one.url]}}}}}
        async with gateway(server, tmp_path, models) as made:
            one.stop()
            waiting = asyncio.create_task(ask(made))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            await one.start()
            assert (await waiting).status_code == 200


async def test_over_grpc_too(tmp_path: Path) -> None:
    async with (
        api_server() as server,
        pods(1) as (one,),
        gateway(server, tmp_path, SLEEPER) as made,
        calling(made) as client,
    ):
        health = health_pb2_grpc.HealthStub(client.channel)
        asked = health_pb2.HealthCheckRequest(service="naru.v1.ChatService")
        # Who asks first must still come: nothing else would start the model.
        assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING
        waiting = asyncio.create_task(drained(client.stream()))
        async with asyncio.timeout(30):
            while await made.value("naru_queue_depth", model="m") < 1:
                await asyncio.sleep(0.01)
        await announce(server, "llm", one)
        assert text(await waiting) == "Hello"


async def test_over_grpc_the_timeout_is_unavailable_with_a_time(tmp_path: Path) -> None:
    models = registry("llm", activation={"timeout": "300ms"})
    async with api_server() as server, gateway(server, tmp_path, models) as made, calling(made) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drained(client.stream())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        told = details(caught.value)
        assert told.reason.lower() == "timeout_activation"
        assert told.retry_after is not None
        assert told.retry_after >= 1


async def test_the_registry_may_change_while_requests_wait(tmp_path: Path) -> None:
    later = registry("llm", activation={"timeout": "20s"}, slo={"ttft": "1s"})
    async with api_server() as server, pods(1) as (one,), gateway(server, tmp_path, SLEEPER, **QUICK) as made:
        waiting = [asyncio.create_task(ask(made)) for _ in range(3)]
        async with asyncio.timeout(30):
            while await made.value("naru_queue_depth", model="m") < 3:
                await asyncio.sleep(0.01)
        await reload(made, tmp_path, later)
        await announce(server, "llm", one)
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3
