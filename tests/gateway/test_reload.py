"""A running gateway takes its registry's changes over, and no request notices."""

import asyncio
import gc
import signal
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.gateway.filestamp import stamp
from services.gateway.metrics import Metrics
from services.gateway.reload import WatchedFile
from services.gateway.routing.fleet import Fleet
from tests.gateway.test_drain import process
from tests.gateway.test_migration import ASKING, CHAT, TEXT, Writer, uninterrupted
from tests.support.engine import Engine, Received, Wire, delta, engine, hello, usage
from tests.support.gateway import Running, chat_registry, running
from tests.support.samples import parse

QUICK: dict[str, Any] = {"registry_poll": 0.02}
STREAMS = 50


def versions(**engines: Engine) -> dict[str, Any]:
    """A registry with one model that has these versions."""
    found = {version: {"endpoints": [one.url]} for version, one in engines.items()}
    return {"models": {"m": {"task": "chat", "versions": found}}}


def write(path: Path, registry: object) -> None:
    """As editors and `kubectl` do: the file is replaced at once."""
    scratch = path.with_suffix(".new")
    scratch.write_text(registry if isinstance(registry, str) else yaml.safe_dump(registry), encoding="utf-8")
    scratch.replace(path)


async def reloads(gateway: Running, outcome: str = "ok", file: str = "registry") -> float:
    return await gateway.value("naru_config_reloads_total", file=file, outcome=outcome)


async def reload(gateway: Running, folder: Path, registry: object, outcome: str = "ok") -> None:
    """Write the registry, and wait until it was taken over or refused."""
    before = await reloads(gateway, outcome)
    write(folder / "registry.yaml", registry)
    async with asyncio.timeout(30):
        while await reloads(gateway, outcome) == before:
            await asyncio.sleep(0.01)


async def ask(gateway: Running, model: str = "m", **headers: str) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json={**CHAT, "model": model}, headers=headers)


async def answering(gateway: Running, requests: int = 30) -> Counter[str]:
    answers = [await ask(gateway) for _ in range(requests)]
    assert {answer.status_code for answer in answers} == {200}
    return Counter(answer.headers["x-naru-version"] for answer in answers)


