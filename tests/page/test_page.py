"""What people do on the page, each in a real Chromium."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys

import httpx
import pytest

from tests.page.conftest import GAP, LIMITED, PAUSE, WORDS, Place
from tests.support.browser import Page, needs_chromium
from tests.support.engine import Received, Wire, delta, usage
from tests.support.gateway import KEY

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="package")]
TOLERANCE = 0.15
"""Seconds that the browser may hear of an event late."""
TURNS = 8
"""Answers in one of which it does not hear of any event later than that: a machine is busy at times."""
TTFT, TPOT = "gen_ai_server_time_to_first_token_seconds_sum", "gen_ai_server_time_per_output_token_seconds_sum"
COUNTED = "document.querySelector('#tokens data') && !document.querySelector('#tokens').innerText.includes('≈')"


async def seconds(page: Page, figure: str) -> float:
    return float(await page.evaluate(f"document.querySelector('#{figure} data').value")) / 1000


async def test_a_chat_is_streamed_and_ttft_and_tpot_are_the_gateways(place: Place) -> None:
    page = await place.entered()
    seen: list[list[tuple[float, float]]] = []
    while not (seen and agree(seen[-1])):
        assert len(seen) < TURNS, seen
        before = [await place.gateway.value(metric) for metric in (TTFT, TPOT)]
        await page.write("What is a ferry?", "#prompt")
        await page.click("#send")
        await page.until(f"document.querySelectorAll('.assistant:not(.coming)').length == {len(seen) + 1}")
        await page.until(COUNTED)
        assert await page.text("#tokens") == str(len(WORDS))
        await place.gateway.until_outcome("ok", len(seen) + 1)
        said = [await place.gateway.value(metric) for metric in (TTFT, TPOT)]
        felt = [await seconds(page, figure) for figure in ("ttft", "tpot")]
        seen.append([(mine, now - then) for mine, now, then in zip(felt, said, before, strict=True)])
    assert await page.text(".assistant .said") == "".join(WORDS)
    assert "m v1" in await page.text("#served")
    assert page.complaints == []


def agree(figures: list[tuple[float, float]]) -> bool:
    """The page's and the gateway's TTFT and TPOT: the page may hear late of what the gateway sends, and a first token
    that it hears of late makes its TPOT the smaller."""
    return all(
        max(said, least) - 0.005 <= felt <= said + TOLERANCE
        for (felt, said), least in zip(figures, (PAUSE, GAP), strict=True)
    )


async def test_while_an_answer_comes_its_tokens_are_an_estimate(place: Place) -> None:
    seen = asyncio.Event()

    async def in_two_parts(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(*(delta(content=word) for word in WORDS[:3]))
        await seen.wait()
        await wire.events(*(delta(content=word) for word in WORDS[3:]), usage(9, len(WORDS)), "[DONE]")
        await wire.last()

    place.chat.script = in_two_parts
    page = await place.entered()
    await page.click("#send")
    await page.until("document.querySelector('.assistant.coming .said')?.innerText.startsWith('A ferry')")
    await page.until("document.querySelector('#tokens').innerText.includes('≈')")
    seen.set()
    await page.until(COUNTED)
    assert await page.text(".assistant .said") == "".join(WORDS)
    assert await page.text("#tokens") == str(len(WORDS))


async def test_a_conversation_goes_on_and_begins_anew(place: Place) -> None:
    page = await place.entered()
    await page.click("#send")
    await page.until(COUNTED)
    await page.write("And a bridge?", "#prompt")
    await page.press("Enter", 13, "\r")
    await page.until("document.querySelectorAll('.assistant:not(.coming)').length == 2")
    asked = [message["content"] for message in place.chat.received[-1].json["messages"]]
    assert asked == ["What is a ferry?", "".join(WORDS), "And a bridge?"]
    await page.click("#new")
    assert await page.evaluate("document.querySelectorAll('#turns li').length") == 0


async def test_texts_are_classified(place: Place) -> None:
    page = await place.entered()
    await page.click("#tab-sentiment")
    await page.write("What a lovely ride!\n\n정말 좋았다\n", "#texts")
    await page.click("#sentiment-form [type=submit]")
    await page.until("document.querySelectorAll('#labels > li').length == 2")
    assert "정말 좋았다" in await page.text("#labels")
    assert "90%" in await page.text("#labels")
    assert place.sentiment.received[-1].json["input"] == ["What a lovely ride!", "정말 좋았다"]


async def test_items_are_recommended(place: Place) -> None:
    page = await place.entered()
    await page.click("#tab-recommendation")
    await page.click("#recommendation-form [type=submit]")
    await page.until("document.querySelectorAll('#items li').length == 5")
    assert "Made for this user" in await page.text("#strategy")
    await page.write("", "#user")
    await page.write("50, 172", "#history")
    await page.click("#recommendation-form [type=submit]")
    await page.until("document.querySelector('#strategy').innerText.includes('history')")
    assert place.recommendation.received[-1].json["history"] == ["50", "172"]


async def test_a_wrong_key_is_named_and_another_one_works(place: Place) -> None:
    page = await place.opened()
    await page.write("sk-wrong", "#key")
    await page.press("Enter", 13, "\r")
    await page.until("!document.getElementById('notice').hidden")
    assert "does not know this key" in await page.text("#notice")
    assert await page.evaluate("document.activeElement.id") == "key"
    await page.write(KEY, "#key")
    await page.press("Enter", 13, "\r")
    await page.until("!document.getElementById('workplace').hidden")
    assert await page.evaluate("document.getElementById('notice').hidden")
    assert await page.text("#fleet") == "3 of 3 models ready"


async def test_a_key_that_no_header_can_carry_is_a_wrong_key(place: Place) -> None:
    page = await place.opened()
    await page.write("열쇠", "#key")
    await page.click("#key-form [type=submit]")
    await page.until("!document.getElementById('notice').hidden")
    assert "does not know this key" in await page.text("#notice")


async def test_a_key_stays_in_its_tab_until_it_is_forgotten(place: Place) -> None:
    page = await place.entered()
    await page.go(f"{place.gateway.url}/")
    await page.until("!document.getElementById('workplace').hidden")
    stored = "[localStorage.length, document.cookie, location.href, sessionStorage.length]"
    assert await page.evaluate(stored) == [0, "", f"{place.gateway.url}/", 1]
    assert KEY not in await page.evaluate("document.documentElement.outerHTML")
    other = await place.opened()
    assert await other.evaluate("sessionStorage.length") == 0
    await page.click("#change-key")
    await page.click("#forget-key")
    await page.until("document.getElementById('workplace')?.hidden && sessionStorage.length == 0")


async def test_a_stopped_engine_is_named_and_the_message_is_not_lost(place: Place) -> None:
    page = await place.entered()
    place.chat.stop()
    await page.click("#send")
    await page.until("!document.getElementById('notice').hidden")
    assert "No engine answers for this model" in await page.text("#notice")
    assert await page.evaluate("document.getElementById('prompt').value") == "What is a ferry?"
    await page.until("document.getElementById('fleet').innerText.startsWith('2 of 3')")
    await place.chat.start()
    await page.until("!document.querySelector('#notice button').disabled")
    async with asyncio.timeout(30):
        while await place.gateway.value("naru_endpoint_healthy", model="m") < 1:
            await asyncio.sleep(0.02)
    await page.click("#notice button")
    await page.until(COUNTED)
    assert await page.text(".assistant .said") == "".join(WORDS)


async def test_a_gateway_that_is_gone_is_named(place: Place) -> None:
    page = await place.entered()
    clients = place.gateway.gateway.clients
    clients.servers[0].close()
    for connection in list(clients.server_state.connections):
        connection.transport.abort()
    await page.click("#send")
    await page.until("!document.getElementById('notice').hidden")
    assert "The gateway does not answer" in await page.text("#notice")
    assert place.gateway.url in await page.text("#notice")


async def test_who_asks_too_much_is_told_when_to_come_again(place: Place) -> None:
    page = await place.entered(LIMITED)
    await page.click("#send")
    await page.until(COUNTED)
    await page.click("#tab-sentiment")
    await page.click("#sentiment-form [type=submit]")
    await page.until("!document.getElementById('notice').hidden")
    assert "Too much at once" in await page.text("#notice")
    assert re.search(r"Try again in \d+ s", await page.text("#notice button"))
    assert await page.evaluate("document.querySelector('#notice button').disabled")


async def test_an_answer_that_breaks_off_keeps_what_came(place: Place) -> None:
    async def break_off(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="A ferry "), pause=0.1)
        wire.reset()

    place.chat.script = break_off
    page = await place.entered()
    await page.click("#send")
    await page.until("!document.getElementById('notice').hidden")
    assert await page.text(".assistant .said") == "A ferry "
    assert await page.text(".assistant .note") == "Broke off"


async def test_stop_reaches_the_engine(place: Place) -> None:
    async def endless(_: Received, wire: Wire) -> None:
        await wire.head()
        while True:
            await wire.events(delta(content="on "), pause=0.05)

    place.chat.script = endless
    page = await place.entered()
    await page.click("#send")
    await page.until("document.querySelector('.said:last-child') && !document.getElementById('stop').hidden")
    await page.until("document.querySelector('.assistant .said').innerText != ''")
    await page.click("#stop")
    async with asyncio.timeout(30):
        await place.chat.left.wait()
    await page.until("document.querySelector('.assistant .note')?.innerText == 'Stopped'")
    assert await page.evaluate("document.getElementById('notice').hidden")


async def test_markup_in_an_answer_is_text(place: Place) -> None:
    markup = "<img src=x onerror='window.broken=1'><script>window.broken=1</script>"

    async def attack(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content=markup), "[DONE]")
        await wire.last()

    place.chat.script = attack
    page = await place.entered()
    await page.click("#send")
    await page.until("document.querySelector('.assistant:not(.coming)')")
    assert await page.text(".assistant .said") == markup
    assert await page.evaluate("window.broken === undefined")


async def test_the_commands_that_it_shows_work(place: Place) -> None:
    page = await place.entered()
    await page.write('It\'s a "ferry", 나루 $HOME', "#prompt")
    command = shlex.split(re.sub(r"\\\n", " ", await page.text("#chat-request code")))
    assert command[:3] == ["curl", "-N", f"{place.gateway.url}/v1/chat/completions"]
    body = json.loads(command[command.index("-d") + 1])
    assert body["messages"][-1]["content"] == 'It\'s a "ferry", 나루 $HOME'
    bearer = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(command[2], json=body, headers=bearer, timeout=20)
    assert "[DONE]" in answer.text
    await page.click("#chat-request label:nth-of-type(2)")
    assert await python(await page.text("#chat-request code")) == "".join(WORDS)
    assert place.chat.received[-1].json["messages"] == body["messages"]
    await page.click("#tab-recommendation")
    await page.click("#recommendation-request label:nth-of-type(2)")
    assert "'strategy': 'personalised'" in await python(await page.text("#recommendation-request code"))
    assert KEY not in await page.evaluate("document.body.innerText")


async def python(program: str) -> str:
    """What a program prints."""
    variables = {**os.environ, "NARU_API_KEY": KEY, "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-c", program]
    done = await asyncio.to_thread(
        subprocess.run, command, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
