"""The watch survives whatever an API server does: nothing is missed, nothing known is forgotten, nobody is flooded."""

import asyncio
import logging
import random
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.upstream.discovery.backoff import Backoff
from tests.gateway.discovery.clusters import until
from tests.gateway.discovery.following import following
from tests.support import kubernetes as faulty
from tests.support.engine import Wire
from tests.support.kubernetes import ApiServer, Asked, Fault, api_server, endpoint_slice, failure, in_stream, pod
from tests.support.tls import Authority

CLUSTER = "services.gateway.upstream.discovery.cluster"


async def test_one_list_then_one_watch_from_its_version(tmp_path: Path) -> None:
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            await server.announce("llm", "10.0.0.1", "10.0.0.2")
            await seen.until("10.0.0.1", "10.0.0.2")
            await server.announce("other", "10.0.0.9")
            await server.delete("llm-abc")
            await seen.until()
            assert (len(server.lists), len(server.watches)) == (1, 1)
            watch = server.watches[0].query
            assert watch["resourceVersion"] == "101"
            assert (watch["allowWatchBookmarks"].lower(), watch["timeoutSeconds"]) == ("true", "30")


async def test_a_cut_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            await server.announce("llm", "10.0.0.2")
            await seen.until("10.0.0.2")
            server.stop()
            await seen.until_fault("network")
            await server.announce("llm", "10.0.0.3")  # while nobody watches
            assert seen.known == ["10.0.0.2"]
            await server.start()
            await seen.until("10.0.0.3")
            assert len(server.lists) == 1
            assert server.watches[-1].query["resourceVersion"] == "102"


async def test_a_watch_that_the_server_ends_is_renewed_at_once(tmp_path: Path) -> None:
    async with api_server() as server, following(server, tmp_path, watch=1) as seen:
        await until(lambda: len(server.watches) == 3)
        assert seen.report.faults == {}
        assert seen.report.connected
        assert len(server.lists) == 1


async def test_bookmarks_keep_the_version_young(tmp_path: Path) -> None:
    async with api_server() as server, following(server, tmp_path) as seen:
        await until(lambda: len(server.watches) == 1)
        await server.bookmark()
        await asyncio.sleep(0.1)
        server.cut()
        await until(lambda: len(server.watches) == 2)
        assert server.watches[-1].query["resourceVersion"] == "111"
        assert seen.known == []


@pytest.mark.parametrize("in_stream", [True, False])
async def test_a_version_that_is_too_old_means_to_read_everything_anew(in_stream: bool, tmp_path: Path) -> None:
    async with api_server() as server:
        server.expire_in_stream = in_stream
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            server.stop()
            await server.delete("llm-abc")
            await server.put(endpoint_slice("llm", pod("10.0.0.2"), name="llm-xyz"))
            server.forget()
            await server.start()
            await seen.until("10.0.0.2")
            assert seen.report.lists == {"start": 1, "expired": 1}
            await server.put(endpoint_slice("llm", pod("10.0.0.3"), name="llm-xyz"))
            await seen.until("10.0.0.3")


