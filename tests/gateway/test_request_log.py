"""Every request leaves one line that a log collector can read, and none says what nobody may know."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.gateway.request_log import AT_ONCE, Entry, RequestLog
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running


async def test_a_line_is_json_with_the_time(tmp_path: Path) -> None:
    stream = io.BytesIO()
    log = RequestLog(stream)
    log.write(Entry("r1", "chat", "ok", 200, model="m", ttft=0.25, stream=True))
    log.flush()
    line = json.loads(stream.getvalue())
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))).total_seconds()) < 5
    assert line == {
        "level": "info", "logger": "naru.request", "message": "request", "request_id": "r1", "operation": "chat",
        "outcome": "ok", "status": 200, "model": "m", "ttft": 0.25, "stream": True,
    }  # fmt: skip


async def test_lines_are_written_together_and_none_is_lost() -> None:
    stream = io.BytesIO()
    log = RequestLog(stream)
    for i in range(AT_ONCE + 1):
        log.write(Entry(f"r{i}", "chat", "ok", 200))
    assert len(stream.getvalue().splitlines()) == AT_ONCE
    log.flush()
    assert [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()][-1] == f"r{AT_ONCE}"


async def test_a_request_says_who_what_where_and_how_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        body = {"model": "m", "messages": [{"role": "user", "content": "a secret prompt"}], "stream": True}
        await gateway.http.post("/v1/chat/completions", json=body, headers={"x-request-id": "mine"})
        await gateway.until_outcome("ok")
        gateway.gateway.flush()
        logged = capsys.readouterr().err
        line = next(json.loads(line) for line in logged.splitlines() if '"mine"' in line)
        assert (line["tenant"], line["model"], line["version"], line["outcome"]) == ("development", "m", "v1", "ok")
        assert line["output_tokens"] == 2
        assert line["ttft"] <= line["duration"]
        assert "secret" not in logged
