"""Everybody can use the page: with a screen reader, by keyboard, on a phone; and it asks nobody else for anything."""

import json
from functools import cache

import pytest

from tests.page.conftest import Place
from tests.support.browser import Page, needs_chromium
from tests.support.gateway import KEY
from tests.support.npm import AXE, needs_npm

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="package")]
PHONE = {"width": 360, "height": 740}
TAB = ("Tab", 9)


@cache
def axe() -> str:
    return AXE.read()


async def violations(page: Page) -> list[str]:
    """What axe finds wrong: WCAG 2.2 A and AA, and its best practices."""
    await page.evaluate(axe())
    found = json.loads(await page.evaluate("axe.run(document).then((found) => JSON.stringify(found.violations))"))
    return [f"{each['id']}: {node['html']}: {node['failureSummary']}" for each in found for node in each["nodes"]]


async def results(page: Page, task: str) -> None:
    """A tab with its form sent and its answer shown."""
    await page.click(f"#tab-{task}")
    await page.click(f"#{task}-form [type=submit]")
    shown = {"chat": ".assistant:not(.coming)", "sentiment": "#labels li", "recommendation": "#items li"}[task]
    await page.until(f"document.querySelector('{shown}')")


@needs_npm
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", [{}, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing(place: Place, view: dict[str, int], dark: bool) -> None:
    page = await place.opened(dark=dark, **view)
    assert await violations(page) == []
    await page.write("sk-wrong", "#key")
    await page.click("#key-form [type=submit]")
    await page.until("!document.getElementById('notice').hidden")
    assert await violations(page) == []
    await page.write(KEY, "#key")
    await page.click("#key-form [type=submit]")
    await page.until("!document.getElementById('workplace').hidden")
    for task in ("chat", "sentiment", "recommendation"):
        await results(page, task)
        assert await violations(page) == []


async def test_it_fits_a_phone(place: Place) -> None:
    page = await place.entered(**PHONE)
    for task in ("chat", "sentiment", "recommendation"):
        await results(page, task)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        small = """[...document.querySelectorAll("button, input:not([type=radio], [type=checkbox]), select, textarea")]
            .filter((each) => each.offsetParent && each.offsetHeight < 24).map((each) => each.outerHTML)"""
        assert await page.evaluate(small) == [], "too small for a finger"


async def test_it_works_without_a_mouse(place: Place) -> None:
    page = await place.opened()
    assert await page.evaluate("document.activeElement.id") == "key"
    await page.write(KEY)
    await page.press("Enter", 13, "\r")
    await page.until("!document.getElementById('workplace').hidden")
    await page.evaluate("document.getElementById('tab-chat').focus()")
    await page.press("ArrowRight", 39)
    assert await page.evaluate("document.activeElement.id") == "tab-sentiment"
    assert await page.evaluate("document.getElementById('chat').hidden")
    await page.press("End", 35)
    assert await page.evaluate("document.activeElement.id") == "tab-recommendation"
    await page.press("Home", 36)
    for _ in range(20):
        await page.press(*TAB)
        if await page.evaluate("document.activeElement.id") == "prompt":
            break
    await page.press("Enter", 13, "\r")
    await page.until("document.querySelector('.assistant:not(.coming)')")
    assert "complete" in await page.evaluate("document.getElementById('status').textContent")


async def test_nothing_is_asked_of_anybody_else(place: Place) -> None:
    page = await place.entered()
    for task in ("chat", "sentiment", "recommendation"):
        await results(page, task)
    assert len(page.requests) > 10
    assert [url for url in page.requests if not url.startswith(f"{place.gateway.url}/")] == []
    assert page.complaints == []
