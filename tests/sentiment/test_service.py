"""What a client of a running sentiment service sees."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

OBVIOUS = [
    ("I love this film, it is wonderful.", "positive"),
    ("정말 최고의 영화입니다. 감동적이에요!", "positive"),
    ("This is a terrible waste of time. I hated every minute.", "negative"),
    ("최악의 영화. 돈이 아깝고 너무 지루하다.", "negative"),
    ("The committee will meet in the city hall on Tuesday.", "neutral"),
]


def analyze(client: httpx.Client, value: object) -> list[dict[str, Any]]:
    response = client.post("/analyze", json={"input": value})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


@pytest.mark.parametrize(("text", "label"), OBVIOUS)
def test_an_obvious_sentence_gets_its_label(client: httpx.Client, text: str, label: str) -> None:
    assert analyze(client, text)[0]["label"] == label


def test_an_answer_names_the_model_and_its_scores_are_probabilities(client: httpx.Client) -> None:
    body = client.post("/analyze", json={"input": "fine"}).json()
    assert (body["model"], body["version"]) == ("sentiment", "v1")
    result = body["results"][0]
    assert set(result["scores"]) == {"negative", "neutral", "positive"}
    assert sum(result["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert result["score"] == max(result["scores"].values()) == result["scores"][result["label"]]


def test_results_come_in_the_order_of_the_texts(client: httpx.Client) -> None:
    texts = [text for text, _ in OBVIOUS] * 15  # more than one batch
    assert [result["label"] for result in analyze(client, texts)] == [label for _, label in OBVIOUS] * 15


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("", "input"),
        (" \n\t", "input"),
        ([], "input"),
        (None, "input"),
        (3, "input"),
        ({"text": "good"}, "input"),
        (["good", ""], "input[1]"),
        (["good", "bad", 7], "input[2]"),
        (["good", None], "input[1]"),
        ("a" * 2001, "input"),
        (["good", "a" * 2001], "input[1]"),
        (["good"] * 101, "input"),
        (["a" * 1500] * 7, "input"),
        ("half a pair: \ud83d", "input"),
    ],
)
def test_a_wrong_input_is_refused_by_name(client: httpx.Client, value: object, field: str) -> None:
    response = client.post("/analyze", content=_json({"input": value}))
    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", field, "invalid_field")
    assert field in error["message"]


def test_an_unknown_field_is_refused_by_name(client: httpx.Client) -> None:
    response = client.post("/analyze", json={"input": "good", "inputs": "good"})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "inputs")


def test_a_missing_input_is_named(client: httpx.Client) -> None:
    response = client.post("/analyze", json={})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "input")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"input": "good"', b"[" * 50_000])
def test_a_body_that_is_no_json_is_malformed(client: httpx.Client, body: bytes) -> None:
    response = client.post("/analyze", content=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


def test_a_body_past_the_limit_is_refused(client: httpx.Client) -> None:
    response = client.post("/analyze", content=b'{"input": "' + b"a" * 100_000 + b'"}')
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "text",
    ["a", "😀" * 500, "\x00\x01", "x" * 2000, "한" * 2000, "<s></s><unk>", "\u202e\u0301\u200b.", "\uff11 \ufdfd"],
)
def test_a_strange_text_is_answered(client: httpx.Client, text: str) -> None:
    assert len(analyze(client, text)) == 1


def test_a_text_scores_the_same_alone_and_in_company(client: httpx.Client) -> None:
    texts = [text for text, _ in OBVIOUS] + ["a far longer sentence than the others, " * 20]
    together = analyze(client, texts)
    alone = [analyze(client, text)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)


async def test_concurrent_requests_share_batches_and_a_bad_one_harms_none(server: str) -> None:
    bodies: list[object] = []
    for text, _ in OBVIOUS * 8:
        bodies += [{"input": [text, text]}, {"input": [text, ""]}]
    async with httpx.AsyncClient(base_url=server, timeout=60) as client:
        before = await _batches(client)
        responses = await asyncio.gather(*(client.post("/analyze", json=body) for body in bodies))
        after = await _batches(client)
    assert [response.status_code for response in responses] == [200, 422] * 40
    labels = [[result["label"] for result in response.json()["results"]] for response in responses[::2]]
    assert labels == [[label, label] for _, label in OBVIOUS * 8]
    requests, batches = after[0] - before[0], after[1] - before[1]
    assert requests == 40
    assert batches < requests, "requests were not batched"


def test_a_running_server_is_ready_and_exposes_metrics(client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200
    analyze(client, "good")
    page = client.get("/metrics").text
    assert "bentoml_service_request_total" in page
    assert re.search(r'^naru_model_quality\{measure="korean_binary_accuracy",.*\} 0\.85', page, re.MULTILINE)


def test_no_text_reaches_the_log(client: httpx.Client, server_log: Path) -> None:
    analyze(client, "a quite unmistakable zyzzyva")
    client.post("/analyze", json={"input": ["another zyzzyva", ""]})
    assert "zyzzyva" not in server_log.read_text()


async def _batches(client: httpx.AsyncClient) -> tuple[float, float]:
    """How many requests ran in how many batches so far."""
    text = (await client.get("/metrics")).text
    return _total(text, "sum"), _total(text, "count")


def _total(metrics: str, suffix: str) -> float:
    found = re.findall(rf"^bentoml_service_adaptive_batch_size_{suffix}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


def _json(document: object) -> bytes:
    """With escapes for everything beyond ASCII, so that even half a surrogate pair can be sent."""
    return json.dumps(document).encode()
