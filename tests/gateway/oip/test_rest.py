"""The Open Inference Protocol over HTTP, byte by byte where clients would hide it."""

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.api.oip.recommendation import MOST_USERS
from services.gateway.policy.keyfile import Key, digest
from tests.gateway.oip import models
from tests.gateway.oip.conftest import Served
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import Running, running

INFER = "/v2/models/sentiment/infer"
RECOMMEND = "/v2/models/recommendation/infer"


def tensor(name: str, datatype: str, shape: list[Any], data: object = None, **parameters: object) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    return made | ({} if data is None else {"data": data}) | ({"parameters": parameters} if parameters else {})


def texts(*values: str) -> dict[str, Any]:
    return tensor("text", "BYTES", [len(values)], list(values))


def packed(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


async def binary(gateway: Running, path: str, document: object, *tensors: bytes) -> httpx.Response:
    head = json.dumps(document).encode()
    length = {"inference-header-content-length": str(len(head))}
    return await gateway.http.post(path, content=head + b"".join(tensors), headers=length)


async def test_texts_in_label_score_and_scores_out(served: Served) -> None:
    answer = await served.gateway.http.post(INFER, json={"id": "42", "inputs": [texts("good", "나쁜")]})
    assert answer.status_code == 200
    assert served.v1.received[0].json == {"input": ["good", "나쁜"]}
    assert answer.json() == {
        "model_name": "sentiment",
        "model_version": "v1",
        "id": "42",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["positive", "negative"]},
            {"name": "score", "datatype": "FP64", "shape": [2], "data": [0.75, 0.7]},
            {
                "name": "scores", "datatype": "FP64", "shape": [2, 3], "data": [0.1, 0.15, 0.75, 0.7, 0.2, 0.1],
                "parameters": {"classes": "negative,neutral,positive"},
            },
        ],
    }  # fmt: skip
    assert answer.headers["x-naru-model"] == "sentiment"
    assert answer.headers["x-naru-version"] == "v1"
    assert answer.headers["x-naru-endpoint"] in served.v1.url
    assert answer.headers["x-request-id"]
    assert await served.gateway.outcome("ok", operation="sentiment", model="sentiment", version="v1") == 1


@pytest.mark.parametrize(("shape", "data"), [([2, 1], ["good", "bad"]), ([2, 1], [["good"], ["bad"]])])
async def test_a_column_of_texts_is_texts(shape: list[int], data: object, served: Served) -> None:
    answer = await served.gateway.http.post(INFER, json={"inputs": [tensor("text", "BYTES", shape, data)]})
    assert answer.json()["outputs"][0]["data"] == ["positive", "negative"]


async def test_binary_in_and_binary_out(served: Served) -> None:
    data = packed("good 👍".encode(), b"bad")
    asked = {
        "inputs": [tensor("text", "BYTES", [2], binary_data_size=len(data))],
        "outputs": [
            {"name": "scores", "parameters": {"binary_data": True}},
            {"name": "label", "parameters": {"binary_data": False}},
        ],
        "parameters": {"binary_data_output": True},
    }
    answer = await binary(served.gateway, INFER, asked, data)
    assert served.v1.received[0].json == {"input": ["good 👍", "bad"]}
    length = int(answer.headers["inference-header-content-length"])
    scores, label = json.loads(answer.content[:length])["outputs"]
    assert struct.unpack("<6d", answer.content[length:]) == (0.1, 0.15, 0.75, 0.7, 0.2, 0.1)
    assert scores["parameters"] == {"classes": "negative,neutral,positive", "binary_data_size": 48}
    assert label["data"] == ["positive", "negative"]


async def test_users_in_rows_of_items_out(served: Served) -> None:
    inputs = [tensor("user_id", "BYTES", [2], ["196", "new"]), tensor("k", "INT32", [1], [2])]
    answer = await served.gateway.http.post(RECOMMEND, json={"inputs": inputs})
    item, score, strategy = answer.json()["outputs"]
    assert (item["shape"], item["data"]) == ([2, 2], ["196-0", "196-1", "new-0", ""])
    assert (score["shape"], score["data"]) == ([2, 2], [1.0, 0.5, 1.0, 0.0])
    assert (strategy["shape"], strategy["data"]) == ([2], ["personalised", "personalised"])
    assert all(received.json["k"] == 2 for received in served.recommender.received)


