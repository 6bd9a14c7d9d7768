"""The real task models over the Open Inference Protocol, with Triton's client over both transports."""

from typing import Any

import httpx
import pytest

from tests.stack.conftest import KEY, Stack
from tests.support.oip.official import Official

pytestmark = pytest.mark.stack

HEADERS = {"authorization": f"Bearer {KEY}"}
TEXTS = ["I love this, it is wonderful!", "정말 최악의 영화였다. 시간 낭비."]


@pytest.fixture(params=["http", "grpc"])
def place(stack: Stack, request: pytest.FixtureRequest) -> dict[str, Any]:
    address = stack.grpc if request.param == "grpc" else stack.gateway.removeprefix("http://")
    return {"transport": request.param, "address": address}


def test_every_model_is_ready(place: dict[str, Any], triton: Official) -> None:
    models = [["sentiment", ""], ["recommendation", "v1"], ["smollm2-135m-instruct", ""]]
    found = triton.call("health", **place, models=models)
    assert found == {"live": True, "ready": True, "models": [True, True, True]}


def test_sentiment_is_the_same_as_over_its_own_route(
    place: dict[str, Any], triton: Official, http: httpx.Client
) -> None:
    own = http.post("/v1/sentiment", json={"input": TEXTS}).json()["results"]
    inputs = {"text": ("BYTES", TEXTS)}
    found = triton.call("infer", **place, headers=HEADERS, model="sentiment", inputs=inputs)
    assert found["version"] == "v1"
    assert found["outputs"]["label"] == ["positive", "negative"]
    for score, row, result in zip(found["outputs"]["score"], found["outputs"]["scores"], own, strict=True):
        expected = [result["scores"][name] for name in ("negative", "neutral", "positive")]
        assert (score, row) == (pytest.approx(result["score"], abs=1e-5), pytest.approx(expected, abs=1e-5))


def test_recommendations_for_several_users(place: dict[str, Any], triton: Official, http: httpx.Client) -> None:
    own = [http.post("/v1/recommendations", json={"user_id": user, "k": 5}).json() for user in ("196", "nobody")]
    inputs = {"user_id": ("BYTES", ["196", "nobody"]), "k": ("INT32", [5])}
    found = triton.call("infer", **place, headers=HEADERS, model="recommendation", inputs=inputs)["outputs"]
    assert found["strategy"] == ["personalised", "popular"]
    assert found["item_id"] == [[item["id"] for item in answer["items"]] for answer in own]


def test_recommendations_for_a_history(place: dict[str, Any], triton: Official, http: httpx.Client) -> None:
    own = http.post("/v1/recommendations", json={"history": ["50", "181"]}).json()
    inputs = {"history": ("INT64", [50, 181])}
    found = triton.call("infer", **place, headers=HEADERS, model="recommendation", inputs=inputs)["outputs"]
    assert found["strategy"] == ["history"]
    assert found["item_id"] == [[item["id"] for item in own["items"]]]


def test_a_text_beyond_the_models_limit_names_the_tensor(place: dict[str, Any], triton: Official) -> None:
    inputs = {"text": ("BYTES", ["fine", "long " * 50_000])}
    refused = triton.call("infer", **place, headers=HEADERS, model="sentiment", inputs=inputs)
    assert refused["status"] in ("400", "StatusCode.INVALID_ARGUMENT")
    assert "'text': element 1" in refused["message"]