async def test_a_model_comes_and_goes(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        both = versions(v1=one)
        both["models"]["new"] = {**versions(v1=two)["models"]["m"], "adapters": ["tuned"]}
        assert (await ask(gateway, "new")).status_code == 404
        await reload(gateway, tmp_path, both)
        assert [(await ask(gateway, name)).status_code for name in ("new", "tuned", "m")] == [200, 200, 200]
        listed = (await gateway.http.get("/v1/models")).json()["data"]
        assert {model["id"] for model in listed} == {"m", "new", "tuned"}
        await reload(gateway, tmp_path, versions(v1=one))
        assert [(await ask(gateway, name)).status_code for name in ("new", "tuned", "m")] == [404, 404, 200]


async def test_a_canary_gets_everything(tmp_path: Path) -> None:
    async with engine() as old, engine() as new:
        registry = versions(v1=old, v2=new)
        weights = registry["models"]["m"]["versions"]
        weights["v1"]["weight"], weights["v2"]["weight"] = 100, 0
        async with running(registry, tmp_path, **QUICK) as gateway:
            assert await answering(gateway) == {"v1": 30}
            weights["v1"]["weight"], weights["v2"]["weight"] = 50, 50
            await reload(gateway, tmp_path, registry)
            assert set(await answering(gateway)) == {"v1", "v2"}
            weights["v1"]["weight"], weights["v2"]["weight"] = 0, 100
            await reload(gateway, tmp_path, registry)
            assert await answering(gateway) == {"v2": 30}


async def test_what_stays_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        await ask(gateway)
        (before,) = gateway.gateway.health.rounds.followed
        before.circuit.row = 3
        await reload(gateway, tmp_path, versions(v1=one, v2=two))
        await ask(gateway, **{"x-naru-version": "v1"})
        after = gateway.gateway.health.rounds.followed[0]
        assert after is before
        assert after.healthy
        assert [len(each.idle) for each in gateway.gateway.health.rounds.followed] == [1, 0]
        inference = [received for received in one.received if received.method == "POST"]
        assert len(inference) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("models: [", "is not YAML"),
        ("models: 2024-99-99", "is not YAML"),
        ("models: {m: {task: chat, versions: {v1: {endpoints: [ftp://a]}}}}", "models.m.versions.v1.endpoints.0"),
        ("models: {m: {task: chat, versions: {v1: {endpoints: ['http://a:1']}}, colour: red}}", "models.m.colour"),
        ("models: {}", "models"),
        (None, "No such file"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_the_reason_and_the_old_one_stays(
    tmp_path: Path, bad: str | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine() as one, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        since = await gateway.value("naru_config_last_reload_success_timestamp_seconds", file="registry")
        assert since > 1e9
        assert await gateway.value("naru_config_last_reload_successful", file="registry") == 1
        if bad is None:
            (tmp_path / "registry.yaml").unlink()
            async with asyncio.timeout(30):
                while not await reloads(gateway, "refused"):
                    await asyncio.sleep(0.01)
        else:
            await reload(gateway, tmp_path, bad, "refused")
        await asyncio.sleep(0.1)  # it is said once
        assert await reloads(gateway, "refused") == 1
        said = [r.__dict__["fields"] for r in caplog.records if "refused" in r.message]
        assert [fields["file"] for fields in said] == ["registry"]
        assert "registry.yaml" in said[0]["reason"]
        assert reason in said[0]["reason"]
        assert await gateway.value("naru_config_last_reload_successful", file="registry") == 0
        assert await gateway.value("naru_config_last_reload_success_timestamp_seconds", file="registry") == since
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"http://127.0.0.1:{gateway.admin_port}/readyz")
        assert (ready.status_code, ready.json()["models"]) == (200, {"m": True})
        assert (await ask(gateway)).status_code == 200
        await reload(gateway, tmp_path, versions(v1=one))
        assert await gateway.value("naru_config_last_reload_successful", file="registry") == 1


async def test_a_mounted_config_map_is_followed(tmp_path: Path) -> None:
    """Its files are links over a link `..data`, which the kubelet replaces."""
    mount, path = tmp_path / "mount", tmp_path / "registry.yaml"
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        for name, content in (("1", versions(v1=one)), ("2", versions(v2=two))):
            (mount / name).mkdir(parents=True)
            (mount / name / "registry.yaml").write_text(yaml.safe_dump(content))
        (mount / "..data").symlink_to("1")
        path.unlink()
        path.symlink_to(mount / "..data" / "registry.yaml")
        async with asyncio.timeout(30):
            while not await reloads(gateway):
                await asyncio.sleep(0.01)
        (mount / "..new").symlink_to("2")
        (mount / "..new").replace(mount / "..data")
        async with asyncio.timeout(30):
            while await reloads(gateway) < 2:
                await asyncio.sleep(0.01)
        assert await answering(gateway, 3) == {"v2": 3}


async def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("one")

    class Source:
        def __init__(self) -> None:
            self.path, self.stamp = path, stamp(path)

        async def reread(self) -> dict[str, object]:
            return {}

    file = WatchedFile("registry", Source(), 1.0, Metrics(CollectorRegistry()))
    looks = []
    for text in (None, "a", "a long", None, None):
        if text is not None:
            path.write_text(text)
        looks.append(file._changed())
        if looks[-1]:
            await file.reload()
    assert looks == [False, False, False, True, False]


async def test_sighup_reloads_both_files_at_once(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("keys: []")
    never = {"NARU_GATEWAY__REGISTRY_POLL": "3600", "NARU_GATEWAY__KEYS__FILE": str(keys)}
    async with engine() as one, process(one.url, tmp_path, **never) as (gateway, port, admin), httpx.AsyncClient() as c:

        async def reloaded() -> float:
            page = (await c.get(f"http://127.0.0.1:{admin}/metrics")).text
            return parse(page).sum("naru_config_reloads_total", outcome="ok")

        registry = chat_registry(one.url)
        registry["models"]["new"] = registry["models"]["m"]
        write(tmp_path / "registry.yaml", registry)
        gateway.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):
            while await reloaded() < 2:
                await asyncio.sleep(0.02)
        request = {"json": {**CHAT, "model": "new"}, "headers": {"authorization": "Bearer k"}}
        answer = await c.post(f"http://127.0.0.1:{port}/v1/chat/completions", **request)  # type: ignore[arg-type]
        assert answer.status_code == 200


async def test_a_new_endpoint_is_checked_before_it_takes_the_place_of_another(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        answers: list[httpx.Response] = []

        async def load() -> None:
            while True:
                answers.append(await ask(gateway))

        clients = [asyncio.create_task(load()) for _ in range(5)]
        for turn in range(6):
            await reload(gateway, tmp_path, versions(v1=two if turn % 2 == 0 else one))
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        assert {answer.status_code for answer in answers} == {200}
        assert one.received
        assert two.received


async def test_an_endpoint_that_does_not_answer_yet_gets_nothing_until_it_does(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        two.healthy = False
        await reload(gateway, tmp_path, versions(v1=one, v2=two))
        assert await answering(gateway) == {"v1": 30}
        two.healthy = True
        async with asyncio.timeout(30):
            while not gateway.gateway.health.rounds.followed[1].healthy:
                await asyncio.sleep(0.01)
        assert set(await answering(gateway)) == {"v1", "v2"}


async def test_an_endpoint_that_goes_ends_what_it_runs_and_is_asked_nothing_more(tmp_path: Path) -> None:
    async with (
        engine(Writer("a", pace=0.02)) as old, engine() as new,
        running(versions(v1=old), tmp_path, **QUICK, upstream={"keep_alive": 0.5}) as gateway,
    ):  # fmt: skip
        assert (await ask(gateway)).status_code == 200
        streams = [asyncio.create_task(ask(gateway)) for _ in range(2)]
        async with asyncio.timeout(30):
            while old.running < 2:
                await asyncio.sleep(0.005)
        (gone,) = gateway.gateway.health.rounds.followed
        gateway.gateway.metrics.ejections.labels("m", gone.authority).inc()
        assert await gateway.value("naru_endpoint_inflight", endpoint=gone.authority) == 2
        assert await gateway.value("naru_endpoint_ejections_total", endpoint=gone.authority) == 1
        await reload(gateway, tmp_path, versions(v2=new))

        found = await gateway.samples()
        stale = [labels for _, labels in found.values if ("endpoint", gone.authority) in labels]
        assert stale == []
        assert found.sum("naru_endpoint_healthy", endpoint=new.url.removeprefix("http://")) == 1
        before = len(old.received)
        assert await answering(gateway, 5) == {"v2": 5}
        assert len(old.received) == before
        for answer in await asyncio.gather(*streams):
            uninterrupted(answer.content)
        assert gone.in_flight == 0
        async with asyncio.timeout(30):  # an idle connection lives for `keep_alive`
            while old.writers:
                await asyncio.sleep(0.02)


async def test_a_connection_that_is_idle_at_an_endpoint_that_goes_is_closed_at_once(tmp_path: Path) -> None:
    kept: dict[str, Any] = {**QUICK, "upstream": {"keep_alive": 3600}}
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **kept) as gateway:
        await ask(gateway)
        (gone,) = gateway.gateway.health.rounds.followed
        assert gone.idle
        await reload(gateway, tmp_path, versions(v2=two))
        async with asyncio.timeout(30):
            while gone.idle or one.writers:
                await asyncio.sleep(0.01)


async def test_a_stream_that_outlives_its_endpoint_moves_to_one_that_stays(tmp_path: Path) -> None:
    async with engine(Writer("a", pace=0.02)) as a, engine(Writer("b")) as b, engine(Writer("c")) as c:
        registry = versions(v1=a)
        endpoints = registry["models"]["m"]["versions"]["v1"]["endpoints"]
        async with running(registry, tmp_path, **QUICK) as gateway:
            endpoints += [b.url, c.url]
            await reload(gateway, tmp_path, registry)
            for endpoint in gateway.gateway.health.rounds.followed[1:]:
                endpoint.in_flight += 10
            stream = asyncio.create_task(ask(gateway))
            async with asyncio.timeout(30):
                while not a.running:
                    await asyncio.sleep(0.005)
            for endpoint in gateway.gateway.health.rounds.followed[1:]:
                endpoint.in_flight -= 10
            gateway.gateway.health.rounds.followed[2].in_flight += 5  # were it not for the reload, b would be next
            del endpoints[:2]
            await reload(gateway, tmp_path, registry)
            a.stop()
            answer = await stream
            uninterrupted(answer.content)
            assert [len(each.received) > 0 for each in (b, c)] == [False, True]


async def test_a_call_is_charged_by_the_registry_it_came_in_with(tmp_path: Path) -> None:
    async with engine(Writer("a", pace=0.01)) as one:
        registry = versions(v1=one)
        model = registry["models"]["m"]
        model["price"] = {"request": 1, "currency": "old"}
        async with running(registry, tmp_path, **QUICK) as gateway:
            stream = asyncio.create_task(ask(gateway))
            async with asyncio.timeout(30):
                while not one.running:
                    await asyncio.sleep(0.005)
            model["price"] = {"request": 10, "currency": "new"}
            await reload(gateway, tmp_path, registry)
            uninterrupted((await stream).content)
            await ask(gateway)
            async with asyncio.timeout(30):
                while await gateway.value("naru_cost_total") < 11:
                    await asyncio.sleep(0.05)
            assert await gateway.value("naru_cost_total", currency="old") == 1
            assert await gateway.value("naru_cost_total", currency="new") == 10


async def test_a_limit_that_is_raised_lets_in_who_waits(tmp_path: Path) -> None:
    async def slow(request: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await hello(request, wire)

    async with engine(slow) as one:
        registry = versions(v1=one)
        model = registry["models"]["m"]
        model["admission"] = {"concurrency": 1, "queue": 10}
        async with running(registry, tmp_path, **QUICK) as gateway:
            asked = [asyncio.create_task(ask(gateway)) for _ in range(5)]
            async with asyncio.timeout(30):
                while await gateway.value("naru_queue_depth") < 4:
                    await asyncio.sleep(0.005)
            assert one.running == 1
            model["admission"]["concurrency"] = 5
            await reload(gateway, tmp_path, registry)
            assert await gateway.value("naru_queue_depth") == 0
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}


async def one_token(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    await wire.events(usage(1, 1), "[DONE]")
    await wire.last()


@pytest.mark.slow
async def test_a_hundred_reloads_under_load_drop_nothing_mix_nothing_and_leave_nothing(tmp_path: Path) -> None:
    """Version, endpoint, price and objective change together, in turns; a third engine comes and goes."""
    async with (
        engine(Writer("a", pace=0.02)) as a, engine(Writer("b", pace=0.02)) as b, engine(Writer("b", pace=0.02)) as c
    ):  # fmt: skip
        first, second = versions(a=a), versions(b=b)
        first["models"]["m"]["price"] = {"request": 1, "currency": "a"}
        second["models"]["m"]["price"] = {"request": 1, "currency": "b"}
        second["models"]["m"]["versions"]["b"]["endpoints"].append(c.url)
        authorities = {"a": {a.url}, "b": {b.url, c.url}}
        async with running(first, tmp_path, registry_poll=0.005) as gateway:
            gateway.http.timeout = httpx.Timeout(60)
            enough, answers, seen = asyncio.Event(), list[httpx.Response](), list[weakref.ref[Fleet]]()

            async def load() -> None:
                while not enough.is_set():
                    answers.append(await gateway.http.post("/v1/chat/completions", json=ASKING))

            tasks = len(asyncio.all_tasks())
            clients = [asyncio.create_task(load()) for _ in range(STREAMS)]
            source = gateway.gateway.files[0]._source
            source.live.follow(lambda fleet: seen.append(weakref.ref(fleet)))  # type: ignore[attr-defined]
            for turn in range(100):
                write(tmp_path / "registry.yaml", first if turn % 2 else second)
                # The load keeps step: on a slow machine too, every registry has some of it.
                async with asyncio.timeout(30):
                    while len(seen) < turn + 2 or len(answers) < 3 * turn:
                        await asyncio.sleep(0.005)
            enough.set()
            await asyncio.gather(*clients)

            assert {answer.status_code for answer in answers} == {200}
            for answer in answers:
                chunks = uninterrupted(answer.content)
                assert chunks[-1]["usage"]["completion_tokens"] == len(TEXT)
                version = answer.headers["x-naru-version"]
                assert chunks[0]["id"] == version
                assert f"http://{answer.headers['x-naru-endpoint']}" in authorities[version]
            counted = Counter(answer.headers["x-naru-version"] for answer in answers)
            assert min(counted["a"], counted["b"]) > STREAMS
            async with asyncio.timeout(30):
                while await gateway.value("naru_cost_total") < len(answers):
                    await asyncio.sleep(0.1)
            found = await gateway.samples()
            for version, count in counted.items():
                assert found.sum("naru_cost_total", version=version, currency=version) == count
                assert found.sum("naru_requests_total", version=version, outcome="ok") == count
            assert found.sum("naru_migrations_total") == found.sum("naru_retries_total") == 0
            assert found.sum("naru_endpoint_inflight") == found.sum("naru_inflight_requests") == 0
            assert {dict(labels)["endpoint"] for name, labels in found.values if name == "naru_endpoint_healthy"} == {
                a.url.removeprefix("http://")
            }
            async with asyncio.timeout(30):
                while len(asyncio.all_tasks()) > tasks or b.writers or c.writers:
                    await asyncio.sleep(0.05)
            gc.collect()
            assert len(seen) == 101
            assert sum(fleet() is not None for fleet in seen) == 1