async def test_the_users_of_one_request_are_asked_for_at_the_same_time(served: Served) -> None:
    together = asyncio.Barrier(8)

    async def meet(request: Received, wire: Wire) -> None:
        await together.wait()
        await wire.whole(200, {"strategy": "popular", "items": [{"id": str(request.json["user_id"]), "score": 1}]})

    served.recommender.script = meet
    users = tensor("user_id", "INT64", [8, 1], list(range(8)))
    answer = await served.gateway.http.post(RECOMMEND, json={"inputs": [users]})
    assert answer.json()["outputs"][0]["data"] == [str(user) for user in range(8)]


async def test_a_user_whose_call_fails_fails_the_request_and_no_other_call(served: Served) -> None:
    async def fail_one(request: Received, wire: Wire) -> None:
        if request.json["user_id"] == "b":
            await wire.whole(500, {})
        else:
            await asyncio.sleep(0.05)
            await wire.whole(200, {"strategy": "popular", "items": []})

    served.recommender.script = fail_one
    users = tensor("user_id", "BYTES", [3], ["a", "b", "c"])
    assert (await served.gateway.http.post(RECOMMEND, json={"inputs": [users]})).status_code == 502
    assert await served.gateway.outcome("ok", operation="recommendation") == 2
    assert await served.gateway.outcome("upstream_error", operation="recommendation") == 1


async def test_a_history_and_options_as_parameters(served: Served) -> None:
    history = tensor("history", "BYTES", [1, 2], [["50", "181"]])
    asked = {"inputs": [history], "parameters": {"k": 3, "exclude_seen": False, "timeout": 5}}
    answer = await served.gateway.http.post(RECOMMEND, json=asked)
    assert served.recommender.received[0].json == {"history": ["50", "181"], "k": 3, "exclude_seen": False}
    assert answer.json()["outputs"][2]["data"] == ["history"]


async def test_a_version_is_selected_by_the_path(served: Served) -> None:
    http = served.gateway.http
    for _ in range(4):
        answer = await http.post("/v2/models/sentiment/versions/v2/infer", json={"inputs": [texts("good")]})
        assert answer.json()["model_version"] == answer.headers["x-naru-version"] == "v2"
    assert (len(served.v1.received), len(served.v2.received)) == (0, 4)
    answer = await http.post("/v2/models/sentiment/versions/v9/infer", json={"inputs": [texts("good")]})
    assert answer.status_code == 404
    assert "'v9'" in answer.json()["error"]
    assert (await http.get("/v2/models/sentiment/versions/v9")).status_code == 404
    assert (await http.get("/v2/models/sentiment/versions/v9/ready")).status_code == 404
    assert (await http.get("/v2/models/sentiment/versions/v2")).json()["versions"] == ["v2"]


async def test_metadata_says_what_the_model_takes_and_gives(served: Served) -> None:
    assert (await served.gateway.http.get("/v2")).json() == {
        "name": "naru", "version": "0.1.0", "extensions": ["binary_tensor_data"],
    }  # fmt: skip
    assert (await served.gateway.http.get("/v2/models/sentiment")).json() == {
        "name": "sentiment", "versions": ["v1", "v2"], "platform": "naru_sentiment",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP64", "shape": [-1]},
            {
                "name": "scores", "datatype": "FP64", "shape": [-1, 3],
                "parameters": {"classes": "negative,neutral,positive"},
            },
        ],
    }  # fmt: skip


@pytest.mark.parametrize("model", ["sentiment", "recommendation"])
async def test_answers_are_what_metadata_promises(model: str, served: Served) -> None:
    http = served.gateway.http
    promised = (await http.get(f"/v2/models/{model}")).json()
    first = promised["inputs"][0]
    asked = tensor(first["name"], first["datatype"], [3 if size == -1 else size for size in first["shape"]], ["a"] * 3)
    given = (await http.post(f"/v2/models/{model}/infer", json={"inputs": [asked]})).json()["outputs"]
    assert [(t["name"], t["datatype"]) for t in given] == [(t["name"], t["datatype"]) for t in promised["outputs"]]
    for one, promise in zip(given, promised["outputs"], strict=True):
        assert len(one["shape"]) == len(promise["shape"])
        assert all(size in (promised_size, -1) or promised_size == -1
                   for size, promised_size in zip(one["shape"], promise["shape"], strict=True))  # fmt: skip


