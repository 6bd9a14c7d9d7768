"""Every row of the fault table: what the client gets, what the metrics say, how many attempts were made upstream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.engine import Engine, Received, Wire, engine, hello
from tests.support.faults import (
    CONNECT,
    DROPS,
    FAULTS,
    FIRST_BYTE,
    GONE,
    IDLE,
    MAX_EVENT,
    REFUSED,
    Fault,
    Result,
    continues,
    dropping,
)
from tests.support.gateway import Running, running
from tests.support.samples import Samples

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
LIMITS = {
    # One health check, before the fault begins: what is tested is what requests find out.
    "health_interval": 600, "connect_timeout": CONNECT, "first_byte_timeout": FIRST_BYTE, "idle_timeout": IDLE,
    "max_event": MAX_EVENT,
}  # fmt: skip


def one_version(*urls: str, **model: object) -> dict[str, object]:
    return {"models": {"m": {"task": "chat", "versions": {"v1": {"endpoints": list(urls)}}, **model}}}


@contextlib.asynccontextmanager
async def broken(fault: Fault, folder: Path, *others: Engine) -> AsyncIterator[tuple[Running, Engine]]:
    """A gateway whose first endpoint has the fault."""
    async with engine() as faulty, contextlib.AsyncExitStack() as stack:
        urls = [faulty.url, *(other.url for other in others)]
        async with running(one_version(*urls), folder, upstream=LIMITS) as gateway:
            first = gateway.gateway.health.rounds.followed[0]
            if fault.script == REFUSED:
                faulty.stop()
            elif fault.script == GONE:
                first.host = "gone.invalid"
            elif fault.script == DROPS:
                first.port = stack.enter_context(dropping()).getsockname()[1]
            elif not isinstance(fault.script, str):
                faulty.script = fault.script
            for endpoint in gateway.gateway.health.rounds.followed[1:]:
                endpoint.in_flight += 1  # the faulty one is asked first
            yield gateway, faulty
            for endpoint in gateway.gateway.health.rounds.followed[1:]:
                endpoint.in_flight -= 1


def code_of(answer: httpx.Response) -> str | None:
    """The error that a client reads in an answer."""
    for event in answer.content.split(b"\n\n"):
        data = event.rpartition(b"data: ")[2]
        with contextlib.suppress(ValueError):
            found = json.loads(data)
            if isinstance(found, dict) and "error" in found:
                code: str | None = found["error"].get("code")
                return code
    return None


async def ended(gateway: Running, outcome: str) -> Samples:
    await gateway.until_outcome(outcome, seconds=20)
    samples = await gateway.samples()
    assert samples.sum("naru_requests_total") == 1
    assert samples.sum("naru_endpoint_inflight", model="m") <= 1  # the one that the test put there
    assert samples.sum("naru_inflight_requests") == 0
    return samples


async def held(gateway: Running, fault: Fault, expected: Result) -> Samples:
    answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": fault.stream})
    assert (answer.status_code, code_of(answer)) == (expected.status, expected.code)
    assert answer.headers.get("retry-after") == expected.retry_after
    whole = answer.content.endswith(b"data: [DONE]\n\n")
    assert whole is ((fault.stream and expected.outcome == "ok") or expected.code == "engine")
    samples = await ended(gateway, expected.outcome)
    further = samples.sum("naru_retries_total") + samples.sum("naru_migrations_total", outcome="continued")
    assert 1 + further == expected.attempts
    return samples


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_alone(fault: Fault, tmp_path: Path) -> None:
    async with broken(fault, tmp_path) as (gateway, faulty):
        await held(gateway, fault, fault.alone)
        assert len(faulty.received) == (0 if isinstance(fault.script, str) else 1)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_beside_an_endpoint_that_is_well(fault: Fault, tmp_path: Path) -> None:
    async with engine(continues) as well, broken(fault, tmp_path, well) as (gateway, _):
        samples = await held(gateway, fault, fault.beside)
        answers = [request for request in well.received if request.path != "/tokenize"]
        assert len(answers) == fault.beside.attempts - 1
        if fault.why == "migrated":
            assert samples.sum("naru_migrations_total", outcome="continued", version="v1") == 1
        elif fault.why:
            assert samples.sum("naru_retries_total", reason=fault.why, model="m") == 1
        assert samples.sum("naru_slo_requests_total", met="true") == 0  # none is promised here


async def test_one_of_three_flaps(tmp_path: Path) -> None:
    """Requests that it breaks are answered elsewhere; it is ejected, and taken back when it does well."""

    async def flaps(request: Received, wire: Wire) -> None:
        if flapping:
            wire.reset()
        else:
            await hello(request, wire)

    flapping = True
    quick = {"eject_time": 0.2, "retry_floor": 50}
    async with engine(flaps) as bad, engine() as one, engine() as two:
        registry = one_version(bad.url, one.url, two.url)
        async with running(registry, tmp_path, upstream=LIMITS, resilience=quick) as gateway:

            async def ask(count: int) -> None:
                answers = [await gateway.http.post("/v1/chat/completions", json=CHAT) for _ in range(count)]
                assert {answer.status_code for answer in answers} == {200}
                assert all(answer.content.endswith(b"data: [DONE]\n\n") for answer in answers)

            async with asyncio.timeout(30):
                while not await gateway.value("naru_endpoint_ejections_total"):
                    await ask(3)
            assert await gateway.value("naru_endpoint_circuit_open") == 1
            broken_at = len(bad.received)
            assert await gateway.value("naru_retries_total", reason="broken") == broken_at
            flapping = False
            async with asyncio.timeout(30):
                while await gateway.value("naru_endpoint_circuit_open"):
                    await ask(3)
            assert len(bad.received) > broken_at
            assert await gateway.outcome("ok") == await gateway.value("naru_requests_total")


async def test_an_outage_is_not_amplified(tmp_path: Path) -> None:
    async def down(_: Received, wire: Wire) -> None:
        await wire.whole(503, {})

    budget = {"retry_share": 0.2, "retry_floor": 2, "eject_share": 0}
    async with engine(down) as one, engine(down) as two:
        registry = one_version(one.url, two.url)
        async with running(registry, tmp_path, upstream=LIMITS, resilience=budget) as gateway:
            answers = [await gateway.http.post("/v1/chat/completions", json=CHAT) for _ in range(50)]
            assert {answer.status_code for answer in answers} == {503}
            attempts = len(one.received) + len(two.received)
            retries = await gateway.value("naru_retries_total", reason="503")
            assert attempts == 50 + retries
            assert 5 <= retries <= 12
            assert await gateway.value("naru_retry_budget_exhausted_total", model="m") == 50 - retries


async def test_a_429_passes_at_once_where_no_endpoint_has_room(tmp_path: Path) -> None:
    async def full(_: Received, wire: Wire) -> None:
        await wire.whole(429, {"error": {"message": "queue full"}}, "retry-after: 3")

    async with (
        engine(full) as one,
        engine(full) as two,
        running(one_version(one.url, two.url), tmp_path, upstream=LIMITS) as gateway,
    ):
        for _ in range(10):
            answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
            assert answer.json()["error"]["message"] == "queue full"
        # The first request learnt that neither has room; the others asked one endpoint each.
        assert len(one.received) + len(two.received) == 11
