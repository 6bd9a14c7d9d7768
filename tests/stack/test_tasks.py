"""The task models answer through the gateway, in the shapes that DESIGN fixes."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack


def test_sentiment_in_two_languages_and_in_order(http: httpx.Client) -> None:
    texts = [
        "I love this, it is wonderful!",
        "정말 최악의 영화였다. 시간 낭비.",
        "This is awful, I hate it.",
        "너무 재미있고 감동적이에요!",
    ]
    answer = http.post("/v1/sentiment", json={"input": texts})
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["model", "version", "results"]
    assert [r["label"] for r in body["results"]] == ["positive", "negative", "negative", "positive"]
    for result in body["results"]:
        assert sum(result["scores"].values()) == pytest.approx(1, abs=1e-3)
        assert result["score"] == max(result["scores"].values())
    assert answer.headers["x-naru-model"] == "sentiment"
    assert answer.headers["x-naru-version"] == body["version"] == "v1"


def test_one_bad_request_fails_alone(http: httpx.Client) -> None:
    def ask(i: int) -> int:
        body = {"input": "" if i % 3 == 0 else f"ferry number {i} was lovely"}
        return http.post("/v1/sentiment", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(24)))
    assert statuses == [422 if i % 3 == 0 else 200 for i in range(24)]


def test_a_text_beyond_the_models_limit_is_422(http: httpx.Client) -> None:
    answer = http.post("/v1/sentiment", json={"input": ["fine", "long " * 50_000]})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "input[1]"


@pytest.mark.parametrize(
    ("body", "strategy"),
    [({"user_id": "196"}, "personalised"), ({"user_id": 196}, "personalised"), ({"history": ["50", "181"]}, "history"),
     ({"user_id": "nobody"}, "popular"), ({}, "popular")],
)  # fmt: skip
def test_recommendations(body: dict[str, object], strategy: str, http: httpx.Client) -> None:
    answer = http.post("/v1/recommendations", json={**body, "k": 5})
    assert answer.status_code == 200
    found = answer.json()
    assert found["strategy"] == strategy
    assert len(found["items"]) == 5
    assert {"id", "title", "score"} <= set(found["items"][0])
    assert found == http.post("/v1/recommendations", json={**body, "k": 5}).json()


def test_items_nobody_knows_are_reported(http: httpx.Client) -> None:
    found = http.post("/v1/recommendations", json={"history": ["50", "no-such-film"]}).json()
    assert found["unknown_items"] == ["no-such-film"]


def test_each_model_is_metered(http: httpx.Client, stack: Stack) -> None:
    before = stack.samples()
    http.post("/v1/sentiment", json={"input": "fine"})
    http.post("/v1/recommendations", json={})
    after = stack.samples()
    for model in ("sentiment", "recommendation"):
        assert after.since(before, "naru_requests_total", model=model, outcome="ok", version="v1") == 1
        labels = {"gen_ai_request_model": model, "error_type": ""}
        assert after.since(before, "gen_ai_server_request_duration_seconds_count", **labels) == 1