FAULTS: dict[str, tuple[Fault, str]] = {
    "500": (failure(500), "500"),
    "503": (failure(503, "no", "retry-after: 0"), "503"),
    "429": (failure(429, "slow down"), "429"),
    "403": (failure(403, "no rights"), "403"),
    "401": (failure(401), "401"),
    "connection reset": (faulty.reset, "network"),
    "reset in mid-event": (faulty.reset_in_stream, "network"),
    "closed at once": (faulty.closed_at_once, "network"),
    "hanging": (faulty.hang, "timeout"),
    "a web page": (in_stream(b"<html>login</html>\n"), "garbage"),
    "half an event": (in_stream(b'{"type":"ADDED","obj'), "garbage"),
    "JSON that is no event": (in_stream(b'[1, 2]\n{"a": 1}\n'), "garbage"),
    "an event of the wrong kind": (in_stream(b'{"type":"ADDED","object":{"metadata":7}}\n'), "garbage"),
    "an endless line": (in_stream(b"x" * (5 * 2**20)), "garbage"),
    "an error event": (in_stream(faulty.line("ERROR", faulty.status(500, "etcd"))), "500"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_while_watching_what_is_known_stays_and_the_rest_follows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "naru.discovery")
    if name == "hanging":
        monkeypatch.setattr(f"{CLUSTER}.ANSWER", 0.3)
    fault, kind = FAULTS[name]
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            await seen.until_connected()
            server.broken = fault
            server.cut()
            await seen.until_fault(kind, 3)
            assert seen.known == ["10.0.0.1"]
            assert not seen.report.connected
            await server.announce("llm", "10.0.0.2")
            server.broken = None
            await seen.until("10.0.0.2")
            await until(lambda: seen.report.connected)
            await until(lambda: caplog.records[-1].message == "the API server is back")
            faults = seen.report.faults.total()
            assert len(server.lists) == 1
    said = [record.message for record in caplog.records]
    # It is said once for each kind of fault, not for each try: the cut itself was one of the network's.
    assert 1 <= said.count("endpoints can't be watched; what is known of them stays") < faults
    assert said.count("the API server is back") == 1


@pytest.mark.parametrize("name", ["500", "401", "connection reset", "hanging", "a web page"])
async def test_at_the_start_it_is_tried_until_it_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CLUSTER}.ANSWER", 0.3)
    fault, _ = FAULTS[name]
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        server.faults += [fault, fault]
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            assert len(server.lists) == 3


async def test_a_dead_connection_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CLUSTER}.ANSWER", 0.3)
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path, watch=1) as seen:
            await seen.until("10.0.0.1")
            await seen.until_connected()
            server.freeze()
            await server.announce("llm", "10.0.0.2")
            await seen.until_fault("timeout", 2)
            assert not seen.report.connected
            await until(lambda: seen.report.age > 1)  # tries that fail are nothing heard
            server.thaw()
            await seen.until("10.0.0.2")


async def test_who_is_told_to_wait_waits(tmp_path: Path) -> None:
    async with api_server() as server:
        server.faults.append(failure(429, "slow down", "retry-after: 1"))
        loop = asyncio.get_running_loop()
        async with following(server, tmp_path) as seen:
            await until(lambda: len(server.asked) == 1)
            began = loop.time()
            await seen.until_connected()
            assert loop.time() - began > 0.9


async def test_tries_become_rarer(tmp_path: Path) -> None:
    async with api_server() as server:
        server.broken = failure(500)
        async with following(server, tmp_path, longest_retry=30):
            await asyncio.sleep(1.5)
            assert 2 <= len(server.asked) <= 6


async def test_also_where_every_version_is_too_old(tmp_path: Path) -> None:
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")

        async def forgetful(asked: Asked, wire: Wire) -> None:
            await (failure(410)(asked, wire) if asked.watches else server.tell(asked, wire))

        server.broken = forgetful
        async with following(server, tmp_path, longest_retry=30) as seen:
            await asyncio.sleep(2)
            assert seen.known == ["10.0.0.1"]
            assert 2 <= len(server.lists) <= 6


def test_backoff() -> None:
    backoff = Backoff(0.2, 30, random.Random(1))
    pauses = [backoff.next() for _ in range(12)]
    for number, pause in enumerate(pauses):
        most = min(30, 0.2 * 2**number)
        assert most / 2 <= pause <= most
    backoff.reset()
    assert backoff.next() <= 0.2


async def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    async with api_server() as server:
        server.page = 2
        for number in range(5):
            await server.put(endpoint_slice("llm", pod(f"10.0.0.{number}"), name=f"llm-{number}"))
        async with following(server, tmp_path) as seen:
            await seen.until(*(f"10.0.0.{number}" for number in range(5)))
            assert len(server.lists) == 3


async def test_what_is_no_change_changes_nothing(tmp_path: Path) -> None:
    async with api_server() as server:
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            seen.discovery.moved.clear()
            await server.announce("llm", "10.0.0.1")  # a label, say
            await server.bookmark()
            await server.send("NEW KIND", {"metadata": {"name": "llm-abc", "resourceVersion": "1"}})
            await server.send("", b"\n")
            await asyncio.sleep(0.2)
            assert not seen.discovery.moved.is_set()
            assert seen.report.faults == {}


