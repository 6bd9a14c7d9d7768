"""The page at `/` with the real models, as its user sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.stack.conftest import KEY, MODEL, Stack
from tests.support.browser import Browser, Page, chromium, needs_chromium

pytestmark = [pytest.mark.stack, needs_chromium]
TOLERANCE, RELATIVE = 0.1, 0.2
"""Seconds that the browser may hear of an event late, and of the figure: on two cores that the engine keeps busy."""
TURNS = 6
"""Answers of which one must agree: in the others the browser may have had to wait for a core."""
TTFT, TPOT = "gen_ai_server_time_to_first_token_seconds_sum", "gen_ai_server_time_per_output_token_seconds_sum"
WHOLE = (
    "document.querySelector('.assistant:not(.coming)') && !document.querySelector('#tokens').innerText.includes('≈')"
)


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path) as made:
        yield made


async def entered(browser: Browser, stack: Stack, key: str = KEY) -> Page:
    page = await browser.page()
    await page.go(f"{stack.gateway}/")
    await page.write(key, "#key")
    await page.press("Enter", 13, "\r")
    return page


async def felt(page: Page, figure: str) -> float:
    return float(await page.evaluate(f"document.querySelector('#{figure} data').value")) / 1000


async def test_chat_sentiment_and_recommendations(browser: Browser, stack: Stack) -> None:
    page = await entered(browser, stack)
    await page.until("document.getElementById('fleet').innerText == '3 of 3 models ready'")
    await page.write("24", "#max-tokens")
    figures: list[tuple[float, ...]] = []
    while not (figures and agree(*figures[-1])):
        assert len(figures) < TURNS, figures
        figures.append(await chat(page, stack))
        await page.click("#new")
    await page.click("#tab-sentiment")
    await page.click("#sentiment-form [type=submit]")
    await page.until("document.querySelectorAll('#labels > li').length == 3")
    assert "positive" in await page.text("#labels > li")
    await page.click("#tab-recommendation")
    await page.click("#recommendation-form [type=submit]")
    await page.until("document.querySelectorAll('#items li').length == 5")
    assert "Made for this user" in await page.text("#strategy")
    assert page.complaints == []
    assert all(url.startswith(f"{stack.gateway}/") for url in page.requests)


async def chat(page: Page, stack: Stack) -> tuple[float, ...]:
    """TTFT and TPOT of one answer: the page's, and the gateway's."""
    before = await asyncio.to_thread(stack.samples)
    await page.write("What is a ferry?", "#prompt")
    await page.click("#send")
    await page.until(WHOLE)
    assert await page.text(".assistant .said")
    after = await asyncio.to_thread(stack.samples)
    tokens = after.since(before, "naru_tokens_total", model=MODEL, type="output")
    assert await page.text("#tokens") == f"{tokens:.0f}"
    said = [after.since(before, metric, gen_ai_request_model=MODEL) for metric in (TTFT, TPOT)]
    return await felt(page, "ttft"), await felt(page, "tpot"), *said


def agree(felt_ttft: float, felt_tpot: float, said_ttft: float, said_tpot: float) -> bool:
    late = said_ttft - 0.005 <= felt_ttft <= said_ttft * (1 + RELATIVE) + TOLERANCE
    return late and felt_tpot == pytest.approx(said_tpot, rel=RELATIVE)


async def test_a_wrong_key(browser: Browser, stack: Stack) -> None:
    page = await entered(browser, stack, "sk-wrong")
    await page.until("!document.getElementById('notice').hidden")
    assert "does not know this key" in await page.text("#notice")