async def test_a_language_model_says_where_it_answers(served: Served) -> None:
    http = served.gateway.http
    assert (await http.get("/v2/models/m/ready")).json() == {"name": "m", "ready": True}
    metadata = (await http.get("/v2/models/m")).json()
    assert (metadata["platform"], metadata["inputs"], metadata["outputs"]) == ("naru_chat", [], [])
    assert "POST /v1/chat/completions" in metadata["parameters"]["served_at"]
    refused = await http.post("/v2/models/m/infer", json={"inputs": [texts("good")]})
    assert refused.status_code == 404
    assert "POST /v1/chat/completions" in refused.json()["error"]
    assert not served.llm.received


async def test_health_needs_no_key_and_everything_else_does(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.gateway.url) as http:
        assert (await http.get("/v2")).status_code == 200
        assert (await http.get("/v2/health/live")).json() == {"live": True}
        assert (await http.get("/v2/health/ready")).json() == {"ready": True}
        assert (await http.get("/v2/models/sentiment/ready")).json() == {"name": "sentiment", "ready": True}
        assert (await http.get("/v2/models/nope/ready")).status_code == 404
        for refused in (await http.get("/v2/models/sentiment"), await http.post(INFER, json={})):
            assert refused.status_code == 401
            assert list(refused.json()) == ["error"]
            assert isinstance(refused.json()["error"], str)


async def test_a_model_that_is_down_is_not_ready_and_a_draining_gateway_neither(served: Served) -> None:
    http = served.gateway.http
    await served.until_v2_is_down()
    assert (await http.get("/v2/models/sentiment/versions/v2/ready")).status_code == 503
    assert (await http.get("/v2/models/sentiment/ready")).status_code == 200
    served.gateway.gateway.drain.draining = True
    assert (await http.get("/v2/health/ready")).status_code == 503
    refused = await http.post(INFER, json={"inputs": [texts("good")]})
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


FINE = tensor("text", "BYTES", [1], ["good"])


USER = tensor("user_id", "BYTES", [1], ["a"])
MALFORMED: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "missing": (INFER, [], "text"),
    "twice": (INFER, [FINE, FINE], "text"),
    "unknown": (INFER, [FINE, tensor("txt", "BYTES", [1], ["good"])], "txt"),
    "another datatype": (INFER, [tensor("text", "FP32", [1], [1.0])], "text"),
    "another rank": (INFER, [tensor("text", "BYTES", [1, 1, 1], ["good"])], "text"),
    "another shape": (INFER, [tensor("text", "BYTES", [1, 2], ["good", "bad"])], "text"),
    "no shape": (INFER, [tensor("text", "BYTES", [], ["good"])], "text"),
    "negative": (INFER, [tensor("text", "BYTES", [-1], ["good"])], "text"),
    "too few": (INFER, [tensor("text", "BYTES", [2], ["good"])], "text"),
    "too many": (INFER, [tensor("text", "BYTES", [1], ["good", "bad"])], "text"),
    "claims 2^31": (INFER, [tensor("text", "BYTES", [2**31], ["good"])], "text"),
    "claims 2^70": (INFER, [tensor("text", "BYTES", [2**70], ["good"])], "text"),
    "claims 10^4000": (INFER, [tensor("text", "BYTES", [10**4000], ["good"])], "text"),
    "a shape without end": (INFER, [tensor("text", "BYTES", [2**31] * 10_000, ["good"])], "text"),
    "half an element": (INFER, [tensor("text", "BYTES", [1.5], ["good"])], "text"),
    "a number for a text": (INFER, [tensor("text", "BYTES", [1], [3])], "text"),
    "nested otherwise": (INFER, [tensor("text", "BYTES", [2, 1], [["good", "bad"]])], "text"),
    "no data": (INFER, [tensor("text", "BYTES", [1])], "text"),
    "an empty text": (INFER, [tensor("text", "BYTES", [1], [""])], "text"),
    "no text": (INFER, [tensor("text", "BYTES", [0], [])], "text"),
    "data twice": (INFER, [tensor("text", "BYTES", [1], ["good"], binary_data_size=4)], "text"),
    "binary data missing": (INFER, [tensor("text", "BYTES", [1], binary_data_size=9)], "text"),
    "a size that is none": (INFER, [tensor("text", "BYTES", [1], binary_data_size="9")], "text"),
    "a negative size": (INFER, [tensor("text", "BYTES", [1], binary_data_size=-9)], "text"),
    "nobody": (RECOMMEND, [], "user_id"),
    "a user that is no id": (RECOMMEND, [tensor("user_id", "FP64", [1], [1.0])], "user_id"),
    "a NaN user": (RECOMMEND, [tensor("user_id", "FP64", [1], [float("nan")])], "user_id"),
    "a NaN integer": (RECOMMEND, [tensor("user_id", "INT64", [1], [float("nan")])], "user_id"),
    "beyond INT64": (RECOMMEND, [tensor("user_id", "INT64", [1], [2**64])], "user_id"),
    "beyond INT32": (RECOMMEND, [tensor("user_id", "INT32", [1], [2**31])], "user_id"),
    "too many users": (RECOMMEND, [tensor("user_id", "BYTES", [MOST_USERS + 1], ["u"] * (MOST_USERS + 1))], "user_id"),
    "one history for two": (
        RECOMMEND, [tensor("user_id", "BYTES", [2], ["a", "b"]), tensor("history", "BYTES", [1], ["50"])], "history",
    ),
    "no items": (RECOMMEND, [USER, tensor("k", "INT32", [1], [0])], "k"),
    "how many twice": (RECOMMEND, [USER, tensor("k", "INT32", [2], [1, 2])], "k"),
}  # fmt: skip