async def test_a_token_that_rotates(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with api_server() as server:
        server.tokens = {"first"}
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path) as seen:
            await seen.until("10.0.0.1")
            server.tokens = {"second"}
            server.cut()
            await seen.until_fault("401")
            token.write_text("second\n")
            await server.announce("llm", "10.0.0.2")
            await seen.until("10.0.0.2")


def secured(authority: Authority, folder: Path) -> ssl.SSLContext:
    pair = authority.pair()
    (folder / "server.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


async def test_an_authority_that_rotates(tmp_path: Path) -> None:
    authority, trusted = Authority(), tmp_path / "ca.crt"
    trusted.write_bytes(authority.certificate)
    server = ApiServer(tls=secured(authority, tmp_path))
    await server.start()
    await server.announce("llm", "10.0.0.1")
    async with following(server, tmp_path) as seen:
        await seen.until("10.0.0.1")
        server.stop()
        authority = Authority()
        server.tls = secured(authority, tmp_path)
        await server.start()
        faults = seen.report.faults["network"]
        await seen.until_fault("network", faults + 2)  # it is a stranger
        assert seen.known == ["10.0.0.1"]
        trusted.write_bytes(authority.certificate)
        await server.announce("llm", "10.0.0.2")
        await seen.until("10.0.0.2")
    server.stop()


def kubeconfig(server: ApiServer, **user: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "good", "context": {"cluster": "c", "user": "u"}},
            {"name": "bad", "context": {"cluster": "nowhere", "user": "u"}},
        ],
        "current-context": "bad",
    }


async def test_a_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    async with api_server() as server:
        path.write_text(yaml.safe_dump(kubeconfig(server, token="secret")))
        server.tokens = {"secret"}
        await server.announce("llm", "10.0.0.1")
        async with following(server, tmp_path, kubeconfig=path, context="good") as seen:
            await seen.until("10.0.0.1")


@pytest.mark.parametrize("text", ["", "a: [", "[]", "clusters: 7", None, "context: bad"])
async def test_a_kubeconfig_that_cannot_be_used_is_a_fault_like_another(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config"
    async with api_server() as server:
        if text is not None:
            path.write_text(text if text != "context: bad" else yaml.safe_dump(kubeconfig(server)))
        async with following(server, tmp_path, kubeconfig=path, context="bad") as seen:
            await seen.until_fault("configuration", 2)
            path.write_text(yaml.safe_dump(kubeconfig(server)).replace("nowhere", "c"))
            await seen.until_connected()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_in_the_end_what_is_known_is_true(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)

    async def happen(server: ApiServer) -> None:
        name = f"llm-{draw.randrange(4)}"
        addresses = draw.sample([f"10.0.0.{n}" for n in range(9)], draw.randrange(5))
        event = draw.random()
        if event < 0.5:
            pods = [pod(each, ready=draw.random() < 0.7, terminating=draw.random() < 0.2) for each in addresses]
            await server.put(endpoint_slice("llm", *pods, name=name))
        elif event < 0.6 and ("default", name) in server.objects:
            await server.delete(name)
        elif event < 0.7:
            await server.bookmark()
        elif event < 0.8:
            server.cut()
        elif event < 0.9:
            server.forget()
            server.cut()
        else:
            server.faults.append(draw.choice([failure(500), faulty.reset, in_stream(b"?\n")]))

    def true(server: ApiServer) -> set[str]:
        every = [each for made in server.objects.values() for each in made["endpoints"] or ()]
        ready = (e for e in every if e["conditions"]["ready"] and not e["conditions"]["terminating"])
        return {address for e in ready for address in e["addresses"]}

    async with api_server() as server, following(server, tmp_path) as seen:
        for _ in range(150):
            await happen(server)
            await asyncio.sleep(draw.choice([0, 0, 0.002, 0.01]))
        server.faults.clear()
        server.cut()
        await until(lambda: set(seen.known) == true(server))
        await asyncio.sleep(0.1)
        assert set(seen.known) == true(server)
        assert len(seen.known) == len(set(seen.known))
