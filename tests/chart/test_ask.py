"""What `helm test` runs, against the real gateway."""

import asyncio
import os
import sys
from pathlib import Path

from tests.chart.rendering import containers, environment, named, rendered
from tests.chart.values import CHART
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import KEY, chat_registry, running

ASK = CHART / "files" / "ask.py"


async def ask(url: str, seconds: float, key: str = KEY) -> tuple[int | None, str]:
    variables = {"NARU_URL": url, "NARU_MODEL": "m", "NARU_TIMEOUT": str(seconds), "NARU_API_KEY": key}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ASK), env={"PATH": os.environ["PATH"]} | variables,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_streamed_answer_passes(tmp_path: Path) -> None:
    async with engine() as chat, running(chat_registry(chat.url), tmp_path) as gateway:
        code, said = await ask(gateway.url, 10)
    assert (code, said.partition(" in ")[0]) == (0, "m answered")


async def test_it_waits_for_a_model_that_loads(tmp_path: Path) -> None:
    async with engine() as chat, running(chat_registry(chat.url), tmp_path) as gateway:
        chat.stop()
        await asyncio.sleep(0.3)
        asking = asyncio.create_task(ask(gateway.url, 20))
        await asyncio.sleep(1)
        await chat.start()
        code, said = await asking
    assert code == 0
    assert said.startswith("not yet: 50")


async def test_a_wrong_key_fails_at_once_and_says_so(tmp_path: Path) -> None:
    async with engine() as chat, running(chat_registry(chat.url), tmp_path) as gateway:
        code, said = await ask(gateway.url, 60, key="sk-wrong")
    assert code == 1
    assert "m did not answer: 401" in said
    assert "sk-wrong" not in said


async def test_an_answer_that_breaks_off_is_no_answer(tmp_path: Path) -> None:
    async def broken(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events({"choices": [{"index": 0, "delta": {"content": "a"}}]})

    async with (
        engine(broken) as chat,
        running(chat_registry(chat.url), tmp_path, resilience={"migrations": 0}) as gateway,
    ):
        code, said = await ask(gateway.url, 1)
    assert code == 1
    assert "did not answer" in said


def test_the_pod_is_told_what_the_script_reads() -> None:
    (container,) = containers(named(rendered(CHART / "values-kind.yaml"), "Pod"))
    assert environment(container) == {
        "NARU_URL": "http://naru-gateway:8080", "NARU_MODEL": "smollm2-135m-instruct", "NARU_TIMEOUT": "600",
    }  # fmt: skip
    assert {each["name"] for each in container["env"]} == {*environment(container), "NARU_API_KEY"}
    script = named(rendered(CHART / "values-kind.yaml"), "ConfigMap", "naru-test")["data"]["ask.py"]
    assert script.strip() == ASK.read_text(encoding="utf-8").strip()