async def test_a_malformed_tensor_is_400_and_named(served: Served) -> None:
    for case, (path, inputs, name) in MALFORMED.items():
        answer = await served.gateway.http.post(path, content=json.dumps({"inputs": inputs}))
        assert (answer.status_code, f"'{name}'" in answer.json()["error"]) == (400, True), (case, answer.text)
    assert not served.v1.received
    assert not served.recommender.received
    assert await served.gateway.outcome("invalid_tensor", operation="inference") == len(MALFORMED)
    assert (await served.gateway.http.post(INFER, json={"inputs": [FINE]})).status_code == 200


MALFORMED_BYTES = {
    "not UTF-8": packed(b"\xff\xfe"),
    "too short": packed(b"good")[:-1],
    "too long": packed(b"good") + b"!",
    "an element of 2^31 bytes": struct.pack("<I", 2**31) + b"good",
    "half a length": b"\x01\x00\x00",
    "empty": b"",
}


async def test_malformed_binary_data_is_400_and_named(served: Served) -> None:
    for case, data in MALFORMED_BYTES.items():
        asked = {"inputs": [tensor("text", "BYTES", [1], binary_data_size=len(data))]}
        answer = await binary(served.gateway, INFER, asked, data)
        assert (answer.status_code, "'text'" in answer.json()["error"]) == (400, True), (case, answer.text)
    assert not served.v1.received


ASKED = json.dumps({"inputs": [FINE]}).encode()
CLASSIFIED = {"inputs": [FINE], "outputs": [{"name": "label", "parameters": {"classification": 2}}]}
MALFORMED_REQUESTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "not JSON": (b"{", {}),
    "no object": (b"[]", {}),
    "no inputs": (b"{}", {}),
    "inputs that are none": (b'{"inputs": 3}', {}),
    "an input that is none": (b'{"inputs": [3]}', {}),
    "brackets": (b"[" * 100_000, {}),
    "brackets for inputs": (b'{"inputs": [' + b"[" * 100_000, {}),
    "not UTF-8": (b"\xff", {}),
    "a text that is not UTF-8": (b'{"inputs": [{"name": "\xff"}]}', {}),
    "a header beyond the body": (b"{}", {"inference-header-content-length": "3"}),
    "a negative header": (b"{}", {"inference-header-content-length": "-1"}),
    "an endless header": (b"{}", {"inference-header-content-length": "9" * 5000}),
    "a header that cuts the JSON": (ASKED, {"inference-header-content-length": "20"}),
    "bytes that no input has": (ASKED + b"more", {"inference-header-content-length": str(len(ASKED))}),
    "a compressed body": (ASKED, {"content-encoding": "gzip"}),
    "an output that there is not": (json.dumps({"inputs": [FINE], "outputs": [{"name": "logits"}]}).encode(), {}),
    "a classification": (json.dumps(CLASSIFIED).encode(), {}),
    "parameters that are none": (json.dumps({"inputs": [FINE], "parameters": 3}).encode(), {}),
}


