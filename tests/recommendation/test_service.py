"""A real BentoML server answers as the contract says."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.recommendation.answer import Answerer
from services.recommendation.model import Recommender
from services.recommendation.query import Query


def ask(server: str, document: Any) -> httpx.Response:
    return httpx.post(f"{server}/recommend", json=document, timeout=10)


def test_the_answer_has_the_contract_s_fields_in_order(server: str) -> None:
    response = ask(server, {"history": ["50", "172", "181"], "k": 3})
    answer = response.json()
    assert response.headers["content-type"] == "application/json"
    assert list(answer) == ["model", "version", "strategy", "items", "unknown_items"]
    assert (answer["model"], answer["version"], answer["strategy"]) == ("recommendation", "v1", "history")
    assert [list(item) for item in answer["items"]] == [["id", "title", "score"]] * 3


def test_the_server_says_what_the_model_says(server: str, movielens: Recommender) -> None:
    expected = Answerer(movielens, "recommendation", "v1").answer(Query(user_id="196", history=["50", "nope"]))
    assert ask(server, {"user_id": 196, "history": ["50", "nope"]}).json() == expected
    assert (expected["strategy"], expected["unknown_items"]) == ("personalised", ["nope"])


def test_a_stranger_gets_the_popular_list(server: str) -> None:
    answer = ask(server, {"user_id": "stranger"}).json()
    assert answer["strategy"] == "popular"
    assert answer["items"][0]["title"] == "Star Wars"
    assert len(answer["items"]) == 10


@pytest.mark.parametrize(
    ("document", "param"),
    [({"k": 101}, "k"), ({"history": "50"}, "history"), ({"history": ["1"] * 501}, "history"), ({"n": 1}, "n")],
)
def test_a_bad_field_is_a_422_that_names_it(server: str, document: dict[str, Any], param: str) -> None:
    response = ask(server, document)
    error = response.json()["error"]
    assert response.status_code == 422
    assert list(error) == ["message", "type", "param", "code"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "invalid_field")


@pytest.mark.parametrize("content_type", ["application/vnd.bentoml+pickle", "text/plain", "multipart/form-data"])
def test_the_body_is_json_whatever_its_content_type(server: str, content_type: str) -> None:
    headers = {"content-type": content_type}
    good = httpx.post(f"{server}/recommend", content=b'{"k": 1}', headers=headers)
    bad = httpx.post(f"{server}/recommend", content=b"\x80\x04.", headers=headers)
    assert (good.status_code, bad.status_code) == (200, 400)


def test_a_body_over_the_limit_is_refused(server: str) -> None:
    response = httpx.post(f"{server}/recommend", content=b" " * 300_000)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


async def test_bad_requests_do_not_touch_their_neighbours_in_a_batch(server: str) -> None:
    good = [{"history": [str(n), str(n + 1)], "k": 5} for n in range(1, 120)]
    bad: list[dict[str, Any]] = [{"history": [None]}, {"k": -1}, {"history": {}}] * 20
    mixed = [body for pair in zip(good, bad * 2, strict=False) for body in pair]
    async with httpx.AsyncClient(base_url=server, timeout=30) as client:
        alone = [(await client.post("/recommend", json=body)).content for body in good]
        together = await asyncio.gather(*(client.post("/recommend", json=body) for body in mixed))
        metrics = (await client.get("/metrics")).text
    assert [r.content for r in together[::2]] == alone
    assert {r.status_code for r in together[1::2]} == {422}
    assert _mean_batch(metrics) > 1


def _mean_batch(metrics: str) -> float:
    """Above 1 only if some requests shared a batch."""
    total = re.search(r"adaptive_batch_size_sum\{.*\} (\S+)", metrics)
    count = re.search(r"adaptive_batch_size_count\{.*\} (\S+)", metrics)
    assert total is not None
    assert count is not None
    return float(total[1]) / float(count[1])


def test_the_quality_is_on_the_metrics_page(server: str, movielens: Recommender) -> None:
    found = re.search(r'naru_model_quality\{measure="recall_at_10",.*\} (\S+)', httpx.get(f"{server}/metrics").text)
    assert found is not None
    assert float(found[1]) == pytest.approx(movielens.metadata["scores"]["model"]["recall"])


def test_nobody_is_in_the_log(server: str, server_log: Path) -> None:
    ask(server, {"user_id": "a-secret-user", "history": ["a-secret-item"]})
    ask(server, {"user_id": "a-secret-user", "wrong": "a-secret-value"})
    assert "a-secret" not in server_log.read_text()


def test_without_a_model_it_stops_with_one_line(tmp_path: Path) -> None:
    """BentoML restarts a worker that fails to start for ever, so this must be found before."""
    command = [sys.executable, "-m", "services.recommendation"]
    extra = {"NARU_RECOMMENDATION__MODEL_PATH": str(tmp_path / "none")}
    result = subprocess.run(
        command, env={**os.environ, **extra}, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        f"error: no trained model in {tmp_path / 'none'}; run: python -m services.recommendation.prepare"
    )
