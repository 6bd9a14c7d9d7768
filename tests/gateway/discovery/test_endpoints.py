"""Pods come and go, and requests go to those that are there."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.gateway.discovery.clusters import announce, ask, gateway, known, pods, registry, until, until_known
from tests.gateway.test_reload import QUICK, reload
from tests.support.engine import Received, Wire, delta, usage
from tests.support.gateway import Running
from tests.support.kubernetes import api_server, endpoint_slice, pod


async def answered(made: Running, requests: int = 20) -> Counter[str]:
    answers = [await ask(made) for _ in range(requests)]
    assert {answer.status_code for answer in answers} == {200}
    return Counter(answer.headers["x-naru-endpoint"].partition(":")[0] for answer in answers)


async def test_each_ready_pod_gets_its_share(tmp_path: Path) -> None:
    async with api_server() as server, pods(3) as (one, two, three):
        await announce(server, "llm", one, two, three)
        async with gateway(server, tmp_path) as made:
            assert await answered(made, 30) == dict.fromkeys((one.host, two.host, three.host), 10)


async def test_pods_that_come_and_go_are_used_and_left(tmp_path: Path) -> None:
    async with api_server() as server, pods(3) as (one, two, three):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path) as made:
            assert set(await answered(made)) == {one.host}
            await announce(server, "llm", one, two, three)
            await until_known(made, one, two, three)
            assert set(await answered(made)) == {one.host, two.host, three.host}
            await announce(server, "llm", three)
            await until_known(made, three)
            assert set(await answered(made)) == {three.host}
            await server.delete("llm-abc")
            await until(lambda: not known(made))
            assert (await ask(made)).status_code == 503


async def test_what_stays_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path) as made:
            await ask(made)
            (before,) = made.gateway.source.live.endpoints()
            before.circuit.row = 3
            await announce(server, "llm", one, two)
            await until_known(made, one, two)
            after, _ = made.gateway.source.live.endpoints()
            assert after is before
            assert (after.circuit.row, len(after.idle)) == (3, 1)


async def slow(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(20):
        await wire.events(delta(content="a"), pause=0.05)
    await wire.events(usage(1, 20), "[DONE]")
    await wire.last()


async def test_a_draining_pod_gets_no_new_request_and_its_streams_finish(tmp_path: Path) -> None:
    async with api_server() as server, pods(2, slow) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path) as made:
            running = asyncio.create_task(ask(made))
            await until(lambda: one.running == 1)
            terminating = pod(one.host, ready=False, serving=True, terminating=True)
            await server.put(endpoint_slice("llm", terminating, pod(two.host), port=one.port))
            await until_known(made, two)
            later = await asyncio.gather(*(ask(made) for _ in range(5)))
            assert {answer.headers["x-naru-endpoint"] for answer in later} == {f"{two.host}:{two.port}"}
            finished = await running
            assert finished.headers["x-naru-endpoint"] == f"{one.host}:{one.port}"
            assert finished.content.count(b'"content":') + finished.content.count(b'"content": ') >= 20
            assert finished.content.endswith(b"data: [DONE]\n\n")
            assert len(one.received) == 1


async def test_a_stream_whose_pod_is_killed_goes_on_at_one_that_came_later(tmp_path: Path) -> None:
    """Also where the registry has changed meanwhile: the call keeps its configuration, not its dead pods."""

    async def long(_: Received, wire: Wire) -> None:
        await wire.head()
        for _i in range(30):
            await wire.events(delta(content="a"), pause=0.05)
        await wire.events(usage(1, 30), "[DONE]")
        await wire.last()

    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with api_server() as server, pods(4, long) as (one, two, three, four):
        await announce(server, "llm", one, two)
        async with gateway(server, tmp_path, **QUICK) as made:
            running = asyncio.create_task(made.http.post("/v1/chat/completions", json=body))
            await until(lambda: one.running + two.running == 1)
            await announce(server, "llm", three, four)
            await until_known(made, three, four)
            await reload(made, tmp_path, registry("llm", slo={"ttft": "1s"}))
            await asyncio.sleep(0.2)
            for each in (one, two):
                each.stop()
            answer = await running
            assert answer.content.endswith(b"data: [DONE]\n\n")
            assert await made.value("naru_migrations_total", outcome="continued") == 1
            assert three.received or four.received


async def test_a_pod_that_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        await server.put(endpoint_slice("llm", pod(one.host), pod(two.host, ready=False), port=one.port))
        async with gateway(server, tmp_path) as made:
            assert known(made) == [one.host]
            assert await made.value("naru_discovered_endpoints", model="m", version="llm", state="ready") == 1
            assert await made.value("naru_discovered_endpoints", model="m", version="llm", state="loading") == 1
            await announce(server, "llm", one, two)
            await until_known(made, one, two)


async def test_a_pod_that_the_cluster_calls_ready_and_that_is_not_gets_no_request(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        two.healthy = False
        await announce(server, "llm", one, two)
        async with gateway(server, tmp_path, healthy=False) as made:
            assert set(await answered(made)) == {one.host}


async def test_versions_of_two_services_share_by_weight_and_have_ports_by_name_or_number(tmp_path: Path) -> None:
    models = registry("llm-v1", "llm-v2")
    versions = models["models"]["m"]["versions"]
    async with api_server() as server, pods(2) as (one, two):
        versions["llm-v1"] |= {"weight": 75, "port": "api"}
        versions["llm-v2"] |= {"weight": 25, "port": two.port, "namespace": "other"}
        await server.put(endpoint_slice("llm-v1", pod(one.host), port=one.port, port_name="api"))
        await server.put(endpoint_slice("llm-v2", pod(two.host), port=1), "other")
        async with gateway(server, tmp_path, models, seed=1) as made:
            shares = await answered(made, 100)
            assert 60 <= shares[one.host] <= 90
            assert {each.namespace for each in server.watches} == {"default", "other"}


async def test_a_model_that_moves_at_once_is_never_without_an_endpoint(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path) as made:
            stopped = asyncio.Event()

            async def load() -> None:
                while not stopped.is_set():
                    assert (await ask(made)).status_code == 200

            clients = [asyncio.create_task(load()) for _ in range(4)]
            for turn in range(10):
                now = (one, two)[turn % 2]
                await announce(server, "llm", now)
                await until_known(made, now)
            stopped.set()
            await asyncio.gather(*clients)


async def test_a_service_that_the_registry_names_later_is_served(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        await announce(server, "llm", one)
        await server.put(endpoint_slice("new", pod(two.host), port=two.port), "elsewhere")
        async with gateway(server, tmp_path, **QUICK) as made:
            models = registry("llm")
            models["models"]["n"] = {"task": "chat", "versions": {"v": {"service": "new", "namespace": "elsewhere"}}}
            await reload(made, tmp_path, models)
            answer = await made.http.post("/v1/chat/completions", json={"model": "n", "messages": [], "stream": True})
            assert answer.headers["x-naru-endpoint"] == f"{two.host}:{two.port}"


async def test_a_version_of_a_service_without_pods_is_listed_and_answered_503(tmp_path: Path) -> None:
    async with api_server() as server, gateway(server, tmp_path) as made:
        (listed,) = (await made.http.get("/v1/models")).json()["data"]
        assert (listed["versions"], listed["ready"]) == (["llm"], False)
        assert (await ask(made, **{"x-naru-version": "llm"})).status_code == 503
        assert (await ask(made, **{"x-naru-version": "other"})).status_code == 404


async def test_a_gateways_own_zone_is_preferred_while_the_cluster_means_it_to_be(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (near, far):
        hinted = [pod(near.host, zones=("a",)), pod(far.host, zones=("b",))]
        await server.put(endpoint_slice("llm", *hinted, port=near.port))
        async with gateway(server, tmp_path, kubernetes={"zone": "a"}) as made:
            assert set(await answered(made)) == {near.host}
            await server.put(endpoint_slice("llm", pod(near.host, zones=("a",)), pod(far.host), port=near.port))
            await until_known(made, near, far)
            assert set(await answered(made)) == {near.host, far.host}