async def test_a_malformed_request_is_400(served: Served) -> None:
    for case, (content, headers) in MALFORMED_REQUESTS.items():
        answer = await served.gateway.http.post(INFER, content=content, headers=headers)
        assert (answer.status_code, type(answer.json()["error"])) == (400, str), (case, answer.text)
    assert not served.v1.received


async def test_the_services_own_refusal_names_the_tensor(served: Served) -> None:
    async def refuse(_: Received, wire: Wire) -> None:
        fault = {"message": "'input[1]' has 70000 characters, the limit is 2000", "param": "input[1]"}
        await wire.whole(422, {"error": fault})

    served.v1.script = refuse
    answer = await served.gateway.http.post(INFER, json={"inputs": [texts("good", "x" * 70_000)]})
    assert answer.status_code == 400
    assert answer.json()["error"] == "input 'text': element 1: it has 70000 characters, the limit is 2000"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"error": {"message": "queue full"}}, 429),
        (500, {"error": {"message": "secret traceback"}}, 502),
        (200, {"results": []}, 502),
        (200, {"results": [{"label": "positive", "score": 1.0, "scores": {"positive": 1.0}}]}, 502),
        (200, [], 502),
    ],
)
async def test_a_service_that_fails(status: int, body: object, expected: int, served: Served) -> None:
    async def fail(_: Received, wire: Wire) -> None:
        await wire.whole(status, body)

    served.v1.script = served.v2.script = fail
    answer = await served.gateway.http.post(INFER, json={"inputs": [texts("good")]})
    assert answer.status_code == expected
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (expected == 429)
    assert await served.gateway.value("naru_requests_total", model="sentiment") == 1
    assert await served.gateway.value("naru_requests_total", operation="inference") == 0


async def test_one_bad_request_fails_alone(served: Served) -> None:
    async def ask(index: int) -> int:
        good = tensor("text", "BYTES", [1], ["good"])
        bad = tensor("text", "BYTES", [2**31], ["good"])
        return (await served.gateway.http.post(INFER, json={"inputs": [good if index % 3 else bad]})).status_code

    assert await asyncio.gather(*map(ask, range(24))) == [200 if index % 3 else 400 for index in range(24)]


async def test_a_client_that_leaves_stops_the_service(served: Served) -> None:
    async def never(_: Received, __: Wire) -> None:
        await asyncio.Event().wait()

    served.v1.script = never
    with pytest.raises(httpx.ReadTimeout):
        await served.gateway.http.post(INFER, json={"inputs": [texts("good")]}, timeout=0.3)
    await asyncio.wait_for(served.v1.left.wait(), 20)
    await served.gateway.until_outcome("client_cancelled")


async def test_an_answer_says_what_is_left_of_the_key_s_limits(tmp_path: Path) -> None:
    key = Key(name="a", tenant="shop", sha256=digest("sk-a"), requests_per_minute=4)
    headers = {"authorization": "Bearer sk-a"}
    users = {"inputs": [tensor("user_id", "INT64", [3], [1, 2, 3])]}  # as many calls of the model
    async with engine(models.recommendation) as made:
        registry = models.registry(made.url, made.url, made.url, made.url)
        async with running(registry, tmp_path, keys=[key]) as gateway:
            answers = [await gateway.http.post(RECOMMEND, json=users, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0"]
    assert answers[1].headers["x-naru-limit"] == "key/requests_per_minute"
    assert "x-naru-limit" not in answers[0].headers
    assert int(answers[1].headers["retry-after"]) >= 1
