"""`naru top` beside the real gateway: its screen, its text and its JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from textual.pilot import Pilot
from textual.widgets import DataTable, Label
from typer.testing import CliRunner

from services.local.cli import app
from services.local.top.screen import Top
from services.local.top.watch import Watch, WatchError
from tests.support.engine import Engine, Received, Wire, delta, engine, usage
from tests.support.gateway import Running, chat_registry, running

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


async def speak(_: Received, wire: Wire) -> None:
    await wire.head()
    await asyncio.sleep(0.12)
    await wire.events(delta(content="a"), delta(content="b"), delta(content="c"), pause=0.03)
    await wire.events(usage(3, 3), "[DONE]")
    await wire.last()


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Running, Engine]]:
    async with engine(speak) as made, running(chat_registry(made.url), tmp_path) as gateway:
        yield gateway, made


def admin(gateway: Running) -> str:
    return f"http://127.0.0.1:{gateway.admin_port}"


def cells(pilot: "Pilot[None]", table: str) -> list[list[str]]:
    found = pilot.app.query_one(f"#{table}", DataTable)
    return [[str(cell) for cell in found.get_row_at(row)] for row in range(found.row_count)]


async def until(pilot: "Pilot[None]", table: str, said: str) -> list[str]:
    """Wait for a row of a table that says this."""
    async with asyncio.timeout(30):
        while True:
            for row in cells(pilot, table):
                if said in row:
                    return row
            await pilot.pause(0.05)


async def troubled(pilot: "Pilot[None]", *, is_: bool) -> str:
    """Wait until the screen names a trouble, or none; what it says."""
    label = pilot.app.query_one("#trouble", Label)
    async with asyncio.timeout(30):
        while label.display != is_:
            await pilot.pause(0.05)
    return str(label.content)


async def test_the_screen_follows_what_the_gateway_does(served: tuple[Running, Engine]) -> None:
    gateway, made = served
    with Watch(admin(gateway), 30) as watch:
        async with Top(watch, 0.1).run_test(size=(160, 50)) as pilot:
            await until(pilot, "models", "m")
            await until(pilot, "endpoints", "healthy")
            await gateway.http.post("/v1/chat/completions", json=CHAT)
            row = await until(pilot, "models", "v1")
            ttft, tpot = float(row[5].removesuffix(" ms")), float(row[7].removesuffix(" ms"))
            assert 100 <= ttft < 1000, "TTFT is in the bucket that begins at 100 ms"
            assert 25 <= tpot < 1000
            made.healthy = False
            await until(pilot, "endpoints", "down")
            await gateway.http.post("/v1/chat/completions", json=CHAT)
            await until(pilot, "outcomes", "no_healthy_endpoint")


async def test_a_gateway_that_stops_is_named_and_what_was_seen_stays(served: tuple[Running, Engine]) -> None:
    gateway, _ = served
    with Watch(admin(gateway), 30) as watch:
        async with Top(watch, 0.1).run_test(size=(160, 50)) as pilot:
            await until(pilot, "models", "m")
            watch.url = "http://127.0.0.1:9"
            assert "naru up" in await troubled(pilot, is_=True)
            assert cells(pilot, "models")
            watch.url = admin(gateway)
            await troubled(pilot, is_=False)


async def test_its_keys_pause_and_quit(served: tuple[Running, Engine]) -> None:
    with Watch(admin(served[0]), 30) as watch:
        async with Top(watch, 0.1).run_test(size=(100, 30)) as pilot:
            await pilot.press("space")
            assert "paused" in pilot.app.sub_title
            theme = pilot.app.theme
            await pilot.press("t")
            assert pilot.app.theme != theme
            await pilot.press("q")
        assert not pilot.app.is_running


async def test_once_prints_and_json_is_for_scripts(served: tuple[Running, Engine]) -> None:
    gateway, _ = served
    asked = ["top", "--url", admin(gateway), "--once", "--interval", "1"]
    running_ = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, [*asked, "--json"]))
    while not running_.done():  # also between its two looks, whenever they are
        await gateway.http.post("/v1/chat/completions", json=CHAT)
    done = await running_
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert [(model["model"], model["version"]) for model in found["models"]] == [("m", "v1")]
    answers = found["models"][0]["outcomes"].pop("ok")
    assert answers >= 1
    assert found["models"][0]["outcomes"] == {}
    assert found["output_tokens_per_second"] == pytest.approx(3 * answers / found["seconds"])
    printed = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert printed.exit_code == 0
    assert "taking requests" in printed.output


async def test_what_is_no_gateway_is_said(served: tuple[Running, Engine]) -> None:
    gateway, made = served
    nobody = await asyncio.to_thread(CliRunner().invoke, app, ["top", "--once", "--url", "http://127.0.0.1:9"])
    assert nobody.exit_code == 1
    assert "naru up" in nobody.output
    for other in (gateway.url, made.url, "nonsense"):
        with Watch(other, 30) as watch, pytest.raises(WatchError):
            await asyncio.to_thread(watch.look)
