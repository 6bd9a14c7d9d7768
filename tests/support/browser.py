"""A real headless Chromium, driven in its own DevTools protocol over a pipe: no driver, no port, no library."""

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

BINARY = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(BINARY is None, reason="there is no chromium: apt-get install chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 20.0
"""Seconds after which what did not come never will."""

Params = dict[str, Any]


class ScriptError(Exception):
    """What the page threw."""


class Browser:
    """Commands out, answers and events in, each a JSON text that ends with a zero byte."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Params]] = {}
        self._pages: dict[str, Page] = {}
        self._in: asyncio.ReadTransport | None = None
        self._out: asyncio.WriteTransport | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self, incoming: int, outgoing: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=64 * 2**20)  # a screenshot is one message
        self._in, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(incoming, "rb")
        )
        self._out, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(outgoing, "wb"))
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                message = json.loads((await reader.readuntil(b"\0"))[:-1])
                if "id" in message:
                    if not (asked := self._asked.pop(message["id"])).done():  # else nobody waits any more
                        asked.set_result(message)
                elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                    page.heard(message["method"], message["params"])

    async def ask(self, method: str, params: Params | None = None, session: str | None = None) -> Params:
        number = next(self._numbers)
        message = {
            "id": number,
            "method": method,
            "params": params or {},
            **({"sessionId": session} if session else {}),
        }
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        assert self._out is not None
        self._out.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            done = await answer
        assert "error" not in done, f"{method}: {done['error']}"
        result: Params = done["result"]
        return result

    async def page(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        """A page of its own in a context of its own: what others stored is not there."""
        context = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        target = await self.ask("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        attached = await self.ask("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        made = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            await made.ask(f"{domain}.enable")
        await made.resize(width, height)
        await made.prefer_dark(dark)
        return made

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.ask("Browser.close")
        assert self._reading
        assert self._in
        assert self._out
        await self._reading
        self._in.close()
        self._out.close()
        await asyncio.to_thread(os.waitpid, self._pid, 0)


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        """Every address it asked for."""
        self.complaints: list[str] = []
        """What it threw, and what its console says of it: what its policy refused, too."""
        self._loaded = asyncio.Event()

    def heard(self, method: str, params: Params) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["exception"].get("description", "an exception"))
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.complaints.append(params["entry"]["text"])

    async def ask(self, method: str, params: Params | None = None) -> Params:
        return await self._browser.ask(method, params, self._session)

    async def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.ask("Emulation.setDeviceMetricsOverride", size)

    async def prefer_dark(self, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", {"features": [scheme]})

    async def go(self, url: str) -> None:
        self._loaded.clear()
        await self.ask("Page.navigate", {"url": url})
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise. Raises ScriptError."""
        params = {"expression": script, "awaitPromise": True, "returnByValue": True}
        done = await self.ask("Runtime.evaluate", params)
        if "exceptionDetails" in done:
            raise ScriptError(done["exceptionDetails"]["exception"].get("description"))
        return done["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.evaluate(f"Boolean({script})"):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never came true: {script}; the page shows:\n{shown}") from None

    async def text(self, selector: str) -> str:
        """What is shown there."""
        found: str = await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    async def click(self, selector: str) -> None:
        """Press the mouse in the middle of it."""
        where = await self.evaluate(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = found.getBoundingClientRect();
            return {{x: box.x + box.width / 2, y: box.y + box.height / 2}};
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", {"type": kind, "button": "left", "clickCount": 1, **where})

    async def write(self, text: str, selector: str | None = None) -> None:
        """Type a text where the focus is, or in place of what a field holds."""
        if selector is not None:
            await self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        await self.ask("Input.insertText", {"text": text})

    async def press(self, key: str, code: int, text: str = "") -> None:
        """A key by its name and its code on Windows, which is what browsers tell keys by."""
        event = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        for kind in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", {"type": kind, **event})

    async def screenshot(self) -> bytes:
        """The whole page as PNG."""
        taken = await self.ask("Page.captureScreenshot", {"captureBeyondViewport": True})
        return base64.b64decode(taken["data"])


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """A browser with a profile of its own in `folder`."""
    pid, answers, commands = _spawn(folder)
    browser = Browser(pid)
    await browser.connect(answers, commands)
    try:
        yield browser
        await browser.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _spawn(folder: Path) -> tuple[int, int, int]:
    """The process, and the ends of the pipes: where it answers and where it is told. It has them as 4 and 3."""
    assert BINARY is not None
    (told, telling), (answers, answering) = _pipe(), _pipe()
    ends = [(os.POSIX_SPAWN_DUP2, told, 3), (os.POSIX_SPAWN_DUP2, answering, 4)]
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    arguments = [BINARY, *FLAGS, f"--user-data-dir={folder}"]
    pid = os.posix_spawn(BINARY, arguments, os.environ, file_actions=[*ends, *quiet], setpgroup=0)
    os.close(told)
    os.close(answering)
    return pid, answers, telling


def _pipe() -> tuple[int, int]:
    """Reading and writing end, out of the way of 3 and 4."""
    ends = os.pipe()
    reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return reading, writing
